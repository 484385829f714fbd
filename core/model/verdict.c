#include "core/model/verdict.h"

#include "core/base/must.h"

#include <string.h>

/* A person who opens three links of a message within ten seconds is rare;
 * gateways open all of them at once (TRACKING, "Evidence"). A mail program and
 * a browser are two agents; a third at the same moment is a farm of scanners. */
const struct verdict_rules verdict_rules = {
	.version = 1, .burst_ms = 10000, .burst_links = 3, .swarm_ms = 2000, .swarm_agents = 3};

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int verdict_order(const void *va, const void *vb)
{
	const struct verdict_hit *a = va, *b = vb;
	int d = compare(a->ms, b->ms);

	if (!d)
		d = compare(a->kind, b->kind);
	if (!d)
		d = compare(a->place, b->place);
	if (!d)
		d = compare(a->link, b->link);
	if (!d)
		d = compare(a->class, b->class);
	if (!d)
		d = compare(a->agent, b->agent);
	if (!d)
		d = compare(a->network, b->network);
	return d ? d : memcmp(a->country, b->country, sizeof a->country);
}

static bool by_person(const struct verdict_hit *h)
{
	return h->kind != EVENT_UNSUBSCRIBE && h->class == CLASS_HUMAN;
}

/* What is counted of a hit in a window; 0: nothing. */
static unsigned link_of(const struct verdict_hit *h)
{
	return h->kind == EVENT_CLICK ? h->link + 1u : 0;
}

static unsigned agent_of(const struct verdict_hit *h)
{
	return h->kind != EVENT_UNSUBSCRIBE ? h->agent : 0;
}

/* Different values among hits[from..to]. */
static unsigned different(const struct verdict_hit *hits, unsigned from, unsigned to,
	unsigned (*value)(const struct verdict_hit *))
{
	unsigned n = 0;

	for (unsigned i = from; i <= to; i++) {
		unsigned v = value(&hits[i]), k = from;

		while (k < i && value(&hits[k]) != v)
			k++;
		n += v && k == i;
	}
	return n;
}

/* Every window of `ms` that begins with a hit and shows `most` different values
 * is a machine's, all of it. */
static void windows(const struct verdict_hit *hits, unsigned n, unsigned ms, unsigned most,
	unsigned (*value)(const struct verdict_hit *), enum hit_class *class)
{
	unsigned to = 0;

	if (!most || n < most)
		return;
	for (unsigned from = 0; from < n; from++) {
		while (to + 1 < n && hits[to + 1].ms - hits[from].ms <= ms)
			to++;
		if (to - from + 1 < most || different(hits, from, to, value) < most)
			continue;
		for (unsigned i = from; i <= to; i++)
			if (by_person(&hits[i]))
				class[i] = CLASS_SCANNER;
	}
}

/* The scanner's other visits. */
static void company(const struct verdict_hit *hits, unsigned n, enum hit_class *class)
{
	for (unsigned i = 0; i < n; i++) {
		if (class[i] != CLASS_SCANNER || !hits[i].agent || !hits[i].network)
			continue;
		for (unsigned k = 0; k < n; k++)
			if (by_person(&hits[k]) && hits[k].agent == hits[i].agent &&
				hits[k].network == hits[i].network)
				class[k] = CLASS_SCANNER;
	}
}

void verdict_judge(
	const struct verdict_rules *rules, const struct verdict_hit *hits, unsigned n, enum hit_class *class)
{
	must(n <= VERDICT_MAX);
	for (unsigned i = 0; i < n; i++)
		class[i] = hits[i].class;
	if (n < 2)
		return;
	windows(hits, n, rules->burst_ms, rules->burst_links, link_of, class);
	windows(hits, n, rules->swarm_ms, rules->swarm_agents, agent_of, class);
	company(hits, n, class);
}
