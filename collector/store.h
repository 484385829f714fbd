/* Where the pages and counters of core/model/state.h and the blocks of
 * core/model/kept.h lie in Redis: loading what is wanted, writing what has
 * changed. Commands are queued here and sent by the
 * caller's connection; nothing is decided here about ownership.
 */
#ifndef LF_COLLECTOR_STORE_H
#define LF_COLLECTOR_STORE_H

#include "core/base/buf.h"
#include "core/io/rds.h"
#include "core/model/kept.h"
#include "core/model/state.h"

/* The next reply, which must not be an error: 0, or -errno with *out NULL. The
 * text of an error reply is appended to why. */
int store_reply(struct rds *r, struct rds_reply **out, struct buf *why);
/* The same for a reply that nobody reads. */
int store_done(struct rds *r, struct buf *why);

/* Queue the reads for all that is wanted and not loaded. Puts the list of wanted
 * pages in order: nothing may be wanted from here to store_take. */
void store_ask(struct rds *r, unsigned partition, const struct state *s);
/* Take their replies. 0, or -errno: the connection and the state are of no more
 * use. A key of a type that is not ours is found here, before anything is
 * written: -EPROTO, and why names the key. */
int store_take(struct rds *r, unsigned partition, struct state *s, struct buf *why);

/* Queue the writes for all that is dirty; returns the number of commands. */
size_t store_put(struct rds *r, unsigned partition, const struct state *s);

/* The same three for kept hits. */
void store_ask_kept(struct rds *r, unsigned partition, const struct kept *k);
int store_take_kept(struct rds *r, unsigned partition, struct kept *k, struct buf *why);
size_t store_put_kept(struct rds *r, unsigned partition, const struct kept *k);

#endif
