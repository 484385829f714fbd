#include "core/parse/mime.h"

#include "core/base/refuse.h"
#include "core/parse/hdr.h"

#include <stdio.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* One open multipart on the stack. */
struct level {
	slice boundary;
	int part; /* index of the multipart */
	unsigned children;
};

struct walk {
	struct arena *a;
	slice in; /* borrows: the message */
	struct mime_part *parts;
	size_t count, room;
	struct level level[MIME_MAX_DEPTH];
	unsigned depth;
	bool reports; /* enter multipart/report */
};

enum delimiter { DELIMITER_NONE, DELIMITER_NEXT, DELIMITER_CLOSE };

#ifdef __x86_64__
/* As below, 64 bytes at a step; *i is then where the rest begins. A line feed and
 * the dash behind it make one bit. */
CPU_TARGET_AVX2 static bool dashes_avx2(slice in, size_t *i)
{
	const __m256i lf = _mm256_set1_epi8('\n'), dash = _mm256_set1_epi8('-');
	uint64_t last = 0; /* bit 0: the step before ended with a line feed */

	for (; in.len - *i >= 65; *i += 64) {
		__m256i a = _mm256_loadu_si256((const __m256i *)(in.p + *i));
		__m256i b = _mm256_loadu_si256((const __m256i *)(in.p + *i + 32));
		uint64_t lfs = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, lf)) |
			       (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, lf)) << 32;
		uint64_t hit = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, dash)) |
			       (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, dash)) << 32;

		for (hit &= lfs << 1 | last; hit; hit &= hit - 1) {
			size_t at = *i + (size_t)__builtin_ctzll(hit);

			if (in.p[at + 1] == '-') {
				*i = at - 1;
				return true;
			}
		}
		last = lfs >> 63;
	}
	*i -= last;
	return false;
}

/* Each comparison only where the one before held. */
CPU_TARGET_AVX512 static bool dashes_avx512(slice in, size_t *i)
{
	const __m512i lf = _mm512_set1_epi8('\n'), dash = _mm512_set1_epi8('-');

	for (; in.len - *i >= 66; *i += 64) {
		const uint8_t *p = in.p + *i;
		uint64_t hit = _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(p), lf);

		hit = _mm512_mask_cmpeq_epi8_mask(hit, _mm512_loadu_si512(p + 1), dash);
		hit = _mm512_mask_cmpeq_epi8_mask(hit, _mm512_loadu_si512(p + 2), dash);
		if (hit) {
			*i += (size_t)__builtin_ctzll(hit);
			return true;
		}
	}
	return false;
}
#endif

size_t mime_dashes_by(enum cpu_path path, slice in, size_t from)
{
	size_t i = from < in.len ? from : in.len;

#ifdef __x86_64__
	if ((path == CPU_AVX512 && dashes_avx512(in, &i)) || (path == CPU_AVX2 && dashes_avx2(in, &i)))
		return i;
#endif
	(void)path;
	return slice_find(in, SLICE("\n--"), i);
}

size_t mime_dashes(slice in, size_t from)
{
	return mime_dashes_by(cpu_best(), in, from);
}

bool mime_is(const struct mime_part *p, slice type, slice subtype)
{
	return slice_ieq(p->type, type) && (subtype.len == 0 || slice_ieq(p->subtype, subtype));
}

/* The innermost open boundary that the line at `from` (which starts with "--")
 * carries: *k is its level. */
static enum delimiter delimiter_of(const struct walk *w, size_t from, unsigned *k)
{
	slice rest = slice_from(w->in, from + 2);

	for (unsigned i = w->depth; i-- > 0;) {
		slice b = w->level[i].boundary;
		enum delimiter d = DELIMITER_NEXT;
		size_t at = b.len;

		if (!slice_starts(rest, b))
			continue;
		if (rest.len - at >= 2 && rest.p[at] == '-' && rest.p[at + 1] == '-') {
			d = DELIMITER_CLOSE;
			at += 2;
		}
		/* Blanks after the boundary are transport padding (RFC 2046 5.1.1). */
		while (at < rest.len && (rest.p[at] == ' ' || rest.p[at] == '\t' || rest.p[at] == '\r'))
			at++;
		if (at < rest.len && rest.p[at] != '\n')
			continue;
		*k = i;
		return d;
	}
	return DELIMITER_NONE;
}

struct param_iter {
	slice in;
	size_t pos;
};

static size_t skip_blanks(slice s, size_t i)
{
	while (i < s.len) {
		if (ascii_space(s.p[i])) {
			i++;
		} else if (s.p[i] == '(') {
			/* a comment; they nest */
			int deep = 0;

			for (; i < s.len; i++) {
				if (s.p[i] == '\\')
					i++;
				else if (s.p[i] == '(')
					deep++;
				else if (s.p[i] == ')' && --deep == 0)
					break;
			}
			i = i < s.len ? i + 1 : s.len;
		} else {
			break;
		}
	}
	return i;
}

/* 1: the next parameter, *quoted if the value stood in quotes (which are off,
 * backslashes still in). 0: no more. */
static int param_next(struct param_iter *it, slice *name, slice *value, bool *quoted)
{
	slice s = it->in;
	size_t i = it->pos, from;

	for (;;) {
		/* To behind the next ';' that is not inside of quotes. */
		bool in_quotes = false;

		for (; i < s.len && (in_quotes || s.p[i] != ';'); i++) {
			if (s.p[i] == '\\' && in_quotes)
				i++;
			else if (s.p[i] == '"')
				in_quotes = !in_quotes;
		}
		if (i >= s.len) {
			it->pos = s.len;
			return 0;
		}
		i = skip_blanks(s, i + 1);
		from = i;
		while (i < s.len && s.p[i] != '=' && s.p[i] != ';' && !ascii_space(s.p[i]))
			i++;
		*name = slice_sub(s, from, i);
		i = skip_blanks(s, i);
		if (name->len == 0 || i >= s.len || s.p[i] != '=')
			continue;
		i = skip_blanks(s, i + 1);
		break;
	}
	*quoted = i < s.len && s.p[i] == '"';
	if (*quoted) {
		from = ++i;
		while (i < s.len && s.p[i] != '"')
			i += s.p[i] == '\\' ? 2 : 1;
		*value = slice_sub(s, from, i);
		i = i < s.len ? i + 1 : s.len;
	} else {
		from = i;
		while (i < s.len && s.p[i] != ';' && s.p[i] != '(' && !ascii_space(s.p[i]))
			i++;
		*value = slice_sub(s, from, i);
	}
	it->pos = i;
	return 1;
}

static int hex(uint8_t c)
{
	if (ascii_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Append value to p, without backslashes (quoted), line ends, or with %xx
 * decoded (extended). */
static size_t param_copy(uint8_t *p, slice v, bool quoted, bool extended)
{
	size_t n = 0;

	for (size_t i = 0; i < v.len; i++) {
		if (v.p[i] == '\r' || v.p[i] == '\n')
			continue;
		if (quoted && v.p[i] == '\\' && i + 1 < v.len)
			i++;
		if (extended && v.p[i] == '%' && i + 2 < v.len && hex(v.p[i + 1]) >= 0 &&
			hex(v.p[i + 2]) >= 0) {
			p[n++] = (uint8_t)(hex(v.p[i + 1]) << 4 | hex(v.p[i + 2]));
			i += 2;
		} else {
			p[n++] = v.p[i];
		}
	}
	return n;
}

/* "charset'language'" of an extended value off. */
static slice past_marks(slice v)
{
	size_t one = slice_chr(v, '\'', 0), two;

	if (one == SLICE_NPOS)
		return v;
	two = slice_chr(v, '\'', one + 1);
	return two == SLICE_NPOS ? v : slice_from(v, two + 1);
}

bool mime_param(struct arena *a, slice value, slice name, slice *out)
{
	struct param_iter it = {.in = value};
	slice n, v;
	uint8_t *joined = NULL;
	size_t len = 0;
	unsigned section = 0;
	bool quoted;

	while (param_next(&it, &n, &v, &quoted)) {
		slice tail = slice_from(n, name.len);
		bool extended = slice_ends(tail, SLICE("*"));

		if (!slice_istarts(n, name) || (tail.len && tail.p[0] != '*'))
			continue;
		if (tail.len > 1) {
			/* name*0, name*1*, ...: in their order, RFC 2231 section 3 */
			unsigned want = section, got = 0;
			size_t i = 1;

			for (; i < tail.len && ascii_digit(tail.p[i]) && got < 1000; i++)
				got = got * 10 + (unsigned)(tail.p[i] - '0');
			if (i == 1 || got != want || i + (extended ? 1 : 0) != tail.len)
				continue;
			if (!joined)
				joined = arena_alloc(a, value.len);
			len += param_copy(
				joined + len, extended && got == 0 ? past_marks(v) : v, quoted, extended);
			section++;
			continue;
		}
		if (joined)
			continue;
		if (extended)
			v = past_marks(v);
		if (extended || slice_chr(v, '\\', 0) != SLICE_NPOS || slice_chr(v, '\n', 0) != SLICE_NPOS) {
			uint8_t *p = arena_alloc(a, v.len);

			v = slice_of(p, param_copy(p, v, quoted, extended));
		}
		*out = v;
		return true;
	}
	*out = slice_of(joined, len);
	return joined != NULL;
}

/* The token at the start of a value, comments skipped. */
static slice token_at(slice s, size_t *pos)
{
	size_t from = skip_blanks(s, *pos), i = from;

	while (i < s.len && !ascii_space(s.p[i]) && s.p[i] != ';' && s.p[i] != '/' && s.p[i] != '(')
		i++;
	*pos = i;
	return slice_sub(s, from, i);
}

static void content_type(struct arena *a, struct mime_part *p, slice value)
{
	size_t pos = 0;
	slice type = token_at(value, &pos), subtype = SLICE_NONE, v;

	pos = skip_blanks(value, pos);
	if (pos < value.len && value.p[pos] == '/') {
		pos++;
		subtype = token_at(value, &pos);
	}
	/* RFC 2045 5.2: what cannot be read is plain text. Here it is left alone. */
	if (type.len == 0 || subtype.len == 0)
		p->odd = true;
	p->type = type;
	p->subtype = subtype;
	if (mime_param(a, value, SLICE("charset"), &v))
		p->charset = slice_trim(v);
	if (mime_param(a, value, SLICE("name"), &v) && v.len)
		p->attachment = true;
	if (mime_param(a, value, SLICE("format"), &v))
		p->flowed = slice_ieq(v, SLICE("flowed"));
	if (mime_param(a, value, SLICE("delsp"), &v))
		p->delsp = slice_ieq(v, SLICE("yes"));
	if (mime_param(a, value, SLICE("boundary"), &v)) {
		/* A boundary never ends in white space, RFC 2046 5.1.1. */
		while (v.len && ascii_space(v.p[v.len - 1]))
			v.len--;
		p->boundary = v;
	}
}

static void content_encoding(struct mime_part *p, slice value)
{
	static const struct {
		slice word;
		enum mime_cte cte;
	} known[] = {
		{SLICE("7bit"), MIME_7BIT},
		{SLICE("8bit"), MIME_8BIT},
		{SLICE("binary"), MIME_BINARY},
		{SLICE("quoted-printable"), MIME_QP},
		{SLICE("base64"), MIME_BASE64},
	};
	size_t pos = 0;
	slice word = token_at(value, &pos);

	p->cte_word = word;
	p->cte = MIME_CTE_UNKNOWN;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (slice_ieq(word, known[i].word))
			p->cte = known[i].cte;
}

static void content_disposition(struct arena *a, struct mime_part *p, slice value)
{
	size_t pos = 0;
	slice v;

	if (slice_ieq(token_at(value, &pos), SLICE("attachment")))
		p->attachment = true;
	if (mime_param(a, value, SLICE("filename"), &v) && v.len)
		p->attachment = true;
}

/* A field that may come once: its value, or odd when it comes with another. */
static bool first_of(slice *seen, slice value, struct mime_part *p)
{
	value = slice_trim(value);
	if (seen->p) {
		if (!slice_ieq(*seen, value))
			p->odd = true;
		return false;
	}
	*seen = value.p ? value : SLICE("");
	return true;
}

/* Read the header section of the part at p->from; p->body is set. */
static int part_header(struct walk *w, struct mime_part *p)
{
	slice type = SLICE_NONE, cte = SLICE_NONE, disposition = SLICE_NONE;
	struct hdr_iter it;
	struct hdr h;
	unsigned k;
	int rc;

	hdr_start(&it, w->in, p->from);
	while ((rc = hdr_next(&it, &h)) > 0) {
		/* A boundary may look like a field: "--a:b". */
		if (slice_starts(h.name, SLICE("--")) && delimiter_of(w, h.from, &k) != DELIMITER_NONE) {
			p->body = h.from;
			return 0;
		}
		if (h.name.len < 12 || (h.name.p[0] | 0x20) != 'c')
			continue;
		if (slice_ieq(h.name, SLICE("Content-Type"))) {
			if (first_of(&type, h.value, p))
				content_type(w->a, p, h.value);
		} else if (slice_ieq(h.name, SLICE("Content-Transfer-Encoding"))) {
			if (first_of(&cte, h.value, p))
				content_encoding(p, h.value);
		} else if (slice_ieq(h.name, SLICE("Content-Disposition"))) {
			if (first_of(&disposition, h.value, p))
				content_disposition(w->a, p, h.value);
		}
	}
	p->body = it.pos;
	return rc;
}

/* Nobody looks into these. */
static bool sealed(const struct walk *w, const struct mime_part *p)
{
	return slice_ieq(p->subtype, SLICE("signed")) || slice_ieq(p->subtype, SLICE("encrypted")) ||
	       (!w->reports && slice_ieq(p->subtype, SLICE("report")));
}

/* Add the part that begins at from below the level on top, and open it if it is
 * a multipart. *pos is where its body begins. */
static int part_add(struct walk *w, size_t *pos)
{
	struct level *up = w->depth ? &w->level[w->depth - 1] : NULL;
	struct mime_part *p;
	int rc;

	if (w->count == MIME_MAX_PARTS)
		return -REFUSE_TOO_MANY_PARTS;
	if (w->count == w->room) {
		size_t room = w->room ? w->room * 4 : 8;
		struct mime_part *more = arena_array(w->a, struct mime_part, room);

		if (w->count)
			memcpy(more, w->parts, w->count * sizeof *more);
		w->parts = more;
		w->room = room;
	}
	p = &w->parts[w->count];
	*p = (struct mime_part){.from = *pos,
		.to = w->in.len,
		.parent = up ? up->part : -1,
		.depth = w->depth,
		.place = up ? ++up->children : 1,
		.type = SLICE("text"),
		.subtype = SLICE("plain"),
		.line_end = hdr_line_end(w->in, *pos)};
	/* RFC 2046 5.1.5 */
	if (up && slice_ieq(w->parts[up->part].subtype, SLICE("digest"))) {
		p->type = SLICE("message");
		p->subtype = SLICE("rfc822");
	}
	rc = part_header(w, p);
	if (rc < 0)
		return rc;
	w->count++;
	*pos = p->body;
	if (!slice_ieq(p->type, SLICE("multipart")) || sealed(w, p) || p->odd)
		return 0;
	if (p->boundary.len == 0) {
		p->odd = true;
		return 0;
	}
	if (p->boundary.len > MIME_MAX_BOUNDARY)
		return -REFUSE_LENGTH;
	if (w->depth == MIME_MAX_DEPTH)
		return -REFUSE_TOO_DEEP;
	p->multipart = true;
	w->level[w->depth++] = (struct level){.boundary = p->boundary, .part = (int)w->count - 1};
	return 0;
}

/* End every part that is open below level k at the delimiter line at `line`;
 * open: index of the first part that may be open. */
static void parts_end(struct walk *w, unsigned k, size_t line, int leaf)
{
	size_t to = line;

	if (to && w->in.p[to - 1] == '\n')
		to -= to > 1 && w->in.p[to - 2] == '\r' ? 2 : 1;
	/* A part without a body may begin behind its own end; so does what holds it. */
	if (leaf >= 0) {
		struct mime_part *p = &w->parts[leaf];

		p->to = to = to > p->body ? to : p->body;
	}
	for (unsigned i = w->depth; i-- > k + 1;) {
		struct mime_part *p = &w->parts[w->level[i].part];

		p->to = to = to > p->body ? to : p->body;
	}
	w->depth = k + 1;
}

static int walk(struct arena *a, slice message, bool reports, struct mime_tree *out)
{
	struct walk *w = arena_new(a, struct walk);
	size_t pos = 0;
	int leaf, rc;

	w->a = a;
	w->in = message;
	w->reports = reports;
	*out = (struct mime_tree){0};
	rc = part_add(w, &pos);
	if (rc < 0)
		return rc;
	leaf = w->depth ? -1 : 0;
	/* pos is the start of a line; the delimiter may be that very line. */
	while (w->depth && pos < message.len) {
		enum delimiter d = DELIMITER_NONE;
		unsigned k = 0;
		size_t line = pos;

		if (!slice_starts(slice_from(message, pos), SLICE("--"))) {
			/* The line end before pos may start the next match. */
			line = mime_dashes(message, pos ? pos - 1 : 0);
			if (line == SLICE_NPOS)
				break;
			line++;
		}
		d = delimiter_of(w, line, &k);
		pos = slice_chr(message, '\n', line);
		pos = pos == SLICE_NPOS ? message.len : pos + 1;
		if (d == DELIMITER_NONE)
			continue;
		parts_end(w, k, line, leaf);
		leaf = -1;
		if (d == DELIMITER_CLOSE) {
			/* What follows is the epilogue, up to a delimiter of an outer level; the
			 * multipart itself goes on to there. */
			leaf = w->level[k].part;
			w->depth = k;
			continue;
		}
		rc = part_add(w, &pos);
		if (rc < 0)
			return rc;
		if (w->depth == k + 1)
			leaf = (int)w->count - 1;
	}
	out->parts = w->parts;
	out->count = w->count;
	return 0;
}

int mime_walk(struct arena *a, slice message, struct mime_tree *out)
{
	return walk(a, message, false, out);
}

int mime_walk_report(struct arena *a, slice message, struct mime_tree *out)
{
	return walk(a, message, true, out);
}

slice mime_number(struct arena *a, const struct mime_tree *t, size_t index)
{
	unsigned places[MIME_MAX_DEPTH + 1], n = 0;
	char text[(MIME_MAX_DEPTH + 1) * 6];
	int len = 0;

	for (int i = (int)index; i >= 0 && t->parts[i].parent >= 0; i = t->parts[i].parent)
		places[n++] = t->parts[i].place;
	if (n == 0)
		return t->parts[index].multipart ? SLICE("0") : SLICE("1");
	while (n-- > 0)
		len += snprintf(text + len, sizeof text - (size_t)len, len ? ".%u" : "%u", places[n]);
	return arena_dup(a, slice_of(text, (size_t)len));
}
