/* The next hop's side of an SMTP conversation, without a socket: commands in,
 * bytes for the hop out; bytes of the hop in, its answers out.
 *
 * Commands are queued and leave as the hop allows: in one write where it offers
 * PIPELINING, one at a time where not. EHLO, DATA, the end of data and QUIT
 * always end a group (RFC 2920 3.1).
 *
 * pure: no clock, file, lock or socket.
 */
#ifndef LF_REWRITER_EXCHANGE_H
#define LF_REWRITER_EXCHANGE_H

#include "core/base/buf.h"
#include "core/parse/smtp.h"

#define EXCHANGE_MAX_QUEUE 128      /* commands queued or unanswered: a transaction of 100 recipients */
#define EXCHANGE_PIECE (128 * 1024) /* message bytes put ahead of the socket */
#define EXCHANGE_KEEP (64 * 1024)   /* a larger buffer is given back after each message */

enum exchange_step {
	EXCHANGE_NOTHING,
	EXCHANGE_GREETING, /* an answer only when the hop does not want us */
	EXCHANGE_HELLO,    /* EHLO, or HELO after it: the hop is ready, or does not want us */
	EXCHANGE_STARTTLS, /* 220: shake hands now, then exchange_secured. Else TLS cannot be had */
	EXCHANGE_AUTH,     /* and each line of its dialogue */
	EXCHANGE_XCLIENT,  /* 2xx: EHLO goes out anew, its answer follows as EXCHANGE_HELLO */
	EXCHANGE_XFORWARD, /* the client's */
	EXCHANGE_ABOUT,    /* XFORWARD whose answer nobody waits for */
	EXCHANGE_MAIL,
	EXCHANGE_RCPT,
	EXCHANGE_DATA,
	EXCHANGE_BODY, /* of exchange_waits: the hop must take more of the message */
	EXCHANGE_DOT,
	EXCHANGE_RSET,
	EXCHANGE_QUIT
};

enum exchange_tls { EXCHANGE_TLS_OFF, EXCHANGE_TLS_MAY, EXCHANGE_TLS_MUST };

struct exchange {
	slice host;            /* our name; borrowed */
	enum exchange_tls tls; /* whether to say STARTTLS; the owner's, and kept by exchange_open */
	struct smtp_offer offer;
	struct buf out;  /* for the hop; the owner of the socket drops what it wrote */
	bool lends;      /* the owner writes lent before out; kept by exchange_open */
	slice lent;      /* of the message, where it lies: most of them go out without a copy */
	struct buf text; /* commands that must wait, each with its CRLF */
	struct {
		enum exchange_step step;
		size_t len; /* in text */
	} queued[EXCHANGE_MAX_QUEUE];
	unsigned queued_count;
	enum exchange_step waiting[EXCHANGE_MAX_QUEUE]; /* sent, oldest first */
	unsigned waiting_count;
	struct smtp_reply reply;
	struct smtp_stuff body;
	bool sending; /* the body is on its way */
	bool extended, ready;
	bool settled;      /* whether to say STARTTLS is behind us */
	bool secured;      /* under TLS */
	unsigned messages; /* that the hop answered */
	unsigned refused;  /* answers of 4xx and 5xx since it last took one */
};

void exchange_init(struct exchange *x, slice host);
void exchange_free(struct exchange *x);
/* A new connection: forget the old one, wait for the greeting. */
void exchange_open(struct exchange *x);

/* The handshake is done: what the hop said before is forgotten, EHLO goes out
 * anew. */
void exchange_secured(struct exchange *x);

/* Queue a line that is not ours as it is: EXCHANGE_AUTH, _XCLIENT, _XFORWARD or
 * _ABOUT; without CRLF. */
void exchange_line(struct exchange *x, enum exchange_step step, slice line);
/* Each queues one command. address without <>; params may be empty and hold
 * only what the hop offers; size: of the message for SIZE=, 0 to leave it out. */
void exchange_mail(struct exchange *x, slice address, slice params, uint64_t size);
void exchange_rcpt(struct exchange *x, slice address, slice params);
/* DATA. After its answer of 354 either exchange_body, or close the connection. */
void exchange_data(struct exchange *x);
/* message stays with the caller until the answer to EXCHANGE_DOT. */
void exchange_body(struct exchange *x, slice message);
void exchange_rset(struct exchange *x);
void exchange_quit(struct exchange *x);

/* Put more of the body into out, or lend it, if there is more and out is short. */
void exchange_fill(struct exchange *x);

/* What the hop must answer next. EXCHANGE_DOT only when the body is all out. */
enum exchange_step exchange_waits(const struct exchange *x);
/* Are there bytes for the hop, in out or still to be put there? */
bool exchange_unsent(const struct exchange *x);
/* Nothing is under way but RSET: once that is answered the next transaction may
 * begin. */
bool exchange_resting(const struct exchange *x);

/* Take bytes from the front of *in. 1: an answer to *step, in x->reply until the
 * next call (EXCHANGE_HELLO with 2xx: the hop is ready, x->offer filled;
 * EXCHANGE_STARTTLS with another code than 220: x->ready says whether it goes
 * on in plain text; it is 454 of ours where TLS must be and is not offered). 0:
 * needs more. <0: the hop does not speak SMTP, or says what it was not asked:
 * close the connection. An unasked 421 is an answer to EXCHANGE_NOTHING. */
int exchange_feed(struct exchange *x, slice *in, enum exchange_step *step);

#endif
