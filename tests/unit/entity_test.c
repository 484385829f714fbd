#include "core/parse/entity.h"
#include "tests/testing.h"

#include <stdio.h>
#include <string.h>

static void the_longest_name_is_found(void **state)
{
	static const struct {
		const char *name;
		slice in;
		size_t took;
		slice text;
	} rows[] = {
		{"nothing", SLICE(""), 0, SLICE("")},
		{"unknown", SLICE("zz;"), 0, SLICE("")},
		{"first of the table", SLICE("AElig"), 5, SLICE("\xc3\x86")},
		{"last of the table", SLICE("zwnj;"), 5, SLICE("\xe2\x80\x8c")},
		{"needs its semicolon", SLICE("zwnj"), 0, SLICE("")},
		{"with semicolon", SLICE("amp;x"), 4, SLICE("&")},
		{"without", SLICE("ampx"), 3, SLICE("&")},
		{"case counts", SLICE("Amp;"), 0, SLICE("")},
		{"upper case", SLICE("AMP;"), 4, SLICE("&")},
		{"back to a shorter one", SLICE("notit;"), 3, SLICE("\xc2\xac")},
		{"on to a longer one", SLICE("notin;"), 6, SLICE("\xe2\x88\x89")},
		{"longer still", SLICE("notinvb;"), 8, SLICE("\xe2\x8b\xb7")},
		{"two code points", SLICE("NotEqualTilde;"), 14, SLICE("\xe2\x89\x82\xcc\xb8")},
		{"shortest", SLICE("lt"), 2, SLICE("<")},
		{"longest", SLICE("CounterClockwiseContourIntegral;"), 32, SLICE("\xe2\x88\xb3")},
		{"non-ASCII", SLICE("\xff\xfe"), 0, SLICE("")},
		{"NUL", SLICE("\0;"), 0, SLICE("")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in), text = SLICE("");

		test_numbers_equal(rows[i].name, (long long)entity_find(in, &text), (long long)rows[i].took);
		test_slices_equal(rows[i].name, text, rows[i].text);
		test_unguard(in);
	}
}

static void references_are_decoded(void **state)
{
	static const struct {
		const char *name;
		slice in;
		size_t took, took_in_attribute;
		slice text;
	} rows[] = {
		{"ampersand alone", SLICE("&"), 0, 0, SLICE("")},
		{"and space", SLICE("& "), 0, 0, SLICE("")},
		{"named", SLICE("&amp;"), 5, 5, SLICE("&")},
		{"without semicolon, at the end", SLICE("&amp"), 4, 4, SLICE("&")},
		{"without semicolon, equals sign", SLICE("&amp="), 4, 0, SLICE("&")},
		{"without semicolon, letter", SLICE("&ampz"), 4, 0, SLICE("&")},
		{"without semicolon, capital", SLICE("&ampZ"), 4, 0, SLICE("&")},
		{"without semicolon, digit", SLICE("&amp9"), 4, 0, SLICE("&")},
		{"without semicolon, other", SLICE("&amp-"), 4, 4, SLICE("&")},
		{"without semicolon, non-ASCII", SLICE("&amp\xc3"), 4, 4, SLICE("&")},
		{"decimal", SLICE("&#65;"), 5, 5, SLICE("A")},
		{"decimal without semicolon", SLICE("&#65="), 4, 4, SLICE("A")},
		{"decimal ends at a letter", SLICE("&#65a"), 4, 4, SLICE("A")},
		{"hexadecimal", SLICE("&#x41;"), 6, 6, SLICE("A")},
		{"hexadecimal, capitals", SLICE("&#XaF;"), 6, 6, SLICE("\xc2\xaf")},
		{"hexadecimal ends at a g", SLICE("&#x41g"), 5, 5, SLICE("A")},
		{"no digits", SLICE("&#;"), 0, 0, SLICE("")},
		{"no hexadecimal digits", SLICE("&#x;"), 0, 0, SLICE("")},
		{"cut off", SLICE("&#"), 0, 0, SLICE("")},
		{"cut off after the x", SLICE("&#x"), 0, 0, SLICE("")},
		{"NUL", SLICE("&#0;"), 4, 4, SLICE("\xef\xbf\xbd")},
		{"leading zeros", SLICE("&#x0000000000041;"), 17, 17, SLICE("A")},
		{"surrogate", SLICE("&#xD800;"), 8, 8, SLICE("\xef\xbf\xbd")},
		{"last surrogate", SLICE("&#xDFFF;"), 8, 8, SLICE("\xef\xbf\xbd")},
		{"after the surrogates", SLICE("&#xE000;"), 8, 8, SLICE("\xee\x80\x80")},
		{"noncharacter", SLICE("&#xFFFE;"), 8, 8, SLICE("\xef\xbf\xbe")},
		{"last of all", SLICE("&#x10FFFF;"), 10, 10, SLICE("\xf4\x8f\xbf\xbf")},
		{"one too many", SLICE("&#x110000;"), 10, 10, SLICE("\xef\xbf\xbd")},
		{"wraps 32 bits", SLICE("&#4294967361;"), 13, 13, SLICE("\xef\xbf\xbd")},
		{"wraps 64 bits", SLICE("&#x10000000000000041;"), 21, 21, SLICE("\xef\xbf\xbd")},
		{"controls as they are", SLICE("&#13;"), 5, 5, SLICE("\r")},
		{"delete", SLICE("&#127;"), 6, 6, SLICE("\x7f")},
		{"euro of windows-1252", SLICE("&#128;"), 6, 6, SLICE("\xe2\x82\xac")},
		{"hole of windows-1252", SLICE("&#x81;"), 6, 6, SLICE("\xc2\x81")},
		{"last of windows-1252", SLICE("&#x9F;"), 6, 6, SLICE("\xc5\xb8")},
		{"behind it", SLICE("&#xA0;"), 6, 6, SLICE("\xc2\xa0")},
	};
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (int in_attribute = 0; in_attribute < 2; in_attribute++) {
			slice in = test_guard(rows[i].in);
			size_t want = in_attribute ? rows[i].took_in_attribute : rows[i].took;

			buf_init(&out, 16);
			test_numbers_equal(rows[i].name, (long long)entity_decode(in, in_attribute, &out),
				(long long)want);
			test_slices_equal(rows[i].name, buf_slice(&out), want ? rows[i].text : SLICE_NONE);
			buf_free(&out);
			test_unguard(in);
		}
	}
}

/* Windows-1252 by Unicode's own list, 0x80 to 0x9f; the five holes stay. */
static void all_of_windows_1252(void **state)
{
	static const uint32_t want[32] = {0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,
		0x2030, 0x160, 0x2039, 0x152, 0x8d, 0x17d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
		0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d, 0x17e, 0x178};
	struct buf out;
	uint8_t utf8[4];
	char in[16];

	(void)state;
	for (unsigned i = 0; i < 32; i++) {
		snprintf(in, sizeof in, "&#%u;", 128 + i);
		buf_init(&out, 4);
		assert_int_equal(entity_decode(slice_str(in), true, &out), 6);
		test_slices_equal(in, buf_slice(&out), slice_of(utf8, entity_utf8(want[i], utf8)));
		buf_free(&out);
	}
}

/* Every row of the table is found by its own name: it is sorted as the search
 * wants it. */
static void the_table_is_whole(void **state)
{
#define E(name, text) {SLICE(name), SLICE(text)},
	static const struct {
		slice name, text;
	} rows[] = {
#include "core/parse/entity_table.def"
	};
#undef E
	const size_t count = sizeof rows / sizeof *rows;
	slice text;

	(void)state;
	assert_int_equal(count, 2231);
	for (size_t i = 0; i < count; i++) {
		slice guarded = test_guard(rows[i].name);

		assert_true(rows[i].name.len <= ENTITY_MAX_NAME);
		assert_int_equal(entity_find(guarded, &text), rows[i].name.len);
		test_slices_equal((const char *)rows[i].name.p, text, rows[i].text);
		test_unguard(guarded);
	}
}

static void the_table_is_what_its_generator_prints(void **state)
{
	bool found;
	slice want = test_file("core/parse/entity_table.def", &found);
	FILE *f = popen("python3 core/parse/entity_table.py 2>/dev/null", "r");
	static char got[1 << 17];
	size_t n;

	(void)state;
	assert_true(found);
	assert_non_null(f);
	n = fread(got, 1, sizeof got, f);
	if (pclose(f) != 0) {
		printf("skipped: no python3\n");
		skip();
	}
	assert_int_equal(n, want.len);
	assert_memory_equal(got, want.p, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_name_is_found),
		cmocka_unit_test(references_are_decoded),
		cmocka_unit_test(all_of_windows_1252),
		cmocka_unit_test(the_table_is_whole),
		cmocka_unit_test(the_table_is_what_its_generator_prints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
