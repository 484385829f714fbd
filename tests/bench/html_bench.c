/* MB/s of the tokenizer over a made-up newsletter of 100 KB, with and without
 * looking for links, beside memchr for '<' over the same bytes. */
#include "core/base/buf.h"
#include "core/parse/html.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define PAGE 100000
#define TURNS 2000

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Tables in tables with styles in attributes, as mail programs want them. */
static void newsletter(struct buf *out)
{
	buf_str(out, "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\" "
		     "\"http://www.w3.org/TR/xhtml1/DTD/"
		     "xhtml1-transitional.dtd\">\r\n<html><head><title>News &amp; "
		     "more</title><style type=\"text/css\">\r\n");
	for (int i = 0; i < 60; i++)
		buf_printf(out, ".c%d > td { padding: 0 %dpx; color: #%06x }\r\n", i, i, i * 4711);
	buf_str(out,
		"</style></head>\r\n<body style=\"margin:0\" bgcolor=#ffffff>\r\n<!-- preheader -->\r\n");
	for (int i = 0; out->len < PAGE - 1100; i++)
		buf_printf(out,
			"<table width=\"600\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" class=\"c%d\" "
			"style=\"border-collapse:collapse;font-family:Arial,sans-serif\">\r\n\t<tr>\r\n\t\t<"
			"td "
			"align=\"left\" valign=\"top\" style=\"padding:10px "
			"20px;font-size:14px;line-height:20px\">"
			"\r\n\t\t\t<a href=\"https://shop.example/item/%d?from=news&amp;place=%d\" "
			"target=\"_blank\" "
			"style=\"color:#336699\"><img src=\"https://img.example/%d.png\" width=\"200\" "
			"height=\"150\" "
			"alt=\"Item %d\" /></a>\r\n\t\t\tWords about the thing that is sold here, long "
			"enough to fill "
			"two or three lines on a telephone and one on a screen, with a price of "
			"&euro;&nbsp;%d.<br>\r\n"
			"\t\t\t<!--[if mso]><v:rect "
			"href=\"https://shop.example/item/%d\"></v:rect><![endif]-->\r\n"
			"\t\t</td>\r\n\t</tr>\r\n</table>\r\n",
			i % 60, i, i % 7, i, i, i % 90 + 9, i);
	buf_str(out, "</body></html>\r\n");
}

static size_t tokens(slice in, bool links)
{
	struct html_iter it;
	struct html_token t;
	struct html_attr a;
	size_t n = 0;

	html_start(&it, in);
	while (html_next(&it, &t)) {
		if (!links)
			n++;
		else if (t.kind == HTML_START && html_is(in, &t, SLICE("a")))
			n += html_attr_find(in, &t, SLICE("href"), &a);
	}
	return n;
}

static size_t brackets(slice in)
{
	size_t n = 0;

	for (size_t i = 0; (i = slice_chr(in, '<', i)) != SLICE_NPOS; i++)
		n++;
	return n;
}

static void report(const char *what, slice in, size_t found, double began)
{
	double s = now() - began;

	printf("%-24s %8.0f MB/s  %6.1f us a page  (%zu)\n", what, (double)in.len * TURNS / s / 1e6,
		s / TURNS * 1e6, found);
}

int main(void)
{
	struct buf page;
	slice in;
	size_t n = 0;
	double t;

	buf_init(&page, PAGE * 2);
	newsletter(&page);
	in = buf_slice(&page);
	printf("%zu bytes\n", in.len);
	t = now();
	for (int i = 0; i < TURNS; i++)
		n = brackets(in);
	report("memchr for '<'", in, n, t);
	t = now();
	for (int i = 0; i < TURNS; i++)
		n = tokens(in, false);
	report("tokens", in, n, t);
	t = now();
	for (int i = 0; i < TURNS; i++)
		n = tokens(in, true);
	report("tokens and links", in, n, t);
	buf_free(&page);
	return 0;
}
