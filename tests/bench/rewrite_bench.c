/* What rewriting one message costs: plan, seal, edit and prove, beside memcpy
 * and SHA-256 of the same bytes.
 *
 *	rewrite_bench                     a table over made-up newsletters
 *	rewrite_bench --write DIR [HTML]  writes them as files DIR/made-N.E.eml, and a
 *	                                  message with each of these templates as
 *	                                  DIR/real-N.E.eml; E: qp, b64, 8bit
 *	rewrite_bench --worker JOB FILE.. reads "go CPU_SECONDS" lines and answers each
 *	                                  with one JSON line; JOB: landfall, sha256,
 *	                                  memcpy, passes
 */
#include "tests/rewriting.h"

#include "core/parse/html.h"
#include "core/parse/mimeb64.h"
#include "core/parse/qp.h"
#include "rewriter/copy.h"
#include "tests/bench/passes.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <time.h>

#define MESSAGES 8
#define LINKS 36

static const char *const words[] = {"spring", "shoes", "sale", "new", "jacket", "summer", "running", "trail",
	"kids", "offer", "outlet", "gift", "card", "story", "review", "club", "member", "invite", "garden",
	"kitchen"};
static const char *const encodings[] = {"qp", "b64", "8bit"};
static const char *const cte[] = {"quoted-printable", "base64", "8bit"};

static uint64_t seed = 88172645463325252u;

static unsigned below(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

static const char *word(void)
{
	return words[below(sizeof words / sizeof *words)];
}

static void put_url(struct buf *b, const char *and)
{
	buf_printf(b,
		"https://www.shop.example/%s/"
		"%s-%u?utm_source=newsletter%sutm_medium=email%sutm_campaign=%s_%u%scid=%u",
		word(), word(), 100 + below(99900), and, and, word(), 1 + below(52), and,
		1000000 + below(9000000));
}

static void put_text(struct buf *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		buf_printf(b, i % 17 == 3 ? "gr\xc3\xbcn %s" : i % 9 == 8 ? "%s.\r\n" : "%s ", word());
}

/* One row of a newsletter: nested tables with inline style, as tools make them. */
static void put_row(struct buf *b, unsigned i)
{
	buf_printf(b,
		"<!-- row %u -->\r\n<table align=\"center\" border=\"0\" cellpadding=\"0\" cellspacing=\"0\" "
		"role=\"presentation\" style=\"width:100%%;max-width:600px;\">\r\n<tbody><tr><td "
		"style=\"direction:ltr;font-size:0px;padding:20px 0;text-align:center;\">\r\n"
		"<!--[if mso | IE]><table role=\"presentation\" border=\"0\"><tr><td "
		"style=\"vertical-align:top;width:600px;\">"
		"<![endif]-->\r\n<div class=\"mj-column-per-100 outlook-group-fix\" "
		"style=\"font-size:0px;text-align:left;direction:ltr;display:inline-block;vertical-align:top;"
		"width:100%%;\">\r\n"
		"<img alt=\"%s %s\" height=\"auto\" src=\"https://img.shop.example/%s/%u.jpg\" "
		"style=\"border:0;display:block;outline:none;height:auto;width:100%%;font-size:13px;\" "
		"width=\"550\">\r\n",
		i, word(), word(), word(), below(100000));
	buf_str(b, "<a href=\"");
	put_url(b, "&amp;");
	buf_printf(b,
		"\" target=\"_blank\" style=\"display:inline-block;background:#f45e43;color:#ffffff;"
		"font-family:Helvetica,Arial,sans-serif;font-size:13px;text-decoration:none;\">%s %s</a>\r\n"
		"<div "
		"style=\"font-family:Helvetica,Arial,sans-serif;font-size:18px;line-height:24px;text-align:"
		"left;color:#434245;\">",
		word(), word());
	put_text(b, 90 + below(120));
	buf_str(b, "</div>\r\n</div>\r\n<!--[if mso | "
		   "IE]></td></tr></table><![endif]-->\r\n</td></tr></tbody></table>\r\n");
}

static void put_html(struct buf *b)
{
	buf_str(b,
		"<!doctype html>\r\n<html><head><meta charset=\"utf-8\"><title>Newsletter</title>\r\n<style "
		"type=\"text/css\">\r\n");
	for (unsigned i = 0; i < 60; i++)
		buf_printf(b,
			".c%u > td, a.c%u:hover { padding:%upx; margin:0; color:#%06x; "
			"border-collapse:collapse; }\r\n",
			i, i, below(40), below(1 << 24));
	buf_str(b, "</style></head>\r\n<body style=\"word-spacing:normal;background-color:#f4f4f4;\">\r\n");
	for (unsigned i = 0; i < LINKS; i++)
		put_row(b, i);
	buf_str(b, "</body></html>\r\n");
}

/* As usual encoders do it: hard line ends kept, soft breaks at 76. */
static void put_qp(struct buf *b, slice s)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t column = 0;

	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.p[i];
		bool plain = (c >= ' ' && c < 0x7f && c != '=') &&
			     !(c == ' ' && i + 1 < s.len && s.p[i + 1] == '\r');

		if (c == '\r' && i + 1 < s.len && s.p[i + 1] == '\n') {
			buf_str(b, "\r\n");
			column = 0;
			i++;
			continue;
		}
		if (column + (plain ? 1 : 3) > 75) {
			buf_str(b, "=\r\n");
			column = 0;
		}
		if (plain)
			buf_byte(b, c);
		else
			buf_printf(b, "=%c%c", hex[c >> 4], hex[c & 15]);
		column += plain ? 1 : 3;
	}
}

static void put_part(struct buf *b, const char *type, slice text, unsigned e)
{
	buf_printf(b,
		"--=_made_up\r\nContent-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n",
		type, cte[e]);
	if (e == 0) {
		put_qp(b, text);
	} else if (e == 1) {
		size_t n = mimeb64_size(text.len, 76, SLICE("\r\n"));

		mimeb64_encode(text, 76, SLICE("\r\n"), buf_room(b, n));
		buf_grew(b, n);
	} else {
		buf_put(b, text);
	}
	buf_str(b, "\r\n");
}

/* A template of others as it would be sent: CRLF, and every link that leads
 * nowhere yet leads somewhere. */
static void put_template(struct buf *b, slice in)
{
	struct html_iter it;
	struct html_token t;
	struct html_attr a;
	struct buf lines;

	buf_init(&lines, 1 << 24);
	for (size_t i = 0; i < in.len; i++) {
		if (in.p[i] == '\n' && (i == 0 || in.p[i - 1] != '\r'))
			buf_byte(&lines, '\r');
		buf_byte(&lines, in.p[i]);
	}
	in = buf_slice(&lines);
	html_start(&it, in);
	while (html_next(&it, &t) > 0) {
		size_t from = t.from;

		if (t.kind == HTML_START && html_is(in, &t, SLICE("a")) &&
			html_attr_find(in, &t, SLICE("href"), &a) && a.quote &&
			!slice_starts(html_slice(in, a.value), SLICE("http"))) {
			buf_put(b, slice_sub(in, from, a.value.from));
			put_url(b, "&amp;");
			from = a.value.to;
		}
		buf_put(b, slice_sub(in, from, t.to));
	}
	buf_free(&lines);
}

/* template: empty, a newsletter is made up. */
static void put_message(struct buf *b, unsigned number, unsigned e, slice template)
{
	struct buf html, text;

	seed = 88172645463325252u + number * 7919;
	for (unsigned i = 0; i < 16; i++)
		below(2);
	buf_init(&html, 1 << 24);
	buf_init(&text, 1 << 24);
	if (template.len)
		put_template(&html, template);
	else
		put_html(&html);
	/* The text repeats a third of the HTML's links. */
	for (size_t at = 0, i = 0; (at = slice_find(buf_slice(&html), SLICE("href=\""), at)) != SLICE_NPOS;
		i++) {
		slice url = slice_from(buf_slice(&html), at += 6);

		if (i % 3)
			continue;
		put_text(&text, 12);
		url = slice_sub(url, 0, slice_chr(url, '"', 0));
		for (size_t k = 0; k < url.len; k++) {
			buf_byte(&text, url.p[k]);
			k += url.p[k] == '&' ? 4 : 0; /* "&amp;" */
		}
		buf_str(&text, "\r\n");
	}
	buf_printf(b,
		"Return-Path: <bounce@news.shop.example>\r\nReceived: from app1.shop.example "
		"(app1.shop.example "
		"[192.0.2.10])\r\n\tby mta1.shop.example with ESMTP id 4XyZ%03u\r\n\tfor "
		"<user%u@example.net>; Fri, 21 Nov 2025 "
		"10:00:00 +0000\r\nMessage-ID: <%u.%u@shop.example>\r\nDate: Fri, 21 Nov 2025 10:00:00 "
		"+0000\r\n"
		"From: Shop <news@shop.example>\r\nTo: user%u@example.net\r\nSubject: New shoes\r\n"
		"List-Unsubscribe: <https://www.shop.example/u/%u>\r\nMIME-Version: 1.0\r\n"
		"Content-Type: multipart/alternative; boundary=\"=_made_up\"\r\n\r\n",
		number, number, number, below(1 << 30), number, number);
	put_part(b, "text/plain", buf_slice(&text), e);
	put_part(b, "text/html", buf_slice(&html), e);
	buf_str(b, "--=_made_up--\r\n");
	buf_free(&html);
	buf_free(&text);
}

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void copy_bytes(struct rewriting *r, slice m)
{
	buf_clear(&r->out);
	buf_put(&r->out, m);
	__asm__ volatile("" : : "r"(r->out.p) : "memory");
}

static void hash_bytes(struct rewriting *r, slice m)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	(void)r;
	SHA256(m.p, m.len, digest);
	__asm__ volatile("" : : "r"(digest) : "memory");
}

static void plan_only(struct rewriting *r, slice m)
{
	arena_reset(&r->arena);
	r->plan = message_plan(&r->arena, m, &r->policy);
}

static void make_only(struct rewriting *r, slice m)
{
	struct copy c;

	plan_only(r, m);
	must(copy_make(&r->arena, r->plan, &r->id, r->sealer, &c) == 0);
}

static void rewrite(struct rewriting *r, slice m)
{
	rewriting_run(r, m);
	must(r->rendering.untouched == UNTOUCHED_NOT);
	r->id.sequence++;
}

/* Best of several slices, in microseconds a message. */
static double timed(struct rewriting *r, const struct buf *m, void (*job)(struct rewriting *, slice))
{
	double best = 1e9;

	for (unsigned turn = 0; turn < 9; turn++) {
		double t0 = cpu(), t;
		unsigned n = 0;

		do {
			job(r, buf_slice(&m[n++ % MESSAGES]));
			t = cpu();
		} while (t - t0 < 0.05);
		t = (t - t0) / n * 1e6;
		best = t < best ? t : best;
	}
	return best;
}

static void table(struct rewriting *r)
{
	printf("%-6s %8s %6s %9s %9s %9s %9s %9s\n", "", "bytes", "links", "memcpy", "sha256", "plan",
		"edits", "all us");
	for (unsigned e = 0; e < 3; e++) {
		struct buf m[MESSAGES];
		size_t bytes = 0;
		unsigned links = 0;
		double t[5];

		for (unsigned i = 0; i < MESSAGES; i++) {
			buf_init(&m[i], 1 << 24);
			put_message(&m[i], i, e, SLICE_NONE);
			bytes += m[i].len;
			rewrite(r, buf_slice(&m[i]));
			links += r->rendering.links;
		}
		t[0] = timed(r, m, copy_bytes);
		t[1] = timed(r, m, hash_bytes);
		t[2] = timed(r, m, plan_only);
		t[3] = timed(r, m, make_only) - t[2];
		t[4] = timed(r, m, rewrite);
		printf("%-6s %8zu %6.1f %9.1f %9.1f %9.1f %9.1f %9.1f\n", encodings[e], bytes / MESSAGES,
			(double)links / MESSAGES, t[0], t[1], t[2], t[3], t[4]);
		for (unsigned i = 0; i < MESSAGES; i++)
			buf_free(&m[i]);
	}
}

static void read_file(const char *path, struct buf *b)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f) {
		perror(path);
		exit(3);
	}
	buf_init(b, 1 << 24);
	while ((n = fread(buf_room(b, 1 << 16), 1, 1 << 16, f)) > 0)
		buf_grew(b, n);
	fclose(f);
}

static void write_files(const char *dir, const char *set, unsigned number, slice template)
{
	struct buf b;
	char path[4096];

	buf_init(&b, 1 << 24);
	for (unsigned e = 0; e < 3; e++) {
		FILE *f;

		buf_clear(&b);
		put_message(&b, number, e, template);
		snprintf(path, sizeof path, "%s/%s-%u.%s.eml", dir, set, number, encodings[e]);
		f = fopen(path, "wb");
		must(f && fwrite(b.p, 1, b.len, f) == b.len && fclose(f) == 0);
	}
	buf_free(&b);
}

/* A message and its text, for the passes. */
struct subject {
	struct buf bytes;
	struct {
		slice body;
		enum mime_cte how;
		bool html;
	} text[4];
	unsigned texts;
};
static uint8_t *room[3]; /* 1 << 21 bytes each */

static size_t decode_pass(slice body, enum mime_cte how, uint8_t *to)
{
	return how == MIME_QP ? passes_qp(body, to) : passes_b64_decode(body, to);
}

static void passes(struct rewriting *r, const struct subject *m)
{
	size_t found = 0;

	(void)r;
	for (unsigned i = 0; i < m->texts; i++) {
		slice body = m->text[i].body, dec = body;

		if (m->text[i].how == MIME_QP || m->text[i].how == MIME_BASE64)
			dec = slice_of(room[0], decode_pass(body, m->text[i].how, room[0]));
		if (m->text[i].html)
			found += passes_scan(dec);
		if (m->text[i].how == MIME_BASE64)
			passes_b64_encode(dec, room[1]);
	}
	memcpy(room[2], m->bytes.p, m->bytes.len);
	__asm__ volatile("" : : "r"(room[0]), "r"(room[1]), "r"(room[2]), "r"(found) : "memory");
}

/* Find the text of the message, and see that the passes do what they should. */
static void prepare(struct rewriting *r, struct subject *m)
{
	struct mime_tree tree;

	arena_reset(&r->arena);
	must(mime_walk(&r->arena, buf_slice(&m->bytes), &tree) == 0 && m->bytes.len < (1 << 20));
	for (size_t i = 0; i < tree.count; i++) {
		const struct mime_part *p = &tree.parts[i];
		slice body = slice_sub(buf_slice(&m->bytes), p->body, p->to);
		struct mimeb64_text b64;
		struct qp_text qp;
		slice dec;

		if (p->multipart || !mime_is(p, SLICE("text"), SLICE_NONE) || m->texts == 4)
			continue;
		m->text[m->texts].body = body;
		m->text[m->texts].how = p->cte;
		m->text[m->texts++].html = mime_is(p, SLICE("text"), SLICE("html"));
		if (p->cte == MIME_QP) {
			qp_decode(&r->arena, body, &qp);
			dec = qp.dec;
		} else if (p->cte == MIME_BASE64) {
			must(mimeb64_decode(&r->arena, body, &b64) == 0);
			dec = b64.dec;
		} else {
			continue;
		}
		must(decode_pass(body, p->cte, room[0]) == dec.len && memcmp(room[0], dec.p, dec.len) == 0);
		if (p->cte == MIME_BASE64)
			must(memcmp(room[1], body.p, passes_b64_encode(dec, room[1])) == 0);
	}
}

static void rewrite_subject(struct rewriting *r, const struct subject *m)
{
	rewrite(r, buf_slice(&m->bytes));
}

static void hash_subject(struct rewriting *r, const struct subject *m)
{
	hash_bytes(r, buf_slice(&m->bytes));
}

static void copy_subject(struct rewriting *r, const struct subject *m)
{
	copy_bytes(r, buf_slice(&m->bytes));
}

static int worker(struct rewriting *r, const char *job, char **paths, unsigned count)
{
	static const struct {
		const char *name;
		void (*run)(struct rewriting *, const struct subject *);
	} jobs[] = {{"landfall", rewrite_subject}, {"sha256", hash_subject}, {"memcpy", copy_subject},
		{"passes", passes}};
	void (*run)(struct rewriting *, const struct subject *) = NULL;
	struct subject *m = calloc(count, sizeof *m);
	char line[64];
	unsigned n = 0, links = 0;
	size_t bytes = 0;
	double limit;

	for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
		if (strcmp(job, jobs[i].name) == 0)
			run = jobs[i].run;
	if (!run || !m || (run == passes && !passes_can())) {
		fprintf(stderr, "rewrite_bench: cannot do %s here\n", job);
		free(m);
		return 3;
	}
	for (unsigned i = 0; i < 3; i++)
		must((room[i] = calloc(1, 1 << 21)) != NULL);
	for (unsigned i = 0; i < count; i++) {
		read_file(paths[i], &m[i].bytes);
		bytes += m[i].bytes.len;
		if (run == passes)
			prepare(r, &m[i]);
		run(r, &m[i]);
		if (run == rewrite_subject)
			links += r->rendering.links;
	}
	printf("{\"messages\":%u,\"links\":%u,\"bytes\":%zu}\n", count, links, bytes);
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) && sscanf(line, "go %lf", &limit) == 1) {
		double t0 = cpu(), t;
		unsigned done = 0;

		/* Whole rounds: the messages are not alike. */
		do {
			for (unsigned i = 0; i < count; i++)
				run(r, &m[i]);
			done += count;
			t = cpu();
		} while (t - t0 < limit);
		n += done;
		printf("{\"messages\":%u,\"cpu\":%.6f}\n", done, t - t0);
		fflush(stdout);
	}
	for (unsigned i = 0; i < count; i++)
		buf_free(&m[i].bytes);
	for (unsigned i = 0; i < 3; i++)
		free(room[i]);
	free(m);
	return n ? 0 : 1;
}

static void write_all(const char *dir, char **templates, unsigned count)
{
	struct buf b;

	for (unsigned i = 0; i < MESSAGES; i++)
		write_files(dir, "made", i, SLICE_NONE);
	for (unsigned i = 0; i < count; i++) {
		read_file(templates[i], &b);
		write_files(dir, "real", i, buf_slice(&b));
		buf_free(&b);
	}
}

int main(int argc, char **argv)
{
	struct rewriting r;
	int rc = 0;

	rewriting_open(&r);
	if (argc >= 3 && strcmp(argv[1], "--write") == 0)
		write_all(argv[2], argv + 3, (unsigned)argc - 3);
	else if (argc >= 4 && strcmp(argv[1], "--worker") == 0)
		rc = worker(&r, argv[2], argv + 3, (unsigned)argc - 3);
	else
		table(&r);
	rewriting_close(&r);
	return rc;
}
