/* The outbox over a disk that fails, loses its power or has no room, and under a
 * clock that jumps. What is under test runs in a child, which says in a pipe what
 * it was promised; afterwards the journal is read without any trouble. */
#include "tests/testing.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/metrics.h"
#include "core/io/outbox.h"
#include "core/model/frame.h"
#include "tests/redis.h"
#include "tests/shim/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 24576 /* events of a run */
#define TURNS 24
#define EVENTS 120 /* a turn, in three partitions */

enum fate { UNKNOWN, WRITTEN, SAFE, LOST, ENDED };

/* What the child tells: the last turn's events, before `to`, came to this; or its
 * account at the end. */
struct told {
	uint32_t to;
	enum fate fate;
	uint64_t made, lost;
};

/* How a child works. */
struct job {
	bool keep;        /* try again what could not be written; else give it up */
	bool wait;        /* for each turn's sync */
	bool endless;     /* until killed */
	bool log;         /* for a power cut */
	unsigned turn_us; /* pause behind each turn */
	void (*meddle)(struct shim_control *c, unsigned turn);
};

struct bed {
	char dir[64], lane[80], control[80], log[80];
	struct outbox_config cfg;
	struct shim_control *c; /* shared with the child */
	uint8_t fate[MOST];
	uint32_t told;
	uint64_t made; /* so the child's account said in the end */
	uint64_t lost;
};

static void bed_init(struct bed *b)
{
	memset(b, 0, sizeof *b);
	strcpy(b->dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/landfall-fault-XXXXXX"
						     : "/tmp/landfall-fault-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->lane, sizeof b->lane, "%s/lane", b->dir);
	snprintf(b->control, sizeof b->control, "%s/control", b->dir);
	snprintf(b->log, sizeof b->log, "%s/log", b->dir);
	b->cfg = (struct outbox_config){.program = "tester",
		.journal = {.dir = b->lane,
			.segment_bytes = 32 << 10,
			.cap_bytes = 8 << 20,
			.keep_ms = 3600000},
		.redis = {.socket = "/nonexistent/r.sock", .timeout_ms = 1000},
		.partitions = 3};
}

static void bed_free(struct bed *b)
{
	if (b->c)
		munmap(b->c, sizeof *b->c);
	test_remove(b->dir);
}

/* The shared file seen from the tester, whose own disk is well. */
static struct shim_control *map_control(struct bed *b)
{
	int fd = open(b->control, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *p;

	assert_int_equal(ftruncate(fd, sizeof *b->c), 0);
	p = mmap(NULL, sizeof *b->c, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED);
	close(fd);
	return p;
}

static struct event event_of(uint32_t sequence)
{
	return (struct event){.kind = EVENT_OPEN,
		.ms = 1900000000000u + sequence,
		.campaign = sequence % 7,
		.lane = 5,
		.sequence = sequence,
		.class = CLASS_HUMAN};
}

static void tell(int fd, uint32_t to, enum fate fate, struct account a)
{
	struct told t = {to, fate, a.made, a.lost};

	if (write(fd, &t, sizeof t) != sizeof t)
		_exit(5);
}

/* Statuses beyond 1 say what broke. */
static void child(struct bed *b, const struct job *job, uint32_t next, int ledger)
{
	struct account none = {0};
	struct outbox *o;

	if (outbox_open(&o, &b->cfg) != 0)
		_exit(10);
	for (unsigned turn = 0; (job->endless || turn < TURNS) && next + EVENTS < MOST; turn++) {
		uint64_t began = clock_mono_ms();
		int64_t ticket;

		if (job->meddle)
			job->meddle(b->c, turn);
		for (unsigned i = 0; i < EVENTS; i++) {
			struct event e = event_of(next++);

			outbox_put(o, &e);
		}
		while ((ticket = outbox_flush(o)) < 0 && job->keep && clock_mono_ms() - began < 5000)
			usleep(1000);
		if (ticket < 0 && job->keep)
			_exit(11);
		if (ticket < 0)
			outbox_lose(o);
		tell(ledger, next, ticket < 0 ? LOST : WRITTEN, none);
		if (ticket > 0 && job->wait) {
			while (outbox_wait(o, ticket) < 0)
				if (clock_mono_ms() - began > 5000)
					_exit(12);
			if (!outbox_synced(o, ticket))
				_exit(13);
			tell(ledger, next, SAFE, none);
		}
		if (job->turn_us)
			usleep(job->turn_us);
	}
	/* The disk is well again, and that is seen without anything to write. */
	if (b->c)
		b->c->to = 0;
	for (uint64_t began = clock_mono_ms(); metric_get(METRIC_journals_failing) > 0; usleep(1000))
		if (clock_mono_ms() - began > 5000)
			_exit(14);
	tell(ledger, next, ENDED, outbox_account(o));
	outbox_close(&o, 0);
	_exit(0);
}

/* The child's exit status; kill_us: it is killed after so long, and that is 0. */
static int run_child(
	struct bed *b, const struct job *job, uint32_t next, const struct shim_control *set, unsigned kill_us)
{
	int fds[2], status;
	struct told t;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		b->c = shim_start(b->control, b->lane, job->log ? b->log : NULL);
		*b->c = *set;
		child(b, job, next, fds[1]);
	}
	close(fds[1]);
	if (kill_us) {
		usleep(kill_us);
		kill(pid, SIGKILL);
	}
	while (read(fds[0], &t, sizeof t) == sizeof t) {
		if (t.fate == ENDED) {
			b->made = t.made;
			b->lost = t.lost;
			continue;
		}
		for (uint32_t i = t.to - EVENTS; i < t.to; i++)
			b->fate[i] = (uint8_t)t.fate;
		b->told = t.to;
	}
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (kill_us && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* What the journal holds now: seen[sequence] times. The events counted as lost. */
static uint64_t look(struct bed *b, uint8_t seen[MOST], uint64_t *events)
{
	struct outbox *o;
	struct journal *j;
	struct account a;
	uint8_t *room = must_alloc(FRAME_MAX);
	uint64_t pos = 0, at;
	int64_t n;

	memset(seen, 0, MOST);
	assert_int_equal(outbox_open(&o, &b->cfg), 0);
	a = outbox_account(o);
	outbox_close(&o, 0);
	assert_int_equal(journal_open(&j, &b->cfg.journal), 0);
	*events = 0;
	while ((n = journal_read(j, pos, room, FRAME_MAX, &at)) > 0) {
		struct frame f;

		for (size_t i = 0; i < (size_t)n; i += f.size) {
			struct event e;
			int len;

			assert_int_equal(
				frame_decode(slice_sub(slice_of(room, (size_t)n), i, (size_t)n), &f), 1);
			for (size_t k = 0; f.partition != FRAME_NOTE &&
					   (len = event_decode(slice_from(f.body, k), f.base_ms, &e)) > 0;
				k += (size_t)len) {
				assert_true(e.sequence < MOST);
				assert_int_equal(e.ms, 1900000000000u + e.sequence);
				seen[e.sequence]++;
				++*events;
			}
		}
		pos = at + (uint64_t)n;
	}
	assert_int_equal(n, 0);
	journal_close(&j);
	free(room);
	assert_int_equal(a.made, *events + a.lost);
	return a.lost;
}

/* Each event that was promised is there once, each one that was given up is not
 * there and counted once. */
static void check(struct bed *b, const char *what, unsigned n)
{
	static uint8_t seen[MOST];
	uint64_t events, lost = look(b, seen, &events), given_up = 0;

	for (uint32_t i = 0; i < MOST; i++) {
		unsigned want = b->fate[i] == WRITTEN || b->fate[i] == SAFE;

		given_up += b->fate[i] == LOST;
		if (seen[i] != want)
			fail_msg("%s %u: event %u is there %u times, not %u", what, n, i, seen[i], want);
	}
	if (lost != given_up || b->lost != given_up || b->made != b->told)
		fail_msg("%s %u: made %llu, lost %llu and then %llu; %u and %llu are right", what, n,
			(unsigned long long)b->made, (unsigned long long)b->lost, (unsigned long long)lost,
			b->told, (unsigned long long)given_up);
}

/* The n-th call fails, for each n until a run makes so few. In a lane that is
 * new, and in one that was used before, which always starts. */
static void test_each_call(void **state)
{
	static const struct {
		const char *name;
		uint64_t error, torn, more;
		bool keep, used;
	} rows[] = {
		{"short writes", 0, 0, UINT32_MAX, false, true},
		{"no room, once", ENOSPC, 0, 0, false, true},
		{"no room, for 6 calls", ENOSPC, 0, 5, true, true},
		{"no room, from then on", ENOSPC, 0, UINT32_MAX, false, true},
		{"error, once, tried again", EIO, 0, 0, true, true},
		{"error, for 3 calls, torn", EIO, 1, 2, true, true},
		{"error, torn", EIO, 1, 0, false, true},
		{"error, in a new lane", EIO, 1, 0, false, false},
	};
	unsigned runs = 0, losing = 0;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct job job = {.keep = rows[i].keep, .wait = rows[i].keep};
		bool hit = true;
		/* Every call of the start and the first turns, then each seventh. */
		for (unsigned n = 1; hit; n += n < 14 ? 1 : 7, runs++) {
			struct shim_control set = {.calls = rows[i].error ? SHIM_ALL : SHIM_WRITE,
				.from = n,
				.to = n + rows[i].more,
				.error = rows[i].error,
				.torn = rows[i].torn};
			struct bed b;
			int rc;

			bed_init(&b);
			if (rows[i].used) {
				struct outbox *o;

				assert_int_equal(outbox_open(&o, &b.cfg), 0);
				outbox_close(&o, 0);
			}
			b.c = map_control(&b);
			rc = run_child(&b, &job, 0, &set, 0);
			hit = b.c->failed > 0;
			if (rc == 10 && !rows[i].used)
				rc = run_child(&b, &job, 0, &(struct shim_control){0}, 0);
			if (rc != 0)
				fail_msg("%s, call %u: the child ended with %d", rows[i].name, n, rc);
			losing += b.lost > 0;
			check(&b, rows[i].name, n);
			bed_free(&b);
		}
	}
	printf("%u runs, %u of them with a loss that was counted\n", runs, losing);
}

/* Whatever was synced is there after a power cut, whatever else of it survived. */
static void test_power_cut(void **state)
{
	const struct job job = {.wait = true, .endless = true, .log = true, .keep = true};
	uint64_t seed = 4711, cut_off = 0, promised = 0;
	static uint8_t seen[MOST];

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct bed b;
		uint64_t events;
		int64_t unsynced;

		bed_init(&b);
		/* Some cuts hit a lane that survived one. */
		for (unsigned life = 0; life <= round % 3; life++) {
			uint32_t next = (b.told + EVENTS - 1) / EVENTS * EVENTS + (life ? 10 * EVENTS : 0);

			seed = seed * 6364136223846793005u + 1442695040888963407u;
			assert_int_equal(run_child(&b, &job, next, &(struct shim_control){0},
						 1 + (unsigned)(seed >> 33) % 15000),
				0);
			unsynced =
				shim_power_cut(b.log, b.lane, (seed >> 20) % 9000, round % 2 ? seed | 1 : 0);
			assert_true(unsynced >= 0);
			cut_off += (uint64_t)unsynced;
			look(&b, seen, &events);
			for (uint32_t i = 0; i < MOST; i++)
				if (seen[i] > 1 || (b.fate[i] == SAFE && seen[i] != 1))
					fail_msg("round %u: event %u, safe %d, is there %u times", round, i,
						b.fate[i] == SAFE, seen[i]);
		}
		for (uint32_t i = 0; i < MOST; i++)
			promised += b.fate[i] == SAFE;
		bed_free(&b);
	}
	assert_true(cut_off > 0 && promised > 10000);
	printf("%llu bytes were cut off, %llu promised events are there\n", (unsigned long long)cut_off,
		(unsigned long long)promised);
}

static void jump(struct shim_control *c, unsigned turn)
{
	static const int64_t to[] = {0, 3600000, -3600000, 24 * 3600000, -24 * 3600000};

	c->clock_ms = to[turn % 5];
}

/* No wait grows by a clock that jumps by an hour or a day, and nothing is lost. */
static void test_clock(void **state)
{
	const struct job job = {.wait = true, .meddle = jump};
	struct bed b;
	uint64_t began = clock_mono_ms();

	(void)state;
	bed_init(&b);
	b.c = map_control(&b);
	assert_int_equal(run_child(&b, &job, 0, &(struct shim_control){0}, 0), 0);
	check(&b, "jumps", 0);
	assert_true(clock_mono_ms() - began < 5000);
	bed_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_call),
		cmocka_unit_test(test_power_cut),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
