#include "collector/log_facts.h"

#include "collector/classify.h"
#include "collector/queue_table.h"
#include "core/base/must.h"
#include "core/parse/date.h"
#include "core/parse/json.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of our own; p NULL: not known. */
struct text {
	uint8_t *p;
	size_t len;
};

/* A recipient whose last outcome was a deferral. */
struct waiting {
	struct waiting *next;
	struct text recipient, relay, dsn, diagnostic;
	uint16_t reply;
	unsigned deferrals; /* so far */
};

struct history {
	struct text sender, message_id;
	unsigned attempts; /* where a line says that one begins; else 0 */
	unsigned waiting_count;
	struct waiting *waiting;
};

/* What a reply takes while it is read. */
#define SCRATCH (4 * SAID_MAX_TEXT)

struct log_facts {
	struct queue_table *table;
	struct arena scratch; /* empty between lines */
};

static void keep(struct text *t, slice s)
{
	free(t->p);
	t->p = s.p ? must_alloc(s.len) : NULL;
	t->len = s.len;
	if (s.len)
		memcpy(t->p, s.p, s.len);
}

static slice slice_of_text(const struct text *t)
{
	return slice_of(t->p, t->len);
}

static void drop_waiting(struct waiting *w)
{
	free(w->recipient.p);
	free(w->relay.p);
	free(w->dsn.p);
	free(w->diagnostic.p);
	free(w);
}

static void drop_history(void *value)
{
	struct history *h = value;

	free(h->sender.p);
	free(h->message_id.p);
	while (h->waiting) {
		struct waiting *w = h->waiting;

		h->waiting = w->next;
		drop_waiting(w);
	}
}

struct log_facts *log_facts_open(void)
{
	struct log_facts *f = must_alloc(sizeof *f);

	arena_init(&f->scratch, SCRATCH, NULL, NULL);
	f->table = queue_table_open(sizeof(struct history), LOG_FACTS_MESSAGES, drop_history);
	return f;
}

void log_facts_close(struct log_facts **fp)
{
	struct log_facts *f = *fp;

	*fp = NULL;
	if (!f)
		return;
	queue_table_close(&f->table);
	arena_free(&f->scratch);
	free(f);
}

/* Where the recipient stands in the list, or where it would be put. */
static struct waiting **find_waiting(struct history *h, slice recipient)
{
	struct waiting **w = &h->waiting;

	while (*w && !slice_eq(slice_of_text(&(*w)->recipient), recipient))
		w = &(*w)->next;
	return w;
}

static void drop_first(struct history *h, struct waiting **at)
{
	struct waiting *w = *at;

	*at = w->next;
	drop_waiting(w);
	h->waiting_count--;
}

static void remember(struct history *h, const struct log_fact *line)
{
	struct waiting **at = find_waiting(h, line->recipient), *w = *at;

	if (line->outcome != LOG_FACT_DEFERRED) {
		if (!w)
			return;
		drop_first(h, at);
		return;
	}
	if (!w) {
		if (h->waiting_count >= LOG_FACTS_DEFERRED)
			return;
		w = *at = must_zalloc(sizeof *w);
		h->waiting_count++;
		keep(&w->recipient, line->recipient);
	}
	keep(&w->relay, line->relay);
	keep(&w->dsn, line->dsn);
	keep(&w->diagnostic, line->text);
	w->reply = line->reply;
	w->deferrals++;
}

static void put_text(struct json_out *j, const char *key, slice s)
{
	if (s.p)
		json_str(j, key, s);
	else
		json_null(j, key);
}

static void put_time(struct json_out *j, uint64_t ms)
{
	struct buf when;

	if (!ms) {
		json_null(j, "time");
		return;
	}
	buf_init(&when, 64);
	date_time_encode(ms, &when);
	json_str(j, "time", buf_slice(&when));
	buf_free(&when);
}

/* The line's own word, else what is known. */
static slice either(slice said, const struct text *known)
{
	return said.p ? said : slice_of_text(known);
}

/* 0: not known. */
static unsigned attempt_of(const struct log_fact *line, struct history *h)
{
	const struct waiting *w = *find_waiting(h, line->recipient);

	if (line->attempt)
		return line->attempt;
	if (h->attempts)
		return h->attempts;
	if (!line->id.len)
		return 0;
	/* To give up is not an attempt of its own. */
	return (w ? w->deferrals : 0) + (w && line->kind == LOG_FACT_EXPIRED ? 0 : 1);
}

/* An outcome with its history, as one line. */
static void put_fact(
	const struct log_fact *line, const char *kind, const char *class, struct history *h, struct buf *out)
{
	slice next = line->outcome == LOG_FACT_SENT ? log_fact_next_id(line->text) : SLICE_NONE;
	unsigned attempt = attempt_of(line, h);
	struct json_out j;
	double delay;

	json_start(&j, out);
	json_object(&j, NULL);
	put_time(&j, line->ms);
	json_str(&j, "kind", slice_str(kind));
	json_str(&j, "recipient", line->recipient);
	put_text(&j, "relay", line->relay);
	put_text(&j, "status", line->dsn);
	if (line->reply)
		json_int(&j, "reply", line->reply);
	else
		json_null(&j, "reply");
	put_text(&j, "queue_id", line->id);
	put_text(&j, "message_id", either(line->message_id, &h->message_id));
	put_text(&j, "sender", either(line->sender, &h->sender));
	if (log_fact_seconds(line->delay, &delay))
		json_real(&j, "delay", delay);
	else
		json_null(&j, "delay");
	if (attempt)
		json_int(&j, "attempt", attempt);
	else
		json_null(&j, "attempt");
	if (class)
		json_str(&j, "class", slice_str(class));
	else
		json_null(&j, "class");
	if (next.len)
		json_str(&j, "next_queue_id", next);
	else
		json_null(&j, "next_queue_id");
	put_text(&j, "diagnostic", line->text);
	json_end(&j);
	buf_byte(out, '\n');
}

static void add_delivery(struct log_facts *f, struct history *h, const struct log_fact *line, struct buf *out)
{
	struct classify_out why;
	const char *class = NULL;

	if (line->outcome != LOG_FACT_SENT) {
		classify_reply(&f->scratch, line->text, status_decode(line->dsn), line->reply, &why);
		class = classes_word(why.class == CLASSES_UNKNOWN ? line->class : why.class);
		arena_reset(&f->scratch);
	}
	put_fact(line,
		line->outcome == LOG_FACT_SENT       ? "accepted"
		: line->outcome == LOG_FACT_DEFERRED ? "deferred"
						     : "bounced",
		class, h, out);
	remember(h, line);
}

/* One recipient's time is over: its last deferral says why. */
static void expire(struct history *h, const struct log_fact *line, struct waiting **at, struct buf *out)
{
	struct log_fact last = *line;
	struct waiting *w = *at;

	if (w) {
		last.recipient = slice_of_text(&w->recipient);
		last.relay = slice_of_text(&w->relay);
		last.dsn = slice_of_text(&w->dsn);
		last.text = slice_of_text(&w->diagnostic);
		last.reply = w->reply;
	}
	put_fact(&last, "expired", classes_word(CLASSES_EXPIRED), h, out);
	if (w)
		drop_first(h, at);
}

static void add_expired(struct history *h, const struct log_fact *line, struct buf *out)
{
	if (line->recipient.p)
		expire(h, line, find_waiting(h, line->recipient), out);
	else
		while (h->waiting)
			expire(h, line, &h->waiting, out);
}

/* What is known of the old id holds for the new one. */
static void move_history(struct log_facts *f, slice from, slice to)
{
	struct history *old = queue_table_find(f->table, from), was, *h;

	if (!old || slice_eq(from, to))
		return;
	was = *old;
	*old = (struct history){0};
	queue_table_drop(f->table, to);
	h = queue_table_get(f->table, to);
	if (h)
		*h = was;
	else
		drop_history(&was);
}

/* What the line says of the message itself. */
static void learn(struct history *h, const struct log_fact *line)
{
	/* Of two Message-ID headers the first counts. */
	if (line->message_id.p && !h->message_id.p)
		keep(&h->message_id, line->message_id);
	if (line->sender.p)
		keep(&h->sender, line->sender);
	h->attempts += line->kind == LOG_FACT_SENDER;
}

void log_facts_add(struct log_facts *f, const struct log_fact *line, struct buf *out)
{
	struct history nothing = {0}, *h = &nothing;

	switch (line->kind) {
	case LOG_FACT_NONE:
	case LOG_FACT_CHILD:
		return;
	case LOG_FACT_CLIENT:
		queue_table_drop(f->table, line->id);
		return;
	case LOG_FACT_REQUEUE:
		move_history(f, line->other_id, line->id);
		return;
	case LOG_FACT_REMOVED:
		queue_table_removed(f->table, line->id);
		return;
	case LOG_FACT_RECEIVED:
		queue_table_drop(f->table, line->id);
		break;
	default:
		break;
	}
	if (line->id.len)
		h = queue_table_get(f->table, line->id);
	must(h); /* the readers let no longer id pass */
	if (line->kind == LOG_FACT_DELIVERY)
		add_delivery(f, h, line, out);
	else if (line->kind == LOG_FACT_EXPIRED)
		add_expired(h, line, out);
	if (line->kind != LOG_FACT_DELIVERY && line->kind != LOG_FACT_EXPIRED)
		learn(h, line);
	drop_history(&nothing);
}
