#include "core/io/secure.h"

#include "core/base/must.h"

#include <errno.h>

/* What OpenSSL may hold of a record that has not come in whole, and more. */
#define RECORD (20 * 1024)
/* More than this is given back when all is sent. */
#define KEEP (20 * 1024)

static bool unsent(void *arg)
{
	return tls_out(arg)->len > 0;
}

static int flush(void *arg, int fd)
{
	struct buf *out = tls_out(arg);

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

static ssize_t end_of(struct tls *t)
{
	return tls_over(t) == -ESHUTDOWN ? 0 : -EPROTO;
}

/* All plain text that stands in these bytes. */
static ssize_t open_records(struct tls *t, slice in, uint8_t *p, size_t room)
{
	size_t got = 0;
	ssize_t n;

	while ((n = tls_read(t, &in, p + got, room - got)) > 0) {
		got += (size_t)n;
		must(got < room);
	}
	/* What failed or ended behind them is said by the next call. */
	return got > 0 ? (ssize_t)got : n == 0 ? -EAGAIN : end_of(t);
}

static bool pending(void *arg)
{
	return tls_over(arg) < 0;
}

static ssize_t read_plain(void *arg, int fd, void *p, size_t room)
{
	uint8_t bytes[SECURE_ROOM - RECORD];
	struct tls *t = arg;
	ssize_t n;

	must(room >= SECURE_ROOM);
	if (tls_over(t) < 0)
		return end_of(t);
	n = recv(fd, bytes, sizeof bytes, 0);
	if (n < 0)
		return -errno;
	if (n == 0)
		return tls_cut(t);
	n = open_records(t, slice_of(bytes, (size_t)n), p, room);
	/* Answers of the handshake, or the alert that says why it failed. */
	if (flush(t, fd) < 0 && n == -EAGAIN)
		n = -ECONNRESET;
	return n;
}

static ssize_t write_plain(void *arg, int fd, const void *p, size_t n)
{
	struct tls *t = arg;
	ssize_t taken;
	int rc;

	taken = tls_write(t, slice_of(p, n));
	rc = flush(t, fd);
	if (rc < 0)
		return rc;
	return taken == 0 ? -EAGAIN : taken;
}

static void end(void *arg, int fd)
{
	struct tls *t = arg;

	tls_end(t);
	flush(t, fd);
	tls_close(&t);
}

static const struct stream_layer layer = {.read = read_plain,
	.write = write_plain,
	.pending = pending,
	.unsent = unsent,
	.flush = flush,
	.close = end};

struct tls *secure_stream(struct stream *s, struct tls_context *c, const char *name)
{
	struct tls *t = tls_open(c, name);

	stream_put_layer(s, &layer, t);
	return t;
}
