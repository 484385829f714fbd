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
	unsigned with_list, same, clones, part_left;
	unsigned long want, got;
	uint64_t bytes;
};

static struct rewriting r;
static struct buf want, got;
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

/* As browsers read it, "//host" with the scheme that it gets; letters outside of
 * ASCII as one '?', since the list was made by another decoder. */
static void put_url(struct buf *out, slice value)
{
	struct buf b;
	slice u;

	buf_init(&b, 1 << 20);
	url_strip(value, &b);
	u = buf_slice(&b);
	if (slice_starts(u, SLICE("//")))
		buf_str(out, "https:");
	for (size_t i = 0; i < u.len; i++)
		if (u.p[i] < 0x80)
			buf_byte(out, u.p[i]);
		else if (i == 0 || u.p[i - 1] < 0x80)
			buf_byte(out, '?');
	buf_byte(out, '\n');
	buf_free(&b);
}

/* Links of this file by links.jsonl, a line each. False: not listed. */
static bool wanted(const char *name, struct buf *out, unsigned *count)
{
	bool listed = false;

	for (size_t i = 0; i < list_count; i++) {
		const struct json_value *root = json_root(lists[i]);
		const struct json_value *v;

		if (!slice_eq(json_text(json_find(root, "file")), slice_str(name)))
			continue;
		listed = true;
		for (v = json_first(json_find(root, "links")); v; v = json_after(v)) {
			const struct json_value *tag = json_first(v), *attr = json_after(tag),
						*value = json_after(attr);
			slice t = json_text(tag);

			if ((!slice_eq(t, SLICE("a")) && !slice_eq(t, SLICE("area"))) ||
				!slice_eq(json_text(attr), SLICE("href")) || !web(json_text(value)))
				continue;
			put_url(out, json_text(value));
			++*count;
		}
	}
	return listed;
}

/* The same by the plan, in the order of the message: links in HTML, edited or left. */
static void found(struct buf *out, unsigned *count)
{
	for (size_t i = 0; i < r.plan->tree.count; i++) {
		const struct part_plan *part = NULL;
		size_t site = 0, left = 0;

		for (size_t k = 0; k < r.plan->part_count && !part; k++)
			if (r.plan->parts[k]->part == &r.plan->tree.parts[i])
				part = r.plan->parts[k];
		for (size_t k = 0; k < r.plan->left_count && !part; k++)
			if (r.plan->left[k].part->part == &r.plan->tree.parts[i])
				part = r.plan->left[k].part;
		if (!part || !part->html)
			continue;
		for (;;) {
			while (site < part->site_count &&
				(part->sites[site].kind != SITE_LINK ||
					part->sites[site].comment_from != SITE_NONE))
				site++;
			while (left < r.plan->left_count &&
				(r.plan->left[left].part != part || r.plan->left[left].commented ||
					!web(r.plan->left[left].url)))
				left++;
			if (left < r.plan->left_count &&
				(site == part->site_count ||
					r.plan->left[left].offset < part->sites[site].from))
				put_url(out, r.plan->left[left++].url);
			else if (site < part->site_count)
				put_url(out, r.plan->targets.list[part->sites[site++].target].url);
			else
				break;
			++*count;
		}
	}
}

/* The same lines, but for what the list has twice in a row: a tag that the tree
 * builder cloned (the adoption agency of WHATWG) stands there once more. */
static bool same_links(slice have, slice list, unsigned *clones)
{
	slice last = SLICE_NONE;

	while (list.len) {
		slice line = slice_sub(list, 0, slice_chr(list, '\n', 0) + 1);

		if (slice_starts(have, line)) {
			have = slice_from(have, line.len);
			last = line;
		} else if (slice_eq(line, last)) {
			++*clones;
		} else {
			return false;
		}
		list = slice_from(list, line.len);
	}
	return have.len == 0;
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
	unsigned want_count = 0, got_count = 0;

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
	buf_clear(&want);
	buf_clear(&got);
	if (wanted(name, &want, &want_count)) {
		found(&got, &got_count);
		tally.with_list++;
		tally.want += want_count;
		tally.got += got_count;
		if (same_links(buf_slice(&got), buf_slice(&want), &tally.clones))
			tally.same++;
		else if (r.plan->left_part_count || r.plan->untouched != UNTOUCHED_NOT)
			tally.part_left++;
		else
			fail_msg("%s/%s: links\n%.*swant\n%.*s", folder, name, SLICE_FMT(buf_slice(&got)),
				SLICE_FMT(buf_slice(&want)));
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
		printf("\n  HTML links: %lu found, %lu listed; files: %u same, %u with parts left alone; %u "
		       "tags listed twice\n",
			tally.got, tally.want, tally.same, tally.part_left, tally.clones);
		while (list_count)
			json_close(&lists[--list_count]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(corpora)};
	int rc;

	rewriting_open(&r);
	buf_init(&want, 1 << 24);
	buf_init(&got, 1 << 24);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rewriting_close(&r);
	buf_free(&want);
	buf_free(&got);
	return rc;
}
