#include "collector/exim_log.h"

#include "collector/log_cut.h"
#include "collector/log_stamp.h"

/* Up to the blank, which stays. */
static slice take_word(struct log_cut *c)
{
	size_t at = slice_chr(c->s, ' ', 0);
	slice word = slice_sub(c->s, 0, at);

	c->s = slice_from(c->s, word.len);
	return word;
}

static bool is_base62(slice s, size_t at, size_t n)
{
	for (size_t i = at; i < at + n; i++)
		if (i >= s.len || !ascii_alnum(s.p[i]))
			return false;
	return true;
}

/* "1xUpgm-0007dn-05 " (6-6-2), or 6-11-4 from 4.97 on. */
static bool take_id(struct log_cut *c, slice *id)
{
	static const size_t shape[2][2] = {{6, 2}, {11, 4}};
	slice s = c->s;

	for (size_t i = 0; i < 2; i++) {
		size_t dash = 7 + shape[i][0], len = dash + 1 + shape[i][1];

		if (s.len <= len || s.p[6] != '-' || s.p[dash] != '-' || s.p[len] != ' ')
			continue;
		if (!is_base62(s, 0, 6) || !is_base62(s, 7, shape[i][0]) ||
			!is_base62(s, dash + 1, shape[i][1]))
			continue;
		*id = slice_sub(s, 0, len);
		c->s = slice_from(s, len + 1);
		return true;
	}
	return false;
}

/* The stamp, perhaps behind syslog's, and "[pid] " behind it. */
static bool take_stamp(struct log_cut *c, uint64_t now_ms, int zone_s, uint64_t *ms)
{
	slice program;
	size_t n;

	if (log_stamp_take(&c->s, now_ms, zone_s, ms))
		log_stamp_program(&c->s, &program);
	n = log_stamp_iso(c->s, zone_s, ms);
	c->s = slice_from(c->s, n);
	if (n && !log_cut_take(c, SLICE(" ")))
		return false;
	if (!log_cut_take(c, SLICE("[")))
		return true;
	take_word(c);
	return log_cut_take(c, SLICE(" "));
}

/* Is quoted, an address with a quoted local part, the same as plain, which Exim
 * printed without quotes and perhaps in lower case? */
static bool same_address(slice plain, slice quoted)
{
	size_t at = 0, i = 1;

	if (quoted.len < 2 || quoted.p[0] != '"')
		return false;
	for (; i < quoted.len && quoted.p[i] != '"'; i++, at++) {
		if (quoted.p[i] == '\\' && ++i >= quoted.len)
			return false;
		if (at >= plain.len || ascii_lower(plain.p[at]) != ascii_lower(quoted.p[i]))
			return false;
	}
	return i < quoted.len && slice_ieq(slice_from(plain, at), slice_from(quoted, i + 1));
}

/* What may follow the recipient. */
static bool is_behind(slice rest)
{
	static const slice keys[] = {SLICE(" R="), SLICE(" F="), SLICE(" P="), SLICE(" T="), SLICE(": "),
		SLICE(" : "), SLICE(" routing "), SLICE(" defer ("), SLICE(" mua_wrapper ")};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (slice_starts(rest, keys[i]))
			return true;
	return false;
}

/* " <"odd => <x>"@a.test>": an address that needs quotes, and is believed where
 * the text before it is the same one. */
static bool take_quoted(struct log_cut *c, struct log_fact *f)
{
	size_t at = 0;

	for (unsigned tries = 0; tries < EXIM_LOG_MAX_TRIES; tries++) {
		slice address, rest;
		size_t end;

		at = slice_find(c->s, SLICE(" <\""), at);
		if (at == SLICE_NPOS)
			return false;
		rest = slice_from(c->s, at + 2);
		end = log_fact_address_end(rest);
		address = slice_sub(rest, 0, end);
		rest = slice_from(rest, end == SLICE_NPOS ? rest.len : end + 1);
		if (is_behind(rest) && same_address(slice_sub(c->s, 0, at), address)) {
			f->recipient = address;
			c->s = rest;
			return true;
		}
		at++;
	}
	return false;
}

/* "|/bin/prog -a <user@a.test> R=": commands, files and what a filter saves may
 * hold blanks. */
static bool take_command(struct log_cut *c, struct log_fact *f)
{
	static const slice ends[] = {SLICE("> R="), SLICE("> F="), SLICE("> P="), SLICE("> T=")};
	size_t end = SLICE_NPOS, at, from = SLICE_NPOS;

	if (!c->s.len || (c->s.p[0] != '|' && c->s.p[0] != '/' && c->s.p[0] != '>' &&
				 !slice_starts(c->s, SLICE("save "))))
		return false;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		at = slice_find(c->s, ends[i], 0);
		end = at < end ? at : end;
	}
	if (end == SLICE_NPOS)
		return false;
	for (at = 0; (at = slice_find(slice_sub(c->s, 0, end), SLICE(" <"), at)) != SLICE_NPOS; at++)
		from = at;
	if (from == SLICE_NPOS)
		return false;
	f->recipient = slice_sub(c->s, from + 2, end);
	c->s = slice_from(c->s, end + 1);
	return f->recipient.len > 0;
}

/* "a@b.test", "new@b.test <orig@a.test>", "user <user@a.test>", "/file <user@a.test>". */
static bool take_recipient(struct log_cut *c, struct log_fact *f)
{
	struct log_cut was = *c;
	slice first;
	bool bare; /* no address */

	if (take_quoted(c, f) || take_command(c, f))
		return true;
	first = take_word(c);
	if (slice_ends(first, SLICE(":")) && !slice_starts(first, SLICE(":"))) {
		c->s = slice_from(was.s, first.len - 1);
		first = slice_sub(first, 0, first.len - 1);
	}
	/* With all parents: " (a@b) (c@d) <e@f>". */
	while (log_cut_take(c, SLICE(" ("))) {
		size_t end = slice_chr(c->s, ')', 0);

		if (end == SLICE_NPOS)
			return false;
		c->s = slice_from(c->s, end + 1);
	}
	if (log_cut_take(c, SLICE(" <"))) {
		size_t end = log_fact_address_end(c->s);

		if (end == SLICE_NPOS)
			return false;
		f->orig_to = slice_sub(c->s, 0, end);
		c->s = slice_from(c->s, end + 1);
	}
	if (!first.len || !is_behind(c->s))
		return false;
	/* Of a local delivery Exim prints the user, file or command. */
	bare = slice_chr(first, '@', 0) == SLICE_NPOS;
	f->recipient = bare && f->orig_to.len ? f->orig_to : first;
	if (slice_eq(first, SLICE(":blackhole:")))
		f->relay = first;
	return true;
}

/* The value behind "K=": a word, a quoted text, an address in <>. */
static slice take_value(struct log_cut *c)
{
	slice value;
	size_t i;

	if (log_cut_take(c, SLICE("<"))) {
		i = log_fact_address_end(c->s);
		value = slice_sub(c->s, 0, i);
		c->s = i == SLICE_NPOS ? SLICE_NONE : slice_from(c->s, i + 1);
		return value;
	}
	if (!log_cut_take(c, SLICE("\"")))
		return take_word(c);
	for (i = 0; i < c->s.len && c->s.p[i] != '"'; i++)
		i += c->s.p[i] == '\\';
	value = slice_sub(c->s, 0, i);
	c->s = slice_from(c->s, i + 1);
	return value;
}

/* "mx.b.test [192.0.2.1]:25*" behind "H=": true if the text begins behind it. */
static bool take_host(struct log_cut *c, slice *relay)
{
	const uint8_t *from = c->s.p;
	slice word = take_word(c);
	bool colon;

	if (slice_starts(c->s, SLICE(" ["))) {
		c->s = slice_from(c->s, 1);
		word = take_word(c);
	}
	*relay = slice_of(from, (size_t)(word.p + word.len - from));
	colon = slice_ends(*relay, SLICE(":"));
	if (colon || slice_ends(*relay, SLICE("*")))
		*relay = slice_sub(*relay, 0, relay->len - 1);
	return colon;
}

/* "SMTP error from remote mail server after RCPT TO:<a@b.test>: 550 5.1.1 no". */
static void read_error(struct log_fact *f)
{
	struct log_cut c = {f->text};
	size_t at;

	if (!log_cut_take(&c, SLICE("SMTP error from remote mail server after ")) &&
		!log_cut_take(&c, SLICE("LMTP error from remote mail server after ")) &&
		!log_cut_take(&c, SLICE("SMTP error after ")) &&
		!log_cut_take(&c, SLICE("LMTP error after ")))
		return;
	log_cut_take(&c, SLICE("pipelined "));
	if (log_cut_take(&c, SLICE("RCPT TO:<")) || log_cut_take(&c, SLICE("MAIL FROM:<"))) {
		at = log_fact_address_end(c.s);
		if (at == SLICE_NPOS)
			return;
		c.s = slice_from(c.s, at + 1);
	}
	at = slice_find(c.s, SLICE(": "), 0);
	if (at != SLICE_NPOS)
		f->reply = log_fact_reply(slice_from(c.s, at + 2), &f->dsn);
}

/* Keys up to the text of the error, if there is one. */
static void read_keys(struct log_cut *c, struct log_fact *f)
{
	if (slice_starts(c->s, SLICE(" mua_wrapper ")) || slice_starts(c->s, SLICE(" routing yielded "))) {
		f->text = slice_from(c->s, 1);
		return;
	}
	while (c->s.len) {
		slice word;

		if (log_cut_take(c, SLICE(" H="))) {
			if (take_host(c, &f->relay) && log_cut_take(c, SLICE(" ")))
				break;
		} else if (log_cut_take(c, SLICE(" F="))) {
			f->sender = take_value(c);
		} else if (log_cut_take(c, SLICE(" QT="))) {
			f->delay = take_value(c);
		} else if (log_cut_take(c, SLICE(" C="))) {
			f->text = take_value(c);
			f->reply = log_fact_reply(f->text, &f->dsn);
		} else if (log_cut_take(c, SLICE(" P=")) || log_cut_take(c, SLICE(" DN="))) {
			take_value(c);
		} else if (log_cut_take(c, SLICE(": ")) || log_cut_take(c, SLICE(" : "))) {
			break;
		} else if (log_cut_take(c, SLICE(" "))) {
			word = take_word(c);
			if (slice_ends(word, SLICE(":")) && log_cut_take(c, SLICE(" ")))
				break;
		} else {
			take_word(c);
		}
	}
	if (c->s.len) {
		f->text = c->s;
		read_error(f);
	}
}

/* Exim gave up without an attempt that failed for good. The text may be cut. */
static bool is_expired(slice text)
{
	static const slice timeout = SLICE("retry timeout exceeded");

	return slice_starts(text, timeout) || slice_starts(timeout, text) ||
	       slice_find(text, SLICE("been failing for a long time"), 0) != SLICE_NPOS;
}

static enum log_fact_kind read_delivery(struct log_cut *c, enum log_fact_outcome outcome, struct log_fact *f)
{
	/* What the system's filter sends by itself has no recipient. */
	if (!take_recipient(c, f) || slice_eq(f->recipient, SLICE("system-filter")))
		return LOG_FACT_NONE;
	f->outcome = outcome;
	read_keys(c, f);
	if (outcome != LOG_FACT_BOUNCED)
		return LOG_FACT_DELIVERY;
	/* What always has a text is cut before it: which of the two is not to be seen. */
	if (!f->text.len)
		return LOG_FACT_NONE;
	if (!f->reply && is_expired(f->text)) {
		f->outcome = 0;
		return LOG_FACT_EXPIRED;
	}
	return LOG_FACT_DELIVERY;
}

/* "news@brand.test H=(helo) [ip] P=esmtp S=320 id=1@brand.test" */
static enum log_fact_kind read_received(struct log_cut *c, struct log_fact *f)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < c->s.len && (quoted || c->s.p[i] != ' '); i++) {
		if (c->s.p[i] == '\\' && quoted)
			i++;
		else if (c->s.p[i] == '"')
			quoted = !quoted;
	}
	f->sender = slice_sub(c->s, 0, i);
	if (i >= c->s.len)
		return LOG_FACT_NONE;
	if (slice_eq(f->sender, SLICE("<>")))
		f->sender = slice_sub(f->sender, 0, 0);
	c->s = slice_from(c->s, i);
	while (log_cut_take(c, SLICE(" "))) {
		/* The subject and the recipients are nobody's keys. */
		if (slice_starts(c->s, SLICE("T=\"")) || slice_starts(c->s, SLICE("from <")))
			break;
		if (log_cut_take(c, SLICE("id=")) || log_cut_take(c, SLICE("id*="))) {
			f->message_id = take_word(c);
			break;
		}
		if (log_cut_take(c, SLICE("DN=")))
			take_value(c);
		else
			take_word(c);
	}
	return LOG_FACT_RECEIVED;
}

static enum log_fact_kind read_text(struct log_cut *c, struct log_fact *f)
{
	if (log_cut_take(c, SLICE("<= ")))
		return read_received(c, f);
	if (log_cut_take(c, SLICE("=> ")) || log_cut_take(c, SLICE("-> ")) || log_cut_take(c, SLICE(">> ")))
		return read_delivery(c, LOG_FACT_SENT, f);
	if (log_cut_take(c, SLICE("** ")))
		return read_delivery(c, LOG_FACT_BOUNCED, f);
	if (log_cut_take(c, SLICE("== ")))
		return read_delivery(c, LOG_FACT_DEFERRED, f);
	if (slice_eq(c->s, SLICE("Completed")) || slice_starts(c->s, SLICE("Completed ")))
		return LOG_FACT_REMOVED;
	return LOG_FACT_NONE;
}

enum log_fact_kind exim_log_read(slice line, uint64_t now_ms, int zone_s, struct log_fact *out)
{
	struct log_cut c = {slice_sub(line, 0, LOG_FACT_MAX_LINE)};
	struct log_fact f = {0};

	while (c.s.len && (c.s.p[c.s.len - 1] == '\n' || c.s.p[c.s.len - 1] == '\r'))
		c.s = slice_sub(c.s, 0, c.s.len - 1);
	*out = (struct log_fact){0};
	if (!take_stamp(&c, now_ms, zone_s, &f.ms) || !take_id(&c, &f.id))
		return LOG_FACT_NONE;
	f.kind = read_text(&c, &f);
	if (f.kind != LOG_FACT_NONE)
		*out = f;
	return f.kind;
}
