#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/model/event.h"

#include <string.h>

#define BASE 1795219200000u

static const struct event rows[] = {
	{.kind = EVENT_CAMPAIGN,
		.ms = BASE,
		.campaign = 1,
		.tenant = SLICE("shop"),
		.name = SLICE("may sale")},
	{.kind = EVENT_CAMPAIGN, .ms = BASE - 1, .campaign = UINT64_MAX},
	{.kind = EVENT_SENT,
		.ms = BASE + 5,
		.campaign = 2,
		.lane = 0xc0ffee,
		.sequence = 300,
		.recipient = 0x1122334455667788,
		.provider = 3,
		.queue_id = SLICE("4XyZ12abcdz")},
	{.kind = EVENT_SENT, .ms = 0, .campaign = 2, .lane = UINT32_MAX, .sequence = UINT32_MAX},
	{.kind = EVENT_ACCEPTED, .ms = UINT64_MAX, .campaign = 3, .reply = 250, .status = 2u << 20},
	{.kind = EVENT_DEFERRED, .ms = BASE, .campaign = 4, .reply = 451, .status = 4u << 20 | 7u << 10 | 1},
	{.kind = EVENT_BOUNCED,
		.ms = BASE,
		.campaign = 5,
		.reply = 550,
		.status = 5u << 20 | 1u << 10 | 1,
		.bounce = BOUNCE_HARD},
	{.kind = EVENT_OPEN,
		.ms = BASE + 1000000000,
		.campaign = 6,
		.class = CLASS_PROXY,
		.country = {'D', 'E'}},
	{.kind = EVENT_CLICK, .ms = BASE, .campaign = 7, .class = CLASS_SELF, .link = 65535},
	{.kind = EVENT_CLICK,
		.ms = BASE,
		.campaign = 7,
		.class = CLASS_HUMAN,
		.link = 2,
		.agent = 0xfffe,
		.network = 0x80000001},
	{.kind = EVENT_OPEN, .ms = BASE, .campaign = 7, .class = CLASS_PREFETCH, .agent = 1},
	{.kind = EVENT_UNSUBSCRIBE, .ms = BASE, .campaign = 7, .class = CLASS_HUMAN, .network = 1},
	{.kind = EVENT_UNSUBSCRIBE, .ms = BASE, .campaign = 8, .class = CLASS_HUMAN, .country = {'F', 'R'}},
	{.kind = EVENT_RECIPIENT, .ms = BASE, .campaign = 9, .sequence = 4, .name = SLICE("cust-4711")},
	{.kind = EVENT_OPEN, .ms = BASE, .campaign = 10, .place = PLACE_TOP, .class = CLASS_HUMAN},
	{.kind = EVENT_CLICK, .ms = BASE, .campaign = 11, .place = PLACE_AMP, .link = 3},
};
#define ROWS (sizeof rows / sizeof *rows)

static void same(const struct event *got, const struct event *want)
{
	const char *row = event_word(want->kind);

	test_numbers_equal(row, got->kind, want->kind);
	test_numbers_equal(row, (long long)got->ms, (long long)want->ms);
	test_numbers_equal(row, (long long)got->campaign, (long long)want->campaign);
	test_numbers_equal(row, got->lane, want->lane);
	test_numbers_equal(row, got->sequence, want->sequence);
	test_numbers_equal(row, (long long)got->recipient, (long long)want->recipient);
	test_numbers_equal(row, got->provider, want->provider);
	test_numbers_equal(row, got->reply, want->reply);
	test_numbers_equal(row, got->status, want->status);
	test_numbers_equal(row, got->bounce, want->bounce);
	test_numbers_equal(row, got->class, want->class);
	test_numbers_equal(row, got->link, want->link);
	test_numbers_equal(row, got->place, want->place);
	test_numbers_equal(row, got->agent, want->agent);
	test_numbers_equal(row, got->network, want->network);
	test_slices_equal(row, slice_of(got->country, 2), slice_of(want->country, 2));
	test_slices_equal(row, got->queue_id, want->queue_id);
	test_slices_equal(row, got->tenant, want->tenant);
	test_slices_equal(row, got->name, want->name);
}

static void inverse(void **state)
{
	struct buf out;
	slice rest;
	struct event e;

	(void)state;
	buf_init(&out, 1 << 16);
	for (size_t i = 0; i < ROWS; i++)
		event_encode(&rows[i], BASE, &out);
	rest = buf_slice(&out);
	for (size_t i = 0; i < ROWS; i++) {
		int n = event_decode(rest, BASE, &e);

		assert_true(n > 0);
		same(&e, &rows[i]);
		rest = slice_from(rest, (size_t)n);
	}
	assert_int_equal(event_decode(rest, BASE, &e), 0);
	buf_free(&out);
}

static void every_prefix(void **state)
{
	struct buf out;
	struct event e;

	(void)state;
	buf_init(&out, EVENT_MAX);
	for (size_t i = 0; i < ROWS; i++) {
		buf_clear(&out);
		event_encode(&rows[i], BASE, &out);
		for (size_t n = 1; n < out.len; n++) {
			slice cut = test_guard(slice_sub(buf_slice(&out), 0, n));

			test_numbers_equal(
				event_word(rows[i].kind), event_decode(cut, BASE, &e), -REFUSE_CUT);
			test_unguard(cut);
		}
	}
	buf_free(&out);
}

#define ID                                                                                                   \
	"\x00"                                                                                               \
	"\x01\x02\x03\x04\x05\x06\x07\x08"                                                                   \
	"\x0a\x0b\x0c\x0d"                                                                                   \
	"\x05"

static void drawn(void **state)
{
	static const struct {
		const char *name;
		slice in;
		int want;
	} table[] = {
		{"open",
			SLICE("\x06\x11" ID "\x01"
			      "DE"),
			19},
		{"open without country", SLICE("\x06\x11" ID "\x01\0\0"), 19},
		{"kind 0",
			SLICE("\x00\x11" ID "\x01"
			      "DE"),
			-REFUSE_SYNTAX},
		{"a byte too many",
			SLICE("\x06\x12" ID "\x01"
			      "DEx"),
			-REFUSE_SYNTAX},
		{"a byte too few",
			SLICE("\x06\x10" ID "\x01"
			      "D"),
			-REFUSE_SYNTAX},
		{"country in small letters",
			SLICE("\x06\x11" ID "\x01"
			      "de"),
			-REFUSE_SYNTAX},
		{"class 7",
			SLICE("\x06\x11" ID "\x07"
			      "DE"),
			-REFUSE_SYNTAX},
		{"bounce 4", SLICE("\x05\x11" ID "\x04\0\0"), -REFUSE_SYNTAX},
		{"link 65536",
			SLICE("\x07\x14" ID "\x01"
			      "DE"
			      "\x80\x80\x04"),
			-REFUSE_SYNTAX},
		{"sequence not shortest",
			SLICE("\x06\x12"
			      "\x00"
			      "\x01\x02\x03\x04\x05\x06\x07\x08"
			      "\x0a\x0b\x0c\x0d"
			      "\x85\x00"
			      "\x01"
			      "DE"),
			-REFUSE_SYNTAX},
		{"length not shortest",
			SLICE("\x06\x91\x00" ID "\x01"
			      "DE"),
			-REFUSE_SYNTAX},
		{"too long",
			SLICE("\x06\xff\x7f" ID "\x01"
			      "DE"),
			-REFUSE_RANGE},
		{"identity cut by the length", SLICE("\x06\x04\x00\x01\x02\x03"), -REFUSE_SYNTAX},
		{"later kind", SLICE("\x63\x14" ID "future"), 22},
		{"later kind, identity cut",
			SLICE("\x63\x03\x00"
			      "ab"),
			-REFUSE_SYNTAX},
		{"tenant longer than the event", SLICE("\x01\x0f" ID "\x05"), -REFUSE_SYNTAX},
	};
	struct event e;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		slice in = test_guard(table[i].in);

		test_numbers_equal(table[i].name, event_decode(in, BASE, &e), table[i].want);
		if (table[i].want > 0) {
			assert_int_equal(e.ms, BASE);
			assert_int_equal(e.campaign, 0x0807060504030201);
			assert_int_equal(e.lane, 0x0d0c0b0a);
			assert_int_equal(e.sequence, 5);
		}
		test_unguard(in);
	}
}

/* Whatever an encoder is given, it writes what decodes. */
static void always_decodes(void **state)
{
	static uint8_t text[2 * EVENT_MAX_TEXT];
	struct event e = {.kind = EVENT_CAMPAIGN, .ms = 1, .campaign = 9}, got;
	struct buf out;

	(void)state;
	memset(text, 'x', sizeof text);
	e.tenant = e.name = e.queue_id = slice_of(text, sizeof text);
	buf_init(&out, 2 * EVENT_MAX);
	event_encode(&e, UINT64_MAX, &out);
	assert_true(out.len <= EVENT_MAX);
	assert_int_equal(event_decode(buf_slice(&out), UINT64_MAX, &got), out.len);
	assert_int_equal(got.ms, 1);
	assert_int_equal(got.tenant.len, EVENT_MAX_TEXT);
	assert_int_equal(got.name.len, EVENT_MAX_TEXT);
	buf_clear(&out);
	e.kind = EVENT_SENT;
	event_encode(&e, 0, &out);
	assert_int_equal(event_decode(buf_slice(&out), 0, &got), out.len);
	assert_int_equal(got.queue_id.len, EVENT_MAX_TEXT);
	buf_clear(&out);
	e = (struct event){.kind = EVENT_OPEN, .country = {'d', 'e'}};
	event_encode(&e, 0, &out);
	assert_int_equal(event_decode(buf_slice(&out), 0, &got), out.len);
	assert_int_equal(got.country[0], 0);
	buf_free(&out);
}

static void statuses(void **state)
{
	static const struct {
		const char *text;
		uint32_t want;
	} table[] = {
		{"5.1.1", 5u << 20 | 1u << 10 | 1},
		{"2.0.0", 2u << 20},
		{"4.999.999", 4u << 20 | 999u << 10 | 999},
		{"", 0},
		{"5", 0},
		{"5.1", 0},
		{"5.1.", 0},
		{"5.1.1.", 0},
		{"5.1.1 ", 0},
		{"5..1", 0},
		{".1.1", 0},
		{"6.1.1", 0},
		{"5.1000.1", 0},
		{"5.1.1000", 0},
		{"5.-1.1", 0},
		{"a.b.c", 0},
	};
	struct buf out;

	(void)state;
	buf_init(&out, 64);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		test_numbers_equal(table[i].text, status_decode(slice_str(table[i].text)), table[i].want);
		if (!table[i].want)
			continue;
		buf_clear(&out);
		status_encode(table[i].want, &out);
		test_slices_equal(table[i].text, buf_slice(&out), slice_str(table[i].text));
	}
	buf_free(&out);
}

static void words(void **state)
{
	(void)state;
	assert_string_equal(event_word(EVENT_UNSUBSCRIBE), "unsubscribe");
	assert_string_equal(event_word((enum event_kind)99), "unknown");
	assert_string_equal(class_word(CLASS_PROXY), "image-proxy");
	assert_string_equal(class_word((enum hit_class)9), "unknown");
	assert_string_equal(bounce_word(BOUNCE_BLOCK), "block");
	assert_string_equal(bounce_word((enum bounce)4), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inverse),
		cmocka_unit_test(every_prefix),
		cmocka_unit_test(drawn),
		cmocka_unit_test(always_decodes),
		cmocka_unit_test(statuses),
		cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
