/* The secrets of one installation, as values: no file is touched here.
 *
 * A ring holds up to 64 sealing keys and one hash key. New tokens use the
 * newest active key; every key that is not retired opens. The hash key never
 * changes: campaign keys and recipient hashes are made with it, and a new one
 * would part every report from its past.
 *
 * Text form (one file, mode 0600, written by core/io/keyfile):
 *
 *	hash 64*HEX
 *	key ID active|retired YYYY-MM-DD 64*HEX
 */
#ifndef LF_MODEL_KEYRING_H
#define LF_MODEL_KEYRING_H

#include "core/base/buf.h"
#include "core/base/slice.h"

#define KEYRING_MAX_KEYS 64
/* Key ids are 1..KEYRING_MAX_KEYS: six bits of a token's first byte. */
#define KEYRING_SECRET 32

struct keyring_key {
	uint8_t id;
	bool retired;
	uint32_t made_day; /* days since 1970-01-01 */
	uint8_t secret[KEYRING_SECRET]; /* AES-128-SIV: 16 bytes for S2V, 16 for CTR */
};

struct keyring {
	uint8_t hash[KEYRING_SECRET];
	struct keyring_key key[KEYRING_MAX_KEYS];
	unsigned count;
};

/* 0, or -REFUSE_SYNTAX (also: no hash key, no key at all, an id twice);
 * *line is then the line number, from 1. */
int keyring_decode(slice text, struct keyring *out, unsigned *line);
/* The exact inverse. */
void keyring_encode(const struct keyring *ring, struct buf *out);

/* The newest key that is not retired, or NULL. Newest: greatest id. */
const struct keyring_key *keyring_newest(const struct keyring *ring);
/* The key with this id unless it is retired, or NULL. */
const struct keyring_key *keyring_find(const struct keyring *ring, uint8_t id);

#endif
