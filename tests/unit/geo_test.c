/* A database made here byte by byte, and what is none. */
#include "tests/testing.h"

#include "core/base/must.h"
#include "core/base/refuse.h"
#include "tests/redis.h"
#include "tracker/geo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Type numbers of the format: 2 a string, 5 and 6 numbers, 7 a map; the size
 * stands in the low five bits. */
static void str(struct buf *b, const char *s)
{
	must(strlen(s) < 29);
	buf_byte(b, (uint8_t)(2 << 5 | strlen(s)));
	buf_str(b, s);
}

static void map(struct buf *b, unsigned members)
{
	buf_byte(b, (uint8_t)(7 << 5 | members));
}

static void number(struct buf *b, unsigned type, unsigned n)
{
	buf_byte(b, (uint8_t)(type << 5 | 2));
	buf_byte(b, (uint8_t)(n >> 8));
	buf_byte(b, (uint8_t)n);
}

static void record(struct buf *b, unsigned n)
{
	buf_byte(b, (uint8_t)(n >> 16));
	buf_byte(b, (uint8_t)(n >> 8));
	buf_byte(b, (uint8_t)n);
}

/* One node: 0.0.0.0/1 has the country, 128.0.0.0/1 has nothing. */
static void database(struct buf *b, const char *kind, const char *code)
{
	buf_clear(b);
	record(b, 1 + 16);
	record(b, 1);
	for (int i = 0; i < 16; i++)
		buf_byte(b, 0);
	map(b, 1);
	str(b, kind);
	map(b, 1);
	str(b, "iso_code");
	str(b, code);
	buf_put(b, SLICE("\xab\xcd\xefMaxMind.com"));
	map(b, 9);
	str(b, "binary_format_major_version");
	number(b, 5, 2);
	str(b, "binary_format_minor_version");
	number(b, 5, 0);
	str(b, "build_epoch");
	buf_put(b, SLICE("\x01\x02\x01")); /* of type 9, which does not fit three bits */
	str(b, "database_type");
	str(b, "Test-Country");
	str(b, "description");
	map(b, 0);
	str(b, "languages");
	buf_put(b, SLICE("\x00\x04")); /* an array of none */
	str(b, "ip_version");
	number(b, 5, 4);
	str(b, "node_count");
	number(b, 6, 1);
	str(b, "record_size");
	number(b, 5, 24);
}

static char dir[64], path[96];

static int write_it(const struct buf *b)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	must(fd >= 0 && write(fd, b->p, b->len) == (ssize_t)b->len);
	return close(fd);
}

static bool country(const struct geo *g, const char *address, char out[2])
{
	struct ip a;

	must(ip_decode(slice_str(address), &a) == 0);
	return geo_country(g, &a, out);
}

static void test_country(void **state)
{
	static const struct {
		const char *name, *kind, *code;
		bool want;
	} rows[] = {
		{"country", "country", "DE", true},
		{"registered", "registered_country", "DE", true},
		{"another map", "continent", "DE", false},
		{"small letters", "country", "de", false},
		{"one letter", "country", "D", false},
		{"three letters", "country", "DEU", false},
	};
	struct buf b, why;

	(void)state;
	buf_init(&b, 1 << 16);
	buf_init(&why, 1024);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char got[2] = {'?', '?'};
		struct geo *g;

		database(&b, rows[i].kind, rows[i].code);
		write_it(&b);
		test_numbers_equal(rows[i].name, geo_open(&g, path, "tracker.geo_database", &why), 0);
		test_numbers_equal(rows[i].name, country(g, "10.0.0.1", got), rows[i].want);
		test_slices_equal(rows[i].name, slice_of(got, 2), rows[i].want ? SLICE("DE") : SLICE("??"));
		assert_false(country(g, "192.0.2.1", got));
		assert_false(country(g, "2001:db8::1", got));
		geo_close(&g);
		assert_null(g);
	}
	buf_free(&b);
	buf_free(&why);
}

static void test_refusals(void **state)
{
	struct buf b, why;
	struct geo *g;
	size_t whole;

	(void)state;
	buf_init(&b, 1 << 16);
	buf_init(&why, 1024);
	assert_int_equal(geo_open(&g, "/none/of/it", "tracker.geo_database", &why), -ENOENT);
	assert_null(g);
	assert_true(slice_find(buf_slice(&why), SLICE("tracker.geo_database"), 0) != SLICE_NPOS);
	database(&b, "country", "DE");
	whole = b.len;
	/* Cut anywhere it is refused, or it works; it never takes us with it. */
	for (b.len = 0; b.len < whole; b.len += 7) {
		char got[2];

		buf_clear(&why);
		write_it(&b);
		if (geo_open(&g, path, "tracker.geo_database", &why) == 0) {
			country(g, "10.0.0.1", got);
			geo_close(&g);
		} else {
			assert_true(slice_find(buf_slice(&why), slice_str(path), 0) != SLICE_NPOS);
		}
	}
	buf_free(&b);
	buf_free(&why);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/landfall-geo-XXXXXX");
	must(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/db.mmdb", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_remove(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_country, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
