#include "collector/said.h"

#include "core/model/event.h"

bool said_is_reply(unsigned code)
{
	switch (code) {
	case 421:
	case 422:
	case 430:
	case 432:
	case 500 ... 504:
	case 521:
	case 523 ... 525:
	case 530:
	case 533 ... 535:
	case 538:
	case 550 ... 557:
		return true;
	default:
		return code >= 450 && code <= 459;
	}
}

/* Digits at i, at most three. */
static unsigned number(slice s, size_t *i)
{
	unsigned v = 0;
	size_t from = *i;

	while (*i < s.len && ascii_digit(s.p[*i]) && *i < from + 4)
		v = v * 10 + (unsigned)(s.p[(*i)++] - '0');
	return *i == from || *i > from + 3 ? 10000 : v;
}

/* "5.1.1" at i: its length, 0 if it is none. Versions and addresses go on with
 * a dot or have a subject that RFC 3463 does not know. */
static size_t status_at(slice s, size_t i, uint32_t *status)
{
	size_t from = i;
	unsigned class, subject, detail;

	if (i >= s.len || (s.p[i] != '2' && s.p[i] != '4' && s.p[i] != '5'))
		return 0;
	class = number(s, &i);
	if (class > 5 || i >= s.len || s.p[i] != '.')
		return 0;
	i++;
	subject = number(s, &i);
	if (subject > 7 || i >= s.len || s.p[i] != '.')
		return 0;
	i++;
	detail = number(s, &i);
	if (detail > 999)
		return 0;
	if (i + 1 < s.len && s.p[i] == '.' && ascii_digit(s.p[i + 1]))
		return 0;
	if (i < s.len && (ascii_alnum(s.p[i]) || s.p[i] == '_' || s.p[i] == '/'))
		return 0;
	*status = class << 20 | subject << 10 | detail;
	return i - from;
}

static bool specific(uint32_t status)
{
	return (status & ((1u << 20) - 1)) != 0;
}

/* May a code stand behind these bytes? 2: surely. 1: if a status follows it. */
static int opens(slice s, size_t i)
{
	size_t k = i;

	if (i == 0)
		return 2;
	switch (s.p[i - 1]) {
	case '\n':
	case ';':
	case '\'':
	case '"':
	case '(':
	case '[':
	case '#':
	case '>':
	case '<':
	case '=':
		return 2;
	case ':':
		return i >= 2 && (ascii_digit(s.p[i - 2]) || s.p[i - 2] == ']') ? 0 : 2;
	case '-':
		return 1;
	case ' ':
	case '\t':
		while (k && (s.p[k - 1] == ' ' || s.p[k - 1] == '\t'))
			k--;
		if (k == 0)
			return 2;
		switch (s.p[k - 1]) {
		case ':':
		case ';':
		case '\n':
		case '>':
		case '<':
		case '(':
		case '=':
		case ')':
			return 2;
		case '.': /* "<a@b>... 550 Host unknown" */
			return k >= 2 && s.p[k - 2] == '.' ? 2 : 1;
		}
		return 1;
	}
	return 0;
}

static int score_of(unsigned code, bool status, uint32_t found, unsigned class, int sure)
{
	int score = sure * 2 + (status ? 4 : 0) + (status && specific(found) ? 2 : 0);

	if (code == 503)
		score -= 12; /* "need RCPT": follows from a refusal that was said before */
	if (code == 554)
		score -= 3; /* what wrappers put before the real one */
	if (code == 421)
		score -= 2;
	if (class && code / 100 == class)
		score += 3;
	return score;
}

/* Looks for a status behind the code at i: "550 5.1.1", "550-5.1.1", "550 [5.1.1]", "550 #5.1.1". */
static bool status_behind(slice s, size_t i, uint32_t *status)
{
	if (i < s.len && (s.p[i] == ' ' || s.p[i] == '-'))
		i++;
	while (i < s.len &&
		(s.p[i] == ' ' || s.p[i] == '#' || s.p[i] == '[' || s.p[i] == '(' || s.p[i] == '\''))
		i++;
	return status_at(s, i, status) != 0;
}

void said_read(slice text, unsigned class, struct said *out)
{
	slice s = slice_sub(text, 0, SAID_MAX_TEXT);
	uint32_t any = 0, status;
	int best = -1000;

	*out = (struct said){0};
	for (size_t i = 0; i < s.len; i++) {
		size_t end = i, n;
		unsigned code;
		uint8_t next;
		bool has;
		int sure;

		if (!ascii_digit(s.p[i]) || (i && (ascii_alnum(s.p[i - 1]) || s.p[i - 1] == '.' ||
							  s.p[i - 1] == '_' || s.p[i - 1] == '@')))
			continue;
		n = status_at(s, i, &status);
		if (n) {
			if (!any || (!specific(any) && specific(status) && status >> 20 == any >> 20))
				any = status;
			i += n - 1;
			continue;
		}
		code = number(s, &end);
		if (end != i + 3 || !said_is_reply(code))
			continue;
		next = end < s.len ? s.p[end] : ' ';
		if (next == '.' && end + 1 < s.len && ascii_digit(s.p[end + 1]))
			continue;
		if (ascii_alnum(next) || next == '_' || next == '/' || next == '%' || next == '@')
			continue;
		has = status_behind(s, end, &status);
		sure = opens(s, i);
		/* "problem 550-'Unknown user'" */
		if (sure == 1 && next == '-' && end + 1 < s.len && s.p[end + 1] == '\'')
			sure = 2;
		if (sure == 0 || (sure == 1 && !has))
			continue;
		n = (size_t)score_of(code, has, status, class, sure) + 1000;
		if ((int)n - 1000 <= best)
			continue;
		best = (int)n - 1000;
		out->reply = (uint16_t)code;
		out->status = has ? status : 0;
	}
	if (!out->status || (!specific(out->status) && specific(any)))
		out->status = any ? any : out->status;
}

static const struct {
	const char *phrase;
	enum said_phase phase;
} phases[] = {
	{"in reply to rcpt to", SAID_RCPT},
	{"in reply to end of data", SAID_DATA},
	{"in reply to data", SAID_DATA},
	{"in reply to bdat", SAID_DATA},
	{"in reply to mail from", SAID_MAIL},
	{"in reply to ehlo", SAID_HELO},
	{"in reply to helo", SAID_HELO},
	{"in reply to starttls", SAID_HELO},
	{"refused to talk to me", SAID_CONNECT},
	{"server after rcpt to", SAID_RCPT},
	{"server after pipelined rcpt to", SAID_RCPT},
	{"server after end of data", SAID_DATA},
	{"server after data", SAID_DATA},
	{"server after pipelined data", SAID_DATA},
	{"server after bdat", SAID_DATA},
	{"server after mail from", SAID_MAIL},
	{"server after pipelined mail from", SAID_MAIL},
	{"server after ehlo", SAID_HELO},
	{"server after helo", SAID_HELO},
	{"server after starttls", SAID_HELO},
	{"server after initial connection", SAID_CONNECT},
	{"for rcpt command", SAID_RCPT},
	{"after rcpt command", SAID_RCPT},
	{"for mail command", SAID_MAIL},
	{"for text command", SAID_DATA},
	{"does not like recipient", SAID_RCPT},
	{"but sender was rejected", SAID_MAIL},
	{"failed after i sent the message", SAID_DATA},
	{"failed on data command", SAID_DATA},
	{"but greeting failed", SAID_CONNECT},
	{"but my name was rejected", SAID_HELO},
	{"did not like our rcpt to", SAID_RCPT},
	{"did not like our mail from", SAID_MAIL},
	{"did not like our final data", SAID_DATA},
	{"did not like our data", SAID_DATA},
	{"did not like our ehlo", SAID_HELO},
	{"[rcpt_to]", SAID_RCPT},
	{"[mail_from]", SAID_MAIL},
	{"[data]", SAID_DATA},
	{"end-of-data", SAID_DATA},
	{"<<< rcpt to", SAID_RCPT},
	{">>> rcpt to", SAID_RCPT},
	{">>> mail from", SAID_MAIL},
	{"smtp command data", SAID_DATA},
	{"smtp command rcpt", SAID_RCPT},
	{"error after rcpt", SAID_RCPT},
};

enum said_phase said_phase(slice folded)
{
	for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
		if (slice_find(folded, slice_str(phases[i].phrase), 0) != SLICE_NPOS)
			return phases[i].phase;
	return SAID_NOWHERE;
}

/* "550-5.7.1 " or "550 5.7.1 " at i, where the text before it ends a word: its
 * length; 0: none. */
static size_t lead_at(slice s, size_t i)
{
	size_t end = i;
	unsigned code = number(s, &end);
	uint32_t status;
	size_t n;

	if (end != i + 3 || code < 200 || code > 599 || end >= s.len || s.p[end] != '-')
		return 0;
	end++;
	n = status_at(s, end, &status);
	if (n == 0 && end < s.len && ascii_digit(s.p[end]))
		return 0; /* a range of numbers */
	end += n;
	return end - i;
}

/* "couldn't" with a typographer's apostrophe, in UTF-8 or windows-1252; i moves to
 * its last byte. */
static bool curly_quote(slice s, size_t *i)
{
	if (slice_starts(slice_from(s, *i), SLICE("\xe2\x80\x99"))) {
		*i += 2;
		return true;
	}
	return s.p[*i] == 0x92 && *i > 0 && ascii_alpha(s.p[*i - 1]) && *i + 1 < s.len &&
	       ascii_alpha(s.p[*i + 1]);
}

slice said_fold(struct arena *a, slice text)
{
	slice s = slice_sub(text, 0, SAID_MAX_TEXT);
	uint8_t *p = arena_alloc(a, s.len + 1);
	uint32_t lines = 0; /* the code of the reply that goes on */
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		bool word = i == 0 || ascii_space(s.p[i - 1]);
		size_t lead = word && ascii_digit(s.p[i]) ? lead_at(s, i) : 0;

		if (lead) {
			uint32_t code = (uint32_t)(s.p[i] << 16 | s.p[i + 1] << 8 | s.p[i + 2]);

			if (code == lines) {
				i += lead - 1;
				continue;
			}
			lines = code;
		} else if (lines && word && i + 3 < s.len && s.p[i + 3] == ' ' &&
			   lines == (uint32_t)(s.p[i] << 16 | s.p[i + 1] << 8 | s.p[i + 2])) {
			uint32_t status;

			/* the last line of it */
			lead = status_at(s, i + 4, &status);
			lines = 0;
			i += 2 + (lead ? lead + 1 : 0);
			continue;
		}
		if (curly_quote(s, &i))
			p[n++] = '\'';
		else if (!ascii_space(s.p[i]))
			p[n++] = ascii_lower(s.p[i]);
		else if (n && p[n - 1] != ' ')
			p[n++] = ' ';
	}
	return slice_of(p, n && p[n - 1] == ' ' ? n - 1 : n);
}
