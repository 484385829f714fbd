#include "core/parse/qp.h"

#include "core/base/must.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Encoded bytes between two marks, about. */
#define MARK_EVERY 128

static const int8_t digit[256] = {
#define D(c, v) [c] = (v) + 1
	D('0', 0), D('1', 1), D('2', 2), D('3', 3), D('4', 4), D('5', 5), D('6', 6), D('7', 7), D('8', 8),
	D('9', 9), D('A', 10), D('B', 11), D('C', 12), D('D', 13), D('E', 14), D('F', 15), D('a', 10),
	D('b', 11), D('c', 12), D('d', 13), D('e', 14), D('f', 15)
#undef D
};

/* Length of the sequence at the '=' at i: 3 with *byte >= 0 (=XX); with *byte -1
 * a soft break; 1 with *byte '=' when it is neither. */
static inline size_t sequence(const uint8_t *p, size_t i, size_t n, int *byte)
{
	size_t k = i + 1;

	if (n - i >= 3 && digit[p[i + 1]] && digit[p[i + 2]]) {
		*byte = (digit[p[i + 1]] - 1) << 4 | (digit[p[i + 2]] - 1);
		return 3;
	}
	while (k < n && (p[k] == ' ' || p[k] == '\t'))
		k++;
	*byte = -1;
	if (k == n)
		return k - i;
	if (p[k] == '\n')
		return k + 1 - i;
	if (p[k] == '\r' && n - k >= 2 && p[k + 1] == '\n')
		return k + 2 - i;
	*byte = '=';
	return 1;
}

void qp_decode(struct arena *a, slice enc, struct qp_text *out)
{
	const uint8_t *p = enc.p;
	size_t n = enc.len, i = 0, next = 0, marks = 0;
	uint8_t *to = arena_alloc(a, n + 16), *q = to;
	struct qp_mark *m = arena_alloc(a, (n / MARK_EVERY + 2) * sizeof *m);

	must(n < UINT32_MAX);
	while (i < n) {
		int byte;

		if (i >= next) {
			m[marks++] = (struct qp_mark){(uint32_t)i, (uint32_t)(q - to)};
			next = i + MARK_EVERY;
		}
#ifdef __SSE2__
		if (n - i >= 16) {
			__m128i v = _mm_loadu_si128((const __m128i *)(p + i));
			unsigned hit = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('=')));
			unsigned skip = hit ? (unsigned)__builtin_ctz(hit) : 16;

			_mm_storeu_si128((__m128i *)q, v);
			i += skip;
			q += skip;
			if (!hit)
				continue;
		} else
#endif
			if (p[i] != '=') {
			*q++ = p[i++];
			continue;
		}
		i += sequence(p, i, n, &byte);
		if (byte >= 0)
			*q++ = (uint8_t)byte;
	}
	if (marks == 0)
		m[marks++] = (struct qp_mark){0, 0};
	*out = (struct qp_text){
		.enc = enc, .dec = slice_of(to, (size_t)(q - to)), .marks = m, .mark_count = marks};
}

/* The last mark at or before decoded offset d. */
static struct qp_mark mark_of(const struct qp_text *t, size_t d)
{
	size_t lo = 0, hi = t->mark_count;

	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;

		if (t->marks[mid].dec <= d)
			lo = mid;
		else
			hi = mid;
	}
	return t->marks[lo];
}

/* Walk to decoded offset d; *i is where its byte begins (soft breaks before it
 * passed over only if past). */
static size_t walk_to(const struct qp_text *t, size_t d, bool past)
{
	struct qp_mark m = mark_of(t, d);
	const uint8_t *p = t->enc.p;
	size_t i = m.enc, k = m.dec, n = t->enc.len;
	int byte;

	while (i < n) {
		size_t step = 1;

		byte = 0;
		if (p[i] == '=')
			step = sequence(p, i, n, &byte);
		if (k == d && (byte >= 0 || !past))
			return i;
		if (byte >= 0)
			k++;
		i += step;
	}
	return n;
}

size_t qp_place(const struct qp_text *t, size_t d)
{
	return walk_to(t, d, true);
}

size_t qp_place_after(const struct qp_text *t, size_t d)
{
	size_t i;
	int byte;

	if (d == 0)
		return 0;
	i = walk_to(t, d - 1, true);
	if (i == t->enc.len)
		return i;
	return i + (t->enc.p[i] == '=' ? sequence(t->enc.p, i, t->enc.len, &byte) : 1);
}

void qp_break(struct qp_writer *w)
{
	buf_byte(w->out, '=');
	buf_put(w->out, w->line_end);
	w->column = 0;
}

void qp_put_hex(struct qp_writer *w, uint8_t c)
{
	static const char hex[] = "0123456789ABCDEF";
	uint8_t x[3] = {'=', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15]};

	/* One column stays free for the '=' of a soft break. */
	if (w->column + 3 > QP_MAX_LINE - 1)
		qp_break(w);
	buf_put(w->out, slice_of(x, 3));
	w->column += 3;
}

/* Bytes that stand for themselves anywhere. */
static const bool plain[256] = {['!' ... '<'] = true, ['>' ... '~'] = true};

void qp_put(struct qp_writer *w, slice bytes)
{
	size_t i = 0;

	while (i < bytes.len) {
		size_t from = i, room = w->column < QP_MAX_LINE - 1 ? QP_MAX_LINE - 1 - w->column : 0;

		while (i < bytes.len && i - from < room && plain[bytes.p[i]])
			i++;
		buf_put(w->out, slice_sub(bytes, from, i));
		w->column += i - from;
		if (i == bytes.len)
			return;
		if (i - from == room) {
			qp_break(w);
		} else if (bytes.p[i] == ' ' && i + 1 < bytes.len) {
			/* A blank may stand for itself where the line goes on behind it. */
			buf_byte(w->out, ' ');
			w->column++;
			i++;
		} else {
			qp_put_hex(w, bytes.p[i++]);
		}
	}
}
