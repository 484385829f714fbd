/* What rewriting one message costs: plan, seal, edit and prove, beside memcpy
 * and SHA-256 of the same bytes.
 *
 *	rewrite_bench                 a table over made-up newsletters
 *	rewrite_bench --write DIR     writes these newsletters as files
 *	rewrite_bench --worker DIR E  reads "go CPU_SECONDS" lines and answers each
 *	                              with one JSON line; E: qp, b64 or 8bit
 */
#include "tests/rewriting.h"

#include "core/parse/mimeb64.h"
#include "core/parse/qp.h"
#include "rewriter/copy.h"

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

static void put_message(struct buf *b, unsigned number, unsigned e)
{
	struct buf html, text;

	seed = 88172645463325252u + number * 7919;
	for (unsigned i = 0; i < 16; i++)
		below(2);
	buf_init(&html, 1 << 24);
	buf_init(&text, 1 << 24);
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
			put_message(&m[i], i, e);
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

static void write_files(const char *dir)
{
	struct buf b;
	char path[4096];

	buf_init(&b, 1 << 24);
	for (unsigned i = 0; i < MESSAGES; i++)
		for (unsigned e = 0; e < 3; e++) {
			FILE *f;

			buf_clear(&b);
			put_message(&b, i, e);
			snprintf(path, sizeof path, "%s/m%u.%s.eml", dir, i, encodings[e]);
			f = fopen(path, "wb");
			must(f && fwrite(b.p, 1, b.len, f) == b.len && fclose(f) == 0);
		}
	buf_free(&b);
}

static void worker(struct rewriting *r, const char *dir, const char *encoding)
{
	struct buf m[MESSAGES];
	char path[4096], line[64];
	unsigned n = 0, links = 0;
	double limit;

	for (unsigned i = 0; i < MESSAGES; i++) {
		FILE *f;

		buf_init(&m[i], 1 << 24);
		snprintf(path, sizeof path, "%s/m%u.%s.eml", dir, i, encoding);
		f = fopen(path, "rb");
		must(f);
		buf_grew(&m[i], fread(buf_room(&m[i], 1 << 20), 1, 1 << 20, f));
		fclose(f);
		rewrite(r, buf_slice(&m[i]));
		links += r->rendering.links;
	}
	printf("{\"messages\":%d,\"links\":%u}\n", MESSAGES, links);
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) && sscanf(line, "go %lf", &limit) == 1) {
		double t0 = cpu(), t;
		unsigned done = 0;
		size_t bytes = 0;

		do {
			bytes += m[n % MESSAGES].len;
			rewrite(r, buf_slice(&m[n++ % MESSAGES]));
			done++;
			t = cpu();
		} while (t - t0 < limit);
		printf("{\"messages\":%u,\"bytes\":%zu,\"cpu\":%.6f}\n", done, bytes, t - t0);
		fflush(stdout);
	}
	for (unsigned i = 0; i < MESSAGES; i++)
		buf_free(&m[i]);
}

int main(int argc, char **argv)
{
	struct rewriting r;

	rewriting_open(&r);
	if (argc == 3 && strcmp(argv[1], "--write") == 0)
		write_files(argv[2]);
	else if (argc == 4 && strcmp(argv[1], "--worker") == 0)
		worker(&r, argv[2], argv[3]);
	else
		table(&r);
	rewriting_close(&r);
	return 0;
}
