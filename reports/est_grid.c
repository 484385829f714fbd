#include "reports/est_grid.h"

#include "reports/est_math.h"

#include <math.h>

/* Publicly reported shares of legitimate mail that reach the inbox. */
static const struct {
	const char *provider;
	double level;
} usual[] = {
	{"gmail", .88},
	{"outlook", .77},
	{"microsoft", .77},
	{"yahoo", .86},
	{"apple", .82},
	{"corporate", .80},
};
#define USUAL_LEVEL .82

/* A sender's own level lies around the usual one, sometimes far from it. */
#define LEVEL_SD .90
#define LEVEL_FAR .15
#define LEVEL_FAR_SD 1.6

/* The rate lies around the level, or anywhere: collapses happen. */
#define RATE_SD .40
#define RATE_ANYWHERE .15
/* Filtered everywhere: how likely, and which rates then. */
#define TROUBLE .05
#define TROUBLE_RATE -1.4
#define TROUBLE_SD .9

#define APPEAL_FAR .10
#define APPEAL_FAR_SD 1.0

static const unsigned sorting_step[EST_SORTINGS] = {0, 4, 8, 12};
static const double sorting_prior[EST_SORTINGS] = {.40, .30, .20, .10};
static const double leak[EST_LEAKS] = {0., .2, .5, .85};
static const double leak_prior[EST_LEAKS] = {.82, .06, .06, .06};

double est_grid_usual_level(slice provider)
{
	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		if (slice_ieq(provider, slice_str(usual[i].provider)))
			return usual[i].level;
	return USUAL_LEVEL;
}

void est_grid_level_prior(const struct est_grid *g, slice provider, double prior[EST_LEVELS])
{
	double mean = est_logit(est_grid_usual_level(provider));

	for (size_t l = 0; l < EST_LEVELS; l++)
		prior[l] = (1. - LEVEL_FAR) * est_bell(g->level_logit[l], mean, LEVEL_SD) +
			   LEVEL_FAR * est_bell(g->level_logit[l], 0., LEVEL_FAR_SD);
}

/* Evenly spaced from least to most. */
static double spaced(double least, double most, size_t i, size_t n)
{
	return least + (most - least) * (double)i / (double)(n - 1);
}

static void shared_unknowns(struct est_grid *g, double appeal_sd)
{
	for (size_t s = 0; s < EST_SORTINGS; s++) {
		g->sorting_step[s] = sorting_step[s];
		g->sorting[s] = sorting_step[s] * EST_STEP;
		g->sorting_prior[s] = sorting_prior[s];
	}
	for (size_t a = 0; a < EST_APPEALS; a++) {
		g->appeal[a] = spaced(-2.4, 1.2, a, EST_APPEALS);
		g->appeal_prior[a] = (1. - APPEAL_FAR) * est_bell(g->appeal[a], 0., appeal_sd) +
				     APPEAL_FAR * est_bell(g->appeal[a], 0., APPEAL_FAR_SD);
	}
	for (size_t d = 0; d < EST_DEVICES; d++) {
		double x = spaced(est_logit(.82), est_logit(.99), d, EST_DEVICES);

		g->device[d] = est_logistic(x);
		g->device_prior[d] = est_bell(x, est_logit(.95), .75);
	}
	for (size_t v = 0; v < EST_REPEATS; v++) {
		g->repeat_log[v] = spaced(log(.18), log(.92), v, EST_REPEATS);
		g->repeat_prior[v] = est_bell(g->repeat_log[v], log(.5), .60);
	}
	for (size_t f = 0; f < EST_LEAKS; f++) {
		g->leak[f] = leak[f];
		g->leak_prior[f] = leak_prior[f];
	}
	g->trouble_prior[0] = 1. - TROUBLE;
	g->trouble_prior[1] = TROUBLE;
}

static void rate_prior(struct est_grid *g, size_t l)
{
	double near[EST_RATES], anywhere[EST_RATES];
	double *calm = g->rate_prior[0][l], *trouble = g->rate_prior[1][l];

	for (size_t r = 0; r < EST_RATES; r++) {
		near[r] = est_bell(g->rate_logit[r], g->level_logit[l], RATE_SD);
		anywhere[r] = g->rate[r] * (1. - g->rate[r]); /* uniform in the rate itself */
		trouble[r] = est_bell(g->rate_logit[r], TROUBLE_RATE, TROUBLE_SD);
	}
	est_normalise(near, EST_RATES);
	est_normalise(anywhere, EST_RATES);
	est_normalise(trouble, EST_RATES);
	for (size_t r = 0; r < EST_RATES; r++)
		calm[r] = (1. - RATE_ANYWHERE) * near[r] + RATE_ANYWHERE * anywhere[r];
}

void est_grid_init(struct est_grid *g, double appeal_sd)
{
	for (size_t r = 0; r < EST_RATES; r++) {
		g->rate_logit[r] = EST_FIRST_RATE + EST_STEP * (double)r;
		g->rate[r] = est_logistic(g->rate_logit[r]);
	}
	for (size_t l = 0; l < EST_LEVELS; l++) {
		g->level_logit[l] = EST_FIRST_LEVEL + 2. * EST_STEP * (double)l;
		g->level[l] = est_logistic(g->level_logit[l]);
	}
	shared_unknowns(g, appeal_sd);
	for (size_t l = 0; l < EST_LEVELS; l++)
		rate_prior(g, l);
}
