#include "collector/join.h"
#include "collector/postfix_log.h"
#include "core/model/verp.h"
#include "tests/testing.h"

#include <stdio.h>
#include <string.h>

#define NOW 1795284000000u
#define DOMAIN SLICE("bounce.test")

static struct keyring ring;
static struct sealer *sealer;
static struct join *j;

static int setup(void **state)
{
	struct join_config cfg = {.domain = DOMAIN, .cap = 1000};

	(void)state;
	ring = (struct keyring){.count = 1};
	memset(ring.hash, 7, sizeof ring.hash);
	ring.key[0].id = 1;
	memset(ring.key[0].secret, 9, sizeof ring.key[0].secret);
	sealer = sealer_open(&ring);
	cfg.sealer = sealer;
	j = join_open(&cfg);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	join_close(&j);
	assert_null(j);
	join_close(&j);
	sealer_close(&sealer);
	return 0;
}

/* %V in the line: the return path of message n. */
static enum join_found feed(const char *line, uint32_t n, struct event *ev, slice *id)
{
	struct token t = {.kind = TOKEN_RETURN, .campaign = 42, .lane = 5, .sequence = n};
	struct log_fact f;
	struct buf text;
	const char *mark = strstr(line, "%V");
	static char kept[1024];
	size_t len;

	buf_init(&text, sizeof kept);
	if (mark) {
		buf_put(&text, slice_of(line, (size_t)(mark - line)));
		assert_int_equal(verp_seal(sealer, DOMAIN, &t, &text), 0);
		line = mark + 2;
	}
	buf_str(&text, line);
	memcpy(kept, text.p, text.len);
	len = text.len;
	buf_free(&text);
	memset(ev, 0, sizeof *ev);
	*id = SLICE_NONE;
	postfix_log_read(slice_of(kept, len), NOW, 0, &f);
	return join_read(j, &f, NOW, ev, id);
}

#define TO ": to=<r@a.test>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
#define SENT TO "dsn=2.0.0, status=sent (250 2.0.0 Ok)"
#define DEFERRED TO "dsn=4.7.1, status=deferred (host h[192.0.2.1] said: 451 4.7.1 later)"
#define BOUNCED TO "dsn=5.1.1, status=bounced (host h[192.0.2.1] said: 550 5.1.1 none)"

static void by_return_path(void **state)
{
	struct event ev;
	slice id;

	(void)state;
	assert_int_equal(feed("AAAAAA1: client=h[192.0.2.9]", 0, &ev, &id), JOIN_NOTHING);
	assert_int_equal(feed("AAAAAA1: message-id=<x@y>", 0, &ev, &id), JOIN_NOTHING);
	assert_int_equal(
		feed("AAAAAA1: from=<%V>, size=1, nrcpt=1 (queue active)", 7, &ev, &id), JOIN_NOTHING);
	assert_int_equal(feed("AAAAAA1" DEFERRED, 0, &ev, &id), JOIN_EVENT);
	assert_int_equal(ev.kind, EVENT_DEFERRED);
	assert_int_equal(ev.campaign, 42);
	assert_int_equal(ev.lane, 5);
	assert_int_equal(ev.sequence, 7);
	assert_int_equal(ev.reply, 451);
	assert_int_equal(ev.status, status_decode(SLICE("4.7.1")));
	assert_int_equal(ev.ms, NOW);
	assert_int_equal(feed("AAAAAA1: removed", 0, &ev, &id), JOIN_NOTHING);
	/* The last line may come behind that. */
	assert_int_equal(feed("Nov 21 17:32:23 mx postfix/smtp[1]: AAAAAA1" SENT, 0, &ev, &id), JOIN_EVENT);
	assert_int_equal(ev.kind, EVENT_ACCEPTED);
	assert_int_equal(ev.ms, 1795282343000);
	assert_int_equal(ev.sequence, 7);
}

static void bounces(void **state)
{
	struct event ev;
	slice id;

	(void)state;
	feed("AAAAAA1: from=<%V>, size=1, nrcpt=1 (queue active)", 8, &ev, &id);
	assert_int_equal(feed("AAAAAA1" BOUNCED, 0, &ev, &id), JOIN_EVENT);
	assert_int_equal(ev.kind, EVENT_BOUNCED);
	assert_int_equal(ev.bounce, BOUNCE_HARD);
	assert_int_equal(ev.reply, 550);
	/* The notification to the sender is a message of its own, and not ours. */
	assert_int_equal(feed("BBBBBB1: from=<>, size=1, nrcpt=1 (queue active)", 0, &ev, &id), JOIN_NOTHING);
	assert_int_equal(
		feed("AAAAAA1: sender non-delivery notification: BBBBBB1", 0, &ev, &id), JOIN_NOTHING);
	assert_int_equal(feed("BBBBBB1" SENT, 0, &ev, &id), JOIN_ASK);
	assert_true(join_in_vain(j, SLICE("BBBBBB1")));
}

/* "IDENT=" of XFORWARD. */
static void by_name(void **state)
{
	struct token t = {.kind = TOKEN_RETURN, .campaign = 42, .lane = 5, .sequence = 9};
	struct event ev;
	struct buf line;
	slice id;

	(void)state;
	buf_init(&line, 1000);
	buf_str(&line, "AAAAAA1: client=h[192.0.2.9], orig_queue_id=");
	assert_int_equal(token_seal_return(sealer, DOMAIN, &t, &line), 0);
	buf_str(&line, ", orig_client=unknown[192.0.2.7]");
	buf_byte(&line, 0);
	assert_int_equal(feed((const char *)line.p, 0, &ev, &id), JOIN_NOTHING);
	/* The return path is somebody else's: the name holds. */
	feed("AAAAAA1: from=<a@b.test>, size=1, nrcpt=1 (queue active)", 0, &ev, &id);
	assert_int_equal(feed("AAAAAA1" SENT, 0, &ev, &id), JOIN_EVENT);
	assert_int_equal(ev.campaign, 42);
	assert_int_equal(ev.lane, 5);
	assert_int_equal(ev.sequence, 9);
	/* Forged by one letter, or another MTA's queue id. */
	line.p[45] ^= 1;
	feed((const char *)line.p, 0, &ev, &id);
	assert_int_equal(feed("AAAAAA1" SENT, 0, &ev, &id), JOIN_ASK);
	feed("AAAAAA1: client=h[192.0.2.9], orig_queue_id=4jWzpN6Ft5z1ckJM", 0, &ev, &id);
	assert_int_equal(feed("AAAAAA1" SENT, 0, &ev, &id), JOIN_ASK);
	buf_free(&line);
}

static void id_begins_anew(void **state)
{
	struct event ev;
	slice id;

	(void)state;
	feed("AAAAAA1: from=<%V>, size=1, nrcpt=1 (queue active)", 8, &ev, &id);
	feed("AAAAAA1: removed", 0, &ev, &id);
	feed("AAAAAA1: client=h[192.0.2.9]", 0, &ev, &id);
	feed("AAAAAA1: from=<somebody@else.test>, size=1, nrcpt=1 (queue active)", 0, &ev, &id);
	assert_int_equal(feed("AAAAAA1" SENT, 0, &ev, &id), JOIN_ASK);
	test_slices_equal("asked for", id, SLICE("AAAAAA1"));
}

static void forged_return_path(void **state)
{
	struct event ev;
	slice id;

	(void)state;
	feed("AAAAAA1: from=<b+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@bounce.test>, size=1, nrcpt=1 (queue "
	     "active)",
		0, &ev, &id);
	assert_int_equal(feed("AAAAAA1" SENT, 0, &ev, &id), JOIN_ASK);
}

static void expires(void **state)
{
	struct event ev;
	slice id;

	(void)state;
	feed("AAAAAA1: from=<%V>, size=1, nrcpt=1 (queue active)", 8, &ev, &id);
	feed("AAAAAA1" DEFERRED, 0, &ev, &id);
	assert_int_equal(
		feed("AAAAAA1: from=<%V>, status=expired, returned to sender", 8, &ev, &id), JOIN_EVENT);
	assert_int_equal(ev.kind, EVENT_BOUNCED);
	assert_int_equal(ev.bounce, BOUNCE_SOFT);
	assert_int_equal(ev.sequence, 8);
	/* Told once. */
	assert_int_equal(
		feed("AAAAAA1: from=<%V>, status=expired, returned to sender", 8, &ev, &id), JOIN_NOTHING);
	/* Nothing is known but the return path: one recipient, so it is that one. */
	assert_int_equal(feed("AAAAAA2: from=<%V>, status=force-expired, returned to sender", 9, &ev, &id),
		JOIN_EVENT);
	assert_int_equal(ev.sequence, 9);
	/* Sent before: somebody else of that message expired. */
	feed("AAAAAA3: from=<%V>, size=1, nrcpt=1 (queue active)", 10, &ev, &id);
	feed("AAAAAA3" SENT, 0, &ev, &id);
	assert_int_equal(
		feed("AAAAAA3: from=<%V>, status=expired, returned to sender", 10, &ev, &id), JOIN_NOTHING);
}

static void looked_up(void **state)
{
	struct join_identity who = {42, 5, 11};
	struct event ev;
	slice id;

	(void)state;
	assert_int_equal(feed("AAAAAA1" DEFERRED, 0, &ev, &id), JOIN_ASK);
	test_slices_equal("asked for", id, SLICE("AAAAAA1"));
	assert_false(join_in_vain(j, SLICE("AAAAAA1")));
	join_learn(j, SLICE("AAAAAA1"), NULL);
	assert_true(join_in_vain(j, SLICE("AAAAAA1")));
	assert_int_equal(feed("AAAAAA1" DEFERRED, 0, &ev, &id), JOIN_ASK);
	join_learn(j, SLICE("AAAAAA1"), &who);
	assert_false(join_in_vain(j, SLICE("AAAAAA1")));
	assert_int_equal(feed("AAAAAA1" SENT, 0, &ev, &id), JOIN_EVENT);
	assert_int_equal(ev.sequence, 11);
	/* Requeued twice: it keeps what is known, or the id it is known by. */
	feed("AAAAAA2: uid=0 from=<x@y> orig_id=AAAAAA1", 0, &ev, &id);
	assert_int_equal(feed("AAAAAA2" SENT, 0, &ev, &id), JOIN_EVENT);
	assert_int_equal(ev.sequence, 11);
	feed("BBBBBB2: uid=0 from=<x@y> orig_id=BBBBBB1", 0, &ev, &id);
	feed("BBBBBB3: uid=0 from=<x@y> orig_id=BBBBBB2", 0, &ev, &id);
	assert_int_equal(feed("BBBBBB3" DEFERRED, 0, &ev, &id), JOIN_ASK);
	test_slices_equal("asked for", id, SLICE("BBBBBB1"));
	join_learn(j, SLICE("BBBBBB1"), &who);
	assert_int_equal(feed("BBBBBB3" SENT, 0, &ev, &id), JOIN_EVENT);
}

static void discarded(void **state)
{
	struct event ev;
	slice id;

	(void)state;
	feed("AAAAAA1: from=<%V>, size=1, nrcpt=1 (queue active)", 8, &ev, &id);
	assert_int_equal(
		feed("Nov 21 17:32:23 mx postfix/discard[1]: AAAAAA1: to=<r@a.test>, relay=none, delay=1, "
		     "dsn=2.0.0, status=sent (silently)",
			0, &ev, &id),
		JOIN_NOTHING);
}

static void identities(void **state)
{
	struct join_identity who;

	(void)state;
	assert_true(join_identity_decode(SLICE("\x2a\0\0\0\0\0\0\x80\5\0\0\0\7\0\0\1"), &who));
	assert_true(who.campaign == 0x800000000000002a && who.lane == 5 && who.sequence == 0x01000007);
	assert_false(join_identity_decode(SLICE("\x2a\0\0\0\0\0\0\x80\5\0\0\0\7\0\0"), &who));
	assert_false(join_identity_decode(SLICE_NONE, &who));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(by_return_path, setup, teardown),
		cmocka_unit_test_setup_teardown(bounces, setup, teardown),
		cmocka_unit_test_setup_teardown(by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(id_begins_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(forged_return_path, setup, teardown),
		cmocka_unit_test_setup_teardown(expires, setup, teardown),
		cmocka_unit_test_setup_teardown(looked_up, setup, teardown),
		cmocka_unit_test_setup_teardown(discarded, setup, teardown),
		cmocka_unit_test(identities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
