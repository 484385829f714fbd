#include "collector/postfix_log.h"

#include "core/parse/date.h"

#define MIN_ID 5

/* What is left of a line. */
struct cut {
	slice s;
};

static bool take(struct cut *c, slice prefix)
{
	if (!slice_starts(c->s, prefix))
		return false;
	c->s = slice_from(c->s, prefix.len);
	return true;
}

/* Up to the byte, which is taken as well; the rest if it does not come. */
static slice take_until(struct cut *c, uint8_t byte)
{
	size_t at = slice_chr(c->s, byte, 0);
	slice head = slice_sub(c->s, 0, at);

	c->s = at == SLICE_NPOS ? SLICE_NONE : slice_from(c->s, at + 1);
	return head;
}

/* n digits, or -1. */
static int digits(slice s, size_t at, size_t n)
{
	int v = 0;

	if (s.len < at + n)
		return -1;
	for (size_t i = at; i < at + n; i++) {
		if (!ascii_digit(s.p[i]))
			return -1;
		v = v * 10 + (s.p[i] - '0');
	}
	return v;
}

/* Milliseconds of the day from "hh:mm:ss", or -1. A leap second is the next minute's first. */
static int64_t clock_of(slice s, size_t at)
{
	int h = digits(s, at, 2), m = digits(s, at + 3, 2), sec = digits(s, at + 6, 2);

	if (h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 60 || s.p[at + 2] != ':' ||
		s.p[at + 5] != ':')
		return -1;
	return ((int64_t)h * 3600 + m * 60 + sec) * 1000;
}

static int month_of(slice s)
{
	static const char names[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

	for (int m = 0; s.len >= 3 && m < 12; m++)
		if (s.p[0] == names[m][0] && s.p[1] == names[m][1] && s.p[2] == names[m][2])
			return m + 1;
	return 0;
}

/* "Nov  1 17:32:23 ": false if it is not one. */
static bool take_rfc3164(struct cut *c, uint64_t now_ms, int zone_s, uint64_t *ms)
{
	slice s = c->s;
	int month = month_of(s), day;
	int64_t clock, latest = (int64_t)now_ms + DATE_DAY_MS;

	if (!month || s.len < 16 || s.p[3] != ' ' || s.p[6] != ' ' || s.p[15] != ' ')
		return false;
	day = s.p[4] == ' ' ? digits(s, 5, 1) : digits(s, 4, 2);
	if (day < 1)
		return false;
	clock = clock_of(s, 7);
	if (!date_valid(2000, (unsigned)month, (unsigned)day) || clock < 0)
		return false;
	/* A year of 365 days never runs ahead; back to the last 29 February at most. */
	for (unsigned year = 1970 + (unsigned)(latest / (365 * (int64_t)DATE_DAY_MS)); year >= 1970; year--) {
		int64_t at;

		if (!date_valid(year, (unsigned)month, (unsigned)day))
			continue;
		at = date_days(year, (unsigned)month, (unsigned)day) * (int64_t)DATE_DAY_MS + clock -
		     (int64_t)zone_s * 1000;
		if (at > latest)
			continue;
		*ms = at > 0 ? (uint64_t)at : 0;
		c->s = slice_from(s, 16);
		return true;
	}
	return false;
}

/* "2026-11-21T17:32:23.123456+01:00 ": false if it is not one. */
static bool take_rfc3339(struct cut *c, uint64_t *ms)
{
	slice s = c->s;
	int year = digits(s, 0, 4), month = digits(s, 5, 2), day = digits(s, 8, 2), h, m;
	int64_t clock, at;
	size_t i = 19;

	if (s.len < 21 || year < 1970 || s.p[4] != '-' || s.p[7] != '-' || (s.p[10] != 'T' && s.p[10] != ' '))
		return false;
	clock = clock_of(s, 11);
	if (month < 1 || day < 1 || !date_valid((unsigned)year, (unsigned)month, (unsigned)day) || clock < 0)
		return false;
	at = date_days((unsigned)year, (unsigned)month, (unsigned)day) * (int64_t)DATE_DAY_MS + clock;
	if (s.p[i] == '.') {
		for (int unit = 100; ++i < s.len && ascii_digit(s.p[i]); unit /= 10)
			at += (s.p[i] - '0') * unit;
	}
	if (i < s.len && s.p[i] == 'Z') {
		i++;
	} else if (i < s.len && (s.p[i] == '+' || s.p[i] == '-')) {
		int64_t offset;
		size_t colon = i + 3 < s.len && s.p[i + 3] == ':';

		h = digits(s, i + 1, 2);
		m = digits(s, i + 3 + colon, 2);
		if (h < 0 || m < 0)
			return false;
		offset = ((int64_t)h * 60 + m) * 60000;
		at += s.p[i] == '+' ? -offset : offset;
		i += 5 + colon;
	} else {
		return false;
	}
	if (i >= s.len || s.p[i] != ' ')
		return false;
	*ms = at > 0 ? (uint64_t)at : 0;
	c->s = slice_from(s, i + 1);
	return true;
}

/* "mx postfix-out/onebyone/smtp[19341]: ": false if Postfix did not write it. */
static bool take_tag(struct cut *c, slice *service)
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
static bool take_id(struct cut *c, slice *id)
{
	size_t n = 0;

	while (n < c->s.len && n <= POSTFIX_LOG_MAX_ID && ascii_alnum(c->s.p[n]))
		n++;
	if (n < MIN_ID || n > POSTFIX_LOG_MAX_ID || !slice_starts(slice_from(c->s, n), SLICE(": ")))
		return false;
	*id = slice_sub(c->s, 0, n);
	c->s = slice_from(c->s, n + 2);
	return !slice_eq(*id, SLICE("NOQUEUE"));
}

/* Offset of the '>' that ends the address, with regard to quotes; or SLICE_NPOS. */
static size_t address_end(slice s)
{
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\\' && quoted)
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (s.p[i] == '>' && !quoted)
			return i;
	}
	return SLICE_NPOS;
}

/* An address behind its '<', then '>' and what must follow it: one of two. */
static bool take_address(struct cut *c, slice *address, slice next, slice or_next)
{
	size_t end = address_end(c->s);
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
	struct cut c = {text};
	int code;

	if (take(&c, SLICE("host "))) {
		size_t end = slice_chr(c.s, ']', 0);

		if (end == SLICE_NPOS)
			return 0;
		c.s = slice_from(c.s, end + 1);
		if (!take(&c, SLICE(" said: ")) && !take(&c, SLICE(" refused to talk to me: ")))
			return 0;
	}
	code = digits(c.s, 0, 3);
	if (code < 200 || code > 599)
		return 0;
	if (c.s.len == 3 || (c.s.p[3] != ' ' && c.s.p[3] != '-' && c.s.p[3] != ')'))
		return 0;
	return (uint16_t)code;
}

/* "sent (250 2.0.0 Ok)" behind "status=". */
static bool take_status(struct cut *c, struct postfix_log *f)
{
	if (take(c, SLICE("sent")))
		f->outcome = POSTFIX_LOG_SENT;
	else if (take(c, SLICE("deferred")) || take(c, SLICE("SOFTBOUNCE")))
		f->outcome = POSTFIX_LOG_DEFERRED;
	else if (take(c, SLICE("bounced")))
		f->outcome = POSTFIX_LOG_BOUNCED;
	else
		return false; /* (un)deliverable: an address probe, not a message */
	if (c->s.len && !take(c, SLICE(" (")))
		return false;
	f->text = c->s;
	f->reply = reply_of(f->text);
	if (slice_ends(f->text, SLICE(")")))
		f->text = slice_sub(f->text, 0, f->text.len - 1);
	return true;
}

/* Behind "to=<". */
static bool read_delivery(struct cut *c, struct postfix_log *f)
{
	if (!take_address(c, &f->recipient, SLICE(", relay="), SLICE(", orig_to=<")))
		return false;
	if (take(c, SLICE(", orig_to=<")) && !take_address(c, &f->orig_to, SLICE(", relay="), SLICE_NONE))
		return false;
	while (take(c, SLICE(", "))) {
		slice key, value;
		size_t comma;

		if (take(c, SLICE("status=")))
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
static enum postfix_log_kind read_sender(struct cut *c, struct postfix_log *f)
{
	if (!take_address(c, &f->sender, SLICE(", size="), SLICE(", status=")))
		return POSTFIX_LOG_NONE;
	if (take(c, SLICE(", size=")))
		return POSTFIX_LOG_SENDER;
	take(c, SLICE(", status="));
	take(c, SLICE("force-"));
	return take(c, SLICE("expired")) ? POSTFIX_LOG_EXPIRED : POSTFIX_LOG_NONE;
}

/* Behind "client=". */
static void read_client(struct cut *c, struct postfix_log *f)
{
	size_t comma = slice_find(c->s, SLICE(", "), 0);

	f->client = slice_sub(c->s, 0, comma);
	c->s = comma == SLICE_NPOS ? SLICE_NONE : slice_from(c->s, comma);
	/* With sasl_ keys the order is client, orig_queue_id, orig_client, sasl_. */
	if (take(c, SLICE(", orig_queue_id=")))
		f->other_id = slice_sub(c->s, 0, slice_find(c->s, SLICE(", "), 0));
}

/* "sender non-delivery notification: ID" and its likes. */
static enum postfix_log_kind read_child(struct cut *c, struct postfix_log *f)
{
	struct cut id;
	size_t at;

	if (!slice_starts(c->s, SLICE("sender ")) && !slice_starts(c->s, SLICE("postmaster ")))
		return POSTFIX_LOG_NONE;
	at = slice_find(c->s, SLICE(" notification: "), 0);
	if (at == SLICE_NPOS)
		return POSTFIX_LOG_NONE;
	id.s = slice_from(c->s, at + SLICE(" notification: ").len);
	f->other_id = take_until(&id, ' ');
	return f->other_id.len ? POSTFIX_LOG_CHILD : POSTFIX_LOG_NONE;
}

/* "103 from=<..> orig_id=OLD" behind "uid=". */
static enum postfix_log_kind read_pickup(struct cut *c, struct postfix_log *f)
{
	take_until(c, ' ');
	if (!take(c, SLICE("from=<")) || !take_address(c, &f->sender, SLICE(" orig_id="), SLICE_NONE))
		return POSTFIX_LOG_NONE;
	take(c, SLICE(" orig_id="));
	f->other_id = take_until(c, ' ');
	return f->other_id.len ? POSTFIX_LOG_REQUEUE : POSTFIX_LOG_NONE;
}

/* Is this what the program says? A bare text names none: its shape must do. */
static bool is_from(const struct postfix_log *f, slice program)
{
	return f->service.len == 0 || slice_ends(f->service, program);
}

static enum postfix_log_kind read_text(struct cut *c, struct postfix_log *f)
{
	if (take(c, SLICE("to=<")))
		return read_delivery(c, f) ? POSTFIX_LOG_DELIVERY : POSTFIX_LOG_NONE;
	if (take(c, SLICE("from=<")))
		return is_from(f, SLICE("qmgr")) ? read_sender(c, f) : POSTFIX_LOG_NONE;
	if (slice_eq(c->s, SLICE("removed")))
		return POSTFIX_LOG_REMOVED;
	if (take(c, SLICE("client="))) {
		read_client(c, f);
		return POSTFIX_LOG_CLIENT;
	}
	if (take(c, SLICE("message-id=")) && is_from(f, SLICE("cleanup"))) {
		f->message_id = c->s;
		if (take(c, SLICE("<")))
			f->message_id =
				slice_ends(c->s, SLICE(">")) ? slice_sub(c->s, 0, c->s.len - 1) : c->s;
		return POSTFIX_LOG_MESSAGE_ID;
	}
	if (take(c, SLICE("uid=")))
		return is_from(f, SLICE("pickup")) ? read_pickup(c, f) : POSTFIX_LOG_NONE;
	return is_from(f, SLICE("bounce")) ? read_child(c, f) : POSTFIX_LOG_NONE;
}

enum postfix_log_kind postfix_log_read(slice line, uint64_t now_ms, int zone_s, struct postfix_log *out)
{
	struct cut c = {slice_sub(line, 0, POSTFIX_LOG_MAX_LINE)};
	struct postfix_log f = {0};

	while (c.s.len && (c.s.p[c.s.len - 1] == '\n' || c.s.p[c.s.len - 1] == '\r'))
		c.s = slice_sub(c.s, 0, c.s.len - 1);
	*out = (struct postfix_log){0};
	if ((take_rfc3164(&c, now_ms, zone_s, &f.ms) || take_rfc3339(&c, &f.ms)) && !take_tag(&c, &f.service))
		return POSTFIX_LOG_NONE;
	if (!take_id(&c, &f.id))
		return POSTFIX_LOG_NONE;
	f.kind = read_text(&c, &f);
	if (f.kind != POSTFIX_LOG_NONE)
		*out = f;
	return f.kind;
}

/* A word of bytes that ids are made of. */
static slice id_word(slice s)
{
	size_t n = 0;

	while (n < s.len && (ascii_alnum(s.p[n]) || s.p[n] == '-' || s.p[n] == '.'))
		n++;
	return n >= MIN_ID ? slice_sub(s, 0, n) : SLICE_NONE;
}

slice postfix_log_next_id(slice text)
{
	static const slice before[] = {{(const uint8_t *)"queued as ", 10}, {(const uint8_t *)"OK id=", 6},
		{(const uint8_t *)"Message Queued (", 16}};
	size_t at;

	for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
		at = slice_find(text, before[i], 0);
		if (at != SLICE_NPOS)
			return id_word(slice_from(text, at + before[i].len));
	}
	/* "250 2.0.0 6ALHuXml018892 Message accepted for delivery" */
	at = slice_find(text, SLICE(" Message accepted"), 0);
	if (at == SLICE_NPOS)
		return SLICE_NONE;
	text = slice_sub(text, 0, at);
	return id_word(slice_from(text, slice_rchr(text, ' ') == SLICE_NPOS ? 0 : slice_rchr(text, ' ') + 1));
}
