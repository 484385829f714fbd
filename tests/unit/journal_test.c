#include "tests/testing.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/journal.h"
#include "core/io/segment.h"
#include "core/model/frame.h"
#include "tests/redis.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL 4096
#define MOST 512 /* frames that a test looks at */

/* What was read back or is wanted: each frame's position and the number that it
 * carries. */
struct list {
	struct one {
		uint64_t position;
		uint32_t number;
		size_t size;
	} at[MOST];
	size_t count;
};

static uint8_t *room;

static int make_room(void **state)
{
	(void)state;
	room = must_alloc(FRAME_MAX);
	return 0;
}

static int free_room(void **state)
{
	(void)state;
	free(room);
	return 0;
}

/* Syncing is not what most tests are about: memory if there is some. */
static void make_dir(char dir[64])
{
	strcpy(dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/landfall-journal-XXXXXX"
						  : "/tmp/landfall-journal-XXXXXX");
	assert_non_null(mkdtemp(dir));
}

static struct journal_config config_of(const char *dir, size_t segment)
{
	return (struct journal_config){
		.dir = dir, .segment_bytes = segment, .cap_bytes = 64 * (uint64_t)segment, .keep_ms = 0};
}

static struct journal *open_journal(const char *dir, size_t segment)
{
	struct journal_config cfg = config_of(dir, segment);
	struct journal *j;

	assert_int_equal(journal_open(&j, &cfg), 0);
	return j;
}

/* A batch of frames with bodies of these lengths, each one event, numbered. */
static int append(struct journal *j, const size_t *lens, size_t n, uint32_t number, uint16_t partition)
{
	struct buf batch;
	size_t total = 0;
	uint64_t place;
	int rc;

	for (size_t i = 0; i < n; i++)
		total += FRAME_HEAD + lens[i];
	place = journal_place(j, total, &rc);
	if (!place)
		return rc;
	buf_init(&batch, total);
	for (size_t i = 0; i < n; i++) {
		size_t head = frame_begin(&batch, number + i, partition);

		for (size_t k = 0; k < lens[i]; k++)
			buf_byte(&batch, (uint8_t)(number * 31 + i * 7 + k) |
						 1); /* no zeros: they would look cut off */
		frame_end(&batch, head, journal_lane(j), place + head, i + 1 < n ? FRAME_MORE : 0, 1);
	}
	assert_int_equal(batch.len, total);
	rc = journal_append(j, buf_slice(&batch));
	buf_free(&batch);
	return rc;
}

static int append_one(struct journal *j, size_t len, uint32_t number)
{
	return append(j, &len, 1, number, 3);
}

static void read_all(struct journal *j, uint64_t pos, struct list *out)
{
	uint64_t at;
	int64_t n;

	out->count = 0;
	while ((n = journal_read(j, pos, room, FRAME_MAX, &at)) > 0) {
		struct frame f;

		assert_true(at >= pos);
		for (size_t i = 0; i < (size_t)n; i += f.size) {
			assert_int_equal(
				frame_decode(slice_sub(slice_of(room, (size_t)n), i, (size_t)n), &f), 1);
			assert_int_equal(f.position, at + i);
			assert_true(out->count < MOST);
			out->at[out->count++] = (struct one){f.position, (uint32_t)f.base_ms, f.size};
		}
		pos = at + (uint64_t)n;
	}
	assert_int_equal(n, 0);
}

static void lists_equal(const char *what, long row, const struct list *got, const struct list *want)
{
	if (got->count != want->count)
		fail_msg("%s %ld: %zu frames, want %zu", what, row, got->count, want->count);
	for (size_t i = 0; i < got->count; i++)
		if (got->at[i].position != want->at[i].position || got->at[i].number != want->at[i].number)
			fail_msg("%s %ld: frame %zu is %u at %llu, want %u at %llu", what, row, i,
				got->at[i].number, (unsigned long long)got->at[i].position,
				want->at[i].number, (unsigned long long)want->at[i].position);
}

static void test_plain(void **state)
{
	char dir[64], deep[96];
	struct journal *j, *second;
	struct journal_config cfg;
	struct list got;
	uint32_t lane;
	int rc;

	(void)state;
	make_dir(dir);
	snprintf(deep, sizeof deep, "%s/not/yet/there", dir);
	j = open_journal(deep, SMALL);
	cfg = config_of(deep, SMALL);
	lane = journal_lane(j);
	assert_true(lane != 0);
	assert_int_equal(journal_open(&second, &cfg), -EWOULDBLOCK);
	assert_null(second);
	read_all(j, 0, &got);
	assert_int_equal(got.count, 0);
	assert_int_equal(journal_place(j, 100, &rc), 64);
	assert_int_equal(journal_place(j, SMALL, &rc), 0);
	assert_int_equal(rc, -EMSGSIZE);
	for (uint32_t i = 0; i < 300; i++)
		assert_int_equal(append_one(j, 1 + i % 90, i), 0);
	assert_true(journal_synced(j) < journal_end(j));
	assert_int_equal(journal_sync(j, &rc), journal_end(j));
	assert_int_equal(journal_synced(j), journal_end(j));
	read_all(j, 0, &got);
	assert_int_equal(got.count, 300);
	for (uint32_t i = 0; i < 300; i++)
		assert_int_equal(got.at[i].number, i);
	assert_int_equal(journal_events(j), 300);
	for (uint32_t i = 0; i < 300; i++)
		assert_int_equal(journal_events_at(j, got.at[i].position), i);
	/* from the middle of a frame on: the next one */
	read_all(j, got.at[100].position + 1, &got);
	assert_int_equal(got.count, 199);
	journal_close(&j);
	assert_null(j);
	j = open_journal(deep, SMALL);
	assert_int_equal(journal_lane(j), lane);
	assert_int_equal(journal_events(j), 300);
	assert_int_equal(journal_damaged(j), 0);
	assert_int_equal(journal_synced(j), journal_end(j));
	read_all(j, 0, &got);
	assert_int_equal(got.count, 300);
	journal_close(&j);
	test_remove(dir);
}

/* One segment of several batches, the last of three frames. */
static size_t build(const char *dir, struct list *want, size_t *batches, uint64_t *end)
{
	static const size_t lens[][3] = {{10}, {25, 1, 40}, {2}, {33}, {7, 60}, {12, 5, 18}};
	static const size_t counts[] = {1, 3, 1, 1, 2, 3};
	struct journal *j = open_journal(dir, SMALL);
	size_t n = sizeof counts / sizeof *counts, frames = 0;

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(append(j, lens[i], counts[i], (uint32_t)(100 * i), 1), 0);
		for (size_t k = 0; k < counts[i]; k++)
			batches[frames++] = i;
	}
	read_all(j, 0, want);
	assert_int_equal(want->count, frames);
	*end = journal_end(j);
	journal_close(&j);
	return frames;
}

static slice load_segment(const char *dir, uint64_t start, char path[160])
{
	char name[SEGMENT_NAME];
	bool found;
	slice s;

	segment_name(start, name);
	snprintf(path, 160, "%s/%s", dir, name);
	s = test_file(path, &found);
	assert_true(found);
	return s;
}

static void store_file(const char *path, slice s)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, s.p, s.len), (ssize_t)s.len);
	close(fd);
}

static void drop_segments_behind_first(const char *dir)
{
	for (uint64_t start = SMALL; start < 8 * SMALL; start += SMALL) {
		char name[SEGMENT_NAME], path[160];

		segment_name(start, name);
		snprintf(path, sizeof path, "%s/%s", dir, name);
		unlink(path);
	}
}

/* Open what was damaged: exactly `want` is there; it can be appended to; all is
 * there again after another start, and nothing else. */
static void check_damaged(const char *dir, const char *what, long row, const struct list *want)
{
	struct journal *j = open_journal(dir, SMALL);
	struct list got, more = *want;
	size_t len = 20;

	/* A start that comes to nothing changes nothing. */
	journal_close(&j);
	j = open_journal(dir, SMALL);
	read_all(j, 0, &got);
	lists_equal(what, row, &got, want);
	for (uint32_t i = 0; i < 2; i++) {
		int rc;

		more.at[more.count] = (struct one){journal_place(j, FRAME_HEAD + len, &rc), 900 + i, 0};
		assert_true(more.at[more.count++].position > 0);
		assert_int_equal(append(j, &len, 1, 900 + i, 1), 0);
	}
	read_all(j, 0, &got);
	lists_equal(what, row, &got, &more);
	journal_close(&j);
	j = open_journal(dir, SMALL);
	read_all(j, 0, &got);
	lists_equal(what, row, &got, &more);
	journal_close(&j);
}

static void test_cut_at_every_byte(void **state)
{
	char dir[64], path[160];
	size_t batches[MOST], frames;
	struct list all, want;
	uint64_t end;
	slice file;

	(void)state;
	make_dir(dir);
	frames = build(dir, &all, batches, &end);
	file = load_segment(dir, 0, path);
	for (size_t cut = 0; cut <= end + 1; cut++) {
		drop_segments_behind_first(dir);
		store_file(path, slice_sub(file, 0, cut));
		want.count = 0;
		for (size_t i = 0; i < frames; i++) {
			size_t last = i;

			while (last + 1 < frames && batches[last + 1] == batches[i])
				last++;
			if (all.at[last].position + all.at[last].size <= cut)
				want.at[want.count++] = all.at[i];
		}
		check_damaged(dir, "cut at", (long)cut, &want);
	}
	test_remove(dir);
}

static void test_zeros_from_every_byte(void **state)
{
	char dir[64], path[160];
	size_t batches[MOST], frames;
	struct list all, want;
	uint8_t *copy;
	uint64_t end;
	slice file;

	(void)state;
	make_dir(dir);
	frames = build(dir, &all, batches, &end);
	file = load_segment(dir, 0, path);
	copy = must_alloc(file.len);
	for (size_t cut = SEGMENT_HEAD + 1; cut < end; cut++) {
		memcpy(copy, file.p, file.len);
		memset(copy + cut, 0, file.len - cut);
		drop_segments_behind_first(dir);
		store_file(path, slice_of(copy, file.len));
		want.count = 0;
		for (size_t i = 0; i < frames; i++) {
			size_t last = i;

			while (last + 1 < frames && batches[last + 1] == batches[i])
				last++;
			if (all.at[last].position + all.at[last].size <= cut)
				want.at[want.count++] = all.at[i];
		}
		check_damaged(dir, "zeros from", (long)cut, &want);
	}
	free(copy);
	test_remove(dir);
}

static void test_every_bit(void **state)
{
	char dir[64], path[160];
	size_t batches[MOST], frames;
	struct list all, want;
	uint8_t *copy;
	uint64_t end;
	slice file;

	(void)state;
	make_dir(dir);
	frames = build(dir, &all, batches, &end);
	file = load_segment(dir, 0, path);
	copy = must_alloc(file.len);
	for (size_t bit = 0; bit < end * 8; bit++) {
		bool last_hurt;

		memcpy(copy, file.p, file.len);
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		drop_segments_behind_first(dir);
		store_file(path, slice_of(copy, file.len));
		/* Only the frame that was hit is missing, but for the last batch: what
		 * does not end as a batch is not one. */
		want.count = 0;
		last_hurt = bit / 8 >= all.at[frames - 1].position;
		for (size_t i = 0; i < frames; i++) {
			bool hit = bit / 8 >= all.at[i].position &&
				   bit / 8 < all.at[i].position + all.at[i].size;

			if (!hit && !(last_hurt && batches[i] == batches[frames - 1]))
				want.at[want.count++] = all.at[i];
		}
		check_damaged(dir, "bit", (long)bit, &want);
	}
	free(copy);
	test_remove(dir);
}

static void test_damage_is_counted(void **state)
{
	char dir[64], path[160];
	struct journal *j;
	struct list all, got;
	uint8_t *copy;
	slice file;

	(void)state;
	make_dir(dir);
	j = open_journal(dir, SMALL);
	for (uint32_t i = 0; i < 100; i++)
		append_one(j, 60, i);
	read_all(j, 0, &all);
	journal_close(&j);
	file = load_segment(dir, SMALL, path);
	copy = must_alloc(file.len);
	memcpy(copy, file.p, file.len);
	/* the head and two frames of the second segment of three */
	copy[3] ^= 1;
	for (size_t i = 0; i < all.count; i++)
		if (all.at[i].number == 45 || all.at[i].number == 46)
			copy[all.at[i].position - SMALL + 50] ^= 1;
	store_file(path, slice_of(copy, file.len));
	j = open_journal(dir, SMALL);
	read_all(j, 0, &got);
	assert_int_equal(got.count, 98);
	assert_int_equal(journal_damaged(j), 64 + 200);
	/* read again: not counted again */
	read_all(j, 0, &got);
	assert_int_equal(journal_damaged(j), 64 + 200);
	/* the third segment's head still tells how many there were */
	assert_int_equal(journal_events(j), 100);
	assert_int_equal(journal_events_at(j, got.at[97].position), 99);
	journal_close(&j);
	free(copy);
	test_remove(dir);
}

/* A write that fails in the middle leaves whole frames of a batch that does not
 * count; the next batch is shorter. */
static void test_torn_write(void **state)
{
	static const size_t three[] = {30, 30, 30}, one[] = {30};
	char dir[64];
	struct rlimit old, tight;
	struct journal *j;
	struct list got;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	make_dir(dir);
	j = open_journal(dir, SMALL);
	assert_int_equal(append_one(j, 10, 1), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = journal_end(j) + 2 * 70 + 35;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	assert_int_equal(append(j, three, 3, 10, 1), -EFBIG);
	assert_int_equal(append(j, three, 3, 20, 1), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	read_all(j, 0, &got);
	assert_int_equal(got.count, 1);
	assert_int_equal(append(j, one, 1, 30, 1), 0);
	read_all(j, 0, &got);
	assert_int_equal(got.count, 2);
	journal_close(&j);
	j = open_journal(dir, SMALL);
	read_all(j, 0, &got);
	assert_int_equal(got.count, 2);
	assert_int_equal(got.at[1].number, 30);
	assert_int_equal(journal_events(j), 2);
	assert_int_equal(journal_damaged(j), 0);
	/* and where the next batch goes to the next segment */
	while (journal_end(j) + 300 < SMALL)
		assert_int_equal(append_one(j, 30, 40), 0);
	tight.rlim_cur = journal_end(j) + 2 * 70 + 35;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	assert_int_equal(append(j, three, 3, 10, 1), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(append_one(j, 1000, 50), 0);
	read_all(j, 0, &got);
	assert_int_equal(got.at[got.count - 1].number, 50);
	assert_int_equal(got.at[got.count - 2].number, 40);
	journal_close(&j);
	test_remove(dir);
}

static void test_cap_and_retire(void **state)
{
	char dir[64];
	struct journal_config cfg;
	struct journal *j;
	struct list got;
	uint32_t n = 0;
	uint64_t deadline;
	int rc;

	(void)state;
	make_dir(dir);
	cfg = config_of(dir, SMALL);
	cfg.cap_bytes = 4 * SMALL;
	cfg.keep_ms = 1000000;
	assert_int_equal(journal_open(&j, &cfg), 0);
	while ((rc = append_one(j, 60, n)) == 0)
		n++;
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(n, 4 * 40);
	assert_int_equal(journal_ready(j, 1000), -ENOSPC);
	/* nothing is shipped: nothing goes */
	journal_retire(j, 0, clock_ms());
	read_all(j, 0, &got);
	assert_int_equal(got.count, n);
	/* not synced is not shipped either */
	journal_retire(j, journal_end(j), clock_ms());
	journal_sync(j, &rc);
	/* shipped: it goes although it is young, since its room is needed */
	journal_retire(j, journal_end(j), clock_ms());
	assert_int_equal(journal_oldest(j), 2 * SMALL + 64);
	deadline = clock_mono_ms() + 5000;
	while ((rc = append_one(j, 60, n)) == -ENOSPC && clock_mono_ms() < deadline)
		usleep(1000);
	assert_int_equal(rc, 0);
	n++;
	assert_int_equal(journal_events(j), n);
	journal_close(&j);
	assert_int_equal(journal_open(&j, &cfg), 0);
	assert_int_equal(journal_events(j), n);
	assert_int_equal(journal_events_at(j, 0), 2 * 40);
	journal_close(&j);

	/* with room enough, age decides */
	cfg.cap_bytes = 64 * SMALL;
	assert_int_equal(journal_open(&j, &cfg), 0);
	journal_sync(j, &rc);
	journal_retire(j, journal_end(j), clock_ms());
	assert_int_equal(journal_oldest(j), 2 * SMALL + 64);
	journal_retire(j, journal_end(j), clock_ms() + 2000000);
	assert_int_equal(journal_oldest(j), 4 * SMALL + 64);
	journal_close(&j);
	test_remove(dir);
}

static void test_notes(void **state)
{
	char dir[64];
	struct journal *j;
	size_t len = 9;
	uint64_t at;
	int rc;

	(void)state;
	make_dir(dir);
	j = open_journal(dir, SMALL);
	assert_int_equal(journal_last_note(j), 0);
	append_one(j, 60, 1);
	at = journal_end(j);
	assert_int_equal(append(j, &len, 1, 7, FRAME_NOTE), 0);
	assert_int_equal(journal_last_note(j), at);
	assert_int_equal(journal_events(j), 1); /* a note is no event */
	journal_close(&j);
	j = open_journal(dir, SMALL);
	assert_int_equal(journal_last_note(j), at);
	for (uint32_t i = 0; i < 50; i++)
		append_one(j, 60, i);
	journal_close(&j);
	/* found in the segment before the last as well, and kept from retiring */
	j = open_journal(dir, SMALL);
	assert_int_equal(journal_last_note(j), at);
	journal_sync(j, &rc);
	journal_retire(j, journal_end(j), clock_ms() + 1000);
	assert_int_equal(journal_oldest(j), 64);
	assert_int_equal(append(j, &len, 1, 8, FRAME_NOTE), 0);
	journal_sync(j, &rc);
	journal_retire(j, journal_end(j), clock_ms() + 1000);
	assert_int_equal(journal_oldest(j), SMALL + 64);
	journal_close(&j);
	test_remove(dir);
}

static void test_lane(void **state)
{
	char dir[64], path[160];
	struct journal *j;
	struct list got;
	uint32_t lane;

	(void)state;
	make_dir(dir);
	j = open_journal(dir, SMALL);
	lane = journal_lane(j);
	append_one(j, 10, 1);
	journal_close(&j);
	/* lost or damaged: the segments know it */
	snprintf(path, sizeof path, "%s/lane", dir);
	for (int i = 0; i < 3; i++) {
		if (i == 0)
			unlink(path);
		else
			store_file(path, i == 1 ? SLICE("") : SLICE("xxxxxxxx\n"));
		j = open_journal(dir, SMALL);
		assert_int_equal(journal_lane(j), lane);
		read_all(j, 0, &got);
		assert_int_equal(got.count, 1);
		journal_close(&j);
	}
	/* all segments lost: old positions must not come again under the old name */
	drop_segments_behind_first(dir);
	load_segment(dir, 0, path);
	unlink(path);
	j = open_journal(dir, SMALL);
	assert_true(journal_lane(j) != lane);
	journal_close(&j);
	test_remove(dir);
}

static void test_skip(void **state)
{
	char dir[64];
	struct journal *j;
	struct list got;
	int rc;

	(void)state;
	make_dir(dir);
	j = open_journal(dir, SMALL);
	append_one(j, 10, 1);
	journal_skip(j, 100000);
	assert_true(journal_place(j, 50, &rc) > 100000);
	assert_int_equal(append_one(j, 10, 2), 0);
	journal_sync(j, &rc);
	journal_close(&j);
	j = open_journal(dir, SMALL);
	assert_int_equal(append_one(j, 10, 3), 0);
	read_all(j, 0, &got);
	assert_int_equal(got.count, 3);
	assert_true(got.at[1].position > 100000 && got.at[2].number == 3);
	journal_close(&j);
	test_remove(dir);
}

/* Append, report each number that was taken on the pipe, until killed. */
static void child(const char *dir, int ledger, uint32_t next)
{
	struct journal_config cfg = config_of(dir, 64 * 1024);
	struct journal *j;

	cfg.cap_bytes = 1 << 30;
	if (journal_open(&j, &cfg) != 0)
		_exit(1);
	for (;; next += 3) {
		static const size_t lens[] = {40, 900, 7};

		if (append(j, lens, 3, next, 1) != 0)
			_exit(2);
		if (write(ledger, &next, sizeof next) != sizeof next)
			_exit(3);
	}
}

static void test_kill(void **state)
{
	char dir[64];
	struct journal *j;
	struct list *got = must_alloc(sizeof *got);
	uint32_t promised = 0, next = 0;
	unsigned seed = 12345;

	(void)state;
	make_dir(dir);
	for (int round = 0; round < 50; round++) {
		int fds[2];
		pid_t pid;
		uint32_t n;
		uint64_t pos = 0, at, count = 0;
		int64_t bytes;

		assert_int_equal(pipe(fds), 0);
		fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close(fds[0]);
			child(dir, fds[1], next);
		}
		close(fds[1]);
		seed = seed * 1103515245 + 12345;
		/* at least one batch, so that each round gets somewhere */
		assert_int_equal(read(fds[0], &n, sizeof n), sizeof n);
		usleep(seed / 65536 % 4000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		do
			promised = n + 3;
		while (read(fds[0], &n, sizeof n) == sizeof n);
		close(fds[0]);

		j = open_journal(dir, 64 * 1024);
		while ((bytes = journal_read(j, pos, room, FRAME_MAX, &at)) > 0) {
			struct frame f;

			for (size_t i = 0; i < (size_t)bytes; i += f.size, count++) {
				assert_int_equal(
					frame_decode(slice_from(slice_of(room, (size_t)bytes), i), &f), 1);
				if (f.base_ms != count)
					fail_msg("round %d: frame %llu is number %llu", round,
						(unsigned long long)count, (unsigned long long)f.base_ms);
			}
			pos = at + (uint64_t)bytes;
		}
		if (count < promised || count > promised + 3 || count % 3)
			fail_msg("round %d: %llu frames, promised %u", round, (unsigned long long)count,
				promised);
		assert_int_equal(journal_events(j), count);
		next = (uint32_t)count;
		journal_close(&j);
	}
	printf("%u batches over 50 kills\n", next / 3);
	free(got);
	test_remove(dir);
}

/* The appender, a syncing thread and a reading and retiring one. */
struct shared {
	struct journal *j;
	_Atomic bool stop;
	_Atomic uint32_t read;
	bool ordered;
};

static void *sync_thread(void *arg)
{
	struct shared *s = arg;
	int rc;

	while (!atomic_load(&s->stop)) {
		journal_sync(s->j, &rc);
		usleep(200);
	}
	return NULL;
}

static void *read_thread(void *arg)
{
	struct shared *s = arg;
	uint8_t *out = must_alloc(FRAME_MAX);
	uint64_t pos = 0, at;
	uint32_t next = 0;

	s->ordered = true;
	while (!atomic_load(&s->stop)) {
		int64_t n = journal_read(s->j, pos, out, FRAME_MAX, &at);
		struct frame f;

		for (int64_t i = 0; i < n; i += (int64_t)f.size) {
			if (frame_decode(slice_sub(slice_of(out, (size_t)n), (size_t)i, (size_t)n), &f) !=
					1 ||
				f.base_ms != next++)
				s->ordered = false;
		}
		if (n > 0)
			pos = at + (uint64_t)n;
		else
			usleep(200);
		journal_retire(s->j, pos, clock_ms());
		atomic_store(&s->read, next);
	}
	free(out);
	return NULL;
}

static void test_threads(void **state)
{
	char dir[64];
	struct journal_config cfg;
	struct shared s = {0};
	pthread_t syncs, reads;
	uint32_t n = 20000;
	uint64_t deadline = clock_mono_ms() + 60000;

	(void)state;
	make_dir(dir);
	cfg = config_of(dir, 16 * SMALL);
	cfg.cap_bytes = 8 * 16 * SMALL;
	assert_int_equal(journal_open(&s.j, &cfg), 0);
	pthread_create(&syncs, NULL, sync_thread, &s);
	pthread_create(&reads, NULL, read_thread, &s);
	for (uint32_t i = 0; i < n; i++) {
		int rc;

		while ((rc = append_one(s.j, i % 300, i)) == -ENOSPC && clock_mono_ms() < deadline)
			usleep(100);
		assert_int_equal(rc, 0);
	}
	while (atomic_load(&s.read) < n && clock_mono_ms() < deadline)
		usleep(1000);
	atomic_store(&s.stop, true);
	pthread_join(syncs, NULL);
	pthread_join(reads, NULL);
	assert_int_equal(atomic_load(&s.read), n);
	assert_true(s.ordered);
	assert_int_equal(journal_damaged(s.j), 0);
	journal_close(&s.j);
	test_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_zeros_from_every_byte),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_damage_is_counted),
		cmocka_unit_test(test_torn_write),
		cmocka_unit_test(test_cap_and_retire),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_lane),
		cmocka_unit_test(test_skip),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, make_room, free_room);
}
