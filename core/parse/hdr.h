/* Header fields (RFC 5322 2.2): an iterator over the header section.
 *
 * A line ends at LF; a CR before it belongs to the line end. Bare LF is taken
 * as it stands: here mail is read, not accepted. Fields tile the section. The
 * section ends at an empty line, at a line that is no field (as Postfix reads
 * it), or with the input. An mbox "From " line at the very start is a field
 * without a name.
 */
#ifndef LF_PARSE_HDR_H
#define LF_PARSE_HDR_H

#include "core/base/arena.h"
#include "core/base/slice.h"

#define HDR_MAX_SECTION (256 * 1024)

struct hdr {
	slice name;      /* without blanks before the colon; empty: mbox line */
	slice value;     /* after the colon, folds inside, without the last line end */
	size_t from, to; /* the whole field with its line end */
};

struct hdr_iter {
	slice in; /* borrows: the message or a part of it */
	size_t pos;
	size_t start; /* where the section began */
	size_t end;   /* set at the end: end of the last field */
};

/* Begin at offset from of in; offsets stay those of in. */
void hdr_start(struct hdr_iter *it, slice in, size_t from);

/* 1: *h is the next field. 0: end of the section: it->end is where its last
 * field ended, it->pos where the body begins. -REFUSE_HEADER_TOO_LARGE. */
int hdr_next(struct hdr_iter *it, struct hdr *h);

/* The value without folds and without blanks around it: a cut of the original
 * where it has no folds, else a copy in the arena. */
slice hdr_unfold(struct arena *a, slice value);

/* "\r\n" or "\n": how the first line at or after from ends; CRLF if none does. */
slice hdr_line_end(slice in, size_t from);

#endif
