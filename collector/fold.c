#include "collector/fold.h"

#include "collector/forget.h"
#include "collector/rescore.h"
#include "collector/store.h"
#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/metrics.h"
#include "core/model/frame.h"
#include "core/model/rkey.h"
#include "core/parse/num.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define GROUP 16 /* partitions asked in one round trip */
#define FIRST_ENTRIES 64
#define BATCH_BYTES (1u << 22)        /* a batch of a partition is sized towards this */
#define CACHE_BYTES (64u << 20)       /* pages in memory, all partitions together */
#define KEPT_BYTES (64u << 20)        /* kept hits in memory, likewise */
#define QUEUE_SECONDS SLICE("432000") /* five days: as long as a queue keeps a message */
#define FENCE_STEP 65536
#define REST_MS 1000             /* what a partition waits whose slot is on its way to another node */
#define FORGET_MS 200            /* a turn's time for withdrawals, so that events go on */
#define TIDY_MS (10 * 60 * 1000) /* how often a partition is looked through for what is old */
#define FORMAT SLICE("1")

struct lane {
	uint32_t lane;
	uint64_t cursor;  /* position of the last entry folded; 0: none */
	uint64_t next;    /* the same behind the present batch */
	uint64_t trimmed; /* the stream was cut before this position */
};

/* Campaigns that are looked through for whoever withdrew. */
struct scan {
	struct forget_list asked;
	uint64_t *campaigns; /* owned; NULL: none under way */
	size_t count, at;
};

struct partition {
	unsigned number;
	uint64_t fence;      /* the owner's number when that is us; 0: not ours */
	uint64_t renewed;    /* monotonic: when the lease was last set */
	bool warm;           /* cursors and state are what Redis holds */
	uint64_t rest_until; /* monotonic */
	bool rests;
	size_t entries;     /* asked of each stream at once */
	struct lane *lanes; /* owned */
	size_t lane_count, lane_room;
	unsigned rules; /* version that scored what Redis holds */
	struct state state;
	struct kept kept;
	uint64_t withdrawals;     /* that wait in Redis */
	struct forget_list tombs; /* all that are kept, for mail that comes in late */
	struct scan scan;
	uint64_t tidied; /* monotonic; 0: not yet */
};

struct fold {
	struct fold_config cfg;
	struct rds *r; /* NULL: not connected */
	struct partition *partitions;
	struct frame *frames; /* owned: of the present batch; they borrow its replies */
	size_t frame_count, frame_room;
	struct event *events; /* owned: of the frame that is looked at */
	size_t event_count, event_room;
	struct partition *at; /* whose reply is read; NULL: of none */
	struct buf why;       /* what Redis said, for the log */
	int failing;          /* the error that was logged last; 0: all well */
};

/* What one look at a partition's streams brought. */
struct batch {
	int64_t events;
	size_t entries, bytes;
	size_t frames_refused, events_refused;
	size_t ids;  /* RECIPIENT events */
	size_t late; /* SENT events of recipients that have withdrawn since */
};

static unsigned first_entries(const struct fold_config *cfg)
{
	return cfg->batch < FIRST_ENTRIES ? cfg->batch : FIRST_ENTRIES;
}

int fold_open(struct fold **out, const struct fold_config *cfg)
{
	struct fold *f;

	*out = NULL;
	if (cfg->partitions == 0 || cfg->partitions >= FRAME_NOTE || cfg->batch == 0 || cfg->lease_ms == 0)
		return -EINVAL;
	f = must_zalloc(sizeof *f);
	f->cfg = *cfg;
	if (!f->cfg.rules)
		f->cfg.rules = &verdict_rules;
	f->partitions = must_zalloc(cfg->partitions * sizeof *f->partitions);
	buf_init(&f->why, 512);
	for (unsigned i = 0; i < cfg->partitions; i++) {
		f->partitions[i] = (struct partition){.number = i, .entries = first_entries(cfg)};
		state_init(&f->partitions[i].state);
		kept_init(&f->partitions[i].kept);
	}
	*out = f;
	return 0;
}

static void scan_end(struct scan *s)
{
	forget_list_free(&s->asked);
	free(s->campaigns);
	*s = (struct scan){0};
}

/* Believe nothing of what is in memory. The owner's number stays: as long as
 * the fence still shows it, nobody else has written. */
static void cool(struct partition *p)
{
	p->warm = false;
	p->lane_count = 0;
	state_forget(&p->state);
	kept_forget(&p->kept);
	forget_list_free(&p->tombs);
	scan_end(&p->scan);
	p->withdrawals = p->tidied = 0;
}

static void lose(struct partition *p)
{
	cool(p);
	p->fence = 0;
	metric_add(METRIC_fold_conflicts, 1);
	log_warn("fold", "partition lost, its fence has changed", "partition=%u", p->number);
}

static void disconnect(struct fold *f)
{
	rds_close(&f->r);
	for (unsigned i = 0; i < f->cfg.partitions; i++) {
		cool(&f->partitions[i]);
		/* If it was the size of an answer that broke the connection, the next one is small. */
		f->partitions[i].entries = first_entries(&f->cfg);
	}
}

static struct rkey fence_of(const struct partition *p)
{
	return rkey_fence(p->number);
}

static struct rkey lease_of(const struct partition *p)
{
	return rkey_lease(p->number);
}

/* How many partitions a store has is fixed by whoever used it first. */
static int check_meta(struct fold *f)
{
	struct rds_reply *rep;
	char text[16];
	int64_t there;
	int rc;

	snprintf(text, sizeof text, "%u", f->cfg.partitions);
	rds_putv(f->r, SLICE("HSETNX"), SLICE(RKEY_META), SLICE("partitions"), slice_str(text));
	rds_putv(f->r, SLICE("HSETNX"), SLICE(RKEY_META), SLICE("format"), FORMAT);
	rds_putv(f->r, SLICE("HGET"), SLICE(RKEY_META), SLICE("partitions"));
	rc = store_done(f->r, &f->why);
	if (rc == 0)
		rc = store_done(f->r, &f->why);
	if (rc == 0)
		rc = store_reply(f->r, &rep, &f->why);
	if (rc < 0)
		return rc;
	there = rds_int(rep);
	rds_reply_free(&rep);
	if (there == (int64_t)f->cfg.partitions)
		return 0;
	buf_printf(&f->why, "set store.partitions to %" PRId64 ", as this store was made, instead of %u",
		there, f->cfg.partitions);
	return -EINVAL;
}

static int connect_redis(struct fold *f)
{
	int rc;

	if (f->r)
		return 0;
	rc = rds_open(&f->r, &f->cfg.redis);
	return rc < 0 ? rc : check_meta(f);
}

/* Read n replies that nobody looks at. */
static int done(struct fold *f, size_t n)
{
	int rc = 0;

	while (n-- > 0 && rc == 0)
		rc = store_done(f->r, &f->why);
	return rc;
}

/* A reply that is a number, or text that is one; nil gives 0. */
static int number(struct fold *f, uint64_t *out)
{
	struct rds_reply *rep;
	int rc = store_reply(f->r, &rep, &f->why);

	*out = 0;
	if (rc < 0)
		return rc;
	if (rds_kind(rep) != RDS_NIL)
		*out = (uint64_t)rds_int(rep);
	rds_reply_free(&rep);
	return 0;
}

static void put_lease(struct fold *f, const struct partition *p, uint64_t fence)
{
	struct rkey lease = lease_of(p);
	char value[24], ms[16];

	snprintf(value, sizeof value, "%" PRIu64, fence);
	snprintf(ms, sizeof ms, "%u", f->cfg.lease_ms);
	rds_putv(f->r, SLICE("SET"), rkey_slice(&lease), slice_str(value), SLICE("PX"), slice_str(ms));
}

/* The reply to EXEC behind `queued` acknowledgements. 1: done. 0: somebody
 * changed what was watched, and nothing was done. -errno. */
static int executed(struct fold *f, size_t queued)
{
	struct rds_reply *rep;
	int rc = done(f, queued);

	if (rc == 0)
		rc = store_reply(f->r, &rep, &f->why);
	if (rc < 0)
		return rc;
	rc = rds_kind(rep) != RDS_NIL;
	for (size_t i = 0; i < rds_len(rep); i++) {
		/* Types were looked at before, so a stranger has been at our keys.
		 * The cursor has moved with the rest: this is not tried again. */
		if (rds_kind(rds_at(rep, i)) == RDS_ERROR)
			log_error("fold", "a part of a transaction was refused", "redis=%s",
				log_bytes(rds_text(rds_at(rep, i))));
	}
	rds_reply_free(&rep);
	return rc;
}

/* Try for a partition whose lease is absent. 1: it is ours. 0: not. -errno.
 * The new number is larger than the last by a random step: if Redis comes back
 * without its last second, two owners of the same old number cannot take each
 * other for themselves. */
static int take(struct fold *f, struct partition *p)
{
	struct rkey fence = fence_of(p), lease = lease_of(p);
	uint64_t present = 0, last = 0, now = clock_mono_ms();
	unsigned step = 0;
	char by[16];
	int rc;

	rds_putv(f->r, SLICE("UNWATCH"));
	rds_putv(f->r, SLICE("WATCH"), rkey_slice(&fence), rkey_slice(&lease));
	rds_putv(f->r, SLICE("EXISTS"), rkey_slice(&lease));
	rds_putv(f->r, SLICE("GET"), rkey_slice(&fence));
	rc = done(f, 2);
	if (rc == 0)
		rc = number(f, &present);
	if (rc == 0)
		rc = number(f, &last);
	if (rc < 0 || present)
		return rc < 0 ? rc : 0;
	if (getrandom(&step, sizeof step, GRND_NONBLOCK) < 0)
		step = 0;
	step = 1 + step % FENCE_STEP;
	snprintf(by, sizeof by, "%u", step);
	rds_putv(f->r, SLICE("MULTI"));
	rds_putv(f->r, SLICE("INCRBY"), rkey_slice(&fence), slice_str(by));
	put_lease(f, p, last + step);
	rds_putv(f->r, SLICE("EXEC"));
	rc = executed(f, 3);
	if (rc <= 0)
		return rc;
	cool(p);
	p->fence = last + step;
	p->renewed = now;
	log_info("fold", "partition taken", "partition=%u fence=%" PRIu64, p->number, p->fence);
	return 1;
}

/* Queue the guard of a transaction; its replies are read by guarded. From here
 * to EXEC another owner makes EXEC fail; one that came before is seen. */
static void guard(struct fold *f, const struct partition *p)
{
	struct rkey fence = fence_of(p);

	rds_putv(f->r, SLICE("UNWATCH"));
	rds_putv(f->r, SLICE("WATCH"), rkey_slice(&fence));
	rds_putv(f->r, SLICE("GET"), rkey_slice(&fence));
}

/* 1: still ours. 0: not. -errno. */
static int guarded(struct fold *f, const struct partition *p)
{
	uint64_t there = 0;
	int rc = done(f, 2);

	if (rc == 0)
		rc = number(f, &there);
	return rc < 0 ? rc : there == p->fence;
}

/* The lease of a partition with nothing to fold. */
static int renew(struct fold *f, struct partition *p)
{
	uint64_t now = clock_mono_ms();
	int rc;

	guard(f, p);
	rc = guarded(f, p);
	if (rc > 0) {
		rds_putv(f->r, SLICE("MULTI"));
		put_lease(f, p, p->fence);
		rds_putv(f->r, SLICE("EXEC"));
		rc = executed(f, 2);
	}
	if (rc == 0)
		lose(p);
	if (rc > 0)
		p->renewed = now;
	return rc < 0 ? rc : 0;
}

static struct lane *find_lane(struct partition *p, uint32_t lane)
{
	for (size_t i = 0; i < p->lane_count; i++)
		if (p->lanes[i].lane == lane)
			return &p->lanes[i];
	return NULL;
}

static struct lane *make_lane(struct partition *p, uint32_t lane)
{
	struct lane *l = find_lane(p, lane);

	if (l)
		return l;
	if (p->lane_count == p->lane_room) {
		p->lane_room = p->lane_room ? 2 * p->lane_room : 8;
		p->lanes = must_realloc(p->lanes, p->lane_room * sizeof *p->lanes);
	}
	l = &p->lanes[p->lane_count++];
	*l = (struct lane){.lane = lane};
	return l;
}

/* Tombstones: the fields of a hash (step 2), or the members of a set. */
static void add_tombs(struct forget_list *to, const struct rds_reply *rep, size_t step, unsigned partition)
{
	for (size_t i = 0; i < rds_len(rep); i += step)
		if (!forget_add(to, rds_text(rds_at(rep, i))))
			log_error("fold", "not a tombstone", "partition=%u text=%s", partition,
				log_bytes(rds_text(rds_at(rep, i))));
}

/* The set of lanes and whether somebody withdrew, and for a cold partition the
 * cursors, the rules and the tombstones. */
static int take_lanes(struct fold *f, struct partition *p)
{
	struct rds_reply *rep;
	int rc = store_reply(f->r, &rep, &f->why);
	uint64_t at;
	uint32_t lane;

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < rds_len(rep); i++) {
		if (hex32_decode(rds_text(rds_at(rep, i)), &lane))
			make_lane(p, lane);
		else
			log_error("fold", "not a lane", "partition=%u member=%s", p->number,
				log_bytes(rds_text(rds_at(rep, i))));
	}
	rds_reply_free(&rep);
	rc = number(f, &p->withdrawals);
	if (rc < 0 || p->warm)
		return rc;
	rc = store_reply(f->r, &rep, &f->why);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i + 1 < rds_len(rep); i += 2) {
		if (!hex32_decode(rds_text(rds_at(rep, i)), &lane))
			continue;
		if (num_decode(rds_text(rds_at(rep, i + 1)), UINT64_MAX, &at) < 0) {
			buf_printf(&f->why,
				"the cursor of lane %08" PRIx32 " in partition %u is not a number", lane,
				p->number);
			rds_reply_free(&rep);
			return -EPROTO;
		}
		make_lane(p, lane)->cursor = at;
	}
	rds_reply_free(&rep);
	rc = number(f, &at);
	p->rules = (unsigned)at;
	if (rc == 0)
		rc = store_reply(f->r, &rep, &f->why);
	if (rc < 0)
		return rc;
	add_tombs(&p->tombs, rep, 2, p->number);
	rds_reply_free(&rep);
	p->warm = true;
	return rc;
}

/* First round trip: who owns what, and which lanes there are. >0: partitions
 * were taken, whose lanes are not known yet. 0. -errno. */
static int survey(struct fold *f, struct partition *group, unsigned n)
{
	uint64_t present;
	bool absent[GROUP] = {false};
	int rc = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rkey lease = lease_of(&group[i]), lanes = rkey_lanes(group[i].number);
		struct rkey fence = fence_of(&group[i]), cursor = rkey_cursor(group[i].number);
		struct rkey rules = rkey_rules(group[i].number), forget = rkey_forget(group[i].number);
		struct rkey forgotten = rkey_forgotten(group[i].number);

		if (group[i].rests)
			continue;
		if (!group[i].fence) {
			rds_putv(f->r, SLICE("EXISTS"), rkey_slice(&lease));
			continue;
		}
		rds_putv(f->r, SLICE("GET"), rkey_slice(&fence));
		rds_putv(f->r, SLICE("SMEMBERS"), rkey_slice(&lanes));
		rds_putv(f->r, SLICE("SCARD"), rkey_slice(&forget));
		if (!group[i].warm) {
			rds_putv(f->r, SLICE("HGETALL"), rkey_slice(&cursor));
			rds_putv(f->r, SLICE("GET"), rkey_slice(&rules));
			rds_putv(f->r, SLICE("HGETALL"), rkey_slice(&forgotten));
		}
	}
	for (unsigned i = 0; i < n && rc == 0; i++) {
		struct partition *p = &group[i];

		if (p->rests)
			continue;
		f->at = p;
		rc = number(f, &present);
		if (rc == 0 && !p->fence)
			absent[i] = !present;
		if (rc < 0 || !p->fence)
			continue;
		rc = take_lanes(f, p);
		if (rc == 0 && present != p->fence)
			lose(p);
	}
	for (unsigned i = 0; i < n && rc >= 0; i++)
		if (absent[i]) {
			int got;

			f->at = &group[i];
			got = take(f, &group[i]);
			rc = got < 0 ? got : rc + got;
		}
	return rc;
}

/* Everything behind the cursor, whatever the second half of an id says: ours
 * have zero there, and others are refused once, not for ever. */
static void ask_entries(struct fold *f, const struct partition *p)
{
	size_t n = p->lane_count, argc = 0;
	slice *argv = must_alloc((4 + 2 * n) * sizeof *argv);
	struct rkey *keys = must_alloc(n * sizeof *keys);
	char(*ids)[48] = must_alloc(n * sizeof *ids), count[24];

	snprintf(count, sizeof count, "%zu", p->entries);
	argv[argc++] = SLICE("XREAD");
	argv[argc++] = SLICE("COUNT");
	argv[argc++] = slice_str(count);
	argv[argc++] = SLICE("STREAMS");
	for (size_t i = 0; i < n; i++) {
		keys[i] = rkey_stream(p->number, p->lanes[i].lane);
		if (p->lanes[i].cursor)
			snprintf(ids[i], sizeof ids[i], "%" PRIu64 "-%" PRIu64, p->lanes[i].cursor,
				UINT64_MAX);
		else
			snprintf(ids[i], sizeof ids[i], "0");
		argv[argc + i] = rkey_slice(&keys[i]);
		argv[argc + n + i] = slice_str(ids[i]);
	}
	rds_put(f->r, (int)(argc + 2 * n), argv);
	free(ids);
	free(keys);
	free(argv);
}

/* One stream entry: [id, [field, value]]. 0 and the frame, or why not; *at is
 * the id's first half, and 0 when there is none to go on from. */
static int read_entry(const struct rds_reply *entry, const struct partition *p, uint32_t lane, uint64_t *at,
	struct frame *frame)
{
	const struct rds_reply *fields;
	slice id, body;
	uint64_t second;
	size_t dash;
	int rc;

	*at = 0;
	if (rds_len(entry) != 2)
		return -REFUSE_SYNTAX;
	id = rds_text(rds_at(entry, 0));
	dash = slice_chr(id, '-', 0);
	if (dash == SLICE_NPOS || num_decode(slice_sub(id, 0, dash), UINT64_MAX, at) < 0 ||
		num_decode(slice_from(id, dash + 1), UINT64_MAX, &second) < 0)
		return -REFUSE_SYNTAX;
	fields = rds_at(entry, 1);
	if (second != 0 || rds_len(fields) != 2 || !slice_eq(rds_text(rds_at(fields, 0)), SLICE("f")))
		return -REFUSE_SYNTAX;
	body = rds_text(rds_at(fields, 1));
	rc = frame_decode(body, frame);
	if (rc <= 0)
		return rc < 0 ? rc : -REFUSE_SYNTAX;
	if (frame->size != body.len)
		return -REFUSE_LENGTH;
	/* a whole frame, but another one's */
	return frame->lane == lane && frame->partition == p->number && frame->position == *at ? 0
											      : -REFUSE_RANGE;
}

/* All events of a frame into f->events. Do all decode, and are they as many as
 * the head says? */
static int read_events(struct fold *f, const struct frame *frame)
{
	slice rest = frame->body;
	int rc;

	f->event_count = 0;
	for (;;) {
		if (f->event_count == f->event_room) {
			f->event_room = f->event_room ? 2 * f->event_room : 512;
			f->events = must_realloc(f->events, f->event_room * sizeof *f->events);
		}
		rc = event_decode(rest, frame->base_ms, &f->events[f->event_count]);
		if (rc <= 0)
			break;
		rest = slice_from(rest, (size_t)rc);
		f->event_count++;
	}
	return rc < 0 ? rc : f->event_count == frame->count ? 0 : -REFUSE_LENGTH;
}

static void keep_frame(struct fold *f, const struct frame *frame)
{
	if (f->frame_count == f->frame_room) {
		f->frame_room = f->frame_room ? 2 * f->frame_room : 256;
		f->frames = must_realloc(f->frames, f->frame_room * sizeof *f->frames);
	}
	f->frames[f->frame_count++] = *frame;
}

/* The keys of another partition are not ours to write. */
static bool at_home(const struct fold *f, const struct partition *p, const struct event *e)
{
	return partition_of(e->campaign, f->cfg.partitions) == p->number;
}

static void put_queue_id(struct fold *f, const struct event *e, size_t *queued)
{
	uint8_t identity[16];
	struct rkey key;
	struct buf b;

	if (e->kind != EVENT_SENT || e->queue_id.len == 0)
		return;
	key = rkey_queue(e->queue_id);
	buf_init(&b, sizeof identity);
	buf_le64(&b, e->campaign);
	buf_le32(&b, e->lane);
	buf_le32(&b, e->sequence);
	rds_putv(f->r, SLICE("SET"), rkey_slice(&key), buf_slice(&b), SLICE("EX"), QUEUE_SECONDS);
	buf_free(&b);
	++*queued;
}

struct own_id {
	struct rkey key;
	char sequence[16];
};

static struct own_id own_id_of(const struct partition *p, const struct event *e)
{
	struct own_id id = {.key = rkey_recipients(p->number, e->campaign, e->lane)};

	snprintf(id.sequence, sizeof id.sequence, "%" PRIu32, e->sequence);
	return id;
}

/* Before: is the key a hash? Then the transaction cannot fail on it. */
static void ask_own_id(struct fold *f, struct partition *p, const struct event *e, size_t *queued)
{
	struct own_id id = own_id_of(p, e);

	state_want(&p->state, e->campaign, e->lane, e->sequence, FACT_forgotten);
	rds_putv(f->r, SLICE("HGET"), rkey_slice(&id.key), slice_str(id.sequence));
	++*queued;
}

/* What the sender calls the recipient. Written again it is the same. */
static void put_own_id(struct fold *f, const struct partition *p, const struct event *e, size_t *queued)
{
	struct own_id id = own_id_of(p, e);

	if (state_has(&p->state, e->campaign, e->lane, e->sequence, FACT_forgotten))
		return;
	rds_putv(f->r, SLICE("HSET"), rkey_slice(&id.key), slice_str(id.sequence), e->name);
	++*queued;
}

enum pass { TOUCH, APPLY, OWN_IDS };

static void touch_event(
	struct fold *f, struct partition *p, const struct event *e, struct batch *b, size_t *queued)
{
	if (e->kind == EVENT_RECIPIENT) {
		ask_own_id(f, p, e, queued);
		b->ids++;
		return;
	}
	state_touch(&p->state, e);
	if (kept_takes(e))
		kept_touch(&p->kept, e);
	put_queue_id(f, e, queued);
}

static void apply_event(struct partition *p, const struct event *e, struct batch *b)
{
	struct forget_tomb *t = e->kind == EVENT_SENT ? forget_find(&p->tombs, e->recipient, e->ms) : NULL;

	if (t) {
		t->again = true;
		b->late++;
	}
	if (e->kind != EVENT_RECIPIENT)
		state_apply(&p->state, e);
}

/* A sender's own id belongs to a message. */
static bool takes(const struct event *e)
{
	return e->kind == EVENT_RECIPIENT ? e->sequence < STATE_MAX_SEQUENCE : state_takes(e);
}

/* All passes see the same events in the same order. */
static void walk_events(struct fold *f, struct partition *p, enum pass pass, struct batch *b, size_t *queued)
{
	for (size_t i = 0; i < f->event_count; i++) {
		const struct event *e = &f->events[i];
		bool mine = at_home(f, p, e) && takes(e);

		if (pass == TOUCH) {
			b->events++;
			b->events_refused += !mine;
		}
		if (!mine)
			continue;
		if (pass == TOUCH)
			touch_event(f, p, e, b, queued);
		else if (pass == APPLY)
			apply_event(p, e, b);
		else if (e->kind == EVENT_RECIPIENT)
			put_own_id(f, p, e, queued);
	}
}

static void refuse_entry(const struct partition *p, uint32_t lane, uint64_t at, int why)
{
	log_error("fold", "stream entry refused",
		"partition=%u lane=%08" PRIx32 " position=%" PRIu64 " why=%s", p->number, lane, at,
		refuse_word(why));
}

/* The first look at all entries, XREAD's [[key, [entry, ...]], ...]: what is whole
 * is touched and kept for the looks that follow. */
static void walk_entries(
	struct fold *f, struct partition *p, const struct rds_reply *streams, struct batch *b, size_t *queued)
{
	f->frame_count = 0;
	for (size_t i = 0; i < rds_len(streams); i++) {
		const struct rds_reply *stream = rds_at(streams, i), *entries = rds_at(stream, 1);
		slice key = rds_text(rds_at(stream, 0));
		struct lane *l;
		uint32_t lane;

		must(hex32_decode(slice_from(key, key.len - 8), &lane)); /* we asked for it by that name */
		l = find_lane(p, lane);
		must(l);
		for (size_t k = 0; k < rds_len(entries); k++) {
			struct frame frame;
			uint64_t at;
			int rc = read_entry(rds_at(entries, k), p, lane, &at, &frame);

			if (rc == 0)
				rc = read_events(f, &frame);
			l->next = at > l->next ? at : l->next;
			b->entries++;
			if (rc < 0) {
				refuse_entry(p, lane, at, rc);
				b->frames_refused++;
				continue;
			}
			b->bytes += frame.size;
			keep_frame(f, &frame);
			walk_events(f, p, TOUCH, b, queued);
		}
	}
}

/* Another look at what the first one kept. */
static void walk_again(struct fold *f, struct partition *p, enum pass pass, struct batch *b, size_t *queued)
{
	for (size_t i = 0; i < f->frame_count; i++) {
		must(read_events(f, &f->frames[i]) == 0);
		walk_events(f, p, pass, b, queued);
	}
}

static size_t put_cursors(struct fold *f, const struct partition *p)
{
	struct rkey key = rkey_cursor(p->number);
	size_t n = 0;

	for (size_t i = 0; i < p->lane_count; i++) {
		const struct lane *l = &p->lanes[i];
		char lane[16], at[24];

		if (l->next <= l->cursor)
			continue;
		snprintf(lane, sizeof lane, "%08" PRIx32, l->lane);
		snprintf(at, sizeof at, "%" PRIu64, l->next);
		rds_putv(f->r, SLICE("HSET"), rkey_slice(&key), slice_str(lane), slice_str(at));
		n++;
	}
	return n;
}

/* Mail to somebody who withdrew after it was sent came in only now: look through
 * the campaigns again. */
static size_t put_late(struct fold *f, const struct partition *p)
{
	struct rkey key = rkey_forget(p->number);
	size_t n = 0;

	for (size_t i = 0; i < p->tombs.count; i++) {
		if (!p->tombs.tomb[i].again)
			continue;
		rds_putv(f->r, SLICE("SADD"), rkey_slice(&key), buf_slice(&p->tombs.tomb[i].text));
		n++;
	}
	return n;
}

/* The one transaction of a batch. As executed. */
static int commit(struct fold *f, struct partition *p, struct batch *b)
{
	size_t n = 2;

	rds_putv(f->r, SLICE("MULTI"));
	put_lease(f, p, p->fence);
	if (b->ids)
		walk_again(f, p, OWN_IDS, b, &n);
	if (b->late)
		n += put_late(f, p);
	n += store_put(f->r, p->number, &p->state);
	n += store_put_kept(f->r, p->number, &p->kept);
	n += put_cursors(f, p);
	rds_putv(f->r, SLICE("EXEC"));
	return executed(f, n);
}

/* Ask for more next time while batches are small, for less when they are not. */
static void size_batches(const struct fold *f, struct partition *p, const struct batch *b)
{
	if ((b->bytes > BATCH_BYTES || b->entries > f->cfg.batch) && p->entries > 1)
		p->entries /= 2;
	else if (b->bytes < BATCH_BYTES / 4 && p->entries < f->cfg.batch)
		p->entries = p->entries > f->cfg.batch / 2 ? f->cfg.batch : 2 * p->entries;
}

/* A busy partition may have what the others do not use. */
static size_t cache_cap(const struct fold *f, const struct partition *p)
{
	size_t others = 0, share = CACHE_BYTES / f->cfg.partitions;

	for (unsigned i = 0; i < f->cfg.partitions; i++)
		if (&f->partitions[i] != p)
			others += state_bytes(&f->partitions[i].state);
	return others + share < CACHE_BYTES ? CACHE_BYTES - others : share;
}

static void settle(struct fold *f, struct partition *p, const struct batch *b)
{
	for (size_t i = 0; i < p->lane_count; i++)
		if (p->lanes[i].next > p->lanes[i].cursor)
			p->lanes[i].cursor = p->lanes[i].next;
	state_committed(&p->state, cache_cap(f, p));
	kept_committed(&p->kept, KEPT_BYTES / f->cfg.partitions);
	size_batches(f, p, b);
	metric_add(METRIC_fold_commits, 1);
	metric_add(METRIC_events_folded, b->events - (int64_t)b->events_refused);
	metric_add(METRIC_events_refused, (int64_t)b->events_refused);
	metric_add(METRIC_frames_refused, (int64_t)b->frames_refused);
	if (b->events_refused)
		log_error("fold", "events refused", "partition=%u events=%zu", p->number, b->events_refused);
}

static void ask_state(struct fold *f, const struct partition *p)
{
	store_ask(f->r, p->number, &p->state);
	store_ask_kept(f->r, p->number, &p->kept);
}

static int take_state(struct fold *f, struct partition *p)
{
	int rc = store_take(f->r, p->number, &p->state, &f->why);

	return rc < 0 ? rc : store_take_kept(f->r, p->number, &p->kept, &f->why);
}

/* Which pages hits change is known only when the messages have been judged. */
static int apply_hits(struct fold *f, struct partition *p)
{
	int rc;

	kept_settle(&p->kept, f->cfg.rules, &p->state);
	store_ask(f->r, p->number, &p->state);
	rc = store_take(f->r, p->number, &p->state, &f->why);
	if (rc == 0)
		kept_apply(&p->kept, &p->state);
	return rc;
}

/* Fold what one XREAD brought. >=0: events and refused entries; -errno. */
static int64_t fold_batch(struct fold *f, struct partition *p, const struct rds_reply *streams)
{
	uint64_t now = clock_mono_ms();
	struct batch b = {0};
	size_t queued = 0;
	int rc;

	for (size_t i = 0; i < p->lane_count; i++)
		p->lanes[i].next = p->lanes[i].cursor;
	guard(f, p);
	walk_entries(f, p, streams, &b, &queued);
	if (b.entries == 0)
		return done(f, 3);
	ask_state(f, p);
	rc = guarded(f, p);
	if (rc >= 0) {
		/* also when it is not ours any more: what was asked for must be read */
		int failed = done(f, queued);

		if (failed == 0)
			failed = take_state(f, p);
		if (failed < 0)
			return failed;
	}
	if (rc > 0) {
		walk_again(f, p, APPLY, &b, &queued);
		rc = apply_hits(f, p);
		if (rc == 0)
			rc = commit(f, p, &b);
	}
	if (rc < 0)
		return rc;
	if (rc == 0) {
		lose(p);
		return 0;
	}
	p->renewed = now;
	settle(f, p, &b);
	return b.events + (int64_t)b.frames_refused;
}

/* Cut streams behind the cursors, once Redis itself has said where those are,
 * and only if they are still there: a store that was emptied meanwhile may have
 * been filled from the journals again. */
static int trim(struct fold *f, struct partition *p)
{
	struct rkey key = rkey_cursor(p->number);
	size_t due = 0, cuts = 0;
	int rc = 0;

	for (size_t i = 0; i < p->lane_count; i++) {
		char lane[16];

		if (p->lanes[i].cursor <= p->lanes[i].trimmed)
			continue;
		if (due == 0)
			rds_putv(f->r, SLICE("WATCH"), rkey_slice(&key));
		snprintf(lane, sizeof lane, "%08" PRIx32, p->lanes[i].lane);
		rds_putv(f->r, SLICE("HGET"), rkey_slice(&key), slice_str(lane));
		due++;
	}
	if (due)
		rc = done(f, 1);
	for (size_t i = 0; i < p->lane_count && due > 0 && rc == 0; i++) {
		struct lane *l = &p->lanes[i];
		struct rkey stream = rkey_stream(p->number, l->lane);
		uint64_t there;
		char at[24];

		if (l->cursor <= l->trimmed)
			continue;
		rc = number(f, &there);
		if (rc < 0 || there < l->cursor)
			continue;
		l->trimmed = l->cursor;
		snprintf(at, sizeof at, "%" PRIu64, l->cursor);
		if (cuts == 0)
			rds_putv(f->r, SLICE("MULTI"));
		rds_putv(
			f->r, SLICE("XTRIM"), rkey_slice(&stream), SLICE("MINID"), SLICE("~"), slice_str(at));
		cuts++;
	}
	if (rc < 0 || cuts == 0)
		return rc;
	rds_putv(f->r, SLICE("EXEC"));
	rc = executed(f, cuts + 1);
	return rc < 0 ? rc : 0;
}

/* Score one campaign by the present rules. 1: done. 0: the partition is not
 * ours. -errno. */
static int rescore(struct fold *f, struct partition *p, uint64_t campaign)
{
	uint64_t now = clock_mono_ms();
	struct rescore s;
	size_t n = 2;
	int rc;

	guard(f, p);
	rc = guarded(f, p);
	if (rc <= 0)
		return rc;
	rc = rescore_read(f->r, p->number, campaign, f->cfg.rules, &s, &f->why);
	if (rc < 0)
		return rc;
	rds_putv(f->r, SLICE("MULTI"));
	put_lease(f, p, p->fence);
	if (!rescore_agrees(&s))
		n += rescore_put(f->r, p->number, campaign, &s);
	rds_putv(f->r, SLICE("EXEC"));
	rescore_free(&s);
	rc = executed(f, n);
	if (rc > 0)
		p->renewed = now;
	return rc;
}

/* As rescore. */
static int note_rules(struct fold *f, struct partition *p)
{
	struct rkey key = rkey_rules(p->number);
	char version[16];
	int rc;

	guard(f, p);
	rc = guarded(f, p);
	if (rc <= 0)
		return rc;
	snprintf(version, sizeof version, "%u", f->cfg.rules->version);
	rds_putv(f->r, SLICE("MULTI"));
	rds_putv(f->r, SLICE("SET"), rkey_slice(&key), slice_str(version));
	rds_putv(f->r, SLICE("EXEC"));
	return executed(f, 2);
}

/* All campaigns of a partition that other rules scored. 0 or -errno. */
static int rescore_all(struct fold *f, struct partition *p)
{
	struct rkey all = rkey_campaigns(p->number);
	struct rds_reply *rep;
	uint64_t campaign;
	size_t n;
	int rc;

	rds_putv(f->r, SLICE("SMEMBERS"), rkey_slice(&all));
	rc = store_reply(f->r, &rep, &f->why);
	if (rc < 0)
		return rc;
	n = rds_len(rep);
	rc = 1;
	for (size_t i = 0; i < n && rc > 0; i++)
		if (hex64_decode(rds_text(rds_at(rep, i)), &campaign))
			rc = rescore(f, p, campaign);
	rds_reply_free(&rep);
	if (rc > 0)
		rc = note_rules(f, p);
	if (rc == 0)
		lose(p);
	if (rc <= 0)
		return rc;
	if (n)
		log_info("fold", "scored anew", "partition=%u campaigns=%zu rules=%u before=%u", p->number, n,
			f->cfg.rules->version, p->rules);
	p->rules = f->cfg.rules->version;
	return 0;
}

/* ---- withdrawal ---- */

/* Those who withdrew, and then the campaigns: what is made later has only mail
 * that is checked as it comes in. */
static int scan_start(struct fold *f, struct partition *p)
{
	struct rkey forget = rkey_forget(p->number), all = rkey_campaigns(p->number);
	struct rds_reply *asked, *rep;
	struct scan *s = &p->scan;
	size_t strays = 0;
	int rc;

	rds_putv(f->r, SLICE("SMEMBERS"), rkey_slice(&forget));
	rc = store_reply(f->r, &asked, &f->why);
	if (rc < 0)
		return rc;
	add_tombs(&s->asked, asked, 1, p->number);
	for (size_t i = 0; i < rds_len(asked); i++) {
		if (forget_get(&s->asked, rds_text(rds_at(asked, i))))
			continue;
		rds_putv(f->r, SLICE("SREM"), rkey_slice(&forget), rds_text(rds_at(asked, i)));
		strays++;
	}
	rds_reply_free(&asked);
	rds_putv(f->r, SLICE("SMEMBERS"), rkey_slice(&all));
	rc = done(f, strays);
	if (rc == 0)
		rc = store_reply(f->r, &rep, &f->why);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < s->asked.count; i++) {
		slice text = buf_slice(&s->asked.tomb[i].text);

		forget_add(&p->tombs, text);
		forget_get(&p->tombs, text)->again = false;
	}
	s->campaigns = must_alloc((rds_len(rep) + 1) * sizeof *s->campaigns);
	for (size_t i = 0; i < rds_len(rep); i++)
		if (hex64_decode(rds_text(rds_at(rep, i)), &s->campaigns[s->count]))
			s->count++;
	rds_reply_free(&rep);
	return 0;
}

/* One transaction. 2: there may be more of it. 1: done. 0: not ours. -errno. */
static int forget_some(struct fold *f, struct partition *p, uint64_t campaign)
{
	struct forget *g = must_alloc(sizeof *g);
	uint64_t now = clock_mono_ms();
	size_t n = 2;
	int rc;

	guard(f, p);
	rc = guarded(f, p);
	if (rc > 0) {
		rc = forget_read(f->r, p->number, campaign, &p->scan.asked, f->cfg.rules, g, &f->why);
		rc = rc < 0 ? rc : 1;
	}
	if (rc <= 0) {
		free(g);
		return rc;
	}
	if (g->messages || now - p->renewed >= f->cfg.lease_ms / 3) {
		rds_putv(f->r, SLICE("MULTI"));
		put_lease(f, p, p->fence);
		if (g->messages)
			n += forget_put(f->r, p->number, campaign, &p->scan.asked, g);
		rds_putv(f->r, SLICE("EXEC"));
		rc = executed(f, n);
	}
	if (rc > 0) {
		p->renewed = n > 2 ? now : p->renewed;
		metric_add(METRIC_messages_forgotten, (int64_t)g->messages);
		/* what is in memory does not know of it */
		if (g->messages) {
			state_forget(&p->state);
			kept_forget(&p->kept);
		}
		rc = g->messages == FORGET_MOST ? 2 : 1;
	}
	forget_free(g);
	free(g);
	return rc;
}

/* Whatever is folded leaves the streams at once: trim leaves some of it. */
static int trim_all(struct fold *f, const struct partition *p)
{
	size_t cuts = 0;

	for (size_t i = 0; i < p->lane_count; i++) {
		struct rkey stream = rkey_stream(p->number, p->lanes[i].lane);
		char at[24];

		if (!p->lanes[i].cursor)
			continue;
		snprintf(at, sizeof at, "%" PRIu64, p->lanes[i].cursor + 1);
		rds_putv(f->r, SLICE("XTRIM"), rkey_slice(&stream), SLICE("MINID"), slice_str(at));
		cuts++;
	}
	return done(f, cuts);
}

/* The tombstones are no longer asked for, but those for which mail came in
 * meanwhile. As executed. */
static int scan_commit(struct fold *f, struct partition *p)
{
	struct rkey forget = rkey_forget(p->number), forgotten = rkey_forgotten(p->number);
	uint64_t now = clock_mono_ms();
	size_t n = 2;
	int rc;

	guard(f, p);
	rc = guarded(f, p);
	if (rc <= 0)
		return rc;
	rds_putv(f->r, SLICE("MULTI"));
	put_lease(f, p, p->fence);
	for (size_t i = 0; i < p->scan.asked.count; i++) {
		slice text = buf_slice(&p->scan.asked.tomb[i].text);

		rds_putv(f->r, SLICE("HINCRBY"), rkey_slice(&forgotten), text, SLICE("0"));
		n++;
		if (forget_get(&p->tombs, text)->again)
			continue;
		rds_putv(f->r, SLICE("SREM"), rkey_slice(&forget), text);
		n++;
	}
	rds_putv(f->r, SLICE("EXEC"));
	rc = executed(f, n);
	if (rc > 0)
		p->renewed = now;
	return rc;
}

/* Some of what was withdrawn. 1: there is more to do. 0: there is not. -errno. */
static int withdraw(struct fold *f, struct partition *p)
{
	uint64_t until = clock_mono_ms() + FORGET_MS;
	struct scan *s = &p->scan;
	int rc = s->campaigns ? 0 : scan_start(f, p);

	if (rc < 0)
		return rc;
	rc = 1;
	while (s->at < s->count && rc > 0 && clock_mono_ms() < until) {
		rc = forget_some(f, p, s->campaigns[s->at]);
		s->at += rc == 1;
	}
	if (rc > 0 && s->at < s->count)
		return 1;
	if (rc > 0) {
		rc = trim_all(f, p);
		rc = rc < 0 ? rc : scan_commit(f, p);
	}
	if (rc > 0) {
		log_info("fold", "withdrawals done", "partition=%u addresses=%zu campaigns=%zu", p->number,
			s->asked.count, s->count);
		scan_end(s);
	}
	if (rc == 0)
		lose(p);
	return rc < 0 ? rc : 0;
}

/* ---- what is old ---- */

/* Mail that they mean no longer comes in. As executed. */
static int drop_tombs(struct fold *f, struct partition *p)
{
	uint64_t now = clock_ms(), keep = f->cfg.keep_tombstones_ms;
	struct rkey key = rkey_forgotten(p->number);
	size_t n = 1;
	int rc;

	guard(f, p);
	rc = guarded(f, p);
	if (rc <= 0)
		return rc;
	rds_putv(f->r, SLICE("MULTI"));
	for (size_t i = 0; i < p->tombs.count;) {
		const struct forget_tomb *t = &p->tombs.tomb[i];

		if (t->is.ms + keep > now || t->again) {
			i++;
			continue;
		}
		rds_putv(f->r, SLICE("HDEL"), rkey_slice(&key), buf_slice(&t->text));
		forget_drop(&p->tombs, i);
		n++;
	}
	rds_putv(f->r, SLICE("EXEC"));
	return executed(f, n);
}

/* As executed. */
static int tidy(struct fold *f, struct partition *p)
{
	p->tidied = clock_mono_ms();
	return f->cfg.keep_tombstones_ms && p->tombs.count ? drop_tombs(f, p) : 1;
}

static int tidy_when_due(struct fold *f, struct partition *p)
{
	int rc;

	if (p->rests || !p->fence || !p->warm || p->scan.campaigns ||
		(p->tidied && clock_mono_ms() - p->tidied < TIDY_MS))
		return 0;
	rc = tidy(f, p);
	if (rc == 0)
		lose(p);
	return rc < 0 ? rc : 0;
}

/* Second round trip: everything behind the cursors of the group. */
static int read_streams(struct fold *f, struct partition *group, unsigned n, struct rds_reply *out[GROUP])
{
	int rc = 0;

	for (unsigned i = 0; i < n; i++)
		if (!group[i].rests && group[i].fence && group[i].lane_count)
			ask_entries(f, &group[i]);
	for (unsigned i = 0; i < n && rc == 0; i++) {
		if (group[i].rests || !group[i].fence || !group[i].lane_count)
			continue;
		f->at = &group[i];
		rc = store_reply(f->r, &out[i], &f->why);
		/* a reply past the limits of rds would come back for ever */
		if (rc < 0)
			group[i].entries = 1;
	}
	return rc;
}

static int64_t turn_group(struct fold *f, struct partition *group, unsigned n)
{
	struct rds_reply *streams[GROUP] = {NULL};
	uint64_t now = clock_mono_ms();
	int64_t total = 0;
	int rc;

	for (unsigned i = 0; i < n; i++)
		group[i].rests = now < group[i].rest_until;
	rc = survey(f, group, n);
	if (rc > 0)
		rc = survey(f, group, n);
	for (unsigned i = 0; i < n && rc >= 0; i++)
		if (!group[i].rests && group[i].fence && group[i].warm &&
			group[i].rules != f->cfg.rules->version) {
			f->at = &group[i];
			rc = rescore_all(f, &group[i]);
		}
	for (unsigned i = 0; i < n && rc >= 0; i++)
		if (!group[i].rests && group[i].fence && group[i].warm &&
			(group[i].withdrawals || group[i].scan.campaigns)) {
			f->at = &group[i];
			rc = withdraw(f, &group[i]);
			total += rc > 0;
		}
	for (unsigned i = 0; i < n && rc >= 0; i++) {
		f->at = &group[i];
		rc = tidy_when_due(f, &group[i]);
	}
	if (rc >= 0)
		rc = read_streams(f, group, n, streams);
	for (unsigned i = 0; i < n && rc == 0; i++) {
		struct partition *p = &group[i];
		int64_t got = 0;

		if (p->rests)
			continue;
		f->at = p;
		if (streams[i] && rds_len(streams[i])) {
			got = fold_batch(f, p, streams[i]);
			rc = got < 0 ? (int)got : p->fence ? trim(f, p) : 0;
		} else if (p->fence && clock_mono_ms() - p->renewed >= f->cfg.lease_ms / 3) {
			rc = renew(f, p);
		}
		total += got;
	}
	for (unsigned i = 0; i < n; i++)
		rds_reply_free(&streams[i]);
	return rc < 0 ? rc : total;
}

/* Said once when it starts, once when it changes, once when it ends. */
static void say(struct fold *f, int rc)
{
	if (rc == f->failing)
		return;
	if (rc == 0)
		log_info("fold", "folding again", NULL);
	else if (rc != -EINVAL) /* that one was said where it was found */
		log_warn("fold", "cannot fold, will try again", "err=%s redis=%s", strerror(-rc),
			log_bytes(buf_slice(&f->why)));
	f->failing = rc;
}

int64_t fold_turn(struct fold *f)
{
	int64_t total = 0, got;
	int rc;

	buf_clear(&f->why);
	f->at = NULL;
	rc = connect_redis(f);
	for (unsigned i = 0; i < f->cfg.partitions && rc == 0; i += GROUP) {
		unsigned n = f->cfg.partitions - i < GROUP ? f->cfg.partitions - i : GROUP;

		got = turn_group(f, &f->partitions[i], n);
		if (got < 0)
			rc = (int)got;
		else
			total += got;
	}
	say(f, rc);
	if (rc < 0)
		disconnect(f);
	/* Redis itself said that it cannot now: the other partitions do not wait. */
	if (rc == -EAGAIN && f->at && f->why.len && f->cfg.redis.seed_count)
		f->at->rest_until = clock_mono_ms() + REST_MS;
	return rc < 0 ? rc : total;
}

static int give_back(struct fold *f, struct partition *p)
{
	struct rkey lease = lease_of(p);
	int rc;

	guard(f, p);
	rc = guarded(f, p);
	if (rc <= 0)
		return rc;
	rds_putv(f->r, SLICE("MULTI"));
	rds_putv(f->r, SLICE("DEL"), rkey_slice(&lease));
	rds_putv(f->r, SLICE("EXEC"));
	return executed(f, 2);
}

void fold_close(struct fold **fp)
{
	struct fold *f = *fp;
	int rc = 0;

	*fp = NULL;
	if (!f)
		return;
	for (unsigned i = 0; i < f->cfg.partitions && f->r && rc >= 0; i++)
		if (f->partitions[i].fence)
			rc = give_back(f, &f->partitions[i]);
	rds_close(&f->r);
	for (unsigned i = 0; i < f->cfg.partitions; i++) {
		free(f->partitions[i].lanes);
		state_free(&f->partitions[i].state);
		kept_free(&f->partitions[i].kept);
		forget_list_free(&f->partitions[i].tombs);
		scan_end(&f->partitions[i].scan);
	}
	free(f->partitions);
	free(f->frames);
	free(f->events);
	buf_free(&f->why);
	free(f);
}
