/* The tokenizer against the html5lib tokenizer tests, all cases of "tests".
 *
 * Compared: every token with its name, attributes (first of each name),
 * self-closing flag, text, comment data, doctype with its identifiers and
 * correctness, from each initial state named by the case.
 * Not compared: parse errors, and the preprocessing of the input stream (CR and
 * CRLF are made LF here). xmlViolation.test is left out, it tests an XML
 * coercion that no browser does.
 * Where the tokenizer gives raw bytes, html_text_decode, html_attr_decode and,
 * for names and comments, the two lines of `plain` here make them characters. */
#include "core/parse/entity.h"
#include "core/parse/html.h"
#include "tests/testing.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAP ((size_t)1 << 24)

/* Just enough JSON for these files. The last few cases hold NUL and lone
 * surrogates, which a reader for C strings would lose. */
struct json {
	slice in;
	size_t pos;
};

static uint8_t peek(struct json *j)
{
	while (j->pos < j->in.len && ascii_space(j->in.p[j->pos]))
		j->pos++;
	assert_true(j->pos < j->in.len);
	return j->in.p[j->pos];
}

static bool take(struct json *j, uint8_t c)
{
	if (peek(j) != c)
		return false;
	j->pos++;
	return true;
}

static uint32_t hex4(slice s, size_t pos)
{
	char digits[5] = {0};

	assert_true(pos + 4 <= s.len);
	memcpy(digits, s.p + pos, 4);
	return (uint32_t)strtoul(digits, NULL, 16);
}

/* The escape whose 'u' is at pos, two of them for a pair; surrogates that stand
 * alone are written like other code points, since bytes are compared. */
static size_t put_escape(slice s, size_t pos, struct buf *out)
{
	uint32_t code = hex4(s, pos + 1), low;
	uint8_t p[4];

	if (code >= 0xd800 && code < 0xdc00 && slice_starts(slice_from(s, pos + 5), SLICE("\\u"))) {
		low = hex4(s, pos + 7);
		if (low >= 0xdc00 && low < 0xe000) {
			code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
			buf_put(out, slice_of(p, entity_utf8(code, p)));
			return pos + 11;
		}
	}
	if (code >= 0xd800 && code < 0xe000) {
		buf_byte(out, 0xed);
		buf_byte(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
		buf_byte(out, (uint8_t)(0x80 | (code & 0x3f)));
	} else {
		buf_put(out, slice_of(p, entity_utf8(code, p)));
	}
	return pos + 5;
}

static void string(struct json *j, struct buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

	assert_true(take(j, '"'));
	while (j->in.p[j->pos] != '"') {
		uint8_t c = j->in.p[j->pos];

		if (c != '\\') {
			buf_byte(out, c);
			j->pos++;
		} else if (j->in.p[j->pos + 1] == 'u') {
			j->pos = put_escape(j->in, j->pos + 1, out);
		} else {
			buf_byte(out, (uint8_t)to[strchr(from, j->in.p[j->pos + 1]) - from]);
			j->pos += 2;
		}
	}
	j->pos++;
}

/* Any value, skipped; its bytes. */
static slice value(struct json *j)
{
	size_t from, depth = 0;

	peek(j);
	from = j->pos;
	do {
		uint8_t c = peek(j);

		if (c == '"') {
			for (j->pos++; j->in.p[j->pos] != '"'; j->pos++)
				j->pos += j->in.p[j->pos] == '\\';
			j->pos++;
		} else if (c == '[' || c == '{') {
			depth++;
			j->pos++;
		} else if (c == ']' || c == '}') {
			depth--;
			j->pos++;
		} else if (c == ',' || c == ':') {
			j->pos++;
		} else {
			while (ascii_alnum(j->in.p[j->pos]) || strchr("+-.", j->in.p[j->pos]))
				j->pos++;
		}
	} while (depth);
	return slice_sub(j->in, from, j->pos);
}

/* Both sides are written down in one form and the texts compared:
 *   T text   S name [name=value ...] [/]   E name   C text   D name|public|system|quirks */
struct script {
	struct buf out, text;
};

static void flush(struct script *s)
{
	if (s->text.len) {
		buf_str(&s->out, "T ");
		buf_put(&s->out, buf_slice(&s->text));
		buf_byte(&s->out, '\n');
	}
	buf_clear(&s->text);
}

struct pair {
	struct buf name, value;
};

static int by_name(const void *a, const void *b)
{
	return slice_cmp(
		buf_slice(&((const struct pair *)a)->name), buf_slice(&((const struct pair *)b)->name));
}

static void put_pairs(struct script *s, struct pair *pairs, size_t n)
{
	qsort(pairs, n, sizeof *pairs, by_name);
	for (size_t i = 0; i < n; i++) {
		buf_byte(&s->out, ' ');
		buf_put(&s->out, buf_slice(&pairs[i].name));
		buf_byte(&s->out, '=');
		buf_put(&s->out, buf_slice(&pairs[i].value));
		buf_free(&pairs[i].name);
		buf_free(&pairs[i].value);
	}
}

#define PAIRS 64

/* What the case wants. */
static void wanted(struct script *s, struct json *j, bool twice)
{
	struct pair pairs[PAIRS];
	struct buf field, plain;
	size_t n;

	buf_init(&field, CAP);
	buf_init(&plain, CAP);
#define FIELD(into)                                                                                          \
	do {                                                                                                 \
		buf_clear(&plain);                                                                           \
		string(j, &plain);                                                                           \
		for (size_t i_ = 0; i_ < plain.len;) {                                                       \
			if (twice && slice_starts(slice_from(buf_slice(&plain), i_), SLICE("\\u")))          \
				i_ = put_escape(buf_slice(&plain), i_ + 1, (into));                          \
			else                                                                                 \
				buf_byte((into), plain.p[i_++]);                                             \
		}                                                                                            \
	} while (0)
	assert_true(take(j, '['));
	while (!take(j, ']')) {
		take(j, ',');
		assert_true(take(j, '['));
		buf_clear(&field);
		FIELD(&field);
		assert_true(take(j, ','));
		if (slice_eq(buf_slice(&field), SLICE("Character"))) {
			FIELD(&s->text);
			assert_true(take(j, ']'));
			continue;
		}
		flush(s);
		if (slice_eq(buf_slice(&field), SLICE("StartTag"))) {
			buf_str(&s->out, "S ");
			FIELD(&s->out);
			assert_true(take(j, ',') && take(j, '{'));
			for (n = 0; !take(j, '}'); n++) {
				take(j, ',');
				assert_true(n < PAIRS);
				buf_init(&pairs[n].name, CAP);
				buf_init(&pairs[n].value, CAP);
				FIELD(&pairs[n].name);
				assert_true(take(j, ':'));
				FIELD(&pairs[n].value);
			}
			put_pairs(s, pairs, n);
			if (take(j, ',') && slice_eq(value(j), SLICE("true")))
				buf_str(&s->out, " /");
		} else if (slice_eq(buf_slice(&field), SLICE("EndTag"))) {
			buf_str(&s->out, "E ");
			FIELD(&s->out);
		} else if (slice_eq(buf_slice(&field), SLICE("Comment"))) {
			buf_str(&s->out, "C ");
			FIELD(&s->out);
		} else {
			assert_true(slice_eq(buf_slice(&field), SLICE("DOCTYPE")));
			buf_str(&s->out, "D ");
			for (int k = 0; k < 3; k++) {
				if (peek(j) == '"')
					FIELD(&s->out);
				else
					buf_put(&s->out, value(j));
				assert_true(take(j, ','));
				buf_byte(&s->out, '|');
			}
			/* The last is correctness: the opposite of the quirks flag. */
			buf_str(&s->out, slice_eq(value(j), SLICE("true")) ? "false" : "true");
		}
		buf_byte(&s->out, '\n');
		assert_true(take(j, ']'));
	}
	flush(s);
	buf_free(&field);
	buf_free(&plain);
}

/* NUL as U+FFFD, and names in lower case. */
static void plain(slice s, bool lower, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == 0)
			buf_str(out, "\xef\xbf\xbd");
		else
			buf_byte(out, lower ? ascii_lower(s.p[i]) : s.p[i]);
	}
}

static void got_start(struct script *s, slice in, const struct html_token *t)
{
	struct pair pairs[PAIRS];
	struct html_attr_iter it;
	struct html_attr a;
	size_t n = 0, k;

	buf_str(&s->out, "S ");
	plain(html_slice(in, t->name), true, &s->out);
	html_attr_start(&it, in, t);
	while (html_attr_next(&it, &a)) {
		assert_true(n < PAIRS);
		buf_init(&pairs[n].name, CAP);
		buf_init(&pairs[n].value, CAP);
		plain(html_slice(in, a.name), true, &pairs[n].name);
		html_attr_decode(html_slice(in, a.value), &pairs[n].value);
		for (k = 0; k < n && by_name(&pairs[k], &pairs[n]); k++)
			;
		if (k == n) {
			n++;
		} else {
			buf_free(&pairs[n].name);
			buf_free(&pairs[n].value);
		}
	}
	put_pairs(s, pairs, n);
	if (t->self_closing)
		buf_str(&s->out, " /");
}

static void optional(struct script *s, slice in, bool has, struct html_span span, bool lower)
{
	if (has)
		plain(html_slice(in, span), lower, &s->out);
	else
		buf_str(&s->out, "null");
	buf_byte(&s->out, '|');
}

static void got(struct script *s, slice in, enum html_state state, slice last_start)
{
	struct html_iter it;
	struct html_token t;

	html_start(&it, in);
	it.state = state;
	it.last_start = last_start;
	it.fixed = true;
	while (html_next(&it, &t)) {
		if (t.kind == HTML_LOST)
			continue;
		if (t.kind == HTML_TEXT) {
			html_text_decode(html_slice(in, t.data), t.state, &s->text);
			continue;
		}
		flush(s);
		if (t.kind == HTML_START) {
			got_start(s, in, &t);
		} else if (t.kind == HTML_END) {
			buf_str(&s->out, "E ");
			plain(html_slice(in, t.name), true, &s->out);
		} else if (t.kind == HTML_COMMENT) {
			buf_str(&s->out, "C ");
			plain(html_slice(in, t.data), false, &s->out);
		} else {
			buf_str(&s->out, "D ");
			optional(s, in, t.has_name, t.name, true);
			optional(s, in, t.has_public, t.public_id, false);
			optional(s, in, t.has_system, t.system_id, false);
			buf_str(&s->out, t.quirks ? "true" : "false");
		}
		buf_byte(&s->out, '\n');
	}
	flush(s);
}

static enum html_state state_named(slice name)
{
	static const struct {
		slice name;
		enum html_state state;
	} names[] = {
		{SLICE("Data state"), HTML_DATA},
		{SLICE("PLAINTEXT state"), HTML_PLAIN},
		{SLICE("RCDATA state"), HTML_RCDATA},
		{SLICE("RAWTEXT state"), HTML_RAWTEXT},
		{SLICE("Script data state"), HTML_SCRIPT},
		{SLICE("CDATA section state"), HTML_CDATA},
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (slice_eq(name, names[i].name))
			return names[i].state;
	fail_msg("state \"%.*s\" is unknown", SLICE_FMT(name));
	return HTML_DATA;
}

struct count {
	unsigned cases, runs, failed;
};

static void run(struct count *count, slice description, slice input, struct json output, bool twice,
	slice state, slice last_start)
{
	struct script want, have;
	slice guarded = test_guard(input);

	buf_init(&want.out, CAP);
	buf_init(&want.text, CAP);
	buf_init(&have.out, CAP);
	buf_init(&have.text, CAP);
	wanted(&want, &output, twice);
	got(&have, guarded, state_named(state), last_start);
	count->runs++;
	if (!slice_eq(buf_slice(&want.out), buf_slice(&have.out))) {
		count->failed++;
		printf("%.*s (%.*s)\n in:   %.*s\n want: %.*s\n got:  %.*s\n", SLICE_FMT(description),
			SLICE_FMT(state), SLICE_FMT(input), SLICE_FMT(buf_slice(&want.out)),
			SLICE_FMT(buf_slice(&have.out)));
	}
	buf_free(&want.out);
	buf_free(&want.text);
	buf_free(&have.out);
	buf_free(&have.text);
	test_unguard(guarded);
}

static void one_case(struct json *j, struct count *count)
{
	struct json output = {0}, states = {.in = SLICE("[\"Data state\"]")};
	struct buf description, input, ready, last, key;
	bool twice = false;

	buf_init(&description, CAP);
	buf_init(&input, CAP);
	buf_init(&ready, CAP);
	buf_init(&last, CAP);
	buf_init(&key, CAP);
	assert_true(take(j, '{'));
	while (!take(j, '}')) {
		take(j, ',');
		buf_clear(&key);
		string(j, &key);
		assert_true(take(j, ':'));
		if (slice_eq(buf_slice(&key), SLICE("description")))
			string(j, &description);
		else if (slice_eq(buf_slice(&key), SLICE("input")))
			string(j, &input);
		else if (slice_eq(buf_slice(&key), SLICE("lastStartTag")))
			string(j, &last);
		else if (slice_eq(buf_slice(&key), SLICE("output")))
			output.in = value(j);
		else if (slice_eq(buf_slice(&key), SLICE("initialStates")))
			states.in = value(j);
		else if (slice_eq(buf_slice(&key), SLICE("doubleEscaped")))
			twice = slice_eq(value(j), SLICE("true"));
		else
			value(j); /* errors, and remarks */
	}
	for (size_t i = 0; i < input.len;) {
		if (twice && slice_starts(slice_from(buf_slice(&input), i), SLICE("\\u"))) {
			i = put_escape(buf_slice(&input), i + 1, &ready);
		} else if (input.p[i] == '\r') {
			buf_byte(&ready, '\n');
			i += i + 1 < input.len && input.p[i + 1] == '\n' ? 2 : 1;
		} else {
			buf_byte(&ready, input.p[i++]);
		}
	}
	count->cases++;
	assert_true(take(&states, '['));
	while (!take(&states, ']')) {
		take(&states, ',');
		buf_clear(&key);
		string(&states, &key);
		run(count, buf_slice(&description), buf_slice(&ready), output, twice, buf_slice(&key),
			buf_slice(&last));
	}
	buf_free(&description);
	buf_free(&input);
	buf_free(&ready);
	buf_free(&last);
	buf_free(&key);
}

static void one_file(const char *path, struct count *all)
{
	struct count count = {0};
	struct json j = {0};
	struct buf key;
	bool found;

	j.in = test_file(path, &found);
	assert_true(found);
	buf_init(&key, CAP);
	assert_true(take(&j, '{'));
	while (!take(&j, '}')) {
		take(&j, ',');
		buf_clear(&key);
		string(&j, &key);
		assert_true(take(&j, ':'));
		if (!slice_eq(buf_slice(&key), SLICE("tests"))) {
			value(&j);
			continue;
		}
		assert_true(take(&j, '['));
		while (!take(&j, ']')) {
			take(&j, ',');
			one_case(&j, &count);
		}
	}
	buf_free(&key);
	printf("%s: %u cases, %u runs, %u failed\n", strrchr(path, '/') + 1, count.cases, count.runs,
		count.failed);
	all->cases += count.cases;
	all->runs += count.runs;
	all->failed += count.failed;
}

static void all_cases_agree(void **state)
{
	const char *corpora = test_corpora();
	struct count all = {0};
	char pattern[4096];
	glob_t files;

	(void)state;
	if (!corpora)
		skip();
	snprintf(pattern, sizeof pattern, "%s/html5lib/tokenizer/*.test", corpora);
	assert_int_equal(glob(pattern, 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++)
		one_file(files.gl_pathv[i], &all);
	globfree(&files);
	printf("html5lib: %u cases, %u runs, %u failed\n", all.cases, all.runs, all.failed);
	assert_true(all.cases > 1000);
	assert_int_equal(all.failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_cases_agree)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
