#include "tests/testing.h"

#include "core/base/find.h"

#include <stdlib.h>

static uint64_t seed = 0x9e3779b97f4a7c15u;

static unsigned draw(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

/* Everything says what its plain twin says, for bytes that end at an unmapped
 * page and for every place to begin, whatever the alignment. */
static void twins(void **state)
{
	static const uint8_t four[4] = {'>', '=', '"', '\''}, word[4] = {'h', 'r', 'e', 'f'};
	static const char few[] = "abcdefghREFhref-->=\"' <x";
	uint8_t text[200];

	(void)state;
	for (unsigned round = 0; round < 4000; round++) {
		size_t n = draw(sizeof text);
		unsigned dull = draw(3) ? 20 : 1;
		slice s;

		for (size_t i = 0; i < n; i++)
			text[i] = draw(dull) ? 'z' : (uint8_t)few[draw(sizeof few - 1)];
		s = test_guard(slice_of(text, n));
		for (size_t from = 0; from <= n; from += 1 + draw(5)) {
			assert_int_equal(find_byte(s, from, '-'), find_byte_plain(s, from, '-'));
			assert_int_equal(find_four(s, from, four), find_four_plain(s, from, four));
			assert_int_equal(find_pair(s, from, '-', '-'), find_pair_plain(s, from, '-', '-'));
			assert_int_equal(find_word(s, from, word), find_word_plain(s, from, word));
		}
		test_unguard(s);
	}
}

static void answers(void **state)
{
	static const uint8_t four[4] = {'1', '2', '3', '4'}, word[4] = {'h', 'r', 'e', 'f'};
	slice s = SLICE("The quick brown fox jumps -- over 3 lazy dogs with an HREF, twice: href -");

	(void)state;
	assert_int_equal(find_byte(s, 0, 'q'), 4);
	assert_int_equal(find_byte(s, 5, 'q'), s.len);
	assert_int_equal(find_byte(SLICE_NONE, 0, 'q'), 0);
	assert_int_equal(find_byte(s, s.len + 9, 'q'), s.len);
	assert_int_equal(find_four(s, 0, four), 34);
	assert_int_equal(find_pair(s, 0, '-', '-'), 26);
	assert_int_equal(find_pair(s, 27, '-', '-'), s.len);
	assert_int_equal(find_word(s, 0, word), 54);
	assert_int_equal(find_word(s, 55, word), 67);
	assert_int_equal(find_word(s, 68, word), s.len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(twins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
