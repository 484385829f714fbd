/* One segment file of a journal: its name, its head, and reading frames out of
 * it over damage. Knows nothing of the other segments. Layout: docs/FORMATS.md,
 * "Journal".
 */
#ifndef LF_IO_SEGMENT_H
#define LF_IO_SEGMENT_H

#include "core/base/slice.h"

#define SEGMENT_HEAD 64
#define SEGMENT_LEAST 4096 /* bytes; below that frames do not fit */
#define SEGMENT_MOST (1u << 30)
#define SEGMENT_NAME 24 /* "00000000000f0000.seg" and NUL */

struct segment_head {
	uint32_t lane;
	uint64_t start;  /* position of the segment's first byte */
	uint64_t size;   /* of the file */
	uint64_t events; /* put into this lane before this segment */
	uint64_t behind; /* where the batches of the segment before end */
};

void segment_head_encode(const struct segment_head *h, uint8_t out[SEGMENT_HEAD]);
/* 0, -REFUSE_CUT, -REFUSE_SYNTAX, -REFUSE_CHECKSUM or -REFUSE_VERSION. */
int segment_head_decode(slice in, struct segment_head *h);

void segment_name(uint64_t start, char out[SEGMENT_NAME]);
/* False if the name is not exactly one that segment_name makes. */
bool segment_name_decode(const char *name, uint64_t *start);

/* Make the file: zeros, its blocks allocated, itself and its name durable. It
 * gets its name only then. A descriptor, or -errno with nothing left behind. */
int segment_make(int dirfd, uint64_t start, uint64_t size);

/* The whole range, in as many calls as it takes. 0, or -errno (-ENOSPC also
 * where the system writes nothing and names no reason). */
int segment_write(int fd, slice s, uint64_t offset);
/* Write zeros over [from, to) of the file. 0, or -errno. */
int segment_clear(int fd, uint64_t from, uint64_t to);

/* What a reader sees of a segment. */
struct segment_view {
	int fd; /* borrowed */
	uint32_t lane;
	uint64_t start;
	uint64_t limit; /* position behind the last byte to look at */
};

/* Read whole frames of this lane from pos on, room bytes at most (room >=
 * FRAME_MAX, or everything up to the limit). >0: so many bytes, which stand at
 * *at. 0: no more; *at is the limit. Bytes that are neither frames nor the
 * zeros behind the last one are stepped over and lie in [*hole_from, *hole_to),
 * which is empty if there are none. What the disk cannot read counts as zeros. */
size_t segment_read(const struct segment_view *v, uint64_t pos, uint8_t *out, size_t room, uint64_t *at,
	uint64_t *hole_from, uint64_t *hole_to);

#endif
