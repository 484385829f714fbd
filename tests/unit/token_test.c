#include "tests/testing.h"

#include "core/base/bytes.h"
#include "core/base/refuse.h"
#include "core/model/event.h"
#include "core/model/token.h"
#include "core/parse/b64.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const enum token_kind kinds[] = {TOKEN_OPEN, TOKEN_CLICK, TOKEN_UNSUBSCRIBE, TOKEN_HEADER};
static uint64_t seed = 0x2545f4914f6cdd1du;
static uint8_t room[TOKEN_ROOM];

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1du;
}

static struct keyring ring_of(const uint8_t *ids, unsigned n)
{
	struct keyring ring = {.count = n};

	memset(ring.hash, 0x5a, sizeof ring.hash);
	for (unsigned i = 0; i < n; i++) {
		ring.key[i].id = ids[i];
		for (int k = 0; k < KEYRING_SECRET; k++)
			ring.key[i].secret[k] = (uint8_t)(ids[i] * 31 + k * 7 + 1);
	}
	return ring;
}

static struct sealer *one_key(void)
{
	struct keyring ring = ring_of((const uint8_t[]){7}, 1);

	return sealer_open(&ring);
}

static struct token sample(enum token_kind kind)
{
	static uint8_t url[TOKEN_MAX_URL];
	struct token t = {.kind = kind,
		.campaign = draw(),
		.lane = (uint32_t)draw(),
		.sequence = (uint32_t)(draw() >> (draw() % 33 + 31)),
		.day = (uint16_t)draw(),
		.mode = draw() % 16};

	if (kind == TOKEN_OPEN)
		t.place = draw() % 2 ? PLACE_TOP : PLACE_MAIN;
	if (kind == TOKEN_CLICK) {
		size_t n = draw() % 8 ? draw() % 200 : draw() % (sizeof url + 1);

		for (size_t i = 0; i < n; i++)
			url[i] = (uint8_t)draw();
		t.place = draw() % 2 ? PLACE_AMP : PLACE_MAIN;
		t.url = slice_of(url, n);
		t.link = (uint16_t)(draw() >> (draw() % 17 + 47));
	}
	return t;
}

static void same(const struct token *a, const struct token *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->campaign, b->campaign);
	assert_int_equal(a->lane, b->lane);
	assert_int_equal(a->sequence, b->sequence);
	assert_int_equal(a->day, b->day);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->link, b->link);
	assert_int_equal(a->place, b->place);
	test_slices_equal("url", b->url, a->url);
}

static void inverse(void **state)
{
	struct sealer *s = one_key();
	struct buf text, again;

	(void)state;
	buf_init(&text, TOKEN_MAX_TEXT);
	buf_init(&again, TOKEN_MAX_TEXT);
	for (int i = 0; i < 20000; i++) {
		struct token t = sample(kinds[draw() % 4]), got;
		slice guarded;

		buf_clear(&text);
		buf_clear(&again);
		assert_int_equal(token_seal(s, SLICE("t.example"), &t, &text), 0);
		assert_int_equal(token_seal(s, SLICE("T.Example"), &t, &again), 0);
		test_slices_equal("sealed twice", buf_slice(&again), buf_slice(&text));
		assert_false(text.full);
		guarded = test_guard(buf_slice(&text));
		test_numbers_equal("open", token_open(s, SLICE("t.EXAMPLE"), t.kind, guarded, room, &got), 0);
		test_unguard(guarded);
		same(&t, &got);
		for (size_t k = 0; k < text.len; k++)
			assert_true(ascii_alnum(text.p[k]) || text.p[k] == '_' || text.p[k] == '-');
	}
	buf_free(&text);
	buf_free(&again);
	sealer_close(&s);
	assert_null(s);
	sealer_close(&s);
}

/* Several at once have the texts that they have one by one, and open so. */
static void together(void **state)
{
	struct sealer *s = one_key();
	static uint8_t rooms[TOKEN_TOGETHER][TOKEN_ROOM];

	(void)state;
	for (int round = 0; round < 5000; round++) {
		struct token t[TOKEN_TOGETHER], got[TOKEN_TOGETHER];
		struct buf one, all[TOKEN_TOGETHER];
		slice text[TOKEN_TOGETHER];
		unsigned n = 1 + (unsigned)(draw() % TOKEN_TOGETHER);
		enum token_kind kind = kinds[draw() % 4];

		for (unsigned i = 0; i < n; i++) {
			t[i] = sample(kind);
			buf_init(&all[i], TOKEN_MAX_TEXT);
		}
		assert_int_equal(token_seal_all(s, SLICE("t.example"), t, n, all), 0);
		buf_init(&one, TOKEN_MAX_TEXT);
		for (unsigned i = 0; i < n; i++) {
			buf_clear(&one);
			assert_int_equal(token_seal(s, SLICE("t.example"), &t[i], &one), 0);
			test_slices_equal("sealed", buf_slice(&all[i]), buf_slice(&one));
			text[i] = buf_slice(&all[i]);
		}
		assert_int_equal(token_open_all(s, SLICE("t.example"), kind, text, n, rooms, got), 0);
		for (unsigned i = 0; i < n; i++)
			same(&t[i], &got[i]);
		assert_int_equal(
			token_open_all(s, SLICE("u.example"), kind, text, n, rooms, got), -REFUSE_FORGED);
		text[n - 1].len = 3;
		assert_int_equal(
			token_open_all(s, SLICE("t.example"), kind, text, n, rooms, got), -REFUSE_LENGTH);
		for (unsigned i = 0; i < n; i++)
			buf_free(&all[i]);
		buf_free(&one);
	}
	sealer_close(&s);
}

static void lengths(void **state)
{
	static const struct {
		const char *name;
		uint32_t sequence;
		size_t want;
	} rows[] = {{"first", 0, 44}, {"small", 127, 44}, {"thousands", 16383, 46}, {"millions", 2097151, 47},
		{"greatest", UINT32_MAX, 50}};
	struct sealer *s = one_key();
	struct buf text;

	(void)state;
	buf_init(&text, TOKEN_MAX_TEXT);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct token t = {.kind = TOKEN_OPEN, .campaign = 1, .sequence = rows[i].sequence};

		buf_clear(&text);
		assert_int_equal(token_seal(s, SLICE("t.example"), &t, &text), 0);
		test_numbers_equal(rows[i].name, (long long)text.len, (long long)rows[i].want);
	}
	buf_free(&text);
	sealer_close(&s);
}

static void longest_url(void **state)
{
	static uint8_t url[TOKEN_MAX_URL + 1], host[256];
	struct token t = {.kind = TOKEN_CLICK, .sequence = UINT32_MAX, .link = UINT16_MAX}, got;
	struct sealer *s = one_key();
	struct buf text;

	(void)state;
	memset(url, 'a', sizeof url);
	memset(host, 'h', sizeof host);
	buf_init(&text, TOKEN_MAX_TEXT);
	t.url = slice_of(url, TOKEN_MAX_URL);
	assert_int_equal(token_seal(s, SLICE("h"), &t, &text), 0);
	assert_false(text.full);
	assert_int_equal(token_open(s, SLICE("h"), TOKEN_CLICK, buf_slice(&text), room, &got), 0);
	same(&t, &got);
	buf_clear(&text);
	t.url = slice_of(url, TOKEN_MAX_URL + 1);
	assert_int_equal(token_seal(s, SLICE("h"), &t, &text), -REFUSE_LENGTH);
	t.url.len = 3;
	assert_int_equal(token_seal(s, slice_of(host, 256), &t, &text), -REFUSE_LENGTH);
	assert_int_equal(text.len, 0);
	assert_int_equal(token_seal(s, slice_of(host, 255), &t, &text), 0);
	assert_int_equal(token_open(s, slice_of(host, 255), TOKEN_CLICK, buf_slice(&text), room, &got), 0);
	assert_int_equal(token_open(s, slice_of(host, 256), TOKEN_CLICK, buf_slice(&text), room, &got),
		-REFUSE_FORGED);
	buf_free(&text);
	sealer_close(&s);
}

static void refusals(void **state)
{
	struct sealer *s = one_key();
	struct token t = {.kind = TOKEN_OPEN, .campaign = 5}, got;
	struct buf text;
	slice good;

	(void)state;
	buf_init(&text, 8192);
	assert_int_equal(token_seal(s, SLICE("t.example"), &t, &text), 0);
	good = buf_slice(&text);
	/* every prefix */
	for (size_t n = 0; n < good.len; n++) {
		slice cut = test_guard(slice_sub(good, 0, n));

		assert_true(token_open(s, SLICE("t.example"), TOKEN_OPEN, cut, room, &got) < 0);
		test_unguard(cut);
	}
	/* every bit */
	for (size_t bit = 0; bit < 8 * good.len; bit++) {
		text.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (token_open(s, SLICE("t.example"), TOKEN_OPEN, good, room, &got) >= 0)
			fail_msg("bit %zu", bit);
		text.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(token_open(s, SLICE("t.example"), TOKEN_OPEN, good, room, &got), 0);
	/* other kinds, other hosts */
	for (int k = 1; k < 4; k++)
		assert_int_equal(
			token_open(s, SLICE("t.example"), kinds[k], good, room, &got), -REFUSE_FORGED);
	assert_int_equal(token_open(s, SLICE("t.exampl"), TOKEN_OPEN, good, room, &got), -REFUSE_FORGED);
	assert_int_equal(token_open(s, SLICE_NONE, TOKEN_OPEN, good, room, &got), -REFUSE_FORGED);
	assert_int_equal(token_open(s, SLICE("t.example."), TOKEN_OPEN, good, room, &got), -REFUSE_FORGED);
	/* garbage behind, of every short length */
	for (int n = 1; n <= 64; n++) {
		buf_byte(&text, 'A');
		assert_true(token_open(s, SLICE("t.example"), TOKEN_OPEN, buf_slice(&text), room, &got) < 0);
	}
	buf_free(&text);
	sealer_close(&s);
}

static void refused_by_name(void **state)
{
	static const struct {
		const char *name;
		slice text;
		int want;
	} rows[] = {
		{"empty", SLICE(""), -REFUSE_LENGTH},
		{"39", SLICE("RAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), -REFUSE_LENGTH},
		{"length 1 modulo 4", SLICE("RAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), -REFUSE_LENGTH},
		{"padding", SLICE("RAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), -REFUSE_ALPHABET},
		{"plus", SLICE("R+AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), -REFUSE_ALPHABET},
		{"tail bits", SLICE("RwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"), -REFUSE_NOT_CANONICAL},
		{"version 0", SLICE("BwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), -REFUSE_VERSION},
		{"version 2", SLICE("hwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), -REFUSE_VERSION},
		{"key 8", SLICE("SAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), -REFUSE_UNKNOWN_KEY},
		{"key 64", SLICE("QAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), -REFUSE_UNKNOWN_KEY},
		{"zeros", SLICE("RwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), -REFUSE_FORGED},
	};
	static uint8_t large[TOKEN_MAX_TEXT + 4];
	struct sealer *s = one_key();
	struct token got;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].text);

		test_numbers_equal(
			rows[i].name, token_open(s, SLICE("h"), TOKEN_OPEN, in, room, &got), rows[i].want);
		test_unguard(in);
	}
	memset(large, 'A', sizeof large);
	large[0] = 'R';
	large[1] = 'w';
	assert_int_equal(
		token_open(s, SLICE("h"), TOKEN_OPEN, slice_of(large, 4096), room, &got), -REFUSE_FORGED);
	assert_int_equal(
		token_open(s, SLICE("h"), TOKEN_OPEN, slice_of(large, 4098), room, &got), -REFUSE_LENGTH);
	sealer_close(&s);
}

static void rotation(void **state)
{
	struct keyring ring = ring_of((const uint8_t[]){3, 64, 9}, 3);
	struct token t = {.kind = TOKEN_HEADER, .campaign = 77}, got;
	struct sealer *old, *now;
	struct buf text;

	(void)state;
	buf_init(&text, TOKEN_MAX_TEXT);
	ring.key[1].retired = true;
	old = sealer_open(&ring); /* newest that lives: 9 */
	assert_int_equal(token_seal(old, SLICE("h"), &t, &text), 0);
	assert_int_equal(text.p[0], 'S'); /* 0x49: 01, key 9 */
	ring.key[1].retired = false;
	now = sealer_open(&ring);
	assert_int_equal(token_open(now, SLICE("h"), TOKEN_HEADER, buf_slice(&text), room, &got), 0);
	buf_clear(&text);
	assert_int_equal(token_seal(now, SLICE("h"), &t, &text), 0);
	assert_int_equal(text.p[0], 'Q'); /* 0x40: 01, key 64 */
	assert_int_equal(token_open(now, SLICE("h"), TOKEN_HEADER, buf_slice(&text), room, &got), 0);
	assert_int_equal(
		token_open(old, SLICE("h"), TOKEN_HEADER, buf_slice(&text), room, &got), -REFUSE_UNKNOWN_KEY);
	sealer_close(&old);
	sealer_close(&now);
	for (unsigned i = 0; i < ring.count; i++)
		ring.key[i].retired = true;
	old = sealer_open(&ring);
	assert_int_equal(token_seal(old, SLICE("h"), &t, &text), -REFUSE_UNKNOWN_KEY);
	assert_int_equal(token_seal_return(old, SLICE("h"), &t, &text), -REFUSE_UNKNOWN_KEY);
	sealer_close(&old);
	buf_free(&text);
}

/* Each tenant's token on each tenant's host: opens on its own only. */
static void tenants_matrix(void **state)
{
	static const slice hosts[] = {SLICE("click.alpha.example"), SLICE("click.beta.example"),
		SLICE("click.alpha.example.beta.example"), SLICE("alpha.example"), SLICE("t")};
	struct sealer *s = one_key();
	struct buf text;

	(void)state;
	buf_init(&text, TOKEN_MAX_TEXT);
	for (size_t a = 0; a < 5; a++) {
		for (size_t k = 0; k < 4; k++) {
			struct token t = sample(kinds[k]), got;

			buf_clear(&text);
			assert_int_equal(token_seal(s, hosts[a], &t, &text), 0);
			for (size_t b = 0; b < 5; b++)
				for (size_t other = 0; other < 4; other++)
					test_numbers_equal("matrix",
						token_open(s, hosts[b], kinds[other], buf_slice(&text), room,
							&got),
						a == b && k == other ? 0 : -REFUSE_FORGED);
		}
	}
	buf_free(&text);
	sealer_close(&s);
}

/* One random change to a good token: a character, two exchanged, one out, one
 * in, a piece of another token. */
static void mutate(struct buf *text, slice other)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t *p = text->p, c = (uint8_t)letters[draw() % 64];
	size_t at = draw() % text->len, to = draw() % text->len;

	switch (draw() % 6) {
	case 0:
	case 1:
		p[at] = draw() % 16 ? c : (uint8_t)draw();
		return;
	case 2:
		c = p[at];
		p[at] = p[to];
		p[to] = c;
		return;
	case 3:
		memmove(p + at, p + at + 1, text->len - at - 1);
		text->len--;
		return;
	case 4:
		buf_byte(text, c);
		memmove(text->p + at + 1, text->p + at, text->len - at - 1);
		text->p[at] = c;
		return;
	default:
		for (size_t i = at; i < text->len && i < other.len; i++)
			p[i] = other.p[i];
	}
}

static void mutations(void **state)
{
	struct sealer *s = one_key();
	struct buf pool[64], text;
	long runs = getenv("LANDFALL_LONG") ? 10 * 1000 * 1000 : 1000 * 1000, same_again = 0;

	(void)state;
	for (int i = 0; i < 64; i++) {
		struct token t = sample(kinds[i % 4]);

		t.url = slice_sub(t.url, 0, 80);
		buf_init(&pool[i], TOKEN_MAX_TEXT);
		assert_int_equal(token_seal(s, SLICE("t.example"), &t, &pool[i]), 0);
	}
	buf_init(&text, 2 * TOKEN_MAX_TEXT);
	for (long i = 0; i < runs; i++) {
		unsigned n = (unsigned)(draw() % 64), other = (unsigned)(draw() % 64);
		struct token got;

		buf_clear(&text);
		buf_put(&text, buf_slice(&pool[n]));
		for (uint64_t k = 1 + draw() % 3; k > 0; k--)
			mutate(&text, buf_slice(&pool[other]));
		if (slice_eq(buf_slice(&text), buf_slice(&pool[n])) ||
			slice_eq(buf_slice(&text), buf_slice(&pool[other]))) {
			same_again++;
			continue;
		}
		if (token_open(s, SLICE("t.example"), kinds[n % 4], buf_slice(&text), room, &got) >= 0)
			fail_msg("accepted: %.*s", SLICE_FMT(buf_slice(&text)));
	}
	printf("%ld mutated tokens refused, %ld came out unchanged\n", runs - same_again, same_again);
	assert_true(same_again < runs / 8);
	for (int i = 0; i < 64; i++)
		buf_free(&pool[i]);
	buf_free(&text);
	sealer_close(&s);
}

static void return_path(void **state)
{
	struct sealer *s = one_key();
	struct buf text;

	(void)state;
	buf_init(&text, 256);
	for (int i = 0; i < 20000; i++) {
		struct token t = sample(TOKEN_UNSUBSCRIBE), got;

		buf_clear(&text);
		assert_int_equal(token_seal_return(s, SLICE("bounce.example"), &t, &text), 0);
		assert_int_equal(text.len, TOKEN_RETURN_TEXT);
		for (size_t k = 0; k < text.len; k++)
			if (draw() % 2 && ascii_alpha(text.p[k]))
				text.p[k] &= 0xdf; /* upper case */
		assert_int_equal(token_open_return(s, SLICE("BOUNCE.example"), buf_slice(&text), &got), 0);
		t.kind = TOKEN_RETURN;
		t.day = 0;
		t.mode = 0;
		same(&t, &got);
		assert_int_equal(token_open_return(s, SLICE("bounce.example.org"), buf_slice(&text), &got),
			-REFUSE_FORGED);
	}
	/* every character changed to every other, every prefix */
	for (size_t at = 0; at < text.len; at++) {
		uint8_t was = text.p[at];
		struct token got;

		for (int c = 0; c < 256; c++) {
			if (ascii_lower((uint8_t)c) == ascii_lower(was))
				continue;
			text.p[at] = (uint8_t)c;
			assert_true(
				token_open_return(s, SLICE("bounce.example"), buf_slice(&text), &got) < 0);
		}
		text.p[at] = was;
		assert_int_equal(token_open_return(s, SLICE("bounce.example"),
					 slice_sub(buf_slice(&text), 0, at), &got),
			-REFUSE_LENGTH);
	}
	buf_free(&text);
	sealer_close(&s);
}

static void days(void **state)
{
	static const struct {
		const char *name;
		uint64_t ms;
		uint16_t want;
	} rows[] = {
		{"before", 0, 0},
		{"first", 1577836800000, 0},
		{"last millisecond", 1577923199999, 0},
		{"second", 1577923200000, 1},
		{"2026-11-21", 1795219200000, 2516},
		{"clamped", UINT64_MAX, 65535},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		test_numbers_equal(rows[i].name, token_day(rows[i].ms), rows[i].want);
}

static void hashes(void **state)
{
	struct keyring ring = ring_of((const uint8_t[]){1}, 1), other = ring;

	(void)state;
	other.hash[31] ^= 1;
	assert_true(hash_campaign(&ring, SLICE("a"), SLICE("bc")) !=
		    hash_campaign(&ring, SLICE("ab"), SLICE("c")));
	assert_true(hash_campaign(&ring, SLICE("a"), SLICE("bc")) ==
		    hash_campaign(&ring, SLICE("a"), SLICE("bc")));
	assert_true(hash_campaign(&ring, SLICE("a"), SLICE("bc")) !=
		    hash_campaign(&other, SLICE("a"), SLICE("bc")));
	assert_true(
		hash_campaign(&ring, SLICE(""), SLICE("a")) != hash_campaign(&ring, SLICE("a"), SLICE("")));
	assert_true(hash_recipient(&ring, SLICE("Ann@Example.ORG")) ==
		    hash_recipient(&ring, SLICE("Ann@example.org")));
	assert_true(hash_recipient(&ring, SLICE("ann@example.org")) !=
		    hash_recipient(&ring, SLICE("Ann@example.org")));
	assert_true(hash_recipient(&ring, SLICE("a@b")) != hash_recipient(&other, SLICE("a@b")));
	/* echo -n 'recipientann@example.org' | openssl dgst -sha256 -mac HMAC -macopt hexkey:5a5a... */
	test_numbers_equal("pinned recipient", (long long)hash_recipient(&ring, SLICE("ann@example.org")),
		(long long)0x220818d225476385);
	test_numbers_equal("pinned campaign", (long long)hash_campaign(&ring, SLICE("shop"), SLICE("may")),
		(long long)0xb6cdab5f23e43e51);
}

/* What was sent once opens for ever: texts made by an independent program. */
static void pinned(void **state)
{
	struct sealer *s = one_key();
	struct token got;

	(void)state;
	assert_int_equal(token_open(s, SLICE("t.example"), TOKEN_CLICK,
				 SLICE("R78MhkNoNlb9EXJkG2299HEJvF_rbg54uAYopztinfpQ_"
				       "trQoja9mBrtmxtZ2tE45Gmy5r1bWDxv0ERit4oiKeM"),
				 room, &got),
		0);
	same(&(struct token){.kind = TOKEN_CLICK,
		     .campaign = 0x0123456789abcdef,
		     .lane = 0x00c0ffee,
		     .sequence = 300,
		     .day = 2516,
		     .mode = 4,
		     .link = 200,
		     .url = SLICE("https://shop.example/?a=1&b=2")},
		&got);
	assert_int_equal(token_open_return(s, SLICE("bounce.example"),
				 SLICE("i4fncvc6b7coq6vwsq6p7oughkvnbi4u3wjyq"), &got),
		0);
	same(&(struct token){.kind = TOKEN_RETURN,
		     .campaign = 0x0123456789abcdef,
		     .lane = 0x00c0ffee,
		     .sequence = 300},
		&got);
	sealer_close(&s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inverse),
		cmocka_unit_test(together),
		cmocka_unit_test(lengths),
		cmocka_unit_test(longest_url),
		cmocka_unit_test(refusals),
		cmocka_unit_test(refused_by_name),
		cmocka_unit_test(rotation),
		cmocka_unit_test(tenants_matrix),
		cmocka_unit_test(mutations),
		cmocka_unit_test(return_path),
		cmocka_unit_test(days),
		cmocka_unit_test(hashes),
		cmocka_unit_test(pinned),
	};

	if (argc > 1 && strcmp(argv[1], "--long") == 0)
		setenv("LANDFALL_LONG", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
