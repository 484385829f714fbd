/* The append-only journal of one lane: preallocated segments of frames.
 *
 * A position is a byte offset in the life of the lane; the first frame stands
 * at 64. Segment files are named by the position of their first byte (16 hex
 * digits, ".seg") and zeros behind the last frame mark its end. Opening reads
 * the last segment, drops an unfinished batch at the tail, and steps over
 * damage anywhere; it never fails because of damage. One process at a time
 * (flock). Layout: docs/FORMATS.md, "Journal".
 *
 * Threads: place, append and ready by the owner; sync by any one other thread;
 * read, events_at and retire by any one other; the rest by all. The private
 * lock guards the list of segments and is never held over I/O.
 */
#ifndef LF_IO_JOURNAL_H
#define LF_IO_JOURNAL_H

#include "core/base/buf.h"
#include "core/base/slice.h"

struct journal_config {
	const char *dir;      /* made if absent, parents as well, mode 0700 */
	size_t segment_bytes; /* 1 MiB .. 1 GiB, in tests from 4 KiB; at most half of the cap is used */
	uint64_t cap_bytes;   /* most bytes on disk: beyond, appends fail with -ENOSPC */
	uint64_t keep_ms;     /* shipped segments stay this long */
};

struct journal;

/* 0, or -errno: -EWOULDBLOCK, another process has it; -EACCES, ... */
int journal_open(struct journal **out, const struct journal_config *cfg);
void journal_close(struct journal **j);

/* Made when the directory was first used; names this producer for ever. A
 * directory that lost all its segments gets a new one: old positions must not
 * come again. */
uint32_t journal_lane(const struct journal *j);

/* The longest batch that fits a segment. */
size_t journal_capacity(const struct journal *j);
/* Where the next batch will stand, if it is n bytes long (a batch never spans
 * segments). 0 on failure, with *rc = -errno. */
uint64_t journal_place(struct journal *j, size_t n, int *rc);
/* Write a batch of frames, sealed for exactly that place, with one pwrite. 0,
 * or -errno and nothing is taken (a torn write is overwritten by the next). */
int journal_append(struct journal *j, slice batch);
/* Can n more bytes be appended without asking the file system for room? Makes
 * the next segment ahead where that is needed. 0, or -errno. */
int journal_ready(struct journal *j, size_t n);
/* After an append failed, from the thread that syncs: does the file system take
 * something again? 0: the next append is worth a try; or -errno. */
int journal_probe(struct journal *j);

uint64_t journal_end(struct journal *j);    /* position behind the last whole batch */
uint64_t journal_synced(struct journal *j); /* safe on disk up to here */
/* fdatasync what was appended; returns the synced position, or 0 with *rc. */
uint64_t journal_sync(struct journal *j, int *rc);

/* Read whole frames from pos on, at most room bytes (room >= FRAME_MAX). >0:
 * bytes, starting with the frame at *at (>= pos; greater where damage or a
 * segment's end was stepped over). 0: nothing new. -errno. */
int64_t journal_read(struct journal *j, uint64_t pos, uint8_t *out, size_t room, uint64_t *at);

/* The oldest position that is still on disk. */
uint64_t journal_oldest(struct journal *j);
/* Delete segments that lie wholly before shipped and are older than keep, or
 * whose room is needed; never the one with the last note. */
void journal_retire(struct journal *j, uint64_t shipped, uint64_t now_ms);

/* Bytes stepped over as damaged since open. */
uint64_t journal_damaged(const struct journal *j);

/* Events made so far according to a small durable count kept beside the
 * segments (for struct account), survived by kill -9 because it is recounted
 * from the last checkpoint on. */
uint64_t journal_events(struct journal *j);
/* Of these, how many stand before pos, damaged ones included where a later
 * segment still tells. Reads; only for the thread that calls journal_read. */
uint64_t journal_events_at(struct journal *j, uint64_t pos);

/* Position of the last frame of FRAME_NOTE within the last segment or the one
 * before; 0 if there is none. */
uint64_t journal_last_note(const struct journal *j);

/* Small files beside the segments, replaced whole or not at all. durable: also
 * safe from a power cut when this returns. 0, or -errno; load: -ENOENT if there
 * is none, -EFBIG past the buffer's cap. From any thread, one a name. */
int journal_store(struct journal *j, const char *name, slice bytes, bool durable);
int journal_load(struct journal *j, const char *name, struct buf *out);

/* Positions up to pos were used in a past that this disk has forgotten: all
 * further batches stand behind it. From any thread. */
void journal_skip(struct journal *j, uint64_t pos);

#endif
