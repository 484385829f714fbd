#include "tests/testing.h"

#include "core/model/provider.h"
#include "reports/arrival.h"
#include "reports/tally.h"

#include <string.h>

/* One recipient per line: everything that can happen to a message. */
struct story {
	const char *what;
	unsigned facts; /* 1 << enum fact */
	uint8_t provider;
};
#define B(fact) (1u << FACT_##fact)
static const struct story story[] = {
	{"sent, nothing heard", B(sent), PROVIDER_GMAIL},
	{"accepted", B(sent) | B(accepted), PROVIDER_GMAIL},
	{"deferred, then accepted", B(sent) | B(deferred) | B(accepted), PROVIDER_GMAIL},
	{"deferred, waiting", B(sent) | B(deferred), PROVIDER_YAHOO},
	{"hard bounce", B(sent) | B(bounced_hard), PROVIDER_YAHOO},
	{"accepted, bounced later", B(sent) | B(accepted) | B(bounced_soft), PROVIDER_YAHOO},
	{"hard and block: once, as hard", B(sent) | B(bounced_hard) | B(bounced_block), PROVIDER_YAHOO},
	{"opened", B(sent) | B(accepted) | B(opened_human), PROVIDER_OTHER},
	{"opened by proxy, clicked", B(sent) | B(accepted) | B(opened_proxy) | B(clicked_human),
		PROVIDER_OTHER},
	{"prefetched only", B(sent) | B(accepted) | B(opened_prefetch), PROVIDER_APPLE},
	{"scanned", B(sent) | B(accepted) | B(opened_machine) | B(clicked_machine), PROVIDER_APPLE},
	{"human and machine", B(sent) | B(accepted) | B(opened_human) | B(opened_machine) | B(unsubscribed),
		PROVIDER_APPLE},
	{"accepted, SENT not recorded", B(accepted), PROVIDER_OTHER},
	{"deferred, SENT not recorded", B(deferred), PROVIDER_OTHER},
};
#define STORIES (sizeof story / sizeof *story)
#define ROOM 40 /* bytes of a bitmap */

static void tell(
	struct tally_lane *lane, uint8_t bits[FACT_COUNT][ROOM], uint8_t provider[ROOM * 8], size_t first)
{
	for (size_t i = 0; i < STORIES; i++) {
		size_t n = first + i;

		for (unsigned f = 0; f < FACT_COUNT; f++)
			if (story[i].facts & 1u << f)
				bits[f][n / 8] |= (uint8_t)(0x80 >> n % 8);
		provider[n] = story[i].provider;
	}
	for (unsigned f = 0; f < FACT_COUNT; f++)
		if (fact_form(f) == FACT_BITS)
			lane->fact[f] = slice_of(bits[f], ROOM);
	lane->fact[FACT_provider] = slice_of(provider, ROOM * 8);
}

static void check(const char *what, uint64_t got, uint64_t want)
{
	test_numbers_equal(what, (long long)got, (long long)want);
}

static void check_story(const struct tally *t, uint64_t times)
{
	check("sent", t->sent, 14 * times);
	check("accepted, net of later bounces", t->accepted, 8 * times);
	check("deferred ever", t->deferred, 3 * times);
	check("pending", t->pending, 3 * times);
	check("bounced", t->bounced, 3 * times);
	check("hard", t->bounced_hard, 2 * times);
	check("soft", t->bounced_soft, 1 * times);
	check("block, not already hard", t->bounced_block, 0);
	check("opened by people", t->opened_human, 3 * times);
	check("opened by machines", t->opened_machine, 3 * times);
	check("opened by any", t->opened_any, 5 * times);
	check("clicked by people", t->clicked_human, 1 * times);
	check("clicked by any", t->clicked_any, 2 * times);
	check("confirmed", t->confirmed, 3 * times);
	check("sent is a sum", t->sent, t->accepted + t->bounced + t->pending);
}

/* At every alignment, so that each line falls on each side of word and byte
 * borders. */
static void counts_at_every_offset(void **state)
{
	(void)state;
	for (size_t first = 0; first + STORIES <= ROOM * 8; first++) {
		uint8_t bits[FACT_COUNT][ROOM] = {{0}}, provider[ROOM * 8] = {0};
		struct tally total = {0}, by[TALLY_PROVIDERS] = {{0}};
		struct tally_lane lane = {0};

		tell(&lane, bits, provider, first);
		tally_add(&lane, &total, by);
		check_story(&total, 1);
		check("gmail sent", by[PROVIDER_GMAIL].sent, 3);
		check("gmail accepted", by[PROVIDER_GMAIL].accepted, 2);
		check("yahoo bounced", by[PROVIDER_YAHOO].bounced, 3);
		check("other confirmed", by[PROVIDER_OTHER].confirmed, 2);
		check("apple opened", by[PROVIDER_APPLE].opened_human, 1);
	}
}

/* Fourteen recipients fit two bytes; a bitmap in Redis ends with its last page,
 * and a fact that never happened has no key at all. */
static void short_bitmaps_are_zeros(void **state)
{
	uint8_t bits[FACT_COUNT][ROOM] = {{0}}, provider[ROOM * 8] = {0};
	struct tally total = {0}, by[TALLY_PROVIDERS] = {{0}};
	struct tally_lane lane = {0};

	(void)state;
	tell(&lane, bits, provider, 0);
	for (unsigned f = 0; f < FACT_COUNT; f++)
		if (fact_form(f) == FACT_BITS)
			lane.fact[f] = test_guard(slice_of(bits[f], 2));
	lane.fact[FACT_provider] = SLICE_NONE;
	tally_add(&lane, &total, by);
	check_story(&total, 1);
	check("no provider column: all other", by[PROVIDER_OTHER].sent, 14);
	for (unsigned f = 0; f < FACT_COUNT; f++)
		if (fact_form(f) == FACT_BITS)
			test_unguard(lane.fact[f]);
}

/* Each path counts what one recipient after another comes to. */
static void every_path_counts_the_same(void **state)
{
	static struct tally by[TALLY_PROVIDERS], want_by[TALLY_PROVIDERS];
	uint8_t bits[FACT_COUNT][25], provider[200];
	uint64_t x = 88172645463325252u;

	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		struct tally want = {0};
		struct tally_lane lane = {0};

		for (unsigned i = 0; i < sizeof provider; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			provider[i] = (uint8_t)(round % 2 ? x : x % 9);
		}
		for (unsigned f = 0; f < FACT_COUNT; f++)
			for (unsigned i = 0; i < sizeof bits[f]; i++) {
				x ^= x << 13, x ^= x >> 7, x ^= x << 17;
				bits[f][i] = (uint8_t)(x & x >> 8 & (round % 3 ? x >> 16 : ~UINT64_C(0)));
			}
		for (unsigned f = 0; f < FACT_COUNT; f++)
			if (f != FACT_provider)
				lane.fact[f] = test_guard(slice_of(bits[f], sizeof bits[f]));
		lane.fact[FACT_provider] = test_guard(slice_of(provider, 190 + round % 11));
		for (unsigned i = 190 + round % 11; i < sizeof provider; i++)
			provider[i] = 0;
		memset(want_by, 0, sizeof want_by);
		for (unsigned i = 0; i < sizeof provider; i++) {
			uint8_t one[FACT_COUNT];
			struct tally_lane alone = {0};

			for (unsigned f = 0; f < FACT_COUNT; f++) {
				one[f] = (uint8_t)(bits[f][i / 8] << i % 8 & 0x80);
				alone.fact[f] = slice_of(&one[f], 1);
			}
			alone.fact[FACT_provider] = slice_of(provider + i, 1);
			tally_add_by(CPU_PORTABLE, &alone, &want, want_by);
		}
		for (unsigned path = 0; path < CPU_PATHS; path++) {
			struct tally total = {0};

			if (!cpu_has(path))
				continue;
			memset(by, 0, sizeof by);
			tally_add_by(path, &lane, &total, by);
			assert_memory_equal(&total, &want, sizeof want);
			assert_memory_equal(by, want_by, sizeof by);
		}
		for (unsigned f = 0; f < FACT_COUNT; f++)
			test_unguard(lane.fact[f]);
	}
}

static void lanes_add_up(void **state)
{
	uint8_t bits[FACT_COUNT][ROOM] = {{0}}, provider[ROOM * 8] = {0};
	struct tally total = {0}, by[TALLY_PROVIDERS] = {{0}};
	struct tally_lane lane = {0};

	(void)state;
	tell(&lane, bits, provider, 57);
	tally_add(&lane, &total, by);
	tally_add(&lane, &total, by);
	check_story(&total, 2);
}

static void arrival_says_only_what_is_known(void **state)
{
	static const struct {
		const char *row;
		uint64_t accepted, confirmed, age_ms;
		const char *status;
		double low, high;
	} rows[] = {
		{"nothing accepted", 0, 0, 0, "no_mail", 0, 1},
		{"a minute after sending", 100, 3, 60000, "too_early", 0.03, 1},
		{"silence for a day", 100, 0, 86400000, "no_signal", 0, 1},
		{"a day", 200, 50, 86400000, "bounds_only", 0.25, 1},
		{"everybody", 5, 5, 86400000, "bounds_only", 1, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arrival a = arrival_of(rows[i].accepted, rows[i].confirmed, rows[i].age_ms);

		test_slices_equal(rows[i].row, slice_str(arrival_word(a.status)), slice_str(rows[i].status));
		assert_false(a.has_rate);
		assert_true(a.low == rows[i].low && a.high == rows[i].high);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_at_every_offset),
		cmocka_unit_test(short_bitmaps_are_zeros),
		cmocka_unit_test(every_path_counts_the_same),
		cmocka_unit_test(lanes_add_up),
		cmocka_unit_test(arrival_says_only_what_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
