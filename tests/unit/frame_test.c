#include "tests/testing.h"

#include "core/base/bytes.h"
#include "core/base/refuse.h"
#include "core/model/frame.h"

#include <string.h>

static void add(struct buf *out, uint64_t position, slice body)
{
	size_t head = frame_begin(out, 1795219200123, 7);

	buf_put(out, body);
	frame_end(out, head, 0x00c0ffee, position, FRAME_MORE, 3);
}

static void drawn(void **state)
{
	/* checksum by an independent CRC-32C */
	static const uint8_t want[] = {'L', 'F', 'F', '1', 45, 0, 0, 0, 0x97, 0x1c, 0xbb, 0x7d, 0xee, 0xff,
		0xc0, 0, 0x40, 0x42, 0x0f, 0, 0, 0, 0, 0, 0x7b, 0x18, 0x67, 0xfb, 0xa1, 0x01, 0x00, 0x00, 7,
		0, 1, 0, 3, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'};
	struct frame f;
	struct buf out;

	(void)state;
	buf_init(&out, FRAME_MAX);
	add(&out, 1000000, SLICE("hello"));
	test_slices_equal("bytes", buf_slice(&out), slice_of(want, sizeof want));
	assert_int_equal(frame_decode(buf_slice(&out), &f), 1);
	assert_int_equal(f.lane, 0x00c0ffee);
	assert_int_equal(f.position, 1000000);
	assert_int_equal(f.base_ms, 1795219200123);
	assert_int_equal(f.partition, 7);
	assert_int_equal(f.flags, FRAME_MORE);
	assert_int_equal(f.count, 3);
	assert_int_equal(f.size, 45);
	test_slices_equal("body", f.body, SLICE("hello"));
	buf_free(&out);
}

static void every_bit_and_prefix(void **state)
{
	struct frame f;
	struct buf out;
	slice all;

	(void)state;
	buf_init(&out, FRAME_MAX);
	add(&out, 64, SLICE("twenty-four bytes inside")); /* size 64: one flip makes it 0 */
	all = buf_slice(&out);
	for (size_t n = 0; n < all.len; n++) {
		slice cut = test_guard(slice_sub(all, 0, n));

		test_numbers_equal("prefix", frame_decode(cut, &f), n ? -REFUSE_CUT : 0);
		test_unguard(cut);
	}
	buf_put(&out, slice_of((uint8_t[300]){0}, 300)); /* a larger size finds its bytes */
	all = buf_slice(&out);
	for (size_t bit = 0; bit < 8 * 64; bit++) {
		out.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (frame_decode(all, &f) >= 0)
			fail_msg("bit %zu", bit);
		out.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buf_free(&out);
}

static void ends(void **state)
{
	static const struct {
		const char *name;
		slice in;
		int want;
	} rows[] = {
		{"nothing", SLICE(""), 0},
		{"three zeros", SLICE("\0\0\0"), 0},
		{"zeros", SLICE("\0\0\0\0\0\0\0\0\0\0\0\0"), 0},
		{"no magic but a size", SLICE("\0\0\0\0\x2d\0\0\0"), -REFUSE_SYNTAX},
		{"other magic", SLICE("LFF2\x2d\0\0\0"), -REFUSE_SYNTAX},
		{"short and other", SLICE("LG"), -REFUSE_SYNTAX},
		{"cut magic", SLICE("LF"), -REFUSE_CUT},
		{"size 0", SLICE("LFF1\0\0\0\0"), -REFUSE_RANGE},
		{"size 39", SLICE("LFF1\x27\0\0\0"), -REFUSE_RANGE},
		{"size 2^20 + 1", SLICE("LFF1\x01\0\x10\0"), -REFUSE_RANGE},
		{"head only, cut", SLICE("LFF1\x28\0\0\0"), -REFUSE_CUT},
	};
	struct frame f;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in);

		test_numbers_equal(rows[i].name, frame_decode(in, &f), rows[i].want);
		test_unguard(in);
	}
}

static void largest(void **state)
{
	static uint8_t body[FRAME_MAX];
	struct frame f;
	struct buf out;

	(void)state;
	buf_init(&out, FRAME_MAX);
	add(&out, 1, slice_of(body, FRAME_MAX - FRAME_HEAD));
	assert_int_equal(frame_decode(buf_slice(&out), &f), 1);
	assert_int_equal(f.size, FRAME_MAX);
	buf_clear(&out);
	add(&out, 1, slice_of(body, FRAME_MAX - FRAME_HEAD + 1)); /* past the buffer's cap */
	assert_true(out.full);
	buf_free(&out);
}

/* Damage anywhere in the first of three frames: the reader comes back at the
 * second; what only looks like a frame, or stands elsewhere, does not count. */
static void resync(void **state)
{
	struct frame f;
	struct buf out;
	size_t second, third;

	(void)state;
	buf_init(&out, FRAME_MAX);
	add(&out, 5000, SLICE("first LFF1\x40\0\0\0 with a magic inside"));
	second = out.len;
	add(&out, 5000 + second, SLICE("second"));
	third = out.len;
	add(&out, 5000 + third, SLICE("third"));
	assert_int_equal(frame_resync(buf_slice(&out), 0, 5000), 0);
	for (size_t at = 0; at < second; at++) {
		out.p[at] ^= 0x11;
		assert_true(frame_decode(buf_slice(&out), &f) < 0);
		assert_int_equal(frame_resync(buf_slice(&out), 0, 5000), second);
		out.p[at] ^= 0x11;
	}
	assert_int_equal(frame_resync(buf_slice(&out), 1, 5000), second);
	assert_int_equal(frame_resync(buf_slice(&out), second, 5000), second);
	assert_int_equal(frame_resync(buf_slice(&out), second + 1, 5000), third);
	assert_true(frame_resync(buf_slice(&out), third + 1, 5000) == SLICE_NPOS);
	assert_true(frame_resync(buf_slice(&out), 0, 5001) == SLICE_NPOS);
	assert_true(frame_resync(slice_sub(buf_slice(&out), 0, out.len - 1), third, 5000) == SLICE_NPOS);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drawn),
		cmocka_unit_test(every_bit_and_prefix),
		cmocka_unit_test(ends),
		cmocka_unit_test(largest),
		cmocka_unit_test(resync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
