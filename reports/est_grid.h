/* The unknowns and their grids. Everything the estimator integrates over is a sum
 * over these; nothing is sampled but the overall figure.
 *
 * pure: Of each provider: the *rate*, the share of this campaign's accepted mail
 * that came into an inbox view, and the *level*, the same of its past. Shared by
 * all providers: the rest of the list below. Rates and levels are evenly spaced in
 * their logit, and a step of the level is two of the rate, so that a shift of both
 * by the *sorting* is a shift of the index.
 */
#ifndef LF_REPORTS_EST_GRID_H
#define LF_REPORTS_EST_GRID_H

#include "core/base/slice.h"

#define EST_RATES 73
#define EST_LEVELS 27
#define EST_STEP (.4 / 3.) /* of the rate's logit */
#define EST_FIRST_RATE -4.6
#define EST_FIRST_LEVEL -2.8

/* Sorting: how much better than average mail to those who open is placed. */
#define EST_SORTINGS 4
#define EST_SORTING_MOST 12 /* steps of the rate */
#define EST_WIDE_RATES (EST_RATES + EST_SORTING_MOST)
#define EST_WIDE_LEVELS (EST_LEVELS + EST_SORTING_MOST / 2)

#define EST_APPEALS 37 /* of the campaign, compared with the past: logit of reading */
#define EST_DEVICES 9  /* how reliably a live device in an inbox prefetches */
#define EST_REPEATS 11 /* log of how often somebody who opened opens the next */
#define EST_LEAKS 4    /* share of prefetches that come out of spam folders */
#define EST_LINKS 2    /* how appeal acts on reading: on the logit, or as a factor */
#define EST_TROUBLES 2 /* the sender is filtered everywhere: no, yes */

struct est_grid {
	double rate_logit[EST_RATES], rate[EST_RATES];
	double level_logit[EST_LEVELS], level[EST_LEVELS];
	unsigned sorting_step[EST_SORTINGS];
	double sorting[EST_SORTINGS], sorting_prior[EST_SORTINGS]; /* in logit */
	double appeal[EST_APPEALS], appeal_prior[EST_APPEALS];
	double device[EST_DEVICES], device_prior[EST_DEVICES];
	double repeat_log[EST_REPEATS], repeat_prior[EST_REPEATS];
	double leak[EST_LEAKS], leak_prior[EST_LEAKS];
	double trouble_prior[EST_TROUBLES];
	/* Rate given level, with and without trouble everywhere; sums to 1. */
	double rate_prior[EST_TROUBLES][EST_LEVELS][EST_RATES];
};

/* appeal_sd: spread of appeal that is to be expected of this campaign. */
void est_grid_init(struct est_grid *g, double appeal_sd);

/* Prior of the provider's level, by its public level where one is known. */
void est_grid_level_prior(const struct est_grid *g, slice provider, double prior[EST_LEVELS]);
double est_grid_usual_level(slice provider);

#endif
