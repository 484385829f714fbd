/* The chance that one accepted message reached the inbox, given what was seen of
 * its recipient.
 *
 * pure: Bayes within the recipient's bin, shifted so that all messages add up to the
 * estimate of the provider. */
#ifndef LF_REPORTS_EST_MESSAGE_H
#define LF_REPORTS_EST_MESSAGE_H

#include "reports/est_calibrate.h"
#include "reports/est_joint.h"

/* No message is ever certain. */
#define EST_MESSAGE_LEAST .0001

struct est_message_model {
	double rate;  /* the provider's estimate before what is proven is counted */
	double share; /* the estimate: the messages' chances add up to it */
	double opens_share, fetches_share; /* signals that are in by now */
};

/* p: one a row; NAN where nothing was accepted. target: the last campaign's byte of
 * each row stands at code[r * campaigns + campaigns - 1]. */
void est_message_of(const struct est_input *in, const struct est_provider *provider, const struct est_stats *s,
	const struct est_calibration *cal, const struct est_grid *g, const struct est_posterior *post,
	const struct est_shared *shared, const struct est_message_model *m, const struct est_without *without,
	double *p);

#endif
