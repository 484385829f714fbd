/* Each row is a page and the tokens it must give, written down like this:
 *   T[text]  R[rcdata]  W[rawtext]  J[script]  P[plaintext]  X[cdata]
 *   S[name attributes /]  E[name]  C[comment]  L[bytes thrown away]
 *   D[name|public|system] or Q[...] with the quirks flag, "-" for what is absent
 * Attributes are shown with the quotes they had; all bytes are the input's own. */
#include "core/parse/html.h"
#include "tests/testing.h"

#include <stdlib.h>
#include <string.h>

#define CAP ((size_t)1 << 20)

static void put_span(struct buf *out, slice in, bool has, struct html_span span)
{
	if (has)
		buf_put(out, html_slice(in, span));
	else
		buf_byte(out, '-');
}

static void put_attributes(struct buf *out, slice in, const struct html_token *t)
{
	struct html_attr_iter it;
	struct html_attr a;

	html_attr_start(&it, in, t);
	while (html_attr_next(&it, &a)) {
		assert_true(a.name.from < a.name.to);
		buf_byte(out, ' ');
		buf_put(out, html_slice(in, a.name));
		if (a.has_value)
			buf_byte(out, '=');
		if (a.quote)
			buf_byte(out, a.quote);
		buf_put(out, html_slice(in, a.value));
		if (a.quote)
			buf_byte(out, a.quote);
	}
	if (t->self_closing)
		buf_str(out, " /");
}

static void put_token(struct buf *out, slice in, const struct html_token *t)
{
	static const char letters[] = {[HTML_DATA] = 'T',
		[HTML_RCDATA] = 'R',
		[HTML_RAWTEXT] = 'W',
		[HTML_SCRIPT] = 'J',
		[HTML_PLAIN] = 'P',
		[HTML_CDATA] = 'X'};

	switch (t->kind) {
	case HTML_TEXT:
		buf_byte(out, (uint8_t)letters[t->state]);
		buf_byte(out, '[');
		buf_put(out, html_slice(in, t->data));
		break;
	case HTML_START:
	case HTML_END:
		buf_str(out, t->kind == HTML_START ? "S[" : "E[");
		buf_put(out, html_slice(in, t->name));
		put_attributes(out, in, t);
		break;
	case HTML_COMMENT:
		buf_str(out, "C[");
		buf_put(out, html_slice(in, t->data));
		break;
	case HTML_LOST:
		buf_str(out, "L[");
		buf_put(out, slice_sub(in, t->from, t->to));
		break;
	case HTML_DOCTYPE:
		buf_str(out, t->quirks ? "Q[" : "D[");
		put_span(out, in, t->has_name, t->name);
		buf_byte(out, '|');
		put_span(out, in, t->has_public, t->public_id);
		buf_byte(out, '|');
		put_span(out, in, t->has_system, t->system_id);
		break;
	}
	buf_byte(out, ']');
}

/* The tokens of a page; they must tile it. */
static void put_page(struct buf *out, const char *row, slice in, bool foreign)
{
	struct html_iter it;
	struct html_token t;
	size_t last = 0;

	html_start(&it, in);
	it.foreign = foreign;
	while (html_next(&it, &t)) {
		test_numbers_equal(row, (long long)t.from, (long long)last);
		assert_true(t.to > t.from);
		last = t.to;
		put_token(out, in, &t);
	}
	test_numbers_equal(row, (long long)last, (long long)in.len);
}

struct row {
	const char *name;
	slice in;
	const char *want;
};

static const struct row rows[] = {
	/* data state */
	{"nothing", SLICE(""), ""},
	{"text", SLICE("hello"), "T[hello]"},
	{"references stay raw", SLICE("a&amp;b"), "T[a&amp;b]"},
	{"NUL in text", SLICE("a\0b"), "T[a"},
	{"less-than at the end", SLICE("a<"), "T[a<]"},
	{"less-than and a digit", SLICE("1<2 <3"), "T[1<2 <3]"},
	{"less-than and a space", SLICE("a < b"), "T[a < b]"},
	{"two less-thans", SLICE("<<a>"), "T[<]S[a]"},
	{"less-than and non-ASCII", SLICE("<\xc3\xa9>"), "T[<\xc3\xa9>]"},
	{"kanji escape bytes are markup to us", SLICE("<!"), "C[]"},
	/* tag open, end tag open */
	{"start tag", SLICE("<a>"), "S[a]"},
	{"case is kept", SLICE("<A></bR>"), "S[A]E[bR]"},
	{"end tag", SLICE("x</a>y"), "T[x]E[a]T[y]"},
	{"end tag with attributes", SLICE("</a b=c/>"), "E[a b=c/]"},
	{"end tag self closing", SLICE("</a/>"), "E[a /]"},
	{"empty end tag", SLICE("a</>b"), "T[a]L[</>]T[b]"},
	{"end tag open at the end", SLICE("a</"), "T[a</]"},
	{"end tag with a space is a comment", SLICE("</ a>b"), "C[ a]T[b]"},
	{"end tag with a digit is a comment", SLICE("</1>"), "C[1]"},
	{"question mark is a comment", SLICE("<?php a>b"), "C[?php a]T[b]"},
	{"question mark at the end", SLICE("<?"), "C[?]"},
	/* tag name */
	{"name cut off", SLICE("x<abc"), "T[x]L[<abc]"},
	{"name with odd bytes", SLICE("<a\"b'c<d=e>"), "S[a\"b'c<d=e]"},
	{"name with a colon", SLICE("<v:roundrect href=x>"), "S[v:roundrect href=x]"},
	{"name ends at each white space", SLICE("<a\tb><a\nb><a\fb><a\rb><a b>"),
		"S[a b]S[a b]S[a b]S[a b]S[a b]"},
	{"name ends at a slash", SLICE("<br/><br/b>"), "S[br /]S[br b]"},
	{"name and spaces", SLICE("<a  \r\n >"), "S[a]"},
	/* attributes */
	{"double quotes", SLICE("<a b=\"c d>'\">"), "S[a b=\"c d>'\"]"},
	{"single quotes", SLICE("<a b='c d>\"'>"), "S[a b='c d>\"']"},
	{"bare value", SLICE("<a b=c d>"), "S[a b=c d]"},
	{"bare value keeps quotes and the like", SLICE("<a b=c\"d'e<f=g`h>"), "S[a b=c\"d'e<f=g`h]"},
	{"bare value keeps a slash", SLICE("<a href=https://a.example/>"), "S[a href=https://a.example/]"},
	{"bare value that is a slash", SLICE("<a b= />"), "S[a b=/]"},
	{"spaces around the equals sign", SLICE("<A HREF \t=\r\n x>"), "S[A HREF=x]"},
	{"empty values", SLICE("<a b=\"\" c='' d=>"), "S[a b=\"\" c='' d=]"},
	{"no space after a quote", SLICE("<a b=\"c\"d='e'f>"), "S[a b=\"c\" d='e' f]"},
	{"slash after a quote", SLICE("<a b=\"c\"/>"), "S[a b=\"c\" /]"},
	{"slash and space is not self closing", SLICE("<a b / >"), "S[a b]"},
	{"slashes between", SLICE("<a/b//c/ d>"), "S[a b c d]"},
	{"equals sign first", SLICE("<a =b==c>"), "S[a =b==c]"},
	{"equals sign after a slash", SLICE("<a b/=c>"), "S[a b =c]"},
	{"name without value, then slash", SLICE("<a b/>"), "S[a b /]"},
	{"quotes in a name", SLICE("<a \"b' <c>"), "S[a \"b' <c]"},
	{"same name twice", SLICE("<a b=1 B=2>"), "S[a b=1 B=2]"},
	{"unclosed double quote", SLICE("t<a b=\"c>d</a>"), "T[t]L[<a b=\"c>d</a>]"},
	{"unclosed single quote", SLICE("<a b='c>"), "L[<a b='c>]"},
	{"cut off in the name", SLICE("<a b"), "L[<a b]"},
	{"cut off after the name", SLICE("<a b "), "L[<a b ]"},
	{"cut off at the equals sign", SLICE("<a b="), "L[<a b=]"},
	{"cut off in a bare value", SLICE("<a b=c"), "L[<a b=c]"},
	{"cut off after a quote", SLICE("<a b=\"c\""), "L[<a b=\"c\"]"},
	{"cut off at the slash", SLICE("<a /"), "L[<a /]"},
	{"cut off end tag", SLICE("</a "), "L[</a ]"},
	{"tag inside a value", SLICE("<body style=\"a>b\"><a title='</body>'>"),
		"S[body style=\"a>b\"]S[a title='</body>']"},
	/* comments */
	{"comment", SLICE("<!-- a -->b"), "C[ a ]T[b]"},
	{"empty comment", SLICE("<!---->"), "C[]"},
	{"abrupt comment", SLICE("<!-->a"), "C[]T[a]"},
	{"abrupt comment with a dash", SLICE("<!--->a"), "C[]T[a]"},
	{"dashes inside", SLICE("<!--a-b--c- ->d-->"), "C[a-b--c- ->d]"},
	{"dashes before the end", SLICE("<!--a----->"), "C[a---]"},
	{"only dashes", SLICE("<!------>"), "C[--]"},
	{"bang end", SLICE("<!--a--!>b"), "C[a]T[b]"},
	{"bang end of an empty one", SLICE("<!----!>b"), "C[]T[b]"},
	{"bang and dashes", SLICE("<!--a--!-->b"), "C[a--!]T[b]"},
	{"bang twice", SLICE("<!--a--!!>--!>"), "C[a--!!>]"},
	{"one dash and bang is no end", SLICE("<!---!>-->"), "C[-!>]"},
	{"comment start inside", SLICE("<!--a<!--b-->c-->"), "C[a<!--b]T[c-->]"},
	{"comment start before the end", SLICE("<!--<!-->a"), "C[<!]T[a]"},
	{"comment start cut short", SLICE("<!--<!->-->"), "C[<!->]"},
	{"less-than inside", SLICE("<!--<<a><-->"), "C[<<a><]"},
	{"cut off comment", SLICE("<!--a"), "C[a]"},
	{"cut off at once", SLICE("<!--"), "C[]"},
	{"cut off at a dash", SLICE("<!--a-"), "C[a]"},
	{"cut off at two dashes", SLICE("<!--a--"), "C[a]"},
	{"cut off at three dashes", SLICE("<!--a---"), "C[a-]"},
	{"cut off at the bang", SLICE("<!--a--!"), "C[a]"},
	{"cut off at the first dash", SLICE("<!---"), "C[]"},
	{"cut off after bang and dash", SLICE("<!--a--!-"), "C[a--!]"},
	{"tags in a comment", SLICE("<!-- <a href=x> </body> -->"), "C[ <a href=x> </body> ]"},
	{"conditional comment", SLICE("<!--[if mso]><v:rect href=x><![endif]-->"),
		"C[[if mso]><v:rect href=x><![endif]]"},
	{"downlevel-revealed comment", SLICE("<!--[if !mso]><!--><a><!--<![endif]-->"),
		"C[[if !mso]><!]S[a]C[<![endif]]"},
	{"downlevel-revealed declaration", SLICE("<![if !mso]><a><![endif]>"), "C[[if !mso]]S[a]C[[endif]]"},
	/* declarations */
	{"one dash is bogus", SLICE("<!-a-->"), "C[-a--]"},
	{"bogus declaration", SLICE("<!a b>c"), "C[a b]T[c]"},
	{"empty declaration", SLICE("<!>c"), "C[]T[c]"},
	{"declaration cut off", SLICE("<!a"), "C[a]"},
	{"CDATA is a comment in HTML", SLICE("<![CDATA[a>b]]>"), "C[[CDATA[a]T[b]]>]"},
	/* doctype */
	{"doctype", SLICE("<!DOCTYPE html>"), "D[html|-|-]"},
	{"doctype in any case, no space", SLICE("<!docTYPEHtml>"), "D[Html|-|-]"},
	{"doctype with spaces", SLICE("<!DOCTYPE \t html \n>"), "D[html|-|-]"},
	{"doctype without name", SLICE("<!DOCTYPE>"), "Q[-|-|-]"},
	{"doctype of space", SLICE("<!DOCTYPE >"), "Q[-|-|-]"},
	{"doctype cut off", SLICE("<!DOCTYPE"), "Q[-|-|-]"},
	{"doctype cut off in the name", SLICE("<!DOCTYPE ht"), "Q[ht|-|-]"},
	{"doctype cut off after the name", SLICE("<!DOCTYPE ht "), "Q[ht|-|-]"},
	{"doctype with junk", SLICE("<!DOCTYPE html junk \">\" x>"), "Q[html|-|-]T[\" x>]"},
	{"public", SLICE("<!DOCTYPE html PUBLIC \"p>"), "Q[html|p|-]"},
	{"public only", SLICE("<!DOCTYPE html PUBLIC \"p\">"), "D[html|p|-]"},
	{"public without space", SLICE("<!DOCTYPE html public'p'>"), "D[html|p|-]"},
	{"public without identifier", SLICE("<!DOCTYPE html PUBLIC>"), "Q[html|-|-]"},
	{"public with junk", SLICE("<!DOCTYPE html PUBLIC x'p'>"), "Q[html|-|-]"},
	{"public, junk behind", SLICE("<!DOCTYPE html PUBLIC 'p' x>"), "Q[html|p|-]"},
	{"public cut off", SLICE("<!DOCTYPE html PUBLIC 'p'"), "Q[html|p|-]"},
	{"public and system", SLICE("<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0//EN\" \"http://x/\">"),
		"D[html|-//W3C//DTD XHTML 1.0//EN|http://x/]"},
	{"public and system without space", SLICE("<!DOCTYPE html PUBLIC 'p''s'>"), "D[html|p|s]"},
	{"system", SLICE("<!DOCTYPE html SYSTEM 's\"'>"), "D[html|-|s\"]"},
	{"empty system", SLICE("<!DOCTYPE html SYSTEM ''>"), "D[html|-|]"},
	{"system without identifier", SLICE("<!DOCTYPE html SYSTEM >"), "Q[html|-|-]"},
	{"system, abrupt", SLICE("<!DOCTYPE html SYSTEM 's>"), "Q[html|-|s]"},
	{"system cut off", SLICE("<!DOCTYPE html SYSTEM 's"), "Q[html|-|s]"},
	{"system, cut off behind", SLICE("<!DOCTYPE html SYSTEM 's' "), "Q[html|-|s]"},
	{"system, junk behind is no quirk", SLICE("<!DOCTYPE html SYSTEM 's' x>a"), "D[html|-|s]T[a]"},
	/* RCDATA and RAWTEXT */
	{"title", SLICE("<title>a<b>&amp;</title>c"), "S[title]R[a<b>&amp;]E[title]T[c]"},
	{"title in any case", SLICE("<TITLE>a</tItLe>c"), "S[TITLE]R[a]E[tItLe]T[c]"},
	{"textarea", SLICE("<textarea></a></textarea >"), "S[textarea]R[</a>]E[textarea]"},
	{"end tag with attributes ends too", SLICE("<title>a</title b=c>d"), "S[title]R[a]E[title b=c]T[d]"},
	{"end tag with a slash", SLICE("<title>a</title/>d"), "S[title]R[a]E[title /]T[d]"},
	{"longer name is no end", SLICE("<title>a</titles></title>"), "S[title]R[a</titles>]E[title]"},
	{"shorter name is no end", SLICE("<title>a</titl></title>"), "S[title]R[a</titl>]E[title]"},
	{"other name is no end", SLICE("<style>a</script></style>"), "S[style]W[a</script>]E[style]"},
	{"end tag cut off in its name", SLICE("<title>a</title"), "S[title]R[a</title]"},
	{"end tag cut off behind its name", SLICE("<title>a</title "), "S[title]R[a]L[</title ]"},
	{"comment is text", SLICE("<style><!--</style>-->"), "S[style]W[<!--]E[style]T[-->]"},
	{"never ended", SLICE("<style>a<b></body>"), "S[style]W[a<b></body>]"},
	{"empty style", SLICE("<style></style>"), "S[style]E[style]"},
	{"self closing title is open", SLICE("<title/>a<b></title>"), "S[title /]R[a<b>]E[title]"},
	{"raw text elements",
		SLICE("<xmp><a></xmp><iframe><a></iframe><noembed><a></noembed>"
		      "<noframes><a></noframes><noscript><a></noscript><a>"),
		"S[xmp]W[<a>]E[xmp]S[iframe]W[<a>]E[iframe]S[noembed]W[<a>]E[noembed]"
		"S[noframes]W[<a>]E[noframes]S[noscript]W[<a>]E[noscript]S[a]"},
	{"end tags switch nothing", SLICE("</style><a>"), "E[style]S[a]"},
	{"plaintext", SLICE("<plaintext>a</plaintext><b>"), "S[plaintext]P[a</plaintext><b>]"},
	/* script */
	{"script", SLICE("<script>a<b>'</scr'</script >c"), "S[script]J[a<b>'</scr']E[script]T[c]"},
	{"script, comment ends with it", SLICE("<script><!-- </script>-->"),
		"S[script]J[<!-- ]E[script]T[-->]"},
	{"script, double escaped", SLICE("<script><!--<script></script>--></script>a"),
		"S[script]J[<!--<script></script>-->]E[script]T[a]"},
	{"script, escaped and back", SLICE("<script><!--<script></script></script>a"),
		"S[script]J[<!--<script></script>]E[script]T[a]"},
	{"script, double escaped to the end", SLICE("<script><!--<script></script>"),
		"S[script]J[<!--<script></script>]"},
	{"script, double escape needs an end", SLICE("<script><!--<scripts></script>a"),
		"S[script]J[<!--<scripts>]E[script]T[a]"},
	{"script, double escape by a space", SLICE("<script><!--<SCRIPT </script >--></script>a"),
		"S[script]J[<!--<SCRIPT </script >-->]E[script]T[a]"},
	{"script, dashes end the double escape", SLICE("<script><!--<script>--></script>a"),
		"S[script]J[<!--<script>-->]E[script]T[a]"},
	{"script, abrupt comment", SLICE("<script><!--><script></script>a"),
		"S[script]J[<!--><script>]E[script]T[a]"},
	{"script, abrupt with a dash", SLICE("<script><!---><script></script>a"),
		"S[script]J[<!---><script>]E[script]T[a]"},
	{"script, bang is not special", SLICE("<script><!--a--!><script></script></script>b"),
		"S[script]J[<!--a--!><script></script>]E[script]T[b]"},
	{"script, dashes broken off", SLICE("<script><!--a--b><script></script></script>c"),
		"S[script]J[<!--a--b><script></script>]E[script]T[c]"},
	{"script, dash before the end", SLICE("<script><!--<script>--</script>></script>a"),
		"S[script]J[<!--<script>--</script>>]E[script]T[a]"},
	{"script, one dash is no comment", SLICE("<script><!-<script></script>a"),
		"S[script]J[<!-<script>]E[script]T[a]"},
	{"script, no double escape outside", SLICE("<script><script></script>a"),
		"S[script]J[<script>]E[script]T[a]"},
	{"script, end tag cut off", SLICE("<script>a</script"), "S[script]J[a</script]"},
	{"JSON in a script",
		SLICE("<script type=\"application/ld+json\">{\"url\":\"https://a.example/v\"}</script>"),
		"S[script type=\"application/ld+json\"]J[{\"url\":\"https://a.example/v\"}]E[script]"},
};

static void pages_give_their_tokens(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, CAP);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in);
		slice want = slice_str(rows[i].want);

		buf_clear(&out);
		put_page(&out, rows[i].name, in, false);
		if (slice_chr(in, 0, 0) != SLICE_NPOS) /* want cannot show it */
			test_slices_equal(rows[i].name, slice_sub(buf_slice(&out), 0, want.len), want);
		else
			test_slices_equal(rows[i].name, buf_slice(&out), want);
		test_unguard(in);
	}
	buf_free(&out);
}

static void cdata_is_text_in_foreign_content(void **state)
{
	static const struct row cdata[] = {
		{"section", SLICE("<svg><![CDATA[a<b>&amp;]]>c"), "S[svg]X[a<b>&amp;]T[c]"},
		{"brackets", SLICE("<![CDATA[a]]b]]]>c"), "X[a]]b]]T[c]"},
		{"empty", SLICE("<![CDATA[]]>c"), "X[]T[c]"},
		{"never ended", SLICE("<![CDATA[a]]"), "X[a]]]"},
		{"in lower case a comment", SLICE("<![cdata[a]]>"), "C[[cdata[a]]]"},
		{"cut off", SLICE("<![CDATA"), "C[[CDATA]"},
	};
	struct buf out;

	(void)state;
	buf_init(&out, CAP);
	for (size_t i = 0; i < sizeof cdata / sizeof *cdata; i++) {
		slice in = test_guard(cdata[i].in);

		buf_clear(&out);
		put_page(&out, cdata[i].name, in, true);
		test_slices_equal(cdata[i].name, buf_slice(&out), slice_str(cdata[i].want));
		test_unguard(in);
	}
	buf_free(&out);
}

/* Cut off anywhere, the tokens still tile the input, and nothing is read behind
 * its end. */
static void every_prefix_is_tiled(void **state)
{
	struct buf cut;

	(void)state;
	buf_init(&cut, CAP);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (size_t n = 0; n < rows[i].in.len; n++) {
			slice in = test_guard(slice_sub(rows[i].in, 0, n));

			buf_clear(&cut);
			put_page(&cut, rows[i].name, in, n % 2);
			test_unguard(in);
		}
	}
	buf_free(&cut);
}

static void spans_are_exact(void **state)
{
	/*                  0         1         2         3         4         5
	 *                  0123456789012345678901234567890123456789012345678901234567 */
	slice in = SLICE("<p>\n<A  data-href=x HREF = 'a b' href=\"c\"\tq/><b href=d>");
	struct html_iter it;
	struct html_token t;
	struct html_attr_iter at;
	struct html_attr a;

	(void)state;
	html_start(&it, in);
	assert_int_equal(html_next(&it, &t), 1);
	assert_int_equal(html_next(&it, &t), 1);
	assert_int_equal(html_next(&it, &t), 1);
	assert_int_equal(t.from, 4);
	assert_int_equal(t.to, 45);
	assert_int_equal(t.name.from, 5);
	assert_int_equal(t.data.from, 6);
	assert_int_equal(t.data.to, 44);
	assert_true(t.self_closing);
	assert_true(html_is(in, &t, SLICE("a")));
	assert_false(html_is(in, &t, SLICE("area")));

	assert_true(html_attr_find(in, &t, SLICE("href"), &a));
	assert_int_equal(a.from, 19);
	assert_int_equal(a.name.from, 20);
	assert_int_equal(a.name.to, 24);
	assert_int_equal(a.value.from, 28);
	assert_int_equal(a.value.to, 31);
	assert_int_equal(a.to, 32);
	assert_int_equal(a.quote, '\'');
	assert_true(a.has_value);
	assert_true(html_attr_find(in, &t, SLICE("q"), &a));
	assert_int_equal(a.from, 41);
	assert_int_equal(a.to, 43);
	assert_false(a.has_value);
	assert_int_equal(a.value.from, 43);
	assert_int_equal(a.value.to, 43);
	assert_false(html_attr_find(in, &t, SLICE("data"), &a));

	html_attr_start(&at, in, &t);
	assert_int_equal(html_attr_next(&at, &a), 1);
	assert_int_equal(a.from, 6);
	assert_int_equal(a.name.from, 8);
	assert_true(html_attr_is(in, &a, SLICE("data-href")));
	assert_int_equal(a.quote, 0);
	assert_int_equal(html_attr_next(&at, &a), 1);
	assert_int_equal(html_attr_next(&at, &a), 1);
	assert_true(html_attr_is(in, &a, SLICE("href")));
	assert_int_equal(a.from, 32);
	assert_int_equal(html_attr_next(&at, &a), 1);
	assert_int_equal(html_attr_next(&at, &a), 0);
	assert_int_equal(html_attr_next(&at, &a), 0);

	/* A text has no attributes. */
	html_start(&it, SLICE("a=b"));
	assert_int_equal(html_next(&it, &t), 1);
	html_attr_start(&at, it.in, &t);
	assert_int_equal(html_attr_next(&at, &a), 0);
	assert_int_equal(html_next(&it, &t), 0);
	assert_int_equal(html_next(&it, &t), 0);
}

static void inside_of_a_conditional_comment(void **state)
{
	slice in = SLICE("<!--[if mso]><v:rect href=\"x\"><![endif]--><a>");
	struct html_iter it, inner;
	struct html_token t;
	struct html_attr a;

	(void)state;
	html_start(&it, in);
	assert_int_equal(html_next(&it, &t), 1);
	html_start_span(&inner, in, t.data);
	assert_int_equal(html_next(&inner, &t), 1);
	test_slices_equal("opening", slice_sub(in, t.from, t.to), SLICE("[if mso]>"));
	assert_int_equal(html_next(&inner, &t), 1);
	assert_true(html_is(in, &t, SLICE("v:rect")));
	assert_true(html_attr_find(in, &t, SLICE("href"), &a));
	test_slices_equal("value", html_slice(in, a.value), SLICE("x"));
	assert_int_equal(html_next(&inner, &t), 1);
	assert_int_equal(t.kind, HTML_COMMENT);
	test_slices_equal("closing", html_slice(in, t.data), SLICE("[endif]"));
	assert_int_equal(html_next(&inner, &t), 0);
	html_start_span(&inner, in, (struct html_span){in.len + 5, in.len + 9});
	assert_int_equal(html_next(&inner, &t), 0);
}

static void values_are_decoded_by_the_attribute_rule(void **state)
{
	static const struct {
		const char *name;
		slice in, want;
	} values[] = {
		{"nothing", SLICE(""), SLICE("")},
		{"plain", SLICE("https://a.example/?a=b"), SLICE("https://a.example/?a=b")},
		{"three ways", SLICE("x=1&amp;y=2&#38;z=3&#x26;w=4"), SLICE("x=1&y=2&z=3&w=4")},
		{"once only", SLICE("&amp;amp;amp;"), SLICE("&amp;amp;")},
		{"name and equals sign", SLICE("?a&copy=1"), SLICE("?a&copy=1")},
		{"name and letter", SLICE("?a&copyx"), SLICE("?a&copyx")},
		{"name and digit", SLICE("&not1"), SLICE("&not1")},
		{"name at the end", SLICE("?a&copy"), SLICE("?a\xc2\xa9")},
		{"name and slash", SLICE("&copy/"), SLICE("\xc2\xa9/")},
		{"name, semicolon, equals sign", SLICE("&copy;=1"), SLICE("\xc2\xa9=1")},
		{"longest name counts", SLICE("&notin;&notit;"), SLICE("\xe2\x88\x89&notit;")},
		{"unknown", SLICE("&utm_source=x&b;"), SLICE("&utm_source=x&b;")},
		{"lone ampersands", SLICE("&&&amp;& &"), SLICE("&&&& &")},
		{"number and equals sign", SLICE("&#38=1"), SLICE("&=1")},
		{"no digits", SLICE("&#;&#x;&#xg;&#"), SLICE("&#;&#x;&#xg;&#")},
		{"NUL", SLICE("a\0b"),
			SLICE("a\xef\xbf\xbd"
			      "b")},
		{"other bytes stay", SLICE("\xff\r\n\t\x01"), SLICE("\xff\r\n\t\x01")},
	};
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		slice in = test_guard(values[i].in);

		buf_init(&out, CAP);
		html_attr_decode(in, &out);
		test_slices_equal(values[i].name, buf_slice(&out), values[i].want);
		buf_free(&out);
		test_unguard(in);
	}
}

static void text_is_decoded_by_its_state(void **state)
{
	static const struct {
		enum html_state state;
		slice want;
	} texts[] = {
		{HTML_DATA, SLICE("\xc2\xac"
				  "it;\0&")},
		{HTML_RCDATA, SLICE("\xc2\xac"
				    "it;\xef\xbf\xbd&")},
		{HTML_RAWTEXT, SLICE("&notit;\xef\xbf\xbd&amp;")},
		{HTML_SCRIPT, SLICE("&notit;\xef\xbf\xbd&amp;")},
		{HTML_PLAIN, SLICE("&notit;\xef\xbf\xbd&amp;")},
		{HTML_CDATA, SLICE("&notit;\0&amp;")},
	};
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		buf_init(&out, CAP);
		html_text_decode(SLICE("&notit;\0&amp;"), texts[i].state, &out);
		test_slices_equal("text", buf_slice(&out), texts[i].want);
		buf_free(&out);
	}
}

/* Four megabytes of what makes a careless tokenizer quadratic. With one that
 * is, this test does not end before its time is up. */
static void hostile_pages_take_linear_time(void **state)
{
	static const struct {
		slice first, again;
	} bombs[] = {
		{SLICE(""), SLICE("<")},
		{SLICE(""), SLICE("</")},
		{SLICE(""), SLICE("<a ")},
		{SLICE(""), SLICE("<a href=\"")},
		{SLICE(""), SLICE("<a href='x\"")},
		{SLICE(""), SLICE("<a b= ")},
		{SLICE("<a "), SLICE("b ")},
		{SLICE("<a "), SLICE("/")},
		{SLICE("<a "), SLICE("=")},
		{SLICE("<a"), SLICE(" ")},
		{SLICE(""), SLICE("<!--")},
		{SLICE("<!--"), SLICE("-")},
		{SLICE("<!--"), SLICE("--!")},
		{SLICE(""), SLICE("<![CDATA[")},
		{SLICE("<![CDATA["), SLICE("]")},
		{SLICE(""), SLICE("<!DOCTYPE \"")},
		{SLICE(""), SLICE("<?")},
		{SLICE("<title>"), SLICE("</title")},
		{SLICE("<title>"), SLICE("<title>")},
		{SLICE("<style>"), SLICE("</style ")},
		{SLICE("<script>"), SLICE("<!--")},
		{SLICE("<script><!--"), SLICE("<script>")},
		{SLICE("<script><!--"), SLICE("<script></script>")},
		{SLICE("<script>"), SLICE("</script")},
		{SLICE(""), SLICE("<script></script>")},
		{SLICE(""), SLICE("&CounterClockwiseContourIntegra")},
		{SLICE("&#"), SLICE("9")},
		{SLICE(""), SLICE("&#x")},
		{SLICE(""), SLICE("&")},
	};
	const size_t size = (size_t)4 << 20;
	uint8_t *page = malloc(size);
	struct buf out;

	(void)state;
	assert_non_null(page);
	for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
		struct html_iter it;
		struct html_token t;
		size_t n = bombs[i].first.len, tokens = 0;

		memcpy(page, bombs[i].first.p, n);
		for (; n + bombs[i].again.len <= size; n += bombs[i].again.len)
			memcpy(page + n, bombs[i].again.p, bombs[i].again.len);
		html_start(&it, slice_of(page, n));
		it.foreign = i % 2;
		while (html_next(&it, &t))
			tokens++;
		assert_true(tokens > 0 && it.pos == n);
		buf_init(&out, 3 * n);
		html_attr_decode(slice_of(page, n), &out);
		assert_false(out.full);
		buf_free(&out);
	}
	free(page);
}

static uint32_t draw(uint32_t n)
{
	static uint64_t seed = 88172645463325252u;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % n;
}

/* Is this a token where text and tags with i are passed over? */
static bool stays(slice in, const struct html_token *t)
{
	return t->kind != HTML_TEXT &&
	       ((t->kind != HTML_START && t->kind != HTML_END) || (in.p[t->name.from] | 0x20) != 'i');
}

/* The tokens of one page by every path. How many tags there are. */
static size_t by_all_paths(slice page)
{
	slice in = test_guard(page);
	struct html_iter it[HTML_PATHS], markup[HTML_PATHS];
	struct html_token t, u;
	size_t tags = 0;

	for (int p = 0; p < HTML_PATHS; p++) {
		html_start(&it[p], in);
		it[p].path = (enum html_path)p;
		markup[p] = it[p];
		markup[p].no_text = true;
		markup[p].passed = HTML_LETTER('i');
	}
	while (html_next(&it[HTML_ONE_BY_ONE], &t)) {
		tags += t.kind == HTML_START;
		for (int p = 0; p < HTML_PATHS && stays(in, &t); p++)
			assert_true(html_next(&markup[p], &u) == 1 && t.kind == u.kind && t.from == u.from &&
				    t.to == u.to && t.self_closing == u.self_closing &&
				    t.name.from == u.name.from && t.name.to == u.name.to &&
				    t.data.from == u.data.from && t.data.to == u.data.to);
		for (int p = 0; p < HTML_ONE_BY_ONE; p++) {
			assert_int_equal(html_next(&it[p], &u), 1);
			assert_true(t.kind == u.kind && t.from == u.from && t.to == u.to &&
				    t.self_closing == u.self_closing && t.name.to == u.name.to &&
				    t.data.from == u.data.from && t.data.to == u.data.to);
		}
	}
	for (int p = 0; p < HTML_PATHS; p++) {
		assert_int_equal(html_next(&markup[p], &u), 0);
		assert_true(markup[p].pos == in.len && markup[p].state == it[0].state);
	}
	test_unguard(in);
	return tags;
}

/* Every short cut gives the tokens of the state machine: over tags put together from
 * what matters in them, and over those that look like what they are not, at every
 * place of a vector and beyond. */
static void paths_agree(void **state)
{
	static const char *const pieces[] = {"><b", " id=\"i\"><b q=\"r s\"", "><b x", " a=\"", "\"", "\"",
		"'", "=", ">", "/", "<b", "</i", " x=1", " c='d'", "=\"",
		" style=\"color:red;font-family:'Arial'\"", "\n", "text", "/>", " href =", "\" ",
		"aaaaaaaaaaaaaaaaaaaaaaaa", " class=\"m\"", "<b", "\f", "\"e=\"f\"", "<!-- <b> -->", "<\v",
		"\v", "<b\"=\"", "< ", "</", "<I", "<title>", "</title>", "<style>", "</style >", "<img>"};
	static const char *const tricks[] = {" x=a=\"b>\">", " =\"x>\">", " a=\"b\"=\"c>\">", " a=\"b>\">",
		"/=\"x>\">", " x=y\"z=\"a>\">", "=>\"", "=/>", " a=\"b\"/>", "=\"b\"c=\"d>\"/>",
		" a='\"' b=\">\">", " a='>\"' b=\">\">", "= \">\">", " =a=\">\">"};
	struct buf b;
	size_t tags = 0;

	(void)state;
	buf_init(&b, 4096);
	for (size_t k = 0; k < sizeof tricks / sizeof *tricks; k++)
		for (unsigned pad = 0; pad < 200; pad++) {
			buf_clear(&b);
			buf_str(&b, "<b ");
			for (unsigned i = 0; i < pad; i++)
				buf_byte(&b, 'a');
			buf_str(&b, tricks[k]);
			buf_printf(&b, "%*s<i>", 80, "\"text>");
			by_all_paths(buf_slice(&b));
		}
	for (int round = 0; round < 30000; round++) {
		buf_clear(&b);
		for (uint32_t k = draw(40); k > 0; k--)
			buf_str(&b, pieces[draw(sizeof pieces / sizeof *pieces)]);
		tags += by_all_paths(buf_slice(&b));
	}
	assert_true(tags > 20000);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_give_their_tokens),
		cmocka_unit_test(cdata_is_text_in_foreign_content),
		cmocka_unit_test(paths_agree),
		cmocka_unit_test(every_prefix_is_tiled),
		cmocka_unit_test(spans_are_exact),
		cmocka_unit_test(inside_of_a_conditional_comment),
		cmocka_unit_test(values_are_decoded_by_the_attribute_rule),
		cmocka_unit_test(text_is_decoded_by_its_state),
		cmocka_unit_test(hostile_pages_take_linear_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
