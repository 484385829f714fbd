/* What the next hop is told of a client by XFORWARD (Postfix's XFORWARD_README),
 * so that its log, its limits and its filters see who sent a message, and by
 * which name we know its copy.
 *
 * pure: no clock, file, lock or socket.
 */
#ifndef LF_REWRITER_XFORWARD_H
#define LF_REWRITER_XFORWARD_H

#include "core/parse/ip.h"
#include "core/parse/smtp.h"

/* In one command all that we tell stays below the limit of a line. */
#define XFORWARD_MAX_HELO 255 /* encoded; a longer name is told as unavailable */
#define XFORWARD_MAX_IDENT 64

struct xforward { /* borrows */
	const struct ip *address;
	uint16_t port;
	slice helo, protocol;
};

/* Each appends one command without CRLF, with those attributes that the hop
 * offers. False: nothing is to be told, nothing was appended. They are two as a
 * hop refuses a command whole: Postfix without IPv6 takes no such address. */
bool xforward_client_put(const struct xforward *f, const struct smtp_words *offered, struct buf *out);
/* ident: our name of the copy; empty: none. */
bool xforward_ident_put(slice ident, const struct smtp_words *offered, struct buf *out);

#endif
