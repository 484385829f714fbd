#include "tests/testing.h"

#include "rewriter/xforward.h"

#define ALL "NAME ADDR PORT PROTO HELO SOURCE IDENT"

static const struct {
	const char *name;
	slice offered;
	const char *address; /* NULL: not told */
	slice helo, ident;
	slice want; /* empty: nothing to tell */
} rows[] = {
	{"all that Postfix takes", SLICE(ALL), "192.0.2.1", SLICE("c.example"), SLICE("abc"),
		SLICE("XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1 PORT=4711 PROTO=ESMTP HELO=c.example "
		      "IDENT=abc")},
	{"no name of the copy", SLICE(ALL), "192.0.2.1", SLICE("c"), SLICE(""),
		SLICE("XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1 PORT=4711 PROTO=ESMTP HELO=c")},
	{"only the name of the copy", SLICE(ALL), NULL, SLICE("c"), SLICE("abc"),
		SLICE("XFORWARD IDENT=abc")},
	{"IPv6", SLICE("addr"), "2001:db8::1", SLICE("c"), SLICE("abc"),
		SLICE("XFORWARD ADDR=IPV6:2001:db8::1")},
	{"HELO encoded", SLICE("HELO"), "192.0.2.1", SLICE("[1.2.3.4] +=\x7f\xc3"), SLICE(""),
		SLICE("XFORWARD HELO=[1.2.3.4]+20+2B+3D+7F+C3")},
	{"no HELO", SLICE("HELO"), "192.0.2.1", SLICE(""), SLICE(""), SLICE("XFORWARD HELO=[UNAVAILABLE]")},
	{"HELO too long", SLICE("HELO"), "192.0.2.1",
		SLICE("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
		      "\1\1\1\1\1"
		      "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"),
		SLICE(""), SLICE("XFORWARD HELO=[UNAVAILABLE]")},
	{"nothing that we know", SLICE("SOURCE"), "192.0.2.1", SLICE("c"), SLICE("abc"), SLICE("")},
	{"nothing offered", SLICE(""), "192.0.2.1", SLICE("c"), SLICE("abc"), SLICE("")},
	{"nothing to tell", SLICE(ALL), NULL, SLICE("c"), SLICE(""), SLICE("")},
	{"name too long", SLICE("IDENT"), NULL, SLICE(""),
		SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), SLICE("")},
};

static void commands(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct smtp_words offered = {.len = 0};
		struct ip address;
		struct xforward f = {.port = 4711,
			.helo = rows[i].helo,
			.protocol = SLICE("ESMTP"),
			.ident = rows[i].ident};
		struct smtp_command c;
		struct buf out;
		bool told;

		assert_true(smtp_words_add(&offered, rows[i].offered));
		if (rows[i].address) {
			assert_int_equal(ip_decode(slice_str(rows[i].address), &address), 0);
			f.address = &address;
		}
		buf_init(&out, SMTP_MAX_COMMAND);
		told = xforward_put(&f, &offered, &out);
		test_slices_equal(rows[i].name, buf_slice(&out), rows[i].want);
		test_numbers_equal(rows[i].name, told, rows[i].want.len > 0);
		test_numbers_equal(rows[i].name, out.full, false);
		if (told)
			test_numbers_equal(rows[i].name, smtp_command_decode(buf_slice(&out), &c), 0);
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(commands)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
