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

slice slice_of(const void *p, size_t len);

/* The bytes of a NUL-terminated string; NULL gives the empty slice. */
slice slice_str(const char *s);

/* Bytes [from, to), both clamped to the slice; empty if from >= to. */
slice slice_sub(slice s, size_t from, size_t to);

/* From an offset to the end, clamped. */
slice slice_from(slice s, size_t from);

bool slice_eq(slice a, slice b);
/* ASCII case-insensitive. */
bool slice_ieq(slice a, slice b);
bool slice_starts(slice s, slice prefix);
bool slice_istarts(slice s, slice prefix);
bool slice_ends(slice s, slice suffix);
bool slice_iends(slice s, slice suffix);

/* Offset of the first match at or after from, or SLICE_NPOS. */
size_t slice_chr(slice s, uint8_t c, size_t from);
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
