#include "tests/testing.h"

#include "core/base/must.h"
#include "core/io/metrics.h"
#include "core/web/health.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A port that was free a moment ago. */
static int free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	must(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
	must(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	close(fd);
	return ntohs(a.sin_port);
}

static void ask(int port, const char *request, struct buf *out)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t n;

	must(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
	must(send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request));
	buf_clear(out);
	while ((n = recv(fd, buf_room(out, 4096), 4096, 0)) > 0)
		buf_grew(out, (size_t)n);
	close(fd);
}

static void test_answers(void **state)
{
	static const struct {
		const char *name, *request;
		slice status, text;
	} rows[] = {
		{"health", "GET /healthz HTTP/1.0\r\n\r\n", SLICE("HTTP/1.1 200"), SLICE("\r\n\r\nok\n")},
		{"metrics", "GET /metrics HTTP/1.0\r\n\r\n", SLICE("HTTP/1.1 200"),
			SLICE("\nlandfall_opens 5\n")},
		{"head", "HEAD /healthz HTTP/1.0\r\n\r\n", SLICE("HTTP/1.1 200"),
			SLICE("no-referrer\r\n\r\n")},
		{"other path", "GET / HTTP/1.0\r\n\r\n", SLICE("HTTP/1.1 404"), SLICE("not found")},
		{"other method", "DELETE /metrics HTTP/1.0\r\n\r\n", SLICE("HTTP/1.1 405"),
			SLICE("GET, HEAD")},
	};
	struct config_addr a = {.host = "127.0.0.1", .port = free_port()};
	struct health *h;
	struct buf why, out;

	(void)state;
	buf_init(&why, 1024);
	buf_init(&out, 1 << 20);
	metric_add(METRIC_opens, 5);
	assert_int_equal(health_open(&h, &a, "collector.metrics", &why), 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		ask(a.port, rows[i].request, &out);
		test_slices_equal(rows[i].name, slice_sub(buf_slice(&out), 0, 12), rows[i].status);
		if (slice_find(buf_slice(&out), rows[i].text, 0) == SLICE_NPOS)
			fail_msg("%s: got \"%.*s\"", rows[i].name, SLICE_FMT(buf_slice(&out)));
	}
	health_close(&h);
	assert_null(h);
	buf_free(&why);
	buf_free(&out);
}

static void test_no_port(void **state)
{
	struct config_addr a = {.host = "", .port = 0};
	struct health *h;
	struct buf why;

	(void)state;
	buf_init(&why, 1024);
	assert_int_equal(health_open(&h, &a, "collector.metrics", &why), 0);
	assert_null(h);
	health_close(&h);
	buf_free(&why);
}

static void test_port_taken(void **state)
{
	struct config_addr a = {.host = "127.0.0.1", .port = free_port()};
	struct health *first, *second;
	struct buf why;

	(void)state;
	buf_init(&why, 1024);
	assert_int_equal(health_open(&first, &a, "collector.metrics", &why), 0);
	assert_int_equal(health_open(&second, &a, "collector.metrics", &why), -EADDRINUSE);
	assert_null(second);
	assert_true(slice_find(buf_slice(&why), SLICE("collector.metrics"), 0) != SLICE_NPOS);
	health_close(&first);
	buf_free(&why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_no_port),
		cmocka_unit_test(test_port_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
