/* What the arrival estimator reads: one sender's campaigns, oldest first, the last
 * being the one that is asked about.
 *
 * pure: Recipients with the same history share a row, so nobody is identified and
 * a list of a million is small.
 */
#ifndef LF_REPORTS_EST_INPUT_H
#define LF_REPORTS_EST_INPUT_H

#include "core/base/slice.h"

#define EST_MAX_CAMPAIGNS 64
#define EST_MAX_PROVIDERS 64
#define EST_MAX_DELAYS 64      /* edges of the histogram of delays */
#define EST_MAX_ROWS (8u << 20) /* of all providers together */
#define EST_MAX_COUNT 1e9      /* recipients of a row, messages of a count */

/* A byte a campaign and row; 0: not sent. */
enum est_bit {
	EST_ACCEPTED = 0x01, /* and not bounced later */
	EST_OPENED = 0x02,   /* by a person, or by an image proxy for a person */
	EST_FETCHED = 0x04,  /* privacy prefetch */
	EST_CLICKED = 0x08,  /* by a person */
	EST_SCANNED = 0x10,  /* a security scanner was seen */
	EST_UNSUBSCRIBED = 0x20,
	EST_COMPLAINED = 0x40,
	EST_BOUNCED = 0x80,
};
#define EST_HUMAN (EST_OPENED | EST_CLICKED | EST_UNSUBSCRIBED | EST_COMPLAINED)

struct est_mail {
	double sent, accepted, deferred, hard, soft, blocked, complaints;
};

struct est_seeds {
	double sent, inbox, spam, missing; /* sent 0: no seeds in this campaign */
};

struct est_provider {
	slice name;
	size_t rows;
	const uint8_t *code;           /* rows x campaigns */
	const double *count;           /* recipients of each row */
	const struct est_mail *mail;   /* one a campaign, or NULL */
	const struct est_seeds *seeds; /* one a campaign, or NULL */
};

/* How long after sending first signals came, in the sender's past. */
struct est_delays {
	size_t edges;
	double edge_h[EST_MAX_DELAYS]; /* growing */
	double open[EST_MAX_DELAYS + 1], fetch[EST_MAX_DELAYS + 1];
};

struct est_input {
	double level;     /* of the intervals, e.g. 0.9 */
	double age_h;     /* of the target, hours since it was sent */
	size_t campaigns; /* at least 1 */
	size_t providers;
	const struct est_provider *provider;
	struct est_delays delays;
};

/* Evidence that is left out, to learn what it is worth. Zero: all is used. */
struct est_without {
	bool opens;      /* who opened and clicked in the target */
	bool panel;      /* privacy prefetches as a panel */
	bool seeds;
	bool repeats;    /* how often openers open again */
	bool propensity; /* which recipients are known to open */
	bool timing;     /* how many signals are still to come */
	bool feedback;   /* complaints and unsubscribes */
	bool blocks;     /* refusals and deferrals of the provider */
};

#endif
