#include "tests/testing.h"

#include "core/io/daemon.h"
#include "core/io/options.h"

#include <stdio.h>
#include <string.h>

static const char *dir;
static int64_t number;
static bool flag;
static const struct option_row rows[] = {
	{.name = "--dir", .value = "DIR", .help = "a text", .text = &dir},
	{.name = "--number", .value = "N", .help = "a number", .number = &number},
	{.name = "--flag", .help = "a flag", .flag = &flag},
};
static const struct command about = {.name = "x",
	.usage = "ARG",
	.what = "What.",
	.example = "  x",
	.rows = rows,
	.count = 3,
	.least = 1,
	.most = 2};

static int read(const char *const *argv, struct command_line *l)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return options_read(&about, argc, (char **)argv, l);
}

static void options_and_arguments_in_any_order(void **state)
{
	const char *argv[] = {"x", "a", "--number", "-7", "--flag", "--set", "a.b=1", "--config", "f",
		"--dir", "d", "--set", "c.d=2", "--", "--b", NULL};
	struct command_line l;

	(void)state;
	test_numbers_equal("go on", read(argv, &l), -1);
	test_numbers_equal("number", number, -7);
	assert_true(flag);
	assert_string_equal(dir, "d");
	assert_string_equal(l.config, "f");
	assert_int_equal(l.sets, 2);
	assert_string_equal(l.set[1], "c.d=2");
	assert_int_equal(l.args, 2);
	assert_string_equal(l.arg[0], "a");
	assert_string_equal(l.arg[1], "--b");
}

static void what_is_wrong_is_usage(void **state)
{
	static const struct {
		const char *name;
		const char *argv[6];
		int want;
	} table[] = {
		{"unknown option", {"x", "a", "--no", NULL}, EXIT_USAGE},
		{"no value", {"x", "a", "--dir", NULL}, EXIT_USAGE},
		{"no value for --set", {"x", "a", "--set", NULL}, EXIT_USAGE},
		{"no number", {"x", "a", "--number", "3x", NULL}, EXIT_USAGE},
		{"argument missing", {"x", NULL}, EXIT_USAGE},
		{"too many arguments", {"x", "a", "b", "c", NULL}, EXIT_USAGE},
		{"help", {"x", "--help", NULL}, EXIT_DONE},
	};
	struct command_line l;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		test_numbers_equal(table[i].name, read(table[i].argv, &l), table[i].want);
}

static void settings_that_are_wrong_are_refused(void **state)
{
	struct command_line l = {.set = {"tracker.listen=nowhere"}, .sets = 1};
	struct config c;

	(void)state;
	test_numbers_equal("bad value", options_config(&l, &c), EXIT_REFUSED);
	l.set[0] = "tracker.listen=127.0.0.1:1";
	test_numbers_equal("good value", options_config(&l, &c), -1);
	test_numbers_equal("is set", c.tracker_listen.port, 1);
	config_close(&c);
	l.config = "/nonexistent/landfall.conf";
	test_numbers_equal("no file", options_config(&l, &c), EXIT_WORLD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_and_arguments_in_any_order),
		cmocka_unit_test(what_is_wrong_is_usage),
		cmocka_unit_test(settings_that_are_wrong_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
