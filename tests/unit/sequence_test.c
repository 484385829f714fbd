#include "tests/testing.h"

#include "core/base/must.h"
#include "rewriter/attempts.h"
#include "rewriter/sequence.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LANE 7

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/landfall-sequence-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static const char *file(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(file("sequence"));
	unlink(file("sequence.new"));
	return rmdir(dir);
}

static struct sequence *open_it(bool used)
{
	struct sequence *s;

	assert_int_equal(sequence_open(&s, dir, LANE, used), 0);
	return s;
}

static uint32_t take(struct sequence *s, uint64_t campaign)
{
	uint32_t n;
	bool reserved;

	assert_int_equal(sequence_take(s, campaign, &n, &reserved), 0);
	return n;
}

static void dense(void **state)
{
	struct sequence *s = open_it(false);
	uint32_t n;
	bool reserved;

	(void)state;
	for (uint32_t i = 0; i < 3 * SEQUENCE_BLOCK; i++) {
		assert_int_equal(sequence_take(s, 1, &n, &reserved), 0);
		assert_int_equal(n, i);
		assert_int_equal(reserved, i % SEQUENCE_BLOCK == 0);
		assert_int_equal(take(s, 2), i);
	}
	sequence_close(&s);
	/* What a block held is left out; nothing else is. */
	s = open_it(true);
	assert_int_equal(take(s, 1), 3 * SEQUENCE_BLOCK);
	assert_int_equal(take(s, 3), 0);
	sequence_close(&s);
	s = open_it(true);
	assert_int_equal(take(s, 1), 4 * SEQUENCE_BLOCK);
	assert_int_equal(take(s, 2), 3 * SEQUENCE_BLOCK);
	assert_int_equal(take(s, 3), SEQUENCE_BLOCK);
	sequence_close(&s);
}

static void many_campaigns(void **state)
{
	struct sequence *s = open_it(false);
	struct stat st;

	(void)state;
	for (uint64_t c = 1; c <= 300; c++)
		assert_int_equal(take(s, c * UINT64_C(0x9e3779b97f4a7c15)), 0);
	for (uint64_t c = 1; c <= 300; c++)
		assert_int_equal(take(s, c * UINT64_C(0x9e3779b97f4a7c15)), 1);
	sequence_close(&s);
	s = open_it(true);
	assert_int_equal(stat(file("sequence"), &st), 0);
	assert_int_equal(st.st_size, 301 * 32);
	for (uint64_t c = 1; c <= 300; c++)
		assert_int_equal(take(s, c * UINT64_C(0x9e3779b97f4a7c15)), SEQUENCE_BLOCK);
	sequence_close(&s);
}

static void lanes(void **state)
{
	struct sequence *s;

	(void)state;
	/* A lane that has sent mail must not start again at 0. */
	assert_int_equal(sequence_open(&s, dir, LANE, true), -ENOENT);
	s = open_it(false);
	take(s, 1);
	sequence_close(&s);
	assert_int_equal(sequence_open(&s, dir, LANE + 1, true), -ENOENT);
	assert_null(s);
	s = open_it(true);
	assert_int_equal(take(s, 1), SEQUENCE_BLOCK);
	sequence_close(&s);
	/* A new lane has its own numbers. */
	assert_int_equal(sequence_open(&s, dir, LANE + 1, false), 0);
	assert_int_equal(take(s, 1), 0);
	sequence_close(&s);
	assert_int_equal(sequence_open(&s, "/nowhere/at/all", LANE, false), -ENOENT);
}

static void copy_file(const char *from, const char *to, size_t cut, size_t flip)
{
	bool found;
	slice s = test_file(from, &found);
	uint8_t *p = (uint8_t *)(uintptr_t)s.p;
	FILE *f = fopen(to, "wb");

	must(found && f);
	if (flip != SIZE_MAX)
		p[flip / 8] ^= (uint8_t)(1 << flip % 8);
	must(fwrite(p, 1, cut < s.len ? cut : s.len, f) == (cut < s.len ? cut : s.len));
	must(fclose(f) == 0);
}

/* A bit of any byte of the file turned: still no number twice. */
static void turned_bits(void **state)
{
	struct sequence *s = open_it(false);
	uint32_t next[3] = {0};
	char good[128];
	struct stat st;

	(void)state;
	for (int i = 0; i < 2 * SEQUENCE_BLOCK + 5; i++)
		next[0] = take(s, 11) + 1;
	next[1] = take(s, 12) + 1;
	next[2] = take(s, 13) + 1;
	sequence_close(&s);
	strcpy(good, file("good"));
	assert_int_equal(rename(file("sequence"), good), 0);
	assert_int_equal(stat(good, &st), 0);
	for (size_t bit = 0; bit < (size_t)st.st_size * 8; bit += 7) {
		copy_file(good, file("sequence"), SIZE_MAX, bit);
		s = open_it(true);
		for (uint64_t c = 0; c < 3; c++)
			assert_true(take(s, 11 + c) >= next[c]);
		/* A campaign whose record may be the damaged one is never at 0. */
		assert_true(take(s, 99) > 0);
		sequence_close(&s);
	}
	unlink(good);
}

/* The power went while a record was written: it is cut or zeros. */
static void torn_tail(void **state)
{
	struct sequence *s = open_it(false);
	char good[128];

	(void)state;
	take(s, 11);
	take(s, 12);
	sequence_close(&s);
	strcpy(good, file("good"));
	assert_int_equal(rename(file("sequence"), good), 0);
	for (size_t cut = 64; cut < 96; cut++) {
		copy_file(good, file("sequence"), cut, SIZE_MAX);
		s = open_it(true);
		assert_int_equal(take(s, 11), SEQUENCE_BLOCK);
		assert_int_equal(take(s, 12), 0);
		sequence_close(&s);
	}
	copy_file(good, file("sequence"), 64, SIZE_MAX);
	assert_int_equal(truncate(file("sequence"), 96), 0);
	s = open_it(true);
	assert_int_equal(take(s, 12), 0);
	sequence_close(&s);
	unlink(good);
}

/* No room: nothing is handed out, and later all goes on. */
static void disk_full(void **state)
{
	struct sequence *s = open_it(false);
	struct rlimit old, low = {32, 32};
	uint32_t n;
	bool reserved;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_true(sequence_take(s, 1, &n, &reserved) < 0);
	assert_true(sequence_take(s, 1, &n, &reserved) < 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(take(s, 1), 0);
	assert_int_equal(take(s, 2), 0);
	sequence_close(&s);
	s = open_it(true);
	assert_int_equal(take(s, 1), SEQUENCE_BLOCK);
	assert_int_equal(take(s, 2), SEQUENCE_BLOCK);
	sequence_close(&s);
}

#define KILLS 150
#define CAMPAIGNS 3
#define LEDGER (4u << 20)

/* A process hands out numbers and is killed, again and again; a ledger in shared
 * memory counts how often each was handed out. */
static void kill_nine(void **state)
{
	uint8_t *ledger = mmap(NULL, LEDGER, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned long handed = 0, twice = 0;
	uint32_t x = 2463534242u;

	(void)state;
	assert_true(ledger != MAP_FAILED);
	for (int i = 0; i < KILLS; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			struct sequence *s;

			/* A process may be killed before it made the file. */
			if (sequence_open(&s, dir, LANE, ledger[LEDGER - 1]) != 0)
				_exit(1);
			for (uint32_t k = 0;; k++) {
				uint32_t c = (k / 7) % CAMPAIGNS, n;
				bool reserved;

				if (sequence_take(s, c + 1, &n, &reserved) != 0 || n >= LEDGER / CAMPAIGNS)
					_exit(2);
				ledger[LEDGER - 1] = 1; /* no number's byte: the lane is used */
				ledger[LEDGER - 2] = 1; /* nor this: one was taken since the start */
				if (ledger[n * CAMPAIGNS + c] < 255)
					ledger[n * CAMPAIGNS + c]++;
				if (k % 64 == 63)
					usleep(20);
			}
		}
		assert_true(pid > 0);
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		/* Of three, two are killed when they are at work, on a machine however busy. */
		for (int waited = 0; i % 3 && !((volatile uint8_t *)ledger)[LEDGER - 2] && waited < 20000;
			waited++)
			usleep(500);
		ledger[LEDGER - 2] = 0;
		usleep(x % 6000);
		kill(pid, SIGKILL);
		int status;

		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
	}
	for (size_t i = 0; i < LEDGER - 2; i++) {
		handed += ledger[i] > 0;
		twice += ledger[i] > 1;
	}
	printf("%lu numbers handed out over %d kills, %lu of them twice\n", handed, KILLS, twice);
	assert_true(handed > 1000);
	assert_int_equal(twice, 0);
	munmap(ledger, LEDGER);
}

static void attempts(void **state)
{
	struct attempts *a = attempts_open(4);
	struct attempt e = {.campaign = 1,
		.recipient = 2,
		.message = attempts_message(SLICE("<x@y>")),
		.sequence = 9,
		.day = 3};
	struct attempt key = e;

	(void)state;
	assert_int_not_equal(attempts_message(SLICE("<a>")), attempts_message(SLICE("<b>")));
	assert_false(attempts_find(a, &key));
	attempts_put(a, &e);
	key.sequence = key.day = 0;
	assert_true(attempts_find(a, &key));
	assert_int_equal(key.sequence, 9);
	assert_int_equal(key.day, 3);
	/* All three count. */
	key = e, key.campaign++;
	assert_false(attempts_find(a, &key));
	key = e, key.recipient++;
	assert_false(attempts_find(a, &key));
	key = e, key.message++;
	assert_false(attempts_find(a, &key));
	/* The oldest goes. */
	for (uint32_t i = 0; i < 4; i++) {
		key = e;
		assert_true(attempts_find(a, &key));
		if (i == 3)
			break;
		key.recipient = 100 + i;
		attempts_put(a, &key);
	}
	key.recipient = 103;
	attempts_put(a, &key);
	key = e;
	assert_false(attempts_find(a, &key));
	key.recipient = 100;
	assert_true(attempts_find(a, &key));
	attempts_close(&a);
}

static void attempts_full(void **state)
{
	struct attempts *a = attempts_open(ATTEMPTS_MAX);

	(void)state;
	for (uint32_t i = 0; i < 3 * ATTEMPTS_MAX; i++)
		attempts_put(
			a, &(struct attempt){.campaign = 5, .recipient = i, .message = i % 7, .sequence = i});
	for (uint32_t i = 0; i < 3 * ATTEMPTS_MAX; i++) {
		struct attempt key = {.campaign = 5, .recipient = i, .message = i % 7};

		assert_int_equal(attempts_find(a, &key), i >= 2 * ATTEMPTS_MAX);
		assert_int_equal(key.sequence, i >= 2 * ATTEMPTS_MAX ? i : 0);
	}
	attempts_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(dense, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(many_campaigns, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(lanes, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(turned_bits, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(torn_tail, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(disk_full, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(kill_nine, make_dir, remove_dir),
		cmocka_unit_test(attempts),
		cmocka_unit_test(attempts_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
