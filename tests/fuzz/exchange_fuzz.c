/* The hop's side alone: a transaction goes on as the answers let it. However the
 * hop's bytes are cut: the same answers, the same bytes for it, and what is in no
 * order is refused at the same place. It is never sent what it must be asked for
 * first, and behind its 220 to STARTTLS no byte of plain text is believed. */
#include "core/base/refuse.h"
#include "rewriter/exchange.h"

#include <stdlib.h>
#include <string.h>

#define check(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

#define BODY SLICE("Subject: x\r\n\r\n.dot\r\n")

struct run {
	struct exchange x;
	struct buf log, sent;
	unsigned transactions;
	bool ended, secured, identified;
};

static void transaction(struct run *r)
{
	if (r->transactions++ > 20) {
		exchange_quit(&r->x);
		return;
	}
	if (r->transactions % 3 == 1)
		exchange_line(&r->x, EXCHANGE_ABOUT, SLICE("XFORWARD IDENT=a"));
	exchange_mail(&r->x, SLICE("a@b"), SLICE("RET=HDRS"), 10);
	exchange_rcpt(&r->x, SLICE("u@c"), SLICE_NONE);
	exchange_rcpt(&r->x, SLICE("v@c"), SLICE("NOTIFY=NEVER"));
	exchange_data(&r->x);
}

static void ready(struct run *r)
{
	check(r->x.ready && (r->x.tls != EXCHANGE_TLS_MUST || r->x.secured));
	if (r->identified) {
		transaction(r);
	} else {
		r->identified = true;
		exchange_line(&r->x, EXCHANGE_XCLIENT, SLICE("XCLIENT ADDR=1.2.3.4"));
	}
}

static void answer(struct run *r, enum exchange_step step, slice rest)
{
	int code = r->x.reply.code;

	switch (step) {
	case EXCHANGE_GREETING:
	case EXCHANGE_QUIT:
	case EXCHANGE_NOTHING:
		r->ended = true;
		break;
	case EXCHANGE_HELLO:
		if (code / 100 == 2)
			ready(r);
		else
			r->ended = true;
		break;
	case EXCHANGE_STARTTLS:
		check(r->x.tls != EXCHANGE_TLS_OFF && !r->x.secured);
		if (code == 220) {
			check(rest.len == 0);
			r->secured = true;
		} else if (r->x.ready) {
			check(r->x.tls == EXCHANGE_TLS_MAY);
			ready(r);
		} else {
			r->ended = true;
		}
		break;
	case EXCHANGE_XCLIENT:
		/* 2xx: EHLO is on its way. */
		if (code / 100 != 2)
			exchange_line(&r->x, EXCHANGE_AUTH, SLICE("AUTH LOGIN"));
		break;
	case EXCHANGE_AUTH:
		if (code == 334)
			exchange_line(&r->x, EXCHANGE_AUTH, SLICE("eA=="));
		else
			transaction(r);
		break;
	case EXCHANGE_DATA:
		if (code == 354)
			exchange_body(&r->x, BODY);
		else
			exchange_rset(&r->x);
		break;
	case EXCHANGE_DOT:
		transaction(r);
		break;
	case EXCHANGE_RSET:
		check(exchange_resting(&r->x));
		transaction(r);
		break;
	default:
		break;
	}
}

static void take_out(struct run *r)
{
	do {
		exchange_fill(&r->x);
		buf_put(&r->sent, r->x.lent);
		r->x.lent = SLICE_NONE;
		buf_put(&r->sent, buf_slice(&r->x.out));
		buf_clear(&r->x.out);
	} while (exchange_unsent(&r->x));
}

static void feed(struct run *r, slice piece)
{
	enum exchange_step step;
	int rc;

	while (!r->ended) {
		if (r->secured && piece.len > 0) { /* plain text among TLS */
			buf_str(&r->log, "broken\n");
			r->ended = true;
			return;
		}
		rc = exchange_feed(&r->x, &piece, &step);
		if (rc < 0) {
			buf_str(&r->log, "broken\n");
			r->ended = true;
		}
		take_out(r);
		if (rc <= 0)
			return;
		/* Nothing was answered that was not asked, but for the last word. */
		check(step != EXCHANGE_NOTHING || r->x.reply.code == 421);
		if (step != EXCHANGE_STARTTLS || r->x.reply.code != 220) {
			buf_printf(&r->log, "%d %d ", (int)step, r->x.reply.code);
			buf_put(&r->log, buf_slice(&r->x.reply.text));
			buf_byte(&r->log, '\n');
		}
		answer(r, step, piece);
		take_out(r);
	}
}

static void run(struct run *r, enum exchange_tls tls, bool lends, slice in, size_t step)
{
	*r = (struct run){.transactions = 0};
	buf_init(&r->log, 1u << 24);
	buf_init(&r->sent, 1u << 24);
	exchange_init(&r->x, SLICE("me"));
	r->x.tls = tls;
	r->x.lends = lends;
	exchange_open(&r->x);
	for (size_t at = 0; at < in.len && !r->ended; at += step)
		feed(r, slice_sub(in, at, at + step));
}

static void end(struct run *r)
{
	exchange_free(&r->x);
	buf_free(&r->log);
	buf_free(&r->sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size)
{
	struct run whole, cut;
	slice in;

	if (size < 2)
		return 0;
	in = slice_of(p + 2, size - 2);
	run(&whole, p[0] % 3, false, in, in.len + 1);
	run(&cut, p[0] % 3, p[1] % 2, in, 1 + p[1] % 7);
	check(slice_eq(buf_slice(&whole.log), buf_slice(&cut.log)));
	check(slice_eq(buf_slice(&whole.sent), buf_slice(&cut.sent)));
	check(smtp_text_check(buf_slice(&whole.sent)) == 0);
	end(&whole);
	end(&cut);
	return 0;
}
