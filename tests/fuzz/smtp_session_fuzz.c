/* A client and a next hop that do whatever the input says, with the relay
 * between them. The hop here reads what it is sent with eyes of its own.
 * Whatever happens: each recipient for which the client hears 2xx to a message
 * (by the one reply of SMTP, or by its own of LMTP) was taken by the hop with
 * 2xx to the end of data, once, with the very bytes prepared for it - now, or at
 * an earlier attempt that is remembered; where the client hears 2xx for none
 * though some were taken, these are remembered; nothing goes to the hop for who
 * is remembered; nothing ever said to either side holds a bare CR or LF; and
 * what either side says in plain text behind STARTTLS has no effect at all: the
 * client's is dropped, the hop is left. A connection that knows the client by
 * AUTH or XCLIENT is nobody else's, and when it is lost nothing of the client's
 * goes on another one; whichever connection is sent MAIL was told by XFORWARD what
 * the client told, and nothing else. */
#include "core/base/refuse.h"
#include "tests/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define check(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

#define MOST 8 /* recipients that are told apart: u0@c and so on */

struct hop {
	struct buf in;   /* bytes not looked at yet */
	struct buf body; /* of the message being received, dots taken off */
	bool connected, data, pipelining, secured;
	bool mail;
	unsigned rcpt; /* bits of those it has */
	bool sasl, identified;
	struct buf forward; /* lines of XFORWARD that hold for the next transaction */
};

struct fuzz {
	slice in; /* what is left of it */
	struct relay relay;
	struct pool pool;
	struct hop hop;
	struct buf copy;                  /* what was prepared to go */
	unsigned wanted;                  /* bits of the recipients that the copy is for; 0: all */
	unsigned taken;                   /* bits: the hop took the message of now for these */
	unsigned known;                   /* bits: it took one before, and the client was told 451 */
	unsigned seen;                    /* bits: the whole message of now was sent to it for these */
	int want[SESSION_MAX_RECIPIENTS]; /* replies to the message that stand in the client's out, from at on
					   */
	unsigned wants;
	size_t at;
	bool recorded, lmtp, tls;
	bool identified_lost;
	bool early;     /* the hop answered what it had not read: what it reads is of the past */
	unsigned pairs; /* how often relay_world.taken may still be called */
};

/* The bit of a recipient. */
static unsigned bit_of(slice address)
{
	return address.len == 4 && address.p[0] == 'u' ? 1u << (address.p[1] - '0') % MOST : 0;
}

static unsigned next(struct fuzz *f)
{
	unsigned c;

	if (f->in.len == 0)
		return 0;
	c = f->in.p[0];
	f->in = slice_from(f->in, 1);
	return c;
}

/* The replies in the client's out are the ones that the outcomes call for. */
static void check_replies(struct fuzz *f)
{
	slice out = buf_slice(&f->relay.session.out);

	for (unsigned i = 0; i < f->wants; i++) {
		slice line;

		do {
			size_t end = slice_find(out, SLICE("\r\n"), f->at);

			check(end != SLICE_NPOS);
			line = slice_sub(out, f->at, end);
			f->at = end + 2;
			check(line.len >= 4 && line.p[0] - '0' == f->want[i] / 100);
		} while (line.p[3] == '-');
		check(f->want[i] % 100 == 0 || (line.p[1] - '0') * 10 + line.p[2] - '0' == f->want[i] % 100);
	}
	f->wants = 0;
}

static bool alone(void *arg, const struct envelope *e, unsigned i)
{
	check(!((struct fuzz *)arg)->lmtp && i == e->count);
	return slice_starts(envelope_address(e, i), SLICE("u7"));
}

static bool owed(void *arg, const struct envelope *e, unsigned i)
{
	struct fuzz *f = arg;

	check(!f->lmtp && (i == e->count || i == RELAY_SENDER));
	return i == RELAY_SENDER ? f->known != 0 : f->known & bit_of(envelope_address(e, i));
}

static bool known(void *arg, const struct envelope *e, unsigned i, slice message)
{
	struct fuzz *f = arg;

	(void)message;
	check(i < e->count);
	return f->known & bit_of(envelope_address(e, i));
}

static void prepare(
	void *arg, const struct envelope *e, unsigned i, slice message, uint64_t size, struct relay_copy *c)
{
	struct fuzz *f = arg;
	unsigned how = next(f);

	(void)size;
	check(smtp_text_check(message) == 0 && i < e->count && envelope_address(e, i).len > 0);
	f->wanted = bit_of(envelope_address(e, i));
	/* Said twice: two copies. */
	for (unsigned j = 0; j < i; j++)
		if (bit_of(envelope_address(e, j)) == f->wanted)
			f->seen &= ~f->wanted;
	/* A shared copy is the message for everyone: nothing is told apart. */
	if ((how & 0x40) && f->known == 0) {
		c->shared = true;
		how = 0;
		if (i == 0)
			f->wanted = 0;
	}
	if (how & 1) {
		c->has_sender = true;
		buf_str(&c->sender, "b+x@v.example");
	}
	if (how & 2) {
		buf_str(&c->rendered, ".X: y\r\n");
		buf_put(&c->rendered, message);
		c->message = buf_slice(&c->rendered);
	}
	if ((how & 0x1c) == 0x1c) {
		c->code = 451;
		c->text = "4.3.1 full";
	}
	c->tracked = how & 0x20;
	buf_clear(&f->copy);
	buf_put(&f->copy, c->message);
	if (f->copy.len > 0 && !slice_ends(buf_slice(&f->copy), SLICE("\r\n")))
		buf_str(&f->copy, "\r\n");
}

static bool taken(void *arg, struct relay_copy *c, slice text)
{
	struct fuzz *f = arg;

	(void)text;
	check(f->pairs == 1);
	f->pairs = 0;
	f->recorded |= c->tracked;
	return c->tracked;
}

static void sync_wanted(void *arg)
{
	struct fuzz *f = arg;

	check(f->recorded);
}

static void answered(
	void *arg, const struct envelope *e, slice message, const struct relay_outcome *o, bool mixed)
{
	struct fuzz *f = arg;
	unsigned good = 0, now = 0, all = 0, twice = 0;

	(void)message;
	check(e->count > 0 && f->pairs == 0 && !(mixed && f->lmtp));
	for (unsigned i = 0; i < e->count; i++) {
		unsigned bit = bit_of(envelope_address(e, i));

		check(o[i].code >= 200 && o[i].code < 600 && o[i].code / 100 != 3);
		/* The same recipient said twice cannot be told apart by the bits. */
		twice |= all & bit;
		all |= bit;
		good += o[i].code / 100 == 2;
		if (o[i].code / 100 == 2 && !o[i].known)
			now |= bit;
		check(!o[i].known || (f->known & bit));
	}
	check_replies(f);
	f->at = f->relay.session.out.len;
	for (unsigned i = 0; i < (f->lmtp ? e->count : 1); i++)
		f->want[f->wants++] = mixed ? 451 : o[i].code / 100 * 100;
	f->seen = 0;
	/* 2xx is the outcome of exactly those that the hop took now. */
	check((now & ~twice) == (f->taken & ~twice) && !(now & ~f->taken));
	check(mixed == (!f->lmtp && good > 0 && good < e->count) || (mixed && good == 0));
	if (mixed)
		f->known |= f->taken;
	else if (!f->lmtp && good > 0)
		f->known &= ~all;
	f->taken = 0;
	f->recorded = false;
}

static const struct relay_world world = {alone, owed, known, prepare, taken, sync_wanted, answered};

static void hop_say(struct fuzz *f, const char *reply)
{
	if (f->hop.connected && f->pool.state != POOL_EMPTY) {
		pool_in(&f->pool, &f->relay, slice_str(reply));
		pool_tend(&f->pool, &f->relay);
	}
}

static void hop_reset(struct hop *h)
{
	buf_clear(&h->forward);
	h->sasl = false;
	h->mail = h->data = false;
	h->rcpt = 0;
	buf_clear(&h->body);
}

/* A code for an answer, mostly yes. */
static int code_of(struct fuzz *f, int yes)
{
	switch (next(f) % 16) {
	case 0:
		return 451;
	case 1:
		return 550;
	case 2:
		return 421;
	default:
		return yes;
	}
}

static void hop_reply(struct fuzz *f, int code)
{
	struct buf b;

	buf_init(&b, 1000);
	if (next(f) % 4 == 0)
		smtp_reply_put(&b, code, SLICE("one\ntwo"));
	else
		smtp_reply_put(&b, code, SLICE("x"));
	buf_byte(&b, 0);
	hop_say(f, (const char *)b.p);
	buf_free(&b);
}

static void hop_starttls(struct fuzz *f)
{
	switch (next(f) % 4) {
	case 0:
		hop_say(f, "454 4.7.0 no\r\n");
		return;
	case 1:
		hop_say(f, "220 go\r\n250-hop\r\n250 DSN\r\n");
		check(f->pool.state == POOL_EMPTY);
		return;
	case 2:
		hop_say(f, "220 go\r\n");
		hop_say(f, "2");
		check(f->pool.state == POOL_EMPTY);
		return;
	default:
		hop_say(f, "220 go\r\n");
		check(f->pool.state == POOL_SECURING);
		f->hop.secured = true;
		exchange_secured(&f->pool.x);
		f->pool.state = POOL_GREETING;
	}
}

/* AUTH and its dialogue, XCLIENT, XFORWARD. False: another command. */
static bool hop_extension(struct fuzz *f, slice line)
{
	const struct session *s = &f->relay.session;
	struct hop *h = &f->hop;
	bool auth = slice_starts(line, SLICE("AUTH ")) || h->sasl;
	bool xclient = slice_starts(line, SLICE("XCLIENT ")), about = slice_starts(line, SLICE("XFORWARD "));
	int code;

	if (!auth && !xclient && !about)
		return false;
	check(!h->mail && !h->data && !f->identified_lost && (auth || s->trusted));
	code = code_of(f, xclient ? 220 : auth ? 235 : 250);
	if (auth && code == 235 && next(f) % 2)
		code = 334;
	h->sasl = auth && code == 334;
	h->identified |= (auth && code != 421) || (xclient && code == 220);
	if (xclient && code == 220)
		buf_clear(&h->forward);
	if (about && (code == 250 || exchange_waits(&f->pool.x) == EXCHANGE_ABOUT)) {
		buf_put(&h->forward, line);
		buf_str(&h->forward, "\r\n");
	}
	hop_reply(f, code);
	return true;
}

static void hop_command(struct fuzz *f, slice line)
{
	struct hop *h = &f->hop;
	int code = 250;

	if (hop_extension(f, line))
		return;
	if (slice_starts(line, SLICE("EHLO "))) {
		h->pipelining = next(f) % 2;
		if (f->tls && next(f) % 2)
			hop_say(f, "250-hop\r\n250-8BITMIME\r\n250-STARTTLS\r\n");
		if (next(f) % 4)
			hop_say(f, "250-AUTH LOGIN PLAIN\r\n250-XCLIENT ADDR\r\n250-XFORWARD ADDR IDENT\r\n");
		hop_say(f, h->pipelining ? "250-hop\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000\r\n"
					 : "250-hop\r\n250 8BITMIME\r\n");
		return;
	}
	if (slice_eq(line, SLICE("STARTTLS"))) {
		check(f->tls && !h->secured && h->in.len == 0 && !h->mail);
		hop_starttls(f);
		return;
	}
	/* Where TLS must be nothing is sent without it. */
	check(f->pool.x.tls != EXCHANGE_TLS_MUST || h->secured || slice_starts(line, SLICE("HELO ")) ||
		slice_eq(line, SLICE("QUIT")));
	check(slice_starts(line, SLICE("MAIL FROM:<")) || slice_starts(line, SLICE("RCPT TO:<")) ||
		slice_eq(line, SLICE("DATA")) || slice_eq(line, SLICE("RSET")) ||
		slice_eq(line, SLICE("QUIT")) || slice_starts(line, SLICE("HELO ")));
	check(!f->identified_lost || slice_eq(line, SLICE("RSET")) || slice_eq(line, SLICE("QUIT")) ||
		slice_starts(line, SLICE("HELO ")));
	if (slice_starts(line, SLICE("MAIL"))) {
		check(f->early || slice_eq(buf_slice(&h->forward), buf_slice(&f->relay.session.xforward)));
		code = h->mail ? 503 : code_of(f, 250);
		h->mail |= code == 250;
	} else if (slice_starts(line, SLICE("RCPT"))) {
		size_t to = slice_chr(line, '>', 0);

		code = h->mail ? code_of(f, 250) : 503;
		/* The highest bit is for those that are not told apart. */
		if (code == 250)
			h->rcpt |= 1u << 31 | bit_of(slice_sub(line, 9, to));
	} else if (slice_eq(line, SLICE("DATA"))) {
		/* Some servers say 354 though they took no recipient. */
		code = h->rcpt || next(f) % 8 == 0 ? code_of(f, 354) : 503;
		h->data = code == 354;
		buf_clear(&h->body);
	} else if (slice_eq(line, SLICE("RSET"))) {
		hop_reset(h);
	}
	hop_reply(f, code);
}

static void hop_lost(struct fuzz *f)
{
	pool_fail(&f->pool, &f->relay, SLICE_NONE);
	pool_tend(&f->pool, &f->relay);
}

/* One command or the end of data out of what came. False: nothing whole. */
static bool hop_step(struct fuzz *f)
{
	struct hop *h = &f->hop;
	slice in = buf_slice(&h->in);
	size_t end = slice_find(in, SLICE("\r\n"), 0);
	slice line = slice_sub(in, 0, end);
	uint8_t copy[SMTP_MAX_PARAMS + 200];
	int code;

	if (end == SLICE_NPOS)
		return false;
	check(slice_chr(line, '\n', 0) == SLICE_NPOS && slice_chr(line, '\r', 0) == SLICE_NPOS);
	/* 354 though no recipient was taken: nothing may follow. */
	check(!h->data || h->rcpt);
	if (h->data && !slice_eq(line, SLICE("."))) {
		buf_put(&h->body, slice_from(line, slice_starts(line, SLICE("."))));
		buf_put(&h->body, SLICE("\r\n"));
		buf_drop(&h->in, end + 2);
		return true;
	}
	if (h->data) {
		buf_drop(&h->in, end + 2);
		check(h->in.len == 0); /* nothing is pipelined behind the end of data */
		check(slice_eq(buf_slice(&h->body), buf_slice(&f->copy)));
		/* Nothing is sent to anybody twice while the client waits. */
		check(!(f->seen & h->rcpt & f->wanted));
		f->seen |= f->wanted;
		code = code_of(f, 250);
		if (next(f) % 16 == 0) { /* it may have it, and never says so */
			hop_lost(f);
			return true;
		}
		/* Its own recipient and nobody else, and once. */
		check(f->wanted == 0 || h->rcpt == (1u << 31 | f->wanted));
		if (code == 250) {
			f->taken |= h->rcpt & ~(1u << 31);
			f->pairs++;
		}
		hop_reset(h);
		hop_reply(f, code);
		f->pairs = 0;
		return true;
	}
	check(line.len < sizeof copy);
	memcpy(copy, line.p, line.len);
	buf_drop(&h->in, end + 2);
	hop_command(f, slice_of(copy, line.len));
	return true;
}

/* What front.c and hops.c do after each event. */
static void pump(struct fuzz *f)
{
	struct relay *r = &f->relay;

	pool_tend(&f->pool, r);
	if (f->hop.identified) {
		check(f->pool.state != POOL_RESTS);
		if (f->pool.state == POOL_EMPTY) {
			f->identified_lost = true;
			f->hop.identified = false;
		}
	}
	check(smtp_text_check(buf_slice(&r->session.out)) == 0);
	check_replies(f);
	buf_clear(&r->session.out);
	if (f->pool.state != POOL_EMPTY) {
		do {
			exchange_fill(&f->pool.x);
			buf_put(&f->hop.in, f->pool.x.lent);
			f->pool.x.lent = SLICE_NONE;
			buf_put(&f->hop.in, buf_slice(&f->pool.x.out));
			buf_clear(&f->pool.x.out);
		} while (f->pool.x.sending);
	} else {
		f->hop.connected = f->hop.secured = false;
		buf_clear(&f->hop.in);
		hop_reset(&f->hop);
	}
}

/* The client wants TLS: first somebody says things in plain text. */
static void client_secure(struct fuzz *f)
{
	struct relay *r = &f->relay;

	check(f->tls && !r->session.secured);
	relay_client_in(r, slice_sub(f->in, 0, 16));
	relay_client_in(r, SLICE("EHLO evil\r\nMAIL FROM:<evil@b>\r\nRCPT TO:<u1@c>\r\nDA"));
	check(r->session.out.len == 0 && r->pending.len == 0 && relay_client_securing(r));
	relay_client_secured(r);
	check(!r->session.hello && r->session.envelope.count == 0 && r->session.mail == SESSION_NOT_ASKED);
}

static void client_say(struct fuzz *f, slice in)
{
	while (in.len > 0 && relay_hungry(&f->relay)) {
		slice piece = slice_sub(in, 0, 1 + next(f) % 64);

		relay_client_in(&f->relay, piece);
		in = slice_from(in, piece.len);
		pump(f);
		if (relay_client_securing(&f->relay))
			client_secure(f);
	}
}

static void event(struct fuzz *f)
{
	static const char *const said[] = {"EHLO c\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<u@c>\r\n",
		"DATA\r\n", "Subject: x\r\n\r\nhello\r\n.\r\n", "..\r\n.x\r\n\r\n.\r\n", ".\r\n",
		"a\n.\r\nb\r\n.\r\n", "a\r\n.\r\r\nb\r\n.\r\n", "RSET\r\n", "QUIT\r\n",
		"MAIL FROM:<a@b> BODY=8BITMIME\r\nRCPT TO:<u@c>\r\nDATA\r\n",
		"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nDATA\r\n",
		"MAIL FROM:<a@b>\r\nRCPT TO:<u0@c>\r\nRCPT TO:<u1@c>\r\nRCPT TO:<u2@c>\r\nDATA\r\n",
		"LHLO c\r\n", "MAIL FROM:<a@b>\r\nRCPT TO:<u7@c>\r\nRCPT TO:<u1@c>\r\nBDAT 5 LAST\r\n.\r\nhi",
		"BDAT 3\r\n.\r\n", "BDAT 4 LAST\r\n\nx\r\n", "BDAT 7\r\nQUIT\r\n.", "BDAT 0 LAST\r\n",
		"STARTTLS\r\nMAIL FROM:<x@y>\r\n", "AUTH LOGIN\r\n", "AUTH PLAIN AA==\r\nMAIL FROM:<a@b>\r\n",
		"YQ==\r\n", "*\r\n", "XCLIENT ADDR=1.2.3.4\r\nEHLO c\r\n",
		"XFORWARD ADDR=1.2.3.4\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u1@c>\r\n", "XFORWARD IDENT=x\r\n"};
	struct relay *r = &f->relay;
	unsigned op = next(f);
	slice raw;
	char text[64];

	if (op < 12) {
		snprintf(text, sizeof text, "RCPT TO:<u%u@c>\r\n", next(f) % MOST);
		client_say(f, slice_str(text));
	} else if (op < 96) {
		client_say(f, slice_str(said[op % (sizeof said / sizeof *said)]));
	} else if (op < 112) {
		raw = slice_sub(f->in, 0, op - 95);
		f->in = slice_from(f->in, raw.len);
		client_say(f, raw);
	} else if (op < 232) {
		if (f->hop.connected) {
			if (hop_step(f) && op & 1)
				hop_step(f);
		} else if (r->hop == RELAY_HOP_WANTED) {
			f->hop.connected = true;
			pool_connect(&f->pool);
			hop_say(f, op % 16 ? "220 hop\r\n" : "554 no\r\n");
		}
	} else if (op < 236) {
		if (op == 232)
			relay_overdue(r);
		else if (f->hop.connected || r->hop == RELAY_HOP_WANTED)
			hop_lost(f);
	} else if (op < 248) {
		relay_synced(r);
	} else if (op < 250) {
		relay_client_gone(r);
	} else if (op == 250) {
		if (!session_waits(&r->session) && r->session.mode != SESSION_SILENT)
			relay_client_late(r);
	} else if (op == 251) {
		relay_stop(r);
	} else if (op == 252) {
		/* Out of turn: never a 2xx to the end of data that it has not got. */
		f->early = true;
		if (exchange_waits(&f->pool.x) != EXCHANGE_DOT)
			hop_say(f, "250 out of turn\r\n");
		hop_say(f, "421 bye\r\n");
	} else if (op == 253) {
		hop_say(f, "what\r\n");
	} else if (op == 254) {
		relay_give_up(r);
	}
	pump(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size)
{
	struct session_config cfg = {.host = SLICE("me"), .max_message = 4096};
	struct fuzz f = {.in = slice_of(p, size)};
	struct ip client = {{1}};
	unsigned how;

	f.lmtp = cfg.lmtp = next(&f) % 4 == 3;
	how = next(&f);
	f.tls = cfg.starttls = how & 1;
	cfg.need_tls = (how & 3) == 3;
	buf_init(&f.hop.in, 1 << 20);
	buf_init(&f.hop.body, 1 << 20);
	buf_init(&f.hop.forward, 1 << 16);
	buf_init(&f.copy, 1 << 20);
	pool_init(&f.pool, cfg.host);
	f.pool.x.lends = true;
	relay_init(&f.relay, &cfg, NULL, &world, &f);
	relay_client_is(&f.relay, &client, 4711, how & 8);
	if (f.tls)
		f.pool.x.tls = how & 4 ? EXCHANGE_TLS_MUST : EXCHANGE_TLS_MAY;
	while (f.in.len > 0)
		event(&f);
	/* In the end all that waits is let go, and nothing is left over. */
	relay_client_gone(&f.relay);
	for (int i = 0; i < 3; i++) {
		relay_synced(&f.relay);
		hop_lost(&f);
	}
	check(relay_done(&f.relay));
	relay_free(&f.relay);
	exchange_free(&f.pool.x);
	buf_free(&f.hop.in);
	buf_free(&f.hop.body);
	buf_free(&f.hop.forward);
	buf_free(&f.copy);
	return 0;
}
