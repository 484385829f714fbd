/* The share of first signals that have come in by a campaign's age.
 *
 * pure: From the sender's own delays, or from typical ones where there are few. */
#ifndef LF_REPORTS_EST_DELAY_H
#define LF_REPORTS_EST_DELAY_H

#include "reports/est_input.h"

enum est_signal { EST_SIGNAL_OPEN, EST_SIGNAL_FETCH };

/* 0..1, never quite 0. */
double est_delay_share(const struct est_delays *d, enum est_signal signal, double age_h);

#endif
