#include "reports/est_calibrate.h"

#include "reports/est_math.h"

#include <math.h>
#include <string.h>

/* Where nothing is known: what recipients of a score usually show. */
static const double usual[EST_SCORES] = {.01, .035, .07, .115, .17, .24, .33, .44, .57, .71, .84};
static const double usual_new = .26;
static const double usual_fetch[EST_PANEL_SCORES] = {.12, .25, .4, .55, .74, .80, .85, .88};

#define USUAL_WEIGHT 8. /* recipients' worth of the usual */
#define POOL_WEIGHT 25. /* and of the pool over providers */
#define POOL_WEIGHT_PANEL 15.
#define PAST_DECAY .8 /* recent campaigns calibrate more */
#define ROUNDS 4

/* Spread of appeal before any campaign is seen, and what that is worth. */
#define APPEAL_SD .28
#define APPEAL_WEIGHT 4.

static const double score_tops[EST_SCORES - 1] = {.02, .05, .09, .14, .20, .28, .38, .50, .64, .78};

double est_calibrate_place(double shows)
{
	return est_cut(score_tops, EST_SCORES - 1, shows) / 10.;
}

/* Rates over all providers together. */
struct pool {
	double shows[EST_BINS], fetches[EST_PANEL_BINS];
};

static struct est_tally past_of(const struct est_tally *first, size_t stride, size_t past)
{
	struct est_tally t = {0., 0.};

	for (size_t h = 0; h < past; h++) {
		t.mail += first[h * stride].mail;
		t.shown += first[h * stride].shown;
	}
	return t;
}

static struct est_tally sum_of(const struct est_tally *t, size_t n)
{
	return past_of(t, 1, n);
}

static void pool_of(const struct est_input *in, const struct est_stats *stats, struct pool *pool)
{
	size_t past = in->campaigns - 1;

	for (size_t b = 0; b < EST_BINS; b++) {
		double start = b < EST_SCORES ? usual_new : usual[b % EST_SCORES];
		double mail = USUAL_WEIGHT, shown = USUAL_WEIGHT * start;

		for (size_t p = 0; p < in->providers; p++) {
			struct est_tally t = past_of(&stats[p].bins[0][b], EST_BINS, past);

			mail += t.mail;
			shown += t.shown;
		}
		pool->shows[b] = shown / mail;
	}
	for (size_t b = 0; b < EST_PANEL_BINS; b++) {
		double mail = USUAL_WEIGHT, shown = USUAL_WEIGHT * usual_fetch[b % EST_PANEL_SCORES];

		for (size_t p = 0; p < in->providers; p++) {
			struct est_tally t = past_of(&stats[p].panel[0][b], EST_PANEL_BINS, past);

			mail += t.mail;
			shown += t.shown;
		}
		pool->fetches[b] = shown / mail;
	}
}

/* How much each past campaign showed, compared with their average; the average
 * (weighted by mail) is 1. */
static void visibility_of(
	const struct est_stats *s, size_t past, const struct est_calibration *cal, double *visibility)
{
	double mean = 0., all = 0.;

	for (size_t h = 0; h < past; h++) {
		struct est_tally t = sum_of(s->bins[h], EST_BINS);
		double expected = 0.;

		for (size_t b = 0; b < EST_BINS; b++)
			expected += s->bins[h][b].mail * cal->shows[b];
		visibility[h] = (t.shown + 3.) / (expected + 3.);
		mean += (t.mail + 1e-9) * log(visibility[h]);
		all += t.mail + 1e-9;
	}
	for (size_t h = 0; h < past; h++)
		visibility[h] /= exp(mean / all);
}

static double recency(size_t h, size_t past)
{
	return pow(PAST_DECAY, (double)(past - 1 - h));
}

static void openers_of(const struct est_stats *s, size_t past, const struct pool *pool,
	struct est_calibration *cal, double *visibility)
{
	memcpy(cal->shows, pool->shows, sizeof cal->shows);
	for (size_t h = 0; h < past; h++)
		visibility[h] = 1.;
	for (size_t b = 0; b < EST_BINS; b++)
		cal->past_mail[b] = past_of(&s->bins[0][b], EST_BINS, past).mail;
	cal->past_shown = 0.;
	for (size_t h = 0; h < past; h++)
		cal->past_shown += sum_of(s->bins[h], EST_BINS).shown;
	for (int round = 0; round < ROUNDS; round++) {
		double expected = 20., scale;

		for (size_t b = 0; b < EST_BINS; b++)
			expected += cal->past_mail[b] * cal->shows[b];
		scale = past ? (cal->past_shown + 20.) / expected : 1.;
		for (size_t b = 0; b < EST_BINS; b++) {
			double mail = POOL_WEIGHT;
			double shown = POOL_WEIGHT * est_clamp(scale * pool->shows[b], 0., .97);

			for (size_t h = 0; h < past; h++) {
				mail += recency(h, past) * s->bins[h][b].mail * visibility[h];
				shown += recency(h, past) * s->bins[h][b].shown;
			}
			cal->shows[b] = est_clamp(shown / mail, .002, .985);
		}
		if (past)
			visibility_of(s, past, cal, visibility);
	}
	for (size_t b = 0; b < EST_BINS; b++)
		cal->known[b] = cal->past_mail[b] * cal->shows[b];
}

static void members_of(
	const struct est_stats *s, size_t past, const struct pool *pool, struct est_calibration *cal)
{
	double expected = 10., shown = 10., scale;

	cal->panel_mail = 0.;
	for (size_t b = 0; b < EST_PANEL_BINS; b++) {
		struct est_tally t = past_of(&s->panel[0][b], EST_PANEL_BINS, past);

		cal->panel_mail += t.mail;
		expected += t.mail * pool->fetches[b];
		shown += t.shown;
	}
	scale = shown / expected;
	cal->steady = (struct est_tally){0., 0.};
	for (size_t b = 0; b < EST_PANEL_BINS; b++) {
		struct est_tally t = past_of(&s->panel[0][b], EST_PANEL_BINS, past);
		double rate = est_clamp(scale * pool->fetches[b], 0., .99);

		cal->fetches[b] =
			past ? est_clamp((t.shown + POOL_WEIGHT_PANEL * rate) / (t.mail + POOL_WEIGHT_PANEL),
				       .005, .99)
			     : pool->fetches[b];
		/* The two highest scores of members with some mail behind them. */
		if (b / EST_PANEL_SCORES % 2 && b % EST_PANEL_SCORES >= EST_PANEL_SCORES - 2) {
			cal->steady.mail += t.mail;
			cal->steady.shown += t.shown;
		}
	}
	for (size_t e = 0; e < 2; e++)
		cal->recent[e] = past_of(&s->recent[0][e], 2, past);
}

/* A campaign's appeal is what its visibility at the providers has in common; one
 * provider where it collapsed must not move it. */
static double common_part(const double *x, const double *variance, size_t n)
{
	double weight = 0., mean = 0.;

	for (size_t i = 0; i < n; i++) {
		weight += 1. / variance[i];
		mean += x[i] / variance[i];
	}
	mean /= weight;
	for (int round = 0; round < 3; round++) {
		double sum = 0.;

		weight = 0.;
		for (size_t i = 0; i < n; i++) {
			double off = x[i] - mean;
			double w = 1. / variance[i] / (1. + off * off / (4. * variance[i]));

			weight += w;
			sum += w * x[i];
		}
		mean = sum / weight;
	}
	return mean;
}

static double spread_of_appeal(
	const struct est_input *in, const struct est_stats *stats, double *const *visibility)
{
	double appeal[EST_MAX_CAMPAIGNS], x[EST_MAX_PROVIDERS], variance[EST_MAX_PROVIDERS];
	double mean = 0., square = APPEAL_WEIGHT * APPEAL_SD * APPEAL_SD;
	size_t past = in->campaigns - 1, n = 0;

	/* The first campaign went to strangers only. */
	for (size_t h = 1; h < past && in->providers; h++) {
		for (size_t p = 0; p < in->providers; p++) {
			x[p] = log(visibility[p][h]);
			variance[p] = 1. / (sum_of(stats[p].bins[h], EST_BINS).shown + 3.) + .03;
		}
		appeal[n] = common_part(x, variance, in->providers);
		mean += appeal[n++];
	}
	if (n == 0)
		return APPEAL_SD;
	mean /= (double)n;
	for (size_t i = 0; i < n; i++)
		square += 1.5 * (appeal[i] - mean) * (appeal[i] - mean);
	return sqrt(square / (APPEAL_WEIGHT + (double)n - 1.));
}

double est_calibrate(struct arena *a, const struct est_input *in, const struct est_stats *stats,
	struct est_calibration *out)
{
	double **visibility = arena_alloc(a, (in->providers + 1) * sizeof *visibility);
	struct pool *pool = arena_new(a, struct pool);
	size_t past = in->campaigns - 1;

	pool_of(in, stats, pool);
	for (size_t p = 0; p < in->providers; p++) {
		visibility[p] = arena_array(a, double, past + 1);
		openers_of(&stats[p], past, pool, &out[p], visibility[p]);
		members_of(&stats[p], past, pool, &out[p]);
	}
	return spread_of_appeal(in, stats, visibility);
}
