#include "collector/kumomta_log.h"

#include "collector/log_stamp.h"
#include "core/parse/json.h"

#define MAX_MS 253402300799000 /* the year 9999 */

static const struct {
	slice type;
	enum log_fact_kind kind;
	enum log_fact_outcome outcome;
	bool attempt; /* is one, on top of those that are counted */
} types[] = {
	{SLICE("Delivery"), LOG_FACT_DELIVERY, LOG_FACT_SENT, true},
	{SLICE("TransientFailure"), LOG_FACT_DELIVERY, LOG_FACT_DEFERRED, true},
	{SLICE("Bounce"), LOG_FACT_DELIVERY, LOG_FACT_BOUNCED, true},
	{SLICE("AdminBounce"), LOG_FACT_DELIVERY, LOG_FACT_BOUNCED, false},
	{SLICE("OOB"), LOG_FACT_DELIVERY, 0, false},
	{SLICE("Expiration"), LOG_FACT_EXPIRED, 0, false},
	{SLICE("Reception"), LOG_FACT_RECEIVED, 0, false},
};

/* Texts are put one behind the other while the buffer grows, so they are kept
 * as offsets until the end. */
struct span {
	size_t from, to;
	bool there;
};

static void end(struct buf *texts, struct span *s)
{
	s->to = texts->len;
	s->there = !texts->full;
}

static struct span put(struct buf *texts, slice text)
{
	struct span s = {.from = texts->len};

	buf_put(texts, text);
	end(texts, &s);
	return s;
}

static struct span put_member(struct buf *texts, const struct json_value *v)
{
	return json_kind(v) == JSON_STRING ? put(texts, json_text(v)) : (struct span){0};
}

static slice cut(const struct buf *texts, struct span s)
{
	return s.there ? slice_sub(buf_slice(texts), s.from, s.to) : SLICE_NONE;
}

/* "event_time" of late versions, else the seconds of "timestamp". */
static uint64_t time_of(const struct json_value *record, const char *text, const char *seconds)
{
	double s = json_number(json_find(record, seconds), 0);
	uint64_t ms = 0;

	if (log_stamp_iso(json_text(json_find(record, text)), 0, &ms))
		return ms;
	return s > 0 && s < MAX_MS / 1000 ? (uint64_t)(s * 1000) : 0;
}

/* "mx.b.test.[192.0.2.1]" */
static struct span put_relay(struct buf *texts, const struct json_value *peer)
{
	slice name = json_text(json_find(peer, "name")), addr = json_text(json_find(peer, "addr"));
	struct span s = {.from = texts->len};

	if (!name.len && !addr.len)
		return s;
	buf_put(texts, name);
	if (addr.len) {
		buf_byte(texts, '[');
		buf_put(texts, addr);
		buf_byte(texts, ']');
	}
	end(texts, &s);
	return s;
}

/* "5.1.1" of {"class":5,"subject":1,"detail":1} */
static struct span put_enhanced(struct buf *texts, const struct json_value *v)
{
	int64_t class = json_whole(json_find(v, "class"), 2, 5, 0),
		subject = json_whole(json_find(v, "subject"), 0, 999, -1),
		detail = json_whole(json_find(v, "detail"), 0, 999, -1);
	struct span s = {.from = texts->len};

	if (class == 0 || class == 3 || subject < 0 || detail < 0)
		return s;
	buf_printf(texts, "%d.%d.%d", (int)class, (int)subject, (int)detail);
	end(texts, &s);
	return s;
}

/* The reply as it was: "550 5.1.1 no such user" */
static struct span put_text(struct buf *texts, unsigned code, struct span enhanced, slice content)
{
	struct span s = {.from = texts->len};

	if (!code && !content.len)
		return s;
	if (code)
		buf_printf(texts, "%u ", code);
	if (enhanced.there) {
		/* The buffer may move while it is put: by way of a copy. */
		char copy[16];
		slice e = cut(texts, enhanced);
		size_t n = e.len < sizeof copy ? e.len : sizeof copy;

		for (size_t i = 0; i < n; i++)
			copy[i] = (char)e.p[i];
		buf_put(texts, slice_of(copy, n));
		buf_byte(texts, ' ');
	}
	buf_put(texts, content);
	end(texts, &s);
	return s;
}

/* The header, if the configuration has it logged; its value may be an array. */
static struct span put_message_id(struct buf *texts, const struct json_value *headers)
{
	const struct json_value *v = json_first(headers);
	slice id;

	while (v && !slice_ieq(json_name(v), SLICE("Message-ID")))
		v = json_after(v);
	if (json_kind(v) == JSON_ARRAY)
		v = json_first(v);
	if (json_kind(v) != JSON_STRING)
		return (struct span){0};
	id = slice_trim(json_text(v));
	if (slice_starts(id, SLICE("<")) && slice_ends(id, SLICE(">")))
		id = slice_sub(id, 1, id.len - 1);
	return put(texts, id);
}

/* One, or all of them with NUL between. */
static struct span put_recipients(struct buf *texts, const struct json_value *v)
{
	struct span s = {.from = texts->len};

	if (json_kind(v) != JSON_ARRAY)
		return put_member(texts, v);
	for (v = json_first(v); v; v = json_after(v)) {
		if (json_kind(v) != JSON_STRING)
			return (struct span){0};
		if (texts->len > s.from)
			buf_byte(texts, 0);
		buf_put(texts, json_text(v));
	}
	if (texts->len > s.from)
		end(texts, &s);
	return s;
}

static struct span put_delay(struct buf *texts, const struct json_value *record, uint64_t ms)
{
	uint64_t created = time_of(record, "created_time", "created");
	struct span s = {.from = texts->len};

	if (!created || ms < created)
		return s;
	buf_printf(texts, "%llu.%03u", (unsigned long long)((ms - created) / 1000),
		(unsigned)((ms - created) % 1000));
	end(texts, &s);
	return s;
}

/* A report that came back: its code says what became of the message. */
static enum log_fact_outcome outcome_of(uint16_t reply)
{
	return reply >= 500 ? LOG_FACT_BOUNCED : reply >= 400 ? LOG_FACT_DEFERRED : reply ? LOG_FACT_SENT : 0;
}

static void fill(const struct json_value *record, struct buf *texts, struct log_fact *f)
{
	const struct json_value *response = json_find(record, "response");
	struct span id = put_member(texts, json_find(record, "id"));
	struct span sender = put_member(texts, json_find(record, "sender"));
	struct span recipients = put_recipients(texts, json_find(record, "recipient"));
	struct span relay = put_relay(texts, json_find(record, "peer_address"));
	struct span enhanced = put_enhanced(texts, json_find(response, "enhanced_code"));
	struct span message_id = put_message_id(texts, json_find(record, "headers"));
	struct span text, delay;

	f->reply = (uint16_t)json_whole(json_find(response, "code"), 200, 599, 0);
	text = put_text(texts, f->reply, enhanced, json_text(json_find(response, "content")));
	f->ms = time_of(record, "event_time", "timestamp");
	delay = put_delay(texts, record, f->ms);
	/* From here on texts does not move. */
	f->id = cut(texts, id);
	f->sender = cut(texts, sender);
	f->others = cut(texts, recipients);
	f->relay = cut(texts, relay);
	f->dsn = cut(texts, enhanced);
	f->message_id = cut(texts, message_id);
	f->text = cut(texts, text);
	f->delay = cut(texts, delay);
}

static enum log_fact_kind read_record(const struct json_value *record, struct buf *texts, struct log_fact *f)
{
	slice type = json_text(json_find(record, "type"));
	size_t i = 0;

	while (i < sizeof types / sizeof *types && !slice_eq(type, types[i].type))
		i++;
	if (i == sizeof types / sizeof *types)
		return LOG_FACT_NONE;
	fill(record, texts, f);
	if (texts->full || f->id.len == 0 || f->id.len > KUMOMTA_LOG_MAX_ID)
		return LOG_FACT_NONE;
	f->kind = types[i].kind;
	if (f->kind == LOG_FACT_RECEIVED)
		return f->kind;
	f->outcome = types[i].outcome;
	if (slice_eq(type, SLICE("OOB")))
		f->outcome = outcome_of(f->reply);
	/* The peer of these is who reported, or nobody. */
	if (!types[i].attempt)
		f->relay = SLICE_NONE;
	f->attempt = (unsigned)json_whole(json_find(record, "num_attempts"), 0, 100000, 0) + types[i].attempt;
	if ((f->kind == LOG_FACT_DELIVERY && !f->outcome) || !kumomta_log_next(f))
		return LOG_FACT_NONE;
	return f->kind;
}

bool kumomta_log_next(struct log_fact *f)
{
	size_t nul = slice_chr(f->others, 0, 0);

	if (!f->others.len)
		return false;
	f->recipient = slice_sub(f->others, 0, nul);
	f->others = nul == SLICE_NPOS ? SLICE_NONE : slice_from(f->others, nul + 1);
	return true;
}

enum log_fact_kind kumomta_log_read(slice line, struct buf *texts, struct log_fact *out)
{
	struct log_fact f = {0};
	struct json *doc;

	*out = f;
	buf_clear(texts);
	line = slice_trim(line);
	if (line.len > KUMOMTA_LOG_MAX_LINE || !slice_starts(line, SLICE("{")) || json_open(&doc, line) < 0)
		return LOG_FACT_NONE;
	if (read_record(json_root(doc), texts, &f) != LOG_FACT_NONE)
		*out = f;
	json_close(&doc);
	return out->kind;
}
