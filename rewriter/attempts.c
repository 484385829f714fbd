#include "rewriter/attempts.h"

#include "core/base/must.h"

#include <stdlib.h>

#define NONE UINT32_MAX

struct attempts {
	struct attempt *ring; /* the oldest stands at at, once the ring is full */
	uint32_t *chain;      /* of an entry: the next of its bucket */
	uint32_t *bucket;
	uint32_t most, buckets, count, at;
};

struct attempts *attempts_open(unsigned most)
{
	struct attempts *a = must_zalloc(sizeof *a);

	must(most > 0 && most <= ATTEMPTS_MAX);
	*a = (struct attempts){.most = most, .buckets = 2 * ATTEMPTS_MAX};
	a->ring = must_zalloc(most * sizeof *a->ring);
	a->chain = must_alloc(most * sizeof *a->chain);
	a->bucket = must_alloc(a->buckets * sizeof *a->bucket);
	for (uint32_t i = 0; i < a->buckets; i++)
		a->bucket[i] = NONE;
	return a;
}

void attempts_close(struct attempts **ap)
{
	struct attempts *a = *ap;

	*ap = NULL;
	if (!a)
		return;
	free(a->ring);
	free(a->chain);
	free(a->bucket);
	free(a);
}

uint64_t attempts_message(slice message_id)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < message_id.len; i++)
		h = (h ^ message_id.p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static uint32_t *bucket_of(const struct attempts *a, const struct attempt *e)
{
	uint64_t h = (e->campaign ^ e->message) * UINT64_C(0x9e3779b97f4a7c15) ^ e->recipient;

	return &a->bucket[(h ^ h >> 32) & (a->buckets - 1)];
}

bool attempts_find(const struct attempts *a, struct attempt *key)
{
	for (uint32_t i = *bucket_of(a, key); i != NONE; i = a->chain[i]) {
		const struct attempt *e = &a->ring[i];

		if (e->campaign == key->campaign && e->recipient == key->recipient &&
			e->message == key->message) {
			*key = *e;
			return true;
		}
	}
	return false;
}

static void forget(struct attempts *a, uint32_t i)
{
	uint32_t *link = bucket_of(a, &a->ring[i]);

	while (*link != i)
		link = &a->chain[*link];
	*link = a->chain[i];
}

uint32_t attempts_put(struct attempts *a, const struct attempt *entry)
{
	uint32_t i = a->at, *bucket = bucket_of(a, entry);

	if (a->count == a->most)
		forget(a, i);
	else
		a->count++;
	a->ring[i] = *entry;
	a->chain[i] = *bucket;
	*bucket = i;
	a->at = (i + 1) % a->most;
	return i;
}
