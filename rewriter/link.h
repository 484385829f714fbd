/* One connection to a next hop: connecting to one address after the other, the
 * greeting, EHLO and TLS, then commands and answers with their time limits (RFC 5321
 * 4.5.3.2), and QUIT.
 */
#ifndef LF_REWRITER_LINK_H
#define LF_REWRITER_LINK_H

#include "core/io/config.h"
#include "core/io/lookup.h"
#include "core/io/secure.h"
#include "rewriter/exchange.h"
#include "rewriter/transport.h"

/* How long the hop may take to answer QUIT. */
#define LINK_QUIT_MS 5000

struct link;

enum link_event {
	LINK_UP,     /* greeted; the exchange is ready */
	LINK_FAILED, /* could not be had: see link_failure; close it */
	LINK_READY,  /* up: something to read, or room to write */
	LINK_LATE    /* up: the hop was silent for too long */
};

struct link_failure {
	int err;    /* errno of connecting to the last address; 0: it was connected */
	int code;   /* what it said in place of a greeting; 0: nothing, or not SMTP; 451: ours, no TLS */
	slice text; /* borrows the link */
};

struct link_config { /* all of it is borrowed */
	struct loop *loop;
	const struct config *config;
	const struct transport *transport;
	const char *host; /* as the hop is named in the configuration */
};

/* Begin to connect. What happens is said from the loop, never from within a
 * call; happened may close the link. */
struct link *link_open(const struct link_config *cfg, const struct lookup_result *to,
	void (*happened)(void *arg, enum link_event what), void *arg);
void link_close(struct link **k);
struct link_failure link_failure(const struct link *k);

/* While up: */
struct exchange *link_exchange(struct link *k);
/* As stream_read. */
ssize_t link_read(struct link *k, void *p, size_t room);
/* Write what the exchange has for the hop, and watch for its answer. idle_ms:
 * the limit while nothing is asked, 0: none. 0, or -errno: the connection
 * failed (the hop may have said why: read first). */
int link_flush(struct link *k, uint64_t idle_ms);

#endif
