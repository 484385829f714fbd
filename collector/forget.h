/* Withdrawal: what was kept of the messages that a tombstone means is taken out
 * of a campaign, as if they had never been opened, and marked so that no later
 * hit counts. That they were sent, accepted or bounced stays, without a name.
 *
 * The fold, which alone writes state, calls this within its transactions.
 */
#ifndef LF_COLLECTOR_FORGET_H
#define LF_COLLECTOR_FORGET_H

#include "core/base/buf.h"
#include "core/io/rds.h"
#include "core/model/kept.h"
#include "core/model/tombstone.h"

/* Messages of one transaction. */
#define FORGET_MOST 256

struct forget_tomb {
	struct tombstone is; /* its tenant borrows text */
	struct buf text;     /* owned */
	bool again;          /* mail that it means came in late */
};

/* In order of recipients. */
struct forget_list {
	struct forget_tomb *tomb; /* owned */
	size_t count, room;
};

/* False: not a tombstone. One that is there already is left as it is. */
bool forget_add(struct forget_list *l, slice text);
/* By its text; NULL: not there. */
struct forget_tomb *forget_get(const struct forget_list *l, slice text);
/* The first one that means a message, of whatever tenant; NULL: none. */
struct forget_tomb *forget_find(const struct forget_list *l, uint64_t recipient, uint64_t ms);
void forget_drop(struct forget_list *l, size_t at);
void forget_list_free(struct forget_list *l);

struct forget_block {
	uint32_t lane, number;
	struct buf bytes; /* owned: what stays */
};

struct forget {
	struct {
		uint32_t lane, sequence;
		size_t tomb;
	} message[FORGET_MOST];
	size_t messages; /* FORGET_MOST: there may be more; to be read again after the commit */
	struct state changes;
	struct forget_block block[FORGET_MOST];
	size_t blocks;
};

/* What the tombstones mean in one campaign. 0 and *out to be freed, or -errno
 * with *why, nothing to be freed and the connection of no more use. Nobody may
 * write to the campaign from here to the commit. */
int forget_read(struct rds *r, unsigned partition, uint64_t campaign, const struct forget_list *tombs,
	const struct verdict_rules *rules, struct forget *out, struct buf *why);
/* Queue the writes; returns the number of commands. */
size_t forget_put(struct rds *r, unsigned partition, uint64_t campaign, const struct forget_list *tombs,
	const struct forget *f);
void forget_free(struct forget *f);

#endif
