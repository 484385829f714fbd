#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/parse/smtp.h"

#include <stdio.h>
#include <string.h>

static void lines(void **state)
{
	static const struct {
		const char *name;
		slice in;
		size_t used;
		slice line;
		int why;
	} rows[] = {
		{"plain", SLICE("NOOP\r\nX"), 6, SLICE("NOOP"), 0},
		{"empty line", SLICE("\r\n"), 2, SLICE(""), 0},
		{"not ended", SLICE("NOOP\r"), 0, SLICE(""), 0},
		{"nothing", SLICE(""), 0, SLICE(""), 0},
		{"bare LF", SLICE("NOOP\nX"), 5, SLICE("NOOP"), -REFUSE_BARE_LF},
		{"bare LF at once", SLICE("\n"), 1, SLICE(""), -REFUSE_BARE_LF},
		{"CR inside", SLICE("NO\rOP\r\n"), 7, SLICE("NO\rOP"), -REFUSE_BARE_CR},
		{"CR CR LF", SLICE("NOOP\r\r\n"), 7, SLICE("NOOP\r"), -REFUSE_BARE_CR},
		{"NUL inside", SLICE("NO\0P\r\n"), 6, SLICE("NO\0P"), -REFUSE_NUL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in), line;
		int why;

		test_numbers_equal(
			rows[i].name, (long long)smtp_line(in, &line, &why), (long long)rows[i].used);
		test_numbers_equal(rows[i].name, why, rows[i].why);
		test_slices_equal(rows[i].name, line, rows[i].line);
		test_unguard(in);
	}
}

static void commands(void **state)
{
	static const struct {
		const char *name;
		slice line;
		int rc;
		enum smtp_verb verb;
		slice arg, address, params;
	} rows[] = {
		{"verb alone", SLICE("DATA"), 0, SMTP_DATA, SLICE(""), SLICE(""), SLICE("")},
		{"lower case", SLICE("ehlo client.example"), 0, SMTP_EHLO, SLICE("client.example"), SLICE(""),
			SLICE("")},
		{"blanks behind", SLICE("QUIT  "), 0, SMTP_QUIT, SLICE(""), SLICE(""), SLICE("")},
		{"unknown", SLICE("XYZZY a b"), 0, SMTP_UNKNOWN, SLICE("a b"), SLICE(""), SLICE("")},
		{"verb run together", SLICE("DATA."), 0, SMTP_UNKNOWN, SLICE("."), SLICE(""), SLICE("")},
		{"empty", SLICE(""), 0, SMTP_UNKNOWN, SLICE(""), SLICE(""), SLICE("")},
		{"control", SLICE("NOOP \x01"), -REFUSE_SYNTAX, SMTP_NOOP, SLICE("\x01"), SLICE(""),
			SLICE("")},
		{"sender", SLICE("MAIL FROM:<a@b.example>"), 0, SMTP_MAIL, SLICE("<a@b.example>"),
			SLICE("a@b.example"), SLICE("")},
		{"null sender", SLICE("MAIL FROM:<>"), 0, SMTP_MAIL, SLICE("<>"), SLICE(""), SLICE("")},
		{"blank behind colon", SLICE("mail from: <a@b> "), 0, SMTP_MAIL, SLICE("<a@b>"), SLICE("a@b"),
			SLICE("")},
		{"parameters", SLICE("MAIL FROM:<a@b> SIZE=12 BODY=8BITMIME SMTPUTF8"), 0, SMTP_MAIL,
			SLICE("<a@b> SIZE=12 BODY=8BITMIME SMTPUTF8"), SLICE("a@b"),
			SLICE("SIZE=12 BODY=8BITMIME SMTPUTF8")},
		{"source route", SLICE("RCPT TO:<@one.example,@two:u@c>"), 0, SMTP_RCPT,
			SLICE("<@one.example,@two:u@c>"), SLICE("u@c"), SLICE("")},
		{"quoted", SLICE("RCPT TO:<\"a b>\\\"c\"@d>"), 0, SMTP_RCPT, SLICE("<\"a b>\\\"c\"@d>"),
			SLICE("\"a b>\\\"c\"@d"), SLICE("")},
		{"postmaster alone", SLICE("RCPT TO:<Postmaster>"), 0, SMTP_RCPT, SLICE("<Postmaster>"),
			SLICE("Postmaster"), SLICE("")},
		{"address literal", SLICE("RCPT TO:<u@[IPv6:::1]>"), 0, SMTP_RCPT, SLICE("<u@[IPv6:::1]>"),
			SLICE("u@[IPv6:::1]"), SLICE("")},
		{"verp", SLICE("MAIL FROM:<b+k3=x/y@b.example>"), 0, SMTP_MAIL, SLICE("<b+k3=x/y@b.example>"),
			SLICE("b+k3=x/y@b.example"), SLICE("")},
		{"utf8", SLICE("RCPT TO:<\xc3\xbc@\xc3\xa4.example>"), 0, SMTP_RCPT,
			SLICE("<\xc3\xbc@\xc3\xa4.example>"), SLICE("\xc3\xbc@\xc3\xa4.example"), SLICE("")},
		{"no brackets", SLICE("MAIL FROM:a@b"), -REFUSE_SYNTAX, SMTP_MAIL, SLICE("a@b"), SLICE(""),
			SLICE("")},
		{"no colon", SLICE("MAIL FROM <a@b>"), -REFUSE_SYNTAX, SMTP_MAIL, SLICE("FROM <a@b>"),
			SLICE(""), SLICE("")},
		{"open", SLICE("RCPT TO:<a@b"), -REFUSE_SYNTAX, SMTP_RCPT, SLICE("<a@b"), SLICE(""),
			SLICE("")},
		{"quote open", SLICE("RCPT TO:<\"a@b>"), -REFUSE_SYNTAX, SMTP_RCPT, SLICE("<\"a@b>"),
			SLICE(""), SLICE("")},
		{"blank in path", SLICE("RCPT TO:<a b@c>"), -REFUSE_SYNTAX, SMTP_RCPT, SLICE("<a b@c>"),
			SLICE(""), SLICE("")},
		{"two at", SLICE("RCPT TO:<a@b@c>"), -REFUSE_SYNTAX, SMTP_RCPT, SLICE("<a@b@c>"), SLICE(""),
			SLICE("")},
		{"route without mailbox", SLICE("RCPT TO:<@a:>"), -REFUSE_SYNTAX, SMTP_RCPT, SLICE("<@a:>"),
			SLICE(""), SLICE("")},
		{"route without colon", SLICE("RCPT TO:<@a>"), -REFUSE_SYNTAX, SMTP_RCPT, SLICE("<@a>"),
			SLICE(""), SLICE("")},
		{"no domain", SLICE("RCPT TO:<a@>"), -REFUSE_SYNTAX, SMTP_RCPT, SLICE("<a@>"), SLICE(""),
			SLICE("")},
		{"glued parameter", SLICE("MAIL FROM:<a@b>SIZE=1"), -REFUSE_SYNTAX, SMTP_MAIL,
			SLICE("<a@b>SIZE=1"), SLICE("a@b"), SLICE("")},
		{"empty value", SLICE("MAIL FROM:<a@b> SIZE="), -REFUSE_SYNTAX, SMTP_MAIL,
			SLICE("<a@b> SIZE="), SLICE("a@b"), SLICE("SIZE=")},
		{"odd parameter", SLICE("MAIL FROM:<a@b> =1"), -REFUSE_SYNTAX, SMTP_MAIL, SLICE("<a@b> =1"),
			SLICE("a@b"), SLICE("=1")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].line);
		struct smtp_command c;

		test_numbers_equal(rows[i].name, smtp_command_decode(in, &c), rows[i].rc);
		test_numbers_equal(rows[i].name, c.verb, rows[i].verb);
		test_slices_equal(rows[i].name, c.arg, rows[i].arg);
		if (rows[i].rc == 0) {
			test_slices_equal(rows[i].name, c.address, rows[i].address);
			test_slices_equal(rows[i].name, c.params, rows[i].params);
		}
		test_unguard(in);
	}
}

static void command_lengths(void **state)
{
	char line[SMTP_MAX_PARAMS + 8];
	struct smtp_command c;

	(void)state;
	memset(line, 'x', sizeof line);
	memcpy(line, "NOOP ", 5);
	assert_int_equal(smtp_command_decode(slice_of(line, SMTP_MAX_COMMAND - 2), &c), 0);
	assert_int_equal(
		smtp_command_decode(slice_of(line, SMTP_MAX_COMMAND - 1), &c), -REFUSE_LINE_TOO_LONG);
	memcpy(line, "MAIL FROM:<a@b> ", 16);
	assert_int_equal(smtp_command_decode(slice_of(line, SMTP_MAX_PARAMS - 2), &c), 0);
	assert_int_equal(smtp_command_decode(slice_of(line, SMTP_MAX_PARAMS - 1), &c), -REFUSE_LINE_TOO_LONG);
	memset(line, 'x', sizeof line);
	memcpy(line, "RCPT TO:<", 9);
	line[9 + SMTP_MAX_PATH] = '>';
	assert_int_equal(smtp_command_decode(slice_of(line, 9 + SMTP_MAX_PATH + 1), &c), 0);
	line[9 + SMTP_MAX_PATH] = 'x';
	line[9 + SMTP_MAX_PATH + 1] = '>';
	assert_int_equal(
		smtp_command_decode(slice_of(line, 9 + SMTP_MAX_PATH + 2), &c), -REFUSE_LINE_TOO_LONG);
}

static void params(void **state)
{
	slice rest = SLICE("SIZE=10 SMTPUTF8  ORCPT=rfc822;a+3Db@c");
	struct smtp_param p;

	(void)state;
	assert_int_equal(smtp_param_next(&rest, &p), 1);
	test_slices_equal("name", p.name, SLICE("SIZE"));
	test_slices_equal("value", p.value, SLICE("10"));
	assert_int_equal(smtp_param_next(&rest, &p), 1);
	test_slices_equal("name", p.name, SLICE("SMTPUTF8"));
	test_slices_equal("value", p.value, SLICE(""));
	assert_int_equal(smtp_param_next(&rest, &p), 1);
	test_slices_equal("value", p.value, SLICE("rfc822;a+3Db@c"));
	assert_int_equal(smtp_param_next(&rest, &p), 0);
}

static void domains(void **state)
{
	(void)state;
	test_slices_equal("plain", smtp_domain(SLICE("a@b.example")), SLICE("b.example"));
	test_slices_equal("quoted at", smtp_domain(SLICE("\"a@x\"@b")), SLICE("b"));
	test_slices_equal("none", smtp_domain(SLICE("postmaster")), SLICE(""));
}

/* Feed in pieces of the given sizes; the result of the first whole reply. */
static int read_reply(struct smtp_reply *r, slice in, size_t cut, bool bytewise, size_t *used)
{
	int rc = 0;

	*used = 0;
	while (*used < in.len && rc == 0) {
		size_t n = bytewise ? *used + 1 : *used < cut ? cut : in.len, took;

		rc = smtp_reply_feed(r, slice_sub(in, *used, n), &took);
		*used += took;
	}
	return rc;
}

static void replies(void **state)
{
	static const struct {
		const char *name;
		slice in;
		int rc;
		size_t used;
		int code;
		slice text;
	} rows[] = {
		{"one line", SLICE("250 2.0.0 Ok\r\nrest"), 1, 14, 250, SLICE("2.0.0 Ok")},
		{"three lines", SLICE("250-a\r\n250-b\r\n250 c\r\n"), 1, 21, 250, SLICE("a\nb\nc")},
		{"code alone", SLICE("354\r\n"), 1, 5, 354, SLICE("")},
		{"empty text", SLICE("250 \r\n"), 1, 6, 250, SLICE("")},
		{"LF alone", SLICE("250-a\n250 b\n"), 1, 12, 250, SLICE("a\nb")},
		{"codes differ: the last counts", SLICE("250-a\r\n550 b\r\n"), 1, 14, 550, SLICE("a\nb")},
		{"control made harmless",
			SLICE("550 a\rb\x00"
			      "c\r\n"),
			1, 11, 550, SLICE("a?b?c")},
		{"not ended", SLICE("250 ok\r"), 0, 7, 0, SLICE("")},
		{"last line missing", SLICE("250-ok\r\n"), 0, 8, 0, SLICE("")},
		{"no code", SLICE("hello\r\n"), -REFUSE_SYNTAX, 7, 0, SLICE("")},
		{"one hundred", SLICE("100 x\r\n"), -REFUSE_SYNTAX, 7, 0, SLICE("")},
		{"no blank", SLICE("250ok\r\n"), -REFUSE_SYNTAX, 7, 0, SLICE("")},
		{"empty line", SLICE("\r\n"), -REFUSE_SYNTAX, 2, 0, SLICE("")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (size_t cut = 0; cut <= rows[i].in.len + 1; cut++) {
			struct smtp_reply r;
			size_t used;
			int rc;

			smtp_reply_init(&r);
			rc = read_reply(&r, rows[i].in, cut, cut > rows[i].in.len, &used);
			test_numbers_equal(rows[i].name, rc, rows[i].rc);
			test_numbers_equal(rows[i].name, (long long)used, (long long)rows[i].used);
			if (rc == 1) {
				test_numbers_equal(rows[i].name, r.code, rows[i].code);
				test_slices_equal(rows[i].name, buf_slice(&r.text), rows[i].text);
			}
			smtp_reply_free(&r);
		}
	}
}

static void reply_limits(void **state)
{
	struct smtp_reply r;
	size_t used;
	char line[3 * SMTP_MAX_REPLY_LINE];
	int rc = 0;

	(void)state;
	memset(line, 'x', sizeof line);
	memcpy(line, "250 ", 4);
	memcpy(line + sizeof line - 2, "\r\n", 2);
	smtp_reply_init(&r);
	assert_int_equal(smtp_reply_feed(&r, slice_of(line, sizeof line), &used), 1);
	assert_int_equal(used, sizeof line);
	assert_int_equal(r.text.len, SMTP_MAX_REPLY_LINE - 4);
	line[3] = '-';
	for (int i = 0; rc == 0 && i < 100; i++)
		rc = smtp_reply_feed(&r, slice_of(line, sizeof line), &used);
	assert_int_equal(rc, -REFUSE_TOO_LARGE);
	assert_int_equal(smtp_reply_feed(&r, SLICE("220 again\r\n"), &used), 1);
	assert_int_equal(r.code, 220);
	smtp_reply_free(&r);
}

static void reply_text(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	smtp_reply_put(&out, 550, SLICE("5.1.1 no\n5.1.1 such\ruser"));
	smtp_reply_put(&out, 250, SLICE(""));
	test_slices_equal("put", buf_slice(&out), SLICE("550-5.1.1 no\r\n550 5.1.1 such?user\r\n250 \r\n"));
	buf_free(&out);
	test_slices_equal("enhanced", smtp_enhanced(550, SLICE("5.1.10 x")), SLICE("5.1.10"));
	test_slices_equal("enhanced alone", smtp_enhanced(250, SLICE("2.0.0")), SLICE("2.0.0"));
	test_slices_equal("other class", smtp_enhanced(550, SLICE("4.1.1 x")), SLICE(""));
	test_slices_equal("a version", smtp_enhanced(250, SLICE("2.0 x")), SLICE(""));
	test_slices_equal("an address", smtp_enhanced(550, SLICE("5.1.1.1 x")), SLICE(""));
	test_slices_equal("dots together", smtp_enhanced(550, SLICE("5..1 x")), SLICE(""));
	test_slices_equal("glued", smtp_enhanced(550, SLICE("5.1.1x")), SLICE(""));
}

static void queue_ids(void **state)
{
	static const struct {
		slice text, id;
	} rows[] = {
		{SLICE("2.0.0 Ok: queued as 4jWzpN6Ft5z1ckJM"), SLICE("4jWzpN6Ft5z1ckJM")},
		{SLICE("2.0.0 Ok: queued as 0000A1B2C5."), SLICE("0000A1B2C5")},
		{SLICE("OK id=1xUpl4-0000wF-21"), SLICE("1xUpl4-0000wF-21")},
		{SLICE("2.0.0 6ALHuXml018892 Message accepted for delivery"), SLICE("6ALHuXml018892")},
		{SLICE("2.0.0 45a9ed1d Message accepted for delivery"), SLICE("45a9ed1d")},
		{SLICE("Message Queued (7C63C1AB-1E3A-4B92-9F6C-4E5C1CF2B2A0.1)"),
			SLICE("7C63C1AB-1E3A-4B92-9F6C-4E5C1CF2B2A0.1")},
		{SLICE("OK ids=d7ef132b5d7711eea8c8000c29c33806"), SLICE("d7ef132b5d7711eea8c8000c29c33806")},
		{SLICE("2.0.0 Ok"), SLICE("")},
		{SLICE(""), SLICE("")},
		{SLICE("queued as "), SLICE("")},
		{SLICE("first\nqueued as X"), SLICE("")},
		{SLICE("queued as 01234567890123456789012345678901234567890123456789012345678901234567890"),
			SLICE("")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		test_slices_equal("queue id", smtp_queue_id(rows[i].text), rows[i].id);
}

#define LONG                                                                                                 \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static void offers(void **state)
{
	static const struct {
		const char *name;
		slice text;
		unsigned flags;
		uint64_t size;
		slice again;
	} rows[] = {
		{"all",
			SLICE("mx\nPIPELINING\nSIZE "
			      "10240000\nVRFY\nSTARTTLS\nENHANCEDSTATUSCODES\n8BITMIME\nDSN\nSMTPUTF8\nCHUNKI"
			      "NG"),
			255, 10240000,
			SLICE("h\nPIPELINING\nSIZE "
			      "10240000\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nDSN\nCHUNKING\nSTARTTLS")},
		{"lower case", SLICE("mx\nsize 0\npipelining "), 3, 0, SLICE("h\nPIPELINING\nSIZE")},
		{"none", SLICE("mx.example"), 0, 0, SLICE("h")},
		{"a name is not an offer", SLICE("DSN"), 0, 0, SLICE("h")},
		{"longer word", SLICE("mx\nDSNX\nSIZEX 4"), 0, 0, SLICE("h")},
		{"size not a number", SLICE("mx\nSIZE 12k"), SMTP_OFFER_SIZE, 0, SLICE("h\nSIZE")},
		{"words", SLICE("mx\nAUTH  PLAIN  LOGIN A\tB C\nXCLIENT NAME  ADDR \nxforward IDENT"), 1792,
			0, SLICE("h\nAUTH PLAIN LOGIN\nXCLIENT NAME ADDR\nXFORWARD IDENT")},
		{"AUTH twice", SLICE("mx\nAUTH=PLAIN LOGIN\nAUTH login CRAM-MD5"), SMTP_OFFER_AUTH, 0,
			SLICE("h\nAUTH PLAIN LOGIN CRAM-MD5")},
		{"AUTH without a mechanism", SLICE("mx\nAUTH\nAUTH=\nAUTHX Y"), 0, 0, SLICE("h")},
		{"as many words as there is room", SLICE("mx\nXCLIENT A" LONG " BC" LONG " MORE D"),
			SMTP_OFFER_XCLIENT, 0, SLICE("h\nXCLIENT A" LONG " BC" LONG)},
		{"size past 64 bits", SLICE("mx\nSIZE 18446744073709551616"), SMTP_OFFER_SIZE, 0,
			SLICE("h\nSIZE")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct smtp_offer o = smtp_offer_decode(rows[i].text);
		struct buf out;

		test_numbers_equal(rows[i].name, o.flags, rows[i].flags);
		test_numbers_equal(rows[i].name, (long long)o.size, (long long)rows[i].size);
		buf_init(&out, 1000);
		smtp_offer_encode(&o, SLICE("h"), &out);
		test_slices_equal(rows[i].name, buf_slice(&out), rows[i].again);
		buf_free(&out);
	}
}

static void meeting(void **state)
{
	struct smtp_offer a = smtp_offer_decode(
		SLICE("a\nSIZE 10\nDSN\nAUTH PLAIN LOGIN\nXCLIENT ADDR\nXFORWARD ADDR PORT"));
	struct smtp_offer b = smtp_offer_decode(
		SLICE("b\nSIZE 9\nAUTH CRAM-MD5 login\nXCLIENT NAME\nXFORWARD PORT IDENT\nCHUNKING"));
	struct smtp_offer c = smtp_offer_decode(SLICE("c\nSIZE\nAUTH PLAIN\nXFORWARD"));
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	smtp_offer_meet(&a, &b);
	smtp_offer_encode(&a, SLICE("h"), &out);
	test_slices_equal("a and b", buf_slice(&out), SLICE("h\nSIZE 9\nAUTH LOGIN\nXCLIENT\nXFORWARD PORT"));
	buf_clear(&out);
	smtp_offer_meet(&a, &c);
	smtp_offer_encode(&a, SLICE("h"), &out);
	test_slices_equal("and c", buf_slice(&out), SLICE("h\nSIZE 9\nXFORWARD"));
	buf_free(&out);
}

static void texts(void **state)
{
	static const struct {
		const char *name;
		slice in;
		bool base64;
		slice xtext;
	} rows[] = {
		{"empty", SLICE(""), true, SLICE("")},
		{"an empty response", SLICE("="), true, SLICE("+3D")},
		{"padded", SLICE("AGEAYg=="), true, SLICE("AGEAYg+3D+3D")},
		{"all letters", SLICE("azAZ09+/"), true, SLICE("azAZ09+2B/")},
		{"three at the end", SLICE("A==="), false, SLICE("A+3D+3D+3D")},
		{"within", SLICE("A=A"), false, SLICE("A+3DA")},
		{"blank", SLICE("AA AA"), false, SLICE("AA+20AA")},
		{"star", SLICE("*"), false, SLICE("*")},
		{"NUL, DEL, 8 bit", SLICE("\0\x7f\xff~!"), false, SLICE("+00+7F+FF~!")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in);
		struct buf out;

		buf_init(&out, 100);
		test_numbers_equal(rows[i].name, smtp_base64(in), rows[i].base64);
		smtp_xtext_encode(in, &out);
		test_slices_equal(rows[i].name, buf_slice(&out), rows[i].xtext);
		buf_free(&out);
		test_unguard(in);
	}
}

static void chunks(void **state)
{
	static const struct {
		const char *name;
		slice in;
		bool good, last;
		uint64_t size;
	} rows[] = {
		{"size", SLICE("12"), true, false, 12},
		{"last", SLICE("0 LAST"), true, true, 0},
		{"small letters, blanks", SLICE("7  last"), true, true, 7},
		{"64 bits", SLICE("18446744073709551615"), true, false, UINT64_MAX},
		{"past 64 bits", SLICE("18446744073709551616"), false, false, 0},
		{"no size", SLICE(""), false, false, 0},
		{"LAST alone", SLICE("LAST"), false, false, 0},
		{"another word", SLICE("3 FIRST"), false, false, 0},
		{"more behind LAST", SLICE("3 LAST 4"), false, false, 0},
		{"sign", SLICE("-3"), false, false, 0},
		{"joined", SLICE("3LAST"), false, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t size;
		bool last;

		test_numbers_equal(rows[i].name, smtp_chunk_decode(rows[i].in, &size, &last), rows[i].good);
		if (!rows[i].good)
			continue;
		test_numbers_equal(rows[i].name, last, rows[i].last);
		assert_true(size == rows[i].size);
	}
}

#define MAX_MESSAGE 24

static const struct data_row {
	const char *name;
	slice in;
	bool done;
	size_t used;
	int refused;
	slice message;
} data_rows[] = {
	{"one line", SLICE("a\r\n.\r\nQUIT\r\n"), true, 6, 0, SLICE("a\r\n")},
	{"empty message", SLICE(".\r\n"), true, 3, 0, SLICE("")},
	{"dot taken off", SLICE("..a\r\n.b\r\n.\r\n"), true, 12, 0, SLICE(".a\r\nb\r\n")},
	{"two dots", SLICE("..\r\n.\r\n"), true, 7, 0, SLICE(".\r\n")},
	{"dot inside", SLICE("a.b.\r\n.\r\n"), true, 9, 0, SLICE("a.b.\r\n")},
	{"blank lines", SLICE("\r\n\r\n\r\n.\r\n"), true, 9, 0, SLICE("\r\n\r\n\r\n")},
	{"not ended", SLICE("a\r\n."), false, 4, 0, SLICE("a\r\n")},
	{"bare LF", SLICE("a\nb\r\n.\r\n"), true, 8, -REFUSE_BARE_LF, SLICE("a")},
	{"bare CR", SLICE("a\rb\r\n.\r\n"), true, 8, -REFUSE_BARE_CR, SLICE("a")},
	{"NUL", SLICE("a\0b\r\n.\r\n"), true, 8, -REFUSE_NUL, SLICE("a")},
	{"LF.LF", SLICE("a\n.\nb\r\n.\r\n"), true, 10, -REFUSE_BARE_LF, SLICE("a")},
	{"LF.CRLF", SLICE("a\n.\r\nb\r\n.\r\n"), true, 11, -REFUSE_BARE_LF, SLICE("a")},
	{"CRLF.LF", SLICE("a\r\n.\nb\r\n.\r\n"), true, 11, -REFUSE_BARE_LF, SLICE("a\r\n")},
	{"CR.CRLF", SLICE("a\r.\r\nb\r\n.\r\n"), true, 11, -REFUSE_BARE_CR, SLICE("a")},
	{"CRLF.CR", SLICE("a\r\n.\rb\r\n.\r\n"), true, 11, -REFUSE_BARE_CR, SLICE("a\r\n")},
	{"CRLF.CRCRLF", SLICE("a\r\n.\r\r\nb\r\n.\r\n"), true, 13, -REFUSE_BARE_CR, SLICE("a\r\n")},
	{"CRCRLF", SLICE("a\r\r\n.\r\n"), true, 7, -REFUSE_BARE_CR, SLICE("a")},
	{"CRLF NUL .CRLF", SLICE("a\r\n\0.\r\nb\r\n.\r\n"), true, 13, -REFUSE_NUL, SLICE("a\r\n")},
	{"first refusal stays", SLICE("a\0\nb\r\n.\r\n"), true, 9, -REFUSE_NUL, SLICE("a")},
	{"LF first", SLICE("\n.\r\n\r\n.\r\n"), true, 9, -REFUSE_BARE_LF, SLICE("")},
	{"as large as may be", SLICE("0123456789012345678901\r\n.\r\n"), true, 27, 0,
		SLICE("0123456789012345678901\r\n")},
	{"one byte too large", SLICE("01234567890123456789012\r\n.\r\n"), true, 28, -REFUSE_TOO_LARGE,
		SLICE("")},
	{"too large, ends at the real end", SLICE("01234567890123456789\r\n01234567890\n.\n\r\n.\r\nx"), true,
		41, -REFUSE_TOO_LARGE, SLICE("")},
	{"tabs and high bytes", SLICE("\t\x0b\x0c\xff\x8d\x8a\x80\r\n.\r\n"), true, 12, 0,
		SLICE("\t\x0b\x0c\xff\x8d\x8a\x80\r\n")},
};

static void data_run(const struct data_row *row, size_t cut, size_t step)
{
	struct smtp_data d;
	struct buf out;
	size_t used = 0;

	buf_init(&out, MAX_MESSAGE);
	smtp_data_init(&d);
	while (used < row->in.len && !smtp_data_done(&d)) {
		slice piece = test_guard(slice_sub(row->in, used,
			step         ? used + step
			: used < cut ? cut
				     : row->in.len));
		size_t took = smtp_data_feed(&d, piece, &out);

		if (!smtp_data_done(&d))
			test_numbers_equal(row->name, (long long)took, (long long)piece.len);
		used += took;
		test_unguard(piece);
	}
	test_numbers_equal(row->name, smtp_data_done(&d), row->done);
	test_numbers_equal(row->name, (long long)used, (long long)row->used);
	test_numbers_equal(row->name, d.refused, row->refused);
	if (d.refused != -REFUSE_TOO_LARGE)
		test_slices_equal(row->name, buf_slice(&out), row->message);
	buf_free(&out);
}

static void data(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof data_rows / sizeof *data_rows; i++) {
		for (size_t cut = 0; cut < data_rows[i].in.len; cut++)
			data_run(&data_rows[i], cut, 0);
		for (size_t step = 1; step < 6; step++)
			data_run(&data_rows[i], 0, step);
	}
}

static unsigned below(uint64_t *seed, unsigned n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (unsigned)(*seed >> 33) % n;
}

/* Byte by byte, as the header says it. */
static size_t lines_plainly(slice in, size_t from)
{
	for (size_t i = from; i < in.len; i++) {
		bool begins = i >= from + 2 && in.p[i - 1] == '\n';

		if (in.p[i] == 0 || (begins && in.p[i] == '.') ||
			(in.p[i] == '\n' && (i == from || in.p[i - 1] != '\r')) ||
			(in.p[i] == '\r' && (i + 1 == in.len || in.p[i + 1] != '\n')))
			return i;
	}
	return in.len;
}

static void line_paths(void **state)
{
	static const char *const pieces[] = {"\r\n", "\r\n", "\r\n.", "text", "more text, and a dot.", "\t",
		"0123456789012345678901234567890123456789012345678901234567890123456789"};
	static const char *const wrong[] = {"\r", "\n", "\n.", "\r\r\n", "\n\r"};
	uint64_t seed = 7;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct buf b;
		slice in;

		buf_init(&b, 4096);
		for (unsigned n = below(&seed, 12); n > 0; n--)
			buf_str(&b, pieces[below(&seed, 7)]);
		if (below(&seed, 2))
			buf_str(&b, wrong[below(&seed, 5)]);
		else if (below(&seed, 2))
			buf_byte(&b, 0);
		for (unsigned n = below(&seed, 4); n > 0; n--)
			buf_str(&b, pieces[below(&seed, 7)]);
		in = test_guard(buf_slice(&b));
		for (size_t from = 0; from <= in.len; from += 1 + below(&seed, 40)) {
			/* Between CR and LF is no place to begin. */
			size_t at = from > 0 && in.p[from - 1] == '\r' ? from - 1 : from;

			for (int path = 0; path < CPU_PATHS; path++)
				if (cpu_has((enum cpu_path)path))
					assert_int_equal(smtp_lines_by((enum cpu_path)path, in, at),
						lines_plainly(in, at));
		}
		test_unguard(in);
		buf_free(&b);
	}
}

static void text_checks(void **state)
{
	(void)state;
	assert_int_equal(smtp_text_check(SLICE("")), 0);
	assert_int_equal(smtp_text_check(SLICE("a\r\n\r\nb")), 0);
	assert_int_equal(smtp_text_check(SLICE("0123456789\r\n01234\r\n")), 0);
	assert_int_equal(smtp_text_check(SLICE("0123456789\n")), -REFUSE_BARE_LF);
	assert_int_equal(smtp_text_check(SLICE("a\r\nb\r")), -REFUSE_BARE_CR);
	assert_int_equal(smtp_text_check(SLICE("a\rb")), -REFUSE_BARE_CR);
	assert_int_equal(smtp_text_check(SLICE("01234567\0")), -REFUSE_NUL);
}

static void stuffing(void **state)
{
	static const struct {
		const char *name;
		slice in, out;
	} rows[] = {
		{"plain", SLICE("a\r\n"), SLICE("a\r\n.\r\n")},
		{"empty", SLICE(""), SLICE(".\r\n")},
		{"no CRLF at the end", SLICE("a"), SLICE("a\r\n.\r\n")},
		{"dots", SLICE(".\r\n..a\r\na.\r\n\r\n."), SLICE("..\r\n...a\r\na.\r\n\r\n..\r\n.\r\n")},
		{"dots inside a line", SLICE("a..b\r\n.c\r\n"), SLICE("a..b\r\n..c\r\n.\r\n")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (size_t most = 1; most <= rows[i].in.len + 1; most++) {
			slice in = test_guard(rows[i].in);
			struct smtp_stuff s;
			struct buf out;

			buf_init(&out, 1000);
			smtp_stuff_init(&s, in);
			for (int n = 0; !smtp_stuff_put(&s, &out, most); n++)
				assert_true(n < 100);
			assert_true(smtp_stuff_put(&s, &out, most));
			test_slices_equal(rows[i].name, buf_slice(&out), rows[i].out);
			/* Runs of the message itself among what is put. */
			buf_clear(&out);
			smtp_stuff_init(&s, in);
			for (int n = 0; n < 100; n++) {
				buf_put(&out, smtp_stuff_run(&s, most));
				if (smtp_stuff_put(&s, &out, n % 2 ? most : 0) && n % 2)
					break;
			}
			assert_int_equal(smtp_stuff_run(&s, most).len, 0);
			test_slices_equal(rows[i].name, buf_slice(&out), rows[i].out);
			buf_free(&out);
			test_unguard(in);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(commands),
		cmocka_unit_test(command_lengths),
		cmocka_unit_test(params),
		cmocka_unit_test(domains),
		cmocka_unit_test(replies),
		cmocka_unit_test(reply_limits),
		cmocka_unit_test(reply_text),
		cmocka_unit_test(queue_ids),
		cmocka_unit_test(offers),
		cmocka_unit_test(meeting),
		cmocka_unit_test(texts),
		cmocka_unit_test(chunks),
		cmocka_unit_test(data),
		cmocka_unit_test(line_paths),
		cmocka_unit_test(text_checks),
		cmocka_unit_test(stuffing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
