#include "collector/join.h"

#include "collector/classify.h"
#include "collector/postfix_log.h"
#include "collector/queue_table.h"
#include "core/base/bytes.h"
#include "core/base/must.h"
#include "core/model/verp.h"

#include <stdlib.h>

enum identity_state { UNKNOWN, OURS, IN_VAIN };

/* What is known of a queue id. */
struct known {
	struct join_identity who; /* OURS */
	uint8_t state;            /* enum identity_state */
	uint8_t last;             /* enum log_fact_outcome, 0: none seen */
	uint8_t first_len;        /* a requeued message: length of the id it began under */
	char first[POSTFIX_LOG_MAX_ID];
};

/* What a reply takes while it is read. */
#define SCRATCH (4 * SAID_MAX_TEXT)

struct join {
	struct join_config cfg;
	struct queue_table *table;
	struct arena scratch; /* empty between lines */
};

struct join *join_open(const struct join_config *cfg)
{
	struct join *j = must_zalloc(sizeof *j);

	j->cfg = *cfg;
	arena_init(&j->scratch, SCRATCH, NULL, NULL);
	j->table = queue_table_open(sizeof(struct known), cfg->cap ? cfg->cap : JOIN_CAP, NULL);
	return j;
}

void join_close(struct join **jp)
{
	struct join *j = *jp;

	*jp = NULL;
	if (!j)
		return;
	queue_table_close(&j->table);
	arena_free(&j->scratch);
	free(j);
}

void join_stamp(const struct join_identity *who, struct event *ev)
{
	ev->campaign = who->campaign;
	ev->lane = who->lane;
	ev->sequence = who->sequence;
}

bool join_identity_decode(slice bytes, struct join_identity *out)
{
	if (bytes.len != 16)
		return false;
	out->campaign = get_le64(bytes.p);
	out->lane = get_le32(bytes.p + 8);
	out->sequence = get_le32(bytes.p + 12);
	return true;
}

/* A return path of ours names the message, and more surely than any queue id. */
static void learn_sender(struct join *j, const struct log_fact *line)
{
	bool named = j->cfg.sealer && j->cfg.domain.len; /* by their return paths */
	struct known *k;
	struct token t;

	if (named && verp_open(j->cfg.sealer, j->cfg.domain, line->sender, &t) == 0) {
		k = queue_table_get(j->table, line->id);
		if (!k)
			return;
		k->state = OURS;
		k->who = (struct join_identity){
			.campaign = t.campaign, .lane = t.lane, .sequence = t.sequence};
		return;
	}
	/* Not ours, as it seems: another return path where ours are named by it, or
	 * none at all, like that of notifications. Not worth waiting for. */
	k = named || !line->sender.len ? queue_table_get(j->table, line->id) : NULL;
	if (k && k->state == UNKNOWN)
		k->state = IN_VAIN;
}

/* A new message, whatever the id stood for before. XFORWARD may have told Postfix
 * our name of it: that is known before the rewriter's event comes, and also
 * where the reply with the queue id never reached the rewriter. */
static void learn_client(struct join *j, const struct log_fact *line)
{
	struct known *k;
	struct token t;

	queue_table_drop(j->table, line->id);
	if (!j->cfg.sealer || token_open_return(j->cfg.sealer, j->cfg.domain, line->other_id, &t) != 0)
		return;
	k = queue_table_get(j->table, line->id);
	if (!k)
		return;
	k->state = OURS;
	k->who = (struct join_identity){.campaign = t.campaign, .lane = t.lane, .sequence = t.sequence};
}

/* postsuper -r: the message goes on under a new id; Redis knows the first one. */
static void learn_requeue(struct join *j, const struct log_fact *line)
{
	const struct known *old = queue_table_find(j->table, line->other_id);
	struct known was = old ? *old : (struct known){0};
	struct known *k;

	if (!was.first_len && line->other_id.len <= sizeof was.first) {
		memcpy(was.first, line->other_id.p, line->other_id.len);
		was.first_len = (uint8_t)line->other_id.len;
	}
	queue_table_drop(j->table, line->id);
	k = queue_table_get(j->table, line->id);
	if (k)
		*k = was;
}

static void fill(struct join *j, const struct log_fact *line, uint64_t now_ms, struct event *ev)
{
	struct classify_out why;

	*ev = (struct event){
		.ms = line->ms ? line->ms : now_ms, .reply = line->reply, .status = status_decode(line->dsn)};
	if (line->kind == LOG_FACT_EXPIRED) {
		ev->kind = EVENT_BOUNCED;
		ev->status = status_decode(SLICE("5.4.7")); /* RFC 3463: delivery time expired */
		ev->bounce = BOUNCE_SOFT;
	} else if (line->outcome == LOG_FACT_SENT) {
		ev->kind = EVENT_ACCEPTED;
	} else if (line->outcome == LOG_FACT_DEFERRED) {
		ev->kind = EVENT_DEFERRED;
	} else {
		ev->kind = EVENT_BOUNCED;
		classify_reply(&j->scratch, line->text, ev->status, ev->reply, &why);
		ev->bounce = classes_bounce(why.class == CLASSES_UNKNOWN ? line->class : why.class);
		arena_reset(&j->scratch);
	}
}

static enum join_found identify(
	struct join *j, const struct log_fact *line, const struct known *k, struct event *ev, slice *id)
{
	*id = line->id;
	if (k && k->state != OURS && k->first_len) {
		*id = slice_of(k->first, k->first_len);
		k = queue_table_find(j->table, *id);
	}
	if (!k || k->state != OURS)
		return JOIN_ASK;
	join_stamp(&k->who, ev);
	return JOIN_EVENT;
}

enum join_found join_read(
	struct join *j, const struct log_fact *line, uint64_t now_ms, struct event *ev, slice *id)
{
	struct known *k;

	switch (line->kind) {
	case LOG_FACT_CLIENT:
		learn_client(j, line);
		return JOIN_NOTHING;
	case LOG_FACT_REQUEUE:
		learn_requeue(j, line);
		return JOIN_NOTHING;
	case LOG_FACT_SENDER:
		learn_sender(j, line);
		return JOIN_NOTHING;
	case LOG_FACT_REMOVED:
		queue_table_removed(j->table, line->id);
		return JOIN_NOTHING;
	case LOG_FACT_EXPIRED:
		learn_sender(j, line);
		k = queue_table_find(j->table, line->id);
		/* Nobody was left waiting: what came last was final and is told already. */
		if (k && k->last && k->last != LOG_FACT_DEFERRED)
			return JOIN_NOTHING;
		if (k)
			k->last = LOG_FACT_BOUNCED;
		break;
	case LOG_FACT_DELIVERY:
		/* The discard service says "sent" of what it throws away. */
		if (slice_eq(line->service, SLICE("discard")))
			return JOIN_NOTHING;
		k = queue_table_get(j->table, line->id);
		if (k)
			k->last = (uint8_t)line->outcome;
		break;
	default:
		return JOIN_NOTHING;
	}
	fill(j, line, now_ms, ev);
	return identify(j, line, k, ev, id);
}

void join_learn(struct join *j, slice id, const struct join_identity *who)
{
	struct known *k = queue_table_get(j->table, id);

	if (!k || k->state == OURS)
		return;
	k->state = who ? OURS : IN_VAIN;
	if (who)
		k->who = *who;
}

bool join_in_vain(struct join *j, slice id)
{
	const struct known *k = queue_table_find(j->table, id);

	return k && k->state == IN_VAIN;
}
