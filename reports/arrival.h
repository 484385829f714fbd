/* How much of the accepted mail reached the inbox: what can be said so far.
 *
 * pure: From one campaign alone only bounds are known: whoever opened, clicked
 * or unsubscribed had the message in view; of the others nothing is known, and
 * silence is not evidence. The rate therefore stays empty and the status says
 * why.
 */
#ifndef LF_REPORTS_ARRIVAL_H
#define LF_REPORTS_ARRIVAL_H

#include <stdbool.h>
#include <stdint.h>

/*    name         word            meaning */
#define ARRIVAL_LIST(A)                                                                                      \
	A(NO_MAIL, "no_mail", "nothing was accepted yet")                                                    \
	A(TOO_EARLY, "too_early", "most first opens are still to come: bounds only")                         \
	A(NO_SIGNAL, "no_signal", "nobody opened at all: is the tracker reachable?")                         \
	A(BOUNDS_ONLY, "bounds_only", "one campaign alone gives bounds, not a rate")

enum arrival_status {
#define A(name, word, meaning) ARRIVAL_##name,
	ARRIVAL_LIST(A)
#undef A
};

/* Younger campaigns are too early to judge: most people who will open have not
 * looked into their mailbox yet. */
#define ARRIVAL_EARLY_MS (60 * 60 * 1000)

struct arrival {
	enum arrival_status status;
	bool has_rate;          /* a point rate is identified */
	double rate, low, high; /* shares of the accepted, 0..1, low <= high */
	double level;           /* of the interval */
	uint64_t arrived_low, arrived_high;
};

/* accepted: recipients; confirmed <= accepted: of these, seen in an inbox. */
struct arrival arrival_of(uint64_t accepted, uint64_t confirmed, uint64_t age_ms);

const char *arrival_word(enum arrival_status s);
const char *arrival_meaning(enum arrival_status s);

#endif
