#include "core/io/daemon.h"

#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/log.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_WHY 2048
#define MAX_SETS 64
#define BACKLOG 1024

static void say_help(const struct daemon_about *a)
{
	printf("%s: %s\n\n"
	       "usage: %s [--config FILE] [--set SECTION.KEY=VALUE]...\n\n"
	       "  --config FILE             read settings from FILE; without it the defaults hold\n"
	       "  --set SECTION.KEY=VALUE   override one setting; may be repeated\n"
	       "  --help                    this text\n"
	       "  --version                 the version\n\n"
	       "`landfall config show` prints every setting with its meaning, range and default.\n"
	       "Exit status: 0 done, 1 the configuration was refused, 2 usage, 3 the system failed.\n\n"
	       "example:\n  %s\n",
		a->program, a->what, a->program, a->example);
}

static int say_usage(const struct daemon_about *a, const char *what, const char *arg)
{
	fprintf(stderr, "%s: %s%s; try %s --help\n", a->program, what, arg, a->program);
	return EXIT_USAGE;
}

/* The value of option --name at argv[*i], as "--name VALUE" or "--name=VALUE":
 * NULL if argv[*i] is another option; "" if there is no value. */
static const char *option(const char *name, int argc, char **argv, int *i)
{
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n) != 0)
		return NULL;
	if (argv[*i][n] == '=')
		return argv[*i] + n + 1;
	if (argv[*i][n])
		return NULL;
	return *i + 1 < argc ? argv[++*i] : "";
}

/* -1 to go on, else the exit status. */
static int load(const struct daemon_about *about, const char *file, const char *const *sets, unsigned n,
	struct config *c)
{
	enum log_level level;
	struct buf why;
	int rc, status = -1;

	buf_init(&why, MAX_WHY);
	rc = config_open(c, file, &why);
	if (rc < 0)
		status = rc == -REFUSE_SYNTAX ? EXIT_REFUSED : EXIT_WORLD;
	for (unsigned i = 0; i < n && status < 0; i++)
		if (config_set(c, slice_str(sets[i]), &why) < 0)
			status = EXIT_USAGE;
	if (status >= 0) {
		fprintf(stderr, "%s: %.*s\n", about->program, SLICE_FMT(buf_slice(&why)));
		config_close(c);
	} else {
		must(log_level_decode(slice_str(c->log_level), &level));
		/* Lines name the program as people do: "tracker". */
		log_open(strncmp(about->program, "landfall-", 9) == 0 ? about->program + 9 : about->program,
			level);
	}
	buf_free(&why);
	return status;
}

int daemon_start(const struct daemon_about *about, int argc, char **argv, struct config *c)
{
	const char *file = NULL, *sets[MAX_SETS], *v;
	unsigned n = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			say_help(about);
			return EXIT_DONE;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("%s %s\n", about->program, LANDFALL_VERSION);
			return EXIT_DONE;
		}
		if ((v = option("--config", argc, argv, &i))) {
			if (!*v)
				return say_usage(about, "--config wants a file", "");
			file = v;
		} else if ((v = option("--set", argc, argv, &i))) {
			if (!*v || n == MAX_SETS)
				return say_usage(
					about, *v ? "too many --set" : "--set wants SECTION.KEY=VALUE", "");
			sets[n++] = v;
		} else {
			return say_usage(about,
				argv[i][0] == '-' ? "unknown option " : "unexpected argument ", argv[i]);
		}
	}
	return load(about, file, sets, n, c);
}

struct watch {
	sigset_t set;
	void (*stop)(void *arg);
	void (*reload)(void *arg);
	void *arg;
};

static void *wait_for_signals(void *arg)
{
	struct watch *w = arg;
	bool stopping = false;
	int signo;

	for (;;) {
		if (sigwait(&w->set, &signo) != 0)
			continue;
		if (signo == SIGHUP) {
			if (w->reload && !stopping)
				w->reload(w->arg);
			continue;
		}
		/* Whoever asks twice does not want to wait; the journal makes that harmless. */
		if (stopping)
			_exit(EXIT_WORLD);
		stopping = true;
		log_info("daemon", "stopping", "signal=%s", signo == SIGINT ? "SIGINT" : "SIGTERM");
		w->stop(w->arg);
	}
	return NULL;
}

void daemon_signals(void (*stop)(void *arg), void (*reload)(void *arg), void *arg)
{
	static struct watch watch; /* one a process; the thread lives as long */
	pthread_attr_t attr;
	pthread_t thread;

	watch = (struct watch){.stop = stop, .reload = reload, .arg = arg};
	sigemptyset(&watch.set);
	sigaddset(&watch.set, SIGTERM);
	sigaddset(&watch.set, SIGINT);
	sigaddset(&watch.set, SIGHUP);
	must(pthread_sigmask(SIG_BLOCK, &watch.set, NULL) == 0);
	signal(SIGPIPE, SIG_IGN);
	must(pthread_attr_init(&attr) == 0);
	must(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0);
	must(pthread_create(&thread, &attr, wait_for_signals, &watch) == 0);
	pthread_attr_destroy(&attr);
}

/* fd or -errno. */
static int listen_on(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol),
	    on = 1, rc;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static void say_why(int rc, const struct config_addr *a, const char *setting, struct buf *why)
{
	bool v6 = strchr(a->host, ':') != NULL;

	buf_printf(why, "%s = %s%s%s:%d: ", setting, v6 ? "[" : "", a->host, v6 ? "]" : "", a->port);
	switch (-rc) {
	case EADDRINUSE:
		buf_printf(why, "another program listens there: stop it, or set %s to a free port", setting);
		break;
	case EACCES:
		buf_printf(why,
			"not allowed: ports below 1024 want CAP_NET_BIND_SERVICE; set %s to a higher one",
			setting);
		break;
	case EADDRNOTAVAIL:
		buf_printf(why, "this machine has no such address: set %s to one of its own", setting);
		break;
	default:
		buf_str(why, strerror(-rc));
	}
}

int daemon_listen(const struct config_addr *a, const char *setting, struct buf *why)
{
	struct addrinfo hints = {.ai_family = *a->host ? AF_UNSPEC : AF_INET,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	char port[16];
	int rc;

	snprintf(port, sizeof port, "%d", a->port);
	rc = getaddrinfo(*a->host ? a->host : NULL, port, &hints, &list);
	if (rc != 0) {
		buf_printf(why, "%s = %s:%d: %s", setting, a->host, a->port, gai_strerror(rc));
		return rc == EAI_SYSTEM ? -errno : -EADDRNOTAVAIL;
	}
	rc = listen_on(list);
	freeaddrinfo(list);
	if (rc < 0)
		say_why(rc, a, setting, why);
	return rc;
}

int daemon_print(slice s)
{
	while (s.len) {
		ssize_t n = write(STDOUT_FILENO, s.p, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s = slice_from(s, (size_t)n);
	}
	return 0;
}

void daemon_ready(const char *what)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd;

	log_info("daemon", "ready", "what=%s", what);
	if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof sun.sun_path)
		return;
	strcpy(sun.sun_path, path);
	if (*path == '@')
		sun.sun_path[0] = 0; /* Linux: the abstract name space */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&sun,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		log_warn("daemon", "notify failed", "err=%s", strerror(errno));
	close(fd);
}
