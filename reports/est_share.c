#include "reports/est_share.h"

#include "reports/est_math.h"

#include <math.h>

#define FALSE_PROOF .015 /* on average, and up to twice that */
#define LEAK_WEIGHT 3.   /* a prefetch proves less where they leak */

struct est_share est_share_proven(double accepted, double confirmed, double fetched_only, double leak)
{
	double sure = confirmed - fetched_only * fmin(1., LEAK_WEIGHT * leak);

	return (struct est_share){accepted, est_clamp(sure / accepted, 0., 1.) * (1. - FALSE_PROOF)};
}

double est_share_draw(const struct est_share *s, double rate, double u, double z)
{
	double proven = s->proven / (1. - FALSE_PROOF) * (1. - 2. * FALSE_PROOF * u), open = 1. - proven;
	double rest = est_clamp((rate - proven) / fmax(open, 1e-9), 0., 1.);
	double noise = open * sqrt(rest * (1. - rest) / fmax(open * s->accepted, 1.));

	return est_clamp(proven + open * rest + noise * z, proven, 1.);
}

struct est_interval est_share_interval(double *draws, size_t n, double level)
{
	struct est_interval i = {0., 0., 0.};

	for (size_t j = 0; j < n; j++)
		i.mean += draws[j] / (double)n;
	est_sort(draws, n);
	i.lo = fmin(est_quantile(draws, n, (1. - level) / 2.), i.mean);
	i.hi = fmax(est_quantile(draws, n, (1. + level) / 2.), i.mean);
	return i;
}

struct est_interval est_share_of(
	struct arena *a, const struct est_share *s, const double rate[EST_RATES], double level)
{
	double *draws = arena_array(a, double, EST_SHARE_DRAWS), *u = arena_array(a, double, EST_SHARE_DRAWS);
	double *z = arena_array(a, double, EST_SHARE_DRAWS), sum = 0., below = 0.;
	struct est_dice dice = {7};
	size_t r = 0;

	for (size_t i = 0; i < EST_RATES; i++)
		sum += rate[i];
	est_dice_strata(&dice, u, EST_SHARE_DRAWS);
	est_dice_strata(&dice, z, EST_SHARE_DRAWS);
	for (size_t j = 0; j < EST_SHARE_DRAWS; j++) {
		double want = ((double)j + .5) / EST_SHARE_DRAWS * sum, part;

		while (r + 1 < EST_RATES && below + rate[r] < want)
			below += rate[r++];
		part = est_clamp((want - below) / fmax(rate[r], 1e-300), 0., 1.);
		draws[j] =
			est_share_draw(s, est_logistic(EST_FIRST_RATE + EST_STEP * ((double)r - .5 + part)),
				u[j], est_normal_at(z[j]));
	}
	return est_share_interval(draws, EST_SHARE_DRAWS, level);
}
