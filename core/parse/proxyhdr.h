/* The header of the PROXY protocol, versions 1 and 2: what a load balancer says
 * before anything else about the connection that it passes on.
 *
 * Version 1 is a line, "PROXY TCP4 192.0.2.1 192.0.2.2 4711 25" CR LF; version 2:
 *
 *	12 bytes  0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A
 *	 1        version 2 in the high half; command in the low: 0 LOCAL, 1 PROXY
 *	 1        family (1 IPv4, 2 IPv6, 3 Unix) in the high half, protocol (1 stream) in the low
 *	 2        bytes that follow, big-endian
 *	          source address, destination address, source port, destination port,
 *	          and more, which is read over
 *
 * Believe it only from a peer that is known to send it. The same result however
 * its input is cut: a caller offers all bytes that it has until the header is
 * whole.
 *
 * pure.
 */
#ifndef LF_PARSE_PROXYHDR_H
#define LF_PARSE_PROXYHDR_H

#include "core/parse/ip.h"

#define PROXYHDR_MAX_LINE 107  /* version 1, with CRLF: section 2.1 of the specification */
#define PROXYHDR_MAX_MORE 2048 /* version 2: what follows the fixed 16 bytes; a certificate's name fits */
#define PROXYHDR_MAX (16 + PROXYHDR_MAX_MORE)

struct proxyhdr {
	bool known; /* false: LOCAL or UNKNOWN; the connection's own addresses hold */
	struct ip source, destination;
	uint16_t source_port, destination_port;
};

/* >0: bytes of the header at the start of in, *out filled. 0: it is not whole
 * yet, needs more. -REFUSE_SYNTAX: no such header, or not in order; -REFUSE_VERSION:
 * another version or command; -REFUSE_TOO_LARGE. Said as soon as it is certain. */
int proxyhdr_decode(slice in, struct proxyhdr *out);
/* in is the part of a header so far, proxyhdr_decode gave 0. At least 1: as many
 * bytes may be read without reading past its end. For whoever cannot give back
 * what follows: the bytes of TLS. */
size_t proxyhdr_more(slice in);

#endif
