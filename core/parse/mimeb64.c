#include "core/parse/mimeb64.h"

#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/parse/hdr.h"

#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define MARK_EVERY 64
/* Lines at least this long, and a multiple of four, are taken whole. */
#define WIDE 32
/* What the vector code writes, or reads, past the end of a line. */
#define SLACK MIMEB64_BEHIND

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

#ifdef __x86_64__
/* With AVX2 it goes by 32 digits and 24 bytes at a step; the last step of a line
 * overlaps the one before. */
#define INLINE static inline __attribute__((always_inline))

/* The digits' bits, packed; *bad gets bits where a byte is no digit. A digit's
 * value is the byte plus an offset that its high half names ('/' apart); bytes
 * that are no digits are those for which the bits of both halves meet. 32 bytes
 * are written, 24 of them mean something. */
CPU_TARGET_AVX2 INLINE void decode_32(const uint8_t *in, uint8_t *out, __m256i *bad)
{
	const __m256i bad_low = _mm256_broadcastsi128_si256(_mm_setr_epi8(0x15, 0x11, 0x11, 0x11, 0x11, 0x11,
		0x11, 0x11, 0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a));
	const __m256i bad_high = _mm256_broadcastsi128_si256(_mm_setr_epi8(0x10, 0x10, 0x01, 0x02, 0x04, 0x08,
		0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10));
	const __m256i offset = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0));
	const __m256i pack = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
	const __m256i slash = _mm256_set1_epi8('/');
	__m256i v = _mm256_loadu_si256((const __m256i *)in);
	__m256i high = _mm256_and_si256(_mm256_srli_epi32(v, 4), slash), low = _mm256_and_si256(v, slash);

	*bad = _mm256_or_si256(*bad,
		_mm256_and_si256(_mm256_shuffle_epi8(bad_low, low), _mm256_shuffle_epi8(bad_high, high)));
	v = _mm256_add_epi8(
		v, _mm256_shuffle_epi8(offset, _mm256_add_epi8(_mm256_cmpeq_epi8(v, slash), high)));
	v = _mm256_maddubs_epi16(v, _mm256_set1_epi32(0x01400140));
	v = _mm256_shuffle_epi8(_mm256_madd_epi16(v, _mm256_set1_epi32(0x00011000)), pack);
	v = _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
	_mm256_storeu_si256((__m256i *)out, v);
}

/* 24 bytes (28 are read) to 32 digits. */
CPU_TARGET_AVX2 INLINE void encode_24(const uint8_t *in, uint8_t *out)
{
	const __m256i spread =
		_mm256_broadcastsi128_si256(_mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
	const __m256i offset = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 65, 0, 0));
	__m256i v = _mm256_set_m128i(
		_mm_loadu_si128((const __m128i *)(in + 12)), _mm_loadu_si128((const __m128i *)in));
	__m256i a, b, kind;

	v = _mm256_shuffle_epi8(v, spread);
	a = _mm256_mulhi_epu16(
		_mm256_and_si256(v, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(0x04000040));
	b = _mm256_mullo_epi16(
		_mm256_and_si256(v, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(0x01000010));
	v = _mm256_or_si256(a, b);
	/* 0: a-z, 1..10: digits, 11: '+', 12: '/', 13: A-Z */
	kind = _mm256_subs_epu8(v, _mm256_set1_epi8(51));
	kind = _mm256_or_si256(
		kind, _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(26), v), _mm256_set1_epi8(13)));
	_mm256_storeu_si256((__m256i *)out, _mm256_add_epi8(v, _mm256_shuffle_epi8(offset, kind)));
}

CPU_TARGET_AVX2 static size_t decode_avx2(slice in, size_t width, slice line_end, uint8_t *out)
{
	size_t step = width + line_end.len, lines = 0;

	for (const uint8_t *p = in.p; in.len - lines * step >= step; p += step, lines++) {
		__m256i bad = _mm256_setzero_si256();

		if (p[step - 1] != '\n' || (line_end.len == 2 && p[width] != '\r'))
			break;
		for (size_t i = 0; i + WIDE <= width; i += WIDE)
			decode_32(p + i, out + i / 4 * 3, &bad);
		if (width % WIDE)
			decode_32(p + width - WIDE, out + (width - WIDE) / 4 * 3, &bad);
		if (!_mm256_testz_si256(bad, bad))
			break;
		out += width / 4 * 3;
	}
	return lines;
}

/* line_end is CRLF or LF. Encode whole lines while more than SLACK bytes follow them; how many. */
CPU_TARGET_AVX2 static size_t encode_avx2(slice in, size_t width, slice line_end, uint8_t *out)
{
	size_t each = width / 4 * 3, lines = 0;

	for (const uint8_t *p = in.p; in.len - lines * each >= each + SLACK; p += each, lines++) {
		for (size_t i = 0; i + WIDE <= width; i += WIDE)
			encode_24(p + i / 4 * 3, out + i);
		if (width % WIDE)
			encode_24(p + (width - WIDE) / 4 * 3, out + width - WIDE);
		out += width;
		if (line_end.len == 2)
			*out++ = '\r';
		*out++ = '\n';
	}
	return lines;
}

/* With AVX-512 it goes by 64 digits and 48 bytes at a step, and the rest of a line
 * apart. */
CPU_TARGET_AVX512 INLINE __m512i decode_64(__m512i v, __mmask64 which, __mmask64 *bad)
{
	const __m512i pack = _mm512_set_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 61, 62, 56,
		57, 58, 52, 53, 54, 48, 49, 50, 44, 45, 46, 40, 41, 42, 36, 37, 38, 32, 33, 34, 28, 29, 30,
		24, 25, 26, 20, 21, 22, 16, 17, 18, 12, 13, 14, 8, 9, 10, 4, 5, 6, 0, 1, 2);
	const uint8_t *value = values();
	__m512i x = _mm512_permutex2var_epi8(_mm512_loadu_si512(value), v, _mm512_loadu_si512(value + 64));

	/* NO_DIGIT is the high bit, which the table does not look at in v. */
	*bad |= _mm512_mask_test_epi8_mask(which, _mm512_or_si512(x, v), _mm512_set1_epi8((char)NO_DIGIT));
	x = _mm512_maddubs_epi16(x, _mm512_set1_epi32(0x01400140));
	x = _mm512_madd_epi16(x, _mm512_set1_epi32(0x00011000));
	return _mm512_permutexvar_epi8(pack, x);
}

CPU_TARGET_AVX512 static size_t decode_avx512(slice in, size_t width, slice line_end, uint8_t *out)
{
	size_t step = width + line_end.len, lines = 0, rest = width % 64;
	__mmask64 which = ((uint64_t)1 << rest) - 1;

	for (const uint8_t *p = in.p; in.len - lines * step >= step; p += step, lines++) {
		__mmask64 bad = 0;
		size_t i = 0;

		if (p[step - 1] != '\n' || (line_end.len == 2 && p[width] != '\r'))
			break;
		for (; i + 64 <= width; i += 64)
			_mm512_storeu_si512(
				out + i / 4 * 3, decode_64(_mm512_loadu_si512(p + i), ~(__mmask64)0, &bad));
		if (rest)
			_mm512_storeu_si512(out + i / 4 * 3,
				decode_64(_mm512_maskz_loadu_epi8(which, p + i), which, &bad));
		if (bad)
			break;
		out += width / 4 * 3;
	}
	return lines;
}

/* 48 bytes (64 are read) to 64 digits. */
CPU_TARGET_AVX512 INLINE __m512i encode_48(const uint8_t *in)
{
	/* b1 b0 b2 b1 of each three */
	const __m512i spread = _mm512_set_epi8(46, 47, 45, 46, 43, 44, 42, 43, 40, 41, 39, 40, 37, 38, 36, 37,
		34, 35, 33, 34, 31, 32, 30, 31, 28, 29, 27, 28, 25, 26, 24, 25, 22, 23, 21, 22, 19, 20, 18,
		19, 16, 17, 15, 16, 13, 14, 12, 13, 10, 11, 9, 10, 7, 8, 6, 7, 4, 5, 3, 4, 1, 2, 0, 1);
	__m512i v = _mm512_permutexvar_epi8(spread, _mm512_loadu_si512(in));

	v = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x3036242a1016040a), v);
	return _mm512_permutexvar_epi8(v, _mm512_loadu_si512(digits));
}

CPU_TARGET_AVX512 static size_t encode_avx512(slice in, size_t width, slice line_end, uint8_t *out)
{
	size_t each = width / 4 * 3, lines = 0;

	for (const uint8_t *p = in.p; in.len - lines * each >= each + SLACK; p += each, lines++) {
		size_t i = 0;

		for (; i + 64 <= width; i += 64)
			_mm512_storeu_si512(out + i, encode_48(p + i / 4 * 3));
		if (i < width)
			_mm512_storeu_si512(out + i, encode_48(p + i / 4 * 3));
		out += width;
		if (line_end.len == 2)
			*out++ = '\r';
		*out++ = '\n';
	}
	return lines;
}
#endif

/* Decode lines of exactly `width` digits and the given line end as long as they
 * are that; how many. out has SLACK bytes more. */
static size_t decode_portable(slice in, size_t width, slice line_end, uint8_t *out)
{
	const uint8_t *v = values();
	size_t step = width + line_end.len, lines = 0;

	for (const uint8_t *p = in.p; in.len - lines * step >= step; p += step, lines++) {
		uint32_t bad = 0;

		if (p[step - 1] != '\n' || (line_end.len == 2 && p[width] != '\r'))
			break;
		for (size_t i = 0; i < width; i += 4, out += 3) {
			uint32_t a = v[p[i]], b = v[p[i + 1]], c = v[p[i + 2]], d = v[p[i + 3]];

			bad |= a | b | c | d;
			out[0] = (uint8_t)(a << 2 | b >> 4);
			out[1] = (uint8_t)(b << 4 | c >> 2);
			out[2] = (uint8_t)(c << 6 | d);
		}
		if (bad & NO_DIGIT)
			break;
	}
	return lines;
}

static size_t decode_lines(enum cpu_path path, slice in, size_t width, slice line_end, uint8_t *out)
{
#ifdef __x86_64__
	if (path == CPU_AVX512)
		return decode_avx512(in, width, line_end, out);
	if (path == CPU_AVX2)
		return decode_avx2(in, width, line_end, out);
#endif
	(void)path;
	return decode_portable(in, width, line_end, out);
}

static size_t encode_portable(slice in, size_t width, slice line_end, uint8_t *out)
{
	size_t each = width / 4 * 3, lines = 0;

	for (const uint8_t *p = in.p; in.len - lines * each >= each + SLACK; lines++) {
		for (size_t i = 0; i < width; i += 4, p += 3, out += 4) {
			uint32_t g = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];

			out[0] = (uint8_t)digits[g >> 18];
			out[1] = (uint8_t)digits[g >> 12 & 63];
			out[2] = (uint8_t)digits[g >> 6 & 63];
			out[3] = (uint8_t)digits[g & 63];
		}
		if (line_end.len == 2)
			*out++ = '\r';
		*out++ = '\n';
	}
	return lines;
}

static size_t encode_lines(enum cpu_path path, slice in, size_t width, slice line_end, uint8_t *out)
{
#ifdef __x86_64__
	if (path == CPU_AVX512 && width >= WIDE)
		return encode_avx512(in, width, line_end, out);
	if (path == CPU_AVX2 && width >= WIDE)
		return encode_avx2(in, width, line_end, out);
#endif
	(void)path;
	return encode_portable(in, width, line_end, out);
}

int mimeb64_decode_by(enum cpu_path path, struct arena *a, slice enc, struct mimeb64_text *out)
{
	const uint8_t *v = values(), *p = enc.p;
	size_t n = enc.len, i = 0, marks = 1, next = MARK_EVERY, width = 0, columns = 0, end = 0;
	uint8_t *to = arena_alloc(a, n / 4 * 3 + 8 + SLACK), *q = to;
	size_t line = 1; /* digits of the lines that are taken whole; 1: not known */
	struct mimeb64_mark *m = arena_alloc(a, (n / MARK_EVERY + n / WIDE + 2) * sizeof *m);
	slice line_end = hdr_line_end(enc, 0);
	uint32_t bits = 0;
	unsigned held = 0; /* digits in bits */

	must(n < UINT32_MAX);
	while (i < n && ascii_space(p[i]))
		i++;
	m[0] = (struct mimeb64_mark){(uint32_t)i, 0, 0};
	while (i < n) {
		uint8_t c;

		/* Lines like the one before, from the first digit to the line end. */
		if (line >= WIDE && columns == 0 && held == 0) {
			size_t lines = decode_lines(path, slice_from(enc, i), line, line_end, q);

			if (lines) {
				if (m[marks - 1].enc != i)
					m[marks++] =
						(struct mimeb64_mark){(uint32_t)i, (uint32_t)(q - to), 0};
				m[marks - 1].lines = (uint32_t)lines;
				i += lines * (line + line_end.len);
				q += lines * (line / 4 * 3);
				end = i - line_end.len;
				next = i + MARK_EVERY;
				continue;
			}
		}
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
		if (line == 1)
			line = columns % 4 == 0 ? columns : 0;
		columns = 0;
		if (held == 0 && i >= next && i < n) {
			m[marks++] = (struct mimeb64_mark){(uint32_t)i, (uint32_t)(q - to), 0};
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
	/* Lines behind the last digit are none to encode from. */
	if (end < m[0].enc)
		end = m[0].enc;
	while (marks > 1 && m[marks - 1].enc >= end)
		marks--;
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
		.line = line,
		.width = width,
		.line_end = line_end};
	return 0;
}

int mimeb64_decode(struct arena *a, slice enc, struct mimeb64_text *out)
{
	return mimeb64_decode_by(cpu_best(), a, enc, out);
}

struct mimeb64_mark mimeb64_place(const struct mimeb64_text *t, size_t d)
{
	size_t lo = 0, hi = t->mark_count;
	struct mimeb64_mark m;

	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;

		if (t->marks[mid].dec <= d)
			lo = mid;
		else
			hi = mid;
	}
	m = t->marks[lo];
	if (m.lines) {
		size_t step = t->line + t->line_end.len, line = (d - m.dec) / (t->line / 4 * 3);

		line = line < m.lines ? line : m.lines;
		if (m.enc + line * step >= t->end)
			line--;
		m.enc += (uint32_t)(line * step);
		m.dec += (uint32_t)(line * (t->line / 4 * 3));
		m.lines -= (uint32_t)line;
	}
	return m;
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

size_t mimeb64_encode_lines(slice bytes, size_t width, slice line_end, uint8_t *to)
{
	must(width >= 4 && width % 4 == 0);
	return encode_lines(cpu_best(), bytes, width, line_end, to) * (width / 4 * 3);
}

void mimeb64_encode_by(enum cpu_path path, slice bytes, size_t width, slice line_end, uint8_t *to)
{
	const uint8_t *p = bytes.p;
	size_t per_line = width / 4, group = 0, n = bytes.len, lines;

	must(width >= 4 && width % 4 == 0);
	lines = n ? encode_lines(path, bytes, width, line_end, to) : 0;
	to += lines * (width + line_end.len);
	p += n ? lines * (per_line * 3) : 0;
	n -= lines * (per_line * 3);
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

void mimeb64_encode(slice bytes, size_t width, slice line_end, uint8_t *to)
{
	mimeb64_encode_by(cpu_best(), bytes, width, line_end, to);
}
