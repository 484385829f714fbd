#include "tests/testing.h"

#include "rewriter/xforward.h"

#define ONES "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
#define ALL "NAME ADDR PORT PROTO HELO SOURCE IDENT"

static const struct {
	const char *name;
	slice offered;
	const char *address;
	slice helo, ident;
	slice client, copy; /* the commands; empty: nothing to tell */
} rows[] = {
	{"all that Postfix takes", SLICE(ALL), "192.0.2.1", SLICE("c.example"), SLICE("abc"),
		SLICE("XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1 PORT=4711 PROTO=ESMTP HELO=c.example"),
		SLICE("XFORWARD IDENT=abc")},
	{"no name of the copy", SLICE("ADDR IDENT"), "192.0.2.1", SLICE("c"), SLICE(""),
		SLICE("XFORWARD ADDR=192.0.2.1"), SLICE("")},
	{"IPv6", SLICE("addr"), "2001:db8::1", SLICE("c"), SLICE("abc"),
		SLICE("XFORWARD ADDR=IPV6:2001:db8::1"), SLICE("")},
	{"encoded", SLICE("IDENT HELO"), "192.0.2.1", SLICE("[1.2.3.4] +=\x7f\xc3"), SLICE("a=b"),
		SLICE("XFORWARD HELO=[1.2.3.4]+20+2B+3D+7F+C3"), SLICE("XFORWARD IDENT=a+3Db")},
	{"no HELO", SLICE("HELO"), "192.0.2.1", SLICE(""), SLICE(""), SLICE("XFORWARD HELO=[UNAVAILABLE]"),
		SLICE("")},
	{"HELO too long", SLICE("HELO"), "192.0.2.1", SLICE(ONES ONES ONES), SLICE(""),
		SLICE("XFORWARD HELO=[UNAVAILABLE]"), SLICE("")},
	{"nothing that we know", SLICE("SOURCE"), "192.0.2.1", SLICE("c"), SLICE("abc"), SLICE(""),
		SLICE("")},
	{"nothing offered", SLICE(""), "192.0.2.1", SLICE("c"), SLICE("abc"), SLICE(""), SLICE("")},
	{"name too long", SLICE("IDENT"), "192.0.2.1", SLICE(""), SLICE(ONES ONES "1"), SLICE(""), SLICE("")},
};

static void commands(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct smtp_words offered = {.len = 0};
		struct ip address;
		struct xforward f = {
			.address = &address, .port = 4711, .helo = rows[i].helo, .protocol = SLICE("ESMTP")};
		struct smtp_command c;
		struct buf out;
		bool told;

		assert_true(smtp_words_add(&offered, rows[i].offered));
		assert_int_equal(ip_decode(slice_str(rows[i].address), &address), 0);
		buf_init(&out, SMTP_MAX_COMMAND);
		told = xforward_client_put(&f, &offered, &out);
		test_slices_equal(rows[i].name, buf_slice(&out), rows[i].client);
		test_numbers_equal(rows[i].name, told, rows[i].client.len > 0);
		test_numbers_equal(rows[i].name, out.full, false);
		if (told)
			test_numbers_equal(rows[i].name, smtp_command_decode(buf_slice(&out), &c), 0);
		buf_clear(&out);
		told = xforward_ident_put(rows[i].ident, &offered, &out);
		test_slices_equal(rows[i].name, buf_slice(&out), rows[i].copy);
		test_numbers_equal(rows[i].name, told, rows[i].copy.len > 0);
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(commands)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
