/* Who connected: the address of the other end, or that which a load balancer names
 * by the PROXY protocol, and whether it may speak for others.
 */
#ifndef LF_REWRITER_PEER_H
#define LF_REWRITER_PEER_H

#include "core/io/stream.h"
#include "core/parse/ip.h"
#include "core/parse/proxyhdr.h"

/* How long the header may take: it is sent before anything else. */
#define PEER_HEADER_MS 10000

struct peers {
	struct ip_networks trusted;   /* rewriter.trusted_clients */
	struct ip_networks balancers; /* rewriter.proxy_protocol */
};

struct peer {
	bool known; /* it has an address */
	struct ip address;
	uint16_t port;
	bool announced; /* its header is still to come */
	size_t len;     /* of what came of it */
	uint8_t head[PROXYHDR_MAX];
};

/* Without an address (another family) it is nobody's network. */
void peer_init(struct peer *p, const struct peers *peers, const struct sockaddr_storage *from);
/* Read more of the header and no byte behind it. 1: whole, p is whom it names. 0:
 * needs more. -REFUSE_...: it is none; or -errno: the connection ended. */
int peer_read(struct peer *p, struct stream *s);
bool peer_trusted(const struct peer *p, const struct peers *peers);
/* Append the address for a log line. */
void peer_put(const struct peer *p, struct buf *out);

#endif
