/* `landfall log` as it is run: options, stdin, stdout, exit status. */
#include "collector/command.h"
#include "core/io/daemon.h"
#include "tests/testing.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char fact[] =
	"Nov 21 17:32:23 mx postfix/smtp[1]: A1B2C3D4: to=<r@a.test>, relay=none, delay=1, "
	"delays=0/0/0/1, dsn=2.0.0, status=sent (250 Ok)";

static const struct {
	const char *name;
	const char *args[4];
	const char *in;
	int status;
	int lines;        /* -1: any number */
	const char *says; /* on stderr, or on stdout where the status is 0 */
} rows[] = {
	{"help", {"--help"}, "", EXIT_DONE, -1, "usage: landfall log"},
	{"one fact, no newline", {"--format", "postfix"}, fact, EXIT_DONE, 1, "\"recipient\":\"r@a.test\""},
	{"found out", {NULL}, fact, EXIT_DONE, 1, "\"kind\":\"accepted\""},
	{"empty log", {"--format=postfix"}, "", EXIT_DONE, 0, ""},
	{"nothing known", {"--format=auto"}, "hello\nworld\n", EXIT_REFUSED, 0, "no line of a known format"},
	{"other format", {"--format", "exim"}, fact, EXIT_DONE, 0, ""},
	{"no such format", {"--format", "qmail"}, fact, EXIT_USAGE, 0, "no such format: qmail"},
	{"no format", {"--format"}, fact, EXIT_USAGE, 0, "--format wants"},
	{"unknown option", {"--fast"}, fact, EXIT_USAGE, 0, "unknown option --fast"},
	{"argument", {"mail.log"}, fact, EXIT_USAGE, 0, "unexpected argument mail.log"},
};

static size_t slurp(FILE *f, char *out, size_t room)
{
	size_t n;

	rewind(f);
	n = fread(out, 1, room - 1, f);
	out[n] = 0;
	fclose(f);
	return n;
}

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		static char out[8192], err[8192];
		char *argv[8] = {(char *)"log"};
		FILE *fi = tmpfile(), *fo = tmpfile(), *fe = tmpfile();
		int argc = 1, status;
		int lines = 0;
		pid_t pid;

		assert_true(fi && fo && fe);
		fputs(rows[i].in, fi);
		rewind(fi);
		for (; argc < 5 && rows[i].args[argc - 1]; argc++)
			argv[argc] = (char *)rows[i].args[argc - 1];
		fflush(NULL);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			dup2(fileno(fi), 0);
			dup2(fileno(fo), 1);
			dup2(fileno(fe), 2);
			status = command_log(argc, argv);
			fflush(NULL);
			_exit(status);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		fclose(fi);
		slurp(fo, out, sizeof out);
		slurp(fe, err, sizeof err);
		test_numbers_equal(
			rows[i].name, WIFEXITED(status) ? WEXITSTATUS(status) : -1, rows[i].status);
		for (char *p = out; *p; p++)
			lines += *p == '\n';
		if (rows[i].lines >= 0)
			test_numbers_equal(rows[i].name, lines, rows[i].lines);
		if (!strstr(rows[i].status == EXIT_DONE ? out : err, rows[i].says))
			fail_msg("%s: stdout \"%s\", stderr \"%s\"", rows[i].name, out, err);
		if (rows[i].status != EXIT_DONE && strchr(err, '\n') != err + strlen(err) - 1)
			fail_msg("%s: not one line: %s", rows[i].name, err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
