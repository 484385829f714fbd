/* The server against real sockets: what a request gets, what its connection
 * gets afterwards, and what clients that misbehave get. */
#include "tests/testing.h"

#include "core/base/buf.h"
#include "core/base/must.h"
#include "core/io/log.h"
#include "core/web/web.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 8000
#define BIG (8 * 1024 * 1024)
#define SMALL_ROOM 65536
#define NEXT "GET /next HTTP/1.1\r\nHost: t\r\n\r\n"

static slice plain = SLICE("text/plain");
static uint8_t *big;
static atomic_int handled, flushed, opened, closed, turns;
static int refuse_thread = -1;

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void describe(struct web_req *r)
{
	struct buf b;
	slice s;
	size_t pos = 0;
	socklen_t len;

	buf_init(&b, 1 << 20);
	buf_put(&b, web_method(r));
	buf_byte(&b, '|');
	buf_put(&b, web_path(r));
	buf_byte(&b, '|');
	buf_put(&b, web_query(r));
	buf_byte(&b, '|');
	buf_put(&b, web_host(r));
	buf_byte(&b, '|');
	buf_put(&b, web_body(r));
	buf_byte(&b, '|');
	buf_put(&b, web_header(r, SLICE("x-one")));
	while (web_header_next(r, SLICE("x-many"), &pos, &s)) {
		buf_byte(&b, '+');
		buf_put(&b, s);
	}
	if (!web_peer(r, &len) || len != sizeof(struct sockaddr_in))
		buf_str(&b, "|no peer");
	web_reply(r, 200, plain, web_keep(r, buf_slice(&b)));
	buf_free(&b);
}

static void handle(void *context, struct web_req *r)
{
	slice path = web_path(r);

	(void)context;
	atomic_fetch_add(&handled, 1);
	if (slice_eq(path, SLICE("/go"))) {
		web_redirect(r, SLICE("https://example.com/a?b=c"));
	} else if (slice_eq(path, SLICE("/none"))) {
		web_reply(r, 404, plain, SLICE_NONE);
	} else if (slice_eq(path, SLICE("/held"))) {
		web_hold(r, (void *)(uintptr_t)web_keep(r, SLICE("kept")).p);
	} else if (slice_eq(path, SLICE("/big"))) {
		web_reply(r, 200, plain, slice_of(big, BIG));
	} else {
		web_set_header(r, SLICE("x-test"), SLICE("yes"));
		describe(r);
	}
}

static void on_turn(void *context)
{
	(void)context;
	atomic_fetch_add(&turns, 1);
	atomic_store(&flushed, atomic_load(&handled));
}

/* What was held is decided behind on_turn. */
static void release(void *context, struct web_req *r, void *what)
{
	(void)context;
	must(atomic_load(&flushed) > 0 && memcmp(what, "kept", 4) == 0);
	describe(r);
}

static void *thread_open(void *arg, unsigned thread)
{
	if ((int)thread == refuse_thread)
		return NULL;
	atomic_fetch_add(&opened, 1);
	return arg;
}

static void thread_close(void *context)
{
	(void)context;
	atomic_fetch_add(&closed, 1);
}

static int listen_any(int *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	must(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 512) == 0);
	must(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	*port = ntohs(a.sin_port);
	return fd;
}

struct server {
	struct web *web;
	int fd;
	int port;
};

static struct web_config config_of(int fd, unsigned threads)
{
	return (struct web_config){.listen_fd = fd,
		.threads = threads,
		.max_body = 1000,
		.server_name = "test",
		.thread_open = thread_open,
		.thread_close = thread_close,
		.handle = handle,
		.on_turn = on_turn,
		.release = release,
		.arg = &handled};
}

static void server_open(struct server *s, unsigned threads)
{
	struct web_config cfg;

	s->fd = listen_any(&s->port);
	cfg = config_of(s->fd, threads);
	assert_int_equal(web_open(&s->web, &cfg), 0);
}

static void server_close(struct server *s)
{
	web_close(&s->web);
	assert_null(s->web);
	close(s->fd);
}

/* room: of the client's receive buffer; 0: as the system likes. */
static int dial_with(int port, int room)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0);
	if (room)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	must(connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
	return fd;
}

static int dial(int port)
{
	return dial_with(port, 0);
}

static void say(int fd, slice s)
{
	while (s.len) {
		ssize_t n = send(fd, s.p, s.len, MSG_NOSIGNAL);

		if (n < 0)
			return; /* cut by the server; what it said tells why */
		s = slice_from(s, (size_t)n);
	}
}

/* Reads what comes; false at the end of the connection. */
static bool hear(int fd, struct buf *out, int wait_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t *room = buf_room(out, 65536);
	ssize_t n;

	must(room);
	if (poll(&p, 1, wait_ms) == 0)
		fail_msg("no answer in %d ms after \"%.*s\"", wait_ms, SLICE_FMT(buf_slice(out)));
	n = recv(fd, room, 65536, 0);
	if (n <= 0)
		return false;
	buf_grew(out, (size_t)n);
	return true;
}

static void hear_all(int fd, struct buf *out)
{
	while (hear(fd, out, DEADLINE_MS))
		;
}

/* At least n bytes. */
static void hear_all_of(int fd, struct buf *out, size_t n)
{
	while (out->len < n)
		if (!hear(fd, out, DEADLINE_MS))
			fail_msg("closed after %zu bytes", out->len);
}

/* Until text has come. */
static void hear_until(int fd, struct buf *out, slice text)
{
	while (slice_find(buf_slice(out), text, 0) == SLICE_NPOS)
		if (!hear(fd, out, DEADLINE_MS))
			fail_msg("closed after \"%.*s\"", SLICE_FMT(buf_slice(out)));
}

/* All that the server says to these bytes, then the client's end. */
static void talk(int port, slice in, struct buf *out)
{
	int fd = dial(port);

	buf_clear(out);
	say(fd, in);
	shutdown(fd, SHUT_WR);
	hear_all(fd, out);
	close(fd);
}

static slice header(slice head, slice name)
{
	size_t at = slice_ifind(head, name, 0);

	if (at == SLICE_NPOS)
		return SLICE_NONE;
	return slice_trim(slice_sub(head, at + name.len, slice_chr(head, '\r', at + name.len)));
}

/* "200 404 " of the answers in a conversation; checks that each one has a
 * length and that the bytes come out even. bodies: all, in order. */
static void statuses(const char *row, slice all, slice request, struct buf *out, struct buf *bodies)
{
	bool head = slice_starts(request, SLICE("HEAD "));

	buf_clear(out);
	while (all.len) {
		size_t end = slice_find(all, SLICE("\r\n\r\n"), 0);
		slice top = slice_sub(all, 0, end), length = header(top, SLICE("\r\ncontent-length:"));
		size_t n = 0;

		if (end == SLICE_NPOS || !slice_starts(all, SLICE("HTTP/1.1 ")))
			fail_msg("%s: not an answer: \"%.*s\"", row, SLICE_FMT(all));
		buf_put(out, slice_sub(top, 9, 12));
		buf_byte(out, ' ');
		all = slice_from(all, end + 4);
		if (slice_starts(top, SLICE("HTTP/1.1 100")))
			continue;
		if (!length.len)
			fail_msg("%s: no length: \"%.*s\"", row, SLICE_FMT(top));
		for (size_t i = 0; i < length.len; i++)
			n = n * 10 + (size_t)(length.p[i] - '0');
		if (head)
			n = 0;
		head = false;
		if (n > all.len)
			fail_msg("%s: body cut: %zu of %zu", row, all.len, n);
		buf_put(bodies, slice_sub(all, 0, n));
		buf_byte(bodies, '\n');
		all = slice_from(all, n);
	}
}

struct row {
	const char *name;
	slice in; /* NEXT is sent behind it on the same connection */
	const char *want;
};

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct row rows[] = {
	{"plain", SLICE("GET / HTTP/1.1\r\nHost: t\r\n\r\n"), "200 200 "},
	{"bare line feeds", SLICE("GET / HTTP/1.1\nHost: t\n\n"), "200 200 "},
	{"redirect keeps the connection", SLICE("GET /go HTTP/1.1\r\nHost: t\r\n\r\n"), "302 200 "},
	{"empty 404 keeps the connection", SLICE("GET /none HTTP/1.1\r\nHost: t\r\n\r\n"), "404 200 "},
	{"HEAD", SLICE("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n"), "200 200 "},
	{"HEAD of a redirect", SLICE("HEAD /go HTTP/1.1\r\nHost: t\r\n\r\n"), "302 200 "},
	{"three at once", SLICE("GET /go HTTP/1.1\r\nHost: t\r\n\r\nGET /none HTTP/1.1\r\nHost: t\r\n\r\n"),
		"302 404 200 "},
	{"the client closes", SLICE("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"), "200 "},
	{"HTTP/1.0", SLICE("GET / HTTP/1.0\r\nHost: t\r\n\r\n"), "200 "},
	{"HTTP/1.0 keep-alive", SLICE("GET / HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\n\r\n"),
		"200 200 "},
	{"no host", SLICE("GET / HTTP/1.1\r\n\r\n"), "200 200 "},
	{"absolute form", SLICE("GET http://t/x HTTP/1.1\r\nHost: t\r\n\r\n"), "200 200 "},
	{"asterisk", SLICE("OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n"), "200 200 "},
	/* From here on: whatever frames a body ends the connection. */
	{"held", SLICE("GET /held HTTP/1.1\r\nHost: t\r\n\r\n"), "200 200 "},
	{"held with a body", SLICE("POST /held HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"), "200 "},
	{"held, pipelined with others",
		SLICE("GET /held HTTP/1.1\r\nHost: t\r\n\r\nGET /none HTTP/1.1\r\nHost: t\r\n\r\nGET /held "
		      "HTTP/1.1\r\nHost: t\r\n\r\n"),
		"200 404 200 200 "},
	{"body", SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"), "200 "},
	{"body on GET", SLICE("GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"), "200 "},
	{"empty body", SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"), "200 "},
	{"chunks",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: "
		      "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
		"200 "},
	{"length and chunks",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: "
		      "chunked\r\n\r\n0\r\n\r\n"),
		"200 "},
	{"chunks and length",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: "
		      "6\r\n\r\n0\r\n\r\n"),
		"200 "},
	{"two lengths",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nContent-Length: 33\r\n\r\n"),
		"200 "},
	{"two lengths, swapped",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: 0\r\n\r\nabc"),
		"200 "},
	{"list of lengths", SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3, 3\r\n\r\nabc"), "400 "},
	{"negative length", SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\nabc"), "400 "},
	{"length with a sign", SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +3\r\n\r\nabc"), "400 "},
	{"hexadecimal length", SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0x3\r\n\r\nabc"), "400 "},
	{"empty length", SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length:\r\n\r\n"), "400 "},
	{"length beyond 64 bits",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551617\r\n\r\na"), "400 "},
	{"unknown coding",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), "400 "},
	{"two codings",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
		"400 "},
	{"identity",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: identity\r\nContent-Length: "
		      "3\r\n\r\nabc"),
		"400 "},
	{"space before the colon",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), "400 "},
	{"tab before the colon", SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length\t: 3\r\n\r\nabc"),
		"400 "},
	{"control in the name", SLICE("POST / HTTP/1.1\r\nHost: t\r\n\vContent-Length: 3\r\n\r\nabc"),
		"400 "},
	{"NUL in the name", SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length\0: 3\r\n\r\nabc"), "400 "},
	{"NUL in a value", SLICE("GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n"), "400 "},
	{"bare CR in a value", SLICE("GET / HTTP/1.1\r\nHost: t\r\nX: a\rContent-Length: 3\r\n\r\n"), "400 "},
	{"folded line", SLICE("GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n Content-Length: 31\r\n\r\n"), "400 "},
	{"folded coding",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
		"400 "},
	{"no colon", SLICE("GET / HTTP/1.1\r\nHost: t\r\nContent-Length 3\r\n\r\n"), "400 "},
	{"no name", SLICE("GET / HTTP/1.1\r\nHost: t\r\n: 3\r\n\r\n"), "400 "},
	{"broken chunk size",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: "
		      "chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"),
		"400 "},
	{"huge chunk size",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: "
		      "chunked\r\n\r\nfffffffffffffffff\r\nabc"),
		"400 "},
	{"body too large", SLICE("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\nabc"), "413 "},
	{"chunks too large",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" HUNDRED
				HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED
		      "\r\n0\r\n\r\n"),
		"413 "},
	{"continue",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"),
		"100 200 "},
	{"unknown expectation",
		SLICE("POST / HTTP/1.1\r\nHost: t\r\nExpect: miracles\r\nContent-Length: 3\r\n\r\nabc"),
		"417 "},
	/* No road to HTTP/2. */
	{"HTTP/2 preface", SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "400 "},
	{"upgrade to h2c",
		SLICE("GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "
		      "h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"),
		"200 "},
	{"HTTP/2.0 in the line", SLICE("GET / HTTP/2.0\r\nHost: t\r\n\r\n"), "400 "},
	{"no version", SLICE("GET /\r\nHost: t\r\n\r\n"), "400 "},
	{"not HTTP", SLICE("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "400 "},
};

static void test_rows(void **state)
{
	struct buf all, in, got, bodies;
	struct server s;

	(void)state;
	buf_init(&all, 1 << 22);
	buf_init(&in, 1 << 20);
	buf_init(&got, 1 << 10);
	buf_init(&bodies, 1 << 20);
	server_open(&s, 1);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		buf_clear(&in);
		buf_put(&in, rows[i].in);
		buf_str(&in, NEXT);
		talk(s.port, buf_slice(&in), &all);
		statuses(rows[i].name, buf_slice(&all), rows[i].in, &got, &bodies);
		test_slices_equal(rows[i].name, buf_slice(&got), slice_str(rows[i].want));
	}
	server_close(&s);
	buf_free(&all);
	buf_free(&in);
	buf_free(&got);
	buf_free(&bodies);
}

static void test_what_the_handler_sees(void **state)
{
	static const struct {
		const char *name;
		slice in, want;
	} seen[] = {
		{"query", SLICE("GET /a/b?c=d?e HTTP/1.1\r\nHost: t\r\n\r\n"), SLICE("GET|/a/b|c=d?e|t||\n")},
		{"not normalised", SLICE("GET /a/../%2e//b HTTP/1.1\r\nHost: t\r\n\r\n"),
			SLICE("GET|/a/../%2e//b||t||\n")},
		{"host and port", SLICE("GET / HTTP/1.1\r\nHost: Track.Example.COM:8080\r\n\r\n"),
			SLICE("GET|/||track.example.com||\n")},
		{"address as host", SLICE("GET / HTTP/1.1\r\nHost: [::A]:80\r\n\r\n"),
			SLICE("GET|/||[::a]||\n")},
		{"address alone", SLICE("GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n"), SLICE("GET|/||[::1]||\n")},
		{"no host", SLICE("GET / HTTP/1.1\r\n\r\n"), SLICE("GET|/||||\n")},
		{"body", SLICE("POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"),
			SLICE("POST|/p||t|abc|\n")},
		{"chunks",
			SLICE("POST /p HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: "
			      "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
			SLICE("POST|/p||t|abcde|\n")},
		{"headers",
			SLICE("GET / HTTP/1.1\r\nHost: t\r\nX-Many: 1\r\nX-One: a \r\nx-many: 2\r\nX-One: "
			      "b\r\n\r\n"),
			SLICE("GET|/||t||a+1+2\n")},
	};
	struct buf all, got, bodies;
	struct server s;

	(void)state;
	buf_init(&all, 1 << 22);
	buf_init(&got, 1 << 10);
	buf_init(&bodies, 1 << 20);
	server_open(&s, 1);
	for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
		buf_clear(&bodies);
		talk(s.port, seen[i].in, &all);
		statuses(seen[i].name, buf_slice(&all), seen[i].in, &got, &bodies);
		test_slices_equal(seen[i].name, buf_slice(&bodies), seen[i].want);
	}
	server_close(&s);
	buf_free(&all);
	buf_free(&got);
	buf_free(&bodies);
}

static void test_headers_of_answers(void **state)
{
	struct buf all;
	struct server s;
	slice out;

	(void)state;
	buf_init(&all, 1 << 22);
	server_open(&s, 1);
	talk(s.port, SLICE("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n"), &all);
	out = buf_slice(&all);
	assert_true(slice_ends(out, SLICE("\r\n\r\n")));
	test_slices_equal("server", header(out, SLICE("\r\nserver:")), SLICE("test"));
	test_slices_equal("type", header(out, SLICE("\r\ncontent-type:")), SLICE("text/plain"));
	test_slices_equal("referrer", header(out, SLICE("\r\nreferrer-policy:")), SLICE("no-referrer"));
	test_slices_equal("own", header(out, SLICE("\r\nx-test:")), SLICE("yes"));
	test_slices_equal("length", header(out, SLICE("\r\ncontent-length:")), SLICE("11"));
	talk(s.port, SLICE("GET /go HTTP/1.1\r\nHost: t\r\n\r\n"), &all);
	test_slices_equal("location", header(buf_slice(&all), SLICE("\r\nlocation:")),
		SLICE("https://example.com/a?b=c"));
	server_close(&s);
	buf_free(&all);
}

static void test_every_split(void **state)
{
	static const slice in = SLICE("GET /a?b HTTP/1.1\r\nHost: t\r\n\r\nPOST / HTTP/1.1\r\nHost: t\r\n"
				      "Content-Length: 3\r\n\r\nabc");
	struct buf all, whole, got, bodies;
	struct server s;
	int fd;

	(void)state;
	buf_init(&all, 1 << 22);
	buf_init(&whole, 1 << 22);
	buf_init(&got, 1 << 10);
	buf_init(&bodies, 1 << 20);
	server_open(&s, 1);
	for (size_t cut = 1; cut <= in.len; cut++) {
		fd = dial(s.port);
		buf_clear(&all);
		buf_clear(&bodies);
		say(fd, slice_sub(in, 0, cut));
		/* The next turn of the server's loop; what it says is the same if the
		 * two parts happen to arrive as one. */
		sched_yield();
		say(fd, slice_from(in, cut));
		hear_all(fd, &all);
		close(fd);
		statuses("split", buf_slice(&all), in, &got, &bodies);
		test_slices_equal("split", buf_slice(&got), SLICE("200 200 "));
		test_slices_equal("split", buf_slice(&bodies), SLICE("GET|/a|b|t||\nPOST|/||t|abc|\n"));
	}
	fd = dial(s.port);
	buf_clear(&all);
	buf_clear(&bodies);
	for (size_t i = 0; i < in.len; i++)
		say(fd, slice_sub(in, i, i + 1));
	hear_all(fd, &all);
	close(fd);
	statuses("byte by byte", buf_slice(&all), in, &got, &bodies);
	test_slices_equal("byte by byte", buf_slice(&got), SLICE("200 200 "));
	server_close(&s);
	buf_free(&all);
	buf_free(&whole);
	buf_free(&got);
	buf_free(&bodies);
}

static void test_many_pipelined(void **state)
{
	struct buf all, in, got, bodies;
	struct server s;
	int before;

	(void)state;
	buf_init(&all, 1 << 22);
	buf_init(&in, 1 << 20);
	buf_init(&got, 1 << 16);
	buf_init(&bodies, 1 << 20);
	server_open(&s, 1);
	for (int i = 0; i < 500; i++)
		buf_str(&in, NEXT);
	before = atomic_load(&handled);
	talk(s.port, buf_slice(&in), &all);
	statuses("500", buf_slice(&all), buf_slice(&in), &got, &bodies);
	test_numbers_equal("answers", (long long)got.len / 4, 500);
	test_numbers_equal("handled", atomic_load(&handled) - before, 500);
	server_close(&s);
	buf_free(&all);
	buf_free(&in);
	buf_free(&got);
	buf_free(&bodies);
}

static void test_header_limits(void **state)
{
	struct buf all, in, got, bodies;
	struct server s;
	uint64_t start;
	int fd;

	(void)state;
	buf_init(&all, 1 << 22);
	buf_init(&in, 1 << 20);
	buf_init(&got, 1 << 10);
	buf_init(&bodies, 1 << 20);
	server_open(&s, 1);

	buf_str(&in, "GET / HTTP/1.1\r\nHost: t\r\nX: ");
	while (in.len < WEB_MAX_HEADER + 100)
		buf_str(&in, HUNDRED);
	/* Unfinished: nothing is said, the connection ends with the next sweep. */
	start = now_ms();
	fd = dial(s.port);
	say(fd, buf_slice(&in));
	hear_all(fd, &all);
	close(fd);
	test_numbers_equal("unfinished, too large: bytes", (long long)all.len, 0);
	assert_true(now_ms() - start < 2000);
	/* Finished. */
	buf_str(&in, "\r\n\r\n" NEXT);
	talk(s.port, buf_slice(&in), &all);
	if (all.len) /* else the sweep was quicker */
		test_slices_equal("too large", slice_sub(buf_slice(&all), 9, 12), SLICE("431"));

	buf_clear(&in);
	buf_str(&in, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < 101; i++)
		buf_str(&in, "A: b\r\n");
	buf_str(&in, "\r\n" NEXT);
	talk(s.port, buf_slice(&in), &all);
	statuses("101 headers", buf_slice(&all), buf_slice(&in), &got, &bodies);
	test_slices_equal("101 headers", buf_slice(&got), SLICE("400 "));
	server_close(&s);
	buf_free(&all);
	buf_free(&in);
	buf_free(&got);
	buf_free(&bodies);
}

/* A header that drips and an answer that nobody reads are cut; an answer that
 * is read slowly is not. */
static void test_slow_clients(void **state)
{
	struct buf out;
	struct server s;
	int drip, deaf, reader;
	uint64_t start, now, drip_ms = 0;

	(void)state;
	buf_init(&out, 16 << 20);
	big = must_zalloc(BIG);
	server_open(&s, 1);
	drip = dial(s.port);
	deaf = dial_with(s.port, SMALL_ROOM);
	reader = dial_with(s.port, SMALL_ROOM);
	say(drip, SLICE("GET / HT"));
	say(deaf, SLICE("GET /big HTTP/1.1\r\nHost: t\r\n\r\n"));
	say(reader, SLICE("GET /big HTTP/1.1\r\nHost: t\r\n\r\n"));
	for (now = start = now_ms(); now - start < WEB_STALL_MS + 2500; now = now_ms()) {
		struct pollfd p = {.fd = drip, .events = POLLIN};
		uint8_t some[16384]; /* less than an update of the window would hide it */
		ssize_t n = recv(reader, some, sizeof some, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			fail_msg("slow reader cut");
		if (drip_ms) {
			poll(NULL, 0, 100);
		} else if (poll(&p, 1, 100) == 1) {
			drip_ms = now - start;
		} else {
			say(drip, SLICE("x"));
		}
	}
	assert_in_range(drip_ms, WEB_HEADER_MS - 500, WEB_HEADER_MS + 1500);
	/* What the kernels had taken still comes; the rest was dropped. */
	hear_all(deaf, &out);
	assert_in_range(out.len, 1, BIG - 1);
	buf_clear(&out);
	hear_all_of(reader, &out, 2 * BIG / 3);
	close(drip);
	close(deaf);
	close(reader);
	server_close(&s);
	free(big);
	buf_free(&out);
}

/* Requests whose client is gone before the answer, in all the ways there are. */
static void test_clients_that_leave(void **state)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};
	struct buf all;
	struct server s;
	int before = atomic_load(&handled);
	uint64_t start;

	(void)state;
	buf_init(&all, 1 << 22);
	server_open(&s, 2);
	for (int i = 0; i < 400; i++) {
		int fd = dial(s.port);

		if (i % 4 < 3)
			say(fd, i % 2 ? SLICE(NEXT) : SLICE(NEXT NEXT "GET /go HT"));
		if (i % 4 < 2)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
		close(fd);
	}
	/* A reset may overtake what was sent before it; the rest is handled. */
	start = now_ms();
	while (atomic_load(&handled) - before < 100) {
		assert_true(now_ms() - start < DEADLINE_MS);
		poll(NULL, 0, 5);
	}
	talk(s.port, SLICE(NEXT), &all);
	assert_true(slice_starts(buf_slice(&all), SLICE("HTTP/1.1 200 ")));
	server_close(&s);
	buf_free(&all);
}

/* When an answer is here, on_turn ran after its request was handled. */
static void test_journal_first(void **state)
{
	struct buf all;
	struct server s;
	int fd, before;

	(void)state;
	buf_init(&all, 1 << 22);
	server_open(&s, 1);
	fd = dial(s.port);
	before = atomic_load(&handled);
	for (int i = 1; i <= 500; i++) {
		buf_clear(&all);
		say(fd, SLICE(NEXT));
		hear(fd, &all, DEADLINE_MS);
		assert_true(atomic_load(&flushed) - before >= i);
	}
	close(fd);
	server_close(&s);
	buf_free(&all);
}

static void test_stop(void **state)
{
	struct buf all;
	struct server s;
	int idle, half;
	uint64_t start;

	(void)state;
	buf_init(&all, 1 << 22);
	server_open(&s, 2);
	idle = dial(s.port);
	half = dial(s.port);
	say(idle, SLICE(NEXT));
	hear_until(idle, &all, SLICE("GET|/next"));
	say(half, SLICE(NEXT "GET /half HTTP"));
	buf_clear(&all);
	hear_until(half, &all, SLICE("GET|/next"));

	start = now_ms();
	web_stop(s.web);
	web_wait(s.web);
	/* An idle connection ends... */
	buf_clear(&all);
	hear_all(idle, &all);
	test_numbers_equal("idle connection: bytes", (long long)all.len, 0);
	/* ... a request under way is answered, and then its connection ends ... */
	say(half, SLICE("/1.1\r\nHost: t\r\n\r\n"));
	hear_all(half, &all);
	assert_true(slice_find(buf_slice(&all), SLICE("GET|/half"), 0) != SLICE_NPOS);
	test_slices_equal("connection", header(buf_slice(&all), SLICE("\r\nconnection:")), SLICE("close"));
	server_close(&s);
	assert_true(now_ms() - start < WEB_DRAIN_MS);
	/* ... and a request that never finishes does not hold the stop. */
	close(idle);
	close(half);
	server_open(&s, 2);
	half = dial(s.port);
	say(half, SLICE("GET /half HTTP"));
	buf_clear(&all);
	talk(s.port, SLICE(NEXT), &all);
	start = now_ms();
	server_close(&s);
	assert_true(now_ms() - start < WEB_DRAIN_MS + 1000);
	close(half);
	test_numbers_equal("contexts", atomic_load(&closed), atomic_load(&opened));
	buf_free(&all);
}

static void *stop_it(void *web)
{
	web_stop(web);
	return NULL;
}

static void test_stop_from_many_threads(void **state)
{
	pthread_t id[8];
	struct server s;

	(void)state;
	server_open(&s, 3);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&id[i], NULL, stop_it, s.web), 0);
	web_wait(s.web);
	for (int i = 0; i < 8; i++)
		pthread_join(id[i], NULL);
	server_close(&s);
}

static void test_thread_that_cannot_open(void **state)
{
	struct web_config cfg;
	struct web *web;
	int port, fd = listen_any(&port);

	(void)state;
	cfg = config_of(fd, 3);
	for (refuse_thread = 0; refuse_thread < 3; refuse_thread++) {
		assert_int_equal(web_open(&web, &cfg), -ECANCELED);
		assert_null(web);
	}
	refuse_thread = -1;
	test_numbers_equal("contexts", atomic_load(&closed), atomic_load(&opened));
	close(fd);
}

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Out of descriptors: no spinning, and service again once there are some. */
static void test_descriptors_run_out(void **state)
{
	enum { CLIENTS = 40 };
	struct rlimit before, low;
	struct web_config cfg;
	struct buf all;
	struct web *web;
	int port, probe, fd[CLIENTS], lfd = listen_any(&port);
	double cpu;
	uint64_t start;

	(void)state;
	buf_init(&all, 1 << 22);
	for (int i = 0; i < CLIENTS; i++) {
		fd[i] = dial(port);
		say(fd[i], SLICE("GET /next HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"));
	}
	probe = dup(lfd);
	close(probe);
	getrlimit(RLIMIT_NOFILE, &before);
	low = before;
	low.rlim_cur = (rlim_t)probe + 9; /* the loop's own four, five clients */
	setrlimit(RLIMIT_NOFILE, &low);
	cfg = config_of(lfd, 1);
	assert_int_equal(web_open(&web, &cfg), 0);
	/* Connections that end make room for others: all are answered. */
	for (int i = 0; i < CLIENTS; i++)
		hear(fd[i], &all, DEADLINE_MS);
	for (int i = 0; i < CLIENTS; i++)
		close(fd[i]);
	setrlimit(RLIMIT_NOFILE, &before);
	for (int i = 0; i < CLIENTS; i++)
		fd[i] = dial(port);
	low.rlim_cur = (rlim_t)fd[CLIENTS - 1] + 5;
	setrlimit(RLIMIT_NOFILE, &low);
	cpu = cpu_ms();
	poll(NULL, 0, 1000);
	cpu = cpu_ms() - cpu;
	if (cpu > 50)
		fail_msg("%.0f ms of CPU in a second at the limit", cpu);
	setrlimit(RLIMIT_NOFILE, &before);
	start = now_ms();
	for (int i = 0; i < CLIENTS; i++) {
		buf_clear(&all);
		say(fd[i], SLICE(NEXT));
		hear(fd[i], &all, DEADLINE_MS);
	}
	assert_true(now_ms() - start < 1000);
	for (int i = 0; i < CLIENTS; i++)
		close(fd[i]);
	web_close(&web);
	close(lfd);
	buf_free(&all);
}

/* libh2o's timers must hang on our gettimeofday, not on the wall clock's. */
static void test_clock_is_ours(void **state)
{
	Dl_info ours, theirs;
	struct timeval tv;
	struct timespec wall;

	(void)state;
	assert_true(dladdr(dlsym(RTLD_DEFAULT, "gettimeofday"), &theirs) != 0);
	assert_true(dladdr((void *)(uintptr_t)web_open, &ours) != 0);
	assert_ptr_equal(ours.dli_fbase, theirs.dli_fbase);
	gettimeofday(&tv, NULL);
	clock_gettime(CLOCK_REALTIME, &wall);
	assert_in_range(wall.tv_sec - tv.tv_sec + 2, 1, 3);
}

static int init(void **state)
{
	(void)state;
	log_open("web_test", LOG_ERROR);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_what_the_handler_sees),
		cmocka_unit_test(test_headers_of_answers),
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_many_pipelined),
		cmocka_unit_test(test_header_limits),
		cmocka_unit_test(test_slow_clients),
		cmocka_unit_test(test_clients_that_leave),
		cmocka_unit_test(test_journal_first),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_stop_from_many_threads),
		cmocka_unit_test(test_thread_that_cannot_open),
		cmocka_unit_test(test_descriptors_run_out),
		cmocka_unit_test(test_clock_is_ours),
	};

	return cmocka_run_group_tests(tests, init, NULL);
}
