#include "collector/unpack.h"

#include "core/base/must.h"
#include "core/io/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* gzip with the file as its input and out as its output. pid, or -errno. */
static pid_t start_gzip(const char *path, int out)
{
	char *argv[] = {(char *)"gzip", (char *)"-dc", NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, usual;
	pid_t pid;
	int rc;

	/* Our threads block signals and ignore SIGPIPE; gzip should not. */
	sigemptyset(&none);
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	must(posix_spawn_file_actions_init(&files) == 0 && posix_spawnattr_init(&attr) == 0);
	must(posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0);
	must(posix_spawnattr_setsigmask(&attr, &none) == 0 &&
		posix_spawnattr_setsigdefault(&attr, &usual) == 0);
	must(posix_spawn_file_actions_addopen(&files, STDIN_FILENO, path, O_RDONLY, 0) == 0);
	must(posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO) == 0);
	must(posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0);
	rc = posix_spawnp(&pid, argv[0], &files, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return rc ? -rc : pid;
}

/* Was all of it whole? */
static bool reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

ssize_t unpack_head(const char *path, uint8_t *out, size_t n)
{
	size_t got = 0;
	pid_t pid;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	pid = start_gzip(path, ends[1]);
	close(ends[1]);
	while (pid > 0 && got < n) {
		ssize_t r = read(ends[0], out + got, n - got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	close(ends[0]);
	if (pid < 0)
		return pid;
	reap(pid); /* ended by the pipe, as a rule */
	return (ssize_t)got;
}

int unpack_open(const char *path)
{
	const char *dir = getenv("TMPDIR");
	int fd = open(dir && *dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	pid_t pid;

	if (fd < 0)
		return -errno;
	pid = start_gzip(path, fd);
	if (pid < 0) {
		close(fd);
		return pid;
	}
	if (!reap(pid))
		log_error("unpack", "compressed log is damaged", "path=%s", path);
	return fd;
}
