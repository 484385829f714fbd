#include "rewriter/copy.h"

#include "core/base/refuse.h"

#include <string.h>

#define FEEDBACK_MAX_NAME 64 /* of a campaign or tenant */

static struct buf fixed_buf(struct arena *a, size_t n)
{
	return (struct buf){.p = arena_alloc(a, n), .room = n, .cap = n};
}

/* What all tokens of a copy say. */
static struct token identified(const struct copy *c, const struct identity *id, struct token t)
{
	const struct plan *p = c->plan;

	t.campaign = id->campaign;
	t.lane = id->lane;
	t.sequence = p->control.privacy == PRIVACY_ANONYMOUS ? EVENT_NO_SEQUENCE : id->sequence;
	t.day = id->day;
	t.mode = (uint8_t)p->control.privacy;
	return t;
}

/* "https://t.example/c/" and room for the token and a suffix. */
static struct buf url_start(struct arena *a, const struct plan *p, const struct token *t)
{
	struct buf b = fixed_buf(a, p->policy.track_url.len + 16 + (t->url.len + 128) * 4 / 3);

	if (t->kind != TOKEN_HEADER) {
		buf_put(&b, p->policy.track_url);
		buf_byte(&b, '/');
		buf_byte(&b, (uint8_t)t->kind);
		buf_byte(&b, '/');
	}
	return b;
}

static int seal(struct arena *a, const struct copy *c, const struct identity *id, struct sealer *s,
	const struct token *about, const char *suffix, slice *out)
{
	const struct plan *p = c->plan;
	struct token t = identified(c, id, *about);
	struct buf b = url_start(a, p, &t);
	int rc = token_seal(s, p->policy.track_host, &t, &b);

	buf_str(&b, suffix);
	*out = buf_slice(&b);
	if (rc == 0 && b.full)
		rc = -REFUSE_LENGTH;
	return rc;
}

/* The tracked URL of every target that a link leads to, into urls. */
static int seal_links(struct arena *a, const struct copy *c, const struct identity *id, struct sealer *s,
	uint8_t place, slice *urls)
{
	const struct plan *p = c->plan;
	struct token t[TOKEN_TOGETHER];
	struct buf b[TOKEN_TOGETHER];
	size_t which[TOKEN_TOGETHER];
	unsigned n = 0;

	for (size_t i = 0; i < p->targets.count; i++) {
		const struct target *to = &p->targets.list[i];
		int rc;

		if (to->number >= 0) {
			t[n] = identified(c, id,
				(struct token){.kind = TOKEN_CLICK,
					.link = (uint16_t)to->number,
					.url = to->to,
					.place = place});
			b[n] = url_start(a, p, &t[n]);
			which[n++] = i;
		}
		if (n == 0 || (n < TOKEN_TOGETHER && i + 1 < p->targets.count))
			continue;
		rc = token_seal_all(s, p->policy.track_host, t, n, b);
		if (rc < 0)
			return rc;
		for (unsigned k = 0; k < n; k++) {
			if (b[k].full)
				return -REFUSE_LENGTH;
			urls[which[k]] = buf_slice(&b[k]);
		}
		n = 0;
	}
	return 0;
}

/* One pixel in sight, not display:none: some mail programs do not load what is
 * not displayed. */
static slice pixel_markup(struct arena *a, slice url)
{
	struct buf b = fixed_buf(a, url.len + 128);

	buf_put(&b, SLICE("<img src=\""));
	buf_put(&b, url);
	buf_put(&b, SLICE("\" width=\"1\" height=\"1\" alt=\"\" aria-hidden=\"true\" style=\"border:0\">"));
	return buf_slice(&b);
}

static int seal_all(struct arena *a, struct copy *c, const struct identity *id, struct sealer *s)
{
	const struct plan *p = c->plan;
	struct token t = {.kind = TOKEN_HEADER};
	int rc = seal(a, c, id, s, &t, "", &c->id);

	for (unsigned i = 0; i < 2 && p->pixels && rc == 0; i++) {
		slice url;

		t = (struct token){.kind = TOKEN_OPEN, .place = i == PIXEL_TOP ? PLACE_TOP : PLACE_MAIN};
		if (i == PIXEL_TOP && !p->policy.top_pixel)
			break;
		rc = seal(a, c, id, s, &t, ".gif", &url);
		if (rc == 0)
			c->pixel[i] = pixel_markup(a, url);
	}
	c->urls = arena_array(a, slice, p->targets.count);
	if (rc == 0)
		rc = seal_links(a, c, id, s, PLACE_MAIN, c->urls);
	if (rc == 0 && p->amp) {
		c->amp = arena_array(a, slice, p->targets.count);
		rc = seal_links(a, c, id, s, PLACE_AMP, c->amp);
	}
	/* Nobody can be taken off a list by a token that all share. */
	if (rc == 0 && p->policy.unsubscribe && !p->control.has_unsubscribe &&
		p->control.privacy > PRIVACY_ANONYMOUS) {
		t = (struct token){.kind = TOKEN_UNSUBSCRIBE};
		rc = seal(a, c, id, s, &t, "", &c->unsubscribe);
	}
	return rc;
}

/* A name as one of the words of a Feedback-ID: what else it may hold becomes '_'. */
static void feedback_word(struct buf *b, slice name)
{
	name = slice_sub(name, 0, FEEDBACK_MAX_NAME);
	for (size_t i = 0; i < name.len; i++)
		buf_byte(b, ascii_alnum(name.p[i]) || memchr("-._~", name.p[i], 4) ? name.p[i] : '_');
}

/* "Feedback-ID: campaign:tenant:landfall:sender": what Gmail groups complaints
 * by. The same for all recipients, as Gmail wants it. */
static void feedback_id(const struct plan *p, struct buf *b)
{
	buf_put(b, SLICE("Feedback-ID: "));
	feedback_word(b, p->control.campaign);
	buf_byte(b, ':');
	feedback_word(b, p->control.tenant);
	buf_put(b, SLICE(":landfall:"));
	buf_put(b, p->policy.feedback_id);
	buf_put(b, p->line_end);
}

/* Control fields out, ours in behind the last field. */
static void header_edits(struct arena *a, struct copy *c)
{
	const struct plan *p = c->plan;
	const struct control *k = &p->control;
	/* The last field that stays may lack its line end. */
	bool open = k->end > 0 && p->message.p[k->end - 1] != '\n' &&
		    !(k->cut_count && k->cut[k->cut_count - 1].to == k->end);
	struct buf b;

	for (unsigned i = 0; i < k->cut_count; i++)
		if (p->tracks || !k->cut[i].signature)
			edit_put(a, &c->edits,
				(struct edit){
					.offset = k->cut[i].from, .length = k->cut[i].to - k->cut[i].from});
	if (!p->tracks)
		return;
	b = fixed_buf(a, 2 * c->id.len + c->unsubscribe.len + p->policy.feedback_id.len +
				 p->policy.cfbl_address.len + 2 * FEEDBACK_MAX_NAME + 512);
	if (open)
		buf_put(&b, p->line_end);
	buf_put(&b, SLICE("X-Landfall-Id: "));
	buf_put(&b, c->id);
	buf_put(&b, p->line_end);
	c->added_fields = 1;
	if (c->unsubscribe.len) {
		buf_put(&b, SLICE("List-Unsubscribe: <"));
		buf_put(&b, c->unsubscribe);
		buf_put(&b, SLICE(">"));
		buf_put(&b, p->line_end);
		c->added_fields++;
		if (!k->has_unsubscribe_post) {
			buf_put(&b, SLICE("List-Unsubscribe-Post: List-Unsubscribe=One-Click"));
			buf_put(&b, p->line_end);
			c->added_fields++;
		}
	}
	if (p->policy.feedback_id.len && !k->has_feedback_id) {
		feedback_id(p, &b);
		c->added_fields++;
	}
	if (p->policy.cfbl_address.len && !k->has_cfbl) {
		buf_put(&b, SLICE("CFBL-Address: "));
		buf_put(&b, p->policy.cfbl_address);
		buf_put(&b, SLICE("; report=arf"));
		buf_put(&b, p->line_end);
		buf_put(&b, SLICE("CFBL-Feedback-ID: "));
		buf_put(&b, c->id);
		buf_put(&b, p->line_end);
		c->added_fields += 2;
	}
	if (open)
		b.len -= p->line_end.len;
	edit_put(a, &c->edits, (struct edit){.offset = k->end, .bytes = buf_slice(&b)});
}

static slice new_text(const struct copy *c, const struct part_plan *part, const struct site *s)
{
	switch (s->kind) {
	case SITE_LINK:
	case SITE_TEXT_LINK:
		return part->amp ? c->amp[s->target] : c->urls[s->target];
	case SITE_PIXEL:
		return c->pixel[s->target];
	default:
		return SLICE_NONE;
	}
}

static void count(struct part_copy *pc, const struct site *s)
{
	pc->links += s->kind == SITE_LINK || s->kind == SITE_TEXT_LINK;
	pc->pixels += s->kind == SITE_PIXEL;
}

static void inner_edit(struct arena *a, struct part_copy *pc, const struct site *s, slice bytes)
{
	edit_put(a, &pc->inner,
		(struct edit){.offset = s->from, .length = s->to - s->from, .bytes = bytes, .site = s});
	count(pc, s);
}

/* How many bytes at the end of `before` must be written anew when something is
 * taken out behind them: a blank that would become the last byte of its line, an
 * "=" or "=A" that meant nothing and would now begin "=AB". */
static size_t unsafe_before(slice before, bool line_ends)
{
	size_t n = before.len;
	uint8_t last = before.p[n - 1];

	if (last == '=' || (line_ends && (last == ' ' || last == '\t')))
		return 1;
	return n > 1 && before.p[n - 2] == '=' && ascii_alnum(last) ? 2 : 0;
}

/* Quoted-printable: no line longer than 76, and a line that was not touched
 * stays. The old bytes up to the line's end, or to the next site, must find room
 * behind what was written, or go to the next line. */
static void qp_edits(struct arena *a, struct copy *c, struct part_copy *pc)
{
	const struct part_plan *part = pc->plan;
	slice m = slice_sub(c->plan->message, 0, part->part->to);
	size_t done = part->part->body, column = 0; /* of the copy, at done */

	for (size_t i = 0; i < part->site_count; i++) {
		const struct site *s = &part->sites[i];
		slice bytes = new_text(c, part, s), gap = slice_sub(m, done, s->enc_from);
		size_t from = s->enc_from,
		       next = i + 1 < part->site_count ? part->sites[i + 1].enc_from : m.len;
		size_t lf = slice_rchr(gap, '\n'), rest, room = QP_MAX_LINE - 1;
		struct buf b = fixed_buf(a, bytes.len * 4 + 64);
		struct qp_writer w = {.out = &b, .line_end = part->line_end};

		w.column = lf == SLICE_NPOS ? column + gap.len : gap.len - lf - 1;
		lf = slice_chr(slice_sub(m, 0, next), '\n', s->enc_to);
		rest = next - s->enc_to;
		if (lf != SLICE_NPOS || next == m.len) {
			size_t end = lf == SLICE_NPOS ? next : lf;

			if (lf != SLICE_NPOS && end > s->enc_to && m.p[end - 1] == '\r')
				end--;
			rest = end - s->enc_to;
			room = QP_MAX_LINE;
		}
		if (bytes.len == 0 && from > done) {
			size_t n = unsafe_before(slice_sub(m, done, from), rest == 0 && room == QP_MAX_LINE);

			from -= n;
			w.column -= n;
			if (n)
				qp_put_hex(&w, m.p[from]);
			if (n == 2)
				qp_put(&w, slice_sub(m, from + 1, from + 2));
		}
		/* A full line has no room for the '=' of a soft break: its last byte moves. */
		if ((bytes.len || w.column + rest > room) && w.column >= QP_MAX_LINE && from > done) {
			size_t n = from - done >= 3 && m.p[from - 3] == '=' ? 3 : 1;

			from -= n;
			qp_break(&w);
			buf_put(&b, slice_sub(m, from, from + n));
			w.column = n;
		}
		qp_put(&w, bytes);
		if (w.column > 0 && w.column + rest > room && rest > 0)
			qp_break(&w);
		edit_put(a, &c->edits,
			(struct edit){.offset = from,
				.length = s->enc_to - from,
				.bytes = buf_slice(&b),
				.site = s,
				.part = part});
		inner_edit(a, pc, s, bytes);
		done = s->enc_to;
		column = w.column;
	}
}

/* The state of one line of a part without transfer encoding. */
struct line {
	size_t start, end; /* of the original's line, without its line end */
	size_t done;       /* all before is settled */
	size_t column;     /* of the copy, at done */
};

static size_t line_end_at(slice m, size_t at)
{
	size_t lf = slice_chr(m, '\n', at), end = lf == SLICE_NPOS ? m.len : lf;

	return lf != SLICE_NPOS && end > at && m.p[end - 1] == '\r' ? end - 1 : end;
}

static void line_at(struct line *l, slice m, size_t at)
{
	size_t lf;

	if (at <= l->end)
		return;
	lf = slice_rchr(slice_sub(m, l->done, at), '\n');
	l->start = lf == SLICE_NPOS ? l->start : l->done + lf + 1;
	if (lf != SLICE_NPOS) {
		l->done = l->start;
		l->column = 0;
	}
	l->end = line_end_at(m, at);
}

/* An edit up to `to` is made and the copy's line is `column` long there; the edit
 * may have taken in line ends of the original. */
static void line_done(struct line *l, slice m, size_t to, size_t column)
{
	l->done = to;
	l->column = column;
	if (to <= l->end)
		return;
	l->start = l->end + slice_rchr(slice_sub(m, l->end, to), '\n') + 1;
	l->end = line_end_at(m, to);
}

static void fold(struct arena *a, struct part_copy *pc, struct line *l, const struct site *s, size_t at)
{
	edit_put(a, &pc->inner,
		(struct edit){
			.offset = at, .length = 1, .bytes = pc->plan->line_end, .site = s, .fold = true});
	l->done = at + 1;
	l->column = 0;
}

/* Does a line of n bytes pass? Where the original's was too long already, it
 * only must not grow. */
static bool passes(const struct line *l, size_t n)
{
	size_t old = l->end - l->start;

	return n <= (old > MESSAGE_MAX_LINE ? old : MESSAGE_MAX_LINE);
}

/* Make the pixel's blanks behind "<img" and before its last attribute line ends. */
static slice pixel_folded(struct arena *a, slice pixel, slice line_end)
{
	struct buf b = fixed_buf(a, pixel.len + 2 * line_end.len);
	size_t first = slice_chr(pixel, ' ', 0), last = slice_rchr(pixel, ' ');

	buf_put(&b, slice_sub(pixel, 0, first));
	buf_put(&b, line_end);
	buf_put(&b, slice_sub(pixel, first + 1, last));
	buf_put(&b, line_end);
	buf_put(&b, slice_from(pixel, last + 1));
	return buf_slice(&b);
}

/* 7bit, 8bit, binary: lines of up to 998. A line that would be longer is folded
 * at blanks of the tag; a link for which that is not enough stays. Every check
 * takes the sites that follow on the line as left alone, so that it holds
 * whatever becomes of them. */
static void plain_edits(struct arena *a, struct copy *c, struct part_copy *pc)
{
	const struct part_plan *part = pc->plan;
	slice m = part->body;
	struct line l = {.end = line_end_at(m, 0)};

	for (size_t i = 0; i < part->site_count; i++) {
		const struct site *s = &part->sites[i];
		slice bytes = new_text(c, part, s);
		size_t column, rest;

		line_at(&l, m, s->from);
		/* A value may span lines; what follows it is on its last one. */
		rest = (s->to > l.end ? line_end_at(m, s->to) : l.end) - s->to;
		column = l.column + (s->from - l.done);
		/* What is cut out may have held a line end; another blank of the tag will do. */
		if (bytes.len == 0 && s->to > l.end && !passes(&l, column + rest)) {
			edit_put(a, &pc->inner,
				(struct edit){.offset = s->from,
					.length = s->to - s->from,
					.bytes = part->line_end,
					.site = s,
					.fold = true});
			line_done(&l, m, s->to, 0);
			continue;
		}
		if (column + bytes.len + rest > MESSAGE_MAX_LINE && bytes.len) {
			size_t before = s->fold_before, after = s->fold_after;
			bool can = s->kind == SITE_LINK && before != SITE_NO_FOLD && before >= l.done;
			size_t start = can ? s->from - before - 1 : column;
			bool need = start + bytes.len + rest > MESSAGE_MAX_LINE;
			size_t tail = rest;

			if (s->kind == SITE_PIXEL) {
				bytes = pixel_folded(a, bytes, part->line_end);
				tail += bytes.len - slice_rchr(bytes, '\n') - 1;
				if (!passes(&l, tail) || !passes(&l, column + 4))
					goto leave;
				inner_edit(a, pc, s, bytes);
				line_done(&l, m, s->to, tail - rest);
				continue;
			}
			if (need && s->kind == SITE_LINK && after != SITE_NO_FOLD && s->to <= after &&
				after < l.end && passes(&l, start + bytes.len + (after - s->to))) {
				if (can)
					fold(a, pc, &l, s, before);
				inner_edit(a, pc, s, bytes);
				fold(a, pc, &l, s, after);
				continue;
			}
			if (!passes(&l, start + bytes.len + rest))
				goto leave;
			if (can)
				fold(a, pc, &l, s, before);
			column = start;
		}
		inner_edit(a, pc, s, bytes);
		line_done(&l, m, s->to, column + bytes.len);
		continue;
	leave:
		c->left = plan_grown(a, c->left, c->left_count, &c->left_room, sizeof *c->left);
		c->left[c->left_count++] = (struct left_link){.part = part,
			.offset = s->from,
			.url = s->kind == SITE_PIXEL ? SLICE_NONE : c->plan->targets.list[s->target].url,
			.why = LEFT_LINE};
	}
	for (size_t i = 0; i < pc->inner.count; i++) {
		struct edit e = pc->inner.list[i];

		e.offset += part->part->body;
		e.part = part;
		edit_put(a, &c->edits, e);
	}
}

/* base64: lines before the first edit stay, all behind is encoded anew. */
static void base64_edits(struct arena *a, struct copy *c, struct part_copy *pc)
{
	const struct part_plan *part = pc->plan;
	const struct mimeb64_text *t = &part->b64;
	struct recode *r = arena_new(a, struct recode);
	struct mimeb64_mark at;

	for (size_t i = 0; i < part->site_count; i++)
		inner_edit(a, pc, &part->sites[i], new_text(c, part, &part->sites[i]));
	at = mimeb64_place(t, pc->inner.list[0].offset);
	*r = (struct recode){.old = t->dec,
		.from = at.dec,
		.edits = &pc->inner,
		.width = t->width,
		.line_end = t->line_end};
	edit_put(a, &c->edits,
		(struct edit){.offset = part->part->body + at.enc,
			.length = t->end - at.enc,
			.bytes = {.len = recode_size(r)},
			.recode = r,
			.part = part});
}

int copy_make(
	struct arena *a, const struct plan *p, const struct identity *id, struct sealer *s, struct copy *c)
{
	int rc;

	*c = (struct copy){.plan = p};
	if (p->tracks) {
		rc = seal_all(a, c, id, s);
		if (rc < 0)
			return rc;
	}
	header_edits(a, c);
	if (!p->tracks)
		return 0;
	c->parts = arena_array(a, struct part_copy, p->part_count);
	for (size_t i = 0; i < p->part_count; i++) {
		struct part_copy *pc = &c->parts[i];

		pc->plan = p->parts[i];
		switch (pc->plan->part->cte) {
		case MIME_QP:
			qp_edits(a, c, pc);
			break;
		case MIME_BASE64:
			base64_edits(a, c, pc);
			break;
		default:
			plain_edits(a, c, pc);
			break;
		}
		c->edits.broken |= pc->inner.broken;
		c->links += pc->links;
		c->pixels += pc->pixels;
		if (pc->plan == p->html)
			c->html_size = edit_size(pc->plan->dec, &pc->inner);
	}
	if (c->edits.broken)
		return -REFUSE_PROOF;
	if (p->html && c->html_size == 0)
		c->html_size = p->html->dec.len;
	return 0;
}
