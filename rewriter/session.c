#include "rewriter/session.h"

#include "core/base/must.h"
#include "core/base/refuse.h"

/* Room for replies that the client has not read; it is not read from while
 * anything stands here, so one command's worth is enough: the longest reply of
 * empty lines, or one for each recipient. */
#define MAX_OUT (16 * SMTP_MAX_REPLY)

enum action { SAY, HELLO, MAIL, RCPT, DATA, CHUNK, RESET, STARTTLS, ASK, LEAVE };

/* What a hop may offer to the client through us. */
#define PASSED                                                                                               \
	(SMTP_OFFER_PIPELINING | SMTP_OFFER_SIZE | SMTP_OFFER_8BITMIME | SMTP_OFFER_SMTPUTF8 |               \
		SMTP_OFFER_ENHANCED | SMTP_OFFER_DSN | SMTP_OFFER_AUTH | SMTP_OFFER_XCLIENT |                \
		SMTP_OFFER_XFORWARD)

/* What a command line leads to, before anything is changed. */
struct step {
	enum action action;
	int code; /* the reply, when it is ours */
	const char *text;
};

void session_init(struct session *s, const struct session_config *cfg)
{
	*s = (struct session){.cfg = cfg, .secured = cfg->tls_first};
	buf_init(&s->out, MAX_OUT);
	buf_init(&s->message, cfg->max_message);
	buf_init(&s->line, SMTP_MAX_SASL);
	buf_init(&s->helo, SMTP_MAX_COMMAND);
	buf_init(&s->xforward, SESSION_MAX_XFORWARD * SMTP_MAX_COMMAND);
	buf_init(&s->envelope.sender, SMTP_MAX_PARAMS);
	buf_init(&s->envelope.sender_params, SMTP_MAX_PARAMS);
	buf_init(&s->envelope.recipients, (SESSION_MAX_RECIPIENTS + 1) * SMTP_MAX_PARAMS);
}

/* It may hold a password. */
static void drop_line(struct session *s)
{
	if (s->line.len > 0)
		explicit_bzero(s->line.p, s->line.len);
	buf_clear(&s->line);
	s->asking = SMTP_UNKNOWN;
}

void session_free(struct session *s)
{
	buf_free(&s->out);
	buf_free(&s->message);
	drop_line(s);
	buf_free(&s->line);
	buf_free(&s->helo);
	buf_free(&s->xforward);
	buf_free(&s->envelope.sender);
	buf_free(&s->envelope.sender_params);
	buf_free(&s->envelope.recipients);
}

slice envelope_address(const struct envelope *e, unsigned i)
{
	const struct recipient *r = &e->recipient[i];

	return slice_sub(buf_slice(&e->recipients), r->at, r->at + r->address_len);
}

slice envelope_params(const struct envelope *e, unsigned i)
{
	const struct recipient *r = &e->recipient[i];

	return slice_sub(
		buf_slice(&e->recipients), r->at + r->address_len, r->at + r->address_len + r->params_len);
}

bool session_waits(const struct session *s)
{
	return s->mail == SESSION_ASKED || s->rcpt == SESSION_ASKED || s->asking || s->mode == SESSION_BUSY;
}

bool session_closed(const struct session *s)
{
	return s->mode == SESSION_CLOSED;
}

static void say(struct session *s, int code, slice text)
{
	smtp_reply_put(&s->out, code, text);
}

void session_close(struct session *s, int code, slice text)
{
	if (s->mode == SESSION_CLOSED)
		return;
	say(s, code, text);
	s->mode = SESSION_CLOSED;
}

/* The transaction did not come about: what XFORWARD said of it still holds. */
static void drop_transaction(struct session *s)
{
	struct envelope *e = &s->envelope;

	buf_clear(&e->sender);
	buf_clear(&e->sender_params);
	buf_clear(&e->recipients);
	if (e->recipients.room > SESSION_KEEP)
		buf_free(&e->recipients);
	e->count = 0;
	e->size = 0;
	s->chunked = false;
	s->answered = 0;
	buf_clear(&s->message);
	if (s->message.room > SESSION_KEEP)
		buf_free(&s->message);
	s->mail = s->rcpt = SESSION_NOT_ASKED;
	if (s->mode != SESSION_CLOSED)
		s->mode = SESSION_COMMANDS;
	if (s->stopping)
		session_stop(s);
}

static void end_transaction(struct session *s)
{
	buf_clear(&s->xforward);
	s->xforwards = 0;
	drop_transaction(s);
}

void session_stop(struct session *s)
{
	s->stopping = true;
	if (s->mode == SESSION_SILENT || (s->mode == SESSION_COMMANDS && s->mail == SESSION_NOT_ASKED &&
						 s->rcpt == SESSION_NOT_ASKED && !s->asking))
		session_close(s, 421, SLICE("4.3.2 going down, try again later"));
}

/* Mechanisms that speak of the TLS connection would speak of another one at
 * the hop (RFC 5802, RFC 4422 A): those go no further than here. */
static void relayable(const struct smtp_words *in, struct smtp_words *out)
{
	slice word;

	*out = (struct smtp_words){.len = 0};
	for (size_t at = 0; (word = smtp_words_next(in, &at)).len > 0;)
		if (!slice_iends(word, SLICE("-PLUS")) && !slice_ieq(word, SLICE("EXTERNAL")))
			smtp_words_add(out, word);
}

void session_offer(struct session *s, const struct smtp_offer *offer)
{
	uint64_t most = s->cfg->max_message;

	s->offer = *offer;
	relayable(&offer->auth, &s->offer.auth);
	/* CHUNKING ends with us: the hop is given DATA. */
	s->offer.flags = (offer->flags & PASSED) | SMTP_OFFER_CHUNKING;
	if (s->offer.auth.len == 0)
		s->offer.flags &= ~(unsigned)SMTP_OFFER_AUTH;
	if (offer->size && offer->size < most)
		most = offer->size;
	if (offer->size && offer->size - most < SESSION_GROWTH)
		most = offer->size > 2 * SESSION_GROWTH ? offer->size - SESSION_GROWTH : offer->size / 2;
	s->offer.size = most;
	s->message.cap = most;
}

void session_greet(struct session *s, const struct smtp_offer *offer)
{
	session_offer(s, offer);
	buf_put(&s->out, SLICE("220 "));
	buf_put(&s->out, s->cfg->host);
	buf_put(&s->out, s->cfg->lmtp ? SLICE(" LMTP Landfall\r\n") : SLICE(" ESMTP Landfall\r\n"));
	s->mode = SESSION_COMMANDS;
}

static struct step ours(int code, const char *text)
{
	return (struct step){SAY, code, text};
}

/* What the answer to EHLO holds now. */
static unsigned visible(const struct session *s)
{
	unsigned flags = s->offer.flags;

	if (s->cfg->starttls && !s->secured)
		flags |= SMTP_OFFER_STARTTLS;
	if (s->cfg->auth_tls_only && !s->secured)
		flags &= ~(unsigned)SMTP_OFFER_AUTH;
	if (!s->trusted)
		flags &= ~(unsigned)(SMTP_OFFER_XCLIENT | SMTP_OFFER_XFORWARD);
	return flags;
}

static bool offered(const struct session *s, unsigned flag)
{
	return s->extended && (visible(s) & flag);
}

/* Is the parameter one that we may hand on? 0, or the code of our refusal. */
static int mail_param(const struct session *s, const struct smtp_param *p)
{
	uint64_t size;

	if (offered(s, SMTP_OFFER_SIZE) && slice_ieq(p->name, SLICE("SIZE"))) {
		if (!smtp_size_decode(p->value, &size))
			return 501;
		return size > s->offer.size ? 552 : 0;
	}
	if (offered(s, SMTP_OFFER_8BITMIME) && slice_ieq(p->name, SLICE("BODY")))
		return slice_ieq(p->value, SLICE("7BIT")) || slice_ieq(p->value, SLICE("8BITMIME")) ? 0 : 501;
	if (offered(s, SMTP_OFFER_SMTPUTF8) && slice_ieq(p->name, SLICE("SMTPUTF8")))
		return p->value.len ? 501 : 0;
	if (offered(s, SMTP_OFFER_DSN) &&
		(slice_ieq(p->name, SLICE("RET")) || slice_ieq(p->name, SLICE("ENVID"))))
		return p->value.len ? 0 : 501;
	if (offered(s, SMTP_OFFER_AUTH) && slice_ieq(p->name, SLICE("AUTH")))
		return p->value.len ? 0 : 501;
	return 555;
}

static int rcpt_param(const struct session *s, const struct smtp_param *p)
{
	if (offered(s, SMTP_OFFER_DSN) &&
		(slice_ieq(p->name, SLICE("NOTIFY")) || slice_ieq(p->name, SLICE("ORCPT"))))
		return p->value.len ? 0 : 501;
	return 555;
}

static struct step params_step(const struct session *s, slice params,
	int (*judge)(const struct session *s, const struct smtp_param *p), enum action action)
{
	struct smtp_param p;

	while (smtp_param_next(&params, &p) > 0) {
		switch (judge(s, &p)) {
		case 0:
			break;
		case 552:
			return ours(552, "5.3.4 message too large");
		case 501:
			return ours(501, "5.5.4 parameter not in order");
		default:
			return ours(555, "5.5.4 parameter not offered");
		}
	}
	return (struct step){.action = action};
}

static struct step mail_step(const struct session *s, const struct smtp_command *c, int rc)
{
	if (!s->hello)
		return ours(503, s->cfg->lmtp ? "5.5.1 say LHLO first" : "5.5.1 say EHLO first");
	if (s->mail != SESSION_NOT_ASKED)
		return ours(503, "5.5.1 a transaction is open already");
	if (rc < 0)
		return ours(501, "5.5.4 want MAIL FROM:<address>");
	return params_step(s, c->params, mail_param, MAIL);
}

static struct step rcpt_step(const struct session *s, const struct smtp_command *c, int rc)
{
	if (s->mail == SESSION_NOT_ASKED)
		return ours(503, "5.5.1 say MAIL first");
	if (rc < 0 || c->address.len == 0)
		return ours(501, "5.5.4 want RCPT TO:<address>");
	if (s->chunked)
		return ours(503, "5.5.1 the message has begun");
	/* The sender comes again for the others (RFC 5321 4.5.3.1.10). */
	if (s->envelope.count == SESSION_MAX_RECIPIENTS)
		return ours(452, "4.5.3 too many recipients");
	return params_step(s, c->params, rcpt_param, RCPT);
}

static struct step data_step(const struct session *s, const struct smtp_command *c)
{
	if (c->arg.len > 0)
		return ours(501, "5.5.4 DATA takes no argument");
	if (s->mail != SESSION_TAKEN)
		return ours(503, "5.5.1 say MAIL first");
	/* RFC 2033 4.2 wants 503 */
	if (s->envelope.count == 0)
		return ours(s->cfg->lmtp ? 503 : 554, "5.5.1 no valid recipients");
	if (s->chunked)
		return ours(503, "5.5.1 the message has begun with BDAT");
	return (struct step){DATA, 354, "end data with <CR><LF>.<CR><LF>"};
}

/* The bytes of a chunk follow whatever is said to it (RFC 3030 2); where their
 * number is not known nothing behind it can be told from commands. */
static struct step chunk_step(const struct session *s, const struct smtp_command *c)
{
	struct session_chunk chunk;

	if (!smtp_chunk_decode(c->arg, &chunk.size, &chunk.last))
		return (struct step){LEAVE, 521, "5.5.4 want BDAT size [LAST]"};
	if (s->mail != SESSION_TAKEN)
		return (struct step){CHUNK, 503, "5.5.1 say MAIL first"};
	if (s->envelope.count == 0)
		return (struct step){CHUNK, s->cfg->lmtp ? 503 : 554, "5.5.1 no valid recipients"};
	return (struct step){.action = CHUNK};
}

static struct step starttls_step(const struct session *s, const struct smtp_command *c)
{
	if (!s->cfg->starttls)
		return ours(502, "5.5.1 not offered");
	if (s->secured)
		return ours(503, "5.5.1 TLS is active already");
	if (c->arg.len > 0)
		return ours(501, "5.5.4 STARTTLS takes no argument");
	if (!s->extended)
		return ours(503, s->cfg->lmtp ? "5.5.1 say LHLO first" : "5.5.1 say EHLO first");
	if (s->mail != SESSION_NOT_ASKED)
		return ours(503, "5.5.1 not within a transaction");
	/* The hop would still know who it is. */
	if (s->authenticated)
		return ours(503, "5.5.1 not behind AUTH");
	return (struct step){STARTTLS, 220, "2.0.0 ready for TLS"};
}

/* BDAT: the bytes behind it are not commands, whatever is said to it. */
static struct step auth_step(const struct session *s, const struct smtp_command *c)
{
	size_t blank = slice_chr(c->arg, ' ', 0);
	slice rest = slice_trim(slice_from(c->arg, blank));

	if (!(s->offer.flags & SMTP_OFFER_AUTH))
		return ours(502, "5.5.1 not offered");
	if (!s->extended)
		return ours(503, s->cfg->lmtp ? "5.5.1 say LHLO first" : "5.5.1 say EHLO first");
	if (!offered(s, SMTP_OFFER_AUTH))
		return ours(538, "5.7.11 say STARTTLS first");
	if (s->authenticated)
		return ours(503, "5.5.1 authenticated already");
	if (s->mail != SESSION_NOT_ASKED)
		return ours(503, "5.5.1 not within a transaction");
	if (!smtp_words_have(&s->offer.auth, slice_sub(c->arg, 0, blank)))
		return ours(504, "5.5.4 mechanism not offered");
	if (!smtp_base64(rest))
		return ours(501, "5.5.2 response is not base64");
	return (struct step){.action = ASK};
}

/* XCLIENT and XFORWARD. */
static struct step about_step(const struct session *s, const struct smtp_command *c, unsigned flag)
{
	if (!s->trusted)
		return ours(550, "5.7.0 not from this client");
	if (!(s->offer.flags & flag))
		return ours(502, "5.5.1 not offered");
	if (!s->extended)
		return ours(503, s->cfg->lmtp ? "5.5.1 say LHLO first" : "5.5.1 say EHLO first");
	if (s->mail != SESSION_NOT_ASKED)
		return ours(503, "5.5.1 not within a transaction");
	if (c->arg.len == 0)
		return ours(501, "5.5.4 want NAME=value");
	if (c->verb == SMTP_XFORWARD && s->xforwards == SESSION_MAX_XFORWARD)
		return ours(552, "5.5.4 too many attributes");
	return (struct step){.action = ASK};
}

static bool without_tls(enum smtp_verb verb)
{
	return verb == SMTP_BDAT || verb == SMTP_EHLO || verb == SMTP_HELO || verb == SMTP_LHLO ||
	       verb == SMTP_STARTTLS || verb == SMTP_NOOP || verb == SMTP_RSET || verb == SMTP_QUIT;
}

static struct step step_of(const struct session *s, const struct smtp_command *c, int rc, int why)
{
	if (why) {
		return ours(500, why == -REFUSE_BARE_LF   ? "5.5.2 bare line feed"
				 : why == -REFUSE_BARE_CR ? "5.5.2 bare carriage return"
							  : "5.5.2 NUL octet");
	}
	if (rc == -REFUSE_LINE_TOO_LONG)
		return ours(500, "5.5.2 line too long");
	if (s->cfg->need_tls && !s->secured && !without_tls(c->verb))
		return ours(530, "5.7.0 say STARTTLS first");
	switch (c->verb) {
	case SMTP_HELO:
	case SMTP_EHLO:
	case SMTP_LHLO:
		if ((c->verb == SMTP_LHLO) != s->cfg->lmtp)
			return ours(500, s->cfg->lmtp ? "5.5.1 this is LMTP: say LHLO"
						      : "5.5.1 this is SMTP: say EHLO");
		return c->arg.len > 0 && rc == 0 ? (struct step){.action = HELLO}
						 : ours(501, "5.5.4 want a host name");
	case SMTP_MAIL:
		return mail_step(s, c, rc);
	case SMTP_RCPT:
		return rcpt_step(s, c, rc);
	case SMTP_DATA:
		return data_step(s, c);
	case SMTP_RSET:
		return (struct step){RESET, 250, "2.0.0 Ok"};
	case SMTP_NOOP:
		return ours(250, "2.0.0 Ok");
	case SMTP_QUIT:
		return (struct step){LEAVE, 221, "2.0.0 Bye"};
	case SMTP_VRFY:
		return ours(252, "2.0.0 send to it and see");
	case SMTP_HELP:
		return ours(214, "2.0.0 see RFC 5321");
	case SMTP_BDAT:
		return chunk_step(s, c);
	case SMTP_STARTTLS:
		return starttls_step(s, c);
	case SMTP_GET:
	case SMTP_POST:
	case SMTP_CONNECT:
		return (struct step){LEAVE, 421, "4.7.0 this is not HTTP"};
	case SMTP_AUTH:
		return auth_step(s, c);
	case SMTP_XCLIENT:
		return about_step(s, c, SMTP_OFFER_XCLIENT);
	case SMTP_XFORWARD:
		return about_step(s, c, SMTP_OFFER_XFORWARD);
	case SMTP_EXPN:
	case SMTP_ETRN:
		return ours(502, "5.5.1 not offered");
	case SMTP_UNKNOWN:
		break;
	}
	return ours(500, "5.5.2 command not known");
}

static void take_mail(struct session *s, const struct smtp_command *c)
{
	struct envelope *e = &s->envelope;
	slice rest = c->params;
	struct smtp_param p;

	buf_put(&e->sender, c->address);
	while (smtp_param_next(&rest, &p) > 0) {
		if (slice_ieq(p.name, SLICE("SIZE"))) {
			smtp_size_decode(p.value, &e->size);
			continue;
		}
		if (e->sender_params.len > 0)
			buf_byte(&e->sender_params, ' ');
		buf_put(&e->sender_params, p.name);
		if (p.value.len > 0)
			buf_byte(&e->sender_params, '=');
		buf_put(&e->sender_params, p.value);
	}
	s->mail = SESSION_ASKED;
}

static void take_rcpt(struct session *s, const struct smtp_command *c)
{
	struct envelope *e = &s->envelope;
	struct recipient *r = &e->recipient[e->count];

	*r = (struct recipient){.address_len = c->address.len, .params_len = c->params.len};
	if (e->count > 0)
		r->at = r[-1].at + r[-1].address_len + r[-1].params_len;
	/* Where one that was refused stood. */
	e->recipients.len = r->at;
	buf_put(&e->recipients, c->address);
	buf_put(&e->recipients, c->params);
	s->rcpt = SESSION_ASKED;
}

static void hello(struct session *s, const struct smtp_command *c)
{
	struct smtp_offer offer = s->offer;
	struct buf text;

	end_transaction(s);
	if (session_closed(s))
		return;
	s->hello = true;
	s->extended = c->verb != SMTP_HELO;
	buf_clear(&s->helo);
	buf_put(&s->helo, c->arg);
	buf_init(&text, SMTP_MAX_REPLY);
	offer.flags = visible(s);
	if (s->extended)
		smtp_offer_encode(&offer, s->cfg->host, &text);
	else
		buf_put(&text, s->cfg->host);
	say(s, 250, buf_slice(&text));
	buf_free(&text);
}

static void count_error(struct session *s)
{
	if (++s->errors >= SESSION_MAX_ERRORS)
		session_close(s, 421, SLICE("4.7.0 too many errors"));
}

static void take_chunk(struct session *s, const struct smtp_command *c, const struct step *step)
{
	smtp_chunk_decode(c->arg, &s->chunk.size, &s->chunk.last);
	s->chunk.left = s->chunk.size;
	s->chunk.code = step->code;
	s->chunk.text = step->text;
	s->mode = SESSION_CHUNK;
}

static enum session_wish ask(struct session *s, enum smtp_verb asking, slice word, slice rest)
{
	buf_put(&s->line, word);
	if (word.len > 0)
		buf_byte(&s->line, ' ');
	buf_put(&s->line, rest);
	must(!s->line.full);
	s->asking = asking;
	return SESSION_LINE;
}

static enum session_wish act(struct session *s, const struct smtp_command *c, const struct step *step)
{
	switch (step->action) {
	case MAIL:
		take_mail(s, c);
		return SESSION_MAIL;
	case RCPT:
		take_rcpt(s, c);
		return SESSION_RCPT;
	case HELLO:
		hello(s, c);
		return SESSION_RESET;
	case RESET:
		say(s, step->code, slice_str(step->text));
		end_transaction(s);
		return SESSION_RESET;
	case DATA:
		say(s, step->code, slice_str(step->text));
		smtp_data_init(&s->data);
		s->mode = SESSION_DATA;
		return SESSION_NOTHING;
	case CHUNK:
		take_chunk(s, c, step);
		return SESSION_NOTHING;
	case STARTTLS:
		say(s, step->code, slice_str(step->text));
		s->mode = SESSION_HANDSHAKE;
		return SESSION_STARTTLS;
	case ASK:
		return ask(s, c->verb, c->word, c->arg);
	case LEAVE:
		session_close(s, step->code, slice_str(step->text));
		return SESSION_NOTHING;
	case SAY:
		break;
	}
	say(s, step->code, slice_str(step->text));
	if (step->code >= 500)
		count_error(s);
	return SESSION_NOTHING;
}

/* The command at the start of *in. False: it is not whole, or must wait. */
static bool take_command(struct session *s, slice *in, enum session_wish *wish)
{
	struct smtp_command c;
	struct step step;
	slice line;
	int why, rc;
	size_t n = smtp_line(*in, &line, &why);

	if (n == 0 && in->len >= SMTP_MAX_SASL) {
		s->skipping = true;
		*in = slice_from(*in, in->len);
	}
	if (n == 0)
		return false;
	if (s->skipping || n > SMTP_MAX_SASL) {
		line = SLICE_NONE;
		why = 0;
		rc = -REFUSE_LINE_TOO_LONG;
		c = (struct smtp_command){.verb = SMTP_UNKNOWN};
	} else {
		rc = smtp_command_decode(line, &c);
	}
	step = step_of(s, &c, rc, why);
	/* Answers go out in the order of the commands. RCPT is handed on behind
	 * an unanswered MAIL, which saves a round trip; all else waits. */
	if (session_waits(s) && !(step.action == RCPT && s->rcpt == SESSION_NOT_ASKED))
		return false;
	s->skipping = false;
	*wish = act(s, &c, &step);
	*in = slice_from(*in, n);
	return true;
}

/* A line of the dialogue of AUTH. One that is not fit to be handed on ends the
 * dialogue in its stead, by "*", and the hop's answer to that is the answer. */
static bool take_sasl(struct session *s, slice *in, enum session_wish *wish)
{
	slice line;
	int why;
	size_t n = smtp_line(*in, &line, &why);

	if (n == 0 && in->len >= SMTP_MAX_SASL) {
		s->skipping = true;
		*in = slice_from(*in, in->len);
	}
	if (n == 0)
		return false;
	if (s->skipping || n > SMTP_MAX_SASL || why || !smtp_base64(line))
		line = SLICE("*");
	s->skipping = false;
	*wish = ask(s, SMTP_AUTH, SLICE_NONE, line);
	*in = slice_from(*in, n);
	return true;
}

static void say_refusal(struct session *s, int why)
{
	buf_printf(&s->out, "%d %s %s\r\n", why == -REFUSE_TOO_LARGE ? 552 : 550, refuse_smtp(why),
		refuse_text(why));
}

/* The message is whole; why: 0, or the reason to refuse it. */
static enum session_wish whole(struct session *s, int why)
{
	if (!why) {
		s->mode = SESSION_BUSY;
		return SESSION_MESSAGE;
	}
	for (unsigned i = 0; i < (s->cfg->lmtp ? s->envelope.count : 1); i++)
		say_refusal(s, why);
	end_transaction(s);
	return SESSION_RESET;
}

/* The message grew too large with more of it to come: those chunks will meet
 * "say MAIL first". */
static enum session_wish refuse_chunk(struct session *s)
{
	say_refusal(s, -REFUSE_TOO_LARGE);
	end_transaction(s);
	return SESSION_RESET;
}

static enum session_wish take_data(struct session *s, slice *in)
{
	size_t n = smtp_data_feed(&s->data, *in, &s->message);

	*in = slice_from(*in, n);
	if (!smtp_data_done(&s->data))
		return SESSION_NOTHING;
	return whole(s, s->data.refused);
}

/* The bytes of a chunk are all there. */
static enum session_wish end_chunk(struct session *s)
{
	struct session_chunk *k = &s->chunk;

	s->mode = SESSION_COMMANDS;
	if (k->code) {
		say(s, k->code, slice_str(k->text));
		count_error(s);
		return SESSION_NOTHING;
	}
	if (k->last)
		return whole(
			s, s->message.full ? -REFUSE_TOO_LARGE : smtp_text_check(buf_slice(&s->message)));
	if (s->message.full)
		return refuse_chunk(s);
	s->chunked = true;
	buf_printf(&s->out, "250 2.0.0 %llu octets taken\r\n", (unsigned long long)k->size);
	return SESSION_NOTHING;
}

static enum session_wish feed_chunk(struct session *s, slice *in)
{
	slice piece = slice_sub(*in, 0, s->chunk.left < in->len ? (size_t)s->chunk.left : in->len);

	if (!s->chunk.code)
		buf_put(&s->message, piece);
	*in = slice_from(*in, piece.len);
	s->chunk.left -= piece.len;
	return s->chunk.left == 0 ? end_chunk(s) : SESSION_NOTHING;
}

enum session_wish session_feed(struct session *s, slice *in)
{
	enum session_wish wish = SESSION_NOTHING;

	while (wish == SESSION_NOTHING) {
		if (s->mode == SESSION_CHUNK && (in->len > 0 || s->chunk.left == 0)) {
			wish = feed_chunk(s, in);
			continue;
		}
		if (in->len == 0)
			break;
		if (s->mode == SESSION_DATA) {
			wish = take_data(s, in);
			continue;
		}
		if (s->mode == SESSION_SASL && !s->asking && take_sasl(s, in, &wish))
			continue;
		if (s->mode == SESSION_CLOSED || s->mode == SESSION_HANDSHAKE)
			*in = slice_from(*in, in->len);
		if (s->mode != SESSION_COMMANDS || !take_command(s, in, &wish))
			break;
	}
	return wish;
}

/* As after the greeting. */
static void forget(struct session *s)
{
	s->hello = s->extended = s->authenticated = false;
	buf_clear(&s->helo);
	end_transaction(s);
}

void session_secured(struct session *s)
{
	must(s->mode == SESSION_HANDSHAKE);
	s->mode = SESSION_COMMANDS;
	s->secured = true;
	forget(s);
}

static void answer_line(struct session *s, int code)
{
	enum smtp_verb asking = s->asking;
	bool taken = code / 100 == 2;

	if (asking == SMTP_XFORWARD && taken) {
		buf_put(&s->xforward, buf_slice(&s->line));
		buf_put(&s->xforward, SLICE("\r\n"));
		s->xforwards++;
		must(!s->xforward.full);
	}
	drop_line(s);
	if (s->mode == SESSION_CLOSED)
		return;
	if (asking == SMTP_AUTH) {
		s->mode = code == 334 ? SESSION_SASL : SESSION_COMMANDS;
		s->authenticated = taken;
	}
	if (asking == SMTP_XCLIENT && taken)
		forget(s);
	if (code >= 500)
		count_error(s);
	if (s->stopping)
		session_stop(s);
}

void session_answer(struct session *s, int code, slice text)
{
	bool taken = code / 100 == 2, busy = s->mode == SESSION_BUSY;

	say(s, code, text);
	if (code == 421 && !(busy && s->cfg->lmtp))
		s->mode = SESSION_CLOSED;
	if (busy) {
		if (taken)
			s->errors = 0;
		if (!s->cfg->lmtp || ++s->answered == s->envelope.count)
			end_transaction(s);
	} else if (s->asking) {
		answer_line(s, code);
	} else if (s->mail == SESSION_ASKED) {
		s->mail = taken ? SESSION_TAKEN : SESSION_NOT_ASKED;
		/* RCPT may stand unanswered behind it; its recipient is kept. */
		if (!taken) {
			buf_clear(&s->envelope.sender);
			buf_clear(&s->envelope.sender_params);
			s->envelope.size = 0;
			if (s->rcpt == SESSION_NOT_ASKED)
				drop_transaction(s);
		}
	} else if (s->rcpt == SESSION_ASKED) {
		s->rcpt = SESSION_NOT_ASKED;
		s->envelope.count += taken;
		if (s->mail == SESSION_NOT_ASKED)
			drop_transaction(s);
	}
}
