/* What the opens and clicks of the target say, for every rate, level and appeal.
 *
 * pure: Binomial in each bin, tempered, since bins are not as equal as they look. */
#ifndef LF_REPORTS_EST_OPENS_H
#define LF_REPORTS_EST_OPENS_H

#include "reports/est_calibrate.h"
#include "reports/est_grid.h"

/* Levels and rates as openers see them: with sorting w, level l and rate r look up
 * [l + sorting_step / 2][r + sorting_step]. */
typedef double est_opens_table[EST_APPEALS][EST_WIDE_LEVELS][EST_WIDE_RATES];

struct est_opens {
	est_opens_table *link; /* EST_LINKS of them; largest value 1 */
	double expected;       /* evidence if placement and appeal were as ever */
	double shown;
};

/* share: of first signals that are in by now. past: campaigns. */
void est_opens_of(struct arena *a, const struct est_grid *g, const struct est_tally target[EST_BINS],
	const struct est_calibration *cal, double share, size_t past, const struct est_without *without,
	struct est_opens *out);

#endif
