/* AES-128-SIV (RFC 5297) with prepared keys: nothing is set up per message.
 *
 * The associated data is hashed once into a `siv_bound` that serves any number
 * of messages. AES instructions are used where the processor has them;
 * elsewhere the same bytes come from OpenSSL contexts that are kept. Not to be
 * shared between threads.
 */
#ifndef LF_MODEL_SIV_H
#define LF_MODEL_SIV_H

#include "core/base/slice.h"

#define SIV_KEY 32
#define SIV_TAG 16

/* BEST takes AES where the processor has it. The others are for tests. */
enum siv_path { SIV_BEST, SIV_VECTORS, SIV_INSTRUCTIONS, SIV_OPENSSL };

struct siv {
	/* round keys of the two halves of the key; unused by the OpenSSL path */
	uint8_t mac[11][16] __attribute__((aligned(16)));
	uint8_t ctr[11][16] __attribute__((aligned(16)));
	uint8_t k1[16], k2[16];              /* subkeys of CMAC, RFC 4493 */
	uint8_t start[16];                   /* CMAC of the zero block, where S2V begins */
	uint8_t chain[16];                   /* where the CBC context stands */
	struct evp_cipher_ctx_st *cbc, *ecb; /* owned; NULL on the instruction paths */
	bool vectors;                        /* four blocks of CTR in one instruction */
};

struct siv_bound {
	uint8_t d[16];
};

bool siv_has(enum siv_path path);

/* key: the half for S2V, then the half for CTR. siv_free wipes. */
void siv_init(struct siv *s, const uint8_t key[SIV_KEY], enum siv_path path);
void siv_free(struct siv *s);

/* The strings of associated data, in order (a nonce is the last one). */
void siv_bind(struct siv *s, const slice *ad, unsigned n, struct siv_bound *out);

/* tag and out (plain.len bytes; may be plain's own) are written. */
void siv_seal(struct siv *s, const struct siv_bound *b, slice plain, uint8_t tag[SIV_TAG], uint8_t *out);
/* Decrypts into out (may be sealed's own). False: forged, and out is zeros.
 * The tags are compared in constant time. */
bool siv_open(
	struct siv *s, const struct siv_bound *b, slice sealed, const uint8_t tag[SIV_TAG], uint8_t *out);

/* Several with the same associated data, up to this many: on the instruction path
 * that takes little longer than one. */
#define SIV_TOGETHER 8
struct siv_job {
	slice in;
	uint8_t *tag; /* written when sealing, read when opening */
	uint8_t *out; /* in.len bytes; may be in's own */
};
/* The same bytes as siv_seal one by one. */
void siv_seal_all(struct siv *s, const struct siv_bound *b, const struct siv_job *job, unsigned n);
/* False: at least one is forged, and all that was written is zeros. */
bool siv_open_all(struct siv *s, const struct siv_bound *b, const struct siv_job *job, unsigned n);

/* The two halves, for the return path's shorter form. */
void siv_s2v(struct siv *s, const struct siv_bound *b, slice plain, uint8_t tag[SIV_TAG]);
/* Encrypts and decrypts. */
void siv_ctr(struct siv *s, const uint8_t tag[SIV_TAG], slice in, uint8_t *out);

#endif
