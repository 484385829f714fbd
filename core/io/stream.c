#include "core/io/stream.h"

#include "core/base/must.h"
#include "core/io/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

struct stream {
	struct loop *loop;
	int fd, err;
	bool connecting;
	void (*happened)(void *arg, int what);
	void *arg;
	const struct stream_layer *layer; /* NULL: the socket itself */
	void *layer_arg;
	struct loop_fd *watch;
	struct loop_timer *timer, *pending;
	/* A limit is moved with nearly every byte: the timer runs to where it was
	 * set first and is then set anew. 0: none. */
	uint64_t due_ms, timer_ms;
};

static void tell(struct stream *s, int what)
{
	s->happened(s->arg, what);
}

static void ready(void *arg, int events)
{
	struct stream *s = arg;
	socklen_t len = sizeof s->err;

	if (!s->connecting) {
		tell(s, events);
		return;
	}
	s->connecting = false;
	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &s->err, &len);
	loop_change(s->watch, 0);
	tell(s, s->err ? STREAM_DOWN : STREAM_UP);
}

static void timer_due(void *arg)
{
	struct stream *s = arg;
	uint64_t now = clock_mono_ms();

	s->timer_ms = 0;
	if (s->due_ms == 0)
		return;
	if (s->due_ms > now) {
		s->timer_ms = s->due_ms;
		loop_timer_set(s->timer, s->due_ms - now);
		return;
	}
	s->due_ms = 0;
	tell(s, STREAM_LATE);
}

static void pending_due(void *arg)
{
	struct stream *s = arg;

	tell(s, STREAM_READ);
}

struct stream *stream_open(struct loop *l, int fd, void (*happened)(void *arg, int what), void *arg)
{
	struct stream *s = must_alloc(sizeof *s);
	int on = 1;

	*s = (struct stream){.loop = l, .fd = fd, .happened = happened, .arg = arg};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	s->watch = loop_watch(l, fd, 0, ready, s);
	s->timer = loop_timer(l, timer_due, s);
	return s;
}

int stream_connect(struct stream **out, struct loop *l, const struct sockaddr *to, socklen_t len,
	void (*happened)(void *arg, int what), void *arg)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

	*out = NULL;
	if (fd < 0)
		return -errno;
	if (connect(fd, to, len) < 0 && errno != EINPROGRESS) {
		err = errno;
		close(fd);
		return -err;
	}
	*out = stream_open(l, fd, happened, arg);
	(*out)->connecting = true;
	loop_change((*out)->watch, LOOP_WRITE);
	return 0;
}

void stream_close(struct stream **sp)
{
	struct stream *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	if (s->layer)
		s->layer->close(s->layer_arg, s->fd);
	loop_unwatch(&s->watch);
	loop_timer_free(&s->timer);
	loop_timer_free(&s->pending);
	close(s->fd);
	free(s);
}

bool stream_connecting(const struct stream *s)
{
	return s->connecting;
}

int stream_error(const struct stream *s)
{
	return s->err;
}

void stream_put_layer(struct stream *s, const struct stream_layer *layer, void *arg)
{
	must(!s->layer);
	s->layer = layer;
	s->layer_arg = arg;
	s->pending = loop_timer(s->loop, pending_due, s);
}

static ssize_t receive(struct stream *s, void *p, size_t room)
{
	ssize_t n;

	if (s->layer)
		return s->layer->read(s->layer_arg, s->fd, p, room);
	n = recv(s->fd, p, room, 0);
	return n < 0 ? -errno : n;
}

static ssize_t transmit(struct stream *s, slice first, slice then)
{
	slice one = first.len > 0 ? first : then;
	ssize_t sent;

	if (s->layer)
		return s->layer->write(s->layer_arg, s->fd, one.p, one.len);
	if (first.len > 0 && then.len > 0) {
		struct iovec both[2] = {{(void *)first.p, first.len}, {(void *)then.p, then.len}};

		sent = sendmsg(s->fd, &(struct msghdr){.msg_iov = both, .msg_iovlen = 2}, MSG_NOSIGNAL);
	} else {
		sent = send(s->fd, one.p, one.len, MSG_NOSIGNAL);
	}
	return sent < 0 ? -errno : sent;
}

ssize_t stream_read(struct stream *s, void *p, size_t room)
{
	ssize_t n;

	do
		n = receive(s, p, room);
	while (n == -EINTR);
	return n == 0 ? -EPIPE : n == -EAGAIN ? 0 : n;
}

int stream_write_both(struct stream *s, slice *first, struct buf *out)
{
	while (first->len > 0 || out->len > 0) {
		ssize_t n = transmit(s, *first, buf_slice(out));
		size_t of_first;

		if (n == -EINTR)
			continue;
		if (n == -EAGAIN)
			break;
		if (n < 0)
			return (int)n;
		of_first = (size_t)n < first->len ? (size_t)n : first->len;
		*first = slice_from(*first, of_first);
		buf_drop(out, (size_t)n - of_first);
	}
	return stream_unsent(s) ? s->layer->flush(s->layer_arg, s->fd) : 0;
}

int stream_write(struct stream *s, struct buf *out)
{
	slice none = SLICE_NONE;

	return stream_write_both(s, &none, out);
}

bool stream_unsent(const struct stream *s)
{
	return s->layer && s->layer->unsent && s->layer->unsent(s->layer_arg);
}

bool stream_hung_up(const struct stream *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLRDHUP};
	uint8_t byte;
	ssize_t n;

	/* A layer's peer says its end in bytes, which stand before the socket's. */
	if (s->layer)
		return poll(&p, 1, 0) > 0;
	n = recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

void stream_want(struct stream *s, int events)
{
	if (s->connecting)
		return;
	loop_change(s->watch, events | (stream_unsent(s) ? STREAM_WRITE : 0));
	if (!s->pending)
		return;
	if ((events & STREAM_READ) && s->layer->pending && s->layer->pending(s->layer_arg))
		loop_timer_set(s->pending, 0);
	else
		loop_timer_stop(s->pending);
}

void stream_limit(struct stream *s, uint64_t ms)
{
	s->due_ms = ms ? clock_mono_ms() + ms : 0;
	if (ms == 0 || (s->timer_ms && s->timer_ms <= s->due_ms))
		return;
	s->timer_ms = s->due_ms;
	loop_timer_set(s->timer, ms);
}
