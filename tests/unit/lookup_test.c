#include "core/io/lookup.h"
#include "core/io/loop.h"
#include "tests/testing.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static void wake(void *arg)
{
	loop_wake(arg);
}

static void woken(void *arg)
{
	loop_stop(arg);
}

static void addresses_are_there_at_once(void **state)
{
	struct lookup *l = lookup_open("127.0.0.2", 2525, wake, NULL);
	const struct lookup_result *r = lookup_get(l);
	const struct sockaddr_in *sa;

	(void)state;
	assert_non_null(r);
	assert_int_equal(r->count, 1);
	sa = (const struct sockaddr_in *)&r->at[0].sa;
	assert_int_equal(sa->sin_family, AF_INET);
	assert_int_equal(ntohs(sa->sin_port), 2525);
	assert_int_equal(ntohl(sa->sin_addr.s_addr), 0x7f000002);
	lookup_close(&l);
	assert_null(l);
	lookup_close(&l);
	l = lookup_open("::1", 1, wake, NULL);
	assert_int_equal(((const struct sockaddr_in6 *)&lookup_get(l)->at[0].sa)->sin6_family, AF_INET6);
	lookup_close(&l);
}

static void names_wake_the_loop(void **state)
{
	struct loop *loop = loop_open();
	struct lookup *l;

	(void)state;
	loop_on_wake(loop, woken, loop);
	l = lookup_open("localhost", 25, wake, loop);
	loop_run(loop);
	assert_non_null(lookup_get(l));
	assert_true(lookup_get(l)->count > 0);
	lookup_close(&l);
	/* Given up while the thread is at it: it ends by itself, and wakes nobody. */
	l = lookup_open("localhost", 25, wake, loop);
	lookup_close(&l);
	loop_close(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_there_at_once),
		cmocka_unit_test(names_wake_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
