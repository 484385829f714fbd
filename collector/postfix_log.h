/* One line of a Postfix log in, what it says out. pure.
 *
 *	Nov 21 17:32:23 mx postfix/smtp[16301]: CC586A980E2: to=<a@b.test>, relay=h[ip]:25,
 *		delay=0.02, delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 1A2)
 *
 * The stamp is RFC 3164 (no year, no zone), RFC 3339, or not there at all. What
 * surprises: local parts and the text in parentheses come from strangers and
 * may look like keys, so a line is read once from left to right, addresses with
 * regard to quotes, and nothing behind "status=WORD (" is ever searched for
 * keys. Postfix cuts a line at about 2,000 bytes: the closing parenthesis is
 * not needed.
 */
#ifndef LF_COLLECTOR_POSTFIX_LOG_H
#define LF_COLLECTOR_POSTFIX_LOG_H

#include "core/base/slice.h"

#define POSTFIX_LOG_MAX_LINE 16384 /* bytes behind are not looked at */
#define POSTFIX_LOG_MAX_ID 31      /* longest queue id */

enum postfix_log_kind {
	POSTFIX_LOG_NONE,       /* nothing for us */
	POSTFIX_LOG_CLIENT,     /* smtpd: a message begins: client, orig_id from XFORWARD IDENT */
	POSTFIX_LOG_MESSAGE_ID, /* cleanup: message_id; one line for each Message-ID header */
	POSTFIX_LOG_SENDER,     /* qmgr: sender; again at every retry */
	POSTFIX_LOG_DELIVERY,   /* an outcome for one recipient */
	POSTFIX_LOG_EXPIRED,    /* qmgr gave up: sender; the recipients are those last deferred */
	POSTFIX_LOG_REMOVED,    /* gone from the queue; a last delivery line may still follow */
	POSTFIX_LOG_CHILD,      /* bounce: other_id is the queue id of the notification */
	POSTFIX_LOG_REQUEUE     /* pickup: the message other_id goes on under this id */
};

enum postfix_log_outcome { POSTFIX_LOG_SENT = 1, POSTFIX_LOG_DEFERRED, POSTFIX_LOG_BOUNCED };

/* Slices borrow the line; those of other kinds are empty. */
struct postfix_log {
	enum postfix_log_kind kind;
	uint64_t ms;    /* Unix milliseconds, 0: the line has no stamp */
	slice service;  /* "smtp"; empty for a bare text */
	slice id;       /* queue id */
	slice other_id; /* CLIENT: orig_queue_id; CHILD; REQUEUE */
	slice client;
	slice message_id; /* without <> */
	slice sender;     /* without <>; empty: the null sender */

	/* DELIVERY */
	enum postfix_log_outcome outcome;
	slice recipient, orig_to; /* without <> */
	slice relay;              /* "none": nobody was reached */
	slice delay;              /* seconds, as printed */
	slice dsn;                /* "5.1.1" */
	slice text;               /* in the parentheses, perhaps cut */
	uint16_t reply;           /* SMTP reply code of the other side, 0: it gave none */
};

/* Returns out->kind. now_ms: the year of a stamp without one is the latest that
 * does not put it more than a day after now. zone_s: seconds east of Greenwich,
 * for stamps without a zone. */
enum postfix_log_kind postfix_log_read(slice line, uint64_t now_ms, int zone_s, struct postfix_log *out);

/* The id under which the other side queued the message, where the text of a
 * sent delivery names one; else empty. For people: a stranger wrote the text. */
slice postfix_log_next_id(slice text);

#endif
