/* What each evidence buys: with it, estimates are better than without it, in a
 * world where it speaks. And what must buy nothing: security scanners. */
#include "tests/estimator/score.h"
#include "tests/testing.h"

#include <math.h>
#include <string.h>

#define CASES 3

static const struct est_without nothing;

static struct score score_world(const char *name, const struct est_without *without)
{
	struct world w = *world_get(name);
	struct score s = {0};

	w.recipients = 6000;
	for (uint64_t seed = 1; seed <= CASES; seed++)
		score_case(&s, &w, seed, without);
	return s;
}

enum figure { RMSE, WIDTH, PENALISED, SKILL };

static double figure_of(const struct score *s, enum figure f)
{
	switch (f) {
	case RMSE:
		return score_rmse(&s->provider);
	case WIDTH:
		return s->provider.width / s->provider.n;
	case PENALISED:
		return s->provider.penalised / s->provider.n;
	case SKILL:
		return -score_skill(s);
	}
	return NAN;
}

static const struct {
	const char *name, *world;
	struct est_without without;
	enum figure figure;
	double worse; /* without it, the figure grows at least by this factor */
} rows[] = {
	{"opens", "classic", {.opens = true}, WIDTH, 1.2},
	{"recipients' records", "classic", {.propensity = true}, RMSE, 1.3},
	{"repeated opens", "classic", {.repeats = true}, WIDTH, 1.05},
	{"panel", "prefetch", {.panel = true}, WIDTH, 1.3},
	{"seeds", "misled-seeds-classic", {.seeds = true}, WIDTH, 1.1},
	{"timing", "young", {.timing = true}, RMSE, 1.3},
};

static void each_buys(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct score with = score_world(rows[i].world, &nothing);
		struct score without = score_world(rows[i].world, &rows[i].without);
		double a = figure_of(&with, rows[i].figure), b = figure_of(&without, rows[i].figure);

		if (!(b >= rows[i].worse * a))
			fail_msg("%s: %.4f with it, %.4f without", rows[i].name, a, b);
	}
}

/* Two campaigns at one provider; the second is changed by the test. */
struct list {
	uint8_t code[4][2];
	double count[4];
	struct est_mail mail[2];
	struct est_provider p;
	struct est_input in;
};

static void list_init(struct list *l)
{
	static const uint8_t code[4][2] = {
		{EST_ACCEPTED | EST_OPENED, EST_ACCEPTED | EST_OPENED},
		{EST_ACCEPTED | EST_OPENED, EST_ACCEPTED},
		{EST_ACCEPTED, EST_ACCEPTED},
		{EST_ACCEPTED, EST_ACCEPTED},
	};
	static const double count[4] = {300., 250., 900., 50.};

	memcpy(l->code, code, sizeof code);
	memcpy(l->count, count, sizeof count);
	l->mail[0] = (struct est_mail){.sent = 1510., .accepted = 1500., .deferred = 15., .blocked = 3.};
	l->mail[1] = l->mail[0];
	l->p = (struct est_provider){SLICE("corporate"), 4, &l->code[0][0], l->count, l->mail, NULL};
	l->in = (struct est_input){
		.level = .9, .age_h = 72., .campaigns = 2, .providers = 1, .provider = &l->p};
}

static struct estimate_provider answer(
	struct arena *a, const struct list *l, const struct est_without *without)
{
	arena_reset(a);
	return estimate_of(a, &l->in, without).provider[0];
}

static void scanners_prove_nothing(void **state)
{
	struct estimate_provider quiet, busy;
	struct list l;
	struct arena a;

	(void)state;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	list_init(&l);
	l.code[3][1] = EST_ACCEPTED | EST_SCANNED;
	quiet = answer(&a, &l, &nothing);
	/* The scanner opens and clicks all it can find. */
	l.code[3][1] = EST_ACCEPTED | EST_SCANNED | EST_OPENED | EST_CLICKED;
	busy = answer(&a, &l, &nothing);
	assert_true(fabs(busy.all.rate - quiet.all.rate) < 1e-9);
	assert_true(busy.all.confirmed == quiet.all.confirmed);
	/* The same from people counts. */
	l.code[3][1] = EST_ACCEPTED | EST_OPENED | EST_CLICKED;
	busy = answer(&a, &l, &nothing);
	assert_true(busy.all.confirmed == quiet.all.confirmed + 50.);
	assert_true(busy.all.rate > quiet.all.rate);
	arena_free(&a);
}

static void complaints_prove_arrival(void **state)
{
	const struct est_without deaf = {.feedback = true};
	struct estimate_provider heard, unheard;
	struct list l;
	struct arena a;

	(void)state;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	list_init(&l);
	l.code[3][1] = EST_ACCEPTED | EST_COMPLAINED;
	heard = answer(&a, &l, &nothing);
	unheard = answer(&a, &l, &deaf);
	assert_true(heard.all.confirmed == unheard.all.confirmed + 50.);
	assert_true(heard.all.rate > unheard.all.rate);
	arena_free(&a);
}

/* Many refusals are a hint of trouble, and no more than a hint. */
static void refusals_hint(void **state)
{
	const struct est_without deaf = {.blocks = true};
	struct estimate_provider calm, refused, unheard;
	struct list l;
	struct arena a;

	(void)state;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	list_init(&l);
	calm = answer(&a, &l, &nothing);
	l.mail[1].deferred = 90.;
	l.mail[1].blocked = 20.;
	refused = answer(&a, &l, &nothing);
	unheard = answer(&a, &l, &deaf);
	assert_true(refused.all.rate < calm.all.rate);
	assert_true(refused.all.rate < unheard.all.rate);
	assert_true(calm.all.rate - refused.all.rate < .1);
	arena_free(&a);
}

/* Silence of those with a record of opening says more than silence of the rest. */
static void silence_weighs_by_record(void **state)
{
	struct estimate_provider e;
	struct list l;
	struct arena a;

	(void)state;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	list_init(&l);
	e = answer(&a, &l, &nothing);
	assert_true(e.message[1] < e.message[2]);
	assert_true(e.message[0] > .9 && e.message[0] < 1.);
	arena_free(&a);
}

static void same_every_time(void **state)
{
	struct score one = score_world("small", &nothing), two = score_world("small", &nothing);

	(void)state;
	assert_memory_equal(&one, &two, sizeof one);
}

/* Honest worlds, and two that break the model: figures that must hold. */
static void holds(void **state)
{
	static const struct {
		const char *world;
		double rmse, covered, found;
	} want[] = {
		{"prefetch", .05, .9, 0.},
		{"collapse", .05, .9, .97},
		{"misled-seeds", .09, .85, 0.},
		{"sliding", .05, .9, 0.},
	};

	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		struct score s = score_world(want[i].world, &nothing);

		if (!(score_rmse(&s.provider) <= want[i].rmse &&
			    s.provider.covered >= want[i].covered * s.provider.n &&
			    s.overall.covered >= .8 * s.overall.n && s.found >= want[i].found * s.collapses &&
			    s.alarmed <= .01 * s.steady))
			fail_msg("%s: RMSE %.3f, covered %.0f of %.0f, overall %.0f of %.0f, found %.0f of "
				 "%.0f, false alarms %.0f",
				want[i].world, score_rmse(&s.provider), s.provider.covered, s.provider.n,
				s.overall.covered, s.overall.n, s.found, s.collapses, s.alarmed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_buys),
		cmocka_unit_test(scanners_prove_nothing),
		cmocka_unit_test(complaints_prove_arrival),
		cmocka_unit_test(refusals_hint),
		cmocka_unit_test(silence_weighs_by_record),
		cmocka_unit_test(same_every_time),
		cmocka_unit_test(holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
