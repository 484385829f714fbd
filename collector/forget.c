#include "collector/forget.h"

#include "collector/store.h"
#include "core/base/bytes.h"
#include "core/base/must.h"
#include "core/model/rkey.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 65536 /* records of the recipient column read at once */
#define RECORD 8
/* Most columns hold none of them: the low bits of a hash, looked up at once. */
#define SIEVE_BITS 16

struct sieve {
	uint8_t bit[(1 << SIEVE_BITS) / 8];
};

/* ---- tombstones ---- */

static size_t first_of(const struct forget_list *l, uint64_t recipient)
{
	size_t from = 0, to = l->count;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (l->tomb[mid].is.recipient < recipient)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

struct forget_tomb *forget_get(const struct forget_list *l, slice text)
{
	struct tombstone t;

	if (tombstone_decode(text, &t) < 0)
		return NULL;
	for (size_t i = first_of(l, t.recipient); i < l->count && l->tomb[i].is.recipient == t.recipient; i++)
		if (slice_eq(buf_slice(&l->tomb[i].text), text))
			return &l->tomb[i];
	return NULL;
}

bool forget_add(struct forget_list *l, slice text)
{
	struct forget_tomb n = {0};
	size_t at;

	if (tombstone_decode(text, &n.is) < 0)
		return false;
	if (forget_get(l, text))
		return true;
	buf_init(&n.text, text.len);
	buf_put(&n.text, text);
	must(tombstone_decode(buf_slice(&n.text), &n.is) == 0); /* now it borrows our copy */
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 16;
		l->tomb = must_realloc(l->tomb, l->room * sizeof *l->tomb);
	}
	at = first_of(l, n.is.recipient);
	memmove(l->tomb + at + 1, l->tomb + at, (l->count - at) * sizeof *l->tomb);
	l->tomb[at] = n;
	l->count++;
	return true;
}

struct forget_tomb *forget_find(const struct forget_list *l, uint64_t recipient, uint64_t ms)
{
	for (size_t i = first_of(l, recipient); i < l->count && l->tomb[i].is.recipient == recipient; i++)
		if (tombstone_means(&l->tomb[i].is, recipient, ms))
			return &l->tomb[i];
	return NULL;
}

void forget_drop(struct forget_list *l, size_t at)
{
	buf_free(&l->tomb[at].text);
	l->count--;
	memmove(l->tomb + at, l->tomb + at + 1, (l->count - at) * sizeof *l->tomb);
}

void forget_list_free(struct forget_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		buf_free(&l->tomb[i].text);
	free(l->tomb);
	*l = (struct forget_list){0};
}

/* ---- whose messages ---- */

static unsigned sieve_at(uint64_t hash)
{
	return (unsigned)(hash & ((1u << SIEVE_BITS) - 1));
}

static struct sieve *sieve_of(const struct forget_list *l)
{
	struct sieve *s = must_zalloc(sizeof *s);

	for (size_t i = 0; i < l->count; i++) {
		unsigned at = sieve_at(l->tomb[i].is.recipient);

		s->bit[at / 8] |= (uint8_t)(1 << at % 8);
	}
	return s;
}

struct look {
	struct rds *r;
	unsigned partition;
	uint64_t campaign;
	const struct forget_list *tombs;
	const struct sieve *sieve;
	slice tenant;
	struct forget *out;
	struct buf *why;
};

static int get_range(
	struct look *k, const struct rkey *key, uint64_t from, uint64_t len, struct rds_reply **out)
{
	char first[24], last[24];

	snprintf(first, sizeof first, "%" PRIu64, from);
	snprintf(last, sizeof last, "%" PRIu64, from + len - 1);
	rds_putv(k->r, SLICE("GETRANGE"), rkey_slice(key), slice_str(first), slice_str(last));
	return store_reply(k->r, out, k->why);
}

/* Is it one that was sent before somebody withdrew? 0 or -errno. */
static int look_at(struct look *k, uint32_t lane, uint32_t sequence, uint64_t recipient)
{
	struct rkey key = rkey_fact(k->partition, k->campaign, lane, FACT_sent_s);
	struct rds_reply *rep;
	uint64_t sent_s;
	int rc;

	rc = get_range(k, &key, (uint64_t)sequence * 4, 4, &rep);
	if (rc < 0)
		return rc;
	sent_s = rds_text(rep).len == 4 ? get_le32(rds_text(rep).p) : 0;
	rds_reply_free(&rep);
	for (size_t i = first_of(k->tombs, recipient);
		i < k->tombs->count && k->tombs->tomb[i].is.recipient == recipient; i++) {
		const struct tombstone *t = &k->tombs->tomb[i].is;

		if (!tombstone_means(t, recipient, sent_s * 1000) ||
			(t->tenant.len && !slice_eq(t->tenant, k->tenant)))
			continue;
		k->out->message[k->out->messages].lane = lane;
		k->out->message[k->out->messages].sequence = sequence;
		k->out->message[k->out->messages].tomb = i;
		k->out->messages++;
		return 0;
	}
	return 0;
}

static int look_through_lane(struct look *k, uint32_t lane)
{
	struct rkey key = rkey_fact(k->partition, k->campaign, lane, FACT_recipient);
	size_t got = (size_t)WINDOW * RECORD;
	int rc = 0;

	for (uint64_t first = 0; got == (size_t)WINDOW * RECORD && rc == 0; first += WINDOW) {
		struct rds_reply *rep;
		slice s;

		rc = get_range(k, &key, first * RECORD, (uint64_t)WINDOW * RECORD, &rep);
		if (rc < 0)
			return rc;
		s = rds_text(rep);
		got = s.len;
		for (size_t at = 0; at + RECORD <= s.len && rc == 0 && k->out->messages < FORGET_MOST;
			at += RECORD) {
			uint64_t hash = get_le64(s.p + at);
			unsigned bit = sieve_at(hash);

			if (hash && k->sieve->bit[bit / 8] >> bit % 8 & 1)
				rc = look_at(k, lane, (uint32_t)(first + at / RECORD), hash);
		}
		rds_reply_free(&rep);
	}
	return rc;
}

static int look_through(struct look *k)
{
	struct rkey head = rkey_campaign(k->partition, k->campaign);
	struct rkey of = rkey_campaign_lanes(k->partition, k->campaign);
	struct rds_reply *tenant = NULL, *lanes = NULL;
	uint32_t lane;
	int rc;

	rds_putv(k->r, SLICE("HGET"), rkey_slice(&head), SLICE("tenant"));
	rds_putv(k->r, SLICE("SMEMBERS"), rkey_slice(&of));
	rc = store_reply(k->r, &tenant, k->why);
	if (rc == 0)
		rc = store_reply(k->r, &lanes, k->why);
	k->tenant = rds_text(tenant);
	for (size_t i = 0; rc == 0 && i < rds_len(lanes); i++)
		if (hex32_decode(rds_text(rds_at(lanes, i)), &lane))
			rc = look_through_lane(k, lane);
	k->tenant = SLICE_NONE;
	rds_reply_free(&tenant);
	rds_reply_free(&lanes);
	return rc;
}

/* ---- what they leave behind ---- */

static const enum fact hit_columns[] = {FACT_opened_s, FACT_clicked_s};

/* A bit that is not there need not be taken away: that would make a string of
 * zeros. A column's record is there only with its bit. */
static void clear(struct forget *f, uint64_t campaign, uint32_t lane, uint32_t sequence)
{
	struct state *s = &f->changes;
	bool opened = state_has(s, campaign, lane, sequence, FACT_opened_human) ||
		      state_has(s, campaign, lane, sequence, FACT_opened_proxy);
	bool clicked = state_has(s, campaign, lane, sequence, FACT_clicked_human);

	for (unsigned i = 0; kept_facts() >> i; i++)
		if (kept_facts() >> i & 1 && state_has(s, campaign, lane, sequence, (enum fact)i))
			state_set(s, campaign, lane, sequence, (enum fact)i, 0);
	if (opened)
		state_set(s, campaign, lane, sequence, FACT_opened_s, 0);
	if (clicked)
		state_set(s, campaign, lane, sequence, FACT_clicked_s, 0);
	state_set(s, campaign, lane, sequence, FACT_recipient, 0);
	state_set(s, campaign, lane, sequence, FACT_forgotten, 1);
}

static int clear_facts(struct look *k)
{
	struct forget *f = k->out;
	int rc;

	for (size_t i = 0; i < f->messages; i++) {
		uint32_t lane = f->message[i].lane, sequence = f->message[i].sequence;

		for (unsigned n = 0; kept_facts() >> n; n++)
			if (kept_facts() >> n & 1)
				state_want(&f->changes, k->campaign, lane, sequence, (enum fact)n);
		for (size_t n = 0; n < sizeof hit_columns / sizeof *hit_columns; n++)
			state_want(&f->changes, k->campaign, lane, sequence, hit_columns[n]);
		state_want(&f->changes, k->campaign, lane, sequence, FACT_recipient);
		state_want(&f->changes, k->campaign, lane, sequence, FACT_forgotten);
	}
	store_ask(k->r, k->partition, &f->changes);
	rc = store_take(k->r, k->partition, &f->changes, k->why);
	for (size_t i = 0; rc == 0 && i < f->messages; i++)
		clear(f, k->campaign, f->message[i].lane, f->message[i].sequence);
	return rc;
}

struct take_back {
	struct look *look;
	const bool *drop;
};

static void take_back(
	void *arg, uint32_t sequence, const struct verdict_hit *hits, const enum hit_class *class, unsigned n)
{
	const struct take_back *t = arg;

	for (unsigned i = 0; t->drop[sequence % KEPT_BLOCK] && i < n; i++)
		kept_count(&t->look->out->changes, t->look->campaign, &hits[i], class[i], -1);
}

static bool is_first_of_block(const struct forget *f, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (f->message[i].lane == f->message[at].lane &&
			f->message[i].sequence / KEPT_BLOCK == f->message[at].sequence / KEPT_BLOCK)
			return false;
	return true;
}

static int clear_block(struct look *k, const struct verdict_rules *rules, uint32_t lane, uint32_t number)
{
	struct rkey key = rkey_hits(k->partition, k->campaign, lane, number);
	struct forget *f = k->out;
	bool drop[KEPT_BLOCK] = {false};
	struct take_back t = {k, drop};
	struct forget_block *b;
	struct rds_reply *rep;
	int rc;

	for (size_t i = 0; i < f->messages; i++)
		if (f->message[i].lane == lane && f->message[i].sequence / KEPT_BLOCK == number)
			drop[f->message[i].sequence % KEPT_BLOCK] = true;
	rds_putv(k->r, SLICE("GET"), rkey_slice(&key));
	rc = store_reply(k->r, &rep, k->why);
	if (rc < 0)
		return rc;
	kept_walk(rules, number, rds_text(rep), take_back, &t);
	if (rds_kind(rep) != RDS_NIL) {
		b = &f->block[f->blocks++];
		*b = (struct forget_block){.lane = lane, .number = number};
		buf_init(&b->bytes, rds_text(rep).len + 1);
		kept_without(rds_text(rep), drop, &b->bytes);
	}
	rds_reply_free(&rep);
	return 0;
}

int forget_read(struct rds *r, unsigned partition, uint64_t campaign, const struct forget_list *tombs,
	const struct verdict_rules *rules, struct forget *out, struct buf *why)
{
	struct sieve *sieve = sieve_of(tombs);
	struct look k = {.r = r,
		.partition = partition,
		.campaign = campaign,
		.tombs = tombs,
		.sieve = sieve,
		.out = out,
		.why = why};
	int rc;

	out->messages = out->blocks = 0;
	state_init(&out->changes);
	rc = look_through(&k);
	if (rc == 0)
		rc = clear_facts(&k);
	for (size_t i = 0; rc == 0 && i < out->messages; i++)
		if (is_first_of_block(out, i))
			rc = clear_block(
				&k, rules, out->message[i].lane, out->message[i].sequence / KEPT_BLOCK);
	free(sieve);
	if (rc < 0)
		forget_free(out);
	return rc;
}

size_t forget_put(struct rds *r, unsigned partition, uint64_t campaign, const struct forget_list *tombs,
	const struct forget *f)
{
	struct rkey head = rkey_campaign(partition, campaign), forgotten = rkey_forgotten(partition);
	size_t n = store_put(r, partition, &f->changes);

	for (size_t i = 0; i < f->blocks; i++) {
		struct rkey key = rkey_hits(partition, campaign, f->block[i].lane, f->block[i].number);

		if (f->block[i].bytes.len)
			rds_putv(r, SLICE("SET"), rkey_slice(&key), buf_slice(&f->block[i].bytes));
		else
			rds_putv(r, SLICE("DEL"), rkey_slice(&key));
	}
	for (size_t i = 0; i < f->messages; i++) {
		struct rkey ids = rkey_recipients(partition, campaign, f->message[i].lane);
		char sequence[16];

		snprintf(sequence, sizeof sequence, "%" PRIu32, f->message[i].sequence);
		rds_putv(r, SLICE("HDEL"), rkey_slice(&ids), slice_str(sequence));
		rds_putv(r, SLICE("HINCRBY"), rkey_slice(&forgotten),
			buf_slice(&tombs->tomb[f->message[i].tomb].text), SLICE("1"));
	}
	rds_putv(r, SLICE("HINCRBY"), rkey_slice(&head), SLICE("version"), SLICE("1"));
	return n + f->blocks + 2 * f->messages + 1;
}

void forget_free(struct forget *f)
{
	for (size_t i = 0; i < f->blocks; i++)
		buf_free(&f->block[i].bytes);
	state_free(&f->changes);
	f->messages = f->blocks = 0;
}
