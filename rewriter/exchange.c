#include "rewriter/exchange.h"

#include "core/base/must.h"
#include "core/base/refuse.h"

#include <string.h>

/* One group of commands and one piece of a body, all of it dots. */
#define MAX_OUT (3 * EXCHANGE_PIECE)

void exchange_init(struct exchange *x, slice host)
{
	*x = (struct exchange){.host = host};
	buf_init(&x->out, MAX_OUT);
	buf_init(&x->text, EXCHANGE_MAX_QUEUE * SMTP_MAX_PARAMS);
	smtp_reply_init(&x->reply);
}

void exchange_free(struct exchange *x)
{
	buf_free(&x->out);
	buf_free(&x->text);
	smtp_reply_free(&x->reply);
}

void exchange_open(struct exchange *x)
{
	enum exchange_tls tls = x->tls;
	bool lends = x->lends;
	slice host = x->host;

	exchange_free(x);
	exchange_init(x, host);
	x->tls = tls;
	x->lends = lends;
	x->waiting[x->waiting_count++] = EXCHANGE_GREETING;
}

static bool ends_group(enum exchange_step step)
{
	return step == EXCHANGE_GREETING || step == EXCHANGE_HELLO || step == EXCHANGE_STARTTLS ||
	       step == EXCHANGE_AUTH || step == EXCHANGE_XCLIENT || step == EXCHANGE_DATA ||
	       step == EXCHANGE_DOT || step == EXCHANGE_QUIT;
}

static bool may_send(const struct exchange *x)
{
	if (x->waiting_count == 0)
		return true;
	if (ends_group(x->waiting[x->waiting_count - 1]))
		return false;
	return x->ready && (x->offer.flags & SMTP_OFFER_PIPELINING);
}

static void send_queued(struct exchange *x)
{
	while (x->queued_count > 0 && may_send(x)) {
		size_t len = x->queued[0].len;

		buf_put(&x->out, slice_sub(buf_slice(&x->text), 0, len));
		buf_drop(&x->text, len);
		must(x->waiting_count < EXCHANGE_MAX_QUEUE);
		x->waiting[x->waiting_count++] = x->queued[0].step;
		x->queued_count--;
		memmove(x->queued, x->queued + 1, x->queued_count * sizeof *x->queued);
	}
}

static size_t begin(struct exchange *x, const char *command)
{
	size_t at = x->text.len;

	must(x->queued_count + x->waiting_count < EXCHANGE_MAX_QUEUE);
	buf_str(&x->text, command);
	return at;
}

static void end(struct exchange *x, enum exchange_step step, size_t at)
{
	buf_put(&x->text, SLICE("\r\n"));
	must(!x->text.full);
	x->queued[x->queued_count].step = step;
	x->queued[x->queued_count++].len = x->text.len - at;
	send_queued(x);
}

static void put_path(struct exchange *x, slice address, slice params)
{
	buf_put(&x->text, address);
	buf_byte(&x->text, '>');
	if (params.len > 0)
		buf_byte(&x->text, ' ');
	buf_put(&x->text, params);
}

void exchange_mail(struct exchange *x, slice address, slice params, uint64_t size)
{
	size_t at = begin(x, "MAIL FROM:<");

	put_path(x, address, params);
	if (size > 0 && (x->offer.flags & SMTP_OFFER_SIZE))
		buf_printf(&x->text, " SIZE=%llu", (unsigned long long)size);
	end(x, EXCHANGE_MAIL, at);
}

void exchange_rcpt(struct exchange *x, slice address, slice params)
{
	size_t at = begin(x, "RCPT TO:<");

	put_path(x, address, params);
	end(x, EXCHANGE_RCPT, at);
}

void exchange_line(struct exchange *x, enum exchange_step step, slice line)
{
	size_t at = begin(x, "");

	buf_put(&x->text, line);
	end(x, step, at);
}

void exchange_data(struct exchange *x)
{
	end(x, EXCHANGE_DATA, begin(x, "DATA"));
}

void exchange_rset(struct exchange *x)
{
	end(x, EXCHANGE_RSET, begin(x, "RSET"));
}

void exchange_quit(struct exchange *x)
{
	end(x, EXCHANGE_QUIT, begin(x, "QUIT"));
}

void exchange_body(struct exchange *x, slice message)
{
	must(x->waiting_count == 0 && !x->sending);
	smtp_stuff_init(&x->body, message);
	x->sending = true;
	x->waiting[x->waiting_count++] = EXCHANGE_DOT;
	exchange_fill(x);
}

/* Under TLS all is copied anyway, and two pieces would be two records. Behind a
 * short piece come many dots. */
static size_t lend(struct exchange *x)
{
	if (x->lends && !x->secured && x->out.len == 0)
		x->lent = smtp_stuff_run(&x->body, EXCHANGE_PIECE);
	return x->lent.len < EXCHANGE_PIECE / 8 ? EXCHANGE_PIECE : 0;
}

void exchange_fill(struct exchange *x)
{
	if (x->sending && x->lent.len == 0 && x->out.len < EXCHANGE_PIECE / 2)
		x->sending = !smtp_stuff_put(&x->body, &x->out, lend(x));
	must(!x->out.full);
}

bool exchange_unsent(const struct exchange *x)
{
	return x->sending || x->lent.len > 0 || x->out.len > 0;
}

enum exchange_step exchange_waits(const struct exchange *x)
{
	if (x->waiting_count == 0)
		return EXCHANGE_NOTHING;
	if (x->waiting[0] == EXCHANGE_DOT && exchange_unsent(x))
		return EXCHANGE_BODY;
	return x->waiting[0];
}

bool exchange_resting(const struct exchange *x)
{
	for (unsigned i = 0; i < x->waiting_count; i++)
		if (x->waiting[i] != EXCHANGE_RSET)
			return false;
	for (unsigned i = 0; i < x->queued_count; i++)
		if (x->queued[i].step != EXCHANGE_RSET)
			return false;
	return x->ready && !x->sending && x->lent.len == 0;
}

static void count(struct exchange *x, enum exchange_step step)
{
	x->messages += step == EXCHANGE_DOT;
	if (x->reply.code >= 400)
		x->refused++;
	else if (step == EXCHANGE_DOT)
		x->refused = 0;
}

static void say_hello(struct exchange *x, const char *verb)
{
	size_t at = begin(x, verb);

	x->extended = strcmp(verb, "EHLO ") == 0;
	buf_put(&x->text, x->host);
	/* Before anything that the caller queued while the hop was not ready. */
	must(at == 0 && x->queued_count == 0);
	end(x, EXCHANGE_HELLO, at);
}

void exchange_secured(struct exchange *x)
{
	must(x->waiting_count == 0 && !x->ready);
	x->secured = true;
	x->offer = (struct smtp_offer){.flags = 0};
	say_hello(x, "EHLO ");
}

/* The answer to EHLO names what the hop offers. True: STARTTLS was said. */
static bool start_tls(struct exchange *x, enum exchange_step *step)
{
	x->ready = true;
	if (x->tls == EXCHANGE_TLS_OFF || x->secured || x->settled)
		return false;
	x->settled = true;
	if (x->offer.flags & SMTP_OFFER_STARTTLS) {
		end(x, EXCHANGE_STARTTLS, begin(x, "STARTTLS"));
		x->ready = false;
		return true;
	}
	if (x->tls == EXCHANGE_TLS_MUST) {
		/* As if it had been asked; the code of its EHLO might be 220. */
		*step = EXCHANGE_STARTTLS;
		x->reply.code = 454;
		buf_clear(&x->reply.text);
		buf_str(&x->reply.text, "4.7.0 TLS is not offered");
		x->ready = false;
	}
	return false;
}

/* Is the answer one for our own ears? */
static bool greeted(struct exchange *x, enum exchange_step *where)
{
	enum exchange_step step = *where;
	int code = x->reply.code;

	if (step == EXCHANGE_STARTTLS && code != 220)
		x->ready = x->tls == EXCHANGE_TLS_MAY && code != 421;
	/* It has forgotten all, and may offer something else now. */
	if (step == EXCHANGE_XCLIENT && code / 100 == 2) {
		x->ready = false;
		say_hello(x, "EHLO ");
		return false;
	}
	if (step == EXCHANGE_GREETING && code / 100 == 2) {
		say_hello(x, "EHLO ");
		return true;
	}
	/* RFC 5321 3.2: a server may not know EHLO. */
	if (step == EXCHANGE_HELLO && x->extended && code / 100 == 5) {
		say_hello(x, "HELO ");
		return true;
	}
	if (step == EXCHANGE_HELLO && code / 100 == 2) {
		if (x->extended)
			x->offer = smtp_offer_decode(buf_slice(&x->reply.text));
		return start_tls(x, where);
	}
	return false;
}

/* Is this a code that the step can be answered with at all? */
static bool fits(enum exchange_step step, int code)
{
	if (step == EXCHANGE_DATA)
		return code == 354 || code >= 400;
	return code / 100 != 3 || (step == EXCHANGE_AUTH && code == 334);
}

int exchange_feed(struct exchange *x, slice *in, enum exchange_step *step)
{
	for (;;) {
		size_t used;
		int rc = smtp_reply_feed(&x->reply, *in, &used);

		*in = slice_from(*in, used);
		if (rc <= 0)
			return rc;
		*step = exchange_waits(x);
		if (x->waiting_count == 0)
			return x->reply.code == 421 ? 1 : -REFUSE_SYNTAX;
		/* Said before it had the whole message: it is not an answer to it,
		 * except for a refusal that ends the connection. */
		if (x->waiting[0] == EXCHANGE_DOT && *step != EXCHANGE_DOT && x->reply.code / 100 == 2)
			return -REFUSE_SYNTAX;
		*step = x->waiting[0];
		if (!fits(*step, x->reply.code))
			return -REFUSE_SYNTAX;
		if (*step == EXCHANGE_DOT && x->out.len == 0 && x->out.room > EXCHANGE_KEEP)
			buf_free(&x->out);
		count(x, *step);
		x->waiting_count--;
		memmove(x->waiting, x->waiting + 1, x->waiting_count * sizeof *x->waiting);
		/* What stands behind it was said in plain text by whoever, and would be
		 * read as if it came under TLS. */
		if (*step == EXCHANGE_STARTTLS && x->reply.code == 220 && in->len > 0)
			return -REFUSE_SYNTAX;
		if (!greeted(x, step)) {
			send_queued(x);
			return 1;
		}
	}
}
