/* How much of the accepted mail reached the inbox: the whole estimate.
 *
 * pure: docs/ARRIVAL.md explains the model, its worlds and its measured worst
 * cases. What may surprise: intervals speak of these very messages (what is proven
 * is certain), not of a tendency behind them.
 */
#ifndef LF_REPORTS_ESTIMATE_H
#define LF_REPORTS_ESTIMATE_H

#include "reports/est_input.h"
#include "reports/est_verdict.h"

struct estimate_overall {
	double accepted, confirmed;
	bool has_rate;   /* otherwise rate means nothing */
	bool has_bounds; /* otherwise lo and hi mean nothing either: no mail */
	double rate, lo, hi;
	enum est_status status;
};

struct estimate_provider {
	struct estimate_overall all;
	bool has_change; /* there is a past to compare with */
	struct est_change change;
	enum est_alarm alarm;
	const double *message; /* chance of the inbox, one a row; NAN where nothing can be said */
};

struct estimate {
	struct estimate_overall overall;
	struct estimate_provider *provider; /* in the order of the input */
};

/* in: valid (estimate_json.h checks). Takes memory of the arena: about 6 MB a
 * provider and 70 bytes a row. */
struct estimate estimate_of(struct arena *a, const struct est_input *in, const struct est_without *without);

#endif
