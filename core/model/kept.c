#include "core/model/kept.h"

#include "core/base/bytes.h"
#include "core/base/list.h"
#include "core/base/must.h"

#include <stdlib.h>
#include <string.h>

/*	sequence % 256 (1) | kind and class (1) | ms since 2020 (5) | link (2) |
 *	country (2) | agent (2) | network (4)
 */
#define EPOCH_MS UINT64_C(1577836800000)
#define MOST_MS ((UINT64_C(1) << 40) - 1)
#define DAY_MS 86400000
#define HOUR_MS 3600000
/* A block beyond this is damage or an attack; the string ends there for us. */
#define BLOCK_BYTES (KEPT_BLOCK * KEPT_MOST * KEPT_RECORD)

/* What changes for one message with this batch. */
struct turn {
	uint64_t campaign;
	uint32_t lane, sequence;
	struct kept_standing was, is;
};

/* The records of each message of a block, so that a block is read once and not
 * once for each message: index + 1 of the first one, and of the next of each. */
struct chains {
	uint32_t first[KEPT_BLOCK];
	uint32_t *next; /* owned */
	size_t room;
};

struct kept_tables {
	struct kept_block **block; /* all, owned */
	uint32_t *slot;            /* index + 1 into block; open addressing */
	size_t slots, block_count;
	size_t block_room, wanted_room, dirty_room, turn_room;
	struct turn *turns;
	size_t turn_count;
	struct chains old, fresh; /* of the block that is judged */
	size_t bytes;             /* memory in blocks, as of the last commit */
	uint64_t batch;
};

/* ---- records ---- */

static const struct {
	enum event_kind kind;
	enum place place;
} kinds[8] = {{EVENT_OPEN, PLACE_MAIN}, {EVENT_CLICK, PLACE_MAIN}, {EVENT_UNSUBSCRIBE, PLACE_MAIN},
	{EVENT_OPEN, PLACE_TOP}, {EVENT_CLICK, PLACE_AMP}, {EVENT_OPEN, PLACE_MAIN}, {EVENT_OPEN, PLACE_MAIN},
	{EVENT_OPEN, PLACE_MAIN}};

static unsigned kind_of(const struct event *e)
{
	unsigned i = 0;

	while (kinds[i].kind != e->kind || kinds[i].place != e->place)
		must(++i < 5);
	return i;
}

static void encode(const struct event *e, struct buf *out)
{
	uint64_t ms = e->ms < EPOCH_MS ? 0 : e->ms - EPOCH_MS;
	uint8_t *p = buf_room(out, KEPT_RECORD);

	if (!p)
		return;
	p[0] = (uint8_t)(e->sequence == EVENT_NO_SEQUENCE ? 0 : e->sequence % KEPT_BLOCK);
	p[1] = (uint8_t)(kind_of(e) << 4 | e->class);
	ms = ms > MOST_MS ? MOST_MS : ms;
	put_le32(p + 2, (uint32_t)ms);
	p[6] = (uint8_t)(ms >> 32);
	put_le16(p + 7, e->kind == EVENT_CLICK ? e->link : 0);
	memcpy(p + 9, e->country, 2);
	put_le16(p + 11, e->agent);
	put_le32(p + 13, e->network);
	buf_grew(out, KEPT_RECORD);
}

static void decode(const uint8_t *p, struct verdict_hit *h)
{
	unsigned class = p[1] & 0xf, kind = p[1] >> 4 & 7;

	*h = (struct verdict_hit){.ms = EPOCH_MS + get_le32(p + 2) + ((uint64_t)p[6] << 32),
		.kind = kinds[kind].kind,
		.place = kinds[kind].place,
		.class = class <= CLASS_SELF ? (enum hit_class) class : CLASS_NONE,
		.link = get_le16(p + 7),
		.country = {(char)p[9], (char)p[10]},
		.agent = get_le16(p + 11),
		.network = get_le32(p + 13)};
}

/* Append the hits of one message among the records; returns how many there are
 * then. */
static unsigned gather(slice records, uint8_t sequence, struct verdict_hit *out, unsigned n)
{
	for (size_t at = 0; at + KEPT_RECORD <= records.len && n < KEPT_MOST; at += KEPT_RECORD)
		if (records.p[at] == sequence)
			decode(records.p + at, &out[n++]);
	return n;
}

/* Only messages that have fresh hits. */
static void chain(struct chains *c, slice records, const unsigned fresh[KEPT_BLOCK])
{
	size_t n = records.len / KEPT_RECORD;

	if (n > c->room) {
		c->room = 2 * n;
		c->next = must_realloc(c->next, c->room * sizeof *c->next);
	}
	memset(c->first, 0, sizeof c->first);
	for (size_t i = n; i-- > 0;) {
		uint8_t sequence = records.p[i * KEPT_RECORD];

		if (!fresh[sequence])
			continue;
		c->next[i] = c->first[sequence];
		c->first[sequence] = (uint32_t)i + 1;
	}
}

/* As gather. */
static unsigned follow(
	const struct chains *c, slice records, uint8_t sequence, struct verdict_hit *out, unsigned n)
{
	for (uint32_t at = c->first[sequence]; at && n < KEPT_MOST; at = c->next[at - 1])
		decode(records.p + (size_t)(at - 1) * KEPT_RECORD, &out[n++]);
	return n;
}

/* ---- what hits come to ---- */

static enum counter counter_of(enum event_kind kind, enum hit_class class)
{
	if (kind == EVENT_UNSUBSCRIBE)
		return COUNTER_unsubscribe;
	if (kind == EVENT_CLICK)
		return class == CLASS_HUMAN ? COUNTER_click_human : COUNTER_click_machine;
	return class == CLASS_HUMAN      ? COUNTER_open_human
	       : class == CLASS_PROXY    ? COUNTER_open_proxy
	       : class == CLASS_PREFETCH ? COUNTER_open_prefetch
					 : COUNTER_open_machine;
}

bool kept_counts(enum counter c)
{
	return (c >= COUNTER_open_human && c <= COUNTER_unsubscribe) || c == COUNTER_open_top ||
	       c == COUNTER_click_amp;
}

static enum fact fact_of(enum event_kind kind, enum hit_class class)
{
	if (kind == EVENT_UNSUBSCRIBE)
		return FACT_unsubscribed;
	if (kind == EVENT_CLICK)
		return class == CLASS_HUMAN ? FACT_clicked_human : FACT_clicked_machine;
	return class == CLASS_HUMAN      ? FACT_opened_human
	       : class == CLASS_PROXY    ? FACT_opened_proxy
	       : class == CLASS_PREFETCH ? FACT_opened_prefetch
					 : FACT_opened_machine;
}

uint32_t kept_facts(void)
{
	return 1u << FACT_opened_human | 1u << FACT_opened_proxy | 1u << FACT_opened_prefetch |
	       1u << FACT_opened_machine | 1u << FACT_clicked_human | 1u << FACT_clicked_machine |
	       1u << FACT_unsubscribed;
}

static void least(uint64_t *to, uint64_t ms)
{
	uint64_t s = ms / 1000 > UINT32_MAX ? UINT32_MAX : ms / 1000;

	if (*to == 0 || s < *to)
		*to = s;
}

struct kept_standing kept_standing(const struct verdict_hit *hits, const enum hit_class *class, unsigned n)
{
	struct kept_standing s = {0};

	for (unsigned i = 0; i < n; i++) {
		enum fact f = fact_of(hits[i].kind, class[i]);

		s.facts |= 1u << f;
		if (f == FACT_opened_human || f == FACT_opened_proxy)
			least(&s.opened_s, hits[i].ms);
		if (f == FACT_clicked_human)
			least(&s.clicked_s, hits[i].ms);
	}
	return s;
}

void kept_count(
	struct state *s, uint64_t campaign, const struct verdict_hit *h, enum hit_class class, int64_t n)
{
	enum counter c = counter_of(h->kind, class);

	state_count(s, campaign, STATE_COUNTER, c, 0, n);
	if (h->place != PLACE_MAIN)
		state_count(s, campaign, STATE_COUNTER,
			h->place == PLACE_TOP ? COUNTER_open_top : COUNTER_click_amp, 0, n);
	state_count(s, campaign, STATE_HOUR, h->ms / HOUR_MS, c, n);
	if (h->country[0])
		state_count(s, campaign, STATE_PLACE,
			(uint64_t)((uint8_t)h->country[0] << 8 | (uint8_t)h->country[1]), c, n);
	if (h->kind == EVENT_CLICK)
		state_count(s, campaign, STATE_LINK, h->link, class == CLASS_HUMAN, n);
}

/* ---- blocks ---- */

static uint64_t hash_of(uint64_t campaign, uint32_t lane, uint32_t number)
{
	uint64_t h = (campaign ^ ((uint64_t)lane << 32 | number)) * 0x9e3779b97f4a7c15u;

	return h ^ h >> 29;
}

static void enter(struct kept_tables *t, size_t index)
{
	const struct kept_block *b = t->block[index];
	size_t at = hash_of(b->campaign, b->lane, b->number) & (t->slots - 1);

	must(index < UINT32_MAX);
	while (t->slot[at])
		at = (at + 1) & (t->slots - 1);
	t->slot[at] = (uint32_t)index + 1;
}

static void enter_all(struct kept_tables *t)
{
	size_t slots = 256;

	while (slots < 4 * t->block_count)
		slots *= 2;
	free(t->slot);
	t->slot = must_zalloc(slots * sizeof *t->slot);
	t->slots = slots;
	for (size_t i = 0; i < t->block_count; i++)
		enter(t, i);
}

void kept_init(struct kept *k)
{
	*k = (struct kept){.tables = must_zalloc(sizeof *k->tables)};
	enter_all(k->tables);
}

static void block_free(struct kept_block *b)
{
	buf_free(&b->bytes);
	buf_free(&b->fresh);
	free(b);
}

void kept_free(struct kept *k)
{
	struct kept_tables *t = k->tables;

	if (!t)
		return;
	for (size_t i = 0; i < t->block_count; i++)
		block_free(t->block[i]);
	free(t->block);
	free(t->slot);
	free(t->turns);
	free(t->old.next);
	free(t->fresh.next);
	free(t);
	free(k->wanted);
	free(k->dirty);
	*k = (struct kept){0};
}

void kept_forget(struct kept *k)
{
	kept_free(k);
	kept_init(k);
}

static struct kept_block *find(const struct kept_tables *t, uint64_t campaign, uint32_t lane, uint32_t number)
{
	size_t at = hash_of(campaign, lane, number) & (t->slots - 1);

	for (; t->slot[at]; at = (at + 1) & (t->slots - 1)) {
		struct kept_block *b = t->block[t->slot[at] - 1];

		if (b->campaign == campaign && b->lane == lane && b->number == number)
			return b;
	}
	return NULL;
}

static struct kept_block *make(struct kept *k, uint64_t campaign, uint32_t lane, uint32_t number)
{
	struct kept_tables *t = k->tables;
	struct kept_block *b = must_zalloc(sizeof *b);

	*b = (struct kept_block){.campaign = campaign, .lane = lane, .number = number};
	buf_init(&b->bytes, BLOCK_BYTES);
	buf_init(&b->fresh, (size_t)1 << 30);
	LIST_APPEND(t->block, t->block_count, t->block_room, b);
	if (t->slots < 2 * t->block_count)
		enter_all(t);
	else
		enter(t, t->block_count - 1);
	if (!(number & KEPT_ANONYMOUS))
		LIST_APPEND(k->wanted, k->wanted_count, t->wanted_room, b);
	return b;
}

bool kept_takes(const struct event *e)
{
	return e->kind == EVENT_OPEN || e->kind == EVENT_CLICK || e->kind == EVENT_UNSUBSCRIBE;
}

void kept_touch(struct kept *k, const struct event *e)
{
	uint32_t number = e->sequence != EVENT_NO_SEQUENCE
				  ? e->sequence / KEPT_BLOCK
				  : KEPT_ANONYMOUS | (uint32_t)(e->ms / DAY_MS % KEPT_ANONYMOUS);
	struct kept_block *b = find(k->tables, e->campaign, e->lane, number);

	must(kept_takes(e) && state_takes(e));
	if (!b)
		b = make(k, e->campaign, e->lane, number);
	if (!b->touched)
		LIST_APPEND(k->dirty, k->dirty_count, k->tables->dirty_room, b);
	b->touched = true;
	b->batch = k->tables->batch;
	encode(e, &b->fresh);
	must(!b->fresh.full);
}

void kept_load(struct kept_block *b, slice bytes)
{
	bytes = slice_sub(bytes, 0, BLOCK_BYTES);
	buf_clear(&b->bytes);
	buf_put(&b->bytes, slice_sub(bytes, 0, bytes.len - bytes.len % KEPT_RECORD));
	b->loaded = true;
}

static void settle_anonymous(const struct kept_block *b, struct state *s)
{
	for (size_t at = 0; at < b->fresh.len; at += KEPT_RECORD) {
		struct verdict_hit h;

		decode(b->fresh.p + at, &h);
		kept_count(s, b->campaign, &h, h.class, 1);
	}
}

/* Drop the last `n` fresh hits of a message: it has enough. */
static void drop_fresh(struct kept_block *b, uint8_t sequence, unsigned n)
{
	for (size_t at = b->fresh.len; n && at > 0;) {
		at -= KEPT_RECORD;
		if (b->fresh.p[at] != sequence)
			continue;
		memmove(b->fresh.p + at, b->fresh.p + at + KEPT_RECORD, b->fresh.len - at - KEPT_RECORD);
		b->fresh.len -= KEPT_RECORD;
		n--;
	}
}

static unsigned judged(
	const struct verdict_rules *rules, struct verdict_hit *hits, unsigned n, enum hit_class *class)
{
	if (n > 1)
		qsort(hits, n, sizeof *hits, verdict_order);
	verdict_judge(rules, hits, n, class);
	return n;
}

static void want_turn(struct state *s, const struct turn *t)
{
	uint32_t changed = t->was.facts ^ t->is.facts;

	for (unsigned f = 0; changed >> f; f++)
		if (changed >> f & 1)
			state_want(s, t->campaign, t->lane, t->sequence, (enum fact)f);
	if (t->was.opened_s != t->is.opened_s)
		state_want(s, t->campaign, t->lane, t->sequence, FACT_opened_s);
	if (t->was.clicked_s != t->is.clicked_s)
		state_want(s, t->campaign, t->lane, t->sequence, FACT_clicked_s);
}

/* One message that has fresh hits. */
static void settle(struct kept *k, struct kept_block *b, uint8_t sequence, const unsigned fresh[KEPT_BLOCK],
	const struct verdict_rules *rules, struct state *s)
{
	struct kept_tables *tables = k->tables;
	struct verdict_hit old[KEPT_MOST], all[KEPT_MOST];
	enum hit_class old_class[KEPT_MOST], class[KEPT_MOST];
	unsigned olds = follow(&tables->old, buf_slice(&b->bytes), sequence, old, 0), n;
	struct turn t = {
		.campaign = b->campaign, .lane = b->lane, .sequence = b->number * KEPT_BLOCK + sequence};

	if (state_has(s, b->campaign, b->lane, t.sequence, FACT_forgotten)) {
		drop_fresh(b, sequence, fresh[sequence]);
		chain(&tables->fresh, buf_slice(&b->fresh), fresh);
		state_count(s, b->campaign, STATE_COUNTER, COUNTER_hits_forgotten, 0, fresh[sequence]);
		return;
	}
	if (olds + fresh[sequence] > KEPT_MOST) {
		unsigned over = olds + fresh[sequence] - KEPT_MOST;

		drop_fresh(b, sequence, over);
		chain(&tables->fresh, buf_slice(&b->fresh), fresh);
		state_count(s, b->campaign, STATE_COUNTER, COUNTER_hits_over, 0, over);
	}
	memcpy(all, old, olds * sizeof *old);
	n = judged(rules, all, follow(&tables->fresh, buf_slice(&b->fresh), sequence, all, olds), class);
	judged(rules, old, olds, old_class);
	for (unsigned i = 0; i < olds; i++)
		kept_count(s, b->campaign, &old[i], old_class[i], -1);
	for (unsigned i = 0; i < n; i++)
		kept_count(s, b->campaign, &all[i], class[i], 1);
	t.was = kept_standing(old, old_class, olds);
	t.is = kept_standing(all, class, n);
	LIST_APPEND(tables->turns, tables->turn_count, tables->turn_room, t);
	want_turn(s, &t);
}

static void settle_block(
	struct kept *k, struct kept_block *b, const struct verdict_rules *rules, struct state *s)
{
	unsigned fresh[KEPT_BLOCK] = {0};

	must(b->loaded);
	for (size_t at = 0; at < b->fresh.len; at += KEPT_RECORD)
		fresh[b->fresh.p[at]]++;
	chain(&k->tables->old, buf_slice(&b->bytes), fresh);
	chain(&k->tables->fresh, buf_slice(&b->fresh), fresh);
	for (unsigned i = 0; i < KEPT_BLOCK; i++)
		if (fresh[i])
			settle(k, b, (uint8_t)i, fresh, rules, s);
}

void kept_settle(struct kept *k, const struct verdict_rules *rules, struct state *s)
{
	for (size_t i = 0; i < k->dirty_count; i++) {
		if (k->dirty[i]->number & KEPT_ANONYMOUS)
			settle_anonymous(k->dirty[i], s);
		else
			settle_block(k, k->dirty[i], rules, s);
	}
}

void kept_apply(struct kept *k, struct state *s)
{
	for (size_t i = 0; i < k->tables->turn_count; i++) {
		const struct turn *t = &k->tables->turns[i];
		uint32_t changed = t->was.facts ^ t->is.facts;

		for (unsigned f = 0; changed >> f; f++)
			if (changed >> f & 1)
				state_set(s, t->campaign, t->lane, t->sequence, (enum fact)f,
					t->is.facts >> f & 1);
		if (t->was.opened_s != t->is.opened_s)
			state_set(s, t->campaign, t->lane, t->sequence, FACT_opened_s, t->is.opened_s);
		if (t->was.clicked_s != t->is.clicked_s)
			state_set(s, t->campaign, t->lane, t->sequence, FACT_clicked_s, t->is.clicked_s);
	}
}

size_t kept_bytes(const struct kept *k)
{
	return k->tables->bytes;
}

static void weigh(struct kept_tables *t, struct kept_block *b)
{
	size_t now = sizeof *b + b->bytes.room + b->fresh.room;

	t->bytes += now - b->counted;
	b->counted = now;
}

/* Keep what the present batch touched, or nothing; anonymous ones hold nothing. */
static void drop(struct kept_tables *t, bool all)
{
	size_t n = 0;

	for (size_t i = 0; i < t->block_count; i++) {
		struct kept_block *b = t->block[i];

		if (all || b->batch != t->batch || b->number & KEPT_ANONYMOUS) {
			t->bytes -= b->counted;
			block_free(b);
		} else {
			t->block[n++] = b;
		}
	}
	t->block_count = n;
	enter_all(t);
}

void kept_committed(struct kept *k, size_t cap)
{
	struct kept_tables *t = k->tables;

	for (size_t i = 0; i < k->dirty_count; i++) {
		struct kept_block *b = k->dirty[i];

		if (!(b->number & KEPT_ANONYMOUS))
			buf_put(&b->bytes, buf_slice(&b->fresh));
		buf_clear(&b->fresh);
		b->touched = false;
		weigh(t, b);
	}
	k->wanted_count = k->dirty_count = t->turn_count = 0;
	if (kept_bytes(k) > cap)
		drop(t, false);
	if (kept_bytes(k) > cap)
		drop(t, true);
	t->batch++;
}

void kept_walk(const struct verdict_rules *rules, uint32_t number, slice bytes,
	void (*message)(void *arg, uint32_t sequence, const struct verdict_hit *hits,
		const enum hit_class *class, unsigned n),
	void *arg)
{
	struct verdict_hit hits[KEPT_MOST];
	enum hit_class class[KEPT_MOST];
	bool seen[KEPT_BLOCK] = {false};

	for (size_t at = 0; at + KEPT_RECORD <= bytes.len; at += KEPT_RECORD) {
		uint8_t i = bytes.p[at];

		if (number & KEPT_ANONYMOUS) {
			decode(bytes.p + at, hits);
			class[0] = hits[0].class;
			message(arg, EVENT_NO_SEQUENCE, hits, class, 1);
		} else if (!seen[i]) {
			unsigned n = judged(rules, hits, gather(bytes, i, hits, 0), class);

			seen[i] = true;
			message(arg, number * KEPT_BLOCK + i, hits, class, n);
		}
	}
}

void kept_without(slice bytes, const bool drop[KEPT_BLOCK], struct buf *out)
{
	for (size_t at = 0; at + KEPT_RECORD <= bytes.len; at += KEPT_RECORD)
		if (!drop[bytes.p[at]])
			buf_put(out, slice_sub(bytes, at, at + KEPT_RECORD));
}
