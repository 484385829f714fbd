#include "core/parse/b64.h"

#include "core/base/refuse.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define WITH_AVX2 __attribute__((target("avx2")))
#endif

static const char b64_letters[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char b32_letters[32] = "abcdefghijklmnopqrstuvwxyz234567";

/* Value of each byte, 0xff where it has none. */
#define B64_VALUE(c)                                                                                         \
	((c) >= 'A' && (c) <= 'Z'          ? (c) - 'A'                                                       \
		: (c) >= 'a' && (c) <= 'z' ? (c) - 'a' + 26                                                  \
		: (c) >= '0' && (c) <= '9' ? (c) - '0' + 52                                                  \
		: (c) == '-'               ? 62                                                              \
		: (c) == '_'               ? 63                                                              \
					   : 0xff)
#define B32_VALUE(c)                                                                                         \
	((c) >= 'A' && (c) <= 'Z'          ? (c) - 'A'                                                       \
		: (c) >= 'a' && (c) <= 'z' ? (c) - 'a'                                                       \
		: (c) >= '2' && (c) <= '7' ? (c) - '2' + 26                                                  \
					   : 0xff)
#define FOUR(f, c) f(c), f((c) + 1), f((c) + 2), f((c) + 3)
#define SIXTEEN(f, c) FOUR(f, c), FOUR(f, (c) + 4), FOUR(f, (c) + 8), FOUR(f, (c) + 12)
#define SIXTY_FOUR(f, c) SIXTEEN(f, c), SIXTEEN(f, (c) + 16), SIXTEEN(f, (c) + 32), SIXTEEN(f, (c) + 48)
#define ALL(f) SIXTY_FOUR(f, 0), SIXTY_FOUR(f, 64), SIXTY_FOUR(f, 128), SIXTY_FOUR(f, 192)

static const uint8_t b64_value[256] = {ALL(B64_VALUE)};
static const uint8_t b32_value[256] = {ALL(B32_VALUE)};

#if defined(__x86_64__)
WITH_AVX2 static inline __m128i load16(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

WITH_AVX2 static inline __m256i twice(const uint8_t bytes[16])
{
	return _mm256_broadcastsi128_si256(load16(bytes));
}

/* 24 bytes to 32 letters at a time; how many bytes it took. A byte triple abc is
 * put as bacb, so that each letter's six bits lie within a 16-bit word, from where
 * two multiplications bring them down. */
WITH_AVX2 static size_t encode_vectors(slice in, uint8_t *to)
{
	static const uint8_t triple[16] = {1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10};
	/* What is added: to 26.., to 52..61, to 62, to 63, and to 0..25 */
	static const uint8_t shift[16] = {'a' - 26, (uint8_t)('0' - 52), (uint8_t)('0' - 52),
		(uint8_t)('0' - 52), (uint8_t)('0' - 52), (uint8_t)('0' - 52), (uint8_t)('0' - 52),
		(uint8_t)('0' - 52), (uint8_t)('0' - 52), (uint8_t)('0' - 52), (uint8_t)('0' - 52),
		(uint8_t)('-' - 62), '_' - 63, 'A'};
	const __m256i order = twice(triple), shifts = twice(shift);
	size_t i = 0;

	for (; i + 28 <= in.len; i += 24, to += 32) {
		__m256i v = _mm256_set_m128i(load16(in.p + i + 12), load16(in.p + i)), high, low, row;

		v = _mm256_shuffle_epi8(v, order);
		high = _mm256_mulhi_epu16(
			_mm256_and_si256(v, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(0x04000040));
		low = _mm256_mullo_epi16(
			_mm256_and_si256(v, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(0x01000010));
		v = _mm256_or_si256(high, low);
		row = _mm256_subs_epu8(v, _mm256_set1_epi8(51));
		row = _mm256_or_si256(row,
			_mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(26), v), _mm256_set1_epi8(13)));
		v = _mm256_add_epi8(v, _mm256_shuffle_epi8(shifts, row));
		_mm256_storeu_si256((__m256i *)(void *)to, v);
	}
	return i;
}

/* Which bytes lie in [from, from + n]. */
WITH_AVX2 static inline __m256i in_range(__m256i v, char from, char n)
{
	__m256i x = _mm256_sub_epi8(v, _mm256_set1_epi8(from));

	return _mm256_cmpeq_epi8(_mm256_min_epu8(x, _mm256_set1_epi8(n)), x);
}

WITH_AVX2 static inline __m256i plus(__m256i v, __m256i where, char n)
{
	return _mm256_add_epi8(v, _mm256_and_si256(where, _mm256_set1_epi8(n)));
}

/* 32 letters to 24 bytes at a time, written as 28; how many letters it took. It
 * stops before what is no letter. */
WITH_AVX2 static size_t decode_vectors(slice text, uint8_t *out, size_t room)
{
	static const uint8_t pack[16] = {2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 128, 128, 128, 128};
	const __m256i order = twice(pack);
	size_t i = 0, n = 0;

	for (; i + 32 <= text.len && n + 28 <= room; i += 32, n += 24) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(text.p + i));
		__m256i upper = in_range(v, 'A', 25), lower = in_range(v, 'a', 25),
			digit = in_range(v, '0', 9);
		__m256i minus = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('-'));
		__m256i under = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('_'));
		__m256i known = _mm256_or_si256(
			_mm256_or_si256(_mm256_or_si256(upper, lower), _mm256_or_si256(digit, minus)), under);

		if (_mm256_movemask_epi8(known) != -1)
			break;
		v = plus(plus(plus(v, upper, -'A'), lower, 26 - 'a'), digit, 52 - '0');
		v = plus(plus(v, minus, 62 - '-'), under, 63 - '_');
		v = _mm256_maddubs_epi16(v, _mm256_set1_epi32(0x01400140));
		v = _mm256_madd_epi16(v, _mm256_set1_epi32(0x00011000));
		v = _mm256_shuffle_epi8(v, order);
		_mm_storeu_si128((__m128i *)(void *)(out + n), _mm256_castsi256_si128(v));
		_mm_storeu_si128((__m128i *)(void *)(out + n + 12), _mm256_extracti128_si256(v, 1));
	}
	return i;
}
#endif

void b64url_encode(slice in, struct buf *out)
{
	uint8_t *to = buf_room(out, B64_TEXT(in.len));
	size_t i = 0;
	uint32_t v;

	if (!to)
		return;
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		i = encode_vectors(in, to);
	to += i / 3 * 4;
#endif
	for (; i + 3 <= in.len; i += 3, to += 4) {
		v = (uint32_t)in.p[i] << 16 | (uint32_t)in.p[i + 1] << 8 | in.p[i + 2];
		to[0] = (uint8_t)b64_letters[v >> 18];
		to[1] = (uint8_t)b64_letters[v >> 12 & 63];
		to[2] = (uint8_t)b64_letters[v >> 6 & 63];
		to[3] = (uint8_t)b64_letters[v & 63];
	}
	if (i < in.len) {
		v = (uint32_t)in.p[i] << 16 | (i + 1 < in.len ? (uint32_t)in.p[i + 1] << 8 : 0);
		to[0] = (uint8_t)b64_letters[v >> 18];
		to[1] = (uint8_t)b64_letters[v >> 12 & 63];
		if (i + 1 < in.len)
			to[2] = (uint8_t)b64_letters[v >> 6 & 63];
	}
	buf_grew(out, B64_TEXT(in.len));
}

int b64url_decode(slice text, uint8_t *out, size_t room)
{
	size_t n = B64_BYTES(text.len), i = 0;
	uint32_t bad = 0;

	if (text.len % 4 == 1 || n > room || n > INT32_MAX)
		return -REFUSE_LENGTH;
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		i = decode_vectors(text, out, n);
	out += i / 4 * 3;
#endif
	for (; i + 4 <= text.len; i += 4) {
		uint32_t a = b64_value[text.p[i]], b = b64_value[text.p[i + 1]];
		uint32_t c = b64_value[text.p[i + 2]], d = b64_value[text.p[i + 3]];
		uint32_t v = a << 18 | b << 12 | c << 6 | d;

		bad |= a | b | c | d;
		*out++ = (uint8_t)(v >> 16);
		*out++ = (uint8_t)(v >> 8);
		*out++ = (uint8_t)v;
	}
	if (i < text.len) {
		uint32_t a = b64_value[text.p[i]], b = b64_value[text.p[i + 1]];
		uint32_t c = i + 2 < text.len ? b64_value[text.p[i + 2]] : 0;

		bad |= a | b | c;
		if (bad < 64 && (i + 2 < text.len ? c & 3 : b & 15))
			return -REFUSE_NOT_CANONICAL;
		*out++ = (uint8_t)(a << 2 | b >> 4);
		if (i + 2 < text.len)
			*out++ = (uint8_t)(b << 4 | c >> 2);
	}
	/* 0xff is the only value with a bit above the sixth */
	return bad < 64 ? (int)n : -REFUSE_ALPHABET;
}

void b32_encode(slice in, struct buf *out)
{
	size_t n = B32_TEXT(in.len);
	uint8_t *to = buf_room(out, n);
	uint32_t v = 0, bits = 0;

	if (!to)
		return;
	for (size_t i = 0; i < in.len; i++) {
		v = v << 8 | in.p[i];
		for (bits += 8; bits >= 5; bits -= 5)
			*to++ = (uint8_t)b32_letters[v >> (bits - 5) & 31];
	}
	if (bits)
		*to = (uint8_t)b32_letters[v << (5 - bits) & 31];
	buf_grew(out, n);
}

int b32_decode(slice text, uint8_t *out, size_t room)
{
	static const uint8_t possible[8] = {1, 0, 1, 0, 1, 1, 0, 1}; /* lengths modulo 8 */
	size_t n = B32_BYTES(text.len);
	uint32_t v = 0, bits = 0, bad = 0;

	if (!possible[text.len % 8] || n > room || n > INT32_MAX)
		return -REFUSE_LENGTH;
	for (size_t i = 0; i < text.len; i++) {
		uint32_t d = b32_value[text.p[i]];

		bad |= d;
		v = v << 5 | (d & 31);
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			*out++ = (uint8_t)(v >> bits);
		}
	}
	if (bad > 31)
		return -REFUSE_ALPHABET;
	return v & ((1u << bits) - 1) ? -REFUSE_NOT_CANONICAL : (int)n;
}
