#include "tests/testing.h"

#include "tracker/judge.h"

#include <stdio.h>
#include <string.h>

#define FIREFOX "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0"
#define IPHONE                                                                                               \
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "   \
	"Mobile/15E148"

struct row {
	const char *name;
	const char *agent;
	const char *header, *value;
	bool head;
	enum hit_class open, click;
};

static const struct row rows[] = {
	{"Firefox", FIREFOX, NULL, NULL, false, CLASS_HUMAN, CLASS_HUMAN},
	{"Mail on a phone", IPHONE, NULL, NULL, false, CLASS_HUMAN, CLASS_HUMAN},
	{"Outlook on Windows",
		"Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; Microsoft Outlook "
		"16.0.5266; ms-office; "
		"MSOffice 16)",
		NULL, NULL, false, CLASS_HUMAN, CLASS_HUMAN},
	{"Thunderbird", "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.9.0", NULL,
		NULL, false, CLASS_HUMAN, CLASS_HUMAN},
	{"Android's own mail", "Dalvik/2.1.0 (Linux; U; Android 12; SM-G991B Build/SP1A.210812.016)", NULL,
		NULL, false, CLASS_HUMAN, CLASS_HUMAN},
	{"a phone called cubot",
		"Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) "
		"Chrome/120.0 Mobile "
		"Safari/537.36",
		NULL, NULL, false, CLASS_HUMAN, CLASS_HUMAN},

	{"Gmail", "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
		NULL, NULL, false, CLASS_PROXY, CLASS_AUTOMATION},
	{"Yahoo", "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", NULL, NULL,
		false, CLASS_PROXY, CLASS_AUTOMATION},
	{"Apple's prefetch", "Mozilla/5.0", NULL, NULL, false, CLASS_PREFETCH, CLASS_AUTOMATION},
	{"Apple's prefetch, spaces", "  Mozilla/5.0 ", NULL, NULL, false, CLASS_PREFETCH, CLASS_AUTOMATION},
	{"a bit more than that", "Mozilla/5.0 x", NULL, NULL, false, CLASS_AUTOMATION, CLASS_AUTOMATION},

	{"Sec-Purpose", FIREFOX, "sec-purpose", "prefetch;prerender", false, CLASS_PREFETCH, CLASS_PREFETCH},
	{"Purpose", FIREFOX, "purpose", "prefetch", false, CLASS_PREFETCH, CLASS_PREFETCH},
	{"Purpose in capitals", FIREFOX, "purpose", "Prefetch", false, CLASS_PREFETCH, CLASS_PREFETCH},
	{"X-Moz", FIREFOX, "x-moz", "prefetch", false, CLASS_PREFETCH, CLASS_PREFETCH},
	{"X-Purpose", IPHONE, "x-purpose", "preview", false, CLASS_PREFETCH, CLASS_PREFETCH},
	{"a purpose that is none", FIREFOX, "purpose", "navigate", false, CLASS_HUMAN, CLASS_HUMAN},
	{"prefetch by a robot", "Googlebot/2.1", "purpose", "prefetch", false, CLASS_AUTOMATION,
		CLASS_AUTOMATION},

	{"no agent", "", NULL, NULL, false, CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"only spaces", "   ", NULL, NULL, false, CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"HEAD", FIREFOX, NULL, NULL, true, CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"HEAD by a scanner", "Barracuda Sentinel (EE)", NULL, NULL, true, CLASS_AUTOMATION,
		CLASS_AUTOMATION},
	{"curl", "curl/7.88.1", NULL, NULL, false, CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"Python", "python-requests/2.31.0", NULL, NULL, false, CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"Go", "Go-http-client/1.1", NULL, NULL, false, CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"Java", "Java/17.0.2", NULL, NULL, false, CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"okhttp", "okhttp/4.12.0", NULL, NULL, false, CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"wget", "Wget/1.21.3", NULL, NULL, false, CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"Googlebot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", NULL, NULL,
		false, CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"robot that names no page", "Mozilla/5.0 (compatible; Whatever/1.0)", NULL, NULL, false,
		CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"browser without a window",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/119.0 "
		"Safari/537.36",
		NULL, NULL, false, CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"Office asks whether it is there", "Microsoft Office Existence Discovery", NULL, NULL, false,
		CLASS_AUTOMATION, CLASS_AUTOMATION},
	{"a name of one's own", "my-little-program", NULL, NULL, false, CLASS_AUTOMATION, CLASS_AUTOMATION},

	{"Barracuda", "Barracuda Sentinel (EE)", NULL, NULL, false, CLASS_SCANNER, CLASS_SCANNER},
	{"Proofpoint in a browser's words", FIREFOX " (Proofpoint TAP)", NULL, NULL, false, CLASS_SCANNER,
		CLASS_SCANNER},
	{"Mimecast", "Mimecast URL Protect", NULL, NULL, false, CLASS_SCANNER, CLASS_SCANNER},
};

static enum hit_class judge_row(struct judge *j, const struct row *r, enum event_kind kind)
{
	slice agent = test_guard(slice_str(r->agent)), value = test_guard(slice_str(r->value));
	struct judge_evidence e = {.kind = kind, .head = r->head, .agent = agent};
	enum hit_class class;

	if (r->header && strcmp(r->header, "sec-purpose") == 0)
		e.sec_purpose = value;
	else if (r->header && strcmp(r->header, "purpose") == 0)
		e.purpose = value;
	else if (r->header && strcmp(r->header, "x-purpose") == 0)
		e.x_purpose = value;
	else if (r->header)
		e.x_moz = value;
	class = judge_hit(j, &e);
	test_unguard(agent);
	test_unguard(value);
	return class;
}

static void test_rows(void **state)
{
	struct judge *j = judge_open();

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		test_numbers_equal(rows[i].name, judge_row(j, &rows[i], EVENT_OPEN), rows[i].open);
		test_numbers_equal(rows[i].name, judge_row(j, &rows[i], EVENT_CLICK), rows[i].click);
		test_numbers_equal(rows[i].name, judge_row(j, &rows[i], EVENT_UNSUBSCRIBE), CLASS_HUMAN);
	}
	judge_close(&j);
	assert_null(j);
}

/* What stands behind the limit is not looked at. */
static void test_long_agent(void **state)
{
	static char agent[JUDGE_MAX_AGENT + 64];
	struct judge *j = judge_open();
	struct judge_evidence e = {.kind = EVENT_OPEN};

	(void)state;
	memset(agent, ' ', sizeof agent);
	memcpy(agent, FIREFOX, strlen(FIREFOX));
	memcpy(agent + JUDGE_MAX_AGENT - 8, "curl/7.8", 8);
	e.agent = slice_of(agent, sizeof agent);
	assert_int_equal(judge_hit(j, &e), CLASS_AUTOMATION);
	memset(agent + JUDGE_MAX_AGENT - 8, ' ', 8);
	memcpy(agent + JUDGE_MAX_AGENT, "curl/7.8", 8);
	assert_int_equal(judge_hit(j, &e), CLASS_HUMAN);
	judge_close(&j);
}

/* Every text of the table is found, wherever its conditions allow it. */
static void test_every_text(void **state)
{
	enum { ANY = 0, FIRST = 1, LAST = 2, LEFT = 4, RIGHT = 8 };
	static const struct {
		const char *text;
		unsigned where;
		const char *class;
	} all[] = {
#define AGENT(text, where, class) {text, where, #class},
#include "tracker/agents.def"
#undef AGENT
	};
	struct judge *j = judge_open();

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		char agent[256];
		struct judge_evidence e = {.kind = EVENT_OPEN};
		enum hit_class class;

		snprintf(agent, sizeof agent, "%s%s%s", all[i].where & FIRST ? "" : "gecko ", all[i].text,
			all[i].where & LAST ? "" : " gecko");
		e.agent = slice_str(agent);
		class = judge_hit(j, &e);
		if (strcmp(all[i].class, "SCANNER") == 0)
			test_numbers_equal(all[i].text, class, CLASS_SCANNER);
		else if (strcmp(all[i].class, "PROXY") == 0)
			test_numbers_equal(all[i].text, class, CLASS_PROXY);
		else if (strcmp(all[i].class, "AUTOMATION") == 0)
			test_numbers_equal(all[i].text, class, CLASS_AUTOMATION);
		else if (strcmp(all[i].class, "READER") == 0)
			test_numbers_equal(all[i].text, class, CLASS_HUMAN);
	}
	judge_close(&j);
}

/* A number for each agent, as it is looked at elsewhere: trimmed, and not
 * endless. */
static void test_agents_have_numbers(void **state)
{
	char endless[2 * JUDGE_MAX_AGENT];

	(void)state;
	memset(endless, 'a', sizeof endless);
	assert_int_equal(judge_agent(SLICE("")), 0);
	assert_int_equal(judge_agent(SLICE("  ")), 0);
	assert_int_not_equal(judge_agent(SLICE("Mozilla/5.0")), 0);
	assert_int_equal(judge_agent(SLICE(" Mozilla/5.0 ")), judge_agent(SLICE("Mozilla/5.0")));
	assert_int_not_equal(judge_agent(SLICE("Mozilla/5.1")), judge_agent(SLICE("Mozilla/5.0")));
	assert_int_equal(judge_agent(slice_of(endless, sizeof endless)),
		judge_agent(slice_of(endless, JUDGE_MAX_AGENT)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_long_agent),
		cmocka_unit_test(test_every_text),
		cmocka_unit_test(test_agents_have_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
