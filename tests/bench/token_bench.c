/* Nanoseconds to seal and to open a token: our two paths beside OpenSSL's SIV. */
#include "core/base/must.h"
#include "core/model/siv.h"
#include "core/model/token.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUNDS 20
#define CALLS 20000

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The least of some rounds: what the code costs, not what the machine did. */
#define MEASURE(best, body)                                                                                  \
	do {                                                                                                 \
		best = 1e18;                                                                                 \
		for (int round = 0; round < ROUNDS; round++) {                                               \
			double t0 = now();                                                                   \
			for (int call = 0; call < CALLS; call++) {                                           \
				body;                                                                        \
			}                                                                                    \
			t0 = (now() - t0) / CALLS;                                                           \
			best = t0 < best ? t0 : best;                                                        \
		}                                                                                            \
	} while (0)

static const uint8_t secret[32] = {1, 2, 3, 4, 5};

static double cipher_of_ours(enum siv_path path, size_t len)
{
	uint8_t plain[4096] = {0}, tag[16];
	slice ad[2] = {SLICE("c"), SLICE("click.shop.example")};
	struct siv_bound b;
	struct siv s;
	double ns;

	if (!siv_has(path))
		return 0;
	siv_init(&s, secret, path);
	siv_bind(&s, ad, 2, &b);
	MEASURE(ns, siv_seal(&s, &b, slice_of(plain, len), tag, plain);
		must(siv_open(&s, &b, slice_of(plain, len), tag, plain)));
	siv_free(&s);
	return ns / 2;
}

static double cipher_of_openssl(size_t len)
{
	EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, "AES-128-SIV", NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t plain[4096] = {0}, out[4096];
	double ns;
	int n;

	must(c && ctx);
	MEASURE(ns, {
		must(EVP_EncryptInit_ex2(ctx, c, secret, NULL, NULL) == 1);
		must(EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)"c", 1) == 1);
		must(EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)"click.shop.example", 18) == 1);
		must(EVP_EncryptUpdate(ctx, out, &n, plain, (int)len) == 1);
	});
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(c);
	return ns;
}

static void whole_tokens(const char *name, const struct token *t)
{
	struct keyring ring = {.count = 1, .key = {{.id = 1, .secret = {1, 2, 3}}}};
	struct sealer *s = sealer_open(&ring);
	static uint8_t room[TOKEN_ROOM];
	double seal, open, forged;
	struct token got;
	struct buf text;

	buf_init(&text, TOKEN_MAX_TEXT);
	MEASURE(seal, buf_clear(&text); must(token_seal(s, SLICE("click.shop.example"), t, &text) == 0));
	MEASURE(open,
		must(token_open(s, SLICE("click.shop.example"), t->kind, buf_slice(&text), room, &got) == 0));
	text.p[30] ^= 1;
	MEASURE(forged,
		must(token_open(s, SLICE("click.shop.example"), t->kind, buf_slice(&text), room, &got) < 0));
	printf("%-22s %4zu characters   seal %6.0f ns   open %6.0f ns   refuse %6.0f ns\n", name, text.len,
		seal, open, forged);
	buf_free(&text);
	sealer_close(&s);
}

int main(void)
{
	static uint8_t url[3000];
	static const struct {
		const char *name;
		size_t len;
	} lengths[] = {{"open token", 17}, {"80-byte click token", 80}, {"1000-byte click token", 1000}};
	struct token open = {
		.kind = TOKEN_OPEN, .campaign = 0x0123456789abcdef, .lane = 1, .sequence = 100000};
	struct token click = open;

	memset(url, 'u', sizeof url);
	click.kind = TOKEN_CLICK;
	click.url = slice_of(url, 80);
	whole_tokens("open", &open);
	whole_tokens("click, 80-byte url", &click);
	click.url = slice_of(url, 1000);
	whole_tokens("click, 1000-byte url", &click);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		double fast = cipher_of_ours(SIV_INSTRUCTIONS, lengths[i].len);
		double composed = cipher_of_ours(SIV_OPENSSL, lengths[i].len);
		double theirs = cipher_of_openssl(lengths[i].len);

		printf("SIV of %-22s instructions %5.0f ns   composed %5.0f ns   OpenSSL's %5.0f ns",
			lengths[i].name, fast, composed, theirs);
		if (fast > 0)
			printf("   (%.0f and %.1f times faster)", theirs / fast, theirs / composed);
		printf("\n");
	}
	return 0;
}
