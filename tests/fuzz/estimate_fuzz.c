/* Whatever question is understood, the answer is JSON of the contract: bounds in
 * order within 0..1, the rate within them, no chance of exactly 0 or 1.
 *
 * The input is a question; or, if its first byte is even, a recipe for one: bytes
 * become rows, so that the model is reached without a fuzzer that knows JSON. */
#include "core/parse/json.h"
#include "reports/estimate_json.h"

#include <stdlib.h>

#define MEMORY ((size_t)1 << 30)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static double number(const struct json_value *v, const char *name)
{
	return json_number(json_find(v, name), -1.);
}

static bool is_null(const struct json_value *v, const char *name)
{
	return json_kind(json_find(v, name)) == JSON_NULL;
}

static void check_arrival(const struct json_value *v)
{
	double lo = number(v, "lo"), hi = number(v, "hi"), rate = number(v, "inbox_rate");

	if (number(v, "confirmed") < 0. || number(v, "confirmed") > number(v, "accepted"))
		abort();
	if (json_text(json_find(v, "status")).len == 0)
		abort();
	if (is_null(v, "lo") && is_null(v, "hi") && is_null(v, "inbox_rate"))
		return;
	if (lo < 0. || lo > hi || hi > 1.)
		abort();
	if (!is_null(v, "inbox_rate") && (rate < lo || rate > hi))
		abort();
}

static void check_provider(const struct json_value *v, size_t rows)
{
	size_t n = 0;

	check_arrival(v);
	for (const struct json_value *m = json_first(json_find(v, "p_inbox")); m; m = json_after(m), n++) {
		double p = json_number(m, .5);

		if (p <= 0. || p >= 1.)
			abort();
	}
	if (n != rows)
		abort();
}

static void ask(slice text)
{
	const struct est_without nothing = {0};
	const struct est_provider *p;
	struct estimate_question q;
	struct estimate e;
	struct json *doc;
	struct arena a;
	struct buf out, why;

	arena_init(&a, MEMORY, NULL, NULL);
	buf_init(&out, 1 << 20);
	buf_init(&why, 1024);
	if (estimate_json_decode(&a, text, &q, &why) == 0) {
		e = estimate_of(&a, &q.in, &nothing);
		estimate_json_encode(&q, &e, &out);
		if (json_open(&doc, buf_slice(&out)) < 0)
			abort();
		check_arrival(json_find(json_root(doc), "overall"));
		p = q.in.provider;
		for (const struct json_value *v = json_first(json_find(json_root(doc), "providers")); v;
			v = json_after(v), p++)
			check_provider(v, p->rows);
		if (p != q.in.provider + q.in.providers)
			abort();
		json_close(&doc);
	} else if (why.len == 0) {
		abort();
	}
	buf_free(&why);
	buf_free(&out);
	arena_free(&a);
}

/* Two providers at most, so that a turn stays short. */
static void cook(slice in, struct buf *out)
{
	unsigned campaigns = in.p[1] % 5 + 1, age = in.p[2], split = in.p[3];
	size_t at = 4;

	buf_str(out, "{\"version\":1,\"campaigns\":[");
	for (unsigned c = 0; c < campaigns; c++)
		buf_printf(out, "%s{\"age_h\":%u}", c ? "," : "", age);
	buf_str(out, "],\"providers\":[");
	for (unsigned p = 0; p < 2; p++) {
		buf_printf(out, "%s{\"name\":\"%s\",\"seeds\":[[%u,%u]],\"rows\":[", p ? "," : "",
			p ? "gmail" : "corporate", age, split < age ? split : age);
		for (size_t r = 0; at + campaigns < in.len && (p || r < split % 16); r++) {
			buf_printf(out, "%s[\"", r ? "," : "");
			for (unsigned c = 0; c < campaigns; c++)
				buf_printf(out, "%02x", in.p[at++]);
			buf_printf(out, "\",%u]", 1u << in.p[at++] % 28);
		}
		buf_str(out, "]}");
	}
	buf_str(out, "]}");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_of(data, size);
	struct buf text;

	if (size < 16 || data[0] % 2) {
		ask(in);
		return 0;
	}
	/* A cooked question takes long; one in 32 is enough of made-up inputs. */
	if (data[0] % 64)
		return 0;
	buf_init(&text, 1 << 16);
	cook(in, &text);
	ask(buf_slice(&text));
	buf_free(&text);
	return 0;
}
