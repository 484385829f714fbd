#include "core/base/refuse.h"
#include "core/io/config.h"
#include "tests/testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/config_test.XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/landfall.conf", dir);
	return 0;
}

static int drop_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void put_file(slice text)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(text.p, 1, text.len, f), text.len);
	fclose(f);
}

static void defaults(void **state)
{
	struct config c;
	struct buf why;

	(void)state;
	buf_init(&why, 1024);
	assert_int_equal(config_open(&c, NULL, &why), 0);
	assert_string_equal(c.data_dir, "landfall-data");
	assert_int_equal(c.store_partitions, 16);
	assert_true(c.track_opens);
	assert_false(c.track_unsubscribe);
	assert_string_equal(c.tracker_listen.host, "127.0.0.1");
	assert_int_equal(c.tracker_listen.port, 8080);
	assert_int_equal(c.collector_metrics.port, 0);
	assert_string_equal(config_path(&c, "keys/ring"), "landfall-data/keys/ring");
	assert_string_equal(config_path(&c, "/keys/ring"), "/keys/ring");
	assert_string_equal(config_path(&c, ""), "");
	assert_string_equal(config_redis(&c).socket, "landfall-data/redis/redis.sock");
	assert_string_equal(config_redis(&c).password_file, "");
	assert_int_equal(config_redis(&c).timeout_ms, 2000);
	config_close(&c);
	buf_free(&why);
}

/* Every complaint names the line, the key, and what would be right. */
static const struct {
	const char *name;
	slice file;
	const char *says[4];
} refused[] = {
	{"unknown key", SLICE("[tracker]\nlistne = :80\n"),
		{":2: tracker.listne", "no such setting", "nearest are tracker.listen"}},
	{"key in the wrong section", SLICE("[tracker]\n\nmax_sessions = 1\n"),
		{":3: tracker.max_sessions", "nearest are rewriter.max_sessions"}},
	{"unknown section", SLICE("[trakcer]\nlisten = :80\n"), {":2: trakcer.listen", "tracker.listen"}},
	{"no section", SLICE("listen = :80\n"), {":1: .listen", "tracker.listen"}},
	{"number too large", SLICE("[tracker]\nthreads = 257\n"),
		{":2: tracker.threads = 257", "must be 0..256"}},
	{"number too small", SLICE("[collector]\npoll_ms = 9\n"), {":2: collector.poll_ms = 9", "10..10000"}},
	{"not a number", SLICE("[tracker]\nthreads = many\n"), {":2: tracker.threads = many", "0..256"}},
	{"negative", SLICE("[tracker]\nthreads = -1\n"), {":2: tracker.threads = -1", "0..256"}},
	{"past 64 bits", SLICE("[tracker]\nthreads = 18446744073709551617\n"),
		{":2: tracker.threads", "0..256"}},
	{"empty number", SLICE("[tracker]\nthreads =\n"), {":2: tracker.threads = ", "0..256"}},
	{"not a switch", SLICE("[track]\nopens = maybe\n"), {":2: track.opens = maybe", "on or off"}},
	{"no port", SLICE("[tracker]\nlisten = localhost\n"),
		{":2: tracker.listen = localhost", "HOST:PORT"}},
	{"port 0", SLICE("[tracker]\nlisten = :0\n"), {":2: tracker.listen = :0", "1..65535"}},
	{"port too large", SLICE("[tracker]\nlisten = :65536\n"), {":2: tracker.listen", "1..65535"}},
	{"IPv6 without brackets", SLICE("[tracker]\nlisten = ::1:80\n"),
		{":2: tracker.listen", "[IPV6]:PORT"}},
	{"level", SLICE("[log]\nlevel = loud\n"), {":2: log.level = loud", "error, warn, info or debug"}},
	{"twice", SLICE("[track]\nopens = on\n[track]\nopens = off\n"), {":4: track.opens", "line 2"}},
	{"not a setting", SLICE("[track]\nopens on\n"), {":2: syntax error", "key = value"}},
	{"control byte", SLICE("[data]\ndir = a\x01\n"), {":2: "}},
};

static void refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct config c;
		struct buf why;

		put_file(refused[i].file);
		buf_init(&why, 1024);
		test_numbers_equal(refused[i].name, config_open(&c, path, &why), -REFUSE_SYNTAX);
		if (!slice_starts(buf_slice(&why), slice_str(path)))
			fail_msg("%s: the file is not named", refused[i].name);
		for (unsigned k = 0; k < 4 && refused[i].says[k]; k++)
			if (slice_find(buf_slice(&why), slice_str(refused[i].says[k]), 0) == SLICE_NPOS)
				fail_msg("%s: no \"%s\" in \"%.*s\"", refused[i].name, refused[i].says[k],
					SLICE_FMT(buf_slice(&why)));
		assert_int_equal(slice_chr(buf_slice(&why), '\n', 0), SLICE_NPOS);
		config_close(&c);
		buf_free(&why);
	}
}

static void absent(void **state)
{
	struct config c;
	struct buf why;

	(void)state;
	buf_init(&why, 1024);
	unlink(path);
	assert_int_equal(config_open(&c, path, &why), -ENOENT);
	assert_true(slice_find(buf_slice(&why), slice_str(path), 0) == 0);
	config_close(&c);
	buf_free(&why);
}

static void set_one(void **state)
{
	struct config c;
	struct buf why;

	(void)state;
	buf_init(&why, 1024);
	assert_int_equal(config_open(&c, NULL, &why), 0);
	assert_int_equal(config_set(&c, SLICE("tracker.listen=[::1]:9000"), &why), 0);
	assert_string_equal(c.tracker_listen.host, "::1");
	assert_int_equal(c.tracker_listen.port, 9000);
	assert_int_equal(config_set(&c, SLICE("track.url = https://x/?a=b"), &why), 0);
	assert_string_equal(c.track_url, "https://x/?a=b");
	assert_int_equal(config_set(&c, SLICE("collector.metrics="), &why), 0);
	assert_int_equal(why.len, 0);
	assert_int_equal(config_set(&c, SLICE("tracker.threads=999"), &why), -REFUSE_SYNTAX);
	assert_true(
		slice_find(buf_slice(&why), SLICE("tracker.threads = 999: must be 0..256"), 0) != SLICE_NPOS);
	buf_clear(&why);
	assert_int_equal(config_set(&c, SLICE("tracker.listen"), &why), -REFUSE_SYNTAX);
	assert_true(slice_find(buf_slice(&why), SLICE("SECTION.KEY=VALUE"), 0) != SLICE_NPOS);
	buf_clear(&why);
	assert_int_equal(config_set(&c, SLICE("track.url=a\nb"), &why), -REFUSE_SYNTAX);
	assert_int_equal(slice_chr(buf_slice(&why), '\n', 0), SLICE_NPOS);
	config_close(&c);
	buf_free(&why);
}

static void same(const struct config *a, const struct config *b)
{
#define NUM(section, key, def, least, most, help) assert_int_equal(a->section##_##key, b->section##_##key);
#define STR(section, key, def, help) assert_string_equal(a->section##_##key, b->section##_##key);
#define BOOL(section, key, def, help) assert_int_equal(a->section##_##key, b->section##_##key);
#define ADDR(section, key, def, help)                                                                        \
	assert_string_equal(a->section##_##key.host, b->section##_##key.host);                               \
	assert_int_equal(a->section##_##key.port, b->section##_##key.port);
#define ADDRS(section, key, def, help)                                                                       \
	assert_int_equal(a->section##_##key.count, b->section##_##key.count);                                \
	for (unsigned i = 0; i < a->section##_##key.count; i++) {                                            \
		assert_string_equal(a->section##_##key.at[i].host, b->section##_##key.at[i].host);           \
		assert_int_equal(a->section##_##key.at[i].port, b->section##_##key.at[i].port);              \
	}
#include "core/io/config.def"
#undef NUM
#undef STR
#undef BOOL
#undef ADDR
#undef ADDRS
}

/* Away from the defaults in every key, so that a key that is not read shows. */
static void change_all(struct config *c)
{
#define NUM(section, key, def, least, most, help) c->section##_##key = most;
#define STR(section, key, def, help)                                                                         \
	c->section##_##key = strcmp(#section #key, "loglevel") ? "a # ; \"b\" = [c]" : "debug";
#define BOOL(section, key, def, help) c->section##_##key = !c->section##_##key;
#define ADDR(section, key, def, help) c->section##_##key = (struct config_addr){"::1", 65535};
#define ADDRS(section, key, def, help)                                                                       \
	c->section##_##key = (struct config_addrs){{{"a.test", 1}, {"::1", 65535}}, 2};
#include "core/io/config.def"
#undef NUM
#undef STR
#undef BOOL
#undef ADDR
#undef ADDRS
}

static void encode_reads_back(void **state)
{
	(void)state;
	for (int changed = 0; changed < 2; changed++) {
		struct config c, again;
		struct buf why, text;

		buf_init(&why, 1024);
		buf_init(&text, 1 << 20);
		assert_int_equal(config_open(&c, NULL, &why), 0);
		if (changed)
			change_all(&c);
		config_encode(&c, &text);
		put_file(buf_slice(&text));
		if (config_open(&again, path, &why) < 0)
			fail_msg("%.*s", SLICE_FMT(buf_slice(&why)));
		same(&c, &again);
		config_close(&c);
		config_close(&again);
		buf_free(&why);
		buf_free(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(refusals),
		cmocka_unit_test(absent),
		cmocka_unit_test(set_one),
		cmocka_unit_test(encode_reads_back),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
