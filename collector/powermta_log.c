#include "collector/powermta_log.h"

#include "collector/log_stamp.h"
#include "core/base/buf.h"
#include "core/base/must.h"
#include "core/parse/num.h"

#include <stdlib.h>

#define MAX_SECONDS 253402300799 /* the year 9999 */

/* The columns that are read, and their names, of which case does not matter. */
#define COLUMN_LIST(C)                                                                                       \
	C(TYPE, "type")                                                                                      \
	C(LOGGED, "timeLogged")                                                                              \
	C(QUEUED, "timeQueued")                                                                              \
	C(ORIG, "orig")                                                                                      \
	C(RCPT, "rcpt")                                                                                      \
	C(ORCPT, "orcpt")                                                                                    \
	C(ACTION, "dsnAction")                                                                               \
	C(STATUS, "dsnStatus")                                                                               \
	C(DIAG, "dsnDiag")                                                                                   \
	C(MTA, "dsnMta")                                                                                     \
	C(CATEGORY, "bounceCat")                                                                             \
	C(IP, "dlvDestinationIp")                                                                            \
	C(MESSAGE_ID, "header_Message-Id")

enum column {
#define C(name, word) name,
	COLUMN_LIST(C)
#undef C
		COLUMNS
};

static const slice names[COLUMNS] = {
#define C(name, word) SLICE(word),
	COLUMN_LIST(C)
#undef C
};

struct telling {
	int zone_s;
	void (*tell)(void *arg, const struct log_fact *f);
	void *arg;
};

struct powermta_log {
	uint8_t columns[POWERMTA_LOG_MAX_COLUMNS]; /* enum column; COLUMNS: not read */
	size_t count;                              /* 0: no header yet */
	struct buf fields;                         /* of the record at hand, quotes taken off */
	struct buf open;                           /* lines of a record whose quote is open */
	unsigned open_lines;
	struct buf scratch;
};

struct powermta_log *powermta_log_open(void)
{
	struct powermta_log *p = must_zalloc(sizeof *p);

	buf_init(&p->fields, POWERMTA_LOG_MAX_RECORD);
	buf_init(&p->open, POWERMTA_LOG_MAX_RECORD);
	buf_init(&p->scratch, 64);
	return p;
}

void powermta_log_close(struct powermta_log **pp)
{
	struct powermta_log *p = *pp;

	*pp = NULL;
	if (!p)
		return;
	buf_free(&p->fields);
	buf_free(&p->open);
	buf_free(&p->scratch);
	free(p);
}

enum scan {
	WHOLE, /* all fields are there, as far as one can see */
	OPEN,  /* the last one lacks its closing quote */
	BROKEN /* something else than a comma stands behind a closing quote */
};

/* Field at *at, unquoted, behind the others; *at moves to the comma or the end. */
static enum scan scan_field(slice s, size_t *at, struct buf *out)
{
	size_t i = *at;

	if (i >= s.len || s.p[i] != '"') {
		size_t end = slice_chr(s, ',', i);

		*at = end == SLICE_NPOS ? s.len : end;
		buf_put(out, slice_sub(s, i, *at));
		return WHOLE;
	}
	for (i++; i < s.len; i++) {
		if (s.p[i] == '"' && (i + 1 >= s.len || s.p[i + 1] != '"'))
			break;
		i += s.p[i] == '"';
		buf_byte(out, s.p[i]);
	}
	*at = i + 1;
	if (i >= s.len)
		return OPEN;
	return *at >= s.len || s.p[*at] == ',' ? WHOLE : BROKEN;
}

/* Where the fields lie within p->fields, by position. */
struct record {
	size_t count; /* fields begun */
	size_t ends[POWERMTA_LOG_MAX_COLUMNS];
	enum scan scan;
};

static void scan_record(struct powermta_log *p, slice s, struct record *r)
{
	size_t at = 0;

	buf_clear(&p->fields);
	r->count = 0;
	do {
		r->scan = scan_field(s, &at, &p->fields);
		r->ends[r->count++] = p->fields.len;
		at++; /* the comma */
	} while (r->scan == WHOLE && at <= s.len && r->count < POWERMTA_LOG_MAX_COLUMNS);
}

static slice field_of(const struct powermta_log *p, const struct record *r, size_t i)
{
	return slice_sub(buf_slice(&p->fields), i ? r->ends[i - 1] : 0, r->ends[i]);
}

static void read_header(struct powermta_log *p, const struct record *r)
{
	p->count = r->count;
	for (size_t i = 0; i < r->count; i++) {
		uint8_t column = 0;

		while (column < COLUMNS && !slice_ieq(names[column], field_of(p, r, i)))
			column++;
		p->columns[i] = column;
	}
}

/* Seconds since 1970, or a local text. */
static uint64_t time_of(slice s, int zone_s)
{
	uint64_t n;

	if (num_decode(s, MAX_SECONDS, &n) == 0)
		return n * 1000;
	return log_stamp_iso(s, zone_s, &n) ? n : 0;
}

static enum classes class_of_category(slice category)
{
	static const struct {
		slice word;
		enum classes class;
	} all[] = {
		{SLICE("bad-mailbox"), CLASSES_NO_MAILBOX},
		{SLICE("inactive-mailbox"), CLASSES_DISABLED},
		{SLICE("bad-domain"), CLASSES_NO_DOMAIN},
		{SLICE("content-related"), CLASSES_CONTENT},
		{SLICE("invalid-sender"), CLASSES_SENDER},
		{SLICE("policy-related"), CLASSES_POLICY},
		{SLICE("relaying-issues"), CLASSES_RELAY},
		{SLICE("spam-related"), CLASSES_SPAM},
		{SLICE("virus-related"), CLASSES_VIRUS},
		{SLICE("bad-configuration"), CLASSES_REMOTE},
		{SLICE("bad-connection"), CLASSES_UNREACHABLE},
		{SLICE("message-expired"), CLASSES_EXPIRED},
		{SLICE("no-answer-from-host"), CLASSES_UNREACHABLE},
		{SLICE("protocol-errors"), CLASSES_PROTOCOL},
		{SLICE("quota-issues"), CLASSES_FULL},
		{SLICE("routing-errors"), CLASSES_DNS},
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (slice_ieq(category, all[i].word))
			return all[i].class;
	return CLASSES_UNKNOWN; /* "other": as status and reply say */
}

/* What came back later, by the DSN's own word. */
static enum log_fact_outcome outcome_of_action(slice action)
{
	if (slice_ieq(action, SLICE("failed")))
		return LOG_FACT_BOUNCED;
	if (slice_ieq(action, SLICE("delayed")))
		return LOG_FACT_DEFERRED;
	if (slice_ieq(action, SLICE("delivered")) || slice_ieq(action, SLICE("relayed")) ||
		slice_ieq(action, SLICE("expanded")))
		return LOG_FACT_SENT;
	return 0;
}

static bool read_type(const slice *of, struct log_fact *f)
{
	slice type = of[TYPE];

	f->kind = LOG_FACT_DELIVERY;
	if (slice_eq(type, SLICE("d")))
		f->outcome = LOG_FACT_SENT;
	else if (slice_eq(type, SLICE("t")) || slice_eq(type, SLICE("tq")))
		f->outcome = LOG_FACT_DEFERRED;
	else if (slice_eq(type, SLICE("b")) || slice_eq(type, SLICE("rb")))
		f->outcome = LOG_FACT_BOUNCED;
	else if (slice_eq(type, SLICE("rs")))
		f->outcome = outcome_of_action(of[ACTION]);
	if (f->outcome == LOG_FACT_BOUNCED && slice_ieq(of[CATEGORY], SLICE("message-expired"))) {
		f->kind = LOG_FACT_EXPIRED;
		f->outcome = 0;
	}
	return f->outcome != 0 || f->kind == LOG_FACT_EXPIRED;
}

static slice without_angles(slice s)
{
	return slice_starts(s, SLICE("<")) && slice_ends(s, SLICE(">")) ? slice_sub(s, 1, s.len - 1) : s;
}

/* NULL for what is empty: columns of other types are. */
static slice said(slice s)
{
	return s.len ? s : SLICE_NONE;
}

static void fill(struct powermta_log *p, const slice *of, int zone_s, struct log_fact *f)
{
	uint64_t queued = time_of(of[QUEUED], zone_s);
	slice dsn, enhanced;

	f->ms = time_of(of[LOGGED], zone_s);
	f->recipient = without_angles(of[RCPT]);
	f->orig_to = said(of[ORCPT]);
	f->sender = of[ORIG].p ? without_angles(of[ORIG]) : SLICE_NONE;
	f->message_id = said(without_angles(slice_trim(of[MESSAGE_ID])));
	f->relay = said(of[MTA].len ? of[MTA] : of[IP]);
	dsn = slice_sub(of[STATUS], 0, slice_chr(of[STATUS], ' ', 0));
	f->dsn = said(dsn);
	f->text = of[DIAG];
	if (slice_istarts(f->text, SLICE("smtp;")))
		f->text = slice_trim(slice_from(f->text, SLICE("smtp;").len));
	f->text = said(f->text);
	f->reply = log_fact_reply(f->text, &enhanced);
	if (!f->dsn.len)
		f->dsn = enhanced;
	if (f->outcome == LOG_FACT_BOUNCED)
		f->class = class_of_category(of[CATEGORY]);
	if (queued && f->ms >= queued) {
		uint64_t ms = f->ms - queued;

		buf_clear(&p->scratch);
		buf_printf(&p->scratch, "%llu.%03u", (unsigned long long)(ms / 1000), (unsigned)(ms % 1000));
		f->delay = buf_slice(&p->scratch);
	}
}

/* A record in p->fields, or the header. */
static bool take_record(struct powermta_log *p, const struct record *r, const struct telling *t)
{
	slice of[COLUMNS] = {{NULL, 0}};
	struct log_fact f = {0};
	bool cut;

	if (slice_eq(field_of(p, r, 0), SLICE("type"))) {
		read_header(p, r);
		return true;
	}
	cut = r->scan != WHOLE || r->count < p->count;
	for (size_t i = 0; i < r->count && i < p->count; i++) {
		/* Of the field where it is cut only a text is good for something. */
		if (cut && i + 1 == r->count && p->columns[i] != DIAG)
			break;
		if (p->columns[i] < COLUMNS)
			of[p->columns[i]] = field_of(p, r, i);
	}
	if (!read_type(of, &f) || !of[RCPT].len)
		return false;
	fill(p, of, t->zone_s, &f);
	t->tell(t->arg, &f);
	return true;
}

static bool take_line(struct powermta_log *p, slice line, const struct telling *t);

/* The first of the open lines was cut; those behind it are records of their own. */
static bool take_apart(struct powermta_log *p, const struct telling *t)
{
	struct buf open = p->open;
	slice rest = buf_slice(&open), line;
	struct record r;
	bool known;
	size_t lf = slice_chr(rest, '\n', 0);

	buf_init(&p->open, POWERMTA_LOG_MAX_RECORD);
	p->open_lines = 0;
	line = slice_sub(rest, 0, lf);
	scan_record(p, line, &r);
	known = take_record(p, &r, t);
	while (lf != SLICE_NPOS) {
		rest = slice_from(rest, lf + 1);
		lf = slice_chr(rest, '\n', 0);
		known |= take_line(p, slice_sub(rest, 0, lf), t);
	}
	buf_free(&open);
	return known;
}

/* The quote never closed, and nothing says which of the lines are records: they
 * may be what a stranger wrote, so they are told as one that was cut. */
static bool take_open(struct powermta_log *p, const struct telling *t)
{
	struct record r;

	scan_record(p, buf_slice(&p->open), &r);
	buf_clear(&p->open);
	return take_record(p, &r, t);
}

static bool take_line(struct powermta_log *p, slice line, const struct telling *t)
{
	struct record r;

	if (p->open.len) {
		buf_byte(&p->open, '\n');
		buf_put(&p->open, line);
		p->open_lines++;
		scan_record(p, buf_slice(&p->open), &r);
		if (r.scan == BROKEN)
			return take_apart(p, t);
		if (r.scan == OPEN && !p->open.full && p->open_lines < POWERMTA_LOG_MAX_LINES)
			return false;
		return take_open(p, t);
	}
	scan_record(p, line, &r);
	if (r.scan == OPEN && p->count) {
		buf_put(&p->open, line);
		p->open_lines = 1;
		return false;
	}
	return take_record(p, &r, t);
}

bool powermta_log_line(struct powermta_log *p, slice line, int zone_s,
	void (*tell)(void *arg, const struct log_fact *f), void *arg)
{
	struct telling t = {zone_s, tell, arg};

	line = slice_sub(line, 0, LOG_FACT_MAX_LINE);
	if (slice_ends(line, SLICE("\n")))
		line = slice_sub(line, 0, line.len - 1);
	if (slice_ends(line, SLICE("\r")))
		line = slice_sub(line, 0, line.len - 1);
	return take_line(p, line, &t);
}

void powermta_log_end(
	struct powermta_log *p, int zone_s, void (*tell)(void *arg, const struct log_fact *f), void *arg)
{
	struct telling t = {zone_s, tell, arg};

	if (p->open.len)
		take_open(p, &t);
}
