#include "collector/follow.h"
#include "core/base/refuse.h"
#include "core/io/log.h"
#include "tests/redis.h"
#include "tests/testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[96];

static int make_dir(void **state)
{
	(void)state;
	log_open("test", LOG_ERROR);
	strcpy(dir, "/tmp/follow_test.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/mail.log", dir);
	return 0;
}

static int drop_dir(void **state)
{
	(void)state;
	test_remove(dir);
	return 0;
}

static void put_at(const char *file, const char *text)
{
	FILE *f = fopen(file, "a");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Files are put in order by the times that the kernel stamps on them, which
 * stand still for a few milliseconds. */
static void let_clock_tick(void)
{
	struct stat a, b;
	char probe[128];

	snprintf(probe, sizeof probe, "%s/probe", dir);
	put_at(probe, "x");
	assert_int_equal(stat(probe, &a), 0);
	do {
		put_at(probe, "x");
		assert_int_equal(stat(probe, &b), 0);
	} while (a.st_mtim.tv_nsec == b.st_mtim.tv_nsec && a.st_mtim.tv_sec == b.st_mtim.tv_sec);
	unlink(probe);
}

static void put(const char *text)
{
	put_at(path, text);
}

static void rotate(const char *to)
{
	char name[160];

	snprintf(name, sizeof name, "%s%s", path, to);
	assert_int_equal(rename(path, name), 0);
	let_clock_tick();
}

static void copytruncate(const char *to)
{
	char command[400];

	snprintf(command, sizeof command, "cp %s %s%s", path, path, to);
	assert_int_equal(system(command), 0);
	assert_int_equal(truncate(path, 0), 0);
	let_clock_tick();
}

/* Everything that can be read now. */
static void expect(struct follow *f, const char *want)
{
	struct buf all;
	slice lines;
	int64_t n;

	buf_init(&all, 1 << 20);
	while ((n = follow_read(f, &lines)) > 0) {
		assert_int_equal(n, lines.len);
		buf_put(&all, lines);
		follow_take(f, lines.len);
	}
	assert_int_equal(n, 0);
	test_slices_equal("read", buf_slice(&all), slice_str(want));
	buf_free(&all);
}

/* Close, and go on from the note of the place. */
static void restart(struct follow **f)
{
	struct follow_place p = follow_place_behind(*f, 0), again;
	struct buf note;

	buf_init(&note, 4096);
	follow_place_encode(&p, &note);
	assert_int_equal(follow_place_decode(buf_slice(&note), &again), 0);
	assert_memory_equal(&p, &again, sizeof p);
	follow_close(f);
	*f = follow_open(path, &again);
	buf_free(&note);
}

static void grows(void **state)
{
	struct follow *f = follow_open(path, NULL);
	slice lines;

	(void)state;
	expect(f, ""); /* not there yet */
	put("one\ntw");
	expect(f, "one\n");
	expect(f, "");
	put("o");
	expect(f, "");
	put("\nthree\n");
	/* The same again until it is taken, and in parts. */
	assert_int_equal(follow_read(f, &lines), 10);
	assert_int_equal(follow_read(f, &lines), 10);
	follow_take(f, 4);
	expect(f, "three\n");
	follow_close(&f);
	assert_null(f);
	follow_close(&f);
}

static void renamed(void **state)
{
	struct follow *f = follow_open(path, NULL);
	char old[128];

	(void)state;
	put("one\n");
	expect(f, "one\n");
	put("two\n");
	rotate(".1");
	expect(f, "two\n");
	/* The writer has not opened the new one yet. */
	snprintf(old, sizeof old, "%s.1", path);
	put_at(old, "three\ncut off");
	expect(f, "three\n");
	put("");
	expect(f, "");
	put("four\n");
	/* What the old one ended with is all there will be of it. */
	expect(f, "cut offfour\n");
	put("five\n");
	expect(f, "five\n");
	follow_close(&f);
}

static void many_renamed(void **state)
{
	struct follow *f = follow_open(path, NULL);

	(void)state;
	for (int stop = 0; stop < 2; stop++) {
		put("one\n");
		expect(f, "one\n");
		put("two\n");
		rotate(stop ? "-20261121" : ".3");
		put("three\n");
		rotate(stop ? "-20261122" : ".2");
		put("four\n");
		rotate(stop ? ".20261123-101010" : ".1");
		put("five\n");
		if (stop)
			restart(&f);
		expect(f, "two\nthree\nfour\nfive\n");
	}
	follow_close(&f);
}

/* Rotated away and deleted, as by compressing, while what was read had to wait. */
static void deleted_while_waiting(void **state)
{
	struct follow *f = follow_open(path, NULL);
	char name[128];
	slice lines;

	(void)state;
	put("one\n");
	assert_int_equal(follow_read(f, &lines), 4);
	for (int i = 1; i < 5; i++) {
		static const char *const more[] = {"", "two\n", "three\n", "", "four\n"};

		snprintf(name, sizeof name, "%s.%d", path, i);
		assert_int_equal(rename(path, name), 0);
		put(more[i]);
		let_clock_tick();
		follow_watch(f);
		follow_watch(f);
		assert_int_equal(unlink(name), 0);
	}
	follow_take(f, 4);
	expect(f, "two\nthree\nfour\n");
	put("five\n");
	expect(f, "five\n");
	follow_close(&f);
}

static void gzip(const char *suffix)
{
	char command[400];

	snprintf(command, sizeof command, "gzip %s%s", path, suffix);
	assert_int_equal(system(command), 0);
}

/* Rotated and compressed while nobody looked, also the one that was being read;
 * then stopped in the middle of a compressed one. */
static void compressed(void **state)
{
	struct follow *f = follow_open(path, NULL);
	slice lines;

	(void)state;
	put("one\n");
	expect(f, "one\n");
	put("two\n");
	rotate(".20261121-101010");
	put("three\nfour\n");
	rotate(".20261122-101010");
	put("five\n");
	restart(&f);
	gzip(".20261121-101010");
	gzip(".20261122-101010");
	assert_int_equal(follow_read(f, &lines), 4);
	test_slices_equal("rest of the first", lines, SLICE("two\n"));
	follow_take(f, 4);
	assert_int_equal(follow_read(f, &lines), 11);
	follow_take(f, 6);
	restart(&f);
	expect(f, "four\nfive\n");
	restart(&f);
	put("six\n");
	expect(f, "six\n");
	/* The one that is read is compressed, and not read again. */
	rotate(".20261123-101010");
	gzip(".20261123-101010");
	put("seven\n");
	expect(f, "seven\n");
	follow_close(&f);
}

/* A damaged one is read up to the damage. */
static void damaged_archive(void **state)
{
	struct follow *f = follow_open(path, NULL);
	char name[128];
	struct stat st;

	(void)state;
	put("one\n");
	expect(f, "one\n");
	rotate(".1");
	put("two\n");
	rotate(".2");
	put("three\n");
	restart(&f);
	gzip(".2");
	snprintf(name, sizeof name, "%s.2.gz", path);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(truncate(name, st.st_size - 6), 0);
	assert_int_equal(utimensat(AT_FDCWD, name, (struct timespec[]){st.st_atim, st.st_mtim}, 0), 0);
	expect(f, "two\nthree\n");
	follow_close(&f);
}

/* Not everything beside the log is a part of it. */
static void others_beside(void **state)
{
	struct follow *f = follow_open(path, NULL);
	char name[128];

	(void)state;
	put("one\n");
	expect(f, "one\n");
	for (int i = 0; i < 4; i++) {
		static const char *const names[] = {".bak", "ger.1", ".1.xz", "-old.gz"};

		snprintf(name, sizeof name, "%s%s", path, names[i]);
		put_at(name, "no\n");
	}
	rotate(".1");
	put("two\n");
	restart(&f);
	expect(f, "two\n");
	follow_close(&f);
}

static void truncated(void **state)
{
	struct follow *f = follow_open(path, NULL);

	(void)state;
	put("one\ntwo\n");
	expect(f, "one\ntwo\n");
	put("three\n"); /* only the copy will have it */
	copytruncate(".1");
	expect(f, "three\n");
	put("4\n");
	expect(f, "4\n");
	put("five\n");
	expect(f, "five\n");
	/* Again, and grown past our place before the next look. */
	put("six\n");
	copytruncate(".2");
	put("a longer line than all before it was\n");
	expect(f, "six\na longer line than all before it was\n");
	follow_close(&f);
}

static void truncated_while_away(void **state)
{
	struct follow *f = follow_open(path, NULL);

	(void)state;
	put("one\ntwo\n");
	expect(f, "one\ntwo\n");
	put("three\n");
	copytruncate(".1");
	put("four\n");
	restart(&f);
	expect(f, "three\nfour\n");
	follow_close(&f);
}

/* Truncated without a copy: what is there now is all there is. */
static void emptied(void **state)
{
	struct follow *f = follow_open(path, NULL);

	(void)state;
	put("one\ntwo\n");
	expect(f, "one\ntwo\n");
	assert_int_equal(truncate(path, 0), 0);
	expect(f, "");
	put("3\n");
	expect(f, "3\n");
	follow_close(&f);
}

/* Rotated away altogether; the inode may well be in use again. */
static void gone(void **state)
{
	struct follow *f = follow_open(path, NULL);

	(void)state;
	put("one\n");
	expect(f, "one\n");
	restart(&f);
	assert_int_equal(unlink(path), 0);
	let_clock_tick();
	put("a new file\n");
	rotate(".1");
	put("and another\n");
	expect(f, "a new file\nand another\n");
	follow_close(&f);
}

static void same_inode_other_file(void **state)
{
	struct follow *f = follow_open(path, NULL);
	struct follow_place p;

	(void)state;
	put("one\n");
	expect(f, "one\n");
	p = follow_place_behind(f, 0);
	follow_close(&f);
	assert_int_equal(truncate(path, 0), 0);
	put("two and more\n");
	f = follow_open(path, &p);
	expect(f, "two and more\n");
	follow_close(&f);
}

static void long_line(void **state)
{
	struct follow *f = follow_open(path, NULL);
	FILE *out = fopen(path, "w");
	size_t all = FOLLOW_CHUNK + 1000, got = 0;
	slice lines;

	(void)state;
	for (size_t i = 0; i < all; i++)
		fputc('x', out);
	fputs("\nend\n", out);
	fclose(out);
	while (follow_read(f, &lines) > 0) {
		got += lines.len;
		follow_take(f, lines.len);
	}
	assert_int_equal(got, all + 5);
	follow_close(&f);
}

static struct buf seen;

static void on_line(void *arg, slice line)
{
	(void)arg;
	buf_put(&seen, line);
	buf_byte(&seen, '|');
}

static void history(void **state)
{
	struct follow *f = follow_open(path, NULL);
	slice lines;

	(void)state;
	buf_init(&seen, 64 << 20);
	put("1\n2\n");
	rotate(".2");
	put("3\n");
	rotate(".1");
	put("4\n5\n6\n");
	expect(f, "4\n5\n6\n"); /* what was rotated before the first start is not news */
	restart(&f);
	follow_history(f, on_line, NULL);
	test_slices_equal("all before the place", buf_slice(&seen), SLICE("1|2|3|4|5|6|"));
	expect(f, "");
	put("7\n8\n");
	assert_int_equal(follow_read(f, &lines), 4);
	follow_take(f, 2);
	restart(&f);
	buf_clear(&seen);
	follow_history(f, on_line, NULL);
	test_slices_equal("up to the place", buf_slice(&seen), SLICE("1|2|3|4|5|6|7|"));
	expect(f, "8\n");
	follow_close(&f);
	buf_free(&seen);
}

static unsigned lines_seen;

static void count_line(void *arg, slice line)
{
	(void)arg;
	assert_int_equal(line.len, 99);
	lines_seen++;
}

static void history_has_a_limit(void **state)
{
	struct follow *f = follow_open(path, NULL);
	FILE *out = fopen(path, "w");
	slice lines;

	(void)state;
	for (unsigned i = 0; i < 2 * FOLLOW_HISTORY / 100; i++)
		fprintf(out, "%099u\n", i);
	fclose(out);
	while (follow_read(f, &lines) > 0)
		follow_take(f, lines.len);
	lines_seen = 0;
	follow_history(f, count_line, NULL);
	assert_in_range(lines_seen, FOLLOW_HISTORY / 100 - 1, FOLLOW_HISTORY / 100);
	follow_close(&f);
}

static void notes(void **state)
{
	static const char *const bad[] = {"", "log", "log dev=1 inode=2 offset=3 mtime=4 head=5:00000006 ",
		"log dev=1 inode=2 offset=3 mtime=4 head=5:6",
		"log dev=-1 inode=2 offset=3 mtime=4 head=5:00000006",
		"log dev=1 inode=2 offset=3 mtime=4 head=257:00000006"};
	struct follow_place p;

	(void)state;
	assert_int_equal(
		follow_place_decode(SLICE("log dev=1 inode=2 offset=3 mtime=4 head=5:00000006"), &p), 0);
	assert_int_equal(p.head_crc, 6);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		test_numbers_equal(bad[i], follow_place_decode(slice_str(bad[i]), &p), -REFUSE_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(grows, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(renamed, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(many_renamed, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(deleted_while_waiting, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(compressed, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(damaged_archive, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(others_beside, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(truncated, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(truncated_while_away, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(emptied, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(gone, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(same_inode_other_file, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(long_line, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(history, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(history_has_a_limit, make_dir, drop_dir),
		cmocka_unit_test(notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
