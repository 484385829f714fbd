#include "rewriter/copier.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/metrics.h"
#include "core/model/verp.h"
#include "rewriter/count.h"
#include "rewriter/numbers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

struct copier {
	struct copier_config cfg;
	struct sealer *sealer;
	struct numbers numbers;
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
	c->numbers = (struct numbers){cfg->ring, cfg->outbox, cfg->sequence, cfg->recent};
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
	arena_free(&c->arena);
	free(c);
}

/* The return path, and the same token as the name of the copy. */
static void seal_sender(
	struct copier *c, const struct envelope *e, const struct event *sent, struct relay_copy *copy)
{
	struct token t = {.kind = TOKEN_RETURN,
		.campaign = sent->campaign,
		.lane = sent->lane,
		.sequence = sent->sequence};

	/* A copy without a name goes all the same. */
	if (c->cfg.ident && token_seal_return(c->sealer, c->cfg.return_path_domain, &t, &copy->ident) != 0)
		buf_clear(&copy->ident);
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
	count_rendering(&r, message.len);
}

static void prepare(struct copier *c, const struct envelope *e, unsigned i, slice message, uint64_t size,
	struct relay_copy *copy)
{
	const struct plan *plan = message_plan(&c->arena, message, &c->cfg.policy);
	slice message_id = plan_message_id(plan);
	struct identity id;
	int rc;

	if (plan_campaign(plan).len == 0 || !plan_tracks(plan)) {
		copy->shared = true;
		count_untouched(plan_untouched(plan));
		pass(c, plan, message, copy);
		return;
	}
	rc = numbers_take(&c->numbers, plan, envelope_address(e, i),
		message_id.len ? attempts_message(message_id) : 0, &id, &copy->event);
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

void copier_prepare(struct copier *c, const struct envelope *e, unsigned i, slice message, uint64_t size,
	struct relay_copy *copy)
{
	metric_add(METRIC_messages_in, 1);
	copy->message = message;
	copy->own_id_len = 0;
	/* A message for several may be taken for some when its client comes again. */
	if (e->count > 1) {
		copy->content = copy->content ? copy->content : content_of(c, message);
		copy->pair = pair_of(c, e, i);
	}
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
	/* Before its reply is heard anything may happen to us. */
	if (copy->content && !copy->shared)
		recent_put_mixed(c->cfg.recent, copy->pair, copy->content);
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

bool copier_alone(const struct copier *c, const struct envelope *e, unsigned i)
{
	return !recent_no_mixed(c->cfg.recent) &&
	       recent_find_mixed(c->cfg.recent, pair_of(c, e, i), MIXED_ALONE);
}

bool copier_owed(const struct copier *c, const struct envelope *e, unsigned i)
{
	return !recent_no_mixed(c->cfg.recent) && recent_any_mixed(c->cfg.recent, pair_of(c, e, i));
}

bool copier_known(const struct copier *c, const struct envelope *e, unsigned i, slice message)
{
	uint64_t pair;

	if (recent_no_mixed(c->cfg.recent))
		return false;
	pair = pair_of(c, e, i);
	return recent_any_mixed(c->cfg.recent, pair) &&
	       recent_find_mixed(c->cfg.recent, pair, content_of(c, message));
}

/* What the client did not hear. */
static void remember(struct copier *c, const struct envelope *e, slice message, const struct relay_outcome *o)
{
	uint64_t content = content_of(c, message);
	bool again = false, taken = false;

	for (unsigned i = 0; i < e->count; i++) {
		again |= o[i].known;
		taken |= o[i].code / 100 == 2;
	}
	/* Stays until it is old: its recipients may come in several transactions. */
	if (taken)
		recent_put_mixed(c->cfg.recent, pair_of(c, e, RELAY_SENDER), content);
	for (unsigned i = 0; i < e->count; i++) {
		if (o[i].code / 100 == 2)
			recent_put_mixed(c->cfg.recent, pair_of(c, e, i), content);
		/* What is put off may go well with the others the next time; what
		 * is refused, or put off once more, would hold them up for ever. */
		else if (o[i].own && (o[i].code >= 500 || again))
			recent_put_mixed(c->cfg.recent, pair_of(c, e, i), MIXED_ALONE);
	}
}

void copier_answered(
	struct copier *c, const struct envelope *e, slice message, const struct relay_outcome *o, bool mixed)
{
	uint64_t content = 0;

	if (mixed) {
		remember(c, e, message, o);
		return;
	}
	for (unsigned i = 0; i < e->count && !recent_no_mixed(c->cfg.recent); i++) {
		uint64_t pair = pair_of(c, e, i);

		if (o[i].code / 100 == 4)
			continue;
		recent_drop_mixed(c->cfg.recent, pair, MIXED_ALONE);
		if (!recent_any_mixed(c->cfg.recent, pair))
			continue;
		content = content ? content : content_of(c, message);
		recent_drop_mixed(c->cfg.recent, pair, content);
	}
}
