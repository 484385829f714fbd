#include "core/parse/hdr.h"

#include "core/base/refuse.h"

#include <string.h>

void hdr_start(struct hdr_iter *it, slice in, size_t from)
{
	*it = (struct hdr_iter){.in = in, .pos = from, .start = from, .end = from};
}

/* Offset behind the LF of the line that starts at from. */
static size_t line_to(slice in, size_t from)
{
	size_t lf = slice_chr(in, '\n', from);

	return lf == SLICE_NPOS ? in.len : lf + 1;
}

/* Bytes of the line end that stands before `to`. */
static size_t end_len(slice in, size_t from, size_t to)
{
	if (to == from || in.p[to - 1] != '\n')
		return 0;
	return to - from > 1 && in.p[to - 2] == '\r' ? 2 : 1;
}

/* Length of the field name and the colon's place, or false: not a field. */
static bool name_of(slice line, size_t *len, size_t *colon)
{
	size_t i = 0;

	while (i < line.len && line.p[i] > ' ' && line.p[i] < 0x7f && line.p[i] != ':')
		i++;
	*len = i;
	while (i < line.len && (line.p[i] == ' ' || line.p[i] == '\t'))
		i++; /* obs-optional blanks, RFC 5322 4.5 */
	*colon = i;
	return *len > 0 && i < line.len && line.p[i] == ':';
}

int hdr_next(struct hdr_iter *it, struct hdr *h)
{
	slice in = it->in;
	size_t from = it->pos, to = line_to(in, from), len, colon;
	slice line = slice_sub(in, from, to);

	it->end = from;
	if (from >= in.len)
		return 0;
	if (end_len(in, from, to) == line.len) {
		it->pos = to;
		return 0;
	}
	if (!name_of(line, &len, &colon)) {
		if (from != it->start ||
			!(slice_starts(line, SLICE("From ")) || slice_starts(line, SLICE(">From "))))
			return 0;
		len = 0;
		colon = SLICE_NPOS;
	}
	while (to < in.len && (in.p[to] == ' ' || in.p[to] == '\t') && to - it->start <= HDR_MAX_SECTION)
		to = line_to(in, to);
	if (to - it->start > HDR_MAX_SECTION)
		return -REFUSE_HEADER_TOO_LARGE;
	h->from = from;
	h->to = to;
	h->name = slice_sub(in, from, from + len);
	to -= end_len(in, from, to);
	h->value = colon == SLICE_NPOS ? slice_sub(in, from, to) : slice_sub(in, from + colon + 1, to);
	it->pos = h->to;
	return 1;
}

slice hdr_unfold(struct arena *a, slice value)
{
	uint8_t *p;
	size_t n = 0;

	value = slice_trim(value);
	if (slice_chr(value, '\n', 0) == SLICE_NPOS && slice_chr(value, '\r', 0) == SLICE_NPOS)
		return value;
	p = arena_alloc(a, value.len);
	for (size_t i = 0; i < value.len; i++)
		if (value.p[i] != '\r' && value.p[i] != '\n')
			p[n++] = value.p[i];
	return slice_of(p, n);
}

slice hdr_line_end(slice in, size_t from)
{
	size_t lf = slice_chr(in, '\n', from);

	if (lf == SLICE_NPOS || (lf > from && in.p[lf - 1] == '\r'))
		return SLICE("\r\n");
	return SLICE("\n");
}
