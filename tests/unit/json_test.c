#include "core/base/refuse.h"
#include "core/parse/json.h"
#include "tests/testing.h"

#include <math.h>

static void writes(void **state)
{
	struct json_out j;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	json_start(&j, &out);
	json_object(&j, NULL);
	json_str(&j, "kind", SLICE("bounced"));
	json_array(&j, "codes");
	json_int(&j, NULL, -550);
	json_object(&j, NULL);
	json_end(&j);
	json_array(&j, NULL);
	json_end(&j);
	json_null(&j, NULL);
	json_end(&j);
	json_uint(&j, "n", UINT64_MAX);
	json_real(&j, "r", 0.1);
	json_real(&j, "nan", NAN);
	json_bool(&j, "yes", true);
	json_null(&j, "none");
	json_key(&j, SLICE("a\"b"));
	json_str(&j, NULL, SLICE_NONE);
	json_end(&j);
	assert_int_equal(j.depth, 0);
	test_slices_equal("all kinds", buf_slice(&out),
		SLICE("{\"kind\":\"bounced\",\"codes\":[-550,{},[],null],\"n\":18446744073709551615,\"r\":0."
		      "1,"
		      "\"nan\":null,\"yes\":true,\"none\":null,\"a\\\"b\":\"\"}"));
	buf_free(&out);
}

static const struct {
	const char *name;
	slice in, want;
} strings[] = {
	{"plain", SLICE("abc"), SLICE("\"abc\"")},
	{"escapes", SLICE("\"\\\n\r\t\x01/"), SLICE("\"\\\"\\\\\\n\\r\\t\\u0001/\"")},
	{"NUL", SLICE("a\0b"), SLICE("\"a\\u0000b\"")},
	{"UTF-8", SLICE("\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"),
		SLICE("\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\"")},
	{"not UTF-8", SLICE("\xff\xc3x"), SLICE("\"\xef\xbf\xbd\xef\xbf\xbdx\"")},
	{"overlong", SLICE("\xc0\xaf"), SLICE("\"\xef\xbf\xbd\xef\xbf\xbd\"")},
	{"surrogate", SLICE("\xed\xa0\x80"), SLICE("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"")},
	{"cut sequence", SLICE("\xe2\x82"), SLICE("\"\xef\xbf\xbd\xef\xbf\xbd\"")},
};

static void text(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
		slice in = test_guard(strings[i].in);
		struct json_out j;
		struct buf out;

		buf_init(&out, 4096);
		json_start(&j, &out);
		json_str(&j, NULL, in);
		test_slices_equal(strings[i].name, buf_slice(&out), strings[i].want);
		buf_free(&out);
		test_unguard(in);
	}
}

static void reads(void **state)
{
	slice in = test_guard(
		SLICE(" {\"a\":[1,-2.5,\"x\\u00fc\",true,null],\"A\":{\"n\":9007199254740993,\"i\":7}}\r\n"));
	const struct json_value *a, *v;
	struct json *doc;

	(void)state;
	assert_int_equal(json_open(&doc, in), 0);
	assert_int_equal(json_kind(json_root(doc)), JSON_OBJECT);
	a = json_find(json_root(doc), "a");
	assert_int_equal(json_kind(a), JSON_ARRAY);
	test_slices_equal("name", json_name(a), SLICE("a"));
	v = json_first(a);
	assert_int_equal(json_whole(v, 0, 10, -1), 1);
	assert_int_equal(json_whole(v, 2, 10, -1), -1);
	v = json_after(v);
	assert_true(json_number(v, 0) == -2.5);
	assert_int_equal(json_whole(v, -10, 10, 99), 99);
	v = json_after(v);
	test_slices_equal("text", json_text(v), SLICE("x\xc3\xbc"));
	assert_int_equal(json_whole(v, 0, 10, -1), -1);
	v = json_after(v);
	assert_true(json_truth(v, false));
	v = json_after(v);
	assert_int_equal(json_kind(v), JSON_NULL);
	assert_null(json_after(v));
	assert_int_equal(json_whole(json_find(json_find(json_root(doc), "A"), "n"), 0, INT64_MAX, -1), -1);
	assert_int_equal(json_whole(json_find(json_find(json_root(doc), "A"), "i"), 0, 9, -1), 7);
	assert_null(json_find(a, "x"));
	assert_null(json_find(NULL, "x"));
	assert_int_equal(json_kind(NULL), JSON_NONE);
	assert_int_equal(json_text(NULL).len, 0);
	json_close(&doc);
	assert_null(doc);
	json_close(&doc);
	test_unguard(in);
}

static const struct {
	const char *name;
	slice in;
	int rc;
} refused[] = {
	{"empty", SLICE_NONE, -REFUSE_SYNTAX},
	{"blank", SLICE("  "), -REFUSE_SYNTAX},
	{"cut", SLICE("{\"a\":"), -REFUSE_SYNTAX},
	{"text behind", SLICE("{} x"), -REFUSE_SYNTAX},
	{"two values", SLICE("1 2"), -REFUSE_SYNTAX},
	{"raw newline in a string", SLICE("\"a\nb\""), -REFUSE_SYNTAX},
	{"escaped NUL", SLICE("\"a\\u0000b\""), -REFUSE_NUL},
	{"escaped backslash before u0000", SLICE("\"a\\\\u0000b\""), 0},
	{"NUL", SLICE("1\0"), -REFUSE_NUL},
	{"brackets in a string",
		SLICE("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\""), 0},
};

static void refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		slice in = test_guard(refused[i].in);
		struct json *doc;

		test_numbers_equal(refused[i].name, json_open(&doc, in), refused[i].rc);
		assert_true(refused[i].rc == 0 ? doc != NULL : doc == NULL);
		json_close(&doc);
		test_unguard(in);
	}
}

static void depth(void **state)
{
	char in[2 * JSON_MAX_DEPTH + 2];
	struct json *doc;

	(void)state;
	for (int i = 0; i < JSON_MAX_DEPTH + 1; i++) {
		in[i] = '[';
		in[JSON_MAX_DEPTH + 1 + i] = ']';
	}
	assert_int_equal(json_open(&doc, slice_of(in, sizeof in)), -REFUSE_TOO_DEEP);
	assert_int_equal(json_open(&doc, slice_of(in + 1, sizeof in - 2)), 0);
	json_close(&doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes),
		cmocka_unit_test(text),
		cmocka_unit_test(reads),
		cmocka_unit_test(refusals),
		cmocka_unit_test(depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
