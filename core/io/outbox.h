/* The one way out for events: outbox -> journal -> Redis stream.
 *
 * An outbox belongs to one thread and one directory, which is its lane. It
 * starts two threads of its own: one syncs the journal, one ships frames to
 * Redis, in trouble and out of it. Redis may be away for as long as the disk
 * lasts; nothing here waits for it.
 */
#ifndef LF_IO_OUTBOX_H
#define LF_IO_OUTBOX_H

#include "core/base/slice.h"
#include "core/io/journal.h"
#include "core/io/rds.h"
#include "core/model/account.h"
#include "core/model/event.h"

/* The longest note. */
#define OUTBOX_NOTE 4096
/* Events that are put without a flush for longer than this (or than what fits
 * a journal segment) are written in several batches; a note goes with the last.
 * What cannot be written then is lost: nothing may grow for ever. */
#define OUTBOX_TURN (4u << 20)
/* No frame grows much beyond this. */
#define OUTBOX_FRAME (64u << 10)

struct outbox_config {
	const char *program; /* for struct account: "tracker" ... */
	struct journal_config journal;
	struct rds_config redis;
	unsigned partitions;
	unsigned sync_ms; /* group sync interval; 0: sync as soon as something was written */
};

struct outbox;

/* 0, or -errno; nothing of Redis is needed to open. */
int outbox_open(struct outbox **out, const struct outbox_config *cfg);
/* Writes, syncs, then gives the shipper drain_ms to empty the journal. */
void outbox_close(struct outbox **o, unsigned drain_ms);

uint32_t outbox_lane(const struct outbox *o);

/* Into memory; nothing is safe before outbox_flush. */
void outbox_put(struct outbox *o, const struct event *e);
/* A note to oneself (at most OUTBOX_NOTE bytes), written in the same batch as the events
 * put since the last flush: both are found after a crash, or neither. Empty
 * events are fine: a note alone is written too. */
void outbox_note(struct outbox *o, slice note);
/* The last note written, from the journal; empty if there is none. Borrows the
 * outbox; good until the next outbox_flush. */
slice outbox_last_note(const struct outbox *o);

/* Once per loop turn: seal and write all that was put, as one batch with one
 * write. Returns a ticket > 0, 0 if there was nothing, or -errno: what was put,
 * the note with it, waits for the next flush and must not be put again. After
 * success kill -9 loses nothing. */
int64_t outbox_flush(struct outbox *o);
/* Give up what a flush could not write: the events are counted as lost (and it
 * is said loudly, once). For those whose answers cannot wait. */
void outbox_lose(struct outbox *o);

/* Is a ticket's batch on the disk itself? (power loss) */
bool outbox_synced(const struct outbox *o, int64_t ticket);
/* Sync now, wait. 0, or -errno of the sync. For threads that may wait. */
int outbox_wait(struct outbox *o, int64_t ticket);
/* Called from the sync thread after each sync, also a failed one; must only
 * wake. Set it before the first flush. */
void outbox_on_sync(struct outbox *o, void (*wake)(void *arg), void *arg);
/* Something else on disk that belongs to what is put: the sync thread calls sync
 * before it syncs the journal, and a ticket is synced only if a call that began
 * after its flush has returned. Set it before the first flush. */
void outbox_sync_with(struct outbox *o, void (*sync)(void *arg), void *arg);
/* Ask the sync thread not to wait for its interval. */
void outbox_hurry(struct outbox *o);

/* Room on disk for at least n more bytes of events, and nothing that is still to
 * be written or synced? 0, or -errno: a caller who may refuse work (the
 * rewriter: 451) asks before it starts. */
int outbox_ready(struct outbox *o, size_t n);

struct account outbox_account(const struct outbox *o);

#endif
