#include "core/io/clock.h"
#include "core/io/loop.h"
#include "tests/testing.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct seen {
	struct loop *loop;
	struct loop_fd *w;
	struct loop_timer *t;
	int fd[2];
	int events, turns, count, pid, status;
};

static int open_loop(void **state)
{
	struct seen *s = calloc(1, sizeof *s);

	s->loop = loop_open();
	*state = s;
	return pipe(s->fd);
}

static int close_loop(void **state)
{
	struct seen *s = *state;

	loop_unwatch(&s->w);
	loop_timer_free(&s->t);
	loop_close(&s->loop);
	assert_null(s->loop);
	loop_close(&s->loop);
	close(s->fd[0]);
	close(s->fd[1]);
	free(s);
	return 0;
}

static void on_read(void *arg, int events)
{
	struct seen *s = arg;
	char c;

	s->events |= events;
	assert_int_equal(read(s->fd[0], &c, 1), 1);
	loop_unwatch(&s->w); /* from within its own call */
	loop_stop(s->loop);
}

static void reads(void **state)
{
	struct seen *s = *state;

	s->w = loop_watch(s->loop, s->fd[0], 0, on_read, s);
	assert_int_equal(write(s->fd[1], "x", 1), 1);
	loop_change(s->w, LOOP_READ);
	loop_run(s->loop);
	assert_int_equal(s->events, LOOP_READ);
	assert_null(s->w);
}

static void on_write(void *arg, int events)
{
	struct seen *s = arg;

	s->events |= events;
	loop_change(s->w, 0);
	loop_timer_set(s->t, 1);
}

static void on_due(void *arg)
{
	struct seen *s = arg;

	s->count++;
	loop_timer_free(&s->t);
	loop_stop(s->loop);
}

static void writes_then_waits(void **state)
{
	struct seen *s = *state;

	s->t = loop_timer(s->loop, on_due, s);
	s->w = loop_watch(s->loop, s->fd[1], LOOP_WRITE, on_write, s);
	loop_run(s->loop);
	assert_int_equal(s->events, LOOP_WRITE);
	assert_int_equal(s->count, 1);
}

static void not_before(void **state)
{
	struct seen *s = *state;
	uint64_t from = clock_mono_ms();

	s->t = loop_timer(s->loop, on_due, s);
	loop_timer_set(s->t, 60000);
	loop_timer_set(s->t, 20); /* moved */
	loop_run(s->loop);
	assert_true(clock_mono_ms() - from >= 19);
}

static void on_turn(void *arg)
{
	((struct seen *)arg)->turns++;
}

static void on_wake(void *arg)
{
	struct seen *s = arg;

	s->count++;
	loop_stop(s->loop);
}

static void *wake(void *arg)
{
	loop_wake(arg);
	return NULL;
}

static void wakes_and_turns(void **state)
{
	struct seen *s = *state;
	pthread_t thread;

	loop_on_wake(s->loop, on_wake, s);
	loop_on_turn(s->loop, on_turn, s);
	assert_int_equal(pthread_create(&thread, NULL, wake, s->loop), 0);
	loop_run(s->loop);
	pthread_join(thread, NULL);
	assert_int_equal(s->count, 1);
	/* Before sleeping, and for the turn that stopped. */
	assert_true(s->turns >= 2);
}

static void on_signal(void *arg, int signo)
{
	struct seen *s = arg;

	s->count = signo;
	loop_stop(s->loop);
}

static void on_child(void *arg, int pid, int status)
{
	struct seen *s = arg;

	s->pid = pid;
	s->status = status;
	loop_stop(s->loop);
}

static void signals_and_children(void **state)
{
	struct seen *s = *state;
	int pid;

	loop_on_signal(s->loop, SIGUSR1, on_signal, s);
	kill(getpid(), SIGUSR1);
	loop_run(s->loop);
	assert_int_equal(s->count, SIGUSR1);
	loop_on_child(s->loop, on_child, s);
	pid = fork();
	if (pid == 0)
		_exit(7);
	loop_run(s->loop);
	assert_int_equal(s->pid, pid);
	assert_int_equal(WEXITSTATUS(s->status), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads, open_loop, close_loop),
		cmocka_unit_test_setup_teardown(writes_then_waits, open_loop, close_loop),
		cmocka_unit_test_setup_teardown(not_before, open_loop, close_loop),
		cmocka_unit_test_setup_teardown(wakes_and_turns, open_loop, close_loop),
		cmocka_unit_test_setup_teardown(signals_and_children, open_loop, close_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
