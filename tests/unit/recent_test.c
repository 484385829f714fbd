#include "tests/testing.h"

#include "core/base/bytes.h"
#include "core/base/crc32c.h"
#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/metrics.h"
#include "rewriter/recent.h"

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
#define SLOT 64
#define ATTEMPTS 8
#define MIXEDS 8

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/landfall-recent-XXXXXX");
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
	unlink(file("recent"));
	unlink(file("recent.new"));
	return rmdir(dir);
}

static struct recent *open_lane(uint32_t lane)
{
	struct recent_config cfg = {
		.dir = dir, .lanes = &lane, .lane_count = 1, .attempts = ATTEMPTS, .mixed = MIXEDS};
	struct recent *r;

	test_numbers_equal("open", recent_open(&r, &cfg), 0);
	return r;
}

static struct attempt attempt_of(uint32_t i)
{
	return (struct attempt){.campaign = 1000 + i,
		.recipient = i * UINT64_C(0x9e3779b97f4a7c15),
		.message = i + 1,
		.lane = LANE,
		.sequence = 50 + i,
		.day = (uint16_t)(700 + i)};
}

static void put(struct recent *r, uint32_t i)
{
	struct attempt a = attempt_of(i);

	recent_put_attempt(r, &a);
}

/* Is it there, and as it was? Wrong values fail the test. */
static bool there(struct recent *r, uint32_t i)
{
	struct attempt want = attempt_of(i), key = {.campaign = want.campaign,
						     .recipient = want.recipient,
						     .message = want.message};

	if (!recent_find_attempt(r, &key))
		return false;
	assert_int_equal(key.lane, LANE);
	assert_int_equal(key.sequence, want.sequence);
	assert_int_equal(key.day, want.day);
	return true;
}

static void survives(void **state)
{
	struct recent *r = open_lane(LANE), *before[3];
	struct attempt other = attempt_of(0);
	struct stat st;

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		put(r, i);
	/* Whoever comes second gets the number of the first. */
	other.sequence = 99;
	recent_put_attempt(r, &other);
	assert_int_equal(other.sequence, 50);
	recent_put_mixed(r, 1, 11);
	recent_put_mixed(r, 1, MIXED_ALONE);
	recent_put_mixed(r, 2, 22);
	recent_put_mixed(r, 3, 33);
	recent_drop_mixed(r, 2, 22);
	recent_drop_mixed(r, 9, 99);
	for (int again = 0; again < 3; again++) {
		for (uint32_t i = 0; i < 3; i++)
			assert_true(there(r, i));
		assert_false(there(r, 3));
		assert_true(recent_find_mixed(r, 1, 11) && recent_find_mixed(r, 1, MIXED_ALONE));
		assert_true(recent_find_mixed(r, 3, 33) && recent_any_mixed(r, 1));
		assert_false(recent_find_mixed(r, 2, 22) || recent_find_mixed(r, 1, 12));
		/* Without a word, as kill -9 does it: what was put stands in the file. */
		before[again] = r;
		r = open_lane(LANE);
		assert_int_equal(stat(file("recent"), &st), 0);
		assert_int_equal(st.st_size, (ATTEMPTS + MIXEDS) * SLOT);
	}
	recent_close(&r);
	for (int i = 0; i < 3; i++)
		recent_close(&before[i]);
	/* A number belongs to its lane; who was sent to does not. */
	r = open_lane(LANE + 1);
	assert_false(there(r, 0));
	assert_true(recent_find_mixed(r, 3, 33));
	recent_drop_mixed(r, 3, 33);
	recent_drop_mixed(r, 1, 11);
	recent_drop_mixed(r, 1, MIXED_ALONE);
	recent_close(&r);
	r = open_lane(LANE);
	assert_true(recent_no_mixed(r));
	recent_close(&r);
}

/* Rings that went round many times keep their youngest, also when they are opened
 * in between. */
static void oldest_goes(void **state)
{
	struct recent *r = open_lane(LANE);

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		put(r, i);
		recent_put_mixed(r, i, i + 1);
		if (i % 7 == 3) {
			recent_close(&r);
			r = open_lane(LANE);
		}
		for (uint32_t j = 0; j <= i; j++) {
			assert_int_equal(there(r, j), j + ATTEMPTS > i);
			assert_int_equal(recent_find_mixed(r, j, j + 1), j + MIXEDS > i);
		}
	}
	recent_close(&r);
}

static slice image;

static void store(slice bytes)
{
	FILE *f = fopen(file("recent"), "wb");

	must(f && fwrite(bytes.p, 1, bytes.len, f) == bytes.len && fclose(f) == 0);
}

static void fill(void)
{
	struct recent *r = open_lane(LANE);
	bool found;

	for (uint32_t i = 0; i < 5; i++) {
		put(r, i);
		recent_put_mixed(r, 100 + i, 1 + i);
	}
	recent_close(&r);
	image = test_file(file("recent"), &found);
	must(found);
}

/* One slot is hit: all others are as they were, and it is missed and counted. */
static void each_byte(void **state)
{
	uint8_t *copy;

	(void)state;
	fill();
	copy = malloc(image.len);
	for (size_t at = 0; at < image.len; at++) {
		size_t hit = at / SLOT;
		bool full = hit < 5 || (hit >= ATTEMPTS && hit < ATTEMPTS + 5);
		int64_t before = metric_get(METRIC_recent_damaged);
		struct recent *r;

		memcpy(copy, image.p, image.len);
		copy[at] ^= (uint8_t)(1 << at % 8);
		store(slice_of(copy, image.len));
		r = open_lane(LANE);
		assert_int_equal(metric_get(METRIC_recent_damaged), before + 1);
		for (uint32_t i = 0; i < 5; i++) {
			assert_int_equal(there(r, i), !full || hit != i);
			assert_int_equal(recent_find_mixed(r, 100 + i, 1 + i), !full || hit != ATTEMPTS + i);
		}
		recent_close(&r);
		/* It was written anew. */
		r = open_lane(LANE);
		assert_int_equal(metric_get(METRIC_recent_damaged), before + 1);
		recent_close(&r);
	}
	free(copy);
}

static void each_prefix(void **state)
{
	(void)state;
	fill();
	for (size_t n = 0; n <= image.len; n++) {
		struct recent *r;

		store(slice_sub(image, 0, n));
		r = open_lane(LANE);
		for (uint32_t i = 0; i < 5; i++) {
			assert_int_equal(there(r, i), n >= (i + 1) * SLOT);
			assert_int_equal(
				recent_find_mixed(r, 100 + i, 1 + i), n >= (ATTEMPTS + i + 1) * SLOT);
		}
		put(r, 6);
		recent_put_mixed(r, 1, 2);
		assert_true(there(r, 6) && recent_find_mixed(r, 1, 2));
		recent_close(&r);
	}
	/* Something that is no file of ours at all, and longer than any. */
	uint8_t *junk = malloc(9 << 20);
	struct recent *r;

	store(slice_of(memset(junk, 'x', 9 << 20), 9 << 20));
	free(junk);
	r = open_lane(LANE);
	assert_false(there(r, 0));
	recent_close(&r);
}

/* Five days and they are gone. */
static void old_ones(void **state)
{
	static const struct {
		const char *row;
		uint64_t back_ms;
		bool kept;
	} rows[] = {
		{"young", 1000, true},
		{"just not", RECENT_KEEP_MS - 60000, true},
		{"too old", RECENT_KEEP_MS + 1000, false},
	};

	(void)state;
	fill();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint8_t *copy = malloc(image.len), *slot[2] = {copy + SLOT, copy + (ATTEMPTS + 1) * SLOT};
		struct recent *r;

		memcpy(copy, image.p, image.len);
		for (int k = 0; k < 2; k++) {
			put_le64(slot[k] + 16, clock_ms() - rows[i].back_ms);
			put_le32(slot[k], crc32c(slice_of(slot[k] + 4, SLOT - 4)));
		}
		store(slice_of(copy, image.len));
		r = open_lane(LANE);
		test_numbers_equal(rows[i].row, there(r, 1), rows[i].kept);
		test_numbers_equal(rows[i].row, recent_find_mixed(r, 101, 2), rows[i].kept);
		assert_true(there(r, 0) && recent_find_mixed(r, 100, 1));
		recent_close(&r);
		free(copy);
	}
}

/* No room: kept in memory, and what comes later is written. */
static void disk_full(void **state)
{
	struct recent *r = open_lane(LANE);
	struct rlimit old, low = {SLOT, SLOT};

	(void)state;
	put(r, 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	put(r, 1);
	recent_put_mixed(r, 1, 11);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_true(recent_find_mixed(r, 1, 11) && there(r, 1));
	put(r, 2);
	recent_close(&r);
	r = open_lane(LANE);
	assert_true(there(r, 0) && there(r, 2) && !there(r, 1));
	recent_close(&r);
	assert_int_equal(recent_open(&r, &(struct recent_config){.dir = "/nowhere/at/all"}), -2);
	assert_null(r);
}

#define KILLS 40

/* Killed at any moment: what was put before is there. */
static void kill_nine(void **state)
{
	volatile uint32_t *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint32_t x = 2463534242u;

	(void)state;
	assert_true(done != MAP_FAILED);
	for (int i = 0; i < KILLS; i++) {
		pid_t pid = fork();
		struct recent *r;
		uint32_t n;

		if (pid == 0) {
			r = open_lane(LANE);
			for (n = done[0];; n++) {
				put(r, n);
				recent_put_mixed(r, n, n + 1);
				recent_drop_mixed(r, n - 2, n - 1);
				done[0] = n + 1;
				done[1] = 1;
			}
		}
		assert_true(pid > 0);
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		/* Of three, two are killed at work, on a machine however busy. */
		for (int waited = 0; i % 3 && !done[1] && waited < 20000; waited++)
			usleep(500);
		done[1] = 0;
		usleep(x % 6000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		n = done[0];
		r = open_lane(LANE);
		for (uint32_t k = n > ATTEMPTS - 1 ? n - (ATTEMPTS - 1) : 0; k < n; k++)
			assert_true(there(r, k));
		if (n > 3)
			assert_true(recent_find_mixed(r, n - 1, n) && !recent_find_mixed(r, n - 3, n - 2));
		recent_close(&r);
	}
	printf("%u messages put over %d kills\n", done[0], KILLS);
	assert_true(done[0] > 100);
	munmap((void *)(uintptr_t)done, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(survives, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(oldest_goes, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(each_byte, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(each_prefix, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(old_ones, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(disk_full, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(kill_nine, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
