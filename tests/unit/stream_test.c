#include "core/io/clock.h"
#include "core/io/stream.h"
#include "tests/testing.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A layer that turns bits over and reads ahead, as TLS does. */
struct flip {
	uint8_t held[64];
	size_t len;
	unsigned closed;
};

struct seen {
	struct loop *loop;
	struct stream *s;
	int peer, what;
	unsigned late;
	struct flip flip;
};

static ssize_t flip_read(void *arg, int fd, void *p, size_t n)
{
	struct flip *f = arg;
	uint8_t *to = p;

	if (f->len == 0) {
		ssize_t got = recv(fd, f->held, sizeof f->held, 0);

		if (got <= 0)
			return got < 0 ? -errno : 0;
		f->len = (size_t)got;
	}
	n = n < f->len ? n : f->len;
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)~f->held[i];
	memmove(f->held, f->held + n, f->len -= n);
	return (ssize_t)n;
}

static ssize_t flip_write(void *arg, int fd, const void *p, size_t n)
{
	const uint8_t *from = p;
	uint8_t c = (uint8_t)~from[0];
	ssize_t sent = send(fd, &c, 1, MSG_NOSIGNAL);

	(void)arg, (void)n;
	return sent < 0 ? -errno : sent;
}

static bool flip_pending(void *arg)
{
	return ((struct flip *)arg)->len > 0;
}

static void flip_close(void *arg, int fd)
{
	(void)fd;
	((struct flip *)arg)->closed++;
}

static const struct stream_layer flip = {
	.read = flip_read, .write = flip_write, .pending = flip_pending, .close = flip_close};

static void happened(void *arg, int what)
{
	struct seen *s = arg;

	s->what |= what;
	s->late += (what & STREAM_LATE) != 0;
	loop_stop(s->loop);
}

static int open_pair(void **state)
{
	struct seen *s = calloc(1, sizeof *s);
	int fd[2];

	s->loop = loop_open();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	s->peer = fd[1];
	s->s = stream_open(s->loop, fd[0], happened, s);
	*state = s;
	return 0;
}

static int close_pair(void **state)
{
	struct seen *s = *state;

	stream_close(&s->s);
	stream_close(&s->s);
	loop_close(&s->loop);
	close(s->peer);
	free(s);
	return 0;
}

static int next(struct seen *s)
{
	s->what = 0;
	loop_run(s->loop);
	return s->what;
}

static void bytes_both_ways(void **state)
{
	struct seen *s = *state;
	struct buf out;
	char p[8];

	buf_init(&out, 4 << 20);
	assert_int_equal(stream_read(s->s, p, sizeof p), 0);
	assert_int_equal(write(s->peer, "abc", 3), 3);
	stream_want(s->s, STREAM_READ);
	assert_int_equal(next(s), STREAM_READ);
	assert_int_equal(stream_read(s->s, p, sizeof p), 3);
	/* More than the socket takes: the rest stays. */
	assert_non_null(memset(buf_room(&out, 3 << 20), 'x', 3 << 20));
	buf_grew(&out, 3 << 20);
	assert_int_equal(stream_write(s->s, &out), 0);
	assert_true(out.len > 0 && out.len < 3 << 20);
	assert_false(stream_hung_up(s->s));
	assert_int_equal(shutdown(s->peer, SHUT_WR), 0);
	assert_true(stream_hung_up(s->s));
	assert_int_equal(stream_read(s->s, p, sizeof p), -EPIPE);
	/* With bytes unread this is a reset. */
	close(s->peer);
	s->peer = -1;
	assert_true(stream_hung_up(s->s));
	assert_int_equal(stream_write(s->s, &out), -EPIPE);
	buf_free(&out);
}

/* Two pieces, cut wherever the socket is full, arrive as one. */
static void both(void **state)
{
	struct seen *s = *state;
	struct buf piece, out, want, got;
	slice first;

	buf_init(&piece, 2 << 20);
	buf_init(&out, 2 << 20);
	buf_init(&want, 4 << 20);
	buf_init(&got, 4 << 20);
	for (int i = 0; piece.len < 1500000; i++) {
		buf_printf(&piece, "%d,", i);
		buf_printf(&out, "%d;", i);
	}
	buf_put(&want, buf_slice(&piece));
	buf_put(&want, buf_slice(&out));
	first = buf_slice(&piece);
	while (got.len < want.len) {
		uint8_t p[70000];
		ssize_t n;

		assert_int_equal(stream_write_both(s->s, &first, &out), 0);
		n = read(s->peer, p, sizeof p);
		assert_true(n > 0);
		buf_put(&got, slice_of(p, (size_t)n));
	}
	assert_int_equal(first.len + out.len, 0);
	test_slices_equal("both", buf_slice(&got), buf_slice(&want));
	buf_free(&piece);
	buf_free(&out);
	buf_free(&want);
	buf_free(&got);
}

static void layer(void **state)
{
	struct seen *s = *state;
	struct buf out;
	uint8_t p[3];

	stream_put_layer(s->s, &flip, &s->flip);
	assert_int_equal(write(s->peer, "\xfe\xfd\xfc\xfb", 4), 4);
	stream_want(s->s, STREAM_READ);
	assert_int_equal(next(s), STREAM_READ);
	assert_int_equal(stream_read(s->s, p, sizeof p), 3);
	assert_memory_equal(p, "\1\2\3", 3);
	/* The socket shows nothing, the layer has one byte more. */
	stream_want(s->s, STREAM_READ);
	assert_int_equal(next(s), STREAM_READ);
	assert_int_equal(stream_read(s->s, p, sizeof p), 1);
	buf_init(&out, 16);
	buf_str(&out, "xy");
	assert_int_equal(stream_write(s->s, &out), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(read(s->peer, p, sizeof p), 2);
	assert_int_equal(p[1], (uint8_t) ~'y');
	buf_free(&out);
	stream_close(&s->s);
	assert_int_equal(s->flip.closed, 1);
}

static void limits(void **state)
{
	struct seen *s = *state;
	uint64_t began = clock_mono_ms();

	stream_limit(s->s, 20);
	stream_limit(s->s, 60); /* moved away: the timer runs on */
	assert_int_equal(next(s), STREAM_LATE);
	assert_in_range(clock_mono_ms() - began, 60, 5000);
	stream_limit(s->s, 60000);
	stream_limit(s->s, 10); /* moved near */
	assert_int_equal(next(s), STREAM_LATE);
	stream_limit(s->s, 5);
	stream_limit(s->s, 0);
	assert_int_equal(write(s->peer, "x", 1), 1);
	usleep(20000);
	stream_want(s->s, STREAM_READ);
	assert_int_equal(next(s), STREAM_READ);
	assert_int_equal(s->late, 2);
}

static void connects(void **state)
{
	struct seen *s = *state;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof to;
	int fd = socket(AF_INET, SOCK_STREAM, 0), rc;

	assert_int_equal(bind(fd, (struct sockaddr *)&to, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &len), 0);
	assert_int_equal(listen(fd, 1), 0);
	stream_close(&s->s);
	assert_int_equal(stream_connect(&s->s, s->loop, (struct sockaddr *)&to, len, happened, s), 0);
	assert_true(stream_connecting(s->s));
	stream_want(s->s, STREAM_READ);
	assert_int_equal(next(s), STREAM_UP);
	assert_false(stream_connecting(s->s));
	stream_close(&s->s);
	close(fd);
	/* Nobody listens: at once or from the loop. */
	rc = stream_connect(&s->s, s->loop, (struct sockaddr *)&to, len, happened, s);
	if (rc == 0) {
		assert_int_equal(next(s), STREAM_DOWN);
		rc = -stream_error(s->s);
	}
	assert_int_equal(rc, -ECONNREFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_both_ways, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(both, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(layer, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(limits, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(connects, open_pair, close_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
