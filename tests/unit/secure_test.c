#include "core/base/must.h"
#include "core/io/secure.h"
#include "tests/certs.h"
#include "tests/testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/secure_test.XXXXXX";
static char pem[80], key[80];

static int make_certificate(void **state)
{
	char path[64];

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/mx", dir);
	snprintf(pem, sizeof pem, "%s.pem", path);
	snprintf(key, sizeof key, "%s.key", path);
	certs_make(path, &(struct certs_want){.names = "DNS:mx.test"});
	return 0;
}

static int drop_certificate(void **state)
{
	(void)state;
	unlink(pem);
	unlink(key);
	return rmdir(dir);
}

struct end {
	struct loop *loop;
	struct stream *s;
	struct tls *tls;
	int fd; /* of s; to break it */
	struct buf out, got;
	size_t room; /* of the reader; 0: plenty */
	size_t want; /* bytes of got at which the loop stops */
	int rc;
	unsigned turns;
};

struct pair {
	struct loop *loop;
	struct tls_context *server, *client;
	struct end a, b; /* client, server */
	int fd;          /* the server's end, where it is no stream */
};

static void happened(void *arg, int what)
{
	static uint8_t room[128 * 1024];
	struct end *e = arg;
	ssize_t n;

	must(++e->turns < 1000000);
	if (what & STREAM_READ) {
		n = stream_read(e->s, room, e->room ? e->room : sizeof room);
		if (n > 0)
			buf_put(&e->got, slice_of(room, (size_t)n));
		if (n < 0)
			e->rc = (int)n;
	}
	if (e->rc == 0 && stream_write(e->s, &e->out) < 0)
		e->rc = -1;
	if (what & STREAM_LATE)
		e->rc = -ETIMEDOUT;
	if (e->rc < 0) {
		stream_want(e->s, 0);
		loop_stop(e->loop);
		return;
	}
	stream_want(e->s, STREAM_READ | (e->out.len ? STREAM_WRITE : 0));
	if (e->want && e->got.len >= e->want) {
		e->want = 0;
		loop_stop(e->loop);
	}
}

static void end_open(struct end *e, struct loop *l, int fd)
{
	*e = (struct end){.loop = l, .fd = fd};
	buf_init(&e->out, 32 << 20);
	buf_init(&e->got, 32 << 20);
	e->s = stream_open(l, fd, happened, e);
	stream_limit(e->s, 120000);
}

static int open_pair(void **state)
{
	struct pair *p = calloc(1, sizeof *p);
	int fd[2], small = 4096;
	struct buf why;

	buf_init(&why, 1000);
	p->loop = loop_open();
	must(tls_server_open(&p->server, pem, key, &why) == 0 &&
		tls_client_open(&p->client, true, pem, &why) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	for (int i = 0; i < 2; i++)
		must(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
	end_open(&p->a, p->loop, fd[0]);
	p->fd = fd[1];
	*state = p;
	return 0;
}

static int close_pair(void **state)
{
	struct pair *p = *state;

	stream_close(&p->a.s);
	if (p->b.s)
		stream_close(&p->b.s);
	else if (p->fd >= 0)
		close(p->fd);
	for (int i = 0; i < 2; i++) {
		buf_free(i ? &p->a.out : &p->b.out);
		buf_free(i ? &p->a.got : &p->b.got);
	}
	tls_context_close(&p->server);
	tls_context_close(&p->client);
	loop_close(&p->loop);
	free(p);
	return 0;
}

/* Begin with TLS on both sides. */
static void secure(struct pair *p)
{
	end_open(&p->b, p->loop, p->fd);
	p->fd = -1;
	p->b.tls = secure_stream(p->b.s, p->server, NULL);
	p->a.tls = secure_stream(p->a.s, p->client, "mx.test");
	/* The client's hello goes out by itself. */
	assert_true(stream_unsent(p->a.s));
	stream_want(p->a.s, STREAM_READ);
	stream_want(p->b.s, STREAM_READ);
}

static void carry(struct pair *p, size_t size, size_t room)
{
	uint8_t *text;

	secure(p);
	p->a.room = p->b.room = room;
	text = buf_room(&p->a.out, size);
	for (size_t i = 0; i < size; i++)
		text[i] = (uint8_t)(i * 7 + (i >> 13));
	buf_grew(&p->a.out, size);
	buf_put(&p->b.out, buf_slice(&p->a.out));
	p->a.want = p->b.want = size;
	while (p->a.want || p->b.want) {
		loop_run(p->loop);
		assert_int_equal(p->a.rc, 0);
		assert_int_equal(p->b.rc, 0);
	}
	assert_true(tls_up(p->a.tls) && tls_up(p->b.tls));
	assert_true(slice_eq(buf_slice(&p->a.got), buf_slice(&p->b.got)));
	for (size_t i = 0; i < size; i++)
		if (p->a.got.p[i] != (uint8_t)(i * 7 + (i >> 13)))
			fail_msg("byte %zu", i);
}

static void both_ways(void **state)
{
	carry(*state, 4 << 20, 0);
}

/* Less than a record at a time, and what stands behind it. */
static void small_rooms(void **state)
{
	carry(*state, 1 << 20, 1000);
}

static void tiny_rooms(void **state)
{
	carry(*state, 40000, 7);
}

/* The last words and the end come in one read: both are heard, also when the
 * socket stays open. */
static void end_behind_words(void **state)
{
	struct pair *p = *state;
	struct tls *t;
	uint8_t bytes[8192], none[1];
	ssize_t n;

	p->a.tls = secure_stream(p->a.s, p->client, "mx.test");
	assert_int_equal(stream_write(p->a.s, &p->a.out), 0);
	t = tls_open(p->server, NULL);
	for (int i = 0; i < 3 && !tls_up(t); i++) {
		slice in;

		n = recv(p->fd, bytes, sizeof bytes, 0);
		in = slice_of(bytes, n > 0 ? (size_t)n : 0);
		tls_read(t, &in, none, 1);
		if (tls_up(t)) {
			assert_int_equal(tls_write(t, SLICE("221 bye\r\n")), 9);
			tls_end(t);
		}
		n = send(p->fd, tls_out(t)->p, tls_out(t)->len, 0);
		buf_drop(tls_out(t), n > 0 ? (size_t)n : 0);
		happened(&p->a, STREAM_READ);
	}
	test_slices_equal("words", buf_slice(&p->a.got), SLICE("221 bye\r\n"));
	if (p->a.rc == 0)
		loop_run(p->loop);
	assert_int_equal(p->a.rc, -EPIPE);
	assert_string_equal(tls_why(p->a.tls), "");
	tls_close(&t);
}

static void cut_off(void **state)
{
	struct pair *p = *state;

	secure(p);
	buf_str(&p->a.out, "x");
	p->b.want = 1;
	loop_run(p->loop);
	assert_int_equal(p->b.got.len, 1);
	/* Not by stream_close, which says so first. */
	assert_false(stream_hung_up(p->b.s));
	assert_int_equal(shutdown(p->a.fd, SHUT_RDWR), 0);
	assert_true(stream_hung_up(p->b.s));
	while (p->b.rc == 0)
		loop_run(p->loop);
	assert_int_equal(p->b.rc, -EPROTO);
	assert_non_null(strstr(tls_why(p->b.tls), "cut off"));
}

static void closed(void **state)
{
	struct pair *p = *state;

	secure(p);
	buf_str(&p->a.out, "QUIT");
	p->b.want = 4;
	loop_run(p->loop);
	stream_close(&p->a.s);
	assert_true(stream_hung_up(p->b.s));
	while (p->b.rc == 0)
		loop_run(p->loop);
	assert_int_equal(p->b.rc, -EPIPE);
	assert_string_equal(tls_why(p->b.tls), "");
}

struct junk {
	slice bytes;
	const char *why;
	int alert; /* bytes by which the peer hears of it */
};

static void junk(struct pair *p, const struct junk *row)
{
	char bytes[64];
	int fd = p->fd;

	p->fd = -1;
	end_open(&p->b, p->loop, fd);
	p->b.tls = secure_stream(p->b.s, p->server, NULL);
	stream_want(p->b.s, STREAM_READ);
	buf_put(&p->a.out, row->bytes);
	assert_int_equal(stream_write(p->a.s, &p->a.out), 0);
	loop_run(p->loop);
	assert_int_equal(p->b.rc, -EPROTO);
	assert_non_null(strstr(tls_why(p->b.tls), row->why));
	assert_int_equal(stream_read(p->a.s, bytes, sizeof bytes), row->alert);
	stream_close(&p->b.s);
	assert_int_equal(stream_read(p->a.s, bytes, sizeof bytes), -EPIPE);
}

static void plain_text(void **state)
{
	static const struct junk row = {SLICE("EHLO client.test\r\n"), "does not speak TLS", 0};

	junk(*state, &row);
}

static void huge_record(void **state)
{
	static const struct junk row = {SLICE("\x16\x03\x03\xff\xff"), "too l", 7};

	junk(*state, &row);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_ways, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(small_rooms, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(tiny_rooms, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(end_behind_words, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(cut_off, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(closed, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(huge_record, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(plain_text, open_pair, close_pair),
	};

	return cmocka_run_group_tests(tests, make_certificate, drop_certificate);
}
