#include "reports/estimate.h"

#include "reports/est_delay.h"
#include "reports/est_math.h"
#include "reports/est_message.h"

#include <math.h>

#define EARLY_H 1. /* younger than this, most readers have not looked yet */

/* Nothing came although at least this was due: the tracker, not the mail. */
#define DUE_LEAST 30.
#define DUE_SHOWN .02

/* A drop in opens at all providers is doubtful from here, and doubted in full from
 * there (spreads of appeal), unless a panel or seeds speak. */
#define DROP_FROM 1.8
#define DROP_TO 2.6
#define DROP_DUE 15.
#define ANCHOR_PANEL 25.
#define ANCHOR_SEEDS 5.

/* How much of what is left uncertain errs alike at all providers (a correlation):
 * they are judged by the same benchmarks and the same idea of readers. Measured on
 * worlds that break the model (docs/ARRIVAL.md). */
#define COMMON_ERROR .65

/* All that is worked out on the way to the answer. */
struct work {
	const struct est_input *in;
	const struct est_without *without;
	size_t past;
	struct est_stats *stats;
	struct est_calibration *cal;
	struct est_grid *grid;
	struct est_evidence *evidence;
	struct est_posterior *post;
	struct est_shared shared;
	double appeal_sd;
	double opens_share, fetches_share;
	double doubt;
	enum est_status silent; /* TOO_EARLY or NO_SIGNAL, else NO_MAIL */
};

static void weigh_evidence(struct arena *a, struct work *w)
{
	const struct est_input *in = w->in;

	for (size_t p = 0; p < in->providers; p++) {
		const struct est_provider *provider = &in->provider[p];
		struct est_evidence *e = &w->evidence[p];

		est_past_of(w->grid, provider->name, &w->stats[p], &w->cal[p], w->without, &e->past);
		est_opens_of(a, w->grid, w->stats[p].bins[w->past], &w->cal[p], w->opens_share, w->past,
			w->without, &e->opens);
		est_now_of(a, w->grid, in, provider, &w->stats[p], &w->cal[p], w->fetches_share, w->without,
			&e->now);
	}
}

/* Where two explanations stand unweighed, the interval holds those of both: what is
 * left out on a side is left out of the explanation on that side alone. */
static double level_of(const struct work *w)
{
	return 1. - (1. - w->in->level) * (1. - w->doubt);
}

/* The middle provider's fall of opens, in spreads of appeal. */
static double common_drop(const struct work *w)
{
	double kept[EST_MAX_PROVIDERS];
	size_t n = 0;

	for (size_t p = 0; p < w->in->providers; p++) {
		const struct est_opens *o = &w->evidence[p].opens;

		if (o->expected >= DROP_DUE)
			kept[n++] = (o->shown + 2.) / (o->expected + 2.);
	}
	if (n == 0)
		return 0.;
	est_sort(kept, n);
	return -log(kept[n / 2]) / w->appeal_sd;
}

/* Does anything but opens speak of the target? */
static bool anchored(const struct work *w)
{
	for (size_t p = 0; p < w->in->providers; p++) {
		const struct est_now *now = &w->evidence[p].now;

		if (now->panel_expected >= ANCHOR_PANEL && w->past > 0 && !w->without->panel)
			return true;
		if (now->seeds >= ANCHOR_SEEDS && !w->without->seeds)
			return true;
	}
	return false;
}

static double doubt_of(const struct work *w)
{
	if (w->past == 0 || anchored(w))
		return 0.;
	return .5 * est_clamp((common_drop(w) - DROP_FROM) / (DROP_TO - DROP_FROM), 0., 1.);
}

static enum est_status silence_of(const struct work *w)
{
	double due = 0., shown = 0.;

	if (w->in->age_h < EARLY_H)
		return EST_STATUS_TOO_EARLY;
	for (size_t p = 0; p < w->in->providers; p++) {
		due += w->evidence[p].opens.expected + w->evidence[p].now.panel_expected;
		shown += w->evidence[p].opens.shown + w->evidence[p].now.panel_shown;
	}
	return w->past > 0 && due >= DUE_LEAST && shown < DUE_SHOWN * due ? EST_STATUS_NO_SIGNAL
									  : EST_STATUS_NO_MAIL;
}

static void no_messages(struct arena *a, const struct est_provider *p, struct estimate_provider *out)
{
	double *m = arena_array(a, double, p->rows);

	for (size_t r = 0; r < p->rows; r++)
		m[r] = NAN;
	out->message = m;
}

static double past_accepted(const struct est_provider *p, size_t past)
{
	double sum = 0.;

	for (size_t h = 0; p->mail && h < past; h++)
		sum += p->mail[h].accepted;
	return sum;
}

static void say_provider(struct arena *a, const struct work *w, size_t p, const struct est_share *share,
	struct estimate_provider *out)
{
	const struct est_provider *provider = &w->in->provider[p];
	struct est_message_model m = {.opens_share = w->opens_share, .fetches_share = w->fetches_share};
	double *message = arena_array(a, double, provider->rows);
	struct est_interval i = est_share_of(a, share, w->post[p].rate, level_of(w));

	out->all.has_rate = true;
	out->all.rate = i.mean;
	out->all.lo = i.lo;
	out->all.hi = fmax(i.hi, fmin(1., out->all.confirmed / out->all.accepted));
	out->all.status = est_status_of(&w->evidence[p], &w->cal[p], &i, &w->shared, w->past, w->doubt);
	out->has_change = w->past > 0;
	out->change = est_change_of(
		a, w->grid, &w->post[p], w->in->level, share, i.mean, past_accepted(provider, w->past));
	out->alarm = est_alarm_of(&out->change);
	for (size_t r = 0; r < EST_RATES; r++)
		m.rate += w->post[p].rate[r] * w->grid->rate[r];
	m.share = i.mean;
	est_message_of(w->in, provider, &w->stats[p], &w->cal[p], w->grid, &w->post[p], &w->shared, &m,
		w->without, message);
	out->message = message;
}

/* One provider, and its cases added to those of all. */
static void answer(struct arena *a, const struct work *w, size_t p, struct est_dice *dice, double *cases,
	struct estimate *out)
{
	const struct est_stats *s = &w->stats[p];
	struct estimate_provider *to = &out->provider[p];
	double *u = arena_array(a, double, EST_DRAWS), *z = arena_array(a, double, EST_DRAWS);
	struct est_share share;

	*to = (struct estimate_provider){.all = {.accepted = s->accepted, .confirmed = s->confirmed}};
	no_messages(a, &w->in->provider[p], to);
	if (s->accepted <= 0.)
		return;
	to->all.has_bounds = true;
	share = est_share_proven(s->accepted, s->confirmed, s->fetched_only, w->shared.leak);
	if (w->silent != EST_STATUS_NO_MAIL) {
		to->all.status = w->silent;
		to->all.lo = share.proven;
		to->all.hi = 1.;
	} else {
		say_provider(a, w, p, &share, to);
	}
	est_dice_strata(dice, u, EST_DRAWS);
	est_dice_strata(dice, z, EST_DRAWS);
	for (size_t j = 0; j < EST_DRAWS; j++)
		cases[j] +=
			s->accepted * est_share_draw(&share, w->post[p].draw[j], u[j], est_normal_at(z[j]));
	out->overall.accepted += s->accepted;
	out->overall.confirmed += s->confirmed;
}

/* The status that most of the mail has. */
static enum est_status most_mail(const struct estimate *e, size_t providers)
{
	double mail[EST_STATUS_COUNT] = {0.};
	size_t best = 0;

	for (size_t p = 0; p < providers; p++)
		mail[e->provider[p].all.status] += e->provider[p].all.accepted;
	for (size_t s = 1; s < EST_STATUS_COUNT; s++)
		if (mail[s] > mail[best])
			best = s;
	return (enum est_status)best;
}

static void say_overall(const struct work *w, double *cases, struct estimate *out)
{
	struct estimate_overall *o = &out->overall;
	struct est_interval i;

	o->status = most_mail(out, w->in->providers);
	o->has_bounds = o->accepted > 0.;
	if (!o->has_bounds)
		return;
	if (w->silent != EST_STATUS_NO_MAIL) {
		for (size_t p = 0; p < w->in->providers; p++)
			o->lo += out->provider[p].all.lo * out->provider[p].all.accepted / o->accepted;
		o->hi = 1.;
		return;
	}
	for (size_t j = 0; j < EST_DRAWS; j++)
		cases[j] /= o->accepted;
	i = est_share_interval(cases, EST_DRAWS, level_of(w));
	o->has_rate = true;
	o->rate = i.mean;
	o->lo = i.lo;
	o->hi = fmax(i.hi, fmin(1., o->confirmed / o->accepted));
}

struct estimate estimate_of(struct arena *a, const struct est_input *in, const struct est_without *without)
{
	struct work w = {.in = in, .without = without, .past = in->campaigns - 1};
	struct estimate out = {.provider = arena_array(a, struct estimate_provider, in->providers + 1)};
	double *cases = arena_array(a, double, EST_DRAWS);
	struct est_dice dice = {11};

	w.stats = arena_array(a, struct est_stats, in->providers + 1);
	w.cal = arena_array(a, struct est_calibration, in->providers + 1);
	w.grid = arena_new(a, struct est_grid);
	w.evidence = arena_array(a, struct est_evidence, in->providers + 1);
	w.post = arena_array(a, struct est_posterior, in->providers + 1);
	w.opens_share = without->timing ? 1. : est_delay_share(&in->delays, EST_SIGNAL_OPEN, in->age_h);
	w.fetches_share = without->timing ? 1. : est_delay_share(&in->delays, EST_SIGNAL_FETCH, in->age_h);
	est_stats_count(a, in, without, w.stats);
	w.appeal_sd = est_calibrate(a, in, w.stats, w.cal);
	/* The next campaign differs from an average that is itself uncertain. */
	w.appeal_sd *= sqrt(1. + 1. / fmax((double)w.past, .4));
	est_grid_init(w.grid, w.appeal_sd);
	weigh_evidence(a, &w);
	w.doubt = doubt_of(&w);
	w.silent = silence_of(&w);
	est_joint_of(a, w.grid, w.evidence, in->providers, w.doubt, COMMON_ERROR, w.post, &w.shared);
	for (size_t p = 0; p < in->providers; p++)
		answer(a, &w, p, &dice, cases, &out);
	say_overall(&w, cases, &out);
	return out;
}
