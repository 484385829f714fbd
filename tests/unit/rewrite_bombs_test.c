/* Time is linear whatever comes in: ten times the bytes take about ten times as
 * long, for shapes made to be slow. */
#include "tests/testing.h"

#include "tests/rewriting.h"

#include <stdio.h>
#include <time.h>

#define SMALL ((size_t)40000)
#define TIMES 10
/* A quadratic one would take a hundred times as long. */
#define LIMIT 40

struct bomb {
	const char *name, *header, *unit, *tail;
};

static const char text[] = "Content-Type: text/plain\r\n\r\n";
static const char html[] = "Content-Type: text/html\r\n\r\n";
static const char qp[] = "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n";
static const char b64[] = "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n";
static const char jp[] = "Content-Type: text/html; charset=iso-2022-jp\r\n\r\n";
static const char mixed[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n";

static const struct bomb bombs[] = {
	{"links", html, "<a href=\"https://a.example/x\">y</a>\r\n", ""},
	{"links on one line", html, "<a href=https://a.example/x>y</a>", ""},
	{"links on one line, quoted-printable", qp, "<a href=3Dhttps://a.example/x>y</a>", ""},
	{"unclosed tags", html, "<a href=x ", ""},
	{"unclosed quotes", html, "<a href=\"x ", ""},
	{"both quotes", html, "<a href=\"x ' ", ""},
	{"attributes", html, "<a b=c d ", ">"},
	{"opt-outs", html, "<a data-no-track href=x>", ""},
	{"opt-outs of one tag", html, " data-no-track", ">"},
	{"references", html, "<a href=\"https://a/?&amp&lt&#1", "\">"},
	{"one long value", html, "&amp;", ""},
	{"comments", html, "<!--", ""},
	{"conditional comments", html, "<!--[if mso]><v:a href=https://a/>", "<![endif]-->"},
	{"finished conditional comments", html, "<!--[if mso]><v:a href=https://a/><![endif]-->", ""},
	{"scripts", html, "<script><!--<script", ""},
	{"body ends", html, "</body>", ""},
	{"cdata", html, "<![CDATA[", ""},
	{"soft breaks", qp, "=\r\n", ""},
	{"soft breaks with blanks", qp, "=  \t", ""},
	{"equals signs", qp, "=3D=", ""},
	{"base64 of short lines", b64, "A\r\n", ""},
	{"base64 of blanks", b64, "  \t", "YWJj"},
	{"URLs", text, "https://a.example/x ", ""},
	{"schemes", text, "http://", ""},
	{"brackets", text, "http://a/((((", ""},
	{"closing brackets", text, "))))", ""},
	{"wrapped URLs", text, "https://a.example/x\r\n\t\t\t\t>>>>>y/z\r\n", ""},
	{"escapes", jp, "\x1b$B<a\x1b(B", ""},
	{"dashes", mixed, "--b-\r\n--\r\n", ""},
	{"boundaries", mixed, "\r\n-- b\r\n--bb", ""},
	{"folds", "", "A: b\r\n c\r\n", "\r\n"},
	{"control fields", "", "X-Landfall-Track: opens=on;\r\n", "\r\n"},
	{"unsubscribe fields", "", "List-Unsubscribe: <https://a/>,<https://b/>\r\n", "\r\n"},
	{"parameters", "Content-Type: multipart/mixed", "; boundary*1=b; x=\"", "\r\n\r\n"},
	{"nested comments in a field", "Content-Type: text/plain;", "((", "\r\n\r\n"},
};

static struct rewriting r;

static void make(const struct bomb *b, size_t size, struct buf *out)
{
	buf_clear(out);
	buf_str(out, b->header);
	/* What is one tag or one value needs its beginning once. */
	if (strcmp(b->name, "opt-outs of one tag") == 0)
		buf_str(out, "<a");
	if (strcmp(b->name, "one long value") == 0)
		buf_str(out, "<a href=\"https://a.example/");
	if (strcmp(b->name, "closing brackets") == 0)
		buf_str(out, "http://a.example/");
	while (out->len < size)
		buf_str(out, b->unit);
	buf_str(out, b->tail);
}

static double once(slice in)
{
	struct timespec t0, t1;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t0);
	rewriting_run(&r, in);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t1);
	if (r.rendering.broken)
		fail_msg("proof failed: %s", r.rendering.broken);
	return (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) * 1e-9;
}

static double best(slice in)
{
	double least = 1e9;

	for (int i = 0; i < 5; i++) {
		double t = once(in);

		least = t < least ? t : least;
	}
	return least;
}

static void linear(void **state)
{
	struct buf in;

	(void)state;
	buf_init(&in, 1 << 26);
	for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
		const struct bomb *b = &bombs[i];
		double small, large;

		make(b, SMALL, &in);
		small = best(buf_slice(&in));
		make(b, SMALL * TIMES, &in);
		large = best(buf_slice(&in));
		printf("%-36s %7.2f ms, ten times as much %8.2f ms: %5.1f\n", b->name, small * 1e3,
			large * 1e3, large / small);
		/* What takes no time at all shows no ratio. */
		if (large > small * LIMIT && large > 0.01)
			fail_msg("%s: %zu bytes take %.2f ms, %zu take %.2f ms", b->name, SMALL, small * 1e3,
				SMALL * TIMES, large * 1e3);
	}
	buf_free(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(linear)};
	int rc;

	rewriting_open(&r);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rewriting_close(&r);
	return rc;
}
