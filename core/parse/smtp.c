#include "core/parse/smtp.h"

#include "core/base/refuse.h"

#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

static const struct {
	const char *word;
	enum smtp_verb verb;
} verbs[] = {
#define V(verb) {#verb, SMTP_##verb},
	SMTP_VERB_LIST(V)
#undef V
};

size_t smtp_line(slice in, slice *line, int *why)
{
	size_t lf = slice_chr(in, '\n', 0);

	*why = 0;
	*line = SLICE_NONE;
	if (lf == SLICE_NPOS)
		return 0;
	*line = slice_sub(in, 0, lf);
	if (lf > 0 && in.p[lf - 1] == '\r')
		*line = slice_sub(in, 0, lf - 1);
	else
		*why = -REFUSE_BARE_LF;
	if (slice_chr(*line, '\r', 0) != SLICE_NPOS)
		*why = -REFUSE_BARE_CR;
	if (slice_chr(*line, 0, 0) != SLICE_NPOS)
		*why = -REFUSE_NUL;
	return lf + 1;
}

static bool control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

/* atext of RFC 5321 and 6531, and what is in use beside it. What could end the
 * path, or be read differently by another server, must be quoted. */
static bool local_byte(uint8_t c)
{
	return c > 0x20 && c != 0x7f && !strchr("<>()[]\\,;:@\"", c);
}

static size_t quoted_end(slice in, size_t at)
{
	for (at++; at < in.len && in.p[at] != '"'; at++) {
		if (control(in.p[at]))
			return 0;
		if (in.p[at] == '\\' && (++at >= in.len || control(in.p[at])))
			return 0;
	}
	return at < in.len ? at + 1 : 0;
}

static size_t domain_end(slice in, size_t at)
{
	size_t from = at;

	if (at < in.len && in.p[at] == '[') {
		for (at++; at < in.len && in.p[at] != ']'; at++)
			if (in.p[at] != ':' && !local_byte(in.p[at]))
				return 0;
		return at < in.len && at > from + 1 ? at + 1 : 0;
	}
	while (at < in.len && (ascii_alnum(in.p[at]) || in.p[at] == '.' || in.p[at] == '-' ||
				      in.p[at] == '_' || in.p[at] >= 0x80))
		at++;
	return at > from ? at : 0;
}

/* "<@a,@b:local@domain>": where it ends, or 0. A source route is read over and
 * left out (RFC 5321 4.1.1.3: may be ignored). */
static size_t path_end(slice in, slice *address)
{
	size_t at = 1, from;

	*address = SLICE_NONE;
	if (in.len < 2 || in.p[0] != '<')
		return 0;
	if (in.p[at] == '>')
		return 2;
	while (in.p[at] == '@') {
		at = domain_end(in, at + 1);
		if (!at || at + 1 >= in.len)
			return 0;
		if (in.p[at] == ',' && in.p[at + 1] != '@')
			return 0;
		if (in.p[at] != ',' && in.p[at] != ':')
			return 0;
		at++;
		if (in.p[at - 1] == ':')
			break;
	}
	from = at;
	if (at < in.len && in.p[at] == '"')
		at = quoted_end(in, at);
	else
		while (at < in.len && local_byte(in.p[at]))
			at++;
	if (at <= from || at >= in.len)
		return 0;
	if (in.p[at] == '@')
		at = domain_end(in, at + 1);
	if (!at || at >= in.len || in.p[at] != '>')
		return 0;
	*address = slice_sub(in, from, at);
	return at + 1;
}

int smtp_param_next(slice *rest, struct smtp_param *p)
{
	slice in = *rest;
	size_t at = 0, from;

	*p = (struct smtp_param){SLICE_NONE, SLICE_NONE};
	while (at < in.len && in.p[at] == ' ')
		at++;
	from = at;
	while (at < in.len && (ascii_alnum(in.p[at]) || (in.p[at] == '-' && at > from)))
		at++;
	p->name = slice_sub(in, from, at);
	if (p->name.len == 0)
		return at == in.len ? 0 : -REFUSE_SYNTAX;
	if (at < in.len && in.p[at] == '=') {
		from = ++at;
		while (at < in.len && !control(in.p[at]) && in.p[at] != ' ' && in.p[at] != '=')
			at++;
		p->value = slice_sub(in, from, at);
		if (p->value.len == 0)
			return -REFUSE_SYNTAX;
	}
	*rest = slice_from(in, at);
	return at == in.len || in.p[at] == ' ' ? 1 : -REFUSE_SYNTAX;
}

static int decode_path(slice arg, slice keyword, struct smtp_command *out)
{
	struct smtp_param p;
	slice rest;
	size_t at;
	int rc;

	if (!slice_istarts(arg, keyword))
		return -REFUSE_SYNTAX;
	/* A blank behind the colon is not in the grammar, but widely sent. */
	out->arg = slice_trim(slice_from(arg, keyword.len));
	at = path_end(out->arg, &out->address);
	if (!at)
		return -REFUSE_SYNTAX;
	if (out->address.len > SMTP_MAX_PATH)
		return -REFUSE_LINE_TOO_LONG;
	rest = slice_from(out->arg, at);
	if (rest.len > 0 && rest.p[0] != ' ')
		return -REFUSE_SYNTAX;
	rest = slice_trim(rest);
	out->params = rest;
	while ((rc = smtp_param_next(&rest, &p)) > 0)
		;
	return rc;
}

int smtp_command_decode(slice line, struct smtp_command *out)
{
	size_t n = 0, most;

	*out = (struct smtp_command){.verb = SMTP_UNKNOWN};
	while (n < line.len && ascii_alpha(line.p[n]))
		n++;
	out->word = slice_sub(line, 0, n);
	out->arg = slice_trim(slice_from(line, n));
	if (n == line.len || line.p[n] == ' ' || line.p[n] == '\t')
		for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
			if (slice_ieq(out->word, slice_str(verbs[i].word)))
				out->verb = verbs[i].verb;
	most = out->verb == SMTP_MAIL || out->verb == SMTP_RCPT ? SMTP_MAX_PARAMS
	       : out->verb == SMTP_AUTH                         ? SMTP_MAX_SASL
								: SMTP_MAX_COMMAND;
	if (line.len + 2 > most)
		return -REFUSE_LINE_TOO_LONG;
	for (size_t i = 0; i < line.len; i++)
		if (control(line.p[i]) && line.p[i] != '\t')
			return -REFUSE_SYNTAX;
	if (out->verb == SMTP_MAIL)
		return decode_path(out->arg, SLICE("FROM:"), out);
	if (out->verb == SMTP_RCPT)
		return decode_path(out->arg, SLICE("TO:"), out);
	return 0;
}

slice smtp_domain(slice address)
{
	size_t at = slice_rchr(address, '@');

	return at == SLICE_NPOS ? SLICE_NONE : slice_from(address, at + 1);
}

void smtp_reply_init(struct smtp_reply *r)
{
	*r = (struct smtp_reply){.code = 0};
	buf_init(&r->text, SMTP_MAX_REPLY);
	buf_init(&r->line, SMTP_MAX_REPLY_LINE);
}

void smtp_reply_free(struct smtp_reply *r)
{
	buf_free(&r->text);
	buf_free(&r->line);
}

static void put_text(struct buf *out, slice text)
{
	uint8_t *p = text.len ? buf_room(out, text.len) : NULL;

	if (!p)
		return;
	for (size_t i = 0; i < text.len; i++)
		p[i] = control(text.p[i]) && text.p[i] != '\t' ? '?' : text.p[i];
	buf_grew(out, text.len);
}

/* 1: that was the last line. 0: more follow. <0: not a reply. */
static int reply_line(struct smtp_reply *r, slice line)
{
	int code;

	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line = slice_sub(line, 0, line.len - 1);
	if (line.len < 3 || !ascii_digit(line.p[1]) || !ascii_digit(line.p[2]) || line.p[0] < '2' ||
		line.p[0] > '5')
		return -REFUSE_SYNTAX;
	if (line.len > 3 && line.p[3] != ' ' && line.p[3] != '-')
		return -REFUSE_SYNTAX;
	code = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
	if (r->code)
		buf_byte(&r->text, '\n');
	r->code = code;
	put_text(&r->text, slice_from(line, 4));
	if (r->text.full)
		return -REFUSE_TOO_LARGE;
	return line.len > 3 && line.p[3] == '-' ? 0 : 1;
}

int smtp_reply_feed(struct smtp_reply *r, slice in, size_t *used)
{
	*used = 0;
	if (r->done) {
		r->done = false;
		r->code = 0;
		buf_clear(&r->text);
	}
	while (*used < in.len) {
		slice rest = slice_from(in, *used);
		size_t lf = slice_chr(rest, '\n', 0);
		slice piece = slice_sub(rest, 0, lf == SLICE_NPOS ? rest.len : lf);
		size_t room = r->line.cap - r->line.len;
		int rc;

		buf_put(&r->line, slice_sub(piece, 0, room));
		*used += piece.len;
		if (lf == SLICE_NPOS)
			return 0;
		*used += 1;
		rc = reply_line(r, buf_slice(&r->line));
		buf_clear(&r->line);
		if (rc == 0)
			continue;
		r->done = true;
		return rc;
	}
	return 0;
}

void smtp_reply_put(struct buf *out, int code, slice text)
{
	size_t from = 0, lf;

	do {
		lf = slice_chr(text, '\n', from);
		buf_printf(out, "%03d%c", code, lf == SLICE_NPOS ? ' ' : '-');
		put_text(out, slice_sub(text, from, lf));
		buf_put(out, SLICE("\r\n"));
		from = lf + 1;
	} while (lf != SLICE_NPOS);
}

slice smtp_enhanced(int code, slice text)
{
	size_t at = 0;
	int dots = 0;

	if (text.len == 0 || text.p[0] != '0' + code / 100)
		return SLICE_NONE;
	while (at < text.len && (ascii_digit(text.p[at]) || text.p[at] == '.')) {
		if (text.p[at] == '.' && (++dots > 2 || text.p[at - 1] == '.'))
			return SLICE_NONE;
		at++;
	}
	if (dots != 2 || text.p[at - 1] == '.' || (at < text.len && !ascii_space(text.p[at])))
		return SLICE_NONE;
	return slice_sub(text, 0, at);
}

static slice id_at(slice text, size_t at)
{
	size_t from = at;

	while (at < text.len &&
		(ascii_alnum(text.p[at]) || text.p[at] == '-' || text.p[at] == '.' || text.p[at] == '_'))
		at++;
	while (at > from && text.p[at - 1] == '.')
		at--;
	return at - from > SMTP_MAX_QUEUE_ID ? SLICE_NONE : slice_sub(text, from, at);
}

slice smtp_queue_id(slice text)
{
	static const slice before[] = {
		SLICE("queued as "), SLICE("Queued ("), SLICE("OK id="), SLICE("OK ids=")};
	slice first = slice_sub(text, 0, slice_chr(text, '\n', 0)), code;

	for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
		size_t at = slice_ifind(first, before[i], 0);

		if (at != SLICE_NPOS)
			return id_at(first, at + before[i].len);
	}
	code = smtp_enhanced(250, first);
	first = slice_trim(slice_from(first, code.len));
	if (slice_istarts(slice_trim(slice_from(first, slice_chr(first, ' ', 0))), SLICE("Message accepted")))
		return id_at(first, 0);
	return SLICE_NONE;
}

bool smtp_size_decode(slice digits, uint64_t *out)
{
	uint64_t v = 0;

	*out = 0;
	if (digits.len == 0 || digits.len > 20)
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		if (!ascii_digit(digits.p[i]) || __builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, digits.p[i] - '0', &v))
			return false;
	}
	*out = v;
	return true;
}

void smtp_xtext_encode(slice text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.p[i];

		if (c > 0x20 && c < 0x7f && c != '+' && c != '=')
			buf_byte(out, c);
		else
			buf_printf(out, "+%02X", c);
	}
}

bool smtp_base64(slice text)
{
	size_t n = text.len;

	for (int i = 0; i < 2 && n > 0 && text.p[n - 1] == '='; i++)
		n--;
	for (size_t i = 0; i < n; i++)
		if (!ascii_alnum(text.p[i]) && text.p[i] != '+' && text.p[i] != '/')
			return false;
	return true;
}

bool smtp_chunk_decode(slice arg, uint64_t *size, bool *last)
{
	size_t blank = slice_chr(arg, ' ', 0);
	slice rest = slice_trim(slice_from(arg, blank));

	*last = slice_ieq(rest, SLICE("LAST"));
	return smtp_size_decode(slice_sub(arg, 0, blank), size) && (*last || rest.len == 0);
}

static const struct {
	unsigned flag;
	const char *word;
} offers[] = {
#define O(name, bit, word) {bit, word},
	SMTP_OFFER_LIST(O)
#undef O
};

slice smtp_words(const struct smtp_words *w)
{
	return slice_of(w->text, w->len);
}

slice smtp_words_next(const struct smtp_words *w, size_t *at)
{
	slice rest = slice_from(smtp_words(w), *at), word = slice_sub(rest, 0, slice_chr(rest, ' ', 0));

	*at += word.len + 1;
	return word;
}

bool smtp_words_have(const struct smtp_words *w, slice word)
{
	slice one;

	for (size_t at = 0; (one = smtp_words_next(w, &at)).len > 0;)
		if (slice_ieq(one, word))
			return true;
	return false;
}

bool smtp_words_add(struct smtp_words *w, slice word)
{
	size_t blank = w->len > 0;

	if (w->len + blank + word.len > sizeof w->text)
		return false;
	if (blank)
		w->text[w->len++] = ' ';
	memcpy(w->text + w->len, word.p, word.len);
	w->len += word.len;
	return true;
}

/* Add those that are not there. */
static void words_decode(slice text, struct smtp_words *out)
{
	for (size_t at = 0, to; at < text.len; at = to + 1) {
		slice word;
		size_t i = 0;

		to = slice_chr(text, ' ', at);
		if (to == SLICE_NPOS)
			to = text.len;
		word = slice_sub(text, at, to);
		while (i < word.len && word.p[i] > 0x20 && word.p[i] < 0x7f)
			i++;
		if (i < word.len)
			return;
		if (word.len > 0 && !smtp_words_have(out, word) && !smtp_words_add(out, word))
			return;
	}
}

/* "AUTH=PLAIN LOGIN" is how some clients and servers had it before RFC 2554. */
static void line_decode(slice line, struct smtp_offer *o)
{
	size_t end = slice_chr(line, ' ', 0);
	slice rest;

	if (slice_istarts(line, SLICE("AUTH=")))
		end = 4;
	rest = slice_trim(slice_from(line, end == SLICE_NPOS ? line.len : end + 1));
	line = slice_sub(line, 0, end);
	for (size_t i = 0; i < sizeof offers / sizeof *offers; i++)
		if (slice_ieq(line, slice_str(offers[i].word)))
			o->flags |= offers[i].flag;
	if (slice_ieq(line, SLICE("SIZE")))
		smtp_size_decode(rest, &o->size);
	else if (slice_ieq(line, SLICE("AUTH")))
		words_decode(rest, &o->auth);
	else if (slice_ieq(line, SLICE("XCLIENT")))
		words_decode(rest, &o->xclient);
	else if (slice_ieq(line, SLICE("XFORWARD")))
		words_decode(rest, &o->xforward);
}

struct smtp_offer smtp_offer_decode(slice text)
{
	struct smtp_offer o = {.flags = 0};
	size_t lf = slice_chr(text, '\n', 0);

	/* The first line is the greeting. */
	while (lf != SLICE_NPOS) {
		size_t from = lf + 1;

		lf = slice_chr(text, '\n', from);
		line_decode(slice_trim(slice_sub(text, from, lf)), &o);
	}
	if (o.auth.len == 0)
		o.flags &= ~(unsigned)SMTP_OFFER_AUTH;
	return o;
}

static void words_meet(struct smtp_words *w, const struct smtp_words *other)
{
	struct smtp_words was = *w;
	slice word;

	*w = (struct smtp_words){.len = 0};
	for (size_t at = 0; (word = smtp_words_next(&was, &at)).len > 0;)
		if (smtp_words_have(other, word))
			smtp_words_add(w, word);
}

void smtp_offer_meet(struct smtp_offer *o, const struct smtp_offer *other)
{
	o->flags &= other->flags;
	if (other->size && (o->size == 0 || other->size < o->size))
		o->size = other->size;
	words_meet(&o->auth, &other->auth);
	words_meet(&o->xclient, &other->xclient);
	words_meet(&o->xforward, &other->xforward);
	if (o->auth.len == 0)
		o->flags &= ~(unsigned)SMTP_OFFER_AUTH;
}

static slice words_of(const struct smtp_offer *o, unsigned flag)
{
	switch (flag) {
	case SMTP_OFFER_AUTH:
		return smtp_words(&o->auth);
	case SMTP_OFFER_XCLIENT:
		return smtp_words(&o->xclient);
	case SMTP_OFFER_XFORWARD:
		return smtp_words(&o->xforward);
	default:
		return SLICE_NONE;
	}
}

void smtp_offer_encode(const struct smtp_offer *o, slice host, struct buf *out)
{
	buf_put(out, host);
	for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
		slice words = words_of(o, offers[i].flag);

		if (!(o->flags & offers[i].flag))
			continue;
		buf_printf(out, "\n%s", offers[i].word);
		if (words.len > 0)
			buf_byte(out, ' ');
		buf_put(out, words);
		if (offers[i].flag == SMTP_OFFER_SIZE && o->size)
			buf_printf(out, " %llu", (unsigned long long)o->size);
	}
}

enum { DATA_LINE, DATA_TEXT, DATA_CR, DATA_DOT, DATA_DOT_CR, DATA_END };

void smtp_data_init(struct smtp_data *d)
{
	*d = (struct smtp_data){.state = DATA_LINE};
}

bool smtp_data_done(const struct smtp_data *d)
{
	return d->state == DATA_END;
}

/* Offset of the first CR, LF or NUL at or after at, or in.len. Eight bytes a
 * step: a byte below 14 makes its top bit show up in the difference. */
static size_t plain(slice in, size_t at)
{
	const uint64_t low = UINT64_C(0x0e0e0e0e0e0e0e0e), top = UINT64_C(0x8080808080808080);

	for (;;) {
		while (in.len - at >= 8) {
			uint64_t v;

			memcpy(&v, in.p + at, 8);
			if ((v - low) & ~v & top)
				break;
			at += 8;
		}
		for (size_t stop = in.len - at >= 8 ? at + 8 : in.len; at < stop; at++)
			if (in.p[at] == '\r' || in.p[at] == '\n' || in.p[at] == 0)
				return at;
		if (at == in.len)
			return at;
	}
}

static size_t lines_portable(slice in, size_t at)
{
	while ((at = plain(in, at)) < in.len) {
		if (in.p[at] != '\r' || in.len - at < 2 || in.p[at + 1] != '\n')
			return at;
		at += 2;
		if (at < in.len && in.p[at] == '.')
			return at;
	}
	return at;
}

#ifdef __x86_64__
struct ends { /* a bit a byte */
	uint64_t cr, lf, nul, dot;
};

CPU_TARGET_AVX2 static inline uint64_t equal(__m256i a, __m256i b, char c)
{
	const __m256i want = _mm256_set1_epi8(c);

	return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, want)) |
	       (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, want)) << 32;
}

CPU_TARGET_AVX2 static inline struct ends ends_of(const uint8_t *p)
{
	__m256i a = _mm256_loadu_si256((const __m256i *)p);
	__m256i b = _mm256_loadu_si256((const __m256i *)(p + 32));

	return (struct ends){equal(a, b, '\r'), equal(a, b, '\n'), equal(a, b, 0), equal(a, b, '.')};
}

/* 64 bytes at a step. A place from which it is to be looked at closely: no whole
 * step is left, or something within the next one is not in order. */
CPU_TARGET_AVX2 static size_t lines_avx2(slice in, size_t at)
{
	uint64_t cr = 0, lf = 0; /* bit 0: the step before ended with it */

	for (; in.len - at >= 64; at += 64) {
		struct ends e = ends_of(in.p + at);

		/* Is what stands behind each CR a LF, and before each LF a CR? */
		if (((e.cr << 1 | cr) ^ e.lf) | e.nul | ((e.lf << 1 | lf) & e.dot))
			break;
		cr = e.cr >> 63;
		lf = e.lf >> 63;
	}
	return at - cr - 2 * lf;
}
#endif

size_t smtp_lines_by(enum cpu_path path, slice in, size_t from)
{
#ifdef __x86_64__
	if (path != CPU_PORTABLE)
		from = lines_avx2(in, from);
#endif
	(void)path;
	return lines_portable(in, from);
}

static void keep(struct smtp_data *d, struct buf *out, slice bytes)
{
	d->size += bytes.len;
	if (d->refused)
		return;
	buf_put(out, bytes);
	if (out->full)
		d->refused = -REFUSE_TOO_LARGE;
}

static void refuse(struct smtp_data *d, int why)
{
	if (!d->refused)
		d->refused = -why;
}

size_t smtp_data_feed(struct smtp_data *d, slice in, struct buf *out)
{
	enum cpu_path path = cpu_best();
	size_t from = 0, at = 0; /* in[from, at) is seen and belongs to the message, but is not kept yet */

	while (at < in.len && d->state != DATA_END) {
		uint8_t c = in.p[at];

		switch (d->state) {
		case DATA_LINE:
			d->state = DATA_TEXT;
			if (c != '.')
				break;
			keep(d, out, slice_sub(in, from, at));
			from = ++at;
			d->state = DATA_DOT;
			break;
		case DATA_TEXT:
			at = smtp_lines_by(path, in, at);
			if (at == in.len || in.p[at] == '.') {
				d->state = in.p[at - 1] == '\n' ? DATA_LINE : DATA_TEXT;
				break;
			}
			keep(d, out, slice_sub(in, from, at));
			if (in.p[at] == '\r')
				d->state = DATA_CR;
			else
				refuse(d, in.p[at] ? REFUSE_BARE_LF : REFUSE_NUL);
			from = ++at;
			break;
		case DATA_CR:
			if (c == '\n') {
				keep(d, out, SLICE("\r\n"));
				from = ++at;
				d->state = DATA_LINE;
			} else {
				refuse(d, REFUSE_BARE_CR);
				d->state = DATA_TEXT;
			}
			break;
		case DATA_DOT: /* this dot is the writer's, not the message's */
			d->state = DATA_TEXT;
			if (c == '\r') {
				from = ++at;
				d->state = DATA_DOT_CR;
			}
			break;
		case DATA_DOT_CR:
			if (c == '\n') {
				from = ++at;
				d->state = DATA_END;
			} else {
				refuse(d, REFUSE_BARE_CR);
				d->state = DATA_TEXT;
			}
			break;
		}
	}
	keep(d, out, slice_sub(in, from, at));
	return at;
}

int smtp_text_check(slice message)
{
	enum cpu_path path = cpu_best();
	size_t at = 0;

	do
		at = smtp_lines_by(path, message, at);
	while (at < message.len && message.p[at] == '.');
	if (at == message.len)
		return 0;
	return message.p[at] == 0 ? -REFUSE_NUL : message.p[at] == '\n' ? -REFUSE_BARE_LF : -REFUSE_BARE_CR;
}

void smtp_stuff_init(struct smtp_stuff *s, slice message)
{
	*s = (struct smtp_stuff){.message = message, .line_start = true};
}

/* To the next line that starts with a dot, or to the end of m, which is the message
 * or its beginning. */
static slice stuff_run(struct smtp_stuff *s, slice m)
{
	size_t from = s->pos, to = from;

	do {
		size_t lf = slice_chr(m, '\n', to);

		s->line_start = lf != SLICE_NPOS;
		to = s->line_start ? lf + 1 : m.len;
	} while (to < m.len && m.p[to] != '.');
	s->pos = to;
	return slice_sub(m, from, to);
}

static slice stuff_most(const struct smtp_stuff *s, size_t most)
{
	return slice_sub(s->message, 0, most < s->message.len - s->pos ? s->pos + most : s->message.len);
}

slice smtp_stuff_run(struct smtp_stuff *s, size_t most)
{
	slice m = stuff_most(s, most);

	if (s->pos == m.len || (s->line_start && m.p[s->pos] == '.'))
		return SLICE_NONE;
	return stuff_run(s, m);
}

bool smtp_stuff_put(struct smtp_stuff *s, struct buf *out, size_t most)
{
	slice m = stuff_most(s, most);

	while (s->pos < m.len) {
		if (s->line_start && m.p[s->pos] == '.')
			buf_byte(out, '.');
		buf_put(out, stuff_run(s, m));
	}
	if (s->pos < s->message.len || s->done)
		return s->done;
	if (s->message.len > 0 && !slice_ends(s->message, SLICE("\r\n")))
		buf_put(out, SLICE("\r\n"));
	buf_put(out, SLICE(".\r\n"));
	s->done = true;
	return true;
}
