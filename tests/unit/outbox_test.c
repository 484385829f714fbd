#include "tests/testing.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/outbox.h"
#include "core/io/shipper.h"
#include "core/model/frame.h"
#include "core/model/rkey.h"
#include "tests/redis.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARTITIONS 4
#define SEQUENCES (1u << 20)

/* A lane, its Redis, and a ledger of what was put. */
struct bed {
	struct test_redis redis;
	char dir[64];
	struct outbox_config cfg;
	struct outbox *out;
	struct rds *asker;
	uint32_t next; /* sequence of the next event: each is put once */
};

static void bed_init(struct bed *b, bool redis)
{
	memset(b, 0, sizeof *b);
	test_redis_init(&b->redis);
	strcpy(b->dir, "/tmp/landfall-outbox-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	b->cfg = (struct outbox_config){.program = "tester",
		.journal = {.dir = b->dir,
			.segment_bytes = 1 << 20,
			.cap_bytes = 64 << 20,
			.keep_ms = 3600000},
		.redis = {.socket = b->redis.socket, .timeout_ms = 1000},
		.partitions = PARTITIONS,
		.sync_ms = 5};
	if (redis)
		test_redis_start(&b->redis, true);
	assert_int_equal(outbox_open(&b->out, &b->cfg), 0);
}

static void bed_free(struct bed *b)
{
	rds_close(&b->asker);
	outbox_close(&b->out, 0);
	test_redis_free(&b->redis);
	test_remove(b->dir);
}

/* Campaigns go round, so that all partitions get some. */
static struct event event_of(uint32_t sequence)
{
	return (struct event){.kind = EVENT_OPEN,
		.ms = 1900000000000u + sequence,
		.campaign = sequence % 7,
		.lane = 5,
		.sequence = sequence,
		.class = CLASS_HUMAN};
}

static int64_t put(struct bed *b, unsigned n)
{
	int64_t rc;

	while (n--) {
		struct event e = event_of(b->next++);

		outbox_put(b->out, &e);
	}
	rc = outbox_flush(b->out);
	if (rc < 0)
		outbox_lose(b->out);
	return rc;
}

static struct rds_reply *ask(struct bed *b, int argc, const slice *argv)
{
	struct rds_config cfg = b->cfg.redis;
	struct rds_reply *rep;

	cfg.timeout_ms = 10000;
	if (!b->asker)
		assert_int_equal(rds_open(&b->asker, &cfg), 0);
	assert_int_equal(rds_ask(b->asker, &rep, argc, argv), 0);
	return rep;
}
#define askv(b, ...) ask((b), (int)(sizeof((slice[]){__VA_ARGS__}) / sizeof(slice)), (slice[]){__VA_ARGS__})

/* What Redis has, event by event: seen[sequence] times, ids and order checked. */
static uint64_t read_streams(struct bed *b, uint32_t lane, uint8_t *seen)
{
	uint64_t events = 0;

	memset(seen, 0, SEQUENCES);
	for (unsigned p = 0; p < PARTITIONS; p++) {
		struct rkey key = rkey_stream(p, lane);
		struct rds_reply *rep = askv(b, SLICE("XRANGE"), rkey_slice(&key), SLICE("-"), SLICE("+"));
		uint64_t before = 0;

		for (size_t i = 0; i < rds_len(rep); i++) {
			const struct rds_reply *entry = rds_at(rep, i), *fields = rds_at(entry, 1);
			char id[32];
			struct frame f;
			struct event e;
			uint32_t count = 0;
			int n;

			assert_int_equal(rds_len(fields), 2);
			test_slices_equal("field", rds_text(rds_at(fields, 0)), SLICE("f"));
			assert_int_equal(frame_decode(rds_text(rds_at(fields, 1)), &f), 1);
			snprintf(id, sizeof id, "%llu-0", (unsigned long long)f.position);
			test_slices_equal("id", rds_text(rds_at(entry, 0)), slice_str(id));
			assert_int_equal(f.lane, lane);
			assert_int_equal(f.partition, p);
			assert_true(f.position > before);
			before = f.position;
			for (size_t at = 0; (n = event_decode(slice_from(f.body, at), f.base_ms, &e)) > 0;
				at += (size_t)n, count++) {
				struct event want = event_of(e.sequence);

				assert_int_equal(partition_of(e.campaign, PARTITIONS), p);
				assert_int_equal(e.campaign, want.campaign);
				assert_int_equal(e.ms, want.ms);
				assert_true(e.sequence < SEQUENCES);
				seen[e.sequence]++;
			}
			assert_int_equal(n, 0);
			assert_int_equal(count, f.count);
			events += count;
		}
		rds_reply_free(&rep);
	}
	return events;
}

/* Until Redis has n events; then each sequence below `next` exactly once. */
static void expect_events(struct bed *b, uint64_t n, int line)
{
	uint8_t *seen = must_alloc(SEQUENCES);
	uint64_t got = 0, deadline = clock_mono_ms() + 30000;

	while ((got = read_streams(b, outbox_lane(b->out), seen)) < n && clock_mono_ms() < deadline)
		usleep(2000);
	for (uint32_t i = 0; got != n && i < b->next; i++) {
		if (seen[i] != (i ? seen[i - 1] : 1))
			printf("from event %u on: %u times\n", i, seen[i]);
	}
	if (got != n) {
		struct account a = outbox_account(b->out);

		printf("made %llu shipped %llu lost %llu\n", (unsigned long long)a.made,
			(unsigned long long)a.shipped, (unsigned long long)a.lost);
	}
	if (got != n)
		fail_msg("line %d: redis has %llu events, want %llu", line, (unsigned long long)got,
			(unsigned long long)n);
	for (uint32_t i = 0; i < b->next; i++)
		if (seen[i] > 1)
			fail_msg("line %d: event %u is there %u times", line, i, seen[i]);
	free(seen);
}
#define expect(b, n) expect_events((b), (n), __LINE__)

static void expect_account(struct bed *b, uint64_t made, uint64_t shipped, uint64_t lost, int line)
{
	uint64_t deadline = clock_mono_ms() + 20000;
	struct account a;

	do {
		a = outbox_account(b->out);
		if (a.shipped + a.lost > a.made)
			fail_msg("line %d: made %llu < shipped %llu + lost %llu", line,
				(unsigned long long)a.made, (unsigned long long)a.shipped,
				(unsigned long long)a.lost);
		usleep(1000);
	} while ((a.made != made || a.shipped != shipped || a.lost != lost) && clock_mono_ms() < deadline);
	if (a.made != made || a.shipped != shipped || a.lost != lost)
		fail_msg("line %d: made %llu shipped %llu lost %llu, want %llu %llu %llu", line,
			(unsigned long long)a.made, (unsigned long long)a.shipped, (unsigned long long)a.lost,
			(unsigned long long)made, (unsigned long long)shipped, (unsigned long long)lost);
}
#define account_is(b, m, s, l) expect_account((b), (m), (s), (l), __LINE__)

static void test_plain(void **state)
{
	struct bed b;
	struct rds_reply *rep;
	struct account a;
	char lane[9];
	uint64_t deadline = clock_mono_ms() + 10000;

	(void)state;
	bed_init(&b, true);
	assert_int_equal(outbox_flush(b.out), 0);
	assert_true(put(&b, 1) > 0);
	expect(&b, 1);
	for (int i = 0; i < 100; i++)
		assert_true(put(&b, 50) > 0);
	expect(&b, 5001);
	account_is(&b, 5001, 5001, 0);
	/* the account is told within about a second */
	snprintf(lane, sizeof lane, "%08x", outbox_lane(b.out));
	do {
		rep = askv(&b, SLICE("HGET"), SLICE(RKEY_PRODUCERS), slice_str(lane));
		a = (struct account){0};
		if (rds_kind(rep) == RDS_STRING)
			assert_int_equal(account_decode(rds_text(rep), &a), 0);
		rds_reply_free(&rep);
		usleep(1000);
	} while (a.shipped != 5001 && clock_mono_ms() < deadline);
	assert_int_equal(a.made, 5001);
	assert_int_equal(a.shipped, 5001);
	assert_string_equal(a.program, "tester");
	for (unsigned p = 0; p < PARTITIONS; p++) {
		struct rkey key = rkey_lanes(p);

		rep = askv(&b, SLICE("SISMEMBER"), rkey_slice(&key), slice_str(lane));
		assert_int_equal(rds_int(rep), 1);
		rds_reply_free(&rep);
	}
	rep = askv(&b, SLICE("HGET"), SLICE(RKEY_META), SLICE("partitions"));
	assert_int_equal(rds_int(rep), PARTITIONS);
	rds_reply_free(&rep);
	bed_free(&b);
}

/* The same directory again: same lane, and the counts go on. */
static void reopen(struct bed *b)
{
	uint32_t lane = outbox_lane(b->out);

	outbox_close(&b->out, 5000);
	assert_int_equal(outbox_open(&b->out, &b->cfg), 0);
	assert_int_equal(outbox_lane(b->out), lane);
}

static void test_reopen(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, true);
	put(&b, 1000);
	reopen(&b);
	expect(&b, 1000);
	account_is(&b, 1000, 1000, 0);
	put(&b, 1000);
	reopen(&b);
	put(&b, 1);
	expect(&b, 2001);
	account_is(&b, 2001, 2001, 0);
	bed_free(&b);
}

static void test_late_redis(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, false);
	for (int i = 0; i < 50; i++)
		put(&b, 100);
	account_is(&b, 5000, 0, 0);
	reopen(&b);
	account_is(&b, 5000, 0, 0);
	put(&b, 100);
	test_redis_start(&b.redis, true);
	expect(&b, 5100);
	account_is(&b, 5100, 5100, 0);
	bed_free(&b);
}

static void test_killed_redis(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, true);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 20; i++) {
			put(&b, 50);
			usleep(1000);
		}
		rds_close(&b.asker);
		test_redis_kill(&b.redis);
		for (int i = 0; i < 20; i++)
			put(&b, 50);
		test_redis_start(&b.redis, true);
	}
	expect(&b, b.next);
	account_is(&b, b.next, b.next, 0);
	bed_free(&b);
}

static void test_flushed_redis(void **state)
{
	struct bed b;
	struct rds_reply *rep;

	(void)state;
	bed_init(&b, true);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 10; i++)
			put(&b, 100);
		if (round % 2 == 0)
			expect(&b, b.next);
		rep = askv(&b, SLICE("FLUSHALL"));
		rds_reply_free(&rep);
		/* something new at once: it must not begin the stream in the middle */
		if (round < 3)
			put(&b, 10);
		expect(&b, b.next);
	}
	account_is(&b, b.next, b.next, 0);
	rep = askv(&b, SLICE("HGET"), SLICE(RKEY_META), SLICE("partitions"));
	assert_int_equal(rds_int(rep), PARTITIONS);
	rds_reply_free(&rep);
	bed_free(&b);
}

static void test_stopped_redis(void **state)
{
	struct bed b;
	uint64_t began, longest = 0;

	(void)state;
	bed_init(&b, true);
	put(&b, 100);
	expect(&b, 100);
	kill(b.redis.pid, SIGSTOP);
	began = clock_mono_ms();
	for (int i = 0; i < 1500; i++) {
		uint64_t before = clock_mono_ms(), took;

		assert_true(put(&b, 10) > 0);
		took = clock_mono_ms() - before;
		longest = took > longest ? took : longest;
		if (i % 100 == 0)
			usleep(10000);
	}
	/* Redis' time limit is a second: nothing here waited for it. */
	assert_true(longest < 500);
	assert_true(clock_mono_ms() - began < 5000);
	kill(b.redis.pid, SIGCONT);
	expect(&b, b.next);
	account_is(&b, b.next, b.next, 0);
	bed_free(&b);
}

/* A file system of its own where we may mount one; else the journal's cap. */
static void test_full_disk(void **state)
{
	struct bed b;
	struct account a;
	char filler[96], block[65536] = "x";
	bool mounted;
	uint64_t deadline, before;
	uint8_t *seen;
	int64_t rc;

	(void)state;
	bed_init(&b, false);
	outbox_close(&b.out, 0);
	mounted = mount("landfall-test", b.dir, "tmpfs", 0, "size=6m") == 0;
	if (mounted) {
		int fd;

		snprintf(filler, sizeof filler, "%s/filler", b.dir);
		fd = open(filler, O_WRONLY | O_CREAT, 0600);
		for (int i = 0; i < 40; i++)
			assert_int_equal(write(fd, block, sizeof block), sizeof block);
		close(fd);
	} else {
		printf("no mount here: the cap stands for the disk\n");
		b.cfg.journal.cap_bytes = 3 << 20;
		b.cfg.journal.keep_ms = 0;
	}
	assert_int_equal(outbox_open(&b.out, &b.cfg), 0);
	while ((rc = put(&b, 1000)) > 0)
		assert_true(b.next < SEQUENCES / 2);
	assert_int_equal(rc, -ENOSPC);
	for (int i = 0; i < 10; i++)
		assert_int_equal(put(&b, 1000), -ENOSPC);
	a = outbox_account(b.out);
	assert_int_equal(a.made, b.next);
	assert_int_equal(a.lost, 11000);
	assert_int_equal(outbox_ready(b.out, 100000), -ENOSPC);
	/* space returns: full service within a second */
	if (mounted)
		unlink(filler);
	else
		test_redis_start(&b.redis, true);
	deadline = clock_mono_ms() + (mounted ? 1000 : 5000);
	while (put(&b, 1) < 0)
		assert_true(clock_mono_ms() < deadline);
	before = outbox_account(b.out).lost;
	assert_true(put(&b, 100) > 0);
	if (mounted)
		test_redis_start(&b.redis, true);
	account_is(&b, b.next, b.next - before, before);
	seen = must_alloc(SEQUENCES);
	assert_int_equal(read_streams(&b, outbox_lane(b.out), seen), b.next - before);
	for (uint32_t i = 0; i < b.next; i++)
		assert_true(seen[i] <= 1);
	free(seen);
	/* the loss is remembered */
	reopen(&b);
	account_is(&b, b.next, b.next - before, before);
	outbox_close(&b.out, 0);
	if (mounted)
		umount(b.dir);
	bed_free(&b);
}

/* Events and the note that counts them, until killed. */
static void child(struct bed *b, int ledger)
{
	struct outbox *o;
	uint32_t done = 0;
	slice note;

	if (outbox_open(&o, &b->cfg) != 0)
		_exit(1);
	note = outbox_last_note(o);
	if (note.len == sizeof done)
		memcpy(&done, note.p, sizeof done);
	for (;;) {
		unsigned n = 1 + done % 97;

		for (unsigned i = 0; i < n; i++) {
			struct event e = event_of(done++);

			outbox_put(o, &e);
		}
		outbox_note(o, slice_of(&done, sizeof done));
		if (outbox_flush(o) < 0)
			_exit(2);
		if (write(ledger, &done, sizeof done) != sizeof done)
			_exit(3);
		if (done % 7 == 0)
			usleep(300);
		if (done >= SEQUENCES / 2)
			pause();
	}
}

static void test_kill(void **state)
{
	struct bed b;
	uint32_t promised = 0, note;
	unsigned seed = 4711;

	(void)state;
	bed_init(&b, true);
	outbox_close(&b.out, 0);
	for (int round = 0; round < 50; round++) {
		uint64_t got = 0;
		int fds[2];
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close(fds[0]);
			child(&b, fds[1]);
		}
		close(fds[1]);
		assert_int_equal(read(fds[0], &promised, sizeof promised), sizeof promised);
		seed = seed * 1103515245 + 12345;
		usleep(seed / 65536 % 40000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(fds[0], &note, sizeof note) == sizeof note)
			promised = note;
		close(fds[0]);
		if (round % 10 == 9) {
			assert_int_equal(outbox_open(&b.out, &b.cfg), 0);
			assert_int_equal(outbox_last_note(b.out).len, sizeof note);
			memcpy(&note, outbox_last_note(b.out).p, sizeof note);
			assert_true(note >= promised && note <= promised + 97);
			b.next = note;
			expect(&b, note);
			account_is(&b, note, note, 0);
			outbox_close(&b.out, 1000);
		}
		(void)got;
	}
	printf("%u events over 50 kills\n", b.next);
	bed_free(&b);
}

static void test_notes(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, false);
	assert_int_equal(outbox_last_note(b.out).len, 0);
	outbox_note(b.out, SLICE("first"));
	assert_true(outbox_flush(b.out) > 0);
	test_slices_equal("at once", outbox_last_note(b.out), SLICE("first"));
	outbox_note(b.out, SLICE("unwritten"));
	outbox_note(b.out, SLICE("second"));
	put(&b, 10);
	reopen(&b);
	test_slices_equal("after a start", outbox_last_note(b.out), SLICE("second"));
	/* many segments later */
	for (int i = 0; i < 300; i++)
		put(&b, 1000);
	reopen(&b);
	test_slices_equal("carried on", outbox_last_note(b.out), SLICE("second"));
	outbox_note(b.out, SLICE_NONE);
	outbox_flush(b.out);
	reopen(&b);
	assert_int_equal(outbox_last_note(b.out).len, 0);
	/* one turn larger than a segment; the note belongs to its end */
	outbox_note(b.out, SLICE("third"));
	assert_true(put(&b, 200000) > 0);
	reopen(&b);
	test_slices_equal("large turn", outbox_last_note(b.out), SLICE("third"));
	test_redis_start(&b.redis, false);
	expect(&b, b.next);
	bed_free(&b);
}

static void test_sync(void **state)
{
	struct bed b;
	int64_t ticket;
	uint64_t began;
	uint8_t *seen = must_alloc(SEQUENCES);

	(void)state;
	bed_init(&b, false);
	outbox_close(&b.out, 0);
	b.cfg.sync_ms = 10000;
	assert_int_equal(outbox_open(&b.out, &b.cfg), 0);
	began = clock_mono_ms();
	ticket = put(&b, 10);
	assert_false(outbox_synced(b.out, ticket));
	/* and Redis must not know what a power cut would make us forget */
	test_redis_start(&b.redis, false);
	usleep(300000);
	assert_int_equal(read_streams(&b, outbox_lane(b.out), seen), 0);
	assert_int_equal(outbox_wait(b.out, ticket), 0);
	assert_true(outbox_synced(b.out, ticket));
	assert_int_equal(outbox_wait(b.out, ticket), 0);
	ticket = put(&b, 10);
	outbox_hurry(b.out);
	while (!outbox_synced(b.out, ticket) && clock_mono_ms() - began < 9000)
		usleep(100);
	assert_true(outbox_synced(b.out, ticket));
	assert_true(clock_mono_ms() - began < 9000);
	assert_int_equal(outbox_wait(b.out, -EIO), -EIO);
	expect(&b, 20);
	free(seen);
	bed_free(&b);
}

static void set_partitions(struct bed *b, slice n)
{
	struct rds_reply *rep = askv(b, SLICE("HSET"), SLICE(RKEY_META), SLICE("partitions"), n);

	rds_reply_free(&rep);
}

static void test_partitions(void **state)
{
	struct bed b;
	uint8_t *seen = must_alloc(SEQUENCES);

	(void)state;
	bed_init(&b, false);
	outbox_close(&b.out, 0);
	test_redis_start(&b.redis, false);
	set_partitions(&b, SLICE("4"));
	/* set wrongly: nothing is shipped, nothing is lost */
	b.cfg.partitions = 6;
	assert_int_equal(outbox_open(&b.out, &b.cfg), 0);
	put(&b, 1000);
	usleep(300000);
	assert_int_equal(read_streams(&b, outbox_lane(b.out), seen), 0);
	account_is(&b, 1000, 0, 0);
	/* set right: what was written meanwhile finds its partitions */
	b.cfg.partitions = PARTITIONS;
	outbox_close(&b.out, 0);
	assert_int_equal(outbox_open(&b.out, &b.cfg), 0);
	put(&b, 1000);
	expect(&b, 2000);
	account_is(&b, 2000, 2000, 0);
	reopen(&b);
	put(&b, 10);
	expect(&b, 2010);
	account_is(&b, 2010, 2010, 0);
	free(seen);
	bed_free(&b);
}

/* Retention took what Redis then loses: counted, once. */
static void test_retention(void **state)
{
	struct bed b;
	struct account a;
	struct rds_reply *rep;
	uint64_t deadline = clock_mono_ms() + 60000, there;
	uint8_t *seen = must_alloc(SEQUENCES);
	char path[128];

	(void)state;
	bed_init(&b, true);
	outbox_close(&b.out, 0);
	b.cfg.journal.keep_ms = 0;
	b.cfg.journal.cap_bytes = 16 << 20;
	assert_int_equal(outbox_open(&b.out, &b.cfg), 0);
	for (int i = 0; i < 200; i++)
		put(&b, 1000);
	expect(&b, b.next);
	account_is(&b, b.next, b.next, 0);
	/* The tidying comes once a second: until it took the first segment. */
	snprintf(path, sizeof path, "%s/0000000000000000.seg", b.dir);
	while (access(path, F_OK) == 0 && clock_mono_ms() < deadline)
		usleep(10000);
	assert_int_not_equal(access(path, F_OK), 0);
	deadline = clock_mono_ms() + 30000;
	rep = askv(&b, SLICE("FLUSHALL"));
	rds_reply_free(&rep);
	/* Losses are counted and the rest is shipped again, one after the other. */
	do {
		a = outbox_account(b.out);
		assert_true(a.shipped + a.lost <= a.made);
		there = read_streams(&b, outbox_lane(b.out), seen);
	} while ((a.lost == 0 || there + a.lost < b.next) && clock_mono_ms() < deadline);
	printf("made %llu there %llu lost %llu\n", (unsigned long long)a.made, (unsigned long long)there,
		(unsigned long long)a.lost);
	assert_true(a.lost > 0 && there > 0);
	assert_int_equal(there + a.lost, b.next);
	account_is(&b, b.next, there, b.next - there);
	reopen(&b);
	put(&b, 10);
	account_is(&b, b.next, there + 10, b.next - 10 - there);
	free(seen);
	bed_free(&b);
}

/* An older copy of the journal comes back: positions that Redis knows must not
 * be used again. */
static void test_older_journal(void **state)
{
	struct bed b;
	char command[256];
	uint64_t deadline = clock_mono_ms() + 20000;
	uint8_t *seen = must_alloc(SEQUENCES);

	(void)state;
	bed_init(&b, true);
	put(&b, 1000);
	expect(&b, 1000);
	outbox_close(&b.out, 1000);
	snprintf(command, sizeof command, "cp -a %s %s.copy", b.dir, b.dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(outbox_open(&b.out, &b.cfg), 0);
	put(&b, 1000);
	expect(&b, 2000);
	outbox_close(&b.out, 1000);
	snprintf(command, sizeof command, "rm -rf %s && mv %s.copy %s", b.dir, b.dir, b.dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(outbox_open(&b.out, &b.cfg), 0);
	usleep(200000); /* it asks Redis first thing */
	put(&b, 1000);
	while (read_streams(&b, outbox_lane(b.out), seen) < 3000 && clock_mono_ms() < deadline)
		usleep(1000);
	assert_int_equal(read_streams(&b, outbox_lane(b.out), seen), 3000);
	free(seen);
	bed_free(&b);
}

static void test_damage(void **state)
{
	struct bed b;
	char path[160];
	int fd;

	(void)state;
	bed_init(&b, false);
	for (int i = 0; i < 100; i++)
		put(&b, 1000);
	outbox_close(&b.out, 0);
	/* one frame of the first segment */
	snprintf(path, sizeof path, "%s/0000000000000000.seg", b.dir);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "damage", 6, 100000), 6);
	close(fd);
	assert_int_equal(outbox_open(&b.out, &b.cfg), 0);
	test_redis_start(&b.redis, false);
	/* a frame of one partition of a turn of 1000 */
	{
		uint64_t deadline = clock_mono_ms() + 20000;
		uint8_t *seen = must_alloc(SEQUENCES);
		struct account a;
		uint64_t there;

		do
			a = outbox_account(b.out);
		while (a.shipped + a.lost < a.made && clock_mono_ms() < deadline);
		there = read_streams(&b, outbox_lane(b.out), seen);
		assert_int_equal(a.made, b.next);
		assert_int_equal(a.shipped, there);
		assert_int_equal(a.lost, b.next - there);
		assert_in_range(a.lost, 1, 1000);
		free(seen);
	}
	bed_free(&b);
}

/* Half a batch at the end, then a start that is stopped before it writes: what
 * is put later is shipped all the same. */
static void test_torn_tail(void **state)
{
	struct bed b;
	char path[160];
	uint8_t *copy = must_alloc(1 << 20);
	int64_t first, second;
	int fd;

	(void)state;
	bed_init(&b, true);
	first = put(&b, 1000);
	expect(&b, 1000);
	second = put(&b, 1000);
	outbox_close(&b.out, 0);
	snprintf(path, sizeof path, "%s/0000000000000000.seg", b.dir);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0 && second - first > 200);
	/* as if the second had been cut in the middle of its second frame */
	memset(copy, 0, 1 << 20);
	assert_int_equal(pwrite(fd, copy, (size_t)(second - first - 200), first + 200), second - first - 200);
	close(fd);
	b.next = 1000;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(outbox_open(&b.out, &b.cfg), 0);
		usleep(100000);
		outbox_close(&b.out, 0);
	}
	assert_int_equal(outbox_open(&b.out, &b.cfg), 0);
	b.next = 2000;
	for (int i = 0; i < 50; i++)
		put(&b, 1000);
	{
		uint64_t deadline = clock_mono_ms() + 20000;
		uint8_t *seen = must_alloc(SEQUENCES);

		do
			read_streams(&b, outbox_lane(b.out), seen);
		while (memchr(seen + 2000, 0, 50000) && clock_mono_ms() < deadline);
		for (uint32_t i = 0; i < b.next; i++)
			if (i < 1000 || i >= 2000)
				assert_int_equal(seen[i], 1);
		free(seen);
	}
	free(copy);
	bed_free(&b);
}

/* A Redis of our own that answers as it is told. */
#define FAKE_STREAMS 64
struct fake {
	char dir[64], path[96];
	int fd;
	pthread_t thread;
	/* the script: the next `times` commands of this name get this answer */
	const char *command, *answer; /* "": close; NULL: do it, then close without an answer */
	_Atomic int times;
	_Atomic bool stop;
	_Atomic int connections;

	/* the server thread's own, read by the test when it is stopped */
	char names[FAKE_STREAMS][96];
	uint64_t last[FAKE_STREAMS];
	struct buf entries; /* frames of all streams */
	size_t count;
	char partitions[16];
};

struct call {
	slice argv[8];
	int argc;
	uint8_t *bytes; /* owned */
};

static bool read_line(FILE *in, char *line, size_t n)
{
	return fgets(line, (int)n, in) && strlen(line) > 2;
}

static bool read_call(FILE *in, struct call *c)
{
	char line[64];
	size_t used = 0, lens[8];

	*c = (struct call){0};
	if (!read_line(in, line, sizeof line) || line[0] != '*')
		return false;
	c->argc = atoi(line + 1);
	must(c->argc > 0 && c->argc <= 8);
	c->bytes = must_alloc(2 << 20);
	for (int i = 0; i < c->argc; i++) {
		if (!read_line(in, line, sizeof line) || line[0] != '$')
			return false;
		lens[i] = (size_t)atol(line + 1);
		must(used + lens[i] + 2 <= 2 << 20);
		if (fread(c->bytes + used, 1, lens[i] + 2, in) != lens[i] + 2)
			return false;
		used += lens[i];
	}
	used = 0;
	for (int i = 0; i < c->argc; used += lens[i++])
		c->argv[i] = slice_of(c->bytes + used, lens[i]);
	return true;
}

static size_t fake_stream(struct fake *f, slice key)
{
	size_t i = 0;

	while (i < f->count && !slice_eq(slice_str(f->names[i]), key))
		i++;
	return i;
}

static void fake_xadd(struct fake *f, const struct call *c, FILE *out)
{
	bool only_old = slice_eq(c->argv[2], SLICE("NOMKSTREAM"));
	slice id = c->argv[2 + only_old], frame = c->argv[4 + only_old];
	uint64_t position = strtoull((const char *)id.p, NULL, 10);
	size_t i = fake_stream(f, c->argv[1]);

	if (i == f->count && only_old) {
		fputs("$-1\r\n", out);
		return;
	}
	if (i == f->count) {
		must(f->count < FAKE_STREAMS && c->argv[1].len < sizeof f->names[0]);
		memcpy(f->names[f->count++], c->argv[1].p, c->argv[1].len);
	}
	if (position <= f->last[i]) {
		fputs("-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n",
			out);
		return;
	}
	f->last[i] = position;
	buf_put(&f->entries, frame);
	must(!f->entries.full);
	fprintf(out, "$%zu\r\n%.*s\r\n", id.len, SLICE_FMT(id));
}

static void fake_do(struct fake *f, const struct call *c, FILE *out)
{
	size_t i;

	if (slice_eq(c->argv[0], SLICE("XADD"))) {
		fake_xadd(f, c, out);
	} else if (slice_eq(c->argv[0], SLICE("XINFO"))) {
		i = fake_stream(f, c->argv[2]);
		if (i == f->count) {
			fputs("-ERR no such key\r\n", out);
		} else {
			char id[32];
			int n = snprintf(id, sizeof id, "%llu-0", (unsigned long long)f->last[i]);

			fprintf(out, "*4\r\n$6\r\nlength\r\n:1\r\n$17\r\nlast-generated-id\r\n$%d\r\n%s\r\n",
				n, id);
		}
	} else if (slice_eq(c->argv[0], SLICE("HGET"))) {
		fprintf(out, "$%zu\r\n%s\r\n", strlen(f->partitions), f->partitions);
	} else {
		if (slice_eq(c->argv[0], SLICE("HSETNX")) && !f->partitions[0] && c->argv[3].len < 16)
			memcpy(f->partitions, c->argv[3].p, c->argv[3].len);
		fputs(":0\r\n", out);
	}
}

static bool scripted(struct fake *f, const struct call *c)
{
	if (!f->command || !slice_eq(c->argv[0], slice_str(f->command)) || atomic_load(&f->times) <= 0)
		return false;
	atomic_fetch_sub(&f->times, 1);
	return true;
}

/* One client at a time is enough. */
static void fake_client(struct fake *f, int fd)
{
	FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
	struct call calls[SHIPPER_FRAMES], c;
	int queued = -1; /* in a transaction: so many calls */
	bool dirty = false, open = true;

	while (open && read_call(in, &c)) {
		if (scripted(f, &c)) {
			if (f->answer && f->answer[0])
				fputs(f->answer, out);
			if (queued >= 0 && f->answer && f->answer[0] == '-')
				dirty = true;
			if (!f->answer && slice_eq(c.argv[0], SLICE("EXEC"))) {
				FILE *nowhere = fopen("/dev/null", "w");

				for (int i = 0; i < queued; i++)
					fake_do(f, &calls[i], nowhere);
				fclose(nowhere);
			} else if (!f->answer && queued < 0) {
				FILE *nowhere = fopen("/dev/null", "w");

				fake_do(f, &c, nowhere);
				fclose(nowhere);
			}
			/* half a reply is followed by nothing */
			open = f->answer && f->answer[0] == '-' && strchr(f->answer, '\n');
			if (open && slice_eq(c.argv[0], SLICE("EXEC"))) {
				for (int i = 0; i < queued; i++)
					free(calls[i].bytes);
				queued = -1;
			}
			free(c.bytes);
		} else if (slice_eq(c.argv[0], SLICE("MULTI"))) {
			fputs("+OK\r\n", out);
			queued = 0;
			dirty = false;
			free(c.bytes);
		} else if (slice_eq(c.argv[0], SLICE("EXEC"))) {
			if (queued < 0)
				fputs("-ERR EXEC without MULTI\r\n", out);
			else if (dirty)
				fputs("-EXECABORT Transaction discarded because of previous errors.\r\n",
					out);
			else
				fprintf(out, "*%d\r\n", queued);
			for (int i = 0; i < queued; i++) {
				if (!dirty)
					fake_do(f, &calls[i], out);
				free(calls[i].bytes);
			}
			queued = -1;
			free(c.bytes);
		} else if (queued >= 0) {
			must(queued < SHIPPER_FRAMES);
			calls[queued++] = c;
			fputs("+QUEUED\r\n", out);
		} else {
			fake_do(f, &c, out);
			free(c.bytes);
		}
		fflush(out);
		c.bytes = NULL;
	}
	free(c.bytes);
	for (int i = 0; i < queued; i++)
		free(calls[i].bytes);
	fclose(in);
	fclose(out);
}

static void *fake_serve(void *arg)
{
	struct fake *f = arg;

	while (!atomic_load(&f->stop)) {
		int fd = accept(f->fd, NULL, NULL);

		if (fd < 0)
			break;
		atomic_fetch_add(&f->connections, 1);
		fake_client(f, fd);
	}
	return NULL;
}

static void fake_start(struct fake *f)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	signal(SIGPIPE, SIG_IGN); /* for the fake's stdio; rds_test shows that rds needs it not */
	memset(f, 0, sizeof *f);
	strcpy(f->dir, "/tmp/landfall-fake-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/s", f->dir);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", f->path);
	buf_init(&f->entries, 64 << 20);
	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(f->fd, 64), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, fake_serve, f), 0);
}

static void fake_stop(struct fake *f)
{
	atomic_store(&f->stop, true);
	shutdown(f->fd, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->fd);
}

static void fake_free(struct fake *f)
{
	buf_free(&f->entries);
	test_remove(f->dir);
}

/* Everything that was put is there once, and in order within a partition. */
static void fake_check(struct fake *f, uint32_t want, const char *command, const char *answer)
{
	uint8_t *seen = must_zalloc(want + 1);
	uint64_t behind[PARTITIONS] = {0};
	struct frame fr;

	for (size_t at = 0; at < f->entries.len; at += fr.size) {
		struct event e;
		int n;

		assert_int_equal(frame_decode(slice_from(buf_slice(&f->entries), at), &fr), 1);
		assert_true(fr.partition < PARTITIONS && fr.position > behind[fr.partition]);
		behind[fr.partition] = fr.position;
		for (size_t i = 0; (n = event_decode(slice_from(fr.body, i), fr.base_ms, &e)) > 0;
			i += (size_t)n) {
			assert_true(e.sequence < want);
			seen[e.sequence]++;
		}
	}
	for (uint32_t i = 0; i < want; i++)
		if (seen[i] != 1)
			fail_msg("%s -> %s: event %u is there %u times", command, answer ? answer : "(lost)",
				i, seen[i]);
	free(seen);
}

/* One lane and its fake for each answer, all at once: most of the time goes by
 * in pauses. */
static void scripted_round(const char *command, const char *const *answers, size_t n)
{
	struct bed *b = must_zalloc(n * sizeof *b);
	struct fake *f = must_zalloc(n * sizeof *f);
	uint64_t deadline = clock_mono_ms() + 30000;
	size_t open = n;

	for (size_t i = 0; i < n; i++) {
		fake_start(&f[i]);
		f[i].command = command;
		f[i].answer = answers[i];
		atomic_store(&f[i].times, 1);
		bed_init(&b[i], false);
		outbox_close(&b[i].out, 0);
		b[i].cfg.redis.socket = f[i].path;
		b[i].cfg.redis.timeout_ms = 200;
		assert_int_equal(outbox_open(&b[i].out, &b[i].cfg), 0);
	}
	/* Some waits and goes as transactions, some trickles in. */
	while (open && clock_mono_ms() < deadline) {
		open = 0;
		for (size_t i = 0; i < n; i++) {
			if (b[i].next < 300)
				put(&b[i], 10);
			open += b[i].next < 300 || outbox_account(b[i].out).shipped < b[i].next;
		}
		usleep(2000);
	}
	for (size_t i = 0; i < n; i++) {
		struct account a = outbox_account(b[i].out);

		if (a.shipped != b[i].next || a.lost)
			fail_msg("%s -> %s: shipped %llu lost %llu of %u", command,
				answers[i] ? answers[i] : "(lost)", (unsigned long long)a.shipped,
				(unsigned long long)a.lost, b[i].next);
		if (atomic_load(&f[i].times) > 0)
			fail_msg("%s was never asked", command);
		outbox_close(&b[i].out, 1000);
		fake_stop(&f[i]);
		fake_check(&f[i], b[i].next, command, answers[i]);
		bed_free(&b[i]);
		fake_free(&f[i]);
	}
	free(b);
	free(f);
}

static void test_scripted(void **state)
{
	static const char *const commands[] = {
		"XADD", "MULTI", "EXEC", "XINFO", "SADD", "HSETNX", "HGET", "HSET"};
	static const char *const answers[] = {"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
		"-READONLY You can't write against a read only replica.\r\n",
		"-LOADING Redis is loading the dataset in memory\r\n",
		"-MISCONF Redis is configured to save RDB snapshots\r\n",
		"-BUSY Redis is busy running a script.\r\n", "-NOSCRIPT No matching script.\r\n",
		"-MOVED 3999 127.0.0.1:6381\r\n", "-ASK 3999 127.0.0.1:6381\r\n",
		"-CLUSTERDOWN The cluster is down\r\n",
		"-TRYAGAIN Multiple keys request during rehashing\r\n",
		"-NOAUTH Authentication required.\r\n",
		"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
		"-ERR something\r\n", "-OOM half a rep", "$100\r\nhalf", "*3\r\n:1\r\n", "+surprise\r\n",
		"*0\r\n", "", NULL};

	(void)state;
	for (size_t c = 0; c < sizeof commands / sizeof *commands; c++)
		scripted_round(commands[c], answers, sizeof answers / sizeof *answers);
}

/* An answer that stays the same is asked for at most ten times a second. */
static void test_no_spin(void **state)
{
	static const struct {
		const char *name, *command, *answer;
	} rows[] = {
		{"out of memory", "XADD", "-OOM command not allowed\r\n"},
		{"read only from the start", "HSETNX", "-READONLY You can't write\r\n"},
		{"closes at once", "HSETNX", ""},
		{"no such entry, though XINFO knows the stream", "XADD", "$-1\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct bed b;
		struct fake f;
		struct account a;
		uint64_t began;

		fake_start(&f);
		f.command = rows[i].command;
		f.answer = rows[i].answer;
		atomic_store(&f.times, 1 << 30);
		bed_init(&b, false);
		outbox_close(&b.out, 0);
		b.cfg.redis.socket = f.path;
		assert_int_equal(outbox_open(&b.out, &b.cfg), 0);
		began = clock_mono_ms();
		while (clock_mono_ms() - began < 2000) {
			put(&b, 10);
			usleep(5000);
		}
		if (atomic_load(&f.connections) > 21 || atomic_load(&f.connections) < 2)
			fail_msg("%s: %d connections in 2 s", rows[i].name, atomic_load(&f.connections));
		a = outbox_account(b.out);
		assert_int_equal(a.shipped, 0);
		assert_int_equal(a.lost, 0);
		atomic_store(&f.times, 0);
		account_is(&b, b.next, b.next, 0);
		outbox_close(&b.out, 1000);
		fake_stop(&f);
		fake_check(&f, b.next, rows[i].command, rows[i].answer);
		bed_free(&b);
		fake_free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_reopen),
		cmocka_unit_test(test_late_redis),
		cmocka_unit_test(test_killed_redis),
		cmocka_unit_test(test_flushed_redis),
		cmocka_unit_test(test_stopped_redis),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_partitions),
		cmocka_unit_test(test_retention),
		cmocka_unit_test(test_older_journal),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_torn_tail),
		cmocka_unit_test(test_scripted),
		cmocka_unit_test(test_no_spin),
	};

	cmocka_set_test_filter(getenv("LANDFALL_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
