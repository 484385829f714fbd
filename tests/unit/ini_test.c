#include "core/base/refuse.h"
#include "core/parse/ini.h"
#include "tests/testing.h"

/* Of the last line that was read: what a row is about. */
static const struct {
	const char *name;
	slice in;
	int rc; /* how the text ends */
	unsigned number;
	enum ini_kind kind;
	slice section, key, value;
} rows[] = {
	{"empty", SLICE_NONE, 0, 0, INI_BLANK, SLICE_NONE, SLICE_NONE, SLICE_NONE},
	{"blank", SLICE(" \t\r\n"), 0, 1, INI_BLANK, SLICE_NONE, SLICE_NONE, SLICE_NONE},
	{"comment", SLICE("  # why = not\n"), 0, 1, INI_COMMENT, SLICE_NONE, SLICE_NONE, SLICE("why = not")},
	{"semicolon", SLICE("; x"), 0, 1, INI_COMMENT, SLICE_NONE, SLICE_NONE, SLICE("x")},
	{"section", SLICE("[ data ]\n"), 0, 1, INI_SECTION, SLICE("data"), SLICE_NONE, SLICE_NONE},
	{"setting", SLICE("[a]\nk = v\n"), 0, 2, INI_SETTING, SLICE("a"), SLICE("k"), SLICE("v")},
	{"without section", SLICE("k=v"), 0, 1, INI_SETTING, SLICE_NONE, SLICE("k"), SLICE("v")},
	{"no newline at the end", SLICE("[a]\nk=v"), 0, 2, INI_SETTING, SLICE("a"), SLICE("k"), SLICE("v")},
	{"CRLF", SLICE("[a]\r\nk = v \r\n"), 0, 2, INI_SETTING, SLICE("a"), SLICE("k"), SLICE("v")},
	{"empty value", SLICE("[a]\nk =\n"), 0, 2, INI_SETTING, SLICE("a"), SLICE("k"), SLICE_NONE},
	{"marks within a value", SLICE("k = a # b ; c = d"), 0, 1, INI_SETTING, SLICE_NONE, SLICE("k"),
		SLICE("a # b ; c = d")},
	{"UTF-8 value", SLICE("k = gr\xc3\xbc\xc3\x9f"), 0, 1, INI_SETTING, SLICE_NONE, SLICE("k"),
		SLICE("gr\xc3\xbc\xc3\x9f")},
	{"byte order mark", SLICE("\xef\xbb\xbf[a]"), 0, 1, INI_SECTION, SLICE("a"), SLICE_NONE, SLICE_NONE},
	{"no equals sign", SLICE("[a]\nk v\n"), -REFUSE_SYNTAX, 2, 0, SLICE_NONE, SLICE_NONE, SLICE_NONE},
	{"key with a blank", SLICE("a b = c"), -REFUSE_SYNTAX, 1, 0, SLICE_NONE, SLICE_NONE, SLICE_NONE},
	{"no key", SLICE("= c"), -REFUSE_SYNTAX, 1, 0, SLICE_NONE, SLICE_NONE, SLICE_NONE},
	{"section not closed", SLICE("\n\n[a\n"), -REFUSE_SYNTAX, 3, 0, SLICE_NONE, SLICE_NONE, SLICE_NONE},
	{"section with text behind", SLICE("[a] b"), -REFUSE_SYNTAX, 1, 0, SLICE_NONE, SLICE_NONE,
		SLICE_NONE},
	{"section without name", SLICE("[]"), -REFUSE_SYNTAX, 1, 0, SLICE_NONE, SLICE_NONE, SLICE_NONE},
	{"one bracket", SLICE("["), -REFUSE_SYNTAX, 1, 0, SLICE_NONE, SLICE_NONE, SLICE_NONE},
	{"NUL", SLICE("k = a\0b"), -REFUSE_NUL, 1, 0, SLICE_NONE, SLICE_NONE, SLICE_NONE},
	{"bare CR", SLICE("k = a\rb\n"), -REFUSE_NUL, 1, 0, SLICE_NONE, SLICE_NONE, SLICE_NONE},
};

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in);
		struct ini_line line = {0}, last = {0};
		struct ini it;
		int rc;

		ini_start(&it, in);
		while ((rc = ini_next(&it, &line)) > 0)
			last = line;
		test_numbers_equal(rows[i].name, rc, rows[i].rc);
		test_numbers_equal(rows[i].name, it.number, rows[i].number);
		if (rc == 0) {
			test_numbers_equal(rows[i].name, last.kind, rows[i].kind);
			test_slices_equal(rows[i].name, last.section, rows[i].section);
			test_slices_equal(rows[i].name, last.key, rows[i].key);
			test_slices_equal(rows[i].name, last.value, rows[i].value);
		}
		test_unguard(in);
	}
}

static void long_line(void **state)
{
	static uint8_t text[INI_MAX_LINE + 2];
	struct ini_line line;
	struct ini it;

	(void)state;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = '#';
	text[INI_MAX_LINE] = '\n';
	ini_start(&it, slice_of(text, INI_MAX_LINE + 1));
	assert_int_equal(ini_next(&it, &line), 1);
	text[INI_MAX_LINE] = '#';
	ini_start(&it, slice_of(text, INI_MAX_LINE + 1));
	assert_int_equal(ini_next(&it, &line), -REFUSE_LINE_TOO_LONG);
	assert_int_equal(it.number, 1);
}

/* The lines of a prefix are those of the whole, up to the cut one. */
static void every_prefix(void **state)
{
	slice all = SLICE("# c\n[a]\r\nk = v\n\n; x\n[b]\nlong-key_2 = a = b\n");

	(void)state;
	for (size_t n = 0; n <= all.len; n++) {
		slice in = test_guard(slice_sub(all, 0, n));
		struct ini_line line, want;
		struct ini it, whole;

		ini_start(&it, in);
		ini_start(&whole, all);
		while (ini_next(&it, &line) > 0) {
			assert_int_equal(ini_next(&whole, &want), 1);
			if (line.to < n)
				assert_int_equal(line.kind, want.kind);
			assert_int_equal(line.from, want.from);
		}
		test_unguard(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(long_line),
		cmocka_unit_test(every_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
