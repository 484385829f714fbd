/* Time and memory are linear whatever comes in (SECURITY S12): ten times the bytes
 * take at most twelve times the work, for shapes made to be slow. The work is
 * counted, so that a busy machine changes nothing. */
#include "tests/testing.h"

#include "tests/rewriting.h"
#include "tests/work.h"

#include "rewriter/plan.h"

#include <stdio.h>

#define SMALL ((size_t)40000)
#define TIMES 10
/* A quadratic one would do a hundred times the work. */
#define LIMIT 12
/* Links of 30 bytes one after the other need the most: what is known of each, and
 * blocks that double. */
#define MEMORY_PER_BYTE 96

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

struct cost {
	uint64_t work;
	size_t memory;
};

static struct cost cost_of(slice in)
{
	uint64_t before;

	/* The sealer and the output have what they keep. */
	rewriting_run(&r, in);
	arena_free(&r.arena);
	before = work_done();
	rewriting_run(&r, in);
	if (r.rendering.broken)
		fail_msg("proof failed: %s", r.rendering.broken);
	return (struct cost){work_done() - before, r.arena.used};
}

static void linear(void **state)
{
	struct buf in;

	(void)state;
	buf_init(&in, 1 << 26);
	for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
		const struct bomb *b = &bombs[i];
		struct cost small, large;
		size_t size;

		/* A header section ends at its cap. */
		size = strstr(b->header, "\r\n\r\n") ? SMALL : MESSAGE_MAX_HEADER / 11;
		make(b, size, &in);
		small = cost_of(buf_slice(&in));
		make(b, size * TIMES, &in);
		large = cost_of(buf_slice(&in));
		printf("%-36s %9llu steps, ten times as much %10llu: %5.2f; %5.1f bytes a byte\n", b->name,
			(unsigned long long)small.work, (unsigned long long)large.work,
			(double)large.work / (double)small.work, (double)large.memory / (double)in.len);
		assert_true(small.work > 100);
		if (large.work > small.work * LIMIT)
			fail_msg("%s: more than %d times the work", b->name, LIMIT);
		if (large.memory > 65536 + in.len * MEMORY_PER_BYTE)
			fail_msg("%s: %zu bytes of memory for %zu", b->name, large.memory, in.len);
	}
	buf_free(&in);
}

/* Beside what is edited, memory is for the structure: for levels and parts, not
 * for what is in them. */
static void structure(void **state)
{
	size_t memory[2][2];
	struct buf in;

	(void)state;
	buf_init(&in, 1 << 26);
	for (unsigned deep = 0; deep < 2; deep++) {
		for (unsigned large = 0; large < 2; large++) {
			buf_clear(&in);
			for (unsigned d = 0; d < (deep ? 60u : 6u); d++)
				buf_printf(&in,
					"Content-Type: multipart/mixed; boundary=b%u\r\n\r\n--b%u\r\n", d, d);
			buf_str(&in, "Content-Type: application/pdf\r\n\r\n");
			for (unsigned k = 0; k < (large ? 100000u : 1000u); k++)
				buf_str(&in, "--b1x not a boundary https://a.example/\r\n");
			memory[deep][large] = cost_of(buf_slice(&in)).memory;
		}
	}
	printf("6 levels: %zu and %zu bytes with 100 times as much in them; 60 levels: %zu and %zu\n",
		memory[0][0], memory[0][1], memory[1][0], memory[1][1]);
	assert_int_equal(memory[0][0], memory[0][1]);
	assert_int_equal(memory[1][0], memory[1][1]);
	assert_true(memory[1][1] < 256 * 1024);
	buf_free(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(linear), cmocka_unit_test(structure)};
	int rc;

	rewriting_open(&r);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rewriting_close(&r);
	return rc;
}
