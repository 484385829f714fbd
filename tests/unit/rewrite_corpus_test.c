/* The rewriter over collections of real and of nasty messages: nothing changes
 * with tracking off; with tracking on every copy is proved, and the links found
 * are those that a browser's parser finds (links.jsonl). */
#include "tests/testing.h"

#include "tests/rewriting.h"

#include "core/parse/json.h"
#include "core/parse/url.h"
#include "rewriter/copy.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

static const char *const folders[] = {
	"mime-mimekit", "mime-mime4j", "mime-cpython", "mime-flanker", "mail-spamassassin"};

struct tally {
	unsigned files, edited, by_untouched[UNTOUCHED_PROOF + 1];
	unsigned long links, text_links, pixels, left;
	unsigned with_list, same, differ, part_left;
	unsigned long want, got;
	uint64_t bytes;
};

static struct rewriting r;
static struct tally tally;
static struct json *lists[2000];
static size_t list_count;

/* A link that leads somewhere by http or https, as browsers read it. */
static bool web(slice value)
{
	struct buf b;
	bool is;

	buf_init(&b, 1 << 20);
	url_strip(value, &b);
	is = slice_istarts(buf_slice(&b), SLICE("http:")) || slice_istarts(buf_slice(&b), SLICE("https:")) ||
	     slice_starts(buf_slice(&b), SLICE("//"));
	buf_free(&b);
	return is;
}

/* Links of this file by links.jsonl; -1: not listed. */
static int wanted(const char *name)
{
	int n = -1;

	for (size_t i = 0; i < list_count; i++) {
		const struct json_value *root = json_root(lists[i]);
		const struct json_value *v;

		if (!slice_eq(json_text(json_find(root, "file")), slice_str(name)))
			continue;
		if (n < 0)
			n = 0;
		for (v = json_first(json_find(root, "links")); v; v = json_after(v)) {
			const struct json_value *tag = json_first(v), *attr = json_after(tag),
						*value = json_after(attr);
			slice t = json_text(tag);

			n += (slice_eq(t, SLICE("a")) || slice_eq(t, SLICE("area"))) &&
			     slice_eq(json_text(attr), SLICE("href")) && web(json_text(value));
		}
	}
	return n;
}

/* The same by the plan: links in HTML, edited or left. */
static int found(void)
{
	int n = 0;

	for (size_t i = 0; i < r.plan->part_count; i++)
		for (size_t k = 0; k < r.plan->parts[i]->site_count; k++)
			n += r.plan->parts[i]->html && r.plan->parts[i]->sites[k].kind == SITE_LINK;
	for (size_t i = 0; i < r.plan->left_count; i++)
		n += r.plan->left[i].part->html && web(r.plan->left[i].url);
	return n;
}

/* Undo the edits by hand. */
static void undo(const char *name, slice in)
{
	static struct buf back;
	struct copy c;
	slice out;
	const char *rule;
	uint8_t *p;
	size_t o = 0, i = 0;

	if (back.cap == 0)
		buf_init(&back, 1 << 28);
	assert_int_equal(copy_make(&r.arena, r.plan, &r.id, r.sealer, &c), 0);
	out = slice_of(p = arena_alloc(&r.arena, edit_size(in, &c.edits)), edit_size(in, &c.edits));
	edit_apply(in, &c.edits, p);
	assert_true(slice_eq(out, buf_slice(&r.out)));
	if (copy_prove_whole(&r.arena, &c, &r.id, r.sealer, out, &rule) != 0)
		fail_msg("%s: proof over the whole text failed: %s", name, rule);
	buf_clear(&back);
	for (size_t k = 0; k < c.edits.count; k++) {
		const struct edit *e = &c.edits.list[k];

		buf_put(&back, slice_sub(out, o, o + e->offset - i));
		buf_put(&back, slice_sub(in, e->offset, e->offset + e->length));
		o += e->offset - i + e->bytes.len;
		i = e->offset + e->length;
	}
	buf_put(&back, slice_from(out, o));
	if (!slice_eq(buf_slice(&back), in))
		fail_msg("%s: undoing the edits gives another message", name);
}

static void one(const char *folder, const char *name, const char *path)
{
	bool have;
	slice file = test_file(path, &have), in, out;
	int want, got;

	assert_true(have);
	in = test_guard(file);
	tally.files++;
	tally.bytes += in.len;
	r.policy.default_campaign = SLICE_NONE;
	r.policy.campaign_header_count = 0;
	out = rewriting_run(&r, in);
	if (!slice_eq(out, in))
		fail_msg("%s/%s: changed with tracking off", folder, name);
	r.policy.default_campaign = SLICE("spring");
	rewriting_run(&r, in);
	if (r.rendering.untouched == UNTOUCHED_PROOF)
		fail_msg("%s/%s: proof failed: %s", folder, name, r.rendering.broken);
	undo(name, in);
	tally.by_untouched[r.rendering.untouched]++;
	tally.edited += r.rendering.untouched == UNTOUCHED_NOT;
	tally.links += r.rendering.links;
	tally.pixels += r.rendering.pixels;
	tally.left += r.rendering.left;
	want = wanted(name);
	got = found();
	if (want >= 0) {
		tally.with_list++;
		tally.want += (unsigned)want;
		tally.got += (unsigned)got;
		if (want == got) {
			tally.same++;
		} else if (r.plan->left_part_count || r.plan->untouched != UNTOUCHED_NOT) {
			tally.part_left++;
		} else {
			tally.differ++;
			printf("  %s/%s: %d links, links.jsonl has %d\n", folder, name, got, want);
		}
	}
	test_unguard(in);
}

static void walk(const char *folder, const char *root, const char *below)
{
	char path[4096], name[2048];
	struct dirent *e;
	struct stat st;
	DIR *d;

	snprintf(path, sizeof path, "%s/%s", root, below);
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s%s%s", below, *below ? "/" : "", e->d_name);
		snprintf(path, sizeof path, "%s/%s", root, name);
		if (stat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode))
			walk(folder, root, name);
		else if (S_ISREG(st.st_mode))
			one(folder, name, path);
	}
	closedir(d);
}

static void lists_open(const char *path)
{
	bool have;
	slice text = test_file(path, &have);
	size_t from = 0;

	while (have && from < text.len) {
		size_t lf = slice_chr(text, '\n', from);
		slice line = slice_sub(text, from, lf == SLICE_NPOS ? text.len : lf);

		if (line.len && list_count < sizeof lists / sizeof *lists &&
			json_open(&lists[list_count], line) == 0)
			list_count++;
		from = lf == SLICE_NPOS ? text.len : lf + 1;
	}
}

static void corpora(void **state)
{
	const char *dir = test_corpora();
	char path[2048];

	(void)state;
	if (!dir)
		return;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		snprintf(path, sizeof path, "%s/%s/links.jsonl", dir, folders[i]);
		lists_open(path);
		snprintf(path, sizeof path, "%s/%s", dir, folders[i]);
		tally = (struct tally){0};
		walk(folders[i], path, "");
		printf("%s: %u files, %llu bytes, %u edited: %lu links, %lu pixels, %lu left; untouched:",
			folders[i], tally.files, (unsigned long long)tally.bytes, tally.edited, tally.links,
			tally.pixels, tally.left);
		for (int u = 1; u <= UNTOUCHED_PROOF; u++)
			if (tally.by_untouched[u])
				printf(" %s %u", untouched_word((enum untouched)u), tally.by_untouched[u]);
		printf("\n  HTML links: %lu found, %lu listed; files: %u same, %u with parts left alone, %u "
		       "differ\n",
			tally.got, tally.want, tally.same, tally.part_left, tally.differ);
		while (list_count)
			json_close(&lists[--list_count]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(corpora)};
	int rc;

	rewriting_open(&r);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rewriting_close(&r);
	return rc;
}
