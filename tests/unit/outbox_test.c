#include "tests/testing.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/outbox.h"
#include "core/model/frame.h"
#include "core/model/rkey.h"
#include "tests/redis.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
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
	while (n--) {
		struct event e = event_of(b->next++);

		outbox_put(b->out, &e);
	}
	return outbox_flush(b->out);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_reopen),
		cmocka_unit_test(test_late_redis),
		cmocka_unit_test(test_killed_redis),
		cmocka_unit_test(test_flushed_redis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
