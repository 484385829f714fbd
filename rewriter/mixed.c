#include "rewriter/mixed.h"

#include "core/base/must.h"

#include <stdlib.h>

#define NONE MIXED_NONE

struct entry {
	uint64_t pair, message, ms;
	uint32_t chain; /* the next of its bucket */
	bool used;
};

struct mixed {
	struct entry *ring; /* the oldest stands at at, once the ring is full */
	uint32_t *bucket;
	uint32_t most, buckets, at, count;
};

struct mixed *mixed_open(unsigned most)
{
	struct mixed *m = must_zalloc(sizeof *m);

	must(most > 0 && most <= MIXED_MAX);
	*m = (struct mixed){.most = most, .buckets = 2 * MIXED_MAX};
	m->ring = must_zalloc(most * sizeof *m->ring);
	m->bucket = must_alloc(m->buckets * sizeof *m->bucket);
	for (uint32_t i = 0; i < m->buckets; i++)
		m->bucket[i] = NONE;
	return m;
}

void mixed_close(struct mixed **mp)
{
	struct mixed *m = *mp;

	*mp = NULL;
	if (!m)
		return;
	free(m->ring);
	free(m->bucket);
	free(m);
}

static uint32_t *bucket_of(const struct mixed *m, uint64_t pair)
{
	return &m->bucket[(pair ^ pair >> 32) & (m->buckets - 1)];
}

static uint32_t place_of(const struct mixed *m, uint64_t pair, uint64_t message)
{
	uint32_t i = *bucket_of(m, pair);

	while (i != NONE && (m->ring[i].pair != pair || m->ring[i].message != message))
		i = m->ring[i].chain;
	return i;
}

static void forget(struct mixed *m, uint32_t i)
{
	uint32_t *link = bucket_of(m, m->ring[i].pair);

	while (*link != i)
		link = &m->ring[*link].chain;
	*link = m->ring[i].chain;
	m->ring[i].used = false;
	m->count--;
}

uint32_t mixed_put(struct mixed *m, uint64_t pair, uint64_t message, uint64_t now_ms)
{
	uint32_t i = place_of(m, pair, message), *bucket = bucket_of(m, pair);

	if (i != NONE) {
		m->ring[i].ms = now_ms;
		return i;
	}
	i = m->at;
	if (m->ring[i].used)
		forget(m, i);
	m->ring[i] = (struct entry){pair, message, now_ms, *bucket, true};
	*bucket = i;
	m->count++;
	m->at = (i + 1) % m->most;
	return i;
}

bool mixed_find(const struct mixed *m, uint64_t pair, uint64_t message, uint64_t now_ms)
{
	uint32_t i = place_of(m, pair, message);

	return i != NONE && now_ms < m->ring[i].ms + MIXED_KEEP_MS;
}

bool mixed_any(const struct mixed *m, uint64_t pair)
{
	for (uint32_t i = *bucket_of(m, pair); i != NONE; i = m->ring[i].chain)
		if (m->ring[i].pair == pair && m->ring[i].message != MIXED_ALONE)
			return true;
	return false;
}

uint32_t mixed_drop(struct mixed *m, uint64_t pair, uint64_t message)
{
	uint32_t i = place_of(m, pair, message);

	if (i != NONE)
		forget(m, i);
	return i;
}

bool mixed_empty(const struct mixed *m)
{
	return m->count == 0;
}
