#include "rewriter/relay.h"

#include "core/base/must.h"
#include "rewriter/xforward.h"

#define UNREACHED "4.4.1 next hop does not answer"
#define LOST "4.4.2 connection to the next hop lost"
#define DOWN "4.3.2 next hop does not answer, try again later"
#define MIXED "4.3.0 not taken for all recipients yet, try again"
#define KNOWN "2.0.0 Ok, taken at an earlier attempt"
#define NO_TIME "4.4.2 no time left for this recipient, try again"
#define ALONE "4.5.3 this recipient needs a transaction of its own, try again"
#define LESS "4.3.2 next hop no longer offers what it did"
#define CHANGED "4.3.0 a recipient is no longer taken, try again"
/* Of each reply, where there are several recipients. */
#define KEPT_TEXT 1000
#define MAX_TEXTS (SESSION_MAX_RECIPIENTS * KEPT_TEXT)

void relay_init(struct relay *r, const struct session_config *cfg, const struct smtp_offer *offer,
	const struct relay_world *world, void *arg)
{
	*r = (struct relay){.world = world, .arg = arg};
	session_init(&r->session, cfg);
	if (offer)
		session_greet(&r->session, offer);
	else
		r->hop = RELAY_HOP_WANTED;
	buf_init(&r->pending, RELAY_MAX_PENDING);
	buf_init(&r->text, SMTP_MAX_REPLY);
	buf_init(&r->texts, MAX_TEXTS);
	/* Rendering adds tokens; how much may be added is decided where it is done. */
	buf_init(&r->copy.rendered, SIZE_MAX / 2);
	buf_init(&r->copy.sender, SMTP_MAX_PATH);
	buf_init(&r->copy.ident, XFORWARD_MAX_IDENT);
}

void relay_client_is(struct relay *r, const struct ip *address, uint16_t port, bool trusted)
{
	r->has_client = true;
	r->client = *address;
	r->client_port = port;
	r->session.trusted = trusted;
}

void relay_free(struct relay *r)
{
	session_free(&r->session);
	buf_free(&r->pending);
	buf_free(&r->text);
	buf_free(&r->texts);
	buf_free(&r->copy.rendered);
	buf_free(&r->copy.sender);
	buf_free(&r->copy.ident);
}

/* The connection goes, one way or the other. */
static void part(struct relay *r, enum relay_parting how)
{
	if (r->hop == RELAY_HOP_HELD)
		r->parting = how;
	r->hop = RELAY_HOP_NONE;
	r->exchange = NULL;
	r->mail_sent = r->used = r->own = r->about = false;
	r->told = 0;
	r->xclient = 0;
}

static void hop_drop(struct relay *r)
{
	/* What the hop knew of the client is lost, and only the client can say it
	 * anew. */
	if (r->own)
		r->own_lost = true;
	part(r, RELAY_DROPS);
}

/* The client's lines of XFORWARD that this connection was not told yet. */
static void put_lines(struct relay *r)
{
	slice lines = buf_slice(&r->session.xforward);

	while (r->told < lines.len) {
		size_t end = slice_chr(lines, '\r', r->told);

		exchange_line(r->exchange, EXCHANGE_ABOUT, slice_sub(lines, r->told, end));
		r->told = end + 2;
		r->about = true;
	}
}

/* What of XFORWARD the hop does not know yet: lines of the client's, which know
 * more than we of whom it speaks for, else what we know of the client. */
static void put_about(struct relay *r, slice ident)
{
	const struct session *s = &r->session;
	struct xforward f = {.helo = buf_slice(&s->helo),
		.protocol = s->cfg->lmtp  ? SLICE("LMTP")
			    : s->extended ? SLICE("ESMTP")
					  : SLICE("SMTP"),
		.port = r->client_port,
		.address = &r->client};
	const struct smtp_words *offered = &r->exchange->offer.xforward;
	struct buf line;

	put_lines(r);
	if (!s->cfg->tell_client || !(r->exchange->offer.flags & SMTP_OFFER_XFORWARD))
		return;
	buf_init(&line, SMTP_MAX_COMMAND);
	if (s->xforward.len == 0 && r->has_client && xforward_client_put(&f, offered, &line)) {
		exchange_line(r->exchange, EXCHANGE_ABOUT, buf_slice(&line));
		r->about = true;
	}
	buf_clear(&line);
	if (xforward_ident_put(ident, offered, &line)) {
		exchange_line(r->exchange, EXCHANGE_ABOUT, buf_slice(&line));
		r->about = true;
	}
	buf_free(&line);
}

static void say_rset(struct relay *r)
{
	exchange_rset(r->exchange);
	r->about = false;
	r->told = 0;
}

static void send_mail(struct relay *r)
{
	const struct envelope *e = &r->session.envelope;
	uint64_t size = e->size ? e->size + SESSION_GROWTH : 0, most = r->exchange->offer.size;

	put_about(r, SLICE_NONE);
	exchange_mail(r->exchange, buf_slice(&e->sender), buf_slice(&e->sender_params),
		most && size > most ? most : size);
	r->mail_sent = true;
	r->held = 0;
	r->heard = false;
	r->failed = 0;
}

/* What the hop must offer for the first n recipients of this transaction. */
static unsigned needs(const struct envelope *e, unsigned n)
{
	slice rest = buf_slice(&e->sender_params);
	struct smtp_param p;
	unsigned flags = 0;

	while (smtp_param_next(&rest, &p) > 0) {
		if (slice_ieq(p.name, SLICE("BODY")))
			flags |= slice_ieq(p.value, SLICE("8BITMIME")) ? SMTP_OFFER_8BITMIME : 0;
		else if (slice_ieq(p.name, SLICE("SMTPUTF8")))
			flags |= SMTP_OFFER_SMTPUTF8;
		else if (slice_ieq(p.name, SLICE("RET")) || slice_ieq(p.name, SLICE("ENVID")))
			flags |= SMTP_OFFER_DSN;
		else if (slice_ieq(p.name, SLICE("AUTH")))
			flags |= SMTP_OFFER_AUTH;
	}
	for (unsigned i = 0; i < n; i++)
		if (envelope_params(e, i).len > 0)
			flags |= SMTP_OFFER_DSN;
	return flags;
}

/* Does this connection offer what the client was promised and makes use of? */
static bool suits(const struct relay *r)
{
	const struct envelope *e = &r->session.envelope;
	const struct smtp_offer *o = &r->exchange->offer;
	unsigned n = e->count + (r->session.rcpt == SESSION_ASKED);

	return !(needs(e, n) & ~o->flags) && (r->mail_sent || o->size == 0 || e->size <= o->size);
}

static void say_rcpt(struct relay *r, unsigned i)
{
	const struct envelope *e = &r->session.envelope;

	exchange_rcpt(r->exchange, envelope_address(e, i), envelope_params(e, i));
}

static void hop_reset(struct relay *r)
{
	if ((r->mail_sent || r->about) && r->hop == RELAY_HOP_HELD) {
		say_rset(r);
		r->used = true;
	}
	r->mail_sent = false;
}

static void answer_for_hop(struct relay *r, int code, slice text);

/* The hop is needed: it is held, or wanted now. */
static void need_hop(struct relay *r)
{
	if (r->hop == RELAY_HOP_NONE && r->own_lost)
		answer_for_hop(r, 421, SLICE(LOST));
	else if (r->hop == RELAY_HOP_NONE)
		r->hop = RELAY_HOP_WANTED;
}

/* Hand on the line that the session wants answered. */
static void say_line(struct relay *r)
{
	slice line = buf_slice(&r->session.line);

	switch (r->session.asking) {
	case SMTP_AUTH:
		exchange_line(r->exchange, EXCHANGE_AUTH, line);
		break;
	case SMTP_XCLIENT:
		exchange_line(r->exchange, EXCHANGE_XCLIENT, line);
		break;
	default:
		if (r->own)
			put_lines(r);
		exchange_line(r->exchange, EXCHANGE_XFORWARD, line);
		break;
	}
}

/* Ask the hop what the session wants to know of it. */
static void probe(struct relay *r)
{
	need_hop(r);
	if (r->hop != RELAY_HOP_HELD)
		return;
	if (r->session.asking) {
		say_line(r);
		return;
	}
	if (r->session.mail != SESSION_ASKED && r->session.rcpt != SESSION_ASKED)
		return;
	if (!suits(r)) {
		hop_reset(r);
		answer_for_hop(r, 421, SLICE(LESS));
		return;
	}
	if (!r->mail_sent)
		send_mail(r);
	if (r->session.rcpt == SESSION_ASKED)
		say_rcpt(r, r->session.envelope.count);
}

static bool has_envelope_id(slice params)
{
	struct smtp_param p;

	while (smtp_param_next(&params, &p) > 0)
		if (slice_ieq(p.name, SLICE("ENVID")))
			return true;
	return false;
}

/* MAIL for the copy under way: with a name in ENVID where the client gave none. */
static void mail_copy(struct relay *r)
{
	const struct envelope *e = &r->session.envelope;
	const struct relay_copy *c = &r->copy;
	slice sender = c->has_sender ? buf_slice(&c->sender) : buf_slice(&e->sender);
	bool dsn = r->exchange->offer.flags & SMTP_OFFER_DSN;
	struct buf params;

	put_about(r, buf_slice(&c->ident));
	buf_init(&params, SMTP_MAX_PARAMS + XFORWARD_MAX_IDENT);
	buf_put(&params, buf_slice(&e->sender_params));
	if (c->ident.len > 0 && dsn && !has_envelope_id(buf_slice(&params))) {
		buf_str(&params, params.len > 0 ? " ENVID=" : "ENVID=");
		buf_put(&params, buf_slice(&c->ident));
	}
	exchange_mail(r->exchange, sender, buf_slice(&params), c->message.len);
	buf_free(&params);
}

/* Must MAIL be said anew for the sake of the copy's name? */
static bool to_be_named(const struct relay *r)
{
	const struct session_config *cfg = r->session.cfg;
	unsigned offer = r->exchange->offer.flags;

	return r->copy.ident.len > 0 && ((cfg->tell_client && (offer & SMTP_OFFER_XFORWARD)) ||
						(cfg->envelope_id && (offer & SMTP_OFFER_DSN)));
}

static void deliver(struct relay *r)
{
	const struct envelope *e = &r->session.envelope;
	bool all = r->copy.shared || e->count == 1;
	struct exchange *x = r->exchange;

	/* The transaction in which the recipients were asked for will do if it
	 * holds these very ones. */
	if (!r->mail_sent || r->copy.has_sender || to_be_named(r) || !all || r->held != e->count) {
		if (r->mail_sent)
			say_rset(r);
		mail_copy(r);
		for (unsigned i = all ? 0 : r->at; i < (all ? e->count : r->at + 1); i++)
			say_rcpt(r, i);
		r->mail_sent = true;
		r->held = 0;
	}
	r->failed = 0;
	r->body = false;
	exchange_data(x);
}

static void answer_outcome(struct relay *r, const struct relay_outcome *o)
{
	int code = o->code;

	/* One recipient's 421 does not end an LMTP session that has more to say. */
	if (code == 421 && r->session.cfg->lmtp)
		code = 451;
	session_answer(&r->session, code, slice_sub(buf_slice(&r->texts), o->at, o->at + o->len));
}

/* The outcome that is told for all: the first one, but rather that of a copy
 * that went now. NULL: they differ. */
static const struct relay_outcome *common(const struct relay *r)
{
	const struct relay_outcome *o = r->outcome, *told = o;

	for (unsigned i = 1; i < r->session.envelope.count; i++) {
		if (o[i].code / 100 != o->code / 100)
			return NULL;
		if (told->known)
			told = &o[i];
	}
	return told;
}

/* The message has its answer. */
static void tell(struct relay *r)
{
	const struct envelope *e = &r->session.envelope;
	bool lmtp = r->session.cfg->lmtp;
	const struct relay_outcome *told = lmtp ? NULL : common(r);

	r->phase = RELAY_PROBE;
	r->world->answered(r->arg, e, buf_slice(&r->session.message), r->outcome, !lmtp && !told);
	if (told)
		answer_outcome(r, told);
	else if (!lmtp)
		session_answer(&r->session, 451, SLICE(MIXED));
	/* The last answer ends the transaction, and with it the count. */
	for (unsigned i = 0, n = lmtp ? e->count : 0; i < n; i++)
		answer_outcome(r, &r->outcome[i]);
	hop_reset(r);
	r->copy.message = SLICE_NONE;
	r->copy.content = 0;
	buf_clear(&r->texts);
	if (r->texts.room > SESSION_KEEP)
		buf_free(&r->texts);
	buf_clear(&r->copy.rendered);
	if (r->copy.rendered.room > SESSION_KEEP)
		buf_free(&r->copy.rendered);
}

/* All copies have their outcome. */
static void conclude(struct relay *r)
{
	if (!r->recorded) {
		tell(r);
		return;
	}
	r->phase = RELAY_SYNC;
	r->world->sync(r->arg);
}

static void put_outcome(struct relay *r, int code, slice text)
{
	slice kept = slice_sub(text, 0, r->session.envelope.count > 1 ? KEPT_TEXT : text.len);

	r->outcome[r->at++] = (struct relay_outcome){.code = code, .at = r->texts.len, .len = kept.len};
	buf_put(&r->texts, kept);
}

/* Is there nothing to send to the recipient whose turn it is? */
static bool skip_known(struct relay *r)
{
	if (!r->world->known(r->arg, &r->session.envelope, r->at, buf_slice(&r->session.message)))
		return false;
	put_outcome(r, 250, SLICE(KNOWN));
	r->outcome[r->at - 1].known = true;
	return true;
}

/* This is the outcome of all recipients that have none yet. */
static void end_copies(struct relay *r, int code, slice text)
{
	while (r->at < r->session.envelope.count)
		if (!skip_known(r))
			put_outcome(r, code, text);
	conclude(r);
}

static void prepare_copy(struct relay *r)
{
	struct relay_copy *c = &r->copy;

	c->code = 0;
	c->has_sender = c->tracked = c->shared = false;
	buf_clear(&c->rendered);
	buf_clear(&c->sender);
	buf_clear(&c->ident);
	c->message = buf_slice(&r->session.message);
	r->world->prepare(r->arg, &r->session.envelope, r->at, c->message, r->most, c);
	/* Others have theirs already; or one will be refused, and not the others. */
	if (r->at > 0 || r->doubtful)
		c->shared = false;
}

/* Send the next copy, or none is left. */
static void next_copy(struct relay *r)
{
	r->again = r->body = false;
	while (r->at < r->session.envelope.count) {
		if (skip_known(r))
			continue;
		/* Nobody waits for what is not begun: it will come again. */
		if (r->at > 0 && (r->client_gone || r->overdue)) {
			end_copies(r, 451, SLICE(NO_TIME));
			return;
		}
		prepare_copy(r);
		if (r->copy.code) {
			put_outcome(r, r->copy.code, slice_str(r->copy.text));
			continue;
		}
		r->phase = RELAY_DELIVER;
		need_hop(r);
		if (r->hop == RELAY_HOP_HELD)
			deliver(r);
		return;
	}
	conclude(r);
}

/* The copy under way has its outcome. */
static void copy_done(struct relay *r, int code, slice text)
{
	put_outcome(r, code, text);
	r->outcome[r->at - 1].own = true;
	while (r->copy.shared && r->at < r->session.envelope.count) {
		r->outcome[r->at] = r->outcome[r->at - 1];
		r->outcome[r->at++].shared = true;
	}
	next_copy(r);
}

static void message_whole(struct relay *r)
{
	r->at = 0;
	r->overdue = r->recorded = false;
	next_copy(r);
}

/* A recipient that was not taken together with others comes alone, so that the
 * others do not wait for it. */
static void rcpt(struct relay *r)
{
	const struct envelope *e = &r->session.envelope;
	bool alone = !r->session.cfg->lmtp && r->world->alone(r->arg, e, e->count);

	if (e->count == 0)
		r->doubtful = false;
	if (e->count > 0 && (alone || r->alone)) {
		session_answer(&r->session, 452, SLICE(ALONE));
		return;
	}
	r->alone = alone;
	probe(r);
}

/* Give the session the client's bytes and see to its wishes. */
static slice serve(struct relay *r, slice in)
{
	enum session_wish wish;

	while ((wish = session_feed(&r->session, &in)) != SESSION_NOTHING) {
		switch (wish) {
		case SESSION_MAIL:
			probe(r);
			break;
		case SESSION_RCPT:
			rcpt(r);
			break;
		case SESSION_MESSAGE:
			message_whole(r);
			break;
		case SESSION_RESET:
			hop_reset(r);
			break;
		case SESSION_LINE:
			probe(r);
			break;
		case SESSION_STARTTLS:
		case SESSION_NOTHING:
			break;
		}
	}
	return in;
}

/* Outside of a transaction the connection serves whoever needs one. */
static void release(struct relay *r)
{
	const struct session *s = &r->session;
	bool over = relay_client_done(r);

	if (!over && (s->mode == SESSION_SILENT || s->mode == SESSION_SASL || s->mail != SESSION_NOT_ASKED ||
			     s->rcpt != SESSION_NOT_ASKED || s->asking))
		return;
	if (r->hop == RELAY_HOP_WANTED) {
		r->hop = RELAY_HOP_NONE;
		return;
	}
	if (r->own && !over)
		return;
	hop_reset(r);
	if (!exchange_resting(r->exchange))
		part(r, RELAY_DROPS);
	else
		part(r, r->own ? RELAY_QUITS : RELAY_GIVES);
}

/* After anything happened: go on with what the client sent meanwhile, and see
 * whether it is over. */
static void go_on(struct relay *r)
{
	if (!r->client_gone && r->pending.len > 0) {
		slice rest = serve(r, buf_slice(&r->pending));

		buf_drop(&r->pending, r->pending.len - rest.len);
	}
	if (r->hop != RELAY_HOP_NONE && r->phase == RELAY_PROBE)
		release(r);
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

bool relay_client_securing(const struct relay *r)
{
	return r->session.mode == SESSION_HANDSHAKE;
}

void relay_client_secured(struct relay *r)
{
	session_secured(&r->session);
	go_on(r);
}

void relay_client_late(struct relay *r)
{
	session_close(&r->session, 421, SLICE("4.4.2 silent for too long"));
	go_on(r);
}

void relay_overdue(struct relay *r)
{
	r->overdue = true;
}

void relay_stop(struct relay *r)
{
	session_stop(&r->session);
	go_on(r);
}

/* The hop cannot answer: this is said in its place to all that waits. */
static void answer_for_hop(struct relay *r, int code, slice text)
{
	if (r->phase == RELAY_DELIVER) {
		end_copies(r, code, text);
		return;
	}
	while (r->phase == RELAY_PROBE && session_waits(&r->session) && !session_closed(&r->session))
		session_answer(&r->session, code, text);
}

/* The connection is lost; had it served before, and has the hop nothing of this
 * copy? Then another one is worth trying, once. */
static bool try_again(struct relay *r)
{
	if (r->phase != RELAY_DELIVER || !r->used || r->own || r->body || r->again)
		return false;
	hop_drop(r);
	r->again = true;
	r->hop = RELAY_HOP_WANTED;
	return true;
}

/* The kept connection had been closed before it saw MAIL: the same for that. */
static bool ask_again(struct relay *r)
{
	if (r->phase != RELAY_PROBE || !r->used || r->own || r->heard || !session_waits(&r->session))
		return false;
	hop_drop(r);
	r->hop = RELAY_HOP_WANTED;
	return true;
}

void relay_hop_gone(struct relay *r)
{
	if (r->hop != RELAY_HOP_HELD || try_again(r) || ask_again(r))
		return;
	hop_drop(r);
	answer_for_hop(r, 451, SLICE(LOST));
	go_on(r);
}

void relay_give_up(struct relay *r)
{
	bool held = r->hop == RELAY_HOP_HELD;

	if (r->phase == RELAY_SYNC)
		return;
	if (held)
		hop_drop(r);
	r->hop = RELAY_HOP_NONE;
	if (r->session.mode == SESSION_SILENT)
		session_close(&r->session, 421, SLICE(DOWN));
	else
		answer_for_hop(r, 451, held ? SLICE(LOST) : SLICE(UNREACHED));
	go_on(r);
}

void relay_hop_up(struct relay *r, struct exchange *x, bool used)
{
	must(r->hop == RELAY_HOP_WANTED && r->parting == RELAY_STAYS);
	r->hop = RELAY_HOP_HELD;
	r->exchange = x;
	r->used = used;
	r->heard = false;
	r->most = x->offer.size;
	if (r->session.mode == SESSION_SILENT)
		session_greet(&r->session, &x->offer);
	else if (r->phase == RELAY_PROBE)
		probe(r);
	else if (suits(r))
		deliver(r);
	else
		answer_for_hop(r, 421, SLICE(LESS));
	go_on(r);
}

void relay_hop_refused(struct relay *r, int code, slice text)
{
	must(r->hop == RELAY_HOP_WANTED);
	r->hop = RELAY_HOP_NONE;
	if (r->session.mode == SESSION_SILENT)
		session_close(&r->session, 421, code == 421 || code == 451 ? text : SLICE(DOWN));
	else if (code == 421 && r->phase == RELAY_PROBE)
		answer_for_hop(r, 421, text);
	else
		answer_for_hop(r, 451, code == 451 ? text : SLICE(UNREACHED));
	go_on(r);
}

static void note_failure(struct relay *r, int code, slice text)
{
	if (code < 400 || r->failed)
		return;
	r->failed = code;
	buf_clear(&r->text);
	buf_put(&r->text, text);
}

/* Refused for good by a hop that took a message from this sender (for recipient
 * i) of which the client was not told so yet. If it is that message that comes
 * again, 5xx would bounce what was delivered; only the message will show. */
static bool owed(const struct relay *r, int code, unsigned i)
{
	return code >= 500 && !r->session.cfg->lmtp && r->world->owed(r->arg, &r->session.envelope, i);
}

static void answer_mail(struct relay *r, int code, slice text)
{
	if (r->phase == RELAY_DELIVER || r->session.mail != SESSION_ASKED) {
		note_failure(r, code, text);
		return;
	}
	if (code >= 400)
		r->mail_sent = false;
	if (owed(r, code, RELAY_SENDER)) {
		/* Each recipient is asked for with MAIL before it, or is told this. */
		note_failure(r, code, text);
		code = 250;
		text = SLICE("2.1.0 Ok");
	}
	session_answer(&r->session, code, text);
}

static void tell_rcpt(struct relay *r, int code, slice text)
{
	r->held += code / 100 == 2;
	if (owed(r, code, r->session.envelope.count)) {
		r->doubtful = true;
		code = 250;
		text = SLICE("2.1.5 Ok");
	}
	session_answer(&r->session, code, text);
}

static void answer_rcpt(struct relay *r, int code, slice text)
{
	bool several = r->copy.shared && r->session.envelope.count > 1;

	/* On a new connection: what one recipient is told is not true for all. */
	if (r->phase == RELAY_DELIVER && several && code >= 400)
		note_failure(r, 451, SLICE(CHANGED));
	else if (r->phase == RELAY_DELIVER)
		note_failure(r, code, text);
	/* MAIL said again on a new connection was refused: that is the reason. */
	else if (r->failed)
		tell_rcpt(r, r->failed, buf_slice(&r->text));
	else
		tell_rcpt(r, code, text);
}

static void answer_data(struct relay *r, int code, slice text)
{
	note_failure(r, code, text);
	if (!r->failed) {
		r->body = true;
		exchange_body(r->exchange, r->copy.message);
		return;
	}
	/* It wants data though it refused before: nothing must follow. */
	if (code == 354)
		hop_drop(r);
	copy_done(r, r->failed, buf_slice(&r->text));
}

static void answer_dot(struct relay *r, int code, slice text)
{
	r->mail_sent = r->about = false;
	r->told = 0;
	r->used = true;
	if (exchange_unsent(r->exchange))
		hop_drop(r); /* refused half-way: the rest would be taken for commands */
	if (code / 100 == 2 && r->world->taken(r->arg, &r->copy, text))
		r->recorded = true;
	if (code == 421) {
		hop_drop(r);
		end_copies(r, code, text);
	} else {
		copy_done(r, code, text);
	}
}

bool relay_idle(const struct relay *r)
{
	return r->hop == RELAY_HOP_HELD && r->phase == RELAY_PROBE && !r->own &&
	       r->session.mode != SESSION_SILENT && !session_waits(&r->session) &&
	       exchange_resting(r->exchange);
}

void relay_recall(struct relay *r)
{
	must(relay_idle(r));
	hop_reset(r);
	part(r, RELAY_GIVES);
}

void relay_synced(struct relay *r)
{
	if (r->phase != RELAY_SYNC)
		return;
	tell(r);
	go_on(r);
}

/* To a line of the client's. Behind AUTH and XCLIENT the hop takes this
 * connection for the client's own, whatever it said. */
static void answer_line(struct relay *r, enum exchange_step step, int code, slice text)
{
	r->own |= step != EXCHANGE_XFORWARD;
	if (step == EXCHANGE_XCLIENT && code / 100 == 2) {
		r->xclient = code;
		buf_clear(&r->text);
		buf_put(&r->text, text);
		return;
	}
	session_answer(&r->session, code, text);
	if (step != EXCHANGE_XFORWARD)
		return;
	r->about = true;
	r->told = r->session.xforward.len;
	/* MAIL may go to another hop, by its sender; there it is told again. */
	if (!r->own) {
		hop_reset(r);
		part(r, RELAY_GIVES);
	}
}

/* To the EHLO behind XCLIENT. */
static void answer_hello(struct relay *r, int code)
{
	int xclient = r->xclient;

	if (!xclient || code / 100 != 2) {
		hop_drop(r);
		answer_for_hop(r, 421, SLICE(LOST));
		return;
	}
	r->xclient = 0;
	r->most = r->exchange->offer.size;
	session_offer(&r->session, &r->exchange->offer);
	session_answer(&r->session, xclient, buf_slice(&r->text));
}

static void hop_answer(struct relay *r, enum exchange_step step, int code, slice text)
{
	/* RSET belongs to what was before. */
	r->heard |= step != EXCHANGE_RSET;
	switch (step) {
	case EXCHANGE_AUTH:
	case EXCHANGE_XCLIENT:
	case EXCHANGE_XFORWARD:
		answer_line(r, step, code, text);
		break;
	case EXCHANGE_HELLO:
		answer_hello(r, code);
		break;
	case EXCHANGE_ABOUT:
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
	default:
		hop_drop(r);
		break;
	}
}

/* 421: the hop closes. Whoever waits is told the same. */
static void hop_closes(struct relay *r, slice text)
{
	if (try_again(r) || ask_again(r))
		return;
	hop_drop(r);
	if (r->phase == RELAY_DELIVER)
		end_copies(r, 421, text);
	else if (r->phase == RELAY_PROBE && session_waits(&r->session) && !session_closed(&r->session))
		session_answer(&r->session, 421, text);
}

int relay_hop_in(struct relay *r, slice in)
{
	enum exchange_step step;
	struct buf text;
	int rc = 0;

	buf_init(&text, SMTP_MAX_REPLY);
	while (r->hop == RELAY_HOP_HELD) {
		rc = exchange_feed(r->exchange, &in, &step);
		if (rc <= 0)
			break;
		/* Handling an answer may end the exchange that holds its text. */
		buf_clear(&text);
		buf_put(&text, buf_slice(&r->exchange->reply.text));
		if (r->exchange->reply.code == 421 && step != EXCHANGE_DOT)
			hop_closes(r, buf_slice(&text));
		else
			hop_answer(r, step, r->exchange->reply.code, buf_slice(&text));
	}
	buf_free(&text);
	if (rc < 0) {
		r->used = false; /* no reason to try another one */
		relay_hop_gone(r);
		return rc;
	}
	go_on(r);
	return 0;
}

bool relay_hungry(const struct relay *r)
{
	return !r->client_gone && r->session.mode != SESSION_SILENT && r->session.mode != SESSION_HANDSHAKE &&
	       !session_waits(&r->session) && !session_closed(&r->session) &&
	       r->session.out.len < SMTP_MAX_REPLY;
}

bool relay_client_done(const struct relay *r)
{
	return r->client_gone || session_closed(&r->session);
}

bool relay_done(const struct relay *r)
{
	return relay_client_done(r) && r->phase == RELAY_PROBE && r->hop == RELAY_HOP_NONE;
}
