#include "deploy/command/supervisor.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/daemon.h"
#include "core/io/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READY_MS 60000 /* a program that says nothing for so long will not come */
#define STOP_MS 60000  /* as long as a mail session may need to end well */
#define PROBE_MS 50
#define MAY_STOP_MS 100

struct again {
	struct supervisor *s;
	struct child *c;
	struct loop_timer *timer;
};

struct supervisor {
	const struct supervisor_plan *plan;
	struct loop *loop;
	struct loop_fd *watch;
	struct loop_timer *step; /* probes, limits and waits of the present phase */
	struct again *again;     /* one a child */
	int fd;
	char notify[64];
	size_t next; /* child that is being started */
	size_t stopped;
	bool serving, stopping, hurry;
	uint64_t deadline;
	int status;
};

static void start_next(struct supervisor *s);
static void stop_next(struct supervisor *s);

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	va_list ap;

	fputs("landfall: ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static void begin_stop(struct supervisor *s, int status)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->status = status;
	s->deadline = 0;
	for (size_t i = 0; i < s->plan->count; i++)
		loop_timer_stop(s->again[i].timer);
	stop_next(s);
}

static void give_up(struct supervisor *s, const struct child *c, const char *why)
{
	char words[1024];

	child_last_words(c, words, sizeof words);
	fprintf(stderr, "landfall: %s did not start: %s%s%s\n", c->name, why, *words ? ": " : "", words);
	begin_stop(s, EXIT_WORLD);
}

static void start(struct supervisor *s, struct child *c)
{
	int rc = child_start(c, s->notify);

	if (rc < 0)
		give_up(s, c, strerror(-rc));
}

static void start_next(struct supervisor *s)
{
	struct child *c = &s->plan->child[s->next];

	s->deadline = clock_mono_ms() + READY_MS;
	start(s, c);
	if (!s->stopping)
		loop_timer_set(s->step, PROBE_MS);
}

static void became_ready(struct supervisor *s, struct child *c)
{
	if (c->ready)
		return;
	c->ready = true;
	if (s->serving || s->stopping) {
		if (c->was_ready)
			say("%s is ready again", c->name);
		c->was_ready = true;
		return;
	}
	c->was_ready = true;
	if (c != &s->plan->child[s->next])
		return;
	if (++s->next < s->plan->count) {
		start_next(s);
		return;
	}
	s->serving = true;
	s->plan->on_ready(s->plan->arg);
	fflush(stdout);
}

static struct child *child_of(struct supervisor *s, pid_t pid)
{
	for (size_t i = 0; i < s->plan->count; i++)
		if (s->plan->child[i].pid == pid)
			return &s->plan->child[i];
	return NULL;
}

/* READY=1 of a child; the kernel says which process it comes from. */
static void on_notify(void *arg, int events)
{
	struct supervisor *s = arg;
	char text[512];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = {.iov_base = text, .iov_len = sizeof text};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof control.room};
	ssize_t n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	struct child *child;
	struct ucred who;

	(void)events;
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
		return;
	memcpy(&who, CMSG_DATA(c), sizeof who);
	child = child_of(s, who.pid);
	if (child && n >= 7 && memcmp(text, "READY=1", 7) == 0)
		became_ready(s, child);
}

static void restart(void *arg)
{
	struct again *a = arg;

	if (!a->s->stopping && !a->c->pid && child_start(a->c, a->s->notify) < 0)
		loop_timer_set(a->timer, 1000);
}

static void on_child(void *arg, int pid, int status)
{
	struct supervisor *s = arg;
	struct child *c = child_of(s, pid);
	unsigned wait;
	char words[1024];

	if (!c)
		return;
	wait = child_ended(c);
	if (s->stopping) {
		if (!s->hurry && status != 0)
			say("%s ended with %s", c->name, child_status_text(status));
		stop_next(s);
		return;
	}
	if (!s->serving && !c->was_ready) {
		give_up(s, c, child_status_text(status));
		return;
	}
	child_last_words(c, words, sizeof words);
	if (wait)
		say("%s ended (%s) and keeps dying: \"%s\"; next start in %u ms", c->name,
			child_status_text(status), words, wait);
	else
		say("%s ended (%s); starting it again", c->name, child_status_text(status));
	loop_timer_set(s->again[c - s->plan->child].timer, wait ? wait : 1);
}

static void kill_all(struct supervisor *s, int signo)
{
	for (size_t i = 0; i < s->plan->count; i++)
		if (s->plan->child[i].pid)
			kill(s->plan->child[i].pid, signo);
}

/* The next child in the order of stopping that still runs is asked to end; when
 * none is left the loop ends. */
static void stop_next(struct supervisor *s)
{
	while (s->stopped < s->plan->count) {
		struct child *c = &s->plan->child[s->plan->stop[s->stopped]];
		uint64_t now = clock_mono_ms();

		if (!c->pid) {
			s->stopped++;
			s->deadline = 0;
			continue;
		}
		if (s->hurry) {
			loop_timer_set(s->step, STOP_MS);
			return;
		}
		if (!s->deadline)
			s->deadline = now + s->plan->patience_ms;
		if (c->ready && now < s->deadline && !s->plan->may_stop(s->plan->arg, c)) {
			loop_timer_set(s->step, MAY_STOP_MS);
			return;
		}
		kill(c->pid, SIGTERM);
		/* From now on its end, or the limit, is what comes next. */
		c->ready = false;
		s->deadline = now + s->plan->patience_ms;
		loop_timer_set(s->step, STOP_MS);
		return;
	}
	loop_stop(s->loop);
}

static void on_step(void *arg)
{
	struct supervisor *s = arg;
	struct child *c;

	if (s->stopping) {
		c = s->stopped < s->plan->count ? &s->plan->child[s->plan->stop[s->stopped]] : NULL;
		if (c && c->ready) {
			stop_next(s);
			return;
		}
		if (c)
			say("%s does not end: killed", c->name);
		kill_all(s, SIGKILL);
		return;
	}
	if (s->serving)
		return;
	c = &s->plan->child[s->next];
	if (!c->notifies && s->plan->is_ready(s->plan->arg, c)) {
		became_ready(s, c);
		return;
	}
	if (clock_mono_ms() > s->deadline)
		give_up(s, c, "it did not become ready in time");
	else
		loop_timer_set(s->step, PROBE_MS);
}

static void on_signal(void *arg, int signo)
{
	struct supervisor *s = arg;

	(void)signo;
	if (!s->stopping) {
		say("stopping");
		begin_stop(s, EXIT_DONE);
		return;
	}
	kill_all(s, s->hurry ? SIGKILL : SIGTERM);
	s->hurry = true;
}

/* A datagram socket in the abstract name space: no path that could be too long
 * or be left behind. fd, or -errno. */
static int open_notify(char name[64])
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, n;

	if (fd < 0)
		return -errno;
	n = snprintf(name, 64, "@landfall-up-%d", (int)getpid());
	memcpy(a.sun_path + 1, name + 1, (size_t)n - 1);
	if (bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
		n = -errno;
		close(fd);
		return n;
	}
	return fd;
}

int supervisor_run(const struct supervisor_plan *plan)
{
	struct supervisor s = {.plan = plan, .status = EXIT_DONE};

	s.fd = open_notify(s.notify);
	if (s.fd < 0) {
		fprintf(stderr, "landfall: no socket for notifications: %s\n", strerror(-s.fd));
		return EXIT_WORLD;
	}
	s.loop = loop_open();
	s.step = loop_timer(s.loop, on_step, &s);
	s.again = must_zalloc(plan->count * sizeof *s.again);
	for (size_t i = 0; i < plan->count; i++) {
		s.again[i] = (struct again){.s = &s, .c = &plan->child[i]};
		s.again[i].timer = loop_timer(s.loop, restart, &s.again[i]);
	}
	loop_on_child(s.loop, on_child, &s);
	loop_on_signal(s.loop, SIGINT, on_signal, &s);
	loop_on_signal(s.loop, SIGTERM, on_signal, &s);
	s.watch = loop_watch(s.loop, s.fd, LOOP_READ, on_notify, &s);
	start_next(&s);
	loop_run(s.loop);
	loop_unwatch(&s.watch);
	for (size_t i = 0; i < plan->count; i++)
		loop_timer_free(&s.again[i].timer);
	free(s.again);
	loop_timer_free(&s.step);
	loop_close(&s.loop);
	close(s.fd);
	return s.status;
}
