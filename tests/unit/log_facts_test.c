#include "collector/log_facts.h"
#include "collector/postfix_log.h"
#include "tests/testing.h"

#include <string.h>

#define NOW 1795284000000u

static void feed(struct log_facts *f, const char *line, struct buf *out)
{
	struct log_fact read;

	postfix_log_read(slice_str(line), NOW, 0, &read);
	log_facts_add(f, &read, out);
}

static void expect(struct buf *out, const char *want)
{
	test_slices_equal("facts", buf_slice(out), slice_str(want));
	buf_clear(out);
}

static void whole_life(void **state)
{
	struct log_facts *f = log_facts_open();
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 16);
	feed(f, "Nov 21 17:32:23 mx postfix/smtpd[1]: AAAAA1: client=h[192.0.2.9]", &out);
	feed(f, "Nov 21 17:32:23 mx postfix/cleanup[1]: AAAAA1: message-id=<1@c.test>", &out);
	feed(f, "Nov 21 17:32:23 mx postfix/cleanup[1]: AAAAA1: message-id=<2@c.test>", &out);
	feed(f, "Nov 21 17:32:23 mx postfix/qmgr[1]: AAAAA1: from=<n@b.test>, size=9, nrcpt=2 (queue active)",
		&out);
	expect(&out, "");
	feed(f,
		"Nov 21 17:32:24 mx postfix/smtp[1]: AAAAA1: to=<ok@a.test>, relay=h[192.0.2.1]:25, "
		"delay=0.02, "
		"delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as BBBBB1)",
		&out);
	expect(&out,
		"{\"time\":\"2026-11-21T17:32:24.000Z\",\"kind\":\"accepted\",\"recipient\":\"ok@a.test\","
		"\"relay\":\"h[192.0.2.1]:25\",\"status\":\"2.0.0\",\"reply\":250,\"queue_id\":\"AAAAA1\","
		"\"message_id\":\"1@c.test\",\"sender\":\"n@b.test\",\"delay\":0.02,\"attempt\":1,\"class\":"
		"null,"
		"\"next_queue_id\":\"BBBBB1\",\"diagnostic\":\"250 2.0.0 Ok: queued as BBBBB1\"}\n");
	feed(f,
		"AAAAA1: to=<d@a.test>, relay=none, delay=1, dsn=4.4.1, status=deferred (connect to h: "
		"refused)",
		&out);
	expect(&out,
		"{\"time\":null,\"kind\":\"deferred\",\"recipient\":\"d@a.test\",\"relay\":\"none\","
		"\"status\":\"4.4.1\",\"reply\":null,\"queue_id\":\"AAAAA1\",\"message_id\":\"1@c.test\","
		"\"sender\":\"n@b.test\",\"delay\":1,\"attempt\":1,\"class\":\"unreachable\",\"next_queue_"
		"id\":null,"
		"\"diagnostic\":\"connect to h: refused\"}\n");
	feed(f, "AAAAA1: from=<n@b.test>, size=9, nrcpt=2 (queue active)", &out);
	feed(f, "AAAAA1: from=<n@b.test>, status=expired, returned to sender", &out);
	expect(&out,
		"{\"time\":null,\"kind\":\"expired\",\"recipient\":\"d@a.test\",\"relay\":\"none\","
		"\"status\":\"4.4.1\",\"reply\":null,\"queue_id\":\"AAAAA1\",\"message_id\":\"1@c.test\","
		"\"sender\":\"n@b.test\",\"delay\":null,\"attempt\":2,\"class\":\"expired\",\"next_queue_"
		"id\":"
		"null,"
		"\"diagnostic\":\"connect to h: refused\"}\n");
	feed(f, "AAAAA1: from=<n@b.test>, status=expired, returned to sender", &out);
	expect(&out, "");
	log_facts_close(&f);
	buf_free(&out);
}

static void bounced_then_id_used_again(void **state)
{
	struct log_facts *f = log_facts_open();
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 16);
	feed(f, "AAAAA1: from=<>, size=9, nrcpt=2 (queue active)", &out);
	feed(f,
		"AAAAA1: to=<x@a.test>, relay=h[192.0.2.1]:25, delay=1, dsn=5.1.1, status=bounced (host "
		"h[192.0.2.1] "
		"said: 550 5.1.1 no)",
		&out);
	expect(&out, "{\"time\":null,\"kind\":\"bounced\",\"recipient\":\"x@a.test\",\"relay\":\"h[192.0.2.1]"
		     ":25\","
		     "\"status\":\"5.1.1\",\"reply\":550,\"queue_id\":\"AAAAA1\",\"message_id\":null,"
		     "\"sender\":\"\","
		     "\"delay\":1,\"attempt\":1,\"class\":\"no-such-mailbox\",\"next_queue_id\":null,"
		     "\"diagnostic\":\"host h[192.0.2.1] said: 550 5.1.1 no\"}\n");
	feed(f, "AAAAA1: removed", &out);
	feed(f, "AAAAA1: client=h[192.0.2.9]", &out);
	feed(f, "AAAAA1: to=<y@a.test>, relay=local, delay=x, dsn=2.0.0, status=sent (ok)", &out);
	expect(&out, "{\"time\":null,\"kind\":\"accepted\",\"recipient\":\"y@a.test\",\"relay\":\"local\","
		     "\"status\":\"2.0.0\",\"reply\":null,\"queue_id\":\"AAAAA1\",\"message_id\":null,"
		     "\"sender\":null,"
		     "\"delay\":null,\"attempt\":1,\"class\":null,\"next_queue_id\":null,\"diagnostic\":"
		     "\"ok\"}\n");
	log_facts_close(&f);
	buf_free(&out);
}

/* A recipient that was deferred and then sent does not expire; a requeued
 * message takes what is known of it along. */
static void requeued(void **state)
{
	struct log_facts *f = log_facts_open();
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 16);
	feed(f, "AAAAA1: from=<n@b.test>, size=9, nrcpt=2 (queue active)", &out);
	feed(f, "AAAAA1: to=<x@a.test>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)", &out);
	feed(f, "AAAAA1: to=<y@a.test>, relay=none, delay=1, dsn=4.4.1, status=deferred (y)", &out);
	feed(f, "AAAAA1: to=<x@a.test>, relay=none, delay=1, dsn=2.0.0, status=sent (x)", &out);
	buf_clear(&out);
	feed(f, "AAAAA2: uid=0 from=<n@b.test> orig_id=AAAAA1", &out);
	feed(f, "AAAAA1: removed", &out);
	feed(f, "AAAAA2: from=<n@b.test>, status=force-expired, returned to sender", &out);
	assert_true(slice_find(buf_slice(&out), SLICE("\"recipient\":\"y@a.test\""), 0) != SLICE_NPOS);
	assert_int_equal(slice_find(buf_slice(&out), SLICE("x@a.test"), 0), SLICE_NPOS);
	log_facts_close(&f);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_life),
		cmocka_unit_test(bounced_then_id_used_again),
		cmocka_unit_test(requeued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
