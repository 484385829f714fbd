#include "collector/bounce_parts.h"

#include "core/parse/hdr.h"
#include "core/parse/html.h"
#include "core/parse/mime.h"
#include "core/parse/mimeb64.h"
#include "core/parse/qp.h"

#include <string.h>

#define MAX_MEND (64u << 10) /* longest header section that is mended */

/* Lines that say: what follows is the message that came back. In lower case. */
static const char *const returned_marks[] = {
	"this is a copy of the message",
	"this is a copy of your message",
	"below this line is a copy of",
	"below is a copy of the original",
	"header of the original message",
	"headers of the original message",
	"original message headers:",
	"original message follows",
	"original message header",
	"--- original message",
	"---original message",
	"---original mail",
	"original mail as follows",
	"original message ---",
	"original message below",
	"your original message:",
	"included is a copy of the message",
	"message headers follow",
	"message header follows",
	"message text follows",
	"unsent message follows",
	"unsent message below",
	"returned message ---",
	"returned message follows",
	"--- returned message",
	"---returned message",
	"--- the transcript of the message",
	"bounced e-mail:",
	"bounced message:",
	"a copy of the message follows",
	"undelivered message follows",
	"undeliverable message follows",
	"--- message header",
	"--- begin message",
	"------ forwarded message",
	"received: from ",
	"received: by ",
	"received: (",
	"received:from ",
	"return-path: <",
	"x-received: by ",
	"arc-seal: i=",
};

bool bounce_parts_line(slice *rest, slice *line)
{
	size_t lf;

	if (rest->len == 0)
		return false;
	lf = slice_chr(*rest, '\n', 0);
	*line = slice_sub(*rest, 0, lf);
	*rest = lf == SLICE_NPOS ? SLICE_NONE : slice_from(*rest, lf + 1);
	return true;
}

/* CRLF, and CR where nothing else ends lines, become LF. */
static slice plain_lines(struct arena *a, slice in)
{
	bool lf = slice_chr(in, '\n', 0) != SLICE_NPOS;
	uint8_t *p;
	size_t n = 0;

	if (slice_chr(in, '\r', 0) == SLICE_NPOS)
		return in;
	p = arena_alloc(a, in.len);
	for (size_t i = 0; i < in.len; i++) {
		if (in.p[i] != '\r')
			p[n++] = in.p[i];
		else if (!lf)
			p[n++] = '\n';
		else if (i + 1 < in.len && in.p[i + 1] != '\n')
			p[n++] = '\r';
	}
	return slice_of(p, n);
}

/* Is it "Name: ..."? */
static bool is_field(slice line)
{
	size_t colon = slice_chr(line, ':', 0);

	if (colon == SLICE_NPOS || colon == 0)
		return false;
	for (size_t i = 0; i < colon; i++)
		if (line.p[i] <= ' ' || line.p[i] >= 0x7f)
			return false;
	return true;
}

/* Empty lines before the header go. A header line that is no field is the rest of
 * one whose fold lost its blank on the way here: it gets it back. */
static slice mend(struct arena *a, slice in)
{
	slice rest, line;
	unsigned fields = 0, broken = 0;
	uint8_t *p;
	size_t n = 0, end;

	while (in.len && ascii_space(in.p[0])) {
		size_t lf = slice_chr(in, '\n', 0);

		if (lf == SLICE_NPOS || slice_trim(slice_sub(in, 0, lf)).len)
			break;
		in = slice_from(in, lf + 1);
	}
	end = slice_find(in, SLICE("\n\n"), 0);
	rest = slice_sub(in, 0, end);
	while (bounce_parts_line(&rest, &line)) {
		if (is_field(line))
			fields++;
		else if (line.len && !ascii_space(line.p[0]) && !slice_starts(line, SLICE("From ")))
			broken++;
	}
	/* More than a few: it is no header. */
	if (end == SLICE_NPOS || broken == 0 || fields < 4 || broken > fields || end > MAX_MEND)
		return in;
	p = arena_alloc(a, in.len + broken);
	rest = slice_sub(in, 0, end + 1);
	while (bounce_parts_line(&rest, &line)) {
		if (!is_field(line) && line.len && !ascii_space(line.p[0]) &&
			!slice_starts(line, SLICE("From ")))
			p[n++] = ' ';
		if (line.len)
			memcpy(p + n, line.p, line.len);
		n += line.len;
		p[n++] = '\n';
	}
	memcpy(p + n, in.p + end + 1, in.len - end - 1);
	return slice_of(p, n + in.len - end - 1);
}

bool bounce_parts_field(struct arena *a, slice header, slice name, slice *value)
{
	struct hdr_iter it;
	struct hdr h;

	hdr_start(&it, header, 0);
	while (hdr_next(&it, &h) > 0) {
		if (!slice_ieq(h.name, name))
			continue;
		*value = hdr_unfold(a, h.value);
		return true;
	}
	*value = SLICE_NONE;
	return false;
}

static slice word_decode(struct arena *a, uint8_t how, slice text)
{
	if (how == 'b') {
		struct mimeb64_text b;

		return mimeb64_decode(a, text, &b) == 0 ? b.dec : text;
	}
	struct qp_text q;
	uint8_t *p = arena_alloc(a, text.len);

	for (size_t i = 0; i < text.len; i++)
		p[i] = text.p[i] == '_' ? ' ' : text.p[i];
	qp_decode(a, slice_of(p, text.len), &q);
	return q.dec;
}

slice bounce_parts_words(struct arena *a, slice value)
{
	uint8_t *p;
	size_t n = 0, at = 0, mark;

	if (slice_find(value, SLICE("=?"), 0) == SLICE_NPOS)
		return value;
	p = arena_alloc(a, value.len); /* never longer than it was encoded */
	while ((mark = slice_find(value, SLICE("=?"), at)) != SLICE_NPOS) {
		size_t one = slice_chr(value, '?', mark + 2), two, end;
		slice dec;

		two = one == SLICE_NPOS ? one : slice_chr(value, '?', one + 1);
		end = two == SLICE_NPOS ? two : slice_find(value, SLICE("?="), two + 1);
		memcpy(p + n, value.p + at, mark - at);
		n += mark - at;
		if (end == SLICE_NPOS || two != one + 2) {
			p[n++] = '=';
			at = mark + 1;
			continue;
		}
		dec = word_decode(a, ascii_lower(value.p[one + 1]), slice_sub(value, two + 1, end));
		if (dec.len)
			memcpy(p + n, dec.p, dec.len);
		n += dec.len;
		at = end + 2;
		/* Blanks between two encoded words are not text (RFC 2047 6.2). */
		while (at < value.len && ascii_space(value.p[at]) &&
			slice_starts(slice_from(value, at + 1), SLICE("=?")))
			at++;
	}
	memcpy(p + n, value.p + at, value.len - at);
	return slice_of(p, n + value.len - at);
}

/* At most `most` bytes, cut at the end of a line. */
static slice cut_lines(slice s, size_t most)
{
	size_t lf;

	if (s.len <= most)
		return s;
	s = slice_sub(s, 0, most);
	lf = slice_rchr(s, '\n');
	return lf == SLICE_NPOS ? s : slice_sub(s, 0, lf + 1);
}

static slice decode(struct arena *a, const struct mime_part *p, slice body, size_t most)
{
	struct mimeb64_text b;
	struct qp_text q;

	body = cut_lines(body, most);
	switch (p->cte) {
	case MIME_QP:
		qp_decode(a, body, &q);
		return plain_lines(a, q.dec);
	case MIME_BASE64:
		if (mimeb64_decode(a, body, &b) == 0)
			return plain_lines(a, b.dec);
		return body;
	default:
		return body;
	}
}

/* Does the element end a line? */
static bool breaks_line(slice html, const struct html_token *t)
{
	static const slice names[] = {SLICE("br"), SLICE("p"), SLICE("div"), SLICE("tr"), SLICE("li"),
		SLICE("h1"), SLICE("h2"), SLICE("h3"), SLICE("pre"), SLICE("table"), SLICE("td")};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (html_is(html, t, names[i]))
			return true;
	return false;
}

static slice html_to_text(struct arena *a, slice html)
{
	struct html_iter it;
	struct html_token t;
	struct buf out;
	slice text;

	buf_init(&out, BOUNCE_PARTS_MAX_TEXT);
	html_start(&it, html);
	while (html_next(&it, &t) > 0) {
		if (t.kind == HTML_TEXT && (t.state == HTML_DATA || t.state == HTML_PLAIN))
			html_text_decode(html_slice(html, t.data), t.state, &out);
		else if ((t.kind == HTML_START || t.kind == HTML_END) && breaks_line(html, &t))
			buf_byte(&out, '\n');
	}
	text = arena_dup(a, buf_slice(&out));
	buf_free(&out);
	return text;
}

static void text_add(struct buf *text, slice more)
{
	more = slice_sub(more, 0, BOUNCE_PARTS_MAX_TEXT - text->len - 1);
	buf_put(text, more);
	if (more.len && more.p[more.len - 1] != '\n')
		buf_byte(text, '\n');
}

static bool is_status(const struct mime_part *p)
{
	return mime_is(p, SLICE("message"), SLICE("delivery-status")) ||
	       mime_is(p, SLICE("message"), SLICE("global-delivery-status"));
}

static bool is_returned(const struct mime_part *p)
{
	static const slice sub[] = {SLICE("rfc822"), SLICE("rfc822-headers"), SLICE("rfc822-header"),
		SLICE("global"), SLICE("global-headers"), SLICE("partial")};

	if (!slice_ieq(p->type, SLICE("message")) && !slice_ieq(p->type, SLICE("text")))
		return false;
	for (size_t i = 0; i < sizeof sub / sizeof *sub; i++)
		if (slice_ieq(p->subtype, sub[i]))
			return true;
	return false;
}

/* A header section that travelled through mail servers. */
static bool looks_sent(slice head)
{
	head = slice_sub(head, 0, 4096);
	return slice_istarts(head, SLICE("Received:")) || slice_istarts(head, SLICE("Return-Path:")) ||
	       slice_ifind(head, SLICE("\nReceived:"), 0) != SLICE_NPOS ||
	       slice_ifind(head, SLICE("\nMessage-ID:"), 0) != SLICE_NPOS;
}

static void take_leaf(struct arena *a, slice m, const struct mime_part *p, bool plain, struct buf *text,
	struct bounce_parts *out)
{
	slice body = slice_sub(m, p->body, p->to);

	if (is_status(p)) {
		if (!out->status.len)
			out->status = decode(a, p, body, BOUNCE_PARTS_MAX_REPORT);
	} else if (mime_is(p, SLICE("message"), SLICE("feedback-report"))) {
		if (!out->feedback.len)
			out->feedback = decode(a, p, body, BOUNCE_PARTS_MAX_REPORT);
	} else if (mime_is(p, SLICE("message"), SLICE("disposition-notification"))) {
		out->receipt = true;
	} else if (is_returned(p)) {
		if (!out->returned.len)
			out->returned = decode(a, p, body, BOUNCE_PARTS_MAX_RETURNED);
		out->attached = true;
	} else if (p->parent >= 0 && looks_sent(slice_sub(m, p->from, p->body))) {
		/* The returned message itself was made a part. */
		if (!out->returned.len)
			out->returned = cut_lines(slice_sub(m, p->from, p->to), BOUNCE_PARTS_MAX_RETURNED);
		out->attached = true;
	} else if (p->attachment && looks_sent(body)) {
		if (!out->returned.len)
			out->returned = decode(a, p, body, BOUNCE_PARTS_MAX_RETURNED);
		out->attached = true;
	} else if (!plain && mime_is(p, SLICE("text"), SLICE("html"))) {
		text_add(text, html_to_text(a, decode(a, p, body, BOUNCE_PARTS_MAX_RETURNED)));
	} else if (plain && slice_ieq(p->type, SLICE("text")) && !slice_ieq(p->subtype, SLICE("html"))) {
		text_add(text, decode(a, p, body, BOUNCE_PARTS_MAX_RETURNED));
	}
}

/* Cut the text where the returned message begins. */
static void cut_returned(struct arena *a, struct bounce_parts *out)
{
	slice rest = out->text, line;
	size_t before = 0;

	while (bounce_parts_line(&rest, &line)) {
		size_t at = (size_t)(line.p - out->text.p);
		bool field;

		while (line.len && (ascii_space(line.p[0]) || line.p[0] == '>'))
			line = slice_from(line, 1);
		if (line.len > 200 || before < 3) {
			before += line.len;
			continue;
		}
		for (size_t i = 0; i < sizeof returned_marks / sizeof *returned_marks; i++) {
			slice mark = slice_str(returned_marks[i]);

			field = slice_find(mark, SLICE(": "), 0) != SLICE_NPOS ||
				slice_find(mark, SLICE(":f"), 0) != SLICE_NPOS;
			if (field ? !slice_istarts(line, mark) : slice_ifind(line, mark, 0) == SLICE_NPOS)
				continue;
			if (!out->returned.len) {
				slice back = field ? slice_from(out->text, at) : rest;

				while (back.len && (ascii_space(back.p[0]) || back.p[0] == '-'))
					back = slice_from(back, 1);
				out->returned = back;
			}
			out->text = slice_sub(out->text, 0, at);
			return;
		}
		before += line.len;
	}
	(void)a;
}

void bounce_parts_read(struct arena *a, slice message, struct bounce_parts *out)
{
	slice m = mend(a, plain_lines(a, slice_sub(message, 0, BOUNCE_PARTS_MAX_MESSAGE)));
	struct mime_tree tree;
	struct buf text;
	struct hdr_iter it;
	struct hdr h;

	*out = (struct bounce_parts){0};
	hdr_start(&it, m, 0);
	while (hdr_next(&it, &h) > 0)
		;
	out->header = slice_sub(m, 0, it.end ? it.end : it.pos);
	buf_init(&text, BOUNCE_PARTS_MAX_TEXT);
	if (mime_walk_report(a, m, &tree) < 0) {
		text_add(&text, slice_from(m, it.pos));
		tree.count = 0;
	}
	for (int plain = 1; plain >= 0; plain--) {
		for (size_t i = 0; i < tree.count; i++)
			if (!tree.parts[i].multipart)
				take_leaf(a, m, &tree.parts[i], plain, &text, out);
		if (slice_trim(buf_slice(&text)).len)
			break;
	}
	if (tree.count && mime_is(&tree.parts[0], SLICE("multipart"), SLICE("report")))
		out->report = true;
	/* A multipart that has no parts: its text stands there bare. */
	for (size_t i = 0; i < tree.count; i++)
		if (slice_ieq(tree.parts[i].type, SLICE("multipart")) &&
			(tree.count == 1 || (!tree.parts[i].multipart && !text.len)))
			text_add(&text, slice_sub(m, tree.parts[i].body, tree.parts[i].to));
	out->text = arena_dup(a, buf_slice(&text));
	buf_free(&text);
	cut_returned(a, out);
	/* Some write the fields of a report as text. */
	if (!out->status.len && slice_ifind(out->text, SLICE("\nFinal-Recipient:"), 0) != SLICE_NPOS)
		out->status = out->text;
}
