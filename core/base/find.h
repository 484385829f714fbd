/* Where a byte is that is most likely near: 16 bytes at a time, without a call.
 *
 * For the inner loops of parsers, whose steps are a few bytes long, where calling
 * memchr costs more than what it does. All look at [from, s.len) and answer with
 * s.len when there is nothing; no byte outside is read. The functions with _plain
 * say the same byte by byte, for processors without SSE2 and for tests.
 */
#ifndef LF_BASE_FIND_H
#define LF_BASE_FIND_H

#include "core/base/slice.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* From here on memchr is worth its call. */
#define FIND_NEAR 64

static inline size_t find_byte_plain(slice s, size_t from, uint8_t c)
{
	while (from < s.len && s.p[from] != c)
		from++;
	return from < s.len ? from : s.len;
}

/* The first of four. */
static inline size_t find_four_plain(slice s, size_t from, const uint8_t c[4])
{
	for (; from < s.len; from++)
		if (s.p[from] == c[0] || s.p[from] == c[1] || s.p[from] == c[2] || s.p[from] == c[3])
			break;
	return from < s.len ? from : s.len;
}

/* The first a that is followed by b. */
static inline size_t find_pair_plain(slice s, size_t from, uint8_t a, uint8_t b)
{
	for (; from + 1 < s.len; from++)
		if (s.p[from] == a && s.p[from + 1] == b)
			return from;
	return s.len;
}

/* ASCII letters in any case, given in lower case. */
static inline size_t find_word_plain(slice s, size_t from, const uint8_t c[4])
{
	for (; from + 3 < s.len; from++)
		if ((s.p[from] | 0x20) == c[0] && (s.p[from + 1] | 0x20) == c[1] &&
			(s.p[from + 2] | 0x20) == c[2] && (s.p[from + 3] | 0x20) == c[3])
			return from;
	return s.len;
}

#if defined(__SSE2__)
static inline __m128i find_load(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Which of the 16 bytes at p are c. */
static inline unsigned find_mask(const uint8_t *p, uint8_t c)
{
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(find_load(p), _mm_set1_epi8((char)c)));
}

static inline size_t find_byte(slice s, size_t from, uint8_t c)
{
	size_t at = from;
	const uint8_t *hit;

	for (; at + 16 <= s.len; at += 16) {
		unsigned m = find_mask(s.p + at, c);

		if (m)
			return at + (size_t)__builtin_ctz(m);
		if (at - from < FIND_NEAR)
			continue;
		hit = memchr(s.p + at, c, s.len - at);
		return hit ? (size_t)(hit - s.p) : s.len;
	}
	return find_byte_plain(s, at, c);
}

static inline size_t find_four(slice s, size_t from, const uint8_t c[4])
{
	const __m128i c0 = _mm_set1_epi8((char)c[0]), c1 = _mm_set1_epi8((char)c[1]),
		      c2 = _mm_set1_epi8((char)c[2]), c3 = _mm_set1_epi8((char)c[3]);

	for (; from + 16 <= s.len; from += 16) {
		__m128i v = find_load(s.p + from);
		__m128i x = _mm_or_si128(_mm_cmpeq_epi8(v, c0), _mm_cmpeq_epi8(v, c1));
		__m128i y = _mm_or_si128(_mm_cmpeq_epi8(v, c2), _mm_cmpeq_epi8(v, c3));
		unsigned m = (unsigned)_mm_movemask_epi8(_mm_or_si128(x, y));

		if (m)
			return from + (size_t)__builtin_ctz(m);
	}
	return find_four_plain(s, from, c);
}

static inline size_t find_pair(slice s, size_t from, uint8_t a, uint8_t b)
{
	for (; from + 17 <= s.len; from += 16) {
		unsigned m = find_mask(s.p + from, a) & find_mask(s.p + from + 1, b);

		if (m)
			return from + (size_t)__builtin_ctz(m);
	}
	return find_pair_plain(s, from, a, b);
}

static inline size_t find_word(slice s, size_t from, const uint8_t c[4])
{
	const __m128i lower = _mm_set1_epi8(0x20);

	for (; from + 19 <= s.len; from += 16) {
		__m128i m = _mm_set1_epi8(-1);
		unsigned hits;

		for (int k = 0; k < 4; k++)
			m = _mm_and_si128(m, _mm_cmpeq_epi8(_mm_or_si128(find_load(s.p + from + k), lower),
						     _mm_set1_epi8((char)c[k])));
		hits = (unsigned)_mm_movemask_epi8(m);
		if (hits)
			return from + (size_t)__builtin_ctz(hits);
	}
	return find_word_plain(s, from, c);
}
#else
#define find_byte find_byte_plain
#define find_four find_four_plain
#define find_pair find_pair_plain
#define find_word find_word_plain
#endif

#endif
