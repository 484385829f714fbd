#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/parse/b64.h"

#include <string.h>

/* RFC 4648 section 10, without padding */
static const struct {
	const char *plain, *b64, *b32;
} vectors[] = {
	{"", "", ""},
	{"f", "Zg", "my"},
	{"fo", "Zm8", "mzxq"},
	{"foo", "Zm9v", "mzxw6"},
	{"foob", "Zm9vYg", "mzxw6yq"},
	{"fooba", "Zm9vYmE", "mzxw6ytb"},
	{"foobar", "Zm9vYmFy", "mzxw6ytboi"},
	{"\xfb\xff\xfe", "-__-", "7p774"},
};

static void known(void **state)
{
	uint8_t room[16];
	struct buf out;

	(void)state;
	buf_init(&out, 64);
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		slice plain = slice_str(vectors[i].plain), text;

		buf_clear(&out);
		b64url_encode(plain, &out);
		test_slices_equal("b64", buf_slice(&out), slice_str(vectors[i].b64));
		text = test_guard(buf_slice(&out));
		assert_int_equal(b64url_decode(text, room, plain.len), plain.len);
		test_slices_equal("b64 back", slice_of(room, plain.len), plain);
		if (plain.len)
			assert_int_equal(b64url_decode(text, room, plain.len - 1), -REFUSE_LENGTH);
		test_unguard(text);

		buf_clear(&out);
		b32_encode(plain, &out);
		test_slices_equal("b32", buf_slice(&out), slice_str(vectors[i].b32));
		text = test_guard(buf_slice(&out));
		assert_int_equal(b32_decode(text, room, plain.len), plain.len);
		test_slices_equal("b32 back", slice_of(room, plain.len), plain);
		if (plain.len)
			assert_int_equal(b32_decode(text, room, plain.len - 1), -REFUSE_LENGTH);
		test_unguard(text);
	}
	buf_free(&out);
}

static void refused(void **state)
{
	static const struct {
		const char *text;
		int b64, b32;
	} rows[] = {
		{"A", -REFUSE_LENGTH, -REFUSE_LENGTH},
		{"Zh", -REFUSE_NOT_CANONICAL, -REFUSE_NOT_CANONICAL},
		{"Zm9", -REFUSE_NOT_CANONICAL, -REFUSE_LENGTH},
		{"Zg==", -REFUSE_ALPHABET, -REFUSE_ALPHABET},
		{"Z+", -REFUSE_ALPHABET, -REFUSE_ALPHABET},
		{"Z/", -REFUSE_ALPHABET, -REFUSE_ALPHABET},
		{"\xffg", -REFUSE_ALPHABET, -REFUSE_ALPHABET},
		{"Z\n", -REFUSE_ALPHABET, -REFUSE_ALPHABET},
		{"MY", -REFUSE_NOT_CANONICAL, 1},
		{"My", -REFUSE_NOT_CANONICAL, 1},
		{"m1", -REFUSE_NOT_CANONICAL, -REFUSE_ALPHABET},
		{"abcdef", -REFUSE_NOT_CANONICAL, -REFUSE_LENGTH},
	};
	uint8_t room[16];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(slice_str(rows[i].text));

		test_numbers_equal(rows[i].text, b64url_decode(in, room, sizeof room), rows[i].b64);
		test_numbers_equal(rows[i].text, b32_decode(in, room, sizeof room), rows[i].b32);
		test_unguard(in);
	}
}

/* Every text of up to three characters that decodes encodes to itself. */
static void one_text_for_one_value(void **state)
{
	uint8_t room[4], text[3];
	struct buf out;
	long good64 = 0, good32 = 0;

	(void)state;
	buf_init(&out, 16);
	for (uint32_t v = 0; v < 1u << 21; v++) {
		int n;

		text[0] = v & 127;
		text[1] = v >> 7 & 127;
		text[2] = v >> 14 & 127;
		n = b64url_decode(slice_of(text, 3), room, sizeof room);
		if (n >= 0) {
			good64++;
			buf_clear(&out);
			b64url_encode(slice_of(room, (size_t)n), &out);
			test_slices_equal("b64", buf_slice(&out), slice_of(text, 3));
		}
		n = b32_decode(slice_of(text, 2), room, sizeof room);
		if (n >= 0)
			good32++;
	}
	assert_int_equal(good64, 65536);
	/* 32 first letters with 8 second ones (a, e, i, m, q, u, y, 4), letters in both cases, 128 third
	 * bytes */
	assert_int_equal(good32, (26 * 2 + 6) * (7 * 2 + 1) * 128);
	buf_free(&out);
}

/* Long ones go by vectors: they give what their pieces give one by one, and refuse
 * every byte that a piece refuses, wherever it stands. */
static void pieces(void **state)
{
	uint8_t bytes[300], back[300], piece[4];
	struct buf whole, parts;
	uint32_t seed = 1;

	(void)state;
	buf_init(&whole, 1000);
	buf_init(&parts, 1000);
	for (size_t n = 0; n <= sizeof bytes; n++) {
		slice in, text;

		for (size_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
		in = test_guard(slice_of(bytes, n));
		buf_clear(&whole);
		buf_clear(&parts);
		b64url_encode(in, &whole);
		for (size_t i = 0; i < n; i += 3)
			b64url_encode(slice_sub(in, i, i + 3), &parts);
		test_slices_equal("encoded", buf_slice(&whole), buf_slice(&parts));
		text = test_guard(buf_slice(&whole));
		assert_int_equal(b64url_decode(text, back, n), n);
		test_slices_equal("decoded", slice_of(back, n), in);
		for (unsigned c = 0; c < 256 && n > 20; c++) {
			size_t at = (n + c * 7) % text.len;
			slice four = slice_of(piece, 4);

			memset(piece, 'A', 4);
			piece[0] = (uint8_t)c;
			whole.p[at] = (uint8_t)c;
			if (b64url_decode(four, back, 3) < 0)
				assert_int_equal(b64url_decode(buf_slice(&whole), back, n), -REFUSE_ALPHABET);
			else if (at + 1 < whole.len)
				assert_int_equal(b64url_decode(buf_slice(&whole), back, n), n);
			whole.p[at] = text.p[at];
		}
		test_unguard(text);
		test_unguard(in);
	}
	buf_free(&whole);
	buf_free(&parts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known),
		cmocka_unit_test(pieces),
		cmocka_unit_test(refused),
		cmocka_unit_test(one_text_for_one_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
