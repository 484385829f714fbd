#include "rewriter/copy.h"

#include "core/base/refuse.h"
#include "core/parse/hdr.h"
#include "core/parse/html.h"

#include <string.h>

/* The copy's fields are the original's, less the control fields, and ours. */
static bool fields_right(const struct copy *c, slice out)
{
	const struct control *k = &c->plan->control;
	unsigned fields = 0;
	struct hdr_iter it;
	struct hdr h;
	int rc;

	hdr_start(&it, out, 0);
	while ((rc = hdr_next(&it, &h)) > 0)
		fields++;
	return rc == 0 && fields == k->fields - k->cut_count + c->added_fields;
}

/* Walks the edits of a part by their offsets in the new text. */
struct expect {
	const struct edits *e;
	size_t next;
	size_t offset;
};

/* The next link or pixel that must be found, and where. */
static const struct edit *expected(struct expect *x, size_t *at)
{
	while (x->next < x->e->count) {
		const struct edit *e = &x->e->list[x->next];

		*at = e->offset + x->offset;
		if (e->site && !e->fold && e->bytes.len)
			return e;
		x->offset += e->bytes.len - e->length;
		x->next++;
	}
	return NULL;
}

static void met(struct expect *x)
{
	const struct edit *e = &x->e->list[x->next++];

	x->offset += e->bytes.len - e->length;
}

struct scan {
	const struct copy *c;
	slice in; /* the part's new text */
	struct expect x;
	unsigned pixels; /* that point to us */
	const char *broken;
};

static bool starts_ours(const struct copy *c, slice value, char kind)
{
	slice url = c->plan->policy.track_url;

	return slice_starts(value, url) && value.len > url.len + 3 && value.p[url.len] == '/' &&
	       value.p[url.len + 1] == (uint8_t)kind && value.p[url.len + 2] == '/';
}

static void found_link(struct scan *s, const struct html_token *t)
{
	struct html_attr a;
	slice value;
	size_t at;
	const struct edit *e;

	if (!html_attr_find(s->in, t, SLICE("href"), &a))
		return;
	value = html_slice(s->in, a.value);
	if (!starts_ours(s->c, value, TOKEN_CLICK))
		return;
	e = expected(&s->x, &at);
	/* Our own links of before come back as they were; they are not expected. */
	if (!e || at > a.value.from)
		return;
	if (e->site->kind != SITE_LINK || at != a.value.from || !slice_eq(value, e->bytes))
		s->broken = "link";
	else
		met(&s->x);
}

static void found_image(struct scan *s, const struct html_token *t)
{
	struct html_attr a;
	size_t at;
	const struct edit *e;

	if (!html_attr_find(s->in, t, SLICE("src"), &a) ||
		!starts_ours(s->c, slice_trim(html_slice(s->in, a.value)), TOKEN_OPEN))
		return;
	s->pixels++;
	e = expected(&s->x, &at);
	if (e && e->site->kind == SITE_PIXEL && at == t->from && t->to - t->from == e->bytes.len)
		met(&s->x);
}

static void start_tag(struct scan *s, const struct html_token *t, bool commented)
{
	const uint8_t *name = s->in.p + t->name.from;
	size_t n = t->name.to - t->name.from;

	if ((n == 1 && (name[0] | 0x20) == 'a') || (n > 2 && name[1] == ':') ||
		(n == 4 && html_is(s->in, t, SLICE("area"))))
		found_link(s, t);
	else if (n == 3 && !commented && html_is(s->in, t, SLICE("img")))
		found_image(s, t);
}

static void conditional(struct scan *s, const struct html_token *t)
{
	slice data = html_slice(s->in, t->data);
	struct html_span inside = t->data;
	struct html_iter it;
	struct html_token u;
	size_t open = slice_istarts(data, SLICE("[if")) ? slice_find(data, SLICE("]>"), 0) : SLICE_NPOS;

	if (open == SLICE_NPOS)
		return;
	inside.from += open + 2;
	html_start_span(&it, s->in, inside);
	while (!s->broken && html_next(&it, &u) > 0)
		if (u.kind == HTML_START)
			start_tag(s, &u, true);
}

/* Read the new HTML again: every link and pixel stands where it was put, as
 * markup, and no other pixel. */
static const char *html_wrong(struct arena *a, const struct copy *c, const struct part_copy *pc, slice dec)
{
	struct scan s = {.c = c, .in = charset_mask(a, pc->plan->charset, dec), .x = {.e = &pc->inner}};
	struct html_iter it;
	struct html_token t;
	size_t at;

	html_start(&it, s.in);
	while (!s.broken && html_next(&it, &t) > 0) {
		if (t.kind == HTML_START)
			start_tag(&s, &t, false);
		else if (t.kind == HTML_COMMENT)
			conditional(&s, &t);
	}
	if (s.broken)
		return s.broken;
	if (expected(&s.x, &at))
		return "link-lost";
	if (pc->pixels && s.pixels != pc->pixels)
		return "pixel";
	return NULL;
}

/* The end of the tag or comment [.., to) of the original in the new text; *i:
 * the first edit behind it. */
static size_t end_in_copy(const struct edits *e, size_t *i, size_t grown, size_t to)
{
	for (; *i < e->count && e->list[*i].offset < to; ++*i)
		grown += e->list[*i].bytes.len - e->list[*i].length;
	return to + grown;
}

/* Read one token of the new text from an offset at which markup is read. */
static bool token_at(slice in, size_t from, enum html_kind kind, size_t to, struct html_token *t)
{
	struct html_iter it;

	html_start_span(&it, in, (struct html_span){from, in.len});
	return html_next(&it, t) > 0 && t->kind == kind && t->from == from && t->to == to;
}

/* The tag whose first edit is e->list[*i]: still the same tag, and its link is
 * the value of its href. *i and *grown go behind it. */
static const char *tag_wrong(slice old, slice in, const struct edits *e, size_t *i, size_t *grown)
{
	const struct site *s = e->list[*i].site;
	size_t from = s->tag_from + *grown, n = *i, to = end_in_copy(e, &n, *grown, s->tag_to);
	size_t name_to = s->tag_from + 1;
	struct html_token t;
	struct html_attr a;

	if (!token_at(in, from, HTML_START, to, &t))
		return "tag";
	name_to += t.name.to - t.name.from;
	if (!slice_eq(html_slice(in, t.name), slice_sub(old, s->tag_from + 1, name_to)))
		return "tag-name";
	for (; *i < n; ++*i) {
		const struct edit *x = &e->list[*i];

		if (!x->fold && x->site->kind == SITE_LINK &&
			(!html_attr_find(in, &t, SLICE("href"), &a) || a.value.from != x->offset + *grown ||
				!slice_eq(html_slice(in, a.value), x->bytes)))
			return "link";
		*grown += x->bytes.len - x->length;
	}
	return NULL;
}

/* Every tag that was edited is read again where it stands now. By induction that
 * is as good as reading the whole text again: what lies between the edited tags
 * is the same bytes, each edited tag begins and ends where it did and has the
 * name that it had, so the tokenizer goes through the same states. Neither the
 * edited tags nor the pixel switch its state. */
static const char *tags_wrong(struct arena *a, const struct part_copy *pc, slice dec)
{
	slice in = charset_mask(a, pc->plan->charset, dec), old = pc->plan->dec;
	const struct edits *e = &pc->inner;
	size_t i = 0, grown = 0;
	unsigned found = 0;
	uint32_t comment = SITE_NONE;
	struct html_token t;
	struct html_attr src;
	const char *wrong;

	while (i < e->count) {
		const struct edit *x = &e->list[i];

		if (x->site->kind == SITE_PIXEL) {
			size_t from = x->offset + grown;

			/* The one way in which text before it could swallow it. */
			if (slice_ends(slice_sub(in, 0, from), SLICE("</")))
				return "pixel";
			if (!token_at(in, from, HTML_START, from + x->bytes.len, &t) ||
				!html_is(in, &t, SLICE("img")) ||
				!html_attr_find(in, &t, SLICE("src"), &src) ||
				src.value.to > from + x->bytes.len)
				return "pixel";
			found++;
			grown += x->bytes.len - x->length;
			i++;
			continue;
		}
		if (x->site->comment_from != SITE_NONE && x->site->comment_from != comment) {
			size_t n = i;

			comment = x->site->comment_from;
			if (!token_at(in, comment + grown, HTML_COMMENT,
				    end_in_copy(e, &n, grown, x->site->comment_to), &t))
				return "comment";
		}
		wrong = tag_wrong(old, in, e, &i, &grown);
		if (wrong)
			return wrong;
	}
	return found == pc->pixels ? NULL : "pixel";
}

/* Decode the part of the copy and compare it with the decoded original. */
static const char *part_wrong(
	struct arena *a, const struct copy *c, const struct part_copy *pc, slice body, bool whole)
{
	struct qp_text qp;
	struct mimeb64_text b64;
	slice dec = body;

	switch (pc->plan->part->cte) {
	case MIME_QP:
		qp_decode(a, body, &qp);
		dec = qp.dec;
		break;
	case MIME_BASE64:
		if (mimeb64_decode(a, body, &b64) < 0)
			return "encoding";
		dec = b64.dec;
		break;
	default:
		break;
	}
	/* Without a transfer encoding that has been compared already. */
	if ((dec.p != body.p || whole) && !edit_undoes(pc->plan->dec, dec, &pc->inner))
		return "decoded";
	if (!pc->plan->html)
		return NULL;
	return whole ? html_wrong(a, c, pc, dec) : tags_wrong(a, pc, dec);
}

/* "https://t.example/c/" + token: does it open to the destination? */
static bool opens_to(const struct copy *c, const struct identity *id, struct sealer *s,
	const struct target *to, slice url, uint8_t place)
{
	const struct policy *p = &c->plan->policy;
	uint8_t room[TOKEN_ROOM];
	struct token t;

	return token_open(s, p->track_host, TOKEN_CLICK, slice_from(url, p->track_url.len + 3), room, &t) ==
		       0 &&
	       slice_eq(t.url, to->to) && t.link == to->number && t.place == place &&
	       t.campaign == id->campaign && t.lane == id->lane;
}

static int prove(struct arena *a, const struct copy *c, const struct identity *id, struct sealer *s,
	slice out, bool whole, const char **rule)
{
	const struct plan *p = c->plan;
	size_t next = 0, grown = 0; /* modulo 2^64 */

	*rule = "undo";
	if (!edit_undoes(p->message, out, &c->edits))
		return -REFUSE_PROOF;
	if (!p->tracks)
		return 0;
	*rule = "fields";
	if (!fields_right(c, out))
		return -REFUSE_PROOF;
	*rule = "token";
	for (size_t i = 0; i < p->targets.count; i++)
		if (c->urls[i].len &&
			(!opens_to(c, id, s, &p->targets.list[i], c->urls[i], PLACE_MAIN) ||
				(c->amp && !opens_to(c, id, s, &p->targets.list[i], c->amp[i], PLACE_AMP))))
			return -REFUSE_PROOF;
	for (size_t i = 0; i < p->part_count; i++) {
		const struct mime_part *m = p->parts[i]->part;
		size_t from, to;

		/* All its links found no room on their lines. */
		if (c->parts[i].inner.count == 0)
			continue;
		for (; next < c->edits.count && c->edits.list[next].part != p->parts[i]; next++)
			grown += c->edits.list[next].bytes.len - c->edits.list[next].length;
		from = m->body + grown;
		for (; next < c->edits.count && c->edits.list[next].part == p->parts[i]; next++)
			grown += c->edits.list[next].bytes.len - c->edits.list[next].length;
		to = m->to + grown;
		*rule = part_wrong(a, c, &c->parts[i], slice_sub(out, from, to), whole);
		if (*rule)
			return -REFUSE_PROOF;
	}
	*rule = "";
	return 0;
}

int copy_prove(struct arena *a, const struct copy *c, const struct identity *id, struct sealer *s, slice out,
	const char **rule)
{
	return prove(a, c, id, s, out, false, rule);
}

int copy_prove_whole(struct arena *a, const struct copy *c, const struct identity *id, struct sealer *s,
	slice out, const char **rule)
{
	return prove(a, c, id, s, out, true, rule);
}
