/* Kept hits in memory: whatever the batches, what stands in the state is what the
 * whole row of hits says. */
#include "tests/testing.h"

#include "core/base/must.h"
#include "core/model/kept.h"

#include <string.h>

#define NOW UINT64_C(1795219200000)

static struct state s;
static struct kept k;

/* Redis, for as long as a test runs: what was appended to the one block there is. */
static uint8_t stored[1 << 16];
static size_t stored_len;

static int open_all(void **unused)
{
	(void)unused;
	state_init(&s);
	kept_init(&k);
	stored_len = 0;
	return 0;
}

static int close_all(void **unused)
{
	(void)unused;
	state_free(&s);
	kept_free(&k);
	return 0;
}

static void load_pages(void)
{
	for (size_t i = 0; i < s.wanted_page_count; i++)
		if (!s.wanted_pages[i]->loaded)
			state_page_load(s.wanted_pages[i], SLICE_NONE);
	for (size_t i = 0; i < s.wanted_campaign_count; i++)
		if (!s.wanted_campaigns[i]->loaded)
			state_campaign_load(s.wanted_campaigns[i], 0, 0);
}

/* One batch; the state is committed by the caller. */
static void batch(const struct event *events, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		state_touch(&s, &events[i]);
		kept_touch(&k, &events[i]);
	}
	for (size_t i = 0; i < k.wanted_count; i++)
		kept_load(k.wanted[i], slice_of(stored, stored_len));
	load_pages();
	for (size_t i = 0; i < n; i++)
		state_apply(&s, &events[i]);
	kept_settle(&k, &verdict_rules, &s);
	load_pages();
	kept_apply(&k, &s);
	for (size_t i = 0; i < k.dirty_count; i++) {
		must(stored_len + k.dirty[i]->fresh.len <= sizeof stored);
		memcpy(stored + stored_len, k.dirty[i]->fresh.p, k.dirty[i]->fresh.len);
		stored_len += k.dirty[i]->fresh.len;
	}
}

static int64_t counted(enum counter c)
{
	int64_t n = 0;

	for (size_t i = 0; i < s.change_count; i++)
		if (s.changes[i].what == STATE_COUNTER && s.changes[i].a == c)
			n += s.changes[i].n;
	return n;
}

/* By people, on a link. */
static int64_t clicked(uint16_t link)
{
	int64_t n = 0;

	for (size_t i = 0; i < s.change_count; i++)
		if (s.changes[i].what == STATE_LINK && s.changes[i].a == link && s.changes[i].b)
			n += s.changes[i].n;
	return n;
}

static bool bit(enum fact f, uint32_t sequence)
{
	for (size_t i = 0; i < s.dirty_page_count; i++)
		if (s.dirty_pages[i]->fact == f)
			return s.dirty_pages[i]->bytes[sequence / 8] >> (7 - sequence % 8) & 1;
	return false;
}

static struct event click(uint32_t sequence, uint16_t link, uint64_t ms)
{
	return (struct event){.kind = EVENT_CLICK,
		.class = CLASS_HUMAN,
		.campaign = 1,
		.lane = 2,
		.sequence = sequence,
		.link = link,
		.ms = ms};
}

/* A third link within seconds takes the first two clicks back, from pages that
 * only now are wanted. */
static void the_first_hit_is_taken_back(void **state)
{
	struct event e[3] = {click(9, 1, NOW), click(9, 2, NOW + 100), click(9, 3, NOW + 200)};

	(void)state;
	batch(e, 2);
	assert_int_equal(counted(COUNTER_click_human), 2);
	assert_true(bit(FACT_clicked_human, 9));
	kept_committed(&k, SIZE_MAX);
	batch(e + 2, 1);
	assert_int_equal(counted(COUNTER_click_human), 0);
	assert_int_equal(counted(COUNTER_click_machine), 3);
	assert_false(bit(FACT_clicked_human, 9));
	assert_true(bit(FACT_clicked_machine, 9));
	assert_false(bit(FACT_clicked_machine, 8));
	for (size_t i = 0; i < s.change_count; i++) {
		if (s.changes[i].what == STATE_LINK)
			assert_int_equal(s.changes[i].n, !s.changes[i].b);
		if (s.changes[i].what == STATE_HOUR)
			assert_int_equal(s.changes[i].n, s.changes[i].b == COUNTER_click_machine ? 3 : 0);
	}
	for (size_t i = 0; i < s.dirty_page_count; i++)
		if (s.dirty_pages[i]->fact == FACT_clicked_s)
			for (size_t b = 0; b < STATE_PAGE; b++)
				assert_int_equal(s.dirty_pages[i]->bytes[b], 0);
}

/* The same with nothing in memory between the two: the block comes from Redis. */
static void from_redis_as_well(void **state)
{
	struct event e[3] = {click(9, 1, NOW), click(9, 2, NOW + 100), click(9, 3, NOW + 200)};

	(void)state;
	batch(e, 2);
	kept_committed(&k, 0);
	assert_int_equal(kept_bytes(&k), 0);
	batch(e + 2, 1);
	assert_int_equal(counted(COUNTER_click_human), 0);
	assert_int_equal(counted(COUNTER_click_machine), 3);
	assert_int_equal(stored_len, 3 * KEPT_RECORD);
}

/* Whoever fetches a pixel for ever fills no store. */
static void a_message_has_enough_hits(void **state)
{
	struct event e[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		e[i] = click(9, 1, NOW);
	for (unsigned i = 0; i < 100; i++) {
		e[0].ms += 60000;
		e[1].ms = e[2].ms = e[0].ms + i;
		batch(e, 3);
		kept_committed(&k, SIZE_MAX);
	}
	e[0] = click(10, 1, NOW); /* its neighbour has room */
	batch(e, 1);
	assert_int_equal(counted(COUNTER_click_human), KEPT_MOST + 1);
	assert_int_equal(counted(COUNTER_hits_over), 300 - KEPT_MOST);
	assert_int_equal(stored_len, (KEPT_MOST + 1) * KEPT_RECORD);
	kept_committed(&k, SIZE_MAX);
	/* and so have those that come with one hit too many */
	e[0] = click(9, 1, NOW);
	e[1] = click(10, 7, NOW + 3600000);
	e[2] = click(11, 8, NOW + 3600000);
	batch(e, 3);
	assert_int_equal(counted(COUNTER_hits_over), 300 - KEPT_MOST + 1);
	assert_int_equal(stored_len, (KEPT_MOST + 3) * KEPT_RECORD);
	assert_int_equal(clicked(7), 1);
	assert_int_equal(clicked(8), 1);
}

static void anonymous_hits_need_nothing(void **state)
{
	struct event e[3] = {click(EVENT_NO_SEQUENCE, 1, NOW), click(EVENT_NO_SEQUENCE, 2, NOW),
		click(EVENT_NO_SEQUENCE, 3, NOW)};

	(void)state;
	batch(e, 3);
	assert_int_equal(k.wanted_count, 0); /* nor is anything loaded */
	assert_int_equal(s.dirty_page_count, 0);
	assert_int_equal(counted(COUNTER_click_human), 3);
	assert_int_equal(k.dirty_count, 1);
	assert_int_equal(k.dirty[0]->number, KEPT_ANONYMOUS | (uint32_t)(NOW / 86400000));
}

static unsigned walked;

static void see(
	void *arg, uint32_t sequence, const struct verdict_hit *hits, const enum hit_class *class, unsigned n)
{
	const struct event *want = arg;

	walked++;
	assert_int_equal(n, 1);
	assert_int_equal(sequence, want->sequence);
	assert_int_equal(hits->ms, want->ms);
	assert_int_equal(hits->kind, want->kind);
	assert_int_equal(hits->place, want->place);
	assert_int_equal(hits->class, want->class);
	assert_int_equal(class[0], want -> class);
	assert_int_equal(hits->link, want->link);
	assert_int_equal(hits->agent, want->agent);
	assert_int_equal(hits->network, want->network);
	assert_memory_equal(hits->country, want->country, 2);
}

/* What goes in comes out: every field at its ends. */
static void records(void **state)
{
	static const struct event rows[] = {
		{.kind = EVENT_OPEN, .ms = NOW, .class = CLASS_PROXY, .country = {'D', 'E'}},
		{.kind = EVENT_OPEN, .place = PLACE_TOP, .ms = NOW, .class = CLASS_SELF},
		{.kind = EVENT_CLICK,
			.ms = NOW,
			.class = CLASS_HUMAN,
			.link = 65535,
			.agent = 65535,
			.network = UINT32_MAX},
		{.kind = EVENT_CLICK,
			.place = PLACE_AMP,
			.ms = 1577836800000 + (UINT64_C(1) << 40) - 1,
			.link = 1},
		{.kind = EVENT_UNSUBSCRIBE, .ms = 1577836800000, .class = CLASS_HUMAN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct event e = rows[i];

		close_all(NULL);
		open_all(NULL);
		e.sequence = 0x3ffff00 + (uint32_t)i * 51;
		batch(&e, 1);
		walked = 0;
		kept_walk(&verdict_rules, e.sequence / KEPT_BLOCK, slice_of(stored, stored_len), see, &e);
		assert_int_equal(walked, 1);
		/* a record that was cut is none */
		kept_walk(&verdict_rules, e.sequence / KEPT_BLOCK, slice_of(stored, stored_len - 1), see, &e);
		assert_int_equal(walked, 1);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)
	const struct CMUnitTest tests[] = {
		T(the_first_hit_is_taken_back),
		T(from_redis_as_well),
		T(a_message_has_enough_hits),
		T(anonymous_hits_need_nothing),
		T(records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
