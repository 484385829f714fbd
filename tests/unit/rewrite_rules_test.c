/* docs/REWRITING.md outside of the twenty-five cases: header fields, policies,
 * modes, signatures, what is listed of links that stay. */
#include "tests/testing.h"

#include "tests/rewriting.h"

#include "core/model/verp.h"
#include "core/parse/hdr.h"
#include "rewriter/copy.h"
#include "rewriter/plan.h"
#include "rewriter/settings.h"

#include <stdio.h>

#define HTML "Content-Type: text/html; charset=utf-8\r\n\r\n"
#define LINK "<a href=\"https://a.example/x\">x</a>"

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

/* The copy with tokens shown. */
static slice shown(const char *in)
{
	static struct buf b;

	if (b.cap == 0)
		buf_init(&b, 1 << 20);
	buf_clear(&b);
	rewriting_reveal(&r, rewriting_run(&r, slice_str(in)), &b);
	return buf_slice(&b);
}

/* Every token within the copy of a kind. */
static unsigned tokens(slice out, enum token_kind kind, struct token *list, unsigned room)
{
	static uint8_t bytes[8][TOKEN_ROOM];
	char start[] = "https://t.example/?/";
	slice head = slice_str(start);
	unsigned n = 0;

	start[18] = (char)kind;
	for (size_t at = 0; (at = slice_find(out, head, at)) != SLICE_NPOS && n < room;) {
		at += head.len;
		assert_int_equal(token_open(r.sealer, SLICE("t.example"), kind,
					 slice_sub(out, at, token_end(out, at)), bytes[n], &list[n]),
			0);
		n++;
	}
	return n;
}

/* Fields that come, where they come, and what they are made of (SECURITY S11). */
static void added_fields(void **state)
{
	slice out;

	(void)state;
	r.policy.opens = false;
	test_slices_equal("the id alone", shown("Subject: s\r\n" HTML LINK),
		SLICE("Subject: s\r\nContent-Type: text/html; charset=utf-8\r\nX-Landfall-Id: ID\r\n\r\n"
		      "<a href=\"C(https://a.example/x)\">x</a>"));
	r.policy.unsubscribe = true;
	r.policy.feedback_id = SLICE("brand");
	r.policy.cfbl_address = SLICE("fbl@brand.example");
	r.policy.default_campaign = SLICE("spring sale: 50% off\xc3\xa9");
	out = shown("Subject: s\r\n" HTML "x");
	assert_true(slice_starts(
		out, SLICE("Subject: s\r\nContent-Type: text/html; charset=utf-8\r\nX-Landfall-Id: ID\r\n"
			   "List-Unsubscribe: <U()>\r\n"
			   "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
			   "Feedback-ID: spring_sale__50__off__:acme:landfall:brand\r\n"
			   "CFBL-Address: fbl@brand.example; report=arf\r\nCFBL-Feedback-ID: ")));
	/* Complaints carry the same identity as X-Landfall-Id. */
	{
		slice raw = buf_slice(&r.out), one = SLICE("X-Landfall-Id: "),
		      two = SLICE("CFBL-Feedback-ID: ");
		size_t a = slice_find(raw, one, 0) + one.len, b = slice_find(raw, two, 0) + two.len;

		test_slices_equal("the same", slice_sub(raw, b, token_end(raw, b)),
			slice_sub(raw, a, token_end(raw, a)));
	}
	/* Where the message has them it keeps its own. */
	out = shown("List-Unsubscribe: <mailto:u@a.example>\r\nFeedback-ID: a:b:c:d\r\n"
		    "cfbl-address: x@a.example\r\n" HTML "x");
	test_slices_equal("its own", out,
		SLICE("List-Unsubscribe: <mailto:u@a.example>\r\nFeedback-ID: a:b:c:d\r\ncfbl-address: "
		      "x@a.example\r\nContent-Type: text/html; charset=utf-8\r\nX-Landfall-Id: ID\r\n\r\nx"));
	/* Where -Post is there already it is not added a second time. */
	out = shown("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" HTML "x");
	assert_true(slice_find(out, SLICE("List-Unsubscribe: <U()>"), 0) != SLICE_NPOS);
	assert_true(slice_find(out, SLICE("List-Unsubscribe-Post"), 10) == SLICE_NPOS);
	/* A token that all share takes nobody off a list. */
	out = shown("X-Landfall-Track: mode=anonymous\r\n" HTML "x");
	assert_true(slice_find(out, SLICE("List-Unsubscribe"), 0) == SLICE_NPOS);
}

/* Control fields never go out. */
static void control_fields(void **state)
{
	static const struct {
		const char *name, *rest;
		enum untouched why;
	} rows[] = {
		{"edited", HTML LINK, UNTOUCHED_NOT},
		{"nothing to do", "\r\nx\r\n", UNTOUCHED_NOTHING_TO_DO},
		{"signed", "DKIM-Signature: d=x\r\n" HTML LINK, UNTOUCHED_SIGNED},
		{"rewritten before", "X-Landfall-Id: x\r\n" HTML LINK, UNTOUCHED_OURS},
		{"cap",
			"Content-Type: multipart/mixed; boundary=01234567890123456789012345678901234567890"
			"123456789012345678901234567890\r\n\r\nx",
			UNTOUCHED_CAP},
		{"off", "X-Landfall-Track: mode=off\r\n" HTML LINK, UNTOUCHED_OFF},
		{"unreadable", "X-Landfall-Track: ?\r\n" HTML LINK, UNTOUCHED_OFF},
		{"two campaigns", "X-Landfall-Campaign: c\r\n" HTML LINK, UNTOUCHED_NO_CAMPAIGN},
	};
	char in[1000];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice out;

		snprintf(in, sizeof in,
			"X-Landfall-Campaign: spring\r\nx-landfall-tenant: t\r\nX-Landfall-Recipient-Id: "
			"7\r\n"
			"X-Landfall-Track: opens=on;\r\n clicks=on\r\n%s",
			rows[i].rest);
		out = shown(in);
		test_numbers_equal(rows[i].name, r.rendering.untouched, rows[i].why);
		for (const char *const *f = (const char *const[]){"X-Landfall-Campaign", "X-Landfall-Tenant",
			     "X-Landfall-Recipient-Id", "X-Landfall-Track", "clicks=on", NULL};
			*f; f++)
			if (slice_ifind(out, slice_str(*f), 0) != SLICE_NPOS)
				fail_msg("%s: %s went out", rows[i].name, *f);
		/* What is not edited is otherwise the same, byte by byte. */
		if (rows[i].why != UNTOUCHED_NOT && rows[i].why != UNTOUCHED_NOTHING_TO_DO) {
			slice rest = slice_str(rows[i].rest);

			if (slice_starts(rest, SLICE("X-Landfall-Track")) ||
				slice_starts(rest, SLICE("X-Landfall-Campaign")))
				rest = slice_from(rest, slice_find(rest, SLICE("\r\n"), 0) + 2);
			test_slices_equal(rows[i].name, out, rest);
		}
	}
}

static void five_modes(void **state)
{
	static const char in[] = "Message-ID: <1@a>\r\n" HTML "<body>" LINK "</body>";
	struct token list[8];
	struct buf first;

	(void)state;
	buf_init(&first, 1 << 20);
	for (unsigned mode = PRIVACY_OFF; mode <= PRIVACY_FULL; mode++) {
		r.policy.mode = (enum privacy)mode;
		buf_clear(&first);
		r.id.sequence = 42;
		buf_put(&first, rewriting_run(&r, slice_str(in)));
		if (mode == PRIVACY_OFF) {
			test_slices_equal("off", buf_slice(&first), slice_str(in));
			assert_false(plan_tracks(r.plan));
			continue;
		}
		/* The mode travels in every token, so that the tracker keeps to it. */
		assert_int_equal(tokens(buf_slice(&first), TOKEN_CLICK, list, 8), 1);
		assert_int_equal(list[0].mode, mode);
		assert_int_equal(list[0].sequence, mode == PRIVACY_ANONYMOUS ? EVENT_NO_SEQUENCE : 42);
		assert_int_equal(tokens(buf_slice(&first), TOKEN_OPEN, list, 8), 1);
		assert_int_equal(list[0].mode, mode);
		/* Only the anonymous one is the same for all recipients. */
		r.id.sequence = 43;
		assert_int_equal(slice_eq(rewriting_run(&r, slice_str(in)), buf_slice(&first)),
			mode == PRIVACY_ANONYMOUS);
	}
	buf_free(&first);
}

/* Mail that is signed before us: pass, or resign. */
static void signed_mail(void **state)
{
	static const slice own[] = {SLICE("brand.example")};
	static const char ours[] =
		"From: a\r\nDKIM-Signature: v=1; d=brand.example;\r\n b=AAAA\r\nTo: b\r\n" HTML LINK;
	static const char other[] =
		"DKIM-Signature: d=brand.example\r\nDKIM-Signature: d=other.example\r\n" HTML LINK;
	static const char arc[] = "DKIM-Signature: d=brand.example\r\nARC-Seal: i=1\r\n" HTML LINK;
	static const char off[] =
		"X-Landfall-Track: mode=off\r\nDKIM-Signature: d=brand.example\r\n" HTML LINK;

	(void)state;
	r.policy.opens = false;
	test_slices_equal("pass", shown(ours), slice_str(ours));
	assert_int_equal(r.rendering.untouched, UNTOUCHED_SIGNED);
	r.policy.signers = own;
	r.policy.signer_count = 1;
	test_slices_equal("resign", shown(ours),
		SLICE("From: a\r\nTo: b\r\nContent-Type: text/html; charset=utf-8\r\nX-Landfall-Id: "
		      "ID\r\n\r\n"
		      "<a href=\"C(https://a.example/x)\">x</a>"));
	test_slices_equal("another's as well", shown(other), slice_str(other));
	assert_int_equal(r.rendering.untouched, UNTOUCHED_SIGNED);
	test_slices_equal("ARC as well", shown(arc), slice_str(arc));
	/* What is not rewritten keeps its signature. */
	test_slices_equal("off", shown(off), slice_from(slice_str(off), 28));
}

/* S/MIME, PGP/MIME and inline PGP: not a byte of the body; the header says whose
 * it is, and the return path can too (VERP needs nothing of the message). */
static void signed_parts(void **state)
{
	static const char *const rows[] = {
		"Content-Type: multipart/signed; boundary=b; "
		"protocol=\"application/pgp-signature\"\r\n\r\n--b\r\n"
		"Content-Type: text/html\r\n\r\n" LINK
		"\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\n"
		"-----BEGIN PGP SIGNATURE-----\r\n--b--\r\n",
		"Content-Type: multipart/encrypted; boundary=b; "
		"protocol=\"application/pgp-encrypted\"\r\n\r\n"
		"--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b--\r\n",
		"Content-Type: application/x-pkcs7-mime; "
		"smime-type=signed-data\r\n\r\nhttps://a.example/\r\n",
		"\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhttps://a.example/\r\n-----END PGP MESSAGE-----\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = slice_str(rows[i]), out = rewriting_run(&r, in);
		size_t body = slice_find(in, SLICE("\r\n\r\n"), 0);

		if (slice_starts(in, SLICE("\r\n")))
			body = 0;
		assert_true(plan_tracks(r.plan));
		assert_true(r.rendering.untouched == UNTOUCHED_SIGNED ||
			    r.rendering.untouched == UNTOUCHED_ENCRYPTED);
		assert_true(slice_ends(out, slice_from(in, body)));
		assert_true(slice_find(out, SLICE("X-Landfall-Id: "), 0) != SLICE_NPOS);
	}
}

/* VERP: at most 40 characters, letters of one case and digits only. */
static void return_path(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (unsigned i = 0; i < 1000; i++) {
		struct token t = {.kind = TOKEN_RETURN,
				     .campaign = 0x9e3779b97f4a7c15u * (i + 1),
				     .lane = i * 2654435761u,
				     .sequence = i * 40503u},
			     got;
		slice local, upper;
		uint8_t text[200];

		buf_clear(&b);
		assert_int_equal(verp_seal(r.sealer, SLICE("bounce.example"), &t, &b), 0);
		local = slice_sub(buf_slice(&b), 0, slice_chr(buf_slice(&b), '@', 0));
		assert_true(local.len <= 40);
		for (size_t k = 0; k < local.len; k++)
			assert_true((local.p[k] >= 'a' && local.p[k] <= 'z') || ascii_digit(local.p[k]) ||
				    (k == 1 && local.p[k] == '+'));
		/* Some hosts fold case. */
		for (size_t k = 0; k < b.len; k++)
			text[k] = b.p[k] >= 'a' && b.p[k] <= 'z' ? (uint8_t)(b.p[k] - 32) : b.p[k];
		upper = slice_of(text, b.len);
		assert_int_equal(verp_open(r.sealer, SLICE("bounce.example"), upper, &got), 0);
		assert_int_equal(got.campaign, t.campaign);
		assert_int_equal(got.sequence, t.sequence);
		assert_int_equal(got.lane, t.lane);
	}
	buf_free(&b);
}

/* The pixels at the top and at the bottom, and links in AMP parts, tell which they are. */
static void places(void **state)
{
	static const char amp[] =
		"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: "
		"text/x-amp-html\r\n\r\n"
		"<a href=\"https://a.example/x\">x</a>\r\n--b\r\n" HTML LINK "\r\n--b--\r\n";
	struct token list[8];
	slice out;

	(void)state;
	r.policy.top_pixel = true;
	out = rewriting_run(&r, SLICE(HTML "<body>x</body>"));
	assert_int_equal(tokens(out, TOKEN_OPEN, list, 8), 2);
	assert_int_equal(list[0].place, PLACE_TOP);
	assert_int_equal(list[1].place, PLACE_MAIN);
	/* Untouched unless it is wanted. */
	out = rewriting_run(&r, slice_str(amp));
	assert_int_equal(tokens(out, TOKEN_CLICK, list, 8), 1);
	r.policy.amp_links = true;
	out = rewriting_run(&r, slice_str(amp));
	assert_int_equal(tokens(out, TOKEN_CLICK, list, 8), 2);
	assert_int_equal(list[0].place, PLACE_AMP);
	assert_int_equal(list[1].place, PLACE_MAIN);
	/* One destination is one link, whatever the channel. */
	assert_int_equal(list[0].link, list[1].link);
	test_slices_equal("both", list[0].url, list[1].url);
	assert_null(r.rendering.broken);
	/* No pixel in AMP. */
	assert_true(slice_find(out, SLICE("/o/"), 0) > slice_find(out, SLICE("text/html"), 0));
}

static const struct {
	const char *html;
	enum left why;
} stay[] = {
	{"<a href>", LEFT_EMPTY},
	{"<a href=\"\">", LEFT_EMPTY},
	{"<a href=\"x.html\">", LEFT_RELATIVE},
	{"<a href=\"#top\">", LEFT_RELATIVE},
	{"<a href=\"www.a.example\">", LEFT_RELATIVE},
	{"<a href=\"mailto:a@a.example\">", LEFT_SCHEME},
	{"<a href=\"https://a.example/{{id}}\">", LEFT_MERGE_TAG},
	{"<a data-no-track href=\"https://a.example/\">", LEFT_OPT_OUT},
	{"<a rel=unsubscribe href=\"https://a.example/\">", LEFT_UNSUBSCRIBE},
	{"<a data-msys-unsubscribe=1 href=\"https://a.example/\">", LEFT_UNSUBSCRIBE},
	{"<a href=\"https://a.example/u\">", LEFT_UNSUBSCRIBE},
	{"<a href=\"https://t.example/c/x\">", LEFT_OURS},
	{"<a href=\"https://b.test/\">https://b.test/</a>", LEFT_URL_TEXT},
	{"<a href=\"https://u:p@a.example/\">", LEFT_INVALID},
	{"<a href=\"https://a.example/\xff\">", LEFT_CHARSET},
	{"<!--[if mso]><v:rect href=https://a.example/><![endif]-->", LEFT_COMMENT},
};

/* --explain lists every link that stays, with its reason. */
static void explained(void **state)
{
	struct buf json;
	char in[1000], want[100];

	(void)state;
	buf_init(&json, 1 << 20);
	for (size_t i = 0; i < sizeof stay / sizeof *stay; i++) {
		snprintf(
			in, sizeof in, "List-Unsubscribe: <https://a.example/u>\r\n" HTML "%s", stay[i].html);
		buf_clear(&json);
		rewriting_run(&r, slice_str(in));
		test_numbers_equal(stay[i].html, r.rendering.left, 1);
		test_numbers_equal(stay[i].html, r.rendering.links, 0);
		assert_int_equal(message_explain(&r.arena, r.plan, &r.id, r.sealer, &json), 0);
		snprintf(want, sizeof want, "\"why\":\"%s\"", left_word(stay[i].why));
		if (slice_find(buf_slice(&json), slice_str(want), 0) == SLICE_NPOS)
			fail_msg("%s: no %s in %.*s", stay[i].html, want, SLICE_FMT(buf_slice(&json)));
	}
	/* The lint: a link that leads nowhere, a placeholder that nobody filled in. */
	buf_clear(&json);
	rewriting_run(&r, SLICE(HTML "<a href=\"www.a.example/x\">x</a><a href=\"*|U|*\">"));
	message_explain(&r.arena, r.plan, &r.id, r.sealer, &json);
	assert_true(slice_find(buf_slice(&json),
			    SLICE("\"a link without https:// leads nowhere: www.a.example/x\""),
			    0) != SLICE_NPOS);
	assert_true(slice_find(buf_slice(&json), SLICE("unresolved placeholder in a link: *|U|*"), 0) !=
		    SLICE_NPOS);
	buf_free(&json);
}

static slice big(const char *unit, size_t n, const char *head, const char *tail)
{
	static struct buf b;

	if (b.cap == 0)
		buf_init(&b, 1 << 28);
	buf_clear(&b);
	buf_str(&b, head);
	while (b.len < n)
		buf_str(&b, unit);
	buf_str(&b, tail);
	return buf_slice(&b);
}

/* SECURITY S12: the last size within each cap is edited, beyond it the message passes as
 * it came. */
static void caps(void **state)
{
	struct buf m;

	(void)state;
	buf_init(&m, 1 << 24);
	for (int over = 0; over < 2; over++) {
		enum untouched want = over ? UNTOUCHED_CAP : UNTOUCHED_NOT;
		slice in;

		/* header section */
		buf_clear(&m);
		buf_str(&m, HTML);
		m.len -= 2;
		buf_str(&m, "A: ");
		while (m.len < MESSAGE_MAX_HEADER - 2 + (size_t)over)
			buf_byte(&m, 'x');
		buf_str(&m, "\r\n\r\n" LINK);
		in = buf_slice(&m);
		if (over)
			test_slices_equal("header", rewriting_run(&r, in), in);
		else
			rewriting_run(&r, in);
		test_numbers_equal("header", r.rendering.untouched, want);
		/* depth */
		buf_clear(&m);
		for (int d = 0; d < MESSAGE_MAX_DEPTH + over; d++) {
			buf_printf(&m, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", d, d);
		}
		buf_str(&m, HTML LINK);
		in = buf_slice(&m);
		if (over)
			test_slices_equal("depth", rewriting_run(&r, in), in);
		else
			rewriting_run(&r, in);
		test_numbers_equal("depth", r.rendering.untouched, want);
		/* parts; the multipart is one */
		buf_clear(&m);
		buf_str(&m, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
		for (int d = 0; d < MESSAGE_MAX_PARTS - 1 + over; d++)
			buf_str(&m, "--b\r\n" HTML LINK "\r\n");
		in = buf_slice(&m);
		if (over)
			test_slices_equal("parts", rewriting_run(&r, in), in);
		else
			rewriting_run(&r, in);
		test_numbers_equal("parts", r.rendering.untouched, want);
		/* length of a boundary */
		buf_clear(&m);
		buf_printf(&m, "Content-Type: multipart/mixed; boundary=\"%0*d\"\r\n\r\n--%0*d\r\n" HTML LINK,
			MESSAGE_MAX_BOUNDARY + over, 0, MESSAGE_MAX_BOUNDARY + over, 0);
		in = buf_slice(&m);
		if (over)
			test_slices_equal("boundary", rewriting_run(&r, in), in);
		else
			rewriting_run(&r, in);
		test_numbers_equal("boundary", r.rendering.untouched, want);
		/* control fields: beyond them not even these are taken out */
		buf_clear(&m);
		for (int d = 0; d < CONTROL_MAX_REMOVED + over; d++)
			buf_str(&m, "X-Landfall-Recipient-Id: 1\r\n");
		buf_str(&m, HTML LINK);
		in = buf_slice(&m);
		if (over)
			test_slices_equal("control fields", rewriting_run(&r, in), in);
		else
			assert_true(
				slice_find(rewriting_run(&r, in), SLICE("Recipient-Id"), 0) == SLICE_NPOS);
		test_numbers_equal("control fields", r.rendering.untouched, want);
		/* different links */
		buf_clear(&m);
		buf_str(&m, HTML);
		for (int d = 0; d < TARGET_MAX + over; d++)
			buf_printf(&m, "<a href=//a/%x>\n", d);
		rewriting_run(&r, buf_slice(&m));
		test_numbers_equal("links", r.rendering.untouched, UNTOUCHED_NOT);
		test_numbers_equal("links", r.rendering.links, TARGET_MAX);
		test_numbers_equal("links", r.rendering.left, over);
		if (over)
			test_numbers_equal("links", r.plan->left[0].why, LEFT_TOO_MANY);
		/* addresses in List-Unsubscribe: the others are links like all */
		buf_clear(&m);
		buf_str(&m, "List-Unsubscribe: ");
		for (int d = 1; d < CONTROL_MAX_UNSUBSCRIBE + over; d++)
			buf_printf(&m, "<https://a.example/%d>,\r\n ", d);
		buf_str(&m, "<https://a.example/x>\r\n" HTML LINK);
		rewriting_run(&r, buf_slice(&m));
		test_numbers_equal("unsubscribe", r.rendering.links, over);
	}
	/* A link too long for what mail programs follow. */
	rewriting_run(&r, big("x", 2100, HTML "<a href=\"https://a.example/", "\">y</a>"));
	assert_int_equal(r.rendering.links, 0);
	assert_int_equal(r.plan->left[0].why, LEFT_TOO_LONG);
	rewriting_run(&r, big("x", 1300,
				  "Content-Transfer-Encoding: quoted-printable\r\n" HTML
				  "<a href=3D\"https://a.example/",
				  "\">y</a>"));
	assert_int_equal(r.rendering.links, 1);
	{
		struct copy c;

		assert_int_equal(copy_make(&r.arena, r.plan, &r.id, r.sealer, &c), 0);
		assert_in_range(c.urls[0].len, 1600, MESSAGE_MAX_TRACKED_URL);
	}
	buf_free(&m);
}

static void settings(void **state)
{
	static const struct {
		const char *set;
		bool good;
	} rows[] = {
		{"track.mode=anonymous", true},
		{"track.mode=", false},
		{"track.mode=most", false},
		{"track.feedback_id=brand-1", true},
		{"track.feedback_id=a:b", false},
		{"track.feedback_id=a b", false},
		{"track.cfbl_address=fbl+1@brand.example", true},
		{"track.cfbl_address=brand.example", false},
		{"track.cfbl_address=@brand.example", false},
		{"track.cfbl_address=a@b@c", false},
		{"track.cfbl_address=a@", false},
		{"track.cfbl_address=<a@b>", false},
		{"rewriter.signed=pass", true},
		{"rewriter.signed=resign", false},
		{"rewriter.signed=strip", false},
		{"track.url=ftp://x", false},
		{"track.url=https://t.example/?q=1", false},
		{"track.url=https://t.example/\"x", false},
		{"track.url=https://T.example:8443/a/", true},
	};
	struct config c;
	struct policy p;
	struct buf why;

	(void)state;
	buf_init(&why, 1000);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(config_open(&c, NULL, &why), 0);
		assert_int_equal(config_set(&c, slice_str(rows[i].set), &why), 0);
		buf_clear(&why);
		test_numbers_equal(rows[i].set, settings_policy(&r.arena, &c, &p, &why) == 0, rows[i].good);
		test_numbers_equal(rows[i].set, why.len == 0, rows[i].good);
		config_close(&c);
	}
	buf_clear(&why);
	assert_int_equal(config_open(&c, NULL, &why), 0);
	assert_int_equal(config_set(&c, SLICE("rewriter.signed=resign"), &why), 0);
	assert_int_equal(config_set(&c, SLICE("rewriter.signed_domains=a.example b.example"), &why), 0);
	assert_int_equal(settings_policy(&r.arena, &c, &p, &why), 0);
	assert_int_equal(p.signer_count, 2);
	test_slices_equal("second", p.signers[1], SLICE("b.example"));
	assert_int_equal(p.mode, PRIVACY_FULL);
	assert_int_equal(config_set(&c, SLICE("rewriter.signed=pass"), &why), 0);
	assert_int_equal(settings_policy(&r.arena, &c, &p, &why), 0);
	assert_int_equal(p.signer_count, 0);
	config_close(&c);
	buf_free(&why);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(added_fields),
		CASE(control_fields),
		CASE(five_modes),
		CASE(signed_mail),
		CASE(signed_parts),
		CASE(return_path),
		CASE(places),
		CASE(explained),
		CASE(caps),
		CASE(settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
