/* The hits that are kept: every open, click and unsubscribe of a campaign, so
 * that verdicts can be revised and the state be computed anew.
 *
 * They lie in blocks of 256 messages of one (campaign, lane), one string of
 * Redis each, to which hits are appended as they come (docs/FORMATS.md, "Kept
 * hits"). What a message's hits do to its facts and to the counters is a
 * function of all of them, judged together (core/model/verdict.h): a new hit
 * may take back what an older one did. The order of use is
 *
 *	kept_touch for each hit; load all of wanted
 *	kept_settle; load all that state then wants
 *	kept_apply; append the fresh bytes of dirty blocks; kept_committed
 *
 * and kept_forget whenever it is not certain that Redis holds what we believe.
 *
 * Anonymous hits belong to no message: they are kept by day, and count as the
 * tracker judged them.
 *
 * pure
 */
#ifndef LF_MODEL_KEPT_H
#define LF_MODEL_KEPT_H

#include "core/base/buf.h"
#include "core/model/state.h"
#include "core/model/verdict.h"

#define KEPT_BLOCK 256        /* messages */
#define KEPT_RECORD 17        /* bytes of a hit */
#define KEPT_MOST VERDICT_MAX /* hits of one message; more are counted in hits_over and nowhere else */
/* Numbers from here on: anonymous hits of the Unix day above it. */
#define KEPT_ANONYMOUS 0x80000000u

struct kept_block {
	uint64_t campaign;
	uint32_t lane;
	uint32_t number;  /* sequence / KEPT_BLOCK, or KEPT_ANONYMOUS | day */
	bool loaded;      /* anonymous ones need not be */
	bool touched;     /* has fresh hits: is dirty, or will be */
	struct buf bytes; /* what Redis holds */
	struct buf fresh; /* what is to be appended */
	size_t counted;   /* its memory within kept_bytes */
	uint64_t batch;
};

struct kept {
	struct kept_block **wanted, **dirty;
	size_t wanted_count, dirty_count;
	struct kept_tables *tables; /* owned */
};

void kept_init(struct kept *k);
void kept_free(struct kept *k);

bool kept_takes(const struct event *e);
/* must(): kept_takes, state_takes. */
void kept_touch(struct kept *k, const struct event *e);
/* The block's string. Bytes behind the last whole record are left out of it. */
void kept_load(struct kept_block *b, slice bytes);
/* Judge every message that was touched: what changes is counted in s, and the
 * pages whose bits change are wanted from it. Hits of a forgotten message are
 * dropped. must(): all is loaded, and state_touch was told of each hit. */
void kept_settle(struct kept *k, const struct verdict_rules *rules, struct state *s);
/* Change the bits. must(): the pages are loaded. */
void kept_apply(struct kept *k, struct state *s);
/* All that is dirty was appended. Then drops blocks beyond cap bytes. */
void kept_committed(struct kept *k, size_t cap);
void kept_forget(struct kept *k);
size_t kept_bytes(const struct kept *k);

/* What the hits of one message come to. */
struct kept_standing {
	uint32_t facts;    /* 1 << enum fact for each bit that is set */
	uint64_t opened_s; /* 0: none */
	uint64_t clicked_s;
};

/* Every message in a block's string: its sequence (EVENT_NO_SEQUENCE: one
 * anonymous hit), its hits in verdict_order and their classes. */
void kept_walk(const struct verdict_rules *rules, uint32_t number, slice bytes,
	void (*message)(void *arg, uint32_t sequence, const struct verdict_hit *hits,
		const enum hit_class *class, unsigned n),
	void *arg);
struct kept_standing kept_standing(const struct verdict_hit *hits, const enum hit_class *class, unsigned n);
/* Count one hit (n = 1), or take it back (-1). */
void kept_count(
	struct state *s, uint64_t campaign, const struct verdict_hit *h, enum hit_class class, int64_t n);
/* Append to out the records of a block's string but for those of the messages in
 * drop, by sequence % KEPT_BLOCK. */
void kept_without(slice bytes, const bool drop[KEPT_BLOCK], struct buf *out);
/* Facts that come from hits alone: 1 << enum fact for each. */
uint32_t kept_facts(void);
/* Does the counter count hits? (hits_over does not: what it counts is gone.) */
bool kept_counts(enum counter c);

#endif
