/* Tokens: identity that travels inside the message.
 *
 * A token names (campaign, lane, sequence), is encrypted and authenticated by
 * AES-128-SIV (RFC 5297), and is bound to its kind and to the tracking host:
 * a token of one kind never opens as another, and one host's token is refused
 * on another host. Sealing is deterministic. Bytes: docs/FORMATS.md, "Token".
 *
 * A sealer holds prepared keys. It is not shared between threads.
 */
#ifndef LF_MODEL_TOKEN_H
#define LF_MODEL_TOKEN_H

#include "core/base/buf.h"
#include "core/base/slice.h"
#include "core/model/keyring.h"

/* Text lengths outside of these are refused before any cryptography. */
#define TOKEN_MIN_TEXT 40
#define TOKEN_MAX_TEXT 4096
/* Longest destination that fits. */
#define TOKEN_MAX_URL 3000
/* Room that token_open needs for what it decrypts. */
#define TOKEN_ROOM 3072

/* The letter is the URL path ("/o/...") and part of what is authenticated. */
enum token_kind {
	TOKEN_OPEN = 'o',
	TOKEN_CLICK = 'c',
	TOKEN_UNSUBSCRIBE = 'u',
	TOKEN_HEADER = 'i', /* X-Landfall-Id */
	TOKEN_RETURN = 'b'  /* return path; has its own short form, token_seal_return */
};

struct token {
	enum token_kind kind;
	uint64_t campaign;
	uint32_t lane;
	uint32_t sequence;
	uint16_t day;  /* of sealing: days since 2020-01-01 */
	uint8_t mode;  /* privacy mode, 0..15; see enum privacy in model/event.h */
	uint8_t place; /* enum place of model/event.h */
	uint16_t link; /* clicks: number of the link within the message, from 0 */
	slice url;     /* clicks: destination; borrows the caller's room after an open */
};

struct sealer;

/* Copies what it needs from the ring. Never fails (memory: must). */
struct sealer *sealer_open(const struct keyring *ring);
/* The same, and *s is set before anything can go wrong: where must() jumps
 * instead of stopping, what there is can be closed. */
void sealer_start(struct sealer **s, const struct keyring *ring);
void sealer_close(struct sealer **s);

/* Append the token's text, alphabet [A-Za-z0-9_-].
 * 0, -REFUSE_LENGTH (url longer than TOKEN_MAX_URL), or -REFUSE_UNKNOWN_KEY
 * (the ring has no active key). host: tracking host, compared as lower case,
 * without port. */
int token_seal(struct sealer *s, slice host, const struct token *t, struct buf *out);

/* 0 and *out, whose url borrows room. Otherwise -REFUSE_LENGTH, _ALPHABET,
 * _NOT_CANONICAL, _VERSION, _UNKNOWN_KEY, _FORGED (also: other kind, other
 * host). Nothing in the token is used before the tag was checked. */
int token_open(struct sealer *s, slice host, enum token_kind kind, slice text, uint8_t room[TOKEN_ROOM],
	struct token *out);

/* Several tokens of one kind and host at once, up to this many; each costs less
 * than alone. */
#define TOKEN_TOGETHER 8
/* As token_seal; t[i] goes to out[i]. A refusal: nothing was appended. */
int token_seal_all(struct sealer *s, slice host, const struct token *t, unsigned count, struct buf *out);
/* As token_open, for tokens of one and the same key; 0: all of them opened. Else
 * why one did not (-REFUSE_UNKNOWN_KEY also: they name different keys), and
 * nothing of out may be used. */
int token_open_all(struct sealer *s, slice host, enum token_kind kind, const slice *text, unsigned count,
	uint8_t room[][TOKEN_ROOM], struct token *out);

/* The return path's local part behind its prefix: 37 characters of lower-case
 * base32 (RFC 4648 alphabet), read case-insensitively, 48-bit tag. Bound to the
 * return-path domain as host. Only campaign, lane and sequence are kept.
 * See docs/DECISIONS.md for why the tag is short. */
#define TOKEN_RETURN_TEXT 37
int token_seal_return(struct sealer *s, slice domain, const struct token *t, struct buf *out);
int token_open_return(struct sealer *s, slice domain, slice text, struct token *out);

/* Days since 2020-01-01 of a time in Unix milliseconds, clamped to 16 bits. */
uint16_t token_day(uint64_t ms);

/* 64-bit keyed hashes (HMAC-SHA-256 under the ring's hash key, first 8 bytes,
 * little-endian), each with its own prefix so that one never equals another. */
uint64_t hash_campaign(const struct keyring *ring, slice tenant, slice name);
/* Address compared with its domain in lower case. */
uint64_t hash_recipient(const struct keyring *ring, slice address);
/* Of a network prefix; never 0. */
uint32_t hash_network(const struct keyring *ring, slice prefix);
/* Any bytes (by their SHA-256), for tables in memory. */
uint64_t hash_content(const struct keyring *ring, slice content);

#endif
