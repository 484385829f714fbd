#include "tests/testing.h"

#include "core/io/daemon.h"
#include "deploy/command/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Children are small shell programs that write into one log. READY is said by
 * is_ready, which looks for a line of theirs. */
struct scene {
	char dir[64], log[96];
	bool was_ready;
	bool may_stop;
	unsigned asked;
};
static struct scene scene;

static int setup(void **state)
{
	scene = (struct scene){.may_stop = true};
	strcpy(scene.dir, "/tmp/landfall-supervisor-XXXXXX");
	assert_non_null(mkdtemp(scene.dir));
	snprintf(scene.log, sizeof scene.log, "%s/log", scene.dir);
	*state = &scene;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(scene.log);
	return rmdir(scene.dir);
}

static void read_log(char *out, size_t room)
{
	int fd = open(scene.log, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, out, room - 1);

	out[n > 0 ? n : 0] = 0;
	if (fd >= 0)
		close(fd);
}

static bool said(const char *what)
{
	char text[65536];

	read_log(text, sizeof text);
	return strstr(text, what) != NULL;
}

static bool is_ready(void *arg, const struct child *c)
{
	char line[64];

	(void)arg;
	snprintf(line, sizeof line, "%s runs", c->name);
	return said(line);
}

/* What a test does once all run. */
static void stop_at_once(void *arg)
{
	(void)arg;
	scene.was_ready = true;
	kill(getpid(), SIGTERM);
}

static bool may_stop(void *arg, const struct child *c)
{
	(void)arg;
	(void)c;
	/* Not before it was asked three times. */
	return ++scene.asked >= 3;
}

static struct child shell(const char *name, const char *script)
{
	return (struct child){.name = name, .argv = {"/bin/sh", "-c", script}, .argc = 3, .log = scene.log};
}

static const unsigned backwards[] = {1, 0};

static struct supervisor_plan plan_of(struct child child[2], void (*on_ready)(void *arg))
{
	return (struct supervisor_plan){.child = child,
		.count = 2,
		.stop = backwards,
		.is_ready = is_ready,
		.on_ready = on_ready,
		.may_stop = may_stop,
		.patience_ms = 2000};
}

#define SERVE(name)                                                                                          \
	"trap 'echo " name " stops; exit 0' TERM; echo " name " runs; while :; do sleep 0.01; done"

static void starts_and_stops_in_order(void **state)
{
	struct child child[2] = {shell("first", SERVE("first")), shell("second", SERVE("second"))};
	struct supervisor_plan p = plan_of(child, stop_at_once);
	char text[4096];

	(void)state;
	test_numbers_equal("status", supervisor_run(&p), EXIT_DONE);
	read_log(text, sizeof text);
	assert_string_equal(text, "first runs\nsecond runs\nsecond stops\nfirst stops\n");
	assert_true(scene.asked >= 3);
}

static void a_child_that_does_not_come_up_ends_all(void **state)
{
	struct child child[2] = {shell("first", SERVE("first")), shell("second", "echo no luck; exit 3")};
	struct supervisor_plan p = plan_of(child, stop_at_once);

	(void)state;
	test_numbers_equal("status", supervisor_run(&p), EXIT_WORLD);
	assert_false(scene.was_ready);
	assert_true(said("first stops"));
}

static struct child *victim;
static unsigned looks;

/* Every 20 ms: end the scene once the second has run twice, or after 20 s. */
static void on_alarm(int signo)
{
	char text[4096], *first;

	(void)signo;
	read_log(text, sizeof text);
	first = strstr(text, "second runs");
	if (++looks > 1000 || (first && strstr(first + 1, "second runs")))
		kill(getpid(), SIGTERM);
}

static void kill_second(void *arg)
{
	static const struct itimerval every = {{0, 20000}, {0, 20000}};

	(void)arg;
	kill(victim->pid, SIGKILL);
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void a_child_that_dies_is_started_again(void **state)
{
	struct child child[2] = {shell("first", SERVE("first")), shell("second", SERVE("second"))};
	struct supervisor_plan p = plan_of(child, kill_second);
	static const struct itimerval never;
	char text[4096], *again;

	(void)state;
	victim = &child[1];
	test_numbers_equal("status", supervisor_run(&p), EXIT_DONE);
	setitimer(ITIMER_REAL, &never, NULL);
	read_log(text, sizeof text);
	again = strstr(text, "second runs");
	assert_non_null(again);
	assert_non_null(strstr(again + 1, "second runs"));
	assert_non_null(strstr(again + 1, "second stops"));
}

static void dying_at_once_again_and_again_waits_longer(void **state)
{
	static const unsigned want[] = {0, 250, 500, 1000, 2000, 4000, 8000, 10000, 10000, 10000, 10000};
	struct child c = shell("x", "exit 1");

	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
		char row[16];
		int status;

		snprintf(row, sizeof row, "death %zu", i + 1);
		assert_int_equal(child_start(&c, ""), 0);
		assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
		test_numbers_equal(row, child_ended(&c), want[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(starts_and_stops_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_child_that_does_not_come_up_ends_all, setup, teardown),
		cmocka_unit_test_setup_teardown(a_child_that_dies_is_started_again, setup, teardown),
		cmocka_unit_test_setup_teardown(dying_at_once_again_and_again_waits_longer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
