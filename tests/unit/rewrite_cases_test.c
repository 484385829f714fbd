/* The twenty-five cases of docs/REWRITING.md, by their numbers. */
#include "tests/testing.h"

#include "tests/rewriting.h"

#include "core/base/refuse.h"
#include "core/parse/charset.h"
#include "core/parse/hdr.h"
#include "core/parse/mime.h"
#include "core/parse/mimeb64.h"
#include "core/parse/qp.h"
#include "core/parse/url.h"
#include "rewriter/plan.h"

#include <stdio.h>

static struct rewriting r;

static int setup(void **state)
{
	(void)state;
	rewriting_open(&r);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rewriting_close(&r);
	return 0;
}

/* header + "\r\n\r\n" + body */
static slice message(const char *header, slice body)
{
	static struct buf b;

	if (b.cap == 0)
		buf_init(&b, 1 << 26);
	buf_clear(&b);
	buf_str(&b, header);
	buf_str(&b, "\r\n\r\n");
	buf_put(&b, body);
	return buf_slice(&b);
}

/* Rewrite a guarded copy; the body of what comes out, links shown as C(...). */
static slice body_of(slice in, struct buf *shown)
{
	slice guarded = test_guard(in), out = rewriting_run(&r, guarded);
	size_t body = slice_find(out, SLICE("\r\n\r\n"), 0);

	buf_clear(shown);
	rewriting_reveal(&r, slice_from(out, body == SLICE_NPOS ? 0 : body + 4), shown);
	test_unguard(guarded);
	return buf_slice(shown);
}

#define SAME(name, text)                                                                                     \
	{                                                                                                    \
		name, SLICE(text), SLICE(text)                                                               \
	}
struct row {
	const char *name;
	slice in, want;
};

static void rows_hold(const char *header, const struct row *rows, size_t n)
{
	struct buf shown;

	buf_init(&shown, 1 << 26);
	for (size_t i = 0; i < n; i++)
		test_slices_equal(rows[i].name, body_of(message(header, rows[i].in), &shown), rows[i].want);
	buf_free(&shown);
}

#define HTML "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit"
#define TEXT "Subject: x\r\nContent-Type: text/plain; charset=utf-8"
#define ROWS(header, rows) rows_hold(header, rows, sizeof(rows) / sizeof *(rows))

/* What the tracker would answer to the first click of the copy. */
static void location_is(const char *name, slice html, slice want)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	rewriting_run(&r, message(HTML, html));
	test_numbers_equal(name, r.rendering.links, 1);
	test_numbers_equal(name, url_location(r.plan->targets.list[0].to, &b), 0);
	test_slices_equal(name, buf_slice(&b), want);
	buf_free(&b);
}

/* Does --explain say so? */
static bool explained(slice html, const char *what)
{
	struct buf b;
	bool has;

	buf_init(&b, 1 << 20);
	rewriting_run(&r, message(HTML, html));
	assert_int_equal(message_explain(&r.arena, r.plan, &r.id, r.sealer, &b), 0);
	has = slice_find(buf_slice(&b), slice_str(what), 0) != SLICE_NPOS;
	buf_free(&b);
	return has;
}

static void links_only(void)
{
	r.policy.opens = false;
}

static void case_01_entities(void **state)
{
	static const struct row rows[] = {
		{"amp in three forms", SLICE("<a href=\"https://a.example/p?x=1&amp;y=2&#38;z=3&#x26;w=4\">"),
			SLICE("<a href=\"C(https://a.example/p?x=1&y=2&z=3&w=4)\">")},
		{"copy without semicolon before =", SLICE("<a href=\"https://a.example/?a=1&copy=1\">"),
			SLICE("<a href=\"C(https://a.example/?a=1&copy=1)\">")},
		{"copy with semicolon", SLICE("<a href=\"https://a.example/?a=&copy;1\">"),
			SLICE("<a href=\"C(https://a.example/?a=\xc2\xa9"
			      "1)\">")},
		{"quote as reference", SLICE("<a href=\"https://a.example/?a=&quot;1\">"),
			SLICE("<a href=\"C(https://a.example/?a=\"1)\">")},
	};

	(void)state;
	links_only();
	ROWS(HTML, rows);
}

static void case_02_apostrophe(void **state)
{
	static const struct row rows[] = {
		{"in double quotes", SLICE("<a href=\"https://a.example/Jack's?q='1'\">J</a>"),
			SLICE("<a href=\"C(https://a.example/Jack's?q='1')\">J</a>")},
		{"in single quotes", SLICE("<a href='https://a.example/say\"hi\"'>J</a>"),
			SLICE("<a href='C(https://a.example/say\"hi\")'>J</a>")},
	};

	(void)state;
	links_only();
	ROWS(HTML, rows);
}

static void case_03_unquoted(void **state)
{
	static const struct row rows[] = {
		{"odd spacing", SLICE("<A HREF = HTTPS://a.example/x?a=1&b=2 target=_blank>"),
			SLICE("<A HREF = C(HTTPS://a.example/x?a=1&b=2) target=_blank>")},
		{"slash belongs to the value", SLICE("<a href=https://a.example/x/>y</a>"),
			SLICE("<a href=C(https://a.example/x/)>y</a>")},
		{"line ends around =", SLICE("<a\r\nhref\r\n=\r\n\"https://a.example/x\"\r\n>y</a>"),
			SLICE("<a\r\nhref\r\n=\r\n\"C(https://a.example/x)\"\r\n>y</a>")},
	};

	(void)state;
	links_only();
	ROWS(HTML, rows);
}

static void case_04_white_space(void **state)
{
	static const struct row rows[] = {
		{"line end and blanks inside", SLICE("<a href=\" https://a.example/a\r\n  b \">y</a>"),
			SLICE("<a href=\"C(https://a.example/a  b)\">y</a>")},
		{"tab inside the scheme", SLICE("<a href=\"ht\ttps://a.example/\">y</a>"),
			SLICE("<a href=\"C(https://a.example/)\">y</a>")},
	};

	(void)state;
	links_only();
	ROWS(HTML, rows);
	location_is("inner spaces", rows[0].in, SLICE("https://a.example/a%20%20b"));
}

static void case_05_wrong_attribute(void **state)
{
	static const struct row rows[] = {
		{"others that end in href",
			SLICE("<a data-mce-href=\"https://a.example/m\" ng-href=\"https://a.example/m\" "
			      "href=\"https://a.example/m\">"),
			SLICE("<a data-mce-href=\"https://a.example/m\" ng-href=\"https://a.example/m\" "
			      "href=\"C(https://a.example/m)\">")},
		{"the first of two counts",
			SLICE("<a href=\"https://a.example/1\" href=\"https://a.example/2\">"),
			SLICE("<a href=\"C(https://a.example/1)\" href=\"https://a.example/2\">")},
		{"in a value", SLICE("<a title=\"href='https://a.example/1'\" href=https://a.example/2>"),
			SLICE("<a title=\"href='https://a.example/1'\" href=C(https://a.example/2)>")},
	};

	(void)state;
	links_only();
	ROWS(HTML, rows);
}

static void case_06_other_elements(void **state)
{
	static const struct row rows[] = {
		{"left alone",
			SLICE("<link href=\"https://a.example/c.css\"><base href=\"https://a.example/n/\">"
			      "<img src=\"https://a.example/i.png\"><td background=\"https://a.example/b\" "
			      "style=\"background:url(https://a.example/u)\"><form "
			      "action=\"https://a.example/f\">"
			      "<abbr href=\"https://a.example/x\">"),
			SLICE("<link href=\"https://a.example/c.css\"><base href=\"https://a.example/n/\">"
			      "<img src=\"https://a.example/i.png\"><td background=\"https://a.example/b\" "
			      "style=\"background:url(https://a.example/u)\"><form "
			      "action=\"https://a.example/f\">"
			      "<abbr href=\"https://a.example/x\">")},
		{"area", SLICE("<map><area shape=rect href=\"https://a.example/m\"></map>"),
			SLICE("<map><area shape=rect href=\"C(https://a.example/m)\"></map>")},
		{"relative below base", SLICE("<base href=\"https://a.example/n/\"><a href=\"x.html\">"),
			SLICE("<base href=\"https://a.example/n/\"><a href=\"x.html\">")},
	};

#define BASE "<base href=\"https://a.example/n/i.html?q#f\">"
	static const struct row below[] = {
		{"a file", SLICE(BASE "<a href=\"x.html\">"),
			SLICE(BASE "<a href=\"C(https://a.example/n/x.html)\">")},
		{"a path", SLICE(BASE "<a href=\"/x\">"), SLICE(BASE "<a href=\"C(https://a.example/x)\">")},
		{"a query", SLICE(BASE "<a href=\"?a=1&amp;b\">"),
			SLICE(BASE "<a href=\"C(https://a.example/n/i.html?a=1&b)\">")},
		{"a folder up", SLICE(BASE "<a href=\" ../x \">"),
			SLICE(BASE "<a href=\"C(https://a.example/n/../x)\">")},
		SAME("within the page", BASE "<a href=\"#top\"><a href=\"\">"),
		SAME("other schemes", BASE "<a href=\"mailto:a@a.example\">"),
		SAME("placeholders", BASE "<a href=\"{{x}}\">"),
		{"absolute ones", SLICE(BASE "<a href=\"https://b.example/\"><a href=\"//c.example/\">"),
			SLICE(BASE "<a href=\"C(https://b.example/)\"><a href=\"C(https://c.example/)\">")},
		{"the first base counts",
			SLICE("<base target=x><base href=https://a.example><base href=https://b.example/><a "
			      "href=x>"),
			SLICE("<base target=x><base href=https://a.example><base href=https://b.example/><a "
			      "href=C(https://a.example/x)>")},
		SAME("a base that is none",
			"<base href=\"n/\"><base href=\"https://b.example/\"><a href=\"x.html\">"),
		SAME("in a comment",
			"<!--[if mso]><base href=\"https://a.example/\"><![endif]--><a href=\"x.html\">"),
	};

	(void)state;
	links_only();
	ROWS(HTML, rows);
	r.policy.base_links = true;
	ROWS(HTML, below);
}

static void case_07_mso(void **state)
{
	static const struct row rows[] = {
		{"both branches",
			SLICE("<body><!--[if mso]><v:roundrect href=\"https://a.example/b\" x><![endif]-->"
			      "<!--[if !mso]><!--><a "
			      "href=\"https://a.example/b\">Go</a><!--<![endif]--></body>"),
			SLICE("<body><!--[if mso]><v:roundrect href=\"C(https://a.example/b)\" x><![endif]-->"
			      "<!--[if !mso]><!--><a "
			      "href=\"C(https://a.example/b)\">Go</a><!--<![endif]-->PIX</body>")},
		{"downlevel-revealed", SLICE("<![if !mso]><a href=\"https://a.example/b\">Go</a><![endif]>"),
			SLICE("<![if !mso]><a href=\"C(https://a.example/b)\">Go</a><![endif]>PIX")},
		{"body end inside is none", SLICE("<p>x<!--[if mso]></body></html><![endif]-->y"),
			SLICE("<p>x<!--[if mso]></body></html><![endif]-->yPIX")},
		SAME("without quotes in a comment",
			"<style>x</style><!--[if mso]><v:rect href=https://a.example/b><![endif]--><style>"),
		{"opted out twin",
			SLICE("<body><!--[if mso]><v:rect href=\"https://a.example/b\"><![endif]-->"
			      "<a data-no-track href=\"https://a.example/b\">Go</a></body>"),
			SLICE("<body><!--[if mso]><v:rect href=\"https://a.example/b\"><![endif]-->"
			      "<a href=\"https://a.example/b\">Go</a>PIX</body>")},
	};
	slice out;
	size_t one, two;

	(void)state;
	ROWS(HTML, rows);
	/* The same bytes in both places: one link number. */
	out = rewriting_run(&r, message(HTML, rows[0].in));
	one = slice_find(out, SLICE("https://t.example/c/"), 0);
	two = slice_find(out, SLICE("https://t.example/c/"), one + 1);
	assert_true(two != SLICE_NPOS);
	assert_true(slice_eq(slice_sub(out, one, token_end(out, one + 20)),
		slice_sub(out, two, token_end(out, two + 20))));
	assert_int_equal(r.plan->targets.numbered, 1);
}

static void case_08_not_markup(void **state)
{
#define SAME(name, text)                                                                                     \
	{                                                                                                    \
		name, SLICE(text), SLICE(text)                                                               \
	}
	static const struct row rows[] = {
		SAME("comment", "<!-- <a href=\"https://a.example/old\"> </body> -->"),
		SAME("script", "<script type=\"application/ld+json\">{\"url\":\"<a "
			       "href='https://a.example/v'>\"}</script>"),
		SAME("style", "<style>a:after{content:'<a href=https://a.example/v>'}</style>"),
		SAME("title", "<title><a href=\"https://a.example/v\"></title>"),
		SAME("textarea", "<textarea><a href=\"https://a.example/v\"></textarea>"),
		SAME("noscript", "<noscript><a href=\"https://a.example/v\"></noscript>"),
	};
	static const struct row pixel[] = {
		{"body end in a comment", SLICE("<body>x<!-- </body> --></body>"),
			SLICE("<body>x<!-- </body> -->PIX</body>")},
		{"body end in a script", SLICE("<body>x</body><script>'</body>'</script>"),
			SLICE("<body>xPIX</body><script>'</body>'</script>")},
	};

	(void)state;
	links_only();
	ROWS(HTML, rows);
	r.policy.opens = true;
	ROWS(HTML, pixel);
}

static void case_09_schemes(void **state)
{
	static const struct row rows[] = {
		SAME("mailto", "<a href=\"mailto:a@a.example\">"),
		SAME("tel", "<a href=\"tel:+361\">"),
		SAME("sms", "<a href=\"sms:+361\">"),
		SAME("cid", "<a href=\"cid:1@a\">"),
		SAME("data", "<a href=\"data:text/html,x\">"),
		SAME("javascript", "<a href=\"javascript:void(0)\">"),
		SAME("whatsapp", "<a href=\"whatsapp://send?text=x\">"),
		SAME("fragment", "<a href=\"#top\">"),
		SAME("empty", "<a href=\"\">"),
		SAME("no value", "<a href>"),
		SAME("www is a path", "<a href=\"www.a.example\">"),
		SAME("no host", "<a href=\"https:///\">"),
		SAME("user information", "<a href=\"https://u:p@a.example/\">"),
		{"scheme-relative", SLICE("<a href=\"//a.example/x\">"),
			SLICE("<a href=\"C(https://a.example/x)\">")},
	};

	(void)state;
	links_only();
	ROWS(HTML, rows);
	assert_true(explained(SLICE("<a href=\"www.a.example\">"),
		"\"a link without https:// leads nowhere: www.a.example\""));
}

static void case_10_merge_tags(void **state)
{
	static const struct row rows[] = {
		SAME("mustache", "<a href=\"{{ unsubscribe }}\">"),
		SAME("inside a URL", "<a href=\"https://a.example/{{id}}\">"),
		SAME("stars", "<a href=\"*|UNSUB|*\">"),
		SAME("percent", "<a href=\"%%link%%\">"),
		SAME("percent inside", "<a href=\"https://a.example/%%link%%\">"),
		SAME("brackets", "<a href=\"[[x]]\">"),
		{"one bracket is data", SLICE("<a href=\"https://a.example/?f[0]=a\">"),
			SLICE("<a href=\"C(https://a.example/?f[0]=a)\">")},
	};

	(void)state;
	links_only();
	ROWS(HTML, rows);
	rewriting_run(&r, message(HTML, SLICE("<a href=\"https://a.example/{{id}}\">")));
	assert_int_equal(r.rendering.left, 1);
	assert_int_equal(r.plan->left[0].why, LEFT_MERGE_TAG);
	assert_true(explained(SLICE("<a href=\"{{ unsubscribe }}\">"),
		"\"unresolved placeholder in a link: {{ unsubscribe }}\""));
}

static void case_11_opt_outs(void **state)
{
	static const struct row rows[] = {
		{"all of them",
			SLICE("<a ses:no-track data-msys-clicktrack=\"0\" clicktracking=\"off\" "
			      "data-pm-no-track "
			      "disable-tracking=\"yes\" data-no-track mc:disable-tracking "
			      "mautic:disable-tracking "
			      "data-landfall=\"off\" href=\"https://a.example/k\">"),
			SLICE("<a href=\"https://a.example/k\">")},
		{"behind the href", SLICE("<a href=\"https://a.example/k\" clicktracking=off>x</a>"),
			SLICE("<a href=\"https://a.example/k\">x</a>")},
		{"both sides",
			SLICE("<a data-no-track href=\"https://a.example/k\"  ses:no-track title=x>x</a>"),
			SLICE("<a href=\"https://a.example/k\"  title=x>x</a>")},
		{"on does not",
			SLICE("<a clicktracking=on data-msys-clicktrack=\"1\" href=\"https://a.example/k\">"),
			SLICE("<a clicktracking=on data-msys-clicktrack=\"1\" "
			      "href=\"C(https://a.example/k)\">")},
		{"glued attributes", SLICE("<a data-no-track=\"1\"href=\"https://a.example/k\">"),
			SLICE("<a href=\"https://a.example/k\">")},
		{"one of two links",
			SLICE("<a data-no-track href=https://a.example/k>1</a><a "
			      "href=https://a.example/j>2</a>"),
			SLICE("<a href=https://a.example/k>1</a><a href=C(https://a.example/j)>2</a>")},
	};
	static const struct row text[] = {
		{"mark", SLICE("x https://a.example/k[[data-msys-clicktrack=\"0\"]] y\r\n"),
			SLICE("x https://a.example/k y\r\n")},
	};
	static const struct row twin[] = {
		{"twin in the text part",
			SLICE("--b\r\n\r\nhttps://a.example/k https://a.example/j\r\n--b\r\nContent-Type: "
			      "text/html\r\n\r\n"
			      "<a ses:no-track href=\"https://a.example/k\">k</a>\r\n--b--\r\n"),
			SLICE("--b\r\n\r\nhttps://a.example/k C(https://a.example/j)\r\n--b\r\nContent-Type: "
			      "text/html\r\n\r\n<a href=\"https://a.example/k\">k</a>\r\n--b--\r\n")},
	};

	(void)state;
	links_only();
	ROWS(HTML, rows);
	ROWS(TEXT, text);
	ROWS("Content-Type: multipart/alternative; boundary=b", twin);
}

static void case_12_nested_encodings(void **state)
{
	static const struct row rows[] = {
		{"byte for byte",
			SLICE("<a "
			      "href=\"https://a.example/"
			      "r?u=https%3A%2F%2Fb.example%2F%3Fq%3D1%2526&f[0]=a|b;c\">"),
			SLICE("<a "
			      "href=\"C(https://a.example/"
			      "r?u=https%3A%2F%2Fb.example%2F%3Fq%3D1%2526&f[0]=a|b;c)\">")},
	};

	(void)state;
	links_only();
	ROWS(HTML, rows);
	location_is("Location", rows[0].in,
		SLICE("https://a.example/r?u=https%3A%2F%2Fb.example%2F%3Fq%3D1%2526&f[0]=a|b;c"));
}

static void case_13_iri(void **state)
{
	static const struct row rows[] = {
		{"as given",
			SLICE("<a href=\"https://b\xc3\xbc"
			      "cher.example/gr\xc3\xbcn?q=\xc3\xa9#color=gr\xc3\xbcn\">"),
			SLICE("<a href=\"C(https://b\xc3\xbc"
			      "cher.example/gr\xc3\xbcn?q=\xc3\xa9#color=gr\xc3\xbcn)\">")},
		{"stray percent", SLICE("<a href=\"https://a.example/%zz\">"),
			SLICE("<a href=\"C(https://a.example/%zz)\">")},
	};

	(void)state;
	links_only();
	ROWS(HTML, rows);
	location_is(
		"IDN", rows[0].in, SLICE("https://xn--bcher-kva.example/gr%C3%BCn?q=%C3%A9#color=gr%C3%BCn"));
	location_is("stray percent", rows[1].in, SLICE("https://a.example/%zz"));
	/* Control characters, as bytes or as references, never reach the header. */
	location_is("CR LF", SLICE("<a href=\"https://a.example/x&#13;&#10;Set-Cookie:a\x01&#2;\x7f\">"),
		SLICE("https://a.example/xSet-Cookie:a%01%02%7F"));
}

static void case_14_utm(void **state)
{
	static const struct row rows[] = {
		{"query and fragment", SLICE("<a href=\"https://a.example?x=1#sec\">"),
			SLICE("<a "
			      "href=\"C(https://"
			      "a.example?x=1&utm_source=nl&utm_campaign=h%C3%ADrlev%C3%A9l#sec)\">")},
		{"one is there already", SLICE("<a href=\"https://a.example/?utm_source=keep\">"),
			SLICE("<a "
			      "href=\"C(https://a.example/"
			      "?utm_source=keep&utm_campaign=h%C3%ADrlev%C3%A9l)\">")},
		{"question mark at the end", SLICE("<a href=\"https://a.example/?\">"),
			SLICE("<a "
			      "href=\"C(https://a.example/"
			      "?utm_source=nl&utm_campaign=h%C3%ADrlev%C3%A9l)\">")},
		{"hash router", SLICE("<a href=\"https://a.example/#/route?x=1\">"),
			SLICE("<a "
			      "href=\"C(https://a.example/?utm_source=nl&utm_campaign=h%C3%ADrlev%C3%A9l#/"
			      "route?x=1)\">")},
		SAME("mailto", "<a href=\"mailto:a@a.example\">"),
	};
	static const struct utm utm[] = {
		{SLICE("utm_source"), SLICE("nl")}, {SLICE("utm_campaign"), SLICE("h\xc3\xadrlev\xc3\xa9l")}};

	(void)state;
	links_only();
	r.policy.utm = utm;
	r.policy.utm_count = 2;
	ROWS(HTML, rows);
}

static void case_15_own_links(void **state)
{
	struct buf first, quote;
	slice out, body;

	(void)state;
	buf_init(&first, 1 << 20);
	buf_put(&first,
		rewriting_run(&r, message(HTML "\r\nList-Unsubscribe: <https://a.example/u?t=1>",
					  SLICE("<body><a href=\"https://a.example/x\">x</a> "
						"<a href=\"https://a.example/u?t=1\">u</a></body>"))));
	assert_true(
		slice_find(buf_slice(&first), SLICE("href=\"https://a.example/u?t=1\""), 0) != SLICE_NPOS);
	assert_int_equal(r.rendering.links, 1);
	assert_true(slice_find(buf_slice(&first),
			    SLICE("\r\nList-Unsubscribe: <https://a.example/u?t=1>\r\n"), 0) != SLICE_NPOS);
	/* Our own output again. */
	out = rewriting_run(&r, buf_slice(&first));
	test_slices_equal("second run", out, buf_slice(&first));
	assert_int_equal(r.rendering.untouched, UNTOUCHED_OURS);
	/* An answer that quotes it has no header field of ours, but our links and pixel. */
	buf_init(&quote, 1 << 20);
	body = slice_from(buf_slice(&first), slice_find(buf_slice(&first), SLICE("\r\n\r\n"), 0) + 4);
	buf_str(&quote, HTML "\r\nList-Unsubscribe: <https://a.example/u?t=1>\r\n\r\n");
	buf_put(&quote, body);
	out = rewriting_run(&r, buf_slice(&quote));
	test_slices_equal("answer", slice_sub(out, out.len - body.len, out.len), body);
	assert_int_equal(r.rendering.pixels, 0);
	assert_int_equal(r.rendering.links, 0);
	buf_free(&quote);
	buf_free(&first);
}

static void case_16_url_as_text(void **state)
{
	static const struct row skip[] = {
		SAME("shows another host", "<a href=\"https://b.test/t\">https://b.test/t</a>"),
		SAME("www", "<a href=\"https://b.test/t\"> www.b.test</a>"),
		SAME("inside bold", "<a href=\"https://b.test/t\"><b>http://b.test</b></a>"),
		{"of the tracking host's domain",
			SLICE("<a href=\"https://b.test/t\">https://www.t.example/x</a>"),
			SLICE("<a href=\"C(https://b.test/t)\">https://www.t.example/x</a>")},
		{"words", SLICE("<a href=\"https://b.test/t\">see https://b.test</a>"),
			SLICE("<a href=\"C(https://b.test/t)\">see https://b.test</a>")},
		{"only its own link",
			SLICE("<a href=https://b.test/t>https://b.test/t</a><a href=https://b.test/u>u</a>"),
			SLICE("<a href=https://b.test/t>https://b.test/t</a><a "
			      "href=C(https://b.test/u)>u</a>")},
	};
	static const struct row track[] = {
		{"href only", SLICE("<a href=\"https://b.test/t\">https://b.test/t</a>"),
			SLICE("<a href=\"C(https://b.test/t)\">https://b.test/t</a>")},
	};

	(void)state;
	links_only();
	ROWS(HTML, skip);
	r.policy.track_url_text = true;
	ROWS(HTML, track);
}

static void case_17_pixel_place(void **state)
{
	static const struct row rows[] = {
		{"before body end", SLICE("<html><body>x</BODY></HTML>\r\n"),
			SLICE("<html><body>xPIX</BODY></HTML>\r\n")},
		{"before html end", SLICE("<html>x</html>\r\n"), SLICE("<html>xPIX</html>\r\n")},
		{"neither", SLICE("<p>x</p>\r\n"), SLICE("<p>x</p>PIX\r\n")},
		{"neither, no line end", SLICE("<p>x"), SLICE("<p>xPIX")},
		{"two body ends", SLICE("<body>x</body>y</body>z"), SLICE("<body>x</body>yPIX</body>z")},
		SAME("empty", ""),
		SAME("white", " \r\n\t\r\n"),
		{"ends inside of a tag", SLICE("<p>x</p><a title=\"y"), SLICE("<p>x</p>PIX<a title=\"y")},
		{"ends inside of a comment", SLICE("<p>x</p><!-- y"), SLICE("<p>x</p>PIX<!-- y")},
		{"ends inside of a comment, with a dash", SLICE("<p>x<!-- <i>y-"),
			SLICE("<p>xPIX<!-- <i>y-")},
		{"ends inside of a comment, with a tag", SLICE("<p>x<!--[if mso]><b>"),
			SLICE("<p>xPIX<!--[if mso]><b>")},
		{"ends with half a tag", SLICE("<p>x</"), SLICE("<p>xPIX</")},
		SAME("ends inside of a style", "<p>x</p><style>y"),
	};
	static const struct row top[] = {
		{"behind the true end of the tag", SLICE("<body style=\"a>b\">x</body>"),
			SLICE("<body style=\"a>b\">PIXxPIX</body>")},
	};

	(void)state;
	ROWS(HTML, rows);
	r.policy.top_pixel = true;
	ROWS(HTML, top);
}

static void case_18_punctuation(void **state)
{
	static const struct row rows[] = {
		{"all in one line",
			SLICE("See https://a.example/x. (https://a.example/y) <https://a.example/z>, "
			      "\"https://a.example/w\" "
			      "https://a.example/A_(b) https://a.example/dir/\r\n"),
			SLICE("See C(https://a.example/x). (C(https://a.example/y)) "
			      "<C(https://a.example/z)>, "
			      "\"C(https://a.example/w)\" C(https://a.example/A_(b)) "
			      "C(https://a.example/dir/)\r\n")},
		{"end of text", SLICE("https://a.example/x"), SLICE("C(https://a.example/x)")},
		{"question, exclamation", SLICE("https://a.example/x? https://a.example/y?! z"),
			SLICE("C(https://a.example/x)? C(https://a.example/y)?! z")},
		{"brackets around a bracketed one", SLICE("(https://a.example/A_(b))."),
			SLICE("(C(https://a.example/A_(b))).")},
		SAME("no word boundary", "xhttps://a.example/x git+https://a.example/x"),
		SAME("scheme alone", "https:// http://."),
		{"no-break space", SLICE("https://a.example/x\xc2\xa0y"),
			SLICE("C(https://a.example/x)\xc2\xa0y")},
		{"curly quotes", SLICE("\xe2\x80\x9chttps://a.example/x\xe2\x80\x9d"),
			SLICE("\xe2\x80\x9c"
			      "C(https://a.example/x)\xe2\x80\x9d")},
		{"letters", SLICE("https://a.example/gr\xc3\xbcn."),
			SLICE("C(https://a.example/gr\xc3\xbcn).")},
		SAME("a mailbox and a path", "a@a.example www.a.example /x"),
	};

	(void)state;
	ROWS(TEXT, rows);
}

static void case_19_flowed(void **state)
{
	static const struct row delsp[] = {
		SAME("never the first half", "https://a.example/very/long/ \r\npath/here end\r\n"),
		{"a whole one", SLICE("> see https://a.example/x \r\n> y\r\n-- \r\nhttps://a.example/z\r\n"),
			SLICE("> see https://a.example/x \r\n> y\r\n-- \r\nC(https://a.example/z)\r\n")},
	};
	static const struct row flowed[] = {
		{"a blank ends it", SLICE("https://a.example/x \r\nnext words\r\n"),
			SLICE("C(https://a.example/x) \r\nnext words\r\n")},
	};
	static const struct row fixed[] = {
		SAME("cut by a hard break", "https://a.example/very/long/\r\npath/here end\r\n"),
		SAME("in brackets", "<https://a.example/very\r\nlong>\r\n"),
		{"a sentence goes on", SLICE("https://a.example/x\r\nThanks\r\n"),
			SLICE("C(https://a.example/x)\r\nThanks\r\n")},
		{"a list", SLICE("https://a.example/x\r\nhttps://a.example/y\r\n"),
			SLICE("C(https://a.example/x)\r\nC(https://a.example/y)\r\n")},
	};

	(void)state;
	ROWS("Content-Type: text/plain; format=flowed; delsp=yes", delsp);
	ROWS("Content-Type: text/plain; format=flowed", flowed);
	ROWS(TEXT, fixed);
}

/* The longest line, without its line end. */
static size_t longest(slice s)
{
	size_t most = 0, from = 0;

	while (from < s.len) {
		size_t lf = slice_chr(s, '\n', from), end = lf == SLICE_NPOS ? s.len : lf;

		if (lf != SLICE_NPOS && end > from && s.p[end - 1] == '\r')
			end--;
		if (end - from > most)
			most = end - from;
		from = lf == SLICE_NPOS ? s.len : lf + 1;
	}
	return most;
}

#define QP "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable"
#define B64 "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64"

static void case_20_quoted_printable(void **state)
{
	static const struct {
		const char *name;
		slice in;
		slice want; /* decoded, shown */
		slice kept; /* lines of the encoded text that must come through */
	} rows[] = {
		{"soft break inside",
			SLICE("<p>gr=C3=BCn=20\r\n<a "
			      "href=3D\"https://a.example/x?a=3D1&amp;b=\r\n=3D2\">t</a>\r\n<p>end =\r\n"
			      "of it=20\r\n"),
			SLICE("<p>gr\xc3\xbcn \r\n<a href=\"C(https://a.example/x?a=1&b=2)\">t</a>\r\n<p>end "
			      "of it \r\n"),
			SLICE("<p>end =\r\nof it=20\r\n")},
		{"first line stays", SLICE("<p>gr=C3=BCn=20\r\n<a href=3D'https://a.example/'>t</a>"),
			SLICE("<p>gr\xc3\xbcn \r\n<a href='C(https://a.example/)'>t</a>"),
			SLICE("<p>gr=C3=BCn=20\r\n")},
		{"two on a line",
			SLICE("<a href=3Dhttps://a.example/1>1</a><a href=3Dhttps://a.example/2>2</a>=\r\n "
			      "and so on\r\n"),
			SLICE("<a href=C(https://a.example/1)>1</a><a href=C(https://a.example/2)>2</a> and "
			      "so on\r\n"),
			SLICE("=\r\n and so on\r\n")},
		{"LF only", SLICE("<a href=3Dhttps://a.example/1>1</a>=\n and=20\nso on\n"),
			SLICE("<a href=C(https://a.example/1)>1</a> and \nso on\n"),
			SLICE("=\n and=20\nso on\n")},
		{"a line end before what is cut", SLICE("<a\r\ndata-no-track href=3Dx>1</a>\r\n"),
			SLICE("<a\r\n href=x>1</a>\r\n"), SLICE("<a\r\n href")},
		{"cut at the end of a line", SLICE("<a  data-no-track\r\nhref=3Dhttps://a.example/1>1</a>"),
			SLICE("<a \r\nhref=https://a.example/1>1</a>"),
			SLICE("<a=20\r\nhref=3Dhttps://a.example/1>1</a>")},
		{"an equals sign before what is cut",
			SLICE("<a x== data-no-track 3D=A data-no-track BC href=3Dx>1</a>\r\n"),
			SLICE("<a x== 3D=A BC href=x>1</a>\r\n"), SLICE("<a x==3D 3D=3DA BC href")},
		{"behind a full line",
			SLICE("<p>345678901234567890123456789012345678901234567890123456789012345678901</p>"),
			SLICE("<p>345678901234567890123456789012345678901234567890123456789012345678901</"
			      "p>PIX"),
			SLICE("789012345678901</p=\r\n><img src")},
		{"a bare CR ends a full line",
			SLICE("e\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t/>z.<B$<"
			      "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t"
			      "\t\t\t=\r"),
			SLICE("e\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t/>z.PIX<B$<"
			      "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t"
			      "\t\t\t=\r"),
			SLICE("\t\t=\r")},
		{"sloppy", SLICE("<a href=3dhttps://a.example/1>1</a> = =x=\t\r\n=3"),
			SLICE("<a href=C(https://a.example/1)>1</a> = =x=3"), SLICE(" = =x=\t\r\n=3")},
	};
	struct buf shown;

	(void)state;
	links_only();
	buf_init(&shown, 1 << 20);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = message(QP, rows[i].in), out, body;
		struct qp_text t;

		r.policy.opens = slice_find(rows[i].want, SLICE("PIX"), 0) != SLICE_NPOS;
		out = rewriting_run(&r, in);
		assert_null(r.rendering.broken);
		body = slice_from(out, slice_find(out, SLICE("\r\n\r\n"), 0) + 4);
		qp_decode(&r.arena, body, &t);
		buf_clear(&shown);
		rewriting_reveal(&r, t.dec, &shown);
		test_slices_equal(rows[i].name, buf_slice(&shown), rows[i].want);
		if (longest(body) > QP_MAX_LINE)
			fail_msg("%s: a line of %zu", rows[i].name, longest(body));
		if (slice_find(body, rows[i].kept, 0) == SLICE_NPOS)
			fail_msg("%s: lines changed: %.*s", rows[i].name, SLICE_FMT(body));
	}
	buf_free(&shown);
}

static void case_21_base64(void **state)
{
	static const size_t widths[] = {76, 64, 60, 72};
	struct buf html, enc, shown;

	(void)state;
	buf_init(&html, 1 << 20);
	buf_init(&enc, 1 << 20);
	buf_init(&shown, 1 << 20);
	for (unsigned k = 0; k < 600; k++)
		buf_byte(&html, (uint8_t)('a' + k % 26));
	buf_str(&html, "<a href=\"https://a.example/x\">x</a>");
	for (unsigned k = 0; k < 200; k++)
		buf_byte(&html, (uint8_t)('a' + k % 26));
	for (unsigned i = 0; i < 8; i++) {
		size_t width = widths[i / 2], n = mimeb64_size(html.len, width, SLICE("\r\n")),
		       same = 600 / 3 * 4 / width;
		struct mimeb64_text t;
		slice out, body;

		buf_clear(&enc);
		mimeb64_encode(buf_slice(&html), width, SLICE("\r\n"), buf_room(&enc, n));
		buf_grew(&enc, n);
		if (i & 1)
			buf_str(&enc, "\r\n");
		out = rewriting_run(&r, message(B64, buf_slice(&enc)));
		assert_null(r.rendering.broken);
		assert_int_equal(r.rendering.links, 1);
		body = slice_from(out, slice_find(out, SLICE("\r\n\r\n"), 0) + 4);
		assert_int_equal(longest(body), width);
		assert_true(slice_eq(slice_sub(body, 0, same * (width + 2)),
			slice_sub(buf_slice(&enc), 0, same * (width + 2))));
		assert_int_equal(slice_ends(body, SLICE("\r\n")), i & 1);
		assert_int_equal(mimeb64_decode(&r.arena, body, &t), 0);
		buf_clear(&shown);
		rewriting_reveal(&r, t.dec, &shown);
		assert_true(slice_find(buf_slice(&shown),
				    SLICE("xyz<a href=\"C(https://a.example/x)\">x</a>"), 0) != SLICE_NPOS ||
			    slice_find(buf_slice(&shown), SLICE("<a href=\"C(https://a.example/x)\">x</a>"),
				    0) != SLICE_NPOS);
		assert_true(slice_ends(buf_slice(&shown), SLICE("PIX")));
	}
	buf_free(&html);
	buf_free(&enc);
	buf_free(&shown);
}

static void case_22_charsets(void **state)
{
	static const char *const editable[] = {"ISO-8859-1", "windows-1252", "GB18030", "Shift_JIS", "EUC-KR",
		"utf-8", "\"us-ascii\"", "koi8-r", "big5"};
	static const char *const opaque[] = {
		"utf-16", "UTF-16LE", "utf-7", "x-unknown", "hz-gb-2312", "utf-32"};
	static const struct row latin[] = {
		{"converted", SLICE("<a href=\"https://a.example/gr\xfcn?q=\x80\">\xfc</a>"),
			SLICE("<a href=\"C(https://a.example/gr\xc3\xbcn?q=\xe2\x82\xac)\">\xfc</a>")},
	};
	static const struct row sjis[] = {
		{"a backslash that is half a letter",
			SLICE("<a href=\"https://a.example/\x83\x5c\">\x83\x5c</a>"),
			SLICE("<a href=\"C(https://a.example/\xe3\x82\xbd)\">\x83\x5c</a>")},
		SAME("half a letter", "<a href=\"https://a.example/\x83\">\x83\x5c</a>"),
	};
	static const struct row chinese[] = {
		{"GB18030", SLICE("<a href='https://a.example/\xd6\xd0'>\xd6\xd0</a>"),
			SLICE("<a href='C(https://a.example/\xe4\xb8\xad)'>\xd6\xd0</a>")},
	};
	static const struct row korean[] = {
		{"EUC-KR", SLICE("<a href='https://a.example/\xc7\xd1'>\xc7\xd1</a>"),
			SLICE("<a href='C(https://a.example/\xed\x95\x9c)'>\xc7\xd1</a>")},
	};
	static const struct row cyrillic[] = {
		{"windows-1251", SLICE("<a href='https://a.example/\xcf'>\xcf</a>"),
			SLICE("<a href='C(https://a.example/\xd0\x9f)'>\xcf</a>")},
	};
	/* Between the escapes stand the bytes "<!" and "<a href=..." as kanji. */
	static const struct row jp[] = {
		{"kanji that look like a comment",
			SLICE("\x1b$B<!\x1b(B<a href=\"https://a.example/x\">\x1b$B<a "
			      "href=\"https://a.example/y\">\x1b(B</a>"),
			SLICE("\x1b$B<!\x1b(B<a href=\"C(https://a.example/x)\">\x1b$B<a "
			      "href=\"https://a.example/y\">\x1b(B</a>PIX")},
		{"kanji in the link", SLICE("<a href=\"https://a.example/\x1b$B<!\x1b(B?x\">t</a>"),
			SLICE("<a href=\"C(https://a.example/\xe6\xac\xa1?x)\">t</a>PIX")},
		SAME("no pixel among kanji", "<p>\x1b$B<!"),
		SAME("no pixel in an escape that was begun", "<p>\x1b$("),
		SAME("nor behind its first byte", "<p>\x1b\r\n"),
	};
	char header[256];
	struct buf shown;

	(void)state;
	buf_init(&shown, 1 << 20);
	for (size_t i = 0; i < sizeof editable / sizeof *editable; i++) {
		snprintf(header, sizeof header, "Content-Type: text/html; charset=%s", editable[i]);
		test_slices_equal(editable[i],
			body_of(message(header,
					SLICE("\x88\xa4\xff<a href=https://a.example/x>\xfc\xe9</a>\x88")),
				&shown),
			SLICE("\x88\xa4\xff<a href=C(https://a.example/x)>\xfc\xe9</a>\x88PIX"));
	}
	for (size_t i = 0; i < sizeof opaque / sizeof *opaque; i++) {
		snprintf(header, sizeof header, "Content-Type: text/html; charset=%s", opaque[i]);
		test_slices_equal(opaque[i],
			body_of(message(header, SLICE("<a href=https://a.example/x>y</a>")), &shown),
			SLICE("<a href=https://a.example/x>y</a>"));
		assert_int_equal(r.rendering.untouched, UNTOUCHED_CHARSET);
	}
	ROWS("Content-Type: text/html; charset=iso-2022-jp", jp);
	links_only();
	ROWS("Content-Type: text/html; charset=iso-8859-1", latin);
	ROWS("Content-Type: text/html; charset=shift_jis", sjis);
	ROWS("Content-Type: text/html; charset=GB18030", chinese);
	ROWS("Content-Type: text/html; charset=euc-kr", korean);
	ROWS("Content-Type: text/html; charset=windows-1251", cyrillic);
	buf_free(&shown);
}

static void case_23_untouchable(void **state)
{
#define LINK "<a href=\"https://a.example/x\">x</a>"
	static const struct {
		const char *name, *header;
		slice body;
		enum untouched why;
	} rows[] = {
		{"signed",
			"Content-Type: multipart/signed; boundary=b; "
			"protocol=\"application/pkcs7-signature\"",
			SLICE("--b\r\nContent-Type: text/html\r\n\r\n" LINK
			      "\r\n--b\r\n\r\nsig\r\n--b--\r\n"),
			UNTOUCHED_SIGNED},
		{"encrypted", "Content-Type: multipart/encrypted; boundary=b",
			SLICE("--b\r\nContent-Type: text/html\r\n\r\n" LINK "\r\n--b--\r\n"),
			UNTOUCHED_ENCRYPTED},
		{"pkcs7", "Content-Type: application/pkcs7-mime", SLICE(LINK), UNTOUCHED_ENCRYPTED},
		{"rfc822", "Content-Type: message/rfc822", SLICE("Content-Type: text/html\r\n\r\n" LINK),
			UNTOUCHED_ATTACHED},
		{"report", "Content-Type: multipart/report; boundary=b",
			SLICE("--b\r\nContent-Type: text/html\r\n\r\n" LINK "\r\n--b--\r\n"),
			UNTOUCHED_REPORT},
		{"attachment", "Content-Type: text/html\r\nContent-Disposition: attachment", SLICE(LINK),
			UNTOUCHED_ATTACHED},
		{"file name",
			"Content-Type: text/html\r\nContent-Disposition: inline; filename*0=a; "
			"filename*1=.html",
			SLICE(LINK), UNTOUCHED_ATTACHED},
		{"name", "Content-Type: text/html; name=\"a.html\"", SLICE(LINK), UNTOUCHED_ATTACHED},
		{"calendar", "Content-Type: text/calendar", SLICE("URL:https://a.example/x\r\n"),
			UNTOUCHED_NOTHING_TO_DO},
		{"inline PGP", "Content-Type: text/plain",
			SLICE("-----BEGIN PGP SIGNED MESSAGE-----\r\nhttps://a.example/x\r\n"),
			UNTOUCHED_SIGNED},
		{"unknown encoding", "Content-Type: text/html\r\nContent-Transfer-Encoding: x-uuencode",
			SLICE(LINK), UNTOUCHED_ENCODING},
		{"broken base64", "Content-Type: text/html\r\nContent-Transfer-Encoding: base64",
			SLICE("PGE+!x"), UNTOUCHED_ENCODING},
		{"two types", "Content-Type: text/html\r\nContent-Type: text/plain", SLICE(LINK),
			UNTOUCHED_MALFORMED},
	};
	static const struct row beside[] = {
		{"beside a signed one",
			SLICE("--m\r\nContent-Type: text/html\r\n\r\n" LINK
			      "\r\n--m\r\nContent-Type: multipart/signed; "
			      "boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n" LINK
			      "\r\n--b--\r\n--m--\r\n"),
			SLICE("--m\r\nContent-Type: text/html\r\n\r\n<a "
			      "href=\"C(https://a.example/x)\">x</a>PIX\r\n--m\r\n"
			      "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: "
			      "text/html\r\n\r\n" LINK "\r\n--b--\r\n--m--\r\n")},
	};
	struct buf shown;
	slice out, in;

	(void)state;
	buf_init(&shown, 1 << 20);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		test_slices_equal(
			rows[i].name, body_of(message(rows[i].header, rows[i].body), &shown), rows[i].body);
		test_numbers_equal(rows[i].name, r.rendering.untouched, rows[i].why);
	}
	ROWS("Content-Type: multipart/mixed; boundary=m", beside);
	/* Signed on its way already: nothing at all is touched. */
	in = message("DKIM-Signature: v=1\r\nContent-Type: text/html", SLICE(LINK));
	out = rewriting_run(&r, in);
	test_slices_equal("DKIM", out, in);
	assert_int_equal(r.rendering.untouched, UNTOUCHED_SIGNED);
	in = message("ARC-Seal: i=1\r\nContent-Type: text/html", SLICE(LINK));
	test_slices_equal("ARC", rewriting_run(&r, in), in);
	buf_free(&shown);
}

static void case_24_structure(void **state)
{
	static const struct row rows[] = {
		{"nested",
			SLICE("pre\r\n--A b  \r\nContent-Type: multipart/related; "
			      "boundary=r\r\n\r\n--r\r\nContent-Type: "
			      "multipart/alternative; boundary=\"--r-a\"\r\n\r\n--"
			      "--r-a\r\nContent-Type: text/plain\r\n\r\n"
			      "https://a.example/1\r\n--"
			      "--r-a\r\nContent-Type: text/x-amp-html\r\n\r\n<a "
			      "href=https://a.example/1>\r\n--"
			      "--r-a\r\nContent-Type: text/html\r\n\r\n<a "
			      "href=https://a.example/1>x\r\n--"
			      "--r-a--\r\nepi\r\n--r\r\nContent-Type: image/png\r\n\r\n"
			      "https://a.example/1\r\n--r--\r\n--A b\t\r\nContent-Type: "
			      "application/pdf\r\n\r\nx\r\n--A b--\r\n"
			      "epilogue https://a.example/1\r\n"),
			SLICE("pre\r\n--A b  \r\nContent-Type: multipart/related; "
			      "boundary=r\r\n\r\n--r\r\nContent-Type: "
			      "multipart/alternative; boundary=\"--r-a\"\r\n\r\n--"
			      "--r-a\r\nContent-Type: text/plain\r\n\r\n"
			      "C(https://a.example/1)\r\n--"
			      "--r-a\r\nContent-Type: text/x-amp-html\r\n\r\n<a "
			      "href=C(https://a.example/1)>\r\n--"
			      "--r-a\r\nContent-Type: text/html\r\n\r\n<a "
			      "href=C(https://a.example/1)>xPIX\r\n--"
			      "--r-a--\r\nepi\r\n--r\r\nContent-Type: "
			      "image/png\r\n\r\nhttps://a.example/1\r\n--r--\r\n--A b\t\r\nContent-Type: "
			      "application/pdf\r\n\r\nx\r\n--A b--\r\nepilogue https://a.example/1\r\n")},
		{"two HTML parts, no final boundary",
			SLICE("--A b\r\nContent-Type: text/html\r\n\r\n<a href=https://a.example/1>x\r\n--A "
			      "b\r\nContent-Type: "
			      "text/html\r\n\r\n<a href=https://a.example/2>y\r\n"),
			SLICE("--A b\r\nContent-Type: text/html\r\n\r\n<a "
			      "href=C(https://a.example/1)>xPIX\r\n--A b\r\nContent-Type: "
			      "text/html\r\n\r\n<a href=C(https://a.example/2)>y\r\n")},
		{"LF only and mixed",
			SLICE("--A b\nContent-Type: text/html\n\n<a href=https://a.example/1>x\n--A "
			      "b\r\n\r\nhttps://a.example/2\n--A "
			      "b--\n"),
			SLICE("--A b\nContent-Type: text/html\n\n<a href=C(https://a.example/1)>xPIX\n--A "
			      "b\r\n\r\nC(https://a.example/"
			      "2)\n--A b--\n")},
	};
	static const struct row plain[] = {
		{"no Content-Type at all", SLICE("https://a.example/1 <a href=\"https://a.example/2\">\r\n"),
			SLICE("C(https://a.example/1) <a href=\"C(https://a.example/2)\">\r\n")},
	};
	static const char seventy[] =
		"Content-Type: multipart/mixed; "
		"boundary=0123456789012345678901234567890123456789012345678901234567890123456789";
	char more[200];

	(void)state;
	r.policy.amp_links = true;
	ROWS("Content-Type: multipart/mixed; boundary=\"A b\"", rows);
	ROWS("Subject: x", plain);
	rewriting_run(
		&r, message(seventy,
			    SLICE("--0123456789012345678901234567890123456789012345678901234567890123456789"
				  "\r\n\r\nhttps://a.example/1\r\n")));
	assert_int_equal(r.rendering.links, 1);
	snprintf(more, sizeof more, "%sx", seventy);
	rewriting_run(&r, message(more, SLICE("x")));
	assert_int_equal(r.rendering.untouched, UNTOUCHED_CAP);
}

static void case_25_transport(void **state)
{
	struct buf in, first, shown;
	slice out;

	(void)state;
	buf_init(&in, 1 << 20);
	buf_init(&first, 1 << 20);
	buf_init(&shown, 1 << 20);
	links_only();
	/* The same message twice gives the same bytes; another recipient gets others. */
	buf_put(&first, rewriting_run(&r, message(HTML, SLICE("<a href=https://a.example/x>x</a>"))));
	test_slices_equal("again",
		rewriting_run(&r, message(HTML, SLICE("<a href=https://a.example/x>x</a>"))),
		buf_slice(&first));
	r.id.sequence++;
	assert_false(slice_eq(rewriting_run(&r, message(HTML, SLICE("<a href=https://a.example/x>x</a>"))),
		buf_slice(&first)));
	/* Anonymous: all recipients get the same. */
	buf_clear(&first);
	buf_put(&first, rewriting_run(&r, message(HTML "\r\nX-Landfall-Track: mode=anonymous",
						  SLICE("<a href=https://a.example/x>x</a>"))));
	r.id.sequence++;
	test_slices_equal("anonymous",
		rewriting_run(&r, message(HTML "\r\nX-Landfall-Track: mode=anonymous",
					  SLICE("<a href=https://a.example/x>x</a>"))),
		buf_slice(&first));
	/* A line of 990 bytes: folded at the blank before the attribute. */
	for (int quoted = 0; quoted < 2; quoted++) {
		buf_clear(&in);
		for (int k = 0; k < 900; k++)
			buf_byte(&in, 'x');
		buf_str(&in, quoted ? "<a "
				      "href=\"https://a.example/"
				      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\">y</a>"
				    : "<a/href=\"https://a.example/"
				      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\">y</a>");
		out = rewriting_run(&r, message(HTML, buf_slice(&in)));
		assert_null(r.rendering.broken);
		assert_true(longest(out) <= MESSAGE_MAX_LINE);
		assert_int_equal(r.rendering.links, quoted);
		assert_int_equal(r.rendering.left, !quoted);
		assert_int_equal(
			slice_find(out, SLICE("<a\r\nhref=\"https://t.example/c/"), 0) != SLICE_NPOS, quoted);
	}
	/* The same in text has no place to fold; the part behind it does not mind. */
	buf_clear(&in);
	for (int k = 0; k < 900; k++)
		buf_byte(&in, 'x');
	buf_str(&in, " https://a.example/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n");
	out = rewriting_run(&r, message(TEXT, buf_slice(&in)));
	assert_true(slice_ends(out, buf_slice(&in)));
	assert_int_equal(r.rendering.left, 1);
	buf_clear(&first);
	buf_str(&first, "--b\r\n\r\n");
	buf_put(&first, buf_slice(&in));
	buf_str(&first,
		"--b\r\nContent-Type: text/html\r\n\r\n<a href=https://a.example/y>y</a>\r\n--b--\r\n");
	rewriting_run(&r, message("Content-Type: multipart/mixed; boundary=b", buf_slice(&first)));
	assert_null(r.rendering.broken);
	assert_int_equal(r.rendering.links, 1);
	/* A line that begins with '.' after an edit, as the hop will get it: one dot more. */
	{
		static const struct row rows[] = {
			{"dot behind a cut mark",
				SLICE("<a href=\"https://a.example/\">x</a>\r\n.y\r\n..z\r\n"),
				SLICE("<a href=\"C(https://a.example/)\">x</a>\r\n.y\r\n..z\r\n")},
		};

		ROWS(HTML, rows);
	}
	{
		static const struct row rows[] = {
			SAME("unclosed quote", "<a href=\"https://a.example/x>text"),
			SAME("unclosed tag", "<a href=\"https://a.example/x\" text"),
		};

		ROWS(HTML, rows);
	}
	buf_free(&in);
	buf_free(&first);
	buf_free(&shown);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(case_01_entities),
		CASE(case_02_apostrophe),
		CASE(case_03_unquoted),
		CASE(case_04_white_space),
		CASE(case_05_wrong_attribute),
		CASE(case_06_other_elements),
		CASE(case_07_mso),
		CASE(case_08_not_markup),
		CASE(case_09_schemes),
		CASE(case_10_merge_tags),
		CASE(case_11_opt_outs),
		CASE(case_12_nested_encodings),
		CASE(case_13_iri),
		CASE(case_14_utm),
		CASE(case_15_own_links),
		CASE(case_16_url_as_text),
		CASE(case_17_pixel_place),
		CASE(case_18_punctuation),
		CASE(case_19_flowed),
		CASE(case_20_quoted_printable),
		CASE(case_21_base64),
		CASE(case_22_charsets),
		CASE(case_23_untouchable),
		CASE(case_24_structure),
		CASE(case_25_transport),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
