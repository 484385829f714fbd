#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/parse/num.h"

static const struct {
	const char *text;
	uint64_t most;
	int decimal, hex;
	uint64_t value, hex_value;
} rows[] = {
	{"0", 0, 0, 0, 0, 0},
	{"000", 0, 0, 0, 0, 0},
	{"10", 16, 0, 0, 10, 16},
	{"10", 15, 0, -REFUSE_RANGE, 10, 0},
	{"10", 9, -REFUSE_RANGE, -REFUSE_RANGE, 0, 0},
	{"18446744073709551615", UINT64_MAX, 0, -REFUSE_RANGE, UINT64_MAX, 0},
	{"18446744073709551616", UINT64_MAX, -REFUSE_RANGE, -REFUSE_RANGE, 0, 0},
	{"99999999999999999999999", UINT64_MAX, -REFUSE_RANGE, -REFUSE_RANGE, 0, 0},
	{"99999999999999999999999x", UINT64_MAX, -REFUSE_SYNTAX, -REFUSE_SYNTAX, 0, 0},
	{"fFfFffffffffffff", UINT64_MAX, -REFUSE_SYNTAX, 0, 0, UINT64_MAX},
	{"6", 5, -REFUSE_RANGE, -REFUSE_RANGE, 0, 0},
	{"1", 0, -REFUSE_RANGE, -REFUSE_RANGE, 0, 0},
	{"", 9, -REFUSE_SYNTAX, -REFUSE_SYNTAX, 0, 0},
	{"-1", 9, -REFUSE_SYNTAX, -REFUSE_SYNTAX, 0, 0},
	{"+1", 9, -REFUSE_SYNTAX, -REFUSE_SYNTAX, 0, 0},
	{" 1", 9, -REFUSE_SYNTAX, -REFUSE_SYNTAX, 0, 0},
	{"1 ", 9, -REFUSE_SYNTAX, -REFUSE_SYNTAX, 0, 0},
	{"0x1", 9, -REFUSE_SYNTAX, -REFUSE_SYNTAX, 0, 0},
	{"g", 99, -REFUSE_SYNTAX, -REFUSE_SYNTAX, 0, 0},
};

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(slice_str(rows[i].text));
		uint64_t v = 12345;

		test_numbers_equal(rows[i].text, num_decode(in, rows[i].most, &v), rows[i].decimal);
		test_numbers_equal(
			rows[i].text, (long long)v, rows[i].decimal ? 12345 : (long long)rows[i].value);
		v = 12345;
		test_numbers_equal(rows[i].text, num_hex_decode(in, rows[i].most, &v), rows[i].hex);
		test_numbers_equal(
			rows[i].text, (long long)v, rows[i].hex ? 12345 : (long long)rows[i].hex_value);
		test_unguard(in);
	}
}

static void leads(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_int_equal(num_lead(SLICE("12ab"), 99, &v), 2);
	assert_int_equal(v, 12);
	assert_int_equal(num_hex_lead(SLICE("12abz"), 0xffff, &v), 4);
	assert_int_equal(v, 0x12ab);
	assert_int_equal(num_lead(SLICE("x1"), 99, &v), 0);
	assert_int_equal(num_lead(SLICE("100x"), 99, &v), -REFUSE_RANGE);
	assert_int_equal(v, 0x12ab);
}

static void byte_strings(void **state)
{
	uint8_t out[3] = {9, 9, 9};

	(void)state;
	assert_true(num_hex_bytes(SLICE("00fFa5"), out, 3));
	assert_memory_equal(out, "\x00\xff\xa5", 3);
	assert_false(num_hex_bytes(SLICE("00fFa"), out, 3));
	assert_false(num_hex_bytes(SLICE("00fFa5a"), out, 3));
	assert_false(num_hex_bytes(SLICE("00fFg5"), out, 3));
	assert_true(num_hex_bytes(SLICE_NONE, out, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(leads),
		cmocka_unit_test(byte_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
