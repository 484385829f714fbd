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
static const char *html_wrong(const struct copy *c, const struct part_copy *pc, slice in)
{
	struct scan s = {.c = c, .in = in, .x = {.e = &pc->inner}};
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

/* The stretch of the new text that begins where old offset `start` went and is
 * len bytes long, shorter only at the end of the text. `i`: the first edit that is
 * not before it. Where the text was not decoded (dec.p NULL) it is put together
 * from the old text and the edits, which has been proved to be the same. */
static slice stretch(struct arena *a, const struct part_copy *pc, slice dec, size_t start, size_t grown,
	size_t i, size_t len)
{
	slice old = pc->plan->dec;
	struct buf b;

	if (dec.p)
		return slice_sub(dec, start + grown, start + grown + len);
	b = (struct buf){.p = arena_alloc(a, len), .room = len, .cap = len};
	while (b.len < len) {
		const struct edit *x = i < pc->inner.count ? &pc->inner.list[i++] : NULL;
		slice gap = slice_sub(old, start, x ? x->offset : old.len);

		buf_put(&b, slice_sub(gap, 0, len - b.len));
		if (!x)
			break;
		buf_put(&b, slice_sub(x->bytes, 0, len - b.len));
		start = x->offset + x->length;
	}
	return buf_slice(&b);
}

/* Is the first token of in, at which markup is read, of this kind and this long?
 * in holds one byte more, where the text goes on: that is all that a tokenizer
 * could see of what follows. */
static bool token_is(slice in, enum html_kind kind, size_t len, struct html_token *t)
{
	struct html_iter it;

	html_start(&it, in);
	return html_next(&it, t) > 0 && t->kind == kind && t->from == 0 && t->to == len;
}

/* The tag whose first edit is e->list[*i]: still the same tag, and its link is
 * the value of its href. *i and *grown go behind it. */
static const char *tag_wrong(struct arena *a, const struct part_copy *pc, slice dec, size_t *i, size_t *grown)
{
	const struct edits *e = &pc->inner;
	const struct site *s = e->list[*i].site;
	size_t n = *i, len = end_in_copy(e, &n, *grown, s->tag_to) - (s->tag_from + *grown), name_to;
	slice in = stretch(a, pc, dec, s->tag_from, *grown, *i, len + 1);
	/* of old offsets in `in` */
	size_t shift = (size_t)0 - s->tag_from;
	struct html_token t;
	struct html_attr h;

	if (!token_is(in, HTML_START, len, &t))
		return "tag";
	name_to = s->tag_from + 1 + (t.name.to - t.name.from);
	if (!slice_eq(html_slice(in, t.name), slice_sub(pc->plan->dec, s->tag_from + 1, name_to)))
		return "tag-name";
	for (; *i < n; ++*i) {
		const struct edit *x = &e->list[*i];

		if (!x->fold && x->site->kind == SITE_LINK &&
			(!html_attr_find(in, &t, SLICE("href"), &h) || h.value.from != x->offset + shift ||
				!slice_eq(html_slice(in, h.value), x->bytes)))
			return "link";
		shift += x->bytes.len - x->length;
		*grown += x->bytes.len - x->length;
	}
	return NULL;
}

/* The pixel that is edit i: is it read as one where it stands? */
static bool pixel_read(
	struct arena *a, const struct copy *c, const struct part_copy *pc, slice dec, size_t i, size_t grown)
{
	const struct edit *list = pc->inner.list, *x = &list[i];
	size_t start = x->offset, before = 0, k = i;
	struct html_token t;
	struct html_attr src;
	slice in;

	/* Two bytes of the new text before it, be they of an edit or of the old text. */
	while (before < 2 && start > 0) {
		size_t edge = k ? list[k - 1].offset + list[k - 1].length : 0, gap = start - edge;

		if (gap >= 2 - before || k == 0) {
			gap = gap < 2 - before ? gap : 2 - before;
			start -= gap;
			before += gap;
			if (k == 0)
				break;
		} else {
			before += gap + list[--k].bytes.len;
			start = list[k].offset;
			grown -= list[k].bytes.len - list[k].length;
		}
	}
	in = stretch(a, pc, dec, start, grown, k, before + x->bytes.len + 1);
	/* The one way in which text before it could swallow it. */
	if (slice_ends(slice_sub(in, 0, before), SLICE("</")))
		return false;
	in = slice_from(in, before);
	return token_is(in, HTML_START, x->bytes.len, &t) && html_is(in, &t, SLICE("img")) &&
	       html_attr_find(in, &t, SLICE("src"), &src) && src.value.to <= x->bytes.len &&
	       starts_ours(c, html_slice(in, src.value), TOKEN_OPEN);
}

/* Every tag that was edited is read again where it stands now. By induction that
 * is as good as reading the whole text again: what lies between the edited tags
 * is the same bytes, each edited tag begins and ends where it did and has the
 * name that it had, so the tokenizer goes through the same states. Neither the
 * edited tags nor the pixel switch its state. */
static const char *tags_wrong(struct arena *a, const struct copy *c, const struct part_copy *pc, slice dec)
{
	const struct edits *e = &pc->inner;
	size_t i = 0, grown = 0;
	unsigned found = 0;
	uint32_t comment = SITE_NONE;
	struct html_token t;
	const char *wrong;

	while (i < e->count) {
		const struct edit *x = &e->list[i];

		if (x->site->kind == SITE_PIXEL) {
			if (!pixel_read(a, c, pc, dec, i, grown))
				return "pixel";
			found++;
			grown += x->bytes.len - x->length;
			i++;
			continue;
		}
		if (x->site->comment_from != SITE_NONE && x->site->comment_from != comment) {
			size_t n = i, len;

			comment = x->site->comment_from;
			len = end_in_copy(e, &n, grown, x->site->comment_to) - (comment + grown);
			if (!token_is(stretch(a, pc, dec, comment, grown, i, len + 1), HTML_COMMENT, len, &t))
				return "comment";
		}
		wrong = tag_wrong(a, pc, dec, &i, &grown);
		if (wrong)
			return wrong;
	}
	return found == pc->pixels ? NULL : "pixel";
}

/* Quoted-printable means a line what it means whatever stands around the line. So
 * only the lines that hold an edit are decoded again; the others were compared as
 * they stand. out: the copy, in which the part's edits, [list, list + count), are
 * moved by grown. */
static bool lines_right(struct arena *a, const struct copy *c, const struct part_copy *pc, slice out,
	const struct edit *list, size_t count, size_t grown)
{
	const struct mime_part *part = pc->plan->part;
	slice in = slice_sub(c->plan->message, 0, part->to);
	const struct qp_text *t = &pc->plan->qp;
	size_t from, to = part->body; /* the lines that are being looked at */

	if (count != pc->inner.count)
		return false;
	for (size_t i = 0, n; i < count; i = n) {
		size_t start = grown, lf = slice_rchr(slice_sub(in, to, list[i].offset), '\n');
		size_t dec_from, dec_to;
		struct qp_text now;

		from = lf == SLICE_NPOS ? to : to + lf + 1;
		for (n = i; n < count && (n == i || list[n].offset < to); n++) {
			size_t end = list[n].offset + list[n].length;

			if (list[n].site != pc->inner.list[n].site)
				return false;
			/* The line's end is looked for once, however many edits it holds. */
			if (n == i || end >= to) {
				lf = slice_chr(in, '\n', end);
				to = lf == SLICE_NPOS ? in.len : lf + 1;
			}
			grown += list[n].bytes.len - list[n].length;
		}
		qp_decode(a, slice_sub(out, from + start, to + grown), &now);
		dec_from = qp_decoded(t, from - part->body);
		dec_to = qp_decoded(t, to - part->body);
		if (!edit_undoes_part(slice_sub(t->dec, dec_from, dec_to), dec_from, now.dec,
			    &pc->inner.list[i], n - i))
			return false;
	}
	return true;
}

/* Where there is no transfer encoding: are the message's edits the text's? */
static bool edits_alike(const struct part_copy *pc, const struct edit *list, size_t count)
{
	if (count != pc->inner.count)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct edit *x = &pc->inner.list[i];

		if (list[i].offset - pc->plan->part->body != x->offset || list[i].length != x->length ||
			!slice_eq(list[i].bytes, x->bytes))
			return false;
	}
	return true;
}

/* The pixel's markup, in which blanks may have become line ends. */
static bool pixel_same(slice pixel, slice now, slice line_end)
{
	size_t i = 0;

	for (size_t k = 0; k < pixel.len; k++) {
		if (i < now.len && now.p[i] == pixel.p[k])
			i++;
		else if (pixel.p[k] == ' ' && slice_starts(slice_from(now, i), line_end))
			i += line_end.len;
		else
			return false;
	}
	return i == now.len && pixel.len > 0;
}

/* Does the edit stand where its site is, and put in what that is for? A pixel is
 * read as markup later. */
static bool site_right(const struct copy *c, const struct part_copy *pc, const struct edit *x)
{
	const struct site *s = x->site;

	if (!s)
		return false;
	if (x->fold && x->length == 1 && (x->offset == s->fold_before || x->offset == s->fold_after))
		return slice_eq(x->bytes, pc->plan->line_end);
	if (x->offset != s->from || x->length != s->to - s->from)
		return false;
	switch (s->kind) {
	case SITE_LINK:
	case SITE_TEXT_LINK:
		return x->bytes.len && slice_eq(x->bytes, (pc->plan->amp ? c->amp : c->urls)[s->target]);
	case SITE_PIXEL:
		return pc->plan->html && pixel_same(c->pixel[s->target], x->bytes, pc->plan->line_end);
	default:
		return slice_eq(x->bytes, x->fold ? pc->plan->line_end : SLICE_NONE);
	}
}

/* Decode the part of the copy and compare it with the decoded original. */
static const char *part_wrong(struct arena *a, const struct copy *c, const struct part_copy *pc, slice out,
	const struct edit *list, size_t count, size_t grown, bool whole)
{
	const struct mime_part *part = pc->plan->part;
	size_t end = part->to + grown;
	struct qp_text qp;
	struct mimeb64_text b64;
	slice body, dec;

	for (size_t i = 0; i < count; i++)
		end += list[i].bytes.len - list[i].length;
	for (size_t i = 0; i < pc->inner.count; i++)
		if (!site_right(c, pc, &pc->inner.list[i]))
			return "site";
	body = dec = slice_sub(out, part->body + grown, end);
	switch (part->cte) {
	case MIME_QP:
		/* Masked text is made of all of it. */
		if (!whole && pc->plan->charset != CHARSET_ISO2022JP) {
			if (!lines_right(a, c, pc, out, list, count, grown))
				return "decoded";
			dec = SLICE_NONE;
			break;
		}
		qp_decode(a, body, &qp);
		dec = qp.dec;
		break;
	case MIME_BASE64:
		if (mimeb64_decode(a, body, &b64) < 0)
			return "encoding";
		dec = b64.dec;
		break;
	default:
		/* The body is the text, and has been compared. */
		if (!whole && !edits_alike(pc, list, count))
			return "decoded";
		break;
	}
	if (dec.p && (dec.p != body.p || whole) && !edit_undoes(pc->plan->dec, dec, &pc->inner))
		return "decoded";
	if (!pc->plan->html)
		return NULL;
	if (dec.p)
		dec = charset_mask(a, pc->plan->charset, dec);
	return whole ? html_wrong(c, pc, dec) : tags_wrong(a, c, pc, dec);
}

/* "https://t.example/c/" + token: do they open, each to its destination? */
static bool links_open(
	const struct copy *c, const struct identity *id, struct sealer *s, const slice *urls, uint8_t place)
{
	const struct policy *p = &c->plan->policy;
	const struct targets *targets = &c->plan->targets;
	const struct target *to[TOKEN_TOGETHER];
	uint8_t room[TOKEN_TOGETHER][TOKEN_ROOM];
	struct token t[TOKEN_TOGETHER];
	slice text[TOKEN_TOGETHER];
	unsigned n = 0;

	for (size_t i = 0; i < targets->count; i++) {
		if (urls[i].len) {
			to[n] = &targets->list[i];
			text[n++] = slice_from(urls[i], p->track_url.len + 3);
		}
		if (n == 0 || (n < TOKEN_TOGETHER && i + 1 < targets->count))
			continue;
		if (token_open_all(s, p->track_host, TOKEN_CLICK, text, n, room, t) != 0)
			return false;
		for (unsigned k = 0; k < n; k++)
			if (!slice_eq(t[k].url, to[k]->to) || t[k].link != to[k]->number ||
				t[k].place != place || t[k].campaign != id->campaign || t[k].lane != id->lane)
				return false;
		n = 0;
	}
	return true;
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
	if (!links_open(c, id, s, c->urls, PLACE_MAIN) ||
		(c->amp && !links_open(c, id, s, c->amp, PLACE_AMP)))
		return -REFUSE_PROOF;
	for (size_t i = 0; i < p->part_count; i++) {
		size_t first, before;

		/* All its links found no room on their lines. */
		if (c->parts[i].inner.count == 0)
			continue;
		for (; next < c->edits.count && c->edits.list[next].part != p->parts[i]; next++)
			grown += c->edits.list[next].bytes.len - c->edits.list[next].length;
		first = next;
		before = grown;
		for (; next < c->edits.count && c->edits.list[next].part == p->parts[i]; next++)
			grown += c->edits.list[next].bytes.len - c->edits.list[next].length;
		*rule = part_wrong(
			a, c, &c->parts[i], out, &c->edits.list[first], next - first, before, whole);
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
