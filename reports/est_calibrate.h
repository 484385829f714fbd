/* What the past says a bin should show, at each provider, in an average campaign.
 *
 * pure: Recent campaigns weigh more; a bin that is rarely met leans on the same bin
 * at the other providers. */
#ifndef LF_REPORTS_EST_CALIBRATE_H
#define LF_REPORTS_EST_CALIBRATE_H

#include "reports/est_stats.h"

struct est_calibration {
	double shows[EST_BINS];        /* share of a bin that shows evidence */
	double known[EST_BINS];        /* evidence that rate rests on */
	double past_mail[EST_BINS];    /* mail of the bin in the past */
	double fetches[EST_PANEL_BINS]; /* share of a panel bin that prefetches */
	double past_shown;             /* all evidence of the past */
	double panel_mail;             /* mail of panel members in the past */
	struct est_tally steady;       /* members that prefetch nearly always */
	struct est_tally recent[2];    /* members that prefetched lately: [engaged] */
};

/* out: one a provider. Returns the spread (logit) of how appealing the sender's
 * campaigns are. */
double est_calibrate(struct arena *a, const struct est_input *in, const struct est_stats *stats,
	struct est_calibration *out);

/* Upper ends of the scores of openers, for those who need the bins' order. */
double est_calibrate_place(double shows);

#endif
