#include "core/base/slice.h"

#include <string.h>

slice slice_str(const char *s)
{
	return (slice){(const uint8_t *)s, s ? strlen(s) : 0};
}

bool slice_ieq(slice a, slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

bool slice_istarts(slice s, slice prefix)
{
	return s.len >= prefix.len && slice_ieq(slice_sub(s, 0, prefix.len), prefix);
}

bool slice_ends(slice s, slice suffix)
{
	return s.len >= suffix.len && slice_eq(slice_from(s, s.len - suffix.len), suffix);
}

bool slice_iends(slice s, slice suffix)
{
	return s.len >= suffix.len && slice_ieq(slice_from(s, s.len - suffix.len), suffix);
}

size_t slice_find(slice s, slice needle, size_t from)
{
	const uint8_t *hit;

	if (from > s.len || s.len - from < needle.len)
		return SLICE_NPOS;
	if (needle.len == 0)
		return from;
	hit = memmem(s.p + from, s.len - from, needle.p, needle.len);
	return hit ? (size_t)(hit - s.p) : SLICE_NPOS;
}

size_t slice_ifind(slice s, slice needle, size_t from)
{
	uint8_t first = needle.len ? ascii_lower(needle.p[0]) : 0;

	for (size_t i = from; i <= s.len && s.len - i >= needle.len; i++)
		if ((needle.len == 0 || ascii_lower(s.p[i]) == first) &&
			slice_ieq(slice_sub(s, i, i + needle.len), needle))
			return i;
	return SLICE_NPOS;
}

size_t slice_rchr(slice s, uint8_t c)
{
	const uint8_t *hit = s.len ? memrchr(s.p, c, s.len) : NULL;

	return hit ? (size_t)(hit - s.p) : SLICE_NPOS;
}

slice slice_trim(slice s)
{
	size_t from = 0, to = s.len;

	while (from < to && ascii_space(s.p[from]))
		from++;
	while (to > from && ascii_space(s.p[to - 1]))
		to--;
	return slice_sub(s, from, to);
}

int slice_cmp(slice a, slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int d = n ? memcmp(a.p, b.p, n) : 0;

	if (d)
		return d;
	return a.len < b.len ? -1 : a.len > b.len;
}
