/* One client's session joined to its next hop: who is told what, and when.
 *
 * MAIL and RCPT go to the hop at once and its answers to the client, word for
 * word. The message is taken in whole; a copy is prepared; the hop is given the
 * copy, in a transaction opened anew if the copy has a sender of its own. The
 * client hears 2xx only after the hop said 2xx to that very copy and, where an
 * event was recorded, after that is safe on disk.
 *
 * The hop's connection is kept from one transaction to the next and opened anew
 * when the hop closed it meanwhile.
 *
 * pure: no clock, file, lock or socket; the world is struct relay_world.
 */
#ifndef LF_REWRITER_RELAY_H
#define LF_REWRITER_RELAY_H

#include "core/model/event.h"
#include "rewriter/exchange.h"
#include "rewriter/session.h"

/* Bytes of a client that came while it waits for an answer. */
#define RELAY_MAX_PENDING (256 * 1024)

/* What goes to the hop for one recipient, and what to record when it took it.
 * Kept by the relay, filled by relay_world.prepare; memory is kept between
 * messages. */
struct relay_copy {
	int code;         /* not 0: nothing goes; the client gets this code and text */
	const char *text; /* static */
	slice message;    /* borrows the session's message, or rendered */
	struct buf rendered;
	bool has_sender; /* use sender instead of the envelope's */
	struct buf sender;
	bool tracked;       /* record event */
	struct event event; /* SENT, all but time and queue id */
};

struct relay_world {
	/* The message is whole. size: the hop's limit, 0 if none is known. */
	void (*prepare)(
		void *arg, const struct envelope *e, slice message, uint64_t size, struct relay_copy *c);
	/* The hop took the copy. text: of its reply. True: call relay_synced when
	 * what was recorded is safe; false: there is nothing to wait for. */
	bool (*taken)(void *arg, struct relay_copy *c, slice text);
	/* A message was answered with this code (the client may be gone). */
	void (*answered)(void *arg, int code);
};

enum relay_hop {
	RELAY_HOP_NONE,
	RELAY_HOP_WANTED,    /* connect, then relay_hop_up or relay_hop_gone */
	RELAY_HOP_CONNECTED, /* greeting and EHLO are under way */
	RELAY_HOP_READY,
	RELAY_HOP_LEAVING /* QUIT was said */
};

/* What time limit the hop's silence has. */
enum relay_limit {
	RELAY_LIMIT_NONE,
	RELAY_LIMIT_CONNECT,
	RELAY_LIMIT_REPLY,
	RELAY_LIMIT_DOT,
	RELAY_LIMIT_QUIT
};

struct relay {
	const struct relay_world *world; /* borrowed */
	void *arg;
	struct session session;   /* session.out: for the client */
	struct exchange exchange; /* exchange.out: for the hop */
	struct buf pending;
	struct relay_copy copy;
	enum relay_hop hop;
	bool hop_close; /* close the hop's connection now (before a new one is made) */
	bool client_gone;
	enum { RELAY_PROBE, RELAY_DELIVER, RELAY_SYNC } phase;
	bool mail_sent;  /* the hop has MAIL of this transaction */
	bool used;       /* a transaction ended on this connection */
	bool heard;      /* the hop said something since MAIL */
	int failed;      /* first refusal within the group that delivers, 0: none */
	int answer;      /* waits for the sync */
	struct buf text; /* of failed or answer */
};

/* host and cfg are borrowed. The relay then wants a hop. */
void relay_init(
	struct relay *r, const struct session_config *cfg, const struct relay_world *world, void *arg);
void relay_free(struct relay *r);

void relay_client_in(struct relay *r, slice in);
/* The client closed its side or failed. A message under way to the hop goes on;
 * all else ends. */
void relay_client_gone(struct relay *r);
/* The client was silent for too long. */
void relay_client_late(struct relay *r);

/* Connected. */
void relay_hop_up(struct relay *r);
/* 0, or -REFUSE_...: the hop broke the protocol (and is dropped). */
int relay_hop_in(struct relay *r, slice in);
/* The connection failed, was closed, or was silent for too long. */
void relay_hop_gone(struct relay *r);

/* What relay_world.taken recorded is safe (or never will be). */
void relay_synced(struct relay *r);

/* No more transactions: what is under way ends, then 421. */
void relay_stop(struct relay *r);

/* May bytes of the client be taken now? */
bool relay_hungry(const struct relay *r);
enum relay_limit relay_hop_limit(const struct relay *r);
/* The client's side is over: write session.out, then close it. */
bool relay_client_done(const struct relay *r);
/* Both sides are over. */
bool relay_done(const struct relay *r);

#endif
