#include "rewriter/http.h"

#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/clock.h"
#include "core/io/daemon.h"
#include "core/io/keyset.h"
#include "core/io/log.h"
#include "core/io/metrics.h"
#include "core/model/verp.h"
#include "core/web/problem.h"
#include "core/web/web.h"
#include "rewriter/ask.h"
#include "rewriter/count.h"
#include "rewriter/numbers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_MS 2000
#define MAX_PATH_TEXT 512 /* of a return path */

struct http {
	struct http_config cfg;
	int fd;
	struct keyset *keys;
	struct outbox *outbox;
	struct sequence *sequence;
	struct recent *recent;
	struct numbers numbers;
	struct sealer *sealer;
	struct arena arena;
	struct buf out;
	jmp_buf full; /* out of the rewriting, which holds nothing but arena memory */
	int flushed;  /* of this turn: 0, or -errno: it was not recorded */
	struct web *web;
};

/* What is answered when it is recorded; in the request's memory. */
struct answer {
	slice message, id, return_path;
	struct rendering r;
};

static void arena_full(void *arg)
{
	struct http *h = arg;

	longjmp(h->full, 1);
}

/* Answers. */

static slice number(struct web_req *r, uint64_t n)
{
	char text[24];

	return web_keep(
		r, slice_of(text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)n)));
}

static void reply(struct web_req *r, const struct answer *a)
{
	web_set_header(r, SLICE("cache-control"), SLICE("no-store"));
	if (a->r.untouched != UNTOUCHED_NOT)
		web_set_header(r, SLICE("landfall-untouched"), slice_str(untouched_word(a->r.untouched)));
	web_set_header(r, SLICE("landfall-links"), number(r, a->r.links));
	web_set_header(r, SLICE("landfall-left"), number(r, a->r.left));
	web_set_header(r, SLICE("landfall-pixels"), number(r, a->r.pixels));
	if (a->id.len)
		web_set_header(r, SLICE("landfall-id"), a->id);
	if (a->return_path.len)
		web_set_header(r, SLICE("landfall-return-path"), a->return_path);
	web_reply(r, 200, SLICE("message/rfc822"), a->message);
}

static void put_off(struct web_req *r)
{
	web_set_header(r, SLICE("retry-after"), SLICE(HTTP_RETRY_S));
	problem_reply(r, 503, "No room", "the message could not be recorded: try again later");
}

/* Rewriting. */

/* The message as it came, less its control fields. */
static void pass(struct http *h, struct web_req *r, const struct plan *plan, enum untouched why)
{
	struct answer a = {.r = {.untouched = why}};

	buf_clear(&h->out);
	count_untouched(why);
	must(message_pass(&h->arena, plan, &h->out) == 0);
	a.message = web_keep(r, buf_slice(&h->out));
	reply(r, &a);
}

static void explain(struct http *h, struct web_req *r, const struct plan *plan)
{
	struct identity id = {.campaign = hash_campaign(h->cfg.ring, plan_tenant(plan), plan_campaign(plan)),
		.day = token_day(clock_ms())};

	must(message_explain(&h->arena, plan, &id, h->sealer, &h->out) == 0);
	web_set_header(r, SLICE("cache-control"), SLICE("no-store"));
	web_set_header(r, SLICE("x-content-type-options"), SLICE("nosniff"));
	web_reply(r, 200, SLICE("application/json"), web_keep(r, buf_slice(&h->out)));
}

static slice return_path(struct http *h, struct web_req *r, const struct identity *id)
{
	slice domain = slice_str(h->cfg.config->track_return_path_domain), kept = SLICE_NONE;
	struct token t = {
		.kind = TOKEN_RETURN, .campaign = id->campaign, .lane = id->lane, .sequence = id->sequence};
	struct buf b;

	if (domain.len == 0)
		return kept;
	buf_init(&b, MAX_PATH_TEXT);
	if (verp_seal(h->sealer, domain, &t, &b) == 0)
		kept = web_keep(r, buf_slice(&b));
	buf_free(&b);
	return kept;
}

/* What the message is called, for an attempt that is repeated. */
static uint64_t name_of(const struct http *h, const struct plan *plan, slice message)
{
	slice id = plan_message_id(plan);

	return id.len ? attempts_message(id) : hash_content(h->cfg.ring, message);
}

static void record(struct http *h, const struct plan *plan, const struct ask *ask, struct event *sent)
{
	slice own = ask->recipient_id.len ? ask->recipient_id : plan_recipient_id(plan);

	sent->ms = clock_ms();
	outbox_put(h->outbox, sent);
	if (own.len && plan_privacy(plan) >= PRIVACY_IDENTIFIED)
		outbox_put(h->outbox, &(struct event){.kind = EVENT_RECIPIENT,
					      .ms = sent->ms,
					      .campaign = sent->campaign,
					      .lane = sent->lane,
					      .sequence = sent->sequence,
					      .name = own});
	metric_add(METRIC_messages_handed_out, 1);
}

static void rewrite(struct http *h, struct web_req *r, const struct ask *ask, const struct policy *p)
{
	slice message = web_body(r);
	const struct plan *plan = message_plan(&h->arena, message, p);
	struct answer a = {.r = {.untouched = UNTOUCHED_CAP}}, *held;
	struct identity id;
	struct event sent;
	int rc;

	if (ask->explain) {
		explain(h, r, plan);
		return;
	}
	metric_add(METRIC_messages_in, 1);
	if (plan_campaign(plan).len == 0 || !plan_tracks(plan)) {
		pass(h, r, plan, plan_untouched(plan));
		return;
	}
	rc = numbers_take(&h->numbers, plan, ask->recipient, name_of(h, plan, message), &id, &sent);
	if (rc == -EOVERFLOW) {
		pass(h, r, plan, UNTOUCHED_CAP);
		return;
	}
	if (rc < 0) {
		log_error("http", "no room to record mail: it is put off", "err=%s", strerror(-rc));
		put_off(r);
		return;
	}
	if (message_render(&h->arena, plan, &id, h->sealer, &h->out, &a.r) < 0)
		must(message_pass(&h->arena, plan, &h->out) == 0);
	count_rendering(&a.r, message.len);
	a.message = web_keep(r, buf_slice(&h->out));
	a.id = web_keep(r, a.r.id);
	if (!ask->null_sender)
		a.return_path = return_path(h, r, &id);
	record(h, plan, ask, &sent);
	held = (struct answer *)(uintptr_t)web_keep(r, slice_of(&a, sizeof a)).p;
	web_hold(r, held);
}

/* The message was too costly to understand; its header is not. */
static void rewrite_header(struct http *h, struct web_req *r, struct policy *p)
{
	arena_reset(&h->arena);
	p->mode = PRIVACY_OFF;
	if (setjmp(h->full) == 0)
		pass(h, r, message_plan(&h->arena, web_body(r), p), UNTOUCHED_CAP);
	else
		problem_reply(r, 422, "Too costly", "the header of the message takes too much memory");
}

/* The fields of the request. False: one of ours stands there twice. */
static bool fields_of(const struct web_req *r, struct ask_fields *f)
{
	const struct {
		slice name;
		slice *to;
	} list[] = {
#define F(field, text) {SLICE(text), &f->field},
		ASK_LIST(F)
#undef F
	};

	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		slice more;
		size_t pos = 0;

		*list[i].to = SLICE_NONE;
		web_header_next(r, list[i].name, &pos, list[i].to);
		if (slice_starts(list[i].name, SLICE("landfall-")) &&
			web_header_next(r, list[i].name, &pos, &more))
			return false;
	}
	return true;
}

static void post(struct http *h, struct web_req *r)
{
	const struct apikey *key = apikeys_find(keyset_get(h->keys), web_header(r, SLICE("authorization")));
	struct policy p = *h->cfg.policy;
	const char *detail = "a Landfall- field stands in the request twice";
	struct ask_fields f;
	struct ask ask;
	int status = 400;

	metric_add(METRIC_api_requests, 1);
	if (!key) {
		metric_add(METRIC_api_refused, 1);
		problem_reply(r, 401, "No valid API key",
			"send Authorization: Bearer lf_...; `landfall key add --rewrite --tenant NAME` makes "
			"a "
			"key");
		return;
	}
	if (fields_of(r, &f))
		status = ask_read(&f, key, &p, &ask, &detail);
	if (status == 0 && web_body(r).len == 0) {
		status = 400;
		detail = "the body is empty: it is the message";
	}
	if (status) {
		problem_reply(r, status,
			status == 415   ? "Not a message"
			: status == 403 ? "Not this key's tenant"
					: "Bad request",
			detail);
		return;
	}
	buf_clear(&h->out);
	if (setjmp(h->full) == 0) {
		rewrite(h, r, &ask, &p);
	} else {
		log_warn("http", "message too costly to understand, the original goes out", "bytes=%zu",
			web_body(r).len);
		rewrite_header(h, r, &p);
	}
	if (h->arena.used > HTTP_KEEP)
		arena_free(&h->arena);
	else
		arena_reset(&h->arena);
	if (h->out.room > HTTP_KEEP)
		buf_free(&h->out);
}

static void handle(void *context, struct web_req *r)
{
	struct http *h = context;
	slice path = web_path(r), method = web_method(r);
	bool get = slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD"));

	if (slice_eq(path, SLICE("/healthz")) && get) {
		web_reply(r, 200, SLICE("text/plain; charset=utf-8"), SLICE("ok\n"));
	} else if (!slice_eq(path, SLICE("/v1/rewrite"))) {
		problem_reply(r, 404, "Not found", "messages are rewritten by POST /v1/rewrite");
	} else if (!slice_eq(method, SLICE("POST"))) {
		web_set_header(r, SLICE("allow"), SLICE("POST"));
		problem_reply(r, 405, "Method not allowed", "messages are rewritten by POST /v1/rewrite");
	} else {
		post(h, r);
	}
}

static void on_turn(void *context)
{
	struct http *h = context;
	int64_t ticket = outbox_flush(h->outbox);

	h->flushed = ticket > 0 ? outbox_wait(h->outbox, ticket) : (int)ticket;
}

/* It is recorded, or it never will be. */
static void release(void *context, struct web_req *r, void *what)
{
	const struct http *h = context;

	if (h->flushed < 0)
		put_off(r);
	else
		reply(r, what);
}

/* Opening. */

static void *same_http(void *arg, unsigned thread)
{
	(void)thread;
	return arg;
}

/* 0, or -errno with *why. */
static int open_lane(struct http *h, struct buf *why)
{
	struct config *c = h->cfg.config;
	const char *dir = config_path(c, "rewriter-http");
	struct outbox_config cfg = {.program = "rewriter",
		.journal = {.dir = dir,
			.segment_bytes = (size_t)c->journal_segment_mb << 20,
			.cap_bytes = (uint64_t)c->journal_cap_mb << 20,
			.keep_ms = (uint64_t)c->journal_keep_hours * 3600 * 1000},
		.redis = config_redis(c),
		.partitions = (unsigned)c->store_partitions,
		.sync_ms = (unsigned)c->journal_sync_ms};
	int rc = outbox_open(&h->outbox, &cfg);
	uint32_t lane;

	if (rc == 0) {
		lane = outbox_lane(h->outbox);
		rc = sequence_open(&h->sequence, dir, lane, outbox_account(h->outbox).made > 0);
		if (rc == -ENOENT)
			buf_printf(why,
				"%s: the file sequence is missing or of another journal, and numbers must "
				"not be used twice: move this directory away and start anew",
				dir);
	}
	if (rc == 0)
		rc = recent_open(&h->recent,
			&(struct recent_config){.dir = dir, .lanes = &lane, .lane_count = 1, .mixed = 1});
	if (rc < 0 && why->len == 0)
		buf_printf(why, "%s: %s", dir, strerror(-rc));
	h->numbers = (struct numbers){h->cfg.ring, h->outbox, h->sequence, h->recent};
	return rc;
}

static int serve(struct http *h, struct buf *why)
{
	struct config *c = h->cfg.config;
	size_t most = (size_t)c->rewriter_max_message_mb << 20;
	int rc;

	h->sealer = sealer_open(h->cfg.ring);
	arena_init(&h->arena, HTTP_ARENA + 8 * most, arena_full, h);
	buf_init(&h->out, SIZE_MAX / 2);
	rc = web_open(&h->web, &(struct web_config){.listen_fd = h->fd,
				       .threads = 1,
				       .max_body = most,
				       .too_large_type = SLICE("application/problem+json"),
				       .too_large = SLICE("{\"type\":\"about:blank\",\"title\":\"Too "
							  "large\",\"status\":413,\"detail\":\"the message "
							  "is larger than rewriter.max_message_mb\"}"),
				       .server_name = "landfall",
				       .thread_open = same_http,
				       .handle = handle,
				       .on_turn = on_turn,
				       .release = release,
				       .keep_bodied = true,
				       .arg = h});
	if (rc < 0)
		buf_printf(why, "rewriter.http_listen: cannot serve: %s", strerror(-rc));
	return rc;
}

int http_open(struct http **out, const struct http_config *cfg, struct buf *why)
{
	struct config *c = cfg->config;
	struct http *h;
	int rc;

	*out = NULL;
	if (!c->rewriter_http_listen.port)
		return 0;
	h = must_zalloc(sizeof *h);
	h->cfg = *cfg;
	h->fd = -1;
	rc = keyset_open(&h->keys, config_path(c, c->rewriter_api_keys),
		"landfall key add --rewrite --tenant NAME", why);
	if (rc < 0)
		goto out;
	rc = h->fd = daemon_listen(&c->rewriter_http_listen, "rewriter.http_listen", why);
	if (rc < 0)
		goto out;
	rc = open_lane(h, why);
	if (rc == 0)
		rc = serve(h, why);
	if (rc < 0)
		goto out;
	*out = h;
	h = NULL;
out:
	http_close(&h);
	return rc < 0 ? rc : 0;
}

void http_close(struct http **hp)
{
	struct http *h = *hp;

	*hp = NULL;
	if (!h)
		return;
	web_close(&h->web);
	sequence_close(&h->sequence);
	outbox_close(&h->outbox, DRAIN_MS);
	recent_close(&h->recent);
	sealer_close(&h->sealer);
	keyset_close(&h->keys);
	if (h->fd >= 0)
		close(h->fd);
	arena_free(&h->arena);
	buf_free(&h->out);
	free(h);
}

void http_refresh(struct http *h)
{
	keyset_refresh(h->keys);
}

int http_fd(const struct http *h)
{
	return h->fd;
}
