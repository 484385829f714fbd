#include "core/model/keyring.h"

#include "core/base/refuse.h"
#include "core/parse/num.h"

#include <string.h>

/* Days since 1970-01-01 of a proleptic Gregorian date, and back: years that
 * begin in March, eras of 400 years. */
static uint32_t day_of(unsigned year, unsigned month, unsigned day)
{
	unsigned y = month <= 2 ? year - 1 : year;
	unsigned in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return y / 400 * 146097 + y % 400 * 365 + y % 400 / 4 - y % 400 / 100 + in_year - 719468;
}

static void date_of(uint32_t days, unsigned *year, unsigned *month, unsigned *day)
{
	uint64_t z = (uint64_t)days + 719468;
	unsigned e = (unsigned)(z % 146097);
	unsigned y = (e - e / 1460 + e / 36524 - e / 146096) / 365;
	unsigned in_year = e - (365 * y + y / 4 - y / 100);
	unsigned m = (5 * in_year + 2) / 153;

	*day = in_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = (unsigned)(z / 146097 * 400) + y + (*month <= 2);
}

static bool date_decode(slice s, uint32_t *out)
{
	uint64_t y, m, d;
	unsigned back[3];

	if (s.len != 10 || s.p[4] != '-' || s.p[7] != '-')
		return false;
	if (num_decode(slice_sub(s, 0, 4), 9999, &y) < 0 || num_decode(slice_sub(s, 5, 7), 12, &m) < 0 ||
		num_decode(slice_sub(s, 8, 10), 31, &d) < 0)
		return false;
	if (y < 1970 || m == 0 || d == 0)
		return false;
	*out = day_of((unsigned)y, (unsigned)m, (unsigned)d);
	date_of(*out, &back[0], &back[1], &back[2]);
	return back[0] == y && back[1] == m && back[2] == d;
}

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
		unsigned y, m, d;

		date_of(k->made_day, &y, &m, &d);
		buf_printf(
			out, "key %u %s %04u-%02u-%02u ", k->id, k->retired ? "retired" : "active", y, m, d);
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
