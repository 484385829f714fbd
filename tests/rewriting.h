/* Shared by the tests, fuzz targets and benches of the message rewriter: keys
 * and a policy, and a view of a copy in which tracked links show where they lead. */
#ifndef LF_TESTS_REWRITING_H
#define LF_TESTS_REWRITING_H

#include <stdlib.h>
#include <string.h>

#include "core/base/must.h"
#include "rewriter/message.h"

struct rewriting {
	struct keyring ring;
	struct sealer *sealer;
	struct policy policy;
	struct identity id;
	struct arena arena;
	struct buf out;
	const struct plan *plan;
	struct rendering rendering;
};

static inline void rewriting_open(struct rewriting *r)
{
	memset(r, 0, sizeof *r);
	r->ring.count = 1;
	r->ring.key[0].id = 1;
	for (unsigned i = 0; i < KEYRING_SECRET; i++) {
		r->ring.key[0].secret[i] = (uint8_t)(i * 7 + 1);
		r->ring.hash[i] = (uint8_t)(i * 5 + 3);
	}
	r->sealer = sealer_open(&r->ring);
	r->policy = (struct policy){.track_url = SLICE("https://t.example"),
		.track_host = SLICE("t.example"),
		.mode = PRIVACY_FULL,
		.opens = true,
		.clicks = true,
		.text_links = true,
		.default_campaign = SLICE("spring"),
		.default_tenant = SLICE("acme")};
	r->id = (struct identity){.campaign = 0x1122334455667788, .lane = 7, .sequence = 42, .day = 2000};
	arena_init(&r->arena, (size_t)1 << 31, NULL, NULL);
	buf_init(&r->out, (size_t)1 << 30);
}

static inline void rewriting_close(struct rewriting *r)
{
	sealer_close(&r->sealer);
	arena_free(&r->arena);
	buf_free(&r->out);
}

/* Plan and render; the copy is r->out until the next call. */
static inline slice rewriting_run(struct rewriting *r, slice message)
{
	arena_reset(&r->arena);
	buf_clear(&r->out);
	r->plan = message_plan(&r->arena, message, &r->policy);
	must(message_render(&r->arena, r->plan, &r->id, r->sealer, &r->out, &r->rendering) == 0);
	return buf_slice(&r->out);
}

static inline size_t token_end(slice s, size_t at)
{
	while (at < s.len && (ascii_alnum(s.p[at]) || s.p[at] == '-' || s.p[at] == '_'))
		at++;
	return at;
}

/* Append text to out with "C(destination)" for each tracked link that opens,
 * "PIX" for each pixel, "ID" and "U" for the tokens of header fields. */
static inline void rewriting_reveal(struct rewriting *r, slice text, struct buf *out)
{
	static const char *const pixel_end = "\" width=\"1\" height=\"1\" alt=\"\" aria-hidden=\"true\" "
					     "style=\"border:0\">";
	slice base = SLICE("https://t.example/"), image = SLICE("<img src=\"https://t.example/o/");
	slice id = SLICE("X-Landfall-Id: ");
	uint8_t room[TOKEN_ROOM];
	struct token t;

	for (size_t i = 0; i < text.len;) {
		slice rest = slice_from(text, i);

		if (slice_starts(rest, image)) {
			size_t end = token_end(rest, image.len);
			slice tail = slice_from(rest, end);
			slice want = slice_str(pixel_end);

			if (token_open(r->sealer, r->policy.track_host, TOKEN_OPEN,
				    slice_sub(rest, image.len, end), room, &t) == 0 &&
				slice_starts(tail, SLICE(".gif")) &&
				slice_starts(slice_from(tail, 4), want)) {
				buf_str(out, "PIX");
				i += end + 4 + want.len;
				continue;
			}
		} else if (slice_starts(rest, base) && rest.len > base.len + 2) {
			size_t end = token_end(rest, base.len + 2);
			enum token_kind kind = rest.p[base.len] == 'u' ? TOKEN_UNSUBSCRIBE : TOKEN_CLICK;

			if (token_open(r->sealer, r->policy.track_host, kind,
				    slice_sub(rest, base.len + 2, end), room, &t) == 0) {
				buf_str(out, kind == TOKEN_CLICK ? "C(" : "U(");
				buf_put(out, t.url);
				buf_str(out, ")");
				i += end;
				continue;
			}
		} else if (slice_starts(rest, id)) {
			size_t end = token_end(rest, id.len);

			if (token_open(r->sealer, r->policy.track_host, TOKEN_HEADER,
				    slice_sub(rest, id.len, end), room, &t) == 0) {
				buf_put(out, id);
				buf_str(out, "ID");
				i += end;
				continue;
			}
		}
		buf_byte(out, text.p[i++]);
	}
}

#endif
