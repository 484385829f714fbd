#include "core/base/refuse.h"
#include "core/io/keyfile.h"
#include "tests/testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/keyfile_test.XXXXXX";
static char sub[64], path[80];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(sub, sizeof sub, "%s/keys", dir);
	snprintf(path, sizeof path, "%s/ring", sub);
	return 0;
}

static int drop_dir(void **state)
{
	(void)state;
	unlink(path);
	rmdir(sub);
	return rmdir(dir);
}

static void expect_why(const struct buf *why, const char *text)
{
	if (slice_find(buf_slice(why), slice_str(text), 0) == SLICE_NPOS)
		fail_msg("no \"%s\" in \"%.*s\"", text, SLICE_FMT(buf_slice(why)));
	assert_int_equal(slice_chr(buf_slice(why), '\n', 0), SLICE_NPOS);
}

static void round_trip(void **state)
{
	struct keyring ring = {0}, again;
	struct buf why;
	struct stat st;

	(void)state;
	buf_init(&why, 1024);
	assert_int_equal(keyfile_add(&ring), 1);
	assert_int_equal(keyfile_add(&ring), 2);
	ring.key[0].retired = true;
	assert_int_equal(keyfile_store(path, &ring, &why), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(sub, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(keyfile_load(path, &again, &why), 0);
	assert_int_equal(again.count, 2);
	assert_memory_equal(again.hash, ring.hash, KEYRING_SECRET);
	assert_memory_equal(again.key[1].secret, ring.key[1].secret, KEYRING_SECRET);
	assert_true(again.key[0].retired);
	assert_int_equal(again.key[1].made_day, ring.key[1].made_day);
	/* Replaced whole, the hash key kept. */
	assert_int_equal(keyfile_add(&again), 3);
	assert_memory_equal(again.hash, ring.hash, KEYRING_SECRET);
	assert_int_equal(keyfile_store(path, &again, &why), 0);
	assert_int_equal(keyfile_load(path, &ring, &why), 0);
	assert_int_equal(ring.count, 3);
	buf_free(&why);
}

static void open_to_others(void **state)
{
	struct keyring ring;
	struct buf why;

	(void)state;
	buf_init(&why, 1024);
	for (unsigned bits = 1; bits < 64; bits++) {
		assert_int_equal(chmod(path, 0600 | bits), 0);
		buf_clear(&why);
		assert_int_equal(keyfile_load(path, &ring, &why), -EACCES);
	}
	expect_why(&why, "chmod 600 /tmp/keyfile_test.");
	assert_int_equal(chmod(path, 0600), 0);
	buf_free(&why);
}

static void absent(void **state)
{
	struct keyring ring;
	struct buf why;
	char none[128];

	(void)state;
	buf_init(&why, 1024);
	snprintf(none, sizeof none, "%s/none", sub);
	assert_int_equal(keyfile_load(none, &ring, &why), -ENOENT);
	expect_why(&why, "landfall key add");
	expect_why(&why, none);
	buf_clear(&why);
	assert_int_equal(keyfile_load(sub, &ring, &why), -EINVAL);
	buf_free(&why);
}

static void nonsense(void **state)
{
	struct keyring ring;
	struct buf why;
	FILE *f = fopen(path, "w");

	(void)state;
	buf_init(&why, 1024);
	assert_non_null(f);
	fputs("hash 00\n", f);
	fclose(f);
	assert_int_equal(keyfile_load(path, &ring, &why), -REFUSE_SYNTAX);
	expect_why(&why, "/ring:1: ");
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 100000; i++)
		fputc('#', f);
	fclose(f);
	buf_clear(&why);
	assert_int_equal(keyfile_load(path, &ring, &why), -EFBIG);
	buf_free(&why);
}

static void all_ids_used(void **state)
{
	struct keyring ring = {0};

	(void)state;
	for (int id = 1; id <= KEYRING_MAX_KEYS; id++)
		assert_int_equal(keyfile_add(&ring), id);
	assert_int_equal(keyfile_add(&ring), -REFUSE_RANGE);
	assert_memory_not_equal(ring.key[0].secret, ring.key[1].secret, KEYRING_SECRET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(open_to_others),
		cmocka_unit_test(absent),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(all_ids_used),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
