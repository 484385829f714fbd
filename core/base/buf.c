#include "core/base/buf.h"

#include "core/base/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t cap)
{
	*b = (struct buf){.cap = cap};
}

void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){.cap = b->cap};
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->full = false;
}

uint8_t *buf_room(struct buf *b, size_t n)
{
	size_t room;

	if (b->full || n > b->cap || b->len > b->cap - n) {
		b->full = true;
		return NULL;
	}
	if (b->room - b->len < n) {
		room = b->room < 64 ? 64 : b->room * 2;
		if (room < b->len + n)
			room = b->len + n;
		if (room > b->cap)
			room = b->cap;
		b->p = must_realloc(b->p, room);
		b->room = room;
	}
	return b->p + b->len;
}

void buf_grew(struct buf *b, size_t n)
{
	must(n <= b->room - b->len);
	b->len += n;
}

void buf_put(struct buf *b, slice s)
{
	uint8_t *p = s.len ? buf_room(b, s.len) : NULL;

	if (!p)
		return;
	memcpy(p, s.p, s.len);
	b->len += s.len;
}

void buf_byte(struct buf *b, uint8_t c)
{
	buf_put(b, slice_of(&c, 1));
}

void buf_str(struct buf *b, const char *s)
{
	buf_put(b, slice_str(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	uint8_t *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	must(n >= 0);
	p = buf_room(b, (size_t)n + 1);
	if (!p)
		return;
	va_start(ap, fmt);
	vsnprintf((char *)p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void buf_le16(struct buf *b, uint16_t v)
{
	uint8_t x[2] = {(uint8_t)v, (uint8_t)(v >> 8)};

	buf_put(b, slice_of(x, 2));
}

void buf_le32(struct buf *b, uint32_t v)
{
	buf_le16(b, (uint16_t)v);
	buf_le16(b, (uint16_t)(v >> 16));
}

void buf_le64(struct buf *b, uint64_t v)
{
	buf_le32(b, (uint32_t)v);
	buf_le32(b, (uint32_t)(v >> 32));
}

void buf_drop(struct buf *b, size_t n)
{
	if (n >= b->len) {
		b->len = 0;
		return;
	}
	memmove(b->p, b->p + n, b->len - n);
	b->len -= n;
}
