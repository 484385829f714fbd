/* Whose address a request comes from: the connection's peer, or, when the peer
 * is a trusted proxy, the right-most hop of X-Forwarded-For that is not one.
 *
 * pure: nothing of the world.
 *
 * An address is 16 bytes, IPv4 as ::ffff:a.b.c.d, so that one comparison does
 * for both.
 */
#ifndef LF_TRACKER_CLIENT_ADDRESS_H
#define LF_TRACKER_CLIENT_ADDRESS_H

#include "core/base/slice.h"

#define CLIENT_MAX_NETWORKS 64
/* Hops of X-Forwarded-For that are looked at, from the right. */
#define CLIENT_MAX_HOPS 32

struct client_address {
	uint8_t ip[16];
};

struct client_networks {
	struct {
		struct client_address address;
		uint8_t bits; /* of 128 */
	} network[CLIENT_MAX_NETWORKS];
	unsigned count;
};

/* "192.0.2.1" or "2001:db8::1", as inet_pton takes them (no zone). 0, or
 * -REFUSE_SYNTAX. */
int client_address_decode(slice text, struct client_address *out);
bool client_address_is_v4(const struct client_address *a);
struct client_address client_address_v4(const uint8_t ip[4]);

/* Networks in CIDR form, or single addresses, parted by spaces or commas. 0;
 * -REFUSE_SYNTAX (no address, no such prefix, or bits set behind the prefix) or
 * -REFUSE_RANGE (too many), with *word the part at fault. */
int client_networks_decode(slice text, struct client_networks *out, slice *word);
bool client_networks_have(const struct client_networks *n, const struct client_address *a);

/* forwarded: the values of all X-Forwarded-For headers, in order. Total. A hop
 * that is no address ends the walk: what stands left of it is hearsay. */
struct client_address client_address_of(const struct client_networks *trusted,
	const struct client_address *peer, const slice *forwarded, size_t count);

#endif
