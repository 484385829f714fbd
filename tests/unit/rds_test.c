#include "tests/testing.h"

#include "core/io/rds.h"
#include "tests/redis.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A server that sends one fixed text to its first client, whatever it asks. */
struct canned {
	char dir[64], path[96];
	int fd;
	const char *text;
	size_t len;
	bool hold; /* keep the connection open behind the text */
	pthread_t thread;
};

static void *canned_serve(void *arg)
{
	struct canned *c = arg;
	int fd = accept(c->fd, NULL, NULL);
	char in[4096];

	if (fd < 0)
		return NULL;
	if (recv(fd, in, sizeof in, 0) > 0) {
		send(fd, c->text, c->len, MSG_NOSIGNAL);
		while (c->hold && recv(fd, in, sizeof in, 0) > 0)
			;
	}
	close(fd);
	return NULL;
}

static void canned_start(struct canned *c, const char *text, size_t len, bool hold)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	*c = (struct canned){.dir = "/tmp/landfall-rds-XXXXXX", .text = text, .len = len, .hold = hold};
	assert_non_null(mkdtemp(c->dir));
	snprintf(c->path, sizeof c->path, "%s/s", c->dir);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", c->path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(c->fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(c->fd, 4), 0);
	assert_int_equal(pthread_create(&c->thread, NULL, canned_serve, c), 0);
}

static void canned_stop(struct canned *c)
{
	pthread_join(c->thread, NULL);
	close(c->fd);
	test_remove(c->dir);
}

static void test_canned(void **state)
{
	static const struct {
		const char *name, *text;
		bool hold;
		int want;
		enum rds_kind kind;
	} rows[] = {
		{"status", "+OK\r\n", false, 0, RDS_STATUS},
		{"error is a reply", "-READONLY no\r\n", false, 0, RDS_ERROR},
		{"number", ":-42\r\n", false, 0, RDS_INT},
		{"nil string", "$-1\r\n", false, 0, RDS_NIL},
		{"nil array", "*-1\r\n", false, 0, RDS_NIL},
		{"empty array", "*0\r\n", false, 0, RDS_ARRAY},
		{"string", "$2\r\nab\r\n", false, 0, RDS_STRING},
		{"closed at once", "", false, -ECONNRESET, 0},
		{"half a reply, closed", "$10\r\nabc", false, -ECONNRESET, 0},
		{"half a reply, silence", "$10\r\nabc", true, -ETIMEDOUT, 0},
		{"silence", "", true, -ETIMEDOUT, 0},
		{"not RESP", "HTTP/1.1 400 Bad Request\r\n", true, -EPROTO, 0},
		{"array of two thousand million", "*2000000000\r\n", true, -EPROTO, 0},
		{"array that takes 8.9 GB", "*1111111112\r\n", true, -EPROTO, 0},
		{"nested too deep", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", true,
			-EPROTO, 0},
		{"negative length", "$-5\r\n", true, -EPROTO, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct canned c;
		struct rds_config cfg = {.timeout_ms = 100};
		struct rds_reply *rep;
		struct rds *r;

		canned_start(&c, rows[i].text, strlen(rows[i].text), rows[i].hold);
		cfg.socket = c.path;
		assert_int_equal(rds_open(&r, &cfg), 0);
		test_numbers_equal(rows[i].name, rds_askv(r, &rep, SLICE("PING")), rows[i].want);
		if (rows[i].want == 0) {
			test_numbers_equal(rows[i].name, rds_kind(rep), rows[i].kind);
			rds_reply_free(&rep);
		} else {
			assert_null(rep);
			/* dead for good, with the same reason */
			test_numbers_equal(rows[i].name, rds_askv(r, &rep, SLICE("PING")), rows[i].want);
		}
		rds_reply_free(&rep);
		rds_close(&r);
		assert_null(r);
		canned_stop(&c);
	}
}

static void test_values(void **state)
{
	static const struct {
		const char *name, *text;
		int64_t want;
	} rows[] = {
		{"int", ":7\r\n", 7},
		{"string number", "$3\r\n-12\r\n", -12},
		{"largest", "$19\r\n9223372036854775807\r\n", INT64_MAX},
		{"smallest", "$20\r\n-9223372036854775808\r\n", INT64_MIN},
		{"past 64 bits", "$19\r\n9223372036854775808\r\n", 0},
		{"stream id is no number", "$5\r\n123-0\r\n", 0},
		{"sign alone", "$1\r\n-\r\n", 0},
		{"empty", "$0\r\n\r\n", 0},
		{"status", "+12\r\n", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct canned c;
		struct rds_config cfg = {.timeout_ms = 1000};
		struct rds_reply *rep;
		struct rds *r;

		canned_start(&c, rows[i].text, strlen(rows[i].text), false);
		cfg.socket = c.path;
		assert_int_equal(rds_open(&r, &cfg), 0);
		assert_int_equal(rds_askv(r, &rep, SLICE("PING")), 0);
		test_numbers_equal(rows[i].name, rds_int(rep), rows[i].want);
		rds_reply_free(&rep);
		rds_close(&r);
		canned_stop(&c);
	}
}

/* Statuses that have come in are stepped over, and nothing else is. */
static void test_step(void **state)
{
	struct rds_config cfg = {.timeout_ms = 2000};
	struct test_redis t;
	struct rds_reply *rep;
	struct rds *r;

	(void)state;
	test_redis_init(&t);
	test_redis_start(&t, false);
	cfg.socket = t.socket;
	assert_int_equal(rds_open(&r, &cfg), 0);
	rds_putv(r, SLICE("MULTI"));
	for (int i = 0; i < 5; i++)
		rds_putv(r, SLICE("INCR"), SLICE("n"));
	rds_putv(r, SLICE("EXEC"));
	assert_false(rds_step(r)); /* not sent yet */
	assert_int_equal(rds_get(r, &rep), 0);
	test_slices_equal("multi", rds_text(rep), SLICE("OK"));
	rds_reply_free(&rep);
	for (int i = 0; i < 5; i++)
		assert_true(rds_step(r));
	assert_false(rds_step(r)); /* EXEC's is an array */
	assert_int_equal(rds_get(r, &rep), 0);
	assert_int_equal(rds_len(rep), 5);
	assert_int_equal(rds_int(rds_at(rep, 4)), 5);
	rds_reply_free(&rep);
	assert_false(rds_step(r));
	rds_close(&r);
	test_redis_free(&t);
}

static void test_real(void **state)
{
	struct test_redis t;
	struct rds_config cfg = {.timeout_ms = 2000};
	struct rds *r = NULL, *none;
	struct rds_reply *rep;
	static const uint8_t odd[] = "a\0\r\n$5\r\n\xff";
	slice value = slice_of(odd, sizeof odd - 1);
	slice many[200];
	char *big;

	(void)state;
	test_redis_init(&t);
	cfg.socket = t.socket;
	assert_int_equal(rds_open(&none, &cfg), -ENOENT);
	assert_null(none);
	test_redis_start(&t, false);
	assert_int_equal(rds_open(&r, &cfg), 0);

	/* pipelined, in order; bytes pass unchanged */
	rds_putv(r, SLICE("SET"), SLICE("k"), value);
	rds_putv(r, SLICE("SET"), SLICE(""), SLICE_NONE);
	rds_putv(r, SLICE("GET"), SLICE("k"));
	rds_putv(r, SLICE("MGET"), SLICE("k"), SLICE("nope"), SLICE(""));
	rds_putv(r, SLICE("NONSENSE"));
	assert_int_equal(rds_get(r, &rep), 0);
	test_slices_equal("set", rds_text(rep), SLICE("OK"));
	rds_reply_free(&rep);
	assert_int_equal(rds_get(r, &rep), 0);
	rds_reply_free(&rep);
	assert_int_equal(rds_get(r, &rep), 0);
	test_slices_equal("get", rds_text(rep), value);
	rds_reply_free(&rep);
	assert_int_equal(rds_get(r, &rep), 0);
	assert_int_equal(rds_len(rep), 3);
	test_slices_equal("mget", rds_text(rds_at(rep, 0)), value);
	assert_int_equal(rds_kind(rds_at(rep, 1)), RDS_NIL);
	assert_int_equal(rds_kind(rds_at(rep, 2)), RDS_STRING);
	assert_int_equal(rds_text(rds_at(rep, 2)).len, 0);
	rds_reply_free(&rep);
	assert_int_equal(rds_get(r, &rep), 0);
	assert_true(rds_is_error(rep, "ERR"));
	assert_false(rds_is_error(rep, "ER"));
	assert_false(rds_is_error(rep, "WRONGTYPE"));
	assert_int_equal(rds_len(rep), 0);
	assert_int_equal(rds_int(rep), 0);
	rds_reply_free(&rep);

	/* more arguments than the small array takes */
	many[0] = SLICE("DEL");
	for (size_t i = 1; i < 200; i++)
		many[i] = SLICE("k");
	assert_int_equal(rds_ask(r, &rep, 200, many), 0);
	assert_int_equal(rds_int(rep), 1);
	rds_reply_free(&rep);

	/* a value larger than any socket buffer, there and back */
	big = malloc(20 << 20);
	assert_non_null(big);
	memset(big, 'x', 20 << 20);
	assert_int_equal(rds_askv(r, &rep, SLICE("SET"), SLICE("big"), slice_of(big, 20 << 20)), 0);
	rds_reply_free(&rep);
	assert_int_equal(rds_askv(r, &rep, SLICE("GET"), SLICE("big")), 0);
	assert_true(slice_eq(rds_text(rep), slice_of(big, 20 << 20)));
	rds_reply_free(&rep);
	free(big);

	/* the server goes: dead, and no SIGPIPE */
	test_redis_kill(&t);
	assert_true(rds_askv(r, &rep, SLICE("PING")) < 0);
	assert_true(rds_askv(r, &rep, SLICE("PING")) < 0);
	assert_null(rep);
	rds_close(&r);
	rds_close(&r);
	assert_int_equal(rds_open(&r, &cfg), -ECONNREFUSED);
	test_redis_free(&t);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void test_password(void **state)
{
	static const struct {
		const char *name, *text;
		mode_t mode;
		int want;
	} rows[] = {
		{"right", "s3cret\n", 0600, 0},
		{"right, no newline", "s3cret", 0400, 0},
		{"right, CR LF", "s3cret\r\n", 0600, 0},
		{"wrong", "s3cre\n", 0600, -EACCES},
		{"empty file", "", 0600, -EACCES},
		{"group may read", "s3cret\n", 0640, -EACCES},
		{"all may read", "s3cret\n", 0604, -EACCES},
		{"absent", NULL, 0, -ENOENT},
	};
	struct test_redis t;
	char path[128];
	struct rds_config cfg = {.timeout_ms = 2000, .password_file = path};
	struct rds_reply *rep;
	struct rds *r;

	(void)state;
	test_redis_init(&t);
	test_redis_start(&t, false);
	cfg.socket = t.socket;
	snprintf(path, sizeof path, "%s/password", t.dir);
	write_file(path, "s3cret\n", 0600);
	/* no password asked for, but one given: that is not the Redis we were told of */
	assert_int_equal(rds_open(&r, &cfg), -EACCES);
	cfg.password_file = "";
	assert_int_equal(rds_open(&r, &cfg), 0);
	assert_int_equal(
		rds_askv(r, &rep, SLICE("CONFIG"), SLICE("SET"), SLICE("requirepass"), SLICE("s3cret")), 0);
	rds_reply_free(&rep);
	rds_close(&r);
	assert_int_equal(rds_open(&r, &cfg), 0);
	assert_int_equal(rds_askv(r, &rep, SLICE("GET"), SLICE("k")), 0);
	assert_true(rds_is_error(rep, "NOAUTH"));
	rds_reply_free(&rep);
	rds_close(&r);
	cfg.password_file = path;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		unlink(path);
		if (rows[i].text)
			write_file(path, rows[i].text, rows[i].mode);
		test_numbers_equal(rows[i].name, rds_open(&r, &cfg), rows[i].want);
		rds_close(&r);
	}
	test_redis_free(&t);
}

static void test_tcp(void **state)
{
	struct rds_config cfg = {.host = "127.0.0.1", .timeout_ms = 200};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct {
		sa_family_t family;
		uint16_t port;
		uint32_t addr;
		char zero[8];
	} a = {.family = AF_INET};
	socklen_t n = sizeof a;
	struct rds_reply *rep;
	struct rds *r;

	(void)state;
	a.addr = __builtin_bswap32(0x7f000001);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	cfg.port = __builtin_bswap16(a.port);
	assert_int_equal(rds_open(&r, &cfg), -ECONNREFUSED);
	/* a black hole: connects, never answers */
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(rds_open(&r, &cfg), 0);
	assert_int_equal(rds_askv(r, &rep, SLICE("PING")), -ETIMEDOUT);
	rds_close(&r);
	close(fd);
	cfg.host = "no.such.host.invalid";
	assert_int_equal(rds_open(&r, &cfg), -EHOSTUNREACH);
}

static void test_backoff(void **state)
{
	unsigned step = 0;
	int least = 0, most = 0;

	(void)state;
	for (unsigned base = 50; base < 2000; base *= 2) {
		int ms = rds_backoff_ms(&step);

		assert_in_range(ms, base - base / 4, base);
	}
	for (int i = 0; i < 1000; i++) {
		int ms = rds_backoff_ms(&step);

		assert_in_range(ms, 1500, 2000);
		least = i && least < ms ? least : ms;
		most = most > ms ? most : ms;
	}
	assert_true(most - least > 300); /* there is jitter */
	step = 0;
	assert_in_range(rds_backoff_ms(&step), 38, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canned),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_step),
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_password),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_backoff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
