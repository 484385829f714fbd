#include "rewriter/copy.h"

#include "core/base/refuse.h"
#include "core/parse/json.h"

#define CLIPPED 102000 /* larger HTML is cut by Gmail */

/* Offset in the message of a byte of a part's decoded text. */
static size_t offset_of(const struct part_plan *part, size_t d)
{
	size_t body = part->part->body;

	switch (part->part->cte) {
	case MIME_QP:
		return body + qp_place(&part->qp, d);
	case MIME_BASE64:
		return body + mimeb64_offset(&part->b64, d);
	default:
		return body + d;
	}
}

static const char *kind_of(const struct edit *e)
{
	if (e->fold)
		return "fold";
	switch (e->site->kind) {
	case SITE_LINK:
		return "link";
	case SITE_TEXT_LINK:
		return "text-link";
	case SITE_PIXEL:
		return "pixel";
	default:
		return "attribute";
	}
}

static void part_edits(struct json_out *j, const struct copy *c, const struct part_copy *pc)
{
	for (size_t i = 0; i < pc->inner.count; i++) {
		const struct edit *e = &pc->inner.list[i];
		const struct site *s = e->fold ? NULL : e->site;
		size_t from = offset_of(pc->plan, e->offset), to = offset_of(pc->plan, e->offset + e->length);

		if (pc->plan->part->cte == MIME_QP && s) {
			from = s->enc_from;
			to = s->enc_to;
		}
		json_object(j, NULL);
		json_uint(j, "offset", from);
		json_uint(j, "length", to - from);
		json_str(j, "kind", slice_str(kind_of(e)));
		json_str(j, "part", pc->plan->number);
		if (s && (s->kind == SITE_LINK || s->kind == SITE_TEXT_LINK)) {
			const struct target *t = &c->plan->targets.list[s->target];

			json_str(j, "url", t->to);
			json_int(j, "link", t->number);
			json_str(j, "token", slice_from(e->bytes, c->plan->policy.track_url.len + 3));
		} else if (s && s->kind == SITE_PIXEL) {
			slice token =
				slice_from(e->bytes, slice_find(e->bytes, c->plan->policy.track_url, 0) +
							     c->plan->policy.track_url.len + 3);

			json_str(j, "token", slice_sub(token, 0, slice_chr(token, '.', 0)));
		}
		json_end(j);
	}
}

static void header_edits(struct json_out *j, const struct copy *c)
{
	for (size_t i = 0; i < c->edits.count && !c->edits.list[i].part; i++) {
		const struct edit *e = &c->edits.list[i];

		json_object(j, NULL);
		json_uint(j, "offset", e->offset);
		json_uint(j, "length", e->length);
		json_str(j, "kind", SLICE("header"));
		json_str(j, "part", SLICE("header"));
		if (e->bytes.len)
			json_str(j, "token", c->id);
		json_end(j);
	}
}

static void left_links(struct json_out *j, const struct left_link *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		json_object(j, NULL);
		json_uint(j, "offset", offset_of(list[i].part, list[i].offset));
		json_str(j, "part", list[i].part->number);
		json_str(j, "url", list[i].url);
		json_str(j, "why", slice_str(left_word(list[i].why)));
		json_end(j);
	}
}

static void warning(struct arena *a, struct json_out *j, const char *what, slice about)
{
	size_t room = about.len + 200;
	struct buf b = {.p = arena_alloc(a, room), .room = room, .cap = room};

	buf_str(&b, what);
	buf_put(&b, about);
	json_str(j, NULL, buf_slice(&b));
}

static void warnings(struct arena *a, struct json_out *j, const struct copy *c, const char *broken)
{
	const struct plan *p = c->plan;

	json_array(j, "warnings");
	if (broken)
		warning(a, j, "the proof failed and the original goes out: ", slice_str(broken));
	if (c->html_size > CLIPPED)
		json_str(j, NULL,
			SLICE("the HTML is larger than 102000 bytes: Gmail cuts it off, with the pixel"));
	for (size_t i = 0; i < p->left_count; i++) {
		const struct left_link *l = &p->left[i];

		if (l->why == LEFT_MERGE_TAG)
			warning(a, j, "unresolved placeholder in a link: ", l->url);
		else if (l->why == LEFT_RELATIVE && slice_istarts(l->url, SLICE("www.")))
			warning(a, j, "a link without https:// leads nowhere: ", l->url);
		else if (l->why == LEFT_INVALID)
			warning(a, j, "a link that no browser can follow: ", l->url);
	}
	json_end(j);
}

static void untouched(struct json_out *j, const struct plan *p)
{
	json_array(j, "untouched");
	if (p->untouched != UNTOUCHED_NOT) {
		json_object(j, NULL);
		json_str(j, "part", SLICE("message"));
		json_str(j, "why", slice_str(untouched_word(p->untouched)));
		json_end(j);
	}
	for (size_t i = 0; i < p->left_part_count; i++) {
		json_object(j, NULL);
		json_str(j, "part", p->left_parts[i].number);
		json_str(j, "why", slice_str(untouched_word(p->left_parts[i].why)));
		json_end(j);
	}
	json_end(j);
}

int message_explain(
	struct arena *a, const struct plan *p, const struct identity *id, struct sealer *s, struct buf *out)
{
	const char *broken = NULL;
	struct json_out j;
	struct copy c;
	size_t size = 0;
	uint8_t *copy;

	if (copy_make(a, p, id, s, &c) < 0) {
		broken = "seal";
	} else {
		size = edit_size(p->message, &c.edits);
		copy = arena_alloc(a, size);
		edit_apply(p->message, &c.edits, copy);
		if (copy_prove(a, &c, id, s, slice_of(copy, size), &broken) == 0)
			broken = NULL;
	}
	json_start(&j, out);
	json_object(&j, NULL);
	json_str(&j, "campaign", plan_campaign(p));
	json_str(&j, "tenant", plan_tenant(p));
	json_str(&j, "mode", slice_str(privacy_word(plan_privacy(p))));
	json_bool(&j, "opens", p->control.opens);
	json_bool(&j, "clicks", p->control.clicks);
	json_array(&j, "edits");
	if (!broken) {
		header_edits(&j, &c);
		for (size_t i = 0; p->tracks && i < p->part_count; i++)
			part_edits(&j, &c, &c.parts[i]);
	}
	json_end(&j);
	json_array(&j, "left");
	left_links(&j, p->left, p->left_count);
	left_links(&j, c.left, c.left_count);
	json_end(&j);
	untouched(&j, p);
	warnings(a, &j, &c, broken);
	json_uint(&j, "size_in", p->message.len);
	json_uint(&j, "size_out", broken ? p->message.len : size);
	json_uint(&j, "html_size", c.html_size);
	json_end(&j);
	return out->full ? -REFUSE_TOO_LARGE : 0;
}
