#include "collector/rescore.h"

#include "collector/store.h"
#include "core/base/bytes.h"
#include "core/base/must.h"
#include "core/model/rkey.h"
#include "core/parse/num.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_BLOCKS 256
#define WINDOW (WINDOW_BLOCKS * KEPT_BLOCK) /* messages */
#define DAY_MS 86400000
#define PIECE 512
/* Days between first and last event that are looked at for anonymous hits: a
 * hundred years; more is a broken clock. */
#define MOST_DAYS 36525

/* The facts that hits make. */
static const enum fact hit_facts[] = {FACT_opened_human, FACT_opened_proxy, FACT_opened_prefetch,
	FACT_opened_machine, FACT_clicked_human, FACT_clicked_machine, FACT_unsubscribed, FACT_opened_s,
	FACT_clicked_s};

#define FACTS (sizeof hit_facts / sizeof *hit_facts)

struct window {
	struct rescore *out;
	const struct verdict_rules *rules;
	uint64_t campaign;
	uint32_t first;       /* sequence */
	uint8_t *want[FACTS]; /* what the hits come to, window_bytes each */
};

static size_t window_bytes(enum fact f)
{
	return fact_bytes(f) ? (size_t)WINDOW * fact_bytes(f) : WINDOW / 8;
}

static void set(struct window *w, enum fact f, uint32_t sequence, uint64_t value)
{
	uint32_t at = sequence - w->first;

	for (size_t i = 0; i < FACTS; i++) {
		if (hit_facts[i] != f)
			continue;
		if (fact_bytes(f))
			put_le32(w->want[i] + (size_t)at * 4, (uint32_t)value);
		else
			w->want[i][at / 8] |= (uint8_t)(0x80 >> at % 8);
	}
}

/* One message, or one anonymous hit. */
static void add_message(
	void *arg, uint32_t sequence, const struct verdict_hit *hits, const enum hit_class *class, unsigned n)
{
	struct window *w = arg;
	struct kept_standing is = kept_standing(hits, class, n);

	w->out->hits += n;
	for (unsigned i = 0; i < n; i++)
		kept_count(&w->out->counts, w->campaign, &hits[i], class[i], 1);
	if (sequence == EVENT_NO_SEQUENCE)
		return;
	w->out->messages++;
	for (unsigned f = 0; is.facts >> f; f++)
		if (is.facts >> f & 1)
			set(w, (enum fact)f, sequence, 1);
	if (is.opened_s)
		set(w, FACT_opened_s, sequence, is.opened_s);
	if (is.clicked_s)
		set(w, FACT_clicked_s, sequence, is.clicked_s);
}

static void add_piece(
	struct rescore *s, uint32_t lane, enum fact f, uint64_t at, const uint8_t *want, size_t len)
{
	struct rescore_piece *p;

	if (s->piece_count == s->piece_room) {
		s->piece_room = s->piece_room ? 2 * s->piece_room : 16;
		s->pieces = must_realloc(s->pieces, s->piece_room * sizeof *s->pieces);
	}
	p = &s->pieces[s->piece_count++];
	*p = (struct rescore_piece){.lane = lane, .fact = f, .at = at, .len = len, .bytes = must_alloc(len)};
	memcpy(p->bytes, want, len);
}

/* What is there against what should be; a string that ends goes on in zeros. */
static void compare(
	struct rescore *s, uint32_t lane, enum fact f, uint64_t base, const uint8_t *want, slice there)
{
	size_t n = window_bytes(f);

	for (size_t from = 0; from < n; from += PIECE) {
		size_t first = PIECE, last = 0;

		for (size_t i = 0; i < PIECE; i++) {
			uint8_t is = from + i < there.len ? there.p[from + i] : 0;

			if (is == want[from + i])
				continue;
			first = i < first ? i : first;
			last = i;
		}
		if (first < PIECE)
			add_piece(s, lane, f, base + from + first, want + from + first, last + 1 - first);
	}
}

static int64_t number(struct rds *r, struct buf *why)
{
	struct rds_reply *rep;
	int rc = store_reply(r, &rep, why);
	int64_t n;

	if (rc < 0)
		return rc;
	n = rds_int(rep);
	rds_reply_free(&rep);
	return n;
}

/* Sequences that a lane's facts reach to. -errno. */
static int64_t reach(struct rds *r, unsigned partition, uint64_t campaign, uint32_t lane, struct buf *why)
{
	int64_t most = 0;

	for (size_t i = 0; i < FACTS; i++) {
		struct rkey key = rkey_fact(partition, campaign, lane, hit_facts[i]);

		rds_putv(r, SLICE("STRLEN"), rkey_slice(&key));
	}
	for (size_t i = 0; i < FACTS; i++) {
		int64_t n = number(r, why);

		if (n < 0)
			return n;
		n = fact_bytes(hit_facts[i]) ? n / fact_bytes(hit_facts[i]) : n * 8;
		most = n > most ? n : most;
	}
	return most;
}

static int read_window(struct rds *r, unsigned partition, uint32_t lane, struct window *w, struct buf *why)
{
	char from[24], to[24];
	struct rds_reply *rep;
	int rc;

	for (uint32_t i = 0; i < WINDOW_BLOCKS; i++) {
		struct rkey key = rkey_hits(partition, w->campaign, lane, w->first / KEPT_BLOCK + i);

		rds_putv(r, SLICE("GET"), rkey_slice(&key));
	}
	for (size_t i = 0; i < FACTS; i++) {
		struct rkey key = rkey_fact(partition, w->campaign, lane, hit_facts[i]);
		uint64_t at = (uint64_t)w->first / WINDOW * window_bytes(hit_facts[i]);

		snprintf(from, sizeof from, "%" PRIu64, at);
		snprintf(to, sizeof to, "%" PRIu64, at + window_bytes(hit_facts[i]) - 1);
		rds_putv(r, SLICE("GETRANGE"), rkey_slice(&key), slice_str(from), slice_str(to));
	}
	for (size_t i = 0; i < FACTS; i++)
		memset(w->want[i], 0, window_bytes(hit_facts[i]));
	for (uint32_t i = 0; i < WINDOW_BLOCKS; i++) {
		rc = store_reply(r, &rep, why);
		if (rc < 0)
			return rc;
		kept_walk(w->rules, w->first / KEPT_BLOCK + i, rds_text(rep), add_message, w);
		rds_reply_free(&rep);
	}
	for (size_t i = 0; i < FACTS; i++) {
		rc = store_reply(r, &rep, why);
		if (rc < 0)
			return rc;
		compare(w->out, lane, hit_facts[i], (uint64_t)w->first / WINDOW * window_bytes(hit_facts[i]),
			w->want[i], rds_text(rep));
		rds_reply_free(&rep);
	}
	return 0;
}

/* The anonymous hits of the days from..to. */
static int read_days(struct rds *r, unsigned partition, uint32_t lane, struct window *w, uint64_t from,
	uint64_t to, struct buf *why)
{
	for (uint64_t day = from; day <= to; day++) {
		struct rkey key = rkey_hits(partition, w->campaign, lane, KEPT_ANONYMOUS | (uint32_t)day);

		rds_putv(r, SLICE("GET"), rkey_slice(&key));
	}
	for (uint64_t day = from; day <= to; day++) {
		struct rds_reply *rep;
		int rc = store_reply(r, &rep, why);

		if (rc < 0)
			return rc;
		kept_walk(w->rules, KEPT_ANONYMOUS | (uint32_t)day, rds_text(rep), add_message, w);
		rds_reply_free(&rep);
	}
	return 0;
}

static int read_lane(struct rds *r, unsigned partition, uint32_t lane, struct window *w,
	const uint64_t times[2], struct buf *why)
{
	uint64_t from = times[0] / DAY_MS, to = times[1] / DAY_MS;
	int64_t sequences = reach(r, partition, w->campaign, lane, why);
	int rc = sequences < 0 ? (int)sequences : 0;

	for (int64_t first = 0; first < sequences && rc == 0; first += WINDOW) {
		w->first = (uint32_t)first;
		rc = read_window(r, partition, lane, w, why);
	}
	if (rc == 0 && to >= from && to - from < MOST_DAYS)
		rc = read_days(r, partition, lane, w, from, to, why);
	return rc;
}

static bool counter_decode(slice word, enum counter *out)
{
	for (unsigned c = 0; c < COUNTER_COUNT; c++)
		if (kept_counts((enum counter)c) &&
			slice_eq(word, slice_str(counter_word((enum counter)c)))) {
			*out = (enum counter)c;
			return true;
		}
	return false;
}

/* Which counter a field of one of the four hashes is; false: none that hits make. */
static bool field_decode(enum state_what what, slice field, uint64_t *a, uint32_t *b)
{
	size_t colon = slice_chr(field, ':', 0);
	slice head = slice_sub(field, 0, colon), word = slice_from(field, colon + 1);
	enum counter c;

	if (what == STATE_COUNTER) {
		*b = 0;
		if (!counter_decode(field, &c))
			return false;
		*a = c;
		return true;
	}
	if (colon == SLICE_NPOS)
		return false;
	if (what == STATE_LINK) {
		*b = slice_eq(word, SLICE("human"));
		return num_decode(head, UINT16_MAX, a) == 0;
	}
	if (!counter_decode(word, &c))
		return false;
	*b = c;
	if (what == STATE_HOUR)
		return num_decode(head, UINT64_MAX, a) == 0;
	*a = head.len == 2 ? (uint64_t)(head.p[0] << 8 | head.p[1]) : 0;
	return head.len == 2;
}

static const enum state_what hashes[] = {STATE_COUNTER, STATE_LINK, STATE_HOUR, STATE_PLACE};

static int subtract_counters(
	struct rds *r, unsigned partition, uint64_t campaign, struct state *s, struct buf *why)
{
	struct rkey keys[] = {rkey_campaign(partition, campaign), rkey_links(partition, campaign),
		rkey_hours(partition, campaign), rkey_places(partition, campaign)};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		rds_putv(r, SLICE("HGETALL"), rkey_slice(&keys[i]));
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct rds_reply *rep;
		int rc = store_reply(r, &rep, why);
		uint64_t a;
		uint32_t b;

		if (rc < 0)
			return rc;
		for (size_t k = 0; k + 1 < rds_len(rep); k += 2)
			if (field_decode(hashes[i], rds_text(rds_at(rep, k)), &a, &b))
				state_count(s, campaign, hashes[i], a, b, -rds_int(rds_at(rep, k + 1)));
		rds_reply_free(&rep);
	}
	return 0;
}

/* The campaign's lanes and the times of its first and last event. */
static int read_head(struct rds *r, unsigned partition, uint64_t campaign, struct rds_reply **lanes,
	uint64_t times[2], struct buf *why)
{
	struct rkey head = rkey_campaign(partition, campaign), of = rkey_campaign_lanes(partition, campaign);
	struct rds_reply *rep;
	int rc;

	rds_putv(r, SLICE("HMGET"), rkey_slice(&head), slice_str(counter_word(COUNTER_first_ms)),
		slice_str(counter_word(COUNTER_last_ms)));
	rds_putv(r, SLICE("SMEMBERS"), rkey_slice(&of));
	rc = store_reply(r, &rep, why);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < 2; i++)
		times[i] = i < rds_len(rep) ? (uint64_t)rds_int(rds_at(rep, i)) : 0;
	rds_reply_free(&rep);
	return store_reply(r, lanes, why);
}

int rescore_read(struct rds *r, unsigned partition, uint64_t campaign, const struct verdict_rules *rules,
	struct rescore *out, struct buf *why)
{
	struct window w = {.out = out, .rules = rules, .campaign = campaign};
	struct rds_reply *lanes = NULL;
	uint64_t times[2];
	uint32_t lane;
	int rc;

	*out = (struct rescore){0};
	state_init(&out->counts);
	for (size_t i = 0; i < FACTS; i++)
		w.want[i] = must_alloc(window_bytes(hit_facts[i]));
	rc = read_head(r, partition, campaign, &lanes, times, why);
	for (size_t i = 0; rc == 0 && i < rds_len(lanes); i++)
		if (hex32_decode(rds_text(rds_at(lanes, i)), &lane))
			rc = read_lane(r, partition, lane, &w, times, why);
	if (rc == 0)
		rc = subtract_counters(r, partition, campaign, &out->counts, why);
	rds_reply_free(&lanes);
	for (size_t i = 0; i < FACTS; i++)
		free(w.want[i]);
	if (rc < 0)
		rescore_free(out);
	return rc;
}

void rescore_free(struct rescore *s)
{
	for (size_t i = 0; i < s->piece_count; i++)
		free(s->pieces[i].bytes);
	free(s->pieces);
	state_free(&s->counts);
	*s = (struct rescore){0};
}

bool rescore_agrees(const struct rescore *s)
{
	if (s->piece_count)
		return false;
	for (size_t i = 0; i < s->counts.change_count; i++)
		if (s->counts.changes[i].n)
			return false;
	return true;
}

size_t rescore_put(struct rds *r, unsigned partition, uint64_t campaign, const struct rescore *s)
{
	struct rkey head = rkey_campaign(partition, campaign);
	size_t n = store_put(r, partition, &s->counts);

	for (size_t i = 0; i < s->piece_count; i++) {
		const struct rescore_piece *p = &s->pieces[i];
		struct rkey key = rkey_fact(partition, campaign, p->lane, p->fact);
		char at[24];

		snprintf(at, sizeof at, "%" PRIu64, p->at);
		rds_putv(r, SLICE("SETRANGE"), rkey_slice(&key), slice_str(at), slice_of(p->bytes, p->len));
	}
	rds_putv(r, SLICE("HINCRBY"), rkey_slice(&head), SLICE("version"), SLICE("1"));
	return n + s->piece_count + 1;
}

static void say_change(const struct state_change *c, struct buf *out)
{
	switch (c->what) {
	case STATE_COUNTER:
		buf_printf(out, "counter %s", counter_word((enum counter)c->a));
		break;
	case STATE_LINK:
		buf_printf(out, "link %" PRIu64 " %s", c->a, c->b ? "human" : "machine");
		break;
	case STATE_HOUR:
		buf_printf(out, "hour %" PRIu64 " %s", c->a, counter_word((enum counter)c->b));
		break;
	case STATE_PLACE:
		buf_printf(out, "place %c%c %s", (int)(c->a >> 8), (int)(c->a & 0xff),
			counter_word((enum counter)c->b));
		break;
	case STATE_LANE:
		break;
	}
	buf_printf(out, ": should be %+" PRId64 "\n", c->n);
}

void rescore_say(const struct rescore *s, struct buf *out)
{
	for (size_t i = 0; i < s->counts.change_count; i++)
		if (s->counts.changes[i].n)
			say_change(&s->counts.changes[i], out);
	for (size_t i = 0; i < s->piece_count; i++) {
		const struct rescore_piece *p = &s->pieces[i];
		uint64_t per = fact_bytes(p->fact) ? fact_bytes(p->fact) : 1;
		uint64_t messages = fact_bytes(p->fact) ? 1 : 8;

		buf_printf(out,
			"%s of lane %08" PRIx32 ": differs for sequences %" PRIu64 " to %" PRIu64 "\n",
			fact_word(p->fact), p->lane, p->at / per * messages,
			(p->at + p->len - 1) / per * messages + messages - 1);
	}
}
