#include "reports/est_verdict.h"

#include "reports/est_math.h"

#include <math.h>
#include <stdlib.h>

#define COLLAPSED .6 /* of the level */
#define LOW .5
#define SURE .9
#define LIKELY .5

/* What it takes to say what identified a rate. */
#define WIDE .50 /* an interval wider than this says little */
#define PANEL_LEAST 25.
#define PANEL_LEAK_MOST .25
#define SEEDS_LEAST 8.
#define HISTORY_CAMPAIGNS 3
#define HISTORY_LEAST 25.
#define ANCHOR_SEEDS 20.
#define ANCHOR_PANEL 30.

const char *est_status_word(enum est_status s)
{
	static const char *const words[] = {
#define S(name, word, meaning) word,
		EST_STATUS_LIST(S)
#undef S
	};

	return words[s];
}

const char *est_alarm_word(enum est_alarm a)
{
	static const char *const words[] = {
#define A(name, word) word,
		EST_ALARM_LIST(A)
#undef A
	};

	return words[a];
}

struct change {
	double log_ratio, weight;
};

static int by_ratio(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	return (x->log_ratio > y->log_ratio) - (x->log_ratio < y->log_ratio);
}

/* The log ratio at share u of the sorted changes. */
static double change_at(const struct change *c, size_t n, double u)
{
	double sum = 0., all = 0.;

	for (size_t i = 0; i < n; i++)
		all += c[i].weight;
	for (size_t i = 0; i < n; i++) {
		sum += c[i].weight;
		if (sum >= u * all)
			return c[i].log_ratio;
	}
	return c[n - 1].log_ratio;
}

struct est_change est_change_of(struct arena *a, const struct est_grid *g, const struct est_posterior *post,
	double level, const struct est_share *share, double estimate, double past_accepted)
{
	size_t n = (size_t)EST_LEVELS * EST_RATES;
	struct change *c = arena_array(a, struct change, n);
	struct est_change out = {0};
	double e = est_clamp(estimate, .02, .98), z = est_normal_at((1. + level) / 2.);
	double scatter = z * z * (1. - e) / e *
			 ((1. - share->proven) / share->accepted + 1. / fmax(past_accepted, 1.));
	double lo, middle, hi;

	for (size_t l = 0; l < EST_LEVELS; l++)
		for (size_t r = 0; r < EST_RATES; r++) {
			double log_ratio = log(g->rate[r] / g->level[l]), weight = post->both[l][r];

			c[l * EST_RATES + r] = (struct change){log_ratio, weight};
			if (log_ratio < log(COLLAPSED))
				out.collapse += weight;
			if (g->rate[r] < LOW)
				out.low += weight;
		}
	qsort(c, n, sizeof *c, by_ratio);
	lo = change_at(c, n, (1. - level) / 2.);
	middle = change_at(c, n, .5);
	hi = change_at(c, n, (1. + level) / 2.);
	out.ratio = exp(middle);
	out.lo = exp(middle - sqrt((middle - lo) * (middle - lo) + scatter));
	out.hi = exp(middle + sqrt((hi - middle) * (hi - middle) + scatter));
	return out;
}

enum est_alarm est_alarm_of(const struct est_change *c)
{
	if (c->collapse >= SURE)
		return EST_ALARM_COLLAPSE;
	if (c->low >= SURE)
		return EST_ALARM_LOW;
	return c->collapse >= LIKELY || c->low >= LIKELY ? EST_ALARM_WATCH : EST_ALARM_NONE;
}

enum est_status est_status_of(const struct est_evidence *e, const struct est_calibration *cal,
	const struct est_interval *i, const struct est_shared *shared, size_t past, double doubt)
{
	if (i->hi - i->lo > WIDE || doubt >= .25)
		return EST_STATUS_BOUNDS_ONLY;
	if (e->now.panel_expected >= PANEL_LEAST && past >= 1 && shared->leak < PANEL_LEAK_MOST)
		return EST_STATUS_PANEL;
	if (e->now.seeds >= SEEDS_LEAST)
		return EST_STATUS_SEEDS;
	if (past < HISTORY_CAMPAIGNS || e->opens.expected < HISTORY_LEAST)
		return EST_STATUS_BOUNDS_ONLY;
	return e->now.past_seeds >= ANCHOR_SEEDS || cal->panel_mail >= ANCHOR_PANEL ? EST_STATUS_HISTORY
										    : EST_STATUS_RELATIVE;
}
