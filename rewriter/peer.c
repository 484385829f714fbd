#include "rewriter/peer.h"

#include <netinet/in.h>

void peer_init(struct peer *p, const struct peers *peers, const struct sockaddr_storage *from)
{
	p->known = p->announced = false;
	p->len = 0;
	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;

		p->address = ip_v4((const uint8_t *)&v4->sin_addr);
		p->port = ntohs(v4->sin_port);
		p->known = true;
	} else if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;

		memcpy(p->address.byte, &v6->sin6_addr, sizeof p->address.byte);
		p->port = ntohs(v6->sin6_port);
		p->known = true;
	}
	p->announced = p->known && ip_networks_have(&peers->balancers, &p->address);
}

int peer_read(struct peer *p, struct stream *s)
{
	struct proxyhdr h;
	int rc;

	while ((rc = proxyhdr_decode(slice_of(p->head, p->len), &h)) == 0) {
		size_t more = proxyhdr_more(slice_of(p->head, p->len));
		ssize_t n = stream_read(s, p->head + p->len, more);

		if (n <= 0)
			return (int)n;
		p->len += (size_t)n;
	}
	if (rc < 0)
		return rc;
	p->announced = false;
	/* LOCAL or UNKNOWN: the balancer speaks for itself. */
	if (h.known) {
		p->address = h.source;
		p->port = h.source_port;
	}
	return 1;
}

bool peer_trusted(const struct peer *p, const struct peers *peers)
{
	return p->known && ip_networks_have(&peers->trusted, &p->address);
}

void peer_put(const struct peer *p, struct buf *out)
{
	if (p->known)
		ip_encode(&p->address, out);
	else
		buf_str(out, "unknown");
}
