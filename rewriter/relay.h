/* One client's session joined to its next hop: who is told what, and when.
 *
 * MAIL and RCPT go to the hop at once and its answers to the client, word for
 * word. The message is taken in whole. Each recipient gets a copy of their own,
 * one after the other, in transactions opened anew; a copy that is the same for
 * all goes to all of them at once, in the transaction that is open. The client
 * hears 2xx only after the hop said 2xx to each copy and, where events were
 * recorded, after these are safe on disk.
 *
 * AUTH and XCLIENT tie the connection to the client: nobody else gets it, and
 * when it is lost the client must come again, as only the client can say anew
 * who it is. What XFORWARD said is kept for the transaction and told again
 * wherever that is opened anew.
 *
 * SMTP has one reply for all recipients. Where their copies fared alike it is
 * the hop's; where not it is 451. LMTP has a reply for each. The world remembers
 * who was taken until the client heard it, so that these are not sent to again
 * when it comes again.
 *
 * A greeted connection to the hop is borrowed for each transaction and given
 * back behind it, for whoever comes next. One that turns out to be closed when a
 * transaction begins is replaced without a word, as is any behind DATA before the
 * first byte of a message; one lost between MAIL and the last RCPT is a 451, as
 * its yes is told already. A connection that carries the client's identity is its own
 * until the end (relay.own).
 *
 * pure: no clock, file, lock or socket; the world is struct relay_world.
 */
#ifndef LF_REWRITER_RELAY_H
#define LF_REWRITER_RELAY_H

#include "core/model/event.h"
#include "core/parse/ip.h"
#include "rewriter/exchange.h"
#include "rewriter/session.h"

#include <limits.h>

/* Bytes of a client that came while it waits for an answer. */
#define RELAY_MAX_PENDING (256 * 1024)

/* What goes to the hop for one recipient or all, and what to record when it
 * took it.
 * Kept by the relay, filled by relay_world.prepare; memory is kept between
 * messages. */
struct relay_copy {
	int code;                       /* not 0: nothing goes; the client gets this code and text */
	const char *text;               /* static */
	uint8_t own_id[EVENT_MAX_TEXT]; /* what the sender calls the recipient ... */
	size_t own_id_len;              /* ... where it may be kept; else 0 */
	bool shared;                    /* the same for every recipient, and nothing to record */
	slice message;                  /* borrows the session's message, or rendered */
	struct buf rendered;
	bool has_sender; /* use sender instead of the envelope's */
	struct buf sender;
	struct buf ident;   /* our name for it, [a-z0-9.]: for ENVID and XFORWARD; empty: none */
	bool tracked;       /* record event */
	struct event event; /* SENT, all but time and queue id */
	/* The world's own. content outlives the copy, 0 with each new message. */
	uint64_t pair, content;
};

/* What became of one recipient of a message. */
struct relay_outcome {
	int code;
	bool known;     /* had been taken at an earlier attempt: nothing was sent now */
	bool shared;    /* one copy went for this recipient and the one before */
	bool own;       /* its copy, or this one's, was tried: not ended by the fate of another */
	size_t at, len; /* text, in relay.texts */
};

#define RELAY_SENDER UINT_MAX /* instead of a recipient */

struct relay_world {
	/* RCPT of recipient i of e. Must it not share a transaction? SMTP only. */
	bool (*alone)(void *arg, const struct envelope *e, unsigned i);
	/* Did the hop take a message from this sender, for recipient i or (with
	 * RELAY_SENDER) for anyone, of which the client has to be told yet? */
	bool (*owed)(void *arg, const struct envelope *e, unsigned i);
	/* The message is whole. Did the hop take it for recipient i when the
	 * client came before? */
	bool (*known)(void *arg, const struct envelope *e, unsigned i, slice message);
	/* The copy for recipient i. size: the hop's limit, 0 if none is known. */
	void (*prepare)(void *arg, const struct envelope *e, unsigned i, slice message, uint64_t size,
		struct relay_copy *c);
	/* The hop took the copy. text: of its reply. True: it recorded something. */
	bool (*taken)(void *arg, struct relay_copy *c, slice text);
	/* Call relay_synced when all that was recorded is safe. */
	void (*sync)(void *arg);
	/* A message is being answered (the client may be gone). o: one for each
	 * recipient; mixed: all of them are answered with 451, and those taken are
	 * to be remembered. */
	void (*answered)(void *arg, const struct envelope *e, slice message, const struct relay_outcome *o,
		bool mixed);
};

enum relay_hop {
	RELAY_HOP_NONE,
	RELAY_HOP_WANTED, /* lend one: relay_hop_up, or relay_hop_refused */
	RELAY_HOP_HELD    /* it has one, greeted and ready */
};

/* What is to become of the connection that the relay had. It asks for another
 * one only after that. */
enum relay_parting {
	RELAY_STAYS,
	RELAY_GIVES, /* no transaction is open; answers to RSET may be on their way */
	RELAY_QUITS, /* the same, and nobody else may have it */
	RELAY_DROPS  /* close it at once */
};

struct relay {
	const struct relay_world *world; /* borrowed */
	void *arg;
	struct session session;    /* session.out: for the client */
	struct exchange *exchange; /* borrowed with the connection, NULL: none; out: for the hop */
	struct buf pending;
	struct relay_copy copy;
	enum relay_hop hop;
	enum relay_parting parting; /* whoever owns the connections carries it out and clears it */
	bool own;      /* the connection carries the client's identity: set while held, lost with it */
	bool own_lost; /* it was: the client hears 421, and comes again */
	int xclient;   /* the answer to XCLIENT, its text in text, while EHLO is under way; 0: none */
	bool about;    /* the hop was told something by XFORWARD that a RSET must take back */
	size_t told;   /* bytes of session.xforward that it knows */
	bool has_client;
	struct ip client; /* its address and port, for XFORWARD */
	uint16_t client_port;
	bool client_gone;
	enum { RELAY_PROBE, RELAY_DELIVER, RELAY_SYNC } phase;
	bool mail_sent;  /* the hop has MAIL of this transaction */
	unsigned held;   /* recipients that the hop has of it */
	bool alone;      /* its only recipient must stay so */
	bool doubtful;   /* a recipient was taken that the hop refuses: relay_world.owed */
	bool used;       /* a transaction ended on this connection: it may have been closed since */
	bool heard;      /* the hop said something since MAIL */
	uint64_t most;   /* SIZE of the hop, as far as is known */
	int failed;      /* first refusal within the group that delivers, 0: none */
	struct buf text; /* of failed */

	/* The copies of the message. */
	unsigned at;   /* the recipient whose copy is under way */
	bool body;     /* the hop may have this copy */
	bool again;    /* the connection was made anew for this copy */
	bool overdue;  /* no further copy is begun */
	bool recorded; /* something must be synced before the answer */
	struct relay_outcome outcome[SESSION_MAX_RECIPIENTS];
	struct buf texts;
};

/* cfg is borrowed. offer: what the hop offers, the client is greeted with it;
 * NULL: not known yet, the relay wants a connection first. */
void relay_init(struct relay *r, const struct session_config *cfg, const struct smtp_offer *offer,
	const struct relay_world *world, void *arg);
/* Who the client is, for XFORWARD; trusted: it may say so itself. Before anything
 * else. */
void relay_client_is(struct relay *r, const struct ip *address, uint16_t port, bool trusted);
/* Does not touch a connection that is held. */
void relay_free(struct relay *r);

void relay_client_in(struct relay *r, slice in);
/* The client closed its side or failed. A message under way to the hop goes on;
 * all else ends. */
void relay_client_gone(struct relay *r);
/* The client wants TLS: when session.out is written, shake hands; then
 * relay_client_secured, or relay_client_gone. Whatever was read in plain text
 * and not given to the relay yet must be dropped. */
bool relay_client_securing(const struct relay *r);
void relay_client_secured(struct relay *r);
/* The client was silent for too long. */
void relay_client_late(struct relay *r);
/* The client has waited long for its answer to a message. */
void relay_overdue(struct relay *r);
/* The client would soon wait no longer: it is answered without the hop. */
void relay_give_up(struct relay *r);
/* Here is the connection that was wanted. used: it served before. */
void relay_hop_up(struct relay *r, struct exchange *x, bool used);
/* There is none. code 0: no hop answers; else what is said to the client: 421
 * of the hop itself, or 451 with a reason. */
void relay_hop_refused(struct relay *r, int code, slice text);
/* Bytes of the hop, while held. 0, or -REFUSE_...: the hop broke the protocol (and is dropped). */
int relay_hop_in(struct relay *r, slice in);
/* The connection failed, was closed, or was silent for too long. */
void relay_hop_gone(struct relay *r);

/* Does it hold a connection of which nothing is wanted now, as the client is still
 * sending, or silent? */
bool relay_idle(const struct relay *r);
/* Of one that is idle: others wait, the connection is given back. When it is needed
 * another one is wanted, and the transaction opened anew. */
void relay_recall(struct relay *r);

/* What was recorded is safe (or never will be). */
void relay_synced(struct relay *r);

/* No more transactions: what is under way ends, then 421. */
void relay_stop(struct relay *r);

/* May bytes of the client be taken now? */
bool relay_hungry(const struct relay *r);
/* The client's side is over: write session.out, then close it. */
bool relay_client_done(const struct relay *r);
/* Both sides are over. */
bool relay_done(const struct relay *r);

#endif
