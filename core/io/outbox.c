#include "core/io/outbox.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/metrics.h"
#include "core/io/shipper.h"
#include "core/model/frame.h"
#include "core/model/rkey.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RETRY_MS 100 /* between failed syncs */
#define PROBE_MS 250 /* between looks whether a disk that failed takes something again */

/* The events of one partition that were put since the last flush. */
struct part {
	struct buf frame; /* head, still empty, and events */
	uint32_t count;
	uint64_t base_ms;
};

/* A frame of done: it grew to its size before the turn ended. */
struct piece {
	size_t from, to;
	uint32_t count;
};

struct outbox {
	char program[16];
	struct journal *journal; /* owned */
	struct shipper *shipper; /* owned */
	unsigned partitions;
	unsigned sync_ms;

	/* The owner's own. */
	struct part *parts;
	uint16_t *touched; /* partitions that have events */
	unsigned touched_count;
	struct buf done;
	struct piece *pieces;
	size_t piece_count, piece_room;
	size_t pending;   /* bytes of all frames of this turn */
	size_t turn_most; /* what they may come to */
	size_t frame_most;
	uint64_t put; /* events of this turn */
	bool has_note;
	struct buf note; /* of this turn */
	struct buf last; /* the last one written */
	struct buf batch;
	int64_t early; /* what came of batches written before the turn ended */
	int write_rc;  /* of the last batch */
	bool losing;   /* said that events are lost */

	/* Of what is synced beside the journal: the journal's end when it last began. */
	_Atomic uint64_t beside;
	_Atomic uint64_t made;      /* since the lane was made */
	_Atomic uint64_t unwritten; /* of these, never written to the journal */
	/* For the outside: the journal cannot be written; cannot be synced. */
	_Atomic bool unwritable, unsyncable;

	/* Guards everything below. */
	pthread_mutex_t lock;
	pthread_cond_t work; /* for the sync thread */
	pthread_cond_t done_sync;
	pthread_t thread;
	bool started;
	bool stop;
	bool hurry;
	_Atomic bool idle; /* the sync thread sleeps until told; set under the lock */
	uint64_t attempts; /* syncs that ended */
	int sync_rc;       /* of the last one */
	bool sync_failing;
	void (*sync)(void *arg); /* of what is beside, or NULL */
	void *sync_arg;
	void (*wake)(void *arg);
	void *arg;
};

/* Putting. */

static void touch(struct outbox *o, struct part *t, unsigned p, uint64_t ms)
{
	buf_clear(&t->frame);
	frame_begin(&t->frame, ms, (uint16_t)p);
	t->base_ms = ms;
	o->pending += FRAME_HEAD;
}

/* The frame has its size: lay it aside and begin another. */
static void cut(struct outbox *o, struct part *t, unsigned p, uint64_t ms)
{
	if (o->piece_count == o->piece_room) {
		o->piece_room = o->piece_room ? 2 * o->piece_room : 16;
		o->pieces = must_realloc(o->pieces, o->piece_room * sizeof *o->pieces);
	}
	o->pieces[o->piece_count++] = (struct piece){o->done.len, o->done.len + t->frame.len, t->count};
	buf_put(&o->done, buf_slice(&t->frame));
	must(!o->done.full);
	t->count = 0;
	touch(o, t, p, ms);
}

static int64_t write_batch(struct outbox *o, bool with_note);
static void lose(struct outbox *o, int rc);

void outbox_put(struct outbox *o, const struct event *e)
{
	unsigned p = partition_of(e->campaign, o->partitions);
	struct part *t = &o->parts[p];
	size_t before;

	if (o->pending + FRAME_HEAD + EVENT_MAX > o->turn_most) {
		int64_t rc = write_batch(o, false); /* the note belongs to the end of the turn */

		if (rc < 0)
			lose(o, (int)rc);
		o->early = o->early < 0 ? o->early : rc;
	}
	if (!t->count) {
		o->touched[o->touched_count++] = (uint16_t)p;
		touch(o, t, p, e->ms);
	} else if (t->frame.len + EVENT_MAX > o->frame_most) {
		cut(o, t, p, e->ms);
	}
	before = t->frame.len;
	event_encode(e, t->base_ms, &t->frame);
	must(!t->frame.full);
	o->pending += t->frame.len - before;
	t->count++;
	o->put++;
	atomic_store_explicit(
		&o->made, atomic_load_explicit(&o->made, memory_order_relaxed) + 1, memory_order_relaxed);
}

void outbox_note(struct outbox *o, slice note)
{
	must(note.len <= OUTBOX_NOTE);
	buf_clear(&o->note);
	buf_put(&o->note, note);
	o->has_note = true;
}

slice outbox_last_note(const struct outbox *o)
{
	return buf_slice(&o->last);
}

/* Writing. */

/* A note must be found within the last two segments, so it is written again
 * before it falls behind. */
static void carry_note(struct outbox *o)
{
	uint64_t at = journal_last_note(o->journal);

	if (!o->has_note && at && journal_end(o->journal) - at > journal_capacity(o->journal) / 4)
		outbox_note(o, buf_slice(&o->last));
}

static void seal(struct outbox *o, slice raw, uint64_t place, uint32_t count, bool more)
{
	size_t head = o->batch.len;

	buf_put(&o->batch, raw);
	frame_end(&o->batch, head, journal_lane(o->journal), place + head, more ? FRAME_MORE : 0, count);
}

static void seal_all(struct outbox *o, uint64_t place, bool note)
{
	size_t left = o->piece_count + o->touched_count + note;

	buf_clear(&o->batch);
	for (size_t i = 0; i < o->piece_count; i++)
		seal(o, slice_sub(buf_slice(&o->done), o->pieces[i].from, o->pieces[i].to), place,
			o->pieces[i].count, --left);
	for (unsigned i = 0; i < o->touched_count; i++) {
		struct part *t = &o->parts[o->touched[i]];

		seal(o, buf_slice(&t->frame), place, t->count, --left);
	}
	if (note) {
		size_t head = frame_begin(&o->batch, 0, FRAME_NOTE);

		buf_put(&o->batch, buf_slice(&o->note));
		frame_end(&o->batch, head, journal_lane(o->journal), place + head, 0, 0);
	}
	must(!o->batch.full);
}

static void forget_turn(struct outbox *o)
{
	for (unsigned i = 0; i < o->touched_count; i++)
		o->parts[o->touched[i]].count = 0;
	o->touched_count = 0;
	o->piece_count = 0;
	buf_clear(&o->done);
	o->pending = 0;
	o->put = 0;
}

/* Tell the outside, which counts those that are not well. */
static void say_state(_Atomic bool *flag, bool bad)
{
	if (atomic_exchange(flag, bad) != bad)
		metric_add(METRIC_journals_failing, bad ? 1 : -1);
}

/* Nobody will write these any more. */
static void lose(struct outbox *o, int rc)
{
	atomic_fetch_add(&o->unwritten, o->put);
	metric_add(METRIC_events_made, (int64_t)o->put);
	metric_add(METRIC_events_lost, (int64_t)o->put);
	if (o->put && !o->losing) {
		log_error("outbox", "events are lost", "program=%s lane=%08x err=%s", o->program,
			journal_lane(o->journal), strerror(-rc));
		o->losing = true;
	}
	forget_turn(o);
}

static void say_write(struct outbox *o, int rc)
{
	if (rc < 0 && o->write_rc == 0)
		log_error("outbox", "journal not written", "program=%s lane=%08x err=%s", o->program,
			journal_lane(o->journal), strerror(-rc));
	if (rc == 0 && o->write_rc < 0) {
		log_error("outbox", "journal works again", "program=%s lane=%08x lost=%llu", o->program,
			journal_lane(o->journal), (unsigned long long)atomic_load(&o->unwritten));
		o->losing = false;
	}
	o->write_rc = rc;
	say_state(&o->unwritable, rc < 0);
}

/* On failure everything is as before. */
static int64_t write_batch(struct outbox *o, bool with_note)
{
	bool note = with_note && o->has_note;
	size_t n = o->pending + (note ? FRAME_HEAD + o->note.len : 0);
	uint64_t place;
	int rc;

	if (!n)
		return 0;
	place = journal_place(o->journal, n, &rc);
	if (place) {
		seal_all(o, place, note);
		must(o->batch.len == n);
		rc = journal_append(o->journal, buf_slice(&o->batch));
	}
	say_write(o, rc);
	if (rc < 0)
		return rc;
	metric_add(METRIC_events_made, (int64_t)o->put);
	if (note) {
		buf_clear(&o->last);
		buf_put(&o->last, buf_slice(&o->note));
		o->has_note = false;
	}
	forget_turn(o);
	return (int64_t)(place + n);
}

int64_t outbox_flush(struct outbox *o)
{
	int64_t rc = o->early, now;

	if (o->pending)
		carry_note(o);
	now = write_batch(o, true);
	o->early = 0;
	if (rc >= 0 && now)
		rc = now;
	/* The thread looks once more after it has said that it goes to sleep. It
	 * also watches a disk that failed. */
	if (rc && atomic_load(&o->idle)) {
		pthread_mutex_lock(&o->lock);
		pthread_cond_signal(&o->work);
		pthread_mutex_unlock(&o->lock);
	}
	return rc;
}

void outbox_lose(struct outbox *o)
{
	lose(o, o->write_rc);
	o->has_note = false;
}

int outbox_ready(struct outbox *o, size_t n)
{
	/* What could not be written is still there, and comes first. */
	if (o->write_rc < 0 && o->pending) {
		int64_t rc = write_batch(o, true);

		if (rc < 0)
			return (int)rc;
		o->early = o->early < 0 ? o->early : rc;
	}
	if (atomic_load(&o->unsyncable))
		return -EIO;
	return journal_ready(o->journal, o->pending + n);
}

/* Syncing. */

static uint64_t synced(const struct outbox *o)
{
	uint64_t journal = journal_synced(o->journal), beside = atomic_load(&o->beside);

	return journal < beside ? journal : beside;
}

bool outbox_synced(const struct outbox *o, int64_t ticket)
{
	return ticket > 0 && synced(o) >= (uint64_t)ticket;
}

void outbox_sync_with(struct outbox *o, void (*sync)(void *arg), void *arg)
{
	pthread_mutex_lock(&o->lock);
	atomic_store(&o->beside, journal_synced(o->journal));
	o->sync = sync;
	o->sync_arg = arg;
	pthread_mutex_unlock(&o->lock);
}

void outbox_hurry(struct outbox *o)
{
	pthread_mutex_lock(&o->lock);
	o->hurry = true;
	pthread_cond_signal(&o->work);
	pthread_mutex_unlock(&o->lock);
}

int outbox_wait(struct outbox *o, int64_t ticket)
{
	int rc = 0;

	if (ticket < 0)
		return (int)ticket;
	pthread_mutex_lock(&o->lock);
	while (rc == 0 && synced(o) < (uint64_t)ticket) {
		uint64_t seen = o->attempts;

		o->hurry = true;
		pthread_cond_signal(&o->work);
		while (o->attempts == seen)
			pthread_cond_wait(&o->done_sync, &o->lock);
		if (synced(o) < (uint64_t)ticket)
			rc = o->sync_rc;
	}
	pthread_mutex_unlock(&o->lock);
	return rc;
}

void outbox_on_sync(struct outbox *o, void (*wake)(void *arg), void *arg)
{
	pthread_mutex_lock(&o->lock);
	o->wake = wake;
	o->arg = arg;
	pthread_mutex_unlock(&o->lock);
}

/* Under the lock; false at the time limit. */
static bool sleep_until(struct outbox *o, uint64_t mono_ms)
{
	struct timespec at = {(time_t)(mono_ms / 1000), (long)(mono_ms % 1000) * 1000000};

	return pthread_cond_timedwait(&o->work, &o->lock, &at) != ETIMEDOUT;
}

static bool something_new(struct outbox *o)
{
	return synced(o) < journal_end(o->journal);
}

/* Under the lock, which is not held meanwhile. */
static void probe(struct outbox *o)
{
	int rc;

	pthread_mutex_unlock(&o->lock);
	rc = journal_probe(o->journal);
	pthread_mutex_lock(&o->lock);
	if (rc == 0)
		say_state(&o->unwritable, false);
}

/* Under the lock: until it is time to sync, or to stop (false). */
static bool await_work(struct outbox *o, uint64_t *due)
{
	while (!something_new(o)) {
		if (o->stop)
			return false;
		atomic_store(&o->idle, true);
		if (!something_new(o) && !atomic_load(&o->unwritable))
			pthread_cond_wait(&o->work, &o->lock);
		else if (!something_new(o) && !sleep_until(o, clock_mono_ms() + PROBE_MS))
			probe(o);
		atomic_store(&o->idle, false);
		if (something_new(o))
			*due = clock_mono_ms() + o->sync_ms;
		else if (o->hurry) /* nothing to do is done at once */
			break;
	}
	while (!o->hurry && !o->stop && clock_mono_ms() < *due)
		sleep_until(o, *due);
	return true;
}

static void say_sync(struct outbox *o, int rc)
{
	say_state(&o->unsyncable, rc < 0);
	if (rc < 0 && !o->sync_failing)
		log_error("outbox", "journal not synced", "program=%s lane=%08x err=%s", o->program,
			journal_lane(o->journal), strerror(-rc));
	if (rc == 0 && o->sync_failing)
		log_error("outbox", "journal syncs again", "program=%s lane=%08x", o->program,
			journal_lane(o->journal));
	o->sync_failing = rc < 0;
}

static void *sync_main(void *arg)
{
	struct outbox *o = arg;
	void (*wake)(void *arg), (*sync)(void *arg);
	void *wake_arg, *sync_arg;
	uint64_t due = clock_mono_ms() + o->sync_ms;
	int rc = 0;

	pthread_mutex_lock(&o->lock);
	while (await_work(o, &due)) {
		uint64_t began = clock_mono_ms();

		o->hurry = false;
		wake = o->wake;
		wake_arg = o->arg;
		sync = o->sync;
		sync_arg = o->sync_arg;
		pthread_mutex_unlock(&o->lock);
		if (sync) {
			uint64_t end = journal_end(o->journal);

			sync(sync_arg);
			atomic_store(&o->beside, end);
		}
		journal_sync(o->journal, &rc);
		shipper_wake(o->shipper);
		pthread_mutex_lock(&o->lock);
		say_sync(o, rc);
		o->sync_rc = rc;
		o->attempts++;
		pthread_cond_broadcast(&o->done_sync);
		if (wake) {
			pthread_mutex_unlock(&o->lock);
			wake(wake_arg);
			pthread_mutex_lock(&o->lock);
		}
		if (rc < 0 && o->stop)
			break;
		due = began + o->sync_ms;
		if (rc < 0)
			sleep_until(o, clock_mono_ms() + RETRY_MS);
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

/* Opening and closing. */

static void load_note(struct outbox *o)
{
	uint64_t pos = journal_last_note(o->journal), at;
	uint8_t *room;
	struct frame f;

	if (!pos)
		return;
	room = must_alloc(FRAME_MAX);
	if (journal_read(o->journal, pos, room, FRAME_MAX, &at) > 0 && at == pos &&
		frame_decode(slice_of(room, FRAME_MAX), &f) == 1 && f.partition == FRAME_NOTE)
		buf_put(&o->last, f.body);
	free(room);
}

struct account outbox_account(const struct outbox *o)
{
	struct account a = {.ms = clock_ms()};
	struct shipper_count c = shipper_count(o->shipper);

	/* In this order, so that what moves on meanwhile only adds to the waiting. */
	a.shipped = c.passed > c.lost ? c.passed - c.lost : 0;
	a.lost = c.lost + atomic_load(&o->unwritten);
	a.made = atomic_load(&o->made);
	memcpy(a.program, o->program, sizeof a.program);
	return a;
}

static struct account account_of(void *arg)
{
	return outbox_account(arg);
}

int outbox_open(struct outbox **out, const struct outbox_config *cfg)
{
	struct outbox *o = must_zalloc(sizeof *o);
	struct shipper_config ship = {.redis = cfg->redis,
		.partitions = cfg->partitions,
		.account = account_of,
		.arg = o,
		.unwritten = &o->unwritten};
	pthread_condattr_t monotonic;
	sigset_t all, old;
	int rc;

	*out = NULL;
	must(cfg->partitions > 0 && cfg->partitions < FRAME_NOTE);
	snprintf(o->program, sizeof o->program, "%s", cfg->program);
	o->partitions = cfg->partitions;
	o->sync_ms = cfg->sync_ms;
	o->beside = UINT64_MAX;
	pthread_mutex_init(&o->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&o->work, &monotonic);
	pthread_cond_init(&o->done_sync, &monotonic);
	pthread_condattr_destroy(&monotonic);
	buf_init(&o->note, OUTBOX_NOTE);
	buf_init(&o->last, OUTBOX_NOTE);
	rc = journal_open(&o->journal, &cfg->journal);
	if (rc < 0)
		goto out;
	o->turn_most = journal_capacity(o->journal) - FRAME_HEAD - OUTBOX_NOTE;
	must(journal_capacity(o->journal) > 4 * (FRAME_HEAD + OUTBOX_NOTE + EVENT_MAX));
	if (o->turn_most > OUTBOX_TURN)
		o->turn_most = OUTBOX_TURN;
	o->frame_most = o->turn_most < OUTBOX_FRAME ? o->turn_most : OUTBOX_FRAME;
	buf_init(&o->done, o->turn_most);
	buf_init(&o->batch, journal_capacity(o->journal));
	o->parts = must_zalloc(o->partitions * sizeof *o->parts);
	o->touched = must_zalloc(o->partitions * sizeof *o->touched);
	for (unsigned p = 0; p < o->partitions; p++)
		buf_init(&o->parts[p].frame, o->frame_most + EVENT_MAX);
	load_note(o);
	ship.journal = o->journal;
	shipper_open(&o->shipper, &ship);
	atomic_store(&o->made, journal_events(o->journal) + atomic_load(&o->unwritten));
	shipper_start(o->shipper);
	/* Signals are the program's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	must(pthread_create(&o->thread, NULL, sync_main, o) == 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	o->started = true;
	*out = o;
	o = NULL;
out:
	outbox_close(&o, 0);
	return rc;
}

void outbox_close(struct outbox **op, unsigned drain_ms)
{
	struct outbox *o = *op;

	if (!o)
		return;
	if (o->started) {
		if (outbox_flush(o) < 0)
			outbox_lose(o);
		pthread_mutex_lock(&o->lock);
		o->stop = true;
		pthread_cond_signal(&o->work);
		pthread_mutex_unlock(&o->lock);
		pthread_join(o->thread, NULL);
	}
	shipper_close(&o->shipper, drain_ms);
	journal_close(&o->journal);
	for (unsigned p = 0; o->parts && p < o->partitions; p++)
		buf_free(&o->parts[p].frame);
	free(o->parts);
	free(o->touched);
	free(o->pieces);
	buf_free(&o->done);
	buf_free(&o->batch);
	buf_free(&o->note);
	buf_free(&o->last);
	pthread_mutex_destroy(&o->lock);
	pthread_cond_destroy(&o->work);
	pthread_cond_destroy(&o->done_sync);
	say_state(&o->unwritable, false);
	say_state(&o->unsyncable, false);
	free(o);
	*op = NULL;
}

uint32_t outbox_lane(const struct outbox *o)
{
	return journal_lane(o->journal);
}
