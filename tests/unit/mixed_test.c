#include "tests/testing.h"

#include "rewriter/mixed.h"

static void keeps(void **state)
{
	struct mixed *m = mixed_open(4);

	(void)state;
	assert_true(mixed_empty(m));
	mixed_put(m, 7, 100, 1000);
	mixed_put(m, 7, MIXED_ALONE, 1000);
	mixed_put(m, 8, MIXED_ALONE, 1000);
	assert_true(mixed_find(m, 7, 100, 2000));
	assert_true(mixed_find(m, 7, MIXED_ALONE, 2000));
	assert_false(mixed_find(m, 7, 101, 2000));
	assert_false(mixed_find(m, 8, 100, 2000));
	assert_true(mixed_any(m, 7));
	assert_false(mixed_any(m, 8));
	/* Its time is over. */
	assert_true(mixed_find(m, 7, 100, 999 + MIXED_KEEP_MS));
	assert_false(mixed_find(m, 7, 100, 1000 + MIXED_KEEP_MS));
	/* Again: anew, and no second entry. */
	mixed_put(m, 7, 100, 5000);
	assert_true(mixed_find(m, 7, 100, 1000 + MIXED_KEEP_MS));
	mixed_drop(m, 7, 100);
	assert_false(mixed_find(m, 7, 100, 2000));
	assert_false(mixed_any(m, 7));
	mixed_drop(m, 7, 100);
	mixed_drop(m, 7, MIXED_ALONE);
	mixed_drop(m, 8, MIXED_ALONE);
	assert_true(mixed_empty(m));
	mixed_close(&m);
	assert_null(m);
}

/* Buckets are shared and places used again: nothing else is lost or found. */
static void oldest_goes(void **state)
{
	struct mixed *m = mixed_open(3);

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		mixed_put(m, i << 32 | i, 5, i);
		for (uint64_t j = 0; j <= i; j++)
			assert_int_equal(mixed_find(m, j << 32 | j, 5, i), j + 3 > i);
	}
	for (uint64_t i = 997; i < 1000; i++)
		mixed_drop(m, i << 32 | i, 5);
	assert_true(mixed_empty(m));
	mixed_close(&m);
}

/* A hole in the ring is no entry to be dropped. */
static void holes(void **state)
{
	struct mixed *m = mixed_open(2);

	(void)state;
	mixed_put(m, 1, 1, 0);
	mixed_put(m, 2, 2, 0);
	mixed_drop(m, 1, 1);
	mixed_put(m, 3, 3, 0);
	assert_true(mixed_find(m, 2, 2, 0) && mixed_find(m, 3, 3, 0));
	mixed_put(m, 4, 4, 0);
	assert_true(mixed_find(m, 3, 3, 0) && mixed_find(m, 4, 4, 0) && !mixed_find(m, 2, 2, 0));
	mixed_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps),
		cmocka_unit_test(oldest_goes),
		cmocka_unit_test(holes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
