/* API keys: lf_<id>_<secret>, of which only the SHA-256 is stored.
 *
 * pure: File form, a line a key: ID SP TENANT SP 64*HEX, where the digest is of
 * the whole key as it is presented. Tenant "*" reads all tenants.
 */
#ifndef LF_MODEL_APIKEY_H
#define LF_MODEL_APIKEY_H

#include "core/base/arena.h"
#include "core/base/slice.h"

#define APIKEY_MAX 10000
#define APIKEY_MAX_TEXT 128

struct apikey {
	slice id, tenant; /* borrow the text that was decoded */
	uint8_t digest[32];
};

struct apikeys {
	struct apikey *key;
	size_t count;
};

/* 0, or -REFUSE_SYNTAX / -REFUSE_RANGE with *line. Blank lines and '#' are
 * skipped. Keeps slices into text. */
int apikeys_decode(struct arena *a, slice text, struct apikeys *out, unsigned *line);

/* The key that an Authorization header's value presents ("Bearer lf_..."), or
 * NULL. Takes the same time whichever byte of the secret is wrong. */
const struct apikey *apikeys_find(const struct apikeys *keys, slice authorization);

/* May this key read the tenant? */
bool apikey_reads(const struct apikey *k, slice tenant);

#endif
