/* The exact posterior: every provider's evidence, joined over what they share, so
 * that one provider's trouble is not read as a dull subject, nor a dull subject as
 * trouble everywhere.
 *
 * pure: Sums over the grids of est_grid.h; about 20 ms a provider. */
#ifndef LF_REPORTS_EST_JOINT_H
#define LF_REPORTS_EST_JOINT_H

#include "reports/est_now.h"
#include "reports/est_opens.h"
#include "reports/est_past.h"

/* Cases of the overall figure. */
#define EST_DRAWS 2000

struct est_evidence {
	struct est_past past;
	struct est_opens opens;
	struct est_now now;
};

struct est_posterior {
	double rate[EST_RATES];
	double both[EST_LEVELS][EST_RATES]; /* level and rate together */
	double sorting;                     /* mean, logit */
	double *draw;                       /* EST_DRAWS rates; the n-th of all providers belong together */
};

struct est_shared {
	double appeal;  /* mean */
	double trouble; /* probability that the sender is filtered everywhere */
	double leak;    /* mean */
};

/* doubt: 0, or the probability (up to 0.5) that a dull subject and being filtered
 * everywhere each keep at least, because nothing tells them apart.
 * common: how strongly what is left uncertain errs the same way at all providers
 * (a correlation, 0..1). */
void est_joint_of(struct arena *a, const struct est_grid *g, const struct est_evidence *evidence, size_t providers,
	double doubt, double common, struct est_posterior *out, struct est_shared *shared);

#endif
