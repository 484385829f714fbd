#include "tests/testing.h"

#include "core/base/bytes.h"
#include "core/model/kept.h"

#include <string.h>

#define NOW 1795219200000u /* 2026-11-21 00:00 UTC, hour 498672 */
#define HOUR 498672

/* What Redis holds in these tests: nothing. The lists of what is wanted grow
 * until the commit. */
static void load_all(struct state *s)
{
	for (size_t i = 0; i < s->wanted_page_count; i++)
		if (!s->wanted_pages[i]->loaded)
			state_page_load(s->wanted_pages[i], SLICE_NONE);
	for (size_t i = 0; i < s->wanted_campaign_count; i++)
		if (!s->wanted_campaigns[i]->loaded)
			state_campaign_load(s->wanted_campaigns[i], 0, 0);
}

/* One event, hits as the fold does them. */
static void run(struct state *s, const struct event *e)
{
	struct kept kept;

	assert_true(state_takes(e));
	state_touch(s, e);
	load_all(s);
	state_apply(s, e);
	if (!kept_takes(e))
		return;
	kept_init(&kept);
	kept_touch(&kept, e);
	for (size_t i = 0; i < kept.wanted_count; i++)
		kept_load(kept.wanted[i], SLICE_NONE);
	kept_settle(&kept, &verdict_rules, s);
	load_all(s);
	kept_apply(&kept, s);
	kept_free(&kept);
}

static const struct state_page *page(const struct state *s, enum fact fact, uint32_t lane, uint32_t number)
{
	for (size_t i = 0; i < s->dirty_page_count; i++) {
		const struct state_page *p = s->dirty_pages[i];

		if (p->fact == fact && p->lane == lane && p->number == number)
			return p;
	}
	return NULL;
}

static int64_t changed(const struct state *s, enum state_what what, uint64_t a, uint32_t b)
{
	int64_t n = 0;

	for (size_t i = 0; i < s->change_count; i++)
		if (s->changes[i].what == what && s->changes[i].a == a && s->changes[i].b == b)
			n += s->changes[i].n;
	return n;
}

/* Each kind of event, and all that it does. */
static const struct {
	const char *name;
	struct event e;
	enum fact bit;
	enum fact time; /* FACT_COUNT: none */
	enum counter counter;
	size_t pages, changes;
} rows[] = {
	{"sent", {.kind = EVENT_SENT, .recipient = 9, .provider = 3}, FACT_sent, FACT_sent_s, COUNTER_sent, 4,
		3},
	{"sent without recipient", {.kind = EVENT_SENT}, FACT_sent, FACT_sent_s, COUNTER_sent, 2, 3},
	{"accepted", {.kind = EVENT_ACCEPTED}, FACT_accepted, FACT_accepted_s, COUNTER_accepted, 2, 3},
	{"deferred", {.kind = EVENT_DEFERRED}, FACT_deferred, FACT_COUNT, COUNTER_deferred, 1, 3},
	{"hard", {.kind = EVENT_BOUNCED, .bounce = BOUNCE_HARD}, FACT_bounced_hard, FACT_COUNT,
		COUNTER_bounced, 1, 3},
	{"soft", {.kind = EVENT_BOUNCED, .bounce = BOUNCE_SOFT}, FACT_bounced_soft, FACT_COUNT,
		COUNTER_bounced, 1, 3},
	{"block", {.kind = EVENT_BOUNCED, .bounce = BOUNCE_BLOCK}, FACT_bounced_block, FACT_COUNT,
		COUNTER_bounced, 1, 3},
	{"bounced without a class", {.kind = EVENT_BOUNCED}, FACT_bounced_soft, FACT_COUNT, COUNTER_bounced,
		1, 3},
	{"open by a person", {.kind = EVENT_OPEN, .class = CLASS_HUMAN}, FACT_opened_human, FACT_opened_s,
		COUNTER_open_human, 2, 3},
	{"open by proxy", {.kind = EVENT_OPEN, .class = CLASS_PROXY}, FACT_opened_proxy, FACT_opened_s,
		COUNTER_open_proxy, 2, 3},
	{"prefetch", {.kind = EVENT_OPEN, .class = CLASS_PREFETCH}, FACT_opened_prefetch, FACT_COUNT,
		COUNTER_open_prefetch, 1, 3},
	{"open by scanner", {.kind = EVENT_OPEN, .class = CLASS_SCANNER}, FACT_opened_machine, FACT_COUNT,
		COUNTER_open_machine, 1, 3},
	{"open by automation", {.kind = EVENT_OPEN, .class = CLASS_AUTOMATION}, FACT_opened_machine,
		FACT_COUNT, COUNTER_open_machine, 1, 3},
	{"open by the sender", {.kind = EVENT_OPEN, .class = CLASS_SELF}, FACT_opened_machine, FACT_COUNT,
		COUNTER_open_machine, 1, 3},
	{"open of no class", {.kind = EVENT_OPEN}, FACT_opened_machine, FACT_COUNT, COUNTER_open_machine, 1,
		3},
	{"click by a person", {.kind = EVENT_CLICK, .class = CLASS_HUMAN}, FACT_clicked_human, FACT_clicked_s,
		COUNTER_click_human, 2, 4},
	{"click by proxy", {.kind = EVENT_CLICK, .class = CLASS_PROXY}, FACT_clicked_machine, FACT_COUNT,
		COUNTER_click_machine, 1, 4},
	{"click by scanner", {.kind = EVENT_CLICK, .class = CLASS_SCANNER}, FACT_clicked_machine, FACT_COUNT,
		COUNTER_click_machine, 1, 4},
	{"open of the top pixel", {.kind = EVENT_OPEN, .class = CLASS_HUMAN, .place = PLACE_TOP},
		FACT_opened_human, FACT_opened_s, COUNTER_open_human, 2, 4},
	{"click in AMP", {.kind = EVENT_CLICK, .class = CLASS_HUMAN, .place = PLACE_AMP}, FACT_clicked_human,
		FACT_clicked_s, COUNTER_click_human, 2, 5},
	{"unsubscribe", {.kind = EVENT_UNSUBSCRIBE, .class = CLASS_HUMAN}, FACT_unsubscribed, FACT_COUNT,
		COUNTER_unsubscribe, 1, 3},
};

static void each_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct state_page *p;
		struct event e = rows[i].e;
		struct state s;

		state_init(&s);
		e.ms = NOW + 1500;
		e.campaign = 77;
		e.lane = 5;
		e.sequence = 4096 * 3 + 10; /* bitmap page 3, byte 1, third bit from the top */
		run(&s, &e);
		test_numbers_equal(rows[i].name, (long long)s.dirty_page_count, (long long)rows[i].pages);
		test_numbers_equal(rows[i].name, (long long)s.change_count, (long long)rows[i].changes);
		p = page(&s, rows[i].bit, 5, 3);
		if (!p)
			fail_msg("%s: no bit", rows[i].name);
		test_numbers_equal(rows[i].name, p->bytes[1], 0x20);
		test_numbers_equal(rows[i].name, p->from, 1);
		test_numbers_equal(rows[i].name, p->to, 2);
		if (rows[i].time != FACT_COUNT) {
			p = page(&s, rows[i].time, 5, (4096 * 3 + 10) * 4 / 512);
			if (!p)
				fail_msg("%s: no time", rows[i].name);
			test_numbers_equal(rows[i].name, get_le32(p->bytes + 40), NOW / 1000 + 1);
		}
		test_numbers_equal(rows[i].name, changed(&s, STATE_COUNTER, rows[i].counter, 0), 1);
		test_numbers_equal(
			rows[i].name, changed(&s, STATE_COUNTER, COUNTER_open_top, 0), e.place == PLACE_TOP);
		test_numbers_equal(
			rows[i].name, changed(&s, STATE_COUNTER, COUNTER_click_amp, 0), e.place == PLACE_AMP);
		test_numbers_equal(rows[i].name, changed(&s, STATE_HOUR, HOUR, rows[i].counter), 1);
		test_numbers_equal(rows[i].name, changed(&s, STATE_LANE, 5, 0), 1);
		test_numbers_equal(rows[i].name, changed(&s, STATE_LINK, 0, e.class == CLASS_HUMAN),
			e.kind == EVENT_CLICK);
		assert_int_equal(s.dirty_campaign_count, 1);
		assert_int_equal(s.dirty_campaigns[0]->first_ms, NOW + 1500);
		assert_int_equal(s.dirty_campaigns[0]->last_ms, NOW + 1500);
		assert_false(s.dirty_campaigns[0]->named);
		state_free(&s);
	}
}

static void columns(void **state)
{
	struct event e = {.kind = EVENT_SENT,
		.ms = NOW,
		.campaign = 1,
		.lane = 2,
		.sequence = 65,
		.recipient = 0x1122334455667788,
		.provider = 6};
	struct state s;

	(void)state;
	state_init(&s);
	run(&s, &e);
	assert_int_equal(get_le64(page(&s, FACT_recipient, 2, 1)->bytes + 8), 0x1122334455667788);
	assert_int_equal(page(&s, FACT_provider, 2, 0)->bytes[65], 6);
	/* what is there first stays, and the least time stays */
	e.recipient = 1;
	e.provider = 1;
	e.ms = NOW + 5000;
	run(&s, &e);
	assert_int_equal(get_le64(page(&s, FACT_recipient, 2, 1)->bytes + 8), 0x1122334455667788);
	assert_int_equal(page(&s, FACT_provider, 2, 0)->bytes[65], 6);
	assert_int_equal(get_le32(page(&s, FACT_sent_s, 2, 0)->bytes + 260), NOW / 1000);
	e.ms = NOW - 5000;
	run(&s, &e);
	assert_int_equal(get_le32(page(&s, FACT_sent_s, 2, 0)->bytes + 260), NOW / 1000 - 5);
	e.ms = 999; /* no clock: not a time */
	run(&s, &e);
	assert_int_equal(get_le32(page(&s, FACT_sent_s, 2, 0)->bytes + 260), NOW / 1000 - 5);
	e.ms = UINT64_MAX;
	e.sequence = 66;
	run(&s, &e);
	assert_int_equal(get_le32(page(&s, FACT_sent_s, 2, 0)->bytes + 264), UINT32_MAX);
	/* sequences 65 and 66 changed, and nothing else is written */
	assert_int_equal(page(&s, FACT_sent_s, 2, 0)->from, 260);
	assert_int_equal(page(&s, FACT_sent_s, 2, 0)->to, 268);
	e.sequence = 3;
	run(&s, &e);
	assert_int_equal(page(&s, FACT_sent_s, 2, 0)->from, 12);
	assert_int_equal(page(&s, FACT_sent_s, 2, 0)->to, 268);
	assert_int_equal(changed(&s, STATE_COUNTER, COUNTER_sent, 0), 6);
	assert_int_equal(s.dirty_campaigns[0]->first_ms, 999);
	assert_true(s.dirty_campaigns[0]->last_ms == UINT64_MAX);
	state_free(&s);
}

static void loaded_pages_are_kept(void **state)
{
	struct event e = {.kind = EVENT_ACCEPTED, .ms = NOW, .campaign = 1, .lane = 2, .sequence = 9};
	uint8_t there[STATE_PAGE + 9];
	struct state s;

	(void)state;
	memset(there, 0xff, sizeof there);
	state_init(&s);
	state_touch(&s, &e);
	assert_int_equal(s.wanted_page_count, 2);
	for (size_t i = 0; i < 2; i++)
		state_page_load(s.wanted_pages[i], s.wanted_pages[i]->fact == FACT_accepted
							   ? slice_of(there, 1)
							   : slice_of(there, sizeof there));
	state_campaign_load(s.wanted_campaigns[0], NOW - 1, NOW + 1);
	state_apply(&s, &e);
	assert_int_equal(page(&s, FACT_accepted, 2, 0)->bytes[0], 0xff); /* from Redis */
	assert_int_equal(page(&s, FACT_accepted, 2, 0)->bytes[1], 0x40); /* by the event */
	assert_int_equal(page(&s, FACT_accepted, 2, 0)->bytes[2], 0);
	assert_int_equal(get_le32(page(&s, FACT_accepted_s, 2, 0)->bytes + 36), NOW / 1000);
	assert_false(s.dirty_campaigns[0]->timed); /* within what Redis holds */
	state_committed(&s, 1 << 20);
	/* again: nothing to load, no page to write, the counter moves */
	state_touch(&s, &e);
	assert_int_equal(s.wanted_page_count, 0);
	assert_int_equal(s.wanted_campaign_count, 0);
	state_apply(&s, &e);
	assert_int_equal(s.dirty_page_count, 0);
	assert_int_equal(changed(&s, STATE_COUNTER, COUNTER_accepted, 0), 1);
	assert_int_equal(changed(&s, STATE_LANE, 2, 0), 0); /* known since the commit */
	assert_true(s.dirty_campaigns[0]->listed);
	state_free(&s);
}

static void campaigns(void **state)
{
	struct event e = {.kind = EVENT_CAMPAIGN,
		.ms = NOW,
		.campaign = 1,
		.lane = 9,
		.tenant = SLICE("shop"),
		.name = SLICE("may")};
	struct state s;

	(void)state;
	state_init(&s);
	run(&s, &e);
	assert_int_equal(s.dirty_page_count, 0);
	assert_int_equal(s.change_count, 0);
	assert_int_equal(s.dirty_campaign_count, 1);
	assert_true(s.dirty_campaigns[0]->named);
	assert_false(s.dirty_campaigns[0]->timed);
	test_slices_equal("tenant", s.dirty_campaigns[0]->tenant, SLICE("shop"));
	test_slices_equal("name", s.dirty_campaigns[0]->name, SLICE("may"));
	state_committed(&s, 1 << 20);
	assert_int_equal(s.dirty_campaign_count, 0);
	e.campaign = 2; /* only this one is dirty now */
	run(&s, &e);
	assert_int_equal(s.dirty_campaign_count, 1);
	assert_int_equal(s.dirty_campaigns[0]->key, 2);
	state_free(&s);
}

static void hits(void **state)
{
	struct event e = {.kind = EVENT_CLICK,
		.class = CLASS_HUMAN,
		.ms = NOW + 3600000,
		.campaign = 1,
		.link = 65535,
		.country = {'D', 'E'}};
	struct state s;

	(void)state;
	state_init(&s);
	run(&s, &e);
	run(&s, &e);
	e.class = CLASS_SCANNER;
	e.ms = NOW;
	run(&s, &e);
	assert_int_equal(changed(&s, STATE_LINK, 65535, 1), 2);
	assert_int_equal(changed(&s, STATE_LINK, 65535, 0), 1);
	assert_int_equal(changed(&s, STATE_PLACE, 'D' << 8 | 'E', COUNTER_click_human), 2);
	assert_int_equal(changed(&s, STATE_PLACE, 'D' << 8 | 'E', COUNTER_click_machine), 1);
	assert_int_equal(changed(&s, STATE_HOUR, HOUR + 1, COUNTER_click_human), 2);
	assert_int_equal(changed(&s, STATE_HOUR, HOUR, COUNTER_click_machine), 1);
	state_free(&s);
}

static void refused(void **state)
{
	struct event e = {.kind = EVENT_OPEN, .sequence = STATE_MAX_SEQUENCE};

	(void)state;
	assert_false(state_takes(&e));
	e.sequence--;
	assert_true(state_takes(&e));
	e.kind = (enum event_kind)99;
	assert_false(state_takes(&e));
	/* the last record of the widest column ends where a Redis string must */
	for (int f = 0; f < FACT_COUNT; f++)
		assert_true((uint64_t)fact_bytes((enum fact)f) * STATE_MAX_SEQUENCE <= 512u << 20);
}

/* Many pages, campaigns and lanes: nothing is mixed up, and the cap holds. */
static void many(void **state)
{
	struct state s;
	size_t one;

	(void)state;
	state_init(&s);
	for (uint32_t i = 0; i < 20000; i++) {
		struct event e = {.kind = EVENT_DEFERRED,
			.ms = NOW,
			.campaign = i % 500,
			.lane = i % 40,
			.sequence = i % 3 * 4096 + i % 64};

		run(&s, &e);
	}
	assert_int_equal(s.dirty_campaign_count, 500);
	for (size_t i = 0; i < s.dirty_page_count; i++)
		for (size_t k = 0; k < i && i < 300; k++)
			assert_false(s.dirty_pages[i]->campaign == s.dirty_pages[k]->campaign &&
				     s.dirty_pages[i]->lane == s.dirty_pages[k]->lane &&
				     s.dirty_pages[i]->number == s.dirty_pages[k]->number);
	/* campaign, lane and page all follow from i modulo 3000 */
	assert_int_equal(s.dirty_page_count, 3000);
	state_committed(&s, SIZE_MAX);
	one = state_bytes(&s);
	run(&s, &(struct event){.kind = EVENT_DEFERRED, .campaign = 3, .lane = 1, .ms = NOW});
	assert_true(state_bytes(&s) > one);
	state_committed(&s, one); /* over: only the last batch is kept */
	assert_int_equal(state_bytes(&s), sizeof(struct state_page) + sizeof(struct state_campaign));
	run(&s, &(struct event){.kind = EVENT_DEFERRED, .campaign = 3, .lane = 1, .ms = NOW});
	assert_int_equal(s.wanted_page_count, 0);
	state_committed(&s, 1);
	assert_int_equal(state_bytes(&s), 0);
	/* nothing is remembered of what was dropped; neighbours are told apart */
	for (unsigned i = 0; i < 12; i++)
		run(&s, &(struct event){
				.kind = EVENT_DEFERRED, .campaign = 3 + i / 4, .lane = 1 + i / 2, .ms = NOW});
	assert_int_equal(s.wanted_page_count, 6);
	state_committed(&s, 1);
	for (unsigned i = 0; i < 4; i++)
		run(&s, &(struct event){.kind = EVENT_DEFERRED, .campaign = 3 + i % 2, .lane = 1, .ms = NOW});
	assert_int_equal(s.wanted_page_count, 2);
	state_free(&s);
	state_free(&s);
}

/* Anonymous mail has one token for all: its hits are totals and nobody's bits. */
static void an_anonymous_hit_is_nobodys(void **state)
{
	struct event e = {.kind = EVENT_OPEN,
		.class = CLASS_HUMAN,
		.campaign = 1,
		.lane = 2,
		.sequence = EVENT_NO_SEQUENCE,
		.ms = NOW};
	struct state s;

	(void)state;
	state_init(&s);
	run(&s, &e);
	test_numbers_equal("pages", (long long)s.dirty_page_count, 0);
	test_numbers_equal("total", changed(&s, STATE_COUNTER, COUNTER_open_human, 0), 1);
	test_numbers_equal("hour", changed(&s, STATE_HOUR, HOUR, COUNTER_open_human), 1);
	e.sequence = EVENT_NO_SEQUENCE - 1;
	assert_false(state_takes(&e));
	state_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind),
		cmocka_unit_test(columns),
		cmocka_unit_test(loaded_pages_are_kept),
		cmocka_unit_test(campaigns),
		cmocka_unit_test(hits),
		cmocka_unit_test(refused),
		cmocka_unit_test(many),
		cmocka_unit_test(an_anonymous_hit_is_nobodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
