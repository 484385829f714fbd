/* Who made a hit, by what the request itself says: the method, the user agent
 * and the headers of prefetchers. A first verdict; later evidence (networks,
 * bursts, times) may revise it from the kept hits.
 *
 * pure: nothing of the world.
 *
 * The user agents stand in tracker/agents.def. They are looked for all at once
 * by an automaton of Aho and Corasick: one step a byte, whatever the agent. Few
 * agents make most hits, so what was found in the latest ones is remembered:
 * a judge is not shared between threads.
 */
#ifndef LF_TRACKER_JUDGE_H
#define LF_TRACKER_JUDGE_H

#include "core/base/slice.h"
#include "core/model/event.h"

/* Bytes of a user agent that are looked at. */
#define JUDGE_MAX_AGENT 512
/* Agents that are remembered. */
#define JUDGE_MEMORY 256

struct judge_evidence {
	enum event_kind kind; /* EVENT_OPEN, EVENT_CLICK or EVENT_UNSUBSCRIBE */
	bool head;            /* the method was HEAD */
	slice agent;
	slice sec_purpose; /* the headers of these names */
	slice purpose;
	slice x_purpose;
	slice x_moz;
};

struct judge;

/* Never fails (memory: must). */
struct judge *judge_open(void);
void judge_close(struct judge **j);

enum hit_class judge_hit(struct judge *j, const struct judge_evidence *e);
/* The same number for the same agent, 0 for none: evidence for later verdicts. */
uint16_t judge_agent(slice agent);

#endif
