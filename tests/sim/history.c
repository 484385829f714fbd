/* Histories out of seeds: producers whose events are put, flushed and synced,
 * folds that take them in, and everything that befalls them; then a quiet end,
 * and each event that was answered for must be in the state once.
 *
 *	sim [--seeds N] [--from N] [--nightly]
 *	sim --seed N [--trace]
 */
#include "tests/sim/sim.h"

#include "collector/fold.h"
#include "collector/rescore.h"
#include "core/base/bytes.h"
#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/metrics.h"
#include "core/io/outbox.h"
#include "core/model/rkey.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PRODUCERS 2
#define FOLDS 2
#define EVENTS 200
#define CAMPAIGNS 3
#define BASE UINT64_C(1795219200000)
#define SEGMENT (32u << 10)
#define CASES 800 /* fields of hashes that are counted */

enum standing {
	PUT,     /* in memory: may be there or not */
	FLUSHED, /* survives a kill */
	SYNCED,  /* survives a power cut */
	MAYBE    /* one of the two, and what it does not survive has happened; or the flush failed */
};

static struct made {
	struct event e;
	enum standing is;
	unsigned producer;
	int64_t ticket;
	char queue_id[512];
	unsigned there; /* how often it is in the state */
} made[EVENTS + PRODUCERS];
static unsigned made_count;

static struct producer {
	struct node *node;
	char dir[16];
	struct outbox *o; /* its process's; NULL: not open now */
	unsigned left;    /* events to make */
	uint64_t again;   /* when it is started again */
	bool waits;       /* for the sync, as a rewriter does */
} producers[PRODUCERS];

static struct folder {
	struct node *node;
	uint64_t again;
} folders[FOLDS];

/* What this seed is like. */
static struct {
	unsigned partitions, producers, folds, events;
	bool fat; /* long events: segments fill up */
	unsigned sync_ms, lease_ms, batch;
	bool roomy; /* the journal keeps everything */
	unsigned kill, power, kill_fold, restart, flush, mood, full, jump, snapshot; /* per million steps */
} is;

static bool quiet;
static uint64_t mood_until, full_until;

/* Over all histories. */
static struct {
	uint64_t kills, power_cuts, fold_kills, restarts, flushes, events, there, lost, maybe, commands;
} sum;

static const struct rds_config redis_config = {.host = "simulated", .timeout_ms = 1000};

/* ---- a producer's life ---- */

static const enum event_kind kinds[] = {EVENT_SENT, EVENT_ACCEPTED, EVENT_DEFERRED, EVENT_BOUNCED, EVENT_OPEN,
	EVENT_CLICK, EVENT_UNSUBSCRIBE};

static bool is_hit(const struct event *e)
{
	return e->kind == EVENT_OPEN || e->kind == EVENT_CLICK || e->kind == EVENT_UNSUBSCRIBE;
}

/* Every event leaves a mark of its own: a bit, or a kept hit with its time. */
static struct made *make_event(unsigned producer)
{
	unsigned i = made_count++;
	struct made *m = &made[i];
	struct event *e = &m->e;

	*m = (struct made){.producer = producer};
	e->kind = is.fat ? EVENT_SENT : kinds[sim_draw(7)];
	e->ms = BASE + i % 3 * 3600000 + i;
	e->campaign = 0x1000 + sim_draw(CAMPAIGNS);
	e->lane = 0xa0 + producer;
	e->sequence = i;
	e->reply = is_hit(e) ? 0 : 250;
	e->bounce = e->kind == EVENT_BOUNCED ? BOUNCE_HARD : BOUNCE_NONE;
	if (is_hit(e)) {
		/* Many hits of few messages; of a kind that no other hit makes into another. */
		e->sequence = (uint32_t)sim_draw(2) ? i : EVENTS + (uint32_t)sim_draw(4);
		e->class = sim_draw(2) ? CLASS_HUMAN : CLASS_PROXY;
		e->link = e->kind == EVENT_CLICK;
	} else if (e->kind == EVENT_SENT) {
		e->recipient = i + 1;
		e->provider = 1;
		if (is.fat || sim_draw(2))
			snprintf(m->queue_id, sizeof m->queue_id, "Q%u-%0*u", i,
				is.fat ? 300 + (int)sim_draw(200) : 4, 0u);
		e->queue_id = slice_str(m->queue_id);
	}
	return m;
}

static void turn_of(struct producer *p, struct outbox *o)
{
	unsigned n = 1 + (unsigned)sim_draw(6), from = made_count;
	int64_t ticket;

	for (unsigned i = 0; i < n && p->left; i++, p->left--)
		outbox_put(o, &make_event((unsigned)(p - producers))->e);
	if (sim_draw(8) == 0)
		outbox_note(o, SLICE("a place in a log"));
	n = made_count - from;
	ticket = outbox_flush(o);
	/* The other producer may have put some meanwhile. */
	for (unsigned i = from; n && i < made_count; i++) {
		if (made[i].producer != (unsigned)(p - producers) || made[i].is != PUT)
			continue;
		made[i].is = ticket > 0 ? FLUSHED : MAYBE;
		made[i].ticket = ticket;
		n--;
	}
	sim_note("flushed", (uint64_t)ticket, made_count - from);
	if (ticket > 0 && p->waits && outbox_wait(o, ticket) == 0) {
		if (!outbox_synced(o, ticket))
			sim_fail("waited for ticket %" PRId64 ", and it is not synced", ticket);
	}
}

static void *producer_main(void *arg)
{
	struct producer *p = arg;
	struct outbox_config cfg = {.program = "tracker",
		.journal = {.dir = p->dir,
			.segment_bytes = SEGMENT,
			.cap_bytes = (is.roomy ? 64 : 4) * (uint64_t)SEGMENT,
			.keep_ms = 86400000},
		.redis = redis_config,
		.partitions = is.partitions,
		.sync_ms = is.sync_ms};
	struct outbox *o;

	if (outbox_open(&o, &cfg) < 0)
		return NULL;
	p->o = o;
	for (;;) {
		sim_sleep(sim_draw(40));
		if (p->left && (sim_draw(2) || outbox_ready(o, 4096) == 0))
			turn_of(p, o);
		else if (!quiet && sim_draw(40) == 0)
			break;
		else
			outbox_flush(o); /* what an earlier one could not write */
	}
	p->o = NULL;
	sim_note("closes", 0, 0);
	outbox_close(&o, (unsigned)sim_draw(200));
	return NULL;
}

/* What the process could have told anybody is a promise. */
static void note_synced(struct producer *p)
{
	for (unsigned i = 0; p->o && i < made_count; i++)
		if (made[i].is == FLUSHED && made[i].producer == (unsigned)(p - producers) &&
			outbox_synced(p->o, made[i].ticket))
			made[i].is = SYNCED;
}

static void stop_producer(struct producer *p, bool power)
{
	note_synced(p);
	sim_note(power ? "power cut" : "kill -9", (uint64_t)(p - producers), 0);
	sim_kill(p->node);
	p->o = NULL;
	p->again = sim_ms() + sim_draw(300);
	if (power)
		disk_power_cut(p->dir);
	for (unsigned i = 0; i < made_count; i++)
		if (made[i].producer == (unsigned)(p - producers) &&
			(made[i].is == PUT || (power && made[i].is == FLUSHED)))
			made[i].is = MAYBE;
}

/* ---- a fold's life ---- */

static void *fold_main(void *arg)
{
	struct fold_config cfg = {.redis = redis_config,
		.partitions = is.partitions,
		.batch = is.batch,
		.lease_ms = is.lease_ms};
	struct fold *f;

	(void)arg;
	must(fold_open(&f, &cfg) == 0);
	while (quiet || sim_draw(100)) {
		int64_t n = fold_turn(f);

		if (n < 0)
			sim_sleep(50 + sim_draw(200));
		else if (n == 0)
			sim_sleep(20 + sim_draw(80));
	}
	sim_note("closes", 0, 0);
	fold_close(&f);
	return NULL;
}

/* ---- what befalls them ---- */

static void start_again(void)
{
	for (unsigned i = 0; i < is.producers; i++) {
		struct producer *p = &producers[i];

		if (sim_alive(p->node) || (sim_ms() < p->again && !quiet))
			continue;
		p->o = NULL;
		p->again = sim_ms() + 50;
		sim_kill(p->node); /* what an orderly end has left */
		sim_start(p->node, producer_main, p);
	}
	for (unsigned i = 0; i < is.folds; i++) {
		struct folder *f = &folders[i];

		if (sim_alive(f->node) || (sim_ms() < f->again && !quiet))
			continue;
		sim_kill(f->node);
		sim_start(f->node, fold_main, f);
	}
}

static void kill_fold(struct folder *f)
{
	sim_note("kill -9 of a fold", (uint64_t)(f - folders), 0);
	sim_kill(f->node);
	f->again = sim_ms() + sim_draw(500);
	sum.fold_kills++;
}

static void befall(void)
{
	if (sim_fault(is.kill)) {
		stop_producer(&producers[sim_draw(is.producers)], false);
		sum.kills++;
	}
	if (sim_fault(is.power)) {
		stop_producer(&producers[sim_draw(is.producers)], true);
		sum.power_cuts++;
	}
	if (sim_fault(is.kill_fold))
		kill_fold(&folders[sim_draw(is.folds)]);
	if (sim_fault(is.snapshot))
		redis_snapshot();
	if (sim_fault(is.restart)) {
		redis_restart(sim_draw(4) != 0);
		sum.restarts++;
	}
	if (sim_fault(is.flush)) {
		redis_flush();
		sum.flushes++;
	}
	if (sim_fault(is.mood) && !mood_until) {
		redis_mood((enum redis_mood)(1 + sim_draw(4)));
		mood_until = sim_ms() + sim_draw(600);
	}
	if (mood_until && sim_ms() >= mood_until) {
		redis_mood(REDIS_WELL);
		mood_until = 0;
	}
	if (sim_fault(is.full) && !full_until) {
		disk_full(true);
		full_until = sim_ms() + sim_draw(1000);
	}
	if (full_until && sim_ms() >= full_until) {
		disk_full(false);
		full_until = 0;
	}
	if (sim_fault(is.jump))
		sim_jump((int64_t)sim_draw(7200000) - 3600000);
}

static void befall_no_more(void)
{
	sim_note("quiet", 0, 0);
	quiet = true;
	sim_calm = true;
	redis_mood(REDIS_WELL);
	disk_full(false);
	/* What damage took is counted when something behind it is read. */
	for (unsigned i = 0; i < is.producers; i++)
		producers[i].left++;
}

/* ---- what is there in the end ---- */

static struct rds *redis;

static struct rds_reply *ask(int argc, const slice *argv)
{
	struct rds_reply *rep;

	must(rds_ask(redis, &rep, argc, argv) == 0);
	if (rds_kind(rep) == RDS_ERROR)
		sim_fail("%.*s: %.*s", SLICE_FMT(argv[0]), SLICE_FMT(rds_text(rep)));
	return rep;
}
#define ASK(...) ask((int)(sizeof((slice[]){__VA_ARGS__}) / sizeof(slice)), (slice[]){__VA_ARGS__})

static enum fact fact_of(const struct event *e)
{
	switch (e->kind) {
	case EVENT_SENT:
		return FACT_sent;
	case EVENT_ACCEPTED:
		return FACT_accepted;
	case EVENT_DEFERRED:
		return FACT_deferred;
	case EVENT_BOUNCED:
		return FACT_bounced_hard;
	case EVENT_OPEN:
		return e->class == CLASS_HUMAN ? FACT_opened_human : FACT_opened_proxy;
	case EVENT_CLICK:
		return e->class == CLASS_HUMAN ? FACT_clicked_human : FACT_clicked_machine;
	default:
		return FACT_unsubscribed;
	}
}

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
	case EVENT_OPEN:
		return e->class == CLASS_HUMAN ? COUNTER_open_human : COUNTER_open_proxy;
	case EVENT_CLICK:
		return e->class == CLASS_HUMAN ? COUNTER_click_human : COUNTER_click_machine;
	default:
		return COUNTER_unsubscribe;
	}
}

static unsigned home(const struct event *e)
{
	return partition_of(e->campaign, is.partitions);
}

static bool bit_of(const struct event *e)
{
	struct rkey key = rkey_fact(home(e), e->campaign, e->lane, fact_of(e));
	struct rds_reply *rep = ASK(SLICE("GET"), rkey_slice(&key));
	slice bits = rds_text(rep);
	bool set = e->sequence / 8 < bits.len && (bits.p[e->sequence / 8] & 0x80 >> e->sequence % 8);

	rds_reply_free(&rep);
	return set;
}

/* How often a hit is kept: docs/FORMATS.md, "Kept hits". */
static unsigned kept_of(const struct event *e)
{
	struct rkey key = rkey_hits(home(e), e->campaign, e->lane, e->sequence / 256);
	struct rds_reply *rep = ASK(SLICE("GET"), rkey_slice(&key));
	slice all = rds_text(rep);
	uint64_t ms = e->ms - 1577836800000u;
	unsigned n = 0;

	for (size_t i = 0; i + 17 <= all.len; i += 17)
		n += (get_le64(all.p + i + 2) & 0xffffffffff) == ms;
	rds_reply_free(&rep);
	return n;
}

/* Counters that must come out at just this. */
static struct {
	struct rkey key;
	char field[48];
	int64_t n;
} cases[CASES];
static size_t case_count;

static void expect(struct rkey key, const char *field)
{
	size_t i = 0;

	while (i < case_count && (!slice_eq(rkey_slice(&cases[i].key), rkey_slice(&key)) ||
					 strcmp(cases[i].field, field) != 0))
		i++;
	if (i == case_count) {
		must(case_count++ < CASES);
		cases[i].key = key;
		cases[i].n = 0;
		snprintf(cases[i].field, sizeof cases[i].field, "%s", field);
	}
	cases[i].n++;
}

static void expect_event(const struct event *e)
{
	const char *word = counter_word(counter_of(e));
	char field[48];

	expect(rkey_campaign(home(e), e->campaign), word);
	snprintf(field, sizeof field, "%" PRIu64 ":%s", e->ms / 3600000, word);
	expect(rkey_hours(home(e), e->campaign), field);
	if (e->kind == EVENT_CLICK)
		expect(rkey_links(home(e), e->campaign), e->class == CLASS_HUMAN ? "1:human" : "1:machine");
}

static int64_t expected(slice key, slice field)
{
	for (size_t i = 0; i < case_count; i++)
		if (slice_eq(rkey_slice(&cases[i].key), key) && slice_eq(slice_str(cases[i].field), field))
			return cases[i].n;
	return 0;
}

static bool counted(slice field)
{
	for (unsigned c = 0; c < COUNTER_COUNT; c++)
		if (counter_form((enum counter)c) == COUNTER_SUM &&
			slice_eq(field, slice_str(counter_word((enum counter)c))))
			return true;
	return slice_chr(field, ':', 0) != SLICE_NPOS;
}

/* Every counter of the hash is as expected; returns the sum of all. */
static int64_t check_hash(struct rkey key)
{
	struct rds_reply *rep = ASK(SLICE("HGETALL"), rkey_slice(&key));
	int64_t total = 0;

	for (size_t i = 0; i + 1 < rds_len(rep); i += 2) {
		slice field = rds_text(rds_at(rep, i));
		int64_t n = rds_int(rds_at(rep, i + 1));

		if (!counted(field))
			continue;
		total += n;
		if (n != expected(rkey_slice(&key), field))
			sim_fail("%.*s %.*s is %" PRId64 ", and should be %" PRId64,
				SLICE_FMT(rkey_slice(&key)), SLICE_FMT(field), n,
				expected(rkey_slice(&key), field));
	}
	rds_reply_free(&rep);
	return total;
}

static void check_campaign(uint64_t campaign)
{
	unsigned p = partition_of(campaign, is.partitions);
	int64_t events = 0, clicks = 0, head, hours, links;
	struct rescore again;
	struct buf why;

	for (unsigned i = 0; i < made_count; i++) {
		if (made[i].e.campaign != campaign || !made[i].there)
			continue;
		events++;
		clicks += made[i].e.kind == EVENT_CLICK;
	}
	head = check_hash(rkey_campaign(p, campaign));
	hours = check_hash(rkey_hours(p, campaign));
	links = check_hash(rkey_links(p, campaign));
	if (head != events || hours != events || links != clicks)
		sim_fail("campaign %" PRIx64 " counts %" PRId64 " events, %" PRId64 " by hour and %" PRId64
			 " clicks, and should count %" PRId64 " and %" PRId64,
			campaign, head, hours, links, events, clicks);
	buf_init(&why, 4096);
	if (rescore_read(redis, p, campaign, &verdict_rules, &again, &why) < 0)
		sim_fail("campaign %" PRIx64 " cannot be scored again", campaign);
	if (!rescore_agrees(&again)) {
		rescore_say(&again, &why);
		sim_fail("campaign %" PRIx64 " scored again is another: %.*s", campaign,
			SLICE_FMT(buf_slice(&why)));
	}
	rescore_free(&again);
	buf_free(&why);
}

static const char *const standing_words[] = {"put", "flushed", "synced", "maybe"};

static void check_events(struct account *all)
{
	uint64_t there = 0, missing = 0;

	for (unsigned i = 0; i < made_count; i++) {
		struct made *m = &made[i];

		m->there = is_hit(&m->e) ? kept_of(&m->e) : bit_of(&m->e);
		there += m->there;
		if (m->there > 1)
			sim_fail("event %u is there %u times", i, m->there);
		if (m->there)
			expect_event(&m->e);
		if (m->there || m->is == MAYBE) {
			sum.maybe += m->is == MAYBE;
			continue;
		}
		missing++;
		if (all->lost < missing)
			sim_fail("event %u of producer %u (%s, ticket %" PRId64
				 ") is lost and not counted as lost",
				i, m->producer, standing_words[m->is], m->ticket);
	}
	/* Of what retention took and Redis then forgot, a part may still have been there. */
	if (there < all->made - all->lost || (is.roomy && there != all->made - all->lost))
		sim_fail("the accounts say %" PRIu64 " made and %" PRIu64 " lost, and %" PRIu64 " are there",
			all->made, all->lost, there);
	sum.events += made_count;
	sum.there += there;
	sum.lost += missing;
}

/* ---- one history ---- */

static void draw_kind(void)
{
	static const unsigned rates[] = {0, 0, 100, 400, 1500}, sync_ms[] = {0, 20, 50, 300};

	memset(&is, 0, sizeof is);
	is.partitions = 1 + (unsigned)sim_draw(4);
	is.producers = 1 + (unsigned)sim_draw(PRODUCERS);
	is.folds = 1 + (unsigned)sim_draw(FOLDS);
	is.events = 20 + (unsigned)sim_draw(EVENTS - 20);
	is.fat = sim_draw(3) == 0;
	is.sync_ms = sync_ms[sim_draw(4)];
	is.lease_ms = 200 + (unsigned)sim_draw(1000);
	is.batch = 1 + (unsigned)sim_draw(20);
	is.roomy = sim_draw(4) != 0;
	is.kill = rates[sim_draw(5)];
	is.power = rates[sim_draw(5)];
	is.kill_fold = rates[sim_draw(5)];
	is.restart = rates[sim_draw(5)];
	is.flush = rates[sim_draw(5)] / 2;
	is.mood = rates[sim_draw(5)];
	is.full = rates[sim_draw(5)] / 2;
	is.jump = rates[sim_draw(5)];
	is.snapshot = 2000;
	sim_disk_faults.write = rates[sim_draw(5)] * 10;
	sim_disk_faults.sync = rates[sim_draw(5)] * 20;
	sim_disk_faults.room = rates[sim_draw(5)] * 20;
	sim_redis_faults.lost = rates[sim_draw(5)] * 2;
	sim_redis_faults.slow = rates[sim_draw(5)];
}

static void people(void)
{
	static const char *const names[] = {"tracker", "rewriter"}, *const folds[] = {"fold", "fold2"};

	for (unsigned i = 0; i < is.producers; i++) {
		struct producer *p = &producers[i];

		*p = (struct producer){.node = sim_node(names[i]), .left = is.events / is.producers};
		p->waits = i == 1 || sim_draw(4) == 0;
		snprintf(p->dir, sizeof p->dir, "/p%u", i);
	}
	for (unsigned i = 0; i < is.folds; i++)
		folders[i] = (struct folder){.node = sim_node(folds[i])};
}

static bool all_made(void)
{
	for (unsigned i = 0; i < is.producers; i++)
		if (producers[i].left)
			return false;
	return true;
}

/* The accounts of all producers together; false: one is not open yet. */
static bool accounts(struct account *all)
{
	*all = (struct account){0};
	for (unsigned i = 0; i < is.producers; i++) {
		struct account a;

		if (!producers[i].o)
			return false;
		a = outbox_account(producers[i].o);
		all->made += a.made;
		all->shipped += a.shipped;
		all->lost += a.lost;
	}
	return true;
}

static uint64_t run(uint64_t seed, bool trace)
{
	struct account all = {0};
	uint64_t end;

	quiet = false;
	made_count = 0;
	mood_until = full_until = 0;
	case_count = 0;
	sim_begin(seed, trace);
	draw_kind();
	people();
	end = sim_ms() + 3000 + sim_draw(10000);
	while (sim_ms() < end && !(all_made() && sim_draw(400) == 0)) {
		start_again();
		sim_step();
		befall();
	}
	befall_no_more();
	end = sim_ms() + 3000;
	while (sim_ms() < end || !all_made() || !accounts(&all) || all.made != all.shipped + all.lost ||
		!redis_drained()) {
		start_again();
		sim_step();
		if (sim_ms() > end + 120000)
			sim_fail("does not drain: made=%" PRIu64 " shipped=%" PRIu64 " lost=%" PRIu64,
				all.made, all.shipped, all.lost);
	}
	for (unsigned i = 0; i < is.producers; i++)
		note_synced(&producers[i]);
	must(rds_open(&redis, &redis_config) == 0);
	check_events(&all);
	for (unsigned i = 0; i < CAMPAIGNS; i++)
		check_campaign(0x1000 + i);
	rds_close(&redis);
	if (metric_get(METRIC_frames_refused) || metric_get(METRIC_events_refused))
		sim_fail("the fold has refused entries");
	sum.commands += redis_commands();
	sim_end();
	return sim_hash();
}

int main(int argc, char **argv)
{
	uint64_t from = 1, count = 2000, hash;
	bool trace = false, one = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0) {
			trace = true;
		} else if (strcmp(argv[i], "--nightly") == 0) {
			count = 10000;
		} else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0) {
			count = strtoull(argv[++i], NULL, 10);
		} else if (i + 1 < argc && strcmp(argv[i], "--from") == 0) {
			from = strtoull(argv[++i], NULL, 10);
		} else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
			from = strtoull(argv[++i], NULL, 10);
			count = 1;
			one = true;
		} else {
			fprintf(stderr,
				"usage: sim [--seeds N] [--from N] [--nightly] | --seed N [--trace]\n");
			return 2;
		}
	}
	for (uint64_t seed = from; seed < from + count; seed++) {
		hash = run(seed, trace);
		if (one)
			printf("seed %" PRIu64 ": history %016" PRIx64 "\n", seed, hash);
		else if (seed % 100 == 0 && run(seed, false) != hash)
			sim_fail("the same seed has made two histories");
	}
	printf("%" PRIu64 " seeds, %" PRIu64 " kills, %" PRIu64 " of folds, %" PRIu64 " power cuts, %" PRIu64
	       " Redis restarts, %" PRIu64 " flushes, %" PRIu64 " events, %" PRIu64 " there, %" PRIu64
	       " lost and counted as lost, 0 lost, 0 double; %.1f s of CPU, %" PRIu64 " commands\n",
		count, sum.kills, sum.fold_kills, sum.power_cuts, sum.restarts, sum.flushes, sum.events,
		sum.there, sum.lost, (double)clock() / CLOCKS_PER_SEC, sum.commands);
	return 0;
}
