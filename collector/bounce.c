#include "collector/bounce.h"

#include "collector/arf.h"
#include "collector/auto_reply.h"
#include "collector/bounce_text.h"
#include "collector/classify.h"
#include "collector/dsn.h"
#include "core/parse/hdr.h"

#include <string.h>

const char *bounce_kind_word(enum bounce_kind k)
{
	static const char *const words[] = {
		"none", "bounced", "deferred", "delivered", "complained", "rescued", "auto-reply"};

	return words[k];
}

/* ---- the message around ---- */

struct around {
	struct arena *a;
	struct bounce_message *out;
	struct bounce_text text;
	slice from, to, subject;
	bool null_path; /* Return-Path: <> */
	unsigned depth; /* of reports inside of reports */
	unsigned room;  /* of out->facts */
};

static slice address_in(slice value)
{
	slice address;
	size_t lt = slice_rchr(value, '<');

	if (lt != SLICE_NPOS && bounce_text_address(slice_from(value, lt), &address))
		return address;
	for (size_t i = 0; i < value.len; i++)
		if ((i == 0 || ascii_space(value.p[i - 1]) || value.p[i - 1] == ',' ||
			    value.p[i - 1] == ':') &&
			bounce_text_address(slice_from(value, i), &address))
			return address;
	return SLICE_NONE;
}

static void look_around(struct around *r)
{
	slice header = r->out->parts.header, v;

	bounce_parts_field(r->a, header, SLICE("From"), &v);
	r->from = bounce_parts_words(r->a, v);
	bounce_parts_field(r->a, header, SLICE("To"), &v);
	r->to = address_in(v);
	bounce_parts_field(r->a, header, SLICE("Subject"), &v);
	r->subject = bounce_parts_words(r->a, v);
	if (bounce_parts_field(r->a, header, SLICE("Return-Path"), &v))
		r->null_path = v.len == 0 || slice_eq(v, SLICE("<>")) || auto_reply_daemon(v);
}

/* NULL: there are too many. Good until the next one. */
static struct bounce_fact *add(struct around *r)
{
	struct bounce_message *out = r->out;
	struct bounce_fact *f;

	if (out->count == BOUNCE_MAX_RECIPIENTS)
		return NULL;
	if (out->count == r->room) {
		unsigned room = r->room ? r->room * 4 : 4;
		struct bounce_fact *more = arena_array(r->a, struct bounce_fact, room);

		if (out->count)
			memcpy(more, out->facts, out->count * sizeof *more);
		out->facts = more;
		r->room = room;
	}
	f = &out->facts[out->count++];
	*f = (struct bounce_fact){.rule = "none"};
	return f;
}

/* ---- why ---- */

static void reason(struct around *r, struct bounce_fact *f, slice near, slice more)
{
	struct classify_in in = {.folded = said_fold(r->a, near), .status = f->status, .reply = f->reply};
	struct classify_out why, wide;

	in.phase = said_phase(in.folded);
	if (in.phase == SAID_NOWHERE && more.len)
		in.phase = said_phase(said_fold(r->a, more));
	classify(&in, &why);
	/* Nothing but numbers, or nothing: what else the report says may tell more. */
	if (why.confidence <= 60 && more.len > near.len) {
		in.folded = said_fold(r->a, more);
		in.prose = true;
		classify(&in, &wide);
		if (wide.confidence > why.confidence && wide.confidence > 60) {
			why = wide;
			why.confidence -= 20;
		}
	}
	f->class = why.class;
	f->rule = why.rule;
	f->confidence = why.confidence;
}

static void judge(struct bounce_fact *f)
{
	if (f->kind == BOUNCE_KIND_DELIVERED) {
		f->class = CLASSES_DELIVERED;
		f->rule = "action";
		f->confidence = 95;
	}
	f->permanent = classes_permanent(f->class, f->status);
	if (f->kind == BOUNCE_KIND_DEFERRED && f->permanent == CLASSES_PERMANENT_YES)
		f->permanent = CLASSES_PERMANENT_NO;
}

/* ---- RFC 3464 ---- */

static slice action_word(enum dsn_action action)
{
	static const char *const words[] = {"", "failed", "delayed", "delivered", "relayed", "expanded"};

	return slice_str(words[action]);
}

static uint32_t tail_of(uint32_t status)
{
	return status & 0xfffff;
}

/* What the server said itself says more than what a report made of it ("5.0.0",
 * or one code for all that is x.1); a bare x.0.0 never does. */
static uint32_t better(uint32_t reported, uint32_t said, enum dsn_action action)
{
	if (!said || (action != DSN_DELIVERED && action != DSN_RELAYED && said >> 20 == 2))
		return reported;
	if (!reported || tail_of(said) != 0)
		return said;
	return reported;
}

static const struct bounce_text_recipient *in_text(const struct bounce_text *t, slice address)
{
	for (unsigned i = 0; i < t->count; i++)
		if (slice_ieq(t->list[i].address, address))
			return &t->list[i];
	return NULL;
}

static enum bounce_kind kind_of(enum dsn_action action, uint32_t status)
{
	switch (action) {
	case DSN_DELAYED:
		return BOUNCE_KIND_DEFERRED;
	case DSN_DELIVERED:
	case DSN_RELAYED:
	case DSN_EXPANDED:
		return BOUNCE_KIND_DELIVERED;
	case DSN_NONE:
		return status >> 20 == 2 ? BOUNCE_KIND_DELIVERED : BOUNCE_KIND_BOUNCED;
	default:
		return BOUNCE_KIND_BOUNCED;
	}
}

/* A mailbox that mail was addressed to, not the file or program behind it. */
static bool is_address(slice s)
{
	return slice_chr(s, '@', 0) != SLICE_NPOS && s.p[0] != '|' && s.p[0] != '/' && s.p[0] != '@';
}

static slice whom(struct around *r, const struct dsn_recipient *d)
{
	slice text = r->out->parts.text, address;
	size_t at;

	if (is_address(d->final))
		return d->final;
	if (is_address(d->original))
		return d->original;
	/* Exim: "save to FILE" or "pipe to |PROGRAM", "generated by ADDRESS" */
	at = slice_find(text, SLICE("generated by "), 0);
	if (at != SLICE_NPOS && bounce_text_address(slice_from(text, at + 13), &address))
		return address;
	if (d->final.len && d->final.p[0] == '@') {
		/* a source route: "@a,@b:c@d" */
		at = slice_rchr(d->final, ':');
		if (at != SLICE_NPOS)
			return slice_from(d->final, at + 1);
	}
	return d->final.len ? d->final : d->original;
}

static void take_recipient(struct around *r, const struct dsn_recipient *d)
{
	const struct bounce_text_recipient *t;
	struct bounce_fact *f = add(r);
	struct said said, nearby = {0};
	slice more;
	unsigned class;

	if (!f)
		return;
	f->recipient = whom(r, d);
	f->original = d->original;
	f->action = action_word(d->action);
	f->remote_mta = d->remote_mta;
	f->status = status_decode(d->status);
	f->kind = kind_of(d->action, f->status);
	class = f->status ? f->status >> 20 : 0;
	t = in_text(&r->text, f->recipient);
	if (!t && d->original.len)
		t = in_text(&r->text, d->original);
	said_read(d->diagnostic, class, &said);
	if (t && !r->text.guessed)
		said_read(t->more, class, &nearby);
	if (!d->diagnostic.len && !nearby.reply && r->text.count <= 1)
		said_read(r->out->parts.text, class, &nearby);
	/* A reason that the report leaves out stands in its text (OpenSMTPD). */
	f->diagnostic = d->diagnostic.len ? d->diagnostic : t ? t->near : SLICE_NONE;
	if (!d->diagnostic.len || (!said.reply && !said.status))
		said = (struct said){
			said.reply ? said.reply : nearby.reply, said.status ? said.status : nearby.status};
	f->reply = said.reply;
	f->status = better(f->status, said.status, d->action);
	if (!f->status && f->kind != BOUNCE_KIND_DELIVERED)
		f->status = (f->reply ? f->reply / 100u : f->kind == BOUNCE_KIND_DEFERRED ? 4u : 5u) << 20;
	more = t ? t->more : r->text.count <= 1 ? r->out->parts.text : SLICE_NONE;
	if (f->kind != BOUNCE_KIND_DELIVERED)
		reason(r, f, f->diagnostic, more);
	judge(f);
}

static bool read_dsn(struct around *r)
{
	struct dsn_iter it;
	struct dsn_message m;
	struct dsn_recipient d;

	dsn_start(&it, r->a, r->out->parts.status, &m);
	r->out->reporting_mta = m.reporting_mta;
	r->out->envelope_id = m.envelope_id;
	while (dsn_next(&it, &d) > 0)
		take_recipient(r, &d);
	return r->out->count > 0;
}

/* ---- RFC 5965 ---- */

static void one_feedback(struct around *r, enum arf_kind kind, slice recipient)
{
	struct bounce_fact *f = add(r);

	if (!f)
		return;
	f->recipient = recipient;
	f->rule = "feedback-report";
	f->confidence = 95;
	switch (kind) {
	case ARF_COMPLAINT:
		f->kind = BOUNCE_KIND_COMPLAINED;
		f->class = CLASSES_COMPLAINT;
		break;
	case ARF_RESCUE:
		f->kind = BOUNCE_KIND_RESCUED;
		f->class = CLASSES_RESCUE;
		break;
	default:
		f->kind = BOUNCE_KIND_NOTHING;
		f->class = CLASSES_REPORT;
		break;
	}
	judge(f);
}

/* Whom the returned message went to: To, if it names an address. */
static slice returned_to(struct around *r)
{
	static const slice names[] = {SLICE("X-HmXmrOriginalRecipient"), SLICE("X-Failed-Recipients"),
		SLICE("To"), SLICE("Delivered-To"), SLICE("X-Original-To"), SLICE("X-Envelope-To"),
		SLICE("Envelope-To")};
	slice v, address;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!bounce_parts_field(r->a, r->out->parts.returned, names[i], &v))
			continue;
		address = address_in(v);
		if (address.len)
			return address;
	}
	return SLICE_NONE;
}

static void read_arf(struct around *r)
{
	struct arf *arf = arena_new(r->a, struct arf);

	arf_read(r->a, r->out->parts.feedback, arf);
	r->out->feedback_type = arf->feedback_type;
	r->out->mail_from = arf->mail_from;
	r->out->reporting_mta = arf->reporting_mta;
	r->out->envelope_id = arf->envelope_id.len ? arf->envelope_id : arf->feedback_id;
	for (unsigned i = 0; i < arf->count; i++)
		one_feedback(r, arf->kind, arf->recipients[i]);
	if (r->out->count == 0)
		one_feedback(r, arf->kind, returned_to(r));
}

/* The feedback of Hotmail and others has no report part: a covering letter, and
 * the message in full. */
static bool is_sparse_feedback(struct around *r)
{
	slice v;

	if (!r->out->parts.attached)
		return false;
	if (bounce_parts_field(r->a, r->out->parts.returned, SLICE("X-HmXmrOriginalRecipient"), &v) ||
		bounce_parts_field(r->a, r->out->parts.header, SLICE("X-HmXmrOriginalRecipient"), &v))
		return true;
	if (slice_ifind(r->from, SLICE("staff@hotmail.com"), 0) != SLICE_NPOS)
		return true;
	return slice_istarts(r->subject, SLICE("complaint about message from")) ||
	       slice_ifind(r->subject, SLICE("abuse report"), 0) != SLICE_NPOS ||
	       slice_ifind(r->subject, SLICE("email feedback report"), 0) != SLICE_NPOS ||
	       slice_istarts(r->subject, SLICE("Email Feedback")) ||
	       slice_istarts(r->subject, SLICE("FW:Spam")) ||
	       slice_ifind(r->from, SLICE("feedbackloop"), 0) != SLICE_NPOS ||
	       slice_ifind(r->from, SLICE("abuse-report"), 0) != SLICE_NPOS;
}

/* ---- text ---- */

static bool any_of(slice s, const char *const *words)
{
	for (; *words; words++)
		if (slice_ifind(s, slice_str(*words), 0) != SLICE_NPOS)
			return true;
	return false;
}

/* Does the text say that a message was not delivered? Servers' own sentences. */
static bool says_failed(slice text)
{
	static const char *const words[] = {"could not be delivered", "couldn't be delivered",
		"cannot be delivered", "can't be delivered", "was not delivered", "wasn't delivered",
		"not be delivered", "delivery failed", "delivery has failed", "failed to deliver",
		"unable to deliver", "delivery failure", "delivery error", "delivering your mail",
		"delivering your message", "undeliverable", "undelivered", "returned mail",
		"returned message", "has not yet been delivered", "not yet been delivered",
		"message is delayed", "has been delayed", "did not reach the following", "was rejected by",
		"mail system", "permanent error", "permanent fatal error", "had delivery problems",
		"had delivery errors", "failure reasons", "transcript of session follows", "user unknown",
		"unknown user", "mailbox full", "mailbox exceeds", "user mailbox", "unroutable",
		"unrouteable", "not found", "does not exist", "no such", "wasn't able to deliver",
		"attempting to deliver", "couldn't deliver", "could not deliver", "was rejected",
		"invalid user", "email you sent", "server message", "rcpt to", "smtp error",
		"duplicated message-id", "following recipient", "following address",
		"incorrectly constructed", "malformed address", NULL};

	return any_of(text, words);
}

static bool subject_of_bounce(slice subject)
{
	static const char *const words[] = {"undeliver", "delivery status notification", "delivery failure",
		"delivery has failed", "delivery failed", "delivery notification", "failure notice",
		"failed delivery", "mail delivery", "mail failure", "mail could not be delivered",
		"could not be delivered", "returned mail", "returned to sender",
		"returning message to sender", "return to sender", "returned message", "mail system error",
		"message delivery has failed", "non delivery", "non-delivery", "nondeliver", "not delivered",
		"error sending your mail", "delayed", "delivery delay", "delivery report", "bounce",
		"unzustellbar", "loop alert", "unable to deliver", "failed mail", "nicht zugestellt",
		"message not delivered", "user unknown", "mail non remis", NULL};

	return any_of(subject, words);
}

static bool says_delayed(struct around *r)
{
	static const char *const words[] = {"has been delayed", "not yet been delivered",
		"is delayed for more than", "warning message only", "will continue to try",
		"delivery attempts will continue", "no action is required on your part",
		"delay reason:", "delivery is delayed", "message will be retried", "still being retried",
		"temporary failure report", NULL};
	static const char *const subjects[] = {"(delay)", "delayed", "warning: could not send",
		"delivery delay", "delay notification", "delivery status notification: warning", NULL};

	return any_of(r->subject, subjects) || any_of(r->out->parts.text, words);
}

/* The message in full behind a sentence that only a bounce has. */
static bool returns_it(struct around *r)
{
	static const char *const words[] = {"could not be delivered to", "unable to deliver message to",
		"cannot be delivered to", "delivery to the following", NULL};

	return r->out->parts.attached && r->text.count && !r->text.guessed &&
	       any_of(r->out->parts.text, words);
}

static void text_fact(struct around *r, slice address, const struct bounce_text_recipient *t, bool delayed)
{
	slice text = r->out->parts.text;
	struct bounce_fact *f = add(r);
	struct said said = {0}, wide;
	unsigned class = delayed ? 4 : 5;

	if (!f)
		return;
	f->recipient = address;
	f->kind = delayed ? BOUNCE_KIND_DEFERRED : BOUNCE_KIND_BOUNCED;
	f->action = action_word(delayed ? DSN_DELAYED : DSN_FAILED);
	f->diagnostic = t && t->near.len ? t->near : t ? t->more : SLICE_NONE;
	if (t)
		said_read(t->more, class, &said);
	/* With several recipients the whole text holds the others' codes too. */
	if (!said.reply || !said.status) {
		said_read(text, class, &wide);
		if (r->text.count <= 1 || !t || !t->near.len) {
			if (!said.status && (!said.reply || wide.reply == said.reply))
				said.status = wide.status;
			if (!said.reply)
				said.reply = wide.reply;
		}
	}
	f->reply = said.reply;
	f->status = said.status;
	if (!f->status)
		f->status = (f->reply ? f->reply / 100u : class) << 20;
	if (!f->diagnostic.len)
		f->diagnostic = slice_sub(slice_trim(text), 0, SAID_MAX_TEXT);
	reason(r, f, f->diagnostic, r->text.count > 1 && t ? t->more : text);
	judge(f);
}

/* "a@b, c@d" */
static unsigned failed_recipients(struct around *r, slice value, bool delayed)
{
	unsigned n = 0;

	for (size_t i = 0; i < value.len && n < BOUNCE_TEXT_MAX_RECIPIENTS;) {
		slice address;
		size_t len = bounce_text_address(slice_from(value, i), &address);

		if (!len) {
			i++;
			continue;
		}
		text_fact(r, address, in_text(&r->text, address), delayed);
		n++;
		i += len;
	}
	return n;
}

static void read_at(struct arena *a, slice message, struct bounce_message *out, unsigned depth);

/* The returned message is a report itself, which says more than what is around. */
static bool inside(struct around *r)
{
	struct bounce_message in;
	slice header = r->out->parts.header, back = r->out->parts.returned;

	if (!back.len || r->depth == BOUNCE_MAX_DEPTH)
		return false;
	read_at(r->a, back, &in, r->depth + 1);
	if (in.facts[0].kind != BOUNCE_KIND_BOUNCED && in.facts[0].kind != BOUNCE_KIND_DEFERRED)
		return false;
	if (!in.facts[0].recipient.len)
		return false;
	*r->out = in;
	r->out->parts.header = header; /* whom it came back to */
	return true;
}

static bool read_text(struct around *r, enum auto_reply answer)
{
	slice failed, address;
	bool named = bounce_parts_field(r->a, r->out->parts.header, SLICE("X-Failed-Recipients"), &failed);
	bool daemon = auto_reply_daemon(r->from) || slice_eq(r->from, SLICE("<>"));
	bool subject = subject_of_bounce(r->subject), delayed;

	if (answer != AUTO_REPLY_NO && !named && !daemon && !subject)
		return false;
	if (!named && !r->out->parts.report && !returns_it(r)) {
		/* A mail system's name and a bounce's subject will do; one of them needs words that fit. */
		if (!daemon && !subject && !r->null_path)
			return false;
		if (!(daemon && subject) && !says_failed(r->out->parts.text))
			return false;
		if (!daemon && !subject && r->text.count == 0)
			return false;
	}
	/* Somebody passed a bounce on. */
	if (!named && (r->text.count == 0 || r->text.guessed) && inside(r))
		return true;
	delayed = says_delayed(r);
	if (named && failed_recipients(r, failed, delayed))
		return true;
	for (unsigned i = 0; i < r->text.count; i++) {
		/* The one it was sent back to is seldom the one it did not reach. */
		if (r->text.count > 1 && slice_ieq(r->text.list[i].address, r->to))
			continue;
		text_fact(r, r->text.list[i].address, &r->text.list[i], delayed);
	}
	if (r->out->count)
		return true;
	address = returned_to(r);
	if (!address.len && !(daemon && subject))
		return false;
	text_fact(r, address, NULL, delayed);
	return true;
}

/* ---- all of it ---- */

static void read_answer(struct around *r, enum auto_reply answer)
{
	struct bounce_fact *f = add(r);

	f->kind = BOUNCE_KIND_AUTO_REPLY;
	f->class = answer == AUTO_REPLY_CHALLENGE ? CLASSES_CHALLENGE : CLASSES_AUTO_REPLY;
	f->recipient = address_in(r->from);
	f->rule = "auto-submitted";
	f->confidence = 80;
	judge(f);
}

static void read_at(struct arena *a, slice message, struct bounce_message *out, unsigned depth)
{
	struct around *r = arena_new(a, struct around);
	enum auto_reply answer;
	slice id;

	*out = (struct bounce_message){0};
	*r = (struct around){.a = a, .out = out, .depth = depth};
	bounce_parts_read(a, message, &out->parts);
	look_around(r);
	if (bounce_parts_field(a, out->parts.returned, SLICE("Message-ID"), &id))
		out->message_id = dsn_address(id);
	if (out->parts.feedback.len) {
		read_arf(r);
		return;
	}
	if (is_sparse_feedback(r)) {
		one_feedback(r, ARF_COMPLAINT, returned_to(r));
		return;
	}
	bounce_text_read(out->parts.text, &r->text);
	if (out->parts.status.len && read_dsn(r))
		return;
	answer = auto_reply_of(a, &out->parts, r->from);
	if (!out->parts.receipt && read_text(r, answer))
		return;
	/* A mail system's notice shows no living mailbox. */
	if (answer != AUTO_REPLY_NO && !out->parts.receipt && !auto_reply_daemon(r->from)) {
		read_answer(r, answer);
		return;
	}
	add(r)->class = CLASSES_OTHER;
}

void bounce_read(struct arena *a, slice message, struct bounce_message *out)
{
	read_at(a, message, out, 0);
}
