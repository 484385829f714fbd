#include "collector/log_intake.h"
#include "core/base/bytes.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/metrics.h"
#include "core/model/frame.h"
#include "core/model/rkey.h"
#include "core/model/verp.h"
#include "core/parse/date.h"
#include "tests/redis.h"
#include "tests/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DOMAIN SLICE("bounce.test")
#define CAMPAIGN 42
#define LANE 5
#define MESSAGES 1000000 /* most in a test */

static char dir[64], log_path[96], journal_dir[96];
static struct keyring ring;
static struct sealer *sealer;
static unsigned expected[MESSAGES]; /* events of each message, by the ledger of what was written */
static uint32_t written;

static int setup(void **state)
{
	(void)state;
	log_open("test", LOG_ERROR);
	strcpy(dir, "/tmp/log_intake_test.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(log_path, sizeof log_path, "%s/mail.log", dir);
	snprintf(journal_dir, sizeof journal_dir, "%s/journal", dir);
	ring = (struct keyring){.count = 1};
	memset(ring.hash, 7, sizeof ring.hash);
	ring.key[0].id = 1;
	memset(ring.key[0].secret, 9, sizeof ring.key[0].secret);
	sealer = sealer_open(&ring);
	memset(expected, 0, sizeof expected);
	written = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sealer_close(&sealer);
	test_remove(dir);
	return 0;
}

static uint64_t journal_cap = 1 << 30;

static struct outbox *open_outbox(const char *redis_socket)
{
	struct outbox_config cfg = {.program = "collector",
		.journal = {.dir = journal_dir,
			.segment_bytes = 1 << 20,
			.cap_bytes = journal_cap,
			.keep_ms = 86400000},
		.redis = {.socket = redis_socket, .timeout_ms = 1000},
		.partitions = 4,
		.sync_ms = 50};
	struct outbox *o;
	uint64_t until = clock_mono_ms() + 10000;
	int rc;

	/* The lock of a killed process goes with it, but a moment later. */
	while ((rc = outbox_open(&o, &cfg)) == -EWOULDBLOCK && clock_mono_ms() < until)
		usleep(1000);
	assert_int_equal(rc, 0);
	return o;
}

static struct log_intake *open_intake(struct outbox *o, const char *redis_socket)
{
	struct log_intake_config cfg = {.path = log_path,
		.outbox = o,
		.redis = {.socket = redis_socket, .timeout_ms = 1000},
		.sealer = sealer,
		.domain = DOMAIN,
		.join_wait_ms = 200,
		.catch_up_ms = 300};
	struct log_intake *in;

	assert_int_equal(log_intake_open(&in, &cfg), 0);
	return in;
}

/* The lines of the next message, and its events into the ledger. */
static void next_message(struct buf *out)
{
	uint32_t n = written++;
	struct token t = {.kind = TOKEN_RETURN, .campaign = CAMPAIGN, .lane = LANE, .sequence = n};
	unsigned attempts = n % 7 == 3 ? 2 : 1;

	assert_true(n < MESSAGES);
	buf_printf(out, "Nov 21 17:32:23 mx postfix/smtpd[1]: %X: client=h[192.0.2.9]\n", 0xA00000 + n);
	for (unsigned i = 0; i < attempts; i++) {
		buf_printf(out, "Nov 21 17:32:23 mx postfix/qmgr[1]: %X: from=<", 0xA00000 + n);
		assert_int_equal(verp_seal(sealer, DOMAIN, &t, out), 0);
		buf_printf(out, ">, size=1, nrcpt=1 (queue active)\n");
		buf_printf(out,
			"Nov 21 17:32:23 mx postfix/smtp[1]: %X: to=<r%u@a.test>, relay=h[192.0.2.1]:25, "
			"delay=1, "
			"delays=0/0/0/1, %s\n",
			0xA00000 + n, n,
			i + 1 < attempts ? "dsn=4.7.1, status=deferred (451 later)"
			: n % 5 == 0     ? "dsn=5.1.1, status=bounced (550 none)"
					 : "dsn=2.0.0, status=sent (250 Ok)");
	}
	buf_printf(out, "Nov 21 17:32:23 mx postfix/qmgr[1]: %X: removed\n", 0xA00000 + n);
	expected[n] = attempts;
}

static void put(slice s)
{
	int fd = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, s.p, s.len), s.len);
	close(fd);
}

static void settle(struct log_intake *in)
{
	int64_t n;

	while ((n = log_intake_turn(in)) > 0)
		;
	assert_int_equal(n, 0);
}

/* What stands in the journal, against the ledger. */
static void check_journal(void)
{
	static uint8_t room[FRAME_MAX + FRAME_HEAD];
	static unsigned seen[MESSAGES];
	struct journal_config cfg = {.dir = journal_dir, .segment_bytes = 1 << 20, .cap_bytes = 1 << 30};
	struct journal *j;
	uint64_t pos, at;
	int64_t n;

	memset(seen, 0, sizeof seen);
	assert_int_equal(journal_open(&j, &cfg), 0);
	for (pos = journal_oldest(j); (n = journal_read(j, pos, room, sizeof room, &at)) > 0;
		pos = at + (uint64_t)n) {
		slice rest = slice_of(room, (size_t)n);
		struct frame f;

		while (frame_decode(rest, &f) > 0) {
			slice body = f.body;
			struct event ev;
			int len;

			rest = slice_from(rest, f.size);
			if (f.partition == FRAME_NOTE)
				continue;
			for (; (len = event_decode(body, f.base_ms, &ev)) > 0;
				body = slice_from(body, (size_t)len)) {
				assert_true(
					ev.campaign == CAMPAIGN && ev.lane == LANE && ev.sequence < written);
				seen[ev.sequence]++;
			}
			assert_int_equal(len, 0);
		}
	}
	assert_int_equal(n, 0);
	journal_close(&j);
	for (uint32_t i = 0; i < written; i++)
		if (seen[i] != expected[i])
			fail_msg("message %u of %u: %u events, want %u", i, written, seen[i], expected[i]);
}

/* A stop after every line loses and repeats nothing. */
static void restart_anywhere(void **state)
{
	struct buf text;
	size_t at = 0;

	(void)state;
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 12; i++)
		next_message(&text);
	while (at < text.len) {
		size_t lf = slice_chr(buf_slice(&text), '\n', at), cut = at + (lf - at) / 2;
		struct outbox *o = open_outbox("/nonexistent/redis");
		struct log_intake *in = open_intake(o, "/nonexistent/redis");

		/* Half a line, then the other half. */
		put(slice_sub(buf_slice(&text), at, cut));
		settle(in);
		put(slice_sub(buf_slice(&text), cut, lf + 1));
		settle(in);
		at = lf + 1;
		log_intake_close(&in);
		outbox_close(&o, 0);
	}
	check_journal();
	buf_free(&text);
}

static void rotate(unsigned n)
{
	char name[160];

	snprintf(name, sizeof name, "%s.%u", log_path, 20260000 + n);
	assert_int_equal(rename(log_path, name), 0);
	/* The times of the files tell their order, and the kernel's clock ticks. */
	usleep(20000);
}

static _Noreturn void follow_for_ever(void)
{
	struct outbox *o = open_outbox("/nonexistent/redis");
	struct log_intake *in = open_intake(o, "/nonexistent/redis");

	for (;;) {
		int64_t n = log_intake_turn(in);

		if (n < 0)
			abort();
		if (n == 0)
			sched_yield();
	}
}

/* Writes of a child until it dies: before, in the middle of, or after the last
 * one. 0: it lives. */
static int writes_left, die_how;

/* In the place of the C library's: all that the journal writes goes through it. */
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t offset);
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t offset)
{
	bool last = writes_left > 0 && --writes_left == 0;

	if (last && die_how == 0)
		kill(getpid(), SIGKILL);
	if (last && die_how == 1)
		n = n / 2 + 1;
	n = (size_t)syscall(SYS_pwrite64, fd, p, n, offset);
	if (last)
		kill(getpid(), SIGKILL);
	return (ssize_t)n;
}

/* Killed at each of the first writes of a life, in each way. */
static void killed_at_a_write(void **state)
{
	enum { WRITES = 12, ROUNDS = 4 };
	struct outbox *o;
	struct log_intake *in;
	struct buf text;
	unsigned deaths = 0;

	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* it cannot fork once there were threads */
#endif
	buf_init(&text, 1 << 20);
	put(SLICE_NONE);
	for (int i = 0; i < ROUNDS * WRITES * 3; i++) {
		pid_t pid;
		int status;

		buf_clear(&text);
		next_message(&text);
		next_message(&text);
		put(buf_slice(&text));
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			writes_left = 1 + i / 3 % WRITES;
			die_how = i % 3;
			o = open_outbox("/nonexistent/redis");
			in = open_intake(o, "/nonexistent/redis");
			settle(in);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		deaths += WIFSIGNALED(status) != 0;
		assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
	}
	o = open_outbox("/nonexistent/redis");
	in = open_intake(o, "/nonexistent/redis");
	settle(in);
	log_intake_close(&in);
	outbox_close(&o, 0);
	printf("%u of %d died\n", deaths, ROUNDS * WRITES * 3);
	assert_true(deaths > 10);
	check_journal();
	buf_free(&text);
}

/* kill -9 at any moment of a growing, rotating log. */
static void killed(void **state)
{
	enum { KILLS = 50 };
	struct outbox *o;
	struct log_intake *in;
	struct buf text;
	unsigned rotations = 0;

	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* it cannot fork once there were threads */
#endif
	buf_init(&text, 1 << 24);
	srandom(7);
	/* From its first start on. */
	put(SLICE_NONE);
	o = open_outbox("/nonexistent/redis");
	in = open_intake(o, "/nonexistent/redis");
	log_intake_close(&in);
	outbox_close(&o, 0);
	for (int kill_at = 0; kill_at < KILLS; kill_at++) {
		uint64_t until = clock_mono_ms() + 5 + (uint64_t)random() % 120;
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0)
			follow_for_ever();
		while (clock_mono_ms() < until) {
			size_t n;

			next_message(&text);
			/* Up to any byte: the rest comes with the next write. */
			n = (size_t)random() % (text.len + 1);
			put(slice_sub(buf_slice(&text), 0, n));
			buf_drop(&text, n);
			if (random() % 1000 == 0) {
				put(buf_slice(&text));
				buf_clear(&text);
				rotate(rotations++);
			}
			/* Without a pause: the follower is always at work when it is killed. */
		}
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			fail_msg("the follower ended by itself: status %x", status);
	}
	put(buf_slice(&text));
	o = open_outbox("/nonexistent/redis");
	in = open_intake(o, "/nonexistent/redis");
	settle(in);
	log_intake_close(&in);
	outbox_close(&o, 0);
	printf("%u messages, %u rotations, %d kills\n", written, rotations, KILLS);
	check_journal();
	buf_free(&text);
}

static void put_delivery(const char *id, uint64_t ms, const char *how)
{
	struct buf line;

	buf_init(&line, 4096);
	date_time_encode(ms, &line);
	buf_printf(&line, " mx postfix/smtp[1]: %s: to=<r@a.test>, relay=none, delay=1, %s\n", id, how);
	put(buf_slice(&line));
	buf_free(&line);
}

#define SENT "dsn=2.0.0, status=sent (250 Ok)"

static void set_queue(const struct test_redis *t, const char *id, uint32_t sequence)
{
	struct rds_config cfg = {.socket = t->socket, .timeout_ms = 1000};
	struct rkey key = rkey_queue(slice_str(id));
	struct rds_reply *rep;
	struct rds *r;
	uint8_t who[16];

	put_le64(who, CAMPAIGN);
	put_le32(who + 8, LANE);
	put_le32(who + 12, sequence);
	assert_int_equal(rds_open(&r, &cfg), 0);
	assert_int_equal(rds_askv(r, &rep, SLICE("SET"), rkey_slice(&key), slice_of(who, sizeof who)), 0);
	rds_reply_free(&rep);
	rds_close(&r);
}

/* Turns until the counters say that n lines are done with. */
static void turn_until(struct log_intake *in, int64_t facts, int64_t unmatched)
{
	uint64_t until = clock_mono_ms() + 10000;

	while (metric_get(METRIC_log_facts) < facts || metric_get(METRIC_log_unmatched) < unmatched) {
		if (clock_mono_ms() > until)
			fail_msg("%lld facts, %lld unmatched", (long long)metric_get(METRIC_log_facts),
				(long long)metric_get(METRIC_log_unmatched));
		if (log_intake_turn(in) <= 0)
			usleep(1000);
	}
	assert_int_equal(metric_get(METRIC_log_facts), facts);
	assert_int_equal(metric_get(METRIC_log_unmatched), unmatched);
}

static void by_queue_id(void **state)
{
	struct test_redis t;
	struct outbox *o;
	struct log_intake *in;

	(void)state;
	metric_set(METRIC_log_facts, 0);
	metric_set(METRIC_log_unmatched, 0);
	test_redis_init(&t);
	test_redis_start(&t, false);
	o = open_outbox(t.socket);
	in = open_intake(o, t.socket);
	written = 10;
	set_queue(&t, "AAAAAA1", 1);
	put_delivery("AAAAAA1", clock_ms(), SENT);
	expected[1] = 1;
	turn_until(in, 1, 0);
	/* The key comes after the line. */
	put_delivery("AAAAAA2", clock_ms(), SENT);
	assert_int_equal(log_intake_turn(in), 0);
	set_queue(&t, "AAAAAA2", 2);
	expected[2] = 1;
	turn_until(in, 2, 0);
	/* Nobody ever knows it: other lines go on after the wait. */
	put_delivery("FFFFFF1", clock_ms(), SENT);
	set_queue(&t, "AAAAAA3", 3);
	put_delivery("AAAAAA3", clock_ms(), SENT);
	expected[3] = 1;
	turn_until(in, 3, 1);
	/* Redis is away: the line waits for it, however long. */
	test_redis_kill(&t);
	put_delivery("AAAAAA4", clock_ms() - 3600000, SENT);
	for (int i = 0; i < 5; i++)
		assert_true(log_intake_turn(in) < 0);
	test_redis_start(&t, false);
	set_queue(&t, "AAAAAA4", 4);
	expected[4] = 1;
	turn_until(in, 4, 1);
	log_intake_close(&in);
	outbox_close(&o, 0);
	check_journal();
	test_redis_free(&t);
}

/* What was learnt before a stop is known after it. */
static void learns_again(void **state)
{
	struct outbox *o = open_outbox("/nonexistent/redis");
	struct log_intake *in = open_intake(o, "/nonexistent/redis");
	struct buf text;
	size_t cut;

	(void)state;
	buf_init(&text, 1 << 16);
	for (int i = 0; i < 4; i++)
		next_message(&text); /* the last has two attempts */
	cut = slice_rchr(slice_sub(buf_slice(&text), 0, slice_find(buf_slice(&text), SLICE("to=<r3@"), 0)),
		      '\n') +
	      1;
	put(slice_sub(buf_slice(&text), 0, cut));
	settle(in);
	log_intake_close(&in);
	outbox_close(&o, 0);
	/* Its from= line lies before the place; were it not learnt again, the turn
	 * would ask a Redis that is not there. */
	put(slice_from(buf_slice(&text), cut));
	o = open_outbox("/nonexistent/redis");
	in = open_intake(o, "/nonexistent/redis");
	settle(in);
	log_intake_close(&in);
	outbox_close(&o, 0);
	check_journal();
	buf_free(&text);
}

/* The journal is full: the place does not move, nothing counts as lost, and all
 * is there once there is room. */
static void disk_full(void **state)
{
	struct outbox *o;
	struct log_intake *in;
	struct buf text;
	int64_t n = 0;

	(void)state;
	buf_init(&text, 1 << 20);
	journal_cap = 2 << 20;
	o = open_outbox("/nonexistent/redis");
	in = open_intake(o, "/nonexistent/redis");
	while (n >= 0 && written < 200000) {
		buf_clear(&text);
		for (int i = 0; i < 10; i++)
			next_message(&text);
		put(buf_slice(&text));
		while ((n = log_intake_turn(in)) > 0)
			;
	}
	assert_int_equal(n, -ENOSPC);
	assert_int_equal(log_intake_turn(in), -ENOSPC);
	assert_int_equal(outbox_account(o).lost, 0);
	log_intake_close(&in);
	outbox_close(&o, 0);
	journal_cap = 1 << 30;
	o = open_outbox("/nonexistent/redis");
	in = open_intake(o, "/nonexistent/redis");
	settle(in);
	log_intake_close(&in);
	outbox_close(&o, 0);
	printf("full after %u messages\n", written);
	check_journal();
	buf_free(&text);
}

/* The journal has room, and the write fails all the same: what was put waits in
 * the outbox, is not put again, and does not count as lost. */
static void write_fails(void **state)
{
	struct rlimit old, small;
	struct outbox *o;
	struct log_intake *in;
	struct account a;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 10; i++)
		next_message(&text);
	o = open_outbox("/nonexistent/redis");
	in = open_intake(o, "/nonexistent/redis");
	put(buf_slice(&text));
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){16, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(log_intake_turn(in), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	settle(in);
	a = outbox_account(o);
	assert_int_equal(a.lost, 0);
	log_intake_close(&in);
	outbox_close(&o, 0);
	check_journal();
	for (uint32_t i = 0; i < written; i++)
		a.made -= expected[i];
	assert_int_equal(a.made, 0);
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(restart_anywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(learns_again, setup, teardown),
		cmocka_unit_test_setup_teardown(by_queue_id, setup, teardown),
		cmocka_unit_test_setup_teardown(disk_full, setup, teardown),
		cmocka_unit_test_setup_teardown(write_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_at_a_write, setup, teardown),
		cmocka_unit_test_setup_teardown(killed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
