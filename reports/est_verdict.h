/* The words that go with the numbers: what identified the rate, and whether to
 * worry.
 *
 * pure: Thresholds over what the posterior says. */
#ifndef LF_REPORTS_EST_VERDICT_H
#define LF_REPORTS_EST_VERDICT_H

#include "reports/est_joint.h"
#include "reports/est_share.h"

/*       name       word                     what the rate rests on */
#define EST_STATUS_LIST(S)                                                                                   \
	S(NO_MAIL, "no_mail", "nothing was accepted")                                                        \
	S(TOO_EARLY, "too_early", "most first signals are still to come")                                    \
	S(NO_SIGNAL, "no_signal", "next to nothing of what must come came: is the tracker reachable?")       \
	S(BOUNDS_ONLY, "bounds_only", "the evidence leaves too much open")                                   \
	S(RELATIVE, "relative_only", "the change against the own past is known, the level is assumed")       \
	S(HISTORY, "identified_by_history", "readers with a record, at a level that is anchored")            \
	S(SEEDS, "identified_by_seeds", "seeds")                                                             \
	S(PANEL, "identified_by_panel", "devices that prefetch what lies in an inbox")

enum est_status {
#define S(name, word, meaning) EST_STATUS_##name,
	EST_STATUS_LIST(S)
#undef S
	EST_STATUS_COUNT
};
const char *est_status_word(enum est_status s);

#define EST_ALARM_LIST(A)                                                                                    \
	A(NONE, "none")                                                                                      \
	A(WATCH, "watch")                                                                                    \
	A(LOW, "low")                                                                                        \
	A(COLLAPSE, "collapse")

enum est_alarm {
#define A(name, word) EST_ALARM_##name,
	EST_ALARM_LIST(A)
#undef A
};
const char *est_alarm_word(enum est_alarm a);

/* The rate, compared with the level of the past. */
struct est_change {
	double ratio, lo, hi;
	double collapse; /* probability that it fell below 0.6 of the level */
	double low;      /* probability that it is below 0.5 */
};

/* accepted now and in the past: shares of few messages scatter around rates. */
struct est_change est_change_of(struct arena *a, const struct est_grid *g, const struct est_posterior *post,
	double level, const struct est_share *share, double estimate, double past_accepted);

enum est_alarm est_alarm_of(const struct est_change *c);

/* Status of a provider with mail and with signals. doubt: of est_joint_of. */
enum est_status est_status_of(const struct est_evidence *e, const struct est_calibration *cal,
	const struct est_interval *i, const struct est_shared *shared, size_t past, double doubt);

#endif
