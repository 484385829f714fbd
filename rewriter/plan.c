#include "rewriter/plan.h"

#include "core/base/find.h"
#include "core/parse/hdr.h"
#include "core/parse/url.h"
#include "rewriter/htmlscan.h"
#include "rewriter/policy.h"
#include "rewriter/textlink.h"
#include "rewriter/utm.h"

#include <string.h>

#define MESSAGE_MAX (UINT32_MAX / 2) /* offsets of sites are 32 bits, and copies grow */

const char *untouched_word(enum untouched u)
{
	static const char *const words[] = {[UNTOUCHED_NOT] = "edited",
		[UNTOUCHED_NO_CAMPAIGN] = "no-campaign",
		[UNTOUCHED_OFF] = "off",
		[UNTOUCHED_NOTHING_TO_DO] = "nothing-to-do",
		[UNTOUCHED_SIGNED] = "signed",
		[UNTOUCHED_ENCRYPTED] = "encrypted",
		[UNTOUCHED_ATTACHED] = "attachment",
		[UNTOUCHED_REPORT] = "report",
		[UNTOUCHED_CHARSET] = "charset",
		[UNTOUCHED_ENCODING] = "encoding",
		[UNTOUCHED_CAP] = "cap",
		[UNTOUCHED_MALFORMED] = "malformed",
		[UNTOUCHED_OURS] = "already-rewritten",
		[UNTOUCHED_PROOF] = "proof"};

	return (unsigned)u < sizeof words / sizeof *words ? words[u] : "unknown";
}

slice plan_campaign(const struct plan *p)
{
	return p->tracks ? p->control.campaign : SLICE_NONE;
}

slice plan_tenant(const struct plan *p)
{
	return p->control.tenant;
}

slice plan_message_id(const struct plan *p)
{
	return p->control.message_id;
}

slice plan_recipient_id(const struct plan *p)
{
	return p->control.recipient_id;
}

enum privacy plan_privacy(const struct plan *p)
{
	return p->control.privacy;
}

bool plan_tracks(const struct plan *p)
{
	return p->tracks;
}

enum untouched plan_untouched(const struct plan *p)
{
	return p->untouched;
}

bool plan_has_control(const struct plan *p)
{
	for (unsigned i = 0; i < p->control.cut_count; i++)
		if (!p->control.cut[i].signature)
			return true;
	return false;
}

void *plan_grown(struct arena *a, void *list, size_t count, size_t *room, size_t each)
{
	void *more;

	if (count < *room)
		return list;
	*room = *room ? *room * 2 : 32;
	more = arena_alloc(a, *room * each);
	if (count)
		memcpy(more, list, count * each);
	return more;
}

void plan_left(struct arena *a, struct plan *p, const struct part_plan *part, size_t offset, slice url,
	enum left why)
{
	p->left = plan_grown(a, p->left, p->left_count, &p->left_room, sizeof *p->left);
	p->left[p->left_count++] = (struct left_link){.part = part, .offset = offset, .url = url, .why = why};
}

void plan_left_part(struct arena *a, struct plan *p, slice number, enum untouched why)
{
	p->left_parts =
		plan_grown(a, p->left_parts, p->left_part_count, &p->left_part_room, sizeof *p->left_parts);
	p->left_parts[p->left_part_count++] = (struct left_part){.number = number, .why = why};
}

struct site *plan_site(struct arena *a, struct part_plan *part, enum site_kind kind, size_t from, size_t to)
{
	struct site *s;

	part->sites = plan_grown(a, part->sites, part->site_count, &part->site_room, sizeof *part->sites);
	s = &part->sites[part->site_count++];
	*s = (struct site){.kind = kind,
		.from = (uint32_t)from,
		.to = (uint32_t)to,
		.fold_before = SITE_NO_FOLD,
		.fold_after = SITE_NO_FOLD};
	return s;
}

enum left plan_target(struct arena *a, struct plan *p, const struct verdict *v, uint32_t *target)
{
	struct targets *t = &p->targets;
	struct target *to;
	struct buf b;
	size_t i;

	if (t->count == TARGET_MAX)
		return LEFT_TOO_MANY;
	i = target_get(t, v->url);
	to = &t->list[i];
	if (to->to.len == 0 && to->why == LEFT_NOT) {
		to->to = v->url;
		if (p->policy.utm_count)
			to->to = utm_add(a, v->url, p->policy.utm, p->policy.utm_count);
		if (to->to.len > t->max_url)
			to->why = LEFT_TOO_LONG;
		if (!v->easy) {
			/* A link that the tracker could not send on is better left alone. */
			b = (struct buf){.cap = to->to.len * 9 + 256};
			b.p = arena_alloc(a, b.cap);
			b.room = b.cap;
			if (url_location(to->to, &b) < 0 || b.full)
				to->why = LEFT_INVALID;
		}
	}
	if (to->why != LEFT_NOT)
		return to->why;
	if (to->unsubscribe)
		return LEFT_UNSUBSCRIBE;
	*target = (uint32_t)i;
	return LEFT_NOT;
}

static void text_links(struct arena *a, struct plan *p, struct part_plan *part, slice scan)
{
	struct textlink_iter it;
	struct textlink l;

	textlink_start(&it, scan, part->charset == CHARSET_UTF8 || part->charset == CHARSET_ASCII,
		part->part->flowed && part->part->delsp);
	while (textlink_next(&it, &l) > 0) {
		struct verdict v;
		enum left why =
			target_judge(&p->targets, part->charset, slice_sub(scan, l.from, l.to), false, &v);
		uint32_t target = 0;

		if (l.opted_out) {
			plan_site(a, part, SITE_CUT, l.to, l.mark_to);
			why = LEFT_OPT_OUT;
		}
		if (why == LEFT_NOT && l.cut)
			why = LEFT_CUT;
		if (why == LEFT_NOT)
			why = plan_target(a, p, &v, &target);
		/* An opt-out in the HTML holds for the same URL here. */
		if (why == LEFT_NOT && p->targets.list[target].opted_out)
			why = LEFT_OPT_OUT;
		if (why == LEFT_NOT)
			plan_site(a, part, SITE_TEXT_LINK, l.from, l.to)->target = target;
		else
			plan_left(a, p, part, l.from, v.url, why);
	}
}

/* Why a leaf is left alone by its type alone; UNTOUCHED_NOT: it is text to edit.
 * UNTOUCHED_NOTHING_TO_DO: of no interest, not worth a word. */
static enum untouched leaf(const struct plan *p, const struct mime_part *m)
{
	if (mime_is(m, SLICE("multipart"), SLICE("signed")))
		return UNTOUCHED_SIGNED;
	if (mime_is(m, SLICE("multipart"), SLICE("encrypted")))
		return UNTOUCHED_ENCRYPTED;
	if (mime_is(m, SLICE("multipart"), SLICE("report")))
		return UNTOUCHED_REPORT;
	if (mime_is(m, SLICE("application"), SLICE("pkcs7-mime")) ||
		mime_is(m, SLICE("application"), SLICE("x-pkcs7-mime")) ||
		mime_is(m, SLICE("application"), SLICE("pgp-encrypted")))
		return UNTOUCHED_ENCRYPTED;
	if (mime_is(m, SLICE("application"), SLICE("pkcs7-signature")) ||
		mime_is(m, SLICE("application"), SLICE("pgp-signature")))
		return UNTOUCHED_SIGNED;
	if (m->odd)
		return UNTOUCHED_MALFORMED;
	if (mime_is(m, SLICE("message"), SLICE_NONE))
		return UNTOUCHED_ATTACHED;
	if (!mime_is(m, SLICE("text"), SLICE("html")) && !mime_is(m, SLICE("text"), SLICE("plain")) &&
		!(p->policy.amp_links && mime_is(m, SLICE("text"), SLICE("x-amp-html"))))
		return UNTOUCHED_NOTHING_TO_DO;
	if (m->attachment)
		return UNTOUCHED_ATTACHED;
	if (m->cte == MIME_CTE_UNKNOWN)
		return UNTOUCHED_ENCODING;
	if (charset_of(m->charset) == CHARSET_UNKNOWN)
		return UNTOUCHED_CHARSET;
	return UNTOUCHED_NOT;
}

/* Make the part's text readable. UNTOUCHED_NOT, or why it cannot be. */
static enum untouched decode(struct arena *a, struct part_plan *part)
{
	switch (part->part->cte) {
	case MIME_QP:
		qp_decode(a, part->body, &part->qp);
		part->dec = part->qp.dec;
		break;
	case MIME_BASE64:
		if (mimeb64_decode(a, part->body, &part->b64) < 0)
			return UNTOUCHED_ENCODING;
		part->dec = part->b64.dec;
		break;
	default:
		part->dec = part->body;
		break;
	}
	/* UTF-16 under a false flag */
	if (part->dec.len >= 2 && ((part->dec.p[0] == 0xff && part->dec.p[1] == 0xfe) ||
					  (part->dec.p[0] == 0xfe && part->dec.p[1] == 0xff)))
		return UNTOUCHED_CHARSET;
	if (!part->html && find_pair(part->dec, 0, '-', '-') < part->dec.len &&
		slice_find(part->dec, SLICE("-----BEGIN PGP "), 0) != SLICE_NPOS)
		return UNTOUCHED_SIGNED;
	return UNTOUCHED_NOT;
}

static struct part_plan *part_open(struct arena *a, struct plan *p, size_t index)
{
	const struct mime_part *m = &p->tree.parts[index];
	struct part_plan *part = arena_new(a, struct part_plan);

	part->part = m;
	part->number = mime_number(a, &p->tree, index);
	part->html = !mime_is(m, SLICE("text"), SLICE("plain"));
	part->amp = mime_is(m, SLICE("text"), SLICE("x-amp-html"));
	part->charset = charset_of(m->charset);
	part->body = slice_sub(p->message, m->body, m->to);
	part->line_end =
		slice_chr(part->body, '\n', 0) == SLICE_NPOS ? p->line_end : hdr_line_end(part->body, 0);
	return part;
}

/* Drop what turned out not to be a site, and give the others their places in
 * the message. */
static void settle(struct arena *a, struct plan *p, struct part_plan *part)
{
	size_t n = 0;

	for (size_t i = 0; i < part->site_count; i++) {
		struct site s = part->sites[i];

		if (s.kind == SITE_LINK && s.vml && p->targets.list[s.target].opted_out) {
			plan_left(a, p, part, s.from, p->targets.list[s.target].url, LEFT_OPT_OUT);
			continue;
		}
		if (s.kind == SITE_DROPPED)
			continue;
		if (part->part->cte == MIME_QP) {
			s.enc_to = (uint32_t)qp_place_after(&part->qp, s.to);
			s.enc_from = s.from < s.to ? (uint32_t)qp_place(&part->qp, s.from) : s.enc_to;
		} else {
			s.enc_from = s.from;
			s.enc_to = s.to;
		}
		s.enc_from += (uint32_t)part->part->body;
		s.enc_to += (uint32_t)part->part->body;
		if (s.kind == SITE_LINK || s.kind == SITE_TEXT_LINK) {
			struct target *t = &p->targets.list[s.target];

			if (t->number < 0)
				t->number = (int)p->targets.numbered++;
		}
		part->sites[n++] = s;
	}
	part->site_count = n;
}

static void plan_parts(struct arena *a, struct plan *p)
{
	struct part_plan **all = arena_array(a, struct part_plan *, p->tree.count);
	bool pixel = p->control.opens;

	/* HTML first: opt-outs there hold for the text, which stands before it. */
	for (size_t i = 0; i < p->tree.count; i++) {
		const struct mime_part *m = &p->tree.parts[i];
		struct part_plan *part;
		enum untouched why;
		bool html;

		if (m->multipart)
			continue;
		why = leaf(p, m);
		html = mime_is(m, SLICE("text"), SLICE("html"));
		if (why != UNTOUCHED_NOT) {
			if (why != UNTOUCHED_NOTHING_TO_DO)
				plan_left_part(a, p, mime_number(a, &p->tree, i), why);
			continue;
		}
		if (!html && mime_is(m, SLICE("text"), SLICE("plain"))) {
			if (p->control.clicks && p->policy.text_links)
				all[i] = part_open(a, p, i);
			continue;
		}
		if (!p->control.clicks && !(pixel && html) && p->html)
			continue;
		part = part_open(a, p, i);
		why = decode(a, part);
		if (why != UNTOUCHED_NOT) {
			plan_left_part(a, p, part->number, why);
			continue;
		}
		htmlscan(a, p, part, charset_mask(a, part->charset, part->dec), p->control.clicks,
			pixel && html);
		if (html && !p->html)
			p->html = part;
		if (part->has_pixel || (html && slice_trim(part->dec).len))
			pixel = false;
		all[i] = part;
	}
	for (size_t i = 0; i < p->tree.count; i++) {
		struct part_plan *part = all[i];
		enum untouched why;

		if (!part || part->html)
			continue;
		why = decode(a, part);
		if (why != UNTOUCHED_NOT) {
			plan_left_part(a, p, part->number, why);
			all[i] = NULL;
			continue;
		}
		text_links(a, p, part, charset_mask(a, part->charset, part->dec));
	}
	/* Link numbers: the HTML's in their order, then what only the text has. */
	for (int html = 1; html >= 0; html--)
		for (size_t i = 0; i < p->tree.count; i++)
			if (all[i] && all[i]->html == (html == 1))
				settle(a, p, all[i]);
	p->parts = all;
	for (size_t i = 0; i < p->tree.count; i++)
		if (all[i] && all[i]->site_count) {
			p->parts[p->part_count++] = all[i];
			p->amp |= all[i]->amp;
		}
}

/* What the header section alone decides. */
static enum untouched judge(const struct plan *p)
{
	if (p->control.privacy == PRIVACY_OFF)
		return UNTOUCHED_OFF;
	if (p->control.ours)
		return UNTOUCHED_OURS;
	if (p->control.campaign.len == 0)
		return UNTOUCHED_NO_CAMPAIGN;
	if (!policy_url_fit(p->policy.track_url))
		return UNTOUCHED_NOTHING_TO_DO;
	if (p->control.signed_)
		return UNTOUCHED_SIGNED;
	if (p->control.end > MESSAGE_MAX_HEADER)
		return UNTOUCHED_CAP;
	/* A body that starts with a blank would become a fold of the field that is
	 * put before it. */
	if (p->control.end < p->message.len &&
		(p->message.p[p->control.end] == ' ' || p->message.p[p->control.end] == '\t'))
		return UNTOUCHED_MALFORMED;
	return UNTOUCHED_NOT;
}

const struct plan *message_plan(struct arena *a, slice message, const struct policy *policy)
{
	struct plan *p = arena_new(a, struct plan);

	p->message = message;
	p->policy = *policy;
	p->line_end = hdr_line_end(message, 0);
	targets_start(&p->targets, a, &p->policy);
	if (message.len > MESSAGE_MAX || control_read(a, message, &p->policy, &p->control) < 0) {
		/* What could be read of the control fields is not worth much. */
		p->control = (struct control){.tenant = policy->default_tenant};
		p->untouched = UNTOUCHED_CAP;
		return p;
	}
	p->untouched = judge(p);
	if (p->untouched != UNTOUCHED_NOT)
		return p;
	if (mime_walk(a, message, &p->tree) < 0) {
		p->untouched = UNTOUCHED_CAP;
		return p;
	}
	p->tracks = true;
	for (unsigned i = 0; i < p->control.unsubscribe_count; i++) {
		size_t t = target_get(&p->targets, p->control.unsubscribe[i]);

		p->targets.list[t].unsubscribe = true;
	}
	plan_parts(a, p);
	return p;
}
