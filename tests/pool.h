/* A pool of one connection for tests of the relay alone, as rewriter/hops is one
 * of many: it lends what it has at once, and a new one when that is greeted. */
#ifndef LF_TESTS_POOL_H
#define LF_TESTS_POOL_H

#include "core/base/must.h"
#include "rewriter/relay.h"

struct pool {
	struct exchange x;
	enum { POOL_EMPTY, POOL_GREETING, POOL_SECURING, POOL_RESTS, POOL_LENT } state;
	bool closed, quit; /* what became of the last one; cleared by the test */
};

static inline void pool_init(struct pool *p, slice host)
{
	*p = (struct pool){.state = POOL_EMPTY};
	exchange_init(&p->x, host);
}

/* Connected; the hop's greeting comes next. */
static inline void pool_connect(struct pool *p)
{
	must(p->state == POOL_EMPTY);
	exchange_open(&p->x);
	p->state = POOL_GREETING;
}

/* After anything that happened to the relay. */
static inline void pool_tend(struct pool *p, struct relay *r)
{
	enum relay_parting how = r->parting;

	must(how == RELAY_STAYS || (p->state == POOL_LENT && !r->exchange));
	r->parting = RELAY_STAYS;
	if (how == RELAY_GIVES) {
		must(exchange_resting(&p->x));
		p->state = POOL_RESTS;
	} else if (how != RELAY_STAYS) {
		p->closed |= how == RELAY_DROPS;
		p->quit |= how == RELAY_QUITS;
		p->state = POOL_EMPTY;
	}
	if (r->hop == RELAY_HOP_WANTED && p->state == POOL_RESTS &&
		exchange_waits(&p->x) == EXCHANGE_NOTHING) {
		p->state = POOL_LENT;
		relay_hop_up(r, &p->x, true);
		pool_tend(p, r);
	}
}

/* The connection fails, or none can be had; why: 451 with this text, or empty. */
static inline void pool_fail(struct pool *p, struct relay *r, slice why)
{
	if (p->state == POOL_LENT) {
		relay_hop_gone(r);
		return;
	}
	p->state = POOL_EMPTY;
	p->closed = true;
	if (r->hop == RELAY_HOP_WANTED)
		relay_hop_refused(r, why.len ? 451 : 0, why);
}

/* The hop says something to a connection that nobody has. */
static inline void pool_take(struct pool *p, struct relay *r, slice *in)
{
	enum exchange_step step;
	int rc = exchange_feed(&p->x, in, &step), code = p->x.reply.code;

	if (rc == 0)
		return;
	if (rc < 0 || (p->state == POOL_RESTS && (step != EXCHANGE_RSET || code / 100 != 2))) {
		pool_fail(p, r, SLICE_NONE);
	} else if (p->state == POOL_GREETING && step == EXCHANGE_STARTTLS && code == 220) {
		p->state = POOL_SECURING;
	} else if (p->state == POOL_GREETING && p->x.ready) {
		p->state = POOL_RESTS;
		if (r->hop == RELAY_HOP_WANTED) {
			p->state = POOL_LENT;
			relay_hop_up(r, &p->x, false);
		}
	} else if (p->state == POOL_GREETING) {
		p->state = POOL_EMPTY;
		p->closed = true;
		if (r->hop == RELAY_HOP_WANTED)
			relay_hop_refused(r, code, buf_slice(&p->x.reply.text));
	}
}

static inline void pool_in(struct pool *p, struct relay *r, slice in)
{
	while (in.len > 0 && (p->state == POOL_GREETING || p->state == POOL_RESTS)) {
		pool_take(p, r, &in);
		pool_tend(p, r);
	}
	if (p->state == POOL_SECURING && in.len > 0)
		pool_fail(p, r, SLICE_NONE); /* plain text among TLS */
	else if (p->state == POOL_LENT)
		relay_hop_in(r, in);
}

#endif
