#include "core/model/keyring.h"

#include "core/base/refuse.h"
#include "core/parse/date.h"
#include "core/parse/num.h"

#include <string.h>

/* The word up to the next space; *line goes behind it. */
static slice word(slice *line)
{
	size_t end = slice_chr(*line, ' ', 0);
	slice w = slice_sub(*line, 0, end);

	*line = end == SLICE_NPOS ? slice_from(*line, line->len) : slice_from(*line, end + 1);
	return w;
}

static bool secret_decode(slice text, uint8_t out[KEYRING_SECRET])
{
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] >= 'A' && text.p[i] <= 'F')
			return false; /* one text for one ring */
	return num_hex_bytes(text, out, KEYRING_SECRET);
}

static bool key_decode(slice line, struct keyring *ring)
{
	struct keyring_key *k = &ring->key[ring->count];
	slice id = word(&line), state = word(&line), date = word(&line);
	uint64_t n;

	if (ring->count == KEYRING_MAX_KEYS || num_decode(id, KEYRING_MAX_KEYS, &n) < 0 || n == 0 ||
		id.p[0] == '0')
		return false;
	*k = (struct keyring_key){.id = (uint8_t)n, .retired = slice_eq(state, SLICE("retired"))};
	if (!k->retired && !slice_eq(state, SLICE("active")))
		return false;
	if (!date_decode(date, &k->made_day) || !secret_decode(line, k->secret))
		return false;
	for (unsigned i = 0; i < ring->count; i++)
		if (ring->key[i].id == k->id)
			return false;
	ring->count++;
	return true;
}

int keyring_decode(slice text, struct keyring *out, unsigned *line)
{
	bool hashed = false;

	memset(out, 0, sizeof *out);
	*line = 0;
	while (text.len) {
		size_t end = slice_chr(text, '\n', 0);
		slice rest = slice_sub(text, 0, end), what;

		++*line;
		if (end == SLICE_NPOS)
			return -REFUSE_SYNTAX;
		text = slice_from(text, end + 1);
		what = word(&rest);
		if (slice_eq(what, SLICE("hash"))) {
			if (hashed || !secret_decode(rest, out->hash))
				return -REFUSE_SYNTAX;
			hashed = true;
		} else if (!slice_eq(what, SLICE("key")) || !key_decode(rest, out)) {
			return -REFUSE_SYNTAX;
		}
	}
	if (hashed && out->count)
		return 0;
	++*line; /* what is missing would stand behind the last line */
	return -REFUSE_SYNTAX;
}

static void secret_encode(const uint8_t secret[KEYRING_SECRET], struct buf *out)
{
	for (int i = 0; i < KEYRING_SECRET; i++)
		buf_printf(out, "%02x", secret[i]);
	buf_byte(out, '\n');
}

void keyring_encode(const struct keyring *ring, struct buf *out)
{
	buf_str(out, "hash ");
	secret_encode(ring->hash, out);
	for (unsigned i = 0; i < ring->count; i++) {
		const struct keyring_key *k = &ring->key[i];

		buf_printf(out, "key %u %s ", k->id, k->retired ? "retired" : "active");
		date_encode(k->made_day, out);
		buf_byte(out, ' ');
		secret_encode(k->secret, out);
	}
}

const struct keyring_key *keyring_newest(const struct keyring *ring)
{
	const struct keyring_key *best = NULL;

	for (unsigned i = 0; i < ring->count; i++)
		if (!ring->key[i].retired && (!best || ring->key[i].id > best->id))
			best = &ring->key[i];
	return best;
}

const struct keyring_key *keyring_find(const struct keyring *ring, uint8_t id)
{
	for (unsigned i = 0; i < ring->count; i++)
		if (!ring->key[i].retired && ring->key[i].id == id)
			return &ring->key[i];
	return NULL;
}
