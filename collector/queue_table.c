#include "collector/queue_table.h"

#include "core/base/bytes.h"
#include "core/base/must.h"

#include <stdlib.h>

#define FIRST_ROOM 1024 /* a power of two, like all that follow */

/* Open addressing with linear probing; an entry that goes is closed up by
 * moving back those behind it, so there are no tombstones. */
struct entry {
	uint8_t id[QUEUE_TABLE_MAX_ID];
	uint8_t len;    /* 0: free */
	uint64_t touch; /* tick of the last get, find or make */
	bool removed;
	/* the value follows */
};

struct queue_table {
	uint8_t *entries; /* owned; room of them, stride bytes each */
	size_t stride, value_bytes;
	size_t room, count, cap;
	uint64_t tick;
	void (*drop)(void *value);
	struct entry_id {
		uint8_t id[QUEUE_TABLE_MAX_ID];
		uint8_t len;
	} gone[QUEUE_TABLE_GRACE]; /* ring of removed ids */
	size_t gone_next;
};

static struct entry *at(const struct queue_table *t, size_t i)
{
	return (struct entry *)(t->entries + i * t->stride);
}

static uint64_t hash(slice id)
{
	uint64_t h = id.len * 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < id.len; i++)
		h = (h ^ id.p[i]) * 0x100000001b3u;
	return h ^ h >> 29;
}

static slice id_of(const struct entry *e)
{
	return slice_of(e->id, e->len);
}

struct queue_table *queue_table_open(size_t value_bytes, size_t cap, void (*drop)(void *value))
{
	struct queue_table *t = must_zalloc(sizeof *t);

	must(cap > 0);
	t->value_bytes = value_bytes;
	t->stride = (sizeof(struct entry) + value_bytes + 15) & ~(size_t)15;
	t->room = FIRST_ROOM;
	t->cap = cap;
	t->drop = drop;
	t->entries = must_zalloc(t->room * t->stride);
	return t;
}

void queue_table_close(struct queue_table **tp)
{
	struct queue_table *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	for (size_t i = 0; i < t->room; i++)
		if (at(t, i)->len && t->drop)
			t->drop(at(t, i) + 1);
	free(t->entries);
	free(t);
}

/* Where the id stands, or the free place where it belongs. */
static size_t place(const struct queue_table *t, slice id)
{
	size_t i = hash(id) & (t->room - 1);

	while (at(t, i)->len && !slice_eq(id_of(at(t, i)), id))
		i = (i + 1) & (t->room - 1);
	return i;
}

static void grow(struct queue_table *t)
{
	uint8_t *old = t->entries;
	size_t old_room = t->room;

	t->room *= 2;
	t->entries = must_zalloc(t->room * t->stride);
	for (size_t i = 0; i < old_room; i++) {
		struct entry *e = (struct entry *)(old + i * t->stride);

		if (e->len)
			memcpy(at(t, place(t, id_of(e))), e, t->stride);
	}
	free(old);
}

static void drop_at(struct queue_table *t, size_t i)
{
	size_t mask = t->room - 1, j = i;

	if (t->drop)
		t->drop(at(t, i) + 1);
	for (;;) {
		j = (j + 1) & mask;
		if (!at(t, j)->len)
			break;
		/* Moves back unless its own place lies cyclically behind i. */
		if (((j - hash(id_of(at(t, j)))) & mask) >= ((j - i) & mask)) {
			memcpy(at(t, i), at(t, j), t->stride);
			i = j;
		}
	}
	memset(at(t, i), 0, t->stride);
	t->count--;
}

/* At the cap: the older half by touch goes, roughly, in one sweep. */
static void make_room(struct queue_table *t)
{
	uint64_t oldest = UINT64_MAX, limit;

	for (size_t i = 0; i < t->room; i++)
		if (at(t, i)->len && at(t, i)->touch < oldest)
			oldest = at(t, i)->touch;
	limit = oldest + (t->tick - oldest) / 2;
	for (size_t i = 0; i < t->room;) {
		if (at(t, i)->len && at(t, i)->touch <= limit)
			drop_at(t, i); /* another may have moved here */
		else
			i++;
	}
}

void *queue_table_find(struct queue_table *t, slice id)
{
	struct entry *e = id.len && id.len <= QUEUE_TABLE_MAX_ID ? at(t, place(t, id)) : NULL;

	if (!e || !e->len)
		return NULL;
	e->touch = ++t->tick;
	return e + 1;
}

void *queue_table_get(struct queue_table *t, slice id)
{
	void *found = queue_table_find(t, id);
	struct entry *e;

	if (found || id.len == 0 || id.len > QUEUE_TABLE_MAX_ID)
		return found;
	if (t->count >= t->cap)
		make_room(t);
	if (t->count * 4 >= t->room * 3)
		grow(t);
	e = at(t, place(t, id));
	memcpy(e->id, id.p, id.len);
	e->len = (uint8_t)id.len;
	e->touch = ++t->tick;
	t->count++;
	return e + 1;
}

void queue_table_drop(struct queue_table *t, slice id)
{
	size_t i;

	if (id.len == 0 || id.len > QUEUE_TABLE_MAX_ID)
		return;
	i = place(t, id);
	if (at(t, i)->len)
		drop_at(t, i);
}

void queue_table_removed(struct queue_table *t, slice id)
{
	struct entry_id *ring;
	struct entry *e;

	if (id.len == 0 || id.len > QUEUE_TABLE_MAX_ID)
		return;
	ring = &t->gone[t->gone_next++ % QUEUE_TABLE_GRACE];
	if (ring->len) {
		size_t i = place(t, slice_of(ring->id, ring->len));

		/* Unless the id began a new message since. */
		if (at(t, i)->len && at(t, i)->removed)
			drop_at(t, i);
	}
	memcpy(ring->id, id.p, id.len);
	ring->len = (uint8_t)id.len;
	e = at(t, place(t, id));
	if (e->len)
		e->removed = true;
}

size_t queue_table_count(const struct queue_table *t)
{
	return t->count;
}
