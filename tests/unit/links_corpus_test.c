/* The links of real newsletters: tokenizer and decoding of references against
 * what a complete HTML parser (tokenizer and tree builder) found in the same
 * files, in links.jsonl of every folder html-*: all href of a and area in their
 * order, and, apart, those of elements inside conditional comments.
 * Compared after CR LF is made LF in both, as an HTML parser does first. */
#include "core/parse/html.h"
#include "core/parse/json.h"
#include "tests/testing.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

#define CAP ((size_t)1 << 24)

static void put_link(struct buf *out, slice tag, slice value)
{
	buf_put(out, tag);
	buf_byte(out, ' ');
	for (size_t i = 0; i < value.len; i++)
		if (value.p[i] != '\r' || i + 1 == value.len || value.p[i + 1] != '\n')
			buf_byte(out, value.p[i]);
	buf_byte(out, '\n');
}

/* Append a tag's link, as "tag value\n"; false: it has none. */
static bool put_href(struct buf *out, slice in, const struct html_token *t)
{
	struct html_attr a;
	struct buf value, tag;

	if (t->kind != HTML_START || !html_attr_find(in, t, SLICE("href"), &a))
		return false;
	buf_init(&value, CAP);
	buf_init(&tag, CAP);
	html_attr_decode(html_slice(in, a.value), &value);
	for (size_t i = t->name.from; i < t->name.to; i++)
		buf_byte(&tag, ascii_lower(in.p[i]));
	put_link(out, buf_slice(&tag), buf_slice(&value));
	buf_free(&value);
	buf_free(&tag);
	return true;
}

struct count {
	unsigned files, links, conditional;
};

/* links: of a and area; conditional: of all elements in comments "[if". */
static void found(slice page, struct buf *links, struct buf *conditional, struct count *count)
{
	struct html_iter it, inner;
	struct html_token t, u;

	html_start(&it, page);
	while (html_next(&it, &t)) {
		if (html_is(page, &t, SLICE("a")) || html_is(page, &t, SLICE("area")))
			count->links += put_href(links, page, &t);
		if (t.kind != HTML_COMMENT || !slice_istarts(html_slice(page, t.data), SLICE("[if")))
			continue;
		html_start_span(&inner, page, t.data);
		while (html_next(&inner, &u))
			count->conditional += put_href(conditional, page, &u);
	}
}

static void wanted(const struct json_value *list, bool all_tags, struct buf *out)
{
	for (const struct json_value *v = json_first(list); v; v = json_after(v)) {
		const struct json_value *tag = json_first(v), *attr = json_after(tag);
		slice name = json_text(tag);

		if (!slice_eq(json_text(attr), SLICE("href")))
			continue;
		if (all_tags || slice_eq(name, SLICE("a")) || slice_eq(name, SLICE("area")))
			put_link(out, name, json_text(json_after(attr)));
	}
}

static void one_page(const char *folder, slice line, struct count *count)
{
	struct buf want, want_conditional, got, got_conditional;
	const struct json_value *root;
	struct json *j;
	char path[4096];
	slice file;
	bool there;

	buf_init(&want, CAP);
	buf_init(&want_conditional, CAP);
	buf_init(&got, CAP);
	buf_init(&got_conditional, CAP);
	assert_int_equal(json_open(&j, line), 0);
	root = json_root(j);
	file = json_text(json_find(root, "file"));
	snprintf(path, sizeof path, "%s/%.*s", folder, SLICE_FMT(file));
	file = test_file(path, &there);
	assert_true(there);
	wanted(json_find(root, "links"), false, &want);
	wanted(json_find(root, "cond_links"), true, &want_conditional);
	found(file, &got, &got_conditional, count);
	test_slices_equal(path, buf_slice(&got), buf_slice(&want));
	test_slices_equal(path, buf_slice(&got_conditional), buf_slice(&want_conditional));
	count->files++;
	json_close(&j);
	buf_free(&want);
	buf_free(&want_conditional);
	buf_free(&got);
	buf_free(&got_conditional);
}

static void all_links_agree(void **state)
{
	const char *corpora = test_corpora();
	char pattern[4096];
	glob_t folders;

	(void)state;
	if (!corpora)
		skip();
	snprintf(pattern, sizeof pattern, "%s/html-*", corpora);
	assert_int_equal(glob(pattern, 0, NULL, &folders), 0);
	for (size_t i = 0; i < folders.gl_pathc; i++) {
		struct count count = {0};
		slice lines;
		bool there;

		snprintf(pattern, sizeof pattern, "%s/links.jsonl", folders.gl_pathv[i]);
		lines = test_file(pattern, &there);
		assert_true(there);
		while (lines.len) {
			size_t end = slice_chr(lines, '\n', 0);

			one_page(folders.gl_pathv[i], slice_sub(lines, 0, end), &count);
			lines = slice_from(lines, end == SLICE_NPOS ? lines.len : end + 1);
		}
		printf("%s: %u files, %u links, %u in conditional comments\n",
			strrchr(folders.gl_pathv[i], '/') + 1, count.files, count.links, count.conditional);
		assert_true(count.files > 0);
	}
	globfree(&folders);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_links_agree)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
