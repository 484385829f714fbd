/* What must() and refused memory become within the library. Linked to
 * boundary.c, which stands in for core/base/must.c. */
#include "tests/testing.h"

#include "core/base/must.h"
#include "rewriter/library/boundary.h"
#include "rewriter/library/landfall.h"

#include <pthread.h>
#include <stdlib.h>

struct job {
	int error; /* 1: must, 2: memory, else the answer */
	bool deep; /* leave from a call below */
};

static void below(struct job *j)
{
	must(j->error != 1);
	if (j->error == 2)
		free(must_alloc(SIZE_MAX / 4));
	if (j->deep)
		boundary_leave(j->error);
}

static int work(void *arg)
{
	struct job *j = arg;

	below(j);
	return j->error;
}

static void returns(void **state)
{
	const char *broken = "unset";
	struct job j = {.error = 0};

	(void)state;
	assert_int_equal(boundary_run(work, &j, &broken), 0);
	assert_null(broken);
	j.error = LANDFALL_TOO_LARGE;
	assert_int_equal(boundary_run(work, &j, &broken), LANDFALL_TOO_LARGE);
	j.deep = true;
	assert_int_equal(boundary_run(work, &j, &broken), LANDFALL_TOO_LARGE);
	assert_null(broken);
	j = (struct job){.error = 2};
	assert_int_equal(boundary_run(work, &j, &broken), LANDFALL_NO_MEMORY);
	assert_null(broken);
	j.error = 1;
	assert_int_equal(boundary_run(work, &j, &broken), LANDFALL_BROKEN);
	assert_string_equal(broken, "j->error != 1");
	j.error = 0;
	assert_int_equal(boundary_run(work, &j, &broken), 0);
	assert_null(broken);
}

static void *one_thread(void *arg)
{
	struct job j = {.error = *(int *)arg};
	const char *broken;

	for (int i = 0; i < 2000; i++)
		if (boundary_run(work, &j, &broken) != (j.error == 1 ? LANDFALL_BROKEN : j.error))
			return "wrong";
	return NULL;
}

static void each_thread_its_own(void **state)
{
	int error[4] = {0, 1, LANDFALL_TOO_LARGE, 1};
	pthread_t thread[4];
	void *wrong;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, one_thread, &error[i]), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], &wrong), 0);
		assert_null(wrong);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(returns),
		cmocka_unit_test(each_thread_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
