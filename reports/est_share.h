/* From the rate, a tendency, to the share of these very messages.
 *
 * pure: What is proven counts for certain (but for a little false proof), the rest
 * is binomial around the rate. */
#ifndef LF_REPORTS_EST_SHARE_H
#define LF_REPORTS_EST_SHARE_H

#include "core/base/arena.h"
#include "reports/est_grid.h"

/* Draws of a provider's share. */
#define EST_SHARE_DRAWS 2048

struct est_share {
	double accepted;
	double proven; /* share of the accepted that evidence proves, false proof taken off */
};

struct est_interval {
	double mean, lo, hi;
};

/* leak: share of prefetches out of spam folders. accepted > 0. */
struct est_share est_share_proven(double accepted, double confirmed, double fetched_only, double leak);

/* A draw of the share at a rate; u 0..1 is how much of the proof is false, z a
 * standard normal. */
double est_share_draw(const struct est_share *s, double rate, double u, double z);

/* Quantiles of n draws at the level, which are sorted; the mean is within. */
struct est_interval est_share_interval(double *draws, size_t n, double level);

/* The provider's own interval, from its posterior over the grid. */
struct est_interval est_share_of(
	struct arena *a, const struct est_share *s, const double rate[EST_RATES], double level);

#endif
