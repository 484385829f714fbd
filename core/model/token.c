#include "core/model/token.h"

#include "core/base/bytes.h"
#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/model/event.h"
#include "core/model/siv.h"
#include "core/parse/b64.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 0x40 /* 01 in the two high bits of the first byte */
#define HEAD (1 + SIV_TAG)
#define MAX_HOST 255
#define RETURN_TAG 6
#define RETURN_PLAIN 16
#define RETURN_BYTES (1 + RETURN_TAG + RETURN_PLAIN)
#define OTHER_PLACE 4  /* beside the kind's number */
#define DAY_ZERO 18262 /* 2020-01-01 in days since 1970-01-01 */
#define DAY_MS 86400000

_Static_assert(B32_TEXT(RETURN_BYTES) == TOKEN_RETURN_TEXT, "length of the return path's token");
_Static_assert(B64_BYTES(TOKEN_MAX_TEXT) <= TOKEN_ROOM, "what is decoded fits the room");
_Static_assert(
	HEAD + 1 + 8 + 4 + 5 + 2 + 3 + TOKEN_MAX_URL <= B64_BYTES(TOKEN_MAX_TEXT), "the longest token fits");

static const uint8_t kinds[] = {TOKEN_OPEN, TOKEN_CLICK, TOKEN_UNSUBSCRIBE, TOKEN_HEADER, TOKEN_RETURN};
#define KINDS (sizeof kinds)

/* Kind and host are the same for many tokens in a row: what S2V makes of them
 * is kept for the last host of each kind. */
struct binding {
	struct siv_bound bound;
	size_t len;
	uint8_t host[MAX_HOST]; /* lower case */
	bool set;
};

struct key {
	struct siv siv;
	struct binding binding[KINDS];
};

struct sealer {
	struct key *of[KEYRING_MAX_KEYS]; /* owned, by key_bits; NULL: unknown or retired */
	struct key *newest;
	uint8_t newest_bits;
	uint8_t raw[TOKEN_TOGETHER][TOKEN_ROOM];
};

/* Ids are 1..64 and six bits hold 0..63: the last one goes to 0. */
static uint8_t key_bits(uint8_t id)
{
	return id & (KEYRING_MAX_KEYS - 1);
}

void sealer_start(struct sealer **out, const struct keyring *ring)
{
	const struct keyring_key *newest = keyring_newest(ring);
	struct sealer *s = must_zalloc(sizeof *s);

	*out = s;

	for (unsigned i = 0; i < ring->count; i++) {
		const struct keyring_key *k = &ring->key[i];
		struct key *own;

		if (k->retired || s->of[key_bits(k->id)])
			continue;
		own = must_zalloc(sizeof *own);
		s->of[key_bits(k->id)] = own;
		siv_init(&own->siv, k->secret, SIV_BEST);
	}
	if (newest) {
		s->newest_bits = key_bits(newest->id);
		s->newest = s->of[s->newest_bits];
	}
}

struct sealer *sealer_open(const struct keyring *ring)
{
	struct sealer *s = NULL;

	sealer_start(&s, ring);
	return s;
}

void sealer_close(struct sealer **s)
{
	if (!*s)
		return;
	for (unsigned i = 0; i < KEYRING_MAX_KEYS; i++) {
		if (!(*s)->of[i])
			continue;
		siv_free(&(*s)->of[i]->siv);
		free((*s)->of[i]);
	}
	OPENSSL_cleanse(*s, sizeof **s);
	free(*s);
	*s = NULL;
}

static unsigned kind_number(enum token_kind kind)
{
	unsigned i = 0;

	while (i < KINDS && kinds[i] != kind)
		i++;
	must(i < KINDS);
	return i;
}

/* NULL: no host is that long. */
static const struct siv_bound *bound_to(struct key *k, enum token_kind kind, slice host)
{
	unsigned number = kind_number(kind);
	struct binding *b = &k->binding[number];
	slice ad[2];

	if (host.len > MAX_HOST)
		return NULL;
	if (b->set && slice_eq(slice_of(b->host, b->len), host))
		return &b->bound;
	b->len = host.len;
	b->set = true;
	for (size_t i = 0; i < host.len; i++)
		b->host[i] = ascii_lower(host.p[i]);
	ad[0] = slice_of(&kinds[number], 1);
	ad[1] = slice_of(b->host, b->len);
	siv_bind(&k->siv, ad, 2, &b->bound);
	return &b->bound;
}

static size_t put_varint(uint8_t *p, uint32_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		p[n++] = (uint8_t)(v | 0x80);
	p[n++] = (uint8_t)v;
	return n;
}

/* Only an open has a top, only a click an AMP part. */
static bool place_fits(enum token_kind kind, uint8_t place)
{
	return place == PLACE_MAIN || (kind == TOKEN_OPEN && place == PLACE_TOP) ||
	       (kind == TOKEN_CLICK && place == PLACE_AMP);
}

/* High four bits: the kind's number, so that it is known beside the letter in
 * the associated data, and 4 more for the other place that it may have; low
 * four: privacy mode. */
static uint8_t kind_and_mode(const struct token *t)
{
	unsigned place = t->place == PLACE_MAIN ? 0 : OTHER_PLACE;

	return (uint8_t)((kind_number(t->kind) | place) << 4 | (t->mode & 15));
}

static size_t put_plain(uint8_t *plain, const struct token *t)
{
	size_t n = 0;

	plain[n++] = kind_and_mode(t);
	put_le64(plain + n, t->campaign);
	put_le32(plain + n + 8, t->lane);
	n += 12;
	n += put_varint(plain + n, t->sequence);
	put_le16(plain + n, t->day);
	n += 2;
	if (t->kind == TOKEN_CLICK) {
		n += put_varint(plain + n, t->link);
		if (t->url.len)
			memcpy(plain + n, t->url.p, t->url.len);
		n += t->url.len;
	}
	return n;
}

int token_seal_all(struct sealer *s, slice host, const struct token *t, unsigned count, struct buf *out)
{
	struct siv_job job[TOKEN_TOGETHER];
	const struct siv_bound *bound;

	must(count && count <= TOKEN_TOGETHER && t[0].kind != TOKEN_RETURN);
	if (!s->newest)
		return -REFUSE_UNKNOWN_KEY;
	bound = bound_to(s->newest, t[0].kind, host);
	if (!bound)
		return -REFUSE_LENGTH;
	for (unsigned i = 0; i < count; i++) {
		uint8_t *raw = s->raw[i], *plain = raw + HEAD;

		must(t[i].kind == t[0].kind && place_fits(t[i].kind, t[i].place));
		if (t[i].kind == TOKEN_CLICK && t[i].url.len > TOKEN_MAX_URL)
			return -REFUSE_LENGTH;
		raw[0] = VERSION | s->newest_bits;
		job[i] = (struct siv_job){
			.in = slice_of(plain, put_plain(plain, &t[i])), .tag = raw + 1, .out = plain};
	}
	siv_seal_all(&s->newest->siv, bound, job, count);
	for (unsigned i = 0; i < count; i++)
		b64url_encode(slice_of(s->raw[i], HEAD + job[i].in.len), &out[i]);
	return 0;
}

int token_seal(struct sealer *s, slice host, const struct token *t, struct buf *out)
{
	return token_seal_all(s, host, t, 1, out);
}

/* What stands in an authentic token; only one of another make can be wrong. */
static int read_plain(slice plain, enum token_kind kind, struct token *out)
{
	struct token t = {.kind = kind};
	uint64_t v;
	size_t n, at = 13;

	if (plain.len < at)
		return -REFUSE_FORGED;
	t.mode = plain.p[0] & 15;
	if (plain.p[0] >> 4 & OTHER_PLACE)
		t.place = kind == TOKEN_OPEN ? PLACE_TOP : kind == TOKEN_CLICK ? PLACE_AMP : PLACE_MAIN;
	if (plain.p[0] != kind_and_mode(&t))
		return -REFUSE_FORGED;
	t.campaign = get_le64(plain.p + 1);
	t.lane = get_le32(plain.p + 9);
	n = get_varint(slice_from(plain, at), &v);
	if (n == 0 || v > UINT32_MAX || plain.len - at - n < 2)
		return -REFUSE_FORGED;
	t.sequence = (uint32_t)v;
	at += n;
	t.day = get_le16(plain.p + at);
	at += 2;
	if (kind == TOKEN_CLICK) {
		n = get_varint(slice_from(plain, at), &v);
		if (n == 0 || v > UINT16_MAX)
			return -REFUSE_FORGED;
		t.link = (uint16_t)v;
		t.url = slice_from(plain, at + n);
		if (t.url.len > TOKEN_MAX_URL)
			return -REFUSE_FORGED;
	} else if (at != plain.len) {
		return -REFUSE_FORGED;
	}
	*out = t;
	return 0;
}

/* The key that the first byte names, or NULL with *rc. */
static struct key *key_named(struct sealer *s, uint8_t first, int *rc)
{
	struct key *k = s->of[first & (KEYRING_MAX_KEYS - 1)];

	*rc = (first & 0xc0) != VERSION ? -REFUSE_VERSION : k ? 0 : -REFUSE_UNKNOWN_KEY;
	return *rc < 0 ? NULL : k;
}

int token_open_all(struct sealer *s, slice host, enum token_kind kind, const slice *text, unsigned count,
	uint8_t room[][TOKEN_ROOM], struct token *out)
{
	struct siv_job job[TOKEN_TOGETHER];
	const struct siv_bound *bound;
	struct key *k = NULL;
	int rc;

	must(count && count <= TOKEN_TOGETHER && kind != TOKEN_RETURN);
	for (unsigned i = 0; i < count; i++) {
		struct key *named;

		if (text[i].len < TOKEN_MIN_TEXT || text[i].len > TOKEN_MAX_TEXT)
			return -REFUSE_LENGTH;
		rc = b64url_decode(text[i], room[i], TOKEN_ROOM);
		if (rc < 0)
			return rc;
		job[i] = (struct siv_job){.in = slice_sub(slice_of(room[i], TOKEN_ROOM), HEAD, (size_t)rc),
			.tag = room[i] + 1,
			.out = room[i] + HEAD};
		named = key_named(s, room[i][0], &rc);
		if (!named)
			return rc;
		if (k && named != k)
			return -REFUSE_UNKNOWN_KEY;
		k = named;
	}
	bound = bound_to(k, kind, host);
	if (!bound || !siv_open_all(&k->siv, bound, job, count))
		return -REFUSE_FORGED;
	for (unsigned i = 0; i < count; i++) {
		rc = read_plain(job[i].in, kind, &out[i]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int token_open(struct sealer *s, slice host, enum token_kind kind, slice text, uint8_t room[TOKEN_ROOM],
	struct token *out)
{
	return token_open_all(s, host, kind, &text, 1, (uint8_t(*)[TOKEN_ROOM])room, out);
}

/* Only 16 bytes are worth hiding, so the tag is cut to what still makes a
 * forged bounce hopeless, and stands in for the whole one before CTR. */
static void return_counter(const uint8_t tag[RETURN_TAG], uint8_t out[SIV_TAG])
{
	memset(out, 0, SIV_TAG);
	memcpy(out, tag, RETURN_TAG);
}

int token_seal_return(struct sealer *s, slice domain, const struct token *t, struct buf *out)
{
	uint8_t raw[RETURN_BYTES], plain[RETURN_PLAIN], tag[SIV_TAG];
	const struct siv_bound *bound;

	if (!s->newest)
		return -REFUSE_UNKNOWN_KEY;
	bound = bound_to(s->newest, TOKEN_RETURN, domain);
	if (!bound)
		return -REFUSE_LENGTH;
	put_le64(plain, t->campaign);
	put_le32(plain + 8, t->lane);
	put_le32(plain + 12, t->sequence);
	siv_s2v(&s->newest->siv, bound, slice_of(plain, sizeof plain), tag);
	raw[0] = VERSION | s->newest_bits;
	memcpy(raw + 1, tag, RETURN_TAG);
	return_counter(raw + 1, tag);
	siv_ctr(&s->newest->siv, tag, slice_of(plain, sizeof plain), raw + 1 + RETURN_TAG);
	b32_encode(slice_of(raw, sizeof raw), out);
	return 0;
}

int token_open_return(struct sealer *s, slice domain, slice text, struct token *out)
{
	uint8_t raw[RETURN_BYTES], plain[RETURN_PLAIN], tag[SIV_TAG];
	const struct siv_bound *bound;
	struct key *k;
	int rc;

	if (text.len != TOKEN_RETURN_TEXT)
		return -REFUSE_LENGTH;
	rc = b32_decode(text, raw, sizeof raw);
	if (rc < 0)
		return rc;
	k = key_named(s, raw[0], &rc);
	if (!k)
		return rc;
	bound = bound_to(k, TOKEN_RETURN, domain);
	if (!bound)
		return -REFUSE_FORGED;
	return_counter(raw + 1, tag);
	siv_ctr(&k->siv, tag, slice_of(raw + 1 + RETURN_TAG, RETURN_PLAIN), plain);
	siv_s2v(&k->siv, bound, slice_of(plain, sizeof plain), tag);
	if (CRYPTO_memcmp(tag, raw + 1, RETURN_TAG) != 0)
		return -REFUSE_FORGED;
	*out = (struct token){.kind = TOKEN_RETURN,
		.campaign = get_le64(plain),
		.lane = get_le32(plain + 8),
		.sequence = get_le32(plain + 12)};
	return 0;
}

uint16_t token_day(uint64_t ms)
{
	uint64_t day = ms / DAY_MS;

	if (day < DAY_ZERO)
		return 0;
	return day - DAY_ZERO > UINT16_MAX ? UINT16_MAX : (uint16_t)(day - DAY_ZERO);
}

/* A buffer that does not grow any more: what must() leaves behind where it
 * jumps is nothing. */
static struct buf hash_room(const char *prefix, size_t n)
{
	struct buf in;

	buf_init(&in, SIZE_MAX / 2);
	buf_room(&in, strlen(prefix) + n);
	buf_str(&in, prefix);
	return in;
}

/* Frees in. */
static uint64_t keyed_hash(const struct keyring *ring, struct buf *in)
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	bool full = in->full, done;
	unsigned n = 0;

	done = HMAC(EVP_sha256(), ring->hash, KEYRING_SECRET, in->p, in->len, mac, &n) && n == 32;
	buf_free(in);
	must(done && !full);
	return get_le64(mac);
}

uint64_t hash_campaign(const struct keyring *ring, slice tenant, slice name)
{
	struct buf in = hash_room("campaign", 8 + tenant.len + name.len);

	buf_le64(&in, tenant.len); /* "a" + "bc" is not "ab" + "c" */
	buf_put(&in, tenant);
	buf_put(&in, name);
	return keyed_hash(ring, &in);
}

uint64_t hash_content(const struct keyring *ring, slice content)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	struct buf in;
	unsigned n = 0;
	uint64_t h;

	must(EVP_Digest(content.p, content.len, digest, &n, EVP_sha256(), NULL) && n == 32);
	buf_init(&in, SIZE_MAX);
	buf_str(&in, "content");
	buf_put(&in, slice_of(digest, n));
	h = keyed_hash(ring, &in);
	buf_free(&in);
	return h;
}

uint64_t hash_recipient(const struct keyring *ring, slice address)
{
	struct buf in = hash_room("recipient", address.len);
	size_t at = slice_rchr(address, '@');

	for (size_t i = 0; i < address.len; i++)
		buf_byte(&in, at != SLICE_NPOS && i > at ? ascii_lower(address.p[i]) : address.p[i]);
	return keyed_hash(ring, &in);
}

uint32_t hash_network(const struct keyring *ring, slice prefix)
{
	struct buf in = hash_room("network", prefix.len);
	uint32_t h;

	buf_put(&in, prefix);
	h = (uint32_t)keyed_hash(ring, &in);
	return h ? h : 1;
}
