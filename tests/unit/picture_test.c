/* Pictures from a real Redis whose keys are written here by hand, bit by bit,
 * and the JSON and the page that are made of them. */
#include "tests/redis.h"
#include "tests/testing.h"

#include "core/model/provider.h"
#include "core/model/rkey.h"
#include "core/parse/json.h"
#include "reports/load.h"
#include "reports/text.h"
#include "reports/view.h"

#include <stdio.h>
#include <string.h>

#define KEY UINT64_C(0x0123456789abcdef)
#define NOW UINT64_C(1800000000000)

static struct test_redis server;
static struct rds *redis;

static void run(const char *command, const char *key, const char *a, const char *b)
{
	slice argv[4] = {slice_str(command), slice_str(key), slice_str(a), slice_str(b)};
	struct rds_reply *rep;

	assert_int_equal(rds_ask(redis, &rep, b ? 4 : 3, argv), 0);
	if (rds_kind(rep) == RDS_ERROR)
		fail_msg("%s %s: %.*s", command, key, SLICE_FMT(rds_text(rep)));
	rds_reply_free(&rep);
}

static void setbit(const char *fact, const char *lane, const char *offset)
{
	char key[128];

	snprintf(key, sizeof key, "lf:{p3}:f:0123456789abcdef:%s:%s", lane, fact);
	run("SETBIT", key, offset, "1");
}

/* Keys as docs/FORMATS.md draws them: two lanes, five recipients. */
static void write_campaign(void)
{
	const char *head = "lf:{p3}:c:0123456789abcdef";

	run("HSET", "lf:meta", "partitions", "16");
	run("SADD", "lf:{p3}:campaigns", "0123456789abcdef", NULL);
	run("SADD", "lf:{p3}:cl:0123456789abcdef", "000000aa", NULL);
	run("SADD", "lf:{p3}:cl:0123456789abcdef", "000000bb", NULL);
	run("HSET", head, "tenant", "acme");
	run("HSET", head, "name", "spring \"sale\"\x1b[2J");
	run("HSET", head, "version", "7");
	run("HSET", head, "first_ms", "1799992800000");
	run("HSET", head, "last_ms", "1799999999500");
	run("HSET", head, "open_human", "3");
	run("HSET", head, "click_human", "2");
	run("HSET", "lf:{p3}:ln:0123456789abcdef", "2:human", "2");
	run("HSET", "lf:{p3}:ln:0123456789abcdef", "10:machine", "5");
	setbit("sent", "000000aa", "0");
	setbit("sent", "000000aa", "1");
	setbit("sent", "000000aa", "9");
	setbit("accepted", "000000aa", "0");
	setbit("accepted", "000000aa", "1");
	setbit("bounced_hard", "000000aa", "9");
	setbit("opened_human", "000000aa", "1");
	setbit("sent", "000000bb", "0");
	setbit("sent", "000000bb", "1");
	setbit("accepted", "000000bb", "0");
	run("SETRANGE", "lf:{p3}:f:0123456789abcdef:000000aa:provider", "0", "\x01");
	run("SETRANGE", "lf:{p3}:f:0123456789abcdef:000000aa:provider", "1", "\x04");
	run("SETRANGE", "lf:{p3}:f:0123456789abcdef:000000bb:provider", "0", "\x01");
	run("HSET", "lf:producers", "000000aa", "program=rewriter made=9 shipped=7 lost=1 ms=1799999999900");
}

static int connect_again(void)
{
	struct rds_config cfg = {.socket = server.socket, .timeout_ms = 5000};

	rds_close(&redis);
	return rds_open(&redis, &cfg);
}

static int start(void **state)
{
	(void)state;
	test_redis_init(&server);
	test_redis_start(&server, false);
	return connect_again();
}

static int stop(void **state)
{
	(void)state;
	rds_close(&redis);
	test_redis_kill(&server);
	test_redis_free(&server);
	return 0;
}

static void an_unused_store_gives_an_empty_picture(void **state)
{
	struct picture *p;

	(void)state;
	assert_int_equal(load_picture(redis, NULL, false, NOW, &p), 0);
	assert_int_equal(p->count, 0);
	picture_drop(&p);
}

static void bits_become_tallies(void **state)
{
	const struct campaign *c;
	struct picture *p;

	(void)state;
	write_campaign();
	assert_int_equal(load_picture(redis, NULL, false, NOW, &p), 0);
	assert_int_equal(p->count, 1);
	c = p->campaigns[0];
	assert_true(c->key == KEY);
	assert_int_equal(c->total.sent, 5);
	assert_int_equal(c->total.accepted, 3);
	assert_int_equal(c->total.bounced_hard, 1);
	assert_int_equal(c->total.pending, 1);
	assert_int_equal(c->total.opened_human, 1);
	assert_int_equal(c->provider_count, 3);
	/* The most mail first; equal amounts by number. */
	assert_int_equal(c->providers[0].provider, PROVIDER_OTHER);
	assert_int_equal(c->providers[0].tally.sent, 2);
	assert_int_equal(c->providers[1].provider, PROVIDER_GMAIL);
	assert_int_equal(c->providers[1].tally.accepted, 2);
	assert_int_equal(c->providers[2].provider, PROVIDER_APPLE);
	assert_int_equal(c->providers[2].tally.opened_human, 1);
	assert_int_equal(c->link_count, 2);
	assert_int_equal(c->links[0].link, 2);
	assert_int_equal(c->links[1].machine, 5);
	assert_int_equal(p->backlog, 1);
	assert_int_equal(p->lost, 1);
	assert_int_equal(p->folded_until_ms, 0);
	picture_drop(&p);
}

static void only_changed_campaigns_are_read_again(void **state)
{
	struct picture *first, *second, *third, *again;

	(void)state;
	assert_int_equal(load_picture(redis, NULL, false, NOW, &first), 0);
	assert_int_equal(load_picture(redis, first, true, NOW + 1, &second), 0);
	assert_ptr_equal(first->campaigns[0], second->campaigns[0]);
	setbit("opened_human", "000000bb", "0");
	run("HINCRBY", "lf:{p3}:c:0123456789abcdef", "version", "1");
	assert_int_equal(load_picture(redis, second, true, NOW + 2, &third), 0);
	assert_ptr_not_equal(second->campaigns[0], third->campaigns[0]);
	assert_int_equal(third->campaigns[0]->total.opened_human, 2);
	/* Not read on this connection: the same version may be that of other numbers. */
	assert_int_equal(load_picture(redis, third, false, NOW + 3, &again), 0);
	assert_ptr_not_equal(third->campaigns[0], again->campaigns[0]);
	picture_drop(&again);
	/* Pictures are immutable: the one before still shows what it showed. */
	picture_drop(&first);
	assert_int_equal(second->campaigns[0]->total.opened_human, 1);
	picture_drop(&second);
	picture_drop(&third);
}

static void folded_until_is_known_when_nothing_waits(void **state)
{
	struct picture *p;

	(void)state;
	run("HSET", "lf:producers", "000000aa", "program=rewriter made=9 shipped=8 lost=1 ms=1799999999900");
	run("SADD", "lf:{p3}:lanes", "000000aa", NULL);
	{
		slice add[] = {
			SLICE("XADD"), SLICE("lf:{p3}:in:000000aa"), SLICE("640-0"), SLICE("f"), SLICE("x")};
		struct rds_reply *rep;

		assert_int_equal(rds_ask(redis, &rep, 5, add), 0);
		rds_reply_free(&rep);
	}
	run("HSET", "lf:{p3}:cursor", "000000aa", "64");
	assert_int_equal(load_picture(redis, NULL, false, NOW, &p), 0);
	assert_int_equal(p->folded_until_ms, 0); /* the stream goes beyond the cursor */
	picture_drop(&p);
	run("HSET", "lf:{p3}:cursor", "000000aa", "640");
	assert_int_equal(load_picture(redis, NULL, false, NOW, &p), 0);
	assert_true(p->folded_until_ms == UINT64_C(1799999999900));
	picture_drop(&p);
}

static void a_key_of_another_type_is_an_error_not_a_crash(void **state)
{
	struct picture *p = NULL;

	(void)state;
	run("SADD", "lf:{p3}:f:0123456789abcdef:000000bb:clicked_human", "x", NULL);
	run("HINCRBY", "lf:{p3}:c:0123456789abcdef", "version", "1");
	assert_true(load_picture(redis, NULL, false, NOW, &p) < 0);
	assert_null(p);
	assert_int_equal(connect_again(), 0);
	run("DEL", "lf:{p3}:f:0123456789abcdef:000000bb:clicked_human", "x", NULL);
	assert_int_equal(load_picture(redis, NULL, false, NOW, &p), 0);
	picture_drop(&p);
}

static int64_t number(const struct json_value *v, const char *a, const char *b)
{
	v = json_find(v, a);
	if (b)
		v = json_find(v, b);
	return json_whole(v, 0, INT64_MAX, -1);
}

static void the_object_says_what_the_picture_holds(void **state)
{
	const struct json_value *root, *gmail;
	struct json_out out;
	struct json *doc;
	struct picture *p;
	struct buf b;

	(void)state;
	assert_int_equal(load_picture(redis, NULL, false, NOW, &p), 0);
	buf_init(&b, 1 << 20);
	json_start(&out, &b);
	view_campaign(&out, NULL, p, p->campaigns[0], NOW + 1500, true);
	assert_int_equal(json_open(&doc, buf_slice(&b)), 0);
	root = json_root(doc);
	test_slices_equal("name", json_text(json_find(root, "campaign")), SLICE("spring \"sale\"\x1b[2J"));
	test_slices_equal(
		"first", json_text(json_find(root, "first_event")), SLICE("2027-01-15T06:00:00.000Z"));
	assert_true(json_number(json_find(root, "age_seconds"), -1) == 1.5);
	assert_int_equal(number(root, "sent", NULL), 5);
	assert_int_equal(number(root, "accepted", NULL), 3);
	assert_int_equal(number(root, "bounced_by_class", "hard"), 1);
	assert_int_equal(number(root, "opened", "human"), 2);
	assert_int_equal(number(root, "opened", "total_hits"), 3);
	assert_int_equal(number(root, "clicked", "total_hits"), 2);
	assert_int_equal(number(root, "confirmed_arrivals", NULL), 2);
	test_slices_equal(
		"status", json_text(json_find(json_find(root, "inbox"), "status")), SLICE("bounds_only"));
	assert_int_equal(json_kind(json_find(json_find(root, "inbox"), "rate")), JSON_NULL);
	assert_int_equal(number(json_find(root, "inbox"), "arrived", "high"), 3);
	gmail = json_after(json_first(json_find(root, "providers")));
	test_slices_equal("provider", json_text(json_find(gmail, "provider")), SLICE("gmail"));
	assert_int_equal(number(gmail, "accepted", NULL), 2);
	json_close(&doc);
	buf_free(&b);
	picture_drop(&p);
}

static void the_page_is_plain_and_narrow(void **state)
{
	struct picture *p;
	struct buf b;
	size_t column = 0;

	(void)state;
	assert_int_equal(load_picture(redis, NULL, false, NOW, &p), 0);
	buf_init(&b, 1 << 20);
	text_campaign(p, p->campaigns[0], NOW, &b);
	text_list(p, NOW, &b);
	assert_false(b.full);
	for (size_t i = 0; i < b.len; i++) {
		column = b.p[i] == '\n' ? 0 : column + 1;
		if (column > 90 || (b.p[i] < 0x20 && b.p[i] != '\n'))
			fail_msg("byte %zu: column %zu, byte %02x", i, column, b.p[i]);
	}
	assert_true(slice_find(buf_slice(&b), SLICE("between 66.7 % and 100.0 %"), 0) != SLICE_NPOS);
	buf_free(&b);
	picture_drop(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unused_store_gives_an_empty_picture),
		cmocka_unit_test(bits_become_tallies),
		cmocka_unit_test(only_changed_campaigns_are_read_again),
		cmocka_unit_test(folded_until_is_known_when_nothing_waits),
		cmocka_unit_test(a_key_of_another_type_is_an_error_not_a_crash),
		cmocka_unit_test(the_object_says_what_the_picture_holds),
		cmocka_unit_test(the_page_is_plain_and_narrow),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
