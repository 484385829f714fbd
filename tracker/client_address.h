/* Whose address a request comes from: the connection's peer, or, when the peer
 * is a trusted proxy, the right-most hop of X-Forwarded-For that is not one.
 *
 * pure: nothing of the world.
 */
#ifndef LF_TRACKER_CLIENT_ADDRESS_H
#define LF_TRACKER_CLIENT_ADDRESS_H

#include "core/parse/ip.h"

/* Hops of X-Forwarded-For that are looked at, from the right. */
#define CLIENT_MAX_HOPS 32

/* forwarded: the values of all X-Forwarded-For headers, in order. Total. A hop
 * that is no address ends the walk: what stands left of it is hearsay. */
struct ip client_address_of(
	const struct ip_networks *trusted, const struct ip *peer, const slice *forwarded, size_t count);

#endif
