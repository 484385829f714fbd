#include "collector/classify.h"
#include "tests/testing.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	slice text;
	const char *status;
	unsigned reply;
	const char *class;
} rows[] = {
	{"no such user by code", SLICE("550 5.1.1 sorry"), "5.1.1", 550, "no-such-mailbox"},
	{"words before the code", SLICE("552 5.1.1 mailbox is full"), "5.1.1", 552, "mailbox-full"},
	{"5.7.1 says little", SLICE("554 5.7.1 blocked using zen.spamhaus.org"), "5.7.1", 554, "blocked"},
	{"at RCPT", SLICE("550 User unknown (in reply to RCPT TO command)"), "", 550, "no-such-mailbox"},
	{"after DATA a filter may say it", SLICE("550 User unknown (in reply to end of DATA command)"), "",
		550, "recipient-filter"},
	{"a bare reply may be a filter's", SLICE("550 User unknown"), "5.0.0", 550, "recipient-filter"},
	{"its own users", SLICE("User unknown"), "5.0.0", 0, "no-such-mailbox"},
	{"the sender is looked up at MAIL", SLICE("550 No such domain (in reply to MAIL FROM command)"), "",
		550, "sender-refused"},
	{"Google, cut in lines",
		SLICE("550-5.7.26 is not accepted due to domain's\n550 5.7.26 DMARC policy."), "5.7.26", 550,
		"authentication"},
	{"Google, disabled", SLICE("550 5.2.1 The email account that you tried to reach is disabled."),
		"5.2.1", 550, "mailbox-disabled"},
	{"Microsoft, banned", SLICE("550 5.7.606 Access denied"), "5.7.606", 550, "blocked"},
	{"Microsoft, tenant", SLICE("550 5.4.1 Recipient address rejected: Access denied"), "5.4.1", 550,
		"no-such-mailbox"},
	{"Yahoo, after DATA",
		SLICE("554 delivery error: dd This user doesn't have a yahoo.test account "
		      "(in reply to end of DATA command)"),
		"5.0.0", 554, "no-such-mailbox"},
	{"Yahoo, complaints", SLICE("421 4.7.0 [TSS04] deferred due to unexpected volume or user complaints"),
		"4.7.0", 421, "reputation"},
	{"Orange", SLICE("550 5.5.0 Invalid recipient. OFR004_416 [416]"), "5.5.0", 550, "no-such-mailbox"},
	{"greylisting", SLICE("451 4.7.1 Greylisted, try again in 300 seconds"), "4.7.1", 451, "greylisted"},
	{"too large", SLICE("message size 1440312 exceeds size limit 1000000 of server"), "5.3.4", 0,
		"too-large"},
	{"null MX", SLICE("Domain does not accept mail (nullMX)"), "5.1.10", 0, "no-mail-domain"},
	{"no name", SLICE("Host or domain name not found"), "5.4.4", 0, "no-such-domain"},
	{"timed out", SLICE("connect to mx.test[192.0.2.1]:25: Connection timed out"), "4.4.1", 0, "expired"},
	{"refused", SLICE("connect to mx.test[192.0.2.1]:25: Connection refused"), "4.4.1", 0, "unreachable"},
	{"relay", SLICE("554 5.7.1 Relay access denied"), "5.7.1", 554, "relay-denied"},
	{"PTR", SLICE("550 no PTR record"), "", 550, "no-reverse-dns"},
	{"virus", SLICE("554 virus detected"), "", 554, "virus"},
	{"only a reply at EHLO", SLICE("550 no (in reply to EHLO command)"), "", 550, "blocked"},
	{"nothing", SLICE(""), "", 0, "unknown"},
	{"nothing but a number", SLICE("550 nope"), "5.0.0", 550, "unknown"},
};

static void table(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20, NULL, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct classify_out out;

		classify_reply(&a, rows[i].text, status_decode(slice_str(rows[i].status)),
			(uint16_t)rows[i].reply, &out);
		test_slices_equal(rows[i].name, slice_str(classes_word(out.class)), slice_str(rows[i].class));
		assert_true((out.class == CLASSES_UNKNOWN) == (out.confidence == 0));
	}
	arena_free(&a);
}

/* A phrase that is not as said_fold writes it could never be found, one that a
 * rule before it holds neither. */
static void rules(void **state)
{
	unsigned n = classify_count();
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20, NULL, NULL);
	for (unsigned i = 0; i < n; i++) {
		slice phrase;
		enum classes class;
		const char *id = classify_rule(i, &phrase, &class);
		slice trimmed = slice_trim(phrase);

		test_slices_equal(id, said_fold(&a, trimmed), trimmed);
		assert_true(class != CLASSES_UNKNOWN && classes_bounce(class) != BOUNCE_NONE);
	}
	arena_free(&a);
}

static void every_prefix(void **state)
{
	slice text = test_guard(
		SLICE("550-5.7.1 [192.0.2.1] Messages 550 5.7.1 from you (in reply to DATA command)"));
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20, NULL, NULL);
	for (size_t n = 0; n <= text.len; n++) {
		struct classify_out out;

		classify_reply(&a, slice_from(text, text.len - n), 0, 0, &out);
		assert_true(out.class < CLASSES_COUNT && out.rule);
	}
	arena_free(&a);
	test_unguard(text);
}

static void classes(void **state)
{
	(void)state;
	assert_true(CLASSES_COUNT >= 25);
	for (int c = 0; c < CLASSES_COUNT; c++)
		assert_int_equal(classes_of(slice_str(classes_word((enum classes)c))), c);
	assert_int_equal(classes_of(SLICE("nonsense")), CLASSES_COUNT);
	/* What is not understood is never permanent, and nothing permanent is not hard. */
	assert_int_equal(classes_permanent(CLASSES_UNKNOWN, 5u << 20), CLASSES_PERMANENT_UNKNOWN);
	for (int c = 0; c < CLASSES_COUNT; c++)
		if (classes_permanent((enum classes)c, 5u << 20) == CLASSES_PERMANENT_YES)
			assert_int_equal(classes_bounce((enum classes)c), BOUNCE_HARD);
	assert_int_equal(classes_permanent(CLASSES_NO_MAIL, 5u << 20), CLASSES_PERMANENT_YES);
	assert_int_equal(classes_permanent(CLASSES_NO_MAIL, 4u << 20), CLASSES_PERMANENT_NO);
}

/* docs/CLASSES.md is what the table prints. */
static void manual(void **state)
{
	struct buf want;
	bool found;
	slice have = test_file("docs/CLASSES.md", &found);

	(void)state;
	assert_true(found);
	buf_init(&want, 1 << 20);
	classes_manual(&want);
	test_slices_equal("docs/CLASSES.md: run landfall bounce --classes", have, buf_slice(&want));
	buf_free(&want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(rules),
		cmocka_unit_test(every_prefix),
		cmocka_unit_test(classes),
		cmocka_unit_test(manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
