/* The part of the configuration that the rewriting of a message follows. */
#ifndef LF_REWRITER_SETTINGS_H
#define LF_REWRITER_SETTINGS_H

#include "core/io/config.h"
#include "rewriter/hops.h"
#include "rewriter/message.h"
#include "rewriter/peer.h"

/* *out borrows the configuration's text and the arena. 0, or -REFUSE_SYNTAX:
 * one of them is not what it has to be; *why says which and what that is. */
int settings_policy(struct arena *a, const struct config *c, struct policy *out, struct buf *why);

/* Where mail goes: rewriter.next_hop and rewriter.routes. As above. */
int settings_routes(struct arena *a, const struct config *c, struct hops_routes *out, struct buf *why);

/* Who may speak for others: rewriter.trusted_clients and rewriter.proxy_protocol. As
 * above, or -REFUSE_RANGE: too many networks. */
int settings_peers(const struct config *c, struct peers *out, struct buf *why);

#endif
