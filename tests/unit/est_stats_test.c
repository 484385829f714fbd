#include "reports/est_delay.h"
#include "reports/est_stats.h"
#include "tests/testing.h"

#include <math.h>
#include <string.h>

#define A EST_ACCEPTED
#define CAMPAIGNS 4
#define TARGET (CAMPAIGNS - 1)

static const struct {
	const char *name;
	uint8_t code[CAMPAIGNS];
	enum est_part part; /* in the target */
	bool scanned;
	unsigned tenure; /* of openers */
} rows[] = {
	{"opener", {A | EST_OPENED, A | EST_OPENED, A | EST_OPENED, A | EST_OPENED}, EST_OPENER, false, 2},
	{"silent", {A, A, A, A}, EST_OPENER, false, 2},
	{"newcomer", {0, 0, 0, A}, EST_OPENER, false, 0},
	{"newcomer whose device prefetches", {0, 0, 0, A | EST_FETCHED}, EST_OPENER, false, 0},
	{"member", {A | EST_FETCHED, A, A, A | EST_FETCHED}, EST_MEMBER, false, 0},
	{"not sent", {A | EST_OPENED, A, A, 0}, EST_NOT_ACCEPTED, false, 0},
	{"bounced", {A | EST_OPENED, A, A, EST_BOUNCED}, EST_NOT_ACCEPTED, false, 0},
	{"bounced later", {A | EST_OPENED, A, A, A | EST_BOUNCED}, EST_NOT_ACCEPTED, false, 0},
	{"scanned before", {A | EST_SCANNED, A, A, A | EST_OPENED}, EST_SCANNER, true, 0},
	{"scanned now", {A, A, A, A | EST_SCANNED}, EST_SCANNER, true, 0},
	{"clicks on all", {A | EST_CLICKED, A | EST_CLICKED, A | EST_CLICKED, A | EST_CLICKED}, EST_SCANNER,
		true, 0},
	{"scanned member", {A | EST_SCANNED, A | EST_FETCHED, A, A}, EST_MEMBER, true, 0},
};
#define ROWS (sizeof rows / sizeof *rows)

static struct est_stats count(struct arena *a, const struct est_without *without)
{
	static uint8_t code[ROWS * CAMPAIGNS];
	static double counts[ROWS];
	static const struct est_provider p = {SLICE("gmail"), ROWS, code, counts, NULL, NULL};
	const struct est_input in = {
		.level = .9, .age_h = 72., .campaigns = CAMPAIGNS, .providers = 1, .provider = &p};
	struct est_stats s;

	for (size_t r = 0; r < ROWS; r++) {
		memcpy(code + r * CAMPAIGNS, rows[r].code, CAMPAIGNS);
		counts[r] = 10.;
	}
	est_stats_count(a, &in, without, &s);
	return s;
}

static struct est_tally all_of(const struct est_tally *t, size_t n)
{
	struct est_tally sum = {0., 0.};

	for (size_t i = 0; i < n; i++) {
		sum.mail += t[i].mail;
		sum.shown += t[i].shown;
	}
	return sum;
}

static void places(void **state)
{
	const struct est_without nothing = {0};
	struct est_stats s;
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 24, NULL, NULL);
	s = count(&a, &nothing);
	for (size_t r = 0; r < ROWS; r++) {
		test_numbers_equal(rows[r].name, s.place[r].part, rows[r].part);
		test_numbers_equal(rows[r].name, s.place[r].scanned, rows[r].scanned);
		if (rows[r].part == EST_OPENER)
			test_numbers_equal(rows[r].name, s.place[r].bin / EST_SCORES, rows[r].tenure);
	}
	/* Who always opened stands above who never did. */
	assert_true(s.place[0].bin > s.place[1].bin);
	assert_true(s.accepted == 90.);
	/* opener, newcomer and member by prefetch; not what a scanner may have done */
	assert_true(s.confirmed == 30.);
	assert_true(s.fetched_only == 20.);
	arena_free(&a);
}

static void tallies(void **state)
{
	const struct est_without nothing = {0};
	struct est_tally openers, members;
	struct est_stats s;
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 24, NULL, NULL);
	s = count(&a, &nothing);
	openers = all_of(s.bins[TARGET], EST_BINS);
	members = all_of(s.panel[TARGET], EST_PANEL_BINS);
	assert_true(openers.mail == 40. && openers.shown == 20.);
	assert_true(members.mail == 20. && members.shown == 10.);
	/* One of the two prefetched one of its last three, and none ever opened. */
	assert_true(s.recent[TARGET][0].mail == 20. && s.recent[TARGET][1].mail == 0.);
	/* In the past: the opener's second and third campaign, weighted 1 and 2, and
	 * the silent after-mails of three who opened once. */
	assert_true(s.repeats.shown >= 30.);
	arena_free(&a);
}

static void past_alone_decides(void **state)
{
	const struct est_without nothing = {0};
	struct est_stats s;
	struct arena a;
	size_t bin;

	(void)state;
	arena_init(&a, 1 << 24, NULL, NULL);
	s = count(&a, &nothing);
	/* The first campaign went to strangers: one bin for all. */
	bin = s.place[2].bin;
	assert_true(s.bins[0][bin].mail == all_of(s.bins[0], EST_BINS).mail);
	arena_free(&a);
}

static void without_records(void **state)
{
	const struct est_without records = {.propensity = true};
	struct est_stats s;
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 24, NULL, NULL);
	s = count(&a, &records);
	assert_int_equal(s.place[0].bin, s.place[1].bin);
	arena_free(&a);
}

static void delays(void **state)
{
	struct est_delays few = {.edges = 1, .edge_h = {10.}, .open = {20., 5.}};
	struct est_delays many = {.edges = 2, .edge_h = {1., 24.}, .open = {100., 700., 200.}, .fetch = {1.}};

	(void)state;
	/* Too few of one's own: half of typical opens come within 5.5 h. */
	assert_true(fabs(est_delay_share(&few, EST_SIGNAL_OPEN, 5.5) - .5) < 1e-9);
	assert_true(fabs(est_delay_share(&many, EST_SIGNAL_OPEN, 24.) - .8) < 1e-9);
	assert_true(est_delay_share(&many, EST_SIGNAL_OPEN, 5.) > .1);
	assert_true(est_delay_share(&many, EST_SIGNAL_OPEN, 5.) < .8);
	assert_true(est_delay_share(&many, EST_SIGNAL_OPEN, 5000.) == 1.);
	assert_true(est_delay_share(&many, EST_SIGNAL_OPEN, 0.) > 0.);
	assert_true(
		est_delay_share(&many, EST_SIGNAL_FETCH, .7) == est_delay_share(&few, EST_SIGNAL_FETCH, .7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places),
		cmocka_unit_test(tallies),
		cmocka_unit_test(past_alone_decides),
		cmocka_unit_test(without_records),
		cmocka_unit_test(delays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
