/* The fold: streams in, campaign state out, each event exactly once.
 *
 * A fold owns partitions (a lease with a fencing number that is checked in each
 * transaction), reads their streams behind the cursor, applies the events to
 * the touched pages of state in memory, and writes changed pages, counters and
 * cursors in one MULTI/EXEC per partition.
 */
#ifndef LF_COLLECTOR_FOLD_H
#define LF_COLLECTOR_FOLD_H

#include "core/io/rds.h"

struct fold_config {
	struct rds_config redis;
	unsigned partitions;
	unsigned batch; /* most stream entries a transaction */
	unsigned lease_ms;
};

struct fold;

/* 0, or -errno; connects on the first turn, not here. */
int fold_open(struct fold **out, const struct fold_config *cfg);
/* Gives the leases back. */
void fold_close(struct fold **f);

/* One look at every partition. >0: events folded (look again at once).
 * 0: nothing new. -errno: Redis is away or refuses; nothing was half done; call
 * again after a pause. */
int64_t fold_turn(struct fold *f);

#endif
