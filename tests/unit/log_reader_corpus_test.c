/* Logs that other MTAs wrote, with what others counted in them. */
#include "collector/log_facts.h"
#include "collector/log_reader.h"
#include "core/base/buf.h"
#include "core/parse/json.h"
#include "tests/testing.h"

#include <stdio.h>
#include <string.h>

#define NOW 1795284000000u

struct counts {
	unsigned sent, deferred, bounced, expired, learnt;
	slice recipient; /* of the last outcome; borrows the file, or the reader */
	slice dsn, relay, id;
};

static void tell(void *arg, const struct log_fact *f)
{
	struct counts *c = arg;

	if (f->kind == LOG_FACT_DELIVERY) {
		c->sent += f->outcome == LOG_FACT_SENT;
		c->deferred += f->outcome == LOG_FACT_DEFERRED;
		c->bounced += f->outcome == LOG_FACT_BOUNCED;
	} else if (f->kind == LOG_FACT_EXPIRED) {
		c->expired++;
	} else {
		c->learnt++;
		return;
	}
	c->recipient = f->recipient;
	c->dsn = f->dsn;
	c->relay = f->relay;
	c->id = f->id;
}

static slice take_line(slice *text)
{
	size_t lf = slice_chr(*text, '\n', 0);
	slice line = slice_sub(*text, 0, lf);

	*text = lf == SLICE_NPOS ? SLICE_NONE : slice_from(*text, lf + 1);
	return line;
}

static slice open_file(const char *name, bool *found)
{
	char path[800];
	slice text;

	snprintf(path, sizeof path, "%s/%s", test_corpora(), name);
	text = test_file(path, found);
	if (!*found)
		printf("skipped: no %s\n", path);
	return text;
}

static enum log_format read_all(enum log_format format, slice text, struct counts *c)
{
	struct log_reader *r = log_reader_open(format, tell, c);

	*c = (struct counts){0};
	while (text.len)
		log_reader_line(r, take_line(&text), NOW, 0);
	log_reader_end(r, 0);
	format = log_reader_format(r);
	log_reader_close(&r);
	return format;
}

/* Lines that name no recipient, by their mark: " => ", " == ", " ** ". */
static unsigned count_nobody(slice text, const char *mark)
{
	unsigned n = 0;

	while (text.len) {
		slice line = take_line(&text);

		n += slice_find(line, slice_str(mark), 0) != SLICE_NPOS &&
		     (slice_find(line, SLICE(" => blackhole "), 0) != SLICE_NPOS ||
			     slice_find(line, SLICE(" <system-filter> "), 0) != SLICE_NPOS ||
			     slice_find(line, SLICE(" ** mua_wrapper is set "), 0) != SLICE_NPOS);
	}
	return n;
}

static void exim_suite(void **state)
{
	bool found;
	slice text = open_file("log-exim/counts.jsonl", &found), line;
	unsigned files = 0, sent = 0, deferred = 0, failed = 0, expired = 0, nobody = 0;

	(void)state;
	while ((line = take_line(&text)).len) {
		unsigned no_sent, no_deferred, no_bounced;
		const struct json_value *v;
		struct counts c;
		struct json *doc;
		char name[64];
		slice log;

		assert_int_equal(json_open(&doc, line), 0);
		v = json_root(doc);
		snprintf(name, sizeof name, "log-exim/log/%.*s", SLICE_FMT(json_text(json_find(v, "file"))));
		log = open_file(name, &found);
		read_all(LOG_FORMAT_EXIM, log, &c);
		no_sent = count_nobody(log, " => ");
		no_deferred = count_nobody(log, " == ");
		no_bounced = count_nobody(log, " ** ");
		test_numbers_equal(name, c.sent + no_sent,
			json_whole(json_find(v, "=>"), 0, 10000, 0) +
				json_whole(json_find(v, "->"), 0, 10000, 0) +
				json_whole(json_find(v, ">>"), 0, 10000, 0));
		test_numbers_equal(
			name, c.deferred + no_deferred, json_whole(json_find(v, "=="), 0, 10000, 0));
		test_numbers_equal(name, c.bounced + c.expired + no_bounced,
			json_whole(json_find(v, "**"), 0, 10000, 0));
		files++;
		sent += c.sent;
		deferred += c.deferred;
		failed += c.bounced;
		expired += c.expired;
		nobody += no_sent + no_deferred + no_bounced;
		json_close(&doc);
	}
	printf("Exim's suite: %u logs: %u sent, %u deferred, %u failed, %u expired; %u lines name nobody\n",
		files, sent, deferred, failed, expired, nobody);
}

static void sendmail_cases(void **state)
{
	bool found;
	slice text = open_file("log-sendmail/cases.jsonl", &found), line;
	unsigned cases = 0;

	(void)state;
	while ((line = take_line(&text)).len) {
		const struct json_value *want;
		struct counts c;
		struct json *doc;
		slice to;

		assert_int_equal(json_open(&doc, line), 0);
		want = json_find(json_root(doc), "expected");
		to = json_text(json_find(want, "to"));
		read_all(LOG_FORMAT_SENDMAIL, json_text(json_find(json_root(doc), "data")), &c);
		test_numbers_equal("a delivery", c.sent, to.len > 0);
		test_numbers_equal("a message", c.learnt, json_find(want, "from") != NULL);
		if (to.len) {
			test_slices_equal("to", c.recipient, slice_sub(to, 1, to.len - 1));
			test_slices_equal("relay", c.relay, json_text(json_find(want, "relay")));
			test_slices_equal("dsn", c.dsn, json_text(json_find(want, "dsn")));
			test_slices_equal("id", c.id, json_text(json_find(want, "sendmailid")));
		}
		cases++;
		json_close(&doc);
	}
	printf("Sendmail: %u cases\n", cases);
}

static unsigned count_lines(slice text, const char *word)
{
	unsigned n = 0;

	while (text.len)
		n += slice_find(take_line(&text), slice_str(word), 0) != SLICE_NPOS;
	return n;
}

static void made(void **state)
{
	static const struct {
		const char *file;
		enum log_format format;
		/* Words of the lines that tell of each; NULL where a recipient is not a line. */
		const char *sent, *deferred, *failed, *expired;
	} all[] = {
		{"made-mta/exim-4.96-default.log", LOG_FORMAT_EXIM, NULL, " == ", " ** ", "timeout exceeded"},
		{"made-mta/exim-4.96-all.log", LOG_FORMAT_EXIM, NULL, " == ", " ** ", "timeout exceeded"},
		{"made-mta/opensmtpd-6.8.0p2.log", LOG_FORMAT_OPENSMTPD, "result=\"Ok\"",
			"result=\"TempFail\"", "result=\"PermFail\"", "Expire for"},
		{"made-mta/haraka-3.1.1.log", LOG_FORMAT_HARAKA, NULL,
			"> deferred: ", "> rejected: ", "Expire"},
		{"made-mta/sendmail-8.17.1.9.log", LOG_FORMAT_SENDMAIL, NULL, NULL, ", dsn=5.",
			"Cannot send message"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct counts c;
		bool found;
		slice text = open_file(all[i].file, &found);

		if (!found)
			continue;
		test_numbers_equal(all[i].file, read_all(LOG_FORMAT_AUTO, text, &c), all[i].format);
		printf("%s: %u sent, %u deferred, %u bounced, %u expired\n", all[i].file, c.sent, c.deferred,
			c.bounced, c.expired);
		assert_true(c.sent > 0);
		if (all[i].sent)
			test_numbers_equal(all[i].file, c.sent, count_lines(text, all[i].sent));
		if (all[i].deferred)
			test_numbers_equal(all[i].file, c.deferred, count_lines(text, all[i].deferred));
		/* Exim writes of both that they failed. */
		test_numbers_equal(all[i].file,
			c.bounced + (all[i].format == LOG_FORMAT_EXIM ? c.expired : 0),
			count_lines(text, all[i].failed));
		test_numbers_equal(all[i].file, c.expired, count_lines(text, all[i].expired));
	}
}

/* The lines that the descriptions of formats quote. */
static void described(void **state)
{
	bool found;
	slice text = open_file("log-formats/FORMATS.md", &found), kumo, line;
	slice header = SLICE_NONE, row = SLICE_NONE;
	unsigned opensmtpd = 0;
	struct counts c;
	char file[4096];

	(void)state;
	while (text.len) {
		line = slice_trim(take_line(&text));
		if (slice_starts(line, SLICE("type,timeLogged")))
			header = line;
		if (slice_find(line, SLICE("d,2026-"), 0) != SLICE_NPOS)
			row = slice_from(line, slice_find(line, SLICE("d,2026-"), 0));
		if (slice_find(line, SLICE("evpid=%"), 0) != SLICE_NPOS)
			continue;
		read_all(LOG_FORMAT_OPENSMTPD, line, &c);
		opensmtpd += c.sent + c.deferred;
	}
	test_numbers_equal("OpenSMTPD lines", opensmtpd, 2);
	snprintf(file, sizeof file, "%.*s\n%.*s\n", SLICE_FMT(header), SLICE_FMT(row));
	read_all(LOG_FORMAT_AUTO, slice_str(file), &c);
	test_numbers_equal("PowerMTA row", c.sent, 1);
	kumo = open_file("log-kumomta/log_record.md", &found);
	/* Every type that is described is one we know what to do with. */
	test_numbers_equal("KumoMTA types described", count_lines(kumo, "* `\""), 14);
	printf("described: %u lines of OpenSMTPD, a row of PowerMTA, 14 types of KumoMTA\n", opensmtpd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exim_suite),
		cmocka_unit_test(sendmail_cases),
		cmocka_unit_test(made),
		cmocka_unit_test(described),
	};

	if (!test_corpora())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
