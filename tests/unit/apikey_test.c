#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/model/apikey.h"

#include <stdio.h>

/* By sha256sum, of "lf_acme1_opensesame" and "lf_ops_everything". */
static const char digest_of_acme[] = "1edf463ffffc96686cfc1f4f8bd1df42750aff73ff633612f681606356c87dad";
static const char digest_of_all[] = "5666b8e0356ceef76f0a7801d4aa98caa088662d181cd5a8c3b98d4bb6d5f468";

static slice ring(char room[512])
{
	int n = snprintf(room, 512, "# keys\n\nacme1 acme %s\r\nops * %s\n", digest_of_acme, digest_of_all);

	return slice_of(room, (size_t)n);
}

static void keys_open_their_tenant_only(void **state)
{
	static const struct {
		const char *row, *presented;
		const char *tenant; /* NULL: refused */
	} rows[] = {
		{"right key", "Bearer lf_acme1_opensesame", "acme"},
		{"scheme in any case", "bearer  lf_acme1_opensesame", "acme"},
		{"all tenants", "Bearer lf_ops_everything", "*"},
		{"wrong secret", "Bearer lf_acme1_opensesamE", NULL},
		{"secret cut", "Bearer lf_acme1_opensesam", NULL},
		{"secret of another id", "Bearer lf_ops_opensesame", NULL},
		{"unknown id", "Bearer lf_nobody_opensesame", NULL},
		{"no secret", "Bearer lf_acme1", NULL},
		{"no scheme", "lf_acme1_opensesame", NULL},
		{"basic", "Basic bGZfYWNtZTE6b3BlbnNlc2FtZQ==", NULL},
		{"empty", "", NULL},
	};
	char room[512];
	struct apikeys keys;
	struct arena a;
	unsigned line;

	(void)state;
	arena_init(&a, 1 << 20, NULL, NULL);
	assert_int_equal(apikeys_decode(&a, ring(room), &keys, &line), 0);
	assert_int_equal(keys.count, 2);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(slice_str(rows[i].presented));
		const struct apikey *k = apikeys_find(&keys, in);

		test_unguard(in);
		test_numbers_equal(rows[i].row, k != NULL, rows[i].tenant != NULL);
		if (k)
			test_slices_equal(rows[i].row, k->tenant, slice_str(rows[i].tenant));
	}
	assert_true(apikey_reads(&keys.key[0], SLICE("acme")));
	assert_false(apikey_reads(&keys.key[0], SLICE("acme2")));
	assert_false(apikey_reads(&keys.key[0], SLICE("")));
	assert_true(apikey_reads(&keys.key[1], SLICE("acme2")));
	arena_free(&a);
}

static void bad_lines_are_named(void **state)
{
	static const struct {
		const char *row, *text;
		unsigned line;
	} rows[] = {
		{"no digest", "a b\n", 1},
		{"short digest", "\na b 00ff\n", 2},
		{"not hex", "a b zz11111111111111111111111111111111111111111111111111111111111111\n", 1},
		{"one word too many",
			"a b 0011111111111111111111111111111111111111111111111111111111111111 x\n", 1},
	};
	struct apikeys keys;
	struct arena a;
	unsigned line;

	(void)state;
	arena_init(&a, 1 << 20, NULL, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		test_numbers_equal(rows[i].row, apikeys_decode(&a, slice_str(rows[i].text), &keys, &line),
			-REFUSE_SYNTAX);
		test_numbers_equal(rows[i].row, line, rows[i].line);
	}
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_open_their_tenant_only),
		cmocka_unit_test(bad_lines_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
