#include "core/parse/mimeb64.h"

#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/parse/hdr.h"

#include <string.h>

#define MARK_EVERY 64

static const char digits[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 0..63, or above for a byte that is no digit. */
#define NO_DIGIT 0x80

static const uint8_t *values(void)
{
	static const uint8_t v[256] = {
#define N NO_DIGIT
#define N8 N, N, N, N, N, N, N, N
#define N16 N8, N8
		N16, N16, N8, N, N, N, 62, N, N, N, 63,                        /* 00-2f */
		52, 53, 54, 55, 56, 57, 58, 59, 60, 61, N, N, N, N, N, N,      /* 30 */
		N, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,           /* 40 */
		15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, N, N, N, N, N,     /* 50 */
		N, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, /* 60 */
		41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, N, N, N, N, N,     /* 70 */
		N16, N16, N16, N16, N16, N16, N16, N16
#undef N
#undef N8
#undef N16
	};

	return v;
}

int mimeb64_decode(struct arena *a, slice enc, struct mimeb64_text *out)
{
	const uint8_t *v = values(), *p = enc.p;
	size_t n = enc.len, i = 0, marks = 1, next = MARK_EVERY, width = 0, columns = 0, end = 0;
	uint8_t *to = arena_alloc(a, n / 4 * 3 + 8), *q = to;
	struct mimeb64_mark *m = arena_alloc(a, (n / MARK_EVERY + 2) * sizeof *m);
	uint32_t bits = 0;
	unsigned held = 0; /* digits in bits */

	must(n < UINT32_MAX);
	while (i < n && ascii_space(p[i]))
		i++;
	m[0] = (struct mimeb64_mark){(uint32_t)i, 0};
	while (i < n) {
		uint8_t c;

		if (held == 0 && n - i >= 4) {
			uint32_t g = (uint32_t)v[p[i]] << 18 | (uint32_t)v[p[i + 1]] << 12 |
				     (uint32_t)v[p[i + 2]] << 6 | v[p[i + 3]];

			if (!((v[p[i]] | v[p[i + 1]] | v[p[i + 2]] | v[p[i + 3]]) & NO_DIGIT)) {
				q[0] = (uint8_t)(g >> 16);
				q[1] = (uint8_t)(g >> 8);
				q[2] = (uint8_t)g;
				q += 3;
				i += 4;
				columns += 4;
				end = i;
				continue;
			}
		}
		c = p[i];
		if (v[c] != NO_DIGIT) {
			bits = bits << 6 | v[c];
			columns++;
			end = ++i;
			if (++held == 4) {
				q[0] = (uint8_t)(bits >> 16);
				q[1] = (uint8_t)(bits >> 8);
				q[2] = (uint8_t)bits;
				q += 3;
				held = 0;
				bits = 0;
			}
			continue;
		}
		if (c == '=')
			break;
		if (!ascii_space(c))
			return -REFUSE_ALPHABET;
		i++;
		if (c != '\n')
			continue;
		if (width == 0)
			width = columns;
		if (held == 0 && i >= next && i < n) {
			m[marks++] = (struct mimeb64_mark){(uint32_t)i, (uint32_t)(q - to)};
			next = i + MARK_EVERY;
		}
	}
	if (held == 1)
		return -REFUSE_CUT;
	if (held == 2) {
		*q++ = (uint8_t)(bits >> 4);
	} else if (held == 3) {
		*q++ = (uint8_t)(bits >> 10);
		*q++ = (uint8_t)(bits >> 2);
	}
	for (; i < n; i++) {
		if (p[i] == '=')
			end = i + 1;
		else if (!ascii_space(p[i]))
			return -REFUSE_ALPHABET;
	}
	width -= width % 4;
	/* One short line says nothing about the width; one that is too long is not to
	 * be repeated. */
	if (width < 4 || width > MIMEB64_MAX_LINE || (q - to) * 4 / 3 <= (ptrdiff_t)width)
		width = MIMEB64_MAX_LINE;
	*out = (struct mimeb64_text){.enc = enc,
		.dec = slice_of(to, (size_t)(q - to)),
		.marks = m,
		.mark_count = marks,
		.end = end,
		.width = width,
		.line_end = hdr_line_end(enc, 0)};
	return 0;
}

struct mimeb64_mark mimeb64_place(const struct mimeb64_text *t, size_t d)
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

size_t mimeb64_offset(const struct mimeb64_text *t, size_t d)
{
	struct mimeb64_mark m = mimeb64_place(t, d);
	size_t want = (d - m.dec) * 4 / 3, i = m.enc;

	for (; i < t->end; i++)
		if (!ascii_space(t->enc.p[i]) && want-- == 0)
			break;
	return i;
}

size_t mimeb64_size(size_t n, size_t width, slice line_end)
{
	size_t all = (n + 2) / 3 * 4, lines = all ? (all - 1) / width : 0;

	return all + lines * line_end.len;
}

void mimeb64_encode(slice bytes, size_t width, slice line_end, uint8_t *to)
{
	const uint8_t *p = bytes.p;
	size_t per_line = width / 4, group = 0, n = bytes.len;

	must(width >= 4 && width % 4 == 0);
	for (; n > 0; group++) {
		uint32_t g = (uint32_t)p[0] << 16;

		if (group == per_line) {
			memcpy(to, line_end.p, line_end.len);
			to += line_end.len;
			group = 0;
		}
		g |= n > 1 ? (uint32_t)p[1] << 8 : 0;
		g |= n > 2 ? p[2] : 0;
		to[0] = (uint8_t)digits[g >> 18];
		to[1] = (uint8_t)digits[g >> 12 & 63];
		to[2] = n > 1 ? (uint8_t)digits[g >> 6 & 63] : '=';
		to[3] = n > 2 ? (uint8_t)digits[g & 63] : '=';
		to += 4;
		p += n > 2 ? 3 : n;
		n -= n > 2 ? 3 : n;
	}
}
