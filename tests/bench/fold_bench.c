/* What the fold costs: events packed, unpacked and applied to state, and with a
 * Redis folded from streams: CPU of the fold and of Redis by event, and the bytes
 * that Redis holds by message and by kept hit.
 *
 *	fold_bench [MESSAGES [SOCKET]]
 *
 * Without a socket it starts a Redis of its own (append-only file, synced every
 * second); one that is named is emptied! */
#include "collector/fold.h"
#include "core/base/must.h"
#include "core/io/log.h"
#include "core/model/event.h"
#include "core/model/frame.h"
#include "core/model/kept.h"
#include "core/model/rkey.h"
#include "core/model/state.h"
#include "core/parse/num.h"
#include "tests/redis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define BASE UINT64_C(1795219200000)
#define FRAME_EVENTS 256
#define CAMPAIGN 0x1000
#define RATE 1000 /* messages a second */

struct flow {
	struct event *event; /* owned */
	size_t count, hits;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* What this thread has used. */
static double cpu(void)
{
	struct rusage u;

	must(getrusage(RUSAGE_THREAD, &u) == 0);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static uint64_t draw(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* 0 <= share < 1 */
static double share(void)
{
	return (double)(draw() >> 11) * 0x1p-53;
}

static void add(struct flow *f, struct event e)
{
	e.campaign = CAMPAIGN;
	e.lane = 1;
	f->event[f->count++] = e;
	f->hits += kept_takes(&e);
}

static struct event sent(uint32_t i)
{
	return (struct event){.kind = EVENT_SENT,
		.ms = BASE + i * 1000ull / RATE,
		.sequence = i,
		.recipient = i * 0x9e3779b97f4a7c15u + 1,
		.provider = (uint8_t)(i % 20)};
}

static struct event accepted(uint32_t i, uint64_t ms)
{
	return (struct event){
		.kind = EVENT_ACCEPTED, .ms = ms, .sequence = i, .reply = 250, .status = 2u << 20};
}

static struct event hit(enum event_kind kind, uint32_t i, uint64_t ms, enum hit_class class)
{
	return (struct event){.kind = kind,
		.ms = ms,
		.sequence = i,
		.class = class,
		.link = kind == EVENT_CLICK ? (uint16_t)(draw() % 12) : 0,
		.country = {'D', 'E'},
		.agent = (uint16_t)(1 + draw() % 40),
		.network = (uint32_t)(i * 2654435761u)};
}

/* A campaign that goes out. */
static void out(struct flow *f, uint32_t messages)
{
	for (uint32_t i = 0; i < messages; i++)
		add(f, sent(i));
}

/* A delay of that median, with a long tail: half within a factor of two. */
static uint64_t decay(double median_ms)
{
	double normal = sqrt(-2 * log(1 - share())) * cos(6.283185307179586 * share());

	return (uint64_t)(median_ms * exp(normal));
}

static int by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->ms != y->ms)
		return x->ms < y->ms ? -1 : 1;
	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

/* A campaign that goes out and comes back, as time has it: 97 % are accepted
 * within seconds, 15 % prefetched within a minute or so, 30 % opened (a third of
 * these again) and 4 % clicked, half of them within the first hour. */
static void campaign(struct flow *f, uint32_t messages)
{
	for (uint32_t i = 0; i < messages; i++) {
		struct event s = sent(i);
		uint64_t at = s.ms + 500 + decay(2000), opened = at + decay(3600e3);
		double kind = share();

		add(f, s);
		if (share() < 0.03)
			continue;
		add(f, accepted(i, at));
		if (kind < 0.15)
			add(f, hit(EVENT_OPEN, i, at + decay(30e3), CLASS_PREFETCH));
		else if (kind < 0.45)
			add(f, hit(EVENT_OPEN, i, opened, kind < 0.25 ? CLASS_PROXY : CLASS_HUMAN));
		if (kind >= 0.15 && kind < 0.25)
			add(f, hit(EVENT_OPEN, i, opened + decay(86400e3), CLASS_PROXY));
		if (kind >= 0.41 && kind < 0.45)
			add(f, hit(EVENT_CLICK, i, opened + decay(20e3), CLASS_HUMAN));
	}
	qsort(f->event, f->count, sizeof *f->event, by_time);
}

/* The worst that can come back: accepted in order, and as many opens and clicks
 * anywhere. */
static void scattered(struct flow *f, uint32_t messages)
{
	for (uint32_t i = 0; i < messages; i++) {
		uint64_t ms = BASE + i / 10;

		if (i % 2 == 0)
			add(f, accepted(i, ms));
		else
			add(f, hit(i % 8 == 1 ? EVENT_CLICK : EVENT_OPEN, (uint32_t)(draw() % messages), ms,
				       CLASS_HUMAN));
	}
}

static double ns(double seconds, size_t events)
{
	return seconds * 1e9 / (double)events;
}

static void pack(const struct flow *flow, struct buf *to)
{
	double t = cpu();

	for (size_t i = 0; i < flow->count;) {
		uint64_t base = flow->event[i].ms, position = to->len + 64;
		size_t head = frame_begin(to, base, 0);
		uint32_t n = 0;

		for (; n < FRAME_EVENTS && i < flow->count; n++, i++)
			event_encode(&flow->event[i], base, to);
		frame_end(to, head, 0xc0de, position, 0, n);
	}
	must(!to->full);
	t = cpu() - t;
	printf("  pack     %6.1f ns an event, %4.1f bytes\n", ns(t, flow->count),
		(double)to->len / (double)flow->count);
}

static void unpack(slice in, size_t events)
{
	double t = cpu();
	uint64_t sum = 0;
	struct frame f;

	for (slice rest = in; frame_decode(rest, &f) == 1; rest = slice_from(rest, f.size)) {
		struct event e;
		slice body = f.body;
		int n;

		while ((n = event_decode(body, f.base_ms, &e)) > 0) {
			sum += e.sequence;
			body = slice_from(body, (size_t)n);
		}
	}
	must(sum);
	printf("  unpack   %6.1f ns\n", ns(cpu() - t, events));
}

/* To state alone, with nothing to read or write. */
static void apply(slice in, size_t events)
{
	struct state s;
	struct frame f;
	unsigned frames = 0;
	double t = cpu();

	state_init(&s);
	for (slice rest = in; frame_decode(rest, &f) == 1; rest = slice_from(rest, f.size)) {
		for (int pass = 0; pass < 2; pass++) {
			struct event e;
			slice body = f.body;
			int n;

			while ((n = event_decode(body, f.base_ms, &e)) > 0) {
				if (pass == 0)
					state_touch(&s, &e);
				else
					state_apply(&s, &e);
				body = slice_from(body, (size_t)n);
			}
			for (size_t i = 0; pass == 0 && i < s.wanted_page_count; i++)
				if (!s.wanted_pages[i]->loaded)
					state_page_load(s.wanted_pages[i], SLICE_NONE);
			for (size_t i = 0; pass == 0 && i < s.wanted_campaign_count; i++)
				if (!s.wanted_campaigns[i]->loaded)
					state_campaign_load(s.wanted_campaigns[i], 0, 0);
		}
		if (++frames % 20 == 0)
			state_committed(&s, 64u << 20);
	}
	printf("  apply    %6.1f ns\n", ns(cpu() - t, events));
	state_free(&s);
}

static void ask(struct rds *r, int argc, const slice *argv)
{
	struct rds_reply *rep;

	must(rds_ask(r, &rep, argc, argv) == 0 && rds_kind(rep) != RDS_ERROR);
	rds_reply_free(&rep);
}

/* A number behind its name in a section of INFO. */
static double info(struct rds *r, const char *section, const char *name)
{
	struct rds_reply *rep;
	char text[8192];
	const char *at;
	double v;
	slice s;

	must(rds_askv(r, &rep, SLICE("INFO"), slice_str(section)) == 0);
	s = slice_sub(rds_text(rep), 0, sizeof text - 1);
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	rds_reply_free(&rep);
	at = strstr(text, name);
	must(at);
	v = strtod(at + strlen(name), NULL);
	return v;
}

static double redis_cpu(struct rds *r)
{
	return info(r, "cpu", "used_cpu_user:") + info(r, "cpu", "used_cpu_sys:");
}

/* Append the frames as the shipper does: some in one round trip. */
static void append(struct rds *r, slice in)
{
	struct rkey stream = rkey_stream(0, 0xc0de), lanes = rkey_lanes(0);
	struct rds_reply *rep;
	struct frame frame;
	unsigned due = 0;

	ask(r, 3, (slice[]){SLICE("SADD"), rkey_slice(&lanes), SLICE("0000c0de")});
	for (slice rest = in; frame_decode(rest, &frame) == 1; rest = slice_from(rest, frame.size)) {
		char id[32];

		snprintf(id, sizeof id, "%llu-0", (unsigned long long)frame.position);
		rds_putv(r, SLICE("XADD"), rkey_slice(&stream), slice_str(id), SLICE("f"),
			slice_sub(rest, 0, frame.size));
		for (due++; due == 16 || (due && frame.size == rest.len); due--) {
			must(rds_get(r, &rep) == 0 && rds_kind(rep) != RDS_ERROR);
			rds_reply_free(&rep);
		}
	}
}

/* Bytes of the keys with this prefix, by Redis' own count. */
static double weigh(struct rds *r, const char *prefix)
{
	struct rds_reply *keys, *n;
	double sum = 0;

	must(rds_askv(r, &keys, SLICE("KEYS"), slice_str(prefix)) == 0);
	for (size_t i = 0; i < rds_len(keys); i++) {
		must(rds_askv(r, &n, SLICE("MEMORY"), SLICE("USAGE"), rds_text(rds_at(keys, i)),
			     SLICE("SAMPLES"), SLICE("0")) == 0);
		sum += (double)rds_int(n);
		rds_reply_free(&n);
	}
	rds_reply_free(&keys);
	return sum;
}

static void fold(slice in, const struct flow *flow, size_t messages, const char *socket)
{
	struct fold_config cfg = {.redis = {.socket = socket, .timeout_ms = 60000},
		.partitions = 1,
		.batch = 4096,
		.lease_ms = 10000};
	struct rkey stream = rkey_stream(0, 0xc0de);
	double appended, folded, empty, full, wall, own;
	int64_t n, total = 0;
	struct fold *f;
	struct rds *r;

	must(rds_open(&r, &cfg.redis) == 0);
	ask(r, 1, &SLICE("FLUSHALL"));
	ask(r, 2, (slice[]){SLICE("CONFIG"), SLICE("RESETSTAT")});
	empty = info(r, "memory", "used_memory:");
	appended = redis_cpu(r);
	append(r, in);
	appended = redis_cpu(r) - appended;
	must(fold_open(&f, &cfg) == 0);
	folded = redis_cpu(r);
	wall = now();
	own = cpu();
	while ((n = fold_turn(f)) > 0)
		total += n;
	own = cpu() - own;
	wall = now() - wall;
	folded = redis_cpu(r) - folded;
	must(n == 0 && total == (int64_t)flow->count);
	printf("  fold     %6.1f ns of its CPU (%.2f M/s a core), %.2f M/s by the clock\n",
		ns(own, flow->count), (double)flow->count / own * 1e-6, (double)flow->count / wall * 1e-6);
	printf("  redis    %6.1f ns: %.1f to append, %.1f to read and write\n",
		ns(appended + folded, flow->count), ns(appended, flow->count), ns(folded, flow->count));
	fold_close(&f);
	ask(r, 2, (slice[]){SLICE("DEL"), rkey_slice(&stream)});
	full = info(r, "memory", "used_memory:");
	printf("  memory   %6.1f bytes a message in facts", weigh(r, "lf:{p0}:f:*") / (double)messages);
	if (flow->hits)
		printf(", %.1f a kept hit (%zu)", weigh(r, "lf:{p0}:k:*") / (double)flow->hits, flow->hits);
	printf("; %.1f MB all told\n", (full - empty) * 1e-6);
	rds_close(&r);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*make)(struct flow *, uint32_t);
	} flows[] = {{"sent, in order", out}, {"a campaign as time has it", campaign},
		{"accepted in order, opened and clicked anywhere", scattered}};
	uint64_t messages = 1000000;
	struct test_redis redis;
	const char *socket = argc > 2 ? argv[2] : redis.socket;

	log_open("fold_bench", LOG_WARN);
	if (argc > 1)
		must(num_decode(slice_str(argv[1]), 10000000, &messages) == 0 && messages > 0);
	if (argc <= 2) {
		struct rds *r;

		test_redis_init(&redis);
		test_redis_start(&redis, false);
		must(rds_open(&r, &(struct rds_config){.socket = socket, .timeout_ms = 10000}) == 0);
		ask(r, 4, (slice[]){SLICE("CONFIG"), SLICE("SET"), SLICE("appendonly"), SLICE("yes")});
		ask(r, 4, (slice[]){SLICE("CONFIG"), SLICE("SET"), SLICE("appendfsync"), SLICE("everysec")});
		rds_close(&r);
	}
	for (size_t i = 0; i < sizeof flows / sizeof *flows; i++) {
		struct flow flow = {.event = must_alloc(4 * messages * sizeof *flow.event)};
		struct buf packed;

		flows[i].make(&flow, (uint32_t)messages);
		buf_init(&packed, 1u << 30);
		printf("%zu events of %llu messages: %s\n", flow.count, (unsigned long long)messages,
			flows[i].name);
		pack(&flow, &packed);
		unpack(buf_slice(&packed), flow.count);
		apply(buf_slice(&packed), flow.count);
		fold(buf_slice(&packed), &flow, messages, socket);
		fflush(stdout);
		buf_free(&packed);
		free(flow.event);
	}
	if (argc <= 2)
		test_redis_free(&redis);
	return 0;
}
