#include "reports/est_stats.h"

#include "reports/est_math.h"

#include <math.h>

#define WINDOW 16 /* campaigns back that count */
/* What a campaign weighs one campaign later. */
#define OPEN_DECAY .90f
#define FETCH_DECAY .80f
/* Readiness starts as a beta distribution with this much evidence and silence. */
#define READY_SHOWN .40f
#define READY_SILENT 1.20f
#define RECENT_MAIL 3 /* a member is recent if it prefetched one of its last three */

static const double score_cuts[EST_SCORES - 1] = {.02, .05, .09, .14, .20, .28, .38, .50, .64, .78};
static const double panel_cuts[EST_PANEL_SCORES - 1] = {.15, .30, .45, .60, .75, .85, .92};

/* What is known of a row before the campaign at hand. */
struct memory {
	float expected, shown;           /* decayed: visible mail, evidence */
	float fetch_expected, fetched;   /* the same for prefetches */
	uint16_t mail, clicks, humans;   /* not decayed */
	uint16_t since_fetch;            /* mail since the last prefetch, it included; 0: never */
	uint16_t last_human, last_fetch; /* campaign + 1; 0: never */
	bool scanner;
};

/* How visible each campaign was at one provider, compared with its past. */
struct exposure {
	float open[EST_MAX_CAMPAIGNS], fetch[EST_MAX_CAMPAIGNS];
};

static bool accepted(uint8_t code)
{
	return (code & (EST_ACCEPTED | EST_BOUNCED)) == EST_ACCEPTED;
}

bool est_stats_human(const struct est_without *without, uint8_t code)
{
	unsigned human = EST_HUMAN;

	if (without->feedback)
		human &= ~(unsigned)(EST_COMPLAINED | EST_UNSUBSCRIBED);
	return code & human;
}

static unsigned tenure(unsigned mail)
{
	return mail == 0 ? 0 : mail < 3 ? 1 : mail < 6 ? 2 : 3;
}

static unsigned opener_bin(const struct memory *m, bool propensity)
{
	float visible = m->expected > m->shown ? m->expected : m->shown;
	float ready = (READY_SHOWN + m->shown) / (READY_SHOWN + READY_SILENT + visible);

	return tenure(m->mail) * EST_SCORES + (propensity ? est_cut(score_cuts, EST_SCORES - 1, ready) : 0);
}

static unsigned member_bin(const struct memory *m, bool engaged)
{
	float visible = m->fetch_expected > m->fetched ? m->fetch_expected : m->fetched;
	float steady = (.5f + m->fetched) / (1.f + visible);

	return est_cut(panel_cuts, EST_PANEL_SCORES - 1, steady) + (m->mail >= 3) * EST_PANEL_SCORES +
	       engaged * 2 * EST_PANEL_SCORES;
}

/* Clicks on nearly everything are a machine that nobody labelled. */
static bool clicks_like_a_scanner(const struct memory *m)
{
	return m->clicks >= 3 && m->clicks >= .8 * m->mail;
}

static void remember(struct memory *m, uint8_t code, size_t c, bool human, const uint8_t *old,
	const struct exposure *e, bool old_human)
{
	static const float open_gone = 0.18530202f;  /* OPEN_DECAY to the power of WINDOW */
	static const float fetch_gone = 0.02814750f; /* FETCH_DECAY likewise */
	bool acc = accepted(code), fetched = acc && code & EST_FETCHED;

	m->expected = m->expected * OPEN_DECAY + (acc ? e->open[c] : 0.f);
	m->shown = m->shown * OPEN_DECAY + (float)(acc && human);
	m->fetch_expected = m->fetch_expected * FETCH_DECAY + (acc ? e->fetch[c] : 0.f);
	m->fetched = m->fetched * FETCH_DECAY + (float)fetched;
	if (old && accepted(*old)) {
		m->expected -= open_gone * e->open[c - WINDOW];
		m->shown -= open_gone * (float)old_human;
		m->fetch_expected -= fetch_gone * e->fetch[c - WINDOW];
		m->fetched -= fetch_gone * (float)((*old & EST_FETCHED) != 0);
	}
	if (!acc)
		return;
	m->mail++;
	m->clicks += (code & EST_CLICKED) != 0;
	m->humans += human;
	if (human)
		m->last_human = (uint16_t)(c + 1);
	if (fetched) {
		m->last_fetch = (uint16_t)(c + 1);
		m->since_fetch = 1;
	} else if (m->since_fetch) {
		m->since_fetch++;
	}
}

static bool within_window(uint16_t last, size_t c)
{
	return last && (size_t)last + WINDOW > c;
}

static void add(struct est_tally *t, double n, bool shown)
{
	t->mail += n;
	t->shown += shown ? n : 0.;
}

/* One row in one campaign. */
static struct est_place count_row(struct est_stats *s, const struct memory *m, uint8_t code, double n,
	size_t c, bool target, const struct est_without *without)
{
	bool human = est_stats_human(without, code), fetched = code & EST_FETCHED;
	bool member = within_window(m->last_fetch, c), engaged = within_window(m->last_human, c);
	struct est_place p = {EST_NOT_ACCEPTED, 0, m->scanner || clicks_like_a_scanner(m)};

	if (!accepted(code))
		return p;
	if (member) {
		p.part = EST_MEMBER;
		p.bin = (uint8_t)member_bin(m, engaged);
		add(&s->panel[c][p.bin], n, fetched);
		if (m->since_fetch && m->since_fetch <= RECENT_MAIL)
			add(&s->recent[c][engaged], n, fetched);
	} else if (p.scanned) {
		p.part = EST_SCANNER;
	} else {
		p.part = EST_OPENER;
		p.bin = (uint8_t)opener_bin(m, !without->propensity);
		/* Of somebody new it is not known yet whether the device prefetches. */
		add(&s->bins[c][p.bin], n, human || (fetched && m->mail == 0));
		if (!target && m->mail)
			add(&s->repeats, n * m->humans, human);
	}
	return p;
}

static void count_target(struct est_stats *s, struct est_place p, uint8_t code, double n, bool human)
{
	bool fetched = code & EST_FETCHED, seen = human && !p.scanned;

	if (p.part == EST_NOT_ACCEPTED)
		return;
	s->accepted += n;
	if (fetched || seen)
		s->confirmed += n;
	if (fetched && !seen)
		s->fetched_only += n;
}

static void count_campaign(struct est_stats *s, const struct est_input *in, const struct est_provider *p,
	size_t c, struct memory *memory, const struct est_without *without)
{
	bool target = c + 1 == in->campaigns;

	for (size_t r = 0; r < p->rows; r++) {
		uint8_t code = p->code[r * in->campaigns + c];
		struct memory *m = &memory[r];

		m->scanner |= (code & EST_SCANNED) != 0;
		s->place[r] = count_row(s, m, code, p->count[r], c, target, without);
		if (target)
			count_target(s, s->place[r], code, p->count[r], est_stats_human(without, code));
	}
}

static void remember_campaign(const struct est_input *in, const struct est_provider *p, size_t c,
	struct memory *memory, const struct exposure *e, const struct est_without *without)
{
	for (size_t r = 0; r < p->rows; r++) {
		const uint8_t *code = p->code + r * in->campaigns + c;
		const uint8_t *old = c >= WINDOW ? code - WINDOW : NULL;

		remember(&memory[r], *code, c, est_stats_human(without, *code), old, e,
			old && est_stats_human(without, *old));
	}
}

/* The rates of the bins over all providers so far, to compare a campaign with. */
struct pool {
	struct est_tally bins[EST_BINS], panel[EST_PANEL_BINS];
};

static float seen_to_expected(const struct est_tally *t, const struct est_tally *pool, size_t n, double shown,
	double mail, double most)
{
	double seen = 5., expected = 5.;

	for (size_t i = 0; i < n; i++) {
		seen += t[i].shown;
		expected += t[i].mail * (pool[i].shown + shown) / (pool[i].mail + mail);
	}
	return (float)est_clamp(seen / expected, .1, most);
}

static void pool_add(struct est_tally *pool, const struct est_tally *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		pool[i].mail += t[i].mail;
		pool[i].shown += t[i].shown;
	}
}

void est_stats_count(
	struct arena *a, const struct est_input *in, const struct est_without *without, struct est_stats *out)
{
	struct memory **memory = arena_alloc(a, in->providers * sizeof *memory);
	struct exposure *e = arena_array(a, struct exposure, in->providers);
	struct pool *pool = arena_new(a, struct pool);

	for (size_t p = 0; p < in->providers; p++) {
		size_t rows = in->provider[p].rows;

		out[p] = (struct est_stats){.bins = arena_zalloc(a, in->campaigns * sizeof *out[p].bins),
			.panel = arena_zalloc(a, in->campaigns * sizeof *out[p].panel),
			.recent = arena_zalloc(a, in->campaigns * sizeof *out[p].recent),
			.place = arena_array(a, struct est_place, rows)};
		memory[p] = arena_array(a, struct memory, rows);
	}
	for (size_t c = 0; c < in->campaigns; c++) {
		for (size_t p = 0; p < in->providers; p++)
			count_campaign(&out[p], in, &in->provider[p], c, memory[p], without);
		if (c + 1 == in->campaigns)
			break;
		for (size_t p = 0; p < in->providers; p++) {
			struct est_stats *s = &out[p];

			e[p].open[c] = e[p].fetch[c] = 1.f;
			if (c > 0) {
				e[p].open[c] =
					seen_to_expected(s->bins[c], pool->bins, EST_BINS, 1., 4., 1.5);
				e[p].fetch[c] = seen_to_expected(
					s->panel[c], pool->panel, EST_PANEL_BINS, 4., 5., 1.2);
			}
			remember_campaign(in, &in->provider[p], c, memory[p], &e[p], without);
		}
		for (size_t p = 0; p < in->providers; p++) {
			pool_add(pool->bins, out[p].bins[c], EST_BINS);
			pool_add(pool->panel, out[p].panel[c], EST_PANEL_BINS);
		}
	}
}
