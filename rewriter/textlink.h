/* URLs in plain text, with the punctuation that people put around them.
 *
 * pure.
 */
#ifndef LF_REWRITER_TEXTLINK_H
#define LF_REWRITER_TEXTLINK_H

#include "core/base/slice.h"

struct textlink {
	size_t from, to; /* the URL, without the punctuation behind it */
	bool cut;        /* a line break or a foreign letter leaves its end unsure */
	bool opted_out;  /* [[data-msys-clicktrack="0"]] stands behind it: ... */
	size_t mark_to;  /* ... [to, mark_to) is that mark */
};

struct textlink_iter {
	slice in; /* borrows */
	size_t pos;
	bool utf8;  /* non-ASCII letters can be told from punctuation */
	bool delsp; /* format=flowed; DelSp=yes: a blank at the line's end does not end a word */
};

void textlink_start(struct textlink_iter *it, slice in, bool utf8, bool delsp);
/* 1: *l is the next URL. 0: no more. */
int textlink_next(struct textlink_iter *it, struct textlink *l);

#endif
