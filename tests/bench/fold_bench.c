/* Events a second: packed, unpacked, applied to state, and with the path of a
 * Redis socket (which is emptied!) as argument folded from streams. */
#include "collector/fold.h"
#include "core/base/must.h"
#include "core/io/log.h"
#include "core/model/event.h"
#include "core/model/frame.h"
#include "core/model/rkey.h"
#include "core/model/state.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define BASE UINT64_C(1795219200000)
#define EVENTS 1000000
#define FRAME_EVENTS 500

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t draw(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* A campaign that goes out: one SENT a message, in order. */
static struct event sent(uint32_t i)
{
	return (struct event){.kind = EVENT_SENT,
		.ms = BASE + i / 10,
		.campaign = 0x1000,
		.lane = 1,
		.sequence = i,
		.recipient = i * 0x9e3779b97f4a7c15u + 1,
		.provider = (uint8_t)(i % 20)};
}

/* What comes back: accepted in about that order, opens and clicks anywhere. */
static struct event back(uint32_t i)
{
	struct event e = {.kind = EVENT_ACCEPTED,
		.ms = BASE + i / 10,
		.campaign = 0x1000,
		.lane = 1,
		.sequence = i,
		.reply = 250,
		.status = 2u << 20};

	if (i % 2 == 0)
		return e;
	e = (struct event){.kind = i % 8 == 1 ? EVENT_CLICK : EVENT_OPEN,
		.ms = BASE + i / 10,
		.campaign = 0x1000,
		.lane = 1,
		.sequence = (uint32_t)(draw() % EVENTS),
		.class = CLASS_HUMAN,
		.country = {'D', 'E'}};
	return e;
}

static void pack(struct buf *out, struct event (*make)(uint32_t))
{
	uint64_t position = out->len + 64;
	double t = now();

	for (uint32_t i = 0; i < EVENTS;) {
		size_t head = frame_begin(out, BASE, 0);
		uint32_t n = 0;

		for (; n < FRAME_EVENTS && i < EVENTS; n++, i++) {
			struct event e = make(i);

			event_encode(&e, BASE, out);
		}
		frame_end(out, head, 0xc0de, position + head, 0, n);
	}
	must(!out->full);
	printf("  pack     %6.2f M/s, %4.1f bytes an event\n", EVENTS / (now() - t) / 1e6,
		(double)out->len / EVENTS);
}

static void unpack(slice in)
{
	double t = now();
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
	printf("  unpack   %6.2f M/s\n", EVENTS / (now() - t) / 1e6);
}

static void apply(slice in)
{
	struct state s;
	struct frame f;
	unsigned frames = 0;
	double t = now();

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
	printf("  apply    %6.2f M/s, %zu bytes of pages\n", EVENTS / (now() - t) / 1e6, state_bytes(&s));
	state_free(&s);
}

static void ask(struct rds *r, int argc, const slice *argv)
{
	struct rds_reply *rep;

	must(rds_ask(r, &rep, argc, argv) == 0 && rds_kind(rep) != RDS_ERROR);
	rds_reply_free(&rep);
}

static void fold(slice in, const char *socket, bool empty)
{
	struct fold_config cfg = {.redis = {.socket = socket, .timeout_ms = 60000},
		.partitions = 1,
		.batch = 4096,
		.lease_ms = 10000};
	struct rkey stream = rkey_stream(0, 0xc0de), lanes = rkey_lanes(0);
	int64_t n, total = 0;
	struct fold *f;
	struct frame frame;
	struct rds *r;
	double t;

	must(rds_open(&r, &cfg.redis) == 0);
	if (empty)
		ask(r, 1, &SLICE("FLUSHALL"));
	ask(r, 3, (slice[]){SLICE("DEL"), SLICE("lf:{p0}:cursor"), rkey_slice(&stream)});
	ask(r, 3, (slice[]){SLICE("SADD"), rkey_slice(&lanes), SLICE("0000c0de")});
	for (slice rest = in; frame_decode(rest, &frame) == 1; rest = slice_from(rest, frame.size)) {
		char id[32];

		snprintf(id, sizeof id, "%llu-0", (unsigned long long)frame.position);
		ask(r, 5,
			(slice[]){SLICE("XADD"), rkey_slice(&stream), slice_str(id), SLICE("f"),
				slice_sub(rest, 0, frame.size)});
	}
	rds_close(&r);
	must(fold_open(&f, &cfg) == 0);
	t = now();
	while ((n = fold_turn(f)) > 0)
		total += n;
	must(n == 0 && total == EVENTS);
	printf("  fold     %6.2f M/s\n", EVENTS / (now() - t) / 1e6);
	fold_close(&f);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		struct event (*make)(uint32_t);
	} flows[] = {{"a million sent, in order", sent}, {"a million accepted, opened, clicked", back}};
	struct buf out;

	log_open("fold_bench", LOG_WARN);
	for (int i = 0; i < 2; i++) {
		buf_init(&out, 1u << 30);
		printf("%s\n", flows[i].name);
		pack(&out, flows[i].make);
		unpack(buf_slice(&out));
		apply(buf_slice(&out));
		if (argc > 1)
			fold(buf_slice(&out), argv[1], i == 0);
		buf_free(&out);
	}
	return 0;
}
