/* Made-up senders with known truth, for the tests of the arrival estimator.
 *
 * A world says how a sender, its recipients and the providers behave; a case is one
 * list with its past campaigns and a target, what was seen of it, and what became
 * of every message. Some worlds are what the estimator assumes, others break it on
 * purpose. The same seed gives the same case on every machine.
 */
#ifndef LF_TESTS_WORLD_H
#define LF_TESTS_WORLD_H

#include "core/base/arena.h"
#include "reports/est_input.h"

#define WORLD_PROVIDERS 5

enum world_link { WORLD_LOGIT, WORLD_FACTOR, WORLD_PROBIT };

struct world {
	const char *name, *what;
	bool honest; /* breaks nothing the estimator assumes */
	unsigned recipients;
	unsigned past_least, past_most; /* campaigns before the target */
	double level_shift, level_sd;   /* logit, around the usual level of a provider */
	double drift_sd;                /* of placement, from campaign to campaign */
	double appeal_sd;
	enum world_link link;           /* how appeal acts on reading */
	double asleep, falling_asleep;  /* never read; stop reading, a campaign */
	double sorting;                 /* keen readers' mail is placed better, logit per sd */
	double loyal_sd;                /* placement differs by recipient, for good */
	double devices;                 /* that prefetch: times the usual share */
	double weak_devices;            /* of them, those that prefetch only now and then */
	double leak;                    /* prefetches from spam folders, compared with inboxes */
	double scanners, hidden_scanners; /* of corporate recipients; those nobody labelled */
	double images_blocked;
	double seeded;                  /* probability that there are seeds */
	double seed_bias_sd;            /* logit, each provider its own */
	double seed_bias_shared_sd;     /* and all the same */
	double age_h;
	double flop;                    /* the subject: appeal of the target, logit */
	bool collapse;                  /* at one provider */
	bool trouble;                   /* filtered everywhere */
	bool sliding;                   /* one provider slides down over the past, one was always low */
};

struct world_truth {
	double accepted, inbox;
	double past_rate; /* of the mail accepted before; NAN without a past */
	bool collapsed;
	const bool *arrived; /* a row each */
};

struct world_case {
	struct est_input in;
	struct world_truth truth[WORLD_PROVIDERS];
};

extern const struct world world_list[];
extern const unsigned world_count;

/* By name; there must be one. */
const struct world *world_get(const char *name);

void world_make(struct arena *a, const struct world *w, uint64_t seed, struct world_case *out);

#endif
