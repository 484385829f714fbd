#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/parse/proxyhdr.h"

#include <stdio.h>

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x01\xc6\x33\x64\x07\x12\x67\x00\x19" /* 192.0.2.1:4711 to 198.51.100.7:25 */
#define V6                                                                                                   \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"                                                         \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"                                                         \
	"\xff\xff\x02\x0b"

static const struct {
	const char *name;
	slice in;
	int rc;
	const char *source; /* NULL: not known */
	int port;
	const char *destination;
	int destination_port;
} rows[] = {
	{"v1 IPv4", SLICE("PROXY TCP4 192.0.2.1 198.51.100.7 4711 25\r\n"), 43, "192.0.2.1", 4711,
		"198.51.100.7", 25},
	{"v1 IPv6", SLICE("PROXY TCP6 2001:db8::1 2001:db8::2 65535 0\r\n"), 44, "2001:db8::1", 65535,
		"2001:db8::2", 0},
	{"v1, mail behind it", SLICE("PROXY TCP4 192.0.2.1 198.51.100.7 4711 25\r\nEHLO c\r\n"), 43,
		"192.0.2.1", 4711, "198.51.100.7", 25},
	{"v1 unknown", SLICE("PROXY UNKNOWN\r\n"), 15, NULL, 0, NULL, 0},
	{"v1 unknown, words ignored", SLICE("PROXY UNKNOWN ffff::1 x 0 0\r\nA"), 29, NULL, 0, NULL, 0},
	{"v1 longest",
		SLICE("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
		107, NULL, 0, NULL, 0},
	{"v1 a byte longer",
		SLICE("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655356\r\n"),
		-REFUSE_TOO_LARGE, NULL, 0, NULL, 0},
	{"v1 IPv6 as IPv4", SLICE("PROXY TCP4 ::1 ::1 1 1\r\n"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v1 IPv4 as IPv6", SLICE("PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v1 UDP", SLICE("PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v1 lower case", SLICE("proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v1 two blanks", SLICE("PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v1 blank at the end", SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n"), -REFUSE_SYNTAX, NULL, 0, NULL,
		0},
	{"v1 a word too many", SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n"), -REFUSE_SYNTAX, NULL, 0, NULL,
		0},
	{"v1 a word too few", SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v1 port with a zero in front", SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n"), -REFUSE_SYNTAX, NULL,
		0, NULL, 0},
	{"v1 port too large", SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n"), -REFUSE_SYNTAX, NULL, 0, NULL,
		0},
	{"v1 address out of range", SLICE("PROXY TCP4 1.2.3.256 1.2.3.4 1 1\r\n"), -REFUSE_SYNTAX, NULL, 0,
		NULL, 0},
	{"v1 address with a zero in front", SLICE("PROXY TCP4 1.2.3.04 1.2.3.4 1 1\r\n"), -REFUSE_SYNTAX,
		NULL, 0, NULL, 0},
	{"v1 bare LF", SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v1 bare CR", SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\rEHLO c\r\n"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v1 NUL", SLICE("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 1\r\n"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v1 nothing", SLICE("PROXY \r\n"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"no header: SMTP", SLICE("EHLO c\r\n"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"no header: TLS", SLICE("\x16\x03\x01"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"nothing yet", SLICE(""), 0, NULL, 0, NULL, 0},

	{"v2 IPv4", SLICE(SIG "\x21\x11\0\x0c" V4), 28, "192.0.2.1", 4711, "198.51.100.7", 25},
	{"v2 IPv4, mail behind it", SLICE(SIG "\x21\x11\0\x0c" V4 "EHLO c\r\n"), 28, "192.0.2.1", 4711,
		"198.51.100.7", 25},
	{"v2 IPv6", SLICE(SIG "\x21\x21\0\x24" V6), 52, "2001:db8::1", 65535, "2001:db8::2", 523},
	{"v2 with more", SLICE(SIG "\x21\x11\0\x11" V4 "\x04\0\x02xx"), 33, "192.0.2.1", 4711, "198.51.100.7",
		25},
	{"v2 LOCAL", SLICE(SIG "\x20\0\0\0"), 16, NULL, 0, NULL, 0},
	{"v2 LOCAL with addresses", SLICE(SIG "\x20\x11\0\x0c" V4), 28, NULL, 0, NULL, 0},
	{"v2 unspecified", SLICE(SIG "\x21\0\0\x02xx"), 18, NULL, 0, NULL, 0},
	{"v2 Unix", SLICE(SIG "\x21\x31\0\x02xx"), 18, NULL, 0, NULL, 0},
	{"v2 UDP", SLICE(SIG "\x21\x12\0\x0c" V4), 28, NULL, 0, NULL, 0},
	{"v2 addresses cut", SLICE(SIG "\x21\x11\0\x0b" V4), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v2 IPv6 addresses cut", SLICE(SIG "\x21\x21\0\x23" V6), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v2 version 1", SLICE(SIG "\x11\x11\0\x0c" V4), -REFUSE_VERSION, NULL, 0, NULL, 0},
	{"v2 version 3", SLICE(SIG "\x31\x11\0\x0c" V4), -REFUSE_VERSION, NULL, 0, NULL, 0},
	{"v2 command 2", SLICE(SIG "\x22\x11\0\x0c" V4), -REFUSE_VERSION, NULL, 0, NULL, 0},
	{"v2 family 4", SLICE(SIG "\x21\x41\0\x0c" V4), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v2 protocol 3", SLICE(SIG "\x21\x13\0\x0c" V4), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
	{"v2 too much more", SLICE(SIG "\x21\x11\x08\x01" V4), -REFUSE_TOO_LARGE, NULL, 0, NULL, 0},
	{"v2 signature broken", SLICE("\r\n\r\n\0\r\nQUIT\r"), -REFUSE_SYNTAX, NULL, 0, NULL, 0},
};

static void expect_address(const char *name, const struct ip *got, const char *want)
{
	struct buf text;

	buf_init(&text, IP_MAX_TEXT);
	ip_encode(got, &text);
	test_slices_equal(name, buf_slice(&text), slice_str(want));
	buf_free(&text);
}

static void headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in);
		struct proxyhdr h;
		int rc = proxyhdr_decode(in, &h);

		test_numbers_equal(rows[i].name, rc, rows[i].rc);
		test_numbers_equal(rows[i].name, h.known, rows[i].source != NULL);
		if (rows[i].source) {
			expect_address(rows[i].name, &h.source, rows[i].source);
			expect_address(rows[i].name, &h.destination, rows[i].destination);
			test_numbers_equal(rows[i].name, h.source_port, rows[i].port);
			test_numbers_equal(rows[i].name, h.destination_port, rows[i].destination_port);
		}
		test_unguard(in);
	}
}

/* Every prefix: nothing is said before it is certain, and then it stays. */
static void prefixes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (size_t n = 0, said = 0; n < rows[i].in.len; n++) {
			slice in = test_guard(slice_sub(rows[i].in, 0, n));
			struct proxyhdr h;
			int rc = proxyhdr_decode(in, &h);
			char name[100];

			snprintf(name, sizeof name, "%s, %zu bytes", rows[i].name, n);
			/* Who reads as much as that says gets the header and nothing more. */
			if (rc == 0 && rows[i].rc > 0)
				test_numbers_equal(name, n + proxyhdr_more(in) <= (size_t)rows[i].rc, true);
			if (rc == 0)
				test_numbers_equal(name, proxyhdr_more(in) > 0, true);
			if (said || rc != 0 || (rows[i].rc > 0 && n >= (size_t)rows[i].rc))
				test_numbers_equal(name, rc, rows[i].rc);
			said |= rc != 0;
			test_unguard(in);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),
		cmocka_unit_test(prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
