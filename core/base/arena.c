#include "core/base/arena.h"

#include "core/base/must.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_MIN 8192
#define ALIGN 16

struct arena_block {
	struct arena_block *prev;
	size_t size; /* bytes behind the head */
	size_t used;
	size_t pad; /* keeps the bytes behind the head aligned */
};

_Static_assert(sizeof(struct arena_block) % ALIGN == 0, "blocks start aligned");

void arena_init(struct arena *a, size_t cap, void (*on_full)(void *arg), void *arg)
{
	*a = (struct arena){.cap = cap, .on_full = on_full, .arg = arg};
}

static struct arena_block *grow(struct arena *a, size_t n)
{
	size_t size = a->last ? a->last->size * 2 : BLOCK_MIN;
	struct arena_block *b;

	if (size < n)
		size = n;
	if (a->used + size > a->cap)
		size = n; /* the last step before the cap is an exact one */
	if (n > a->cap || a->used > a->cap - n) {
		if (a->on_full)
			a->on_full(a->arg);
		must(!"arena is full");
	}
	b = must_alloc(sizeof *b + size);
	*b = (struct arena_block){.prev = a->last, .size = size};
	a->last = b;
	a->used += size;
	return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->last;
	void *p;

	must(n < SIZE_MAX / 4);
	n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (!b || b->size - b->used < n)
		b = grow(a, n);
	p = (uint8_t *)(b + 1) + b->used;
	b->used += n;
	return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
	void *p = arena_alloc(a, n);

	memset(p, 0, n);
	return p;
}

slice arena_dup(struct arena *a, slice s)
{
	uint8_t *p = arena_alloc(a, s.len);

	if (s.len)
		memcpy(p, s.p, s.len);
	return slice_of(p, s.len);
}

char *arena_str(struct arena *a, slice s)
{
	char *p = arena_alloc(a, s.len + 1);

	if (s.len)
		memcpy(p, s.p, s.len);
	p[s.len] = 0;
	return p;
}

void arena_reset(struct arena *a)
{
	struct arena_block *b = a->last;

	if (!b)
		return;
	/* The newest block is the largest: it is the one worth keeping. */
	while (b->prev) {
		struct arena_block *old = b->prev;

		b->prev = old->prev;
		a->used -= old->size;
		free(old);
	}
	b->used = 0;
}

void arena_free(struct arena *a)
{
	while (a->last) {
		struct arena_block *b = a->last;

		a->last = b->prev;
		free(b);
	}
	a->used = 0;
}
