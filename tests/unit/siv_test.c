#include "tests/testing.h"

#include "core/model/siv.h"
#include "core/parse/num.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static const enum siv_path paths[] = {SIV_VECTORS, SIV_INSTRUCTIONS, SIV_OPENSSL};
#define PATHS (sizeof paths / sizeof *paths)

struct row {
	const char *name, *key, *ad[3], *plain, *sealed;
};

/* RFC 5297, appendix A */
static const struct row rows[] = {
	{"A.1 deterministic", "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
		{"101112131415161718191a1b1c1d1e1f2021222324252627"}, "112233445566778899aabbccddee",
		"85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"},
	{"A.2 nonce-based", "7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f",
		{"00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100",
			"102030405060708090a0", "09f911029d74e35bd84156c5635688c0"},
		"7468697320697320736f6d6520706c61696e7465787420746f20656e6372797074207573696e67205349562d4145"
		"53",
		"7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17dba77ceb094fa663b7a3f748ba8a"
		"f829"
		"ea64ad544a272e9c485b62a3fd5c0d"},
};

static slice unhex(const char *text, uint8_t *room)
{
	size_t n = strlen(text) / 2;

	assert_true(num_hex_bytes(slice_str(text), room, n));
	return slice_of(room, n);
}

static void vectors(void **state)
{
	(void)state;
	for (size_t p = 0; p < PATHS; p++) {
		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
			const struct row *r = &rows[i];
			uint8_t key[32], ads[3][64], plain[64], want[80], got[80], back[64];
			struct siv_bound b;
			slice ad[3], text;
			unsigned n = 0;
			struct siv s;

			if (!siv_has(paths[p]))
				continue;
			unhex(r->key, key);
			for (; n < 3 && r->ad[n]; n++)
				ad[n] = unhex(r->ad[n], ads[n]);
			text = unhex(r->plain, plain);
			siv_init(&s, key, paths[p]);
			siv_bind(&s, ad, n, &b);
			siv_seal(&s, &b, text, got, got + 16);
			test_slices_equal(r->name, slice_of(got, 16 + text.len), unhex(r->sealed, want));
			assert_true(siv_open(&s, &b, slice_of(got + 16, text.len), got, back));
			test_slices_equal(r->name, slice_of(back, text.len), text);
			siv_free(&s);
		}
	}
}

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(draw() >> 32);
}

static void oracle(const uint8_t *key, const slice *ad, unsigned n, slice plain, uint8_t *out)
{
	EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, "AES-128-SIV", NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len;

	assert_non_null(c);
	assert_int_equal(EVP_EncryptInit_ex2(ctx, c, key, NULL, NULL), 1);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &len, ad[i].p, (int)ad[i].len), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, out + 16, &len, plain.p, (int)plain.len), 1);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, out + 16 + len, &len), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out), 1);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(c);
}

/* All paths and OpenSSL's own SIV say the same, for every length there is an
 * edge at and many others; the paths' contexts go from message to message. */
static void against_openssl(void **state)
{
	static uint8_t plain[4096], want[4112], got[4112], back[4096], ads[3][80];

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct siv s[PATHS];
		uint8_t key[32];

		fill(key, sizeof key);
		for (size_t p = 0; p < PATHS; p++)
			siv_init(&s[p], key, siv_has(paths[p]) ? paths[p] : SIV_OPENSSL);
		for (int i = 0; i < 100; i++) {
			size_t len = i < 70 ? (size_t)i + 1 : 1 + draw() % sizeof plain;
			unsigned n = (unsigned)(draw() % 4);
			slice ad[3];

			fill(plain, len);
			for (unsigned k = 0; k < n; k++) {
				ad[k] = slice_of(ads[k], 1 + draw() % sizeof ads[k]);
				fill(ads[k], ad[k].len);
			}
			oracle(key, ad, n, slice_of(plain, len), want);
			for (size_t p = 0; p < PATHS; p++) {
				struct siv_bound b;

				siv_bind(&s[p], ad, n, &b);
				siv_seal(&s[p], &b, slice_of(plain, len), got, got + 16);
				test_slices_equal(
					"sealed", slice_of(got, len + 16), slice_of(want, len + 16));
				assert_true(siv_open(&s[p], &b, slice_of(got + 16, len), got, back));
				test_slices_equal("opened", slice_of(back, len), slice_of(plain, len));
				got[draw() % (len + 16)] ^= (uint8_t)(1u << draw() % 8);
				assert_false(siv_open(&s[p], &b, slice_of(got + 16, len), got, back));
				for (size_t k = 0; k < len; k++)
					assert_int_equal(back[k], 0);
			}
		}
		for (size_t p = 0; p < PATHS; p++)
			siv_free(&s[p]);
	}
}

/* The counter's carry goes through the low 31 bits and the cleared bits stay
 * cleared: a tag of all ones is the worst case. */
static void counter_carry(void **state)
{
	uint8_t key[32], tag[16], in[1000] = {0}, a[1000], b[1000], iv[16];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	(void)state;
	fill(key, sizeof key);
	memset(tag, 0xff, sizeof tag);
	memcpy(iv, tag, 16);
	iv[8] &= 0x7f;
	iv[12] &= 0x7f;
	assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_128_ctr(), NULL, key + 16, iv), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, a, &n, in, sizeof in), 1);
	EVP_CIPHER_CTX_free(ctx);
	for (size_t p = 0; p < PATHS; p++) {
		struct siv s;

		if (!siv_has(paths[p]))
			continue;
		siv_init(&s, key, paths[p]);
		siv_ctr(&s, tag, slice_of(in, sizeof in), b);
		assert_memory_equal(a, b, sizeof a);
		siv_free(&s);
	}
}

/* Together they come out as one by one, whatever their lengths, and one that is
 * forged spoils all. */
static void together(void **state)
{
	static uint8_t plain[SIV_TOGETHER][600], want[SIV_TOGETHER][616], got[SIV_TOGETHER][616],
		back[SIV_TOGETHER][600];
	slice ad[1] = {SLICE("host")};

	(void)state;
	for (int round = 0; round < 3000; round++) {
		enum siv_path path = paths[(size_t)round % PATHS];
		struct siv_job job[SIV_TOGETHER];
		unsigned n = 1 + (unsigned)(draw() % SIV_TOGETHER), bad = (unsigned)(draw() % n);
		size_t limit = draw() % 3 ? 200 : sizeof plain[0];
		struct siv_bound b;
		struct siv s;
		uint8_t key[32];

		if (!siv_has(path))
			continue;
		fill(key, sizeof key);
		siv_init(&s, key, path);
		siv_bind(&s, ad, 1, &b);
		for (unsigned i = 0; i < n; i++) {
			size_t len = 1 + draw() % limit;

			fill(plain[i], len);
			siv_seal(&s, &b, slice_of(plain[i], len), want[i], want[i] + 16);
			job[i] = (struct siv_job){
				.in = slice_of(plain[i], len), .tag = got[i], .out = got[i] + 16};
		}
		siv_seal_all(&s, &b, job, n);
		for (unsigned i = 0; i < n; i++) {
			size_t len = job[i].in.len;

			test_slices_equal("sealed", slice_of(got[i], len + 16), slice_of(want[i], len + 16));
			job[i] = (struct siv_job){
				.in = slice_of(got[i] + 16, len), .tag = got[i], .out = back[i]};
		}
		assert_true(siv_open_all(&s, &b, job, n));
		for (unsigned i = 0; i < n; i++)
			test_slices_equal("opened", slice_of(back[i], job[i].in.len),
				slice_of(plain[i], job[i].in.len));
		got[bad][draw() % (job[bad].in.len + 16)] ^= (uint8_t)(1u << draw() % 8);
		assert_false(siv_open_all(&s, &b, job, n));
		for (unsigned i = 0; i < n; i++)
			for (size_t k = 0; k < job[i].in.len; k++)
				assert_int_equal(back[i][k], 0);
		siv_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(against_openssl),
		cmocka_unit_test(together),
		cmocka_unit_test(counter_carry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
