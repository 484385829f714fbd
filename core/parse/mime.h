/* The tree of MIME parts (RFC 2045, 2046) as offsets; nothing is decoded and
 * nothing is copied.
 *
 * One pass over the lines that begin with "--", memory by the number of parts.
 * message/rfc822 is a leaf, and so is a multipart whose inside must not change
 * (signed, encrypted, report): only mime_walk_report looks into the last. What contradicts
 * itself (two different Content-Types, a multipart without boundary) is a leaf
 * that is marked odd.
 */
#ifndef LF_PARSE_MIME_H
#define LF_PARSE_MIME_H

#include "core/base/arena.h"
#include "core/base/cpu.h"
#include "core/base/slice.h"

#define MIME_MAX_DEPTH 64
#define MIME_MAX_PARTS 1000
#define MIME_MAX_BOUNDARY 70 /* RFC 2046 5.1.1 */

enum mime_cte { MIME_7BIT, MIME_8BIT, MIME_BINARY, MIME_QP, MIME_BASE64, MIME_CTE_UNKNOWN };

struct mime_part {
	size_t from; /* its header section */
	size_t body;
	size_t to;      /* end of the body; a line end that belongs to the next boundary is outside */
	int parent;     /* index of the multipart, -1 at the root */
	unsigned depth; /* 0 at the root */
	unsigned place; /* among its brothers, from 1 */

	/* Slices borrow the message or the arena. */
	slice type; /* "text" and "html" as written; "text" and "plain" if absent */
	slice subtype;
	slice charset;  /* empty if absent */
	slice boundary; /* multiparts */
	slice cte_word;
	slice line_end; /* how its header lines end */
	enum mime_cte cte;
	bool multipart;  /* has been entered */
	bool attachment; /* by disposition, or it has a file name */
	bool flowed, delsp;
	bool odd; /* contradicts itself: leave it alone */
};

struct mime_tree {
	struct mime_part *parts; /* in the order of their offsets; the root first */
	size_t count;
};

/* 0; -REFUSE_TOO_DEEP, -REFUSE_TOO_MANY_PARTS, -REFUSE_HEADER_TOO_LARGE,
 * -REFUSE_LENGTH (a boundary longer than its cap). */
int mime_walk(struct arena *a, slice message, struct mime_tree *out);
/* The same, but a multipart/report is entered: for who reads it and edits nothing. */
int mime_walk_report(struct arena *a, slice message, struct mime_tree *out);

/* Is it "type/subtype"? In lower case; subtype empty: any. */
bool mime_is(const struct mime_part *p, slice type, slice subtype);

/* Value of a parameter of a Content-Type or Content-Disposition field: quotes,
 * RFC 2231 continuations and charset marks taken off. name in lower case.
 * false: absent. */
bool mime_param(struct arena *a, slice value, slice name, slice *out);

/* IMAP's number of a part ("1.2"; the root of a single part message is "1"),
 * as text in the arena. */
slice mime_number(struct arena *a, const struct mime_tree *t, size_t index);

/* Offset of the next "\n--" at or after from, or SLICE_NPOS. */
size_t mime_dashes(slice in, size_t from);
/* The same in one of the ways that the processor has. */
size_t mime_dashes_by(enum cpu_path path, slice in, size_t from);

#endif
