#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/model/keyring.h"

#include <stdio.h>
#include <string.h>

#define H32 "000102030405060708090a0b0c0d0e0f"
#define HEX H32 "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
#define HASH "hash " HEX "\n"
#define KEY1 "key 1 active 2026-11-21 " HEX "\n"

static const struct {
	const char *name;
	slice text;
	int want;
	unsigned line;
} rows[] = {
	{"one key", SLICE(HASH KEY1), 0, 2},
	{"key first", SLICE(KEY1 HASH), 0, 2},
	{"all retired", SLICE(HASH "key 64 retired 2028-02-29 " HEX "\n"), 0, 2},
	{"empty", SLICE(""), -REFUSE_SYNTAX, 1},
	{"no key", SLICE(HASH), -REFUSE_SYNTAX, 2},
	{"no hash", SLICE(KEY1), -REFUSE_SYNTAX, 2},
	{"hash twice", SLICE(HASH HASH KEY1), -REFUSE_SYNTAX, 2},
	{"id twice", SLICE(HASH KEY1 KEY1), -REFUSE_SYNTAX, 3},
	{"id 0", SLICE(HASH "key 0 active 2026-11-21 " HEX "\n"), -REFUSE_SYNTAX, 2},
	{"id 65", SLICE(HASH "key 65 active 2026-11-21 " HEX "\n"), -REFUSE_SYNTAX, 2},
	{"id 01", SLICE(HASH "key 01 active 2026-11-21 " HEX "\n"), -REFUSE_SYNTAX, 2},
	{"other state", SLICE(HASH "key 1 Active 2026-11-21 " HEX "\n"), -REFUSE_SYNTAX, 2},
	{"no such day", SLICE(HASH "key 1 active 2026-02-29 " HEX "\n"), -REFUSE_SYNTAX, 2},
	{"month 13", SLICE(HASH "key 1 active 2026-13-01 " HEX "\n"), -REFUSE_SYNTAX, 2},
	{"before 1970", SLICE(HASH "key 1 active 1969-12-31 " HEX "\n"), -REFUSE_SYNTAX, 2},
	{"short secret", SLICE(HASH "key 1 active 2026-11-21 " H32 "\n"), -REFUSE_SYNTAX, 2},
	{"no secret", SLICE(HASH "key 1 active 2026-11-21\n"), -REFUSE_SYNTAX, 2},
	{"byte behind", SLICE(HASH "key 1 active 2026-11-21 " HEX " \n"), -REFUSE_SYNTAX, 2},
	{"two spaces", SLICE(HASH "key  1 active 2026-11-21 " HEX "\n"), -REFUSE_SYNTAX, 2},
	{"CR LF", SLICE("hash " HEX "\r\n" KEY1), -REFUSE_SYNTAX, 1},
	{"empty line", SLICE(HASH "\n" KEY1), -REFUSE_SYNTAX, 2},
	{"unknown word", SLICE(HASH KEY1 "salt " HEX "\n"), -REFUSE_SYNTAX, 3},
	{"no last line end", SLICE(HASH "key 1 active 2026-11-21 " HEX), -REFUSE_SYNTAX, 2},
};

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].text);
		struct keyring ring;
		unsigned line;

		test_numbers_equal(rows[i].name, keyring_decode(in, &ring, &line), rows[i].want);
		test_numbers_equal(rows[i].name, line, rows[i].line);
		test_unguard(in);
	}
}

static void prefixes(void **state)
{
	const slice all = SLICE(HASH KEY1);

	(void)state;
	for (size_t n = 0; n < all.len; n++) {
		slice in = test_guard(slice_sub(all, 0, n));
		struct keyring ring;
		unsigned line;

		test_numbers_equal("prefix", keyring_decode(in, &ring, &line), -REFUSE_SYNTAX);
		test_unguard(in);
	}
}

static void inverse(void **state)
{
	struct keyring ring = {.count = KEYRING_MAX_KEYS}, back;
	struct buf text, again;
	unsigned line;

	(void)state;
	buf_init(&text, 1 << 16);
	buf_init(&again, 1 << 16);
	for (unsigned i = 0; i < KEYRING_MAX_KEYS; i++) {
		ring.key[i].id = (uint8_t)(KEYRING_MAX_KEYS - i);
		ring.key[i].retired = i % 3 == 0;
		ring.key[i].made_day = i * 45000; /* to 9732-06-11 */
		memset(ring.key[i].secret, (int)i * 5, KEYRING_SECRET);
	}
	keyring_encode(&ring, &text);
	assert_int_equal(keyring_decode(buf_slice(&text), &back, &line), 0);
	keyring_encode(&back, &again);
	test_slices_equal("text", buf_slice(&again), buf_slice(&text));
	assert_int_equal(back.count, ring.count);
	for (unsigned i = 0; i < ring.count; i++) {
		assert_int_equal(back.key[i].id, ring.key[i].id);
		assert_int_equal(back.key[i].retired, ring.key[i].retired);
		assert_int_equal(back.key[i].made_day, ring.key[i].made_day);
		assert_memory_equal(back.key[i].secret, ring.key[i].secret, KEYRING_SECRET);
	}
	assert_int_equal(keyring_newest(&ring)->id, 63); /* 64 is retired */
	assert_null(keyring_find(&ring, 64));
	assert_int_equal(keyring_find(&ring, 62)->id, 62);
	assert_null(keyring_find(&ring, 0));
	buf_free(&text);
	buf_free(&again);
}

/* Every day of eight hundred years, against counting. */
static void dates(void **state)
{
	static const unsigned length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned y = 1970, m = 1, d = 1;

	(void)state;
	for (uint32_t day = 0; day < 292194; day++) {
		struct keyring ring = {.count = 1, .key = {{.id = 1, .made_day = day}}};
		bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
		struct buf text;
		char want[64];

		if (day < 20 * 366 || day % 7 == 0) {
			buf_init(&text, 1024);
			keyring_encode(&ring, &text);
			snprintf(want, sizeof want, "key 1 active %04u-%02u-%02u ", y, m, d);
			test_slices_equal(
				"date", slice_sub(buf_slice(&text), 70, 70 + strlen(want)), slice_str(want));
			buf_free(&text);
		}
		if (++d > length[m - 1] + (m == 2 && leap)) {
			d = 1;
			if (++m > 12) {
				m = 1;
				y++;
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(inverse),
		cmocka_unit_test(dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
