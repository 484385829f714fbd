/* The proof refuses what is broken: a copy in which any byte is another one, is
 * missing or is too much; and edits that are not what they should be, however they
 * came about. The proof over the whole text is the measure of the one that reads
 * only what was edited. */
#include "tests/testing.h"

#include "tests/rewriting.h"

#include "core/base/refuse.h"
#include "core/parse/mimeb64.h"
#include "rewriter/copy.h"

#include <stdio.h>

static struct rewriting r;

#define HTML                                                                                                 \
	"<html><body>\r\n<p>first gr=C3=BCn <b>line</b></p>\r\n<a class=3D\"x\" "                            \
	"href=3D\"https://a.example/o=\r\n"                                                                  \
	"ne?a=3D1\" data-landfall=3D\"on\">one</a>\r\n<!--[if mso]><v:rect "                                 \
	"href=3D\"https://a.example/two\">"                                                                  \
	"</v:rect><![endif]-->\r\n<a href=3D\"https://a.example/two\">two</a> <a data-no-track=3D\"1\" "     \
	"href=3D\"https://a.example/3\">3</a>=20\r\nthe same\r\nthe same\r\n</body></html>\r\n"
#define PLAIN                                                                                                \
	"<html><body>\r\n<p>first <b>line</b></p>\r\n<a class=\"x\" "                                        \
	"href=\"https://a.example/one\">one</a>\r\n"                                                         \
	"<!--[if mso]><v:rect href=\"https://a.example/two\"></v:rect><![endif]-->\r\n"                      \
	"<a href=\"https://a.example/two\">two</a> <a data-no-track=\"1\" "                                  \
	"href=\"https://a.example/3\">3</a>\r\n"                                                             \
	"the same\r\nthe same\r\n</body></html>\r\n"
#define HEAD(type, cte)                                                                                      \
	"Subject: x\r\nX-Landfall-Tag: y\r\nContent-Type: " type "\r\nContent-Transfer-Encoding: " cte       \
	"\r\n\r\n"

static const char *const messages[] = {
	HEAD("text/html; charset=utf-8", "quoted-printable") HTML,
	HEAD("text/html; charset=utf-8", "8bit") PLAIN,
	HEAD("text/html; charset=iso-2022-jp", "quoted-printable") HTML,
	HEAD("text/plain",
		"quoted-printable") "See https://a.example/one=\r\n/two and https://a.example/2=20\r\n"
				    "=\r\nhttps://a.example/2\r\nend",
	HEAD("text/x-amp-html", "quoted-printable") HTML,
	HEAD("text/html", "base64"),
};

static slice message(size_t i)
{
	static struct buf b;
	size_t n = mimeb64_size(sizeof PLAIN - 1, 76, SLICE("\r\n"));

	if (b.cap == 0)
		buf_init(&b, 1 << 20);
	buf_clear(&b);
	buf_str(&b, messages[i]);
	if (i + 1 == sizeof messages / sizeof *messages) {
		mimeb64_encode(SLICE(PLAIN), 76, SLICE("\r\n"), buf_room(&b, n));
		buf_grew(&b, n);
		buf_str(&b, "\r\n");
	}
	return buf_slice(&b);
}

static bool proved(const struct copy *c, slice out, bool whole)
{
	const char *rule;
	struct arena a;
	int rc;

	arena_init(&a, 1 << 24, NULL, NULL);
	rc = (whole ? copy_prove_whole : copy_prove)(&a, c, &r.id, r.sealer, out, &rule);
	arena_free(&a);
	assert_true(rc == 0 || rc == -REFUSE_PROOF);
	return rc == 0;
}

static void any_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
		slice out = rewriting_run(&r, message(i));
		uint8_t *bad = malloc(out.len + 1);
		struct copy c;

		assert_int_equal(r.rendering.untouched, UNTOUCHED_NOT);
		assert_true(r.rendering.links > 1);
		assert_int_equal(copy_make(&r.arena, r.plan, &r.id, r.sealer, &c), 0);
		assert_true(proved(&c, out, false));
		for (size_t at = 0; at <= out.len; at++) {
			static const uint8_t flips[] = {0x01, 0x20, 0x80};

			memcpy(bad, out.p, at);
			/* one too much */
			bad[at] = at ? bad[at - 1] : '\n';
			memcpy(bad + at + 1, out.p + at, out.len - at);
			if (proved(&c, slice_of(bad, out.len + 1), false))
				fail_msg("message %zu: a byte too much at %zu", i, at);
			if (at == out.len)
				break;
			/* one less */
			memcpy(bad + at, out.p + at + 1, out.len - at - 1);
			if (proved(&c, slice_of(bad, out.len - 1), false))
				fail_msg("message %zu: byte %zu is missing", i, at);
			memcpy(bad, out.p, out.len);
			for (unsigned k = 0; k < sizeof flips; k++) {
				bad[at] = out.p[at] ^ flips[k];
				if (proved(&c, slice_of(bad, out.len), false))
					fail_msg("message %zu: byte %zu is another", i, at);
			}
		}
		free(bad);
	}
}

static unsigned tried, refused;

/* The copy as these edits make it: if the proof takes it, so must the whole one. */
static void judge(struct copy *c, const char *what, size_t message_at, size_t edit)
{
	slice in = c->plan->message, out;
	size_t end = 0, n;
	uint8_t *to;

	for (size_t i = 0; i < c->edits.count; i++) {
		if (c->edits.list[i].offset < end || c->edits.list[i].offset > in.len)
			return;
		end = c->edits.list[i].offset + c->edits.list[i].length;
		if (c->edits.list[i].recode)
			c->edits.list[i].bytes.len = recode_size(c->edits.list[i].recode);
	}
	/* What is out of order is not written at all. */
	for (size_t i = 1; i < c->parts[0].inner.count; i++)
		if (c->parts[0].inner.list[i].offset <
			c->parts[0].inner.list[i - 1].offset + c->parts[0].inner.list[i - 1].length)
			return;
	if (end > in.len)
		return;
	n = edit_size(in, &c->edits);
	to = malloc(n + 1);
	edit_apply(in, &c->edits, to);
	out = slice_of(to, n);
	tried++;
	if (!proved(c, out, false))
		refused++;
	else if (!proved(c, out, true))
		fail_msg("message %zu, edit %zu: %s passes: %.*s", message_at, edit, what, SLICE_FMT(out));
	free(to);
}

/* Each edit in each list made wrong in many ways, also in both lists alike. */
static void any_edit(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
		struct copy c;

		rewriting_run(&r, message(i));
		assert_int_equal(copy_make(&r.arena, r.plan, &r.id, r.sealer, &c), 0);
		tried = refused = 0;
		for (unsigned which = 1; which < 4; which++)
			for (size_t k = 1; k < c.edits.count; k++) {
				struct edit *outer = which & 1 ? &c.edits.list[k] : NULL;
				struct edits *in = &c.parts[0].inner;
				struct edit *inner = which & 2 && k <= in->count ? &in->list[k - 1] : NULL;
				struct edit was_outer = {0}, was_inner = {0};

				if (!outer && !inner)
					continue;
				was_outer = outer ? *outer : was_outer;
				was_inner = inner ? *inner : was_inner;
#define TRY(what, change)                                                                                    \
	do {                                                                                                 \
		for (struct edit *x = outer ? outer : inner; x; x = x == outer ? inner : NULL) {             \
			change;                                                                              \
			if (!inner)                                                                          \
				break;                                                                       \
		}                                                                                            \
		judge(&c, what, i, k);                                                                       \
		if (outer)                                                                                   \
			*outer = was_outer;                                                                  \
		if (inner)                                                                                   \
			*inner = was_inner;                                                                  \
	} while (0)
				TRY("one earlier", x->offset--);
				TRY("one later", x->offset++);
				TRY("one shorter", x->length -= x->length > 0);
				TRY("one longer", x->length++);
				TRY("moved with its end", (x->offset--, x->length++));
				TRY("ten later", x->offset += 10); /* "the same" again */
				TRY("nothing new", x->bytes = SLICE(""));
				TRY("no site", x->site = NULL);
				TRY("last byte lost", x->bytes.len -= x->bytes.len > 0);
				/* What is encoded anew has bytes only within. */
				if (outer && outer->recode)
					outer = NULL;
				for (size_t at = 0; (outer || inner) && at < 400; at++) {
					static const char bytes[] = "x\"> =\n\r<-A";

					for (unsigned b = 0; b < sizeof bytes; b++)
						TRY(
							"another byte",
							if (x->bytes.p && at < x->bytes.len &&
								x->bytes.p[at] != (uint8_t)bytes[b]) {
								slice now = arena_dup(&r.arena, x->bytes);

								((uint8_t *)(uintptr_t)now.p)[at] =
									(uint8_t)bytes[b];
								x->bytes = now;
							} else if (!b) break);
					if (at >= (outer ? outer : inner)->bytes.len)
						break;
				}
#undef TRY
			}
		printf("message %zu: %u of %u broken lists of edits refused\n", i, refused, tried);
		assert_true(refused > tried / 2);
	}
}

static int start(void **state)
{
	(void)state;
	rewriting_open(&r);
	r.policy.amp_links = true;
	r.policy.top_pixel = true;
	return 0;
}

static int end(void **state)
{
	(void)state;
	rewriting_close(&r);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(any_byte), cmocka_unit_test(any_edit)};

	return cmocka_run_group_tests(tests, start, end);
}
