#include "rewriter/settings.h"

#include "core/base/refuse.h"
#include "core/parse/url.h"

#define MAX_CAMPAIGN_HEADERS 32

int settings_policy(struct arena *a, const struct config *c, struct policy *out, struct buf *why)
{
	slice words = slice_str(c->rewriter_campaign_headers), url = slice_str(c->track_url), host;
	slice *headers = arena_array(a, slice, MAX_CAMPAIGN_HEADERS);
	size_t n = 0, at = 0;
	uint8_t *lower;

	while (at < words.len && n < MAX_CAMPAIGN_HEADERS) {
		size_t blank = slice_chr(words, ' ', at), to = blank == SLICE_NPOS ? words.len : blank;

		if (to > at)
			headers[n++] = slice_sub(words, at, to);
		at = to + 1;
	}
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
		.default_campaign = slice_str(c->rewriter_default_campaign),
		.default_tenant = slice_str(c->rewriter_default_tenant),
		.campaign_headers = headers,
		.campaign_header_count = n};
	return 0;
}
