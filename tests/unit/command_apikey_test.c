#include "tests/testing.h"

#include "core/base/refuse.h"
#include "deploy/command/apikey.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char dir[64], path[96];
	struct buf why, text;
};

static int setup(void **state)
{
	static struct place p;

	strcpy(p.dir, "/tmp/landfall-apikey-XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.path, sizeof p.path, "%s/keys/api", p.dir);
	buf_init(&p.why, 4096);
	buf_init(&p.text, APIKEY_MAX_FILE);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char keys[96];

	unlink(p->path);
	snprintf(keys, sizeof keys, "%s/keys", p->dir);
	rmdir(keys);
	rmdir(p->dir);
	buf_free(&p->why);
	buf_free(&p->text);
	return 0;
}

/* The line of a key as it should stand in the file. */
static void line_of(const char *key, const char *tenant, char out[256])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	int n = sprintf(out, "%.8s %s ", key + 3, tenant);

	SHA256((const unsigned char *)key, strlen(key), digest);
	for (size_t i = 0; i < sizeof digest; i++)
		n += sprintf(out + n, "%02x", digest[i]);
	strcpy(out + n, "\n");
}

static void a_key_is_shown_once_and_kept_as_its_hash(void **state)
{
	struct place *p = *state;
	char key[APIKEY_TEXT], line[256];
	struct stat st;

	test_numbers_equal("add", apikey_add(p->path, SLICE("acme"), key, &p->why), 0);
	test_numbers_equal("length", (long long)strlen(key), 3 + 8 + 1 + 43);
	test_numbers_equal("alphabet",
		(long long)strspn(key, "abcdefghijklmnopqrstuvwxyz"
				       "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"),
		(long long)strlen(key));
	assert_int_equal(stat(p->path, &st), 0);
	test_numbers_equal("mode", st.st_mode & 07777, 0600);
	test_numbers_equal("load", apikey_load(p->path, &p->text, &p->why), 0);
	line_of(key, "acme", line);
	test_slices_equal("line", buf_slice(&p->text), slice_str(line));
}

static void one_of_two_is_removed(void **state)
{
	struct place *p = *state;
	char first[APIKEY_TEXT], second[APIKEY_TEXT], line[256];

	assert_int_equal(apikey_add(p->path, SLICE("a"), first, &p->why), 0);
	assert_int_equal(apikey_add(p->path, SLICE("*"), second, &p->why), 0);
	assert_string_not_equal(first, second);
	test_numbers_equal("remove", apikey_remove(p->path, slice_of(first + 3, 8), &p->why), 0);
	test_numbers_equal("again", apikey_remove(p->path, slice_of(first + 3, 8), &p->why), -ENOENT);
	assert_int_equal(apikey_load(p->path, &p->text, &p->why), 0);
	line_of(second, "*", line);
	test_slices_equal("what is left", buf_slice(&p->text), slice_str(line));
}

static void a_file_for_all_to_read_is_refused(void **state)
{
	struct place *p = *state;
	char key[APIKEY_TEXT];

	assert_int_equal(apikey_add(p->path, SLICE("a"), key, &p->why), 0);
	assert_int_equal(chmod(p->path, 0640), 0);
	test_numbers_equal("load", apikey_load(p->path, &p->text, &p->why), -EACCES);
	test_numbers_equal("add", apikey_add(p->path, SLICE("a"), key, &p->why), -EACCES);
	assert_true(slice_find(buf_slice(&p->why), SLICE("chmod 600"), 0) != SLICE_NPOS);
}

static void a_tenant_is_one_word(void **state)
{
	static const struct {
		const char *name;
		slice tenant;
		int want;
	} rows[] = {
		{"empty", SLICE(""), -REFUSE_LENGTH},
		{"blank", SLICE("a b"), -REFUSE_ALPHABET},
		{"newline", SLICE("a\n00000000 * 00"), -REFUSE_ALPHABET},
		{"beyond ASCII", SLICE("\xc3\xa9"), -REFUSE_ALPHABET},
		{"all tenants", SLICE("*"), 0},
	};
	struct place *p = *state;
	char key[APIKEY_TEXT];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		test_numbers_equal(
			rows[i].name, apikey_add(p->path, rows[i].tenant, key, &p->why), rows[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_key_is_shown_once_and_kept_as_its_hash, setup, teardown),
		cmocka_unit_test_setup_teardown(one_of_two_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_for_all_to_read_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_tenant_is_one_word, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
