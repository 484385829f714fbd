#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/model/tombstone.h"

static void texts(void **state)
{
	static const struct {
		const char *name;
		slice text;
		int rc;
		uint64_t recipient, ms;
		slice tenant;
	} rows[] = {
		{"of all", SLICE("00000000000000ff 1795219200000"), 0, 255, 1795219200000, SLICE("")},
		{"of a tenant", SLICE("ffffffffffffffff 0 a b"), 0, UINT64_MAX, 0, SLICE("a b")},
		{"nobody", SLICE("0000000000000000 5"), -REFUSE_SYNTAX, 0, 0, SLICE("")},
		{"capitals", SLICE("00000000000000FF 5"), -REFUSE_SYNTAX, 0, 0, SLICE("")},
		{"short hash", SLICE("0000000000000ff 5"), -REFUSE_SYNTAX, 0, 0, SLICE("")},
		{"no time", SLICE("00000000000000ff "), -REFUSE_SYNTAX, 0, 0, SLICE("")},
		{"time is none", SLICE("00000000000000ff 5x"), -REFUSE_SYNTAX, 0, 0, SLICE("")},
		{"a blank and no tenant", SLICE("00000000000000ff 5 "), -REFUSE_SYNTAX, 0, 0, SLICE("")},
		{"hash alone", SLICE("00000000000000ff"), -REFUSE_SYNTAX, 0, 0, SLICE("")},
		{"nothing", SLICE(""), -REFUSE_SYNTAX, 0, 0, SLICE("")},
	};
	struct buf again;

	(void)state;
	buf_init(&again, 256);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].text);
		struct tombstone t;
		int rc = tombstone_decode(in, &t);

		if (rc != rows[i].rc)
			fail_msg("%s: %d", rows[i].name, rc);
		if (rc == 0) {
			assert_int_equal(t.recipient, rows[i].recipient);
			assert_int_equal(t.ms, rows[i].ms);
			test_slices_equal(rows[i].name, t.tenant, rows[i].tenant);
			buf_clear(&again);
			tombstone_encode(&t, &again);
			test_slices_equal(rows[i].name, buf_slice(&again), rows[i].text);
		}
		test_unguard(in);
	}
	buf_free(&again);
}

static void meaning(void **state)
{
	const struct tombstone t = {.recipient = 7, .ms = 5500}, none = {0};

	(void)state;
	assert_true(tombstone_means(&t, 7, 5500));
	assert_true(tombstone_means(&t, 7, 0));
	assert_true(tombstone_means(&t, 7, 5999)); /* the store keeps seconds */
	assert_false(tombstone_means(&t, 7, 6000));
	assert_false(tombstone_means(&t, 8, 1));
	assert_false(tombstone_means(&none, 0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(texts), cmocka_unit_test(meaning)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
