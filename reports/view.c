#include "reports/view.h"

#include "core/model/provider.h"
#include "core/parse/date.h"
#include "reports/arrival.h"

static void put_time(struct json_out *j, const char *key, uint64_t ms)
{
	struct buf text;

	if (ms == 0) {
		json_null(j, key);
		return;
	}
	buf_init(&text, 64);
	date_time_encode(ms, &text);
	json_str(j, key, buf_slice(&text));
	buf_free(&text);
}

static void put_reaction(struct json_out *j, const char *key, uint64_t human, uint64_t machine, uint64_t any)
{
	json_object(j, key);
	json_uint(j, "human", human);
	json_uint(j, "machine", machine);
	json_uint(j, "any", any);
}

static void put_arrival(struct json_out *j, const struct arrival *a)
{
	json_object(j, "inbox");
	if (a->has_rate)
		json_real(j, "rate", a->rate);
	else
		json_null(j, "rate");
	json_real(j, "low", a->low);
	json_real(j, "high", a->high);
	json_real(j, "level", a->level);
	json_str(j, "status", slice_str(arrival_word(a->status)));
	json_str(j, "meaning", slice_str(arrival_meaning(a->status)));
	json_object(j, "arrived");
	json_null(j, "estimate");
	json_uint(j, "low", a->arrived_low);
	json_uint(j, "high", a->arrived_high);
	json_end(j);
	json_end(j);
}

static void put_delivery(struct json_out *j, const struct tally *t)
{
	json_uint(j, "sent", t->sent);
	json_uint(j, "accepted", t->accepted);
	json_uint(j, "deferred", t->deferred);
	json_uint(j, "pending", t->pending);
	json_uint(j, "bounced", t->bounced);
	json_object(j, "bounced_by_class");
	json_uint(j, "hard", t->bounced_hard);
	json_uint(j, "block", t->bounced_block);
	json_uint(j, "soft", t->bounced_soft);
	json_end(j);
	json_uint(j, "unsubscribed", t->unsubscribed);
}

static void put_provider(struct json_out *j, const struct provider_tally *p, uint64_t age_ms)
{
	const struct tally *t = &p->tally;
	struct arrival a = arrival_of(t->accepted, t->confirmed, age_ms);

	json_object(j, NULL);
	json_str(j, "provider", slice_str(provider_word(p->provider)));
	put_delivery(j, t);
	put_reaction(j, "opened", t->opened_human, t->opened_machine, t->opened_any);
	json_end(j);
	put_reaction(j, "clicked", t->clicked_human, t->clicked_machine, t->clicked_any);
	json_end(j);
	json_uint(j, "confirmed_arrivals", t->confirmed);
	put_arrival(j, &a);
	json_end(j);
}

static void put_freshness(struct json_out *j, const struct picture *p)
{
	json_object(j, "freshness");
	put_time(j, "folded_until", p->folded_until_ms);
	json_uint(j, "journal_backlog", p->backlog);
	json_uint(j, "lost_events", p->lost);
	json_end(j);
}

void view_campaign(struct json_out *j, const char *key, const struct picture *p, const struct campaign *c,
	uint64_t now_ms, bool whole)
{
	const uint64_t *n = c->counter;
	const struct tally *t = &c->total;
	uint64_t age_ms = now_ms > n[COUNTER_first_ms] ? now_ms - n[COUNTER_first_ms] : 0;
	struct arrival a = arrival_of(t->accepted, t->confirmed, age_ms);

	json_object(j, key);
	json_str(j, "campaign", c->name);
	json_str(j, "tenant", c->tenant);
	put_time(j, "first_event", n[COUNTER_first_ms]);
	put_time(j, "last_event", n[COUNTER_last_ms]);
	json_real(j, "age_seconds", now_ms > p->taken_ms ? (double)(now_ms - p->taken_ms) / 1000 : 0);
	put_delivery(j, t);
	json_uint(j, "total_deferred", n[COUNTER_deferred]);
	put_reaction(j, "opened", t->opened_human, t->opened_machine, t->opened_any);
	json_uint(j, "total_hits",
		n[COUNTER_open_human] + n[COUNTER_open_proxy] + n[COUNTER_open_prefetch] +
			n[COUNTER_open_machine]);
	json_end(j);
	put_reaction(j, "clicked", t->clicked_human, t->clicked_machine, t->clicked_any);
	json_uint(j, "total_hits", n[COUNTER_click_human] + n[COUNTER_click_machine]);
	json_end(j);
	json_uint(j, "confirmed_arrivals", t->confirmed);
	put_arrival(j, &a);
	if (whole) {
		json_array(j, "providers");
		for (size_t i = 0; i < c->provider_count; i++)
			put_provider(j, &c->providers[i], age_ms);
		json_end(j);
		json_array(j, "links");
		for (size_t i = 0; i < c->link_count; i++) {
			json_object(j, NULL);
			json_uint(j, "link", c->links[i].link);
			json_uint(j, "total_human", c->links[i].human);
			json_uint(j, "total_machine", c->links[i].machine);
			json_end(j);
		}
		json_end(j);
	}
	put_freshness(j, p);
	json_end(j);
}
