#include "reports/est_now.h"

#include "reports/est_math.h"

#include <math.h>

#define PANEL_PRECISION 200.
#define PANEL_PRECISION_NEW 20. /* without a past of the panel */
#define PANEL_PAST_LEAST 10.
#define PANEL_RECENT_LEAST 15. /* below this all members speak, not the recent ones alone */
#define PANEL_SD .10           /* members are not all recipients (logit) */
#define USUAL_FETCH .74
#define USUAL_FETCH_WEIGHT 10.

#define SEED_GRID 17
#define SEED_SORT -.6 /* seeds never engage: where they stand on the sorting's scale */
#define SEED_PRECISION 20.
#define SEED_PAST_PRECISION 40.
#define SEED_PAST_MOST 80.
/* How seeds differ from recipients (logit): mostly a little, sometimes much. */
#define SEED_SD .35
#define SEED_FAR .25
#define SEED_FAR_SD 1.2

/* Refusals and deferrals scatter widely from campaign to campaign (log). Only in
 * some troubles do they grow with the mail that is filtered, by so much at most. */
#define REFUSAL_SD .8
#define REFUSAL_TELLS .5
#define REFUSAL_GROWTH 5.
#define REFUSAL_PAST_LEAST 1.
/* What of the likelihood says nothing: with it, a hint never weighs more than three
 * to one. */
#define REFUSAL_FLOOR .3

/* The panel's group that is compared with its own past. */
struct panel {
	double mail, shown, expected;
};

static struct panel panel_of(const struct est_tally *members, const struct est_tally recent[2],
	const struct est_calibration *cal, bool no_past, double share)
{
	struct panel p = {recent[0].mail + recent[1].mail, recent[0].shown + recent[1].shown, 0.};
	double past = cal->recent[0].mail + cal->recent[1].mail;
	double past_shown = cal->recent[0].shown + cal->recent[1].shown;

	if (p.mail >= PANEL_RECENT_LEAST || no_past) {
		p.expected = p.mail * share * (past_shown + USUAL_FETCH_WEIGHT * USUAL_FETCH) /
			     (past + USUAL_FETCH_WEIGHT);
		return p;
	}
	p = (struct panel){0., 0., 0.};
	for (size_t b = 0; b < EST_PANEL_BINS; b++) {
		p.mail += members[b].mail;
		p.shown += members[b].shown;
		p.expected += members[b].mail * cal->fetches[b] * share;
	}
	return p;
}

/* Noise of the rate's logit: likelihoods in, their logarithm out. */
static void blur(const double *kernel, const double *likelihood, double *out)
{
	for (size_t r = 0; r < EST_RATES; r++)
		out[r] = log(est_dot(kernel + r * EST_RATES, likelihood, EST_RATES) + 1e-280);
}

static void add_panel(
	const struct est_grid *g, const struct panel *p, bool past, const double *kernel, struct est_now *out)
{
	double like[EST_LEAKS][EST_LEVELS][EST_RATES], blurred[EST_RATES];
	double per_visible = p->expected / p->mail;

	for (size_t f = 0; f < EST_LEAKS; f++) {
		for (size_t l = 0; l < EST_LEVELS; l++) {
			double level = past ? g->level[l] : .82;
			double base = level + g->leak[f] * (1. - level);

			for (size_t r = 0; r < EST_RATES; r++) {
				double seen = g->rate[r] + g->leak[f] * (1. - g->rate[r]);

				like[f][l][r] = est_log_beta_binomial(p->shown, p->mail,
					est_clamp(per_visible * seen / base, .001, .995),
					past ? PANEL_PRECISION : PANEL_PRECISION_NEW);
			}
		}
	}
	est_exp_scaled(&like[0][0][0], EST_LEAKS * EST_LEVELS * EST_RATES);
	for (size_t f = 0; f < EST_LEAKS; f++) {
		for (size_t l = 0; l < EST_LEVELS; l++) {
			blur(kernel, like[f][l], blurred);
			for (size_t w = 0; w < EST_SORTINGS; w++)
				for (size_t r = 0; r < EST_RATES; r++)
					out->place[f][w][l][r] += blurred[r];
		}
	}
}

/* Likelihood of k of n seeds in the inbox where recipients' logit is x, for each
 * bias of the grid. */
static void seeds_at(double x, const double *bias, double k, double n, double precision, double *out)
{
	for (size_t i = 0; i < SEED_GRID; i++)
		out[i] =
			n > 0. ? exp(est_log_beta_binomial(k, n,
					     est_clamp(est_logistic(x + bias[i]), .003, .997), precision) -
					 est_log_beta_binomial(k, n, est_clamp(k / n, .003, .997), precision))
			       : 1.;
}

static struct est_tally past_seeds(const struct est_input *in, const struct est_provider *p)
{
	struct est_tally t = {0., 0.};

	for (size_t h = 0; p->seeds && h + 1 < in->campaigns; h++) {
		t.mail += p->seeds[h].sent;
		t.shown += p->seeds[h].inbox;
	}
	return t;
}

static void add_seeds(
	const struct est_grid *g, struct est_tally past, struct est_tally target, struct est_now *out)
{
	double scale = past.mail > 0. ? fmin(1., SEED_PAST_MOST / past.mail) : 1.;
	double bias[SEED_GRID], prior[SEED_GRID], shifted[SEED_GRID];
	double known[SEED_GRID], now[EST_RATES][SEED_GRID];

	for (size_t i = 0; i < SEED_GRID; i++) {
		bias[i] = -2.4 + 4.8 * (double)i / (SEED_GRID - 1);
		prior[i] = (1. - SEED_FAR) * est_bell(bias[i], 0., SEED_SD) +
			   SEED_FAR * est_bell(bias[i], 0., SEED_FAR_SD);
	}
	for (size_t w = 0; w < EST_SORTINGS; w++) {
		for (size_t i = 0; i < SEED_GRID; i++)
			shifted[i] = bias[i] + SEED_SORT * g->sorting[w];
		for (size_t r = 0; r < EST_RATES; r++)
			seeds_at(
				g->rate_logit[r], shifted, target.shown, target.mail, SEED_PRECISION, now[r]);
		for (size_t l = 0; l < EST_LEVELS; l++) {
			seeds_at(g->level_logit[l], shifted, past.shown * scale, past.mail * scale,
				SEED_PAST_PRECISION, known);
			for (size_t i = 0; i < SEED_GRID; i++)
				known[i] *= prior[i];
			for (size_t r = 0; r < EST_RATES; r++) {
				double add = log(est_dot(known, now[r], SEED_GRID) + 1e-280);

				for (size_t f = 0; f < EST_LEAKS; f++)
					out->place[f][w][l][r] += add;
			}
		}
	}
}

static double refused(const struct est_mail *m)
{
	return m->deferred + m->blocked;
}

static void add_refusals(const struct est_grid *g, const struct est_input *in, const struct est_provider *p,
	struct est_now *out)
{
	const struct est_mail *now = &p->mail[in->campaigns - 1];
	double past = (double)(in->campaigns - 1), sent = 0., seen = 0., change, variance;
	double like[EST_LEVELS][EST_RATES];

	for (size_t h = 0; h + 1 < in->campaigns; h++) {
		sent += p->mail[h].sent;
		seen += refused(&p->mail[h]);
	}
	if (sent < 1. || now->sent < 1. || seen < REFUSAL_PAST_LEAST)
		return;
	change = log((refused(now) + .5) / now->sent) - log((seen + .5) / sent);
	variance = REFUSAL_SD * REFUSAL_SD * (1. + 1. / past) + 1. / (refused(now) + .5) + 1. / (seen + .5);
	for (size_t l = 0; l < EST_LEVELS; l++)
		for (size_t r = 0; r < EST_RATES; r++) {
			double growth = log((1. + REFUSAL_GROWTH * (1. - g->rate[r])) /
					    (1. + REFUSAL_GROWTH * (1. - g->level[l])));

			like[l][r] =
				REFUSAL_TELLS * exp(-.5 * (change - growth) * (change - growth) / variance) +
				(1. - REFUSAL_TELLS) * exp(-.5 * change * change / variance);
		}
	for (size_t f = 0; f < EST_LEAKS; f++)
		for (size_t w = 0; w < EST_SORTINGS; w++)
			for (size_t l = 0; l < EST_LEVELS; l++)
				for (size_t r = 0; r < EST_RATES; r++)
					out->place[f][w][l][r] += log(REFUSAL_FLOOR + like[l][r]);
}

void est_now_of(struct arena *a, const struct est_grid *g, const struct est_input *in,
	const struct est_provider *p, const struct est_stats *s, const struct est_calibration *cal,
	double share, const struct est_without *without, struct est_now *out)
{
	size_t target = in->campaigns - 1, cells = sizeof out->place / sizeof(double);
	double *kernel = arena_array(a, double, EST_RATES *EST_RATES), *first = &out->place[0][0][0][0];
	struct panel panel = panel_of(s->panel[target], s->recent[target], cal, target == 0, share);
	struct est_tally past = past_seeds(in, p), now = {0., 0.};

	for (size_t i = 0; i < cells; i++)
		first[i] = 0.;
	if (p->seeds)
		now = (struct est_tally){p->seeds[target].sent, p->seeds[target].inbox};
	out->panel_expected = panel.expected;
	out->panel_shown = panel.shown;
	out->seeds = now.mail;
	out->past_seeds = past.mail;
	est_kernel(kernel, g->rate_logit, EST_RATES, PANEL_SD);
	if (!without->panel && panel.mail >= 1.)
		add_panel(g, &panel, cal->panel_mail >= PANEL_PAST_LEAST, kernel, out);
	if (!without->seeds && (past.mail > 0. || now.mail > 0.))
		add_seeds(g, past, now, out);
	if (!without->blocks && p->mail)
		add_refusals(g, in, p, out);
	est_exp_scaled(first, cells);
}
