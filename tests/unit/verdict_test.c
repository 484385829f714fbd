/* Hits of one message and what they are taken for together. Times in seconds. */
#include "tests/testing.h"

#include "core/model/verdict.h"

#include <stdlib.h>
#include <string.h>

#define MAX 12

struct row {
	const char *name;
	struct {
		double s;
		char kind; /* o, c, u */
		unsigned link, agent, network;
		enum hit_class class, want;
	} hit[MAX];
};

#define H CLASS_HUMAN
#define S CLASS_SCANNER
#define P CLASS_PROXY
#define A CLASS_AUTOMATION

/* Behind each hit: the tracker's class, and what it is with the others. */
static const struct row rows[] = {
	{"one click", {{0, 'c', 1, 0, 0, H, H}}},
	{"a reader: open, then two links",
		{{0, 'o', 0, 0, 0, H, H}, {3, 'c', 1, 0, 0, H, H}, {5, 'c', 2, 0, 0, H, H}}},
	{"a burst takes the first hit back, and the open with it",
		{{0, 'o', 0, 0, 0, H, S}, {0.2, 'c', 1, 0, 0, H, S}, {0.3, 'c', 2, 0, 0, H, S},
			{0.4, 'c', 3, 0, 0, H, S}}},
	{"a burst over just ten seconds",
		{{0, 'c', 1, 0, 0, H, S}, {5, 'c', 2, 0, 0, H, S}, {10, 'c', 3, 0, 0, H, S}}},
	{"slower than that",
		{{0, 'c', 1, 0, 0, H, H}, {5, 'c', 2, 0, 0, H, H}, {10.001, 'c', 3, 0, 0, H, H}}},
	{"one link again and again is no burst", {{0, 'c', 1, 0, 0, H, H}, {1, 'c', 1, 0, 0, H, H},
							 {2, 'c', 1, 0, 0, H, H}, {3, 'c', 2, 0, 0, H, H}}},
	{"the reader comes later", {{0, 'c', 1, 0, 0, H, S}, {1, 'c', 2, 0, 0, H, S}, {2, 'c', 3, 0, 0, H, S},
					   {600, 'o', 0, 0, 0, H, H}, {620, 'c', 2, 0, 0, H, H}}},
	{"the reader came before", {{0, 'c', 1, 0, 0, H, H}, {60, 'c', 1, 0, 0, H, S},
					   {61, 'c', 2, 0, 0, H, S}, {62, 'c', 3, 0, 0, H, S}}},
	{"link 0 is a link", {{0, 'c', 0, 0, 0, H, S}, {1, 'c', 1, 0, 0, H, S}, {2, 'c', 2, 0, 0, H, S}}},
	{"what named itself counts as part of a burst",
		{{0, 'c', 1, 0, 0, A, A}, {1, 'c', 2, 0, 0, H, S}, {2, 'c', 3, 0, 0, H, S}}},
	{"an image proxy stays one", {{0, 'o', 0, 0, 0, P, P}, {1, 'c', 1, 0, 0, H, S},
					     {2, 'c', 2, 0, 0, H, S}, {3, 'c', 3, 0, 0, H, S}}},
	{"an unsubscribe stays one", {{0, 'u', 0, 0, 0, H, H}, {1, 'c', 1, 0, 0, H, S},
					     {2, 'c', 2, 0, 0, H, S}, {3, 'c', 3, 0, 0, H, S}}},
	{"a mail program and a browser are two agents", {{0, 'o', 0, 7, 0, H, H}, {0.5, 'c', 1, 8, 0, H, H}}},
	{"a swarm of three", {{0, 'o', 0, 7, 0, H, S}, {0.5, 'c', 1, 8, 0, H, S}, {2, 'c', 1, 9, 0, H, S}}},
	{"three agents, but not at once",
		{{0, 'o', 0, 7, 0, H, H}, {1, 'c', 1, 8, 0, H, H}, {2.1, 'c', 1, 9, 0, H, H}}},
	{"agents that are not known are no swarm",
		{{0, 'o', 0, 0, 0, H, H}, {0, 'c', 1, 7, 0, H, H}, {0, 'c', 1, 8, 0, H, H}}},
	{"the scanner's later visit, known by agent and network",
		{{0, 'c', 1, 7, 5, S, S}, {900, 'c', 2, 7, 5, H, S}, {901, 'c', 2, 7, 6, H, H},
			{902, 'c', 2, 8, 5, H, H}}},
	{"in a mode without evidence it is not known", {{0, 'c', 1, 0, 0, S, S}, {900, 'c', 2, 0, 0, H, H}}},
	{"a burst is known again as well", {{0, 'c', 1, 7, 5, H, S}, {0, 'c', 2, 7, 5, H, S},
						   {0, 'c', 3, 7, 5, H, S}, {5000, 'o', 0, 7, 5, H, S}}},
};

static unsigned load(const struct row *r, struct verdict_hit *hits, enum hit_class *want)
{
	unsigned n = 0;

	for (; n < MAX && r->hit[n].kind; n++) {
		hits[n] = (struct verdict_hit){.ms = 1795219200000u + (uint64_t)(r->hit[n].s * 1000 + 0.5),
			.kind = r->hit[n].kind == 'o'   ? EVENT_OPEN
				: r->hit[n].kind == 'c' ? EVENT_CLICK
							: EVENT_UNSUBSCRIBE,
			.class = r->hit[n].class,
			.link = (uint16_t)r->hit[n].link,
			.agent = (uint16_t)r->hit[n].agent,
			.network = r->hit[n].network};
		want[n] = r->hit[n].want;
	}
	return n;
}

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct verdict_hit hits[MAX];
		enum hit_class want[MAX], got[MAX];
		unsigned n = load(&rows[i], hits, want);

		verdict_judge(&verdict_rules, hits, n, got);
		for (unsigned k = 0; k < n; k++)
			test_numbers_equal(rows[i].name, got[k], want[k]);
	}
}

static void rules_can_be_switched_off(void **state)
{
	const struct verdict_rules none = {.version = 9};
	struct verdict_hit hits[MAX];
	enum hit_class want[MAX], got[MAX];
	unsigned n = load(&rows[2], hits, want);

	(void)state;
	verdict_judge(&none, hits, n, got);
	for (unsigned k = 0; k < n; k++)
		assert_int_equal(got[k], hits[k].class);
}

/* Sorting makes one row of hits of whatever order they came in. */
static void the_order_is_total(void **state)
{
	struct verdict_hit a = {.ms = 5,
		.kind = EVENT_CLICK,
		.class = H,
		.link = 3,
		.country = {'D', 'E'},
		.agent = 4,
		.network = 5};
	struct verdict_hit b[7];

	(void)state;
	for (int i = 0; i < 7; i++)
		b[i] = a;
	b[0].ms = 6;
	b[1].kind = EVENT_UNSUBSCRIBE;
	b[2].class = CLASS_SELF;
	b[3].link = 4;
	b[4].country[1] = 'F';
	b[5].agent = 5;
	b[6].network = 6;
	assert_int_equal(verdict_order(&a, &a), 0);
	for (int i = 0; i < 7; i++) {
		assert_true(verdict_order(&a, &b[i]) < 0);
		assert_true(verdict_order(&b[i], &a) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(rules_can_be_switched_off),
		cmocka_unit_test(the_order_is_total),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
