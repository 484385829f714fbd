/* What is left of a log line while a parser takes it apart, left to right.
 * pure: text in, slices out. */
#ifndef LF_COLLECTOR_LOG_CUT_H
#define LF_COLLECTOR_LOG_CUT_H

#include "core/base/slice.h"

struct log_cut {
	slice s; /* borrows the line */
};

/* True and behind it if prefix comes next, else nothing is taken. */
static inline bool log_cut_take(struct log_cut *c, slice prefix)
{
	if (!slice_starts(c->s, prefix))
		return false;
	c->s = slice_from(c->s, prefix.len);
	return true;
}

/* A queue id of least..most letters and digits and the ": " behind it. */
bool log_cut_id(struct log_cut *c, size_t least, size_t most, slice *id);

#endif
