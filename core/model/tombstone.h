/* Who withdrew: "what was sent to this address before then counts no more".
 *
 * pure. Text: "<recipient hash, 16 hex digits> <Unix ms>", and behind a blank the
 * tenant if only that one's mail is meant. docs/FORMATS.md, "Redis keys".
 */
#ifndef LF_MODEL_TOMBSTONE_H
#define LF_MODEL_TOMBSTONE_H

#include "core/base/buf.h"
#include "core/base/slice.h"

struct tombstone {
	uint64_t recipient; /* hash_recipient; never 0 */
	uint64_t ms;
	slice tenant; /* empty: of every tenant; borrows what was decoded */
};

void tombstone_encode(const struct tombstone *t, struct buf *out);
/* 0 or -REFUSE_SYNTAX. */
int tombstone_decode(slice text, struct tombstone *out);

/* Does it mean a message sent at ms? By the second, as the store keeps times. */
static inline bool tombstone_means(const struct tombstone *t, uint64_t recipient, uint64_t ms)
{
	return recipient && t->recipient == recipient && ms / 1000 <= t->ms / 1000;
}

#endif
