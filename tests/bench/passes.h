/* The work that no rewriter of mail gets around, each as one pass of wide vectors
 * and without any understanding: look for '<', decode, copy, encode. Their sum is
 * the limit that rewrite_bench is measured by.
 *
 * Only for the bench: wants AVX-512 with VBMI2 (passes_can), and reads only what
 * usual encoders write (base64 in lines of 76 with CRLF). */
#ifndef LF_BENCH_PASSES_H
#define LF_BENCH_PASSES_H

#include "core/base/slice.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define PASSES __attribute__((target("avx512f,avx512bw,avx512vbmi,avx512vbmi2,popcnt")))
#define PASSES_HEX "0123456789ABCDEF"
#define PASSES_B64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

static inline bool passes_can(void)
{
	return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi") &&
	       __builtin_cpu_supports("avx512vbmi2");
}

/* What each ASCII byte stands for in an alphabet; 0x80: nothing. */
static inline void passes_reverse(const char *alphabet, uint8_t table[128])
{
	memset(table, 0x80, 128);
	for (unsigned i = 0; alphabet[i]; i++)
		table[(uint8_t)alphabet[i]] = (uint8_t)i;
}

/* How many '<' there are. */
PASSES static inline size_t passes_scan(slice s)
{
	const __m512i open = _mm512_set1_epi8('<');
	size_t n = 0, i = 0;

	for (; s.len - i >= 64; i += 64)
		n += (size_t)__builtin_popcountll(_mm512_cmpeq_epi8_mask(_mm512_loadu_si512(s.p + i), open));
	for (; i < s.len; i++)
		n += s.p[i] == '<';
	return n;
}

/* Room at out: 64 bytes more than it returns. */
PASSES static inline size_t passes_qp(slice s, uint8_t *out)
{
	static uint8_t hex[128];
	const __m512i sign = _mm512_set1_epi8('='), cr = _mm512_set1_epi8('\r'), lf = _mm512_set1_epi8('\n');
	__m512i low, high;
	uint64_t eaten = 0; /* of this block, by what began in the one before */
	uint8_t *to = out;
	size_t i = 0;

	passes_reverse(PASSES_HEX, hex);
	low = _mm512_loadu_si512(hex);
	high = _mm512_loadu_si512(hex + 64);
	for (; s.len - i >= 66; i += 64) {
		__m512i v = _mm512_loadu_si512(s.p + i), one, two, a, b;
		uint64_t at = _mm512_cmpeq_epi8_mask(v, sign) & ~eaten, no, pair, soft, drop;

		if (!(at | eaten)) {
			_mm512_storeu_si512(to, v);
			to += 64;
			continue;
		}
		one = _mm512_loadu_si512(s.p + i + 1);
		two = _mm512_loadu_si512(s.p + i + 2);
		a = _mm512_permutex2var_epi8(low, one, high);
		b = _mm512_permutex2var_epi8(low, two, high);
		no = _mm512_movepi8_mask(_mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(one, two)));
		pair = at & ~no;
		soft = at & _mm512_cmpeq_epi8_mask(one, cr) & _mm512_cmpeq_epi8_mask(two, lf);
		v = _mm512_mask_blend_epi8(pair, v,
			_mm512_or_si512(
				_mm512_and_si512(_mm512_slli_epi16(a, 4), _mm512_set1_epi8((char)0xf0)), b));
		at = pair | soft;
		drop = eaten | soft | at << 1 | at << 2;
		eaten = (at >> 62 & 1) | (at >> 63) * 3;
		_mm512_storeu_si512(to, _mm512_maskz_compress_epi8(~drop, v));
		to += __builtin_popcountll(~drop);
	}
	i += (size_t)__builtin_popcountll(eaten);
	while (i < s.len) {
		if (s.p[i] == '=' && s.len - i > 2 && s.p[i + 1] == '\r' && s.p[i + 2] == '\n') {
			i += 3;
		} else if (s.p[i] == '=' && s.len - i > 2 && s.p[i + 1] < 0x80 && s.p[i + 2] < 0x80 &&
			   hex[s.p[i + 1]] < 16 && hex[s.p[i + 2]] < 16) {
			*to++ = (uint8_t)(hex[s.p[i + 1]] << 4 | hex[s.p[i + 2]]);
			i += 3;
		} else {
			*to++ = s.p[i++];
		}
	}
	return (size_t)(to - out);
}

/* 64 characters to 48 bytes. */
PASSES static inline __m512i passes_join(__m512i v, __m512i order)
{
	v = _mm512_maddubs_epi16(v, _mm512_set1_epi32(0x01400140));
	v = _mm512_madd_epi16(v, _mm512_set1_epi32(0x00011000));
	return _mm512_permutexvar_epi8(order, v);
}

/* Room at out as for passes_qp. */
PASSES static inline size_t passes_b64_decode(slice s, uint8_t *out)
{
	static uint8_t value[128], order[64];
	__m512i low, high, by, odd = _mm512_setzero_si512();
	uint8_t *to = out;
	size_t i = 0;
	uint32_t bits = 0;
	unsigned have = 0;

	passes_reverse(PASSES_B64, value);
	for (unsigned k = 0; k < 48; k++)
		order[k] = (uint8_t)(k / 3 * 4 + 2 - k % 3);
	low = _mm512_loadu_si512(value);
	high = _mm512_loadu_si512(value + 64);
	by = _mm512_loadu_si512(order);
	for (; s.len - i >= 78 && s.p[i + 76] == '\r'; i += 78, to += 57) {
		__m512i a = _mm512_loadu_si512(s.p + i);
		__m512i b = _mm512_mask_loadu_epi8(_mm512_set1_epi8('A'), 0xfff, s.p + i + 64);
		__m512i x = _mm512_permutex2var_epi8(low, a, high),
			y = _mm512_permutex2var_epi8(low, b, high);

		odd = _mm512_or_si512(odd, _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(x, y)));
		_mm512_storeu_si512(to, passes_join(x, by));
		_mm512_storeu_si512(to + 48, passes_join(y, by));
	}
	if (_mm512_movepi8_mask(odd))
		return 0;
	for (; i < s.len; i++) {
		if (s.p[i] >= 0x80 || value[s.p[i]] > 63)
			continue;
		bits = bits << 6 | value[s.p[i]];
		if (++have == 4) {
			*to++ = (uint8_t)(bits >> 16);
			*to++ = (uint8_t)(bits >> 8);
			*to++ = (uint8_t)bits;
			have = 0;
		}
	}
	if (have > 1)
		*to++ = (uint8_t)(bits >> (have == 2 ? 4 : 10));
	if (have == 3)
		*to++ = (uint8_t)(bits >> 2);
	return (size_t)(to - out);
}

/* Whole lines only: what is left is less than one. */
PASSES static inline size_t passes_b64_encode(slice s, uint8_t *out)
{
	static uint8_t order[64];
	const __m512i letters = _mm512_loadu_si512(PASSES_B64);
	const __m512i shifts = _mm512_set1_epi64(0x3036242a1016040a);
	__m512i by;
	uint8_t *to = out;

	for (unsigned k = 0; k < 16; k++) {
		order[4 * k] = order[4 * k + 3] = (uint8_t)(3 * k + 1);
		order[4 * k + 1] = (uint8_t)(3 * k);
		order[4 * k + 2] = (uint8_t)(3 * k + 2);
	}
	by = _mm512_loadu_si512(order);
	for (size_t i = 0; s.len - i >= 57 + 64; i += 57, to += 78) {
		__m512i a = _mm512_permutexvar_epi8(by, _mm512_loadu_si512(s.p + i));
		__m512i b = _mm512_permutexvar_epi8(by, _mm512_loadu_si512(s.p + i + 48));

		a = _mm512_permutexvar_epi8(_mm512_multishift_epi64_epi8(shifts, a), letters);
		b = _mm512_permutexvar_epi8(_mm512_multishift_epi64_epi8(shifts, b), letters);
		_mm512_storeu_si512(to, a);
		_mm_storeu_si128((__m128i *)(void *)(to + 64), _mm512_castsi512_si128(b));
		to[76] = '\r';
		to[77] = '\n';
	}
	return (size_t)(to - out);
}
#else
static inline bool passes_can(void)
{
	return false;
}
/* Never called there. */
static inline size_t passes_scan(slice s)
{
	return 0 * s.len;
}
static inline size_t passes_qp(slice s, uint8_t *out)
{
	(void)out;
	return 0 * s.len;
}
#define passes_b64_decode passes_qp
#define passes_b64_encode passes_qp
#endif

#endif
