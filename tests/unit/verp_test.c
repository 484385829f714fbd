#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/model/verp.h"

#include <string.h>

static struct sealer *sealer(void)
{
	struct keyring ring = {.count = 1, .key = {{.id = 1, .secret = {1, 2, 3}}}};

	return sealer_open(&ring);
}

/* T stands for the 37 characters. */
static const struct {
	const char *name, *address;
	int want;
} rows[] = {
	{"plain", "b+T@bounce.example", 0},
	{"brackets", " <b+T@Bounce.Example> ", 0},
	{"upper case", "B+T@BOUNCE.EXAMPLE", 0},
	{"BATV", "prvs=1234abcdef=b+T@bounce.example", 0},
	{"BATV swapped", "prvs=b+T=1234abcdef@bounce.example", 0},
	{"BATV in capitals", "PRVS=1234abcdef=b+T@bounce.example", 0},
	{"SRS0", "SRS0=HHHH=TT=bounce.example=b+T@fwd.example", 0},
	{"SRS0 with plus", "SRS0+HHHH=TT=bounce.example=b+T@fwd.example", 0},
	{"SRS0 with dash", "srs0-HHHH=TT=bounce.example=b+T@fwd.example", 0},
	{"SRS1", "SRS1=GGGG=fwd.example==HHHH=TT=bounce.example=b+T@second.example", 0},
	{"SRS1 over SRS0-", "SRS1+GGGG=fwd.example=-HHHH=TT=bounce.example=b+T@second.example", 0},
	{"SRS over BATV", "SRS0=HHHH=TT=bounce.example=prvs=1234abcdef=b+T@fwd.example", 0},
	{"BATV over SRS", "prvs=1234abcdef=SRS0=HHHH=TT=bounce.example=b+T@fwd.example", 0},
	{"other domain", "b+T@other.example", -REFUSE_SYNTAX},
	{"SRS of another domain", "SRS0=HHHH=TT=other.example=b+T@bounce.example", -REFUSE_SYNTAX},
	{"other prefix", "c+T@bounce.example", -REFUSE_SYNTAX},
	{"no plus", "bT@bounce.example", -REFUSE_SYNTAX},
	{"dash for plus", "b-T@bounce.example", -REFUSE_SYNTAX},
	{"no at", "b+T", -REFUSE_SYNTAX},
	{"null sender", "<>", -REFUSE_SYNTAX},
	{"empty", "", -REFUSE_SYNTAX},
	{"SRS0 cut", "SRS0=HHHH=TT@bounce.example", -REFUSE_SYNTAX},
	{"SRS1 cut", "SRS1=HHHH=TT=@bounce.example", -REFUSE_SYNTAX},
	{"BATV without end", "prvs=@bounce.example", -REFUSE_SYNTAX},
	{"too short", "b+abc@bounce.example", -REFUSE_LENGTH},
	{"nothing", "b+@bounce.example", -REFUSE_LENGTH},
	{"a character behind", "b+Ta@bounce.example", -REFUSE_LENGTH},
	{"zeros", "b+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@bounce.example", -REFUSE_VERSION},
};

static void wrappers(void **state)
{
	struct token t = {.kind = TOKEN_RETURN, .campaign = 77, .lane = 5, .sequence = 9}, got;
	struct sealer *s = sealer();
	struct buf sealed, address;

	(void)state;
	buf_init(&sealed, 256);
	buf_init(&address, 512);
	assert_int_equal(verp_seal(s, SLICE("bounce.example"), &t, &sealed), 0);
	assert_int_equal(slice_chr(buf_slice(&sealed), '@', 0), 39);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice guarded;

		buf_clear(&address);
		for (const char *p = rows[i].address; *p; p++) {
			if (*p == 'T' && p[1] != 'T' && (p == rows[i].address || p[-1] != 'T'))
				buf_put(&address, slice_sub(buf_slice(&sealed), 2, 2 + TOKEN_RETURN_TEXT));
			else
				buf_byte(&address, (uint8_t)*p);
		}
		guarded = test_guard(buf_slice(&address));
		memset(&got, 0, sizeof got);
		test_numbers_equal(
			rows[i].name, verp_open(s, SLICE("bounce.example"), guarded, &got), rows[i].want);
		test_unguard(guarded);
		if (rows[i].want == 0) {
			assert_int_equal(got.campaign, 77);
			assert_int_equal(got.lane, 5);
			assert_int_equal(got.sequence, 9);
		}
	}
	buf_free(&sealed);
	buf_free(&address);
	sealer_close(&s);
}

/* A forwarder's form of it must fit the 64 octets of RFC 5321 4.5.3.1.1 when
 * our domain is short enough to leave room for it. */
static void fits(void **state)
{
	struct token t = {.campaign = UINT64_MAX, .lane = UINT32_MAX, .sequence = UINT32_MAX};
	struct sealer *s = sealer();
	struct buf out;

	(void)state;
	buf_init(&out, 256);
	buf_str(&out, "SRS0=HHHH=TT=b.example=");
	assert_int_equal(verp_seal(s, SLICE("b.example"), &t, &out), 0);
	assert_true(slice_chr(buf_slice(&out), '@', 0) <= 64);
	buf_free(&out);
	sealer_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrappers),
		cmocka_unit_test(fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
