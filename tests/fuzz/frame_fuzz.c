/* A frame that decodes encodes to the same bytes. The input is also sealed into
 * a good frame with a few of its bytes changed, since no fuzzer guesses a
 * checksum; and what resync finds is a frame at its own position. */
#include "core/base/buf.h"
#include "core/base/bytes.h"
#include "core/base/crc32c.h"
#include "core/model/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(slice in)
{
	struct frame f;
	struct buf out;
	size_t head;

	if (frame_decode(in, &f) <= 0)
		return;
	if (f.size > in.len || f.size != FRAME_HEAD + f.body.len || f.body.p != in.p + FRAME_HEAD ||
		!f.position)
		abort();
	buf_init(&out, FRAME_MAX);
	head = frame_begin(&out, f.base_ms, f.partition);
	buf_put(&out, f.body);
	frame_end(&out, head, f.lane, f.position, f.flags, f.count);
	if (!slice_eq(buf_slice(&out), slice_sub(in, 0, f.size)))
		abort();
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_of(data, size);
	struct frame f;
	size_t at;

	check(in);
	for (at = 0; (at = frame_resync(in, at, 1000)) != SLICE_NPOS; at++)
		if (frame_decode(slice_from(in, at), &f) != 1 || f.position != 1000 + at)
			abort();
	if (size >= FRAME_HEAD && size <= FRAME_MAX) {
		uint8_t *own = malloc(size);

		if (!own)
			return 0;
		memcpy(own, data, size);
		memcpy(own, "LFF1", 4);
		put_le32(own + 4, (uint32_t)(size - data[4] % 4));
		if (get_le32(own + 4) > 12)
			put_le32(own + 8, crc32c(slice_of(own + 12, get_le32(own + 4) - 12)));
		check(slice_of(own, size));
		free(own);
	}
	return 0;
}
