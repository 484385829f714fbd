/* The thread that brings the frames of one journal to Redis, in trouble and out
 * of it, each exactly once and in order. Belongs to core/io/outbox.c.
 *
 * Only frames that are safe on disk are shipped: Redis must never remember what
 * a power cut makes this machine forget.
 */
#ifndef LF_IO_SHIPPER_H
#define LF_IO_SHIPPER_H

#include "core/io/journal.h"
#include "core/io/rds.h"
#include "core/model/account.h"

#include <stdatomic.h>

/* One round to Redis carries at most so much. */
#define SHIPPER_FRAMES 256
#define SHIPPER_BYTES (1u << 20)

struct shipper_config {
	struct journal *journal; /* borrowed; closed after the shipper */
	struct rds_config redis; /* its strings live as long as the shipper */
	unsigned partitions;
	struct account (*account)(void *arg); /* what to tell Redis each second; thread-safe */
	void *arg;
	_Atomic uint64_t *unwritten; /* events that never reached the journal: kept over restarts here */
};

struct shipper;

/* Of the events in the journal, in frames before the place that has been
 * reached: passed; of these, lost: those that damage or retention took. */
struct shipper_count {
	uint64_t passed;
	uint64_t lost;
};

/* Adds what earlier lives kept to *unwritten. */
void shipper_open(struct shipper **out, const struct shipper_config *cfg);
/* Start the thread. */
void shipper_start(struct shipper *s);
/* Gives it drain_ms to bring everything that is synced to Redis, then stops it
 * (a reply that is being waited for may take its time limit longer). */
void shipper_close(struct shipper **s, unsigned drain_ms);

/* Something new is synced; from any thread. */
void shipper_wake(struct shipper *s);
struct shipper_count shipper_count(const struct shipper *s);

#endif
