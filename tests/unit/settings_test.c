#include "core/base/refuse.h"
#include "rewriter/settings.h"
#include "tests/testing.h"

#include <stdio.h>
#include <string.h>

/* want: "domain=host:port,host:port" for each route, or part of the complaint. */
static const struct row {
	const char *name, *next_hop, *routes;
	int rc;
	const char *want;
} rows[] = {
	{"one", "rewriter.next_hop=10.0.0.1:25", "rewriter.routes=", 0, "=10.0.0.1:25"},
	{"several", "rewriter.next_hop=a.test:25  b.test:26", "rewriter.routes=", 0, "=a.test:25,b.test:26"},
	{"routes", "rewriter.next_hop=a.test:25",
		"rewriter.routes=Brand.Test=b.test:25,[::1]:2525 .c.test=d.test:1", 0,
		"=a.test:25 brand.test=b.test:25,::1:2525 .c.test=d.test:1"},
	{"no hop", "rewriter.next_hop=a.test:25", "rewriter.routes=b.test=", -REFUSE_SYNTAX, "\"b.test=\""},
	{"no domain", "rewriter.next_hop=a.test:25", "rewriter.routes==b.test:1", -REFUSE_SYNTAX,
		"\"=b.test:1\""},
	{"no equals", "rewriter.next_hop=a.test:25", "rewriter.routes=b.test:1", -REFUSE_SYNTAX,
		"\"b.test:1\""},
	{"empty hop", "rewriter.next_hop=a.test:25", "rewriter.routes=b=c:1,,d:2", -REFUSE_SYNTAX,
		"\"b=c:1,,d:2\""},
	{"to ourselves", "rewriter.next_hop=a.test:25 127.0.0.1:2525", "rewriter.routes=", -REFUSE_SYNTAX,
		"circles"},
	{"to ourselves by a route", "rewriter.next_hop=a.test:25", "rewriter.routes=b=127.0.0.1:2525",
		-REFUSE_SYNTAX, "circles"},
};

static void say(const struct hops_routes *routes, struct buf *out)
{
	for (unsigned i = 0; i < routes->count; i++) {
		const struct hops_route *r = &routes->at[i];

		buf_str(out, i ? " " : "");
		buf_put(out, r->domain);
		for (unsigned k = 0; k < r->count; k++)
			buf_printf(out, "%s%s:%d", k ? "," : "=", r->hop[k].host, r->hop[k].port);
	}
}

static void routes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];
		struct hops_routes got;
		struct config c;
		struct buf text;
		int rc;

		buf_init(&text, 4096);
		assert_int_equal(config_open(&c, NULL, &text), 0);
		assert_int_equal(config_set(&c, slice_str(row->next_hop), &text), 0);
		assert_int_equal(config_set(&c, slice_str(row->routes), &text), 0);
		rc = settings_routes(&c.arena, &c, &got, &text);
		test_numbers_equal(row->name, rc, row->rc);
		if (rc == 0) {
			say(&got, &text);
			test_slices_equal(row->name, buf_slice(&text), slice_str(row->want));
		} else {
			test_numbers_equal(row->name,
				slice_find(buf_slice(&text), slice_str(row->want), 0) != SLICE_NPOS, true);
		}
		config_close(&c);
		buf_free(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
