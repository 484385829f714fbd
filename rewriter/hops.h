/* The next hops: which of them a transaction goes to, and the greeted connections
 * to each, lent for one transaction at a time.
 *
 * The route is known at MAIL, by the domain of the sender; of its hops the first
 * one that answers is taken. A hop that does not is avoided for a while, but
 * never where there is no other.
 */
#ifndef LF_REWRITER_HOPS_H
#define LF_REWRITER_HOPS_H

#include "core/io/config.h"
#include "core/io/loop.h"
#include "rewriter/exchange.h"
#include "rewriter/transport.h"

#include <sys/types.h>

#define HOPS_MAX 32 /* next hops in all */
#define HOPS_MAX_ROUTES 64
/* Names are looked up again when a connection is made after this long, ... */
#define HOPS_LOOKUP_MS 60000
/* ... and when one fails, at most this often. */
#define HOPS_LOOKUP_FAILED_MS 5000
/* What a hop offered holds for clients that come this long after its last
 * connection. */
#define HOPS_OFFER_MS 60000
/* After so many refusals in a row a connection is not kept: servers slow down
 * whoever makes many errors, and the next to use it has made none. */
#define HOPS_MAX_REFUSED 8
/* A hop that has connections of ours and refuses one more is not asked for
 * another one for this long. */
#define HOPS_FULL_MS 1000

struct hops_route {
	slice domain; /* of the sender, lower case; ".example.com": below it; empty: all others */
	struct config_addr hop[CONFIG_MAX_ADDRS];
	unsigned count;
};

struct hops_routes {
	const struct hops_route *at; /* the first one is for all others */
	unsigned count;
};

struct hops_config { /* all of it is borrowed */
	struct loop *loop;
	const struct config *config;
	const struct transport *transport;
	struct hops_routes routes;
};

struct hops;

struct hops *hops_open(const struct hops_config *cfg);
/* All loans must have ended. Connections that rest are told QUIT. */
void hops_close(struct hops **h);
/* To be called when the loop was woken: lookups may have ended. */
void hops_woken(struct hops *h);
/* What every hop offers, as far as is known. False: nothing is known of the one
 * that would be used now; borrow a connection and see. */
bool hops_offer(const struct hops *h, struct smtp_offer *out);

enum hop_event {
	HOP_LENT,    /* the connection that was waited for */
	HOP_REFUSED, /* none can be had: code and text of the loan */
	HOP_READY,   /* lent: something to read, or room to write */
	HOP_LATE     /* lent: the hop was silent for too long */
};

/* What a borrower has; placed and zeroed by it. Events are said from the loop,
 * never from within a call. */
struct hop_loan {
	void (*happened)(void *arg, enum hop_event what);
	void *arg;
	int code;              /* HOP_REFUSED: of the hop's greeting, 0: no hop answers */
	slice text;            /* good during the call */
	struct hop_conn *conn; /* NULL: nothing is lent */
	struct hop *at;        /* where it waits, NULL: nowhere */
	const struct route *route;
	uint32_t tried; /* bits of hops */
	struct hop_loan *next, **prev;
};

/* Borrow a connection for mail of this sender. True: it is lent. False: an event
 * will come. */
bool hops_take(struct hops *h, struct hop_loan *l, slice sender);
/* Wait no longer. */
void hops_cancel(struct hop_loan *l);
/* The end of a loan: at rest for the next one; with QUIT; closed at once. */
void hops_give(struct hop_loan *l);
void hops_quit(struct hop_loan *l);
void hops_drop(struct hop_loan *l);

/* While lent. */
struct exchange *hop_exchange(const struct hop_loan *l);
/* Was it lent before? */
bool hop_used(const struct hop_loan *l);
/* Does somebody wait for a connection to this hop? */
bool hop_wanted(const struct hop_loan *l);
/* As link_read and link_flush. */
ssize_t hop_read(struct hop_loan *l, void *p, size_t room);
int hop_flush(struct hop_loan *l);

#endif
