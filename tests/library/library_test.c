/* The C library from outside: linked to liblandfall.so, by landfall.h alone.
 * Beside it stands the rewriter itself, to say what the bytes must be. */
#include "tests/testing.h"

#include "core/base/buf.h"
#include "core/model/token.h"
#include "core/model/verp.h"
#include "core/parse/json.h"
#include "rewriter/library/landfall.h"
#include "rewriter/message.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME 1700000000ul /* 2023-11-14 */
#define HEX32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define RING "hash " HEX32 "\nkey 1 active 2023-01-01 " HEX32 "\n"

static const char html[] =
	"From: a@b.example\r\nX-Landfall-Campaign: another\r\nX-Landfall-Recipient-Id: 7\r\n"
	"Content-Type: text/html; charset=utf-8\r\n\r\n"
	"<html><body><a href=\"https://a.example/x?a=1&amp;b=2\">x</a> <a href='{{y}}'>y</a>\r\n"
	"<a href=\"https://a.example/z\">z</a></body></html>\r\n";

static struct landfall_options options_of(void)
{
	struct landfall_options o = LANDFALL_OPTIONS_INIT;

	o.track_url = "https://T.example:8443/";
	o.key_ring = RING;
	o.key_ring_size = sizeof RING - 1;
	return o;
}

static struct landfall_recipient who_of(unsigned sequence)
{
	struct landfall_recipient who = LANDFALL_RECIPIENT_INIT;

	who.campaign = "spring";
	who.lane = 77;
	who.sequence = sequence;
	who.time = TIME;
	return who;
}

static struct landfall *opened(const struct landfall_options *o)
{
	struct landfall *l = NULL;
	char why[200];
	int rc = landfall_open(&l, o, why, sizeof why);

	if (rc != LANDFALL_OK)
		fail_msg("landfall_open: %d %s", rc, why);
	assert_non_null(l);
	assert_string_equal(why, "");
	return l;
}

/* What the rewriter makes of it. */
struct engine {
	struct keyring ring;
	struct sealer *sealer;
	struct policy policy;
};

static void engine_start(struct engine *e)
{
	unsigned line;

	assert_int_equal(keyring_decode(SLICE(RING), &e->ring, &line), 0);
	e->sealer = sealer_open(&e->ring);
	e->policy = (struct policy){.track_url = SLICE("https://T.example:8443"),
		.track_host = SLICE("t.example"),
		.mode = PRIVACY_FULL,
		.opens = true,
		.clicks = true,
		.text_links = true,
		.default_campaign = SLICE("spring"),
		.default_tenant = SLICE("default"),
		.campaign_given = true};
}

static struct identity engine_identity(const struct engine *e, unsigned sequence)
{
	return (struct identity){hash_campaign(&e->ring, SLICE("default"), SLICE("spring")), 77, sequence,
		token_day((uint64_t)TIME * 1000)};
}

static void engine_copy(struct engine *e, slice message, unsigned sequence, struct buf *out)
{
	struct identity id = engine_identity(e, sequence);
	struct rendering r;
	struct arena a;

	arena_init(&a, 64 << 20, NULL, NULL);
	buf_init(out, 64 << 20);
	assert_int_equal(
		message_render(&a, message_plan(&a, message, &e->policy), &id, e->sealer, out, &r), 0);
	arena_free(&a);
}

/* The message stands before an unmapped page: it need not end in NUL. */
static int rewritten(
	struct landfall *l, const struct landfall_recipient *who, slice message, struct landfall_result *out)
{
	slice guarded = test_guard(message);
	int rc = landfall_rewrite(l, who, (const char *)guarded.p, guarded.len, out);

	test_unguard(guarded);
	return rc;
}

static void same_bytes(void **state)
{
	static const slice messages[] = {
		{(const uint8_t *)html, sizeof html - 1},
		SLICE("Subject: x\r\n\r\nSee https://a.example/x.\r\n"),
		SLICE("Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n"
		      "PGEgaHJlZj0iaHR0cHM6Ly9hLmV4YW1wbGUveCI+eDwvYT4=\n"),
		SLICE("Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
		      "<a href=3D\"https://a.example/x?a=3D1\">x</a>=\r\n\r\n"),
		SLICE("DKIM-Signature: x\r\nContent-Type: text/html\r\n\r\n<a "
		      "href=\"https://a.example/\">x</a>"),
		SLICE(""),
		SLICE("\r\n"),
		SLICE("no header at all"),
	};
	struct landfall_options o = options_of();
	struct landfall *l = opened(&o);
	struct engine e = {0};

	(void)state;
	engine_start(&e);
	for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
		for (unsigned n = 0; n < 3; n++) {
			struct landfall_recipient who = who_of(n * 1000);
			struct landfall_result r = LANDFALL_RESULT_INIT;
			struct buf want;

			engine_copy(&e, messages[i], n * 1000, &want);
			assert_int_equal(rewritten(l, &who, messages[i], &r), LANDFALL_OK);
			test_slices_equal("copy", slice_of(r.message, r.message_size), buf_slice(&want));
			assert_int_equal(r.message[r.message_size], 0);
			buf_free(&want);
			landfall_result_free(&r);
			landfall_result_free(&r);
			assert_null(r.message);
		}
	}
	sealer_close(&e.sealer);
	landfall_close(&l);
	assert_null(l);
	landfall_close(&l);
	landfall_close(NULL);
	landfall_result_free(NULL);
}

/* The first token behind "/<kind>/". */
static slice token_in(const struct landfall_result *r, const char *before, const char *end)
{
	slice m = slice_of(r->message, r->message_size);
	size_t at = slice_find(m, slice_str(before), 0) + strlen(before);

	return slice_sub(m, at, slice_find(m, slice_str(end), at));
}

static void carries_identity(void **state)
{
	struct landfall_options o = options_of();
	struct landfall_parameter source = {"utm_source", "h\xc3\xadr"};
	struct landfall_recipient who = who_of(123456);
	struct landfall_result r = LANDFALL_RESULT_INIT;
	struct engine e = {0};
	uint8_t room[TOKEN_ROOM];
	struct token t;
	struct landfall *l;

	(void)state;
	engine_start(&e);
	o.return_path_domain = "Bounce.example";
	o.parameters = &source;
	o.parameter_count = 1;
	o.flags = LANDFALL_UNSUBSCRIBE;
	l = opened(&o);
	assert_int_equal(rewritten(l, &who, slice_of(html, sizeof html - 1), &r), LANDFALL_OK);
	assert_null(r.untouched);
	assert_null(r.broken);
	assert_int_equal(r.tracked, 1);
	assert_int_equal(r.links, 2);
	assert_int_equal(r.left, 1);
	assert_int_equal(r.pixels, 1);
	assert_true(r.html_size > 300);
	/* The campaign is the caller's, not the message's. */
	assert_int_equal(token_open(e.sealer, SLICE("t.example"), TOKEN_CLICK,
				 token_in(&r, "example:8443/c/", "\""), room, &t),
		0);
	assert_true(t.campaign == hash_campaign(&e.ring, SLICE("default"), SLICE("spring")));
	assert_int_equal(t.lane, 77);
	assert_int_equal(t.sequence, 123456);
	assert_int_equal(t.day, token_day((uint64_t)TIME * 1000));
	test_slices_equal("url", t.url, SLICE("https://a.example/x?a=1&b=2&utm_source=h%C3%ADr"));
	assert_int_equal(token_open(e.sealer, SLICE("t.example"), TOKEN_OPEN,
				 token_in(&r, "example:8443/o/", ".gif"), room, &t),
		0);
	assert_int_equal(verp_open(e.sealer, SLICE("bounce.example"), slice_str(r.return_path), &t), 0);
	assert_int_equal(t.lane, 77);
	assert_int_equal(t.sequence, 123456);
	assert_true(slice_find(slice_of(r.message, r.message_size), SLICE("List-Unsubscribe: <"), 0) !=
		    SLICE_NPOS);
	assert_true(slice_find(slice_of(r.message, r.message_size), SLICE("X-Landfall-Campaign"), 0) ==
		    SLICE_NPOS);
	landfall_result_free(&r);
	/* Another tenant is another campaign. */
	who.tenant = "other";
	assert_int_equal(rewritten(l, &who, slice_of(html, sizeof html - 1), &r), LANDFALL_OK);
	assert_int_equal(token_open(e.sealer, SLICE("t.example"), TOKEN_CLICK,
				 token_in(&r, "example:8443/c/", "\""), room, &t),
		0);
	assert_true(t.campaign == hash_campaign(&e.ring, SLICE("other"), SLICE("spring")));
	landfall_result_free(&r);
	/* What is not tracked gives its number back. */
	assert_int_equal(
		rewritten(l, &who, SLICE("X-Landfall-Track: mode=off\r\n\r\nhttps://a.example/\r\n"), &r),
		LANDFALL_OK);
	test_slices_equal("off", slice_of(r.message, r.message_size), SLICE("\r\nhttps://a.example/\r\n"));
	assert_int_equal(r.tracked, 0);
	assert_null(r.return_path);
	assert_string_equal(r.untouched, "off");
	landfall_result_free(&r);
	landfall_close(&l);
	sealer_close(&e.sealer);
}

static void flags(void **state)
{
	static const struct {
		const char *name;
		unsigned flags, links, pixels;
	} rows[] = {
		{"all", 0, 3, 1},
		{"no opens", LANDFALL_NO_OPENS, 3, 0},
		{"no clicks", LANDFALL_NO_CLICKS, 0, 1},
		{"no text links", LANDFALL_NO_TEXT_LINKS, 2, 1},
		{"top pixel", LANDFALL_TOP_PIXEL, 3, 2},
		{"text that shows a URL", LANDFALL_TRACK_URL_TEXT, 4, 1},
		{"below <base>", LANDFALL_BASE_LINKS, 4, 1},
	};
	slice both = SLICE("Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n\r\n"
			   "https://a.example/t\r\n--x\r\nContent-Type: text/html\r\n\r\n"
			   "<base href=\"https://a.example/n/\"><body><a href=\"x\">0</a>"
			   "<a href=\"https://a.example/1\">1</a><a href=\"https://a.example/2\">2</a>"
			   "<a href=\"https://a.example/3\">https://a.example/3</a></body>\r\n--x--\r\n");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct landfall_options o = options_of();
		struct landfall_recipient who = who_of(1);
		struct landfall_result r = LANDFALL_RESULT_INIT;
		struct landfall *l;

		o.flags = rows[i].flags;
		l = opened(&o);
		assert_int_equal(rewritten(l, &who, both, &r), LANDFALL_OK);
		test_numbers_equal(rows[i].name, r.links, rows[i].links);
		test_numbers_equal(rows[i].name, r.pixels, rows[i].pixels);
		landfall_result_free(&r);
		landfall_close(&l);
	}
}

/* Is it in the copy? */
static bool shows(const struct landfall_result *r, const char *text)
{
	return slice_find(slice_of(r->message, r->message_size), slice_str(text), 0) != SLICE_NPOS;
}

static void modes(void **state)
{
	static const struct {
		const char *name;
		unsigned mode;
		enum privacy want;
	} rows[] = {
		{"full", LANDFALL_FULL, PRIVACY_FULL},
		{"identified", LANDFALL_IDENTIFIED, PRIVACY_IDENTIFIED},
		{"pseudonymous", LANDFALL_PSEUDONYMOUS, PRIVACY_PSEUDONYMOUS},
		{"anonymous", LANDFALL_ANONYMOUS, PRIVACY_ANONYMOUS},
	};
	struct landfall_options o = options_of();
	struct landfall_recipient who = who_of(5), other = who_of(6);
	struct landfall_result r = LANDFALL_RESULT_INIT, second = LANDFALL_RESULT_INIT;
	struct engine e = {0};
	uint8_t room[TOKEN_ROOM];
	struct landfall *l;
	struct token t;

	(void)state;
	engine_start(&e);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		o.mode = rows[i].mode;
		l = opened(&o);
		assert_int_equal(rewritten(l, &who, slice_of(html, sizeof html - 1), &r), LANDFALL_OK);
		assert_int_equal(rewritten(l, &other, slice_of(html, sizeof html - 1), &second), LANDFALL_OK);
		assert_int_equal(token_open(e.sealer, SLICE("t.example"), TOKEN_CLICK,
					 token_in(&r, "example:8443/c/", "\""), room, &t),
			0);
		test_numbers_equal(rows[i].name, t.mode, rows[i].want);
		test_numbers_equal(rows[i].name, t.sequence == 5, rows[i].want != PRIVACY_ANONYMOUS);
		/* Where they are not told apart their copies are the same. */
		test_numbers_equal(rows[i].name,
			slice_eq(slice_of(r.message, r.message_size),
				slice_of(second.message, second.message_size)),
			rows[i].want == PRIVACY_ANONYMOUS);
		landfall_result_free(&r);
		landfall_result_free(&second);
		/* A message cannot ask for more. */
		assert_int_equal(
			rewritten(l, &who,
				SLICE("X-Landfall-Track: mode=full\r\n\r\nhttps://a.example/ x\r\n"), &r),
			LANDFALL_OK);
		assert_int_equal(token_open(e.sealer, SLICE("t.example"), TOKEN_CLICK,
					 token_in(&r, "example:8443/c/", " "), room, &t),
			0);
		test_numbers_equal(rows[i].name, t.mode, rows[i].want);
		landfall_result_free(&r);
		landfall_close(&l);
	}
	o.mode = LANDFALL_OFF;
	l = opened(&o);
	assert_int_equal(rewritten(l, &who, SLICE("A: b\r\n\r\nhttps://a.example/\r\n"), &r), LANDFALL_OK);
	test_slices_equal(
		"off", slice_of(r.message, r.message_size), SLICE("A: b\r\n\r\nhttps://a.example/\r\n"));
	assert_string_equal(r.untouched, "off");
	assert_int_equal(r.tracked, 0);
	landfall_result_free(&r);
	landfall_close(&l);
	sealer_close(&e.sealer);
}

static void fields(void **state)
{
	static const char *const signers[] = {"a.example", "esp.example"};
	slice ours = SLICE("DKIM-Signature: v=1; d=ESP.example; b=x\r\nA: b\r\n\r\nhttps://a.example/\r\n"),
	      theirs = SLICE("DKIM-Signature: v=1; d=b.example; b=x\r\nA: b\r\n\r\nhttps://a.example/\r\n");
	struct landfall_options o = options_of();
	struct landfall_recipient who = who_of(5);
	struct landfall_result r = LANDFALL_RESULT_INIT;
	struct landfall *l = opened(&o);

	(void)state;
	assert_int_equal(rewritten(l, &who, ours, &r), LANDFALL_OK);
	assert_string_equal(r.untouched, "signed");
	landfall_result_free(&r);
	assert_int_equal(rewritten(l, &who, slice_of(html, sizeof html - 1), &r), LANDFALL_OK);
	assert_false(shows(&r, "Feedback-ID") || shows(&r, "CFBL-Address"));
	landfall_result_free(&r);
	landfall_close(&l);
	o.feedback_id = "acme";
	o.cfbl_address = "fbl@b.example";
	o.signers = signers;
	o.signer_count = 2;
	l = opened(&o);
	assert_int_equal(rewritten(l, &who, ours, &r), LANDFALL_OK);
	assert_null(r.untouched);
	assert_false(shows(&r, "DKIM"));
	assert_true(shows(&r, "\r\nFeedback-ID: spring:default:landfall:acme\r\n"));
	assert_true(shows(&r, "\r\nCFBL-Address: fbl@b.example"));
	landfall_result_free(&r);
	assert_int_equal(rewritten(l, &who, theirs, &r), LANDFALL_OK);
	assert_string_equal(r.untouched, "signed");
	test_slices_equal("of another", slice_of(r.message, r.message_size), theirs);
	landfall_result_free(&r);
	landfall_close(&l);
}

static void explains(void **state)
{
	struct landfall_options o = options_of();
	struct landfall_recipient who = who_of(1);
	struct landfall_result r = LANDFALL_RESULT_INIT, copy = LANDFALL_RESULT_INIT;
	struct landfall *l = opened(&o);
	struct json *doc;

	(void)state;
	assert_int_equal(landfall_explain(l, &who, html, sizeof html - 1, &r), LANDFALL_OK);
	assert_int_equal(r.tracked, 1);
	assert_int_equal(strlen(r.message), r.message_size);
	assert_int_equal(json_open(&doc, slice_of(r.message, r.message_size)), 0);
	test_slices_equal("campaign", json_text(json_find(json_root(doc), "campaign")), SLICE("spring"));
	assert_non_null(json_first(json_find(json_root(doc), "edits")));
	assert_int_equal(rewritten(l, &who, slice_of(html, sizeof html - 1), &copy), LANDFALL_OK);
	assert_int_equal(json_number(json_find(json_root(doc), "size_out"), 0), copy.message_size);
	json_close(&doc);
	landfall_result_free(&copy);
	landfall_result_free(&r);
	landfall_close(&l);
}

static void bad_open(const char *row, const struct landfall_options *o, int want)
{
	struct landfall *l = (struct landfall *)&l;
	char why[200] = "";

	test_numbers_equal(row, landfall_open(&l, o, why, sizeof why), want);
	assert_null(l);
	if (!why[0])
		fail_msg("%s: no reason given", row);
	/* No secret in it, and nobody has to listen. */
	assert_null(strstr(why, "0001"));
	test_numbers_equal(row, landfall_open(&l, o, NULL, 0), want);
	test_numbers_equal(row, landfall_open(&l, o, why, 1), want);
	assert_int_equal(why[0], 0);
}

#define BAD(row, member, v, want)                                                                            \
	do {                                                                                                 \
		o = options_of();                                                                            \
		o.member = v;                                                                                \
		bad_open(row, &o, want);                                                                     \
	} while (0)

static void bad_options(void **state)
{
	static const char *const urls[] = {NULL, "", "/", "t.example", "ftp://t.example", "https://",
		"https:///x", "https://t.example/\"x", "https://t.example/?q=1", "https://t .example"};
	static const char *const rings[] = {"", "x", "hash " HEX32 "\n",
		"key 1 active 2023-01-01 " HEX32 "\n", RING "key 1 active 2023-01-01 " HEX32 "\n",
		"hash " HEX32 "\nkey 1 retired 2023-01-01 " HEX32 "\n",
		"hash " HEX32 "\nkey 1 active 2023-01-01 " HEX32, "hash 00\nkey 1 active 2023-01-01 00\n"};
	static const char *const domains[] = {"", "a b", "<a>", "a@b.example", "a\r\nb"};
	struct landfall_parameter many[40] = {{"a", "b"}}, bad_name = {"a&b", "x"}, no_name = {"", "x"};
	struct landfall_options o = options_of();
	static const char *const no_signer[] = {"a.example", ""};
	char large[2 * sizeof o], first[offsetof(struct landfall_options, mode)];
	struct landfall *l;

	(void)state;
	assert_int_equal(landfall_open(NULL, &o, NULL, 0), LANDFALL_BAD_CALL);
	bad_open("no options", NULL, LANDFALL_BAD_CALL);
	BAD("no size", size, 0, LANDFALL_BAD_CALL);
	BAD("too small", size, sizeof first - 1, LANDFALL_BAD_CALL);
	BAD("no ring", key_ring, NULL, LANDFALL_BAD_CALL);
	/* A program made with the first landfall.h: nothing is read behind its struct. */
	o = options_of();
	o.size = sizeof first;
	memcpy(first, &o, sizeof first);
	l = opened((struct landfall_options *)(void *)first);
	landfall_close(&l);
	/* A program of a newer make: fine as long as it wants nothing new. */
	o = options_of();
	o.size = sizeof large;
	memset(large, 0, sizeof large);
	memcpy(large, &o, sizeof o);
	l = opened((struct landfall_options *)(void *)large);
	landfall_close(&l);
	large[sizeof large - 1] = 1;
	bad_open("newer", (struct landfall_options *)(void *)large, LANDFALL_BAD_CALL);
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
		BAD(urls[i] ? urls[i] : "NULL", track_url, urls[i], LANDFALL_BAD_OPTIONS);
	for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
		BAD(domains[i], return_path_domain, domains[i], LANDFALL_BAD_OPTIONS);
	BAD("flag", flags, 256, LANDFALL_BAD_OPTIONS);
	BAD("mode", mode, LANDFALL_OFF + 1, LANDFALL_BAD_OPTIONS);
	BAD("feedback_id", feedback_id, "a:b", LANDFALL_BAD_OPTIONS);
	BAD("cfbl_address", cfbl_address, "b.example", LANDFALL_BAD_OPTIONS);
	BAD("no signers", signer_count, 1, LANDFALL_BAD_OPTIONS);
	o.signers = no_signer;
	o.signer_count = 2;
	bad_open("empty signer", &o, LANDFALL_BAD_OPTIONS);
	o.signer_count = 65;
	bad_open("too many signers", &o, LANDFALL_BAD_OPTIONS);
	o = options_of();
	BAD("no tenant", tenant, "", LANDFALL_BAD_OPTIONS);
	BAD("tenant", tenant, "a\nb", LANDFALL_BAD_OPTIONS);
	BAD("no parameters", parameter_count, 1, LANDFALL_BAD_OPTIONS);
	o.parameters = &bad_name;
	bad_open("parameter's name", &o, LANDFALL_BAD_OPTIONS);
	o.parameters = &no_name;
	bad_open("no name", &o, LANDFALL_BAD_OPTIONS);
	o.parameters = many;
	o.parameter_count = 40;
	bad_open("too many parameters", &o, LANDFALL_BAD_OPTIONS);
	for (size_t i = 0; i < sizeof rings / sizeof *rings; i++) {
		o = options_of();
		o.key_ring = rings[i];
		o.key_ring_size = strlen(rings[i]);
		bad_open("ring", &o, LANDFALL_BAD_KEYS);
	}
}

static void bad_recipients(void **state)
{
	struct landfall_options o = options_of();
	struct landfall *l = opened(&o);
	struct landfall_recipient who = who_of(0);
	struct landfall_result r = LANDFALL_RESULT_INIT;
	char name[600];

	(void)state;
	memset(name, 'a', sizeof name);
	name[513] = 0;
#define WHO(member, v, want)                                                                                 \
	who = who_of(0);                                                                                     \
	who.member = v;                                                                                      \
	test_numbers_equal(#member, landfall_rewrite(l, &who, "", 0, &r), want);                             \
	assert_null(r.message)
	WHO(size, 0, LANDFALL_BAD_CALL);
	WHO(campaign, NULL, LANDFALL_BAD_RECIPIENT);
	WHO(campaign, "", LANDFALL_BAD_RECIPIENT);
	WHO(campaign, "a\r\nb", LANDFALL_BAD_RECIPIENT);
	WHO(campaign, name, LANDFALL_BAD_RECIPIENT);
	WHO(tenant, "", LANDFALL_BAD_RECIPIENT);
	WHO(sequence, LANDFALL_MAX_SEQUENCE, LANDFALL_BAD_RECIPIENT);
	WHO(sequence, 0xffffffffu, LANDFALL_BAD_RECIPIENT);
	WHO(time, 0, LANDFALL_BAD_RECIPIENT);
	name[512] = 0;
	who = who_of(LANDFALL_MAX_SEQUENCE - 1);
	who.campaign = name;
	assert_int_equal(landfall_rewrite(l, &who, "", 0, &r), LANDFALL_OK);
	landfall_result_free(&r);
	who = who_of(0);
	assert_int_equal(landfall_rewrite(NULL, &who, "", 0, &r), LANDFALL_BAD_CALL);
	assert_int_equal(landfall_rewrite(l, NULL, "", 0, &r), LANDFALL_BAD_CALL);
	assert_int_equal(landfall_rewrite(l, &who, NULL, 1, &r), LANDFALL_BAD_CALL);
	assert_int_equal(landfall_rewrite(l, &who, "", 0, NULL), LANDFALL_BAD_CALL);
	r.size = 0;
	assert_int_equal(landfall_rewrite(l, &who, "", 0, &r), LANDFALL_BAD_CALL);
	landfall_close(&l);
}

static void caps(void **state)
{
	struct landfall_options o = options_of();
	struct landfall_recipient who = who_of(0);
	struct landfall_result r = LANDFALL_RESULT_INIT;
	struct landfall *l;

	(void)state;
	o.max_message = sizeof html - 2;
	l = opened(&o);
	assert_int_equal(landfall_rewrite(l, &who, html, sizeof html - 1, &r), LANDFALL_TOO_LARGE);
	assert_int_equal(landfall_rewrite(l, &who, html, sizeof html - 2, &r), LANDFALL_OK);
	landfall_result_free(&r);
	landfall_close(&l);
	/* Whatever the memory, it is done or refused, and the next call is not worse off. */
	for (size_t memory = 1; memory < 300000; memory += memory / 8 + 1) {
		int rc;

		o = options_of();
		o.max_memory = memory;
		l = opened(&o);
		rc = landfall_rewrite(l, &who, html, sizeof html - 1, &r);
		assert_true(rc == LANDFALL_OK || rc == LANDFALL_TOO_LARGE);
		assert_int_equal(rc == LANDFALL_OK, r.message != NULL);
		landfall_result_free(&r);
		assert_int_equal(landfall_rewrite(l, &who, html, sizeof html - 1, &r), rc);
		landfall_result_free(&r);
		if (memory < 1000)
			assert_int_equal(rc, LANDFALL_TOO_LARGE);
		if (memory > 200000)
			assert_int_equal(rc, LANDFALL_OK);
		landfall_close(&l);
	}
}

#define THREADS 8
#define ROUNDS 100

struct job {
	struct landfall *l;
	const struct buf *want;
	unsigned from;
	unsigned wrong;
};

static void *many(void *arg)
{
	struct job *j = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned n = (j->from + i * 7) % ROUNDS;
		struct landfall_recipient who = who_of(n);
		struct landfall_result r = LANDFALL_RESULT_INIT;

		if (landfall_rewrite(j->l, &who, html, sizeof html - 1, &r) != LANDFALL_OK ||
			!slice_eq(slice_of(r.message, r.message_size), buf_slice(&j->want[n])))
			j->wrong++;
		landfall_result_free(&r);
		who.campaign = "";
		if (landfall_rewrite(j->l, &who, html, sizeof html - 1, &r) != LANDFALL_BAD_RECIPIENT)
			j->wrong++;
	}
	return NULL;
}

static void threads(void **state)
{
	struct landfall_options o = options_of();
	struct landfall *l = opened(&o);
	struct buf want[ROUNDS];
	struct job job[THREADS];
	pthread_t thread[THREADS];
	struct engine e = {0};

	(void)state;
	engine_start(&e);
	for (unsigned i = 0; i < ROUNDS; i++)
		engine_copy(&e, slice_of(html, sizeof html - 1), i, &want[i]);
	for (unsigned i = 0; i < THREADS; i++) {
		job[i] = (struct job){l, want, i * 13, 0};
		assert_int_equal(pthread_create(&thread[i], NULL, many, &job[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(job[i].wrong, 0);
	}
	for (unsigned i = 0; i < ROUNDS; i++)
		buf_free(&want[i]);
	sealer_close(&e.sealer);
	landfall_close(&l);
}

static void texts(void **state)
{
	(void)state;
	for (int e = 5; e > -20; e--)
		assert_true(strlen(landfall_error_text(e)) > 3);
	assert_string_equal(landfall_error_text(1), landfall_error_text(-99));
	assert_string_not_equal(landfall_error_text(LANDFALL_BROKEN), landfall_error_text(-99));
	assert_true(landfall_version()[0] >= '0' && landfall_version()[0] <= '9');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_bytes),
		cmocka_unit_test(carries_identity),
		cmocka_unit_test(flags),
		cmocka_unit_test(modes),
		cmocka_unit_test(fields),
		cmocka_unit_test(explains),
		cmocka_unit_test(bad_options),
		cmocka_unit_test(bad_recipients),
		cmocka_unit_test(caps),
		cmocka_unit_test(threads),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
