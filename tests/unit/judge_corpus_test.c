/* How many of the agents that others call bots or libraries we call machines,
 * and how many of their browsers and mail programs we do. */
#include "tests/testing.h"

#include "core/parse/json.h"
#include "tracker/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum what { BOT, LIBRARY, READER, OTHER, WHATS };

struct tally {
	unsigned all[WHATS], machine[WHATS];
};

static enum what matomo(const struct json_value *v)
{
	slice kind = json_text(json_find(v, "kind"));
	slice type = json_text(json_find(json_find(v, "client"), "type"));

	if (slice_eq(kind, SLICE("bots")) || json_find(v, "bot"))
		return BOT;
	if (slice_eq(type, SLICE("library")))
		return LIBRARY;
	/* A browser without a window is driven by a program; they count it as a browser. */
	if (slice_ifind(json_text(json_find(v, "ua")), SLICE("headless"), 0) != SLICE_NPOS)
		return OTHER;
	if (slice_eq(type, SLICE("browser")) || slice_eq(type, SLICE("pim")))
		return READER;
	return OTHER;
}

/* Their devices are mostly phones of long ago: of browsers the common ones. */
static enum what uap(const struct json_value *v)
{
	static const slice common[] = {SLICE("Chrome"), SLICE("Chrome Mobile"), SLICE("Chrome Mobile iOS"),
		SLICE("Firefox"), SLICE("Firefox Mobile"), SLICE("Firefox iOS"), SLICE("Safari"),
		SLICE("Mobile Safari"), SLICE("Mobile Safari UI/WKWebView"), SLICE("Edge"),
		SLICE("Edge Mobile"), SLICE("IE"), SLICE("IE Mobile"), SLICE("Opera"), SLICE("Opera Mobile"),
		SLICE("Samsung Internet"), SLICE("Android"), SLICE("Vivaldi"), SLICE("Outlook"),
		SLICE("Thunderbird"), SLICE("Apple Mail")};
	slice browser = json_text(json_find(json_find(v, "browser"), "family"));

	if (slice_eq(json_text(json_find(json_find(v, "device"), "family")), SLICE("Spider")))
		return BOT;
	for (size_t i = 0; i < sizeof common / sizeof *common; i++)
		if (slice_eq(browser, common[i]))
			return READER;
	return OTHER;
}

static void measure(const char *dir, const char *name, enum what (*what_of)(const struct json_value *),
	struct judge *j, struct tally *t)
{
	const char *verbose = getenv("LANDFALL_VERBOSE");
	char path[512];
	bool found;
	slice all, line;

	snprintf(path, sizeof path, "%s/%s/cases.jsonl", dir, name);
	all = test_file(path, &found);
	assert_true(found);
	memset(t, 0, sizeof *t);
	for (size_t from = 0, to; from < all.len; from = to + 1) {
		struct json *doc;
		const struct json_value *v;
		enum what what;
		bool machine;

		to = slice_chr(all, '\n', from);
		if (to == SLICE_NPOS)
			to = all.len;
		line = slice_sub(all, from, to);
		if (!line.len || json_open(&doc, line) != 0)
			continue;
		v = json_root(doc);
		what = what_of(v);
		struct judge_evidence e = {.kind = EVENT_CLICK, .agent = json_text(json_find(v, "ua"))};
		enum hit_class class = judge_hit(j, &e);

		machine = class != CLASS_HUMAN;
		t->all[what]++;
		t->machine[what] += machine;
		if (verbose &&
			((what == READER && machine) || ((what == BOT || what == LIBRARY) && !machine)))
			printf("%s %s: %.*s\n", name, what == READER ? "reader" : "bot", SLICE_FMT(e.agent));
		json_close(&doc);
	}
	printf("%s: bots %u of %u called machines (%.1f %%), libraries %u of %u (%.1f %%), readers %u of %u "
	       "(%.2f %%)\n",
		name, t->machine[BOT], t->all[BOT], 100.0 * t->machine[BOT] / (t->all[BOT] + !t->all[BOT]),
		t->machine[LIBRARY], t->all[LIBRARY],
		100.0 * t->machine[LIBRARY] / (t->all[LIBRARY] + !t->all[LIBRARY]), t->machine[READER],
		t->all[READER], 100.0 * t->machine[READER] / (t->all[READER] + !t->all[READER]));
}

static void test_agents(void **state)
{
	const char *dir = test_corpora();
	struct judge *j;
	struct tally t;

	(void)state;
	if (!dir)
		skip();
	j = judge_open();
	measure(dir, "ua-matomo", matomo, j, &t);
	assert_true(t.machine[BOT] * 100 >= t.all[BOT] * 95);
	assert_true(t.machine[READER] * 1000 <= t.all[READER] * 5);
	measure(dir, "ua-uap", uap, j, &t);
	assert_true(t.machine[BOT] * 100 >= t.all[BOT] * 95);
	assert_true(t.machine[READER] * 1000 <= t.all[READER] * 5);
	judge_close(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_agents)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
