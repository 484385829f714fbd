/* Questions at the edges: what the estimator says when there is next to nothing to
 * go by. */
#include "reports/estimate.h"
#include "tests/estimator/world.h"
#include "tests/testing.h"

#include <math.h>
#include <string.h>

static const struct est_without nothing;

/* A world of 3,000 recipients, changed by the test. */
static struct world small_world(void)
{
	struct world w = *world_get("prefetch");

	w.recipients = 3000;
	w.seeded = 0.;
	return w;
}

static void sensible(const struct estimate_overall *o)
{
	assert_true(o->accepted >= o->confirmed && o->confirmed >= 0.);
	if (!o->has_bounds) {
		assert_false(o->has_rate);
		return;
	}
	assert_true(0. <= o->lo && o->lo <= o->hi && o->hi <= 1.);
	/* Silence never makes a rate certain, and what is confirmed is never denied. */
	if (o->has_rate) {
		assert_true(o->lo <= o->rate && o->rate <= o->hi);
		assert_true(o->rate > 0. && o->rate < 1.);
		assert_true(o->hi > o->lo);
		assert_true(o->hi >= o->confirmed / o->accepted);
	}
}

static struct estimate ask(struct arena *a, const struct est_input *in)
{
	struct estimate e = estimate_of(a, in, &nothing);

	sensible(&e.overall);
	for (size_t p = 0; p < in->providers; p++) {
		sensible(&e.provider[p].all);
		for (size_t r = 0; r < in->provider[p].rows; r++) {
			double m = e.provider[p].message[r];

			assert_true(isnan(m) || (m > 0. && m < 1.));
		}
	}
	return e;
}

static void status_is(const struct estimate_overall *o, enum est_status want)
{
	assert_string_equal(est_status_word(o->status), est_status_word(want));
}

static void no_past(void **state)
{
	struct world w = small_world();
	struct world_case c;
	struct estimate e;
	struct arena a;

	(void)state;
	w.past_least = w.past_most = 0;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	world_make(&a, &w, 1, &c);
	e = ask(&a, &c.in);
	assert_true(e.overall.has_rate);
	/* Without a past and without seeds, the answer stays wide. */
	for (size_t p = 0; p < WORLD_PROVIDERS; p++) {
		assert_true(e.provider[p].all.hi - e.provider[p].all.lo > .15);
		assert_false(e.provider[p].has_change);
	}
	arena_free(&a);
}

static void one_provider(void **state)
{
	struct world w = small_world();
	struct world_case c;
	struct estimate all, one;
	struct arena a;

	(void)state;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	world_make(&a, &w, 2, &c);
	all = ask(&a, &c.in);
	c.in.providers = 1;
	one = ask(&a, &c.in);
	assert_true(one.overall.has_rate);
	/* The others tell what is shared: alone, less is known. */
	assert_true(one.overall.hi - one.overall.lo > .9 * (all.provider[0].all.hi - all.provider[0].all.lo));
	assert_true(fabs(one.overall.rate - one.provider[0].all.rate) < .02);
	arena_free(&a);
}

/* Clear what was seen of the target. */
static void blind_target(struct arena *a, struct est_input *in)
{
	for (size_t p = 0; p < in->providers; p++) {
		struct est_provider *q = (struct est_provider *)&in->provider[p];
		size_t n = q->rows * in->campaigns;
		uint8_t *code = arena_alloc(a, n + 1);

		memcpy(code, q->code, n);
		for (size_t r = 0; r < q->rows; r++)
			code[(r + 1) * in->campaigns - 1] &= EST_ACCEPTED | EST_BOUNCED;
		q->code = code;
	}
}

static void tracker_off(void **state)
{
	struct world w = small_world();
	struct world_case c;
	struct estimate e;
	struct arena a;

	(void)state;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	world_make(&a, &w, 3, &c);
	blind_target(&a, &c.in);
	e = ask(&a, &c.in);
	status_is(&e.overall, EST_STATUS_NO_SIGNAL);
	assert_false(e.overall.has_rate);
	assert_true(e.overall.lo == 0. && e.overall.hi == 1.);
	arena_free(&a);
}

/* The same silence, but nothing was due: no past, so nothing can be missed. */
static void silent_strangers(void **state)
{
	struct world w = small_world();
	struct world_case c;
	struct estimate e;
	struct arena a;

	(void)state;
	w.past_least = w.past_most = 0;
	w.recipients = 60;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	world_make(&a, &w, 4, &c);
	blind_target(&a, &c.in);
	e = ask(&a, &c.in);
	assert_true(!e.overall.has_rate || e.overall.hi - e.overall.lo > .2);
	arena_free(&a);
}

static void twelve_minutes(void **state)
{
	struct world w = small_world();
	struct world_case c;
	struct estimate e;
	struct arena a;

	(void)state;
	w.age_h = .2;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	world_make(&a, &w, 5, &c);
	e = ask(&a, &c.in);
	status_is(&e.overall, EST_STATUS_TOO_EARLY);
	assert_false(e.overall.has_rate);
	assert_true(e.overall.hi == 1.);
	/* Nothing but what is proven already, less what may be proven falsely. */
	assert_true(e.overall.lo <= e.overall.confirmed / e.overall.accepted);
	assert_true(e.overall.lo > .5 * e.overall.confirmed / e.overall.accepted);
	arena_free(&a);
}

static void all_bounced(void **state)
{
	struct world w = small_world();
	struct world_case c;
	struct estimate e;
	struct arena a;

	(void)state;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	world_make(&a, &w, 6, &c);
	for (size_t p = 0; p < c.in.providers; p++)
		for (size_t r = 0; r < c.in.provider[p].rows; r++)
			((uint8_t *)c.in.provider[p].code)[(r + 1) * c.in.campaigns - 1] = EST_BOUNCED;
	e = ask(&a, &c.in);
	status_is(&e.overall, EST_STATUS_NO_MAIL);
	assert_false(e.overall.has_bounds);
	for (size_t p = 0; p < WORLD_PROVIDERS; p++)
		status_is(&e.provider[p].all, EST_STATUS_NO_MAIL);
	arena_free(&a);
}

/* More past than recipients' records look back. */
static void long_past(void **state)
{
	struct world w = small_world();
	struct world_case c;
	struct estimate e;
	struct arena a;
	double truth = 0.;

	(void)state;
	w.past_least = w.past_most = 25;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	world_make(&a, &w, 7, &c);
	e = ask(&a, &c.in);
	status_is(&e.overall, EST_STATUS_PANEL);
	for (size_t p = 0; p < WORLD_PROVIDERS; p++)
		truth += c.truth[p].inbox;
	assert_true(e.overall.lo <= truth / e.overall.accepted && truth / e.overall.accepted <= e.overall.hi);
	arena_free(&a);
}

static void thirty_recipients(void **state)
{
	struct world w = small_world();
	struct arena a;

	(void)state;
	w.recipients = 30;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct world_case c;
		struct estimate e;

		arena_reset(&a);
		world_make(&a, &w, seed, &c);
		e = ask(&a, &c.in);
		if (e.overall.has_rate)
			assert_true(e.overall.hi - e.overall.lo > .1);
	}
	arena_free(&a);
}

static void nobody_at_all(void **state)
{
	struct est_input in = {.level = .9, .age_h = 72., .campaigns = 1};
	struct estimate e;
	struct arena a;

	(void)state;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	e = ask(&a, &in);
	status_is(&e.overall, EST_STATUS_NO_MAIL);
	arena_free(&a);
}

/* Everybody read it: the rate is high, and still not certain. */
static void everybody_opened(void **state)
{
	static const uint8_t code[] = {EST_ACCEPTED | EST_OPENED, EST_ACCEPTED | EST_OPENED};
	static const double count[] = {500.};
	const struct est_provider p = {SLICE("gmail"), 1, code, count, NULL, NULL};
	struct est_input in = {.level = .9, .age_h = 72., .campaigns = 2, .providers = 1, .provider = &p};
	struct estimate e;
	struct arena a;

	(void)state;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	e = ask(&a, &in);
	assert_true(e.overall.has_rate && e.overall.rate > .95);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_past),
		cmocka_unit_test(one_provider),
		cmocka_unit_test(tracker_off),
		cmocka_unit_test(silent_strangers),
		cmocka_unit_test(twelve_minutes),
		cmocka_unit_test(all_bounced),
		cmocka_unit_test(long_past),
		cmocka_unit_test(thirty_recipients),
		cmocka_unit_test(nobody_at_all),
		cmocka_unit_test(everybody_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
