#include "collector/arf.h"
#include "collector/dsn.h"
#include "core/base/buf.h"
#include "tests/testing.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	slice body;
	unsigned count;
	const char *reporting, *final, *status, *diagnostic; /* of the last recipient */
	enum dsn_action action;
} rows[] = {
	{"usual",
		SLICE("Reporting-MTA: dns; mx.test\n\nFinal-Recipient: rfc822; a@b.test\nAction: failed\n"
		      "Status: 5.1.1\nDiagnostic-Code: smtp; 550 no\n"),
		1, "mx.test", "a@b.test", "5.1.1", "550 no", DSN_FAILED},
	{"Exim's order",
		SLICE("Reporting-MTA: dns; mx.test\n\nAction: failed\nFinal-Recipient: rfc822;a@b.test\n"
		      "Status: 5.0.0\n\nAction: delayed\nFinal-Recipient: rfc822;c@d.test\nStatus: 4.0.0\n"),
		2, "mx.test", "c@d.test", "4.0.0", "", DSN_DELAYED},
	{"no blank lines",
		SLICE("Reporting-MTA: dns; mx.test\nFinal-Recipient: rfc822; a@b.test\nAction: failed\n"
		      "Status: 5.1.1\nFinal-Recipient: rfc822; c@d.test\nAction: failed\nStatus: 5.2.2\n"),
		2, "mx.test", "c@d.test", "5.2.2", "", DSN_FAILED},
	{"Exim's order, no blank lines",
		SLICE("Action: failed\nFinal-Recipient: rfc822;a@b.test\nStatus: 5.0.0\n"
		      "Action: delayed\nFinal-Recipient: rfc822;c@d.test\nStatus: 4.0.0\n"),
		2, "", "c@d.test", "4.0.0", "", DSN_DELAYED},
	{"folded",
		SLICE("Final-Recipient: rfc822;\n a@b.test\nDiagnostic-Code: smtp; 550-one\n\t550 "
		      "two\nStatus: 5.0.0 (x)\n"),
		1, "", "a@b.test", "5.0.0", "550-one\n550 two", DSN_NONE},
	{"any case, brackets", SLICE("FINAL-RECIPIENT: RFC822; <a@b.test>\nACTION: Failed\n"), 1, "",
		"a@b.test", "", "", DSN_FAILED},
	{"original alone", SLICE("Original-Recipient: rfc822;a@b.test\nAction: relayed\n"), 1, "", "", "", "",
		DSN_RELAYED},
	{"name before it", SLICE("Final-Recipient: rfc822; somebody <a@b.test>\n"), 1, "", "a@b.test", "", "",
		DSN_NONE},
	{"nobody named", SLICE("Action: failed\nStatus: 5.0.0\n"), 0, "", NULL, NULL, NULL, DSN_NONE},
	{"empty", SLICE(""), 0, "", NULL, NULL, NULL, DSN_NONE},
	{"no fields", SLICE("hello\nworld\n\n"), 0, "", NULL, NULL, NULL, DSN_NONE},
};

static unsigned read_all(struct arena *a, slice body, struct dsn_message *m, struct dsn_recipient *last)
{
	struct dsn_iter it;
	struct dsn_recipient r;
	unsigned n = 0;

	dsn_start(&it, a, body, m);
	while (dsn_next(&it, &r) > 0) {
		*last = r;
		n++;
	}
	return n;
}

static void table(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20, NULL, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice body = test_guard(rows[i].body);
		struct dsn_message m;
		struct dsn_recipient r = {0};

		test_numbers_equal(rows[i].name, read_all(&a, body, &m, &r), rows[i].count);
		test_slices_equal(rows[i].name, m.reporting_mta, slice_str(rows[i].reporting));
		if (rows[i].final) {
			test_slices_equal(rows[i].name, r.final, slice_str(rows[i].final));
			test_slices_equal(rows[i].name, r.status, slice_str(rows[i].status));
			test_slices_equal(rows[i].name, r.diagnostic, slice_str(rows[i].diagnostic));
			test_numbers_equal(rows[i].name, r.action, rows[i].action);
		}
		test_unguard(body);
	}
	arena_free(&a);
}

static void every_prefix(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 22, NULL, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t n = 0; n <= rows[i].body.len; n++) {
			slice body = test_guard(slice_sub(rows[i].body, 0, n));
			struct dsn_message m;
			struct dsn_recipient r;

			assert_true(read_all(&a, body, &m, &r) <= rows[i].count);
			test_unguard(body);
			arena_reset(&a);
		}
	arena_free(&a);
}

static void many(void **state)
{
	struct buf body;
	struct arena a;
	struct dsn_message m;
	struct dsn_recipient r;

	(void)state;
	buf_init(&body, 1 << 22);
	for (int i = 0; i < DSN_MAX_RECIPIENTS + 50; i++)
		buf_printf(&body, "Final-Recipient: rfc822; u%d@b.test\nAction: failed\n\n", i);
	arena_init(&a, 1 << 20, NULL, NULL);
	assert_int_equal(read_all(&a, buf_slice(&body), &m, &r), DSN_MAX_RECIPIENTS);
	arena_free(&a);
	buf_free(&body);
}

static const struct {
	const char *name;
	slice body;
	enum arf_kind kind;
	unsigned count;
	const char *type, *first, *from;
} reports[] = {
	{"abuse",
		SLICE("Feedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\nOriginal-Mail-From: <s@a.test>\n"
		      "Original-Rcpt-To: <r@b.test>\nOriginal-Rcpt-To: R@b.test\nOriginal-Rcpt-To: "
		      "q@b.test\n"),
		ARF_COMPLAINT, 2, "abuse", "r@b.test", "s@a.test"},
	{"not spam", SLICE("\n\nFeedback-Type: Not-Spam\nOriginal-Rcpt-To: r@b.test\n"), ARF_RESCUE, 1,
		"Not-Spam", "r@b.test", ""},
	{"failure", SLICE("Feedback-Type: auth-failure\nAuth-Failure: dmarc\n"), ARF_FAILURE, 0,
		"auth-failure", NULL, ""},
	{"opt-out", SLICE("Feedback-Type: opt-out\n"), ARF_COMPLAINT, 0, "opt-out", NULL, ""},
	{"of no type", SLICE("User-Agent: x\n"), ARF_COMPLAINT, 0, "", NULL, ""},
	{"empty", SLICE(""), ARF_COMPLAINT, 0, "", NULL, ""},
};

static void feedback(void **state)
{
	struct arf *r = malloc(sizeof *r);
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 22, NULL, NULL);
	for (size_t i = 0; i < sizeof reports / sizeof *reports; i++) {
		slice body = test_guard(reports[i].body);

		arf_read(&a, body, r);
		test_numbers_equal(reports[i].name, r->kind, reports[i].kind);
		test_numbers_equal(reports[i].name, r->count, reports[i].count);
		test_slices_equal(reports[i].name, r->feedback_type, slice_str(reports[i].type));
		test_slices_equal(reports[i].name, r->mail_from, slice_str(reports[i].from));
		if (reports[i].first)
			test_slices_equal(reports[i].name, r->recipients[0], slice_str(reports[i].first));
		test_unguard(body);
		for (size_t n = 0; n < reports[i].body.len; n++) {
			body = test_guard(slice_sub(reports[i].body, 0, n));
			arf_read(&a, body, r);
			test_unguard(body);
		}
	}
	arena_free(&a);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(every_prefix),
		cmocka_unit_test(many),
		cmocka_unit_test(feedback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
