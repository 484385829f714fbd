#include "rewriter/htmlscan.h"

#include "core/base/find.h"
#include "core/parse/html.h"
#include "rewriter/baseurl.h"

#include <string.h>

/* All but the tags that are looked at: a, area, base, body, html, img, v:* */
#define PASSED                                                                                               \
	(~(HTML_LETTER('a') | HTML_LETTER('b') | HTML_LETTER('h') | HTML_LETTER('i') | HTML_LETTER('v')))

struct scan {
	struct arena *a;
	struct plan *p;
	struct part_plan *part;
	slice in; /* borrows: decoded text with foreign states masked */
	bool clicks;
	bool ours;                          /* a pixel of ours is there already */
	size_t body_from, body_to, html_to; /* SLICE_NPOS: not seen */
	bool based;                         /* a <base href> was seen; the first counts */
	slice base;                         /* what it says, where relative links are tracked */
	/* The link whose text is about to come: index of its site + 1. */
	size_t open_link;
	const struct html_token *tag, *comment; /* where the scan is; comment: NULL outside */
};

/* An attribute by which a vendor lets a sender opt out. */
static bool opts_out(slice in, const struct html_attr *a)
{
	static const struct {
		slice name;
		const char *values; /* "" : any, also none */
	} known[] = {
		{SLICE("data-landfall"), "off"},
		{SLICE("ses:no-track"), ""},
		{SLICE("data-msys-clicktrack"), "0"},
		{SLICE("clicktracking"), "off"},
		{SLICE("data-pm-no-track"), ""},
		{SLICE("disable-tracking"), "yes true 1"},
		{SLICE("data-no-track"), ""},
		{SLICE("mc:disable-tracking"), ""},
		{SLICE("mautic:disable-tracking"), ""},
	};
	slice name = html_slice(in, a->name);

	if (name.len < 12)
		return false;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		slice values = slice_str(known[i].values), value;
		size_t at;

		if (!slice_ieq(name, known[i].name))
			continue;
		if (values.len == 0)
			return true;
		value = slice_trim(html_slice(in, a->value));
		at = value.len ? slice_ifind(values, value, 0) : SLICE_NPOS;
		return at != SLICE_NPOS && (at == 0 || values.p[at - 1] == ' ') &&
		       (at + value.len == values.len || values.p[at + value.len] == ' ');
	}
	return false;
}

/* Marked as an unsubscribe link by its author. */
static bool marks_unsubscribe(slice in, const struct html_attr *a)
{
	slice name = html_slice(in, a->name), value = slice_trim(html_slice(in, a->value));

	return (slice_ieq(name, SLICE("data-msys-unsubscribe")) && slice_eq(value, SLICE("1"))) ||
	       (slice_ieq(name, SLICE("rel")) && slice_ieq(value, SLICE("unsubscribe")));
}

/* A site within the tag that is being read. */
static struct site *site_in_tag(struct scan *s, enum site_kind kind, size_t from, size_t to)
{
	struct site *site = plan_site(s->a, s->part, kind, from, to);

	site->tag_from = (uint32_t)s->tag->from;
	site->tag_to = (uint32_t)s->tag->to;
	site->comment_from = s->comment ? (uint32_t)s->comment->from : SITE_NONE;
	site->comment_to = s->comment ? (uint32_t)s->comment->to : SITE_NONE;
	return site;
}

/* Take the attribute out with one blank before it. */
static void cut_attr(struct scan *s, const struct html_attr *a)
{
	size_t from = a->name.from;
	uint8_t after = a->to < s->in.len ? s->in.p[a->to] : '>';

	/* What is left on both sides must not make the end of a comment. */
	if (s->comment && (after == '-' || after == '>'))
		return;

	/* A line end stays, and the blank where it parts two others: <a data-no-track="1"href=x> */
	if (from > 0 && (s->in.p[from - 1] == ' ' || s->in.p[from - 1] == '\t') &&
		(ascii_space(after) || after == '/' || after == '>'))
		from--;
	site_in_tag(s, SITE_CUT, from, a->to);
}

static uint32_t fold_at(slice in, size_t i)
{
	return i < in.len && (in.p[i] == ' ' || in.p[i] == '\t') ? (uint32_t)i : SITE_NO_FOLD;
}

/* A link: judge it, and make it a site or note why not. */
static void link_found(
	struct scan *s, const struct html_attr *href, bool opted_out, bool unsubscribe, bool anchor)
{
	/* Not the masked text: what is masked may be converted. */
	slice raw = html_slice(s->part->dec, href->value);
	struct verdict v;
	enum left why = target_judge(&s->p->targets, s->part->charset, raw, true, &v);
	uint32_t target = 0;
	struct site *site;

	if (why == LEFT_RELATIVE && s->base.len) {
		slice joined = baseurl_join(s->a, s->base, v.url);

		/* Of what is joined nothing has to be decoded any more. */
		if (joined.len)
			why = target_judge(&s->p->targets, CHARSET_UTF8, joined, false, &v);
	}
	if (why == LEFT_NOT && opted_out) {
		target = (uint32_t)target_get(&s->p->targets, v.url);
		s->p->targets.list[target].opted_out = true;
		why = LEFT_OPT_OUT;
	}
	if (why == LEFT_NOT && unsubscribe)
		why = LEFT_UNSUBSCRIBE;
	/* A token may end in "--", which before '>' would end the comment. */
	if (why == LEFT_NOT && s->comment && !href->quote)
		why = LEFT_COMMENT;
	if (why == LEFT_NOT)
		why = plan_target(s->a, s->p, &v, &target);
	if (why != LEFT_NOT) {
		plan_left(s->a, s->p, s->part, href->value.from, v.url, why);
		s->p->left[s->p->left_count - 1].commented = s->comment != NULL;
		return;
	}
	site = site_in_tag(s, SITE_LINK, href->value.from, href->value.to);
	site->target = target;
	site->quote = href->quote;
	site->fold_before = href->name.from > 0 ? fold_at(s->in, href->name.from - 1) : SITE_NO_FOLD;
	site->fold_after = fold_at(s->in, href->to);
	site->vml = !anchor;
	if (anchor)
		s->open_link = s->part->site_count;
}

static void link_tag(struct scan *s, const struct html_token *t, bool anchor)
{
	struct html_attr_iter it;
	struct html_attr a, href = {0};
	bool has_href = false, opted_out = false, unsubscribe = false;

	html_attr_start(&it, s->in, t);
	while (html_attr_next(&it, &a) > 0) {
		size_t n = a.name.to - a.name.from;

		if (n == 4 && !has_href && html_attr_is(s->in, &a, SLICE("href"))) {
			href = a;
			has_href = true;
		} else if (n >= 12 && opts_out(s->in, &a)) {
			opted_out = true;
			cut_attr(s, &a);
		} else if (n == 3 || n == 21) {
			unsubscribe |= marks_unsubscribe(s->in, &a);
		}
	}
	if (has_href)
		link_found(s, &href, opted_out, unsubscribe, anchor);
}

/* <base>: the first that has an href says where relative links lead. */
static void base_found(struct scan *s, const struct html_token *t)
{
	struct html_attr a;
	struct verdict v;

	if (s->based || !html_attr_find(s->in, t, SLICE("href"), &a))
		return;
	s->based = true;
	if (target_judge(&s->p->targets, s->part->charset, html_slice(s->in, a.value), true, &v) == LEFT_NOT)
		s->base = v.url;
}

/* Is this the pixel of an earlier run, perhaps of a mail that is quoted? */
static bool our_pixel(struct scan *s, const struct html_token *t)
{
	slice url = s->p->policy.track_url, src;
	struct html_attr a;

	/* Most images are not even like it: "https://t.example/o/" */
	if (find_pair(slice_sub(s->in, 0, t->to), t->from, 'o', '/') == t->to ||
		!html_attr_find(s->in, t, SLICE("src"), &a))
		return false;
	src = slice_trim(html_slice(s->in, a.value));
	return slice_starts(src, url) && slice_starts(slice_from(src, url.len), SLICE("/o/"));
}

static void start_tag(struct scan *s, const struct html_token *t)
{
	const uint8_t *name = s->in.p + t->name.from;
	size_t n = t->name.to - t->name.from;

	s->tag = t;
	switch (n) {
	case 1:
		if ((name[0] | 0x20) == 'a') {
			s->open_link = 0;
			if (s->clicks)
				link_tag(s, t, true);
		}
		return;
	case 3:
		if ((name[0] | 0x20) == 'i' && html_is(s->in, t, SLICE("img")))
			s->ours |= our_pixel(s, t);
		break;
	case 4:
		if ((name[0] | 0x20) == 'a' && s->clicks && html_is(s->in, t, SLICE("area")))
			link_tag(s, t, false);
		else if (s->body_to == SLICE_NPOS && !s->comment && html_is(s->in, t, SLICE("body")))
			s->body_to = t->to;
		else if (s->p->policy.base_links && !s->comment && html_is(s->in, t, SLICE("base")))
			base_found(s, t);
		break;
	}
	if (n > 2 && name[1] == ':' && (name[0] | 0x20) == 'v' && s->clicks)
		link_tag(s, t, false);
}

/* Does the token that ends with the input lack its own end? */
static bool cut_off(slice in, const struct html_token *t)
{
	switch (t->kind) {
	case HTML_LOST:
		return true;
	case HTML_COMMENT:
		/* A "-" before the end of the input is not data either. */
		return t->data.to == t->to || in.p[t->to - 1] != '>';
	case HTML_DOCTYPE:
		return in.p[t->to - 1] != '>';
	default:
		return false;
	}
}

/* The markup that Outlook reads in <!--[if mso]> ... <![endif]-->. */
static void conditional(struct scan *s, const struct html_token *t)
{
	static const uint8_t href[4] = {'h', 'r', 'e', 'f'};
	slice data = html_slice(s->in, t->data);
	struct html_span inside = t->data;
	struct html_iter it;
	struct html_token u;
	size_t open, close;

	/* An unfinished comment hides the rest of the mail. */
	if (!slice_istarts(data, SLICE("[if")) || cut_off(s->in, t))
		return;
	open = find_pair(data, 0, ']', '>');
	if (open == data.len || find_word(data, 0, href) == data.len)
		return;
	close = slice_rchr(data, '<');
	inside.to = t->data.from + (close == SLICE_NPOS ? data.len : close);
	inside.from = t->data.from + open + 2;
	if (inside.from >= inside.to)
		return;
	s->comment = t;
	html_start_span(&it, s->in, inside);
	it.no_text = true;
	it.passed = PASSED;
	while (html_next(&it, &u) > 0)
		if (u.kind == HTML_START)
			start_tag(s, &u);
	s->comment = NULL;
}

/* The first words within a link: do they show a URL? */
static void link_text(struct scan *s, const struct html_token *t)
{
	slice text = slice_trim(html_slice(s->in, t->data));
	struct site *site;

	if (text.len == 0)
		return;
	if (target_shown(&s->p->targets, text)) {
		site = &s->part->sites[s->open_link - 1];
		plan_left(
			s->a, s->p, s->part, site->from, s->p->targets.list[site->target].url, LEFT_URL_TEXT);
		site->kind = SITE_DROPPED;
	}
	s->open_link = 0;
}

/* Put a pixel site where it belongs in the order. */
static void pixel_at(struct scan *s, size_t at, uint32_t which)
{
	struct site site, *last;
	size_t k = s->part->site_count;

	plan_site(s->a, s->part, SITE_PIXEL, at, at);
	last = &s->part->sites[k];
	last->target = which;
	site = *last;
	for (; k > 0 && s->part->sites[k - 1].from >= at && s->part->sites[k - 1].to > at; k--)
		s->part->sites[k] = s->part->sites[k - 1];
	s->part->sites[k] = site;
	s->part->has_pixel = true;
	s->p->pixels++;
}

/* tail: where what a browser throws away at the end begins. */
static void pixels(struct scan *s, size_t body_end, size_t html_end, size_t tail)
{
	slice dec = s->part->dec;
	size_t at = body_end != SLICE_NPOS ? body_end : html_end;

	if (s->ours || slice_trim(dec).len == 0)
		return;
	if (at == SLICE_NPOS) {
		if (tail == SLICE_NPOS)
			return;
		at = tail;
		if (at == dec.len && at && dec.p[at - 1] == '\n')
			at -= at > 1 && dec.p[at - 2] == '\r' ? 2 : 1;
		/* At the end this is text; before a '<' it would begin a comment. */
		if (slice_ends(slice_sub(dec, 0, at), SLICE("</")))
			at -= 2;
		if (!charset_ascii_at(s->part->charset, dec, at))
			return;
	}
	if (s->p->policy.top_pixel && s->body_to != SLICE_NPOS && s->body_to <= at)
		pixel_at(s, s->body_to, PIXEL_TOP);
	pixel_at(s, at, PIXEL_BOTTOM);
}

void htmlscan(struct arena *a, struct plan *p, struct part_plan *part, slice scan, bool clicks, bool pixel)
{
	struct scan s = {.a = a, .p = p, .part = part, .in = scan, .clicks = clicks, .body_to = SLICE_NPOS};
	size_t body_end = SLICE_NPOS, html_end = SLICE_NPOS, tail = scan.len;
	struct html_iter it;
	struct html_token t;

	html_start(&it, scan);
	it.no_text = true;
	it.passed = PASSED;
	while (html_next(&it, &t) > 0) {
		switch (t.kind) {
		case HTML_START:
			start_tag(&s, &t);
			break;
		case HTML_END:
			switch (t.name.to - t.name.from) {
			case 1:
				s.open_link = 0;
				break;
			case 4:
				if (html_is(scan, &t, SLICE("body")))
					body_end = t.from;
				else if (html_is(scan, &t, SLICE("html")))
					html_end = t.from;
				break;
			}
			break;
		case HTML_TEXT:
			if (s.open_link && !p->policy.track_url_text)
				link_text(&s, &t);
			break;
		case HTML_COMMENT:
			conditional(&s, &t);
			break;
		case HTML_LOST:
		case HTML_DOCTYPE:
			break;
		}
		/* In a link every tag counts that ends it, and its text. */
		it.no_text = s.open_link == 0;
		it.passed = it.no_text ? PASSED : 0;
		/* What the end of the input cuts off would swallow a pixel behind it. */
		if (t.to == scan.len && cut_off(scan, &t))
			tail = t.from;
	}
	if (it.state != HTML_DATA)
		tail = SLICE_NPOS;
	if (pixel)
		pixels(&s, body_end, html_end, tail);
}
