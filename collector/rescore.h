/* A campaign's state computed anew from its kept hits, and where it differs
 * from what Redis holds: nowhere, unless the rules of verdicts have changed.
 *
 * Messages are looked at in windows, so memory does not grow with the campaign.
 */
#ifndef LF_COLLECTOR_RESCORE_H
#define LF_COLLECTOR_RESCORE_H

#include "core/base/buf.h"
#include "core/io/rds.h"
#include "core/model/kept.h"

/* Bytes of a fact that should be others. */
struct rescore_piece {
	uint32_t lane;
	enum fact fact;
	uint64_t at; /* in the fact's string */
	size_t len;
	uint8_t *bytes; /* owned: what should be there */
};

struct rescore {
	uint64_t hits, messages;      /* that are kept; an anonymous hit is no message */
	struct state counts;          /* its changes that are not 0 are to be added */
	struct rescore_piece *pieces; /* owned */
	size_t piece_count, piece_room;
};

/* 0 and *out to be freed, or -errno with *why; the connection is then of no
 * more use. Nobody may write to the campaign meanwhile, or the differences are
 * wrong. */
int rescore_read(struct rds *r, unsigned partition, uint64_t campaign, const struct verdict_rules *rules,
	struct rescore *out, struct buf *why);
void rescore_free(struct rescore *s);

bool rescore_agrees(const struct rescore *s);
/* Queue what makes Redis agree; returns the number of commands. */
size_t rescore_put(struct rds *r, unsigned partition, uint64_t campaign, const struct rescore *s);
/* One line for each difference. */
void rescore_say(const struct rescore *s, struct buf *out);

#endif
