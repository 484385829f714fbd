#include "rewriter/numbers.h"

#include "core/io/clock.h"
#include "core/model/provider.h"
#include "core/parse/smtp.h"

/* A new number, and the campaign's name where it is the first of a block. */
static int take(struct numbers *n, const struct plan *plan, uint64_t ms, struct attempt *a)
{
	bool reserved;
	int rc = sequence_take(n->sequence, a->campaign, &a->sequence, &reserved);

	a->lane = outbox_lane(n->outbox);
	a->day = token_day(ms);
	if (rc < 0 || !reserved)
		return rc;
	outbox_put(n->outbox, &(struct event){.kind = EVENT_CAMPAIGN,
				      .ms = ms,
				      .campaign = a->campaign,
				      .lane = a->lane,
				      .tenant = plan_tenant(plan),
				      .name = plan_campaign(plan)});
	return 0;
}

int numbers_take(struct numbers *n, const struct plan *plan, slice address, uint64_t message,
	struct identity *id, struct event *sent)
{
	struct attempt a = {.campaign = hash_campaign(n->ring, plan_tenant(plan), plan_campaign(plan)),
		.recipient = hash_recipient(n->ring, address),
		.message = message};
	int rc = outbox_ready(n->outbox, NUMBERS_ROOM);

	if (rc < 0)
		return rc;
	if (message == 0 || !recent_find_attempt(n->recent, &a)) {
		rc = take(n, plan, clock_ms(), &a);
		if (rc < 0)
			return rc;
		if (message)
			recent_put_attempt(n->recent, &a);
	}
	*sent = (struct event){.kind = EVENT_SENT,
		.campaign = a.campaign,
		.lane = a.lane,
		.sequence = a.sequence,
		.provider = (uint8_t)provider_of(smtp_domain(address))};
	if (plan_privacy(plan) > PRIVACY_ANONYMOUS)
		sent->recipient = a.recipient;
	*id = (struct identity){a.campaign, a.lane, a.sequence, a.day};
	return 0;
}
