/* The nodes of a Redis Cluster behind one struct rds: each command goes to the
 * node that owns the slot of its key, and replies come in the order in which
 * commands were put. Belongs to core/io/rds.c.
 *
 * Whoever holds a connection relies on it: what was acknowledged is still there.
 * A slot that has got another owner may have lost the last of it, so MOVED is
 * handed to the caller as the error that it is, and the map of slots is never
 * changed: open anew, and ask again what is there. ASK (the slot is on its way,
 * and whole where it is going) is followed, but not for WATCH, XADD and what
 * stands between MULTI and EXEC.
 *
 * A command without a key (MULTI, UNWATCH, PING ...) goes with the next one that
 * has one, EXEC where its MULTI went.
 */
#ifndef LF_IO_CLUSTER_H
#define LF_IO_CLUSTER_H

#include "core/io/rds.h"

#define CLUSTER_MAX_NODES 1024
#define CLUSTER_SLOTS 16384

struct cluster;

/* Learn the slots from one of the addresses of cfg, begun with any; nodes are
 * connected to when they are first needed. 0, or -errno of the last address:
 * as rds_open, -EPROTONOSUPPORT: it belongs to no cluster. */
int cluster_open(struct cluster **out, const struct rds_config *cfg);
void cluster_close(struct cluster **c);

/* As rds_put and rds_get. -EAGAIN: nobody owns the slot of a key. */
void cluster_put(struct cluster *c, int argc, const slice *argv);
int cluster_get(struct cluster *c, struct rds_reply **out);

/* The slot of a key: of what stands between its first '{' and the next '}', if
 * that is not empty, else of all of it. pure. */
unsigned cluster_slot(slice key);
/* "MOVED 3999 127.0.0.1:6381", also ASK: the address; host borrows text and is
 * empty where the node does not know its own. 0 or -REFUSE_SYNTAX. pure. */
int cluster_redirect_decode(slice text, slice *host, int *port);

#endif
