#include "collector/log_intake.h"

#include "collector/follow.h"
#include "collector/join.h"
#include "collector/postfix_log.h"
#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/metrics.h"
#include "core/model/rkey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BYTES_AN_EVENT 64 /* packed, and its share of frame heads: an upper bound */

/* A delivery of the chunk at hand. */
struct pending {
	struct event ev;
	uint8_t id_len; /* 0: the identity is known */
	char id[POSTFIX_LOG_MAX_ID];
};

struct log_intake {
	struct log_intake_config cfg;
	struct follow *follow;
	struct join *join;
	struct rds *rds; /* NULL: not connected */
	uint64_t rds_up_ms;

	/* The chunk at hand: read, not yet in the journal. */
	struct pending *pending; /* owned; LOG_INTAKE_EVENTS of them */
	size_t count, unknown;   /* unknown: of these, without identity */
	size_t bytes;            /* 0: there is no chunk at hand */
	bool put;                /* in the outbox, which waits for its disk */
	uint64_t lines;
	uint64_t unnoted;  /* bytes taken since the last note */
	uint64_t asked_ms; /* when its look-ups were first answered; 0: not yet */
	struct buf note;
};

/* Seconds east of Greenwich, for stamps without a zone. */
static int zone_now(uint64_t now_ms)
{
	time_t now = (time_t)(now_ms / 1000);
	struct tm tm;

	localtime_r(&now, &tm);
	return (int)tm.tm_gmtoff;
}

struct relearn {
	struct join *join;
	uint64_t now_ms;
	int zone_s;
};

static void relearn_line(void *arg, slice line)
{
	struct relearn *r = arg;
	struct log_fact f;
	struct event ev;
	slice id;

	if (postfix_log_read(line, r->now_ms, r->zone_s, &f) != LOG_FACT_NONE)
		join_read(r->join, &f, r->now_ms, &ev, &id);
}

/* The first start: from here on the log is ours to follow, also if it is
 * rotated and we are killed before its first event. */
static void note_start(struct log_intake *in)
{
	struct follow_place place;
	slice lines;

	if (follow_read(in->follow, &lines) < 0)
		return;
	place = follow_place_behind(in->follow, 0);
	if (!place.inode)
		return;
	follow_place_encode(&place, &in->note);
	outbox_note(in->cfg.outbox, buf_slice(&in->note));
	if (outbox_flush(in->cfg.outbox) < 0) {
		outbox_lose(in->cfg.outbox);
		log_warn("log_intake", "start of the log not noted", NULL);
	}
}

int log_intake_open(struct log_intake **out, const struct log_intake_config *cfg)
{
	struct join_config join = {.sealer = cfg->sealer, .domain = cfg->domain, .cap = JOIN_CAP};
	slice note = outbox_last_note(cfg->outbox);
	struct log_intake *in;
	struct relearn again;
	struct follow_place place;
	int rc = note.len ? follow_place_decode(note, &place) : 0;

	*out = NULL;
	if (rc < 0)
		return rc;
	in = must_zalloc(sizeof *in);
	in->cfg = *cfg;
	in->pending = must_alloc(LOG_INTAKE_EVENTS * sizeof *in->pending);
	buf_init(&in->note, 1024);
	in->join = join_open(&join);
	in->follow = follow_open(cfg->path, note.len ? &place : NULL);
	again = (struct relearn){.join = in->join, .now_ms = clock_ms()};
	again.zone_s = zone_now(again.now_ms);
	if (note.len)
		follow_history(in->follow, relearn_line, &again);
	else
		note_start(in);
	*out = in;
	return 0;
}

void log_intake_close(struct log_intake **inp)
{
	struct log_intake *in = *inp;

	*inp = NULL;
	if (!in)
		return;
	follow_close(&in->follow);
	join_close(&in->join);
	rds_close(&in->rds);
	buf_free(&in->note);
	free(in->pending);
	free(in);
}

/* One line into the chunk at hand. */
static void take_line(struct log_intake *in, slice line, uint64_t now_ms, int zone_s)
{
	struct pending *p = &in->pending[in->count];
	struct log_fact f;
	enum join_found found;
	slice id;

	in->lines++;
	if (postfix_log_read(line, now_ms, zone_s, &f) == LOG_FACT_NONE)
		return;
	found = join_read(in->join, &f, now_ms, &p->ev, &id);
	if (found == JOIN_NOTHING)
		return;
	p->id_len = 0;
	if (found == JOIN_ASK) {
		must(id.len && id.len <= sizeof p->id);
		memcpy(p->id, id.p, id.len);
		p->id_len = (uint8_t)id.len;
		in->unknown++;
	}
	in->count++;
}

/* Read the next chunk. >0: its bytes; 0: nothing new; -errno. */
static int64_t read_chunk(struct log_intake *in)
{
	uint64_t now_ms = clock_ms();
	int zone_s = zone_now(now_ms);
	slice lines;
	int64_t n = follow_read(in->follow, &lines);

	if (n <= 0)
		return n;
	in->count = in->unknown = in->bytes = 0;
	in->lines = in->asked_ms = 0;
	while (in->bytes < lines.len && in->count < LOG_INTAKE_EVENTS) {
		size_t lf = slice_chr(lines, '\n', in->bytes);
		size_t end = lf == SLICE_NPOS ? lines.len : lf;

		take_line(in, slice_sub(lines, in->bytes, end), now_ms, zone_s);
		in->bytes = lf == SLICE_NPOS ? end : end + 1;
	}
	return (int64_t)in->bytes;
}

static slice id_of(const struct pending *p)
{
	return slice_of(p->id, p->id_len);
}

/* 0 or -errno. */
static int connect_redis(struct log_intake *in)
{
	int rc = in->rds ? 0 : rds_open(&in->rds, &in->cfg.redis);

	if (rc == 0 && !in->rds_up_ms)
		in->rds_up_ms = clock_mono_ms();
	return rc;
}

static void lose_redis(struct log_intake *in, int rc)
{
	if (in->rds_up_ms)
		log_warn("log_intake", "redis lost", "err=%s", strerror(-rc));
	rds_close(&in->rds);
	in->rds_up_ms = 0;
}

/* The answer to one look-up. 0 or -errno. */
static int take_answer(struct log_intake *in, struct pending *p)
{
	struct join_identity who;
	struct rds_reply *rep;
	int rc = rds_get(in->rds, &rep);

	if (rc < 0)
		return rc;
	if (rds_kind(rep) == RDS_ERROR) {
		/* Loading, read-only replica gone, ...: as good as away. */
		rc = -EAGAIN;
	} else if (join_identity_decode(rds_text(rep), &who)) {
		join_learn(in->join, id_of(p), &who);
		join_stamp(&who, &p->ev);
		p->id_len = 0;
		in->unknown--;
	}
	rds_reply_free(&rep);
	return rc;
}

/* Ask for every identity that is missing, in one round trip. 0 or -errno. */
static int look_up(struct log_intake *in)
{
	int rc = connect_redis(in);

	for (size_t i = 0; rc == 0 && i < in->count; i++) {
		struct rkey key;

		if (!in->pending[i].id_len)
			continue;
		key = rkey_queue(id_of(&in->pending[i]));
		rds_putv(in->rds, SLICE("GET"), rkey_slice(&key));
	}
	for (size_t i = 0; rc == 0 && i < in->count; i++)
		if (in->pending[i].id_len)
			rc = take_answer(in, &in->pending[i]);
	if (rc < 0)
		lose_redis(in, rc);
	else if (!in->asked_ms)
		in->asked_ms = clock_mono_ms();
	return rc;
}

/* May the missing identities still come? */
static bool worth_waiting(struct log_intake *in)
{
	uint64_t mono = clock_mono_ms(), now = clock_ms(), wait = in->cfg.join_wait_ms;
	bool catching_up = mono - in->rds_up_ms < in->cfg.catch_up_ms;

	if (in->cfg.settled && !in->cfg.settled(in->cfg.arg))
		return true;
	if (!catching_up && mono - in->asked_ms >= wait)
		return false;
	for (size_t i = 0; i < in->count; i++) {
		const struct pending *p = &in->pending[i];

		if (!p->id_len || join_in_vain(in->join, id_of(p)))
			continue;
		/* Stamps of whole seconds lie up to a second back. */
		if (catching_up || p->ev.ms + wait + 1000 >= now)
			return true;
	}
	return false;
}

/* Events and place into the outbox. 0, or -errno: not yet. */
static int put_chunk(struct log_intake *in, size_t facts)
{
	struct follow_place place = follow_place_behind(in->follow, in->bytes);
	int rc = outbox_ready(in->cfg.outbox, facts * BYTES_AN_EVENT + in->note.cap);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < in->count; i++)
		if (!in->pending[i].id_len)
			outbox_put(in->cfg.outbox, &in->pending[i].ev);
	buf_clear(&in->note);
	follow_place_encode(&place, &in->note);
	outbox_note(in->cfg.outbox, buf_slice(&in->note));
	in->put = true;
	return 0;
}

/* Events and place into the journal, both or neither. 0, or -errno: they are
 * still to be written. */
static int record(struct log_intake *in, size_t facts)
{
	int64_t rc = in->put ? 0 : put_chunk(in, facts);

	if (rc == 0)
		rc = outbox_flush(in->cfg.outbox);
	if (rc < 0)
		return (int)rc;
	in->put = false;
	in->unnoted = 0;
	return 0;
}

/* The chunk is done with. Its bytes, or -errno: nothing was taken. */
static int64_t commit(struct log_intake *in)
{
	size_t facts = in->count - in->unknown, bytes = in->bytes;

	/* To read lines without events again after a crash costs little, to write
	 * a note for each of them would cost more. */
	if (facts > 0 || in->unnoted + bytes >= LOG_INTAKE_NOTE_BYTES) {
		int rc = record(in, facts);

		if (rc < 0)
			return rc;
	} else {
		in->unnoted += bytes;
	}
	for (size_t i = 0; i < in->count; i++)
		if (in->pending[i].id_len)
			join_learn(in->join, id_of(&in->pending[i]), NULL);
	metric_add(METRIC_log_lines, (int64_t)in->lines);
	metric_add(METRIC_log_facts, (int64_t)facts);
	metric_add(METRIC_log_unmatched, (int64_t)in->unknown);
	follow_take(in->follow, bytes);
	in->bytes = 0;
	return (int64_t)bytes;
}

int64_t log_intake_turn(struct log_intake *in)
{
	int64_t rc;

	if (in->bytes == 0) {
		rc = read_chunk(in);
		if (rc <= 0)
			return rc;
	} else {
		follow_watch(in->follow);
	}
	if (in->unknown && !in->put) {
		rc = look_up(in);
		if (rc < 0)
			return rc;
		if (in->unknown && worth_waiting(in))
			return 0;
	}
	return commit(in);
}
