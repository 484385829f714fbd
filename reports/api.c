#include "reports/api.h"

#include "core/io/clock.h"
#include "core/io/metrics.h"
#include "core/parse/num.h"
#include "core/web/problem.h"
#include "reports/view.h"

#define JSON_TYPE SLICE("application/json")
#define ANSWER_MAX (64u << 20)
#define NAME_MAX_BYTES 512

static void reply_buf(struct web_req *r, int status, slice type, struct buf *b)
{
	web_set_header(r, SLICE("cache-control"), SLICE("no-store"));
	web_set_header(r, SLICE("x-content-type-options"), SLICE("nosniff"));
	web_reply(r, status, type, web_keep(r, buf_slice(b)));
	buf_free(b);
}

/* %xx and nothing else; a '+' is a plus. False: not valid, or too long. */
static bool unescape(slice in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		int hi, lo;

		if (in.p[i] != '%') {
			buf_byte(out, in.p[i]);
			continue;
		}
		if (in.len - i < 3)
			return false;
		hi = num_hex_digit(in.p[i + 1]);
		lo = num_hex_digit(in.p[i + 2]);
		if (hi < 0 || lo < 0)
			return false;
		buf_byte(out, (uint8_t)(hi << 4 | lo));
		i += 2;
	}
	return !out->full;
}

/* Value of a query parameter, still escaped; empty if absent. */
static slice parameter(slice query, slice name)
{
	size_t pos = 0;

	while (pos < query.len) {
		size_t end = slice_chr(query, '&', pos);
		slice pair = slice_sub(query, pos, end);
		size_t eq = slice_chr(pair, '=', 0);

		if (eq != SLICE_NPOS && slice_eq(slice_sub(pair, 0, eq), name))
			return slice_from(pair, eq + 1);
		pos = end == SLICE_NPOS ? query.len : end + 1;
	}
	return SLICE_NONE;
}

static void campaign_list(struct web_req *r, const struct picture *p, const struct apikey *key)
{
	slice limit_text = parameter(web_query(r), SLICE("limit"));
	slice after_text = parameter(web_query(r), SLICE("after"));
	uint64_t limit = API_DEFAULT_LIMIT, after = 0, shown = 0, now = clock_ms();
	bool started, more = false;
	const struct campaign *last = NULL;
	struct json_out j;
	struct buf b;

	if (limit_text.len && (num_decode(limit_text, API_MAX_LIMIT, &limit) < 0 || limit == 0)) {
		problem_reply(r, 400, "Bad parameter", "limit: a number from 1 to 1000");
		return;
	}
	if (after_text.len && num_hex_decode(after_text, UINT64_MAX, &after) < 0) {
		problem_reply(r, 400, "Bad parameter", "after: the value of `next` in the answer before");
		return;
	}
	started = after_text.len == 0;
	buf_init(&b, ANSWER_MAX);
	json_start(&j, &b);
	json_object(&j, NULL);
	json_array(&j, "campaigns");
	for (size_t i = 0; i < p->count && !more; i++) {
		const struct campaign *c = p->campaigns[i];

		if (!started) {
			started = c->key == after;
			continue;
		}
		if (!apikey_reads(key, c->tenant))
			continue;
		more = shown == limit;
		if (!more) {
			view_campaign(&j, NULL, p, c, now, false);
			last = c;
			shown++;
		}
	}
	json_end(&j);
	if (more) {
		char text[17];
		slice next = SLICE_NONE;

		for (int i = 0; i < 16; i++)
			text[i] = "0123456789abcdef"[last->key >> (60 - 4 * i) & 15];
		next = slice_of(text, 16);
		json_str(&j, "next", next);
	} else {
		json_null(&j, "next");
	}
	json_end(&j);
	if (!started)
		buf_free(&b);
	if (!started)
		problem_reply(r, 400, "Bad parameter", "after: no such cursor (the campaign is gone)");
	else
		reply_buf(r, 200, JSON_TYPE, &b);
}

static const struct campaign *find(
	const struct picture *p, const struct apikey *key, slice tenant, slice name)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct campaign *c = p->campaigns[i];

		if (name.len && slice_eq(c->name, name) && apikey_reads(key, c->tenant) &&
			(tenant.len == 0 || slice_eq(tenant, c->tenant)))
			return c;
	}
	return NULL;
}

static void campaign_one(struct web_req *r, const struct picture *p, const struct apikey *key, slice escaped)
{
	const struct campaign *c = NULL;
	struct buf name, tenant, b;
	struct json_out j;

	buf_init(&name, NAME_MAX_BYTES);
	buf_init(&tenant, NAME_MAX_BYTES);
	if (unescape(escaped, &name) && unescape(parameter(web_query(r), SLICE("tenant")), &tenant))
		c = find(p, key, buf_slice(&tenant), buf_slice(&name));
	buf_free(&name);
	buf_free(&tenant);
	if (!c) {
		problem_reply(
			r, 404, "No such campaign", "no campaign of this name is readable with this key");
		return;
	}
	buf_init(&b, ANSWER_MAX);
	json_start(&j, &b);
	view_campaign(&j, NULL, p, c, clock_ms(), true);
	reply_buf(r, 200, JSON_TYPE, &b);
}

static void health(struct api *api, struct web_req *r, const struct picture *p)
{
	uint64_t now = clock_ms(), age = p && now > p->taken_ms ? now - p->taken_ms : 0;
	bool redis = snapshot_fresh(api->snapshot), good = redis && p && age < API_STALE_MS;
	struct json_out j;
	struct buf b;

	buf_init(&b, 4096);
	json_start(&j, &b);
	json_object(&j, NULL);
	json_str(&j, "status", good ? SLICE("ok") : SLICE("degraded"));
	json_bool(&j, "redis", redis);
	if (p)
		json_real(&j, "age_seconds", (double)age / 1000);
	else
		json_null(&j, "age_seconds");
	json_end(&j);
	reply_buf(r, good ? 200 : 503, JSON_TYPE, &b);
}

static void metrics_page(struct web_req *r)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	metrics_encode(&b);
	reply_buf(r, 200, SLICE("text/plain; version=0.0.4"), &b);
}

static void data(struct api *api, struct web_req *r, const struct picture *p, slice path)
{
	const struct apikey *key = apikeys_find(keyset_get(api->keys), web_header(r, SLICE("authorization")));
	static const char one[] = "/v1/campaigns/";

	metric_add(METRIC_api_requests, 1);
	if (!key) {
		metric_add(METRIC_api_refused, 1);
		problem_reply(r, 401, "No valid API key",
			"send Authorization: Bearer lf_...; `landfall key add --api --tenant NAME` makes a "
			"key");
	} else if (!p) {
		problem_reply(r, 503, "No picture yet", "Redis has not answered since this program started");
	} else if (slice_eq(path, SLICE("/v1/campaigns"))) {
		campaign_list(r, p, key);
	} else if (slice_starts(path, slice_str(one)) && slice_chr(path, '/', sizeof one - 1) == SLICE_NPOS) {
		campaign_one(r, p, key, slice_from(path, sizeof one - 1));
	} else {
		problem_reply(r, 404, "Not found", "see docs/REPORTS.md for the requests that are answered");
	}
}

void api_handle(void *context, struct web_req *r)
{
	struct api *api = context;
	slice method = web_method(r), path = web_path(r);
	struct picture *p;

	if (!slice_eq(method, SLICE("GET")) && !slice_eq(method, SLICE("HEAD"))) {
		web_set_header(r, SLICE("allow"), SLICE("GET, HEAD"));
		problem_reply(r, 405, "Method not allowed", "this API is read with GET");
		return;
	}
	p = snapshot_get(api->snapshot);
	if (slice_eq(path, SLICE("/healthz")))
		health(api, r, p);
	else if (slice_eq(path, SLICE("/metrics")))
		metrics_page(r);
	else
		data(api, r, p, path);
	picture_drop(&p);
}
