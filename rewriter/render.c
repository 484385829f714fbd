#include "rewriter/copy.h"

#include "core/base/refuse.h"

#include <string.h>

/* Write the edited message behind what is in out. */
static int write_out(slice message, const struct edits *e, struct buf *out, slice *written)
{
	size_t n = edit_size(message, e);
	uint8_t *to = buf_room(out, n);

	if (!to && n)
		return -REFUSE_TOO_LARGE;
	if (n)
		edit_apply(message, e, to);
	buf_grew(out, n);
	*written = slice_of(to, n);
	return 0;
}

int message_pass(struct arena *a, const struct plan *p, struct buf *out)
{
	const struct control *k = &p->control;
	struct edits e = {0};
	slice written;

	for (unsigned i = 0; i < k->cut_count; i++)
		if (!k->cut[i].signature)
			edit_put(a, &e,
				(struct edit){
					.offset = k->cut[i].from, .length = k->cut[i].to - k->cut[i].from});
	return write_out(p->message, &e, out, &written);
}

/* What the copy says of itself. */
static enum untouched verdict(const struct plan *p, const struct copy *c)
{
	if (p->untouched != UNTOUCHED_NOT)
		return p->untouched;
	if (c->links || c->pixels)
		return UNTOUCHED_NOT;
	for (size_t i = 0; i < p->part_count; i++)
		if (c->parts[i].inner.count)
			return UNTOUCHED_NOT;
	return p->left_part_count ? p->left_parts[0].why : UNTOUCHED_NOTHING_TO_DO;
}

int message_render(struct arena *a, const struct plan *p, const struct identity *id, struct sealer *s,
	struct buf *out, struct rendering *r)
{
	size_t before = out->len;
	struct copy c;
	slice written;
	const char *rule = "order";
	int rc;

	*r = (struct rendering){.untouched = p->untouched, .parts_left = (unsigned)p->left_part_count};
	rc = copy_make(a, p, id, s, &c);
	if (rc == 0) {
		rc = write_out(p->message, &c.edits, out, &written);
		if (rc < 0)
			return rc;
		rc = copy_prove(a, &c, id, s, written, &rule);
		if (rc == 0) {
			r->untouched = verdict(p, &c);
			r->links = c.links;
			r->pixels = c.pixels;
			r->id = c.id;
			r->left = (unsigned)(p->left_count + c.left_count);
			r->html_size = c.html_size;
			return 0;
		}
		out->len = before;
	}
	/* Sealing or the proof failed: the original goes out. */
	r->untouched = UNTOUCHED_PROOF;
	r->broken = rc == -REFUSE_PROOF ? rule : "seal";
	r->left = (unsigned)p->left_count;
	return message_pass(a, p, out);
}
