/* The fold: streams in, campaign state out, each event exactly once.
 *
 * A fold owns partitions (a lease with a fencing number that is checked in each
 * transaction), reads their streams behind the cursor, applies the events to
 * the touched pages of state in memory, and writes changed pages, counters, hits
 * and cursors in one MULTI/EXEC per partition. A partition that was scored by
 * other rules is scored anew from its kept hits before anything else. Then those
 * who withdrew are forgotten (collector/forget.h).
 */
#ifndef LF_COLLECTOR_FOLD_H
#define LF_COLLECTOR_FOLD_H

#include "core/io/rds.h"
#include "core/model/verdict.h"

struct fold_config {
	struct rds_config redis;
	unsigned partitions;
	unsigned batch; /* about the most stream entries of a transaction */
	unsigned lease_ms; /* a fold that is silent for so long loses its partitions */
	uint64_t keep_tombstones_ms; /* since the withdrawal; 0: for ever */
	const struct verdict_rules *rules; /* borrowed; NULL: verdict_rules */
};

struct fold;

/* 0, or -EINVAL (a number out of range); connects on the first turn, not here. */
int fold_open(struct fold **out, const struct fold_config *cfg);
/* Gives the leases back. */
void fold_close(struct fold **f);

/* One look at every partition. >0: events and refused entries taken in, or
 * withdrawals not done with (look again at once). 0: nothing new. -EINVAL: the store was made with another number
 * of partitions (said in the log). Other -errno: Redis is away or refuses;
 * nothing was half done; call again after a pause. */
int64_t fold_turn(struct fold *f);

#endif
