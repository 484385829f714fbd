/* What a browser makes of real mail before and after: every HTML part of every
 * message of the corpora, and every HTML file of them as a message in three
 * transfer encodings, is parsed by Gumbo (a whole HTML parser of other people,
 * with a tree) as it came and as it went out. The trees must be the same but for
 * the links, which must lead to the same place, the pixels, and the marks of
 * links that opted out; and the links that Gumbo sees must be those that were
 * edited or left with a reason. */
#include "tests/testing.h"

#include "tests/rewriting.h"

#include "core/parse/html.h"
#include "core/parse/mimeb64.h"
#include "core/parse/qp.h"
#include "core/parse/url.h"
#include "rewriter/plan.h"

#include <dirent.h>
#include <gumbo.h>
#include <stdio.h>
#include <sys/stat.h>

#define CAP ((size_t)1 << 28)

static struct rewriting r;
static struct {
	unsigned files, parts, edited;
	unsigned long elements, links, edits, pixels, conditional;
} seen;

/* Writes a tree as lines of text. */
struct tree {
	struct buf out;
	struct buf links; /* where in the source tags of links begin, as text; each once */
	slice source;
	bool in_text;
	unsigned noscript; /* Gumbo reads markup in it, browsers that run scripts do not */
	unsigned pixels;
};

/* As Gumbo wants it: what cannot be converted becomes some letters. */
static void to_utf8(slice in, enum charset from, struct buf *out)
{
	bool utf8 = from == CHARSET_UTF8;
	slice text;

	buf_clear(out);
	if (!utf8 && charset_to_utf8(&r.arena, from, in, &text)) {
		in = text;
		utf8 = true;
	}
	in = utf8 ? in : charset_mask(&r.arena, from, in);
	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.p[i];

		if (utf8 || c < 0x80) {
			buf_byte(out, c);
		} else {
			buf_byte(out, 0xc0 | c >> 6);
			buf_byte(out, 0x80 | (c & 0x3f));
		}
	}
}

static bool ours(slice value, enum token_kind kind, struct token *t)
{
	static uint8_t room[TOKEN_ROOM];
	char start[] = "https://t.example/?/";

	start[18] = (char)kind;
	if (!slice_starts(value, slice_str(start)))
		return false;
	value = slice_from(value, sizeof start - 1);
	if (kind == TOKEN_OPEN)
		value = slice_sub(value, 0, slice_chr(value, '.', 0));
	return token_open(r.sealer, r.policy.track_host, kind, value, room, t) == 0;
}

/* Where a link leads, whether tracked or not. */
static void put_destination(struct tree *t, slice value)
{
	struct token token;
	struct buf b;

	if (ours(value, TOKEN_CLICK, &token)) {
		value = token.url;
		buf_init(&b, CAP);
	} else {
		buf_init(&b, CAP);
		url_strip(value, &b);
		value = buf_slice(&b);
		if (slice_starts(value, SLICE("//")))
			buf_str(&t->out, "https:");
	}
	/* Letters of another charset were converted for the token: seen elsewhere. */
	for (size_t i = 0; i < value.len; i++)
		if (value.p[i] < 0x80)
			buf_byte(&t->out, value.p[i]);
		else if (i == 0 || value.p[i - 1] < 0x80)
			buf_byte(&t->out, '?');
	buf_free(&b);
}

static bool opt_out_mark(slice name)
{
	static const char *const marks[] = {"data-landfall", "ses:no-track", "data-msys-clicktrack",
		"clicktracking", "data-pm-no-track", "disable-tracking", "data-no-track",
		"mc:disable-tracking", "mautic:disable-tracking"};

	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (slice_eq(name, slice_str(marks[i])))
			return true;
	return false;
}

static slice tag_name(const GumboElement *e)
{
	GumboStringPiece tag = e->original_tag;

	if (e->tag != GUMBO_TAG_UNKNOWN)
		return slice_str(gumbo_normalized_tagname(e->tag));
	gumbo_tag_from_original_text(&tag);
	return slice_of((const uint8_t *)tag.data, tag.length);
}

static void put_lower(struct buf *out, slice s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_byte(out, ascii_lower(s.p[i]));
}

static void put_attributes(struct tree *t, const GumboElement *e, bool link)
{
	for (unsigned i = 0; i < e->attributes.length; i++) {
		const GumboAttribute *a = e->attributes.data[i];
		slice name = slice_str(a->name), value = slice_str(a->value);

		if (link && opt_out_mark(name))
			continue;
		buf_byte(&t->out, ' ');
		buf_put(&t->out, name);
		buf_byte(&t->out, '=');
		if (link && slice_eq(name, SLICE("href")))
			put_destination(t, value);
		else
			buf_put(&t->out, value);
	}
}

static void put_node(struct tree *t, const GumboNode *n, bool *only_pixels);

static void put_inside(struct tree *t, const GumboVector *list, bool *only_pixels)
{
	*only_pixels = list->length > 0;
	for (unsigned i = 0; i < list->length; i++) {
		bool only;

		put_node(t, list->data[i], &only);
		*only_pixels &= only;
	}
}

static void put_element(struct tree *t, const GumboNode *n, bool *only_pixels)
{
	const GumboElement *e = &n->v.element;
	size_t before = t->out.len;
	bool was_text = t->in_text;
	slice tag = tag_name(e);
	const GumboAttribute *src = gumbo_get_attribute(&e->attributes, "src");
	const GumboAttribute *href = gumbo_get_attribute(&e->attributes, "href");
	bool link = e->tag == GUMBO_TAG_A || e->tag == GUMBO_TAG_AREA ||
		    (tag.len > 2 && (tag.p[0] | 0x20) == 'v' && tag.p[1] == ':');
	struct token token;

	*only_pixels = false;
	if (e->tag == GUMBO_TAG_IMG && src && ours(slice_str(src->value), TOKEN_OPEN, &token)) {
		t->pixels++;
		*only_pixels = true;
		return;
	}
	seen.elements++;
	if (link && href && e->original_tag.data && t->noscript == 0) {
		char at[40];

		/* What the parser made twice of one tag is one link. */
		snprintf(at, sizeof at, " %zu ",
			(size_t)((const uint8_t *)e->original_tag.data - t->source.p));
		if (slice_find(buf_slice(&t->links), slice_str(at), 0) == SLICE_NPOS) {
			buf_str(&t->links, at);
			seen.links++;
		}
	}
	t->in_text = false;
	buf_str(&t->out, "\n<");
	put_lower(&t->out, tag);
	buf_printf(&t->out, "/%d", (int)e->tag_namespace);
	put_attributes(t, e, link);
	t->noscript += e->tag == GUMBO_TAG_NOSCRIPT;
	put_inside(t, &e->children, only_pixels);
	t->noscript -= e->tag == GUMBO_TAG_NOSCRIPT;
	/* A browser opens what was left open (<b>, <font>) again around whatever
	 * follows; around a pixel alone it shows nothing. */
	*only_pixels &= (n->parse_flags & GUMBO_INSERTION_RECONSTRUCTED_FORMATTING_ELEMENT) != 0;
	if (*only_pixels) {
		t->out.len = before;
		t->in_text = was_text;
		return;
	}
	t->in_text = false;
	buf_str(&t->out, "\n>");
}

static void put_document(struct tree *t, slice html);

static void put_comment(struct tree *t, slice text)
{
	size_t open = slice_istarts(text, SLICE("[if")) ? slice_find(text, SLICE("]>"), 0) : SLICE_NPOS;

	t->in_text = false;
	buf_str(&t->out, "\n<!--");
	/* What Outlook reads of it. */
	if (open != SLICE_NPOS) {
		seen.conditional++;
		buf_put(&t->out, slice_sub(text, 0, open));
		put_document(t, slice_from(text, open + 2));
	} else {
		buf_put(&t->out, text);
	}
}

static void put_node(struct tree *t, const GumboNode *n, bool *only_pixels)
{
	*only_pixels = false;
	switch (n->type) {
	case GUMBO_NODE_DOCUMENT:
		put_inside(t, &n->v.document.children, only_pixels);
		break;
	case GUMBO_NODE_ELEMENT:
	case GUMBO_NODE_TEMPLATE:
		put_element(t, n, only_pixels);
		break;
	case GUMBO_NODE_TEXT:
	case GUMBO_NODE_CDATA:
	case GUMBO_NODE_WHITESPACE:
		if (!t->in_text)
			buf_str(&t->out, "\n\"");
		t->in_text = true;
		buf_str(&t->out, n->v.text.text);
		break;
	case GUMBO_NODE_COMMENT:
		put_comment(t, slice_str(n->v.text.text));
		break;
	}
}

static void put_document(struct tree *t, slice html)
{
	GumboOutput *o = gumbo_parse_with_options(&kGumboDefaultOptions, (const char *)html.p, html.len);
	struct tree inner = *t;
	bool only;

	inner.source = html;
	buf_init(&inner.links, CAP);
	put_node(&inner, o->document, &only);
	t->out = inner.out;
	t->pixels = inner.pixels;
	t->in_text = false;
	/* Of the whole document only: links in comments are counted apart. */
	if (t->source.p == NULL) {
		buf_free(&t->links);
		t->links = inner.links;
	} else {
		buf_free(&inner.links);
	}
	gumbo_destroy_output(&kGumboDefaultOptions, o);
}

static void tree_open(struct tree *t, slice html, enum charset c)
{
	struct buf text;

	*t = (struct tree){0};
	buf_init(&t->out, CAP);
	buf_init(&t->links, CAP);
	buf_init(&text, CAP);
	to_utf8(html, c, &text);
	put_document(t, buf_slice(&text));
	buf_free(&text);
}

static void tree_close(struct tree *t)
{
	buf_free(&t->out);
	buf_free(&t->links);
}

static void same_tree(const char *name, const struct tree *a, const struct tree *b)
{
	slice x = buf_slice(&a->out), y = buf_slice(&b->out);
	size_t i = 0, from;

	if (slice_eq(x, y))
		return;
	while (i < x.len && i < y.len && x.p[i] == y.p[i])
		i++;
	from = i > 200 ? i - 200 : 0;
	fail_msg("%s: another tree:\n%.*s\nwas\n%.*s", name, SLICE_FMT(slice_sub(y, from, i + 100)),
		SLICE_FMT(slice_sub(x, from, i + 100)));
}

static slice decoded(const struct mime_part *m, slice message)
{
	slice body = slice_sub(message, m->body, m->to);
	struct mimeb64_text b64;
	struct qp_text qp;

	if (m->cte == MIME_QP) {
		qp_decode(&r.arena, body, &qp);
		return qp.dec;
	}
	if (m->cte == MIME_BASE64)
		return mimeb64_decode(&r.arena, body, &b64) == 0 ? b64.dec : SLICE_NONE;
	return body;
}

static unsigned edited_links(const struct part_plan *part)
{
	unsigned n = 0;

	for (size_t i = 0; i < part->site_count; i++)
		n += part->sites[i].kind == SITE_LINK && part->sites[i].comment_from == SITE_NONE;
	for (size_t i = 0; i < r.plan->left_count; i++)
		n += r.plan->left[i].part == part && !r.plan->left[i].commented;
	return n;
}

static void one_part(const char *name, const struct part_plan *part, slice out, const struct mime_part *after)
{
	struct tree a, b;
	char what[4200];
	unsigned n = 0;

	snprintf(what, sizeof what, "%s, part %.*s", name, SLICE_FMT(part->number));
	tree_open(&a, part->dec, part->charset);
	tree_open(&b, decoded(after, out), part->charset);
	same_tree(what, &a, &b);
	for (size_t i = 0; i + 1 < a.links.len; i++)
		n += a.links.p[i] == ' ' && a.links.p[i + 1] != ' ';
	test_numbers_equal(what, edited_links(part), n);
	/* Where the tree has no place for a pixel (frames) it is lost with what is around it. */
	if (b.pixels > part->has_pixel * 2u || a.pixels)
		fail_msg("%s: %u pixels", what, b.pixels);
	seen.pixels += b.pixels;
	seen.parts++;
	tree_close(&a);
	tree_close(&b);
}

static void one_message(const char *name, slice in)
{
	struct mime_tree after;
	slice out;

	out = rewriting_run(&r, in);
	seen.files++;
	if (r.rendering.broken)
		fail_msg("%s: proof failed: %s", name, r.rendering.broken);
	if (r.rendering.untouched != UNTOUCHED_NOT)
		return;
	seen.edited++;
	seen.edits += r.rendering.links;
	assert_int_equal(mime_walk(&r.arena, out, &after), 0);
	test_numbers_equal(name, (long long)after.count, (long long)r.plan->tree.count);
	for (size_t i = 0; i < r.plan->part_count; i++) {
		const struct part_plan *part = r.plan->parts[i];

		if (part->html)
			one_part(name, part, out, &after.parts[part->part - r.plan->tree.parts]);
	}
}

/* The same file in each encoding. */
static void one_page(const char *name, slice html)
{
	struct buf m;

	buf_init(&m, CAP);
	buf_str(&m, "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
	buf_put(&m, html);
	one_message(name, buf_slice(&m));
	buf_clear(&m);
	buf_str(&m, "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	{
		size_t n = mimeb64_size(html.len, 76, SLICE("\r\n"));

		mimeb64_encode(html, 76, SLICE("\r\n"), buf_room(&m, n));
		buf_grew(&m, n);
	}
	one_message(name, buf_slice(&m));
	buf_clear(&m);
	buf_str(&m, "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: "
		    "quoted-printable\r\n\r\n");
	for (size_t i = 0, column = 0; i < html.len; i++) {
		uint8_t c = html.p[i];

		if (column > 70 && c != '\n') {
			buf_str(&m, "=\r\n");
			column = 0;
		}
		if (c == '\n' || (c >= ' ' && c < 0x7f && c != '=' &&
					 !(c == ' ' && i + 1 < html.len && html.p[i + 1] < ' ')))
			buf_byte(&m, c), column++;
		else
			buf_printf(&m, "=%02X", c), column += 3;
		if (c == '\n')
			column = 0;
	}
	one_message(name, buf_slice(&m));
	buf_free(&m);
}

static void walk(const char *root, const char *below, const char *folder)
{
	char path[4096], name[2048];
	struct dirent *e;
	struct stat st;
	slice file;
	bool have;
	DIR *d;

	snprintf(path, sizeof path, "%s/%s", root, below);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s%s%s", below, *below ? "/" : "", e->d_name);
		snprintf(path, sizeof path, "%s/%s", root, name);
		if (stat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode))
			walk(root, name, folder);
		if (!S_ISREG(st.st_mode))
			continue;
		file = test_file(path, &have);
		assert_true(have);
		if (strncmp(folder, "html-", 5) != 0)
			one_message(path, file);
		else if (slice_ends(slice_str(name), SLICE(".html")))
			one_page(path, file);
	}
	if (d)
		closedir(d);
}

static void trees(void **state)
{
	static const char *const folders[] = {"html-colorlib", "html-foundation", "html-leemunroe",
		"html-postmark", "html-sendgrid", "html-sendwithus", "mime-mimekit", "mime-mime4j",
		"mime-cpython", "mime-flanker", "mail-spamassassin"};
	const char *corpora = test_corpora();
	char path[2048];

	(void)state;
	if (!corpora)
		skip();
	r.policy.top_pixel = true;
	r.policy.amp_links = true;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		memset(&seen, 0, sizeof seen);
		snprintf(path, sizeof path, "%s/%s", corpora, folders[i]);
		walk(path, "", folders[i]);
		printf("%s: %u messages, %u edited, %u HTML parts: %lu elements, %lu links, %lu pixels, %lu "
		       "conditional comments\n",
			folders[i], seen.files, seen.edited, seen.parts, seen.elements, seen.links,
			seen.pixels, seen.conditional);
		assert_true(seen.files > 0);
	}
}

/* The comparison itself sees what it is there for. */
static void sees(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{"<p>x", "<p>x", true},
		{"<p>x", "<p>y", false},
		{"<p>x", "<p> x", false},
		{"<p>x", "<p>x</p><p></p>", false},
		{"<p class=a>x", "<p class=b>x", false},
		{"<a href=//a.b/>", "<a href='https://a.b/'>", true},
		{"<a href=https://a.b/>", "<a href='https://a.c/'>", false},
		{"<a data-no-track href=x>", "<a href=x>", true},
		{"<img src=a>", "", false},
		{"<!-- x -->", "<!-- y -->", false},
		{"<!--[if mso]><v:rect href=x><![endif]-->", "<!--[if mso]><v:rect href=y><![endif]-->",
			false},
		{"<p><b>x</p>", "<p><b>x</p><b></b>", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tree a, b;

		tree_open(&a, slice_str(rows[i].a), CHARSET_UTF8);
		tree_open(&b, slice_str(rows[i].b), CHARSET_UTF8);
		test_numbers_equal(rows[i].b, slice_eq(buf_slice(&a.out), buf_slice(&b.out)), rows[i].same);
		tree_close(&a);
		tree_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sees), cmocka_unit_test(trees)};
	int rc;

	rewriting_open(&r);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rewriting_close(&r);
	return rc;
}
