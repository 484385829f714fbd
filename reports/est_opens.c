#include "reports/est_opens.h"

#include "reports/est_math.h"

#include <math.h>
#include <string.h>

/* Evidence out of a spam folder, compared with the inbox. */
#define SPAM_SHOWS .02
/* Appeal differs a little from provider to provider (logit), more while most
 * signals are still to come, and much where there is no past. */
#define APPEAL_NOISE .09
#define EARLY_NOISE .25
#define NO_PAST_NOISE .45
/* What the total, and the shape over the bins, may count at most (evidence). */
#define TOTAL_MOST 600.
#define SHAPE_MOST 40.
#define BIN_FREE 6. /* a bin weighs this plus what its calibration rests on */

/* The bins that got mail, tempered. */
struct bins {
	size_t n;
	double mail[EST_BINS], shown[EST_BINS], shows[EST_BINS];
	double all_mail, all_shown;
	double total_weight, shape_weight;
};

static void take_bins(const struct est_tally target[EST_BINS], const struct est_calibration *cal,
	double share, struct bins *b)
{
	*b = (struct bins){0};
	for (size_t i = 0; i < EST_BINS; i++) {
		double expected = target[i].mail * cal->shows[i] * share, weight;

		if (target[i].mail <= 0.)
			continue;
		weight = fmin(1., (BIN_FREE + cal->known[i]) / fmax(expected, 1e-9));
		b->mail[b->n] = weight * target[i].mail;
		b->shown[b->n] = weight * target[i].shown;
		b->shows[b->n] = cal->shows[i];
		b->all_mail += b->mail[b->n];
		b->all_shown += b->shown[b->n];
		b->n++;
	}
	b->total_weight = fmin(1., TOTAL_MOST / fmax(b->all_shown, 1e-9));
	b->shape_weight = fmin(1., SHAPE_MOST / fmax(b->all_shown, 1e-9));
}

/* Evidence that a recipient who reads with probability p when the mail is in the
 * inbox shows at this appeal. */
static double reads(double p, double appeal, unsigned link)
{
	return link == 0 ? est_logistic(est_logit(p) + appeal) : fmin(.98, p * exp(appeal));
}

/* Log-likelihood at one level and appeal, for all rates. */
static void at_level(const struct bins *b, const double *in_inbox, const double *seen, double appeal,
	unsigned link, double share, double *out)
{
	double expected[EST_BINS], all = 0., shape = 0.;

	for (size_t i = 0; i < b->n; i++) {
		expected[i] = reads(in_inbox[i], appeal, link) * share * b->mail[i];
		all += expected[i];
	}
	for (size_t i = 0; i < b->n; i++)
		if (b->shown[i] > 0.)
			shape += b->shown[i] * log(expected[i] / all);
	for (size_t r = 0; r < EST_WIDE_RATES; r++) {
		double q = est_clamp(all / b->all_mail * seen[r], 1e-12, 1. - 1e-9);

		out[r] =
			b->total_weight * (b->all_shown * log(q) + (b->all_mail - b->all_shown) * log1p(-q)) +
			b->shape_weight * shape;
	}
}

/* What of the mail, inbox and spam folder together, can show evidence. */
static double visible(double logit)
{
	double x = est_logistic(logit);

	return x + SPAM_SHOWS * (1. - x);
}

static void fill(
	const struct est_grid *g, const struct bins *b, unsigned link, double share, est_opens_table *t)
{
	double seen[EST_WIDE_RATES], in_inbox[EST_BINS];

	for (size_t r = 0; r < EST_WIDE_RATES; r++)
		seen[r] = visible(EST_FIRST_RATE + EST_STEP * (double)r);
	for (size_t l = 0; l < EST_WIDE_LEVELS; l++) {
		double x = visible(EST_FIRST_LEVEL + 2. * EST_STEP * (double)l);

		for (size_t i = 0; i < b->n; i++)
			in_inbox[i] = est_clamp(b->shows[i] / x, .002, .97);
		for (size_t a = 0; a < EST_APPEALS; a++)
			at_level(b, in_inbox, seen, g->appeal[a], link, share, (*t)[a][l]);
	}
}

/* Appeal as this provider's recipients feel it is the shared one and some noise. */
static void smooth(struct arena *a, const struct est_grid *g, double sd, est_opens_table *t)
{
	double kernel[EST_APPEALS * EST_APPEALS];
	est_opens_table *sharp = arena_alloc(a, sizeof *sharp);
	const size_t plane = (size_t)EST_WIDE_LEVELS * EST_WIDE_RATES;

	est_kernel(kernel, g->appeal, EST_APPEALS, sd);
	memcpy(sharp, t, sizeof *sharp);
	for (size_t i = 0; i < EST_APPEALS; i++) {
		double *to = (*t)[i][0];

		for (size_t k = 0; k < plane; k++)
			to[k] = 1e-280;
		for (size_t j = 0; j < EST_APPEALS; j++) {
			const double *from = (*sharp)[j][0];
			double weight = kernel[i * EST_APPEALS + j];

			if (weight < 1e-12)
				continue;
			for (size_t k = 0; k < plane; k++)
				to[k] += weight * from[k];
		}
	}
}

void est_opens_of(struct arena *a, const struct est_grid *g, const struct est_tally target[EST_BINS],
	const struct est_calibration *cal, double share, size_t past, const struct est_without *without,
	struct est_opens *out)
{
	size_t all = EST_LINKS * sizeof(est_opens_table) / sizeof(double);
	double noise = APPEAL_NOISE * APPEAL_NOISE * (1. + 1. / fmax((double)past, 1.)) +
		       1. / (cal->past_shown + 1. / (NO_PAST_NOISE * NO_PAST_NOISE)) +
		       EARLY_NOISE * EARLY_NOISE * (1. - share) * (1. - share);
	double *first;
	struct bins b;

	*out = (struct est_opens){.link = arena_alloc(a, EST_LINKS * sizeof(est_opens_table))};
	for (size_t i = 0; i < EST_BINS; i++) {
		out->expected += target[i].mail * cal->shows[i] * share;
		out->shown += target[i].shown;
	}
	first = &out->link[0][0][0][0];
	take_bins(target, cal, share, &b);
	if (without->opens || b.n == 0) {
		for (size_t i = 0; i < all; i++)
			first[i] = 1.;
		return;
	}
	for (unsigned k = 0; k < EST_LINKS; k++)
		fill(g, &b, k, share, &out->link[k]);
	est_exp_scaled(first, all);
	for (unsigned k = 0; k < EST_LINKS; k++)
		smooth(a, g, sqrt(noise), &out->link[k]);
}
