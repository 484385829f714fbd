/* Quoted-printable: a plain decoder gives the same bytes, every decoded byte is
 * found where it stands, and what is written reads back in lines of 76. Base64
 * the same: encode and decode are inverses, lines keep their width, and a plain
 * decoder agrees. */
#include "core/parse/mimeb64.h"
#include "core/parse/qp.h"

#include <stdlib.h>
#include <string.h>

#define check(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static int hex(uint8_t c)
{
	if (ascii_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte after the other, as the RFC says it. */
static size_t plain_qp(slice in, uint8_t *to)
{
	size_t n = 0, i = 0;

	while (i < in.len) {
		size_t k = i + 1;

		if (in.p[i] != '=') {
			to[n++] = in.p[i++];
			continue;
		}
		if (in.len - i >= 3 && hex(in.p[i + 1]) >= 0 && hex(in.p[i + 2]) >= 0) {
			to[n++] = (uint8_t)(hex(in.p[i + 1]) * 16 + hex(in.p[i + 2]));
			i += 3;
			continue;
		}
		while (k < in.len && (in.p[k] == ' ' || in.p[k] == '\t'))
			k++;
		if (k < in.len && in.p[k] == '\r' && k + 1 < in.len && in.p[k + 1] == '\n')
			k++;
		if (k == in.len || in.p[k] == '\n')
			i = k < in.len ? k + 1 : k;
		else
			to[n++] = in.p[i++];
	}
	return n;
}

static void quoted_printable(struct arena *a, slice in)
{
	struct qp_text t, again;
	uint8_t *want = arena_alloc(a, in.len);
	size_t n = plain_qp(in, want), last = 0, column = 0;
	struct buf b;
	struct qp_writer w = {.out = &b, .line_end = in.len & 1 ? SLICE("\r\n") : SLICE("\n")};

	qp_decode(a, in, &t);
	check(slice_eq(t.dec, slice_of(want, n)));
	for (size_t d = 0; d < n; d += 1 + d / 64) {
		size_t from = qp_place(&t, d), to = qp_place_after(&t, d + 1);

		check(from >= last && from < to && to <= in.len);
		check(in.p[from] == t.dec.p[d] || (in.p[from] == '=' && to - from == 3));
		check(qp_place_after(&t, d) <= from);
		last = from;
	}
	check(qp_place(&t, n) == in.len && qp_place_after(&t, 0) == 0);
	buf_init(&b, in.len * 6 + 64);
	for (size_t at = 0, step = 1; at < in.len; at += step, step = step * 3 + 1)
		qp_put(&w, slice_sub(in, at, at + step));
	check(!b.full);
	qp_decode(a, buf_slice(&b), &again);
	check(slice_eq(again.dec, in));
	for (size_t i = 0; i < b.len; i++) {
		column = b.p[i] == '\n' || b.p[i] == '\r' ? 0 : column + 1;
		check(column <= QP_MAX_LINE);
	}
	buf_free(&b);
}

/* Digits to bytes without any haste; false: not base64. */
static bool plain_b64(slice in, uint8_t *to, size_t *n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	unsigned held = 0;
	size_t i = 0;

	*n = 0;
	for (; i < in.len && in.p[i] != '='; i++) {
		const char *d = in.p[i] ? strchr(digits, in.p[i]) : NULL;

		if (ascii_space(in.p[i]))
			continue;
		if (!d)
			return false;
		bits = bits << 6 | (uint32_t)(d - digits);
		if (++held == 4) {
			to[(*n)++] = (uint8_t)(bits >> 16);
			to[(*n)++] = (uint8_t)(bits >> 8);
			to[(*n)++] = (uint8_t)bits;
			held = 0;
			bits = 0;
		}
	}
	for (; i < in.len; i++)
		if (in.p[i] != '=' && !ascii_space(in.p[i]))
			return false;
	if (held == 1)
		return false;
	if (held == 2)
		to[(*n)++] = (uint8_t)(bits >> 4);
	if (held == 3) {
		to[(*n)++] = (uint8_t)(bits >> 10);
		to[(*n)++] = (uint8_t)(bits >> 2);
	}
	return true;
}

static void base64(struct arena *a, slice in, size_t width, slice line_end)
{
	size_t n = mimeb64_size(in.len, width, line_end), count;
	uint8_t *enc = arena_alloc(a, n + 1), *plain = arena_alloc(a, in.len + 16);
	struct mimeb64_text t;

	enc[n] = 'x';
	mimeb64_encode(in, width, line_end, enc);
	check(enc[n] == 'x');
	check(mimeb64_decode(a, slice_of(enc, n), &t) == 0);
	check(slice_eq(t.dec, in) && t.end == n);
	check(plain_b64(slice_of(enc, n), plain, &count) && slice_eq(slice_of(plain, count), in));
	for (size_t d = 0; d < in.len; d += 1 + d / 8) {
		struct mimeb64_mark m = mimeb64_place(&t, d);

		check(m.dec <= d && m.dec % 3 == 0 && m.enc <= n);
		check(mimeb64_offset(&t, d) < n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_of(data, size);
	struct mimeb64_text t;
	struct arena a;
	uint8_t *plain;
	size_t n;
	int rc;

	arena_init(&a, 1 << 28, NULL, NULL);
	quoted_printable(&a, in);
	base64(&a, in, 4 + size % 24 * 4, size & 1 ? SLICE("\r\n") : SLICE("\n"));
	rc = mimeb64_decode(&a, in, &t);
	plain = arena_alloc(&a, size + 16);
	check((rc == 0) == plain_b64(in, plain, &n));
	if (rc == 0)
		check(slice_eq(t.dec, slice_of(plain, n)) && t.end <= size && t.width % 4 == 0 &&
			mimeb64_place(&t, n).enc <= t.end);
	arena_free(&a);
	return 0;
}
