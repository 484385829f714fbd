#include "core/io/secure.h"

#include "core/base/must.h"

#include <errno.h>
#include <stdlib.h>

#define PIECE (32 * 1024)
/* More than this is given back when all is sent. */
#define KEEP (20 * 1024)

struct secure {
	struct tls *tls;
	struct buf held; /* bytes of the peer for whose plain text the reader had no room */
};

static bool unsent(void *arg)
{
	struct secure *s = arg;

	return tls_out(s->tls)->len > 0;
}

static int flush(void *arg, int fd)
{
	struct buf *out = tls_out(((struct secure *)arg)->tls);

	while (out->len > 0) {
		ssize_t n = send(fd, out->p, out->len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		buf_drop(out, (size_t)n);
	}
	if (out->room > KEEP)
		buf_free(out);
	return 0;
}

/* As much of the plain text as there is and as p holds. -EAGAIN: none. */
static ssize_t open_records(struct tls *t, slice *in, uint8_t *p, size_t room)
{
	size_t got = 0;
	ssize_t n = 0;

	while (got < room && (n = tls_read(t, in, p + got, room - got)) > 0)
		got += (size_t)n;
	/* What failed or ended behind it is said by the next call. */
	return got > 0 ? (ssize_t)got : n == 0 ? -EAGAIN : n;
}

static ssize_t read_socket(struct secure *s, int fd, void *p, size_t room)
{
	uint8_t bytes[PIECE];
	ssize_t n = recv(fd, bytes, sizeof bytes, 0);
	slice in;

	if (n < 0)
		return -errno;
	if (n == 0)
		return tls_cut(s->tls);
	in = slice_of(bytes, (size_t)n);
	n = open_records(s->tls, &in, p, room);
	buf_put(&s->held, in);
	must(!s->held.full);
	/* Answers of the handshake, or the alert that says why it failed. */
	if (flush(s, fd) < 0 && n == -EAGAIN)
		n = -ECONNRESET;
	return n;
}

static ssize_t read_plain(void *arg, int fd, void *p, size_t room)
{
	struct secure *s = arg;
	slice in = buf_slice(&s->held);
	ssize_t n = tls_over(s->tls);

	if (n == 0 && (in.len > 0 || tls_pending(s->tls))) {
		n = open_records(s->tls, &in, p, room);
		buf_drop(&s->held, s->held.len - in.len);
		if (s->held.len == 0)
			buf_free(&s->held);
	}
	if (n == 0 || n == -EAGAIN)
		n = read_socket(s, fd, p, room);
	return n == -ESHUTDOWN ? 0 : n;
}

static bool pending(void *arg)
{
	struct secure *s = arg;

	return s->held.len > 0 || tls_pending(s->tls) || tls_over(s->tls) < 0;
}

static ssize_t write_plain(void *arg, int fd, const void *p, size_t n)
{
	struct secure *s = arg;
	ssize_t taken = tls_write(s->tls, slice_of(p, n));
	int rc = flush(s, fd);

	if (rc < 0)
		return rc;
	return taken == 0 ? -EAGAIN : taken;
}

static void end(void *arg, int fd)
{
	struct secure *s = arg;

	tls_end(s->tls);
	flush(s, fd);
	tls_close(&s->tls);
	buf_free(&s->held);
	free(s);
}

static const struct stream_layer layer = {.read = read_plain,
	.write = write_plain,
	.pending = pending,
	.unsent = unsent,
	.flush = flush,
	.close = end};

struct tls *secure_stream(struct stream *s, struct tls_context *c, const char *name)
{
	struct secure *e = must_alloc(sizeof *e);

	e->tls = tls_open(c, name);
	buf_init(&e->held, PIECE);
	stream_put_layer(s, &layer, e);
	return e->tls;
}
