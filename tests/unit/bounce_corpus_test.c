/* Real bounces, with what others found in them: a mapping of our classes to
 * their reasons, and the figures. */
#include "collector/bounce_json.h"
#include "collector/mbox.h"
#include "core/parse/json.h"
#include "tests/testing.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Our class, the group of reasons.tsv it belongs to, and the reasons of Sisimai
 * that say the same. */
static const struct mapping {
	const char *class, *groups, *reasons;
} mappings[] = {
	{"unknown", "transient unknown", "onhold undefined"},
	{"no-such-mailbox", "recipient-bad", "userunknown"},
	{"moved", "recipient-bad", "hasmoved"},
	{"mailbox-disabled", "recipient-inactive", "suspend"},
	{"mailbox-full", "quota", "mailboxfull"},
	{"recipient-filter", "policy", "filtered"},
	{"no-such-domain", "domain-bad", "hostunknown"},
	{"no-mail-domain", "domain-bad", "notaccept"},
	{"dns-failure", "transient", "networkerror"},
	{"unreachable", "transient", "networkerror expired"},
	{"expired", "transient", "expired"},
	{"loop", "transient", "networkerror"},
	{"remote-error", "transient", "systemerror"},
	{"remote-full", "transient", "systemfull"},
	{"local-delivery", "transient", "mailererror"},
	{"too-large", "size", "mesgtoobig exceedlimit"},
	{"spam", "content", "spamdetected"},
	{"virus", "content", "virusdetected"},
	{"content", "content", "contenterror"},
	{"not-compliant", "policy", "notcompliantrfc"},
	{"blocked", "reputation", "blocked"},
	{"reputation", "reputation", "badreputation"},
	{"no-reverse-dns", "reputation", "requireptr"},
	{"authentication", "auth", "authfailure"},
	{"sender-refused", "policy", "rejected"},
	{"relay-denied", "policy", "norelaying"},
	{"security", "policy", "securityerror"},
	{"tls", "policy", "failedstarttls"},
	{"policy", "policy", "policyviolation"},
	{"protocol", "policy", "syntaxerror"},
	{"rate-limited", "rate", "speeding"},
	{"too-many", "rate", "toomanyconn"},
	{"greylisted", "rate", "speeding"},
	{"delivered", "delivered", "delivered"},
	{"complaint", "complaint", "feedback"},
	{"not-spam", "complaint", "feedback"},
	{"authentication-report", "complaint", "feedback"},
	{"auto-reply", "autoreply", "vacation"},
	{"challenge", "autoreply", "vacation"},
};

enum figure { RECIPIENT, STATUS, REPLY, PERMANENT, REASON_GROUP, REASON_EXACT, FIGURES };

static const char *const names[FIGURES] = {
	"recipient", "status", "reply", "permanent", "reason (group)", "reason (exact)"};

struct tally {
	unsigned right[FIGURES], all[FIGURES];
	unsigned vacations_as_bounce;
	char groups[64][2][32]; /* reason, group */
	unsigned group_count;
};

static bool has_word(const char *words, slice word)
{
	slice s = slice_str(words);

	while (s.len) {
		size_t blank = slice_chr(s, ' ', 0);

		if (slice_eq(slice_sub(s, 0, blank), word))
			return true;
		s = blank == SLICE_NPOS ? SLICE_NONE : slice_from(s, blank + 1);
	}
	return false;
}

static const struct mapping *mapping_of(enum classes c)
{
	for (size_t i = 0; i < sizeof mappings / sizeof *mappings; i++)
		if (strcmp(mappings[i].class, classes_word(c)) == 0)
			return &mappings[i];
	return NULL;
}

static slice corpus_file(const char *folder, slice name)
{
	char path[1024];
	bool found;
	slice text;

	snprintf(path, sizeof path, "%s/%s/%.*s", test_corpora(), folder, SLICE_FMT(name));
	text = test_file(path, &found);
	if (!found)
		printf("absent: %s\n", path);
	return text;
}

static void read_groups(struct tally *t)
{
	slice text = corpus_file("bounce-sisimai", SLICE("reasons.tsv")), line;

	while (bounce_parts_line(&text, &line) && t->group_count < 64) {
		size_t one = slice_chr(line, '\t', 0), two;

		if (one == SLICE_NPOS)
			continue;
		two = slice_chr(line, '\t', one + 1);
		snprintf(t->groups[t->group_count][0], 32, "%.*s", (int)one, (const char *)line.p);
		snprintf(t->groups[t->group_count][1], 32, "%.*s", (int)(two - one - 1),
			(const char *)line.p + one + 1);
		/* The table leaves one open. */
		if (strcmp(t->groups[t->group_count][0], "failedstarttls") == 0)
			strcpy(t->groups[t->group_count][1], "policy");
		t->group_count++;
	}
}

static slice group_of(const struct tally *t, slice reason)
{
	for (unsigned i = 0; i < t->group_count; i++)
		if (slice_eq(slice_str(t->groups[i][0]), reason))
			return slice_str(t->groups[i][1]);
	return SLICE_NONE;
}

static void count(struct tally *t, enum figure f, bool right, slice file, slice want, slice got)
{
	t->all[f]++;
	t->right[f] += right;
	if (!right && getenv("LANDFALL_SHOW"))
		printf("%s %.*s: want %.*s, got %.*s\n", names[f], SLICE_FMT(file), SLICE_FMT(want),
			SLICE_FMT(got));
}

static const struct bounce_fact *fact_for(
	const struct bounce_message *m, slice recipient, unsigned i, bool *named)
{
	*named = false;
	for (unsigned k = 0; recipient.len && k < m->count; k++) {
		if (!slice_ieq(m->facts[k].recipient, recipient))
			continue;
		*named = true;
		return &m->facts[k];
	}
	return &m->facts[i < m->count ? i : 0];
}

static void compare(struct tally *t, slice file, const struct json_value *want, slice recipient,
	const struct bounce_message *m, unsigned i)
{
	slice status = json_text(json_find(want, "deliverystatus")),
	      reason = json_text(json_find(want, "reason"));
	slice reply = json_text(json_find(want, "replycode"));
	const struct bounce_fact *f;
	const struct mapping *map;
	char text[16], code[16];
	bool named;

	f = fact_for(m, recipient, i, &named);
	/* Their name for "not told". */
	if (recipient.len && !slice_starts(recipient, SLICE("undisclosed-recipient")))
		count(t, RECIPIENT, named, file, recipient, f->recipient);
	snprintf(text, sizeof text, "%u.%u.%u", f->status >> 20, f->status >> 10 & 1023, f->status & 1023);
	snprintf(code, sizeof code, "%u", f->reply);
	if (status.len) {
		/* x.0.9nn are codes of their own for "no code": the class must be the same. */
		bool made_up = slice_find(status, SLICE(".0.9"), 0) != SLICE_NPOS;

		count(t, STATUS, made_up ? text[0] == status.p[0] : slice_eq(status, slice_str(text)), file,
			status, slice_str(text));
		if (!reply.len)
			reply = SLICE("0");
		count(t, REPLY, slice_eq(reply, slice_str(code)), file, reply, slice_str(code));
	}
	if (json_find(want, "hardbounce"))
		count(t, PERMANENT,
			json_truth(json_find(want, "hardbounce"), false) ==
				(f->permanent == CLASSES_PERMANENT_YES),
			file, reason, slice_str(classes_word(f->class)));
	map = mapping_of(f->class);
	count(t, REASON_GROUP, map && has_word(map->groups, group_of(t, reason)), file, reason,
		slice_str(classes_word(f->class)));
	count(t, REASON_EXACT, map && has_word(map->reasons, reason), file, reason,
		slice_str(classes_word(f->class)));
	if (slice_eq(reason, SLICE("vacation")) && f->kind != BOUNCE_KIND_AUTO_REPLY)
		t->vacations_as_bounce++;
}

static void sisimai_line(struct tally *t, struct arena *a, slice line)
{
	const struct json_value *root, *want, *oracle, *v, *o;
	struct bounce_message m;
	struct json *doc;
	slice file;
	unsigned i = 0;

	assert_int_equal(json_open(&doc, line), 0);
	root = json_root(doc);
	file = json_text(json_find(root, "file"));
	want = json_find(root, "expected");
	if (json_kind(want) != JSON_ARRAY)
		want = json_find(root, "expected_p5_5_1_0");
	oracle = json_find(root, "oracle_p5");
	bounce_read(a, corpus_file("bounce-sisimai/mail", file), &m);
	o = json_first(oracle);
	for (v = json_first(want); v; v = json_after(v)) {
		compare(t, file, v, json_text(json_find(o, "recipient")), &m, i++);
		o = json_after(o);
	}
	arena_reset(a);
	json_close(&doc);
}

static void sisimai(void **state)
{
	static const unsigned least[FIGURES] = {990, 970, 970, 970, 930, 900}; /* in 1000 */
	struct tally *t = calloc(1, sizeof *t);
	struct arena a;
	slice text, line;

	(void)state;
	arena_init(&a, BOUNCE_MEMORY, NULL, NULL);
	read_groups(t);
	text = corpus_file("bounce-sisimai", SLICE("expected.jsonl"));
	while (bounce_parts_line(&text, &line))
		sisimai_line(t, &a, line);
	for (int f = 0; f < FIGURES; f++)
		printf("%-15s %3u of %3u: %5.1f %%\n", names[f], t->right[f], t->all[f],
			100.0 * t->right[f] / (t->all[f] ? t->all[f] : 1));
	for (int f = 0; f < FIGURES; f++)
		if (t->right[f] * 1000 < least[f] * t->all[f])
			fail_msg("%s: want at least %u in 1000", names[f], least[f]);
	assert_int_equal(t->vacations_as_bounce, 0);
	arena_free(&a);
	free(t);
}

/* Every file of a folder, whatever it is; returns how many. */
static unsigned each_file(const char *folder, void (*see)(void *arg, slice name, slice text), void *arg)
{
	char path[1024];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof path, "%s/%s", test_corpora(), folder);
	d = opendir(path);
	if (!d) {
		printf("absent: %s\n", path);
		return 0;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		see(arg, slice_str(e->d_name), corpus_file(folder, slice_str(e->d_name)));
		n++;
	}
	closedir(d);
	return n;
}

struct kinds {
	struct arena a;
	unsigned kind[BOUNCE_KIND_AUTO_REPLY + 1];
	unsigned recipients, statuses, ids, messages;
};

static void look(struct kinds *k, slice message, struct bounce_message *m)
{
	bounce_read(&k->a, message, m);
	k->messages++;
	k->kind[m->facts[0].kind]++;
	k->recipients += m->facts[0].recipient.len > 0;
	k->statuses += m->facts[0].status != 0;
	k->ids += m->message_id.len > 0;
}

static void see_mail(void *arg, slice name, slice text)
{
	struct kinds *k = arg;
	struct bounce_message m;

	look(k, text, &m);
	if (getenv("LANDFALL_SHOW"))
		printf("%.*s: %s %.*s %s\n", SLICE_FMT(name), bounce_kind_word(m.facts[0].kind),
			SLICE_FMT(m.facts[0].recipient), classes_word(m.facts[0].class));
	arena_reset(&k->a);
}

static void show_kinds(const char *what, const struct kinds *k)
{
	printf("%s: %u messages,", what, k->messages);
	for (int i = 0; i <= BOUNCE_KIND_AUTO_REPLY; i++)
		printf(" %s %u", bounce_kind_word((enum bounce_kind)i), k->kind[i]);
	printf("; recipient %u, status %u, message id %u\n", k->recipients, k->statuses, k->ids);
}

static void node(void **state)
{
	struct kinds k = {0};

	(void)state;
	arena_init(&k.a, BOUNCE_MEMORY, NULL, NULL);
	if (each_file("bounce-node/mail", see_mail, &k)) {
		show_kinds("bounce-node", &k);
		assert_true(k.kind[BOUNCE_KIND_BOUNCED] + k.kind[BOUNCE_KIND_DEFERRED] >= 50);
		assert_true(k.kind[BOUNCE_KIND_COMPLAINED] >= 8);
	}
	arena_free(&k.a);
}

/* The same mails with CRLF, CR and LF say the same. */
static void see_line_ends(void *arg, slice name, slice text)
{
	struct arena *a = arg;
	struct bounce_message m, want;
	slice same = corpus_file("bounce-sisimai/mail", name);

	if (!same.len)
		return;
	bounce_read(a, text, &m);
	bounce_read(a, same, &want);
	test_numbers_equal("recipients", m.count, want.count);
	for (unsigned i = 0; i < m.count; i++) {
		test_slices_equal("recipient", m.facts[i].recipient, want.facts[i].recipient);
		test_numbers_equal("status", m.facts[i].status, want.facts[i].status);
		test_numbers_equal("class", m.facts[i].class, want.facts[i].class);
	}
	arena_reset(a);
}

static void line_ends(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 2 * BOUNCE_MEMORY, NULL, NULL);
	printf("with CRLF: %u files\n", each_file("bounce-sisimai/newlines/dos", see_line_ends, &a));
	printf("with CR: %u files\n", each_file("bounce-sisimai/newlines/mac", see_line_ends, &a));
	arena_free(&a);
}

/* Names say what is inside: dsn-MTA-failed-01.eml. */
static void see_made(void *arg, slice name, slice text)
{
	struct kinds *k = arg;
	struct bounce_message m;
	enum bounce_kind want = slice_find(name, SLICE("-failed-"), 0) != SLICE_NPOS ? BOUNCE_KIND_BOUNCED
				: slice_find(name, SLICE("-delayed-"), 0) != SLICE_NPOS
					? BOUNCE_KIND_DEFERRED
					: BOUNCE_KIND_DELIVERED;

	if (!slice_starts(name, SLICE("dsn-")))
		return;
	look(k, text, &m);
	for (unsigned i = 0; i < m.count; i++) {
		const struct bounce_fact *f = &m.facts[i];

		if (f->kind != want || !slice_ends(f->recipient, SLICE(".test")) || !f->status)
			fail_msg("%.*s: %s of %.*s", SLICE_FMT(name), bounce_kind_word(f->kind),
				SLICE_FMT(f->recipient));
		if (f->kind == BOUNCE_KIND_DEFERRED)
			assert_int_not_equal(f->permanent, CLASSES_PERMANENT_YES);
	}
	arena_reset(&k->a);
}

static void made(void **state)
{
	struct kinds k = {0};

	(void)state;
	arena_init(&k.a, BOUNCE_MEMORY, NULL, NULL);
	each_file("made-mta", see_made, &k);
	show_kinds("made-mta", &k);
	arena_free(&k.a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sisimai),
		cmocka_unit_test(node),
		cmocka_unit_test(line_ends),
		cmocka_unit_test(made),
	};

	if (!test_corpora())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
