#include "rewriter/control.h"

#include "core/base/refuse.h"
#include "core/parse/hdr.h"

bool control_fit(slice s)
{
	if (s.len == 0 || s.len > EVENT_MAX_TEXT)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

static bool switch_decode(slice word, bool *on)
{
	*on = *on && slice_ieq(word, SLICE("on"));
	return slice_ieq(word, SLICE("on")) || slice_ieq(word, SLICE("off"));
}

static bool mode_decode(slice word, enum privacy *least)
{
	enum privacy p;

	if (!privacy_decode(word, &p))
		return false;
	if (p < *least)
		*least = p;
	return true;
}

/* "opens=on; clicks=off; mode=full". Whatever is not understood turns all off. */
static void track(slice value, struct control *c)
{
	size_t pos = 0;
	unsigned read = 0;
	bool good = true;

	while (pos <= value.len) {
		size_t to = slice_chr(value, ';', pos), eq;
		slice item, name, word;

		if (to == SLICE_NPOS)
			to = value.len;
		item = slice_trim(slice_sub(value, pos, to));
		pos = to + 1;
		if (item.len == 0)
			continue;
		read++;
		eq = slice_chr(item, '=', 0);
		if (eq == SLICE_NPOS) {
			good = false;
			continue;
		}
		name = slice_trim(slice_sub(item, 0, eq));
		word = slice_trim(slice_from(item, eq + 1));
		if (slice_ieq(name, SLICE("opens")))
			good &= switch_decode(word, &c->opens);
		else if (slice_ieq(name, SLICE("clicks")))
			good &= switch_decode(word, &c->clicks);
		else if (slice_ieq(name, SLICE("mode")))
			good &= mode_decode(word, &c->privacy);
		else
			good = false;
	}
	if (!good || read == 0)
		c->privacy = PRIVACY_OFF;
}

/* "<https://...>, <mailto:...>": what stands between the brackets. */
static void unsubscribe(slice value, struct control *c)
{
	size_t pos = 0;

	while (c->unsubscribe_count < CONTROL_MAX_UNSUBSCRIBE) {
		size_t from = slice_chr(value, '<', pos), to;

		if (from == SLICE_NPOS)
			return;
		to = slice_chr(value, '>', from);
		if (to == SLICE_NPOS)
			return;
		c->unsubscribe[c->unsubscribe_count++] = slice_trim(slice_sub(value, from + 1, to));
		pos = to + 1;
	}
}

/* "Name of the list <id.host>": the id. */
static slice list_id(slice value)
{
	size_t from = slice_rchr(value, '<'), to;

	if (from == SLICE_NPOS)
		return value;
	to = slice_chr(value, '>', from);
	return slice_trim(slice_sub(value, from + 1, to == SLICE_NPOS ? value.len : to));
}

/* Most messages have one of these and most fields are none of them, so the
 * first letter decides first. */
enum field {
	F_NONE,
	F_CAMPAIGN,
	F_TENANT,
	F_RECIPIENT,
	F_TRACK,
	F_ID,
	F_DKIM,
	F_ARC,
	F_FEEDBACK_ID,
	F_CFBL,
	F_UNSUBSCRIBE,
	F_UNSUBSCRIBE_POST,
	F_MESSAGE_ID
};

static enum field field_of(slice name)
{
	static const struct {
		slice name;
		enum field f;
	} known[] = {
		{SLICE("X-Landfall-Campaign"), F_CAMPAIGN},
		{SLICE("X-Landfall-Tenant"), F_TENANT},
		{SLICE("X-Landfall-Recipient-Id"), F_RECIPIENT},
		{SLICE("X-Landfall-Track"), F_TRACK},
		{SLICE("X-Landfall-Id"), F_ID},
		{SLICE("DKIM-Signature"), F_DKIM},
		{SLICE("ARC-Seal"), F_ARC},
		{SLICE("ARC-Message-Signature"), F_ARC},
		{SLICE("Feedback-ID"), F_FEEDBACK_ID},
		{SLICE("CFBL-Address"), F_CFBL},
		{SLICE("CFBL-Feedback-ID"), F_CFBL},
		{SLICE("List-Unsubscribe"), F_UNSUBSCRIBE},
		{SLICE("List-Unsubscribe-Post"), F_UNSUBSCRIBE_POST},
		{SLICE("Message-ID"), F_MESSAGE_ID},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (name.len == known[i].name.len && slice_ieq(name, known[i].name))
			return known[i].f;
	return F_NONE;
}

/* The d= of a DKIM-Signature (RFC 6376 3.2); empty: none. */
static slice signer(slice value)
{
	size_t pos = 0;

	while (pos < value.len) {
		size_t to = slice_chr(value, ';', pos), eq;
		slice item = slice_trim(slice_sub(value, pos, to == SLICE_NPOS ? value.len : to));

		eq = slice_chr(item, '=', 0);
		if (eq != SLICE_NPOS && slice_eq(slice_trim(slice_sub(item, 0, eq)), SLICE("d")))
			return slice_trim(slice_from(item, eq + 1));
		if (to == SLICE_NPOS)
			break;
		pos = to + 1;
	}
	return SLICE_NONE;
}

static bool signs_behind_us(const struct policy *p, slice value)
{
	slice domain = signer(value);

	for (size_t i = 0; i < p->signer_count; i++)
		if (domain.len && slice_ieq(domain, p->signers[i]))
			return true;
	return false;
}

static int cut(struct control *c, const struct hdr *h, bool signature)
{
	if (c->cut_count == CONTROL_MAX_REMOVED)
		return -REFUSE_HEADER_TOO_LARGE;
	c->cut[c->cut_count++] = (struct control_cut){h->from, h->to, signature};
	return 0;
}

int control_read(struct arena *a, slice message, const struct policy *p, struct control *c)
{
	slice other = SLICE_NONE; /* from the campaign headers of others */
	size_t other_rank = p->campaign_header_count;
	bool named = false, tenant_named = false, tenant_lost = false;
	struct hdr_iter it;
	struct hdr h;
	int rc;

	*c = (struct control){
		.tenant = p->default_tenant, .privacy = p->mode, .opens = p->opens, .clicks = p->clicks};
	if (p->track.len)
		track(p->track, c);
	hdr_start(&it, message, 0);
	while ((rc = hdr_next(&it, &h)) > 0) {
		enum field f = field_of(h.name);
		slice value = f == F_NONE ? SLICE_NONE : hdr_unfold(a, h.value);

		c->fields++;
		if (f >= F_CAMPAIGN && f <= F_TRACK && cut(c, &h, false) < 0)
			return -REFUSE_HEADER_TOO_LARGE;
		switch (f) {
		case F_CAMPAIGN:
			/* Two names are as unreadable as none. */
			c->campaign = !named && control_fit(value) ? value : SLICE_NONE;
			named = true;
			break;
		case F_TENANT:
			if (!p->allow_tenant)
				break;
			/* Counted for nobody is better than for another one. */
			tenant_lost |= tenant_named || !control_fit(value);
			tenant_named = true;
			c->tenant = value;
			break;
		case F_RECIPIENT:
			if (control_fit(value))
				c->recipient_id = value;
			break;
		case F_TRACK:
			track(value, c);
			break;
		case F_ID:
			c->ours = true;
			break;
		case F_DKIM:
			if (!signs_behind_us(p, value))
				c->signed_ = true;
			else if (cut(c, &h, true) < 0)
				return -REFUSE_HEADER_TOO_LARGE;
			break;
		case F_ARC:
			c->signed_ = true;
			break;
		case F_FEEDBACK_ID:
			c->has_feedback_id = true;
			break;
		case F_CFBL:
			c->has_cfbl = true;
			break;
		case F_UNSUBSCRIBE:
			c->has_unsubscribe = true;
			unsubscribe(value, c);
			break;
		case F_UNSUBSCRIBE_POST:
			c->has_unsubscribe_post = true;
			break;
		case F_MESSAGE_ID:
			if (c->message_id.len == 0)
				c->message_id = value;
			break;
		case F_NONE:
			break;
		}
		for (size_t i = 0; i < other_rank; i++) {
			slice text;

			if (!slice_ieq(h.name, p->campaign_headers[i]))
				continue;
			text = hdr_unfold(a, h.value);
			if (slice_ieq(h.name, SLICE("List-Id")))
				text = list_id(text);
			if (control_fit(text)) {
				other = text;
				other_rank = i;
			}
		}
	}
	if (rc < 0)
		return rc;
	c->end = it.end;
	if (p->campaign_given)
		c->campaign = p->default_campaign;
	else if (!named)
		c->campaign = other.len ? other : p->default_campaign;
	if (tenant_lost) {
		c->tenant = p->default_tenant;
		c->campaign = SLICE_NONE;
	}
	return 0;
}
