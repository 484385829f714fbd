#include "rewriter/hops.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/lookup.h"
#include "rewriter/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 4096

struct hop {
	struct hops *hops;
	struct config_addr name;
	struct lookup_result addresses; /* the latest good ones */
	struct lookup *lookup;          /* under way, or NULL */
	uint64_t lookup_ms;             /* when the last one began */
	struct smtp_offer offer;
	bool known;               /* offer is */
	uint64_t seen_ms;         /* when it last greeted or answered */
	bool down;                /* it does not answer; cleared by the next connection that is greeted */
	uint64_t full_ms;         /* no new connection until then */
	struct hop_conn *resting; /* latest first */
	struct hop_loan *first, **last; /* that wait for it */
	unsigned waiting, connecting, greeted, lent;
};

struct hop_conn {
	struct hop *hop;
	struct link *link;
	enum { CONNECTING, RESETTING, RESTING, LENT, LEAVING } state;
	bool used;
	struct hop_loan *loan;
	struct hop_conn *next, **prev;           /* of all */
	struct hop_conn *next_rest, **prev_rest; /* of those that rest */
};

struct route {
	slice domain;
	unsigned hop[CONFIG_MAX_ADDRS]; /* places in hops.hop */
	unsigned count;
};

struct hops {
	struct hops_config cfg;
	struct hop hop[HOPS_MAX];
	unsigned count;
	struct route route[HOPS_MAX_ROUTES];
	unsigned routes;
	struct hop_conn *conns;
	struct loop_timer *serve; /* connections came back while somebody waits */
	struct loop_timer *retry; /* while a hop is down */
	unsigned turn;
};

static void conn_happened(void *arg, enum link_event what);
static void conn_open(struct hop *p);
static void work(struct hop *p);

static uint64_t seconds(int64_t s)
{
	return (uint64_t)s * 1000;
}

/* Names. */

static void wake(void *arg)
{
	loop_wake(arg);
}

static const char *host_of(const struct hop *p)
{
	return *p->name.host ? p->name.host : "127.0.0.1";
}

static void look_up(struct hop *p, uint64_t after_ms)
{
	uint64_t now = clock_mono_ms();

	if (p->lookup || (p->lookup_ms && now - p->lookup_ms < after_ms))
		return;
	p->lookup_ms = now;
	p->lookup = lookup_open(host_of(p), p->name.port, wake, p->hops->cfg.loop);
}

static void fail_waiting(struct hop *p, int code, slice text);

static void take_lookup(struct hop *p)
{
	const struct lookup_result *r = p->lookup ? lookup_get(p->lookup) : NULL;

	if (!r)
		return;
	if (r->count > 0)
		p->addresses = *r;
	else
		log_warn("hops", "next hop has no address", "host=%s err=\"%s\"", p->name.host, r->why);
	lookup_close(&p->lookup);
	if (p->addresses.count == 0)
		fail_waiting(p, 0, SLICE_NONE);
	else if (!p->known && p->connecting == 0)
		conn_open(p); /* what it offers is wanted soon */
	work(p);
}

void hops_woken(struct hops *h)
{
	for (unsigned i = 0; i < h->count; i++)
		take_lookup(&h->hop[i]);
}

/* Loans that wait. */

static void wait_at(struct hop *p, struct hop_loan *l)
{
	l->at = p;
	l->next = NULL;
	l->prev = p->last;
	*p->last = l;
	p->last = &l->next;
	p->waiting++;
}

static void unwait(struct hop_loan *l)
{
	struct hop *p = l->at;

	*l->prev = l->next;
	if (l->next)
		l->next->prev = l->prev;
	else
		p->last = l->prev;
	l->at = NULL;
	p->waiting--;
}

/* Connections. */

static void rest(struct hop_conn *c)
{
	struct hop *p = c->hop;

	c->state = RESTING;
	c->next_rest = p->resting;
	c->prev_rest = &p->resting;
	if (c->next_rest)
		c->next_rest->prev_rest = &c->next_rest;
	p->resting = c;
}

static void unrest(struct hop_conn *c)
{
	*c->prev_rest = c->next_rest;
	if (c->next_rest)
		c->next_rest->prev_rest = c->prev_rest;
}

static void conn_close(struct hop_conn *c)
{
	struct hop *p = c->hop;

	if (c->state == RESTING)
		unrest(c);
	if (c->state == CONNECTING)
		p->connecting--;
	else if (c->state != LEAVING)
		p->greeted--;
	link_close(&c->link);
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	free(c);
}

static void conn_open(struct hop *p)
{
	struct hops *h = p->hops;
	struct hop_conn *c = must_alloc(sizeof *c);

	*c = (struct hop_conn){.hop = p, .state = CONNECTING, .next = h->conns, .prev = &h->conns};
	if (c->next)
		c->next->prev = &c->next;
	h->conns = c;
	p->connecting++;
	c->link = link_open(&(struct link_config){.loop = h->cfg.loop,
				    .config = h->cfg.config,
				    .transport = h->cfg.transport,
				    .host = host_of(p)},
		&p->addresses, conn_happened, c);
}

static void conn_leave(struct hop_conn *c)
{
	if (c->state == RESTING)
		unrest(c);
	c->state = LEAVING;
	c->hop->greeted--;
	exchange_quit(link_exchange(c->link));
	if (link_flush(c->link, 0) < 0)
		conn_close(c);
}

static void lend(struct hop_conn *c, struct hop_loan *l)
{
	if (c->state == RESTING)
		unrest(c);
	c->state = LENT;
	c->hop->lent++;
	c->loan = l;
	l->conn = c;
}

static void end_loan(struct hop_loan *l)
{
	l->conn->hop->lent--;
	l->conn->loan = NULL;
	l->conn = NULL;
}

/* As many connections as there are loans that wait, as far as may be. */
static void work(struct hop *p)
{
	const struct config *cfg = p->hops->cfg.config;
	uint64_t now = clock_mono_ms();

	while (p->first && p->resting) {
		struct hop_loan *l = p->first;

		unwait(l);
		lend(p->resting, l);
		l->happened(l->arg, HOP_LENT);
	}
	if (!p->first)
		return;
	look_up(p, p->addresses.count ? HOPS_LOOKUP_MS : 0);
	if (p->addresses.count == 0)
		return;
	while (p->connecting < p->waiting && p->connecting + p->greeted < cfg->rewriter_hop_connections &&
		(now >= p->full_ms || p->greeted == 0))
		conn_open(p);
}

static void serve(void *arg)
{
	struct hops *h = arg;

	for (unsigned i = 0; i < h->count; i++)
		work(&h->hop[i]);
}

/* Which hop. */

/* The hop of the route that is to be tried next, NULL: none is left. from: the
 * first to look at. */
static const struct hop *choose(const struct hops *h, const struct route *r, uint32_t tried, unsigned from)
{
	bool spread = h->cfg.config->rewriter_spread;

	for (int down = 0; down < 2; down++) {
		const struct hop *best = NULL;

		for (unsigned i = 0; i < r->count && (spread || !best); i++) {
			unsigned k = r->hop[(from + i) % r->count];
			const struct hop *p = &h->hop[k];

			if (tried & (1u << k) || p->down != down)
				continue;
			if (!best || p->lent + p->waiting < best->lent + best->waiting)
				best = p;
		}
		if (best)
			return best;
	}
	return NULL;
}

static struct hop *next_hop(struct hops *h, const struct hop_loan *l)
{
	const struct hop *p = choose(h, l->route, l->tried, h->cfg.config->rewriter_spread ? h->turn++ : 0);

	return p ? &h->hop[p - h->hop] : NULL;
}

static const struct route *route_of(const struct hops *h, slice sender)
{
	slice domain = smtp_domain(sender);

	for (unsigned i = 1; i < h->routes && domain.len > 0; i++) {
		slice want = h->route[i].domain;

		if (want.p[0] == '.' && domain.len > want.len &&
			slice_ieq(slice_from(domain, domain.len - want.len), want))
			return &h->route[i];
		if (slice_ieq(domain, want))
			return &h->route[i];
	}
	return &h->route[0];
}

/* The hop does not answer: whoever waits for it tries the next one. */
static void fail_waiting(struct hop *p, int code, slice text)
{
	struct hops *h = p->hops;
	struct hop_loan *failed = p->first, *l, *none = NULL, **last = &none; /* linked by next */

	/* First all of them, then events: those may begin anew. */
	p->first = NULL;
	p->last = &p->first;
	p->waiting = 0;
	while ((l = failed)) {
		struct hop *next;

		failed = l->next;
		l->tried |= 1u << (p - h->hop);
		next = next_hop(h, l);
		if (next) {
			wait_at(next, l);
			continue;
		}
		l->at = NULL;
		l->next = NULL;
		*last = l;
		last = &l->next;
	}
	serve(h);
	while ((l = none)) {
		none = l->next;
		l->code = code;
		l->text = text;
		l->happened(l->arg, HOP_REFUSED);
	}
}

static void set_down(struct hop *p, int err, int code)
{
	look_up(p, HOPS_LOOKUP_FAILED_MS);
	if (p->down)
		return;
	p->down = true;
	loop_timer_set(p->hops->retry, seconds(p->hops->cfg.config->rewriter_hop_retry_s));
	if (err)
		log_warn("hops", "next hop does not answer", "host=%s port=%d err=\"%s\"", p->name.host,
			p->name.port, strerror(err));
	else
		log_warn("hops", "next hop does not want us", "host=%s port=%d code=%d", p->name.host,
			p->name.port, code);
}

static void conn_failed(struct hop_conn *c)
{
	struct link_failure f = link_failure(c->link);
	struct hop *p = c->hop;
	struct buf text;

	/* It has as many as it wants: these come back. */
	if (f.err == 0 && p->greeted > 0) {
		p->full_ms = clock_mono_ms() + HOPS_FULL_MS;
		loop_timer_set(p->hops->serve, HOPS_FULL_MS);
		conn_close(c);
		return;
	}
	buf_init(&text, SMTP_MAX_REPLY);
	buf_put(&text, f.text);
	conn_close(c);
	set_down(p, f.err, f.code);
	fail_waiting(p, f.code, buf_slice(&text));
	buf_free(&text);
}

static void conn_up(struct hop_conn *c)
{
	struct hop *p = c->hop;

	p->connecting--;
	p->greeted++;
	p->offer = link_exchange(c->link)->offer;
	p->known = true;
	p->seen_ms = clock_mono_ms();
	p->full_ms = 0;
	if (p->down)
		log_info("hops", "next hop answers again", "host=%s port=%d", p->name.host, p->name.port);
	p->down = false;
	rest(c);
	link_flush(c->link, seconds(p->hops->cfg.config->rewriter_hop_idle_s));
	work(p);
}

/* What the hop says to a connection that nobody has. */
static void conn_read(struct hop_conn *c)
{
	struct exchange *x = link_exchange(c->link);
	enum exchange_step step;
	uint8_t piece[PIECE];
	ssize_t n = link_read(c->link, piece, sizeof piece);
	slice in = slice_of(piece, n > 0 ? (size_t)n : 0);
	int rc;

	if (n < 0) {
		conn_close(c);
		return;
	}
	while ((rc = exchange_feed(x, &in, &step)) > 0) {
		if (step != EXCHANGE_RSET || x->reply.code / 100 != 2) {
			conn_close(c);
			return;
		}
	}
	if (rc < 0 || link_flush(c->link, seconds(c->hop->hops->cfg.config->rewriter_hop_idle_s)) < 0) {
		conn_close(c);
	} else if (c->state == RESETTING && exchange_waits(x) == EXCHANGE_NOTHING) {
		rest(c);
		work(c->hop);
	}
}

static void conn_late(struct hop_conn *c)
{
	if (c->state == RESTING)
		conn_leave(c);
	else
		conn_close(c);
}

/* Hops that are down are tried behind the back of the clients, who would have to
 * wait for what does not answer at all. */
static void retry(void *arg)
{
	struct hops *h = arg;

	for (unsigned i = 0; i < h->count; i++) {
		struct hop *p = &h->hop[i];

		if (!p->down)
			continue;
		look_up(p, HOPS_LOOKUP_FAILED_MS);
		if (p->connecting == 0 && p->addresses.count > 0)
			conn_open(p);
		loop_timer_set(h->retry, seconds(h->cfg.config->rewriter_hop_retry_s));
	}
}

static void conn_happened(void *arg, enum link_event what)
{
	struct hop_conn *c = arg;
	struct hop *p = c->hop;

	if (c->state == LENT)
		c->loan->happened(c->loan->arg, what == LINK_LATE ? HOP_LATE : HOP_READY);
	else if (what == LINK_UP)
		conn_up(c);
	else if (what == LINK_FAILED)
		conn_failed(c);
	else if (what == LINK_LATE)
		conn_late(c);
	else
		conn_read(c);
	/* One less may be one more for those that wait. */
	if (p->first)
		work(p);
}

/* What borrowers do. */

bool hops_take(struct hops *h, struct hop_loan *l, slice sender)
{
	struct hop *p;

	must(!l->conn && !l->at);
	l->route = route_of(h, sender);
	l->tried = 0;
	p = next_hop(h, l);
	if (p->resting && !p->first) {
		lend(p->resting, l);
		return true;
	}
	wait_at(p, l);
	loop_timer_set(h->serve, 0);
	return false;
}

void hops_cancel(struct hop_loan *l)
{
	if (l->at)
		unwait(l);
}

void hops_drop(struct hop_loan *l)
{
	struct hop_conn *c = l->conn;

	end_loan(l);
	if (c->hop->first)
		loop_timer_set(c->hop->hops->serve, 0);
	conn_close(c);
}

void hops_quit(struct hop_loan *l)
{
	struct hop_conn *c = l->conn;

	end_loan(l);
	if (c->hop->first)
		loop_timer_set(c->hop->hops->serve, 0);
	conn_leave(c);
}

void hops_give(struct hop_loan *l)
{
	struct hop_conn *c = l->conn;
	struct hops *h = c->hop->hops;
	const struct config *cfg = h->cfg.config;
	struct exchange *x = link_exchange(c->link);

	must(exchange_resting(x));
	if (x->messages >= cfg->rewriter_hop_messages || x->refused >= HOPS_MAX_REFUSED) {
		hops_quit(l);
		return;
	}
	c->hop->seen_ms = clock_mono_ms();
	end_loan(l);
	c->used = true;
	if (link_flush(c->link, seconds(cfg->rewriter_hop_idle_s)) < 0) {
		conn_close(c);
		return;
	}
	c->state = RESETTING;
	if (exchange_waits(x) == EXCHANGE_NOTHING)
		rest(c);
	if (c->hop->first)
		loop_timer_set(h->serve, 0);
}

struct exchange *hop_exchange(const struct hop_loan *l)
{
	return link_exchange(l->conn->link);
}

bool hop_used(const struct hop_loan *l)
{
	return l->conn->used;
}

bool hop_wanted(const struct hop_loan *l)
{
	return l->conn->hop->waiting > 0;
}

ssize_t hop_read(struct hop_loan *l, void *p, size_t room)
{
	return link_read(l->conn->link, p, room);
}

int hop_flush(struct hop_loan *l)
{
	return link_flush(l->conn->link, 0);
}

bool hops_offer(const struct hops *h, struct smtp_offer *out)
{
	uint64_t now = clock_mono_ms();
	const struct hop *p = choose(h, &h->route[0], 0, 0);

	if (!p->known || p->down || (p->greeted == 0 && now - p->seen_ms > HOPS_OFFER_MS))
		return false;
	*out = p->offer;
	for (unsigned i = 0; i < h->count; i++) {
		const struct hop *q = &h->hop[i];

		if (!q->known)
			continue;
		smtp_offer_meet(out, &q->offer);
	}
	return true;
}

/* Open and close. */

static unsigned hop_of(struct hops *h, const struct config_addr *a)
{
	struct hop *p;

	for (unsigned i = 0; i < h->count; i++)
		if (h->hop[i].name.port == a->port && strcmp(h->hop[i].name.host, a->host) == 0)
			return i;
	must(h->count < HOPS_MAX);
	p = &h->hop[h->count];
	*p = (struct hop){.hops = h, .name = *a, .last = &p->first};
	look_up(p, 0);
	take_lookup(p);
	return h->count++;
}

struct hops *hops_open(const struct hops_config *cfg)
{
	struct hops *h = must_zalloc(sizeof *h);

	h->cfg = *cfg;
	h->serve = loop_timer(cfg->loop, serve, h);
	h->retry = loop_timer(cfg->loop, retry, h);
	must(cfg->routes.count > 0 && cfg->routes.count <= HOPS_MAX_ROUTES);
	for (h->routes = 0; h->routes < cfg->routes.count; h->routes++) {
		const struct hops_route *from = &cfg->routes.at[h->routes];
		struct route *r = &h->route[h->routes];

		r->domain = from->domain;
		for (r->count = 0; r->count < from->count; r->count++)
			r->hop[r->count] = hop_of(h, &from->hop[r->count]);
	}
	return h;
}

void hops_close(struct hops **hp)
{
	struct hops *h = *hp;

	*hp = NULL;
	if (!h)
		return;
	while (h->conns) {
		struct hop_conn *c = h->conns;

		must(c->state != LENT);
		if (c->state == RESTING) {
			exchange_quit(link_exchange(c->link));
			link_flush(c->link, 0);
		}
		conn_close(c);
	}
	for (unsigned i = 0; i < h->count; i++)
		lookup_close(&h->hop[i].lookup);
	loop_timer_free(&h->serve);
	loop_timer_free(&h->retry);
	free(h);
}
