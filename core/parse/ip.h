/* Addresses and networks of the internet protocol as text and as bytes.
 *
 * An address is 16 bytes, IPv4 as ::ffff:a.b.c.d, so that one comparison does
 * for both.
 *
 * pure.
 */
#ifndef LF_PARSE_IP_H
#define LF_PARSE_IP_H

#include "core/base/buf.h"
#include "core/base/slice.h"

#define IP_MAX_NETWORKS 64
#define IP_MAX_TEXT 40 /* eight groups of four digits; a byte more, as buf_printf wants it */

struct ip {
	uint8_t byte[16];
};

struct ip_networks {
	struct {
		struct ip address;
		uint8_t bits; /* of 128 */
	} network[IP_MAX_NETWORKS];
	unsigned count;
};

/* "192.0.2.1" or "2001:db8::1", as inet_pton takes them (no zone). 0, or
 * -REFUSE_SYNTAX. */
int ip_decode(slice text, struct ip *out);
/* Append the text that decodes to it: IPv4 in its own form, IPv6 as RFC 5952
 * wants it (lower case, the longest run of zero groups as "::"). */
void ip_encode(const struct ip *a, struct buf *out);
bool ip_is_v4(const struct ip *a);
struct ip ip_v4(const uint8_t ip[4]);

/* Networks in CIDR form, or single addresses, parted by spaces or commas. 0;
 * -REFUSE_SYNTAX (no address, no such prefix, or bits set behind the prefix) or
 * -REFUSE_RANGE (too many), with *word the part at fault. */
int ip_networks_decode(slice text, struct ip_networks *out, slice *word);
bool ip_networks_have(const struct ip_networks *n, const struct ip *a);

#endif
