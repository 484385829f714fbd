#include "collector/store.h"

#include "core/model/rkey.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Replies read for a campaign: its times, and one look at each of its other
 * keys, so that a key of another type cannot fail in the middle of a commit. */
#define CAMPAIGN_REPLIES 5

/* Neighbouring pages are read and written as one piece of their string; a gap of
 * so many bytes that did not change costs less than a command of its own. */
#define RUN_PAGES 128
#define RUN_GAP 512

static int errno_of(const struct rds_reply *rep)
{
	static const struct {
		const char *word;
		int err;
	} words[] = {
		{"LOADING", EAGAIN},
		{"BUSY", EAGAIN},
		{"TRYAGAIN", EAGAIN},
		{"MASTERDOWN", EAGAIN},
		{"CLUSTERDOWN", EAGAIN},
		{"MOVED", EAGAIN},
		{"ASK", EAGAIN},
		{"EXECABORT", EAGAIN},
		{"NOREPLICAS", EAGAIN},
		{"READONLY", EROFS},
		{"OOM", ENOMEM},
		{"MISCONF", EIO},
		{"NOAUTH", EACCES},
		{"NOPERM", EACCES},
		{"WRONGPASS", EACCES},
	};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (rds_is_error(rep, words[i].word))
			return -words[i].err;
	return -EPROTO;
}

int store_reply(struct rds *r, struct rds_reply **out, struct buf *why)
{
	int rc = rds_get(r, out);

	if (rc < 0)
		return rc;
	if (rds_kind(*out) != RDS_ERROR)
		return 0;
	rc = errno_of(*out);
	buf_put(why, slice_sub(rds_text(*out), 0, 128));
	rds_reply_free(out);
	return rc;
}

int store_done(struct rds *r, struct buf *why)
{
	struct rds_reply *rep;
	int rc;

	if (rds_step(r))
		return 0;
	rc = store_reply(r, &rep, why);
	if (rc == 0)
		rds_reply_free(&rep);
	return rc;
}

struct number {
	char text[32];
	size_t len;
};

static struct number number_of(uint64_t v)
{
	struct number n;

	n.len = (size_t)snprintf(n.text, sizeof n.text, "%" PRIu64, v);
	return n;
}

static slice text_of(const struct number *n)
{
	return slice_of(n->text, n->len);
}

static int by_place(const void *va, const void *vb)
{
	const struct state_page *a = *(struct state_page *const *)va, *b = *(struct state_page *const *)vb;

	if (a->campaign != b->campaign)
		return a->campaign < b->campaign ? -1 : 1;
	if (a->lane != b->lane)
		return a->lane < b->lane ? -1 : 1;
	if (a->fact != b->fact)
		return a->fact < b->fact ? -1 : 1;
	return (a->number > b->number) - (a->number < b->number);
}

static void sort_pages(struct state_page **list, size_t n)
{
	if (n > 1)
		qsort(list, n, sizeof *list, by_place);
}

static bool neighbours(const struct state_page *a, const struct state_page *b)
{
	return a->number + 1 == b->number && a->fact == b->fact && a->campaign == b->campaign &&
	       a->lane == b->lane;
}

/* How many of the pages from list[at] on are read at once; 0: it is loaded. */
static size_t missing_run(struct state_page *const *list, size_t at, size_t count)
{
	size_t n = 0;

	while (at + n < count && n < RUN_PAGES && !list[at + n]->loaded &&
		(n == 0 || neighbours(list[at + n - 1], list[at + n])))
		n++;
	return n;
}

static void ask_pages(struct rds *r, unsigned partition, const struct state_page *p, size_t n)
{
	struct rkey key = rkey_fact(partition, p->campaign, p->lane, p->fact);
	struct number from = number_of((uint64_t)p->number * STATE_PAGE);
	struct number to = number_of((p->number + n) * STATE_PAGE - 1);

	rds_putv(r, SLICE("GETRANGE"), rkey_slice(&key), text_of(&from), text_of(&to));
}

static void ask_campaign(struct rds *r, unsigned partition, uint64_t campaign)
{
	struct rkey head = rkey_campaign(partition, campaign), links = rkey_links(partition, campaign);
	struct rkey hours = rkey_hours(partition, campaign), places = rkey_places(partition, campaign);
	struct rkey lanes = rkey_campaign_lanes(partition, campaign);

	rds_putv(r, SLICE("HMGET"), rkey_slice(&head), slice_str(counter_word(COUNTER_first_ms)),
		slice_str(counter_word(COUNTER_last_ms)));
	rds_putv(r, SLICE("HLEN"), rkey_slice(&links));
	rds_putv(r, SLICE("HLEN"), rkey_slice(&hours));
	rds_putv(r, SLICE("HLEN"), rkey_slice(&places));
	rds_putv(r, SLICE("SCARD"), rkey_slice(&lanes));
}

void store_ask(struct rds *r, unsigned partition, const struct state *s)
{
	for (size_t i = 0; i < s->wanted_campaign_count; i++)
		if (!s->wanted_campaigns[i]->loaded)
			ask_campaign(r, partition, s->wanted_campaigns[i]->key);
	sort_pages(s->wanted_pages, s->wanted_page_count);
	for (size_t i = 0, n; i < s->wanted_page_count; i += n ? n : 1) {
		n = missing_run(s->wanted_pages, i, s->wanted_page_count);
		if (n)
			ask_pages(r, partition, s->wanted_pages[i], n);
	}
}

static int take_campaign(struct rds *r, struct state_campaign *c, struct buf *why)
{
	uint64_t ms[2] = {0, 0};

	for (int i = 0; i < CAMPAIGN_REPLIES; i++) {
		struct rds_reply *rep;
		int rc = store_reply(r, &rep, why);

		if (rc < 0)
			return rc;
		for (size_t k = 0; i == 0 && k < 2 && k < rds_len(rep); k++)
			ms[k] = (uint64_t)rds_int(rds_at(rep, k));
		rds_reply_free(&rep);
	}
	state_campaign_load(c, ms[0], ms[1]);
	return 0;
}

/* A string at key; why names the key if it is none. */
static int take_string(struct rds *r, const struct rkey *key, struct rds_reply **out, struct buf *why)
{
	int rc = store_reply(r, out, why);

	if (rc < 0) {
		buf_str(why, " (");
		buf_put(why, rkey_slice(key));
		buf_byte(why, ')');
	}
	return rc;
}

int store_take(struct rds *r, unsigned partition, struct state *s, struct buf *why)
{
	for (size_t i = 0; i < s->wanted_campaign_count; i++) {
		int rc = s->wanted_campaigns[i]->loaded ? 0 : take_campaign(r, s->wanted_campaigns[i], why);

		if (rc < 0) {
			buf_printf(why, " (a key of campaign %016" PRIx64 ", partition %u)",
				s->wanted_campaigns[i]->key, partition);
			return rc;
		}
	}
	for (size_t i = 0, n; i < s->wanted_page_count; i += n ? n : 1) {
		const struct state_page *p = s->wanted_pages[i];
		struct rds_reply *rep;
		struct rkey key;
		int rc;

		n = missing_run(s->wanted_pages, i, s->wanted_page_count);
		if (!n)
			continue;
		key = rkey_fact(partition, p->campaign, p->lane, p->fact);
		rc = take_string(r, &key, &rep, why);
		if (rc < 0)
			return rc;
		for (size_t k = 0; k < n; k++)
			state_page_load(s->wanted_pages[i + k],
				slice_sub(rds_text(rep), k * STATE_PAGE, (k + 1) * STATE_PAGE));
		rds_reply_free(&rep);
	}
	return 0;
}

void store_ask_kept(struct rds *r, unsigned partition, const struct kept *k)
{
	for (size_t i = 0; i < k->wanted_count; i++) {
		const struct kept_block *b = k->wanted[i];
		struct rkey key = rkey_hits(partition, b->campaign, b->lane, b->number);

		rds_putv(r, SLICE("GET"), rkey_slice(&key));
	}
}

int store_take_kept(struct rds *r, unsigned partition, struct kept *k, struct buf *why)
{
	for (size_t i = 0; i < k->wanted_count; i++) {
		struct kept_block *b = k->wanted[i];
		struct rkey key = rkey_hits(partition, b->campaign, b->lane, b->number);
		struct rds_reply *rep;
		int rc = take_string(r, &key, &rep, why);

		if (rc < 0)
			return rc;
		kept_load(b, rds_text(rep));
		rds_reply_free(&rep);
	}
	return 0;
}

size_t store_put_kept(struct rds *r, unsigned partition, const struct kept *k)
{
	size_t n = 0;

	for (size_t i = 0; i < k->dirty_count; i++) {
		const struct kept_block *b = k->dirty[i];
		struct rkey key = rkey_hits(partition, b->campaign, b->lane, b->number);

		if (!b->fresh.len)
			continue;
		rds_putv(r, SLICE("APPEND"), rkey_slice(&key), buf_slice(&b->fresh));
		n++;
	}
	return n;
}

/* Write the changes of list[0] and of those behind it that are near enough to be
 * written along; returns how many pages these are. */
static size_t put_pages(
	struct rds *r, unsigned partition, struct state_page *const *list, size_t count, struct buf *bytes)
{
	const struct state_page *p = list[0], *next;
	struct rkey key = rkey_fact(partition, p->campaign, p->lane, p->fact);
	struct number at = number_of((uint64_t)p->number * STATE_PAGE + p->from);
	unsigned from = p->from;
	size_t n = 1;

	buf_clear(bytes);
	for (; n < count && n < RUN_PAGES; n++, p = next, from = 0) {
		next = list[n];
		if (!neighbours(p, next) || STATE_PAGE - p->to + next->from > RUN_GAP)
			break;
		buf_put(bytes, slice_of(p->bytes + from, STATE_PAGE - from));
	}
	buf_put(bytes, slice_of(p->bytes + from, p->to - from));
	rds_putv(r, SLICE("SETRANGE"), rkey_slice(&key), text_of(&at), buf_slice(bytes));
	return n;
}

static size_t put_campaign(struct rds *r, unsigned partition, const struct state_campaign *c)
{
	struct rkey head = rkey_campaign(partition, c->key), all = rkey_campaigns(partition);
	struct number first = number_of(c->first_ms), last = number_of(c->last_ms), key;
	size_t n = 1;

	rds_putv(r, SLICE("HINCRBY"), rkey_slice(&head), SLICE("version"), SLICE("1"));
	if (c->timed) {
		rds_putv(r, SLICE("HSET"), rkey_slice(&head), slice_str(counter_word(COUNTER_first_ms)),
			text_of(&first), slice_str(counter_word(COUNTER_last_ms)), text_of(&last));
		n++;
	}
	if (c->named) {
		rds_putv(r, SLICE("HSET"), rkey_slice(&head), SLICE("tenant"), c->tenant, SLICE("name"),
			c->name);
		n++;
	}
	if (!c->listed) {
		key.len = (size_t)snprintf(key.text, sizeof key.text, "%016" PRIx64, c->key);
		rds_putv(r, SLICE("SADD"), rkey_slice(&all), text_of(&key));
		n++;
	}
	return n;
}

static void put_change(struct rds *r, unsigned partition, const struct state_change *c)
{
	struct rkey key = rkey_campaign(partition, c->campaign);
	char field[64], n[24];

	switch (c->what) {
	case STATE_COUNTER:
		snprintf(field, sizeof field, "%s", counter_word((enum counter)c->a));
		break;
	case STATE_LINK:
		key = rkey_links(partition, c->campaign);
		snprintf(field, sizeof field, "%" PRIu64 ":%s", c->a, c->b ? "human" : "machine");
		break;
	case STATE_HOUR:
		key = rkey_hours(partition, c->campaign);
		snprintf(field, sizeof field, "%" PRIu64 ":%s", c->a, counter_word((enum counter)c->b));
		break;
	case STATE_PLACE:
		key = rkey_places(partition, c->campaign);
		snprintf(field, sizeof field, "%c%c:%s", (int)(c->a >> 8), (int)(c->a & 0xff),
			counter_word((enum counter)c->b));
		break;
	case STATE_LANE:
		key = rkey_campaign_lanes(partition, c->campaign);
		snprintf(field, sizeof field, "%08" PRIx64, c->a);
		rds_putv(r, SLICE("SADD"), rkey_slice(&key), slice_str(field));
		return;
	}
	snprintf(n, sizeof n, "%" PRId64, c->n);
	rds_putv(r, SLICE("HINCRBY"), rkey_slice(&key), slice_str(field), slice_str(n));
}

size_t store_put(struct rds *r, unsigned partition, const struct state *s)
{
	struct buf bytes;
	size_t n = 0;

	buf_init(&bytes, RUN_PAGES * STATE_PAGE);
	sort_pages(s->dirty_pages, s->dirty_page_count);
	for (size_t i = 0; i < s->dirty_page_count; n++)
		i += put_pages(r, partition, s->dirty_pages + i, s->dirty_page_count - i, &bytes);
	buf_free(&bytes);
	for (size_t i = 0; i < s->dirty_campaign_count; i++)
		n += put_campaign(r, partition, s->dirty_campaigns[i]);
	for (size_t i = 0; i < s->change_count; i++) {
		if (!s->changes[i].n)
			continue;
		put_change(r, partition, &s->changes[i]);
		n++;
	}
	return n;
}
