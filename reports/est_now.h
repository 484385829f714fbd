/* What else the target tells of its placement at one provider: the panel's
 * prefetches, seeds, and (a weak hint) refusals and deferrals.
 *
 * pure: Each is a likelihood over leak, sorting, level and rate. */
#ifndef LF_REPORTS_EST_NOW_H
#define LF_REPORTS_EST_NOW_H

#include "reports/est_calibrate.h"
#include "reports/est_grid.h"

struct est_now {
	/* Largest value 1. */
	double place[EST_LEAKS][EST_SORTINGS][EST_LEVELS][EST_RATES];
	double panel_expected; /* prefetches if placement were as ever */
	double panel_shown;
	double seeds;      /* seeds of the target */
	double past_seeds; /* of the past */
};

/* share: of prefetches that are in by now. */
void est_now_of(struct arena *a, const struct est_grid *g, const struct est_input *in,
	const struct est_provider *p, const struct est_stats *s, const struct est_calibration *cal, double share,
	const struct est_without *without, struct est_now *out);

#endif
