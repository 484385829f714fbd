/* What the sender's past says of the level at one provider.
 *
 * pure: Three witnesses. Nobody shows evidence more often than mail reaches him, so the
 * keenest readers bound the level from below. Somebody who opened opens again with
 * a chance that is the level times a habit. And recent panel members, whose
 * devices fetch what lies in an inbox, miss it when it lies in the spam folder. */
#ifndef LF_REPORTS_EST_PAST_H
#define LF_REPORTS_EST_PAST_H

#include "reports/est_calibrate.h"
#include "reports/est_grid.h"

struct est_past {
	double openers[EST_REPEATS][EST_SORTINGS][EST_LEVELS];
	double panel[EST_LEAKS][EST_DEVICES][EST_SORTINGS][EST_LEVELS];
};

/* Each likelihood with its largest value 1; prior and sorting's prior are in
 * `openers`. */
void est_past_of(const struct est_grid *g, slice provider, const struct est_stats *s,
	const struct est_calibration *cal, const struct est_without *without, struct est_past *out);

#endif
