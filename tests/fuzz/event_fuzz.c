/* An event of a known kind that decodes encodes to the same bytes; decoding
 * steps forward and stays inside. */
#include "core/base/buf.h"
#include "core/base/bytes.h"
#include "core/model/event.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t base = 1795219200000u;
	slice rest = slice_of(data, size);
	struct event e;
	struct buf out;
	int n;

	if (size >= 8 && data[0] & 1) {
		base = get_le64(data);
		rest = slice_from(rest, 8);
	}
	buf_init(&out, 2 * EVENT_MAX);
	while ((n = event_decode(rest, base, &e)) > 0) {
		if ((size_t)n > rest.len || n > EVENT_MAX)
			abort();
		if (e.kind <= EVENT_RECIPIENT) {
			buf_clear(&out);
			event_encode(&e, base, &out);
			if (!slice_eq(buf_slice(&out), slice_sub(rest, 0, (size_t)n)))
				abort();
		}
		rest = slice_from(rest, (size_t)n);
	}
	if (n == 0 && rest.len)
		abort();
	buf_free(&out);
	return 0;
}
