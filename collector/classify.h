/* Why a delivery failed: an ordered list of rules over status, reply and text.
 * pure.
 *
 * First the rules of classify_rules.def in their order (what providers are
 * known to say, then phrases of many servers), then the table of RFC 3463 and
 * RFC 5248, then the reply code and the command it answered. What surprises:
 * phrases go before codes, as many servers send 5.1.1 with "mailbox full" and
 * 5.7.1 with whatever they like.
 */
#ifndef LF_COLLECTOR_CLASSIFY_H
#define LF_COLLECTOR_CLASSIFY_H

#include "collector/classes.h"
#include "collector/said.h"

struct classify_in {
	slice folded; /* said_fold of the diagnostic */
	uint32_t status;
	uint16_t reply;
	enum said_phase phase;
	bool prose; /* not one server's reply but a whole text */
};

struct classify_out {
	enum classes class;
	const char *rule;    /* static: "google-spf", "status-5.1.1", "reply-550" */
	unsigned confidence; /* 0..100 */
};

/* Total: CLASSES_UNKNOWN with the rule "none" when nothing is known. */
void classify(const struct classify_in *in, struct classify_out *out);

/* The text of one reply, as the log of an MTA quotes it. */
void classify_reply(struct arena *a, slice text, uint32_t status, uint16_t reply, struct classify_out *out);

/* Rules in the list, and the one at i, for tests. */
unsigned classify_count(void);
const char *classify_rule(unsigned i, slice *phrase, enum classes *class);

#endif
