#include "collector/bounce_text.h"

#include "collector/bounce_parts.h"

static bool atom(uint8_t c)
{
	/* RFC 5322 atext, the dot, and what stands in addresses of UTF-8 */
	return ascii_alnum(c) || c >= 0x80 ||
	       (c && slice_chr(SLICE("!#$%&'*+-/=?^_`{|}~."), c, 0) != SLICE_NPOS);
}

static bool host(uint8_t c)
{
	return ascii_alnum(c) || c >= 0x80 || c == '-' || c == '.';
}

/* "local@domain" at the start of s: its length or 0. */
static size_t bare(slice s)
{
	size_t i = 0, at, end;

	if (s.len && s.p[0] == '"') {
		for (i = 1; i < s.len && s.p[i] != '"' && s.p[i] != '\n'; i++)
			if (s.p[i] == '\\')
				i++;
		i++;
	} else {
		while (i < s.len && i < BOUNCE_TEXT_MAX_ADDRESS && atom(s.p[i]))
			i++;
	}
	if (i == 0 || i >= s.len || s.p[i] != '@')
		return 0;
	at = i++;
	if (i < s.len && s.p[i] == '[')
		while (i < s.len && s.p[i] != ']' && s.p[i] != '\n')
			i++;
	while (i < s.len && (host(s.p[i]) || s.p[i] == ']'))
		i++;
	end = i;
	while (end > at && (s.p[end - 1] == '.' || s.p[end - 1] == '-'))
		end--;
	return end > at + 1 && end <= BOUNCE_TEXT_MAX_ADDRESS ? end : 0;
}

size_t bounce_text_address(slice s, slice *address)
{
	size_t i = 0, n;
	uint8_t close = 0;

	if (s.len && (s.p[0] == '<' || s.p[0] == '"' || s.p[0] == '\'' || s.p[0] == '[' || s.p[0] == '(')) {
		static const char pairs[] = "<>\"\"''[]()";

		for (size_t k = 0; pairs[k]; k += 2)
			if (s.p[0] == (uint8_t)pairs[k])
				close = (uint8_t)pairs[k + 1];
		i = 1;
		if (slice_istarts(slice_from(s, 1), SLICE("mailto:")))
			i += 7;
	}
	n = bare(slice_from(s, i));
	if (n && close && i + n < s.len && s.p[i + n] == close) {
		*address = slice_sub(s, i, i + n);
		return i + n + 1;
	}
	/* A quoted local part begins like a quoted address. */
	n = close && close != '"' ? 0 : bare(s);
	*address = slice_sub(s, 0, n);
	return n;
}

/* What servers write right before the recipient. In lower case. */
static const char *const labels[] = {
	"recipient:",
	"recipient address:",
	"recipient's address:",
	"rcpt to:",
	"rcpt to =",
	"sent <<< rcpt to:",
	">>> rcpt to:",
	"could not be delivered to:",
	"could not be delivered to",
	"cannot be delivered to",
	"unable to deliver message to:",
	"unable to deliver message to",
	"unable to deliver to:",
	"error delivering your mail to",
	"did not reach the following recipient:",
	"did not reach the following recipient(s):",
	"message to",
	"your message to",
	"mail to",
	"delivery to",
	"failed address:",
	"failed recipient:",
	"invalid address:",
	"address:",
	"target mail address:",
	"destination:",
	"unknown user:",
	"user unknown:",
	"invalid user:",
	"no such user:",
	"user mailbox exceeds allowed size:",
	"undeliverable to",
	"undeliverable address:",
	"following recipients returned permanent errors:",
	"following recipients returned temporary errors:",
	"delivery failed:",
	"permanent error:",
	"to:",
};

/* Labels that also stand before the sender or in running text count only when
 * nothing better was found. */
#define WEAK_LABEL(l) ((l)[0] == 't' && (l)[1] == 'o' && (l)[2] == ':')

static slice past_blanks(slice s)
{
	while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = slice_from(s, 1);
	return s;
}

/* Quoting and decoration off the front of a line. */
static slice past_decoration(slice s)
{
	while (s.len &&
		(ascii_space(s.p[0]) || s.p[0] == '>' || s.p[0] == '*' || s.p[0] == '-' || s.p[0] == '|'))
		s = slice_from(s, 1);
	return s;
}

/* May the rest of a line stand behind a recipient that began it? Not prose: a
 * sender's name in a salutation is followed by a comma or a word. */
static bool may_follow(slice rest)
{
	slice r = past_blanks(rest);
	static const slice words[] = {SLICE("on "), SLICE("invalid "), SLICE("error"), SLICE("user "),
		SLICE("unknown"), SLICE("mailbox"), SLICE("failed"), SLICE("does not"), SLICE("is "),
		SLICE("was "), SLICE("could "), SLICE("cannot"), SLICE("not "), SLICE("no ")};

	if (r.len == 0 || slice_chr(SLICE(":;[(<-.|"), r.p[0], 0) != SLICE_NPOS || ascii_digit(r.p[0]))
		return true;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (slice_istarts(r, words[i]))
			return true;
	return false;
}

struct scan {
	struct bounce_text *out;
	slice text;
	size_t from[BOUNCE_TEXT_MAX_RECIPIENTS];  /* where the reason begins, by place in the text */
	size_t line[BOUNCE_TEXT_MAX_RECIPIENTS];  /* where its line begins */
	unsigned who[BOUNCE_TEXT_MAX_RECIPIENTS]; /* index into out->list */
	unsigned places;
};

static void found(struct scan *s, slice address, size_t line, size_t from)
{
	struct bounce_text *out = s->out;
	unsigned i;

	for (i = 0; i < out->count; i++)
		if (slice_ieq(out->list[i].address, address))
			break;
	if (i == BOUNCE_TEXT_MAX_RECIPIENTS || s->places == BOUNCE_TEXT_MAX_RECIPIENTS)
		return;
	if (i == out->count)
		out->list[out->count++] = (struct bounce_text_recipient){.address = address};
	s->who[s->places] = i;
	s->from[s->places] = from;
	s->line[s->places++] = line;
}

static bool label_before(slice line, bool weak, slice *address, size_t *end)
{
	for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
		slice label = slice_str(labels[i]), rest;
		size_t at, n;

		if (WEAK_LABEL(labels[i]) != weak)
			continue;
		at = weak ? (slice_istarts(line, label) ? 0 : SLICE_NPOS) : slice_ifind(line, label, 0);
		if (at == SLICE_NPOS)
			continue;
		rest = past_blanks(slice_from(line, at + label.len));
		if (slice_istarts(rest, SLICE("rfc822;")))
			rest = past_blanks(slice_from(rest, 7));
		n = bounce_text_address(rest, address);
		if (n == 0)
			continue;
		*end = (size_t)(rest.p - line.p) + n;
		return true;
	}
	return false;
}

/* One way to look for recipients; each is tried when those before found none. */
enum way { WAY_LINES, WAY_LABELS, WAY_WEAK, WAY_TRANSCRIPT, WAY_ANY };

static bool find(slice line, enum way way, slice *address, size_t *end)
{
	slice head = past_decoration(line);
	size_t skip = line.len - head.len, n;

	switch (way) {
	case WAY_LINES:
		n = bounce_text_address(head, address);
		if (n && may_follow(slice_from(head, n))) {
			*end = skip + n;
			return true;
		}
		return label_before(line, false, address, end);
	case WAY_LABELS:
		return label_before(line, false, address, end);
	case WAY_WEAK:
		return label_before(past_decoration(line), true, address, end) && (*end += skip, true);
	default:
		break;
	}
	/* Any address in the line; in a transcript one in angle brackets behind a code. */
	if (way == WAY_TRANSCRIPT &&
		!(head.len > 4 && (head.p[0] == '4' || head.p[0] == '5') && ascii_digit(head.p[1])))
		return false;
	for (size_t i = 0; i < line.len && i < 1000; i++) {
		if (way == WAY_TRANSCRIPT ? line.p[i] != '<' : i && atom(line.p[i - 1]))
			continue;
		n = bounce_text_address(slice_from(line, i), address);
		if (n) {
			*end = i + n;
			return true;
		}
	}
	return false;
}

/* The first paragraph. */
static slice paragraph(slice s)
{
	slice rest = s, line;

	while (bounce_parts_line(&rest, &line))
		if (slice_trim(line).len == 0)
			return slice_sub(s, 0, (size_t)(line.p - s.p));
	return s;
}

static void reasons(struct scan *s)
{
	for (unsigned i = 0; i < s->places; i++) {
		struct bounce_text_recipient *r = &s->out->list[s->who[i]];
		size_t to = i + 1 < s->places ? s->line[i + 1] : s->text.len;
		slice more = slice_sub(s->text, s->from[i], to), near;

		if (slice_trim(more).len == 0)
			continue;
		near = slice_trim(paragraph(more));
		/* "Recipient: <a>" and then again in its reason: the longer one is meant. */
		if (!r->near.len || (near.len > r->near.len && r->near.len < 8)) {
			r->near = near;
			if (r->more.len < more.len)
				r->more = slice_trim(more);
		} else if (!r->more.len) {
			r->more = slice_trim(more);
		}
	}
}

void bounce_text_read(slice text, struct bounce_text *out)
{
	struct scan s = {.out = out, .text = text};

	out->count = 0;
	for (int way = WAY_LINES; way <= WAY_ANY && out->count == 0; way++) {
		slice rest = text, line, address;
		size_t end;

		while (bounce_parts_line(&rest, &line) && s.places < BOUNCE_TEXT_MAX_RECIPIENTS) {
			size_t at = (size_t)(line.p - text.p);

			line = slice_sub(line, 0, 1000);
			if (!find(line, (enum way)way, &address, &end))
				continue;
			found(&s, address, at, at + end);
			if (way == WAY_ANY)
				break;
		}
	}
	reasons(&s);
}
