#include "core/model/frame.h"

#include "core/base/bytes.h"
#include "core/base/crc32c.h"
#include "core/base/must.h"
#include "core/base/refuse.h"

#include <string.h>

/*	 0  "LFF1"             20  position, high half
 *	 4  size, head included 24  base_ms (8)
 *	 8  CRC-32C of [12, size) 32  partition (2)
 *	12  lane               34  flags (2)
 *	16  position (8)       36  count
 *	40  events
 */
static const uint8_t magic[4] = {'L', 'F', 'F', '1'};
#define CHECKED 12

size_t frame_begin(struct buf *out, uint64_t base_ms, uint16_t partition)
{
	uint8_t *head = buf_room(out, FRAME_HEAD);
	size_t at = out->len;

	if (!head)
		return at;
	memset(head, 0, FRAME_HEAD);
	memcpy(head, magic, sizeof magic);
	put_le64(head + 24, base_ms);
	put_le16(head + 32, partition);
	buf_grew(out, FRAME_HEAD);
	return at;
}

void frame_end(struct buf *out, size_t head, uint32_t lane, uint64_t position, uint16_t flags, uint32_t count)
{
	size_t size = out->len - head;
	uint8_t *p = out->p + head;

	if (out->full)
		return; /* the caller sees it; nothing whole is there to be sealed */
	must(head <= out->len && size >= FRAME_HEAD && size <= FRAME_MAX && position != 0);
	put_le32(p + 4, (uint32_t)size);
	put_le32(p + 12, lane);
	put_le64(p + 16, position);
	put_le16(p + 34, flags);
	put_le32(p + 36, count);
	put_le32(p + 8, crc32c(slice_of(p + CHECKED, size - CHECKED)));
}

static bool zeros(slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i])
			return false;
	return true;
}

int frame_decode(slice in, struct frame *f)
{
	uint32_t size;
	slice all;

	if (zeros(slice_sub(in, 0, 8)))
		return 0;
	if (in.len < sizeof magic)
		return slice_eq(in, slice_of(magic, in.len)) ? -REFUSE_CUT : -REFUSE_SYNTAX;
	if (memcmp(in.p, magic, sizeof magic) != 0)
		return -REFUSE_SYNTAX;
	if (in.len < 8)
		return -REFUSE_CUT;
	size = get_le32(in.p + 4);
	if (size < FRAME_HEAD || size > FRAME_MAX)
		return -REFUSE_RANGE;
	if (in.len < size)
		return -REFUSE_CUT;
	all = slice_sub(in, 0, size);
	if (crc32c(slice_from(all, CHECKED)) != get_le32(all.p + 8))
		return -REFUSE_CHECKSUM;
	*f = (struct frame){.lane = get_le32(all.p + 12),
		.position = get_le64(all.p + 16),
		.base_ms = get_le64(all.p + 24),
		.partition = get_le16(all.p + 32),
		.flags = get_le16(all.p + 34),
		.count = get_le32(all.p + 36),
		.body = slice_from(all, FRAME_HEAD),
		.size = size};
	return f->position ? 1 : -REFUSE_RANGE;
}

size_t frame_resync(slice in, size_t from, uint64_t base)
{
	size_t at = slice_find(in, slice_of(magic, sizeof magic), from);
	struct frame f;

	for (; at != SLICE_NPOS; at = slice_find(in, slice_of(magic, sizeof magic), at + 1))
		/* position first: a checksum at every magic would be quadratic */
		if (in.len - at >= FRAME_HEAD && get_le64(in.p + at + 16) == base + at &&
			frame_decode(slice_from(in, at), &f) == 1)
			return at;
	return SLICE_NPOS;
}
