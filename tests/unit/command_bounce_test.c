/* The filter as a process: messages on stdin, lines on stdout, an exit status. */
#include "collector/command.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/model/verp.h"
#include "tests/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOUNCE                                                                                               \
	"Return-Path: <>\nFrom: MAILER-DAEMON@mx.test\nTo: <%s>\nSubject: failure notice\n\n"                \
	"Hi. This is the qmail-send program.\n\n<r@b.test>:\n550 5.1.1 no such user\n"

static const char plain[] = "From: MAILER-DAEMON@mx.test\nTo: n@brand.test\nSubject: failure notice\n\n"
			    "<r@b.test>:\n550 5.1.1 no such user\n";
static const char box[] =
	"From a\nFrom: MAILER-DAEMON@mx.test\nSubject: failure notice\n\n<r@b.test>:\n550 5.1.1 no\n\n"
	"From b\nFrom: p@b.test\nSubject: hello\n\nhi\n";

static const struct {
	const char *name;
	const char *args[4];
	const char *in;
	int status;
	int lines;        /* on stdout; -1: any number */
	const char *says; /* on stderr, or on stdout where the status is 0 */
} rows[] = {
	{"help", {"--help"}, "", EXIT_DONE, -1, "usage: landfall bounce"},
	{"classes", {"--classes"}, "", EXIT_DONE, -1, "| `no-such-mailbox` |"},
	{"one", {NULL}, plain, EXIT_DONE, 1, "\"recipient\":\"r@b.test\""},
	{"its identity without keys", {NULL}, plain, EXIT_DONE, 1, "\"identity\":null"},
	{"nothing", {NULL}, "", EXIT_DONE, 1, "\"kind\":\"none\""},
	{"a mailbox", {"--mbox"}, box, EXIT_DONE, 2, "\"kind\":\"none\""},
	{"an empty mailbox", {"--mbox"}, "\n\n", EXIT_DONE, 0, ""},
	{"no value", {"--config"}, "", EXIT_USAGE, 0, "--config wants a value"},
	{"no such file", {"--config", "/nonexistent/landfall.conf"}, "", EXIT_WORLD, 0, "landfall.conf"},
	{"no such setting", {"--set", "track.speed=9"}, "", EXIT_REFUSED, 0, "speed"},
	{"unknown option", {"--fast"}, "", EXIT_USAGE, 0, "unknown option --fast"},
	{"argument", {"mail.eml"}, "", EXIT_USAGE, 0, "unexpected argument mail.eml"},
};

static char out[65536], err[8192];

static void slurp(FILE *f, char *to, size_t room)
{
	size_t n;

	rewind(f);
	n = fread(to, 1, room - 1, f);
	to[n] = 0;
	fclose(f);
}

static int run(const char *const *args, const char *in)
{
	char *argv[8] = {(char *)"bounce"};
	FILE *fi = tmpfile(), *fo = tmpfile(), *fe = tmpfile();
	int argc = 1, status;
	pid_t pid;

	assert_true(fi && fo && fe);
	fputs(in, fi);
	rewind(fi);
	for (; argc < 6 && args[argc - 1]; argc++)
		argv[argc] = (char *)args[argc - 1];
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fileno(fi), 0);
		dup2(fileno(fo), 1);
		dup2(fileno(fe), 2);
		status = command_bounce(argc, argv);
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	fclose(fi);
	slurp(fo, out, sizeof out);
	slurp(fe, err, sizeof err);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int lines_of(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *args[5] = {
			rows[i].args[0], rows[i].args[1], rows[i].args[2], rows[i].args[3], NULL};

		test_numbers_equal(rows[i].name, run(args, rows[i].in), rows[i].status);
		if (rows[i].lines >= 0)
			test_numbers_equal(rows[i].name, lines_of(out), rows[i].lines);
		if (!strstr(rows[i].status == EXIT_DONE ? out : err, rows[i].says))
			fail_msg("%s: stdout \"%s\", stderr \"%s\"", rows[i].name, out, err);
		if (rows[i].status != EXIT_DONE && lines_of(err) != 1)
			fail_msg("%s: not one line: %s", rows[i].name, err);
	}
}

/* A ring on disk, a return path sealed with it, and the report that comes back. */
static void identity(void **state)
{
	char dir[] = "/tmp/landfall-bounce-XXXXXX", path[128], setting[256], message[1024];
	struct token t = {.kind = TOKEN_RETURN, .campaign = 0x1234, .lane = 5, .sequence = 77};
	const char *args[] = {"--set", setting, "--set", "track.return_path_domain=bounce.test", NULL};
	struct keyring ring = {0};
	struct sealer *sealer;
	struct buf b;

	(void)state;
	assert_non_null(mkdtemp(dir));
	buf_init(&b, 4096);
	snprintf(path, sizeof path, "%s/ring", dir);
	assert_true(keyfile_add(&ring) > 0);
	assert_int_equal(keyfile_store(path, &ring, &b), 0);
	snprintf(setting, sizeof setting, "keys.file=%s", path);
	sealer = sealer_open(&ring);
	buf_clear(&b);
	assert_int_equal(verp_seal(sealer, SLICE("bounce.test"), &t, &b), 0);
	buf_byte(&b, 0);
	snprintf(message, sizeof message, BOUNCE, (const char *)b.p);
	assert_int_equal(run(args, message), EXIT_DONE);
	if (!strstr(out,
		    "\"identity\":{\"campaign\":\"0000000000001234\",\"lane\":\"00000005\",\"sequence\":77,"))
		fail_msg("stdout \"%s\", stderr \"%s\"", out, err);
	/* One that nobody sealed. */
	message[strcspn(message, "+") + 9] ^= 1;
	assert_int_equal(run(args, message), EXIT_DONE);
	assert_non_null(strstr(out, "\"identity\":null"));
	/* A ring that others may read is refused, not left out. */
	assert_int_equal(chmod(path, 0644), 0);
	assert_true(run(args, message) != EXIT_DONE);
	unlink(path);
	rmdir(dir);
	sealer_close(&sealer);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
