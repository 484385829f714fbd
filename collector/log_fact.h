/* What one line of an MTA's log says, whichever MTA wrote it. pure.
 *
 * What surprises: the id is that which the MTA names in its 250 reply, so for
 * OpenSMTPD and Haraka it stands for several envelopes, and PowerMTA has none.
 */
#ifndef LF_COLLECTOR_LOG_FACT_H
#define LF_COLLECTOR_LOG_FACT_H

#include "collector/classes.h"

#define LOG_FACT_MAX_LINE 16384 /* bytes behind are not looked at */

enum log_fact_kind {
	LOG_FACT_NONE,       /* nothing for us */
	LOG_FACT_CLIENT,     /* a message begins: client, other_id from XFORWARD IDENT */
	LOG_FACT_RECEIVED,   /* a message begins: sender and message_id, or one of them */
	LOG_FACT_MESSAGE_ID, /* message_id; one line for each Message-ID header */
	LOG_FACT_SENDER,     /* sender; again at every retry */
	LOG_FACT_DELIVERY,   /* an outcome for one recipient */
	LOG_FACT_EXPIRED,    /* given up: the recipient, or, with none, those last deferred */
	LOG_FACT_REMOVED,    /* gone from the queue; a last delivery line may still follow */
	LOG_FACT_CHILD,      /* other_id is the queue id of a notification */
	LOG_FACT_REQUEUE     /* the message other_id goes on under this id */
};

enum log_fact_outcome { LOG_FACT_SENT = 1, LOG_FACT_DEFERRED, LOG_FACT_BOUNCED };

/* Slices borrow the line, or the reader where the line has them encoded; p NULL:
 * the line does not say it. */
struct log_fact {
	enum log_fact_kind kind;
	uint64_t ms;    /* Unix milliseconds, 0: the line has no stamp */
	slice service;  /* Postfix: "smtp"; empty for a bare text */
	slice id;       /* queue id */
	slice other_id; /* CLIENT: orig_queue_id; CHILD; REQUEUE */
	slice client;
	slice message_id; /* without <> */
	slice sender;     /* without <>; empty: the null sender */

	/* DELIVERY, and EXPIRED where the MTA says it of each recipient */
	enum log_fact_outcome outcome;
	slice recipient, orig_to; /* without <> */
	slice others;             /* recipients not read yet: xxx_log_next moves on to them */
	slice relay;              /* as printed; "none": nobody was reached */
	slice delay;              /* as printed: log_fact_seconds */
	slice dsn;                /* "5.1.1" */
	slice text;               /* what the other side or the MTA said, perhaps cut */
	uint16_t reply;           /* SMTP reply code of the other side, 0: it gave none */
	unsigned attempt;         /* counted from 1, 0: not said */
	enum classes class;       /* where the MTA classed it itself; unknown: it did not */
};

/* Offset of the '>' that ends an address, with regard to quotes; or SLICE_NPOS. */
size_t log_fact_address_end(slice s);

/* The SMTP reply that the text begins with: its code (0: it is none) and where
 * there is one its enhanced code, else SLICE_NONE. */
uint16_t log_fact_reply(slice text, slice *enhanced);

/* The id under which the other side queued the message, where the text of a
 * sent delivery names one; else empty. For people: a stranger wrote the text. */
slice log_fact_next_id(slice text);

/* Seconds of a delay: "0.02", "1m20s", "0.5s", "00:01:20", "2+00:01:20".
 * False: none of these. */
bool log_fact_seconds(slice delay, double *out);

#endif
