/* Lines of real Postfix logs, with what others read from them. */
#include "collector/postfix_log.h"
#include "core/parse/json.h"
#include "tests/testing.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1795284000000u

static slice take_line(slice *text)
{
	size_t lf = slice_chr(*text, '\n', 0);
	slice line = slice_sub(*text, 0, lf);

	*text = lf == SLICE_NPOS ? SLICE_NONE : slice_from(*text, lf + 1);
	return line;
}

static slice open_file(const char *name)
{
	char path[512];
	bool found;
	slice text;

	snprintf(path, sizeof path, "%s/%s", test_corpora(), name);
	text = test_file(path, &found);
	if (!found)
		printf("skipped: no %s\n", path);
	return text;
}

static const struct json_value *member(const struct json_value *v, const char *name)
{
	return json_find(json_find(v, "expected"), name);
}

static void same_text(const char *row, const struct json_value *want, slice got)
{
	if (want)
		test_slices_equal(row, got, json_text(want));
}

/* "to=<a@b>, relay=none, ...": the run of keys as the case prints it. */
static void same_keys(const char *row, slice keys, const struct log_fact *f)
{
	char all[2048];
	int n = snprintf(all, sizeof all, "to=<%.*s>, %s%.*s%srelay=%.*s, ", SLICE_FMT(f->recipient),
		f->orig_to.len ? "orig_to=<" : "", SLICE_FMT(f->orig_to), f->orig_to.len ? ">, " : "",
		SLICE_FMT(f->relay));

	if (!slice_starts(keys, slice_of(all, (size_t)n)))
		fail_msg("%s: \"%s\" does not begin \"%.*s\"", row, all, SLICE_FMT(keys));
	n = snprintf(all, sizeof all, "dsn=%.*s", SLICE_FMT(f->dsn));
	assert_true(slice_find(keys, slice_of(all, (size_t)n), 0) != SLICE_NPOS);
	n = snprintf(all, sizeof all, "delay=%.*s,", SLICE_FMT(f->delay));
	assert_true(slice_find(keys, slice_of(all, (size_t)n), 0) != SLICE_NPOS);
}

static const char *outcome_word(enum log_fact_outcome o)
{
	return o == LOG_FACT_SENT ? "sent" : o == LOG_FACT_DEFERRED ? "deferred" : "bounced";
}

static bool check_case(const struct json_value *v)
{
	char row[64];
	struct log_fact f;
	slice data = json_text(json_find(v, "data"));
	slice keys = json_text(member(v, "postfix_keyvalue_data"));

	snprintf(row, sizeof row, "%.*s", SLICE_FMT(json_text(json_find(v, "case"))));
	if (postfix_log_read(data, NOW, 0, &f) == LOG_FACT_NONE) {
		if (slice_starts(keys, SLICE("to=<")) || member(v, "postfix_message-id") ||
			member(v, "postfix_from"))
			fail_msg("%s: not understood: %.*s", row, SLICE_FMT(data));
		return false;
	}
	same_text(row, member(v, "postfix_queueid"), f.id);
	same_text(row, member(v, "postfix_message-id"), f.message_id);
	same_text(row, member(v, "postfix_bounce_queueid"), f.other_id);
	same_text(row, member(v, "postfix_from"), f.sender);
	if (f.kind == LOG_FACT_CLIENT) {
		char all[512];
		int n = snprintf(all, sizeof all, "client=%.*s", SLICE_FMT(f.client));

		assert_true(slice_starts(keys, slice_of(all, (size_t)n)));
	}
	if (f.kind != LOG_FACT_DELIVERY)
		return true;
	same_keys(row, keys, &f);
	same_text(row, member(v, "postfix_status"), slice_str(outcome_word(f.outcome)));
	same_text(row, member(v, "postfix_pipe_response"), f.text);
	same_text(row, member(v, "postfix_smtp_response"), f.text);
	return true;
}

static void grok(void **state)
{
	slice text = open_file("log-postfix-grok/cases.jsonl"), line;
	unsigned cases = 0, read = 0;

	(void)state;
	while ((line = take_line(&text)).len) {
		struct json *doc;

		assert_int_equal(json_open(&doc, line), 0);
		read += check_case(json_root(doc));
		cases++;
		json_close(&doc);
	}
	printf("%u of %u cases are lines that we read\n", read, cases);
}

static void count_group(const struct json_value *v, unsigned counts[LOG_FACT_REQUEUE + 1])
{
	const struct json_value *line = json_first(json_find(v, "lines"));
	struct log_fact f;

	memset(counts, 0, sizeof(unsigned) * (LOG_FACT_REQUEUE + 1));
	for (; line; line = json_after(line))
		counts[postfix_log_read(json_text(line), NOW, 0, &f)]++;
}

static void exporter(void **state)
{
	slice text = open_file("log-postfix-misc/exporter_cases.jsonl"), line;

	(void)state;
	while ((line = take_line(&text)).len) {
		static const struct {
			const char *name;
			enum log_fact_kind kind;
		} want[] = {{"removedCount", LOG_FACT_REMOVED}, {"expiredCount", LOG_FACT_EXPIRED},
			{"bounceNonDelivery", LOG_FACT_CHILD}, {"smtpdMessagesProcessed", LOG_FACT_CLIENT},
			{"smtpMessagesProcessed", LOG_FACT_DELIVERY},
			{"virtualDelivered", LOG_FACT_DELIVERY}};
		unsigned counts[LOG_FACT_REQUEUE + 1];
		struct json *doc;

		assert_int_equal(json_open(&doc, line), 0);
		count_group(json_root(doc), counts);
		for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
			int64_t n = json_whole(member(json_root(doc), want[i].name), 0, 1000, -1);

			if (n >= 0)
				test_numbers_equal(want[i].name, counts[want[i].kind], n);
		}
		json_close(&doc);
	}
}

/* Our own logs: each " status=" of a delivery is a delivery. */
static void made(void **state)
{
	char dir[512], path[800];
	struct dirent *d;
	DIR *all;

	(void)state;
	snprintf(dir, sizeof dir, "%s/made-mta", test_corpora());
	all = opendir(dir);
	if (!all) {
		printf("skipped: no %s\n", dir);
		return;
	}
	while ((d = readdir(all))) {
		unsigned want = 0, got = 0, expired = 0, lines = 0;
		slice text, line;
		bool found;

		if (strncmp(d->d_name, "postfix-", 8) != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, d->d_name);
		text = test_file(path, &found);
		while (text.len) {
			struct log_fact f;

			line = take_line(&text);
			lines++;
			want += slice_find(line, SLICE(": to=<"), 0) != SLICE_NPOS &&
				slice_find(line, SLICE(", relay="), 0) != SLICE_NPOS &&
				slice_find(line, SLICE(" status="), 0) != SLICE_NPOS;
			switch (postfix_log_read(line, NOW, 0, &f)) {
			case LOG_FACT_DELIVERY:
				got++;
				assert_true(f.ms > NOW - 86400000 && f.ms < NOW + 86400000);
				assert_true(slice_chr(f.recipient, '@', 0) != SLICE_NPOS);
				assert_true(f.dsn.len >= 5 && f.relay.len && f.delay.len);
				assert_true((f.dsn.p[0] == '2') == (f.outcome == LOG_FACT_SENT));
				if (f.reply)
					assert_true(f.reply / 100 == f.dsn.p[0] - '0' ||
						    f.outcome == LOG_FACT_BOUNCED);
				break;
			case LOG_FACT_EXPIRED:
				expired++;
				break;
			default:
				break;
			}
		}
		printf("%s: %u lines, %u deliveries, %u expired\n", d->d_name, lines, got, expired);
		test_numbers_equal(d->d_name, got, want);
	}
	closedir(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grok),
		cmocka_unit_test(exporter),
		cmocka_unit_test(made),
	};

	if (!test_corpora())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
