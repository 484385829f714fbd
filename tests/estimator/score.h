/* How good estimates are, over many cases of a world. */
#ifndef LF_TESTS_SCORE_H
#define LF_TESTS_SCORE_H

#include "reports/estimate.h"
#include "tests/estimator/world.h"

/* Sums over estimates of rates, each with its truth. */
struct score_rates {
	double n, error, square, covered, width;
	double penalised; /* interval score: width + 2 / (1 - level) * distance outside */
};

struct score {
	struct score_rates provider, overall;
	double asked;            /* providers with enough mail to be scored */
	double collapses, found; /* and of the providers that did not fall: */
	double steady, alarmed;  /* alarms that were false */
	double brier, brier_base, messages;
};

/* Makes the case, estimates, adds. Fails the process if an answer is not a
 * sensible one (bounds out of order, a chance of exactly 0 or 1). */
void score_case(struct score *s, const struct world *w, uint64_t seed, const struct est_without *without);

double score_rmse(const struct score_rates *r);
/* Share of the spread of single messages that the estimate explains. */
double score_skill(const struct score *s);

#endif
