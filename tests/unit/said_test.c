#include "collector/said.h"
#include "core/model/event.h"
#include "tests/testing.h"

#include <stdio.h>

static const struct {
	const char *name;
	slice text;
	unsigned class, reply;
	const char *status;
} rows[] = {
	{"plain", SLICE("550 5.1.1 <a@b.test>: User unknown"), 5, 550, "5.1.1"},
	{"continued", SLICE("550-5.7.26 one\n550 5.7.26 two"), 5, 550, "5.7.26"},
	{"quoted by Postfix", SLICE("host mx[192.0.2.1] said: 452 4.2.2 full (in reply to RCPT TO command)"),
		4, 452, "4.2.2"},
	{"qmail's", SLICE("Sorry, no mailbox here by that name. (#5.1.1)"), 5, 0, "5.1.1"},
	{"need RCPT comes after", SLICE("450 busy\n551 not our user\n503 need RCPT"), 5, 551, "0.0.0"},
	{"the wrapper's 554", SLICE("554 <a@b.test>... 550 Host unknown"), 5, 550, "0.0.0"},
	{"only 554", SLICE("Remote host said: 554 delivery error"), 5, 554, "0.0.0"},
	{"specific before bare", SLICE("5.0.0 failed, 550 5.7.1 denied"), 5, 550, "5.7.1"},
	{"address is no status", SLICE("connect to 5.1.1.4: timed out"), 4, 0, "0.0.0"},
	{"version is no status", SLICE("Exim 4.80.1 says no"), 5, 0, "0.0.0"},
	{"size is no reply", SLICE("message of 550 bytes, limit of 552 lines"), 5, 0, "0.0.0"},
	{"port is no reply", SLICE("connect to h[192.0.2.1]:550: refused"), 4, 0, "0.0.0"},
	{"not a reply code", SLICE("522 5.2.0 Over quota"), 5, 0, "5.2.0"},
	{"in brackets", SLICE("error: 550 [5.4.4] no"), 5, 550, "5.4.4"},
	{"behind a quote", SLICE("5.1.0 - Unknown address error 550-'5.2.2 full'"), 5, 550, "5.2.2"},
	{"class prefers", SLICE("451 later\n550 no"), 5, 550, "0.0.0"},
	{"class prefers 4", SLICE("550 no\n451 later"), 4, 451, "0.0.0"},
	{"empty", SLICE(""), 5, 0, "0.0.0"},
};

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice text = test_guard(rows[i].text);
		struct said said;
		char status[16];

		said_read(text, rows[i].class, &said);
		snprintf(status, sizeof status, "%u.%u.%u", said.status >> 20, said.status >> 10 & 1023,
			said.status & 1023);
		test_numbers_equal(rows[i].name, said.reply, rows[i].reply);
		test_slices_equal(rows[i].name, slice_str(status), slice_str(rows[i].status));
		test_unguard(text);
	}
}

static const struct {
	const char *name;
	slice text, want;
	enum said_phase phase;
} folds[] = {
	{"case and blanks", SLICE("  A \t B\r\n C "), SLICE("a b c"), SAID_NOWHERE},
	{"codes of a reply",
		SLICE("550-5.7.26 not accepted due to domain's\n550-5.7.26 DMARC policy.\n550 5.7.26 x"),
		SLICE("550-5.7.26 not accepted due to domain's dmarc policy. x"), SAID_NOWHERE},
	{"joined by one blank", SLICE("550-5.1.1 Please try 550-5.1.1 double-checking 550 5.1.1 it"),
		SLICE("550-5.1.1 please try double-checking it"), SAID_NOWHERE},
	{"a range is no code", SLICE("200-300 of them"), SLICE("200-300 of them"), SAID_NOWHERE},
	{"curly apostrophes", SLICE("couldn\xe2\x80\x99t, wasn\x92t"), SLICE("couldn't, wasn't"),
		SAID_NOWHERE},
	{"at RCPT", SLICE("no (in reply to RCPT TO command)"), SLICE("no (in reply to rcpt to command)"),
		SAID_RCPT},
	{"at the end of data", SLICE("no (in reply to end of DATA command)"),
		SLICE("no (in reply to end of data command)"), SAID_DATA},
	{"Exim's words", SLICE("SMTP error from remote mail server after MAIL FROM:<a@b>"),
		SLICE("smtp error from remote mail server after mail from:<a@b>"), SAID_MAIL},
	{"Postfix, greeting", SLICE("host h refused to talk to me: 554"),
		SLICE("host h refused to talk to me: 554"), SAID_CONNECT},
};

static void folded(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20, NULL, NULL);
	for (size_t i = 0; i < sizeof folds / sizeof *folds; i++) {
		slice text = test_guard(folds[i].text), got = said_fold(&a, text);

		test_slices_equal(folds[i].name, got, folds[i].want);
		test_numbers_equal(folds[i].name, said_phase(got), folds[i].phase);
		for (size_t n = 0; n < text.len; n++)
			assert_true(said_fold(&a, slice_sub(text, 0, n)).len <= n);
		test_unguard(text);
	}
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(folded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
