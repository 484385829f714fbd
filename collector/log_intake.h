/* An MTA's log in, events out, each exactly once.
 *
 * Lines are taken in chunks. The events of a chunk and the place behind it go
 * into the journal as one batch: after kill -9 both are there or neither, and
 * the chunk is read again. A delivery whose identity is not in its return path
 * is looked up in Redis under its queue id; while Redis is away such a chunk
 * waits, and the place does not move. One thread.
 */
#ifndef LF_COLLECTOR_LOG_INTAKE_H
#define LF_COLLECTOR_LOG_INTAKE_H

#include "core/io/outbox.h"
#include "core/io/rds.h"
#include "core/model/token.h"

/* Deliveries in a chunk: their events fit the smallest journal segment. */
#define LOG_INTAKE_EVENTS 4096
/* A place behind lines that gave no event is noted after so many bytes. */
#define LOG_INTAKE_NOTE_BYTES (1u << 20)
/* The usual catch_up_ms. */
#define LOG_INTAKE_CATCH_UP_MS 10000

struct log_intake_config {
	const char *path;      /* of the log */
	struct outbox *outbox; /* borrowed; its notes are ours alone */
	struct rds_config redis;
	struct sealer *sealer; /* borrowed; NULL: no return path is ours */
	slice domain;          /* of our return paths; borrowed */
	unsigned join_wait_ms; /* how long a fresh line waits for the event with its queue id */
	/* How long after the start, and after Redis was away, look-ups for lines of
	 * any age are tried again: rewriters ship then what they had to keep. */
	unsigned catch_up_ms;
	/* Has the fold seen everything that was in Redis when the connection came
	 * up? NULL: yes. Lines of any age wait until it has. */
	bool (*settled)(void *arg);
	void *arg;
};

struct log_intake;

/* Goes on at the place noted in the outbox, and learns the messages under way
 * from the lines before it. 0, or -REFUSE_SYNTAX: the note is not ours. */
int log_intake_open(struct log_intake **out, const struct log_intake_config *cfg);
void log_intake_close(struct log_intake **in);

/* >0: bytes of the log taken in; call again at once. 0: nothing new, or a chunk
 * that waits; call again after collector.poll_ms. -errno: the log, Redis or the
 * journal failed; nothing was taken; call again after a pause. */
int64_t log_intake_turn(struct log_intake *in);

#endif
