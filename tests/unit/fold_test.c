/* The fold against a real Redis. Whatever the size of batches, however events
 * are spread over streams, resent, or the fold killed at any byte of what it
 * sends: the state is the one that a naive writer makes, one event and one
 * command at a time, in database 1. */
#include "tests/redis.h"
#include "tests/testing.h"

#include "collector/fold.h"
#include "collector/rescore.h"
#include "core/base/bytes.h"
#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/metrics.h"
#include "core/model/frame.h"
#include "core/model/rkey.h"
#include "core/model/state.h"
#include "core/model/tombstone.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARTITIONS 4
#define EVENTS 1500
#define FRAMES 400
#define BASE UINT64_C(1795219200000)
#define KILLED 9

static struct test_redis server;
static struct rds *redis;

/* What leaves this process for Redis. Counted; and after `budget` bytes the
 * process is gone, in the middle of whatever it was saying. */
static long sent, budget = -1;
static void (*before_multi)(void);

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	void (*hook)(void) = before_multi;

	if (hook && slice_find(slice_of(p, n), SLICE("MULTI"), 0) != SLICE_NPOS) {
		before_multi = NULL;
		hook();
	}
	if (budget >= 0 && (long)n > budget) {
		if (budget > 0)
			syscall(SYS_sendto, fd, p, (size_t)budget, flags, NULL, 0);
		_exit(KILLED);
	}
	if (budget >= 0)
		budget -= (long)n;
	sent += (long)n;
	return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

static struct rds_reply *ask(int argc, const slice *argv)
{
	struct rds_reply *rep;

	if (rds_ask(redis, &rep, argc, argv) < 0)
		fail_msg("redis does not answer");
	return rep;
}
#define ASK(...) ask((int)(sizeof((slice[]){__VA_ARGS__}) / sizeof(slice)), (slice[]){__VA_ARGS__})

static int64_t ask_int(int argc, const slice *argv)
{
	struct rds_reply *rep = ask(argc, argv);
	int64_t v = rds_int(rep);

	if (rds_kind(rep) == RDS_ERROR)
		fail_msg("%.*s: %.*s", SLICE_FMT(argv[0]), SLICE_FMT(rds_text(rep)));
	rds_reply_free(&rep);
	return v;
}
#define INT(...) ask_int((int)(sizeof((slice[]){__VA_ARGS__}) / sizeof(slice)), (slice[]){__VA_ARGS__})

static slice dec(uint64_t v)
{
	static char ring[16][24];
	static unsigned at;
	char *text = ring[at++ % 16];

	snprintf(text, 24, "%" PRIu64, v);
	return slice_str(text);
}

__attribute__((format(printf, 1, 2))) static slice fmt(const char *format, ...)
{
	static char ring[4][64];
	static unsigned at;
	char *text = ring[at++ % 4];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, 64, format, ap);
	va_end(ap);
	return slice_str(text);
}

static void connect_again(void)
{
	struct rds_config cfg = {.socket = server.socket, .timeout_ms = 20000};

	rds_close(&redis);
	must(rds_open(&redis, &cfg) == 0);
}

/* ---- events and frames ---- */

static struct event events[EVENTS];
static struct buf frame_bytes;
static struct shipped {
	uint32_t lane;
	unsigned partition;
	uint64_t position;
	size_t from, to; /* of frame_bytes */
} frames[FRAMES];
static size_t frame_count;
static uint64_t seed = 42;

static uint64_t draw(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static const uint64_t campaigns[] = {0x1000, 0x2001, 0x2005, 0xfffffffffffffffe, 0x3003};

static bool is_hit(const struct event *e)
{
	return e->kind == EVENT_OPEN || e->kind == EVENT_CLICK || e->kind == EVENT_UNSUBSCRIBE;
}

static void make_event(struct event *e)
{
	static const char countries[][2] = {{0, 0}, {'D', 'E'}, {'F', 'R'}};
	static char queue_ids[EVENTS][32];

	*e = (struct event){.kind = (enum event_kind)(1 + draw(9)),
		.ms = BASE + draw(3) * 3600000 + draw(100000),
		.campaign = campaigns[draw(5)],
		.lane = (uint32_t)(0xa0 + draw(2)),
		.sequence = (uint32_t)(draw(50) ? draw(300) : 60000 + draw(3)),
		.reply = 250,
		.bounce = (enum bounce)draw(4),
		.class = (enum hit_class)draw(7),
		.link = (uint16_t)draw(5)};
	memcpy(e->country, countries[draw(3)], 2);
	if (draw(3) == 0 && (e->kind == EVENT_OPEN || e->kind == EVENT_CLICK))
		e->place = e->kind == EVENT_OPEN ? PLACE_TOP : PLACE_AMP;
	if (is_hit(e)) {
		e->reply = 0;
		e->agent = (uint16_t)draw(4);
		e->network = (uint32_t)draw(3);
		if (draw(3)) { /* a few messages with many hits of a minute or two */
			e->sequence = (uint32_t)draw(5);
			e->ms = BASE + draw(25000);
			e->class = draw(2) ? CLASS_HUMAN : e->class;
		} else if (!draw(8)) {
			e->sequence = EVENT_NO_SEQUENCE;
		}
	}
	/* the same in every event of a message, as it is in life */
	e->recipient = e->campaign * 31 + e->lane * UINT64_C(1000003) + e->sequence + 1;
	e->provider = (uint8_t)(e->sequence % 9);
	if (e->sequence % 3) {
		char *id = queue_ids[e - events];

		snprintf(id, 32, "Q%xx%" PRIx32 "x%" PRIx32, (unsigned)(e->campaign & 0xffff), e->lane,
			e->sequence);
		e->queue_id = slice_str(id);
	}
	e->tenant = SLICE("shop");
	e->name = slice_str(e->campaign & 1 ? "may \"sale\"\r\n" : "june");
}

/* Frames as a journal would hold them: a few events each, of one partition, from
 * one of three producers. */
static void make_frames(void)
{
	uint64_t position[3] = {64, 64, 64};
	size_t at[PARTITIONS] = {0};
	bool more = true;

	frame_count = 0;
	buf_clear(&frame_bytes);
	while (more) {
		more = false;
		for (unsigned p = 0; p < PARTITIONS; p++) {
			unsigned producer = (unsigned)draw(3);
			size_t head = frame_begin(&frame_bytes, BASE, (uint16_t)p);
			uint32_t n = 0, want = 1 + (uint32_t)draw(20);

			for (; at[p] < EVENTS && n < want; at[p]++) {
				const struct event *e = &events[at[p]];

				if (partition_of(e->campaign, PARTITIONS) != p)
					continue;
				event_encode(e, BASE, &frame_bytes);
				n++;
			}
			more |= at[p] < EVENTS;
			frame_end(&frame_bytes, head, 0xc0de00 + producer, position[producer], 0, n);
			must(frame_count < FRAMES);
			frames[frame_count++] = (struct shipped){.lane = 0xc0de00 + producer,
				.partition = p,
				.position = position[producer],
				.from = head,
				.to = frame_bytes.len};
			position[producer] += frame_bytes.len - head;
		}
	}
}

static void add_entry(unsigned partition, uint32_t lane, const char *id, slice body)
{
	struct rkey stream = rkey_stream(partition, lane), lanes = rkey_lanes(partition);
	struct rds_reply *rep;

	INT(SLICE("SADD"), rkey_slice(&lanes), fmt("%08" PRIx32, lane));
	/* an id that was there before is refused, as it must be */
	rep = ASK(SLICE("XADD"), rkey_slice(&stream), slice_str(id), SLICE("f"), body);
	rds_reply_free(&rep);
}

static void ship(size_t from, size_t to)
{
	for (size_t i = from; i < to && i < frame_count; i++) {
		char id[48];

		snprintf(id, sizeof id, "%" PRIu64 "-0", frames[i].position);
		add_entry(frames[i].partition, frames[i].lane, id,
			slice_sub(buf_slice(&frame_bytes), frames[i].from, frames[i].to));
	}
}

/* ---- the naive writer ---- */

/* Hashes of recipients who withdrew; nobody when NULL. */
static bool (*withdrew)(uint64_t recipient);

/* Whose address is known, by whatever of its events, from a SENT event. */
static bool is_forgotten(const struct event *of)
{
	if (!withdrew || of->sequence == EVENT_NO_SEQUENCE || !withdrew(of->recipient))
		return false;
	for (const struct event *e = events; e < events + EVENTS; e++)
		if (e->kind == EVENT_SENT && e->campaign == of->campaign && e->lane == of->lane &&
			e->sequence == of->sequence)
			return true;
	return false;
}

static bool same_message(const struct event *a, const struct event *b)
{
	return is_hit(a) && is_hit(b) && a->campaign == b->campaign && a->lane == b->lane &&
	       a->sequence == b->sequence && a->sequence != EVENT_NO_SEQUENCE;
}

/* Do the hits of h's message from `start` on, so many ms long, show three
 * different links (or agents), and is h among them? */
static bool among_many(const struct event *h, const struct event *start, uint64_t ms, bool links)
{
	uint32_t seen[3];
	unsigned n = 0, k;

	if (h->ms < start->ms || h->ms - start->ms > ms)
		return false;
	for (const struct event *e = events; e < events + EVENTS; e++) {
		uint32_t v = links ? e->link + 1u : e->agent;

		if (!same_message(h, e) || e->kind == EVENT_UNSUBSCRIBE || e->ms < start->ms ||
			e->ms - start->ms > ms || v == 0 || (links && e->kind != EVENT_CLICK))
			continue;
		for (k = 0; k < n && seen[k] != v; k++)
			;
		if (k == n && n < 3)
			seen[n++] = v;
	}
	return n == 3;
}

static bool burst_or_swarm(const struct event *h)
{
	for (const struct event *e = events; e < events + EVENTS; e++)
		if (same_message(h, e) && (among_many(h, e, 10000, true) || among_many(h, e, 2000, false)))
			return true;
	return false;
}

static bool scanner_by_itself(const struct event *h)
{
	return h->class == CLASS_SCANNER || (h->class == CLASS_HUMAN && burst_or_swarm(h));
}

/* The class of a hit when all hits of its message are known. */
static enum hit_class judged(const struct event *h)
{
	if (h->kind == EVENT_UNSUBSCRIBE || h->class != CLASS_HUMAN || h->sequence == EVENT_NO_SEQUENCE)
		return h->class;
	if (burst_or_swarm(h))
		return CLASS_SCANNER;
	for (const struct event *e = events; e < events + EVENTS; e++)
		if (same_message(h, e) && e->agent && e->network && e->agent == h->agent &&
			e->network == h->network &&
			(e->kind != EVENT_UNSUBSCRIBE || e->class == CLASS_SCANNER) && scanner_by_itself(e))
			return CLASS_SCANNER;
	return h->class;
}

static void naive_keep(const struct event *e)
{
	uint32_t block = e->sequence == EVENT_NO_SEQUENCE ? 0x80000000u | (uint32_t)(e->ms / 86400000)
							  : e->sequence / 256;
	struct rkey key = rkey_hits(partition_of(e->campaign, PARTITIONS), e->campaign, e->lane, block);
	uint64_t ms = e->ms - 1577836800000u;
	unsigned kind = e->place == PLACE_TOP    ? 3
			: e->place == PLACE_AMP  ? 4
			: e->kind == EVENT_OPEN  ? 0
			: e->kind == EVENT_CLICK ? 1
						 : 2;
	uint8_t p[17] = {(uint8_t)(e->sequence == EVENT_NO_SEQUENCE ? 0 : e->sequence % 256),
		(uint8_t)(kind * 16 + e->class)};

	for (int i = 0; i < 5; i++)
		p[2 + i] = (uint8_t)(ms >> 8 * i);
	put_le16(p + 7, e->kind == EVENT_CLICK ? e->link : 0);
	memcpy(p + 9, e->country, 2);
	put_le16(p + 11, e->agent);
	put_le32(p + 13, e->network);
	INT(SLICE("APPEND"), rkey_slice(&key), slice_of(p, sizeof p));
}

static void naive_bit(const struct event *e, enum fact f)
{
	struct rkey key = rkey_fact(partition_of(e->campaign, PARTITIONS), e->campaign, e->lane, f);

	if (e->sequence == EVENT_NO_SEQUENCE)
		return;
	INT(SLICE("SETBIT"), rkey_slice(&key), dec(e->sequence), SLICE("1"));
}

static void naive_column(const struct event *e, enum fact f, uint64_t value)
{
	struct rkey key = rkey_fact(partition_of(e->campaign, PARTITIONS), e->campaign, e->lane, f);
	uint64_t width = fact_bytes(f), at = e->sequence * width;
	struct rds_reply *rep;
	uint8_t old[8] = {0}, new[8];

	if (e->sequence == EVENT_NO_SEQUENCE)
		return;
	rep = ASK(SLICE("GETRANGE"), rkey_slice(&key), dec(at), dec(at + width - 1));
	memcpy(old, rds_text(rep).p, rds_text(rep).len);
	rds_reply_free(&rep);
	put_le64(new, value);
	if (value == 0 ||
		(get_le64(old) && (f == FACT_recipient || f == FACT_provider || get_le64(old) < value)))
		return;
	INT(SLICE("SETRANGE"), rkey_slice(&key), dec(at), slice_of(new, width));
}

static void naive_count(struct rkey key, slice field)
{
	INT(SLICE("HINCRBY"), rkey_slice(&key), field, SLICE("1"));
}

static void naive_time(struct rkey key, const char *field, uint64_t ms, bool least)
{
	struct rds_reply *rep = ASK(SLICE("HGET"), rkey_slice(&key), slice_str(field));
	uint64_t old = rds_kind(rep) == RDS_NIL ? 0 : (uint64_t)rds_int(rep);

	rds_reply_free(&rep);
	if (old == 0 || (least ? ms < old : ms > old))
		INT(SLICE("HSET"), rkey_slice(&key), slice_str(field), dec(ms));
}

static void naive(const struct event *event)
{
	struct event judged_event = *event, *e = &judged_event;
	unsigned p = partition_of(e->campaign, PARTITIONS);
	struct rkey head = rkey_campaign(p, e->campaign), all = rkey_campaigns(p);
	struct rkey lanes = rkey_campaign_lanes(p, e->campaign), queue = rkey_queue(e->queue_id);
	const char *counter = "";
	uint8_t identity[16];
	bool human;

	if (is_forgotten(e) && e->kind == EVENT_RECIPIENT)
		return;
	if (is_forgotten(e) && is_hit(e)) { /* it was there, and nothing more */
		INT(SLICE("SADD"), rkey_slice(&all), fmt("%016" PRIx64, e->campaign));
		INT(SLICE("SADD"), rkey_slice(&lanes), fmt("%08" PRIx32, e->lane));
		naive_time(head, "first_ms", e->ms, true);
		naive_time(head, "last_ms", e->ms, false);
		return;
	}
	if (e->kind == EVENT_RECIPIENT) {
		struct rkey own = rkey_recipients(p, e->campaign, e->lane);

		INT(SLICE("HSET"), rkey_slice(&own), fmt("%" PRIu32, e->sequence), e->name);
		return;
	}
	if (is_hit(event))
		naive_keep(event);
	e->class = is_hit(event) ? judged(event) : CLASS_NONE;
	human = e->class == CLASS_HUMAN;
	INT(SLICE("SADD"), rkey_slice(&all), fmt("%016" PRIx64, e->campaign));
	switch (e->kind) {
	case EVENT_CAMPAIGN:
		INT(SLICE("HSET"), rkey_slice(&head), SLICE("tenant"), e->tenant, SLICE("name"), e->name);
		return;
	case EVENT_SENT:
		naive_bit(e, FACT_sent);
		if (is_forgotten(e))
			naive_bit(e, FACT_forgotten);
		else
			naive_column(e, FACT_recipient, e->recipient);
		naive_column(e, FACT_provider, e->provider);
		naive_column(e, FACT_sent_s, e->ms / 1000);
		counter = "sent";
		put_le64(identity, e->campaign);
		put_le32(identity + 8, e->lane);
		put_le32(identity + 12, e->sequence);
		if (e->queue_id.len)
			rds_reply_free(&(struct rds_reply *){
				ASK(SLICE("SET"), rkey_slice(&queue), slice_of(identity, sizeof identity))});
		break;
	case EVENT_ACCEPTED:
		naive_bit(e, FACT_accepted);
		naive_column(e, FACT_accepted_s, e->ms / 1000);
		counter = "accepted";
		break;
	case EVENT_DEFERRED:
		naive_bit(e, FACT_deferred);
		counter = "deferred";
		break;
	case EVENT_BOUNCED:
		naive_bit(e, e->bounce == BOUNCE_HARD    ? FACT_bounced_hard
			     : e->bounce == BOUNCE_BLOCK ? FACT_bounced_block
							 : FACT_bounced_soft);
		counter = "bounced";
		break;
	case EVENT_OPEN:
		if (human || e->class == CLASS_PROXY)
			naive_column(e, FACT_opened_s, e->ms / 1000);
		naive_bit(e, human                        ? FACT_opened_human
			     : e->class == CLASS_PROXY    ? FACT_opened_proxy
			     : e->class == CLASS_PREFETCH ? FACT_opened_prefetch
							  : FACT_opened_machine);
		counter = human                        ? "open_human"
			  : e->class == CLASS_PROXY    ? "open_proxy"
			  : e->class == CLASS_PREFETCH ? "open_prefetch"
						       : "open_machine";
		break;
	case EVENT_CLICK:
		naive_bit(e, human ? FACT_clicked_human : FACT_clicked_machine);
		if (human)
			naive_column(e, FACT_clicked_s, e->ms / 1000);
		counter = human ? "click_human" : "click_machine";
		naive_count(rkey_links(p, e->campaign), fmt("%u:%s", e->link, human ? "human" : "machine"));
		break;
	case EVENT_UNSUBSCRIBE:
		naive_bit(e, FACT_unsubscribed);
		counter = "unsubscribe";
		break;
	case EVENT_RECIPIENT:
		break;
	}
	INT(SLICE("SADD"), rkey_slice(&lanes), fmt("%08" PRIx32, e->lane));
	naive_count(head, slice_str(counter));
	if (e->place != PLACE_MAIN)
		naive_count(head, slice_str(e->place == PLACE_TOP ? "open_top" : "click_amp"));
	naive_time(head, "first_ms", e->ms, true);
	naive_time(head, "last_ms", e->ms, false);
	naive_count(rkey_hours(p, e->campaign), fmt("%" PRIu64 ":%s", e->ms / 3600000, counter));
	if (e->country[0] &&
		(e->kind == EVENT_OPEN || e->kind == EVENT_CLICK || e->kind == EVENT_UNSUBSCRIBE)) {
		naive_count(
			rkey_places(p, e->campaign), fmt("%c%c:%s", e->country[0], e->country[1], counter));
	}
}

static int by_text(const void *a, const void *b)
{
	return slice_cmp(rds_text(*(struct rds_reply *const *)a), rds_text(*(struct rds_reply *const *)b));
}

/* Elements of a reply in order of their text; pairs stay together. */
static void put_sorted(struct buf *out, const struct rds_reply *rep, size_t step)
{
	size_t n = rds_len(rep) / step;
	const struct rds_reply **list = must_alloc(n * sizeof *list);
	const char *field;

	for (size_t i = 0; i < n; i++)
		list[i] = rds_at(rep, i * step);
	qsort(list, n, sizeof *list, by_text);
	for (size_t i = 0; i < n; i++) {
		field = "";
		for (size_t k = 0; step == 2 && k < n; k++)
			if (rds_at(rep, k * 2) == list[i])
				field = (const char *)rds_text(rds_at(rep, k * 2 + 1)).p;
		/* version counts transactions, which may differ; hits_forgotten those that came
		 * after the withdrawal; and what was counted and
		 * taken back is as good as never counted */
		if (slice_eq(rds_text(list[i]), SLICE("version")) || strcmp(field, "0") == 0 ||
			slice_eq(rds_text(list[i]), SLICE("hits_forgotten")))
			continue;
		buf_str(out, " ");
		buf_put(out, rds_text(list[i]));
		buf_printf(out, "=%s", field);
	}
	free(list);
}

static void put_bytes(struct buf *out, slice s)
{
	for (size_t k = 0; k < s.len; k++)
		if (s.p[k])
			buf_printf(out, " %zu:%02x", k, s.p[k]);
}

static int by_record(const void *a, const void *b)
{
	return memcmp(a, b, 17);
}

/* Kept hits, in no order. */
static void put_records(struct buf *out, slice s)
{
	uint8_t *copy = must_alloc(s.len);

	memcpy(copy, s.p, s.len);
	qsort(copy, s.len / 17, 17, by_record);
	for (size_t k = 0; k < s.len; k++)
		buf_printf(out, "%s%02x", k % 17 ? "" : " ", copy[k]);
	free(copy);
}

/* Everything a report is made from, as text. */
static void dump(struct buf *out)
{
	struct rds_reply *keys = ASK(SLICE("KEYS"), SLICE("lf:*"));
	size_t n = rds_len(keys);
	const struct rds_reply **list = must_alloc(n * sizeof *list);

	buf_clear(out);
	for (size_t i = 0; i < n; i++)
		list[i] = rds_at(keys, i);
	qsort(list, n, sizeof *list, by_text);
	for (size_t i = 0; i < n; i++) {
		slice key = rds_text(list[i]);
		struct rds_reply *type, *rep;
		size_t before, filled;
		slice t;

		if (slice_ends(key, SLICE(":fence")) || slice_ends(key, SLICE(":lease")) ||
			slice_ends(key, SLICE(":cursor")) || slice_ends(key, SLICE(":lanes")) ||
			slice_find(key, SLICE(":in:"), 0) != SLICE_NPOS || slice_eq(key, SLICE(RKEY_META)) ||
			slice_ends(key, SLICE(":rules")) || slice_ends(key, SLICE("}:forget")) ||
			slice_ends(key, SLICE("}:forgotten")))
			continue;
		type = ASK(SLICE("TYPE"), key);
		t = rds_text(type);
		before = out->len;
		buf_put(out, key);
		filled = out->len;
		if (slice_eq(t, SLICE("string"))) {
			rep = ASK(SLICE("GET"), key);
			if (slice_find(key, SLICE(":k:"), 0) != SLICE_NPOS)
				put_records(out, rds_text(rep));
			else
				put_bytes(out, rds_text(rep));
		} else if (slice_eq(t, SLICE("hash"))) {
			rep = ASK(SLICE("HGETALL"), key);
			put_sorted(out, rep, 2);
		} else {
			rep = ASK(SLICE("SMEMBERS"), key);
			put_sorted(out, rep, 1);
		}
		if (out->len == filled)
			out->len = before; /* nothing but zeros */
		else
			buf_byte(out, '\n');
		rds_reply_free(&rep);
		rds_reply_free(&type);
	}
	assert_false(out->full);
	free(list);
	rds_reply_free(&keys);
}

static struct buf want, got;

static void same_state(const char *row)
{
	size_t at = 0, line = 0;

	dump(&got);
	if (slice_eq(buf_slice(&want), buf_slice(&got)))
		return;
	while (at < want.len && at < got.len && want.p[at] == got.p[at]) {
		if (want.p[at] == '\n')
			line = at + 1;
		at++;
	}
	fail_msg("%s: state differs at\n%.*s\nwant\n%.*s", row,
		SLICE_FMT(slice_sub(buf_slice(&got), line, at + 60)),
		SLICE_FMT(slice_sub(buf_slice(&want), line, at + 60)));
}

/* ---- the fold ---- */

static void flush_all(void)
{
	rds_reply_free(&(struct rds_reply *){ASK(SLICE("SELECT"), SLICE("0"))});
	rds_reply_free(&(struct rds_reply *){ASK(SLICE("FLUSHDB"))});
}

static struct fold *start_with(unsigned batch, unsigned lease_ms, const struct verdict_rules *rules)
{
	struct fold_config cfg = {.redis = {.socket = server.socket, .timeout_ms = 20000},
		.partitions = PARTITIONS,
		.batch = batch,
		.lease_ms = lease_ms,
		.rules = rules};
	struct fold *f;

	must(fold_open(&f, &cfg) == 0);
	return f;
}

static struct fold *start(unsigned batch, unsigned lease_ms)
{
	return start_with(batch, lease_ms, NULL);
}

static int64_t all_of(struct fold *f)
{
	int64_t n, total = 0;

	while ((n = fold_turn(f)) > 0)
		total += n;
	return n < 0 ? n : total;
}

static void forget_leases(void)
{
	for (unsigned p = 0; p < PARTITIONS; p++) {
		struct rkey lease = rkey_lease(p);

		INT(SLICE("DEL"), rkey_slice(&lease));
	}
}

static int group_start(void **state)
{
	(void)state;
	log_open("fold_test", LOG_ERROR);
	test_redis_init(&server);
	test_redis_start(&server, false);
	connect_again();
	buf_init(&frame_bytes, 1 << 24);
	buf_init(&want, 1 << 24);
	buf_init(&got, 1 << 24);
	for (size_t i = 0; i < EVENTS; i++)
		make_event(&events[i]);
	make_frames();
	rds_reply_free(&(struct rds_reply *){ASK(SLICE("SELECT"), SLICE("1"))});
	for (size_t i = 0; i < EVENTS; i++)
		naive(&events[i]);
	dump(&want);
	rds_reply_free(&(struct rds_reply *){ASK(SLICE("SELECT"), SLICE("0"))});
	return 0;
}

static void want_without(bool (*of)(uint64_t));

static int group_end(void **state)
{
	(void)state;
	rds_close(&redis);
	test_redis_free(&server);
	buf_free(&frame_bytes);
	buf_free(&want);
	buf_free(&got);
	return 0;
}

/* What all events come to, when nobody withdrew. */
static int want_all(void **state)
{
	(void)state;
	want_without(NULL);
	return 0;
}

static void any_batch(void **state)
{
	static const unsigned batches[] = {1, 2, 7, 64, 100000};

	(void)state;
	for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
		struct fold *f = start(batches[i], 60000);

		flush_all();
		ship(0, frame_count);
		assert_int_equal(all_of(f), EVENTS);
		same_state("all at once");
		ship(0, frame_count); /* resent: Redis refuses the ids, or the cursor is past them */
		assert_int_equal(all_of(f), 0);
		same_state("resent");
		fold_close(&f);
		assert_null(f);
	}
}

static void any_interleaving(void **state)
{
	(void)state;
	for (int round = 0; round < 12; round++) {
		struct fold *f = start((unsigned)(1 + draw(20)), 60000);
		int64_t total = 0, n;
		size_t at = 0;

		flush_all();
		while (at < frame_count) {
			size_t next = at + 1 + draw(60);

			ship(at > 5 ? at - 5 : 0, next);
			at = next;
			for (uint64_t k = draw(4); k > 0; k--) {
				n = fold_turn(f);
				assert_true(n >= 0);
				total += n;
			}
			if (draw(4) == 0) { /* another fold goes on */
				fold_close(&f);
				f = start((unsigned)(1 + draw(200)), 60000);
			}
		}
		total += all_of(f);
		assert_int_equal(total, EVENTS);
		same_state("interleaved");
		fold_close(&f);
	}
}

/* Killed after any number of bytes sent, also in the middle of a command, of a
 * transaction, and between a commit and its answer. */
static void killed_anywhere(void **state)
{
	long total, step;
	int kills = 0;

	(void)state;
	flush_all();
	ship(0, frame_count);
	{
		struct fold *f = start(40, 60000);

		sent = 0;
		assert_int_equal(all_of(f), EVENTS);
		total = sent;
		fold_close(&f);
	}
	step = total / (getenv("LANDFALL_LONG") ? 1200 : 120) + 1;
	for (long b = 0; b < total; b += step + (long)draw(13)) {
		struct fold *f;
		int status;
		pid_t pid;

		flush_all();
		ship(0, frame_count);
		fflush(NULL);
		pid = fork();
		if (pid == 0) {
			budget = b;
			f = start(40, 60000);
			all_of(f);
			_exit(0);
		}
		must(waitpid(pid, &status, 0) == pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == KILLED)
			kills++;
		f = start((unsigned)(1 + draw(100)), 60000);
		/* its leases stand: nobody else may go on yet */
		if (b > total / 2)
			assert_int_equal(fold_turn(f), 0);
		forget_leases();
		assert_true(all_of(f) >= 0);
		same_state("killed");
		fold_close(&f);
	}
	printf("%d kills within %ld bytes sent\n", kills, total);
	assert_true(kills > 60);
}

/* Rules that re-label nothing, and later. */
static const struct verdict_rules no_rules = {.version = 1000};
static const struct verdict_rules new_rules = {
	.version = 1001, .burst_ms = 10000, .burst_links = 3, .swarm_ms = 2000, .swarm_agents = 3};

static void fold_by(const struct verdict_rules *rules, int64_t want_events)
{
	struct fold *f = start_with(50, 60000, rules);

	int64_t n = all_of(f);

	assert_true(want_events < 0 ? n >= 0 : n == want_events);
	fold_close(&f);
}

/* The state of each campaign against its hits: all agree, or not all do. */
static bool all_agree(const struct verdict_rules *rules, bool repair)
{
	bool agree = true;
	struct buf why;

	buf_init(&why, 4096);
	for (size_t i = 0; i < sizeof campaigns / sizeof *campaigns; i++) {
		unsigned p = partition_of(campaigns[i], PARTITIONS);
		struct rescore s;

		must(rescore_read(redis, p, campaigns[i], rules, &s, &why) == 0);
		assert_true(s.hits > 0 && s.messages > 0);
		if (!rescore_agrees(&s)) {
			agree = false;
			rescore_say(&s, &why);
			assert_true(why.len > 0);
		}
		for (size_t n = repair ? rescore_put(redis, p, campaigns[i], &s) : 0; n > 0; n--) {
			struct rds_reply *rep;

			must(rds_get(redis, &rep) == 0 && rds_kind(rep) != RDS_ERROR);
			rds_reply_free(&rep);
		}
		rescore_free(&s);
	}
	buf_free(&why);
	return agree;
}

static void other_rules_score_anew(void **state)
{
	struct fold *f;

	(void)state;
	flush_all();
	ship(0, frame_count / 2);
	ship(frame_count / 2, frame_count);
	fold_by(&no_rules, EVENTS);
	dump(&got);
	assert_false(slice_eq(buf_slice(&want), buf_slice(&got))); /* the rules do something */
	assert_true(all_agree(&no_rules, false));
	assert_false(all_agree(&new_rules, false));
	fold_by(&new_rules, 0);
	assert_true(all_agree(&new_rules, false));
	same_state("scored anew");
	assert_true(all_agree(&new_rules, false));
	/* in the middle of a campaign: half by the old rules, half by the new */
	flush_all();
	ship(0, frame_count / 2);
	f = start_with(50, 60000, &no_rules);
	assert_true(all_of(f) > 0);
	fold_close(&f);
	ship(frame_count / 2, frame_count);
	f = start_with(50, 60000, &new_rules);
	assert_true(all_of(f) > 0);
	fold_close(&f);
	same_state("scored anew in the middle");
}

/* Killed at any byte of it, the next one ends it. */
static void killed_while_scoring_anew(void **state)
{
	long total, step;
	int kills = 0;

	(void)state;
	for (long b = 0; b >= 0;) {
		struct fold *f;
		int status;
		pid_t pid;

		flush_all();
		ship(0, frame_count);
		fold_by(&no_rules, EVENTS);
		if (b == 0) {
			sent = 0;
			fold_by(&new_rules, 0);
			total = sent;
			step = total / 40 + 1;
			b = step;
			continue;
		}
		fflush(NULL);
		pid = fork();
		if (pid == 0) {
			budget = b;
			f = start_with(40, 60000, &new_rules);
			all_of(f);
			_exit(0);
		}
		must(waitpid(pid, &status, 0) == pid);
		assert_true(WIFEXITED(status));
		kills += WEXITSTATUS(status) == KILLED;
		forget_leases();
		fold_by(&new_rules, 0);
		same_state("killed while scoring anew");
		b = b + step < total ? b + step : -1;
	}
	assert_true(kills > 30);
}

/* Whatever of the state is changed by a stranger's hand is found, and made good. */
static void damage_is_found(void **state)
{
	static const char *const damage[][4] = {
		{"SETBIT", "lf:{p0}:f:0000000000001000:000000a0:opened_human", "1", "2"},
		{"SETBIT", "lf:{p0}:f:0000000000001000:000000a0:unsubscribed", "90000", "1"},
		{"SETRANGE", "lf:{p1}:f:0000000000002001:000000a1:clicked_s", "44", "\1"},
		{"HINCRBY", "lf:{p0}:c:0000000000001000", "open_human", "1"},
		{"HINCRBY", "lf:{p1}:h:0000000000002005", "498672:click_machine", "-1"},
		{"HINCRBY", "lf:{p2}:pl:fffffffffffffffe", "ZZ:open_proxy", "7"},
		{"HINCRBY", "lf:{p3}:ln:0000000000003003", "1:human", "1"},
	};

	(void)state;
	flush_all();
	ship(0, frame_count);
	fold_by(NULL, EVENTS);
	assert_true(all_agree(&verdict_rules, false));
	for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
		slice argv[4];

		for (int k = 0; k < 4; k++)
			argv[k] = slice_str(damage[i][k]);
		if (i == 0) /* whichever it is not now */
			argv[3] = dec(!INT(SLICE("GETBIT"), argv[1], argv[2]));
		ask_int(4, argv);
		if (all_agree(&verdict_rules, true))
			fail_msg("%s %s: not found", damage[i][0], damage[i][1]);
		assert_true(all_agree(&verdict_rules, false));
		same_state(damage[i][1]);
	}
	/* what hits do not make is not looked at */
	INT(SLICE("HINCRBY"), SLICE("lf:{p0}:c:0000000000001000"), SLICE("sent"), SLICE("1"));
	assert_true(all_agree(&verdict_rules, false));
}

/* ---- withdrawal ---- */

static void seal(
	struct buf *out, uint32_t lane, unsigned partition, uint64_t position, uint32_t count, slice body)
{
	size_t head;

	buf_clear(out);
	head = frame_begin(out, BASE, (uint16_t)partition);
	buf_put(out, body);
	frame_end(out, head, lane, position, 0, count);
}

static bool every_third(uint64_t recipient)
{
	return recipient % 3 == 0;
}

/* What the naive writer makes when these withdrew before anything was sent on. */
static void want_without(bool (*of)(uint64_t))
{
	withdrew = of;
	rds_reply_free(&(struct rds_reply *){ASK(SLICE("SELECT"), SLICE("1"))});
	rds_reply_free(&(struct rds_reply *){ASK(SLICE("FLUSHDB"))});
	for (size_t i = 0; i < EVENTS; i++)
		naive(&events[i]);
	dump(&want);
	rds_reply_free(&(struct rds_reply *){ASK(SLICE("SELECT"), SLICE("0"))});
	withdrew = NULL;
}

static void ask_to_forget(uint64_t recipient, uint64_t ms, const char *tenant)
{
	const struct tombstone t = {recipient, ms, slice_str(tenant)};
	struct buf text;

	buf_init(&text, 256);
	tombstone_encode(&t, &text);
	for (unsigned p = 0; p < PARTITIONS; p++) {
		struct rkey key = rkey_forget(p);

		INT(SLICE("SADD"), rkey_slice(&key), buf_slice(&text));
	}
	buf_free(&text);
}

static void ask_to_forget_all(void)
{
	for (const struct event *e = events; e < events + EVENTS; e++)
		if (e->kind == EVENT_SENT && every_third(e->recipient))
			ask_to_forget(e->recipient, BASE + 4 * 3600000, "");
}

static bool holds(const struct rds_reply *rep, slice bytes)
{
	if (slice_find(rds_text(rep), bytes, 0) != SLICE_NPOS)
		return true;
	for (size_t i = 0; i < rds_len(rep); i++)
		if (holds(rds_at(rep, i), bytes))
			return true;
	return false;
}

/* The key that holds these bytes, the tombstones apart; empty: none. */
static slice found_in(slice bytes)
{
	struct rds_reply *keys = ASK(SLICE("KEYS"), SLICE("*")), *type, *rep;
	slice in = SLICE_NONE;

	for (size_t i = 0; i < rds_len(keys) && !in.len; i++) {
		slice key = rds_text(rds_at(keys, i));

		if (slice_ends(key, SLICE("}:forgotten")))
			continue;
		type = ASK(SLICE("TYPE"), key);
		rep = slice_eq(rds_text(type), SLICE("string")) ? ASK(SLICE("GET"), key)
		      : slice_eq(rds_text(type), SLICE("hash")) ? ASK(SLICE("HGETALL"), key)
		      : slice_eq(rds_text(type), SLICE("set"))
			      ? ASK(SLICE("SMEMBERS"), key)
			      : ASK(SLICE("XRANGE"), key, SLICE("-"), SLICE("+"));
		if (holds(rep, bytes))
			in = fmt("%.*s", SLICE_FMT(key));
		rds_reply_free(&rep);
		rds_reply_free(&type);
	}
	rds_reply_free(&keys);
	return in;
}

static void forgotten_at_any_time(void **state)
{
	(void)state;
	want_without(every_third);
	for (int round = 0; round < 5; round++) {
		size_t until = round == 0 ? frame_count : round == 1 ? 0 : draw(frame_count);
		struct fold *f = start((unsigned)(1 + draw(200)), 60000);

		flush_all();
		ship(0, until);
		assert_true(all_of(f) >= 0);
		if (draw(2)) { /* by one that has none of it in memory */
			fold_close(&f);
			f = start((unsigned)(1 + draw(200)), 60000);
		}
		ask_to_forget_all();
		assert_true(all_of(f) >= 0);
		for (size_t at = until; at < frame_count; at += 50) {
			ship(at, at + 50);
			assert_true(all_of(f) >= 0);
		}
		assert_true(fold_turn(f) >= 0);
		same_state("forgotten");
		assert_true(all_agree(&verdict_rules, false));
		for (const struct event *e = events; e < events + EVENTS; e++) {
			uint8_t bytes[8];

			if (e->kind != EVENT_SENT || !every_third(e->recipient) || (e - events) % 29)
				continue;
			put_le64(bytes, e->recipient);
			if (found_in(slice_of(bytes, 8)).len)
				fail_msg("round %d: %.*s holds the hash of %" PRIx64 ":%" PRIu32, round,
					SLICE_FMT(found_in(slice_of(bytes, 8))), e->campaign, e->sequence);
			if (found_in(fmt("%016" PRIx64, e->recipient)).len)
				fail_msg("round %d: a hash as text is left in %.*s", round,
					SLICE_FMT(found_in(fmt("%016" PRIx64, e->recipient))));
		}
		fold_close(&f);
	}
}

static void killed_while_forgetting(void **state)
{
	long total = 0, step = 0;
	int kills = 0;

	(void)state;
	want_without(every_third);
	for (long b = 0; b >= 0;) {
		struct fold *f;
		int status;
		pid_t pid;

		flush_all();
		ship(0, frame_count / 2);
		fold_by(NULL, -1);
		ask_to_forget_all();
		ship(frame_count / 2, frame_count);
		fflush(NULL);
		if (b == 0) {
			sent = 0;
			fold_by(NULL, -1);
			total = sent;
			step = total / (getenv("LANDFALL_LONG") ? 200 : 16) + 1;
			b = step;
			continue;
		}
		pid = fork();
		if (pid == 0) {
			budget = b;
			f = start(40, 60000);
			all_of(f);
			_exit(0);
		}
		must(waitpid(pid, &status, 0) == pid);
		assert_true(WIFEXITED(status));
		kills += WEXITSTATUS(status) == KILLED;
		forget_leases();
		fold_by(NULL, -1);
		same_state("killed while forgetting");
		b = b + step < total ? b + step : -1;
	}
	assert_true(kills > 10);
}

/* One mail before the withdrawal and one after it; the other tenant's. */
static void what_a_tombstone_means(void **state)
{
	static const struct {
		const char *name;
		uint64_t ms;
		const char *tenant;
		bool before, after; /* forgotten? */
	} rows[] = {
		{"both were sent before", BASE + 20000, "", true, true},
		{"one was", BASE + 5000, "", true, false},
		{"the same second", BASE + 999, "", true, false},
		{"this tenant's", BASE + 20000, "shop", true, true},
		{"another tenant's", BASE + 20000, "other", false, false},
		{"none was", BASE - 1000, "", false, false},
	};
	struct event e[] = {{.kind = EVENT_CAMPAIGN, .tenant = SLICE("shop"), .name = SLICE("june")},
		{.kind = EVENT_SENT, .ms = BASE + 500, .sequence = 1, .recipient = 77},
		{.kind = EVENT_SENT, .ms = BASE + 10000, .sequence = 2, .recipient = 77},
		{.kind = EVENT_OPEN, .class = CLASS_HUMAN, .ms = BASE + 11000, .sequence = 1},
		{.kind = EVENT_OPEN, .class = CLASS_HUMAN, .ms = BASE + 12000, .sequence = 2}};
	struct rkey head = rkey_campaign(0, 0x1000), opened = rkey_fact(0, 0x1000, 0xa0, FACT_opened_human);
	struct rkey asked = rkey_forget(0), kept = rkey_forgotten(0);
	struct buf body, out;

	(void)state;
	buf_init(&body, 4096);
	buf_init(&out, 4096);
	for (size_t i = 0; i < sizeof e / sizeof *e; i++) {
		e[i].campaign = 0x1000;
		e[i].lane = 0xa0;
		event_encode(&e[i], BASE, &body);
	}
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t sum = !rows[i].before + !rows[i].after;
		struct fold *f = start(10, 60000);
		slice text = fmt(
			"%016x %" PRIu64 "%s%s", 77, rows[i].ms, *rows[i].tenant ? " " : "", rows[i].tenant);

		flush_all();
		seal(&out, 1, 0, 64, 5, buf_slice(&body));
		add_entry(0, 1, "64-0", buf_slice(&out));
		assert_int_equal(all_of(f), 5);
		ask_to_forget(77, rows[i].ms, rows[i].tenant);
		assert_int_equal(all_of(f), 0);
		if (INT(SLICE("HGET"), rkey_slice(&head), SLICE("open_human")) != sum ||
			INT(SLICE("GETBIT"), rkey_slice(&opened), SLICE("1")) != !rows[i].before ||
			INT(SLICE("GETBIT"), rkey_slice(&opened), SLICE("2")) != !rows[i].after)
			fail_msg("%s: not so", rows[i].name);
		assert_int_equal(INT(SLICE("EXISTS"), rkey_slice(&asked)), 0);
		assert_int_equal(INT(SLICE("HGET"), rkey_slice(&kept), text), 2 - sum);
		/* and again: a hit of a forgotten message is refused, by another fold too */
		fold_close(&f);
		f = start(10, 60000);
		seal(&out, 1, 0, 65, 5, buf_slice(&body));
		add_entry(0, 1, "65-0", buf_slice(&out));
		assert_int_equal(all_of(f), 5);
		assert_int_equal(INT(SLICE("HGET"), rkey_slice(&head), SLICE("open_human")), 2 * sum);
		assert_int_equal(INT(SLICE("HGET"), rkey_slice(&head), SLICE("hits_forgotten")), 2 - sum);
		assert_int_equal(INT(SLICE("HGET"), rkey_slice(&head), SLICE("sent")), 4);
		fold_close(&f);
	}
	/* what is no tombstone hurts nobody */
	INT(SLICE("SADD"), rkey_slice(&asked), SLICE("0000000000000000 5"), SLICE("x"), SLICE("77 5"));
	fold_by(NULL, 0);
	assert_int_equal(INT(SLICE("EXISTS"), rkey_slice(&asked)), 0);
	buf_free(&body);
	buf_free(&out);
}

static void old_tombstones_go(void **state)
{
	struct fold_config cfg = {.redis = {.socket = server.socket, .timeout_ms = 20000},
		.partitions = PARTITIONS,
		.batch = 10,
		.lease_ms = 60000,
		.keep_tombstones_ms = 86400000};
	struct rkey kept = rkey_forgotten(0);
	struct fold *f;

	(void)state;
	flush_all();
	ask_to_forget(77, clock_ms() - 2 * cfg.keep_tombstones_ms, "");
	ask_to_forget(78, clock_ms() - cfg.keep_tombstones_ms / 2, "");
	fold_by(NULL, 0); /* which keeps them for ever */
	assert_int_equal(INT(SLICE("HLEN"), rkey_slice(&kept)), 2);
	fold_by(NULL, 0);
	assert_int_equal(INT(SLICE("HLEN"), rkey_slice(&kept)), 2);
	assert_int_equal(fold_open(&f, &cfg), 0);
	assert_int_equal(all_of(f), 0);
	assert_int_equal(INT(SLICE("HLEN"), rkey_slice(&kept)), 1);
	fold_close(&f);
}

static void one_owner(void **state)
{
	struct fold *a = start(10, 60000), *b = start(10, 60000);
	int64_t conflicts = metric_get(METRIC_fold_conflicts);

	(void)state;
	flush_all();
	ship(0, frame_count / 2);
	assert_true(fold_turn(a) > 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(fold_turn(b), 0);
	/* a is silent for too long; b takes over; a must not write any more */
	forget_leases();
	assert_true(fold_turn(b) > 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(fold_turn(a), 0);
	assert_int_equal(metric_get(METRIC_fold_conflicts) - conflicts, PARTITIONS);
	ship(frame_count / 2, frame_count);
	assert_int_equal(fold_turn(a), 0);
	assert_true(all_of(b) > 0);
	same_state("taken over");
	/* given back, the other one may */
	fold_close(&b);
	assert_int_equal(fold_turn(a), 0);
	for (unsigned p = 0; p < PARTITIONS; p++) {
		struct rkey lease = rkey_lease(p);

		assert_int_equal(INT(SLICE("EXISTS"), rkey_slice(&lease)), 1);
	}
	fold_close(&a);
	for (unsigned p = 0; p < PARTITIONS; p++) {
		struct rkey lease = rkey_lease(p);

		assert_int_equal(INT(SLICE("EXISTS"), rkey_slice(&lease)), 0);
	}
}

static struct fold *usurper;

static void take_over(void)
{
	forget_leases();
	assert_true(fold_turn(usurper) > 0);
}

/* An owner stopped between looking at the fence and EXEC, for as long as it
 * takes another one to take over and commit. */
static void paused_owner(void **state)
{
	struct fold *a = start(10, 60000);
	int64_t conflicts = metric_get(METRIC_fold_conflicts);

	(void)state;
	flush_all();
	ship(0, 8);
	assert_true(all_of(a) > 0);
	usurper = start(1000, 60000);
	ship(8, frame_count);
	before_multi = take_over;
	assert_int_equal(fold_turn(a), 0);
	assert_null(before_multi);
	assert_int_equal(metric_get(METRIC_fold_conflicts) - conflicts, PARTITIONS);
	assert_true(all_of(usurper) >= 0);
	assert_int_equal(fold_turn(a), 0);
	same_state("paused");
	fold_close(&a);
	fold_close(&usurper);
}

static void take_all(void)
{
	assert_true(fold_turn(usurper) > 0);
}

/* Two start at once; the second takes everything while the first one is taking
 * its first partition. */
static void race_for_leases(void **state)
{
	struct fold *a = start(10, 60000);
	int64_t conflicts = metric_get(METRIC_fold_conflicts);

	(void)state;
	flush_all();
	ship(0, frame_count);
	usurper = start(10, 60000);
	before_multi = take_all;
	assert_int_equal(fold_turn(a), 0);
	assert_null(before_multi);
	assert_true(all_of(usurper) > 0);
	assert_int_equal(metric_get(METRIC_fold_conflicts), conflicts); /* nothing was taken from anybody */
	same_state("raced");
	fold_close(&a);
	fold_close(&usurper);
}

static void lease_is_kept(void **state)
{
	struct fold *f = start(10, 3000);
	struct rkey lease = rkey_lease(0);
	uint64_t deadline = clock_mono_ms() + 20000;
	int64_t before, after, looked, waited;

	(void)state;
	flush_all();
	assert_int_equal(fold_turn(f), 0);
	after = INT(SLICE("PTTL"), rkey_slice(&lease));
	assert_true(after > 0 && after <= 3000);
	do {
		before = after;
		looked = (int64_t)clock_mono_ms();
		assert_int_equal(fold_turn(f), 0);
		waited = (int64_t)clock_mono_ms() - looked; /* a busy machine may stand still here */
		after = INT(SLICE("PTTL"), rkey_slice(&lease));
		assert_true(clock_mono_ms() < deadline);
	} while (after <= before + 500); /* Redis' own clock may go back by a millisecond */
	if (before - waited > 2030)
		fail_msg(
			"renewed with %" PRId64 " of 3000 ms left, before a third was over", before - waited);
	fold_close(&f);
}

static void strange_entries(void **state)
{
	const struct event good = {
		.kind = EVENT_DEFERRED, .ms = BASE, .campaign = 0x1000, .lane = 0xa0, .sequence = 1};
	struct event bad = good;
	struct rkey stream = rkey_stream(0, 0xc0de), cursor = rkey_cursor(0), head = rkey_campaign(0, 0x1000);
	int64_t frames_refused = metric_get(METRIC_frames_refused),
		refused = metric_get(METRIC_events_refused);
	struct fold *f = start(3, 60000);
	struct buf body, out;

	(void)state;
	flush_all();
	buf_init(&body, 4096);
	buf_init(&out, 4096);
	event_encode(&good, BASE, &body);
	add_entry(0, 0xc0de, "100-0", SLICE("no frame"));
	add_entry(0, 0xc0de, "101-0", SLICE(""));
	seal(&out, 0xbad, 0, 102, 1, buf_slice(&body));
	add_entry(0, 0xc0de, "102-0", buf_slice(&out)); /* another lane's */
	seal(&out, 0xc0de, 1, 103, 1, buf_slice(&body));
	add_entry(0, 0xc0de, "103-0", buf_slice(&out)); /* another partition's */
	seal(&out, 0xc0de, 0, 105, 1, buf_slice(&body));
	add_entry(0, 0xc0de, "104-0", buf_slice(&out)); /* another place's */
	seal(&out, 0xc0de, 0, 105, 1, buf_slice(&body));
	add_entry(0, 0xc0de, "105-1", buf_slice(&out)); /* not our kind of id */
	seal(&out, 0xc0de, 0, 106, 2, buf_slice(&body));
	add_entry(0, 0xc0de, "106-0", buf_slice(&out)); /* one event, not two */
	seal(&out, 0xc0de, 0, 107, 2, SLICE("\x06\x01\x02"));
	add_entry(0, 0xc0de, "107-0", buf_slice(&out)); /* no event */
	seal(&out, 0xc0de, 0, 108, 1, buf_slice(&body));
	buf_byte(&out, 0);
	add_entry(0, 0xc0de, "108-0", buf_slice(&out)); /* a byte behind it */
	rds_reply_free(&(struct rds_reply *){
		ASK(SLICE("XADD"), rkey_slice(&stream), SLICE("109-0"), SLICE("g"), buf_slice(&out))});
	rds_reply_free(&(struct rds_reply *){ASK(SLICE("XADD"), rkey_slice(&stream), SLICE("110-0"),
		SLICE("f"), buf_slice(&out), SLICE("f"), buf_slice(&out))});
	assert_int_equal(all_of(f), 11);
	assert_int_equal(metric_get(METRIC_frames_refused) - frames_refused, 11);
	assert_int_equal(INT(SLICE("HGET"), rkey_slice(&cursor), SLICE("0000c0de")), 110);
	assert_int_equal(INT(SLICE("EXISTS"), rkey_slice(&head)), 0);

	/* events that cannot be applied are left out of a frame that is good */
	bad.sequence = STATE_MAX_SEQUENCE;
	event_encode(&bad, BASE, &body);
	bad.sequence = 1;
	bad.campaign = 0x1001; /* at home in partition 1 */
	event_encode(&bad, BASE, &body);
	buf_put(&body, SLICE("\x63\x0e\0\x00\x10\0\0\0\0\0\0\xa0\0\0\0\x01")); /* a kind of a later version */
	event_encode(&good, BASE, &body);
	seal(&out, 0xc0de, 0, 111, 5, buf_slice(&body));
	add_entry(0, 0xc0de, "111-0", buf_slice(&out));
	assert_int_equal(all_of(f), 5);
	assert_int_equal(metric_get(METRIC_events_refused) - refused, 3);
	assert_int_equal(INT(SLICE("HGET"), rkey_slice(&head), SLICE("deferred")), 2);
	head = rkey_campaign(0, 0x1001);
	assert_int_equal(INT(SLICE("EXISTS"), rkey_slice(&head)), 0);
	buf_free(&body);
	buf_free(&out);
	fold_close(&f);
}

static void queue_ids(void **state)
{
	struct event e = {.kind = EVENT_SENT,
		.ms = BASE,
		.campaign = 0x1000,
		.lane = 0xa0,
		.sequence = 7,
		.queue_id = SLICE("4AbCdE")};
	struct fold *f = start(10, 60000);
	struct rds_reply *rep;
	struct buf body, out;

	(void)state;
	flush_all();
	buf_init(&body, 4096);
	buf_init(&out, 4096);
	event_encode(&e, BASE, &body);
	seal(&out, 1, 0, 64, 1, buf_slice(&body));
	add_entry(0, 1, "64-0", buf_slice(&out));
	assert_int_equal(all_of(f), 1);
	rep = ASK(SLICE("GET"), SLICE("lf:q:4AbCdE"));
	test_slices_equal("identity", rds_text(rep), SLICE("\x00\x10\0\0\0\0\0\0\xa0\0\0\0\x07\0\0\0"));
	rds_reply_free(&rep);
	assert_true(INT(SLICE("TTL"), SLICE("lf:q:4AbCdE")) > 5 * 86400 - 600);
	assert_true(INT(SLICE("TTL"), SLICE("lf:q:4AbCdE")) <= 5 * 86400);
	buf_free(&body);
	buf_free(&out);
	fold_close(&f);
}

static void another_store(void **state)
{
	struct fold *f = start(10, 60000), *other;
	struct fold_config cfg = {.redis = {.socket = server.socket, .timeout_ms = 20000},
		.partitions = 2 * PARTITIONS,
		.batch = 1,
		.lease_ms = 60000};

	(void)state;
	flush_all();
	assert_int_equal(fold_turn(f), 0);
	assert_int_equal(INT(SLICE("HGET"), SLICE("lf:meta"), SLICE("partitions")), PARTITIONS);
	assert_int_equal(INT(SLICE("HGET"), SLICE("lf:meta"), SLICE("format")), 1);
	assert_int_equal(fold_open(&other, &cfg), 0);
	assert_int_equal(fold_turn(other), -EINVAL);
	assert_int_equal(fold_turn(other), -EINVAL);
	fold_close(&other);
	cfg.partitions = 0;
	assert_int_equal(fold_open(&other, &cfg), -EINVAL);
	assert_null(other);
	fold_close(&f);
}

static void config(const char *name, const char *value)
{
	rds_reply_free(
		&(struct rds_reply *){ASK(SLICE("CONFIG"), SLICE("SET"), slice_str(name), slice_str(value))});
}

/* Redis refuses: nothing is half done, and all is done when it no longer does. */
static void refusals_of_redis(void **state)
{
	struct fold *f = start(20, 60000);

	(void)state;
	test_redis_kill(&server);
	test_redis_start(&server, true);
	connect_again();
	ship(0, frame_count / 4);
	assert_true(fold_turn(f) > 0);
	ship(frame_count / 4, frame_count / 2);
	config("maxmemory", "1");
	for (int i = 0; i < 3; i++)
		assert_int_equal(fold_turn(f), -ENOMEM);
	config("maxmemory", "0");
	assert_true(fold_turn(f) > 0);
	ship(frame_count / 2, frame_count * 3 / 4);
	rds_reply_free(&(struct rds_reply *){ASK(SLICE("REPLICAOF"), SLICE("127.0.0.1"), SLICE("1"))});
	for (int i = 0; i < 3; i++)
		assert_int_equal(fold_turn(f), -EROFS);
	rds_reply_free(&(struct rds_reply *){ASK(SLICE("REPLICAOF"), SLICE("NO"), SLICE("ONE"))});
	assert_true(fold_turn(f) > 0);
	ship(frame_count * 3 / 4, frame_count);
	test_redis_kill(&server);
	for (int i = 0; i < 3; i++)
		assert_true(fold_turn(f) < 0);
	test_redis_start(&server, true);
	connect_again();
	assert_true(all_of(f) > 0);
	same_state("after refusals");
	fold_close(&f);
}

/* A key of another type under a name of ours stops the partition before
 * anything is written, and not the others. */
static void foreign_key(void **state)
{
	static const char *keys[] = {"lf:{p0}:h:0000000000001000", "lf:{p0}:c:0000000000001000",
		"lf:{p0}:f:0000000000001000:000000a0:deferred", "lf:{p0}:cl:0000000000001000"};
	const struct event e = {
		.kind = EVENT_DEFERRED, .ms = BASE, .campaign = 0x1000, .lane = 0xa0, .sequence = 1};
	struct buf body, out;

	(void)state;
	buf_init(&body, 4096);
	buf_init(&out, 4096);
	event_encode(&e, BASE, &body);
	seal(&out, 1, 0, 64, 1, buf_slice(&body));
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct fold *f = start(20, 60000);

		flush_all();
		add_entry(0, 1, "64-0", buf_slice(&out));
		INT(SLICE("RPUSH"), slice_str(keys[i]), SLICE("x"));
		assert_int_equal(fold_turn(f), -EPROTO);
		assert_int_equal(
			INT(SLICE("EXISTS"), SLICE("lf:{p0}:cursor"), SLICE("lf:{p0}:campaigns")), 0);
		INT(SLICE("DEL"), slice_str(keys[i]));
		assert_int_equal(all_of(f), 1);
		assert_int_equal(
			INT(SLICE("HGET"), SLICE("lf:{p0}:c:0000000000001000"), SLICE("deferred")), 1);
		fold_close(&f);
	}
	buf_free(&body);
	buf_free(&out);
}

/* Redis came back empty, and the journals fill it again while the fold lives. */
static void emptied_redis(void **state)
{
	struct fold *f = start(20, 60000);

	(void)state;
	flush_all();
	ship(0, frame_count);
	assert_int_equal(all_of(f), EVENTS);
	flush_all();
	ship(0, frame_count);
	all_of(f);
	assert_true(all_of(f) >= 0);
	same_state("filled again");
	fold_close(&f);
}

static void streams_are_trimmed(void **state)
{
	const struct event e = {
		.kind = EVENT_DEFERRED, .ms = BASE, .campaign = 0x1000, .lane = 0xa0, .sequence = 1};
	struct fold *f = start(50, 60000);
	struct buf body, out;

	(void)state;
	flush_all();
	buf_init(&body, 4096);
	buf_init(&out, 4096);
	event_encode(&e, BASE, &body);
	for (uint64_t i = 1; i <= 1000; i++) {
		char id[32];

		seal(&out, 1, 0, i, 1, buf_slice(&body));
		snprintf(id, sizeof id, "%" PRIu64 "-0", i);
		add_entry(0, 1, id, buf_slice(&out));
	}
	assert_int_equal(all_of(f), 1000);
	assert_true(INT(SLICE("XLEN"), SLICE("lf:{p0}:in:00000001")) < 200);
	assert_true(INT(SLICE("XLEN"), SLICE("lf:{p0}:in:00000001")) > 0);
	assert_int_equal(INT(SLICE("HGET"), SLICE("lf:{p0}:c:0000000000001000"), SLICE("deferred")), 1000);
	buf_free(&body);
	buf_free(&out);
	fold_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_batch),
		cmocka_unit_test(any_interleaving),
		cmocka_unit_test(killed_anywhere),
		cmocka_unit_test(other_rules_score_anew),
		cmocka_unit_test(killed_while_scoring_anew),
		cmocka_unit_test(damage_is_found),
		cmocka_unit_test(forgotten_at_any_time),
		cmocka_unit_test(killed_while_forgetting),
		cmocka_unit_test(what_a_tombstone_means),
		cmocka_unit_test(old_tombstones_go),
		cmocka_unit_test_setup(one_owner, want_all),
		cmocka_unit_test(paused_owner),
		cmocka_unit_test(race_for_leases),
		cmocka_unit_test(lease_is_kept),
		cmocka_unit_test(strange_entries),
		cmocka_unit_test(queue_ids),
		cmocka_unit_test(another_store),
		cmocka_unit_test(refusals_of_redis),
		cmocka_unit_test(foreign_key),
		cmocka_unit_test(emptied_redis),
		cmocka_unit_test(streams_are_trimmed),
	};

	return cmocka_run_group_tests(tests, group_start, group_end);
}
