#include "collector/log_facts.h"

#include "collector/queue_table.h"
#include "core/base/must.h"
#include "core/model/event.h"
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
};

struct history {
	struct text sender, message_id;
	unsigned attempts;
	unsigned waiting_count;
	struct waiting *waiting;
};

struct log_facts {
	struct queue_table *table;
};

static void keep(struct text *t, slice s)
{
	free(t->p);
	t->p = must_alloc(s.len);
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

static void remember(struct history *h, const struct postfix_log *line)
{
	struct waiting **at = find_waiting(h, line->recipient), *w = *at;

	if (line->outcome != POSTFIX_LOG_DEFERRED) {
		if (!w)
			return;
		*at = w->next;
		drop_waiting(w);
		h->waiting_count--;
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
}

/* "0.02": decimal digits with at most one point. */
static bool read_decimal(slice s, double *out)
{
	double whole = 0, unit = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '.' && unit == 0)
			unit = 1;
		else if (!ascii_digit(s.p[i]))
			return false;
		else if (unit == 0)
			whole = whole * 10 + (s.p[i] - '0');
		else
			whole += (s.p[i] - '0') * (unit /= 10);
	}
	*out = whole;
	return s.len > 0;
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

/* An outcome with its history, as one line. */
static void put_fact(const struct postfix_log *line, const char *kind, enum bounce bounce,
	const struct history *h, struct buf *out)
{
	slice next = line->outcome == POSTFIX_LOG_SENT ? postfix_log_next_id(line->text) : SLICE_NONE;
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
	json_str(&j, "queue_id", line->id);
	put_text(&j, "message_id", slice_of_text(&h->message_id));
	put_text(&j, "sender", slice_of_text(&h->sender));
	if (read_decimal(line->delay, &delay))
		json_real(&j, "delay", delay);
	else
		json_null(&j, "delay");
	json_int(&j, "attempt", h->attempts ? h->attempts : 1);
	if (bounce != BOUNCE_NONE)
		json_str(&j, "class", slice_str(bounce_word(bounce)));
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

static void add_delivery(struct history *h, const struct postfix_log *line, struct buf *out)
{
	enum bounce bounce = BOUNCE_NONE;

	if (line->outcome == POSTFIX_LOG_BOUNCED)
		bounce = bounce_of(status_decode(line->dsn), line->reply);
	put_fact(line,
		line->outcome == POSTFIX_LOG_SENT       ? "accepted"
		: line->outcome == POSTFIX_LOG_DEFERRED ? "deferred"
							: "bounced",
		bounce, h, out);
	remember(h, line);
}

/* The line names no recipients: they are those that are still waiting. */
static void add_expired(struct history *h, const struct postfix_log *line, struct buf *out)
{
	while (h->waiting) {
		struct waiting *w = h->waiting;
		struct postfix_log last = *line;

		last.recipient = slice_of_text(&w->recipient);
		last.relay = slice_of_text(&w->relay);
		last.dsn = slice_of_text(&w->dsn);
		last.text = slice_of_text(&w->diagnostic);
		last.reply = w->reply;
		put_fact(&last, "expired", BOUNCE_SOFT, h, out);
		h->waiting = w->next;
		drop_waiting(w);
	}
	h->waiting_count = 0;
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

void log_facts_add(struct log_facts *f, const struct postfix_log *line, struct buf *out)
{
	struct history *h;

	switch (line->kind) {
	case POSTFIX_LOG_NONE:
	case POSTFIX_LOG_CHILD:
		return;
	case POSTFIX_LOG_CLIENT:
		queue_table_drop(f->table, line->id);
		return;
	case POSTFIX_LOG_REQUEUE:
		move_history(f, line->other_id, line->id);
		return;
	case POSTFIX_LOG_REMOVED:
		queue_table_removed(f->table, line->id);
		return;
	default:
		break;
	}
	h = queue_table_get(f->table, line->id);
	must(h); /* the reader lets no longer id pass */
	if (line->kind == POSTFIX_LOG_MESSAGE_ID) {
		/* Of two Message-ID headers the first counts. */
		if (!h->message_id.p)
			keep(&h->message_id, line->message_id);
	} else if (line->kind == POSTFIX_LOG_SENDER) {
		keep(&h->sender, line->sender);
		h->attempts++;
	} else if (line->kind == POSTFIX_LOG_EXPIRED) {
		keep(&h->sender, line->sender);
		add_expired(h, line, out);
	} else {
		add_delivery(h, line, out);
	}
}
