#include "collector/classify.h"

#include "core/model/event.h"

#include <string.h>

struct rule {
	const char *id;
	const char *status; /* "*.7.26", "5.7.606-649"; "": any */
	slice phrase;       /* in the folded text; empty: any */
	slice also;         /* a second one; empty: any */
	enum classes class;
};

static const struct rule rules[] = {
#define R(id, status, phrase, also, class) {id, status, SLICE(phrase), SLICE(also), CLASSES_##class},
#include "collector/classify_rules.def"
#undef R
};
#define RULES (sizeof rules / sizeof *rules)

unsigned classify_count(void)
{
	return RULES;
}

const char *classify_rule(unsigned i, slice *phrase, enum classes *class)
{
	*phrase = rules[i].phrase;
	*class = rules[i].class;
	return rules[i].id;
}

/* Which pairs of bytes the text has: most rules are ruled out by the pairs of
 * their phrase, without a search. */
struct pairs {
	uint64_t bits[1024];
};

static void pairs_of(slice s, struct pairs *p)
{
	memset(p, 0, sizeof *p);
	for (size_t i = 0; i + 1 < s.len; i++) {
		unsigned v = (unsigned)(s.p[i] << 8 | s.p[i + 1]);

		p->bits[v >> 6] |= (uint64_t)1 << (v & 63);
	}
}

static bool has_pair(const struct pairs *p, const uint8_t *at)
{
	unsigned v = (unsigned)(at[0] << 8 | at[1]);

	return p->bits[v >> 6] >> (v & 63) & 1;
}

static bool has(slice text, const struct pairs *p, slice phrase)
{
	if (phrase.len < 2)
		return phrase.len == 0 || slice_chr(text, phrase.p[0], 0) != SLICE_NPOS;
	for (size_t i = 0; i + 1 < phrase.len; i += 2)
		if (!has_pair(p, phrase.p + i))
			return false;
	return slice_find(text, phrase, 0) != SLICE_NPOS;
}

/* "*.7.26" or "5.7.606-649" against a status. */
static bool status_fits(const char *pattern, uint32_t status)
{
	unsigned part[3] = {status >> 20, status >> 10 & 1023, status & 1023}, least, most;
	const char *p = pattern;

	if (!*p)
		return true;
	if (!status)
		return false;
	for (int i = 0; i < 3; i++) {
		if (*p == '*') {
			p++;
		} else {
			for (least = 0; *p >= '0' && *p <= '9'; p++)
				least = least * 10 + (unsigned)(*p - '0');
			most = least;
			if (*p == '-')
				for (p++, most = 0; *p >= '0' && *p <= '9'; p++)
					most = most * 10 + (unsigned)(*p - '0');
			if (part[i] < least || part[i] > most)
				return false;
		}
		if (*p == '.')
			p++;
	}
	return true;
}

#define S(subject, detail) ((subject) << 10 | (detail))

/* RFC 3463, RFC 5248 and the registry of IANA: subject and detail alone. */
static const struct {
	unsigned status;
	enum classes class;
	unsigned confidence;
} codes[] = {
	{S(1, 1), CLASSES_NO_MAILBOX, 85},
	{S(1, 2), CLASSES_NO_DOMAIN, 80},
	{S(1, 3), CLASSES_NO_MAILBOX, 80},
	{S(1, 4), CLASSES_NO_MAILBOX, 60},
	{S(1, 6), CLASSES_MOVED, 85},
	{S(1, 7), CLASSES_SENDER, 80},
	{S(1, 8), CLASSES_SENDER, 80},
	{S(1, 9), CLASSES_REMOTE, 50},
	{S(1, 10), CLASSES_NO_MAIL, 90},
	{S(2, 0), CLASSES_FILTER, 40},
	{S(2, 1), CLASSES_DISABLED, 60},
	{S(2, 2), CLASSES_FULL, 90},
	{S(2, 3), CLASSES_TOO_LARGE, 90},
	{S(2, 4), CLASSES_REMOTE, 60},
	{S(3, 0), CLASSES_REMOTE, 50},
	{S(3, 1), CLASSES_REMOTE_FULL, 80},
	{S(3, 2), CLASSES_REMOTE, 60},
	{S(3, 3), CLASSES_REMOTE, 60},
	{S(3, 4), CLASSES_TOO_LARGE, 90},
	{S(3, 5), CLASSES_REMOTE, 70},
	{S(4, 0), CLASSES_UNREACHABLE, 50},
	{S(4, 1), CLASSES_UNREACHABLE, 80},
	{S(4, 2), CLASSES_UNREACHABLE, 80},
	{S(4, 3), CLASSES_DNS, 70},
	{S(4, 4), CLASSES_NO_DOMAIN, 60},
	{S(4, 5), CLASSES_REMOTE, 60},
	{S(4, 6), CLASSES_LOOP, 90},
	{S(4, 7), CLASSES_EXPIRED, 90},
	{S(5, 0), CLASSES_PROTOCOL, 30},
	{S(5, 1), CLASSES_PROTOCOL, 60},
	{S(5, 2), CLASSES_PROTOCOL, 60},
	{S(5, 3), CLASSES_TOO_MANY, 80},
	{S(5, 4), CLASSES_PROTOCOL, 60},
	{S(5, 5), CLASSES_PROTOCOL, 60},
	{S(5, 6), CLASSES_PROTOCOL, 60},
	{S(6, 0), CLASSES_CONTENT, 60},
	{S(6, 1), CLASSES_CONTENT, 70},
	{S(6, 2), CLASSES_CONTENT, 70},
	{S(6, 3), CLASSES_CONTENT, 70},
	{S(6, 4), CLASSES_CONTENT, 60},
	{S(6, 5), CLASSES_CONTENT, 60},
	{S(6, 6), CLASSES_CONTENT, 60},
	{S(6, 7), CLASSES_CONTENT, 70},
	{S(6, 8), CLASSES_CONTENT, 70},
	{S(6, 9), CLASSES_CONTENT, 70},
	{S(7, 0), CLASSES_POLICY, 40},
	{S(7, 1), CLASSES_SECURITY, 40},
	{S(7, 2), CLASSES_SENDER, 70},
	{S(7, 3), CLASSES_SECURITY, 50},
	{S(7, 4), CLASSES_SECURITY, 50},
	{S(7, 5), CLASSES_SECURITY, 50},
	{S(7, 6), CLASSES_SECURITY, 50},
	{S(7, 7), CLASSES_SECURITY, 50},
	{S(7, 8), CLASSES_SECURITY, 80},
	{S(7, 9), CLASSES_SECURITY, 70},
	{S(7, 10), CLASSES_TLS, 80},
	{S(7, 11), CLASSES_TLS, 80},
	{S(7, 13), CLASSES_DISABLED, 70},
	{S(7, 14), CLASSES_SECURITY, 60},
	{S(7, 15), CLASSES_POLICY, 60},
	{S(7, 16), CLASSES_TOO_LARGE, 60},
	{S(7, 17), CLASSES_MOVED, 70},
	{S(7, 18), CLASSES_POLICY, 60},
	{S(7, 19), CLASSES_POLICY, 60},
	{S(7, 20), CLASSES_AUTH, 90},
	{S(7, 21), CLASSES_AUTH, 90},
	{S(7, 22), CLASSES_AUTH, 90},
	{S(7, 23), CLASSES_AUTH, 90},
	{S(7, 24), CLASSES_AUTH, 90},
	{S(7, 25), CLASSES_NO_PTR, 95},
	{S(7, 26), CLASSES_AUTH, 95},
	{S(7, 27), CLASSES_SENDER, 80},
	{S(7, 28), CLASSES_RATE, 80},
	{S(7, 29), CLASSES_AUTH, 80},
	{S(7, 30), CLASSES_TLS, 80},
};

static bool by_status(const struct classify_in *in, struct classify_out *out)
{
	static const char *const names[] = {"status-x.1", "status-x.2", "status-x.3", "status-x.4",
		"status-x.5", "status-x.6", "status-x.7"};
	unsigned tail = in->status & ((1u << 20) - 1), subject = tail >> 10;

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		if (codes[i].status != tail || subject < 1 || subject > 7)
			continue;
		*out = (struct classify_out){codes[i].class, names[subject - 1], codes[i].confidence};
		return true;
	}
	if (subject == 7) {
		*out = (struct classify_out){CLASSES_POLICY, "status-x.7", 40};
		return true;
	}
	return false;
}

static bool by_reply(const struct classify_in *in, struct classify_out *out)
{
	enum classes class = CLASSES_UNKNOWN;

	switch (in->phase) {
	case SAID_CONNECT:
	case SAID_HELO:
		class = in->reply >= 400 ? CLASSES_BLOCKED : CLASSES_UNREACHABLE;
		break;
	case SAID_MAIL:
		class = in->reply / 100 == 5 ? CLASSES_SENDER : CLASSES_REMOTE;
		break;
	default:
		break;
	}
	switch (class == CLASSES_UNKNOWN ? in->reply : 0) {
	case 421:
	case 451:
		class = CLASSES_REMOTE;
		break;
	case 452:
		class = CLASSES_REMOTE_FULL;
		break;
	case 551:
		class = CLASSES_MOVED;
		break;
	case 552:
		class = CLASSES_FULL;
		break;
	case 500 ... 504:
		class = CLASSES_PROTOCOL;
		break;
	case 521:
		class = CLASSES_BLOCKED;
		break;
	case 530:
	case 535:
		class = CLASSES_SECURITY;
		break;
	case 556:
		class = CLASSES_NO_MAIL;
		break;
	}
	*out = (struct classify_out){class, "reply-code", 40};
	return class != CLASSES_UNKNOWN;
}

/* "User unknown" after the whole message was taken, or with a status that
 * speaks of a mailbox that is there, comes from a filter: the mailbox may exist.
 * So it is with a reply that gives neither status nor command. What the server
 * that reports says of its own users has no reply code. A provider's own words
 * are known to mean it. */
static bool from_filter(const struct classify_in *in)
{
	unsigned subject = in->status >> 10 & 1023;

	if (subject == 1 || in->phase == SAID_RCPT)
		return false;
	return in->phase == SAID_DATA || (subject == 2 && (in->status & 1023) <= 1) || in->reply;
}

void classify(const struct classify_in *in, struct classify_out *out)
{
	struct pairs pairs;

	pairs_of(in->folded, &pairs);
	for (size_t i = 0; i < RULES; i++) {
		const struct rule *r = &rules[i];

		if (in->prose && strncmp(r->id, "word-", 5) == 0)
			continue;
		if (!status_fits(r->status, in->status) || !has(in->folded, &pairs, r->phrase) ||
			!has(in->folded, &pairs, r->also))
			continue;
		*out = (struct classify_out){r->class, r->id, *r->status && r->phrase.len ? 95 : 85};
		if (r->class == CLASSES_NO_MAILBOX && strncmp(r->id, "text-", 5) == 0 && from_filter(in))
			*out = (struct classify_out){CLASSES_FILTER, "unknown-after-data", 65};
		/* It was the sender's address and domain that the server looked up. */
		if ((r->class == CLASSES_NO_MAILBOX || r->class == CLASSES_NO_DOMAIN) &&
			in->phase == SAID_MAIL)
			*out = (struct classify_out){CLASSES_SENDER, "unknown-at-mail", 70};
		return;
	}
	if (in->phase == SAID_MAIL && in->reply / 100 == 5 && (in->status & 0xfffff) <= S(7, 1) &&
		((in->status >> 10 & 1023) == 7 || (in->status & 0xfffff) == 0)) {
		*out = (struct classify_out){CLASSES_SENDER, "refused-at-mail", 50};
		return;
	}
	if (by_status(in, out) || by_reply(in, out))
		return;
	*out = (struct classify_out){CLASSES_UNKNOWN, "none", 0};
}

void classify_reply(struct arena *a, slice text, uint32_t status, uint16_t reply, struct classify_out *out)
{
	struct classify_in in = {.folded = said_fold(a, text), .status = status, .reply = reply};
	struct said said;

	said_read(text, status >> 20, &said);
	if (!in.reply)
		in.reply = said.reply;
	if ((in.status & 0xfffff) == 0 && said.status)
		in.status = said.status;
	in.phase = said_phase(in.folded);
	classify(&in, out);
}
