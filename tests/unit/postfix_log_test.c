#include "collector/postfix_log.h"
#include "tests/testing.h"

#include <string.h>

/* 2026-11-21 18:00:00 UTC */
#define NOW 1795284000000u

/* Literals whose field is empty. */
#define NO SLICE_NONE

static const struct {
	const char *name;
	slice in;
	enum log_fact_kind kind;
	slice id;
	slice a, b; /* by kind: recipient and orig_to; sender; message_id; client and other_id; other_id */
	enum log_fact_outcome outcome;
	slice relay, delay, dsn, text;
	int reply;
} rows[] = {
	{"sent",
		SLICE("Nov 21 17:32:23 mx postfix/smtp[16301]: CC586A980E2: to=<ok@a.test>, "
		      "relay=h[192.0.2.1]:25, "
		      "delay=0.02, delays=0.01/0.01/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as "
		      "0000A1B2C5)\n"),
		LOG_FACT_DELIVERY, SLICE("CC586A980E2"), SLICE("ok@a.test"), NO, LOG_FACT_SENT,
		SLICE("h[192.0.2.1]:25"), SLICE("0.02"), SLICE("2.0.0"),
		SLICE("250 2.0.0 Ok: queued as 0000A1B2C5"), 250},
	{"bare text, alias, reused connection, new key",
		SLICE("4jWzpN6Ft5z1ckJM: to=<b@a.test>, orig_to=<one@alias.test>, relay=h[::1]:25, "
		      "conn_use=2, delay=3, "
		      "delays=0/0/0/3, tls=dane/!requiretls:nocertmatch, dsn=2.1.5, status=sent (250 Ok)"),
		LOG_FACT_DELIVERY, SLICE("4jWzpN6Ft5z1ckJM"), SLICE("b@a.test"), SLICE("one@alias.test"),
		LOG_FACT_SENT, SLICE("h[::1]:25"), SLICE("3"), SLICE("2.1.5"), SLICE("250 Ok"), 250},
	{"said",
		SLICE("A1B2C3D4: to=<r@a.test>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=4.7.1, "
		      "status=deferred (host h[192.0.2.1] said: 451 4.7.1 <r@a.test>: Greylisted (in reply "
		      "to RCPT TO "
		      "command))"),
		LOG_FACT_DELIVERY, SLICE("A1B2C3D4"), SLICE("r@a.test"), NO, LOG_FACT_DEFERRED,
		SLICE("h[192.0.2.1]:25"), SLICE("1"), SLICE("4.7.1"),
		SLICE("host h[192.0.2.1] said: 451 4.7.1 <r@a.test>: Greylisted (in reply to RCPT TO "
		      "command)"),
		451},
	{"continued reply",
		SLICE("A1B2C3D4: to=<r@a.test>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
		      "dsn=5.1.1, status=bounced (host h[192.0.2.1] said: 550-5.1.1 no 550 5.1.1 such)"),
		LOG_FACT_DELIVERY, SLICE("A1B2C3D4"), SLICE("r@a.test"), NO, LOG_FACT_BOUNCED,
		SLICE("h[192.0.2.1]:25"), SLICE("1"), SLICE("5.1.1"),
		SLICE("host h[192.0.2.1] said: 550-5.1.1 no 550 5.1.1 such"), 550},
	{"refused to talk",
		SLICE("A1B2C3D4: to=<r@a.test>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
		      "dsn=4.3.2, status=deferred (host h[192.0.2.1] refused to talk to me: 450 4.3.2 "
		      "later)"),
		LOG_FACT_DELIVERY, SLICE("A1B2C3D4"), SLICE("r@a.test"), NO, LOG_FACT_DEFERRED,
		SLICE("h[192.0.2.1]:25"), SLICE("1"), SLICE("4.3.2"),
		SLICE("host h[192.0.2.1] refused to talk to me: 450 4.3.2 later"), 450},
	{"nobody reached",
		SLICE("A1B2C3D4: to=<r@a.test>, relay=none, delay=1, delays=0/0/1/0, dsn=4.4.1, "
		      "status=deferred (connect to h[192.0.2.1]:25: Connection refused)"),
		LOG_FACT_DELIVERY, SLICE("A1B2C3D4"), SLICE("r@a.test"), NO, LOG_FACT_DEFERRED, SLICE("none"),
		SLICE("1"), SLICE("4.4.1"), SLICE("connect to h[192.0.2.1]:25: Connection refused"), 0},
	{"local text with a number",
		SLICE("A1B2C3D4: to=<r@a.test>, relay=local, delay=1, delays=0/0/1/0, dsn=5.2.2, "
		      "status=bounced (5501 blocks used)"),
		LOG_FACT_DELIVERY, SLICE("A1B2C3D4"), SLICE("r@a.test"), NO, LOG_FACT_BOUNCED, SLICE("local"),
		SLICE("1"), SLICE("5.2.2"), SLICE("5501 blocks used"), 0},
	{"soft bounce",
		SLICE("A1B2C3D4: to=<r@a.test>, relay=none, delay=1, delays=0/0/1/0, dsn=5.1.1, "
		      "status=SOFTBOUNCE (x)"),
		LOG_FACT_DELIVERY, SLICE("A1B2C3D4"), SLICE("r@a.test"), NO, LOG_FACT_DEFERRED, SLICE("none"),
		SLICE("1"), SLICE("5.1.1"), SLICE("x"), 0},
	{"cut in the text",
		SLICE("A1B2C3D4: to=<r@a.test>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=5.7.1, "
		      "status=bounced (host h[192.0.2.1] said: 550 5.7.1 lin"),
		LOG_FACT_DELIVERY, SLICE("A1B2C3D4"), SLICE("r@a.test"), NO, LOG_FACT_BOUNCED,
		SLICE("h[192.0.2.1]:25"), SLICE("1"), SLICE("5.7.1"),
		SLICE("host h[192.0.2.1] said: 550 5.7.1 lin"), 550},
	{"cut before the status",
		SLICE("A1B2C3D4: to=<r@a.test>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/1/0, "
		      "dsn=5.7.1, sta"),
		LOG_FACT_NONE, NO, NO, NO, 0, NO, NO, NO, NO, 0},
	{"keys in the local part",
		SLICE("A1B2C3D4: to=<\"odd to=<x>, relay=y, status=bounced (550)\"@a.test>, "
		      "relay=h[192.0.2.1]:25, "
		      "delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 Ok)"),
		LOG_FACT_DELIVERY, SLICE("A1B2C3D4"),
		SLICE("\"odd to=<x>, relay=y, status=bounced (550)\"@a.test"), NO, LOG_FACT_SENT,
		SLICE("h[192.0.2.1]:25"), SLICE("1"), SLICE("2.0.0"), SLICE("250 Ok"), 250},
	{"escaped quote in the local part",
		SLICE("A1B2C3D4: to=<\"a\\\">, relay=none, delay=1, dsn=5.0.0, status=bounced (x)\"@a.test>, "
		      "relay=h[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 Ok)"),
		LOG_FACT_DELIVERY, SLICE("A1B2C3D4"),
		SLICE("\"a\\\">, relay=none, delay=1, dsn=5.0.0, status=bounced (x)\"@a.test"), NO,
		LOG_FACT_SENT, SLICE("h[192.0.2.1]:25"), SLICE("1"), SLICE("2.0.0"), SLICE("250 Ok"), 250},
	{"keys in the reply",
		SLICE("A1B2C3D4: to=<r@a.test>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=5.0.0, "
		      "status=bounced (host h[192.0.2.1] said: 550 x), dsn=2.0.0, status=sent (250 Ok)"),
		LOG_FACT_DELIVERY, SLICE("A1B2C3D4"), SLICE("r@a.test"), NO, LOG_FACT_BOUNCED,
		SLICE("h[192.0.2.1]:25"), SLICE("1"), SLICE("5.0.0"),
		SLICE("host h[192.0.2.1] said: 550 x), dsn=2.0.0, status=sent (250 Ok"), 550},
	{"code only where it belongs",
		SLICE("A1B2C3D4: to=<r@a.test>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/1/0, "
		      "dsn=4.4.2, status=deferred (lost connection; said: 550 5.1.1 no)"),
		LOG_FACT_DELIVERY, SLICE("A1B2C3D4"), SLICE("r@a.test"), NO, LOG_FACT_DEFERRED,
		SLICE("h[192.0.2.1]:25"), SLICE("1"), SLICE("4.4.2"),
		SLICE("lost connection; said: 550 5.1.1 no"), 0},
	{"probe",
		SLICE("A1B2C3D4: to=<r@a.test>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=2.1.5, "
		      "status=deliverable (250 Ok)"),
		LOG_FACT_NONE, NO, NO, NO, 0, NO, NO, NO, NO, 0},
	{"attempt at one host",
		SLICE("A1B2C3D4: host h[192.0.2.1] said: 450 4.2.1 later (in reply to RCPT TO command)"),
		LOG_FACT_NONE, NO, NO, NO, 0, NO, NO, NO, NO, 0},
	{"syslog name with slashes",
		SLICE("Nov 21 17:32:23 mx postfix-out/onebyone/smtp[1]: A1B2C3D4: to=<r@a.test>, "
		      "relay=local, delay=1, dsn=2.0.0, status=sent (ok)"),
		LOG_FACT_DELIVERY, SLICE("A1B2C3D4"), SLICE("r@a.test"), NO, LOG_FACT_SENT, SLICE("local"),
		SLICE("1"), SLICE("2.0.0"), SLICE("ok"), 0},
	{"another program",
		SLICE("Nov 21 17:32:23 mx evil[1]: A1B2C3D4: to=<r@a.test>, relay=local, delay=1, dsn=2.0.0, "
		      "status=sent (ok)"),
		LOG_FACT_NONE, NO, NO, NO, 0, NO, NO, NO, NO, 0},
	{"sender",
		SLICE("Nov 21 17:32:23 mx postfix/qmgr[1]: A1B2C3D4: from=<news@b.test>, size=313, nrcpt=1 "
		      "(queue active)"),
		LOG_FACT_SENDER, SLICE("A1B2C3D4"), SLICE("news@b.test"), NO, 0, NO, NO, NO, NO, 0},
	{"null sender", SLICE("A1B2C3D4: from=<>, size=313, nrcpt=1 (queue active)"), LOG_FACT_SENDER,
		SLICE("A1B2C3D4"), NO, NO, 0, NO, NO, NO, NO, 0},
	{"quoted sender",
		SLICE("A1B2C3D4: from=<\"x>, status=expired\"@b.test>, size=313, nrcpt=1 (queue active)"),
		LOG_FACT_SENDER, SLICE("A1B2C3D4"), SLICE("\"x>, status=expired\"@b.test"), NO, 0, NO, NO, NO,
		NO, 0},
	{"sender by another service",
		SLICE("Nov 21 17:32:23 mx postfix/smtp[1]: A1B2C3D4: from=<news@b.test>, size=313"),
		LOG_FACT_NONE, NO, NO, NO, 0, NO, NO, NO, NO, 0},
	{"expired", SLICE("A1B2C3D4: from=<n@b.test>, status=expired, returned to sender"), LOG_FACT_EXPIRED,
		SLICE("A1B2C3D4"), SLICE("n@b.test"), NO, 0, NO, NO, NO, NO, 0},
	{"force-expired", SLICE("A1B2C3D4: from=<>, status=force-expired, returned to sender"),
		LOG_FACT_EXPIRED, SLICE("A1B2C3D4"), NO, NO, 0, NO, NO, NO, NO, 0},
	{"removed", SLICE("Nov 21 17:32:23 mx postfix/qmgr[1]: A1B2C3D4: removed"), LOG_FACT_REMOVED,
		SLICE("A1B2C3D4"), NO, NO, 0, NO, NO, NO, NO, 0},
	{"client", SLICE("A1B2C3D4: client=unknown[192.0.2.9]"), LOG_FACT_CLIENT, SLICE("A1B2C3D4"),
		SLICE("unknown[192.0.2.9]"), NO, 0, NO, NO, NO, NO, 0},
	{"client by XFORWARD",
		SLICE("A1B2C3D4: client=localhost[127.0.0.1], orig_queue_id=b.tok, orig_client=h[192.0.2.9]"),
		LOG_FACT_CLIENT, SLICE("A1B2C3D4"), SLICE("localhost[127.0.0.1]"), SLICE("b.tok"), 0, NO, NO,
		NO, NO, 0},
	{"message id", SLICE("A1B2C3D4: message-id=<1@client.test>"), LOG_FACT_MESSAGE_ID, SLICE("A1B2C3D4"),
		SLICE("1@client.test"), NO, 0, NO, NO, NO, NO, 0},
	{"empty message id", SLICE("A1B2C3D4: message-id=<>"), LOG_FACT_MESSAGE_ID, SLICE("A1B2C3D4"), NO, NO,
		0, NO, NO, NO, NO, 0},
	{"cut message id", SLICE("A1B2C3D4: message-id=<1@clie"), LOG_FACT_MESSAGE_ID, SLICE("A1B2C3D4"),
		SLICE("1@clie"), NO, 0, NO, NO, NO, NO, 0},
	{"child", SLICE("A1B2C3D4: sender non-delivery notification: 5DE184083C"), LOG_FACT_CHILD,
		SLICE("A1B2C3D4"), SLICE("5DE184083C"), NO, 0, NO, NO, NO, NO, 0},
	{"delay notice", SLICE("A1B2C3D4: sender delay notification: 5DE184083C"), LOG_FACT_CHILD,
		SLICE("A1B2C3D4"), SLICE("5DE184083C"), NO, 0, NO, NO, NO, NO, 0},
	{"requeued", SLICE("4jX0Rt3SQtz1cjqT: uid=103 from=<news@b.test> orig_id=4jX0Rm3czzz1cjqJ"),
		LOG_FACT_REQUEUE, SLICE("4jX0Rt3SQtz1cjqT"), SLICE("4jX0Rm3czzz1cjqJ"), NO, 0, NO, NO, NO, NO,
		0},
	{"sendmail command", SLICE("4jX0Rt3SQtz1cjqT: uid=103 from=<news@b.test>"), LOG_FACT_NONE, NO, NO, NO,
		0, NO, NO, NO, NO, 0},
	{"reject",
		SLICE("NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 <r@a.test>: no; from=<a@b> "
		      "to=<r@a.test>"),
		LOG_FACT_NONE, NO, NO, NO, 0, NO, NO, NO, NO, 0},
	{"delivery without a queue id",
		SLICE("NOQUEUE: to=<r@a.test>, relay=none, delay=0, dsn=2.0.0, status=sent (x)"),
		LOG_FACT_NONE, NO, NO, NO, 0, NO, NO, NO, NO, 0},
	{"connect", SLICE("Nov 21 18:03:00 mx postfix/smtpd[4403]: connect from unknown[127.0.0.1]"),
		LOG_FACT_NONE, NO, NO, NO, 0, NO, NO, NO, NO, 0},
	{"empty", SLICE_NONE, LOG_FACT_NONE, NO, NO, NO, 0, NO, NO, NO, NO, 0},
};

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in);
		struct log_fact f;
		slice a = SLICE_NONE, b = SLICE_NONE;

		test_numbers_equal(rows[i].name, postfix_log_read(in, NOW, 0, &f), rows[i].kind);
		test_numbers_equal(rows[i].name, f.kind, rows[i].kind);
		switch (f.kind) {
		case LOG_FACT_DELIVERY:
			a = f.recipient;
			b = f.orig_to;
			break;
		case LOG_FACT_SENDER:
		case LOG_FACT_EXPIRED:
			a = f.sender;
			break;
		case LOG_FACT_CLIENT:
			a = f.client;
			b = f.other_id;
			break;
		case LOG_FACT_MESSAGE_ID:
			a = f.message_id;
			break;
		default:
			a = f.other_id;
		}
		test_slices_equal(rows[i].name, f.id, rows[i].id);
		test_slices_equal(rows[i].name, a, rows[i].a);
		test_slices_equal(rows[i].name, b, rows[i].b);
		test_numbers_equal(rows[i].name, f.outcome, rows[i].outcome);
		test_slices_equal(rows[i].name, f.relay, rows[i].relay);
		test_slices_equal(rows[i].name, f.delay, rows[i].delay);
		test_slices_equal(rows[i].name, f.dsn, rows[i].dsn);
		test_slices_equal(rows[i].name, f.text, rows[i].text);
		test_numbers_equal(rows[i].name, f.reply, rows[i].reply);
		test_unguard(in);
	}
}

/* A line that is cut anywhere says nothing, or what the whole line says. */
static void every_prefix(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct log_fact whole, f;

		postfix_log_read(rows[i].in, NOW, 0, &whole);
		for (size_t n = 0; n < rows[i].in.len; n++) {
			slice in = test_guard(slice_sub(rows[i].in, 0, n));

			if (postfix_log_read(in, NOW, 0, &f) != LOG_FACT_NONE) {
				test_numbers_equal(rows[i].name, f.kind, whole.kind);
				test_slices_equal(rows[i].name, f.id, whole.id);
				test_numbers_equal(rows[i].name, f.outcome, whole.outcome);
				test_slices_equal(rows[i].name, f.recipient, whole.recipient);
				test_slices_equal(rows[i].name, f.dsn, whole.dsn);
				if (f.reply)
					test_numbers_equal(rows[i].name, f.reply, whole.reply);
			}
			test_unguard(in);
		}
	}
}

#define TAG " mx postfix/qmgr[1]: A1B2C3D4: removed"

static const struct {
	const char *name;
	slice in;
	uint64_t now;
	int zone;
	uint64_t ms; /* 0: the line is refused */
} stamps[] = {
	{"this year", SLICE("Nov 21 17:32:23" TAG), NOW, 0, 1795282343000},
	{"one digit day", SLICE("Nov  1 00:00:00" TAG), NOW, 0, 1793491200000},
	{"last year", SLICE("Nov 23 00:00:00" TAG), NOW, 0, 1763856000000},
	{"a clock that runs ahead", SLICE("Nov 22 17:00:00" TAG), NOW, 0, 1795366800000},
	{"new year's eve, read in January", SLICE("Dec 31 23:59:59" TAG), 1798761600000, 0, 1798761599000},
	{"new year, read in December", SLICE("Jan  1 00:00:01" TAG), 1798761599000, 0, 1798761601000},
	{"29 February", SLICE("Feb 29 12:00:00" TAG), NOW, 0, 1709208000000},
	{"zone", SLICE("Nov 21 18:32:23" TAG), NOW, 3600, 1795282343000},
	{"west", SLICE("Nov 21 12:32:23" TAG), NOW, -5 * 3600, 1795282343000},
	{"leap second", SLICE("Nov 21 17:32:60" TAG), NOW, 0, 1795282380000},
	{"no such day", SLICE("Feb 30 12:00:00" TAG), NOW, 0, 0},
	{"no such hour", SLICE("Nov 21 24:00:00" TAG), NOW, 0, 0},
	{"RFC 3339", SLICE("2026-11-21T17:32:23.123456+00:00" TAG), NOW, 3600, 1795282343123},
	{"RFC 3339 zone", SLICE("2026-11-21T18:32:23+01:00" TAG), NOW, 0, 1795282343000},
	{"RFC 3339 west", SLICE("2026-11-21T12:02:23.5-05:30" TAG), NOW, 0, 1795282343500},
	{"RFC 3339 UTC", SLICE("2026-11-21T17:32:23Z" TAG), NOW, 7200, 1795282343000},
	{"zone without colon", SLICE("2026-11-21T18:32:23+0100" TAG), NOW, 0, 1795282343000},
	{"RFC 3339 without zone", SLICE("2026-11-21T17:32:23" TAG), NOW, 0, 0},
	{"RFC 3339, no such month", SLICE("2026-13-21T17:32:23Z" TAG), NOW, 0, 0},
};

static void times(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof stamps / sizeof *stamps; i++) {
		slice in = test_guard(stamps[i].in);
		struct log_fact f;

		postfix_log_read(in, stamps[i].now, stamps[i].zone, &f);
		test_numbers_equal(stamps[i].name, f.kind, stamps[i].ms ? LOG_FACT_REMOVED : LOG_FACT_NONE);
		test_numbers_equal(stamps[i].name, (long long)f.ms, (long long)stamps[i].ms);
		test_unguard(in);
	}
}

static const struct {
	const char *name;
	slice in, want;
} next_ids[] = {
	{"Postfix", SLICE("250 2.0.0 Ok: queued as 4jWzpN6Ft5z1ckJM"), SLICE("4jWzpN6Ft5z1ckJM")},
	{"Postfix behind a filter",
		SLICE("250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as CC586A980E2"),
		SLICE("CC586A980E2")},
	{"Exim", SLICE("250 OK id=1xUpl4-0000wF-21"), SLICE("1xUpl4-0000wF-21")},
	{"Sendmail", SLICE("250 2.0.0 6ALHuXml018892 Message accepted for delivery"),
		SLICE("6ALHuXml018892")},
	{"Haraka", SLICE("250 Message Queued (A1B2C3D4-0000.1)"), SLICE("A1B2C3D4-0000.1")},
	{"none", SLICE("250 2.0.0 OK  1795282344 d2e1a72fcca58 - gsmtp"), SLICE_NONE},
	{"cut", SLICE("250 2.0.0 Ok: queued as "), SLICE_NONE},
	{"empty", SLICE_NONE, SLICE_NONE},
};

static void next_id(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof next_ids / sizeof *next_ids; i++) {
		slice in = test_guard(next_ids[i].in);

		test_slices_equal(next_ids[i].name, log_fact_next_id(in), next_ids[i].want);
		test_unguard(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(every_prefix),
		cmocka_unit_test(times),
		cmocka_unit_test(next_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
