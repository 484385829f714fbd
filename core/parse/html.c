#include "core/parse/html.h"

#include "core/base/cpu.h"
#include "core/base/find.h"
#include "core/parse/entity.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define WITH_AVX2 __attribute__((target("avx2,bmi,popcnt")))
#define WITH_AVX512 __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,pclmul")))
#endif

/* Which bytes end what, and the white space of HTML. */
enum {
	WHITE = 1,    /* TAB LF FF CR SP */
	TAG_END = 2,  /* ends a tag name */
	ATTR_END = 4, /* ends an attribute name */
	BARE_END = 8, /* ends a value without quotes */
};
static const uint8_t class[256] = {
	['\t'] = WHITE | TAG_END | ATTR_END | BARE_END,
	['\n'] = WHITE | TAG_END | ATTR_END | BARE_END,
	['\f'] = WHITE | TAG_END | ATTR_END | BARE_END,
	['\r'] = WHITE | TAG_END | ATTR_END | BARE_END,
	[' '] = WHITE | TAG_END | ATTR_END | BARE_END,
	['/'] = TAG_END | ATTR_END,
	['>'] = TAG_END | ATTR_END | BARE_END,
	['='] = ATTR_END,
};

/* The start tags after which a tree builder switches the tokenizer. Scripting
 * counts as on, so that noscript is text: what nobody sees is not edited. */
static const struct {
	slice name;
	enum html_state state;
} content[] = {
	{SLICE("iframe"), HTML_RAWTEXT},
	{SLICE("noembed"), HTML_RAWTEXT},
	{SLICE("noframes"), HTML_RAWTEXT},
	{SLICE("noscript"), HTML_RAWTEXT},
	{SLICE("plaintext"), HTML_PLAIN},
	{SLICE("script"), HTML_SCRIPT},
	{SLICE("style"), HTML_RAWTEXT},
	{SLICE("textarea"), HTML_RCDATA},
	{SLICE("title"), HTML_RCDATA},
	{SLICE("xmp"), HTML_RAWTEXT},
};

static enum html_state content_of(slice name)
{
	uint8_t first = name.p[0] | 0x20;

	if (name.len < 3 || name.len > 9)
		return HTML_DATA;
	for (size_t i = 0; i < sizeof content / sizeof *content; i++)
		if (content[i].name.p[0] == first && content[i].name.len == name.len &&
			content[i].name.p[1] == (name.p[1] | 0x20) && slice_ieq(name, content[i].name))
			return content[i].state;
	return HTML_DATA;
}

void html_start(struct html_iter *it, slice in)
{
	*it = (struct html_iter){.in = in};
}

void html_start_span(struct html_iter *it, slice in, struct html_span span)
{
	html_start(it, slice_sub(in, 0, span.to));
	it->pos = span.from < it->in.len ? span.from : it->in.len;
}

bool html_is(slice in, const struct html_token *t, slice name)
{
	return t->name.to - t->name.from == name.len && slice_ieq(html_slice(in, t->name), name);
}

static size_t skip_white(slice in, size_t pos)
{
	while (pos < in.len && class[in.p[pos]] & WHITE)
		pos++;
	return pos;
}

/* From the end of the tag name or of an attribute to the end of the next one.
 * 1: *a, and *pos is behind it.  0: the tag ends, *pos is its '>'.
 * -1: the input ends before the tag does. */
static int attr_scan(slice in, size_t *pos, struct html_attr *a)
{
	size_t i = *pos, end;

	a->from = i;
	while (i < in.len && (class[in.p[i]] & WHITE || in.p[i] == '/'))
		i++;
	*pos = i;
	if (i == in.len)
		return -1;
	if (in.p[i] == '>')
		return 0;
	a->name.from = i++; /* the first byte may even be a '=' */
	while (i < in.len && !(class[in.p[i]] & ATTR_END))
		i++;
	a->name.to = a->to = *pos = i;
	a->value = (struct html_span){i, i};
	a->quote = 0;
	a->has_value = false;
	i = skip_white(in, i);
	if (i == in.len)
		return -1;
	if (in.p[i] != '=')
		return 1; /* without value; the white space belongs to what follows */
	a->has_value = true;
	i = skip_white(in, i + 1);
	if (i == in.len)
		return -1;
	end = i;
	if (in.p[i] == '"' || in.p[i] == '\'') {
		a->quote = in.p[i++];
		end = find_byte(in, i, a->quote);
		if (end == in.len)
			return -1;
		*pos = end + 1;
	} else {
		while (end < in.len && !(class[in.p[end]] & BARE_END))
			end++;
		if (end == in.len)
			return -1;
		*pos = end;
	}
	a->value = (struct html_span){i, end};
	a->to = *pos;
	return 1;
}

/* From the end of the tag name to the tag's '>', one attribute at a time. 0: *pos
 * is there.  -1: the input ends before. */
static int tag_end_one_by_one(slice in, size_t *pos, bool *self_closing)
{
	struct html_attr a;
	int rc;

	do
		rc = attr_scan(in, pos, &a);
	while (rc > 0);
	/* A '/' inside a bare value was eaten by it, so *pos has not moved past it. */
	*self_closing = rc == 0 && *pos > a.from && in.p[*pos - 1] == '/';
	return rc;
}

/* The same, but name="value" is passed over without looking at it: in a stretch
 * that begins where an attribute may, the first '=' with a byte of a name right
 * before it ends a name, and a quote right behind it opens a value. Up to that '='
 * only names stand there, in which no '>' can hide and a quote means nothing to
 * anybody but attr_scan, which gets all that looks otherwise. */
static int tag_end_short(slice in, size_t *pos, bool *self_closing)
{
	static const uint8_t marks[4] = {'>', '=', '"', '\''};
	struct html_attr a;
	size_t i = *pos;

	for (;;) {
		size_t at = find_four(in, i, marks);

		if (at == in.len)
			return -1;
		if (in.p[at] == '>') {
			*self_closing = at > i && in.p[at - 1] == '/';
			*pos = at;
			return 0;
		}
		if (in.p[at] == '=' && at > i && !(class[in.p[at - 1]] & ATTR_END) && at + 1 < in.len &&
			(in.p[at + 1] == '"' || in.p[at + 1] == '\'')) {
			i = find_byte(in, at + 2, in.p[at + 1]);
			if (i == in.len)
				return -1;
			i++;
			continue;
		}
		if (attr_scan(in, &i, &a) < 0)
			return -1;
	}
}

#if defined(__x86_64__)
/* One bit for each of 64 bytes. */
struct marks {
	uint64_t end, equals, quote; /* > = " */
	uint64_t parts;              /* what stands between attributes: '/', and all up to SP */
};

WITH_AVX2 static inline uint64_t bits(__m256i low, __m256i high)
{
	return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

WITH_AVX2 static inline uint64_t bits_of(__m256i low, __m256i high, char c)
{
	const __m256i all = _mm256_set1_epi8(c);

	return bits(_mm256_cmpeq_epi8(low, all), _mm256_cmpeq_epi8(high, all));
}

WITH_AVX2 static inline __m256i parting(__m256i v)
{
	const __m256i space = _mm256_set1_epi8(' ');

	return _mm256_or_si256(
		_mm256_cmpeq_epi8(_mm256_min_epu8(v, space), v), _mm256_cmpeq_epi8(v, _mm256_set1_epi8('/')));
}

WITH_AVX2 static inline void marks_of(const uint8_t *p, struct marks *m)
{
	__m256i low = _mm256_loadu_si256((const __m256i *)(const void *)p);
	__m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));

	m->end = bits_of(low, high, '>');
	m->equals = bits_of(low, high, '=');
	m->quote = bits_of(low, high, '"');
	m->parts = bits(parting(low), parting(high));
}

/* Each bit with all below it, modulo 2: from an opening quote to before its
 * closing one. */
static inline uint64_t between(uint64_t quotes)
{
	for (unsigned n = 1; n < 64; n *= 2)
		quotes ^= quotes << n;
	return quotes;
}

/* What came before the 64 bytes: all ones, or the one bit. */
struct carried {
	uint64_t inside, after_equals, after_part;
};

/* Tags in which every '=' outside of values is the one of name="value": a byte of a
 * name before it, a '"' behind it. A "'" is then within a value or a name. value: the
 * bytes from an opening quote to before its closing one. 1: the tag ends, *at of the 64
 * is its '>'.  0: not yet.  -1: it is not such a tag. */
static inline __attribute__((always_inline)) int tag_step(
	const struct marks *m, uint64_t value, struct carried *c, unsigned *at)
{
	uint64_t open = m->quote & value, end = m->end & ~value, equals = m->equals & ~value;
	/* a name before it? */
	uint64_t wrong = equals & ((m->parts | m->quote) << 1 | c->after_part);

	/* a quote behind each, and each quote behind one? */
	wrong |= (equals << 1 | c->after_equals) ^ open;
	if (end) {
		*at = (unsigned)__builtin_ctzll(end);
		return wrong & ((end & -end) - 1) ? -1 : 1;
	}
	c->inside = (uint64_t)0 - (value >> 63);
	c->after_equals = equals >> 63;
	c->after_part = (m->parts | m->quote) >> 63;
	return wrong ? -1 : 0;
}

/* The same as tag_end_short, by 64 bytes at a time. -1: not such a tag, or too near to
 * the end. */
WITH_AVX2 static int tag_end_vectors(slice in, size_t *pos)
{
	struct carried c = {.after_part = 1};

	for (size_t i = *pos; i + 64 <= in.len; i += 64) {
		struct marks m;
		unsigned at;
		int rc;

		marks_of(in.p + i, &m);
		rc = tag_step(&m, between(m.quote) ^ c.inside, &c, &at);
		if (rc < 0)
			return -1;
		if (rc > 0) {
			*pos = i + at;
			return 0;
		}
	}
	return -1;
}

WITH_AVX512 static inline __attribute__((always_inline)) __m512i all_of(char c)
{
	__m512i v = _mm512_set1_epi8(c);

	CPU_KEEP(v);
	return v;
}

struct looked_for {
	__m512i end, equals, quote, space, slash;
};

WITH_AVX512 static inline __attribute__((always_inline)) struct looked_for looked_for(void)
{
	return (struct looked_for){all_of('>'), all_of('='), all_of('"'), all_of(' '), all_of('/')};
}

/* Bits of the bytes from `at` on that are there. */
static inline __attribute__((always_inline)) uint64_t there(slice in, size_t at)
{
	return in.len - at < 64 ? ((uint64_t)1 << (in.len - at)) - 1 : ~(uint64_t)0;
}

/* The 64 bytes from `at` on, zeros behind the end. */
WITH_AVX512 static inline __attribute__((always_inline)) __m512i load_512(slice in, size_t at)
{
	return in.len - at < 64 ? _mm512_maskz_loadu_epi8(there(in, at), in.p + at)
				: _mm512_loadu_si512(in.p + at);
}

WITH_AVX512 static inline __attribute__((always_inline)) void marks_of_512(
	const struct looked_for *l, slice in, size_t at, __m512i v, struct marks *m)
{
	m->end = _mm512_cmpeq_epi8_mask(v, l->end);
	m->equals = _mm512_cmpeq_epi8_mask(v, l->equals);
	m->quote = _mm512_cmpeq_epi8_mask(v, l->quote);
	m->parts =
		there(in, at) & (_mm512_cmple_epu8_mask(v, l->space) | _mm512_cmpeq_epi8_mask(v, l->slash));
}

/* between() in one multiplication without carries */
WITH_AVX512 static inline uint64_t between_512(uint64_t quotes)
{
	__m128i product =
		_mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)quotes), _mm_set1_epi8((char)0xff), 0);

	return (uint64_t)_mm_cvtsi128_si64(product);
}

/* A whole tag, of such as tag_step takes, whose name begins at name. -1: another;
 * else 0, the name ends at *name_to and *end is the '>'. */
WITH_AVX512 static int tag_512(slice in, size_t name, size_t *name_to, size_t *end)
{
	const struct looked_for l = looked_for();
	struct carried c = {0, 0, 0};
	struct marks m;
	uint64_t stops;
	unsigned at;
	int rc;

	marks_of_512(&l, in, name, load_512(in, name), &m);
	stops = m.parts | m.end;
	if (!stops)
		return -1;
	at = (unsigned)__builtin_ctzll(stops);
	*name_to = *end = name + at;
	if (m.end >> at & 1)
		return 0;
	if (!(class[in.p[name + at]] & TAG_END))
		return -1;
	/* In the name they mean nothing. */
	m.equals &= ~(uint64_t)0 << at;
	m.quote &= ~(uint64_t)0 << at;
	for (;;) {
		rc = tag_step(&m, between_512(m.quote) ^ c.inside, &c, &at);
		if (rc != 0)
			break;
		name += 64;
		if (name >= in.len)
			return -1;
		marks_of_512(&l, in, name, load_512(in, name), &m);
	}
	*end = name + at;
	return rc < 0 ? -1 : 0;
}

static inline bool has_512(void)
{
	return cpu_has(CPU_AVX512) && __builtin_cpu_supports("pclmul");
}
#endif

static int tag_end(enum html_path path, slice in, size_t *pos, bool *self_closing)
{
#if defined(__x86_64__)
	size_t at = *pos;

	if (path <= HTML_AVX2 && __builtin_cpu_supports("avx2") && tag_end_vectors(in, &at) == 0) {
		*self_closing = at > *pos && in.p[at - 1] == '/';
		*pos = at;
		return 0;
	}
#endif
	return path == HTML_ONE_BY_ONE ? tag_end_one_by_one(in, pos, self_closing)
				       : tag_end_short(in, pos, self_closing);
}

/* A start or end tag whose name begins at name. */
static void tag(struct html_iter *it, struct html_token *t, size_t name)
{
	size_t i = name;

#if defined(__x86_64__)
	size_t name_to;

	if (it->path == HTML_BEST && has_512() && tag_512(it->in, name, &name_to, &i) == 0) {
		t->name = (struct html_span){name, name_to};
		t->data = (struct html_span){name_to, i};
		t->self_closing = i > name_to && it->in.p[i - 1] == '/';
		t->to = i + 1;
		return;
	}
	i = name;
#endif
	while (i < it->in.len && !(class[it->in.p[i]] & TAG_END))
		i++;
	t->name = (struct html_span){name, i};
	t->data.from = i;
	t->self_closing = false;
	/* Most tags have no attributes. */
	if ((i == it->in.len || it->in.p[i] != '>') && tag_end(it->path, it->in, &i, &t->self_closing) < 0) {
		t->kind = HTML_LOST;
		t->self_closing = false;
		t->to = it->in.len;
		t->name = t->data = (struct html_span){t->to, t->to};
		return;
	}
	t->data.to = i;
	t->to = i + 1;
}

/* A start tag of this name was read: what follows may not be markup. */
static inline void content_start(struct html_iter *it, slice name)
{
	enum html_state next = it->fixed ? HTML_DATA : content_of(name);

	if (next != HTML_DATA) {
		it->state = next;
		it->last_start = name;
	}
}

static void start_tag(struct html_iter *it, struct html_token *t)
{
	t->kind = HTML_START;
	tag(it, t, t->from + 1);
	if (t->kind == HTML_START)
		content_start(it, html_slice(it->in, t->name));
}

static void end_tag(struct html_iter *it, struct html_token *t)
{
	t->kind = HTML_END;
	tag(it, t, t->from + 2);
	it->state = HTML_DATA;
}

/* All to the next '>'. */
static void bogus_comment(struct html_iter *it, struct html_token *t, size_t from)
{
	size_t to = slice_chr(it->in, '>', from);

	t->kind = HTML_COMMENT;
	t->to = to == SLICE_NPOS ? it->in.len : to + 1;
	t->data = (struct html_span){from, to == SLICE_NPOS ? it->in.len : to};
}

static void comment(struct html_iter *it, struct html_token *t, size_t from)
{
	slice rest = slice_from(it->in, from);
	size_t dash = 0, close = 0;

	t->kind = HTML_COMMENT;
	/* "<!-->" and "<!--->" are whole. */
	if (slice_starts(rest, SLICE(">")))
		close = 1;
	else if (slice_starts(rest, SLICE("->")))
		close = 2;
	while (!close) {
		slice at;

		dash = find_pair(rest, dash, '-', '-');
		if (dash == rest.len)
			break;
		at = slice_from(rest, dash);
		if (slice_starts(at, SLICE("-->")))
			close = 3;
		else if (slice_starts(at, SLICE("--!>")))
			close = 4;
		else
			dash++;
	}
	if (close) {
		t->data = (struct html_span){from, from + dash};
		t->to = from + dash + close;
		return;
	}
	/* The end of the input ends it; the start of an end mark is no text. */
	t->to = it->in.len;
	close = slice_ends(rest, SLICE("--!"))  ? 3
		: slice_ends(rest, SLICE("--")) ? 2
						: slice_ends(rest, SLICE("-"));
	t->data = (struct html_span){from, t->to - close};
}

static void cdata(struct html_iter *it, struct html_token *t, size_t from)
{
	size_t end = slice_find(it->in, SLICE("]]>"), from);

	t->kind = HTML_TEXT;
	t->state = HTML_CDATA;
	t->data = (struct html_span){from, end == SLICE_NPOS ? it->in.len : end};
	t->to = end == SLICE_NPOS ? it->in.len : end + 3;
	it->state = HTML_DATA;
}

/* A quoted identifier at *pos. True: closed, *pos is behind its quote; false:
 * cut off by a '>' (*pos is there) or by the end. */
static bool doctype_id(slice in, size_t *pos, struct html_span *id)
{
	uint8_t quote = in.p[(*pos)++];

	id->from = *pos;
	while (*pos < in.len && in.p[*pos] != quote && in.p[*pos] != '>')
		++*pos;
	id->to = *pos;
	if (*pos == in.len || in.p[*pos] == '>')
		return false;
	++*pos;
	return true;
}

static bool at_quote(slice in, size_t pos)
{
	return pos < in.len && (in.p[pos] == '"' || in.p[pos] == '\'');
}

/* Where a doctype whose name begins at pos stops to be read: its '>', junk
 * before that, or the end. The quirks flag of junk and '>' is set here. */
static size_t doctype_inside(slice in, size_t pos, struct html_token *t)
{
	bool public;

	pos = skip_white(in, pos);
	t->quirks = true; /* until it turns out well */
	if (pos == in.len || in.p[pos] == '>')
		return pos;
	t->has_name = true;
	t->name.from = pos;
	while (pos < in.len && !(class[in.p[pos]] & BARE_END))
		pos++;
	t->name.to = pos;
	pos = skip_white(in, pos);
	if (pos < in.len && in.p[pos] == '>')
		t->quirks = false;
	public = slice_istarts(slice_from(in, pos), SLICE("public"));
	if (!public && !slice_istarts(slice_from(in, pos), SLICE("system")))
		return pos;
	pos = skip_white(in, pos + 6);
	if (!at_quote(in, pos))
		return pos;
	if (public) {
		t->has_public = true;
		if (!doctype_id(in, &pos, &t->public_id))
			return pos;
		pos = skip_white(in, pos);
		if (!at_quote(in, pos)) {
			t->quirks = pos == in.len || in.p[pos] != '>';
			return pos;
		}
	}
	t->has_system = true;
	if (!doctype_id(in, &pos, &t->system_id))
		return pos;
	pos = skip_white(in, pos);
	t->quirks = pos == in.len; /* junk after the system identifier does no harm */
	return pos;
}

static void doctype(struct html_iter *it, struct html_token *t)
{
	size_t end;

	t->has_name = t->has_public = t->has_system = false;
	t->public_id = t->system_id = (struct html_span){0, 0};
	end = doctype_inside(it->in, t->from + 9, t);
	t->kind = HTML_DOCTYPE;
	end = slice_chr(it->in, '>', end);
	t->to = end == SLICE_NPOS ? it->in.len : end + 1;
}

/* "<!..." */
static void declaration(struct html_iter *it, struct html_token *t)
{
	slice rest = slice_from(it->in, t->from + 2);

	if (slice_starts(rest, SLICE("--")))
		comment(it, t, t->from + 4);
	else if (slice_istarts(rest, SLICE("doctype")))
		doctype(it, t);
	else if (it->foreign && slice_starts(rest, SLICE("[CDATA[")))
		cdata(it, t, t->from + 9);
	else
		bogus_comment(it, t, t->from + 2);
}

/* Is there "</name" with a white space, '/' or '>' behind it? */
static bool ends_here(slice in, size_t pos, slice name)
{
	size_t after = pos + 2 + name.len;

	return name.len && after < in.len && in.p[pos + 1] == '/' && class[in.p[after]] & TAG_END &&
	       slice_ieq(slice_sub(in, pos + 2, after), name);
}

/* Offset of the end tag that ends RCDATA and raw text, or the end. */
static size_t raw_end(slice in, size_t pos, slice name)
{
	while ((pos = slice_chr(in, '<', pos)) != SLICE_NPOS && !ends_here(in, pos, name))
		pos++;
	return pos == SLICE_NPOS ? in.len : pos;
}

/* Letters at pos spell "script", and white space, '/' or '>' follows. */
static bool says_script(slice in, size_t pos)
{
	return pos + 6 < in.len && slice_ieq(slice_sub(in, pos, pos + 6), SLICE("script")) &&
	       class[in.p[pos + 6]] & TAG_END;
}

/* The same for script, where "<!--" starts the escaped states, "<script" in
 * them the double escaped ones, and "-->" ends both. */
static size_t script_end(slice in, size_t pos, slice name)
{
	enum { PLAIN, ESCAPED, TWICE } mode = PLAIN;
	size_t dashes = 0; /* right before pos, in the escaped modes */

	while (pos < in.len) {
		uint8_t c = in.p[pos];

		if (mode == PLAIN) {
			pos = slice_chr(in, '<', pos);
			if (pos == SLICE_NPOS || ends_here(in, pos, name))
				break;
			if (slice_starts(slice_from(in, pos), SLICE("<!--"))) {
				mode = ESCAPED;
				dashes = 2;
				pos += 4;
			} else {
				pos++;
			}
			continue;
		}
		if (c == '-') {
			dashes++;
			pos++;
			continue;
		}
		if (c == '>' && dashes >= 2)
			mode = PLAIN;
		dashes = 0;
		if (c == '<' && mode == ESCAPED) {
			if (ends_here(in, pos, name))
				break;
			if (says_script(in, pos + 1))
				mode = TWICE;
		} else if (c == '<' && pos + 1 < in.len && in.p[pos + 1] == '/' && says_script(in, pos + 2)) {
			mode = ESCAPED;
		}
		pos++;
	}
	return pos < in.len ? pos : in.len;
}

/* Offset of the first '<' that is not text, or the end. */
static size_t data_end(slice in, size_t pos)
{
	while ((pos = find_byte(in, pos, '<')) + 1 < in.len) {
		uint8_t c = in.p[pos + 1];

		if (ascii_alpha(c) || c == '!' || c == '?' || (c == '/' && pos + 2 < in.len))
			return pos;
		pos++;
	}
	return in.len;
}

static size_t text_end(const struct html_iter *it)
{
	switch (it->state) {
	case HTML_DATA:
		return data_end(it->in, it->pos);
	case HTML_RCDATA:
	case HTML_RAWTEXT:
		return raw_end(it->in, it->pos, it->last_start);
	case HTML_SCRIPT:
		return script_end(it->in, it->pos, it->last_start);
	case HTML_PLAIN:
	case HTML_CDATA:
		break;
	}
	return it->in.len;
}

/* What begins with the '<' at pos, in the data state. */
static void markup(struct html_iter *it, struct html_token *t)
{
	uint8_t c = it->in.p[t->from + 1];

	if (c == '!') {
		declaration(it, t);
	} else if (c == '?') {
		bogus_comment(it, t, t->from + 1);
	} else if (c != '/') {
		start_tag(it, t);
	} else if (ascii_alpha(it->in.p[t->from + 2])) {
		end_tag(it, t);
	} else if (it->in.p[t->from + 2] == '>') {
		t->kind = HTML_LOST;
		t->to = t->from + 3;
	} else {
		bogus_comment(it, t, t->from + 2);
	}
}

/* Field by field: clearing all at once is a string instruction, which costs more
 * than the whole rest of a short token. */
static void token_start(struct html_token *t, enum html_state state, size_t from)
{
	const struct html_span none = {0, 0};

	t->kind = HTML_TEXT;
	t->state = state;
	t->from = from;
	t->to = 0;
	t->name = none;
	t->data = none;
	t->self_closing = false;
}

static int next(struct html_iter *it, struct html_token *t)
{
	size_t text;

	if (it->pos >= it->in.len)
		return 0;
	token_start(t, it->state, it->pos);
	if (it->state == HTML_CDATA) {
		cdata(it, t, it->pos);
		it->pos = t->to;
		return 1;
	}
	text = text_end(it);
	if (it->no_text) {
		it->pos = t->from = text;
		if (text == it->in.len)
			return 0;
	}
	if (text > t->from) {
		t->to = text;
		t->data = (struct html_span){t->from, text};
	} else {
		t->state = HTML_DATA;
		if (it->state == HTML_DATA)
			markup(it, t);
		else
			end_tag(it, t);
	}
	it->pos = t->to;
	return 1;
}

static inline bool letter_passed(const struct html_iter *it, uint8_t first)
{
	return it->passed >> ((first | 0x20) - 'a') & 1;
}

#if defined(__x86_64__)
/* In the data state, where text makes no tokens: over all that makes none, in one go,
 * to a tag that makes one. true: *t is it.  false: next() has to look at what is at
 * it->pos; all before makes none.
 *
 * The bytes are looked at in steps that do not wait for where a tag ends: what is
 * carried from tag to tag is only a few operations on the bits of a step. */
WITH_AVX512 static bool next_512(struct html_iter *it, struct html_token *t)
{
	const struct looked_for l = looked_for();
	const __m512i opens = all_of('<');
	slice in = it->in;
	size_t base = it->pos; /* of the next step */

	while (base < in.len) {
		__m512i v = load_512(in, base);
		uint64_t less = _mm512_cmpeq_epi8_mask(v, opens);
		size_t step = base;
		struct marks all;

		base += 64;
		if (!less)
			continue;
		marks_of_512(&l, in, step, v, &all);
		while (less) {
			unsigned at = (unsigned)__builtin_ctzll(less);
			size_t from = step + at, name, name_to, end;
			struct carried c = {0, 0, 0};
			struct marks m = all;
			uint64_t rest, stops;
			bool closes;
			int rc;

			it->pos = from;
			if (in.len - from < 4)
				return false;
			closes = in.p[from + 1] == '/';
			name = from + 1 + closes;
			if (!ascii_alpha(in.p[name]))
				return false;
			rest = ~(uint64_t)1 << at;
			stops = (m.parts | m.end) & (closes ? rest & rest << 1 : rest);
			if (!stops) {
				/* The name goes on behind the step: begin one at the tag. */
				if (at == 0)
					return false;
				base = from;
				break;
			}
			name_to = step + (size_t)__builtin_ctzll(stops);
			/* In the name, which ends before the first stop, they mean nothing. */
			rest = (uint64_t)0 - (stops & -stops);
			m.equals &= rest;
			m.quote &= rest;
			m.end &= rest;
			if (!(class[in.p[name_to]] & TAG_END))
				return false;
			while ((rc = tag_step(&m, between_512(m.quote) ^ c.inside, &c, &at)) == 0) {
				step = base;
				if (step >= in.len)
					return false;
				base += 64;
				v = load_512(in, step);
				less = _mm512_cmpeq_epi8_mask(v, opens);
				marks_of_512(&l, in, step, v, &all);
				m = all;
			}
			if (rc < 0)
				return false;
			end = step + at;
			it->pos = end + 1;
			if (!closes)
				content_start(it, slice_sub(in, name, name_to));
			if (!letter_passed(it, in.p[name])) {
				token_start(t, HTML_DATA, from);
				t->kind = closes ? HTML_END : HTML_START;
				t->to = end + 1;
				t->name = (struct html_span){name, name_to};
				t->data = (struct html_span){name_to, end};
				t->self_closing = end > name_to && in.p[end - 1] == '/';
				return true;
			}
			if (it->state != HTML_DATA)
				return false;
			less &= ~(uint64_t)1 << at;
		}
	}
	it->pos = in.len;
	return false;
}
#endif

int html_next(struct html_iter *it, struct html_token *t)
{
	for (;;) {
#if defined(__x86_64__)
		if (it->no_text && it->state == HTML_DATA && it->path == HTML_BEST && has_512() &&
			it->pos < it->in.len && next_512(it, t))
			return 1;
#endif
		if (next(it, t) == 0)
			return 0;
		if ((t->kind != HTML_START && t->kind != HTML_END) ||
			!letter_passed(it, it->in.p[t->name.from]))
			return 1;
	}
}

void html_attr_start(struct html_attr_iter *it, slice in, const struct html_token *t)
{
	/* Up to and with the '>', at which attr_scan stops. */
	bool tag = t->kind == HTML_START || t->kind == HTML_END;

	*it = (struct html_attr_iter){.in = slice_sub(in, 0, t->to), .pos = tag ? t->data.from : t->to};
}

int html_attr_next(struct html_attr_iter *it, struct html_attr *a)
{
	return attr_scan(it->in, &it->pos, a) > 0;
}

bool html_attr_is(slice in, const struct html_attr *a, slice name)
{
	return slice_ieq(html_slice(in, a->name), name);
}

bool html_attr_find(slice in, const struct html_token *t, slice name, struct html_attr *a)
{
	struct html_attr_iter it;

	html_attr_start(&it, in, t);
	while (html_attr_next(&it, a))
		if (html_attr_is(in, a, name))
			return true;
	return false;
}

/* Copy raw, with references decoded and NUL replaced as asked. */
static void decode(slice raw, bool references, bool in_attribute, bool replace_nul, struct buf *out)
{
	size_t from = 0, i = 0;

	while (i < raw.len) {
		size_t took = 0;

		if (raw.p[i] == '&' ? !references : raw.p[i] || !replace_nul) {
			i++;
			continue;
		}
		buf_put(out, slice_sub(raw, from, i));
		from = i;
		if (raw.p[i] == '&')
			took = entity_decode(slice_from(raw, i), in_attribute, out);
		else
			buf_put(out, SLICE("\xef\xbf\xbd"));
		if (raw.p[i] == 0)
			took = 1;
		from += took;
		i += took ? took : 1;
	}
	buf_put(out, slice_sub(raw, from, raw.len));
}

void html_attr_decode(slice raw, struct buf *out)
{
	decode(raw, true, true, true, out);
}

void html_text_decode(slice raw, enum html_state state, struct buf *out)
{
	decode(raw, state == HTML_DATA || state == HTML_RCDATA, false,
		state != HTML_DATA && state != HTML_CDATA, out);
}
