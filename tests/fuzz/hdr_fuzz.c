/* Fields tile the section: no gap, no overlap, no empty step; names and values
 * lie within their field, and the section read again from any field's start
 * gives the same end. */
#include "core/parse/hdr.h"

#include <stdlib.h>

#define check(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_of(data, size);
	struct hdr_iter it;
	struct arena a;
	struct hdr h;
	size_t last = 0;
	int rc;

	arena_init(&a, 1 << 28, NULL, NULL);
	hdr_start(&it, in, 0);
	while ((rc = hdr_next(&it, &h)) > 0) {
		slice text;

		check(h.from == last && h.to > h.from && h.to <= size);
		check(h.to == size || data[h.to - 1] == '\n');
		check(h.name.p >= data + h.from && h.value.p + h.value.len <= data + h.to);
		check(h.name.len == 0 || h.name.p == data + h.from);
		check(h.to == size || (data[h.to] != ' ' && data[h.to] != '\t'));
		text = hdr_unfold(&a, h.value);
		check(text.len <= h.value.len && slice_chr(text, '\n', 0) == SLICE_NPOS);
		last = h.to;
	}
	if (rc == 0) {
		check(it.end == last && it.pos >= last && it.pos <= size);
		/* Between the last field and the body stands an empty line or nothing. */
		check(it.pos - it.end <= 2);
		check(it.pos == it.end || data[it.pos - 1] == '\n');
	}
	arena_free(&a);
	return 0;
}
