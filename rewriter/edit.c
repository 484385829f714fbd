#include "rewriter/edit.h"

#include "core/base/must.h"
#include "core/parse/mimeb64.h"

#include <string.h>

void edit_put(struct arena *a, struct edits *e, struct edit add)
{
	struct edit *last = e->count ? &e->list[e->count - 1] : NULL;

	if (last && last->offset + last->length > add.offset) {
		e->broken = true;
		return;
	}
	if (e->count == e->room) {
		size_t room = e->room ? e->room * 2 : 64;
		struct edit *more = arena_alloc(a, room * sizeof *more);

		if (e->count)
			memcpy(more, e->list, e->count * sizeof *more);
		e->list = more;
		e->room = room;
	}
	e->list[e->count++] = add;
}

size_t edit_size(slice in, const struct edits *e)
{
	size_t n = in.len;

	for (size_t i = 0; i < e->count; i++)
		n = n - e->list[i].length + e->list[i].bytes.len;
	return n;
}

size_t recode_size(const struct recode *r)
{
	return mimeb64_size(edit_size(r->old, r->edits) - r->from, r->width, r->line_end);
}

/* Text on its way into lines: as much as stays in the nearest cache. */
struct window {
	const struct recode *r;
	uint8_t *to;
	size_t have;
	uint8_t text[8192];
};

static void window_put(struct window *w, slice s)
{
	while (s.len) {
		size_t room = sizeof w->text - w->have, n = s.len < room ? s.len : room, done;

		memcpy(w->text + w->have, s.p, n);
		w->have += n;
		s = slice_from(s, n);
		if (w->have < sizeof w->text)
			return;
		done = mimeb64_encode_lines(slice_of(w->text, w->have), w->r->width, w->r->line_end, w->to);
		w->to += done / 3 * 4 + done / (w->r->width / 4 * 3) * w->r->line_end.len;
		w->have -= done;
		memmove(w->text, w->text + done, w->have);
	}
}

static void recode_write(const struct recode *r, uint8_t *to)
{
	struct window w;
	size_t pos = r->from;

	w.r = r;
	w.to = to;
	w.have = 0;
	for (size_t i = 0; i < r->edits->count; i++) {
		const struct edit *x = &r->edits->list[i];

		window_put(&w, slice_sub(r->old, pos, x->offset));
		window_put(&w, x->bytes);
		pos = x->offset + x->length;
	}
	window_put(&w, slice_from(r->old, pos));
	mimeb64_encode(slice_of(w.text, w.have), r->width, r->line_end, w.to);
}

void edit_apply(slice in, const struct edits *e, uint8_t *to)
{
	size_t pos = 0;

	for (size_t i = 0; i < e->count; i++) {
		const struct edit *x = &e->list[i];
		slice gap = slice_sub(in, pos, x->offset);

		if (gap.len)
			memcpy(to, gap.p, gap.len);
		to += gap.len;
		if (x->recode) {
			must(recode_size(x->recode) == x->bytes.len);
			recode_write(x->recode, to);
		} else if (x->bytes.len) {
			memcpy(to, x->bytes.p, x->bytes.len);
		}
		to += x->bytes.len;
		pos = x->offset + x->length;
	}
	if (pos < in.len)
		memcpy(to, in.p + pos, in.len - pos);
}

bool edit_undoes_part(slice in, size_t from, slice out, const struct edit *list, size_t count)
{
	size_t i = 0, o = 0;

	for (size_t k = 0; k < count; k++) {
		const struct edit *x = &list[k];
		size_t at = x->offset - from, gap;

		if (x->offset < from || at < i || at > in.len || x->length > in.len - at)
			return false;
		gap = at - i;
		if (out.len - o < gap || out.len - o - gap < x->bytes.len)
			return false;
		if (!slice_eq(slice_sub(in, i, at), slice_sub(out, o, o + gap)))
			return false;
		/* A text that was encoded anew is proved by decoding it. */
		if ((x->site || !x->part) &&
			!slice_eq(slice_sub(out, o + gap, o + gap + x->bytes.len), x->bytes))
			return false;
		i = at + x->length;
		o += gap + x->bytes.len;
	}
	return slice_eq(slice_from(in, i), slice_from(out, o)) && in.len - i == out.len - o;
}

bool edit_undoes(slice in, slice out, const struct edits *e)
{
	return edit_undoes_part(in, 0, out, e->list, e->count);
}
