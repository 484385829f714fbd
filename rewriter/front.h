/* The sockets of the SMTP and LMTP front: clients on one side, on the other a
 * connection to a next hop for each that is within a transaction.
 *
 * TLS begins where the relay says so, or with the connection (smtps).
 *
 * One loop, one thread. What is put into the outbox in a turn is flushed at its
 * end as one batch; the clients that wait for it are answered when it is synced.
 */
#ifndef LF_REWRITER_FRONT_H
#define LF_REWRITER_FRONT_H

#include "core/io/config.h"
#include "core/io/loop.h"
#include "core/io/outbox.h"
#include "rewriter/copier.h"
#include "rewriter/hops.h"
#include "rewriter/peer.h"
#include "rewriter/transport.h"

/* How long transactions under way may take to end when stopping. */
#define FRONT_STOP_MS 10000
/* A sync that takes longer than this no longer holds up the answer. */
#define FRONT_SYNC_MS 10000
/* How often what the disk did not take is offered again. */
#define FRONT_RETRY_MS 100
/* Behind a message of several recipients no further copy is begun after this:
 * the client waits ten minutes for its answer (RFC 5321 4.5.3.2.6). */
#define FRONT_COPIES_MS (4 * 60 * 1000)
/* How often the files of TLS are looked at for a change. */
#define FRONT_RENEW_MS 60000
/* A client that is within a transaction and does nothing with the hop for this long
 * gives its connection back when others wait for one. */
#define FRONT_YIELD_MS 1000
/* How often clients are looked at that wait for an answer. */
#define FRONT_TICK_MS 250

struct front;

struct front_config {
	struct loop *loop;                /* borrowed; lives longer than the outbox, whose threads wake it */
	const struct config *config;      /* borrowed */
	int listen_fd;                    /* borrowed */
	int lmtp_fd;                      /* borrowed; -1: none */
	int smtps_fd;                     /* borrowed; -1: none */
	const struct hops_routes *routes; /* borrowed */
	struct transport *transport;      /* borrowed */
	const struct peers *peers;        /* borrowed */
	struct copier *copier;            /* borrowed */
	struct outbox *outbox;            /* borrowed */
};

struct front *front_open(const struct front_config *cfg);
void front_close(struct front **f);
/* Serve until front_stop, and then until transactions under way have ended. */
void front_run(struct front *f);
/* From any thread: no new clients. */
void front_stop(struct front *f);
/* From any thread: read the files of TLS again. */
void front_renew(struct front *f);

#endif
