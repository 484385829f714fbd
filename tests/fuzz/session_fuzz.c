/* The client's side alone, SMTP and LMTP, all extensions on. However the bytes are
 * cut: the same replies, the same wishes, the same messages. There is no reply
 * without a command, none that could be taken for two, and a message is made of
 * bytes that stand in the input in one piece, or end with nothing but CRLF.CRLF. */
#include "core/base/refuse.h"
#include "rewriter/session.h"

#include <stdlib.h>
#include <string.h>

#define check(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

struct run {
	struct session s;
	struct buf log;        /* wishes, and what they were about */
	size_t messages, owed; /* messages; replies that LMTP owes for them beyond the first */
	bool secured;
};

static const struct smtp_offer offer = {.flags = SMTP_OFFER_PIPELINING | SMTP_OFFER_SIZE |
						 SMTP_OFFER_8BITMIME | SMTP_OFFER_SMTPUTF8 |
						 SMTP_OFFER_ENHANCED | SMTP_OFFER_DSN | SMTP_OFFER_AUTH |
						 SMTP_OFFER_XCLIENT | SMTP_OFFER_XFORWARD,
	.size = 70000,
	.auth = {"PLAIN LOGIN", 11},
	.xclient = {"ADDR", 4},
	.xforward = {"ADDR", 4}};

/* What the hop says depends on what it is asked, and on nothing else. */
static int answer_of(slice about, int yes)
{
	unsigned h = 0;

	for (size_t i = 0; i < about.len; i++)
		h = h * 31 + about.p[i];
	return h % 8 == 1 ? 451 : h % 8 == 2 ? 550 : yes;
}

static void note(struct run *r, const char *what, slice about)
{
	buf_printf(&r->log, "%s %zu ", what, about.len);
	buf_put(&r->log, about);
	buf_byte(&r->log, '\n');
}

static void message(struct run *r)
{
	struct session *s = &r->s;
	slice m = buf_slice(&s->message);
	unsigned n = s->cfg->lmtp ? s->envelope.count : 1;

	check(smtp_text_check(m) == 0 && s->envelope.count > 0 && s->mail == SESSION_TAKEN);
	note(r, "message", m);
	r->messages++;
	r->owed += n - 1;
	for (unsigned i = 0; i < n; i++)
		session_answer(s, 250, SLICE("2.0.0 Ok"));
}

static void line(struct run *r)
{
	struct session *s = &r->s;
	slice l = buf_slice(&s->line);

	check(slice_chr(l, '\r', 0) == SLICE_NPOS && slice_chr(l, '\n', 0) == SLICE_NPOS);
	check(slice_chr(l, 0, 0) == SLICE_NPOS && l.len + 2 <= SMTP_MAX_SASL);
	check(s->mail == SESSION_NOT_ASKED && (s->trusted || s->asking == SMTP_AUTH));
	note(r, "line", l);
	if (s->asking == SMTP_AUTH && answer_of(l, 250) == 250 && l.len % 3)
		session_answer(s, 334, SLICE("eA=="));
	else
		session_answer(s, answer_of(l, 250), SLICE("2.0.0 so be it"));
}

static void grant(struct run *r, enum session_wish wish)
{
	struct session *s = &r->s;
	slice about;

	switch (wish) {
	case SESSION_MAIL:
		about = buf_slice(&s->envelope.sender);
		note(r, "mail", about);
		note(r, "with", buf_slice(&s->envelope.sender_params));
		session_answer(s, answer_of(about, 250), SLICE("2.1.0 one\n2.1.0 two"));
		break;
	case SESSION_RCPT:
		about = envelope_address(&s->envelope, s->envelope.count);
		note(r, "rcpt", about);
		note(r, "with", envelope_params(&s->envelope, s->envelope.count));
		session_answer(s, answer_of(about, 250), SLICE("2.1.5 Ok"));
		break;
	case SESSION_LINE:
		line(r);
		break;
	case SESSION_MESSAGE:
		message(r);
		break;
	case SESSION_STARTTLS:
		check(s->cfg->starttls && !s->secured && s->mail == SESSION_NOT_ASKED);
		note(r, "tls", SLICE_NONE);
		r->secured = true;
		break;
	case SESSION_RESET:
		note(r, "reset", SLICE_NONE);
		break;
	case SESSION_NOTHING:
		break;
	}
}

/* step: bytes a piece. */
static void run(struct run *r, const struct session_config *cfg, bool trusted, slice in, size_t step)
{
	size_t kept = 0; /* bytes before the piece that were not taken */

	*r = (struct run){.messages = 0};
	buf_init(&r->log, 1u << 24);
	session_init(&r->s, cfg);
	r->s.trusted = trusted;
	session_greet(&r->s, &offer);
	for (size_t at = 0; at < in.len && !r->secured; at += step) {
		slice piece = slice_sub(in, at - kept, at + step);
		enum session_wish wish;

		while (!r->secured && (wish = session_feed(&r->s, &piece)) != SESSION_NOTHING)
			grant(r, wish);
		check(!session_waits(&r->s));
		kept = piece.len;
	}
	if (r->secured) {
		/* All that comes in plain text is as if it had not been said. */
		size_t said = r->s.out.len;
		slice rest = in;

		check(session_feed(&r->s, &rest) == SESSION_NOTHING && rest.len == 0);
		session_secured(&r->s);
		check(r->s.out.len == said && !r->s.hello && !r->s.authenticated && r->s.helo.len == 0);
		check(r->s.xforward.len == 0 && r->s.envelope.count == 0);
	}
}

static void end(struct run *r)
{
	session_free(&r->s);
	buf_free(&r->log);
}

/* Each reply ends in one line with a blank behind its code. */
static size_t replies(slice out)
{
	size_t n = 0, at = 0;

	check(smtp_text_check(out) == 0);
	while (at < out.len) {
		size_t crlf = slice_find(out, SLICE("\r\n"), at);
		slice l = slice_sub(out, at, crlf);

		check(crlf != SLICE_NPOS && l.len >= 4 && (l.p[3] == ' ' || l.p[3] == '-'));
		n += l.p[3] == ' ';
		at = crlf + 2;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size)
{
	struct session_config cfg = {.host = SLICE("me"), .max_message = 4096};
	struct run whole, cut;
	size_t lines = 0;
	slice in;

	if (size < 2)
		return 0;
	cfg.lmtp = p[0] & 1;
	cfg.starttls = p[0] & 2;
	cfg.need_tls = cfg.starttls && (p[0] & 4);
	cfg.auth_tls_only = p[0] & 8;
	in = slice_of(p + 2, size - 2);
	run(&whole, &cfg, p[0] & 16, in, in.len + 1);
	run(&cut, &cfg, p[0] & 16, in, 1 + p[1] % 7);
	check(slice_eq(buf_slice(&whole.log), buf_slice(&cut.log)));
	check(slice_eq(buf_slice(&whole.s.out), buf_slice(&cut.s.out)));
	for (size_t i = 0; i < in.len; i++)
		lines += in.p[i] == '\n';
	/* The greeting, one for each line, and 421 behind too many errors. */
	check(replies(buf_slice(&whole.s.out)) <= 1 + lines + whole.owed + 1);
	end(&whole);
	end(&cut);
	return 0;
}
