#include "rewriter/copier.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/metrics.h"
#include "core/model/provider.h"
#include "core/model/verp.h"
#include "rewriter/attempts.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

struct copier {
	struct copier_config cfg;
	struct sealer *sealer;
	struct attempts *attempts;
	struct mixed *mixed;
	struct arena arena;
	jmp_buf full; /* out of message_plan or message_render, which hold nothing but arena memory */
};

static void arena_full(void *arg)
{
	struct copier *c = arg;

	longjmp(c->full, 1);
}

struct copier *copier_open(const struct copier_config *cfg)
{
	struct copier *c = must_zalloc(sizeof *c);

	c->cfg = *cfg;
	c->sealer = sealer_open(cfg->ring);
	c->attempts = attempts_open(ATTEMPTS_MAX);
	c->mixed = mixed_open(cfg->mixed ? cfg->mixed : MIXED_MAX);
	arena_init(&c->arena, cfg->arena ? cfg->arena : COPIER_ARENA + 8 * cfg->max_message, arena_full, c);
	return c;
}

void copier_close(struct copier **cp)
{
	struct copier *c = *cp;

	*cp = NULL;
	if (!c)
		return;
	sealer_close(&c->sealer);
	attempts_close(&c->attempts);
	mixed_close(&c->mixed);
	arena_free(&c->arena);
	free(c);
}

/* A new number, and the campaign's name where it is the first of a block. */
static int take(struct copier *c, uint64_t campaign, const struct plan *plan, uint64_t ms, uint32_t *number)
{
	bool reserved;
	int rc = sequence_take(c->cfg.sequence, campaign, number, &reserved);

	if (rc < 0 || !reserved)
		return rc;
	outbox_put(c->cfg.outbox, &(struct event){.kind = EVENT_CAMPAIGN,
					  .ms = ms,
					  .campaign = campaign,
					  .lane = outbox_lane(c->cfg.outbox),
					  .tenant = plan_tenant(plan),
					  .name = plan_campaign(plan)});
	return 0;
}

/* The number of an attempt: that of an earlier one, or a new one. */
static int number_of(struct copier *c, const struct plan *plan, bool known, uint64_t ms, struct attempt *a)
{
	int rc;

	if (known && attempts_find(c->attempts, a))
		return 0;
	a->day = token_day(ms);
	rc = take(c, a->campaign, plan, ms, &a->sequence);
	if (rc == 0 && known)
		attempts_put(c->attempts, a);
	return rc;
}

/* Who this copy is for. 0, or as sequence_take. */
static int identify(
	struct copier *c, slice address, const struct plan *plan, struct event *sent, struct identity *id)
{
	slice message_id = plan_message_id(plan);
	uint64_t ms = clock_ms();
	struct attempt a = {.campaign = hash_campaign(c->cfg.ring, plan_tenant(plan), plan_campaign(plan)),
		.recipient = hash_recipient(c->cfg.ring, address),
		.message = attempts_message(message_id)};
	int rc = number_of(c, plan, message_id.len > 0, ms, &a);

	if (rc < 0)
		return rc;
	*sent = (struct event){.kind = EVENT_SENT,
		.campaign = a.campaign,
		.lane = outbox_lane(c->cfg.outbox),
		.sequence = a.sequence,
		.provider = (uint8_t)provider_of(smtp_domain(address))};
	if (plan_privacy(plan) > PRIVACY_ANONYMOUS)
		sent->recipient = a.recipient;
	*id = (struct identity){a.campaign, sent->lane, a.sequence, a.day};
	return 0;
}

static void seal_sender(
	struct copier *c, const struct envelope *e, const struct event *sent, struct relay_copy *copy)
{
	struct token t = {.kind = TOKEN_RETURN,
		.campaign = sent->campaign,
		.lane = sent->lane,
		.sequence = sent->sequence};

	/* Bounces and automatic answers come from <> and must stay so. */
	if (c->cfg.return_path_domain.len == 0 || e->sender.len == 0)
		return;
	copy->has_sender = verp_seal(c->sealer, c->cfg.return_path_domain, &t, &copy->sender) == 0;
}

/* Is what was rendered fit to go? */
static bool fit(const struct relay_copy *copy, uint64_t size)
{
	slice out = buf_slice(&copy->rendered);

	return out.len > 0 && (size == 0 || out.len <= size) && smtp_text_check(out) == 0;
}

static const enum metric untouched_metric[] = {
	[UNTOUCHED_NO_CAMPAIGN] = METRIC_untouched_no_campaign,
	[UNTOUCHED_OFF] = METRIC_untouched_off,
	[UNTOUCHED_NOTHING_TO_DO] = METRIC_untouched_nothing_to_do,
	[UNTOUCHED_SIGNED] = METRIC_untouched_signed,
	[UNTOUCHED_ENCRYPTED] = METRIC_untouched_encrypted,
	[UNTOUCHED_ATTACHED] = METRIC_untouched_attached,
	[UNTOUCHED_REPORT] = METRIC_untouched_report,
	[UNTOUCHED_CHARSET] = METRIC_untouched_charset,
	[UNTOUCHED_ENCODING] = METRIC_untouched_encoding,
	[UNTOUCHED_CAP] = METRIC_untouched_cap,
	[UNTOUCHED_MALFORMED] = METRIC_untouched_malformed,
	[UNTOUCHED_OURS] = METRIC_untouched_already_rewritten,
	[UNTOUCHED_PROOF] = METRIC_messages_proof_failed,
};

static void count_untouched(enum untouched why)
{
	metric_add(METRIC_messages_untouched, 1);
	metric_add(untouched_metric[why], 1);
}

/* The message goes as it is, but for its control fields. */
static void pass(struct copier *c, const struct plan *plan, slice message, struct relay_copy *copy)
{
	if (!plan_has_control(plan))
		return;
	buf_clear(&copy->rendered);
	copy->rendered.cap = message.len + 1;
	if (message_pass(&c->arena, plan, &copy->rendered) == 0)
		copy->message = buf_slice(&copy->rendered);
}

static void render(struct copier *c, const struct plan *plan, const struct identity *id, slice message,
	uint64_t size, struct relay_copy *copy)
{
	struct rendering r = {.untouched = UNTOUCHED_CAP};

	copy->rendered.cap = 2 * message.len + (1u << 20);
	if (message_render(&c->arena, plan, id, c->sealer, &copy->rendered, &r) == 0) {
		if (fit(copy, size))
			copy->message = buf_slice(&copy->rendered);
		else
			r.untouched = UNTOUCHED_CAP;
	}
	if (r.untouched == UNTOUCHED_CAP)
		pass(c, plan, message, copy);
	if (r.untouched == UNTOUCHED_NOT) {
		metric_add(METRIC_messages_rewritten, 1);
		metric_add(METRIC_links_tracked, r.links);
		metric_add(METRIC_links_left, r.left);
		metric_add(METRIC_parts_left, r.parts_left);
		return;
	}
	count_untouched(r.untouched);
	if (r.untouched == UNTOUCHED_PROOF)
		log_warn("copier", "proof failed, the original goes out", "rule=%s bytes=%zu", r.broken,
			message.len);
}

static void prepare(struct copier *c, const struct envelope *e, unsigned i, slice message, uint64_t size,
	struct relay_copy *copy)
{
	const struct plan *plan = message_plan(&c->arena, message, &c->cfg.policy);
	struct identity id;
	int rc;

	if (plan_campaign(plan).len == 0 || !plan_tracks(plan)) {
		copy->shared = true;
		count_untouched(plan_untouched(plan));
		pass(c, plan, message, copy);
		return;
	}
	rc = outbox_ready(c->cfg.outbox, COPIER_ROOM);
	if (rc == 0)
		rc = identify(c, envelope_address(e, i), plan, &copy->event, &id);
	if (rc == -EOVERFLOW) {
		count_untouched(UNTOUCHED_CAP);
		pass(c, plan, message, copy);
		return;
	}
	if (rc < 0) {
		log_error("copier", "no room to record mail: it is put off", "err=%s", strerror(-rc));
		copy->code = 451;
		copy->text = "4.3.1 no room to record the message, try again later";
		return;
	}
	copy->tracked = true;
	if (plan_privacy(plan) >= PRIVACY_IDENTIFIED) {
		slice own = plan_recipient_id(plan);

		must(own.len <= sizeof copy->own_id);
		if (own.len)
			memcpy(copy->own_id, own.p, own.len);
		copy->own_id_len = own.len;
	}
	seal_sender(c, e, &copy->event, copy);
	render(c, plan, &id, message, size, copy);
}

/* The message was too costly to understand; its header is not. */
static void prepare_header(struct copier *c, slice message, struct relay_copy *copy)
{
	struct policy off = c->cfg.policy;

	off.mode = PRIVACY_OFF;
	arena_reset(&c->arena);
	if (setjmp(c->full) == 0)
		pass(c, message_plan(&c->arena, message, &off), message, copy);
}

void copier_prepare(struct copier *c, const struct envelope *e, unsigned i, slice message, uint64_t size,
	struct relay_copy *copy)
{
	metric_add(METRIC_messages_in, 1);
	copy->message = message;
	copy->own_id_len = 0;
	if (setjmp(c->full) == 0) {
		prepare(c, e, i, message, size, copy);
	} else {
		count_untouched(UNTOUCHED_CAP);
		log_warn("copier", "message too costly to understand, the original goes out", "bytes=%zu",
			message.len);
		copy->message = message;
		prepare_header(c, message, copy);
	}
	if (c->arena.used > COPIER_KEEP)
		arena_free(&c->arena);
	else
		arena_reset(&c->arena);
}

bool copier_taken(struct copier *c, struct relay_copy *copy, slice text)
{
	if (!copy->tracked)
		return false;
	copy->event.ms = clock_ms();
	/* A return path of ours carries the identity further than a queue id. */
	copy->event.queue_id = copy->has_sender ? SLICE_NONE : smtp_queue_id(text);
	outbox_put(c->cfg.outbox, &copy->event);
	if (copy->own_id_len)
		outbox_put(c->cfg.outbox, &(struct event){.kind = EVENT_RECIPIENT,
						  .ms = copy->event.ms,
						  .campaign = copy->event.campaign,
						  .lane = copy->event.lane,
						  .sequence = copy->event.sequence,
						  .name = slice_of(copy->own_id, copy->own_id_len)});
	return true;
}

/* A key for who sends to whom; RELAY_SENDER: to anyone. */
static uint64_t pair_of(const struct copier *c, const struct envelope *e, unsigned i)
{
	struct buf both;
	uint64_t h;

	buf_init(&both, 2 * SMTP_MAX_PARAMS);
	buf_put(&both, buf_slice(&e->sender));
	buf_byte(&both, 0); /* stands in no address */
	buf_put(&both, i == RELAY_SENDER ? SLICE_NONE : envelope_address(e, i));
	h = hash_content(c->cfg.ring, buf_slice(&both));
	buf_free(&both);
	return h;
}

static uint64_t content_of(const struct copier *c, slice message)
{
	uint64_t h = hash_content(c->cfg.ring, message);

	return h == MIXED_ALONE ? 1 : h;
}

bool copier_alone(const struct copier *c, const struct envelope *e, unsigned i)
{
	return !mixed_empty(c->mixed) && mixed_find(c->mixed, pair_of(c, e, i), MIXED_ALONE, clock_ms());
}

bool copier_owed(const struct copier *c, const struct envelope *e, unsigned i)
{
	return !mixed_empty(c->mixed) && mixed_any(c->mixed, pair_of(c, e, i));
}

bool copier_known(const struct copier *c, const struct envelope *e, unsigned i, slice message)
{
	uint64_t pair;

	if (mixed_empty(c->mixed))
		return false;
	pair = pair_of(c, e, i);
	return mixed_any(c->mixed, pair) && mixed_find(c->mixed, pair, content_of(c, message), clock_ms());
}

/* What the client did not hear. */
static void remember(struct copier *c, const struct envelope *e, slice message, const struct relay_outcome *o)
{
	uint64_t content = content_of(c, message), now = clock_ms();
	bool again = false, taken = false;

	for (unsigned i = 0; i < e->count; i++) {
		again |= o[i].known;
		taken |= o[i].code / 100 == 2;
	}
	/* Stays until it is old: its recipients may come in several transactions. */
	if (taken)
		mixed_put(c->mixed, pair_of(c, e, RELAY_SENDER), content, now);
	for (unsigned i = 0; i < e->count; i++) {
		if (o[i].code / 100 == 2)
			mixed_put(c->mixed, pair_of(c, e, i), content, now);
		/* What is put off may go well with the others the next time; what
		 * is refused, or put off once more, would hold them up for ever. */
		else if (o[i].own && (o[i].code >= 500 || again))
			mixed_put(c->mixed, pair_of(c, e, i), MIXED_ALONE, now);
	}
}

void copier_answered(
	struct copier *c, const struct envelope *e, slice message, const struct relay_outcome *o, bool mixed)
{
	if (mixed) {
		remember(c, e, message, o);
		return;
	}
	for (unsigned i = 0; i < e->count && !mixed_empty(c->mixed); i++) {
		if (o[i].code / 100 == 4)
			continue;
		mixed_drop(c->mixed, pair_of(c, e, i), MIXED_ALONE);
		if (o[i].known)
			mixed_drop(c->mixed, pair_of(c, e, i), content_of(c, message));
	}
}
