#include "collector/queue_table.h"
#include "tests/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned dropped;

static void on_drop(void *value)
{
	(void)value;
	dropped++;
}

static slice id_of(unsigned n)
{
	static char text[4][32];
	static unsigned turn;
	char *t = text[turn++ % 4];

	return slice_of(t, (size_t)snprintf(t, 32, "%X", 0xA0000 + n));
}

/* Against a plain array, over random makes and drops. */
static void same_as_array(void **state)
{
	enum { IDS = 5000, TURNS = 200000 };
	static unsigned want[IDS];
	struct queue_table *t = queue_table_open(sizeof(unsigned), IDS + 1, on_drop);
	unsigned live = 0, drops = 0;

	(void)state;
	dropped = 0;
	memset(want, 0, sizeof want);
	srandom(1);
	for (unsigned turn = 1; turn <= TURNS; turn++) {
		unsigned n = (unsigned)random() % IDS, *v;

		if (random() % 2) {
			v = queue_table_get(t, id_of(n));
			assert_non_null(v);
			assert_int_equal(*v, want[n]);
			live += !want[n];
			*v = want[n] = turn;
		} else {
			queue_table_drop(t, id_of(n));
			live -= want[n] != 0;
			drops += want[n] != 0;
			want[n] = 0;
		}
		assert_int_equal(queue_table_count(t), live);
	}
	for (unsigned n = 0; n < IDS; n++) {
		unsigned *v = queue_table_find(t, id_of(n));

		assert_true(want[n] ? v && *v == want[n] : !v);
	}
	assert_int_equal(dropped, drops);
	queue_table_close(&t);
	assert_int_equal(dropped, drops + live);
}

static void grace(void **state)
{
	struct queue_table *t = queue_table_open(4, 1 << 20, NULL);

	(void)state;
	assert_non_null(queue_table_get(t, SLICE("AAAAA1")));
	assert_non_null(queue_table_get(t, SLICE("AAAAA2")));
	queue_table_removed(t, SLICE("AAAAA1"));
	queue_table_removed(t, SLICE("AAAAA2"));
	/* The id of the second begins a new message. */
	queue_table_drop(t, SLICE("AAAAA2"));
	assert_non_null(queue_table_get(t, SLICE("AAAAA2")));
	for (unsigned n = 2; n < QUEUE_TABLE_GRACE; n++)
		queue_table_removed(t, id_of(n));
	assert_non_null(queue_table_find(t, SLICE("AAAAA1")));
	queue_table_removed(t, id_of(0));
	queue_table_removed(t, id_of(1));
	assert_null(queue_table_find(t, SLICE("AAAAA1")));
	assert_non_null(queue_table_find(t, SLICE("AAAAA2")));
	queue_table_close(&t);
}

static void cap(void **state)
{
	struct queue_table *t = queue_table_open(4, 1000, NULL);

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		assert_non_null(queue_table_get(t, id_of(n)));
		assert_true(queue_table_count(t) <= 1000);
		/* What is used stays. */
		assert_non_null(queue_table_find(t, id_of(0)));
	}
	assert_non_null(queue_table_find(t, id_of(19999)));
	queue_table_close(&t);
}

static void odd_ids(void **state)
{
	struct queue_table *t = queue_table_open(4, 10, NULL);
	slice most = SLICE("12345678901234567890123456789012345678901234567"),
	      more = SLICE("123456789012345678901234567890123456789012345678");

	(void)state;
	assert_null(queue_table_get(t, more));
	assert_null(queue_table_find(t, more));
	assert_null(queue_table_get(t, SLICE_NONE));
	assert_non_null(queue_table_get(t, most));
	assert_non_null(queue_table_find(t, most));
	queue_table_removed(t, more);
	queue_table_drop(t, more);
	assert_int_equal(queue_table_count(t), 1);
	queue_table_close(&t);
	assert_null(t);
	queue_table_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_array),
		cmocka_unit_test(grace),
		cmocka_unit_test(cap),
		cmocka_unit_test(odd_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
