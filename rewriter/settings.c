#include "rewriter/settings.h"

#include "core/base/refuse.h"
#include "rewriter/policy.h"

#include <string.h>

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

static int refuse(struct buf *why, const char *setting, const char *value, const char *want)
{
	buf_printf(why, "%s = %s: want %s", setting, value, want);
	return -REFUSE_SYNTAX;
}

/* The fields that are added, and who signs. 0, or -REFUSE_SYNTAX with *why. */
static int fields_decode(struct arena *a, const struct config *c, struct policy *out, struct buf *why)
{
	slice words = slice_str(c->rewriter_signed_domains);
	slice *signers = arena_array(a, slice, POLICY_MAX_SIGNERS + 1);
	bool resign = slice_eq(slice_str(c->rewriter_signed), SLICE("resign"));
	size_t n = 0, at = 0;

	out->feedback_id = slice_str(c->track_feedback_id);
	if (!policy_feedback_id_fit(out->feedback_id))
		return refuse(why, "track.feedback_id", c->track_feedback_id,
			"at most 64 letters, digits and -._~");
	out->cfbl_address = slice_str(c->track_cfbl_address);
	if (!policy_address_fit(out->cfbl_address))
		return refuse(
			why, "track.cfbl_address", c->track_cfbl_address, "a plain address, or nothing");
	if (!resign && !slice_eq(slice_str(c->rewriter_signed), SLICE("pass")))
		return refuse(why, "rewriter.signed", c->rewriter_signed, "pass or resign");
	while (n <= POLICY_MAX_SIGNERS && (signers[n] = word_at(words, &at)).len > 0)
		n++;
	if (n > POLICY_MAX_SIGNERS || (resign && n == 0))
		return refuse(why, "rewriter.signed_domains", c->rewriter_signed_domains,
			"1 to 64 domains with rewriter.signed = resign");
	out->signers = signers;
	out->signer_count = resign ? n : 0;
	return 0;
}

int settings_policy(struct arena *a, const struct config *c, struct policy *out, struct buf *why)
{
	slice words = slice_str(c->rewriter_campaign_headers);
	slice *headers = arena_array(a, slice, MAX_CAMPAIGN_HEADERS);
	size_t n = 0, at = 0;
	int rc;

	while (n < MAX_CAMPAIGN_HEADERS && (headers[n] = word_at(words, &at)).len > 0)
		n++;
	*out = (struct policy){.opens = c->track_opens,
		.clicks = c->track_clicks,
		.text_links = c->track_text_links,
		.unsubscribe = c->track_unsubscribe,
		.allow_tenant = c->rewriter_tenant_field,
		.track_url_text = c->track_url_text,
		.amp_links = c->track_amp_links,
		.top_pixel = c->track_top_pixel,
		.base_links = c->track_base_links,
		.default_campaign = slice_str(c->rewriter_default_campaign),
		.default_tenant = slice_str(c->rewriter_default_tenant),
		.campaign_headers = headers,
		.campaign_header_count = n};
	if (!policy_track_url(a, slice_str(c->track_url), out))
		return refuse(why, "track.url", c->track_url,
			"http:// or https:// and a host, at most 256 letters, digits and -._~:/[]");
	if (!privacy_decode(slice_str(c->track_mode), &out->mode))
		return refuse(
			why, "track.mode", c->track_mode, "off, anonymous, pseudonymous, identified or full");
	rc = fields_decode(a, c, out, why);
	return rc < 0 ? rc : utm_decode(a, slice_str(c->track_utm), out, why);
}

static bool same(const struct config_addr *a, const struct config_addr *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static slice lower(struct arena *a, slice s)
{
	uint8_t *p = arena_alloc(a, s.len + 1);

	for (size_t i = 0; i < s.len; i++)
		p[i] = ascii_lower(s.p[i]);
	return slice_of(p, s.len);
}

/* "brand.test=10.0.0.2:25,10.0.0.3:25". */
static int route_decode(struct arena *a, slice word, struct hops_route *out)
{
	size_t eq = slice_chr(word, '=', 0);
	slice list = slice_from(word, eq == SLICE_NPOS ? word.len : eq + 1);

	*out = (struct hops_route){.domain = lower(a, slice_sub(word, 0, eq))};
	if (eq == SLICE_NPOS || out->domain.len == 0)
		return -REFUSE_SYNTAX;
	for (size_t at = 0, to; at < list.len; at = to + (to < list.len)) {
		to = slice_chr(list, ',', at);
		to = to == SLICE_NPOS ? list.len : to;
		if (out->count == CONFIG_MAX_ADDRS ||
			config_addr_decode(a, slice_sub(list, at, to), &out->hop[out->count++]) < 0)
			return -REFUSE_SYNTAX;
	}
	return out->count > 0 ? 0 : -REFUSE_SYNTAX;
}

int settings_routes(struct arena *a, const struct config *c, struct hops_routes *out, struct buf *why)
{
	struct hops_route *route = arena_array(a, struct hops_route, HOPS_MAX_ROUTES);
	slice words = slice_str(c->rewriter_routes), word;
	unsigned n = 1, hops = c->rewriter_next_hop.count;
	size_t at = 0;

	route[0] = (struct hops_route){.count = hops};
	memcpy(route[0].hop, c->rewriter_next_hop.at, sizeof route[0].hop);
	while ((word = word_at(words, &at)).len > 0) {
		if (n == HOPS_MAX_ROUTES || route_decode(a, word, &route[n]) < 0 ||
			(hops += route[n].count) > HOPS_MAX) {
			buf_printf(why,
				"rewriter.routes: want up to %d words like "
				"brand.test=10.0.0.2:25,10.0.0.3:25 "
				"and up to %d next hops, not \"%.*s\"",
				HOPS_MAX_ROUTES - 1, HOPS_MAX, SLICE_FMT(word));
			return -REFUSE_SYNTAX;
		}
		n++;
	}
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < route[i].count; k++) {
			if (!same(&route[i].hop[k], &c->rewriter_listen) &&
				!same(&route[i].hop[k], &c->rewriter_lmtp_listen) &&
				!same(&route[i].hop[k], &c->rewriter_smtps_listen))
				continue;
			buf_str(why, "rewriter.next_hop or routes name rewriter.listen, lmtp_listen or "
				     "smtps_listen: mail would "
				     "go round in circles");
			return -REFUSE_SYNTAX;
		}
	}
	*out = (struct hops_routes){route, n};
	return 0;
}

static int networks_decode(const char *text, const char *key, struct ip_networks *out, struct buf *why)
{
	slice word;
	int rc = ip_networks_decode(slice_str(text), out, &word);

	if (rc < 0)
		buf_printf(why, "%s: want up to %d networks like 10.0.0.0/8 or ::1/128, not \"%.*s\"", key,
			IP_MAX_NETWORKS, SLICE_FMT(word));
	return rc;
}

int settings_peers(const struct config *c, struct peers *out, struct buf *why)
{
	int rc = networks_decode(c->rewriter_trusted_clients, "rewriter.trusted_clients", &out->trusted, why);

	if (rc < 0)
		return rc;
	return networks_decode(c->rewriter_proxy_protocol, "rewriter.proxy_protocol", &out->balancers, why);
}
