#include "reports/tally.h"

#include "core/base/bytes.h"

#include <stddef.h>
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#define FIELDS (sizeof(struct tally) / sizeof(uint64_t))

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

/* The fields that somebody of a machine word is in, and who. */
struct groups {
	unsigned n;
	uint8_t field[FIELDS];
	uint64_t who[FIELDS];
};

static inline __attribute__((always_inline)) struct groups group(const uint64_t f[FACT_COUNT])
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
	struct groups g;

	g.n = 0;
#define T(name, formula)                                                                                     \
	g.field[g.n] = offsetof(struct tally, name) / sizeof(uint64_t);                                      \
	g.who[g.n] = (formula);                                                                              \
	g.n += g.who[g.n] != 0;
	TALLY_LIST(T)
#undef T
	return g;
}

static inline __attribute__((always_inline)) void count(const struct groups *g, uint64_t who, struct tally *t)
{
	uint64_t *to = (uint64_t *)(void *)t; /* nothing but such numbers */

	for (unsigned i = 0; i < g->n; i++)
		to[g->field[i]] += (uint64_t)__builtin_popcountll(g->who[i] & who);
}

/* Which of the 64 recipients belong to each provider that occurs among them. */
struct parts {
	unsigned n;
	uint8_t provider[64];
	uint64_t who[64];
};

/* 64 providers, zeros behind the end of the column. */
static const uint8_t *providers_at(slice column, size_t word, uint8_t room[64])
{
	slice s = slice_sub(column, word * 64, word * 64 + 64);

	if (s.len == 64)
		return s.p;
	memset(room, 0, 64);
	if (s.len)
		memcpy(room, s.p, s.len);
	return room;
}

static inline __attribute__((always_inline)) void part(
	const uint8_t p[64], struct parts *parts, uint64_t (*equal)(const uint8_t p[64], uint8_t provider))
{
	uint64_t rest = ~UINT64_C(0);

	for (parts->n = 0; rest; parts->n++) {
		uint8_t provider = p[__builtin_clzll(rest)];
		uint64_t who = equal(p, provider);

		parts->provider[parts->n] = provider;
		parts->who[parts->n] = who;
		rest &= ~who;
	}
}

static inline __attribute__((always_inline)) void add(const struct tally_lane *lane, struct tally *total,
	struct tally by_provider[TALLY_PROVIDERS], uint64_t (*equal)(const uint8_t p[64], uint8_t provider))
{
	uint64_t f[FACT_COUNT] = {0};
	struct parts parts;
	uint8_t room[64];
	size_t longest = 0;

	for (unsigned i = 0; i < FACT_COUNT; i++)
		if (fact_form(i) == FACT_BITS && lane->fact[i].len > longest)
			longest = lane->fact[i].len;
	for (size_t word = 0; word * 8 < longest; word++) {
		struct groups g;

		for (unsigned i = 0; i < FACT_COUNT; i++)
			if (fact_form(i) == FACT_BITS)
				f[i] = word_at(lane->fact[i], word);
		g = group(f);
		if (!g.n)
			continue;
		count(&g, ~UINT64_C(0), total);
		part(providers_at(lane->fact[FACT_provider], word, room), &parts, equal);
		for (unsigned i = 0; i < parts.n; i++)
			count(&g, parts.who[i], &by_provider[parts.provider[i]]);
	}
}

static inline uint64_t equal_portable(const uint8_t p[64], uint8_t provider)
{
	uint64_t who = 0;

	for (unsigned i = 0; i < 64; i++)
		who = who << 1 | (p[i] == provider);
	return who;
}

#ifdef __x86_64__
CPU_TARGET_AVX2 static inline uint64_t equal_avx2(const uint8_t p[64], uint8_t provider)
{
	/* the first recipient in the highest bit: both halves from the end */
	const __m256i turn = _mm256_setr_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14,
		13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	__m256i same = _mm256_set1_epi8((char)provider);
	__m256i a = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)(const void *)p), same);
	__m256i b = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)(const void *)(p + 32)), same);
	uint32_t first, second;

	a = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(a, turn), 0x4e);
	b = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(b, turn), 0x4e);
	first = (uint32_t)_mm256_movemask_epi8(a);
	second = (uint32_t)_mm256_movemask_epi8(b);
	return (uint64_t)first << 32 | second;
}

CPU_TARGET_AVX2 static void add_avx2(
	const struct tally_lane *lane, struct tally *total, struct tally by_provider[TALLY_PROVIDERS])
{
	add(lane, total, by_provider, equal_avx2);
}
#endif

void tally_add_by(enum cpu_path path, const struct tally_lane *lane, struct tally *total,
	struct tally by_provider[TALLY_PROVIDERS])
{
#ifdef __x86_64__
	if (path >= CPU_AVX2) {
		add_avx2(lane, total, by_provider);
		return;
	}
#endif
	(void)path;
	add(lane, total, by_provider, equal_portable);
}

void tally_add(const struct tally_lane *lane, struct tally *total, struct tally by_provider[TALLY_PROVIDERS])
{
	tally_add_by(cpu_best(), lane, total, by_provider);
}
