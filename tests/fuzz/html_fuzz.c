/* Tokens tile the input; names, data and values lie inside their token in
 * order; an attribute's span is what the tag loses when it is taken out; and
 * decoding never needs more than three times the bytes. With and without short
 * cuts the tokens are the same; without text, they are the others.
 * The first byte chooses the options. */
#include "core/parse/html.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void attributes(slice in, const struct html_token *t)
{
	struct html_attr_iter it;
	struct html_attr a, found;
	size_t last = t->data.from;
	struct buf value;

	html_attr_start(&it, in, t);
	while (html_attr_next(&it, &a)) {
		slice name = html_slice(in, a.name);

		check(a.from == last && a.from <= a.name.from && a.name.from < a.name.to);
		check(a.name.to <= a.value.from && a.value.from <= a.value.to && a.value.to <= a.to);
		check(a.to <= t->data.to && (a.has_value || a.to == a.name.to));
		if (a.quote)
			check(in.p[a.value.from - 1] == a.quote && in.p[a.value.to] == a.quote &&
				a.to == a.value.to + 1);
		/* The first of a name is the one that is found. */
		check(html_attr_find(in, t, name, &found) && found.from <= a.from);
		buf_init(&value, 3 * (a.value.to - a.value.from));
		html_attr_decode(html_slice(in, a.value), &value);
		check(!value.full);
		buf_free(&value);
		last = a.to;
	}
	/* After the last attribute only white space and '/'. */
	for (; last < t->data.to; last++)
		check(ascii_space(in.p[last]) || in.p[last] == '\f' || in.p[last] == '/');
}

static bool span_eq(struct html_span a, struct html_span b)
{
	return a.from == b.from && a.to == b.to;
}

static void same(struct html_iter *it, struct html_iter *plain, const struct html_token *t)
{
	struct html_token u;

	check(html_next(plain, &u) == 1);
	check(t->kind == u.kind && t->state == u.state && t->from == u.from && t->to == u.to);
	check(span_eq(t->name, u.name) && span_eq(t->data, u.data) && t->self_closing == u.self_closing);
	check(it->pos == plain->pos && it->state == plain->state &&
		slice_eq(it->last_start, plain->last_start));
}

static bool passed(const struct html_iter *it, const struct html_token *t)
{
	return (t->kind == HTML_START || t->kind == HTML_END) &&
	       it->passed & HTML_LETTER(ascii_lower(it->in.p[t->name.from]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_from(slice_of(data, size), 1);
	struct html_iter it, vectors, shorter, plain, markup, tags;
	struct html_token t;
	struct buf text;
	size_t last = 0;

	html_start(&it, in);
	if (size) {
		it.foreign = data[0] & 1;
		it.fixed = data[0] & 2;
		it.state = data[0] >> 2 & 7;
		if (it.state > HTML_CDATA)
			it.state = HTML_DATA;
		if (data[0] & 32)
			it.last_start = SLICE("script");
	}
	vectors = shorter = plain = markup = it;
	markup.no_text = true;
	tags = markup;
	tags.passed = HTML_LETTER('a') | HTML_LETTER('t') | HTML_LETTER('s');
	vectors.path = HTML_AVX2;
	shorter.path = HTML_SHORT;
	plain.path = HTML_ONE_BY_ONE;
	while (html_next(&it, &t)) {
		same(&it, &vectors, &t);
		same(&it, &shorter, &t);
		same(&it, &plain, &t);
		if (t.kind != HTML_TEXT || t.state == HTML_CDATA)
			same(&it, &markup, &t);
		if ((t.kind != HTML_TEXT || t.state == HTML_CDATA) && !passed(&tags, &t))
			same(&it, &tags, &t);
		check(t.from == last && t.to > t.from && t.to <= in.len);
		last = t.to;
		if (t.kind == HTML_START || t.kind == HTML_END) {
			check(t.from < t.name.from && t.name.from < t.name.to && t.name.to == t.data.from);
			check(t.data.from <= t.data.to && t.data.to + 1 == t.to && in.p[t.data.to] == '>');
			if (t.to - t.from < 2000) /* the check is quadratic */
				attributes(in, &t);
		} else if (t.kind == HTML_TEXT || t.kind == HTML_COMMENT) {
			check(t.from <= t.data.from && t.data.from <= t.data.to && t.data.to <= t.to);
			buf_init(&text, 3 * (t.data.to - t.data.from));
			html_text_decode(html_slice(in, t.data), t.state, &text);
			check(!text.full);
			buf_free(&text);
		} else if (t.kind == HTML_DOCTYPE) {
			check(!t.has_name || (t.name.from < t.name.to && t.name.to <= t.to));
			check(!t.has_public ||
				(t.public_id.from <= t.public_id.to && t.public_id.to <= t.to));
			check(!t.has_system ||
				(t.system_id.from <= t.system_id.to && t.system_id.to <= t.to));
		}
	}
	check(last == in.len && html_next(&plain, &t) == 0 && html_next(&markup, &t) == 0 &&
		html_next(&tags, &t) == 0);
	return 0;
}
