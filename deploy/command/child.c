#include "deploy/command/child.h"

#include "core/io/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUICK_MS 5000 /* a life shorter than this counts as dying at once */
#define FIRST_WAIT_MS 250
#define MOST_WAIT_MS 10000

/* In the child: never returns. */
static void become(const struct child *c, const char *notify, pid_t parent)
{
	int in = open("/dev/null", O_RDONLY), out = open(c->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	sigset_t none;

	if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(127);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* The parent may have died before the line above. */
	if (getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (c->notifies)
		setenv("NOTIFY_SOCKET", notify, 1);
	else
		unsetenv("NOTIFY_SOCKET");
	execvp(c->argv[0], (char *const *)c->argv);
	fprintf(stderr, "cannot run %s: %s\n", c->argv[0], strerror(errno));
	_exit(127);
}

int child_start(struct child *c, const char *notify)
{
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become(c, notify, parent);
	c->pid = pid;
	c->ready = false;
	c->started_ms = clock_mono_ms();
	return 0;
}

unsigned child_ended(struct child *c)
{
	bool quick = clock_mono_ms() - c->started_ms < QUICK_MS;
	unsigned wait;

	c->pid = 0;
	c->ready = false;
	c->quick_deaths = quick ? c->quick_deaths + 1 : 0;
	if (c->quick_deaths < 2)
		return 0;
	if (c->quick_deaths > 8)
		return MOST_WAIT_MS;
	wait = FIRST_WAIT_MS << (c->quick_deaths - 2);
	return wait < MOST_WAIT_MS ? wait : MOST_WAIT_MS;
}

const char *child_status_text(int status)
{
	static char text[80];

	if (WIFSIGNALED(status))
		snprintf(text, sizeof text, "killed by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else
		snprintf(text, sizeof text, "exit status %d", WEXITSTATUS(status));
	return text;
}

void child_last_words(const struct child *c, char *out, unsigned room)
{
	char tail[4096];
	int fd = open(c->log, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;
	char *start;

	*out = 0;
	if (fd < 0)
		return;
	if (lseek(fd, -(off_t)(sizeof tail - 1), SEEK_END) < 0)
		lseek(fd, 0, SEEK_SET);
	n = read(fd, tail, sizeof tail - 1);
	close(fd);
	while (n > 0 && tail[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	tail[n] = 0;
	start = strrchr(tail, '\n');
	snprintf(out, room, "%s", start ? start + 1 : tail);
}
