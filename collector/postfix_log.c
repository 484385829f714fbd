#include "collector/postfix_log.h"

#include "collector/log_cut.h"
#include "collector/log_stamp.h"

#define MIN_ID 5

/* Up to the byte, which is taken as well; the rest if it does not come. */
static slice take_until(struct log_cut *c, uint8_t byte)
{
	size_t at = slice_chr(c->s, byte, 0);
	slice head = slice_sub(c->s, 0, at);

	c->s = at == SLICE_NPOS ? SLICE_NONE : slice_from(c->s, at + 1);
	return head;
}

/* "mx postfix-out/onebyone/smtp[19341]: ": false if Postfix did not write it. */
static bool take_tag(struct log_cut *c, slice *service)
{
	slice tag;
	size_t colon, slash, bracket;

	take_until(c, ' ');
	colon = slice_find(c->s, SLICE(": "), 0);
	if (colon == SLICE_NPOS)
		return false;
	tag = slice_sub(c->s, 0, colon);
	if (slice_chr(tag, ' ', 0) != SLICE_NPOS)
		return false;
	bracket = slice_rchr(tag, '[');
	if (bracket != SLICE_NPOS)
		tag = slice_sub(tag, 0, bracket);
	slash = slice_rchr(tag, '/');
	if (slash == SLICE_NPOS)
		return false;
	*service = slice_from(tag, slash + 1);
	c->s = slice_from(c->s, colon + 2);
	return true;
}

/* "4jX0Rm3czzz1cjqJ: ": short ids are upper-case hexadecimal, long ones letters and digits. */
static bool take_id(struct log_cut *c, slice *id)
{
	return log_cut_id(c, MIN_ID, POSTFIX_LOG_MAX_ID, id) && !slice_eq(*id, SLICE("NOQUEUE"));
}

/* An address behind its '<', then '>' and what must follow it: one of two. */
static bool take_address(struct log_cut *c, slice *address, slice next, slice or_next)
{
	size_t end = log_fact_address_end(c->s);
	slice rest;

	if (end == SLICE_NPOS)
		return false;
	rest = slice_from(c->s, end + 1);
	if (!slice_starts(rest, next) && !(or_next.len && slice_starts(rest, or_next)))
		return false;
	*address = slice_sub(c->s, 0, end);
	c->s = rest;
	return true;
}

/* The code of the other side's reply: at the start, or behind "host H[IP] said: "
 * and nowhere else, for the rest is a stranger's. */
static uint16_t reply_of(slice text)
{
	struct log_cut c = {text};
	slice enhanced;

	if (log_cut_take(&c, SLICE("host "))) {
		size_t end = slice_chr(c.s, ']', 0);

		if (end == SLICE_NPOS)
			return 0;
		c.s = slice_from(c.s, end + 1);
		if (!log_cut_take(&c, SLICE(" said: ")) &&
			!log_cut_take(&c, SLICE(" refused to talk to me: ")))
			return 0;
	}
	return log_fact_reply(c.s, &enhanced);
}

/* "sent (250 2.0.0 Ok)" behind "status=". */
static bool take_status(struct log_cut *c, struct log_fact *f)
{
	if (log_cut_take(c, SLICE("sent")))
		f->outcome = LOG_FACT_SENT;
	else if (log_cut_take(c, SLICE("deferred")) || log_cut_take(c, SLICE("SOFTBOUNCE")))
		f->outcome = LOG_FACT_DEFERRED;
	else if (log_cut_take(c, SLICE("bounced")))
		f->outcome = LOG_FACT_BOUNCED;
	else
		return false; /* (un)deliverable: an address probe, not a message */
	if (c->s.len && !log_cut_take(c, SLICE(" (")))
		return false;
	f->text = c->s;
	f->reply = reply_of(f->text);
	if (slice_ends(f->text, SLICE(")")))
		f->text = slice_sub(f->text, 0, f->text.len - 1);
	return true;
}

/* Behind "to=<". */
static bool read_delivery(struct log_cut *c, struct log_fact *f)
{
	if (!take_address(c, &f->recipient, SLICE(", relay="), SLICE(", orig_to=<")))
		return false;
	if (log_cut_take(c, SLICE(", orig_to=<")) &&
		!take_address(c, &f->orig_to, SLICE(", relay="), SLICE_NONE))
		return false;
	while (log_cut_take(c, SLICE(", "))) {
		slice key, value;
		size_t comma;

		if (log_cut_take(c, SLICE("status=")))
			return take_status(c, f);
		key = take_until(c, '=');
		comma = slice_find(c->s, SLICE(", "), 0);
		if (comma == SLICE_NPOS)
			return false;
		value = slice_sub(c->s, 0, comma);
		c->s = slice_from(c->s, comma);
		if (slice_eq(key, SLICE("relay")))
			f->relay = value;
		else if (slice_eq(key, SLICE("delay")))
			f->delay = value;
		else if (slice_eq(key, SLICE("dsn")))
			f->dsn = value;
		/* conn_use, delays, tls and what later versions add: not ours to read */
	}
	return false;
}

/* Behind "from=<". */
static enum log_fact_kind read_sender(struct log_cut *c, struct log_fact *f)
{
	if (!take_address(c, &f->sender, SLICE(", size="), SLICE(", status=")))
		return LOG_FACT_NONE;
	if (log_cut_take(c, SLICE(", size=")))
		return LOG_FACT_SENDER;
	log_cut_take(c, SLICE(", status="));
	log_cut_take(c, SLICE("force-"));
	return log_cut_take(c, SLICE("expired")) ? LOG_FACT_EXPIRED : LOG_FACT_NONE;
}

/* Behind "client=". */
static void read_client(struct log_cut *c, struct log_fact *f)
{
	size_t comma = slice_find(c->s, SLICE(", "), 0);

	f->client = slice_sub(c->s, 0, comma);
	c->s = comma == SLICE_NPOS ? SLICE_NONE : slice_from(c->s, comma);
	/* With sasl_ keys the order is client, orig_queue_id, orig_client, sasl_. */
	if (log_cut_take(c, SLICE(", orig_queue_id=")))
		f->other_id = slice_sub(c->s, 0, slice_find(c->s, SLICE(", "), 0));
}

/* "sender non-delivery notification: ID" and its likes. */
static enum log_fact_kind read_child(struct log_cut *c, struct log_fact *f)
{
	struct log_cut id;
	size_t at;

	if (!slice_starts(c->s, SLICE("sender ")) && !slice_starts(c->s, SLICE("postmaster ")))
		return LOG_FACT_NONE;
	at = slice_find(c->s, SLICE(" notification: "), 0);
	if (at == SLICE_NPOS)
		return LOG_FACT_NONE;
	id.s = slice_from(c->s, at + SLICE(" notification: ").len);
	f->other_id = take_until(&id, ' ');
	return f->other_id.len ? LOG_FACT_CHILD : LOG_FACT_NONE;
}

/* "103 from=<..> orig_id=OLD" behind "uid=". */
static enum log_fact_kind read_pickup(struct log_cut *c, struct log_fact *f)
{
	take_until(c, ' ');
	if (!log_cut_take(c, SLICE("from=<")) || !take_address(c, &f->sender, SLICE(" orig_id="), SLICE_NONE))
		return LOG_FACT_NONE;
	log_cut_take(c, SLICE(" orig_id="));
	f->other_id = take_until(c, ' ');
	return f->other_id.len ? LOG_FACT_REQUEUE : LOG_FACT_NONE;
}

/* Is this what the program says? A bare text names none: its shape must do. */
static bool is_from(const struct log_fact *f, slice program)
{
	return f->service.len == 0 || slice_ends(f->service, program);
}

static enum log_fact_kind read_text(struct log_cut *c, struct log_fact *f)
{
	if (log_cut_take(c, SLICE("to=<")))
		return read_delivery(c, f) ? LOG_FACT_DELIVERY : LOG_FACT_NONE;
	if (log_cut_take(c, SLICE("from=<")))
		return is_from(f, SLICE("qmgr")) ? read_sender(c, f) : LOG_FACT_NONE;
	if (slice_eq(c->s, SLICE("removed")))
		return LOG_FACT_REMOVED;
	if (log_cut_take(c, SLICE("client="))) {
		read_client(c, f);
		return LOG_FACT_CLIENT;
	}
	if (log_cut_take(c, SLICE("message-id=")) && is_from(f, SLICE("cleanup"))) {
		f->message_id = c->s;
		if (log_cut_take(c, SLICE("<")))
			f->message_id =
				slice_ends(c->s, SLICE(">")) ? slice_sub(c->s, 0, c->s.len - 1) : c->s;
		return LOG_FACT_MESSAGE_ID;
	}
	if (log_cut_take(c, SLICE("uid=")))
		return is_from(f, SLICE("pickup")) ? read_pickup(c, f) : LOG_FACT_NONE;
	return is_from(f, SLICE("bounce")) ? read_child(c, f) : LOG_FACT_NONE;
}

enum log_fact_kind postfix_log_read(slice line, uint64_t now_ms, int zone_s, struct log_fact *out)
{
	struct log_cut c = {slice_sub(line, 0, LOG_FACT_MAX_LINE)};
	struct log_fact f = {0};

	while (c.s.len && (c.s.p[c.s.len - 1] == '\n' || c.s.p[c.s.len - 1] == '\r'))
		c.s = slice_sub(c.s, 0, c.s.len - 1);
	*out = (struct log_fact){0};
	if (log_stamp_take(&c.s, now_ms, zone_s, &f.ms) && !take_tag(&c, &f.service))
		return LOG_FACT_NONE;
	if (!take_id(&c, &f.id))
		return LOG_FACT_NONE;
	f.kind = read_text(&c, &f);
	if (f.kind != LOG_FACT_NONE)
		*out = f;
	return f.kind;
}
