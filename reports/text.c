#include "reports/text.h"

#include "core/model/provider.h"
#include "reports/arrival.h"

#define BAR 28

/* Names come from mail: what a terminal could act on is shown as '?'. */
static void put_plain(struct buf *out, slice s, size_t most)
{
	for (size_t i = 0; i < s.len && i < most; i++)
		buf_byte(out, s.p[i] < 0x20 || s.p[i] == 0x7f ? '?' : s.p[i]);
}

static void put_age(struct buf *out, uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (s < 120)
		buf_printf(out, "%llu s", (unsigned long long)s);
	else if (s < 7200)
		buf_printf(out, "%llu min", (unsigned long long)(s / 60));
	else if (s < 172800)
		buf_printf(out, "%llu h", (unsigned long long)(s / 3600));
	else
		buf_printf(out, "%llu days", (unsigned long long)(s / 86400));
}

static uint64_t since(uint64_t now_ms, uint64_t then_ms)
{
	return now_ms > then_ms ? now_ms - then_ms : 0;
}

static void put_row(struct buf *out, const char *name, uint64_t n, uint64_t of, const char *note)
{
	/* An open may be known before the log line that says accepted. */
	double share = of == 0 ? 0 : n < of ? (double)n / (double)of : 1;
	unsigned filled = (unsigned)(share * BAR + 0.5);

	buf_printf(out, "  %-13s %9llu ", name, (unsigned long long)n);
	if (of)
		buf_printf(out, "%5.1f %% ", share * 100);
	else
		buf_str(out, "     -  ");
	for (unsigned i = 0; i < BAR; i++)
		buf_byte(out, i < filled ? '#' : '.');
	if (note)
		buf_printf(out, " %s", note);
	buf_byte(out, '\n');
}

static void put_arrival(struct buf *out, const struct arrival *a)
{
	buf_printf(out, "\n  Reached the inbox: ");
	if (a->has_rate)
		buf_printf(out, "%.1f %% ", a->rate * 100);
	if (a->status != ARRIVAL_NO_MAIL)
		buf_printf(out, "between %.1f %% and %.1f %% of the accepted mail\n", a->low * 100,
			a->high * 100);
	else
		buf_str(out, "not known\n");
	buf_printf(out, "  (%s: %s)\n", arrival_word(a->status), arrival_meaning(a->status));
}

static void put_providers(struct buf *out, const struct campaign *c, uint64_t age_ms)
{
	buf_printf(out, "\n  %-12s %7s %8s %8s %7s %7s %7s  %s\n", "provider", "sent", "accepted", "deferred",
		"bounced", "opened", "clicked", "inbox");
	for (size_t i = 0; i < c->provider_count; i++) {
		const struct tally *t = &c->providers[i].tally;
		struct arrival a = arrival_of(t->accepted, t->confirmed, age_ms);

		buf_printf(out, "  %-12s %7llu %8llu %8llu %7llu %7llu %7llu  ",
			provider_word(c->providers[i].provider), (unsigned long long)t->sent,
			(unsigned long long)t->accepted, (unsigned long long)t->deferred,
			(unsigned long long)t->bounced, (unsigned long long)t->opened_human,
			(unsigned long long)t->clicked_human);
		if (a.status == ARRIVAL_NO_MAIL)
			buf_str(out, "-\n");
		else
			buf_printf(out, "%.0f-%.0f %%\n", a.low * 100, a.high * 100);
	}
}

void text_campaign(const struct picture *p, const struct campaign *c, uint64_t now_ms, struct buf *out)
{
	const struct tally *t = &c->total;
	uint64_t age_ms = since(now_ms, c->counter[COUNTER_first_ms]);
	struct arrival a = arrival_of(t->accepted, t->confirmed, age_ms);

	buf_str(out, "Campaign ");
	put_plain(out, c->name.len ? c->name : SLICE("(not named yet)"), 60);
	buf_str(out, "\n  tenant ");
	put_plain(out, c->tenant, 40);
	buf_str(out, ", first event ");
	put_age(out, age_ms);
	buf_str(out, " ago, last ");
	put_age(out, since(now_ms, c->counter[COUNTER_last_ms]));
	buf_str(out, " ago\n\n");
	put_row(out, "sent", t->sent, t->sent, NULL);
	put_row(out, "accepted", t->accepted, t->sent, NULL);
	put_row(out, "deferred", t->deferred, t->sent, "at least once");
	put_row(out, "bounced", t->bounced, t->sent, NULL);
	put_row(out, "pending", t->pending, t->sent, "no final word yet");
	put_row(out, "opened", t->opened_human, t->accepted, "by people");
	put_row(out, "", t->opened_machine, t->accepted, "by machines");
	put_row(out, "clicked", t->clicked_human, t->accepted, "by people");
	put_row(out, "", t->clicked_machine, t->accepted, "by machines");
	put_row(out, "unsubscribed", t->unsubscribed, t->accepted, NULL);
	put_arrival(out, &a);
	if (c->provider_count)
		put_providers(out, c, age_ms);
	buf_str(out, "\n  Recipients are counted once; shares are of the sent down to pending, then of the\n"
		     "  accepted. Picture taken ");
	put_age(out, since(now_ms, p->taken_ms));
	buf_printf(out, " ago; waiting events: %llu; lost events: %llu.\n", (unsigned long long)p->backlog,
		(unsigned long long)p->lost);
}

void text_list(const struct picture *p, uint64_t now_ms, struct buf *out)
{
	if (p->count == 0) {
		buf_str(out, "No campaigns yet.\n");
		return;
	}
	buf_printf(out, "%-36s %-12s %8s %8s %8s  %s\n", "campaign", "tenant", "sent", "accepted", "opened",
		"last event");
	for (size_t i = 0; i < p->count; i++) {
		const struct campaign *c = p->campaigns[i];
		size_t from = out->len;

		put_plain(out, c->name.len ? c->name : SLICE("(not named yet)"), 36);
		while (out->len - from < 37 && !out->full)
			buf_byte(out, ' ');
		from = out->len;
		put_plain(out, c->tenant, 12);
		while (out->len - from < 13 && !out->full)
			buf_byte(out, ' ');
		buf_printf(out, "%8llu %8llu %8llu  ", (unsigned long long)c->total.sent,
			(unsigned long long)c->total.accepted, (unsigned long long)c->total.opened_human);
		put_age(out, since(now_ms, c->counter[COUNTER_last_ms]));
		buf_str(out, " ago\n");
	}
}
