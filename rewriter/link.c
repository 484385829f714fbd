#include "rewriter/link.h"

#include "core/base/must.h"
#include "core/io/log.h"
#include "core/io/metrics.h"

#include <errno.h>
#include <stdlib.h>

#define PIECE 4096
#define UNSAFE "4.7.5 no TLS with the next hop, try again later"

struct link {
	struct link_config cfg;
	struct lookup_result to;
	unsigned at; /* the address being tried */
	struct stream *stream;
	struct loop_timer *failed; /* to say from the loop that no connection could be begun */
	struct exchange exchange;
	struct link_failure failure;
	struct tls *tls; /* the stream's; NULL: plain text */
	bool connected, shaking, up;
	bool moved;              /* bytes went either way since the limit was set */
	enum exchange_step step; /* that the limit was set for */
	uint64_t limit_ms;
	void (*happened)(void *arg, enum link_event what);
	void *arg;
};

static uint64_t limit_of(const struct config *c, enum exchange_step step)
{
	switch (step) {
	case EXCHANGE_NOTHING:
		return 0;
	case EXCHANGE_GREETING:
	case EXCHANGE_HELLO:
	case EXCHANGE_STARTTLS:
	case EXCHANGE_AUTH:
	case EXCHANGE_XCLIENT:
		return (uint64_t)c->rewriter_hop_greeting_timeout_s * 1000;
	case EXCHANGE_MAIL:
	case EXCHANGE_XFORWARD:
	case EXCHANGE_ABOUT:
	case EXCHANGE_RSET:
		return (uint64_t)c->rewriter_hop_mail_timeout_s * 1000;
	case EXCHANGE_RCPT:
		return (uint64_t)c->rewriter_hop_rcpt_timeout_s * 1000;
	case EXCHANGE_DATA:
		return (uint64_t)c->rewriter_hop_data_timeout_s * 1000;
	case EXCHANGE_BODY:
		return (uint64_t)c->rewriter_hop_block_timeout_s * 1000;
	case EXCHANGE_DOT:
		return (uint64_t)c->rewriter_hop_dot_timeout_s * 1000;
	case EXCHANGE_QUIT:
		return LINK_QUIT_MS;
	}
	return 0;
}

static void arm(struct link *k, uint64_t idle_ms)
{
	enum exchange_step step = exchange_waits(&k->exchange);
	uint64_t ms = step == EXCHANGE_NOTHING ? idle_ms : limit_of(k->cfg.config, step);

	/* Silence counts from what was last said or heard. */
	if (step == k->step && ms == k->limit_ms && !k->moved)
		return;
	k->step = step;
	k->limit_ms = ms;
	k->moved = false;
	stream_limit(k->stream, ms);
}

ssize_t link_read(struct link *k, void *p, size_t room)
{
	ssize_t n = stream_read(k->stream, p, room);

	k->moved |= n > 0;
	return n;
}

int link_flush(struct link *k, uint64_t idle_ms)
{
	struct exchange *x = &k->exchange;

	do {
		size_t left;
		int rc;

		exchange_fill(x);
		left = x->lent.len + x->out.len;
		rc = stream_write_both(k->stream, &x->lent, &x->out);
		if (rc < 0)
			return rc;
		k->moved |= x->lent.len + x->out.len < left;
	} while (x->sending && x->lent.len + x->out.len == 0);
	stream_want(k->stream, STREAM_READ | (exchange_unsent(x) ? STREAM_WRITE : 0));
	arm(k, idle_ms);
	return 0;
}

static void fail(struct link *k)
{
	k->happened(k->arg, LINK_FAILED);
}

static void failed(void *arg)
{
	fail(arg);
}

static void happened(void *arg, int what);

/* Try addresses from k->at on. False: there is none left. */
static bool try(struct link *k)
{
	for (; k->at < k->to.count; k->at++) {
		int rc = stream_connect(&k->stream, k->cfg.loop, (const struct sockaddr *)&k->to.at[k->at].sa,
			k->to.at[k->at].len, happened, k);

		if (rc == 0) {
			stream_limit(
				k->stream, (uint64_t)k->cfg.config->rewriter_hop_connect_timeout_s * 1000);
			return true;
		}
		k->failure.err = -rc;
	}
	return false;
}

/* This address does not answer: try the next one. */
static void try_next(struct link *k, int err)
{
	stream_close(&k->stream);
	k->failure.err = err;
	k->at++;
	if (!try(k))
		fail(k);
}

static void connected(struct link *k)
{
	k->connected = true;
	k->failure.err = 0;
	exchange_open(&k->exchange);
	k->moved = true;
	if (link_flush(k, 0) < 0)
		fail(k);
}

/* There is no TLS to be had: plain text on a new connection, where that may be. */
static void unsafe(struct link *k, const char *why)
{
	metric_add(METRIC_hop_tls_failed, 1);
	if (k->cfg.transport->hop != TLS_MAY) {
		log_warn("link", "next hop fails at TLS", "host=%s wanted=%s err=\"%s\"", k->cfg.host,
			tls_level_word(k->cfg.transport->hop), why);
		k->failure.code = 451;
		k->failure.text = SLICE(UNSAFE);
		fail(k);
		return;
	}
	log_warn("link", "next hop fails at TLS: going on in plain text", "host=%s err=\"%s\"", k->cfg.host,
		why);
	stream_close(&k->stream);
	k->tls = NULL;
	k->connected = k->shaking = false;
	k->exchange.tls = EXCHANGE_TLS_OFF;
	if (!try(k))
		fail(k);
}

/* Our part of the handshake, as far as it goes now. */
static void shake(struct link *k)
{
	if (stream_write(k->stream, &k->exchange.out) < 0)
		unsafe(k, "connection lost");
	else
		stream_want(k->stream, STREAM_READ);
}

/* The hop said 220 to STARTTLS. */
static void begin_tls(struct link *k)
{
	const struct transport *t = k->cfg.transport;

	must(k->exchange.out.len == 0);
	k->tls = secure_stream(k->stream, t->to_hop, *t->hop_name ? t->hop_name : k->cfg.host);
	k->shaking = true;
	stream_limit(k->stream, TLS_HANDSHAKE_MS);
	shake(k);
}

/* The hop's part of the handshake. It has nothing else to say before EHLO. */
static void shaken(struct link *k, int what)
{
	uint8_t piece[PIECE];
	ssize_t n = what & STREAM_LATE ? 0 : stream_read(k->stream, piece, sizeof piece);

	if (what & STREAM_LATE) {
		unsafe(k, "handshake timed out");
	} else if (n < 0) {
		unsafe(k, *tls_why(k->tls) ? tls_why(k->tls) : "connection lost");
	} else if (n > 0) {
		fail(k);
	} else if (!tls_up(k->tls)) {
		shake(k);
	} else {
		metric_add(METRIC_hop_tls, 1);
		k->shaking = false;
		k->moved = true;
		exchange_secured(&k->exchange);
		if (link_flush(k, 0) < 0)
			fail(k);
	}
}

/* The hop's part of the greeting. */
static void greeted(struct link *k)
{
	enum exchange_step step = EXCHANGE_NOTHING;
	uint8_t piece[PIECE];
	ssize_t n = link_read(k, piece, sizeof piece);
	slice in = slice_of(piece, n > 0 ? (size_t)n : 0);
	int rc = n < 0 ? -1 : exchange_feed(&k->exchange, &in, &step);

	if (rc < 0 && step == EXCHANGE_STARTTLS) {
		unsafe(k, "plain text behind its 220");
		return;
	}
	if (rc < 0 || (rc > 0 && in.len > 0)) {
		fail(k);
		return;
	}
	if (rc > 0 && step == EXCHANGE_STARTTLS && k->exchange.reply.code == 220) {
		begin_tls(k);
		return;
	}
	if (rc > 0 && step == EXCHANGE_STARTTLS && k->exchange.tls == EXCHANGE_TLS_MUST) {
		unsafe(k, k->exchange.offer.flags & SMTP_OFFER_STARTTLS ? "it refuses STARTTLS"
									: "it does not offer STARTTLS");
		return;
	}
	if (rc > 0 && !k->exchange.ready) {
		k->failure.code = k->exchange.reply.code;
		k->failure.text = buf_slice(&k->exchange.reply.text);
		fail(k);
		return;
	}
	if (link_flush(k, 0) < 0) {
		fail(k);
	} else if (rc > 0) {
		k->up = true;
		k->happened(k->arg, LINK_UP);
	}
}

static void happened(void *arg, int what)
{
	struct link *k = arg;

	if (k->up)
		k->happened(k->arg, what & STREAM_LATE ? LINK_LATE : LINK_READY);
	else if (!k->connected && (what & STREAM_UP))
		connected(k);
	else if (!k->connected)
		try_next(k, what & STREAM_LATE ? ETIMEDOUT : stream_error(k->stream));
	else if (k->shaking)
		shaken(k, what);
	else if (what & STREAM_LATE)
		fail(k);
	else
		greeted(k);
}

static enum exchange_tls tls_of(enum tls_level level)
{
	switch (level) {
	case TLS_NONE:
		return EXCHANGE_TLS_OFF;
	case TLS_MAY:
		return EXCHANGE_TLS_MAY;
	case TLS_ENCRYPT:
	case TLS_VERIFY:
		break;
	}
	return EXCHANGE_TLS_MUST;
}

struct link *link_open(const struct link_config *cfg, const struct lookup_result *to,
	void (*what_happened)(void *arg, enum link_event what), void *arg)
{
	struct link *k = must_alloc(sizeof *k);

	*k = (struct link){.cfg = *cfg,
		.to = *to,
		.failure = {.err = EADDRNOTAVAIL},
		.happened = what_happened,
		.arg = arg};
	exchange_init(&k->exchange, slice_str(cfg->config->rewriter_host_name));
	k->exchange.tls = tls_of(cfg->transport->hop);
	k->exchange.lends = true;
	k->failed = loop_timer(cfg->loop, failed, k);
	if (!try(k))
		loop_timer_set(k->failed, 0);
	return k;
}

void link_close(struct link **kp)
{
	struct link *k = *kp;

	*kp = NULL;
	if (!k)
		return;
	stream_close(&k->stream);
	loop_timer_free(&k->failed);
	exchange_free(&k->exchange);
	free(k);
}

struct link_failure link_failure(const struct link *k)
{
	return k->failure;
}

struct exchange *link_exchange(struct link *k)
{
	return &k->exchange;
}
