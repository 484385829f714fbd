/* Edits over untouched bytes: applied whole, and undone to prove it.
 *
 * pure.
 */
#ifndef LF_REWRITER_EDIT_H
#define LF_REWRITER_EDIT_H

#include "core/base/arena.h"
#include "core/base/buf.h"

struct site;
struct part_plan;

struct recode;

struct edit {
	size_t offset, length;        /* of the old bytes */
	slice bytes;                  /* the new ones; in the arena */
	const struct recode *recode;  /* makes them; bytes.p is NULL then */
	const struct site *site;      /* for whom; NULL: header, fold, or a whole base64 text */
	const struct part_plan *part; /* where; NULL: the header section */
	bool fold;                    /* a blank near the site that became a line end */
};

struct edits {
	struct edit *list; /* sorted by offset, not overlapping */
	size_t count, room;
	bool broken; /* one did not come in order: nothing may be applied */
};

/* Text that is encoded anew, as base64: from offset `from` of old on, with these
 * edits of old made. It is written straight to where it goes. */
struct recode {
	slice old;
	size_t from; /* no edit begins before it */
	const struct edits *edits;
	size_t width;
	slice line_end;
};
/* How many bytes it makes. */
size_t recode_size(const struct recode *r);

void edit_put(struct arena *a, struct edits *e, struct edit add);

/* Length of in with the edits made. */
size_t edit_size(slice in, const struct edits *e);
/* Write it: exactly edit_size bytes at to. */
void edit_apply(slice in, const struct edits *e, uint8_t *to);

/* Is `out` what the edits make of `in`: with each new text put back to the old
 * one, is it the same byte by byte? Believes nothing that edit_apply did. */
bool edit_undoes(slice in, slice out, const struct edits *e);
/* The same for a stretch: in begins at offset `from` of what the edits are for,
 * and only these `count` of them are in it. */
bool edit_undoes_part(slice in, size_t from, slice out, const struct edit *list, size_t count);

#endif
