#include "tests/redis.h"

#include "core/base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

void test_remove(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void test_redis_init(struct test_redis *t)
{
	*t = (struct test_redis){.dir = "/tmp/landfall-redis-XXXXXX"};
	must(mkdtemp(t->dir));
	snprintf(t->socket, sizeof t->socket, "%s/redis.sock", t->dir);
}

static bool answers(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char got[5] = "";
	bool yes;

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	yes = connect(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
	      send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 &&
	      recv(fd, got, sizeof got, MSG_WAITALL) == sizeof got && memcmp(got, "+PONG", sizeof got) == 0;
	close(fd);
	return yes;
}

void test_redis_start(struct test_redis *t, bool aof)
{
	struct timespec nap = {0, 5 * 1000 * 1000};
	pid_t parent = getpid();

	must(t->pid == 0);
	t->aof = aof;
	unlink(t->socket);
	t->pid = fork();
	must(t->pid >= 0);
	if (t->pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 1);
		dup2(null, 2);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", t->socket, "--dir",
			t->dir, "--save", "", "--appendonly", aof ? "yes" : "no", "--appendfsync",
			aof ? "always" : "no", "--daemonize", "no", (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 4000; i++) {
		if (answers(t->socket))
			return;
		must(waitpid(t->pid, NULL, WNOHANG) == 0);
		nanosleep(&nap, NULL);
	}
	must(!"redis-server did not start");
}

void test_redis_kill(struct test_redis *t)
{
	if (!t->pid)
		return;
	kill(t->pid, SIGKILL);
	while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
		;
	t->pid = 0;
}

void test_redis_free(struct test_redis *t)
{
	test_redis_kill(t);
	test_remove(t->dir);
}
