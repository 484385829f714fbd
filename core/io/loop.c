#include "core/io/loop.h"

#include "core/base/must.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-aliasing"
#include <ev.h>
#pragma GCC diagnostic pop

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

/* One a signal number; made on demand, freed with the loop. */
struct watched_signal {
	ev_signal ev;
	struct loop *loop;
	void (*fn)(void *arg, int signo);
	void *arg;
	struct watched_signal *next;
};

struct loop {
	struct ev_loop *ev;
	ev_async async; /* also keeps the loop running while nothing else is watched */
	ev_prepare prepare;
	void (*wake)(void *arg);
	void *wake_arg;
	void (*turn)(void *arg);
	void *turn_arg;
	void (*child)(void *arg, int pid, int status);
	void *child_arg;
	struct watched_signal *signals;
};

struct loop_fd {
	ev_io ev;
	struct loop *loop;
	void (*ready)(void *arg, int events);
	void *arg;
};

struct loop_timer {
	ev_timer ev;
	struct loop *loop;
	void (*due)(void *arg);
	void *arg;
};

static void async_ready(struct ev_loop *ev, ev_async *w, int events)
{
	struct loop *l = w->data;

	(void)ev, (void)events;
	if (l->wake)
		l->wake(l->wake_arg);
}

static void prepare_ready(struct ev_loop *ev, ev_prepare *w, int events)
{
	struct loop *l = w->data;

	(void)ev, (void)events;
	l->turn(l->turn_arg);
}

struct loop *loop_open(void)
{
	struct loop *l = must_zalloc(sizeof *l);

	l->ev = ev_loop_new(EVFLAG_AUTO);
	must(l->ev);
	ev_async_init(&l->async, async_ready);
	l->async.data = l;
	ev_async_start(l->ev, &l->async);
	ev_prepare_init(&l->prepare, prepare_ready);
	l->prepare.data = l;
	return l;
}

void loop_close(struct loop **lp)
{
	struct loop *l = *lp;

	*lp = NULL;
	if (!l)
		return;
	while (l->signals) {
		struct watched_signal *s = l->signals;

		l->signals = s->next;
		ev_signal_stop(l->ev, &s->ev);
		free(s);
	}
	ev_prepare_stop(l->ev, &l->prepare);
	ev_async_stop(l->ev, &l->async);
	ev_loop_destroy(l->ev);
	free(l);
}

void loop_run(struct loop *l)
{
	ev_run(l->ev, 0);
	/* The turn in which the loop was stopped ends as well. */
	if (l->turn)
		l->turn(l->turn_arg);
}

void loop_stop(struct loop *l)
{
	ev_break(l->ev, EVBREAK_ALL);
}

static int to_ev(int events)
{
	return (events & LOOP_READ ? EV_READ : 0) | (events & LOOP_WRITE ? EV_WRITE : 0);
}

static void fd_ready(struct ev_loop *ev, ev_io *io, int events)
{
	struct loop_fd *w = io->data;

	(void)ev;
	/* w may be gone when this returns. */
	w->ready(w->arg, (events & EV_READ ? LOOP_READ : 0) | (events & EV_WRITE ? LOOP_WRITE : 0));
}

struct loop_fd *loop_watch(
	struct loop *l, int fd, int events, void (*ready)(void *arg, int events), void *arg)
{
	struct loop_fd *w = must_alloc(sizeof *w);

	*w = (struct loop_fd){.loop = l, .ready = ready, .arg = arg};
	ev_io_init(&w->ev, fd_ready, fd, to_ev(events));
	w->ev.data = w;
	if (events)
		ev_io_start(l->ev, &w->ev);
	return w;
}

void loop_change(struct loop_fd *w, int events)
{
	int fd = w->ev.fd, want = to_ev(events);

	if (ev_is_active(&w->ev) && (w->ev.events & (EV_READ | EV_WRITE)) == want)
		return;
	ev_io_stop(w->loop->ev, &w->ev);
	ev_io_set(&w->ev, fd, want);
	if (want)
		ev_io_start(w->loop->ev, &w->ev);
}

void loop_unwatch(struct loop_fd **wp)
{
	struct loop_fd *w = *wp;

	*wp = NULL;
	if (!w)
		return;
	ev_io_stop(w->loop->ev, &w->ev);
	free(w);
}

static void timer_due(struct ev_loop *ev, ev_timer *w, int events)
{
	struct loop_timer *t = w->data;

	(void)ev, (void)events;
	/* t may be gone when this returns. */
	t->due(t->arg);
}

struct loop_timer *loop_timer(struct loop *l, void (*due)(void *arg), void *arg)
{
	struct loop_timer *t = must_alloc(sizeof *t);

	*t = (struct loop_timer){.loop = l, .due = due, .arg = arg};
	ev_timer_init(&t->ev, timer_due, 0., 0.);
	t->ev.data = t;
	return t;
}

void loop_timer_set(struct loop_timer *t, uint64_t ms)
{
	ev_timer_stop(t->loop->ev, &t->ev);
	/* libev counts from the start of the turn; a long turn must not shorten a time limit. */
	ev_now_update(t->loop->ev);
	ev_timer_set(&t->ev, (double)ms / 1000., 0.);
	ev_timer_start(t->loop->ev, &t->ev);
}

void loop_timer_stop(struct loop_timer *t)
{
	ev_timer_stop(t->loop->ev, &t->ev);
}

void loop_timer_free(struct loop_timer **tp)
{
	struct loop_timer *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	ev_timer_stop(t->loop->ev, &t->ev);
	free(t);
}

void loop_on_wake(struct loop *l, void (*fn)(void *arg), void *arg)
{
	l->wake = fn;
	l->wake_arg = arg;
}

void loop_wake(struct loop *l)
{
	ev_async_send(l->ev, &l->async);
}

void loop_on_turn(struct loop *l, void (*fn)(void *arg), void *arg)
{
	l->turn = fn;
	l->turn_arg = arg;
	if (fn)
		ev_prepare_start(l->ev, &l->prepare);
	else
		ev_prepare_stop(l->ev, &l->prepare);
}

static void signal_came(struct ev_loop *ev, ev_signal *w, int events)
{
	struct watched_signal *s = w->data;

	(void)ev, (void)events;
	s->fn(s->arg, w->signum);
}

void loop_on_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg)
{
	struct watched_signal *s = must_alloc(sizeof *s);

	*s = (struct watched_signal){.loop = l, .fn = fn, .arg = arg, .next = l->signals};
	l->signals = s;
	ev_signal_init(&s->ev, signal_came, signo);
	s->ev.data = s;
	ev_signal_start(l->ev, &s->ev);
}

/* ev_child would tie this to libev's default loop, of which there is one a
 * process; signals coalesce, so all that ended are taken at once. */
static void child_ended(void *arg, int signo)
{
	struct loop *l = arg;
	int status, pid;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		l->child(l->child_arg, pid, status);
}

void loop_on_child(struct loop *l, void (*fn)(void *arg, int pid, int status), void *arg)
{
	l->child = fn;
	l->child_arg = arg;
	loop_on_signal(l, SIGCHLD, child_ended, l);
}
