#include "reports/tally.h"

#include "core/base/bytes.h"

#include <string.h>

/* 64 recipients of a bitmap, the first in the highest bit: SETBIT's order. */
static uint64_t word_at(slice bitmap, size_t word)
{
	uint8_t last[8] = {0};
	slice s = slice_sub(bitmap, word * 8, word * 8 + 8);

	if (s.len == 8)
		return get_be64(s.p);
	if (s.len == 0)
		return 0;
	memcpy(last, s.p, s.len);
	return get_be64(last);
}

static void count(const uint64_t f[FACT_COUNT], uint64_t who, struct tally *t)
{
	uint64_t sent = f[FACT_sent], accepted = f[FACT_accepted], deferred = f[FACT_deferred];
	uint64_t hard = f[FACT_bounced_hard], soft = f[FACT_bounced_soft], block = f[FACT_bounced_block];
	uint64_t bounced = hard | soft | block;
	/* The MTA cannot have tried what it was not given: a rewriter killed between
	 * the next hop's 250 and its journal leaves a delivery without a SENT. */
	uint64_t taken = sent | accepted | deferred | bounced;
	uint64_t proxy = f[FACT_opened_proxy], opened = f[FACT_opened_human] | proxy;
	uint64_t prefetch = f[FACT_opened_prefetch], machine = f[FACT_opened_machine];
	uint64_t clicked = f[FACT_clicked_human], clicked_machine = f[FACT_clicked_machine];
	uint64_t unsubscribed = f[FACT_unsubscribed];

#define T(name, formula) t->name += (uint64_t)__builtin_popcountll((formula)&who);
	TALLY_LIST(T)
#undef T
}

/* Which of the 64 recipients belong to each provider that occurs among them. */
static unsigned part_by_provider(slice column, size_t word, uint8_t seen[64], uint64_t who[TALLY_PROVIDERS])
{
	slice s = slice_sub(column, word * 64, word * 64 + 64);
	unsigned n = 0;

	for (unsigned i = 0; i < 64; i++) {
		uint8_t provider = i < s.len ? s.p[i] : 0;

		if (!who[provider])
			seen[n++] = provider;
		who[provider] |= UINT64_C(1) << (63 - i);
	}
	return n;
}

void tally_add(const struct tally_lane *lane, struct tally *total, struct tally by_provider[TALLY_PROVIDERS])
{
	uint64_t who[TALLY_PROVIDERS] = {0}, f[FACT_COUNT] = {0};
	uint8_t seen[64];
	size_t longest = 0;

	for (unsigned i = 0; i < FACT_COUNT; i++)
		if (fact_form(i) == FACT_BITS && lane->fact[i].len > longest)
			longest = lane->fact[i].len;
	for (size_t word = 0; word * 8 < longest; word++) {
		uint64_t any = 0;
		unsigned n;

		for (unsigned i = 0; i < FACT_COUNT; i++)
			if (fact_form(i) == FACT_BITS)
				any |= f[i] = word_at(lane->fact[i], word);
		if (!any)
			continue;
		count(f, ~UINT64_C(0), total);
		n = part_by_provider(lane->fact[FACT_provider], word, seen, who);
		for (unsigned i = 0; i < n; i++) {
			count(f, who[seen[i]], &by_provider[seen[i]]);
			who[seen[i]] = 0;
		}
	}
}
