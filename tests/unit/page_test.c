#include "tests/testing.h"

#include "tracker/page.h"

static void test_pages(void **state)
{
	static const enum page all[] = {
		PAGE_NOT_FOUND, PAGE_CONFIRM, PAGE_DONE, PAGE_BAD_REQUEST, PAGE_NOT_ALLOWED};
	static const slice wanted[] = {SLICE("<!DOCTYPE html>"), SLICE("<html lang=\"en\">"),
		SLICE("<title>"), SLICE("<h1>"), SLICE("name=\"viewport\""), SLICE("</html>\n")};
	static const slice unwanted[] = {SLICE("<script"), SLICE("style"), SLICE("http"), SLICE("<img")};

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++)
			assert_true(slice_find(page_of(all[i]), wanted[k], 0) != SLICE_NPOS);
		for (size_t k = 0; k < sizeof unwanted / sizeof *unwanted; k++)
			assert_true(slice_find(page_of(all[i]), unwanted[k], 0) == SLICE_NPOS);
		assert_int_equal(
			slice_find(page_of(all[i]), SLICE("<form"), 0) != SLICE_NPOS, all[i] == PAGE_CONFIRM);
	}
	/* What the button sends is what RFC 8058 asks of mailbox providers. */
	assert_true(slice_find(page_of(PAGE_CONFIRM), SLICE("name=\"List-Unsubscribe\" value=\"One-Click\""),
			    0) != SLICE_NPOS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_pages)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
