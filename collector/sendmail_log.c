#include "collector/sendmail_log.h"

#include "collector/log_cut.h"
#include "collector/log_stamp.h"

#define MIN_ID 8

/* "6ALHuXml018892: " */
static bool take_id(struct log_cut *c, slice *id)
{
	return log_cut_id(c, MIN_ID, SENDMAIL_LOG_MAX_ID, id);
}

/* "<a@b>" or "a@b": up to the ',' that must follow. False: it is cut. */
static bool take_address(struct log_cut *c, slice *address)
{
	bool quoted = false;
	size_t i = 0;

	if (log_cut_take(c, SLICE("<"))) {
		i = log_fact_address_end(c->s);
		if (i == SLICE_NPOS || slice_from(c->s, i + 1).len == 0 || c->s.p[i + 1] != ',')
			return false;
		*address = slice_sub(c->s, 0, i);
		c->s = slice_from(c->s, i + 1);
		return true;
	}
	for (; i < c->s.len && (quoted || c->s.p[i] != ','); i++) {
		if (c->s.p[i] == '\\' && quoted)
			i++;
		else if (c->s.p[i] == '"')
			quoted = !quoted;
	}
	if (i == 0 || i >= c->s.len)
		return false;
	*address = slice_sub(c->s, 0, i);
	c->s = slice_from(c->s, i);
	return true;
}

/* Further recipients: "<c@b>,<d@b>", each with its ',' before. */
static bool take_others(struct log_cut *c, slice *others)
{
	slice all = c->s, address;

	while (!slice_starts(c->s, SLICE(", ")))
		if (!log_cut_take(c, SLICE(",")) || !take_address(c, &address))
			return false;
	*others = slice_sub(all, 0, (size_t)(c->s.p - all.p));
	return true;
}

/* Up to ", ", which stays; the rest if it does not come. */
static slice take_value(struct log_cut *c)
{
	size_t comma = slice_find(c->s, SLICE(", "), 0);
	slice value = slice_sub(c->s, 0, comma);

	c->s = slice_from(c->s, value.len);
	return value;
}

/* 2, 4, 5, or 0 */
static unsigned class_of(slice dsn)
{
	if (dsn.len < 5 || dsn.p[1] != '.' || (dsn.p[0] != '2' && dsn.p[0] != '4' && dsn.p[0] != '5'))
		return 0;
	return dsn.p[0] - '0';
}

/* "Sent (Ok: queued as X)", "Deferred: Connection refused by h", "User unknown" */
static bool read_stat(struct log_cut *c, struct log_fact *f)
{
	unsigned class = class_of(f->dsn);

	if (slice_starts(c->s, SLICE("Sent")) && (class == 2 || class == 0)) {
		log_cut_take(c, SLICE("Sent"));
		f->outcome = LOG_FACT_SENT;
		if (log_cut_take(c, SLICE(" ("))) {
			f->text = c->s;
			if (slice_ends(f->text, SLICE(")")))
				f->text = slice_sub(f->text, 0, f->text.len - 1);
		}
		return true;
	}
	if (class == 4 || (class == 0 && slice_starts(c->s, SLICE("Deferred"))))
		f->outcome = LOG_FACT_DEFERRED;
	else if (class == 5)
		f->outcome = LOG_FACT_BOUNCED;
	else
		return false; /* queued, quarantined, ... */
	f->text = c->s;
	return true;
}

/* Behind "reply=": the text of the other side, ", stat=" and what Sendmail makes of it. */
static bool read_reply(struct log_cut *c, struct log_fact *f)
{
	slice enhanced;
	unsigned class = class_of(f->dsn);

	f->reply = log_fact_reply(c->s, &enhanced);
	f->text = c->s;
	f->outcome = class == 5 ? LOG_FACT_BOUNCED : class == 4 ? LOG_FACT_DEFERRED : 0;
	return f->outcome != 0;
}

/* Behind "to=". */
static bool read_delivery(struct log_cut *c, struct log_fact *f)
{
	if (!take_address(c, &f->recipient) || !take_others(c, &f->others))
		return false;
	while (log_cut_take(c, SLICE(", "))) {
		/* The owner of a list, who may be quoted. */
		if (log_cut_take(c, SLICE("ctladdr=")) && slice_starts(c->s, SLICE("<"))) {
			size_t end = log_fact_address_end(c->s);

			if (end == SLICE_NPOS)
				return false;
			c->s = slice_from(c->s, end + 1);
			take_value(c);
		} else if (log_cut_take(c, SLICE("delay="))) {
			f->delay = take_value(c);
		} else if (log_cut_take(c, SLICE("relay="))) {
			f->relay = take_value(c);
		} else if (log_cut_take(c, SLICE("dsn="))) {
			f->dsn = take_value(c);
		} else if (log_cut_take(c, SLICE("reply="))) {
			return read_reply(c, f);
		} else if (log_cut_take(c, SLICE("stat="))) {
			return read_stat(c, f);
		} else {
			take_value(c);
		}
	}
	return false;
}

/* Behind "from=". */
static bool read_received(struct log_cut *c, struct log_fact *f)
{
	if (!take_address(c, &f->sender) || !log_cut_take(c, SLICE(", size=")))
		return false;
	take_value(c);
	/* Postfix has no class. */
	if (!slice_starts(c->s, SLICE(", class=")))
		return false;
	while (log_cut_take(c, SLICE(", "))) {
		if (!log_cut_take(c, SLICE("msgid="))) {
			take_value(c);
			continue;
		}
		if (log_cut_take(c, SLICE("<"))) {
			size_t end = slice_chr(c->s, '>', 0);

			f->message_id = slice_sub(c->s, 0, end);
		} else {
			f->message_id = take_value(c);
		}
		break;
	}
	return true;
}

/* "6ALHuYND018991: DSN: User unknown", "6ALHvahC022086: sender notify: Cannot send
 * message for 1 minute": the last one ends the message for all that wait. */
static enum log_fact_kind read_child(struct log_cut *c, struct log_fact *f)
{
	if (!take_id(c, &f->other_id))
		return LOG_FACT_NONE;
	if (!log_cut_take(c, SLICE("sender notify: ")) && !log_cut_take(c, SLICE("return to sender: ")) &&
		!log_cut_take(c, SLICE("DSN: ")) && !log_cut_take(c, SLICE("postmaster notify: ")))
		return LOG_FACT_NONE;
	return slice_starts(c->s, SLICE("Cannot send message ")) ? LOG_FACT_EXPIRED : LOG_FACT_CHILD;
}

static enum log_fact_kind read_text(struct log_cut *c, struct log_fact *f)
{
	if (log_cut_take(c, SLICE("to=")))
		return read_delivery(c, f) ? LOG_FACT_DELIVERY : LOG_FACT_NONE;
	if (log_cut_take(c, SLICE("from=")))
		return read_received(c, f) ? LOG_FACT_RECEIVED : LOG_FACT_NONE;
	return read_child(c, f);
}

bool sendmail_log_next(struct log_fact *f)
{
	struct log_cut c = {f->others};
	slice address;
	size_t end;

	if (!log_cut_take(&c, SLICE(",")))
		return false;
	/* take_others has seen a ',' behind each but the last. */
	if (log_cut_take(&c, SLICE("<"))) {
		end = log_fact_address_end(c.s);
		address = slice_sub(c.s, 0, end);
		f->others = slice_from(c.s, end + 1);
	} else {
		end = c.s.len;
		if (take_address(&c, &address))
			f->others = c.s;
		else {
			address = c.s;
			f->others = SLICE_NONE;
		}
	}
	f->recipient = address;
	return true;
}

enum log_fact_kind sendmail_log_read(slice line, uint64_t now_ms, int zone_s, struct log_fact *out)
{
	struct log_cut c = {slice_sub(line, 0, LOG_FACT_MAX_LINE)};
	struct log_fact f = {0};
	size_t end;

	while (c.s.len && (c.s.p[c.s.len - 1] == '\n' || c.s.p[c.s.len - 1] == '\r'))
		c.s = slice_sub(c.s, 0, c.s.len - 1);
	*out = (struct log_fact){0};
	/* What a socket gets has the priority before it: "<22>". */
	if (log_cut_take(&c, SLICE("<"))) {
		end = slice_chr(c.s, '>', 0);
		if (end > 3)
			return LOG_FACT_NONE;
		c.s = slice_from(c.s, end + 1);
	}
	if (log_stamp_take(&c.s, now_ms, zone_s, &f.ms) && !log_stamp_program(&c.s, &f.service))
		return LOG_FACT_NONE;
	if (slice_chr(f.service, '/', 0) != SLICE_NPOS || !take_id(&c, &f.id))
		return LOG_FACT_NONE;
	f.kind = read_text(&c, &f);
	if (f.kind != LOG_FACT_NONE)
		*out = f;
	return f.kind;
}
