#include "core/model/siv.h"

#include "core/base/bytes.h"
#include "core/base/must.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define WITH_AES __attribute__((target("aes,sse2")))
#endif

/* Doubling in GF(2^128), RFC 5297 section 2.3, without a branch on the value. */
static void dbl(uint8_t b[16])
{
	uint64_t hi = get_be64(b), lo = get_be64(b + 8);
	uint64_t carry = (uint64_t)((int64_t)hi >> 63);

	hi = __builtin_bswap64(hi << 1 | lo >> 63);
	lo = __builtin_bswap64(lo << 1 ^ (carry & 0x87));
	memcpy(b, &hi, 8);
	memcpy(b + 8, &lo, 8);
}

static void xor16(uint8_t to[16], const uint8_t with[16])
{
	for (int i = 0; i < 16; i++)
		to[i] ^= with[i];
}

/* The last block of a CMAC: whole blocks take K1, others 10* and K2. */
static void last_block(const struct siv *s, slice rest, uint8_t out[16])
{
	uint8_t b[16] = {0};

	if (rest.len)
		memcpy(b, rest.p, rest.len);
	if (rest.len < 16)
		b[rest.len] = 0x80;
	xor16(b, rest.len == 16 ? s->k1 : s->k2);
	memcpy(out, b, 16); /* rest may lie in out */
}

#if defined(__x86_64__)
WITH_AES static __m128i next_key(__m128i k, __m128i assist)
{
	assist = _mm_shuffle_epi32(assist, 0xff);
	k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
	k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
	k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
	return _mm_xor_si128(k, assist);
}

WITH_AES static void expand(const uint8_t key[16], uint8_t round[11][16])
{
	__m128i k = _mm_loadu_si128((const __m128i *)key);

	_mm_store_si128((__m128i *)round[0], k);
#define ROUND(i, rcon)                                                                                       \
	k = next_key(k, _mm_aeskeygenassist_si128(k, rcon));                                                 \
	_mm_store_si128((__m128i *)round[i], k)
	ROUND(1, 0x01);
	ROUND(2, 0x02);
	ROUND(3, 0x04);
	ROUND(4, 0x08);
	ROUND(5, 0x10);
	ROUND(6, 0x20);
	ROUND(7, 0x40);
	ROUND(8, 0x80);
	ROUND(9, 0x1b);
	ROUND(10, 0x36);
#undef ROUND
}

WITH_AES static inline __m128i cipher(const uint8_t round[11][16], __m128i b)
{
	b = _mm_xor_si128(b, _mm_load_si128((const __m128i *)round[0]));
	for (int i = 1; i < 10; i++)
		b = _mm_aesenc_si128(b, _mm_load_si128((const __m128i *)round[i]));
	return _mm_aesenclast_si128(b, _mm_load_si128((const __m128i *)round[10]));
}

WITH_AES static void mac_instructions(struct siv *s, slice whole, slice tail, uint8_t out[16])
{
	__m128i c = _mm_setzero_si128();

	for (size_t i = 0; i < whole.len; i += 16)
		c = cipher(s->mac, _mm_xor_si128(c, _mm_loadu_si128((const __m128i *)(whole.p + i))));
	for (size_t i = 0; i < tail.len; i += 16)
		c = cipher(s->mac, _mm_xor_si128(c, _mm_loadu_si128((const __m128i *)(tail.p + i))));
	_mm_storeu_si128((__m128i *)out, c);
}

/* Four blocks at a time: their rounds overlap in the pipeline. */
WITH_AES static void keystream_instructions(struct siv *s, const uint8_t *blocks, size_t n, uint8_t *out)
{
	size_t i = 0;

	for (; i + 4 <= n; i += 4) {
		const __m128i *in = (const __m128i *)(blocks + 16 * i);
		__m128i *to = (__m128i *)(out + 16 * i);
		__m128i k = _mm_load_si128((const __m128i *)s->ctr[0]);
		__m128i a = _mm_xor_si128(_mm_loadu_si128(in), k),
			b = _mm_xor_si128(_mm_loadu_si128(in + 1), k);
		__m128i c = _mm_xor_si128(_mm_loadu_si128(in + 2), k),
			d = _mm_xor_si128(_mm_loadu_si128(in + 3), k);

		for (int r = 1; r < 10; r++) {
			k = _mm_load_si128((const __m128i *)s->ctr[r]);
			a = _mm_aesenc_si128(a, k);
			b = _mm_aesenc_si128(b, k);
			c = _mm_aesenc_si128(c, k);
			d = _mm_aesenc_si128(d, k);
		}
		k = _mm_load_si128((const __m128i *)s->ctr[10]);
		_mm_storeu_si128(to, _mm_aesenclast_si128(a, k));
		_mm_storeu_si128(to + 1, _mm_aesenclast_si128(b, k));
		_mm_storeu_si128(to + 2, _mm_aesenclast_si128(c, k));
		_mm_storeu_si128(to + 3, _mm_aesenclast_si128(d, k));
	}
	for (; i < n; i++)
		_mm_storeu_si128((__m128i *)(out + 16 * i),
			cipher(s->ctr, _mm_loadu_si128((const __m128i *)(blocks + 16 * i))));
}
#endif

static void evp(struct evp_cipher_ctx_st *ctx, const uint8_t *in, size_t n, uint8_t *out)
{
	int done = 0;

	must(n <= 4096);
	must(EVP_EncryptUpdate(ctx, out, &done, in, (int)n) == 1 && (size_t)done == n);
}

/* CBC from a zero start is CBC-MAC. Setting the start anew costs as much as a
 * block, so the context runs on and the first block takes out what it holds. */
static void mac_openssl(struct siv *s, slice whole, slice tail, uint8_t out[16])
{
	const slice part[2] = {whole, tail};
	uint8_t room[512];
	bool first = true;

	for (int p = 0; p < 2; p++) {
		for (size_t i = 0, n; i < part[p].len; i += n) {
			n = part[p].len - i < sizeof room ? part[p].len - i : sizeof room;
			memcpy(room, part[p].p + i, n);
			if (first)
				xor16(room, s->chain);
			first = false;
			evp(s->cbc, room, n, room);
			memcpy(out, room + n - 16, 16);
		}
	}
	memcpy(s->chain, out, 16);
}

/* whole and tail: multiples of 16 bytes, the tail padded and masked. */
static void mac(struct siv *s, slice whole, slice tail, uint8_t out[16])
{
#if defined(__x86_64__)
	if (!s->cbc) {
		mac_instructions(s, whole, tail, out);
		return;
	}
#endif
	mac_openssl(s, whole, tail, out);
}

static void cmac(struct siv *s, slice in, uint8_t out[16])
{
	size_t whole = in.len ? (in.len - 1) / 16 * 16 : 0;
	uint8_t last[16];

	last_block(s, slice_from(in, whole), last);
	mac(s, slice_sub(in, 0, whole), slice_of(last, 16), out);
}

bool siv_has(enum siv_path path)
{
#if defined(__x86_64__)
	return path != SIV_INSTRUCTIONS || __builtin_cpu_supports("aes");
#else
	return path != SIV_INSTRUCTIONS;
#endif
}

static struct evp_cipher_ctx_st *context(const EVP_CIPHER *cipher_of, const uint8_t key[16])
{
	static const uint8_t zero[16];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx && (EVP_EncryptInit_ex(ctx, cipher_of, NULL, key, zero) != 1 ||
			   EVP_CIPHER_CTX_set_padding(ctx, 0) != 1)) {
		EVP_CIPHER_CTX_free(ctx);
		ctx = NULL;
	}
	must(ctx);
	return ctx;
}

void siv_init(struct siv *s, const uint8_t key[SIV_KEY], enum siv_path path)
{
	static const uint8_t zero[16];

	must(siv_has(path));
	memset(s, 0, sizeof *s);
#if defined(__x86_64__)
	if (path != SIV_OPENSSL && siv_has(SIV_INSTRUCTIONS)) {
		expand(key, s->mac);
		expand(key + 16, s->ctr);
	} else
#endif
	{
		s->cbc = context(EVP_aes_128_cbc(), key);
		s->ecb = context(EVP_aes_128_ecb(), key + 16);
	}
	mac(s, SLICE_NONE, slice_of(zero, 16), s->k1);
	dbl(s->k1);
	memcpy(s->k2, s->k1, 16);
	dbl(s->k2);
	cmac(s, slice_of(zero, 16), s->start);
}

void siv_free(struct siv *s)
{
	EVP_CIPHER_CTX_free(s->cbc);
	EVP_CIPHER_CTX_free(s->ecb);
	OPENSSL_cleanse(s, sizeof *s);
}

void siv_bind(struct siv *s, const slice *ad, unsigned n, struct siv_bound *out)
{
	uint8_t one[16];

	memcpy(out->d, s->start, 16);
	for (unsigned i = 0; i < n; i++) {
		cmac(s, ad[i], one);
		dbl(out->d);
		xor16(out->d, one);
	}
}

void siv_s2v(struct siv *s, const struct siv_bound *b, slice plain, uint8_t tag[SIV_TAG])
{
	uint8_t t[32] = {0}, d[16];
	size_t from, n;

	memcpy(d, b->d, 16);
	if (plain.len < 16) {
		dbl(d);
		if (plain.len)
			memcpy(t, plain.p, plain.len);
		t[plain.len] = 0x80;
		xor16(t, d);
		cmac(s, slice_of(t, 16), tag);
		return;
	}
	/* CMAC(plain xorend d): d falls on the last 16 bytes, which lie in the
	 * last block and the one before it. All others are read where they are. */
	from = (plain.len - 1) / 16 * 16;
	from -= from ? 16 : 0;
	n = plain.len - from;
	memcpy(t, plain.p + from, n);
	xor16(t + n - 16, d);
	if (n == 16)
		last_block(s, slice_of(t, 16), t);
	else
		last_block(s, slice_of(t + 16, n - 16), t + 16);
	mac(s, slice_sub(plain, 0, from), slice_of(t, n == 16 ? 16 : 32), tag);
}

void siv_ctr(struct siv *s, const uint8_t tag[SIV_TAG], slice in, uint8_t *out)
{
	uint8_t block[256], key[256];
	uint32_t low;

	must(in.len < 1u << 30); /* the counter's cleared bit takes the carry */
	low = __builtin_bswap32(get_le32(tag + 12)) & 0x7fffffff;
	for (size_t i = 0; i < in.len;) {
		size_t n = in.len - i < sizeof block ? in.len - i : sizeof block, blocks = (n + 15) / 16;

		for (size_t k = 0; k < blocks; k++, low++) {
			uint8_t *at = block + 16 * k;

			memcpy(at, tag, 12);
			at[8] &= 0x7f; /* RFC 5297 section 2.5 */
			put_le32(at + 12, __builtin_bswap32(low));
		}
#if defined(__x86_64__)
		if (!s->ecb)
			keystream_instructions(s, block, blocks, key);
		else
#endif
			evp(s->ecb, block, 16 * blocks, key);
		for (size_t k = 0; k < n; k++)
			out[i + k] = in.p[i + k] ^ key[k];
		i += n;
	}
}

void siv_seal(struct siv *s, const struct siv_bound *b, slice plain, uint8_t tag[SIV_TAG], uint8_t *out)
{
	siv_s2v(s, b, plain, tag);
	siv_ctr(s, tag, plain, out);
}

bool siv_open(
	struct siv *s, const struct siv_bound *b, slice sealed, const uint8_t tag[SIV_TAG], uint8_t *out)
{
	uint8_t want[SIV_TAG];

	siv_ctr(s, tag, sealed, out);
	siv_s2v(s, b, slice_of(out, sealed.len), want);
	if (((get_le64(want) ^ get_le64(tag)) | (get_le64(want + 8) ^ get_le64(tag + 8))) == 0)
		return true;
	if (sealed.len)
		memset(out, 0, sealed.len);
	return false;
}
