/* The simulated world: one seed is one history.
 *
 * journal, segment, outbox, shipper, fold and store are the product's own code,
 * compiled with world.h before them; what they stand on is here: threads and the
 * clock (sched.c), a disk (disk.c), Redis (redis.c). Everything runs in one
 * thread, and one generator of numbers decides what happens next.
 */
#ifndef LF_TESTS_SIM_H
#define LF_TESTS_SIM_H

#include "core/base/slice.h"

#include <stdint.h>

/* ---- sched.c: chance, time, threads, memory ---- */

/* A machine with one process, which may be killed at any point. */
struct node;

/* Start a history: time at its beginning, no nodes. */
void sim_begin(uint64_t seed, bool trace);
/* Everything that the history has left is freed. */
void sim_end(void);

/* 0 .. n-1 */
uint64_t sim_draw(uint64_t n);
/* True so many times out of a million; never while sim_calm. */
bool sim_fault(unsigned per_million);
extern bool sim_calm;

/* One more word of what happened: printed with --trace, and part of the hash. */
void sim_note(const char *what, uint64_t a, uint64_t b);
extern bool sim_tracing;
uint64_t sim_hash(void);
/* The history has shown something that must not be: says how to replay it. */
_Noreturn void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

struct node *sim_node(const char *name);
/* A thread of a node. */
void sim_start(struct node *n, void *(*main)(void *arg), void *arg);
/* kill -9: its threads end where they stand, memory and descriptors are gone. */
void sim_kill(struct node *n);
bool sim_alive(const struct node *n);
/* The node whose thread runs; NULL: the history itself. */
struct node *sim_here(void);

/* Somebody else may go on now. Nothing in the history itself. */
void sim_pause(void);
void sim_sleep(uint64_t ms);
/* Let one thread go on to its next pause. */
void sim_step(void);
uint64_t sim_ms(void);
/* The clock on the wall is moved, the monotonic one is not. */
void sim_jump(int64_t ms);
/* Time passes for all. */
void sim_pass(uint64_t ms);

/* Memory of the world: a kill does not take it. */
void *world_alloc(size_t n);
void *world_realloc(void *p, size_t n);
void world_free(void *p);

/* ---- disk.c ---- */

struct sim_disk_faults {
	unsigned write, sync, room; /* times out of a million: EIO, EIO, ENOSPC */
};
extern struct sim_disk_faults sim_disk_faults;

void disk_begin(void);
void disk_end(void);
/* What a killed process had open. */
void disk_close_all(const struct node *n);
/* What was not synced is there, or is not, sector by sector. */
void disk_power_cut(const char *dir);
/* Until it is told otherwise there is no room on any disk. */
void disk_full(bool full);

/* ---- redis.c ---- */

enum redis_mood { REDIS_WELL, REDIS_OOM, REDIS_READONLY, REDIS_LOADING, REDIS_DOWN };

struct sim_redis_faults {
	unsigned lost; /* times out of a million: a connection breaks at a command */
	unsigned slow; /* an answer takes its time */
};
extern struct sim_redis_faults sim_redis_faults;

void redis_begin(void);
void redis_end(void);
void redis_mood(enum redis_mood mood);
void redis_snapshot(void);
/* All connections break; what came after the last snapshot may be lost. */
void redis_restart(bool lose);
void redis_flush(void);
/* Nothing in a stream stands behind its cursor. */
bool redis_drained(void);
uint64_t redis_commands(void);

#endif
