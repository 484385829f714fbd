#include "reports/est_past.h"

#include "reports/est_math.h"

#include <math.h>

/* Bins are less equal than they look: what one, and all together, may count. */
#define KEEN_RATE .3
#define KEEN_MAIL 20.
#define KEEN_BIN_MOST 150.
#define KEEN_MOST 200.
#define KEEN_SHOWS .97 /* the keenest reader misses a few all the same */

#define REPEAT_SD .13
#define PANEL_PRECISION 120.
#define PANEL_MOST 2000.
#define PANEL_LEAST 10.
/* Where panel members stand on the sorting's scale. */
#define SORT_ENGAGED 1.
#define SORT_SILENT .20
#define SORT_STEADY .80

/* Log-likelihood that the keenest bins show what they show although only `reach`
 * of their mail can be seen. */
static double keen(const struct est_calibration *cal, double scale, double reach)
{
	double log_likelihood = 0., most = KEEN_SHOWS * reach;

	for (size_t b = 0; b < EST_BINS; b++) {
		double d = cal->shows[b], n = fmin(cal->past_mail[b], KEEN_BIN_MOST) * scale;

		if (cal->past_mail[b] > KEEN_MAIL && d > KEEN_RATE && d > most)
			log_likelihood += n * (d * log(most / d) + (1. - d) * log((1. - most) / (1. - d)));
	}
	return log_likelihood;
}

static double keen_scale(const struct est_calibration *cal)
{
	double all = 1e-9;

	for (size_t b = 0; b < EST_BINS; b++)
		if (cal->past_mail[b] > KEEN_MAIL && cal->shows[b] > KEEN_RATE)
			all += fmin(cal->past_mail[b], KEEN_BIN_MOST);
	return fmin(1., KEEN_MOST / all);
}

static void openers(const struct est_grid *g, slice provider, const struct est_stats *s,
	const struct est_calibration *cal, const struct est_without *without, struct est_past *out)
{
	double prior[EST_LEVELS], scale = keen_scale(cal);
	bool repeats = !without->repeats && s->repeats.mail > 30. && s->repeats.shown >= 5.;
	double again = repeats ? s->repeats.shown / s->repeats.mail : 0.;
	double sd = repeats ? sqrt(REPEAT_SD * REPEAT_SD + 3. * (1. - again) / s->repeats.shown) : 1.;

	est_grid_level_prior(g, provider, prior);
	for (size_t w = 0; w < EST_SORTINGS; w++) {
		for (size_t l = 0; l < EST_LEVELS; l++) {
			double reach = est_logistic(g->level_logit[l] + g->sorting[w]);
			double base = log(g->sorting_prior[w] * prior[l]) + keen(cal, scale, reach);

			for (size_t v = 0; v < EST_REPEATS; v++) {
				double z = repeats ? (log(again) - log(reach) - g->repeat_log[v]) / sd : 0.;

				out->openers[v][w][l] = base - .5 * z * z;
			}
		}
	}
	est_exp_scaled(&out->openers[0][0][0], EST_REPEATS * EST_SORTINGS * EST_LEVELS);
}

/* One group of members: a steady one is known by its fetches, so its devices count
 * once; a recent one by a single fetch, so a weak device shows twice. */
static void add_group(
	const struct est_grid *g, struct est_tally t, double sort, bool steady, struct est_past *out)
{
	double scale = fmin(1., PANEL_MOST / t.mail);

	if (t.mail < PANEL_LEAST)
		return;
	for (size_t f = 0; f < EST_LEAKS; f++) {
		for (size_t d = 0; d < EST_DEVICES; d++) {
			double fetch = steady ? g->device[d] : g->device[d] * g->device[d];

			for (size_t w = 0; w < EST_SORTINGS; w++) {
				for (size_t l = 0; l < EST_LEVELS; l++) {
					double x = est_logistic(g->level_logit[l] + sort * g->sorting[w]);
					double q = fetch * (x + g->leak[f] * (1. - x));

					out->panel[f][d][w][l] += est_log_beta_binomial(t.shown * scale,
						t.mail * scale, est_clamp(q, .001, .995), PANEL_PRECISION);
				}
			}
		}
	}
}

static void panel(const struct est_grid *g, const struct est_calibration *cal,
	const struct est_without *without, struct est_past *out)
{
	double *first = &out->panel[0][0][0][0];
	size_t n = sizeof out->panel / sizeof *first;

	for (size_t i = 0; i < n; i++)
		first[i] = 0.;
	if (!without->panel) {
		add_group(g, cal->recent[1], SORT_ENGAGED, false, out);
		add_group(g, cal->recent[0], SORT_SILENT, false, out);
		add_group(g, cal->steady, SORT_STEADY, true, out);
	}
	est_exp_scaled(first, n);
}

void est_past_of(const struct est_grid *g, slice provider, const struct est_stats *s,
	const struct est_calibration *cal, const struct est_without *without, struct est_past *out)
{
	openers(g, provider, s, cal, without, out);
	panel(g, cal, without, out);
}
