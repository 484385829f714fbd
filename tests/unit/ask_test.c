#include "tests/testing.h"

#include "rewriter/ask.h"

#include <string.h>

#define TO .recipient = SLICE("ann@a.test")

static const struct row {
	const char *name;
	struct ask_fields f;
	const char *key; /* its tenant */
	int status;
	const char *recipient, *tenant, *campaign; /* of the policy */
	bool given, null_sender, explain, believes;
} rows[] = {
	{"least", {TO}, "acme", 0, "ann@a.test", "acme", "", false, false, false, false},
	{"brackets", {.recipient = SLICE("<ann@a.test>")}, "acme", 0, "ann@a.test", "acme", "", false, false,
		false, false},
	{"UTF-8", {.recipient = SLICE("j\xc3\xb6@a.test")}, "acme", 0, "j\xc3\xb6@a.test", "acme", "", false,
		false, false, false},
	{"key for all", {TO}, "*", 0, "ann@a.test", "mine", "", false, false, false, true},
	{"key for all, tenant named", {TO, .tenant = SLICE("b")}, "*", 0, "ann@a.test", "b", "", false, false,
		false, false},
	{"own tenant named", {TO, .tenant = SLICE("acme")}, "acme", 0, "ann@a.test", "acme", "", false, false,
		false, false},
	{"campaign", {TO, .campaign = SLICE("spring sale")}, "acme", 0, "ann@a.test", "acme", "spring sale",
		true, false, false, false},
	{"sender", {TO, .sender = SLICE("news@b.test")}, "acme", 0, "ann@a.test", "acme", "", false, false,
		false, false},
	{"null sender", {TO, .sender = SLICE("<>")}, "acme", 0, "ann@a.test", "acme", "", false, true, false,
		false},
	{"types", {TO, .content_type = SLICE("Message/RFC822; charset=x")}, "acme", 0, "ann@a.test", "acme",
		"", false, false, false, false},
	{"bytes", {TO, .content_type = SLICE("application/octet-stream")}, "acme", 0, "ann@a.test", "acme",
		"", false, false, false, false},
	{"JSON wanted", {TO, .accept = SLICE("text/html, application/json;q=0.9")}, "acme", 0, "ann@a.test",
		"acme", "", false, false, true, false},
	{"message first", {TO, .accept = SLICE("message/rfc822, application/json")}, "acme", 0, "ann@a.test",
		"acme", "", false, false, false, false},
	{"anything", {TO, .accept = SLICE("*/*")}, "acme", 0, "ann@a.test", "acme", "", false, false, false,
		false},

	{"no recipient", {.campaign = SLICE("x")}, "acme", .status = 400},
	{"two recipients", {.recipient = SLICE("a@a.test, b@a.test")}, "acme", .status = 400},
	{"recipient with parameters", {.recipient = SLICE("<a@a.test> NOTIFY=NEVER")}, "acme", .status = 400},
	{"brackets inside", {.recipient = SLICE("a@a.test> SIZE=1 <b@b.test")}, "acme", .status = 400},
	{"brackets alone", {.recipient = SLICE("<>")}, "acme", .status = 400},
	{"one bracket", {.recipient = SLICE("<")}, "acme", .status = 400},
	{"tab", {.recipient = SLICE("a\t@a.test")}, "acme", .status = 400},
	{"blank", {.recipient = SLICE("a b@a.test")}, "acme", .status = 400},
	{"sender with parameters", {TO, .sender = SLICE("<a@b> BODY=8BITMIME")}, "acme", .status = 400},
	{"another's tenant", {TO, .tenant = SLICE("b")}, "acme", .status = 403},
	{"tenant for all", {TO, .tenant = SLICE("*")}, "acme", .status = 403},
	{"control character", {TO, .campaign = SLICE("a\tb")}, "acme", .status = 400},
	{"own id with a control character", {TO, .recipient_id = SLICE("a\tb")}, "acme", .status = 400},
	{"form", {TO, .content_type = SLICE("application/x-www-form-urlencoded")}, "acme", .status = 415},
	{"JSON", {TO, .content_type = SLICE("application/json")}, "acme", .status = 415},
};

static void fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *w = &rows[i];
		struct apikey key = {.tenant = slice_str(w->key)};
		struct policy p = {.allow_tenant = true, .default_tenant = SLICE("mine")};
		struct ask_fields f = w->f;
		const char *detail = NULL;
		struct ask ask;

		f.recipient = test_guard(f.recipient);
		f.sender = test_guard(f.sender);
		test_numbers_equal(w->name, ask_read(&f, &key, &p, &ask, &detail), w->status);
		if (w->status) {
			assert_true(strlen(detail) > 10);
		} else {
			test_slices_equal(w->name, ask.recipient, slice_str(w->recipient));
			test_slices_equal(w->name, p.default_tenant, slice_str(w->tenant));
			test_slices_equal(w->name, p.default_campaign, slice_str(w->campaign));
			test_numbers_equal(w->name, p.campaign_given, w->given);
			test_numbers_equal(w->name, ask.null_sender, w->null_sender);
			test_numbers_equal(w->name, ask.explain, w->explain);
			test_numbers_equal(w->name, p.allow_tenant, w->believes);
		}
		test_unguard(f.recipient);
		test_unguard(f.sender);
	}
}

/* Addresses of any length: taken up to what RCPT TO takes, refused beyond. */
static void lengths(void **state)
{
	static char text[3000];
	struct apikey key = {.tenant = SLICE("*")};

	(void)state;
	memset(text, 'a', sizeof text);
	text[1] = '@';
	for (size_t n = 3; n <= sizeof text; n++) {
		struct policy p = {0};
		struct ask_fields f = {.recipient = slice_of(text, n)};
		const char *detail;
		struct ask ask;
		int status = ask_read(&f, &key, &p, &ask, &detail);

		assert_true(status == 0 || status == 400);
		if (n <= 200)
			assert_int_equal(status, 0);
		if (n > 1000)
			assert_int_equal(status, 400);
	}
}

/* Landfall-Track takes away, as the field in the message does, and never gives. */
static void track(void **state)
{
	static const struct {
		const char *name;
		slice track, within;
		enum privacy least;
		bool tracks;
	} list[] = {
		{"nothing said", SLICE(""), SLICE(""), PRIVACY_FULL, true},
		{"less", SLICE("mode=anonymous"), SLICE(""), PRIVACY_ANONYMOUS, true},
		{"less in the message", SLICE("mode=full"), SLICE("X-Landfall-Track: mode=pseudonymous\r\n"),
			PRIVACY_PSEUDONYMOUS, true},
		{"less beside it", SLICE("mode=anonymous"), SLICE("X-Landfall-Track: mode=full\r\n"),
			PRIVACY_ANONYMOUS, true},
		{"unreadable", SLICE("mode=everything"), SLICE(""), PRIVACY_OFF, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		struct policy p = {.track_url = SLICE("https://t.example"),
			.track_host = SLICE("t.example"),
			.opens = true,
			.clicks = true,
			.mode = PRIVACY_FULL,
			.default_campaign = SLICE("c"),
			.default_tenant = SLICE("t"),
			.track = list[i].track};
		const struct plan *plan;
		struct arena a;
		struct buf m;

		buf_init(&m, 1000);
		buf_str(&m, "Content-Type: text/html\r\n");
		buf_put(&m, list[i].within);
		buf_str(&m, "\r\n<a href=\"https://x.example/\">x</a>\r\n");
		arena_init(&a, 1 << 20, NULL, NULL);
		plan = message_plan(&a, buf_slice(&m), &p);
		test_numbers_equal(list[i].name, plan_privacy(plan), list[i].least);
		test_numbers_equal(list[i].name, plan_tracks(plan), list[i].tracks);
		arena_free(&a);
		buf_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(lengths),
		cmocka_unit_test(track),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
