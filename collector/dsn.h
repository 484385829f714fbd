/* The fields of a delivery status (RFC 3464, RFC 6533): one group about the
 * message, then one for each recipient. pure.
 *
 * What surprises: blank lines between groups are often missing or too many, so
 * a group also ends where a field comes that this group has already had.
 */
#ifndef LF_COLLECTOR_DSN_H
#define LF_COLLECTOR_DSN_H

#include "core/base/arena.h"
#include "core/base/slice.h"

#define DSN_MAX_RECIPIENTS 1000
#define DSN_MAX_VALUE 4096 /* bytes of a field that are kept */

enum dsn_action { DSN_NONE, DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED };

struct dsn_message { /* slices borrow the body or the arena */
	slice envelope_id;
	slice reporting_mta; /* without "dns;" */
};

struct dsn_recipient {
	slice original, final; /* addresses without "rfc822;" and <>, xtext left */
	enum dsn_action action;
	slice status; /* as written, comments cut off */
	slice remote_mta;
	slice diagnostic; /* without "smtp;", lines joined by LF */
};

struct dsn_iter {
	struct arena *a;
	slice rest; /* borrows the body */
	unsigned count;
};

/* Reads the group about the message, if there is one. */
void dsn_start(struct dsn_iter *it, struct arena *a, slice body, struct dsn_message *out);
/* 1: *r is the next recipient. 0: no more, or DSN_MAX_RECIPIENTS are read. */
int dsn_next(struct dsn_iter *it, struct dsn_recipient *r);

/* "rfc822; <a@b>" without type and brackets. Total. */
slice dsn_address(slice value);

#endif
