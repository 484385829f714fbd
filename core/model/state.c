#include "core/model/state.h"

#include "core/base/bytes.h"
#include "core/base/list.h"
#include "core/base/must.h"

#include <stdlib.h>
#include <string.h>

#define MAX_EFFECTS 4
#define HOUR_MS 3600000

/* Open addressing with room for twice the entries; entries are only ever
 * dropped by making the table anew. */
struct table {
	uint32_t *slot; /* index + 1 into the list that the table finds in */
	size_t slots;   /* a power of two, or 0 */
};

struct state_tables {
	struct table pages, campaigns, changes;
	struct state_page **page; /* all, owned */
	struct state_campaign **campaign;
	size_t page_count, campaign_count;
	size_t page_room, campaign_room, change_room;
	size_t wanted_page_room, dirty_page_room, wanted_campaign_room, dirty_campaign_room;
	struct state_campaign *last;              /* most events are of the same campaign as the one before */
	struct state_page *last_page[FACT_COUNT]; /* and many of the same page */
	uint64_t batch;
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static uint64_t page_hash(uint64_t campaign, uint32_t lane, enum fact fact, uint32_t number)
{
	return mix(mix(campaign, (uint64_t)lane << 32 | number), (uint64_t)fact + 1);
}

static uint64_t change_hash(const struct state_change *c)
{
	return mix(mix(mix(c->campaign, c->a), (uint64_t)c->what), c->b);
}

static void enter(struct table *t, uint64_t hash, size_t index)
{
	size_t at = hash & (t->slots - 1);

	must(index < UINT32_MAX);
	while (t->slot[at])
		at = (at + 1) & (t->slots - 1);
	t->slot[at] = (uint32_t)index + 1;
}

/* An empty table with room for n entries and as many again. */
static void table_make(struct table *t, size_t n)
{
	size_t slots = 256;

	while (slots < 2 * n + 2)
		slots *= 2;
	free(t->slot);
	*t = (struct table){.slot = must_zalloc(slots * sizeof *t->slot), .slots = slots};
}

static bool table_tight(const struct table *t, size_t count)
{
	return t->slots < 2 * (count + 1);
}

static void enter_pages(struct state_tables *t, size_t room)
{
	table_make(&t->pages, room);
	for (size_t i = 0; i < t->page_count; i++) {
		const struct state_page *p = t->page[i];

		enter(&t->pages, page_hash(p->campaign, p->lane, p->fact, p->number), i);
	}
}

static void enter_campaigns(struct state_tables *t, size_t room)
{
	table_make(&t->campaigns, room);
	for (size_t i = 0; i < t->campaign_count; i++)
		enter(&t->campaigns, mix(t->campaign[i]->key, 0), i);
}

void state_init(struct state *s)
{
	*s = (struct state){.tables = must_zalloc(sizeof *s->tables)};
	table_make(&s->tables->pages, 0);
	table_make(&s->tables->campaigns, 0);
	table_make(&s->tables->changes, 0);
}

static void forget_last(struct state_tables *t)
{
	t->last = NULL;
	memset(t->last_page, 0, sizeof t->last_page);
}

static void drop_all(struct state_tables *t)
{
	for (size_t i = 0; i < t->page_count; i++)
		free(t->page[i]);
	for (size_t i = 0; i < t->campaign_count; i++)
		free(t->campaign[i]);
	t->page_count = t->campaign_count = 0;
	forget_last(t);
}

void state_free(struct state *s)
{
	struct state_tables *t = s->tables;

	if (!t)
		return;
	drop_all(t);
	free(t->page);
	free(t->campaign);
	free(t->pages.slot);
	free(t->campaigns.slot);
	free(t->changes.slot);
	free(t);
	free(s->wanted_pages);
	free(s->dirty_pages);
	free(s->wanted_campaigns);
	free(s->dirty_campaigns);
	free(s->changes);
	*s = (struct state){0};
}

void state_forget(struct state *s)
{
	state_free(s);
	state_init(s);
}

static struct state_page *find_page(
	struct state_tables *t, uint64_t campaign, uint32_t lane, enum fact fact, uint32_t number)
{
	struct state_page *p = t->last_page[fact];
	size_t at;

	if (p && p->number == number && p->campaign == campaign && p->lane == lane)
		return p;
	at = page_hash(campaign, lane, fact, number) & (t->pages.slots - 1);
	for (; t->pages.slot[at]; at = (at + 1) & (t->pages.slots - 1)) {
		p = t->page[t->pages.slot[at] - 1];
		if (p->campaign == campaign && p->lane == lane && p->fact == fact && p->number == number)
			return t->last_page[fact] = p;
	}
	return NULL;
}

static struct state_campaign *find_campaign(struct state_tables *t, uint64_t key)
{
	size_t at;

	if (t->last && t->last->key == key)
		return t->last;
	at = mix(key, 0) & (t->campaigns.slots - 1);
	for (; t->campaigns.slot[at]; at = (at + 1) & (t->campaigns.slots - 1)) {
		struct state_campaign *c = t->campaign[t->campaigns.slot[at] - 1];

		if (c->key == key)
			return t->last = c;
	}
	return NULL;
}

static void want_page(struct state *s, uint64_t campaign, uint32_t lane, enum fact fact, uint32_t number)
{
	struct state_tables *t = s->tables;
	struct state_page *p = find_page(t, campaign, lane, fact, number);

	if (!p) {
		p = must_alloc(sizeof *p);
		*p = (struct state_page){.campaign = campaign, .lane = lane, .fact = fact, .number = number};
		if (table_tight(&t->pages, t->page_count))
			enter_pages(t, 2 * t->page_count);
		enter(&t->pages, page_hash(campaign, lane, fact, number), t->page_count);
		LIST_APPEND(t->page, t->page_count, t->page_room, p);
		LIST_APPEND(s->wanted_pages, s->wanted_page_count, t->wanted_page_room, p);
	}
	p->batch = t->batch;
}

static void want_campaign(struct state *s, uint64_t key)
{
	struct state_tables *t = s->tables;
	struct state_campaign *c = find_campaign(t, key);

	if (!c) {
		c = must_zalloc(sizeof *c);
		c->key = key;
		if (table_tight(&t->campaigns, t->campaign_count))
			enter_campaigns(t, 2 * t->campaign_count);
		enter(&t->campaigns, mix(key, 0), t->campaign_count);
		LIST_APPEND(t->campaign, t->campaign_count, t->campaign_room, c);
		LIST_APPEND(s->wanted_campaigns, s->wanted_campaign_count, t->wanted_campaign_room, c);
	}
	c->batch = t->batch;
}

void state_count(struct state *s, uint64_t campaign, enum state_what what, uint64_t a, uint32_t b, int64_t n)
{
	struct state_change want = {.campaign = campaign, .what = what, .a = a, .b = b, .n = n};
	struct state_tables *t = s->tables;
	size_t at;

	if (table_tight(&t->changes, s->change_count)) {
		table_make(&t->changes, 2 * s->change_count);
		for (size_t i = 0; i < s->change_count; i++)
			enter(&t->changes, change_hash(&s->changes[i]), i);
	}
	at = change_hash(&want) & (t->changes.slots - 1);
	for (; t->changes.slot[at]; at = (at + 1) & (t->changes.slots - 1)) {
		struct state_change *c = &s->changes[t->changes.slot[at] - 1];

		if (c->campaign == campaign && c->what == what && c->a == a && c->b == b) {
			c->n += n;
			return;
		}
	}
	enter(&t->changes, change_hash(&want), s->change_count);
	LIST_APPEND(s->changes, s->change_count, t->change_room, want);
}

struct effect {
	enum fact fact;
	uint64_t value; /* columns */
};

static uint64_t seconds(uint64_t ms)
{
	return ms / 1000 > UINT32_MAX ? UINT32_MAX : ms / 1000;
}

static enum fact bounce_fact(enum bounce b)
{
	return b == BOUNCE_HARD    ? FACT_bounced_hard
	       : b == BOUNCE_BLOCK ? FACT_bounced_block
				   : FACT_bounced_soft;
}

/* What an event that is no hit does to the facts of its message. */
static unsigned effects(const struct event *e, struct effect out[MAX_EFFECTS])
{
	unsigned n = 0;

	if (e->sequence == EVENT_NO_SEQUENCE)
		return 0;
	switch (e->kind) {
	case EVENT_CAMPAIGN:
	case EVENT_RECIPIENT:
		break;
	case EVENT_SENT:
		out[n++] = (struct effect){.fact = FACT_sent};
		out[n++] = (struct effect){FACT_recipient, e->recipient};
		out[n++] = (struct effect){FACT_provider, e->provider};
		out[n++] = (struct effect){FACT_sent_s, seconds(e->ms)};
		break;
	case EVENT_ACCEPTED:
		out[n++] = (struct effect){.fact = FACT_accepted};
		out[n++] = (struct effect){FACT_accepted_s, seconds(e->ms)};
		break;
	case EVENT_DEFERRED:
		out[n++] = (struct effect){.fact = FACT_deferred};
		break;
	case EVENT_BOUNCED:
		out[n++] = (struct effect){.fact = bounce_fact(e->bounce)};
		break;
	case EVENT_OPEN:
	case EVENT_CLICK:
	case EVENT_UNSUBSCRIBE:
		break;
	}
	return n;
}

/* COUNTER_COUNT: none. */
static enum counter counter_of(const struct event *e)
{
	switch (e->kind) {
	case EVENT_SENT:
		return COUNTER_sent;
	case EVENT_ACCEPTED:
		return COUNTER_accepted;
	case EVENT_DEFERRED:
		return COUNTER_deferred;
	case EVENT_BOUNCED:
		return COUNTER_bounced;
	case EVENT_CAMPAIGN:
	case EVENT_RECIPIENT:
	case EVENT_OPEN:
	case EVENT_CLICK:
	case EVENT_UNSUBSCRIBE:
		break;
	}
	return COUNTER_COUNT;
}

/* Where a message's part of a fact begins in the fact's string. */
static uint32_t byte_of(enum fact f, uint32_t sequence)
{
	unsigned width = fact_bytes(f);

	return width ? sequence * width : sequence / 8;
}

bool state_takes(const struct event *e)
{
	return e->kind <= EVENT_UNSUBSCRIBE &&
	       (e->sequence < STATE_MAX_SEQUENCE || e->sequence == EVENT_NO_SEQUENCE);
}

/* Hits of a forgotten message are refused, and its address is not learnt again. */
static bool asks_forgotten(const struct event *e)
{
	return e->sequence != EVENT_NO_SEQUENCE &&
	       (e->kind == EVENT_SENT || e->kind == EVENT_OPEN || e->kind == EVENT_CLICK ||
		       e->kind == EVENT_UNSUBSCRIBE);
}

void state_touch(struct state *s, const struct event *e)
{
	struct effect effect[MAX_EFFECTS];
	unsigned n;

	must(state_takes(e));
	want_campaign(s, e->campaign);
	n = effects(e, effect);
	for (unsigned i = 0; i < n; i++)
		state_want(s, e->campaign, e->lane, e->sequence, effect[i].fact);
	if (asks_forgotten(e))
		state_want(s, e->campaign, e->lane, e->sequence, FACT_forgotten);
}

void state_want(struct state *s, uint64_t campaign, uint32_t lane, uint32_t sequence, enum fact fact)
{
	want_page(s, campaign, lane, fact, byte_of(fact, sequence) / STATE_PAGE);
}

void state_page_load(struct state_page *p, slice bytes)
{
	bytes = slice_sub(bytes, 0, STATE_PAGE);
	memset(p->bytes, 0, STATE_PAGE);
	if (bytes.len)
		memcpy(p->bytes, bytes.p, bytes.len);
	p->loaded = true;
}

void state_campaign_load(struct state_campaign *c, uint64_t first_ms, uint64_t last_ms)
{
	c->first_ms = first_ms;
	c->last_ms = last_ms;
	c->loaded = true;
}

static void mark(struct state *s, struct state_page *p, unsigned from, unsigned to)
{
	if (p->from >= p->to) {
		p->from = (uint16_t)from;
		p->to = (uint16_t)to;
		LIST_APPEND(s->dirty_pages, s->dirty_page_count, s->tables->dirty_page_room, p);
		return;
	}
	if (from < p->from)
		p->from = (uint16_t)from;
	if (to > p->to)
		p->to = (uint16_t)to;
}

static uint64_t get_record(const uint8_t *p, unsigned width)
{
	return width == 8 ? get_le64(p) : width == 4 ? get_le32(p) : *p;
}

static void put_record(uint8_t *p, unsigned width, uint64_t v)
{
	if (width == 8)
		put_le64(p, v);
	else if (width == 4)
		put_le32(p, (uint32_t)v);
	else
		*p = (uint8_t)v;
}

static void apply(struct state *s, const struct event *e, const struct effect *effect)
{
	uint32_t byte = byte_of(effect->fact, e->sequence);
	struct state_page *p = find_page(s->tables, e->campaign, e->lane, effect->fact, byte / STATE_PAGE);
	unsigned width = fact_bytes(effect->fact), at = byte % STATE_PAGE;
	uint64_t old;

	must(p && p->loaded);
	if (width == 0) {
		uint8_t bit = (uint8_t)(0x80 >> e->sequence % 8);

		if (p->bytes[at] & bit)
			return;
		p->bytes[at] |= bit;
		mark(s, p, at, at + 1);
		return;
	}
	old = get_record(p->bytes + at, width);
	if (effect->value == 0 || (old && (fact_form(effect->fact) == FACT_FIRST || old <= effect->value)))
		return;
	put_record(p->bytes + at, width, effect->value);
	mark(s, p, at, at + width);
}

void state_set(
	struct state *s, uint64_t campaign, uint32_t lane, uint32_t sequence, enum fact fact, uint64_t value)
{
	uint32_t byte = byte_of(fact, sequence);
	struct state_page *p = find_page(s->tables, campaign, lane, fact, byte / STATE_PAGE);
	unsigned width = fact_bytes(fact), at = byte % STATE_PAGE;
	uint8_t bit = (uint8_t)(0x80 >> sequence % 8);

	must(p && p->loaded);
	if (width)
		put_record(p->bytes + at, width, value);
	else if (value)
		p->bytes[at] |= bit;
	else
		p->bytes[at] &= (uint8_t)~bit;
	mark(s, p, at, at + (width ? width : 1));
}

bool state_has(const struct state *s, uint64_t campaign, uint32_t lane, uint32_t sequence, enum fact fact)
{
	uint32_t byte = byte_of(fact, sequence);
	const struct state_page *p = find_page(s->tables, campaign, lane, fact, byte / STATE_PAGE);

	must(p && p->loaded && !fact_bytes(fact));
	return p->bytes[byte % STATE_PAGE] >> (7 - sequence % 8) & 1;
}

static void apply_times(struct state_campaign *c, uint64_t ms)
{
	if (ms == 0)
		return;
	if (c->first_ms == 0 || ms < c->first_ms) {
		c->first_ms = ms;
		c->timed = true;
	}
	if (ms > c->last_ms) {
		c->last_ms = ms;
		c->timed = true;
	}
}

static void apply_lane(struct state *s, struct state_campaign *c, uint32_t lane)
{
	for (unsigned i = 0; i < c->lanes; i++)
		if (c->lane[i] == lane)
			return;
	state_count(s, c->key, STATE_LANE, lane, 0, 1);
}

void state_apply(struct state *s, const struct event *e)
{
	struct state_campaign *c = find_campaign(s->tables, e->campaign);
	enum counter counter = counter_of(e);
	struct effect effect[MAX_EFFECTS];
	unsigned n = effects(e, effect);

	must(c && c->loaded);
	if (!c->dirty) {
		c->dirty = true;
		LIST_APPEND(s->dirty_campaigns, s->dirty_campaign_count, s->tables->dirty_campaign_room, c);
	}
	if (e->kind == EVENT_CAMPAIGN) {
		c->named = true;
		c->tenant = e->tenant;
		c->name = e->name;
		return;
	}
	for (unsigned i = 0; i < n; i++)
		if (effect[i].fact != FACT_recipient ||
			!state_has(s, e->campaign, e->lane, e->sequence, FACT_forgotten))
			apply(s, e, &effect[i]);
	apply_times(c, e->ms);
	apply_lane(s, c, e->lane);
	if (counter == COUNTER_COUNT)
		return;
	state_count(s, e->campaign, STATE_COUNTER, counter, 0, 1);
	state_count(s, e->campaign, STATE_HOUR, e->ms / HOUR_MS, counter, 1);
}

size_t state_bytes(const struct state *s)
{
	return s->tables->page_count * sizeof(struct state_page) +
	       s->tables->campaign_count * sizeof(struct state_campaign);
}

/* Keep what the present batch touched, or nothing. */
static void drop_clean(struct state_tables *t, bool all)
{
	size_t pages = 0, campaigns = 0;

	for (size_t i = 0; i < t->page_count; i++) {
		if (all || t->page[i]->batch != t->batch)
			free(t->page[i]);
		else
			t->page[pages++] = t->page[i];
	}
	for (size_t i = 0; i < t->campaign_count; i++) {
		if (all || t->campaign[i]->batch != t->batch)
			free(t->campaign[i]);
		else
			t->campaign[campaigns++] = t->campaign[i];
	}
	t->page_count = pages;
	t->campaign_count = campaigns;
	forget_last(t);
	enter_pages(t, pages);
	enter_campaigns(t, campaigns);
}

void state_committed(struct state *s, size_t cap)
{
	struct state_tables *t = s->tables;

	for (size_t i = 0; i < s->change_count; i++) {
		const struct state_change *d = &s->changes[i];
		struct state_campaign *c = d->what == STATE_LANE ? find_campaign(t, d->campaign) : NULL;

		if (c && c->lanes < STATE_KNOWN_LANES)
			c->lane[c->lanes++] = (uint32_t)d->a;
	}
	for (size_t i = 0; i < s->dirty_page_count; i++)
		s->dirty_pages[i]->from = s->dirty_pages[i]->to = 0;
	for (size_t i = 0; i < s->dirty_campaign_count; i++) {
		struct state_campaign *c = s->dirty_campaigns[i];

		c->dirty = c->named = c->timed = false;
		c->listed = true;
		c->tenant = c->name = SLICE_NONE;
	}
	s->wanted_page_count = s->wanted_campaign_count = 0;
	s->dirty_page_count = s->dirty_campaign_count = 0;
	s->change_count = 0;
	table_make(&t->changes, 0);
	if (state_bytes(s) > cap)
		drop_clean(t, false);
	if (state_bytes(s) > cap)
		drop_clean(t, true);
	t->batch++;
}
