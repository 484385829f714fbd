/* Bytes that somebody else owns.
 *
 * A slice never ends in NUL and never owns. A struct that keeps one says in a
 * comment whose bytes they are. All cutting goes through slice_sub, which
 * clamps and so cannot overrun.
 */
#ifndef LF_BASE_SLICE_H
#define LF_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct slice {
	const uint8_t *p;
	size_t len;
} slice;

/* A string literal without its NUL; also fit for static tables. */
#define SLICE(literal) ((slice){(const uint8_t *)(literal), sizeof(literal) - 1})
#define SLICE_NONE ((slice){NULL, 0})

/* "%.*s" with a slice: printf("%.*s", SLICE_FMT(s)). Only for trusted bytes. */
#define SLICE_FMT(s) (int)(s).len, (const char *)(s).p

/* Not found, for the functions that return an offset. */
#define SLICE_NPOS ((size_t)-1)

static inline slice slice_of(const void *p, size_t len)
{
	return (slice){p, len};
}

/* The bytes of a NUL-terminated string; NULL gives the empty slice. */
slice slice_str(const char *s);

/* Bytes [from, to), both clamped to the slice; empty if from >= to. */
static inline slice slice_sub(slice s, size_t from, size_t to)
{
	if (to > s.len)
		to = s.len;
	if (from >= to)
		return (slice){s.p ? s.p + (from < s.len ? from : s.len) : NULL, 0};
	return (slice){s.p + from, to - from};
}

/* From an offset to the end, clamped. */
static inline slice slice_from(slice s, size_t from)
{
	return slice_sub(s, from, s.len);
}

static inline bool slice_eq(slice a, slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}
/* ASCII case-insensitive. */
bool slice_ieq(slice a, slice b);
static inline bool slice_starts(slice s, slice prefix)
{
	return s.len >= prefix.len && slice_eq(slice_sub(s, 0, prefix.len), prefix);
}
bool slice_istarts(slice s, slice prefix);
bool slice_ends(slice s, slice suffix);
bool slice_iends(slice s, slice suffix);

/* Offset of the first match at or after from, or SLICE_NPOS. */
static inline size_t slice_chr(slice s, uint8_t c, size_t from)
{
	const uint8_t *hit;

	if (from >= s.len)
		return SLICE_NPOS;
	hit = memchr(s.p + from, c, s.len - from);
	return hit ? (size_t)(hit - s.p) : SLICE_NPOS;
}
size_t slice_find(slice s, slice needle, size_t from);
size_t slice_ifind(slice s, slice needle, size_t from);
/* Offset of the last byte c, or SLICE_NPOS. */
size_t slice_rchr(slice s, uint8_t c);

/* Without leading and trailing SP, HTAB, CR, LF. */
slice slice_trim(slice s);

/* Like memcmp, shorter first. */
int slice_cmp(slice a, slice b);

static inline bool ascii_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
static inline bool ascii_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}
static inline bool ascii_alpha(uint8_t c)
{
	return (uint8_t)((c | 0x20) - 'a') < 26;
}
static inline bool ascii_alnum(uint8_t c)
{
	return ascii_digit(c) || ascii_alpha(c);
}
static inline uint8_t ascii_lower(uint8_t c)
{
	return (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : c;
}

#endif
