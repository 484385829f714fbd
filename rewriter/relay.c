#include "rewriter/relay.h"

#include "core/base/must.h"

#define UNREACHED "4.4.1 next hop does not answer"
#define LOST "4.4.2 connection to the next hop lost"
#define DOWN "4.3.2 next hop does not answer, try again later"

/* What a message may rest on; without it a transaction cannot be carried over
 * to a new connection. */
#define BINDING (SMTP_OFFER_8BITMIME | SMTP_OFFER_SMTPUTF8 | SMTP_OFFER_DSN)

void relay_init(struct relay *r, const struct session_config *cfg, const struct relay_world *world, void *arg)
{
	*r = (struct relay){.world = world, .arg = arg, .hop = RELAY_HOP_WANTED};
	session_init(&r->session, cfg);
	exchange_init(&r->exchange, cfg->host);
	buf_init(&r->pending, RELAY_MAX_PENDING);
	buf_init(&r->text, SMTP_MAX_REPLY);
	/* Rendering adds tokens; how much may be added is decided where it is done. */
	buf_init(&r->copy.rendered, SIZE_MAX / 2);
	buf_init(&r->copy.sender, SMTP_MAX_PATH);
}

void relay_free(struct relay *r)
{
	session_free(&r->session);
	exchange_free(&r->exchange);
	buf_free(&r->pending);
	buf_free(&r->text);
	buf_free(&r->copy.rendered);
	buf_free(&r->copy.sender);
}

static void hop_drop(struct relay *r)
{
	if (r->hop != RELAY_HOP_NONE)
		r->hop_close = true;
	r->hop = RELAY_HOP_NONE;
	r->mail_sent = r->used = false;
	exchange_open(&r->exchange);
}

static void hop_leave(struct relay *r)
{
	if (r->hop == RELAY_HOP_LEAVING)
		return;
	if (r->hop != RELAY_HOP_READY || r->exchange.waiting_count > 0 || r->exchange.queued_count > 0) {
		hop_drop(r);
		return;
	}
	exchange_quit(&r->exchange);
	r->hop = RELAY_HOP_LEAVING;
}

static void send_mail(struct relay *r)
{
	const struct envelope *e = &r->session.envelope;
	uint64_t size = e->size ? e->size + SESSION_GROWTH : 0, most = r->exchange.offer.size;

	exchange_mail(&r->exchange, buf_slice(&e->sender), buf_slice(&e->sender_params),
		most && size > most ? most : size);
	r->mail_sent = true;
	r->heard = false;
	r->failed = 0;
}

/* Ask the hop what the session wants to know of it. */
static void probe(struct relay *r)
{
	const struct envelope *e = &r->session.envelope;

	if (r->session.mail != SESSION_ASKED && r->session.rcpt != SESSION_ASKED)
		return;
	if (!r->mail_sent)
		send_mail(r);
	if (r->session.rcpt == SESSION_ASKED)
		exchange_rcpt(&r->exchange, buf_slice(&e->recipient), buf_slice(&e->recipient_params));
}

static void deliver(struct relay *r)
{
	const struct envelope *e = &r->session.envelope;
	struct exchange *x = &r->exchange;

	if (r->copy.has_sender || !r->mail_sent) {
		if (r->mail_sent)
			exchange_rset(x);
		exchange_mail(x, r->copy.has_sender ? buf_slice(&r->copy.sender) : buf_slice(&e->sender),
			buf_slice(&e->sender_params), r->copy.message.len);
		exchange_rcpt(x, buf_slice(&e->recipient), buf_slice(&e->recipient_params));
		r->mail_sent = true;
	}
	r->failed = 0;
	exchange_data(x);
}

static void hop_reset(struct relay *r)
{
	if (r->mail_sent && r->hop == RELAY_HOP_READY) {
		exchange_rset(&r->exchange);
		r->used = true;
	}
	r->mail_sent = false;
}

/* The message has its answer. */
static void finish(struct relay *r, int code, slice text)
{
	r->phase = RELAY_PROBE;
	r->world->answered(r->arg, code);
	session_answer(&r->session, code, text);
	hop_reset(r);
	r->copy.message = SLICE_NONE;
	buf_clear(&r->copy.rendered);
	if (r->copy.rendered.room > SESSION_KEEP)
		buf_free(&r->copy.rendered);
}

static void message_whole(struct relay *r)
{
	struct relay_copy *c = &r->copy;

	c->code = 0;
	c->has_sender = c->tracked = false;
	buf_clear(&c->rendered);
	buf_clear(&c->sender);
	c->message = buf_slice(&r->session.message);
	r->world->prepare(r->arg, &r->session.envelope, c->message, r->exchange.offer.size, c);
	if (c->code) {
		finish(r, c->code, slice_str(c->text));
		return;
	}
	r->phase = RELAY_DELIVER;
	if (r->hop == RELAY_HOP_READY)
		deliver(r);
	else if (r->hop == RELAY_HOP_NONE)
		r->hop = RELAY_HOP_WANTED;
}

/* Give the session the client's bytes and see to its wishes. */
static slice serve(struct relay *r, slice in)
{
	enum session_wish wish;

	while ((wish = session_feed(&r->session, &in)) != SESSION_NOTHING) {
		switch (wish) {
		case SESSION_MAIL:
			if (r->hop == RELAY_HOP_NONE)
				r->hop = RELAY_HOP_WANTED;
			if (r->hop == RELAY_HOP_READY)
				send_mail(r);
			break;
		case SESSION_RCPT:
			if (r->hop == RELAY_HOP_NONE)
				r->hop = RELAY_HOP_WANTED;
			if (r->hop == RELAY_HOP_READY)
				probe(r);
			break;
		case SESSION_MESSAGE:
			message_whole(r);
			break;
		case SESSION_RESET:
			hop_reset(r);
			break;
		case SESSION_NOTHING:
			break;
		}
	}
	return in;
}

/* After anything happened: go on with what the client sent meanwhile, and see
 * whether it is over. */
static void go_on(struct relay *r)
{
	if (!r->client_gone && r->pending.len > 0) {
		slice rest = serve(r, buf_slice(&r->pending));

		buf_drop(&r->pending, r->pending.len - rest.len);
	}
	if (r->phase == RELAY_PROBE && (r->client_gone || session_closed(&r->session)) &&
		r->hop != RELAY_HOP_NONE)
		hop_leave(r);
}

void relay_client_in(struct relay *r, slice in)
{
	if (r->pending.len == 0)
		in = serve(r, in);
	buf_put(&r->pending, in);
	must(!r->pending.full);
	go_on(r);
}

void relay_client_gone(struct relay *r)
{
	r->client_gone = true;
	buf_free(&r->pending);
	go_on(r);
}

void relay_client_late(struct relay *r)
{
	session_close(&r->session, 421, SLICE("4.4.2 silent for too long"));
	go_on(r);
}

void relay_stop(struct relay *r)
{
	session_stop(&r->session);
	go_on(r);
}

/* The hop cannot answer: this is said in its place to all that waits. */
static void answer_for_hop(struct relay *r, int code, const char *text)
{
	if (r->phase == RELAY_DELIVER) {
		finish(r, code, slice_str(text));
		return;
	}
	while (r->phase == RELAY_PROBE && session_waits(&r->session) && !session_closed(&r->session))
		session_answer(&r->session, code, slice_str(text));
}

void relay_hop_gone(struct relay *r)
{
	bool reached = r->hop == RELAY_HOP_READY, again = reached && r->used && !r->heard;

	if (r->hop == RELAY_HOP_NONE)
		return;
	hop_drop(r);
	if (r->session.mode == SESSION_SILENT)
		session_close(&r->session, 421, SLICE(DOWN));
	else if (r->phase == RELAY_PROBE && session_waits(&r->session) && again)
		/* It had closed the idle connection before it saw MAIL. */
		r->hop = RELAY_HOP_WANTED;
	else
		answer_for_hop(r, 451, reached ? LOST : UNREACHED);
	go_on(r);
}

void relay_hop_up(struct relay *r)
{
	must(r->hop == RELAY_HOP_WANTED);
	exchange_open(&r->exchange);
	r->hop = RELAY_HOP_CONNECTED;
}

static void hop_ready(struct relay *r)
{
	r->hop = RELAY_HOP_READY;
	if (r->session.mode == SESSION_SILENT) {
		session_greet(&r->session, &r->exchange.offer);
		return;
	}
	if (r->session.offer.flags & ~r->exchange.offer.flags & BINDING) {
		hop_leave(r);
		answer_for_hop(r, 421, "4.3.2 next hop no longer offers what it did");
		return;
	}
	if (r->phase == RELAY_DELIVER)
		deliver(r);
	else
		probe(r);
}

/* It does not want us, or cannot now. */
static void hop_refused(struct relay *r, int code, slice text)
{
	hop_drop(r);
	if (r->session.mode == SESSION_SILENT)
		session_close(&r->session, 421, code == 421 ? text : SLICE(DOWN));
	else if (code == 421 && r->phase == RELAY_PROBE && session_waits(&r->session))
		session_answer(&r->session, 421, text);
	else
		answer_for_hop(r, 451, UNREACHED);
}

static void note_failure(struct relay *r, int code, slice text)
{
	if (code < 400 || r->failed)
		return;
	r->failed = code;
	buf_clear(&r->text);
	buf_put(&r->text, text);
}

static void answer_mail(struct relay *r, int code, slice text)
{
	if (r->phase == RELAY_DELIVER || r->session.mail != SESSION_ASKED) {
		note_failure(r, code, text);
		return;
	}
	if (code >= 400)
		r->mail_sent = false;
	session_answer(&r->session, code, text);
}

static void answer_rcpt(struct relay *r, int code, slice text)
{
	if (r->phase == RELAY_DELIVER)
		note_failure(r, code, text);
	/* MAIL said again on a new connection was refused: that is the reason. */
	else if (r->failed)
		session_answer(&r->session, r->failed, buf_slice(&r->text));
	else
		session_answer(&r->session, code, text);
}

static void answer_data(struct relay *r, int code, slice text)
{
	note_failure(r, code, text);
	if (!r->failed) {
		exchange_body(&r->exchange, r->copy.message);
		return;
	}
	/* It wants data though it refused before: nothing must follow. */
	if (code == 354)
		hop_drop(r);
	finish(r, r->failed, buf_slice(&r->text));
}

static void answer_dot(struct relay *r, int code, slice text)
{
	r->mail_sent = false;
	r->used = true;
	if (r->exchange.sending || r->exchange.out.len > 0)
		hop_drop(r); /* refused half-way: the rest would be taken for commands */
	if (code / 100 != 2 || !r->world->taken(r->arg, &r->copy, text)) {
		finish(r, code, text);
		if (code == 421)
			hop_drop(r);
		return;
	}
	r->phase = RELAY_SYNC;
	r->answer = code;
	buf_clear(&r->text);
	buf_put(&r->text, text);
}

void relay_synced(struct relay *r)
{
	if (r->phase != RELAY_SYNC)
		return;
	finish(r, r->answer, buf_slice(&r->text));
	go_on(r);
}

static void hop_answer(struct relay *r, enum exchange_step step, int code, slice text)
{
	r->heard = true;
	switch (step) {
	case EXCHANGE_GREETING:
		hop_refused(r, code, text);
		break;
	case EXCHANGE_HELLO:
		if (code / 100 == 2)
			hop_ready(r);
		else
			hop_refused(r, code, text);
		break;
	case EXCHANGE_MAIL:
		answer_mail(r, code, text);
		break;
	case EXCHANGE_RCPT:
		answer_rcpt(r, code, text);
		break;
	case EXCHANGE_DATA:
		answer_data(r, code, text);
		break;
	case EXCHANGE_DOT:
		answer_dot(r, code, text);
		break;
	case EXCHANGE_RSET:
		if (r->phase == RELAY_DELIVER)
			note_failure(r, code, text);
		else if (code / 100 != 2)
			hop_drop(r);
		break;
	case EXCHANGE_NOTHING:
	case EXCHANGE_QUIT:
		hop_drop(r);
		break;
	}
}

/* 421: the hop closes. Whoever waits is told the same. */
static void hop_closes(struct relay *r, slice text)
{
	if (r->phase == RELAY_DELIVER)
		finish(r, 421, text);
	else if (r->phase == RELAY_PROBE && session_waits(&r->session) && !session_closed(&r->session))
		session_answer(&r->session, 421, text);
	if (r->hop != RELAY_HOP_NONE && r->hop != RELAY_HOP_WANTED)
		hop_drop(r);
}

int relay_hop_in(struct relay *r, slice in)
{
	enum exchange_step step;
	struct buf text;
	int rc = 0;

	buf_init(&text, SMTP_MAX_REPLY);
	while (r->hop == RELAY_HOP_CONNECTED || r->hop == RELAY_HOP_READY || r->hop == RELAY_HOP_LEAVING) {
		rc = exchange_feed(&r->exchange, &in, &step);
		if (rc <= 0)
			break;
		/* Handling an answer may end the exchange that holds its text. */
		buf_clear(&text);
		buf_put(&text, buf_slice(&r->exchange.reply.text));
		if (r->exchange.reply.code == 421 && step != EXCHANGE_GREETING && step != EXCHANGE_HELLO &&
			step != EXCHANGE_DOT)
			hop_closes(r, buf_slice(&text));
		else
			hop_answer(r, step, r->exchange.reply.code, buf_slice(&text));
	}
	buf_free(&text);
	if (rc < 0) {
		r->heard = true;
		relay_hop_gone(r);
		return rc;
	}
	go_on(r);
	return 0;
}

bool relay_hungry(const struct relay *r)
{
	return !r->client_gone && r->session.mode != SESSION_SILENT && !session_waits(&r->session) &&
	       !session_closed(&r->session) && r->session.out.len < SMTP_MAX_REPLY;
}

enum relay_limit relay_hop_limit(const struct relay *r)
{
	switch (r->hop) {
	case RELAY_HOP_NONE:
		return RELAY_LIMIT_NONE;
	case RELAY_HOP_WANTED:
		return RELAY_LIMIT_CONNECT;
	case RELAY_HOP_LEAVING:
		return RELAY_LIMIT_QUIT;
	default:
		break;
	}
	switch (exchange_waits(&r->exchange)) {
	case EXCHANGE_NOTHING:
		return RELAY_LIMIT_NONE;
	case EXCHANGE_DOT:
		return RELAY_LIMIT_DOT;
	default:
		return RELAY_LIMIT_REPLY;
	}
}

bool relay_client_done(const struct relay *r)
{
	return r->client_gone || session_closed(&r->session);
}

bool relay_done(const struct relay *r)
{
	return relay_client_done(r) && r->phase == RELAY_PROBE && r->hop == RELAY_HOP_NONE;
}
