/* One recipient's copy before it is written: tokens sealed, edits made.
 *
 * pure.
 */
#ifndef LF_REWRITER_COPY_H
#define LF_REWRITER_COPY_H

#include "rewriter/edit.h"
#include "rewriter/plan.h"

/* What happens to one part. */
struct part_copy {
	const struct part_plan *plan;
	struct edits inner; /* in the decoded text */
	unsigned links, pixels;
};

struct copy {
	const struct plan *plan;
	slice *urls;    /* tracked URL of each target; empty: not used */
	slice *amp;     /* the same for AMP parts; NULL: there is none */
	slice pixel[2]; /* by PIXEL_BOTTOM, PIXEL_TOP */
	slice id;       /* token of X-Landfall-Id */
	slice unsubscribe;
	struct edits edits;      /* in the message */
	struct part_copy *parts; /* as many as the plan has */
	unsigned added_fields;
	unsigned links, pixels;
	struct left_link *left; /* links that found no room on their line */
	size_t left_count, left_room;
	size_t html_size;
};

/* Seal and make the edits. 0, or why a token could not be sealed. */
int copy_make(
	struct arena *a, const struct plan *p, const struct identity *id, struct sealer *s, struct copy *out);

/* The proof, over what was written: 0, or -REFUSE_PROOF with *rule the name of
 * what was broken. */
int copy_prove(struct arena *a, const struct copy *c, const struct identity *id, struct sealer *s, slice out,
	const char **rule);

/* The same with all HTML read again from the beginning, for tests: shows that
 * what copy_prove leaves out follows from what it checks. */
int copy_prove_whole(struct arena *a, const struct copy *c, const struct identity *id, struct sealer *s,
	slice out, const char **rule);

#endif
