#include "collector/opensmtpd_log.h"

#include "collector/log_cut.h"
#include "collector/log_stamp.h"
#include "core/parse/num.h"

/* Sixteen hexadecimal digits. */
static bool take_hex(struct log_cut *c, slice *out)
{
	for (size_t i = 0; i < OPENSMTPD_LOG_ENVELOPE; i++)
		if (i >= c->s.len || num_hex_digit(c->s.p[i]) < 0)
			return false;
	*out = slice_sub(c->s, 0, OPENSMTPD_LOG_ENVELOPE);
	c->s = slice_from(c->s, OPENSMTPD_LOG_ENVELOPE);
	return true;
}

static bool take_envelope(struct log_cut *c, slice *id)
{
	slice envelope;

	if (!take_hex(c, &envelope))
		return false;
	*id = slice_sub(envelope, 0, OPENSMTPD_LOG_MESSAGE);
	return true;
}

/* key, an address, '>'. */
static bool take_address(struct log_cut *c, slice key, slice *address)
{
	size_t end;

	if (!log_cut_take(c, key))
		return false;
	end = log_fact_address_end(c->s);
	if (end == SLICE_NPOS)
		return false;
	*address = slice_sub(c->s, 0, end);
	c->s = slice_from(c->s, end + 1);
	return true;
}

/* A word, or a text in quotes, up to the blank, which stays. */
static slice take_value(struct log_cut *c)
{
	slice value;
	size_t end;

	if (!log_cut_take(c, SLICE("\""))) {
		value = slice_sub(c->s, 0, slice_chr(c->s, ' ', 0));
		c->s = slice_from(c->s, value.len);
		return value;
	}
	end = slice_find(c->s, SLICE("\" "), 0);
	if (end == SLICE_NPOS) {
		value = c->s;
		c->s = SLICE_NONE;
		return value;
	}
	value = slice_sub(c->s, 0, end);
	c->s = slice_from(c->s, end + 1);
	return value;
}

/* Behind "stat=": "250 2.0.0 Ok" to the end of the line. */
static void read_stat(struct log_cut *c, struct log_fact *f)
{
	bool quoted = log_cut_take(c, SLICE("\""));

	f->text = c->s;
	if (quoted && slice_ends(f->text, SLICE("\"")))
		f->text = slice_sub(f->text, 0, f->text.len - 1);
	f->reply = log_fact_reply(f->text, &f->dsn);
}

static bool read_result(slice word, struct log_fact *f)
{
	if (slice_eq(word, SLICE("Ok")))
		f->outcome = LOG_FACT_SENT;
	else if (slice_eq(word, SLICE("TempFail")))
		f->outcome = LOG_FACT_DEFERRED;
	else if (slice_eq(word, SLICE("PermFail")))
		f->outcome = LOG_FACT_BOUNCED;
	return f->outcome != 0;
}

/* Behind "mta delivery evpid=" or "mda delivery evpid=". */
static bool read_delivery(struct log_cut *c, struct log_fact *f)
{
	if (!take_envelope(c, &f->id) || !take_address(c, SLICE(" from=<"), &f->sender) ||
		!take_address(c, SLICE(" to=<"), &f->recipient))
		return false;
	if (take_address(c, SLICE(" rcpt=<"), &f->orig_to) && slice_eq(f->orig_to, SLICE("-")))
		f->orig_to = SLICE_NONE;
	while (log_cut_take(c, SLICE(" "))) {
		if (log_cut_take(c, SLICE("stat="))) {
			read_stat(c, f);
			break;
		}
		if (log_cut_take(c, SLICE("relay=")))
			f->relay = take_value(c);
		else if (log_cut_take(c, SLICE("delay=")))
			f->delay = take_value(c);
		else if (log_cut_take(c, SLICE("result="))) {
			if (!read_result(take_value(c), f))
				return false;
		} else {
			take_value(c);
		}
	}
	return f->outcome != 0;
}

/* "f8d0c69f28edf666: from=<s@a.test>, to=<r@b.test>, rcpt=<->, delay=20s, stat=Envelope
 * expired" behind "Expire for ". */
static bool read_expired(struct log_cut *c, struct log_fact *f)
{
	size_t comma;

	if (!take_envelope(c, &f->id) || !take_address(c, SLICE(": from=<"), &f->sender) ||
		!take_address(c, SLICE(", to=<"), &f->recipient) ||
		!take_address(c, SLICE(", rcpt=<"), &f->orig_to))
		return false;
	if (log_cut_take(c, SLICE(", delay="))) {
		comma = slice_find(c->s, SLICE(", "), 0);
		f->delay = slice_sub(c->s, 0, comma);
		c->s = comma == SLICE_NPOS ? SLICE_NONE : slice_from(c->s, comma);
	}
	if (log_cut_take(c, SLICE(", stat=")))
		f->text = c->s;
	return true;
}

/* "6af14402 size=308 nrcpt=1 proto=ESMTP" behind "smtp message msgid=". */
static bool read_received(struct log_cut *c, struct log_fact *f)
{
	f->id = slice_sub(c->s, 0, slice_chr(c->s, ' ', 0));
	for (size_t i = 0; i < f->id.len; i++)
		if (num_hex_digit(f->id.p[i]) < 0)
			return false;
	return f->id.len == OPENSMTPD_LOG_MESSAGE;
}

static enum log_fact_kind read_text(struct log_cut *c, struct log_fact *f)
{
	slice session;

	if (log_cut_take(c, SLICE("relay: ")) || log_cut_take(c, SLICE("mta: ")) ||
		log_cut_take(c, SLICE("mda: ")) || log_cut_take(c, SLICE("queue: ")))
		return log_cut_take(c, SLICE("Expire for ")) && read_expired(c, f) ? LOG_FACT_EXPIRED
										   : LOG_FACT_NONE;
	if (!take_hex(c, &session) || !log_cut_take(c, SLICE(" ")))
		return LOG_FACT_NONE;
	if (log_cut_take(c, SLICE("mta delivery evpid=")) || log_cut_take(c, SLICE("mda delivery evpid=")))
		return read_delivery(c, f) ? LOG_FACT_DELIVERY : LOG_FACT_NONE;
	if (log_cut_take(c, SLICE("smtp message msgid=")))
		return read_received(c, f) ? LOG_FACT_RECEIVED : LOG_FACT_NONE;
	return LOG_FACT_NONE;
}

enum log_fact_kind opensmtpd_log_read(slice line, uint64_t now_ms, int zone_s, struct log_fact *out)
{
	struct log_cut c = {slice_sub(line, 0, LOG_FACT_MAX_LINE)};
	struct log_fact f = {0};

	while (c.s.len && (c.s.p[c.s.len - 1] == '\n' || c.s.p[c.s.len - 1] == '\r'))
		c.s = slice_sub(c.s, 0, c.s.len - 1);
	*out = (struct log_fact){0};
	if (log_stamp_take(&c.s, now_ms, zone_s, &f.ms) && !log_stamp_program(&c.s, &f.service))
		return LOG_FACT_NONE;
	f.kind = read_text(&c, &f);
	if (f.kind != LOG_FACT_NONE)
		*out = f;
	return f.kind;
}
