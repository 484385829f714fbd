#include "core/io/log.h"
#include "core/io/metrics.h"
#include "tests/testing.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static FILE *catcher;
static int kept;

static void catch_stderr(void)
{
	catcher = tmpfile();
	assert_non_null(catcher);
	kept = dup(2);
	dup2(fileno(catcher), 2);
}

static size_t caught(char *out, size_t room)
{
	size_t n;

	dup2(kept, 2);
	close(kept);
	rewind(catcher);
	n = fread(out, 1, room - 1, catcher);
	out[n] = 0;
	fclose(catcher);
	return n;
}

static void shape(void **state)
{
	char out[4096], when[32];
	int used = 0;

	(void)state;
	log_open("collector", LOG_WARN);
	catch_stderr();
	log_warn("rds", "redis lost", "addr=%s err=%s", "127.0.0.1:6379", "ECONNRESET");
	log_info("rds", "not shown", NULL);
	log_error("x", "broken", "k=%s", "one\ntwo\xff");
	log_warn("x", "alone", NULL);
	caught(out, sizeof out);
	assert_int_equal(
		sscanf(out, "%24s warn collector rds \"redis lost\" addr=127.0.0.1:6379 err=ECONNRESET\n%n",
			when, &used),
		1);
	assert_true(used > 0);
	assert_int_equal(strlen(when), strlen("2031-05-04T10:22:07.318Z"));
	assert_int_equal(when[10], 'T');
	assert_int_equal(when[23], 'Z');
	assert_null(strstr(out, "not shown"));
	assert_non_null(strstr(out, "error collector x \"broken\" k=one?two?\n"));
	assert_non_null(strstr(out, "warn collector x \"alone\"\n"));
}

static void limited(void **state)
{
	static char out[65536];
	unsigned lines = 0;

	(void)state;
	log_open("collector", LOG_INFO);
	catch_stderr();
	for (int i = 0; i < 1000; i++)
		log_info("x", "often", NULL);
	log_info("x", "rare", NULL);
	caught(out, sizeof out);
	for (char *p = out; (p = strstr(p, "\"often\"")); p++)
		lines++;
	/* The loop may see one second end. */
	assert_in_range(lines, 10, 20);
	assert_non_null(strstr(out, "\"rare\""));
}

static void long_line(void **state)
{
	static char out[8192], text[5000];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	catch_stderr();
	log_error("x", "long", "k=%s", text);
	assert_in_range(caught(out, sizeof out), 100, 2048);
	assert_int_equal(out[strlen(out) - 1], '\n');
}

static void outside_bytes(void **state)
{
	static uint8_t many[300];
	const char *a, *b;

	(void)state;
	a = log_bytes(SLICE("a b\"\\\n\x7f\xc3z"));
	b = log_bytes(SLICE("second"));
	assert_string_equal(a, "\"a\\x20b\\x22\\x5C\\x0A\\x7F\\xC3z\"");
	assert_string_equal(b, "\"second\"");
	a = log_bytes(slice_of(many, sizeof many));
	assert_int_equal(strlen(a), 200 * 4 + 2 + 3);
	assert_string_equal(log_bytes(SLICE_NONE), "\"\"");
}

static void levels(void **state)
{
	enum log_level l;

	(void)state;
	assert_true(log_level_decode(SLICE("debug"), &l));
	assert_int_equal(l, LOG_DEBUG);
	assert_true(log_level_decode(SLICE("error"), &l));
	assert_int_equal(l, LOG_ERROR);
	assert_false(log_level_decode(SLICE("Error"), &l));
	assert_false(log_level_decode(SLICE_NONE, &l));
}

static void metrics(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 16);
	metric_add(METRIC_opens, 2);
	metric_add(METRIC_opens, 3);
	metric_set(METRIC_sessions_open, 7);
	metric_add(METRIC_sessions_open, -1);
	assert_int_equal(metric_get(METRIC_opens), 5);
	metrics_encode(&out);
	assert_true(slice_find(buf_slice(&out),
			    SLICE("# HELP landfall_opens Pixels answered for a valid token\n"
				  "# TYPE landfall_opens counter\nlandfall_opens 5\n"),
			    0) != SLICE_NPOS);
	assert_true(slice_find(buf_slice(&out),
			    SLICE("# TYPE landfall_sessions_open gauge\nlandfall_sessions_open 6\n"),
			    0) != SLICE_NPOS);
	assert_true(slice_ends(buf_slice(&out), SLICE("\n")));
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shape),
		cmocka_unit_test(limited),
		cmocka_unit_test(long_line),
		cmocka_unit_test(outside_bytes),
		cmocka_unit_test(levels),
		cmocka_unit_test(metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
