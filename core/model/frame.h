/* A frame: a batch of events of one partition, with the lane that produced it,
 * its position in that lane's journal, and a checksum. The same bytes lie in
 * memory, in the journal, in the Redis stream entry and in a test fixture.
 * Bytes: docs/FORMATS.md, "Frame".
 */
#ifndef LF_MODEL_FRAME_H
#define LF_MODEL_FRAME_H

#include "core/base/buf.h"
#include "core/base/slice.h"

#define FRAME_HEAD 40
#define FRAME_MAX (1u << 20)
/* A frame of this partition stays in the journal: it holds one note of the
 * producer for itself (the collector's place in a log), not events. */
#define FRAME_NOTE 0xffffu
/* Another frame of the same batch follows; a batch counts only when whole. */
#define FRAME_MORE 1u

struct frame {
	uint32_t lane;
	uint64_t position; /* of this frame's first byte in its lane's journal; never 0 */
	uint64_t base_ms;
	uint16_t partition;
	uint16_t flags;
	uint32_t count; /* events */
	slice body;	/* borrows */
	size_t size;	/* head and body */
};

/* Append head (checksum still empty) for a frame; returns the offset of the
 * head in out, to be given to frame_end when the body has been appended. */
size_t frame_begin(struct buf *out, uint64_t base_ms, uint16_t partition);
/* Fill in what is known only when the frame is written, and the checksum. Does
 * nothing if out is full. */
void frame_end(struct buf *out, size_t head, uint32_t lane, uint64_t position, uint16_t flags,
	uint32_t count);

/* The frame at the start of in. 1: got one. 0: zeros or nothing: the end.
 * -REFUSE_CUT: the head says more than in holds. -REFUSE_CHECKSUM,
 * -REFUSE_SYNTAX (no magic), -REFUSE_RANGE: damaged. */
int frame_decode(slice in, struct frame *f);

/* Offset in `in`, at or after `from`, of the next place that decodes as a frame
 * whose position equals base + offset, or SLICE_NPOS: how a reader steps over
 * damage. */
size_t frame_resync(slice in, size_t from, uint64_t base);

#endif
