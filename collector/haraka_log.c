#include "collector/haraka_log.h"

#include "collector/log_cut.h"
#include "collector/log_stamp.h"
#include "collector/queue_table.h"
#include "core/base/buf.h"
#include "core/base/must.h"
#include "core/parse/num.h"

#include <stdlib.h>
#include <string.h>

#define UUID_LEN 36

/* A recipient that the message was accepted for. */
struct recipient {
	uint8_t *address; /* owned */
	size_t len;
	uint64_t deferred; /* number of its last deferral; 0: none */
	bool final;        /* delivered or refused */
};

struct message {
	struct recipient *all; /* owned */
	size_t count;
	bool too_many;
};

struct haraka_log {
	struct queue_table *table;
	uint64_t deferrals; /* so far */
	struct buf relay;
};

struct telling {
	void (*tell)(void *arg, const struct log_fact *f);
	void *arg;
};

static void drop_message(void *value)
{
	struct message *m = value;

	for (size_t i = 0; i < m->count; i++)
		free(m->all[i].address);
	free(m->all);
}

struct haraka_log *haraka_log_open(void)
{
	struct haraka_log *h = must_zalloc(sizeof *h);

	h->table = queue_table_open(sizeof(struct message), HARAKA_LOG_MESSAGES, drop_message);
	buf_init(&h->relay, LOG_FACT_MAX_LINE);
	return h;
}

void haraka_log_close(struct haraka_log **hp)
{
	struct haraka_log *h = *hp;

	*hp = NULL;
	if (!h)
		return;
	queue_table_close(&h->table);
	buf_free(&h->relay);
	free(h);
}

/* "[NOTICE] ": what stands between the brackets. */
static bool take_bracket(struct log_cut *c, slice *inside)
{
	size_t end;

	if (!log_cut_take(c, SLICE("[")))
		return false;
	end = slice_find(c->s, SLICE("] "), 0);
	if (end == SLICE_NPOS)
		return false;
	*inside = slice_sub(c->s, 0, end);
	c->s = slice_from(c->s, end + 2);
	return true;
}

/* "UUID.1" of "UUID.1" and "UUID.1.2": the message. */
static bool read_id(slice inside, slice *id)
{
	size_t i = UUID_LEN;

	if (inside.len <= UUID_LEN + 1 || inside.p[i] != '.')
		return false;
	for (size_t at = 0; at < UUID_LEN; at++)
		if (num_hex_digit(inside.p[at]) < 0 && inside.p[at] != '-')
			return false;
	while (++i < inside.len && ascii_digit(inside.p[i]))
		;
	if (i == UUID_LEN + 1 || (i < inside.len && inside.p[i] != '.') || i > HARAKA_LOG_MAX_ID)
		return false;
	*id = slice_sub(inside, 0, i);
	return true;
}

static bool take_address(struct log_cut *c, slice *address)
{
	size_t end;

	if (!log_cut_take(c, SLICE("<")))
		return false;
	end = log_fact_address_end(c->s);
	if (end == SLICE_NPOS)
		return false;
	*address = slice_sub(c->s, 0, end);
	c->s = slice_from(c->s, end + 1);
	return true;
}

static slice address_of(const struct recipient *r)
{
	return slice_of(r->address, r->len);
}

static void add_recipient(struct message *m, slice address)
{
	struct recipient *r;

	if (m->count >= HARAKA_LOG_RECIPIENTS || address.len > HARAKA_LOG_MAX_RECIPIENT || m->too_many) {
		m->too_many = true;
		return;
	}
	/* Room doubles at each power of two. */
	if ((m->count & (m->count - 1)) == 0) {
		struct recipient *more = must_alloc((m->count ? m->count * 2 : 1) * sizeof *more);

		if (m->count)
			memcpy(more, m->all, m->count * sizeof *more);
		free(m->all);
		m->all = more;
	}
	r = &m->all[m->count++];
	*r = (struct recipient){.address = must_alloc(address.len), .len = address.len};
	if (address.len)
		memcpy(r->address, address.p, address.len);
}

static struct recipient *find_recipient(struct message *m, slice address)
{
	for (size_t i = 0; m && i < m->count; i++)
		if (!m->all[i].final && slice_eq(address_of(&m->all[i]), address))
			return &m->all[i];
	return NULL;
}

/* What [core] says while the message comes in. */
static bool read_core(struct haraka_log *h, struct log_cut *c, struct log_fact *f, const struct telling *t)
{
	slice address, mid;

	if (log_cut_take(c, SLICE("sender "))) {
		if (!take_address(c, &f->sender))
			return false;
		queue_table_drop(h->table, f->id);
		f->kind = LOG_FACT_RECEIVED;
	} else if (log_cut_take(c, SLICE("recipient "))) {
		struct message *m;

		if (!take_address(c, &address))
			return false;
		if (log_cut_take(c, SLICE(" code=OK ")) || log_cut_take(c, SLICE(" code=CONT "))) {
			m = queue_table_get(h->table, f->id);
			must(m); /* read_id lets no longer id pass */
			add_recipient(m, address);
		}
		return true;
	} else if (log_cut_take(c, SLICE("message mid="))) {
		log_cut_take(c, SLICE("<"));
		mid = slice_sub(c->s, 0, slice_find(c->s, SLICE(" size="), 0));
		if (slice_ends(mid, SLICE(">")))
			mid = slice_sub(mid, 0, mid.len - 1);
		f->message_id = mid;
		f->kind = LOG_FACT_MESSAGE_ID;
	} else {
		return slice_starts(c->s, SLICE("queue code="));
	}
	t->tell(t->arg, f);
	return true;
}

/* "<a@b.test> rejected: 550 5.1.1 no" behind "recipient ". */
static bool read_refused(struct haraka_log *h, struct log_cut *c, struct log_fact *f, const struct telling *t)
{
	struct recipient *r;

	if (!take_address(c, &f->recipient))
		return false;
	if (log_cut_take(c, SLICE(" rejected: ")))
		f->outcome = LOG_FACT_BOUNCED;
	else if (log_cut_take(c, SLICE(" deferred: ")))
		f->outcome = LOG_FACT_DEFERRED;
	else
		return false;
	f->kind = LOG_FACT_DELIVERY;
	f->text = c->s;
	f->reply = log_fact_reply(f->text, &f->dsn);
	r = find_recipient(queue_table_find(h->table, f->id), f->recipient);
	if (r && f->outcome == LOG_FACT_DEFERRED)
		r->deferred = ++h->deferrals;
	else if (r)
		r->final = true;
	t->tell(t->arg, f);
	return true;
}

/* The word behind " key=". */
static slice value_of(slice s, slice key)
{
	size_t at = slice_find(s, key, 0);

	if (at == SLICE_NPOS)
		return SLICE_NONE;
	s = slice_from(s, at + key.len);
	return slice_sub(s, 0, slice_chr(s, ' ', 0));
}

static bool is_of(const struct recipient *r, slice domain)
{
	slice address = address_of(r);

	return slice_iends(address, domain) && address.len > domain.len &&
	       address.p[address.len - domain.len - 1] == '@';
}

/* The deferrals of this attempt are the last ones of the domain: the least
 * number among the last n. UINT64_MAX: n is 0; 0: there are not so many. */
static uint64_t nth_deferral(const struct message *m, slice domain, uint64_t n)
{
	uint64_t least = UINT64_MAX;

	for (; n > 0; n--) {
		uint64_t next = 0;

		for (size_t i = 0; i < m->count; i++) {
			const struct recipient *r = &m->all[i];

			if (!r->final && r->deferred < least && r->deferred > next && is_of(r, domain))
				next = r->deferred;
		}
		if (!next)
			return 0;
		least = next;
	}
	return least;
}

static bool is_delivered(const struct recipient *r, slice domain, uint64_t deferred_from)
{
	return !r->final && r->deferred < deferred_from && is_of(r, domain);
}

/* Everybody of the domain who is left, if they are as many as the line counts. */
static void tell_delivered(struct message *m, slice domain, uint64_t ok, uint64_t deferred,
	struct log_fact *f, const struct telling *t)
{
	uint64_t from = nth_deferral(m, domain, deferred), left = 0;

	if (!domain.len || from == 0)
		return;
	for (size_t i = 0; i < m->count; i++)
		left += is_delivered(&m->all[i], domain, from);
	if (left != ok)
		return;
	for (size_t i = 0; i < m->count; i++) {
		if (!is_delivered(&m->all[i], domain, from))
			continue;
		f->recipient = address_of(&m->all[i]);
		t->tell(t->arg, f);
		m->all[i].final = true;
	}
}

/* "2/1/2" */
static bool read_counts(slice s, uint64_t *ok, uint64_t *deferred)
{
	size_t first = slice_chr(s, '/', 0),
	       second = slice_chr(s, '/', first == SLICE_NPOS ? s.len : first + 1);

	return second != SLICE_NPOS && num_decode(slice_sub(s, 0, first), HARAKA_LOG_RECIPIENTS, ok) == 0 &&
	       num_decode(slice_sub(s, first + 1, second), HARAKA_LOG_RECIPIENTS, deferred) == 0;
}

/* Behind "delivered ": the keys before response= and, from the end of the line,
 * those behind it, since what stands in it is a stranger's. */
static bool read_delivered(struct haraka_log *h, slice s, struct log_fact *f, const struct telling *t)
{
	size_t from = slice_find(s, SLICE(" response=\""), 0), to = SLICE_NPOS, at = from;
	struct message *m = queue_table_find(h->table, f->id);
	uint64_t ok, deferred, fails;
	slice keys, tail, host, ip, port;

	while (at != SLICE_NPOS && (at = slice_find(s, SLICE("\" delay="), at + 1)) != SLICE_NPOS)
		to = at;
	if (to == SLICE_NPOS)
		return false;
	keys = slice_sub(s, 0, from);
	f->text = slice_sub(s, from + SLICE(" response=\"").len, to);
	tail = slice_from(s, to + 1);
	if (!m || m->too_many || !read_counts(value_of(tail, SLICE(" rcpts=")), &ok, &deferred) ||
		slice_eq(value_of(keys, SLICE(" mode=")), SLICE("LMTP")))
		return true;
	host = value_of(keys, SLICE(" host="));
	ip = value_of(keys, SLICE(" ip="));
	port = value_of(keys, SLICE(" port="));
	buf_clear(&h->relay);
	buf_put(&h->relay, host);
	buf_byte(&h->relay, '[');
	buf_put(&h->relay, ip);
	buf_str(&h->relay, "]:");
	buf_put(&h->relay, port);
	f->kind = LOG_FACT_DELIVERY;
	f->outcome = LOG_FACT_SENT;
	f->relay = buf_slice(&h->relay);
	f->delay = value_of(tail, SLICE(" delay="));
	if (num_decode(value_of(tail, SLICE(" fails=")), 100000, &fails) == 0)
		f->attempt = (unsigned)fails + 1;
	tell_delivered(m, value_of(keys, SLICE(" domain=")), ok, deferred, f, t);
	return true;
}

/* What [outbound] says. */
static bool read_outbound(
	struct haraka_log *h, struct log_cut *c, struct log_fact *f, const struct telling *t)
{
	log_cut_take(c, SLICE(" "));
	if (log_cut_take(c, SLICE("recipient ")))
		return read_refused(h, c, f, t);
	if (log_cut_take(c, SLICE("delivered")))
		return read_delivered(h, c->s, f, t);
	return false;
}

bool haraka_log_line(
	struct haraka_log *h, slice line, void (*tell)(void *arg, const struct log_fact *f), void *arg)
{
	struct telling t = {tell, arg};
	struct log_cut c = {slice_sub(line, 0, LOG_FACT_MAX_LINE)};
	struct log_fact f = {0};
	slice level, about, origin, program;
	size_t n;

	while (c.s.len && (c.s.p[c.s.len - 1] == '\n' || c.s.p[c.s.len - 1] == '\r'))
		c.s = slice_sub(c.s, 0, c.s.len - 1);
	n = log_stamp_iso(c.s, 0, &f.ms);
	c.s = slice_from(c.s, n);
	if (n && log_cut_take(&c, SLICE(" ")) && !slice_starts(c.s, SLICE("[")))
		log_stamp_program(&c.s, &program);
	if (!take_bracket(&c, &level) || !take_bracket(&c, &about) || !take_bracket(&c, &origin) ||
		!read_id(about, &f.id))
		return false;
	if (slice_eq(origin, SLICE("core")))
		return read_core(h, &c, &f, &t);
	return slice_eq(origin, SLICE("outbound")) && read_outbound(h, &c, &f, &t);
}
