#include "tracker/hit.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/metrics.h"
#include "core/model/token.h"
#include "core/parse/url.h"
#include "tracker/page.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* A destination of TOKEN_MAX_URL bytes, each percent-encoded, and a host in
 * punycode. */
#define LOCATION_MAX 16384
#define DRAIN_MS 500
/* X-Forwarded-For headers that are looked at. */
#define FORWARDED_MAX 16

/* Hashes of networks that came before: many hits come from few. */
#define NETWORKS 256

struct network {
	uint8_t prefix[6];
	uint8_t len; /* 0: nothing is remembered here */
	uint32_t hash;
};

struct hit {
	const struct hit_shared *shared;
	struct sealer *sealer;
	struct judge *judge;
	struct outbox *outbox;
	struct buf location;
	struct network networks[NETWORKS];
	uint8_t room[TOKEN_ROOM];
};

/* The smallest picture: one transparent pixel. */
static const uint8_t gif[43] = {'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0x80, 0, 0, 0xff, 0xff, 0xff, 0, 0,
	0, '!', 0xf9, 4, 1, 0, 0, 0, 0, ',', 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, ';'};

#define PIXEL_CACHE SLICE("no-store, no-cache, must-revalidate, max-age=0, private")
#define NO_STORE SLICE("no-store")

/* Answers. */

static void set_common(struct web_req *r, slice cache)
{
	web_set_header(r, SLICE("cache-control"), cache);
	web_set_header(r, SLICE("x-robots-tag"), SLICE("noindex"));
}

static void answer_pixel(struct web_req *r)
{
	set_common(r, PIXEL_CACHE);
	web_reply(r, 200, SLICE("image/gif"), slice_of(gif, sizeof gif));
}

static void answer_page(struct web_req *r, int status, enum page page)
{
	set_common(r, NO_STORE);
	web_set_header(r, SLICE("x-content-type-options"), SLICE("nosniff"));
	web_set_header(r, SLICE("content-security-policy"), PAGE_POLICY);
	web_reply(r, status, PAGE_TYPE, page_of(page));
}

static void answer_not_allowed(struct web_req *r, slice allow)
{
	metric_add(METRIC_requests_other, 1);
	web_set_header(r, SLICE("allow"), allow);
	answer_page(r, 405, PAGE_NOT_ALLOWED);
}

static void answer_robots(struct web_req *r)
{
	metric_add(METRIC_requests_other, 1);
	web_set_header(r, SLICE("cache-control"), SLICE("max-age=86400"));
	web_set_header(r, SLICE("x-robots-tag"), SLICE("noindex"));
	web_reply(r, 200, SLICE("text/plain; charset=utf-8"), SLICE("User-agent: *\nDisallow: /\n"));
}

/* Evidence. */

static bool is_get(const struct web_req *r)
{
	return slice_eq(web_method(r), SLICE("GET"));
}

static bool is_head(const struct web_req *r)
{
	return slice_eq(web_method(r), SLICE("HEAD"));
}

static bool client_of(const struct hit *h, const struct web_req *r, struct ip *out)
{
	slice forwarded[FORWARDED_MAX];
	struct ip peer;
	const struct sockaddr *sa;
	size_t n = 0, pos = 0;
	socklen_t len;

	sa = web_peer(r, &len);
	if (!sa)
		return false;
	if (sa->sa_family == AF_INET)
		peer = ip_v4((const uint8_t *)&((const struct sockaddr_in *)sa)->sin_addr);
	else if (sa->sa_family == AF_INET6)
		memcpy(peer.byte, &((const struct sockaddr_in6 *)sa)->sin6_addr, sizeof peer.byte);
	else
		return false;
	if (ip_networks_have(h->shared->trusted, &peer))
		while (web_header_next(r, SLICE("x-forwarded-for"), &pos, &forwarded[n]))
			if (++n == FORWARDED_MAX) {
				/* The right-most count: make room by forgetting the first. */
				memmove(forwarded, forwarded + 1, sizeof forwarded - sizeof *forwarded);
				n--;
			}
	*out = client_address_of(h->shared->trusted, &peer, forwarded, n);
	return true;
}

/* The network of a client: an IPv4 /24, an IPv6 /48; nothing longer is looked at. */
static uint32_t network_of(struct hit *h, const struct ip *client)
{
	slice prefix = ip_is_v4(client) ? slice_of(client->byte + 12, 3) : slice_of(client->byte, 6);
	struct network *n =
		&h->networks[(prefix.p[prefix.len - 1] * 31u + prefix.p[prefix.len - 2]) % NETWORKS];

	if (n->len != prefix.len || memcmp(n->prefix, prefix.p, prefix.len) != 0) {
		memcpy(n->prefix, prefix.p, prefix.len);
		n->len = (uint8_t)prefix.len;
		n->hash = hash_network(h->shared->keys, prefix);
	}
	return n->hash;
}

/* The token says what its sender allowed: with "anonymous" the recipient is left
 * out; agent, network and place are for "full" alone. */
static void note(struct hit *h, const struct web_req *r, const struct token *t, enum event_kind kind)
{
	struct judge_evidence evidence = {.kind = kind,
		.head = is_head(r),
		.agent = web_header(r, SLICE("user-agent")),
		.sec_purpose = web_header(r, SLICE("sec-purpose")),
		.purpose = web_header(r, SLICE("purpose")),
		.x_purpose = web_header(r, SLICE("x-purpose")),
		.x_moz = web_header(r, SLICE("x-moz"))};
	struct event e = {.kind = kind,
		.ms = clock_ms(),
		.campaign = t->campaign,
		.lane = t->lane,
		.sequence = t->mode == PRIVACY_ANONYMOUS ? EVENT_NO_SEQUENCE : t->sequence,
		.link = t->link,
		.place = t->place,
		.class = judge_hit(h->judge, &evidence)};
	struct ip client;

	if (t->mode == PRIVACY_OFF)
		return;
	if (t->mode >= PRIVACY_FULL) {
		e.agent = judge_agent(evidence.agent);
		if (client_of(h, r, &client)) {
			e.network = network_of(h, &client);
			if (h->shared->geo)
				geo_country(h->shared->geo, &client, e.country);
		}
	}
	outbox_put(h->outbox, &e);
}

/* Handlers. */

static bool open_token(
	struct hit *h, const struct web_req *r, enum token_kind kind, slice text, struct token *t)
{
	if (token_open(h->sealer, web_host(r), kind, text, h->room, t) == 0)
		return true;
	metric_add(METRIC_tokens_refused, 1);
	return false;
}

/* /o/<token>.gif: a pixel for everyone, an event for a good token. */
static void hit_open_pixel(struct hit *h, struct web_req *r, slice text)
{
	struct token t;

	if (!is_get(r) && !is_head(r)) {
		answer_not_allowed(r, SLICE("GET, HEAD"));
		return;
	}
	if (open_token(h, r, TOKEN_OPEN, slice_sub(text, 0, text.len - 4), &t)) {
		metric_add(METRIC_opens, 1);
		note(h, r, &t, EVENT_OPEN);
	}
	answer_pixel(r);
}

/* /c/<token>: note the click, then send the reader on. */
static void hit_click(struct hit *h, struct web_req *r, slice text)
{
	struct token t;

	if (!is_get(r) && !is_head(r)) {
		answer_not_allowed(r, SLICE("GET, HEAD"));
		return;
	}
	buf_clear(&h->location);
	if (!open_token(h, r, TOKEN_CLICK, text, &t) || url_location(t.url, &h->location) != 0) {
		answer_page(r, 404, PAGE_NOT_FOUND);
		return;
	}
	metric_add(METRIC_clicks, 1);
	note(h, r, &t, EVENT_CLICK);
	set_common(r, NO_STORE);
	web_redirect(r, web_keep(r, buf_slice(&h->location)));
}

/* The value of a form field in one part of a multipart/form-data body. */
static bool part_asks(slice part)
{
	size_t head = slice_find(part, SLICE("\r\n\r\n"), 0);

	return head != SLICE_NPOS &&
	       slice_ifind(slice_sub(part, 0, head), SLICE("name=\"" PAGE_FIELD "\""), 0) != SLICE_NPOS &&
	       slice_eq(slice_trim(slice_from(part, head + 4)), SLICE(PAGE_VALUE));
}

/* RFC 8058 allows both kinds of form; the separator of the second is the body's
 * first line. */
static bool asks_to_unsubscribe(slice body)
{
	slice separator = slice_sub(body, 0, slice_find(body, SLICE("\r\n"), 0));
	size_t from = separator.len, to;

	if (!slice_starts(separator, SLICE("--"))) {
		for (from = 0; from < body.len; from = to + 1) {
			to = slice_chr(body, '&', from);
			if (to == SLICE_NPOS)
				to = body.len;
			if (slice_eq(slice_trim(slice_sub(body, from, to)), SLICE(PAGE_FIELD "=" PAGE_VALUE)))
				return true;
		}
		return false;
	}
	while ((to = slice_find(body, separator, from)) != SLICE_NPOS) {
		if (part_asks(slice_sub(body, from, to)))
			return true;
		from = to + separator.len;
	}
	return false;
}

/* /u/<token>: a GET shows a button, whoever fetches it; only a POST that says
 * so unsubscribes. */
static void hit_unsubscribe(struct hit *h, struct web_req *r, slice text)
{
	bool post = slice_eq(web_method(r), SLICE("POST"));
	struct token t;

	if (!is_get(r) && !is_head(r) && !post) {
		answer_not_allowed(r, SLICE("GET, HEAD, POST"));
		return;
	}
	if (!open_token(h, r, TOKEN_UNSUBSCRIBE, text, &t)) {
		answer_page(r, 404, PAGE_NOT_FOUND);
		return;
	}
	if (!post) {
		answer_page(r, 200, PAGE_CONFIRM);
		return;
	}
	if (!asks_to_unsubscribe(web_body(r))) {
		answer_page(r, 400, PAGE_BAD_REQUEST);
		return;
	}
	metric_add(METRIC_unsubscribes, 1);
	note(h, r, &t, EVENT_UNSUBSCRIBE);
	answer_page(r, 200, PAGE_DONE);
}

void hit_handle(void *context, struct web_req *r)
{
	struct hit *h = context;
	slice path = web_path(r), rest = slice_from(path, 3);

	if (slice_starts(path, SLICE("/o/")) && slice_ends(rest, SLICE(".gif"))) {
		hit_open_pixel(h, r, rest);
	} else if (slice_starts(path, SLICE("/c/"))) {
		hit_click(h, r, rest);
	} else if (slice_starts(path, SLICE("/u/"))) {
		hit_unsubscribe(h, r, rest);
	} else if (slice_eq(path, SLICE("/robots.txt")) && (is_get(r) || is_head(r))) {
		answer_robots(r);
	} else {
		metric_add(METRIC_requests_other, 1);
		answer_page(r, 404, PAGE_NOT_FOUND);
	}
}

void hit_turn(void *context)
{
	struct hit *h = context;

	/* The readers get their answers, whatever the disk does. */
	if (outbox_flush(h->outbox) < 0)
		outbox_lose(h->outbox);
}

struct hit *hit_open(const struct hit_shared *shared, unsigned thread)
{
	struct hit *h = must_zalloc(sizeof *h);
	int rc = outbox_open(&h->outbox, &shared->outbox[thread]);

	if (rc < 0) {
		log_error("hit", "cannot open journal", "dir=%s err=%s", shared->outbox[thread].journal.dir,
			strerrorname_np(-rc));
		free(h);
		return NULL;
	}
	h->shared = shared;
	h->sealer = sealer_open(shared->keys);
	h->judge = judge_open();
	buf_init(&h->location, LOCATION_MAX);
	return h;
}

void hit_close(struct hit **h)
{
	if (!*h)
		return;
	outbox_close(&(*h)->outbox, DRAIN_MS);
	sealer_close(&(*h)->sealer);
	judge_close(&(*h)->judge);
	buf_free(&(*h)->location);
	free(*h);
	*h = NULL;
}
