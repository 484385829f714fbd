#include "core/model/siv.h"

#include "core/base/bytes.h"
#include "core/base/must.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define WITH_AES __attribute__((target("aes,sse4.1")))
#define WITH_VAES __attribute__((target("aes,vaes,avx512f,avx512bw,avx512vl,bmi2")))
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

/* What a CMAC runs over: the bytes as they lie, then one or two blocks that were
 * made for it. */
struct chain {
	slice whole; /* a multiple of 16 */
	uint8_t tail[32];
	size_t tail_len; /* 16 or 32 */
};

#if defined(__x86_64__)
static inline size_t chain_blocks(const struct chain *c)
{
	return (c->whole.len + c->tail_len) / 16;
}

static inline const uint8_t *chain_at(const struct chain *c, size_t block)
{
	return 16 * block < c->whole.len ? c->whole.p + 16 * block : c->tail + (16 * block - c->whole.len);
}
#endif

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

/* Several chains at once: in one each block waits for the one before, so the rounds of
 * eight of them fit into the time of one. What is longer than the shortest goes on
 * alone. */
WITH_AES static inline __attribute__((always_inline)) void mac_chains(
	struct siv *s, const struct chain *c, uint8_t out[][16], const int lanes)
{
	__m128i x[SIV_TOGETHER];
	size_t common = chain_blocks(&c[0]);

	for (int l = 0; l < lanes; l++) {
		common = chain_blocks(&c[l]) < common ? chain_blocks(&c[l]) : common;
		x[l] = _mm_setzero_si128();
	}
	for (size_t i = 0; i < common; i++) {
		__m128i k = _mm_load_si128((const __m128i *)s->mac[0]);

		for (int l = 0; l < lanes; l++)
			x[l] = _mm_xor_si128(
				x[l], _mm_xor_si128(k, _mm_loadu_si128((const __m128i *)chain_at(&c[l], i))));
		for (int r = 1; r < 10; r++) {
			k = _mm_load_si128((const __m128i *)s->mac[r]);
			for (int l = 0; l < lanes; l++)
				x[l] = _mm_aesenc_si128(x[l], k);
		}
		k = _mm_load_si128((const __m128i *)s->mac[10]);
		for (int l = 0; l < lanes; l++)
			x[l] = _mm_aesenclast_si128(x[l], k);
	}
	for (int l = 0; l < lanes; l++) {
		for (size_t i = common; i < chain_blocks(&c[l]); i++)
			x[l] = cipher(s->mac,
				_mm_xor_si128(x[l], _mm_loadu_si128((const __m128i *)chain_at(&c[l], i))));
		_mm_storeu_si128((__m128i *)out[l], x[l]);
	}
}

WITH_AES static void mac_four(struct siv *s, const struct chain *c, uint8_t out[][16])
{
	mac_chains(s, c, out, 4);
}

WITH_AES static void mac_eight(struct siv *s, const struct chain *c, uint8_t out[][16])
{
	mac_chains(s, c, out, 8);
}

/* Four blocks of the keystream, from a counter whose last word is low. */
WITH_AES static inline void keystream(const struct siv *s, __m128i counter, uint32_t low, __m128i x[4])
{
	__m128i k = _mm_load_si128((const __m128i *)s->ctr[0]);

	for (int l = 0; l < 4; l++)
		x[l] = _mm_xor_si128(
			k, _mm_insert_epi32(counter, (int)__builtin_bswap32(low + (uint32_t)l), 3));
	for (int r = 1; r < 10; r++) {
		k = _mm_load_si128((const __m128i *)s->ctr[r]);
		for (int l = 0; l < 4; l++)
			x[l] = _mm_aesenc_si128(x[l], k);
	}
	k = _mm_load_si128((const __m128i *)s->ctr[10]);
	for (int l = 0; l < 4; l++)
		x[l] = _mm_aesenclast_si128(x[l], k);
}

/* block: the first counter block. */
WITH_AES static void ctr_instructions(
	const struct siv *s, const uint8_t block[16], uint32_t low, slice in, uint8_t *out)
{
	__m128i counter = _mm_loadu_si128((const __m128i *)block), x[4];
	uint8_t key[64];
	size_t i = 0;

	for (; i + 64 <= in.len; i += 64, low += 4) {
		keystream(s, counter, low, x);
		for (int l = 0; l < 4; l++) {
			__m128i v = _mm_loadu_si128((const __m128i *)(in.p + i + 16 * l));

			_mm_storeu_si128((__m128i *)(out + i + 16 * l), _mm_xor_si128(v, x[l]));
		}
	}
	if (i == in.len)
		return;
	keystream(s, counter, low, x);
	for (int l = 0; l < 4; l++)
		_mm_storeu_si128((__m128i *)(key + 16 * l), x[l]);
	for (int l = 0; i + 16 <= in.len; i += 16, l++) {
		__m128i v = _mm_loadu_si128((const __m128i *)(in.p + i));

		_mm_storeu_si128((__m128i *)(out + i), _mm_xor_si128(v, x[l]));
	}
	for (size_t k = i % 64; i < in.len; i++, k++)
		out[i] = in.p[i] ^ key[k];
}

/* The same with four blocks in a register. */
WITH_VAES static void ctr_vectors(
	const struct siv *s, const uint8_t block[16], uint32_t low, slice in, uint8_t *out)
{
	/* The last word of each block, and its bytes the other way round. */
	const __mmask16 last = 0x8888;
	const __m512i order =
		_mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
	const __m512i number = _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
	__m512i counter = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)block));

	for (size_t i = 0; i < in.len; i += 64, low += 4) {
		size_t left = in.len - i;
		__mmask64 there = left < 64 ? ((uint64_t)1 << left) - 1 : ~(uint64_t)0;
		__m512i n = _mm512_add_epi32(_mm512_set1_epi32((int)low), number), x;

		x = _mm512_mask_mov_epi32(counter, last, _mm512_shuffle_epi8(n, order));
		x = _mm512_xor_si512(x, _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)s->ctr[0])));
		for (int r = 1; r < 10; r++)
			x = _mm512_aesenc_epi128(
				x, _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)s->ctr[r])));
		x = _mm512_aesenclast_epi128(
			x, _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)s->ctr[10])));
		_mm512_mask_storeu_epi8(
			out + i, there, _mm512_xor_si512(x, _mm512_maskz_loadu_epi8(there, in.p + i)));
	}
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

#if defined(__x86_64__)
/* Not all compilers know VAES by name. What the system saves of the registers is
 * asked with AVX-512. */
static bool has_vaes(void)
{
	unsigned a, b, c = 0, d;

	return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("bmi2") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && c & bit_VAES;
}
#endif

bool siv_has(enum siv_path path)
{
#if defined(__x86_64__)
	if (path == SIV_VECTORS && !has_vaes())
		return false;
	return (path != SIV_INSTRUCTIONS && path != SIV_VECTORS) || __builtin_cpu_supports("aes");
#else
	return path != SIV_INSTRUCTIONS && path != SIV_VECTORS;
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
		s->vectors = path != SIV_INSTRUCTIONS && siv_has(SIV_VECTORS);
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

static void s2v_chain(struct siv *s, const struct siv_bound *b, slice plain, struct chain *c)
{
	uint8_t d[16], *t = c->tail;
	size_t from, n;

	memset(t, 0, sizeof c->tail);
	memcpy(d, b->d, 16);
	c->whole = SLICE_NONE;
	c->tail_len = 16;
	if (plain.len < 16) {
		dbl(d);
		if (plain.len)
			memcpy(t, plain.p, plain.len);
		t[plain.len] = 0x80;
		xor16(t, d);
		last_block(s, slice_of(t, 16), t);
		return;
	}
	/* CMAC(plain xorend d): d falls on the last 16 bytes, which lie in the
	 * last block and the one before it. All others are read where they are. */
	from = (plain.len - 1) / 16 * 16;
	from -= from ? 16 : 0;
	n = plain.len - from;
	memcpy(t, plain.p + from, n);
	xor16(t + n - 16, d);
	if (n == 16) {
		last_block(s, slice_of(t, 16), t);
	} else {
		last_block(s, slice_of(t + 16, n - 16), t + 16);
		c->tail_len = 32;
	}
	c->whole = slice_sub(plain, 0, from);
}

void siv_s2v(struct siv *s, const struct siv_bound *b, slice plain, uint8_t tag[SIV_TAG])
{
	struct chain c;

	s2v_chain(s, b, plain, &c);
	mac(s, c.whole, slice_of(c.tail, c.tail_len), tag);
}

/* The tags of n plain texts; there is room for SIV_TOGETHER. */
static void s2v_all(
	struct siv *s, const struct siv_bound *b, const slice *plain, unsigned n, uint8_t tag[][SIV_TAG])
{
#if defined(__x86_64__)
	if (!s->cbc && n > 1) {
		struct chain c[SIV_TOGETHER];
		unsigned lanes = n > 4 ? 8 : 4;

		for (unsigned i = 0; i < n; i++)
			s2v_chain(s, b, plain[i], &c[i]);
		/* The tags of lanes without a text of their own mean nothing. */
		for (unsigned i = n; i < lanes; i++)
			c[i] = c[0];
		if (lanes == 8)
			mac_eight(s, c, tag);
		else
			mac_four(s, c, tag);
		return;
	}
#endif
	for (unsigned i = 0; i < n; i++)
		siv_s2v(s, b, plain[i], tag[i]);
}

static void ctr_openssl(struct siv *s, const uint8_t first[16], uint32_t low, slice in, uint8_t *out)
{
	uint8_t block[256], key[256];

	for (size_t i = 0; i < in.len;) {
		size_t n = in.len - i < sizeof block ? in.len - i : sizeof block, blocks = (n + 15) / 16;

		for (size_t k = 0; k < blocks; k++, low++) {
			uint8_t *at = block + 16 * k;

			memcpy(at, first, 12);
			put_le32(at + 12, __builtin_bswap32(low));
		}
		evp(s->ecb, block, 16 * blocks, key);
		for (size_t k = 0; k < n; k++)
			out[i + k] = in.p[i + k] ^ key[k];
		i += n;
	}
}

void siv_ctr(struct siv *s, const uint8_t tag[SIV_TAG], slice in, uint8_t *out)
{
	uint8_t first[16];
	uint32_t low;

	must(in.len < 1u << 30); /* the counter's cleared bit takes the carry */
	memcpy(first, tag, 16);
	first[8] &= 0x7f; /* RFC 5297 section 2.5 */
	first[12] &= 0x7f;
	low = __builtin_bswap32(get_le32(first + 12));
#if defined(__x86_64__)
	if (s->vectors) {
		ctr_vectors(s, first, low, in, out);
		return;
	}
	if (!s->ecb) {
		ctr_instructions(s, first, low, in, out);
		return;
	}
#endif
	ctr_openssl(s, first, low, in, out);
}

void siv_seal_all(struct siv *s, const struct siv_bound *b, const struct siv_job *job, unsigned n)
{
	uint8_t tag[SIV_TOGETHER][SIV_TAG];
	slice plain[SIV_TOGETHER] = {SLICE_NONE};

	must(n <= SIV_TOGETHER);
	for (unsigned i = 0; i < n; i++)
		plain[i] = job[i].in;
	s2v_all(s, b, plain, n, tag);
	for (unsigned i = 0; i < n; i++) {
		memcpy(job[i].tag, tag[i], SIV_TAG);
		siv_ctr(s, tag[i], job[i].in, job[i].out);
	}
}

static bool tag_right(const uint8_t want[SIV_TAG], const uint8_t tag[SIV_TAG])
{
	return ((get_le64(want) ^ get_le64(tag)) | (get_le64(want + 8) ^ get_le64(tag + 8))) == 0;
}

bool siv_open_all(struct siv *s, const struct siv_bound *b, const struct siv_job *job, unsigned n)
{
	uint8_t want[SIV_TOGETHER][SIV_TAG];
	slice plain[SIV_TOGETHER] = {SLICE_NONE};
	bool right = true;

	must(n <= SIV_TOGETHER);
	for (unsigned i = 0; i < n; i++) {
		siv_ctr(s, job[i].tag, job[i].in, job[i].out);
		plain[i] = slice_of(job[i].out, job[i].in.len);
	}
	s2v_all(s, b, plain, n, want);
	for (unsigned i = 0; i < n; i++)
		right &= tag_right(want[i], job[i].tag);
	for (unsigned i = 0; i < n && !right; i++)
		if (job[i].in.len)
			memset(job[i].out, 0, job[i].in.len);
	return right;
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
	if (tag_right(want, tag))
		return true;
	if (sealed.len)
		memset(out, 0, sealed.len);
	return false;
}
