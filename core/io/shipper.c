#include "core/io/shipper.h"

#include "core/base/bytes.h"
#include "core/base/crc32c.h"
#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/metrics.h"
#include "core/model/event.h"
#include "core/model/frame.h"
#include "core/model/rkey.h"
#include "core/parse/num.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TURN_MS 1000   /* how often Redis is asked whether it still has everything */
#define CONNECT_MS 100 /* never more often than this */
#define STATE_FILE "shipped"
#define STATE_HEAD 56
#define STATE_PART 24
#define ID_MAX 24 /* "18446744073709551615-0" */

/* How far one partition has got. All of it that stands before the shipper's
 * position is in Redis for as long as the stream's last id is at least there. */
struct part {
	uint64_t there;
	uint64_t last;   /* the highest position that was ever known to be in Redis */
	uint64_t events; /* of this partition up to last */
};

/* A frame on its way. */
struct load {
	slice bytes; /* borrows chunk or divided */
	uint64_t position;
	uint32_t count;
	uint16_t partition;
	bool there;   /* Redis has it already */
	bool grouped; /* has been put into the pipeline */
};

struct shipper {
	struct shipper_config cfg;
	char lane[9];
	pthread_t thread;
	bool started;

	/* Guards everything down to the blank line. */
	pthread_mutex_t lock;
	pthread_cond_t news;
	bool woken;
	bool stop;
	uint64_t deadline;
	struct shipper_count count;

	/* The thread's own. */
	struct rds *redis; /* owned; NULL: not connected */
	struct part *parts;
	uint64_t position;  /* everything before it is in Redis, or lost */
	uint64_t drained;   /* nothing stands between position and this one */
	uint64_t seen;      /* events before position */
	uint64_t lost_mark; /* losses before this position are counted */
	uint64_t kept;      /* position in the state file, durable */
	bool known;         /* parts tell about everything before position */
	bool changed;       /* since the state file was written */
	uint64_t unwritten; /* as the state file has it */
	bool fine;          /* what was last said about Redis */
	bool said_mismatch;
	unsigned step;
	uint64_t connected_ms;
	uint64_t next_turn;
	uint8_t *chunk;
	struct load *loads;
	unsigned *groups;
	struct buf divided; /* frames made from one whose events belong to several partitions */
};

/* What a conversation with Redis came to. */
enum outcome {
	DONE,
	FORGOT,  /* Redis has lost entries: connect and ask again what it has */
	REFUSED, /* or the connection is gone: pause, connect, ask again */
};

/* Waiting. */

static void nap(struct shipper *s, uint64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += (time_t)(ms / 1000) + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&s->lock);
	while (!s->woken && !s->stop)
		if (pthread_cond_timedwait(&s->news, &s->lock, &until) == ETIMEDOUT)
			break;
	s->woken = false;
	pthread_mutex_unlock(&s->lock);
}

/* A pause after trouble: news do not end it, only the order to stop does, and
 * then not before the deadline. */
static void rest(struct shipper *s, uint64_t ms)
{
	uint64_t now = clock_mono_ms(), until = now + ms;

	for (; now < until; now = clock_mono_ms()) {
		pthread_mutex_lock(&s->lock);
		if (s->stop && s->deadline < until)
			until = s->deadline;
		pthread_mutex_unlock(&s->lock);
		if (now < until) {
			struct timespec few = {0, (long)(until - now < 20 ? until - now : 20) * 1000000};

			nanosleep(&few, NULL);
		}
	}
}

static bool must_stop(struct shipper *s)
{
	bool yes;

	pthread_mutex_lock(&s->lock);
	yes = s->stop && (clock_mono_ms() >= s->deadline || s->position >= journal_synced(s->cfg.journal) ||
				 s->drained >= journal_synced(s->cfg.journal));
	pthread_mutex_unlock(&s->lock);
	return yes;
}

/* The state file: how far this lane had got, so that a restart need not read
 * the whole journal and knows what retention took.
 *
 *	 0  "LFSHIP1\n"        32  events lost
 *	 8  lane               40  losses before this position are counted
 *	12  partitions         48  events that never reached the journal
 *	16  position           56  per partition: there, last, events (8 each)
 *	24  zeros               n  CRC-32C of all before
 */
static const uint8_t state_magic[8] = "LFSHIP1\n";

static size_t state_size(const struct shipper *s)
{
	return STATE_HEAD + (size_t)s->cfg.partitions * STATE_PART + 4;
}

static void state_save(struct shipper *s, bool durable)
{
	uint64_t unwritten = atomic_load(s->cfg.unwritten);
	struct buf out;
	int rc;

	buf_init(&out, state_size(s));
	buf_put(&out, slice_of(state_magic, sizeof state_magic));
	buf_le32(&out, journal_lane(s->cfg.journal));
	buf_le32(&out, s->cfg.partitions);
	buf_le64(&out, s->position);
	buf_le64(&out, 0);
	buf_le64(&out, s->count.lost);
	buf_le64(&out, s->lost_mark);
	buf_le64(&out, unwritten);
	for (unsigned p = 0; p < s->cfg.partitions; p++) {
		buf_le64(&out, s->parts[p].there);
		buf_le64(&out, s->parts[p].last);
		buf_le64(&out, s->parts[p].events);
	}
	buf_le32(&out, crc32c(buf_slice(&out)));
	must(!out.full);
	rc = journal_store(s->cfg.journal, STATE_FILE, buf_slice(&out), durable);
	if (rc == 0 && durable)
		s->kept = s->position;
	if (rc < 0)
		log_warn("shipper", "state not saved", "err=%s", strerror(-rc));
	if (rc == 0) {
		s->changed = false;
		s->unwritten = unwritten;
	}
	buf_free(&out);
}

static void state_load(struct shipper *s)
{
	struct buf in;
	size_t size = state_size(s);

	buf_init(&in, STATE_HEAD + 65536 * STATE_PART + 4);
	s->position = journal_oldest(s->cfg.journal);
	if (journal_load(s->cfg.journal, STATE_FILE, &in) < 0 || in.len < STATE_HEAD + 4 ||
		memcmp(in.p, state_magic, sizeof state_magic) != 0 ||
		get_le32(in.p + in.len - 4) != crc32c(slice_sub(buf_slice(&in), 0, in.len - 4)) ||
		get_le32(in.p + 8) != journal_lane(s->cfg.journal))
		goto out;
	s->count.lost = get_le64(in.p + 32);
	s->lost_mark = get_le64(in.p + 40);
	s->unwritten = get_le64(in.p + 48);
	atomic_fetch_add(s->cfg.unwritten, s->unwritten);
	/* Another number of partitions: what was learned about them is void. */
	if (in.len != size || get_le32(in.p + 12) != s->cfg.partitions ||
		get_le64(in.p + 16) > journal_end(s->cfg.journal))
		goto out;
	s->position = s->kept = get_le64(in.p + 16);
	for (unsigned p = 0; p < s->cfg.partitions; p++) {
		const uint8_t *at = in.p + STATE_HEAD + p * STATE_PART;

		s->parts[p] = (struct part){get_le64(at), get_le64(at + 8), get_le64(at + 16)};
	}
	s->known = true;
out:
	s->seen = journal_events_at(s->cfg.journal, s->position);
	s->count.passed = s->seen;
	buf_free(&in);
}

/* Counting. */

static void publish(struct shipper *s)
{
	pthread_mutex_lock(&s->lock);
	s->count.passed = s->seen;
	pthread_mutex_unlock(&s->lock);
	s->changed = true;
}

static void lose(struct shipper *s, uint64_t events, const char *why)
{
	if (!events)
		return;
	pthread_mutex_lock(&s->lock);
	s->count.lost += events;
	pthread_mutex_unlock(&s->lock);
	metric_add(METRIC_events_lost, (int64_t)events);
	log_error("shipper", "events lost", "lane=%s events=%" PRIu64 " why=%s", s->lane, events, why);
	s->changed = true;
}

/* Saying what changed, once. */

static void say_trouble(struct shipper *s, const char *what, slice text)
{
	if (!s->fine)
		return;
	s->fine = false;
	log_warn("shipper", "redis lost", "lane=%s while=%s reply=%s waiting=%" PRIu64, s->lane, what,
		log_bytes(text), journal_events(s->cfg.journal) - s->seen);
}

static void say_fine(struct shipper *s)
{
	s->step = 0;
	if (s->fine)
		return;
	s->fine = true;
	log_info("shipper", "redis takes events", "lane=%s waiting=%" PRIu64, s->lane,
		journal_events(s->cfg.journal) - s->seen);
}

static enum outcome fail_errno(struct shipper *s, const char *what, int rc)
{
	say_trouble(s, what, slice_str(strerror(-rc)));
	return REFUSED;
}

static enum outcome fail_reply(struct shipper *s, const char *what, const struct rds_reply *rep)
{
	say_trouble(s, what, rds_text(rep));
	return REFUSED;
}

/* Asking what Redis has. */

static bool id_decode(slice text, uint64_t *position)
{
	size_t dash = slice_chr(text, '-', 0);

	return num_decode(slice_sub(text, 0, dash), UINT64_MAX, position) == 0;
}

/* The last id of a stream out of the answer to XINFO STREAM. */
static enum outcome read_last_id(struct shipper *s, const struct rds_reply *rep, uint64_t *last)
{
	*last = 0;
	if (rds_is_error(rep, "ERR") && slice_ifind(rds_text(rep), SLICE("no such key"), 0) != SLICE_NPOS)
		return DONE;
	for (size_t i = 0; i + 1 < rds_len(rep); i += 2)
		if (slice_eq(rds_text(rds_at(rep, i)), SLICE("last-generated-id")) &&
			id_decode(rds_text(rds_at(rep, i + 1)), last))
			return DONE;
	return fail_reply(s, "XINFO", rep);
}

/* The store has another number of partitions than we were told: a human must
 * act, as frames would go where no fold looks. */
static enum outcome check_partitions(struct shipper *s, const struct rds_reply *rep)
{
	int64_t n = rds_int(rep);

	if (n == (int64_t)s->cfg.partitions) {
		s->said_mismatch = false;
		return DONE;
	}
	if (rds_kind(rep) != RDS_STRING)
		return fail_reply(s, "HGET", rep);
	if (!s->said_mismatch)
		log_error("shipper", "store.partitions differs from the store",
			"store.partitions=%u redis=%" PRId64 " do=set-it-back", s->cfg.partitions, n);
	s->said_mismatch = true;
	return fail_reply(s, "partitions", rep);
}

static int put_questions(struct shipper *s, const struct account *a)
{
	uint32_t lane = journal_lane(s->cfg.journal);
	char n[16];
	struct buf text;
	struct rkey key;

	snprintf(n, sizeof n, "%u", s->cfg.partitions);
	rds_putv(s->redis, SLICE("HSETNX"), SLICE(RKEY_META), SLICE("partitions"), slice_str(n));
	rds_putv(s->redis, SLICE("HGET"), SLICE(RKEY_META), SLICE("partitions"));
	buf_init(&text, 512);
	account_encode(a, &text);
	rds_putv(s->redis, SLICE("HSET"), SLICE(RKEY_PRODUCERS), slice_str(s->lane), buf_slice(&text));
	buf_free(&text);
	for (unsigned p = 0; p < s->cfg.partitions; p++) {
		key = rkey_lanes(p);
		rds_putv(s->redis, SLICE("SADD"), rkey_slice(&key), slice_str(s->lane));
		key = rkey_stream(p, lane);
		rds_putv(s->redis, SLICE("XINFO"), SLICE("STREAM"), rkey_slice(&key));
	}
	return 3 + 2 * (int)s->cfg.partitions;
}

/* Fills last[] with the last position of each stream, 0 where there is none. */
static enum outcome ask_all(struct shipper *s, uint64_t *last)
{
	struct account a = s->cfg.account(s->cfg.arg);
	int n = put_questions(s, &a);
	enum outcome got = DONE;

	for (int i = 0; i < n && got == DONE; i++) {
		struct rds_reply *rep;
		int rc = rds_get(s->redis, &rep);

		if (rc < 0)
			return fail_errno(s, "asking", rc);
		if (i == 1)
			got = check_partitions(s, rep);
		else if (i >= 3 && i % 2 == 0)
			got = read_last_id(s, rep, &last[(i - 3) / 2]);
		else if (rds_kind(rep) != RDS_INT)
			got = fail_reply(s, "asking", rep);
		rds_reply_free(&rep);
	}
	return got;
}

/* Redis has less of a partition than the journal still has: what was in
 * segments that are gone is lost. */
static void count_retired(struct shipper *s, const uint64_t *last)
{
	struct journal *j = s->cfg.journal;
	uint64_t oldest = journal_oldest(j), pos = oldest, stop = 0, at, *found;
	int64_t n;

	for (unsigned p = 0; p < s->cfg.partitions; p++)
		if (last[p] < s->parts[p].there && last[p] < oldest && s->parts[p].last >= stop)
			stop = s->parts[p].last + 1;
	if (!stop)
		return;
	found = must_zalloc(s->cfg.partitions * sizeof *found);
	while (pos < stop && (n = journal_read(j, pos, s->chunk, FRAME_MAX, &at)) > 0) {
		struct frame f;

		for (size_t i = 0; i < (size_t)n; i += f.size) {
			must(frame_decode(slice_sub(slice_of(s->chunk, (size_t)n), i, (size_t)n), &f) == 1);
			if (f.partition < s->cfg.partitions && f.position <= s->parts[f.partition].last)
				found[f.partition] += f.count;
		}
		pos = at + (uint64_t)n;
	}
	for (unsigned p = 0; p < s->cfg.partitions; p++) {
		struct part *t = &s->parts[p];

		if (last[p] >= t->there || last[p] >= oldest || found[p] >= t->events)
			continue;
		lose(s, t->events - found[p], "retention");
		t->events = found[p]; /* once */
	}
	free(found);
}

/* Go back to where the partition stands that lacks most. */
static void place(struct shipper *s, const uint64_t *last)
{
	struct journal *j = s->cfg.journal;
	uint64_t resume = s->known ? s->position : UINT64_MAX, most = 0;
	bool forgot = false;

	if (s->known)
		count_retired(s, last);
	for (unsigned p = 0; p < s->cfg.partitions; p++) {
		struct part *t = &s->parts[p];

		if (s->known && last[p] < t->there)
			forgot = true;
		if ((!s->known || last[p] < t->there) && last[p] < resume)
			resume = last[p];
		if (last[p] > most)
			most = last[p];
		t->there = last[p];
	}
	s->known = true;
	if (forgot)
		log_warn("shipper", "redis forgot entries", "lane=%s refill_from=%" PRIu64, s->lane, resume);
	if (most >= journal_end(j) && most > s->lost_mark) {
		log_error("shipper", "journal is older than redis", "lane=%s end=%" PRIu64 " redis=%" PRIu64,
			s->lane, journal_end(j), most);
		journal_skip(j, most);
		s->lost_mark = most;
	}
	if (resume < s->position && resume < journal_oldest(j))
		resume = journal_oldest(j);
	if (resume >= s->position)
		return;
	s->position = resume;
	s->drained = 0;
	s->seen = journal_events_at(j, resume);
	publish(s);
}

static enum outcome look(struct shipper *s)
{
	uint64_t *last = must_zalloc(s->cfg.partitions * sizeof *last);
	enum outcome got = ask_all(s, last);

	if (got == DONE)
		place(s, last);
	free(last);
	return got;
}

/* Shipping. */

static void put_entry(struct shipper *s, const struct load *l)
{
	struct rkey key = rkey_stream(l->partition, journal_lane(s->cfg.journal));
	char id[ID_MAX];
	slice argv[6] = {SLICE("XADD"), rkey_slice(&key)};
	int n = 2;

	snprintf(id, sizeof id, "%" PRIu64 "-0", l->position);
	/* A stream that was there and is gone must not begin again in the middle. */
	if (s->parts[l->partition].there)
		argv[n++] = SLICE("NOMKSTREAM");
	argv[n++] = slice_str(id);
	argv[n++] = SLICE("f");
	argv[n++] = l->bytes;
	rds_put(s->redis, n, argv);
}

/* Entries of one partition go in one transaction: an error in the middle and a
 * success behind it would leave a hole that can never be filled. */
static unsigned put_group(struct shipper *s, struct load *loads, size_t n, size_t first)
{
	unsigned entries = 0;

	for (size_t i = first; i < n; i++)
		entries += !loads[i].there && loads[i].partition == loads[first].partition;
	if (entries > 1)
		rds_putv(s->redis, SLICE("MULTI"));
	for (size_t i = first; i < n; i++) {
		if (loads[i].there || loads[i].partition != loads[first].partition)
			continue;
		put_entry(s, &loads[i]);
		loads[i].grouped = true;
	}
	if (entries > 1)
		rds_putv(s->redis, SLICE("EXEC"));
	return entries;
}

static enum outcome read_entry(struct shipper *s, const struct rds_reply *rep)
{
	if (rds_kind(rep) == RDS_STRING)
		return DONE;
	if (rds_kind(rep) == RDS_NIL)
		return FORGOT;
	/* It is there already: the answer to an earlier try got lost. */
	if (rds_kind(rep) == RDS_ERROR &&
		slice_ifind(rds_text(rep), SLICE("equal or smaller"), 0) != SLICE_NPOS)
		return DONE;
	return fail_reply(s, "XADD", rep);
}

static enum outcome read_transaction(struct shipper *s, const struct rds_reply *rep, unsigned entries)
{
	enum outcome got = DONE;

	if (rds_kind(rep) != RDS_ARRAY || rds_len(rep) != entries)
		return fail_reply(s, "EXEC", rep);
	for (unsigned i = 0; i < entries && got == DONE; i++)
		got = read_entry(s, rds_at(rep, i));
	return got;
}

static enum outcome read_group(struct shipper *s, unsigned entries)
{
	unsigned replies = entries > 1 ? entries + 2 : 1;
	enum outcome got = DONE;

	for (unsigned i = 0; i < replies && got == DONE; i++) {
		struct rds_reply *rep;
		int rc = rds_get(s->redis, &rep);

		if (rc < 0)
			return fail_errno(s, "XADD", rc);
		if (entries == 1)
			got = read_entry(s, rep);
		else if (i + 1 == replies)
			got = read_transaction(s, rep, entries);
		else if (rds_kind(rep) != RDS_STATUS)
			got = fail_reply(s, "MULTI", rep);
		rds_reply_free(&rep);
	}
	return got;
}

static enum outcome send_all(struct shipper *s, struct load *loads, size_t n)
{
	size_t count = 0;
	enum outcome got = DONE;

	for (size_t i = 0; i < n; i++)
		if (!loads[i].there && !loads[i].grouped)
			s->groups[count++] = put_group(s, loads, n, i);
	for (size_t i = 0; i < count && got == DONE; i++)
		got = read_group(s, s->groups[i]);
	return got;
}

static void confirm(struct shipper *s, const struct load *l)
{
	struct part *t = &s->parts[l->partition];

	if (!l->there)
		t->there = l->position;
	if (l->position <= t->last)
		return; /* a refill: counted before */
	t->last = l->position;
	t->events += l->count;
	metric_add(METRIC_events_shipped, l->count);
}

/* Do all events of a frame belong to its partition? Not if the configuration
 * named another number of partitions when it was written. */
static bool undivided(const struct shipper *s, const struct frame *f)
{
	struct event e;
	int n;

	for (size_t at = 0; (n = event_decode(slice_from(f->body, at), f->base_ms, &e)) > 0; at += (size_t)n)
		if (partition_of(e.campaign, s->cfg.partitions) != f->partition)
			return false;
	return f->partition < s->cfg.partitions;
}

/* The events of f that belong to partition p as a frame of the same position;
 * nothing if there are none. */
static void divide_one(struct shipper *s, const struct frame *f, unsigned p, struct load *l)
{
	size_t head = frame_begin(&s->divided, f->base_ms, (uint16_t)p);
	uint32_t count = 0;
	struct event e;
	int n;

	for (size_t at = 0; (n = event_decode(slice_from(f->body, at), f->base_ms, &e)) > 0; at += (size_t)n)
		if (partition_of(e.campaign, s->cfg.partitions) == p) {
			buf_put(&s->divided, slice_sub(f->body, at, at + (size_t)n));
			count++;
		}
	*l = (struct load){.position = f->position, .partition = (uint16_t)p, .count = count};
	if (!count) {
		s->divided.len = head;
		return;
	}
	frame_end(&s->divided, head, f->lane, f->position, 0, count);
	must(!s->divided.full);
	l->bytes = slice_of(NULL, s->divided.len - head);
}

static size_t divide(struct shipper *s, const struct frame *f, struct load *loads)
{
	size_t count = 0, at = 0;

	buf_clear(&s->divided);
	for (unsigned p = 0; p < s->cfg.partitions; p++) {
		divide_one(s, f, p, &loads[count]);
		loads[count].there = f->position <= s->parts[p].there;
		count += loads[count].count != 0;
	}
	/* Only now does the buffer stay where it is. */
	for (size_t i = 0; i < count; at += loads[i++].bytes.len)
		loads[i].bytes = slice_sub(buf_slice(&s->divided), at, at + loads[i].bytes.len);
	return count;
}

/* What a step from position to at has cost: the next segment's head tells how
 * many events there were. */
static uint64_t stepped(struct shipper *s, uint64_t at)
{
	uint64_t total = at > s->position ? journal_events_at(s->cfg.journal, at) : s->seen, gone = 0;

	if (total > s->seen) {
		gone = total - s->seen;
		if (at > s->lost_mark)
			lose(s, gone, "damage");
	}
	if (at > s->lost_mark)
		s->lost_mark = at;
	return gone;
}

/* The next synced frames from position on. *next is behind them, *events those
 * among all that was passed. *next == position: nothing new. */
static size_t collect(struct shipper *s, uint64_t *next, uint64_t *events)
{
	struct journal *j = s->cfg.journal;
	uint64_t synced = journal_synced(j), at;
	size_t count = 0, bytes = 0;
	int64_t n;
	struct frame f;

	*next = s->position;
	*events = 0;
	if (s->position >= synced || s->drained >= synced)
		return 0;
	n = journal_read(j, s->position, s->chunk, FRAME_MAX, &at);
	if (n < 0) {
		log_warn("shipper", "journal not read", "err=%s", strerror((int)-n));
		return 0;
	}
	if (n == 0) {
		/* The position stays behind the last frame: the rest of a segment
		 * may yet be filled. */
		s->drained = synced;
		return 0;
	}
	*events = stepped(s, at);
	for (size_t i = 0; i < (size_t)n; i += f.size) {
		slice in = slice_sub(slice_of(s->chunk, (size_t)n), i, (size_t)n);

		must(frame_decode(in, &f) == 1);
		if (f.position + f.size > synced || count == SHIPPER_FRAMES || bytes + f.size > SHIPPER_BYTES)
			break;
		*next = f.position + f.size;
		if (f.partition == FRAME_NOTE)
			continue;
		*events += f.count;
		if (!undivided(s, &f)) {
			count += divide(s, &f, s->loads + count);
			break;
		}
		s->loads[count++] = (struct load){.bytes = slice_sub(in, 0, f.size),
			.position = f.position,
			.count = f.count,
			.partition = f.partition,
			.there = f.position <= s->parts[f.partition].there};
		bytes += f.size;
	}
	return count;
}

/* One round. *moved: there may be more. */
static enum outcome ship(struct shipper *s, bool *moved)
{
	uint64_t next, events;
	size_t n = collect(s, &next, &events);
	enum outcome got;

	*moved = next > s->position;
	got = n ? send_all(s, s->loads, n) : DONE;
	if (got != DONE)
		return got;
	for (size_t i = 0; i < n; i++)
		confirm(s, &s->loads[i]);
	if (*moved) {
		s->position = next;
		s->seen += events;
		publish(s);
	}
	return DONE;
}

static enum outcome connect_redis(struct shipper *s)
{
	uint64_t now = clock_mono_ms();
	enum outcome got;
	int rc;

	if (s->connected_ms && now < s->connected_ms + CONNECT_MS)
		rest(s, s->connected_ms + CONNECT_MS - now);
	s->connected_ms = clock_mono_ms();
	metric_add(METRIC_ship_reconnects, 1);
	rc = rds_open(&s->redis, &s->cfg.redis);
	if (rc < 0)
		return fail_errno(s, "connecting", rc);
	got = look(s);
	s->next_turn = clock_mono_ms() + TURN_MS;
	return got;
}

/* Everything is kept before anything is deleted: the state file must know of
 * what the segments can no longer tell. */
static void tidy(struct shipper *s)
{
	struct journal *j = s->cfg.journal;

	if (s->changed || s->unwritten != atomic_load(s->cfg.unwritten))
		state_save(s, s->position - s->kept >= journal_capacity(j));
	journal_retire(j, s->position < s->kept ? s->position : s->kept, clock_ms());
}

static enum outcome turn(struct shipper *s, bool *moved)
{
	enum outcome got;

	*moved = false;
	if (!s->redis) {
		got = connect_redis(s);
	} else if (clock_mono_ms() >= s->next_turn) {
		got = look(s);
		if (got == DONE)
			say_fine(s);
		s->next_turn = clock_mono_ms() + TURN_MS;
	} else {
		got = ship(s, moved);
		if (got == DONE && *moved)
			say_fine(s);
		return got;
	}
	*moved = got == DONE;
	return got;
}

static void *run(void *arg)
{
	struct shipper *s = arg;
	uint64_t tidied = clock_mono_ms(), now;
	bool moved;

	while (!must_stop(s)) {
		enum outcome got = turn(s, &moved);

		/* Replies are still on their way: only a new connection is in step. */
		if (got == FORGOT)
			rds_close(&s->redis);
		if (got == REFUSED) {
			rds_close(&s->redis);
			rest(s, (uint64_t)rds_backoff_ms(&s->step));
		}
		now = clock_mono_ms();
		if (now - tidied >= TURN_MS || s->position - s->kept >= journal_capacity(s->cfg.journal)) {
			tidy(s);
			tidied = now;
		}
		if (got == DONE && !moved)
			nap(s, s->next_turn > now ? s->next_turn - now : 1);
	}
	/* The last word on the account, if Redis listens. */
	if (s->redis)
		look(s);
	rds_close(&s->redis);
	state_save(s, true);
	return NULL;
}

void shipper_open(struct shipper **out, const struct shipper_config *cfg)
{
	struct shipper *s = must_zalloc(sizeof *s);
	pthread_condattr_t monotonic;

	s->cfg = *cfg;
	s->fine = true;
	snprintf(s->lane, sizeof s->lane, "%08x", journal_lane(cfg->journal));
	s->parts = must_zalloc(cfg->partitions * sizeof *s->parts);
	s->chunk = must_alloc(FRAME_MAX);
	s->loads = must_zalloc((SHIPPER_FRAMES + cfg->partitions) * sizeof *s->loads);
	s->groups = must_zalloc((SHIPPER_FRAMES + cfg->partitions) * sizeof *s->groups);
	buf_init(&s->divided, FRAME_MAX + (size_t)cfg->partitions * FRAME_HEAD);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->news, &monotonic);
	pthread_condattr_destroy(&monotonic);
	state_load(s);
	*out = s;
}

void shipper_start(struct shipper *s)
{
	sigset_t all, old;

	/* Signals are the program's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	must(pthread_create(&s->thread, NULL, run, s) == 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	s->started = true;
}

void shipper_close(struct shipper **sp, unsigned drain_ms)
{
	struct shipper *s = *sp;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	s->deadline = clock_mono_ms() + drain_ms;
	pthread_cond_signal(&s->news);
	pthread_mutex_unlock(&s->lock);
	if (s->started)
		pthread_join(s->thread, NULL);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->news);
	free(s->parts);
	free(s->chunk);
	free(s->loads);
	free(s->groups);
	buf_free(&s->divided);
	free(s);
	*sp = NULL;
}

void shipper_wake(struct shipper *s)
{
	pthread_mutex_lock(&s->lock);
	s->woken = true;
	pthread_cond_signal(&s->news);
	pthread_mutex_unlock(&s->lock);
}

struct shipper_count shipper_count(const struct shipper *s)
{
	struct shipper *own = (struct shipper *)s;
	struct shipper_count c;

	pthread_mutex_lock(&own->lock);
	c = s->count;
	pthread_mutex_unlock(&own->lock);
	return c;
}
