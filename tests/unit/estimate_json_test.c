#include "core/base/refuse.h"
#include "core/parse/json.h"
#include "reports/estimate_json.h"
#include "tests/testing.h"

#include <math.h>
#include <string.h>

#define HEAD                                                                                                 \
	"{\"version\":1,\"campaigns\":[{\"id\":\"a\",\"age_h\":240},{\"id\":\"b\",\"age_h\":72,\"target\":"  \
	"true}]"
#define ROWS(rows) HEAD ",\"providers\":[{\"name\":\"gmail\",\"rows\":" rows "}]}"

static const struct {
	const char *name;
	slice in;
	int want;
} rows[] = {
	{"whole", SLICE(ROWS("[[\"0301\",900],[\"0103\",100],[\"80Fe\",0]]")), 0},
	{"no providers", SLICE(HEAD "}"), 0},
	{"no rows", SLICE(HEAD ",\"providers\":[{\"name\":\"x\"}]}"), 0},
	{"nothing", SLICE(""), -REFUSE_SYNTAX},
	{"not JSON", SLICE("{\"version\":"), -REFUSE_SYNTAX},
	{"another version", SLICE("{\"version\":2,\"campaigns\":[{}]}"), -REFUSE_RANGE},
	{"no campaigns", SLICE("{\"version\":1,\"providers\":[]}"), -REFUSE_RANGE},
	{"no age", SLICE("{\"version\":1,\"campaigns\":[{\"id\":\"a\"}]}"), -REFUSE_RANGE},
	{"target not last",
		SLICE("{\"version\":1,\"campaigns\":[{\"target\":true,\"age_h\":9},{\"age_h\":3}]}"),
		-REFUSE_RANGE},
	{"level", SLICE("{\"version\":1,\"level\":1,\"campaigns\":[{\"age_h\":3}]}"), -REFUSE_RANGE},
	{"history too short", SLICE(ROWS("[[\"03\",1]]")), -REFUSE_RANGE},
	{"history too long", SLICE(ROWS("[[\"030303\",1]]")), -REFUSE_RANGE},
	{"not hex", SLICE(ROWS("[[\"03g1\",1]]")), -REFUSE_RANGE},
	{"no count", SLICE(ROWS("[[\"0301\"]]")), -REFUSE_RANGE},
	{"count below 0", SLICE(ROWS("[[\"0301\",-1]]")), -REFUSE_RANGE},
	{"count beyond all", SLICE(ROWS("[[\"0301\",1e10]]")), -REFUSE_RANGE},
	{"row is no array", SLICE(ROWS("[7]")), -REFUSE_RANGE},
	{"mail", SLICE(HEAD ",\"providers\":[{\"mail\":[[9,9,0,0,0,0,0],[9,\"x\"]],\"rows\":[]}]}"),
		-REFUSE_RANGE},
	{"more seeds arrived than were sent",
		SLICE(HEAD ",\"providers\":[{\"seeds\":[null,[5,6,0,0]],\"rows\":[]}]}"), -REFUSE_RANGE},
	{"edges that fall",
		SLICE("{\"version\":1,\"campaigns\":[{\"age_h\":3}],\"delays\":{\"edges_h\":[2,1],\"open\":[]"
		      "}}"),
		-REFUSE_RANGE},
};

static void decodes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in);
		struct estimate_question q;
		struct arena a;
		struct buf why;

		arena_init(&a, 1 << 24, NULL, NULL);
		buf_init(&why, 1024);
		test_numbers_equal(rows[i].name, estimate_json_decode(&a, in, &q, &why), rows[i].want);
		/* A refusal says why, in one line. */
		assert_true((why.len > 0) == (rows[i].want < 0));
		assert_true(slice_chr(buf_slice(&why), '\n', 0) == SLICE_NPOS);
		buf_free(&why);
		arena_free(&a);
		test_unguard(in);
	}
}

static void keeps(void **state)
{
	slice in = test_guard(SLICE(
		HEAD ",\"level\":0.8,\"delays\":{\"edges_h\":[1,24],\"open\":[5,6,7],\"prefetch\":[8,9,10]},"
		     "\"providers\":[{\"name\":\"yahoo\",\"mail\":[[10,9,1,1,0,2,3],[20,19]],\"seeds\":[null,"
		     "[8,6,1,1]],"
		     "\"rows\":[[\"0123\",4],[\"8045\",2]]}]}"));
	const struct est_provider *p;
	struct estimate_question q;
	struct arena a;
	struct buf why;

	(void)state;
	arena_init(&a, 1 << 24, NULL, NULL);
	buf_init(&why, 1024);
	assert_int_equal(estimate_json_decode(&a, in, &q, &why), 0);
	test_unguard(in);
	test_slices_equal("target", q.target, SLICE("b"));
	assert_true(q.in.level == .8 && q.in.age_h == 72.);
	assert_int_equal(q.in.campaigns, 2);
	assert_int_equal(q.in.providers, 1);
	assert_true(q.in.delays.edges == 2 && q.in.delays.open[2] == 7. && q.in.delays.fetch[0] == 8.);
	p = q.in.provider;
	test_slices_equal("name", p->name, SLICE("yahoo"));
	assert_true(p->mail[0].blocked == 2. && p->mail[0].complaints == 3. && p->mail[1].accepted == 19.);
	assert_true(p->seeds[0].sent == 0. && p->seeds[1].inbox == 6.);
	assert_int_equal(p->rows, 2);
	assert_memory_equal(p->code, "\x01\x23\x80\x45", 4);
	assert_true(p->count[1] == 2.);
	buf_free(&why);
	arena_free(&a);
}

static void encodes(void **state)
{
	static const double messages[] = {.98765, NAN};
	struct estimate_provider p[] = {
		{.all = {100., 40., true, true, .8123456, .7, .9, EST_STATUS_PANEL},
			.has_change = true,
			.change = {1., .9, 1.125, .01, .02},
			.alarm = EST_ALARM_WATCH,
			.message = messages},
		{.all = {0., 0., false, false, 0., 0., 0., EST_STATUS_NO_MAIL}},
	};
	const struct estimate e = {{100., 40., false, true, 0., .4, 1., EST_STATUS_TOO_EARLY}, p};
	const struct est_provider in[] = {
		{SLICE("gmail"), 2, NULL, NULL, NULL, NULL}, {.name = SLICE("x\"y")}};
	struct estimate_question q = {{.level = .9, .providers = 2, .provider = in}, SLICE("may")};
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	estimate_json_encode(&q, &e, &out);
	test_slices_equal("answer", buf_slice(&out),
		SLICE("{\"version\":1,\"level\":0.9,\"target\":\"may\",\"overall\":{\"accepted\":100,"
		      "\"confirmed\":40,"
		      "\"inbox_rate\":null,\"lo\":0.4,\"hi\":1,\"status\":\"too_early\"},\"providers\":[{"
		      "\"name\":"
		      "\"gmail\",\"accepted\":100,\"confirmed\":40,\"inbox_rate\":0.81235,\"lo\":0.7,\"hi\":"
		      "0.9,"
		      "\"status\":\"identified_by_panel\",\"vs_history\":{\"ratio\":1,\"lo\":0.9,\"hi\":1."
		      "125},"
		      "\"alarm\":\"watch\",\"p_collapse\":0.01,\"p_low\":0.02,\"p_inbox\":[0.9877,null]},{"
		      "\"name\":"
		      "\"x\\\"y\",\"accepted\":0,\"confirmed\":0,\"inbox_rate\":null,\"lo\":null,\"hi\":null,"
		      "\"status\":\"no_mail\",\"vs_history\":null,\"alarm\":\"none\",\"p_collapse\":null,"
		      "\"p_low\":null,\"p_inbox\":[]}]}"));
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes),
		cmocka_unit_test(keeps),
		cmocka_unit_test(encodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
