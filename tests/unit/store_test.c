/* Pages through Redis and back: whatever is written together, the strings have
 * the bytes that writing each record by itself would have given. */
#include "collector/store.h"
#include "core/base/bytes.h"
#include "core/base/must.h"
#include "core/model/rkey.h"
#include "tests/redis.h"
#include "tests/testing.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES 100000
#define CAMPAIGN 0x1000
#define LANE 7

struct naive {
	uint8_t sent[MESSAGES / 8 + 1], recipient[MESSAGES * 8], sent_s[MESSAGES * 4];
	size_t bits, columns; /* messages up to the last one */
};

static uint64_t draw(uint64_t n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x % n;
}

static struct event sent(uint32_t i, struct naive *n)
{
	struct event e = {.kind = EVENT_SENT,
		.ms = 1795219200000u + i,
		.campaign = CAMPAIGN,
		.lane = LANE,
		.sequence = i,
		.recipient = i * 0x9e3779b97f4a7c15u + 1};

	n->sent[i / 8] |= (uint8_t)(0x80 >> i % 8);
	put_le64(n->recipient + (size_t)i * 8, e.recipient);
	put_le32(n->sent_s + (size_t)i * 4, (uint32_t)(e.ms / 1000));
	n->columns = i + 1 > n->columns ? i + 1 : n->columns;
	n->bits = n->columns / 8 + (n->columns % 8 != 0);
	return e;
}

/* Some in a row, some alone, some a page or two apart. */
static size_t some(struct event *out, size_t most, struct naive *n)
{
	static const uint32_t steps[] = {1, 1, 1, 5, 60, 64, 70, 128, 130, 190, 500};
	uint32_t at = (uint32_t)draw(MESSAGES), step = 1;
	size_t i = 0;

	while (i < most) {
		if (!draw(200))
			at = (uint32_t)draw(MESSAGES);
		if (!draw(20))
			step = steps[draw(sizeof steps / sizeof *steps)];
		at = (at + step) % MESSAGES;
		out[i++] = sent(at, n);
	}
	return i;
}

static void batch(struct rds *r, struct state *s, const struct event *e, size_t count)
{
	struct buf why;
	size_t n;

	buf_init(&why, 512);
	for (size_t i = 0; i < count; i++)
		state_touch(s, &e[i]);
	store_ask(r, 0, s);
	assert_int_equal(store_take(r, 0, s, &why), 0);
	for (size_t i = 0; i < count; i++)
		state_apply(s, &e[i]);
	rds_putv(r, SLICE("MULTI"));
	n = store_put(r, 0, s);
	rds_putv(r, SLICE("EXEC"));
	for (size_t i = 0; i < n + 1; i++)
		assert_int_equal(store_done(r, &why), 0);
	{
		struct rds_reply *rep;

		assert_int_equal(store_reply(r, &rep, &why), 0);
		assert_int_equal(rds_len(rep), n);
		rds_reply_free(&rep);
	}
	state_committed(s, SIZE_MAX);
	buf_free(&why);
}

static void same(struct rds *r, enum fact f, const uint8_t *want, size_t len)
{
	struct rkey key = rkey_fact(0, CAMPAIGN, LANE, f);
	struct rds_reply *rep;

	assert_int_equal(rds_askv(r, &rep, SLICE("GET"), rkey_slice(&key)), 0);
	test_numbers_equal(fact_word(f), (long long)rds_text(rep).len, (long long)len);
	assert_true(memcmp(rds_text(rep).p, want, len) == 0);
	rds_reply_free(&rep);
}

static void pieces_of_strings(void **state)
{
	struct naive *n = must_zalloc(sizeof *n);
	struct event *e = must_alloc(20000 * sizeof *e);
	struct rds_config cfg = {.timeout_ms = 10000};
	struct test_redis t;
	struct state s;
	struct rds *r;

	(void)state;
	test_redis_init(&t);
	test_redis_start(&t, false);
	cfg.socket = t.socket;
	assert_int_equal(rds_open(&r, &cfg), 0);
	state_init(&s);
	for (unsigned round = 0; round < 24; round++) {
		/* one with more in a row than is read or written at once */
		size_t count = round == 4 ? 20000 : 1 + draw(3000);

		if (round == 4)
			for (size_t i = 0; i < count; i++)
				e[i] = sent((uint32_t)i, n);
		else
			count = some(e, count, n);
		batch(r, &s, e, count);
		same(r, FACT_sent, n->sent, n->bits);
		same(r, FACT_recipient, n->recipient, n->columns * 8);
		same(r, FACT_sent_s, n->sent_s, n->columns * 4);
		if (draw(2)) /* what was written is read again */
			state_forget(&s);
	}
	state_free(&s);
	rds_close(&r);
	test_redis_free(&t);
	free(e);
	free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_of_strings)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
