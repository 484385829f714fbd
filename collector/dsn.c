#include "collector/dsn.h"

#include "collector/bounce_parts.h"

#include <string.h>

#define FIELD_LIST(X)                                                                                        \
	X(ENVELOPE_ID, "Original-Envelope-Id")                                                               \
	X(REPORTING, "Reporting-MTA")                                                                        \
	X(ORIGINAL, "Original-Recipient")                                                                    \
	X(FINAL, "Final-Recipient")                                                                          \
	X(ACTION, "Action")                                                                                  \
	X(STATUS, "Status")                                                                                  \
	X(REMOTE, "Remote-MTA")                                                                              \
	X(DIAGNOSTIC, "Diagnostic-Code")                                                                     \
	X(ACTUAL, "X-Actual-Recipient")

enum field {
#define X(name, text) FIELD_##name,
	FIELD_LIST(X)
#undef X
		FIELD_OTHER
};

static enum field field_of(slice name)
{
	static const slice names[] = {
#define X(name, text) SLICE(text),
		FIELD_LIST(X)
#undef X
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (slice_ieq(name, names[i]))
			return (enum field)i;
	return FIELD_OTHER;
}

/* "smtp; 550 ..." without its type, if it has one. */
static slice past_type(slice value)
{
	size_t i = 0;

	while (i < value.len &&
		(ascii_alnum(value.p[i]) || value.p[i] == '-' || value.p[i] == '_' || value.p[i] == '/'))
		i++;
	while (i < value.len && value.p[i] == ' ')
		i++;
	if (i == 0 || i >= value.len || value.p[i] != ';')
		return slice_trim(value);
	return slice_trim(slice_from(value, i + 1));
}

slice dsn_address(slice value)
{
	slice s = past_type(value);
	size_t lt = slice_chr(s, '<', 0);

	/* "somebody <a@b>" */
	if (lt != SLICE_NPOS && lt > 0 && s.p[s.len - 1] == '>' && s.p[0] != '"')
		s = slice_from(s, lt);
	if (s.len >= 2 && s.p[0] == '<' && s.p[s.len - 1] == '>')
		s = slice_sub(s, 1, s.len - 1);
	return slice_trim(s);
}

static enum dsn_action action_of(slice s)
{
	static const struct {
		slice word;
		enum dsn_action action;
	} known[] = {
		{SLICE("failed"), DSN_FAILED},
		{SLICE("failure"), DSN_FAILED},
		{SLICE("delayed"), DSN_DELAYED},
		{SLICE("delivered"), DSN_DELIVERED},
		{SLICE("deliverable"), DSN_DELIVERED},
		{SLICE("relayed"), DSN_RELAYED},
		{SLICE("expanded"), DSN_EXPANDED},
		{SLICE("expired"), DSN_FAILED},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (slice_istarts(s, known[i].word))
			return known[i].action;
	return DSN_NONE;
}

static bool folded(slice rest)
{
	return rest.len && (rest.p[0] == ' ' || rest.p[0] == '\t');
}

/* The value with the lines that belong to it, joined by LF; rest moves behind. */
static slice unfold(struct arena *a, slice first, slice *rest)
{
	slice after = *rest, line;
	size_t n = 0, most = first.len;
	uint8_t *p;

	while (folded(after) && bounce_parts_line(&after, &line))
		most += line.len + 1;
	if (most > DSN_MAX_VALUE)
		most = DSN_MAX_VALUE;
	p = arena_alloc(a, most);
	for (line = first;; line = slice_trim(line)) {
		if (n && line.len && n < most)
			p[n++] = '\n';
		line = slice_sub(line, 0, most - n);
		if (line.len)
			memcpy(p + n, line.p, line.len);
		n += line.len;
		if (!folded(*rest) || !bounce_parts_line(rest, &line))
			return slice_of(p, n);
	}
}

/* One field with its folds: *value in the arena where it has any. 1, or 0 at a
 * blank line or the end. Lines that are no fields are passed over. */
static int field_next(struct arena *a, slice *rest, enum field *f, slice *value)
{
	slice line, name;
	size_t colon;

	for (;;) {
		if (!bounce_parts_line(rest, &line) || slice_trim(line).len == 0)
			return 0;
		colon = slice_chr(line, ':', 0);
		if (colon != SLICE_NPOS && colon > 0 && !ascii_space(line.p[0]))
			break;
	}
	name = slice_trim(slice_sub(line, 0, colon));
	*f = field_of(name);
	*value = slice_trim(slice_from(line, colon + 1));
	if (folded(*rest))
		*value = unfold(a, *value, rest);
	*value = slice_sub(*value, 0, DSN_MAX_VALUE);
	return 1;
}

static bool of_recipient(enum field f)
{
	return f == FIELD_ORIGINAL || f == FIELD_FINAL || f == FIELD_ACTION || f == FIELD_STATUS ||
	       f == FIELD_REMOTE || f == FIELD_DIAGNOSTIC || f == FIELD_ACTUAL;
}

void dsn_start(struct dsn_iter *it, struct arena *a, slice body, struct dsn_message *out)
{
	slice rest = body, value, before;
	enum field f;

	*it = (struct dsn_iter){.a = a, .rest = body};
	*out = (struct dsn_message){0};
	while (rest.len) {
		before = rest;
		if (!field_next(a, &rest, &f, &value))
			continue;
		if (of_recipient(f)) {
			it->rest = before;
			return;
		}
		if (f == FIELD_ENVELOPE_ID && !out->envelope_id.len)
			out->envelope_id = value;
		else if (f == FIELD_REPORTING && !out->reporting_mta.len)
			out->reporting_mta = past_type(value);
	}
	it->rest = SLICE_NONE;
}

static void take(struct dsn_recipient *r, enum field f, slice value)
{
	size_t end;

	switch (f) {
	case FIELD_ORIGINAL:
		r->original = dsn_address(value);
		break;
	case FIELD_FINAL:
		r->final = dsn_address(value);
		break;
	case FIELD_ACTUAL:
		if (!r->final.len)
			r->final = dsn_address(value);
		break;
	case FIELD_ACTION:
		r->action = action_of(value);
		break;
	case FIELD_STATUS:
		end = 0;
		while (end < value.len && (ascii_digit(value.p[end]) || value.p[end] == '.'))
			end++;
		r->status = slice_sub(value, 0, end);
		break;
	case FIELD_REMOTE:
		r->remote_mta = past_type(value);
		break;
	case FIELD_DIAGNOSTIC:
		r->diagnostic = past_type(value);
		break;
	default:
		break;
	}
}

int dsn_next(struct dsn_iter *it, struct dsn_recipient *r)
{
	unsigned seen = 0;

	*r = (struct dsn_recipient){0};
	if (it->count == DSN_MAX_RECIPIENTS)
		return 0;
	while (it->rest.len) {
		slice before = it->rest, value;
		enum field f;

		if (!field_next(it->a, &it->rest, &f, &value)) {
			/* A blank line ends a group that names somebody. */
			if (r->final.len || r->original.len)
				break;
			continue;
		}
		if (!of_recipient(f))
			continue;
		if ((seen & 1u << f) &&
			(f == FIELD_FINAL || (f != FIELD_ACTUAL && (r->final.len || r->original.len)))) {
			/* Without a blank line the next recipient begins with a field that was here. */
			if (f == FIELD_FINAL || f == FIELD_ORIGINAL || f == FIELD_ACTION) {
				it->rest = before;
				break;
			}
			continue;
		}
		seen |= 1u << f;
		take(r, f, value);
	}
	if (!r->final.len && !r->original.len)
		return 0;
	it->count++;
	return 1;
}
