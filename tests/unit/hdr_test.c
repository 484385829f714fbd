#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/parse/hdr.h"

#include <stdlib.h>
#include <string.h>

static void sections(void **state)
{
	static const struct {
		const char *name;
		slice in;
		int rc, fields;
		size_t end, pos;
	} rows[] = {
		{"two fields", SLICE("A: 1\r\nB: 2\r\n\r\nx"), 0, 2, 12, 14},
		{"folded", SLICE("A: 1\r\n 2\r\n\t3\r\nB:\r\n\r\n"), 0, 2, 18, 20},
		{"a fold of blanks alone", SLICE("A: 1\r\n \r\nB: 2\r\n\r\n"), 0, 2, 15, 17},
		{"bare LF", SLICE("A: 1\n b\nB: 2\n\nx"), 0, 2, 13, 14},
		{"blank before the colon", SLICE("A \t: 1\r\n\r\n"), 0, 1, 8, 10},
		{"no empty line", SLICE("A: 1\r\nthis is text\r\n"), 0, 1, 6, 6},
		{"mbox line", SLICE("From a@b Sat\nA: 1\n\n"), 0, 2, 18, 19},
		{"mbox line is first or none", SLICE("A: 1\nFrom a@b Sat\n\n"), 0, 1, 5, 5},
		{"no fields", SLICE("\r\nx"), 0, 0, 0, 2},
		{"text at once", SLICE("hello\r\n"), 0, 0, 0, 0},
		{"a fold of nothing", SLICE(" x\r\nA: 1\r\n\r\n"), 0, 0, 0, 0},
		{"cut in a line", SLICE("A: 1"), 0, 1, 4, 4},
		{"cut in a fold", SLICE("A: 1\r\n"), 0, 1, 6, 6},
		{"empty", SLICE(""), 0, 0, 0, 0},
		{"colon first", SLICE(": x\r\n\r\n"), 0, 0, 0, 0},
		{"8bit name", SLICE("\xc3\xa9: x\r\n\r\n"), 0, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in);
		struct hdr_iter it;
		struct hdr h;
		int n = 0, rc;

		hdr_start(&it, in, 0);
		while ((rc = hdr_next(&it, &h)) > 0)
			n++;
		test_numbers_equal(rows[i].name, rc, rows[i].rc);
		test_numbers_equal(rows[i].name, n, rows[i].fields);
		test_numbers_equal(rows[i].name, (long long)it.end, (long long)rows[i].end);
		test_numbers_equal(rows[i].name, (long long)it.pos, (long long)rows[i].pos);
		test_unguard(in);
	}
}

static void field(void **state)
{
	slice in = test_guard(SLICE("X: 0\r\nSubject :  a\r\n\tb \r\nY: 1\r\n\r\n"));
	struct hdr_iter it;
	struct arena a;
	struct hdr h;

	(void)state;
	arena_init(&a, 1 << 20, NULL, NULL);
	hdr_start(&it, in, 6);
	assert_int_equal(hdr_next(&it, &h), 1);
	test_slices_equal("name", h.name, SLICE("Subject"));
	test_slices_equal("value", h.value, SLICE("  a\r\n\tb "));
	test_slices_equal("unfolded", hdr_unfold(&a, h.value), SLICE("a\tb"));
	assert_int_equal(h.from, 6);
	assert_int_equal(h.to, 25);
	test_slices_equal("CRLF", hdr_line_end(in, 0), SLICE("\r\n"));
	test_slices_equal("LF", hdr_line_end(SLICE("x\ny\r\n"), 0), SLICE("\n"));
	test_slices_equal("none", hdr_line_end(SLICE("x"), 0), SLICE("\r\n"));
	arena_free(&a);
	test_unguard(in);
}

static void cap(void **state)
{
	size_t n = HDR_MAX_SECTION + 10;
	uint8_t *p = malloc(n);
	struct hdr_iter it;
	struct hdr h;
	int rc;

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t) "A: 1\n"[i % 5];
	hdr_start(&it, slice_of(p, n), 0);
	while ((rc = hdr_next(&it, &h)) > 0)
		;
	assert_int_equal(rc, -REFUSE_HEADER_TOO_LARGE);
	/* One field that never ends is found out before it is read to its end. */
	memset(p, ' ', n);
	memcpy(p, "A: 1\n", 5);
	hdr_start(&it, slice_of(p, n), 0);
	assert_int_equal(hdr_next(&it, &h), -REFUSE_HEADER_TOO_LARGE);
	free(p);
}

/* Cut anywhere, the fields still tile what is there. */
static void prefixes(void **state)
{
	slice whole = SLICE("From x\r\nA : 1\r\n 2\r\n--b:c\r\n\r\nbody");

	(void)state;
	for (size_t n = 0; n <= whole.len; n++) {
		slice in = test_guard(slice_sub(whole, 0, n));
		struct hdr_iter it;
		struct hdr h;
		size_t last = 0;

		hdr_start(&it, in, 0);
		while (hdr_next(&it, &h) > 0) {
			assert_int_equal(h.from, last);
			assert_true(h.to > h.from && h.to <= n);
			last = h.to;
		}
		assert_int_equal(it.end, last);
		test_unguard(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections),
		cmocka_unit_test(field),
		cmocka_unit_test(cap),
		cmocka_unit_test(prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
