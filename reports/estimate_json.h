/* The JSON of `landfall estimate` (docs/ARRIVAL.md), in and out.
 *
 * pure: What is not of that form is refused with a line that says where. */
#ifndef LF_REPORTS_ESTIMATE_JSON_H
#define LF_REPORTS_ESTIMATE_JSON_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "reports/estimate.h"

#define ESTIMATE_JSON_MAX ((size_t)256 << 20)

/* The input and what only the output repeats. */
struct estimate_question {
	struct est_input in;
	slice target; /* id of the last campaign */
};

/* 0, or -REFUSE_... with one line in *why. Copies into the arena what it keeps. */
int estimate_json_decode(struct arena *a, slice text, struct estimate_question *q, struct buf *why);

/* One object, without a line end. */
void estimate_json_encode(const struct estimate_question *q, const struct estimate *e, struct buf *out);

#endif
