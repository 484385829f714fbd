#include "core/io/daemon.h"
#include "tests/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct daemon_about about = {.program = "landfall-tester",
	.what = "tests how programs start.",
	.example = "landfall-tester --config landfall.conf"};

static int parse(int argc, char **argv)
{
	struct config c;
	int rc = daemon_start(&about, argc, argv, &c);

	if (rc < 0) {
		/* For the row that sets something. */
		printf("threads=%d\n", (int)c.tracker_threads);
		config_close(&c);
		return 42;
	}
	return rc;
}

static int taken_port;

/* As the main of a program that listens. */
static int serve(int argc, char **argv)
{
	struct config_addr a = {"127.0.0.1", taken_port};
	struct config c;
	struct buf why;
	int rc = daemon_start(&about, argc, argv, &c), fd;

	if (rc >= 0)
		return rc;
	buf_init(&why, 1024);
	fd = daemon_listen(&a, "rewriter.listen", &why);
	if (fd >= 0)
		close(fd);
	else
		fprintf(stderr, "%.*s\n", SLICE_FMT(buf_slice(&why)));
	buf_free(&why);
	config_close(&c);
	return fd >= 0 ? EXIT_DONE : EXIT_WORLD;
}

/* Runs fn in a child; its exit status, and what it printed. */
static int run(int (*fn)(int, char **), const char *const *args, char *out, char *err, size_t room)
{
	char *argv[16] = {(char *)"landfall-tester"};
	int o[2], e[2], argc = 1, status;
	ssize_t n;
	pid_t pid;

	while (argc < 15 && args[argc - 1]) {
		argv[argc] = (char *)args[argc - 1];
		argc++;
	}
	assert_int_equal(pipe(o) | pipe(e), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(o[1], 1);
		dup2(e[1], 2);
		status = fn(argc, argv);
		fflush(NULL);
		_exit(status);
	}
	close(o[1]);
	close(e[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	n = read(o[0], out, room - 1);
	out[n < 0 ? 0 : n] = 0;
	n = read(e[0], err, room - 1);
	err[n < 0 ? 0 : n] = 0;
	close(o[0]);
	close(e[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const struct {
	const char *name;
	const char *args[5];
	int status;
	const char *out, *err; /* is said there */
} rows[] = {
	{"help", {"--help"}, EXIT_DONE, "landfall-tester --config landfall.conf", ""},
	{"help says what", {"--help"}, EXIT_DONE, "tests how programs start.", ""},
	{"version", {"--version"}, EXIT_DONE, "landfall-tester " LANDFALL_VERSION, ""},
	{"unknown option", {"--verbose"}, EXIT_USAGE, "", "unknown option --verbose"},
	{"argument left over", {"now"}, EXIT_USAGE, "", "unexpected argument now"},
	{"option without value", {"--config"}, EXIT_USAGE, "", "--config wants a file"},
	{"no file", {"--config", "/nonexistent/x"}, EXIT_WORLD, "", "/nonexistent/x: No such file"},
	{"refused file", {"--config=/proc/self/comm"}, EXIT_REFUSED, "", "/proc/self/comm:1: "},
	{"set", {"--set", "tracker.threads=7"}, 42, "threads=7", ""},
	{"set twice", {"--set=tracker.threads=7", "--set=tracker.threads=8"}, 42, "threads=8", ""},
	{"set nonsense", {"--set", "tracker.threads=x"}, EXIT_USAGE, "",
		"tracker.threads = x: must be 0..256"},
};

static void options(void **state)
{
	static char out[8192], err[8192];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		test_numbers_equal(
			rows[i].name, run(parse, rows[i].args, out, err, sizeof out), rows[i].status);
		if (!strstr(out, rows[i].out) || !strstr(err, rows[i].err))
			fail_msg("%s: stdout \"%s\", stderr \"%s\"", rows[i].name, out, err);
		if (rows[i].status != EXIT_DONE && strchr(err, '\n') != strrchr(err, '\n'))
			fail_msg("%s: more than one line: %s", rows[i].name, err);
	}
}

static int port_of(int fd)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	return ntohs(sin.sin_port);
}

static void port_taken(void **state)
{
	static char out[8192], err[8192], address[32];
	struct config_addr any = {"127.0.0.1", 0};
	const char *const none[] = {NULL};
	struct buf why;
	int fd;

	(void)state;
	buf_init(&why, 1024);
	fd = daemon_listen(&any, "rewriter.listen", &why);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	taken_port = port_of(fd);
	snprintf(address, sizeof address, "127.0.0.1:%d", taken_port);
	assert_int_equal(run(serve, none, out, err, sizeof out), EXIT_WORLD);
	assert_non_null(strstr(err, address));
	assert_non_null(strstr(err, "rewriter.listen"));
	assert_non_null(strstr(err, "another program listens there"));
	assert_ptr_equal(strchr(err, '\n'), strrchr(err, '\n'));
	close(fd);
	assert_int_equal(run(serve, none, out, err, sizeof out), EXIT_DONE);
	buf_free(&why);
}

static void no_such_address(void **state)
{
	struct config_addr a = {"192.0.2.1", 1};
	struct buf why;

	(void)state;
	buf_init(&why, 1024);
	assert_true(daemon_listen(&a, "tracker.listen", &why) < 0);
	assert_true(slice_starts(buf_slice(&why), SLICE("tracker.listen = 192.0.2.1:1: ")));
	buf_free(&why);
}

static int wake_pipe[2];

static void on_stop(void *arg)
{
	assert_int_equal(write(wake_pipe[1], arg, 1), 1);
}

static void on_reload(void *arg)
{
	(void)arg;
	assert_int_equal(write(wake_pipe[1], "r", 1), 1);
}

/* 0..255: the byte that came, within 10 s. */
static int next_byte(void)
{
	struct pollfd p = {.fd = wake_pipe[0], .events = POLLIN};
	char c;

	if (poll(&p, 1, 10000) != 1 || read(wake_pipe[0], &c, 1) != 1)
		return -1;
	return c;
}

static int signalled(int argc, char **argv)
{
	(void)argc, (void)argv;
	if (pipe(wake_pipe) != 0)
		return 10;
	daemon_signals(on_stop, on_reload, (void *)"s");
	raise(SIGPIPE);
	kill(getpid(), SIGHUP);
	if (next_byte() != 'r')
		return 11;
	kill(getpid(), SIGTERM);
	if (next_byte() != 's')
		return 12;
	kill(getpid(), SIGTERM);
	next_byte();
	return 13; /* the second one must have ended us */
}

static void signals(void **state)
{
	static char out[8192], err[8192];
	const char *const none[] = {NULL};

	(void)state;
	assert_int_equal(run(signalled, none, out, err, sizeof out), EXIT_WORLD);
}

static void ready(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/daemon_test.XXXXXX", got[64] = {0};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s/notify", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
	setenv("NOTIFY_SOCKET", sun.sun_path, 1);
	daemon_ready("testing");
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(recv(fd, got, sizeof got - 1, 0), 7);
	assert_string_equal(got, "READY=1");
	close(fd);
	unlink(sun.sun_path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options),
		cmocka_unit_test(port_taken),
		cmocka_unit_test(no_such_address),
		cmocka_unit_test(signals),
		cmocka_unit_test(ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
