#include "tests/testing.h"

#include "core/parse/date.h"

#include <time.h>

static void days_agree_with_the_c_library(void **state)
{
	(void)state;
	for (uint32_t day = 0; day < 90000; day++) {
		time_t t = (time_t)day * 86400;
		unsigned y, m, d;
		struct tm tm;

		gmtime_r(&t, &tm);
		date_of_days(day, &y, &m, &d);
		if (y != (unsigned)tm.tm_year + 1900 || m != (unsigned)tm.tm_mon + 1 ||
			d != (unsigned)tm.tm_mday)
			fail_msg("day %u: %u-%u-%u", day, y, m, d);
		assert_true(date_valid(y, m, d));
		assert_int_equal(date_days(y, m, d), day);
	}
}

static void text_is_exact(void **state)
{
	static const struct {
		const char *row;
		slice text;
		bool good;
		uint32_t days;
	} rows[] = {
		{"first day", SLICE("1970-01-01"), true, 0},
		{"leap day", SLICE("2024-02-29"), true, 19782},
		{"no leap day", SLICE("2023-02-29"), false, 0},
		{"century without", SLICE("2100-02-29"), false, 0},
		{"century with", SLICE("2000-02-29"), true, 11016},
		{"April 31", SLICE("2026-04-31"), false, 0},
		{"month 0", SLICE("2026-00-10"), false, 0},
		{"before 1970", SLICE("1969-12-31"), false, 0},
		{"short", SLICE("2026-1-01"), false, 0},
		{"long", SLICE("2026-01-011"), false, 0},
		{"sign", SLICE("2026-+1-01"), false, 0},
		{"empty", SLICE(""), false, 0},
	};
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].text);
		uint32_t days = 0;

		test_numbers_equal(rows[i].row, date_decode(in, &days), rows[i].good);
		test_numbers_equal(rows[i].row, days, rows[i].days);
		if (rows[i].good) {
			buf_clear(&b);
			date_encode(days, &b);
			test_slices_equal(rows[i].row, buf_slice(&b), rows[i].text);
		}
		test_unguard(in);
	}
	buf_clear(&b);
	date_time_encode(UINT64_C(1929260527318), &b);
	test_slices_equal("time", buf_slice(&b), SLICE("2031-02-19T09:42:07.318Z"));
	buf_clear(&b);
	date_time_encode(UINT64_C(86399999), &b);
	test_slices_equal("last of a day", buf_slice(&b), SLICE("1970-01-01T23:59:59.999Z"));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(days_agree_with_the_c_library),
		cmocka_unit_test(text_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
