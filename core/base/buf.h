/* A growing byte buffer that gets its cap at birth.
 *
 * Writing past the cap writes nothing more and sets `full`, which stays set:
 * a caller that builds something checks once, at the end.
 */
#ifndef LF_BASE_BUF_H
#define LF_BASE_BUF_H

#include "core/base/slice.h"

struct buf {
	uint8_t *p; /* owned */
	size_t len;
	size_t room;
	size_t cap;
	bool full;
};

void buf_init(struct buf *b, size_t cap);
void buf_free(struct buf *b);

/* Empty again, memory kept, `full` cleared. */
void buf_clear(struct buf *b);

void buf_put(struct buf *b, slice s);
void buf_byte(struct buf *b, uint8_t c);
void buf_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_le16(struct buf *b, uint16_t v);
void buf_le32(struct buf *b, uint32_t v);
void buf_le64(struct buf *b, uint64_t v);

/* Room for n more bytes, to be filled by the caller, then counted in by
 * buf_grew; NULL (and full) past the cap. */
uint8_t *buf_room(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t n);

/* Drop the first n bytes, clamped. */
void buf_drop(struct buf *b, size_t n);

static inline slice buf_slice(const struct buf *b)
{
	return (slice){b->p, b->len};
}

#endif
