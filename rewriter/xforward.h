/* What the next hop is told of a client by XFORWARD (Postfix's XFORWARD_README),
 * so that its log, its limits and its filters see who sent a message, and by
 * which name we know its copy.
 *
 * pure.
 */
#ifndef LF_REWRITER_XFORWARD_H
#define LF_REWRITER_XFORWARD_H

#include "core/parse/ip.h"
#include "core/parse/smtp.h"

/* In one command all that we tell stays below the limit of a line. */
#define XFORWARD_MAX_HELO 255 /* encoded; a longer name is told as unavailable */
#define XFORWARD_MAX_IDENT 64

struct xforward {                 /* borrows its slices */
	const struct ip *address; /* NULL: do not tell who the client is, its name only */
	uint16_t port;
	slice helo, protocol;
	slice ident; /* of the copy; empty: none */
};

/* Append one command without CRLF, with those attributes that the hop offers.
 * False: nothing was to be told, nothing appended. */
bool xforward_put(const struct xforward *f, const struct smtp_words *offered, struct buf *out);

#endif
