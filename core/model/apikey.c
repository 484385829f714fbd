#include "core/model/apikey.h"

#include "core/base/refuse.h"
#include "core/parse/num.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

static slice word(slice *line)
{
	slice w;
	size_t n = 0;

	*line = slice_trim(*line);
	while (n < line->len && !ascii_space(line->p[n]))
		n++;
	w = slice_sub(*line, 0, n);
	*line = slice_from(*line, n);
	return w;
}

int apikeys_decode(struct arena *a, slice text, struct apikeys *out, unsigned *line)
{
	size_t pos = 0, room = 0;

	*out = (struct apikeys){0};
	*line = 0;
	for (size_t i = 0; i < text.len; i++)
		room += text.p[i] == '\n';
	if (room > APIKEY_MAX)
		return -REFUSE_RANGE;
	out->key = arena_array(a, struct apikey, room + 1);
	while (pos < text.len) {
		size_t end = slice_chr(text, '\n', pos);
		slice rest = slice_sub(text, pos, end);
		struct apikey k = {0};

		pos = end == SLICE_NPOS ? text.len : end + 1;
		++*line;
		k.id = word(&rest);
		if (k.id.len == 0 || k.id.p[0] == '#')
			continue;
		k.tenant = word(&rest);
		if (!num_hex_bytes(word(&rest), k.digest, sizeof k.digest) || slice_trim(rest).len)
			return -REFUSE_SYNTAX;
		out->key[out->count++] = k;
	}
	return 0;
}

/* "lf_<id>_<secret>": the id, or empty. */
static slice id_of(slice key)
{
	size_t bar;

	if (key.len > APIKEY_MAX_TEXT || !slice_starts(key, SLICE("lf_")))
		return SLICE_NONE;
	bar = slice_chr(key, '_', 3);
	return bar == SLICE_NPOS ? SLICE_NONE : slice_sub(key, 3, bar);
}

const struct apikey *apikeys_find(const struct apikeys *keys, slice authorization)
{
	slice key = slice_istarts(authorization, SLICE("bearer ")) ? slice_trim(slice_from(authorization, 7))
								   : SLICE_NONE;
	slice id = id_of(key);
	uint8_t digest[32];

	if (id.len == 0)
		return NULL;
	SHA256(key.p, key.len, digest);
	for (size_t i = 0; i < keys->count; i++)
		if (slice_eq(keys->key[i].id, id) &&
			CRYPTO_memcmp(keys->key[i].digest, digest, sizeof digest) == 0)
			return &keys->key[i];
	return NULL;
}

bool apikey_reads(const struct apikey *k, slice tenant)
{
	return slice_eq(k->tenant, SLICE("*")) || slice_eq(k->tenant, tenant);
}
