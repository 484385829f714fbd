/* A rewritten message with its edits undone is the message; the proof holds, also
 * over the whole text; the parts are the same ones; lines keep their limits; a
 * second run finds nothing to do. The first byte chooses the message around the
 * input. */
#include "tests/rewriting.h"

#include "core/parse/hdr.h"
#include "core/parse/mimeb64.h"
#include "rewriter/copy.h"

#include <stdio.h>

#define check(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static const char *const headers[] = {
	NULL,
	"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
	"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
	"Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n\r\n",
	"Content-Type: text/plain; format=flowed; delsp=yes\r\n\r\n",
	"Content-Type: text/html; charset=iso-2022-jp\n\n",
	"Content-Type: multipart/mixed; boundary=a\r\nList-Unsubscribe: "
	"<http://a.b/u>\r\n\r\n--a\r\nContent-Type: "
	"text/html\r\n\r\n",
	"X-Landfall-Track: opens=on\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: "
	"quoted-printable\r\n\r\n",
};

/* The longest line of the body. */
static size_t longest(slice s)
{
	size_t most = 0, from = 0;

	while (from < s.len) {
		size_t lf = slice_chr(s, '\n', from), end = lf == SLICE_NPOS ? s.len : lf;

		if (lf != SLICE_NPOS && end > from && s.p[end - 1] == '\r')
			end--;
		most = end - from > most ? end - from : most;
		from = lf == SLICE_NPOS ? s.len : lf + 1;
	}
	return most;
}

static void limits_hold(const struct mime_part *was, slice in, const struct mime_part *is, slice out)
{
	size_t before = longest(slice_sub(in, was->body, was->to)),
	       after = longest(slice_sub(out, is->body, is->to));
	size_t limit = was->cte == MIME_QP       ? QP_MAX_LINE
		       : was->cte == MIME_BASE64 ? MIMEB64_MAX_LINE
						 : MESSAGE_MAX_LINE;

	check(after <= (before > limit ? before : limit));
}

static void one(struct rewriting *r, slice in)
{
	slice out = rewriting_run(r, in);
	struct mime_tree was, is;
	const char *rule;
	struct copy c;
	struct buf first;
	int rc;

	if (r->rendering.broken)
		fprintf(stderr, "proof: %s\n", r->rendering.broken);
	check(!r->rendering.broken);
	check(copy_make(&r->arena, r->plan, &r->id, r->sealer, &c) == 0);
	check(edit_undoes(in, out, &c.edits));
	rc = copy_prove_whole(&r->arena, &c, &r->id, r->sealer, out, &rule);
	if (rc < 0)
		fprintf(stderr, "whole proof: %s\n", rule);
	check(rc == 0);
	check(r->rendering.pixels <= 1);
	if (r->rendering.untouched != UNTOUCHED_NOT)
		check(c.links == 0 && c.pixels == 0);
	if (!plan_tracks(r->plan))
		return;
	check(mime_walk(&r->arena, in, &was) == 0 && mime_walk(&r->arena, out, &is) == 0 &&
		was.count == is.count);
	for (size_t i = 0; i < was.count; i++) {
		check(was.parts[i].depth == is.parts[i].depth &&
			was.parts[i].multipart == is.parts[i].multipart);
		check(slice_eq(was.parts[i].type, is.parts[i].type) && was.parts[i].cte == is.parts[i].cte);
		if (!was.parts[i].multipart)
			limits_hold(&was.parts[i], in, &is.parts[i], out);
	}
	buf_init(&first, 1 << 26);
	buf_put(&first, out);
	out = rewriting_run(r, buf_slice(&first));
	check(r->rendering.untouched == UNTOUCHED_OURS && slice_eq(out, buf_slice(&first)));
	buf_free(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rewriting r;
	struct buf m;
	uint8_t choice = size ? data[0] : 0;
	const char *header = headers[choice % 8];
	slice body = slice_of(data + (size ? 1 : 0), size ? size - 1 : 0);

	if (!r.sealer)
		rewriting_open(&r);
	r.policy.top_pixel = false;
	r.policy.unsubscribe = choice & 8;
	r.policy.amp_links = choice & 16;
	r.policy.track_url_text = choice & 32;
	r.policy.opens = !(choice & 64);
	r.policy.clicks = !(choice & 128);
	buf_init(&m, 1 << 26);
	if (header)
		buf_str(&m, header);
	if (header == headers[3]) {
		size_t n = mimeb64_size(body.len, 76, SLICE("\r\n"));

		if (n)
			mimeb64_encode(body, 76, SLICE("\r\n"), buf_room(&m, n));
		buf_grew(&m, n);
	} else {
		buf_put(&m, body);
	}
	one(&r, buf_slice(&m));
	buf_free(&m);
	return 0;
}
