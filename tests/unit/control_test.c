#include "tests/testing.h"

#include "rewriter/control.h"

#include <stdio.h>
#include <string.h>

static struct arena a;

static void read_fields(const char *fields, const struct policy *p, struct control *c)
{
	slice in = test_guard(slice_str(fields));

	assert_int_equal(control_read(&a, in, p, c), 0);
	/* What is kept is compared before the next call only. */
	c->campaign = arena_dup(&a, c->campaign);
	c->tenant = arena_dup(&a, c->tenant);
	c->recipient_id = arena_dup(&a, c->recipient_id);
	c->message_id = arena_dup(&a, c->message_id);
	test_unguard(in);
}

static void track_fields(void **state)
{
	static const struct {
		const char *field;
		enum privacy privacy;
		bool opens, clicks;
	} rows[] = {
		{"A: 1\r\n", PRIVACY_FULL, true, true},
		{"X-Landfall-Track: opens=on; clicks=on\r\n", PRIVACY_FULL, true, true},
		{"X-Landfall-Track: opens=off\r\n", PRIVACY_FULL, false, true},
		{"x-landfall-track: CLICKS = Off ;\r\n", PRIVACY_FULL, true, false},
		{"X-Landfall-Track: mode=pseudonymous; opens=on\r\n", PRIVACY_PSEUDONYMOUS, true, true},
		{"X-Landfall-Track: opens=off;\r\n mode=anonymous\r\n", PRIVACY_ANONYMOUS, false, true},
		{"X-Landfall-Track: mode=off\r\n", PRIVACY_OFF, true, true},
		/* Nothing raises what another field lowered. */
		{"X-Landfall-Track: mode=anonymous\r\nX-Landfall-Track: mode=full; opens=on\r\n",
			PRIVACY_ANONYMOUS, true, true},
		{"X-Landfall-Track: opens=off\r\nX-Landfall-Track: opens=on\r\n", PRIVACY_FULL, false, true},
		/* What cannot be read is the most private choice. */
		{"X-Landfall-Track:\r\n", PRIVACY_OFF, true, true},
		{"X-Landfall-Track: mode=banana\r\n", PRIVACY_OFF, true, true},
		{"X-Landfall-Track: opens\r\n", PRIVACY_OFF, true, true},
		{"X-Landfall-Track: opens=maybe\r\n", PRIVACY_OFF, false, true},
		{"X-Landfall-Track: pens=on\r\n", PRIVACY_OFF, true, true},
		{"X-Landfall-Track: =;=\r\n", PRIVACY_OFF, true, true},
	};
	struct policy p = {.mode = PRIVACY_FULL, .opens = true, .clicks = true};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct control c;

		read_fields(rows[i].field, &p, &c);
		test_numbers_equal(rows[i].field, c.privacy, rows[i].privacy);
		if (rows[i].privacy == PRIVACY_OFF)
			continue;
		test_numbers_equal(rows[i].field, c.opens, rows[i].opens);
		test_numbers_equal(rows[i].field, c.clicks, rows[i].clicks);
	}
	/* A field never turns on what the configuration has off. */
	{
		struct policy off = {.mode = PRIVACY_FULL, .opens = false, .clicks = false};
		struct control c;

		read_fields("X-Landfall-Track: opens=on; clicks=on; mode=full\r\n", &off, &c);
		assert_false(c.opens || c.clicks);
	}
}

static void campaigns(void **state)
{
	static const slice others[] = {SLICE("X-Campaign-Id"), SLICE("Feedback-ID"), SLICE("List-Id")};
	static const struct {
		const char *fields;
		slice campaign;
	} rows[] = {
		{"X-Landfall-Campaign: spring sale \r\n", SLICE("spring sale")},
		{"X-Landfall-Campaign: spring\r\n sale\r\n", SLICE("spring sale")},
		{"List-Id: News <news.a.example>\r\nX-Campaign-Id: c7\r\n", SLICE("c7")},
		{"List-Id: News <news.a.example>\r\n", SLICE("news.a.example")},
		{"List-Id: news.a.example\r\n", SLICE("news.a.example")},
		{"Feedback-ID: a:b:c:d\r\nX-Landfall-Campaign: x\r\n", SLICE("x")},
		{"A: 1\r\n", SLICE("default")},
		/* Named, but not so that it can be read: untracked. */
		{"X-Landfall-Campaign:\r\n", SLICE("")},
		{"X-Landfall-Campaign: a\x01"
		 "b\r\n",
			SLICE("")},
		{"X-Landfall-Campaign: a\r\nX-Landfall-Campaign: b\r\n", SLICE("")},
		{"X-Landfall-Campaign:\r\nX-Campaign-Id: c7\r\n", SLICE("")},
		/* One of the others that cannot be read is no reason to stop. */
		{"X-Campaign-Id:\r\nFeedback-ID: f\r\n", SLICE("f")},
	};
	struct policy p = {.mode = PRIVACY_FULL,
		.default_campaign = SLICE("default"),
		.campaign_headers = others,
		.campaign_header_count = 3};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct control c;

		read_fields(rows[i].fields, &p, &c);
		test_slices_equal(rows[i].fields, c.campaign, rows[i].campaign);
	}
}

static void the_rest(void **state)
{
	struct policy p = {.mode = PRIVACY_FULL, .default_tenant = SLICE("acme")};
	struct control c;
	const char *fields =
		"X-Landfall-Tenant: other\r\nMessage-ID: <1@a>\r\nx-landfall-recipient-id: 4711\r\n"
		"List-Unsubscribe: <https://a/u>,\r\n <mailto:u@a>\r\nX-Landfall-Else: stays\r\n\r\n";

	(void)state;
	read_fields(fields, &p, &c);
	test_slices_equal("not believed", c.tenant, SLICE("acme"));
	test_slices_equal("message id", c.message_id, SLICE("<1@a>"));
	test_slices_equal("recipient id", c.recipient_id, SLICE("4711"));
	assert_int_equal(c.unsubscribe_count, 2);
	assert_int_equal(c.cut_count, 2);
	assert_int_equal(c.cut[0].from, 0);
	assert_int_equal(c.cut[1].from, 45);
	assert_int_equal(c.cut[1].to, 76);
	assert_int_equal(c.fields, 5);
	assert_true(c.has_unsubscribe && !c.has_unsubscribe_post && !c.signed_ && !c.ours);
	p.allow_tenant = true;
	read_fields(fields, &p, &c);
	test_slices_equal("believed", c.tenant, SLICE("other"));
	read_fields("DKIM-Signature: v=1\r\nX-Landfall-Id: x\r\n", &p, &c);
	assert_true(c.signed_ && c.ours);
}

/* A tenant that cannot be read, or two: counted for nobody rather than for another. */
static void tenants(void **state)
{
	static const struct {
		const char *fields;
		slice tenant, campaign;
	} rows[] = {
		{"X-Landfall-Tenant: b\r\n", SLICE("b"), SLICE("spring")},
		{"X-Landfall-Tenant:\r\n", SLICE("acme"), SLICE("")},
		{"X-Landfall-Tenant: b\x01\r\n", SLICE("acme"), SLICE("")},
		{"X-Landfall-Tenant: b\r\nX-Landfall-Tenant: c\r\n", SLICE("acme"), SLICE("")},
		{"X-Landfall-Tenant:\r\nX-Landfall-Campaign: x\r\n", SLICE("acme"), SLICE("")},
	};
	struct policy p = {.mode = PRIVACY_FULL,
		.default_tenant = SLICE("acme"),
		.default_campaign = SLICE("spring"),
		.allow_tenant = true};
	struct control c;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		read_fields(rows[i].fields, &p, &c);
		test_slices_equal(rows[i].fields, c.tenant, rows[i].tenant);
		test_slices_equal(rows[i].fields, c.campaign, rows[i].campaign);
	}
	/* Where it is not believed it does no harm. */
	p.allow_tenant = false;
	read_fields("X-Landfall-Tenant:\r\n", &p, &c);
	test_slices_equal("not believed", c.campaign, SLICE("spring"));
}

/* The setting is a floor of privacy. */
static void modes(void **state)
{
	static const char *const words[] = {"off", "anonymous", "pseudonymous", "identified", "full"};
	char field[64];

	(void)state;
	for (unsigned floor = PRIVACY_OFF; floor <= PRIVACY_FULL; floor++) {
		for (unsigned asked = PRIVACY_OFF; asked <= PRIVACY_FULL; asked++) {
			struct policy p = {.mode = (enum privacy)floor};
			struct control c;

			snprintf(field, sizeof field, "X-Landfall-Track: mode=%s\r\n", words[asked]);
			read_fields(field, &p, &c);
			test_numbers_equal(field, c.privacy, floor < asked ? floor : asked);
			read_fields("A: 1\r\n", &p, &c);
			test_numbers_equal("no field", c.privacy, floor);
			read_fields("X-Landfall-Track: mode=most\r\n", &p, &c);
			test_numbers_equal("unreadable", c.privacy, PRIVACY_OFF);
		}
	}
}

static void signatures(void **state)
{
	static const slice own[] = {SLICE("brand.example"), SLICE("Mail.Brand.Example")};
	static const struct {
		const char *fields;
		bool stays;
		unsigned cut;
	} rows[] = {
		{"DKIM-Signature: v=1; a=rsa-sha256; d=brand.example; s=x; b=AA\r\n", false, 1},
		{"DKIM-Signature: v=1;\r\n\td = BRAND.example\r\n\t; b=AA\r\n", false, 1},
		{"DKIM-Signature: d=mail.brand.example\r\n", false, 1},
		{"DKIM-Signature: d=sub.mail.brand.example\r\n", true, 0},
		{"DKIM-Signature: d=other.example; i=@brand.example\r\n", true, 0},
		{"DKIM-Signature: bd=brand.example\r\n", true, 0},
		{"DKIM-Signature: d=\r\n", true, 0},
		{"DKIM-Signature:\r\n", true, 0},
		{"DKIM-Signature: d=brand.example\r\nDKIM-Signature: d=brand.example\r\n", false, 2},
		{"DKIM-Signature: d=brand.example\r\nDKIM-Signature: d=other.example\r\n", true, 1},
		{"DKIM-Signature: d=brand.example\r\nARC-Seal: d=brand.example\r\n", true, 1},
		{"ARC-Message-Signature: d=brand.example\r\n", true, 0},
	};
	struct policy pass = {.mode = PRIVACY_FULL}, resign = {.signers = own, .signer_count = 2};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct control c;

		read_fields(rows[i].fields, &resign, &c);
		test_numbers_equal(rows[i].fields, c.signed_, rows[i].stays);
		test_numbers_equal(rows[i].fields, c.cut_count, rows[i].cut);
		read_fields(rows[i].fields, &pass, &c);
		test_numbers_equal(rows[i].fields, c.signed_, true);
		test_numbers_equal(rows[i].fields, c.cut_count, 0);
	}
}

static int setup(void **state)
{
	(void)state;
	arena_init(&a, 1 << 24, NULL, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&a);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(track_fields),
		cmocka_unit_test(campaigns),
		cmocka_unit_test(the_rest),
		cmocka_unit_test(tenants),
		cmocka_unit_test(modes),
		cmocka_unit_test(signatures),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
