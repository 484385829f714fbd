/* Who made the hits of one message, judged together: what a single request
 * cannot show (a gateway that follows every link within seconds) shows in the
 * row of them, and re-labels the first hit as well.
 *
 * pure. The verdict depends on the hits alone and not on the order in which
 * they came to us, so that a state can be computed anew from kept hits.
 */
#ifndef LF_MODEL_VERDICT_H
#define LF_MODEL_VERDICT_H

#include "core/model/event.h"

/* Most hits of one message that are judged together. */
#define VERDICT_MAX 128

struct verdict_hit {
	uint64_t ms;
	enum event_kind kind; /* OPEN, CLICK or UNSUBSCRIBE */
	enum hit_class class; /* the tracker's, from the request alone */
	enum place place;
	uint16_t link; /* CLICK */
	char country[2];
	uint16_t agent;   /* 0: not known; equal for equal user agents */
	uint32_t network; /* 0: not known; equal for equal networks */
};

/* Another version, another verdict: the store is scored anew. */
struct verdict_rules {
	unsigned version;     /* 1 and up */
	unsigned burst_ms;    /* a burst: clicks on so many different links within so long */
	unsigned burst_links; /* 0: no such rule */
	unsigned swarm_ms;    /* a swarm: so many different agents within so long */
	unsigned swarm_agents;
};

extern const struct verdict_rules verdict_rules;

/* A total order: by time, then by all the rest. For qsort. */
int verdict_order(const void *a, const void *b);

/* n hits of one message in verdict_order; fills class[n]. must(): n <= VERDICT_MAX.
 *
 * Only hits that look like a person's are re-labelled, to SCANNER:
 *  - those in a burst or a swarm (opens within it as well);
 *  - those of the same agent and network as a hit that is a scanner's.
 * Requests to unsubscribe stay what they are. */
void verdict_judge(
	const struct verdict_rules *rules, const struct verdict_hit *hits, unsigned n, enum hit_class *class);

#endif
