/* Numbers in little-endian bytes, and reading LEB128 varints (seven bits a byte,
 * least first). */
#ifndef LF_BASE_BYTES_H
#define LF_BASE_BYTES_H

#include "core/base/slice.h"

#include <string.h>

static inline uint16_t get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t get_le64(const uint8_t *p)
{
	return (uint64_t)get_le32(p) | (uint64_t)get_le32(p + 4) << 32;
}
static inline void put_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}
static inline void put_le32(uint8_t *p, uint32_t v)
{
	put_le16(p, (uint16_t)v);
	put_le16(p + 2, (uint16_t)(v >> 16));
}
static inline void put_le64(uint8_t *p, uint64_t v)
{
	put_le32(p, (uint32_t)v);
	put_le32(p + 4, (uint32_t)(v >> 32));
}
static inline uint64_t get_be64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

#define VARINT_MAX 10

/* Bytes read (1..10), or 0: the slice ends inside, or the value passes 64
 * bits, or it is not in its shortest form. */
static inline size_t get_varint(slice s, uint64_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.len && i < VARINT_MAX; i++) {
		uint64_t b = s.p[i] & 0x7f;

		if (i == 9 && b > 1)
			return 0;
		v |= b << (7 * i);
		if (!(s.p[i] & 0x80)) {
			if (b == 0 && i > 0)
				return 0;
			*out = v;
			return i + 1;
		}
	}
	return 0;
}

#endif
