#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/model/account.h"
#include "core/model/rkey.h"

#include <string.h>

static void is(struct rkey k, const char *want)
{
	test_slices_equal(want, rkey_slice(&k), slice_str(want));
}

static void names(void **state)
{
	const uint64_t c = 0x0123456789abcdef;

	(void)state;
	is(rkey_stream(7, 0x00c0ffee), "lf:{p7}:in:00c0ffee");
	is(rkey_lanes(0), "lf:{p0}:lanes");
	is(rkey_cursor(1023), "lf:{p1023}:cursor");
	is(rkey_fence(7), "lf:{p7}:fence");
	is(rkey_lease(7), "lf:{p7}:lease");
	is(rkey_campaigns(7), "lf:{p7}:campaigns");
	is(rkey_campaign(7, c), "lf:{p7}:c:0123456789abcdef");
	is(rkey_campaign_lanes(7, 1), "lf:{p7}:cl:0000000000000001");
	is(rkey_links(7, c), "lf:{p7}:ln:0123456789abcdef");
	is(rkey_hours(7, c), "lf:{p7}:h:0123456789abcdef");
	is(rkey_places(7, c), "lf:{p7}:pl:0123456789abcdef");
	is(rkey_fact(4294967295, c, 0xc0ffee, FACT_opened_prefetch),
		"lf:{p4294967295}:f:0123456789abcdef:00c0ffee:opened_prefetch");
	is(rkey_queue(SLICE("4XyZ12abcdz")), "lf:q:4XyZ12abcdz");
	assert_int_equal(partition_of(UINT64_MAX, 16), 15);
	assert_int_equal(partition_of(32, 16), 0);
}

static void queue_ids_of_any_length(void **state)
{
	static uint8_t id[512];
	struct rkey a, b;

	(void)state;
	memset(id, 'q', sizeof id);
	for (size_t n = 0; n <= sizeof id; n++) {
		a = rkey_queue(slice_of(id, n));
		b = rkey_queue(slice_of(id, n));
		assert_true(a.len <= RKEY_MAX);
		test_slices_equal("same", rkey_slice(&a), rkey_slice(&b));
	}
}

static void hex(void **state)
{
	static const struct {
		const char *text;
		bool ok32, ok64;
	} rows[] = {
		{"00c0ffee", true, false},
		{"ffffffff", true, false},
		{"00C0FFEE", false, false},
		{"0c0ffee", false, false},
		{"000c0ffee", false, false},
		{"00c0ffeg", false, false},
		{"", false, false},
		{"0x00c0ff", false, false},
		{"0123456789abcdef", false, true},
		{"ffffffffffffffff", false, true},
		{"0123456789abcdeF", false, false},
		{"-123456789abcdef", false, false},
	};
	uint32_t lane;
	uint64_t campaign;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		test_numbers_equal(rows[i].text, hex32_decode(slice_str(rows[i].text), &lane), rows[i].ok32);
		test_numbers_equal(
			rows[i].text, hex64_decode(slice_str(rows[i].text), &campaign), rows[i].ok64);
	}
	assert_true(hex32_decode(SLICE("00c0ffee"), &lane) && lane == 0xc0ffee);
	assert_true(hex64_decode(SLICE("0123456789abcdef"), &campaign) && campaign == 0x0123456789abcdef);
}

static void facts(void **state)
{
	(void)state;
	assert_string_equal(fact_word(FACT_sent), "sent");
	assert_string_equal(fact_word(FACT_clicked_s), "clicked_s");
	assert_int_equal(fact_form(FACT_unsubscribed), FACT_BITS);
	assert_int_equal(fact_form(FACT_provider), FACT_FIRST);
	assert_int_equal(fact_form(FACT_opened_s), FACT_LEAST);
	assert_int_equal(fact_bytes(FACT_sent), 0);
	assert_int_equal(fact_bytes(FACT_recipient), 8);
	assert_string_equal(counter_word(COUNTER_click_machine), "click_machine");
	assert_int_equal(counter_form(COUNTER_first_ms), COUNTER_LEAST);
	assert_int_equal(counter_form(COUNTER_last_ms), COUNTER_MOST);
	assert_int_equal(counter_form(COUNTER_sent), COUNTER_SUM);
}

static void accounts(void **state)
{
	static const struct {
		const char *name;
		slice text;
		int want;
	} rows[] = {
		{"empty", SLICE(""), 0},
		{"unknown words", SLICE("a=b made=3 new=x=y"), 0},
		{"no value", SLICE("made"), -REFUSE_SYNTAX},
		{"no word", SLICE("=3"), -REFUSE_SYNTAX},
		{"no number", SLICE("made="), -REFUSE_SYNTAX},
		{"sign", SLICE("made=-3"), -REFUSE_SYNTAX},
		{"too large", SLICE("made=18446744073709551616"), -REFUSE_SYNTAX},
		{"long program", SLICE("program=sixteen-letters-"), -REFUSE_SYNTAX},
		{"program with NUL", SLICE("program=a\0b"), -REFUSE_SYNTAX},
	};
	struct account a = {.made = UINT64_MAX,
			       .shipped = 2,
			       .lost = 3,
			       .ms = 1795219200000,
			       .program = "tracker"},
		       b;
	struct buf out;

	(void)state;
	buf_init(&out, 512);
	account_encode(&a, &out);
	test_slices_equal("text", buf_slice(&out),
		SLICE("program=tracker made=18446744073709551615 shipped=2 lost=3 ms=1795219200000"));
	assert_int_equal(account_decode(buf_slice(&out), &b), 0);
	assert_memory_equal(&a, &b, sizeof a);
	buf_free(&out);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].text);

		test_numbers_equal(rows[i].name, account_decode(in, &b), rows[i].want);
		test_unguard(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(queue_ids_of_any_length),
		cmocka_unit_test(hex),
		cmocka_unit_test(facts),
		cmocka_unit_test(accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
