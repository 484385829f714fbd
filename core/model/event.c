#include "core/model/event.h"

#include "core/base/bytes.h"
#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/parse/num.h"

#include <string.h>

/*	kind (1) | length of what follows, varint
 *	time - base, zigzag varint | campaign (8) | lane (4) | sequence, varint
 *	by kind:
 *	  CAMPAIGN     tenant length, varint | tenant | name
 *	  SENT         recipient (8) | provider (1) | queue id
 *	  ACCEPTED, DEFERRED   reply, varint | status, varint
 *	  BOUNCED      bounce (1) | reply, varint | status, varint
 *	  OPEN, UNSUBSCRIBE    class (1) | country (2) | evidence
 *	  CLICK        class (1) | country (2) | evidence | link, varint
 *	  RECIPIENT    name
 * A hit elsewhere than in PLACE_MAIN has a kind of its own on the wire. Evidence
 * is agent (2) | network (4) if bit 7 of the class is set.
 */
#define HEAD_MAX (VARINT_MAX + 8 + 4 + 5)
#define WIRE_TOP 10 /* OPEN in PLACE_TOP */
#define WIRE_AMP 11 /* CLICK in PLACE_AMP */
#define HAS_EVIDENCE 0x80
#define BODY_MAX (HEAD_MAX + 2 + 2 * EVENT_MAX_TEXT)

_Static_assert(1 + 2 + BODY_MAX <= EVENT_MAX, "the longest event fits");

static size_t put_varint(uint8_t *p, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		p[n++] = (uint8_t)(v | 0x80);
	p[n++] = (uint8_t)v;
	return n;
}

static size_t put_text(uint8_t *p, slice s)
{
	s = slice_sub(s, 0, EVENT_MAX_TEXT);
	if (s.len)
		memcpy(p, s.p, s.len);
	return s.len;
}

static bool country_ok(const char c[2])
{
	return (c[0] == 0 && c[1] == 0) || (c[0] >= 'A' && c[0] <= 'Z' && c[1] >= 'A' && c[1] <= 'Z');
}

static size_t put_hit(const struct event *e, uint8_t *p)
{
	must((unsigned)e->class <= CLASS_SELF);
	p[0] = (uint8_t)e->class;
	memset(p + 1, 0, 2);
	if (country_ok(e->country))
		memcpy(p + 1, e->country, 2);
	if (!e->agent && !e->network)
		return 3;
	p[0] |= HAS_EVIDENCE;
	put_le16(p + 3, e->agent);
	put_le32(p + 5, e->network);
	return 9;
}

static size_t put_delivery(const struct event *e, uint8_t *p)
{
	size_t n = put_varint(p, e->reply);

	return n + put_varint(p + n, e->status);
}

/* What belongs to the kind. */
static size_t put_rest(const struct event *e, uint8_t *p)
{
	size_t n;

	switch (e->kind) {
	case EVENT_CAMPAIGN:
		n = put_varint(p, slice_sub(e->tenant, 0, EVENT_MAX_TEXT).len);
		n += put_text(p + n, e->tenant);
		return n + put_text(p + n, e->name);
	case EVENT_RECIPIENT:
		return put_text(p, e->name);
	case EVENT_SENT:
		put_le64(p, e->recipient);
		p[8] = e->provider;
		return 9 + put_text(p + 9, e->queue_id);
	case EVENT_ACCEPTED:
	case EVENT_DEFERRED:
		return put_delivery(e, p);
	case EVENT_BOUNCED:
		must((unsigned)e->bounce <= BOUNCE_BLOCK);
		p[0] = (uint8_t)e->bounce;
		return 1 + put_delivery(e, p + 1);
	case EVENT_OPEN:
	case EVENT_UNSUBSCRIBE:
		return put_hit(e, p);
	case EVENT_CLICK:
		n = put_hit(e, p);
		return n + put_varint(p + n, e->link);
	}
	must(!"event kind");
	return 0;
}

static uint8_t wire_kind(const struct event *e)
{
	if (e->place == PLACE_MAIN)
		return (uint8_t)e->kind;
	must(e->place == (e->kind == EVENT_OPEN ? PLACE_TOP : PLACE_AMP) &&
		(e->kind == EVENT_OPEN || e->kind == EVENT_CLICK));
	return e->kind == EVENT_OPEN ? WIRE_TOP : WIRE_AMP;
}

static void set_kind(struct event *e, uint8_t wire)
{
	e->kind = wire == WIRE_TOP ? EVENT_OPEN : wire == WIRE_AMP ? EVENT_CLICK : (enum event_kind)wire;
	e->place = wire == WIRE_TOP ? PLACE_TOP : wire == WIRE_AMP ? PLACE_AMP : PLACE_MAIN;
}

void event_encode(const struct event *e, uint64_t base_ms, struct buf *out)
{
	uint64_t delta = e->ms - base_ms; /* modulo 2^64, as is the way back */
	uint8_t body[BODY_MAX], head[1 + VARINT_MAX];
	size_t n, h;

	n = put_varint(body, delta << 1 ^ (uint64_t)((int64_t)delta >> 63));
	put_le64(body + n, e->campaign);
	put_le32(body + n + 8, e->lane);
	n += 12;
	n += put_varint(body + n, e->sequence);
	n += put_rest(e, body + n);
	head[0] = wire_kind(e);
	h = 1 + put_varint(head + 1, n);
	if (!buf_room(out, h + n))
		return;
	buf_put(out, slice_of(head, h));
	buf_put(out, slice_of(body, n));
}

/* A reader over the bytes of one event; ok turns false for good. */
struct reader {
	slice s;
	bool ok;
};

static uint64_t varint(struct reader *r, uint64_t most)
{
	uint64_t v = 0;
	size_t n;

	if (r->s.len && r->s.p[0] < 0x80) { /* the common case */
		v = r->s.p[0];
		n = 1;
	} else {
		n = get_varint(r->s, &v);
	}
	if (n == 0 || v > most) {
		r->ok = false;
		return 0;
	}
	r->s = slice_from(r->s, n);
	return v;
}

static slice bytes(struct reader *r, size_t n)
{
	slice got = slice_sub(r->s, 0, n);

	if (got.len < n)
		r->ok = false;
	r->s = slice_from(r->s, n);
	return got;
}

static uint64_t le(struct reader *r, size_t n)
{
	slice b = bytes(r, n);
	uint64_t v = 0;

	for (size_t i = b.len; i-- > 0;)
		v = v << 8 | b.p[i];
	return v;
}

static slice text(struct reader *r)
{
	if (r->s.len > EVENT_MAX_TEXT)
		r->ok = false;
	return bytes(r, r->s.len);
}

static void read_hit(struct reader *r, struct event *e)
{
	uint8_t class = (uint8_t)le(r, 1);
	slice country = bytes(r, 2);

	e->class = (enum hit_class)(class & ~HAS_EVIDENCE);
	if (country.len == 2)
		memcpy(e->country, country.p, 2);
	if (e->class > CLASS_SELF || !country_ok(e->country))
		r->ok = false;
	if (!(class & HAS_EVIDENCE))
		return;
	e->agent = (uint16_t)le(r, 2);
	e->network = (uint32_t)le(r, 4);
	if (!e->agent && !e->network)
		r->ok = false; /* one form for each event */
}

static void read_delivery(struct reader *r, struct event *e)
{
	e->reply = (uint16_t)varint(r, UINT16_MAX);
	e->status = (uint32_t)varint(r, UINT32_MAX);
}

static void read_rest(struct reader *r, struct event *e)
{
	switch (e->kind) {
	case EVENT_CAMPAIGN:
		e->tenant = bytes(r, varint(r, EVENT_MAX_TEXT));
		e->name = text(r);
		return;
	case EVENT_RECIPIENT:
		e->name = text(r);
		return;
	case EVENT_SENT:
		e->recipient = le(r, 8);
		e->provider = (uint8_t)le(r, 1);
		e->queue_id = text(r);
		return;
	case EVENT_BOUNCED:
		e->bounce = (enum bounce)le(r, 1);
		if (e->bounce > BOUNCE_BLOCK)
			r->ok = false;
		read_delivery(r, e);
		return;
	case EVENT_ACCEPTED:
	case EVENT_DEFERRED:
		read_delivery(r, e);
		return;
	case EVENT_OPEN:
	case EVENT_UNSUBSCRIBE:
		read_hit(r, e);
		return;
	case EVENT_CLICK:
		read_hit(r, e);
		e->link = (uint16_t)varint(r, UINT16_MAX);
		return;
	}
	bytes(r, r->s.len); /* a kind of a later version */
}

int event_decode(slice in, uint64_t base_ms, struct event *e)
{
	struct reader r = {.ok = true};
	uint64_t length, zigzag;
	size_t n;

	if (in.len == 0)
		return 0;
	if (in.p[0] == 0)
		return -REFUSE_SYNTAX;
	n = get_varint(slice_from(in, 1), &length);
	if (n == 0)
		return in.len - 1 < VARINT_MAX && (in.len == 1 || in.p[in.len - 1] & 0x80) ? -REFUSE_CUT
											   : -REFUSE_SYNTAX;
	n++;
	if (length > EVENT_MAX - n)
		return -REFUSE_RANGE;
	if (in.len - n < length)
		return -REFUSE_CUT;
	*e = (struct event){0};
	set_kind(e, in.p[0]);
	r.s = slice_sub(in, n, n + length);
	zigzag = varint(&r, UINT64_MAX);
	e->ms = base_ms + (zigzag >> 1 ^ (0 - (zigzag & 1)));
	if (r.s.len < 12)
		return -REFUSE_SYNTAX;
	e->campaign = get_le64(r.s.p);
	e->lane = get_le32(r.s.p + 8);
	r.s = slice_from(r.s, 12);
	e->sequence = (uint32_t)varint(&r, UINT32_MAX);
	if (!r.ok)
		return -REFUSE_SYNTAX;
	read_rest(&r, e);
	if (!r.ok || r.s.len)
		return -REFUSE_SYNTAX;
	return (int)(n + length);
}

const char *event_word(enum event_kind k)
{
	switch (k) {
#define X(name, n, word, what)                                                                               \
	case EVENT_##name:                                                                                   \
		return word;
		EVENT_LIST(X)
#undef X
	}
	return "unknown";
}

const char *class_word(enum hit_class c)
{
	switch (c) {
	case CLASS_NONE:
		return "none";
#define X(name, n, word, reads, arrived, what)                                                               \
	case CLASS_##name:                                                                                   \
		return word;
		CLASS_LIST(X)
#undef X
	}
	return "unknown";
}

const char *bounce_word(enum bounce b)
{
	static const char *const words[] = {"none", "hard", "soft", "block"};

	return (unsigned)b <= BOUNCE_BLOCK ? words[b] : "unknown";
}

static const char *const modes[] = {"off", "anonymous", "pseudonymous", "identified", "full"};

const char *privacy_word(enum privacy p)
{
	return (unsigned)p <= PRIVACY_FULL ? modes[p] : "unknown";
}

bool privacy_decode(slice word, enum privacy *p)
{
	for (unsigned i = 0; i <= PRIVACY_FULL; i++) {
		if (!slice_ieq(word, slice_str(modes[i])))
			continue;
		*p = (enum privacy)i;
		return true;
	}
	return false;
}

uint32_t status_decode(slice s)
{
	static const uint64_t most[3] = {5, 999, 999}; /* RFC 3463 section 2 */
	uint64_t part[3];

	for (int i = 0; i < 3; i++) {
		size_t dot = i < 2 ? slice_chr(s, '.', 0) : s.len;

		if (dot == SLICE_NPOS || dot > 3 || num_decode(slice_sub(s, 0, dot), most[i], &part[i]) < 0)
			return 0;
		s = slice_from(s, dot + 1);
	}
	return (uint32_t)(part[0] << 20 | part[1] << 10 | part[2]);
}

void status_encode(uint32_t status, struct buf *out)
{
	buf_printf(out, "%u.%u.%u", status >> 20, status >> 10 & 1023, status & 1023);
}
