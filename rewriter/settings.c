#include "rewriter/settings.h"

#include "core/base/refuse.h"
#include "core/parse/url.h"

#define MAX_CAMPAIGN_HEADERS 32
#define MAX_UTM 16

/* The next word between blanks; empty: no more. */
static slice word_at(slice s, size_t *at)
{
	size_t from = *at, to;

	while (from < s.len && ascii_space(s.p[from]))
		from++;
	for (to = from; to < s.len && !ascii_space(s.p[to]); to++)
		;
	*at = to;
	return slice_sub(s, from, to);
}

/* "utm_source=news utm_medium=email". 0, or -REFUSE_SYNTAX with *why. */
static int utm_decode(struct arena *a, slice text, struct policy *out, struct buf *why)
{
	struct utm *list = arena_array(a, struct utm, MAX_UTM);
	size_t at = 0;
	slice word;

	for (out->utm = list; (word = word_at(text, &at)).len > 0; out->utm_count++) {
		size_t eq = slice_chr(word, '=', 0), i = 0;

		while (i < word.len && (ascii_alnum(word.p[i]) || word.p[i] == '_' || word.p[i] == '-'))
			i++;
		if (eq == SLICE_NPOS || eq == 0 || i != eq || out->utm_count == MAX_UTM) {
			buf_printf(why, "track.utm: want up to %d words like utm_source=news, not \"%.*s\"",
				MAX_UTM, SLICE_FMT(word));
			return -REFUSE_SYNTAX;
		}
		list[out->utm_count].name = slice_sub(word, 0, eq);
		list[out->utm_count].value = slice_from(word, eq + 1);
	}
	return 0;
}

int settings_policy(struct arena *a, const struct config *c, struct policy *out, struct buf *why)
{
	slice words = slice_str(c->rewriter_campaign_headers), url = slice_str(c->track_url), host;
	slice *headers = arena_array(a, slice, MAX_CAMPAIGN_HEADERS);
	size_t n = 0, at = 0;
	uint8_t *lower;

	while (n < MAX_CAMPAIGN_HEADERS && (headers[n] = word_at(words, &at)).len > 0)
		n++;
	while (slice_ends(url, SLICE("/")))
		url.len--;
	host = url_host(url);
	if (!url_is_web(url) || host.len == 0) {
		buf_printf(why, "track.url = %s: want http:// or https:// and a host", c->track_url);
		return -REFUSE_SYNTAX;
	}
	lower = arena_alloc(a, host.len);
	for (size_t i = 0; i < host.len; i++)
		lower[i] = ascii_lower(host.p[i]);
	*out = (struct policy){.track_url = url,
		.track_host = slice_of(lower, host.len),
		.opens = c->track_opens,
		.clicks = c->track_clicks,
		.text_links = c->track_text_links,
		.unsubscribe = c->track_unsubscribe,
		.allow_tenant = c->rewriter_tenant_field,
		.track_url_text = c->track_url_text,
		.amp_links = c->track_amp_links,
		.top_pixel = c->track_top_pixel,
		.default_campaign = slice_str(c->rewriter_default_campaign),
		.default_tenant = slice_str(c->rewriter_default_tenant),
		.campaign_headers = headers,
		.campaign_header_count = n};
	return utm_decode(a, slice_str(c->track_utm), out, why);
}
