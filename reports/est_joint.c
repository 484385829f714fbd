#include "reports/est_joint.h"

#include "reports/est_math.h"

#include <math.h>
#include <string.h>

/* Opens alone hardly tell "dull" from "filtered everywhere": what of their word on
 * that is kept. */
#define TROUBLE_KEPT .2

/* Recipients of whom nothing is ever seen may fare otherwise than those who show
 * something, at all providers alike; no evidence tells. In steps of the rate. */
static const struct {
	int steps;
	double probability;
} unseen[] = {{-3, .07}, {0, .88}, {3, .05}};
#define UNSEEN (sizeof unseen / sizeof *unseen)

#define INNER (EST_DEVICES * EST_REPEATS)
#define OUTER (EST_LINKS * EST_TROUBLES * EST_LEAKS * EST_APPEALS)
#define SEEN (EST_SORTINGS * EST_LEVELS) /* what a provider has for itself, but for its rate */

/* One value for each combination of the shared unknowns. */
typedef double shared_table[EST_LINKS][EST_TROUBLES][EST_LEAKS][EST_APPEALS][INNER];
#define CELLS (sizeof(shared_table) / sizeof(double))

/* A provider's likelihoods in the order in which the sums run. */
struct provider {
	double past[EST_LEAKS][INNER][SEEN];
	double place[EST_TROUBLES][EST_LEAKS][SEEN][EST_RATES]; /* with the rate's prior */
	est_opens_table *opens;
	shared_table log_evidence;
};

/* The opens' likelihood over rates, as recipients of this sorting see it. */
static const double *opens_row(
	const struct est_grid *g, const est_opens_table *opens, size_t a, size_t w, size_t l)
{
	unsigned step = g->sorting_step[w];

	return &(*opens)[a][l + step / 2][step];
}

static void prepare(const struct est_grid *g, const struct est_evidence *e, struct provider *p)
{
	p->opens = e->opens.link;
	for (size_t f = 0; f < EST_LEAKS; f++)
		for (size_t d = 0; d < EST_DEVICES; d++)
			for (size_t v = 0; v < EST_REPEATS; v++)
				for (size_t w = 0; w < EST_SORTINGS; w++)
					for (size_t l = 0; l < EST_LEVELS; l++)
						p->past[f][d * EST_REPEATS + v][w * EST_LEVELS + l] =
							e->past.openers[v][w][l] * e->past.panel[f][d][w][l];
	for (size_t t = 0; t < EST_TROUBLES; t++)
		for (size_t f = 0; f < EST_LEAKS; f++)
			for (size_t w = 0; w < EST_SORTINGS; w++)
				for (size_t l = 0; l < EST_LEVELS; l++)
					for (size_t r = 0; r < EST_RATES; r++)
						p->place[t][f][w * EST_LEVELS + l][r] =
							e->now.place[f][w][l][r] * g->rate_prior[t][l][r];
}

/* log of the sum over a provider's own unknowns, for one outer combination. */
static void sum_own(const double past[INNER][SEEN], const double *seen, double *out)
{
	for (size_t i = 0; i < INNER; i++)
		out[i] = log(est_dot(past[i], seen, SEEN) + 1e-280);
}

/* The evidence of a provider for each combination of the shared unknowns. */
static void evidence_of(const struct est_grid *g, struct provider *p)
{
	double seen[SEEN];

	for (size_t k = 0; k < EST_LINKS; k++)
		for (size_t t = 0; t < EST_TROUBLES; t++)
			for (size_t f = 0; f < EST_LEAKS; f++)
				for (size_t a = 0; a < EST_APPEALS; a++) {
					for (size_t s = 0; s < SEEN; s++)
						seen[s] = est_dot(opens_row(g, &p->opens[k], a,
									  s / EST_LEVELS, s % EST_LEVELS),
							p->place[t][f][s], EST_RATES);
					sum_own(p->past[f], seen, p->log_evidence[k][t][f][a]);
				}
}

/* The same from opens and the past alone, added up in *sum. */
static void add_opens_alone(const struct est_grid *g, const struct provider *p, shared_table *sum)
{
	double seen[SEEN], one[INNER];

	for (size_t k = 0; k < EST_LINKS; k++)
		for (size_t t = 0; t < EST_TROUBLES; t++)
			for (size_t a = 0; a < EST_APPEALS; a++) {
				for (size_t s = 0; s < SEEN; s++)
					seen[s] = est_dot(
						opens_row(g, &p->opens[k], a, s / EST_LEVELS, s % EST_LEVELS),
						g->rate_prior[t][s % EST_LEVELS], EST_RATES);
				for (size_t f = 0; f < EST_LEAKS; f++) {
					sum_own(p->past[f], seen, one);
					for (size_t i = 0; i < INNER; i++)
						(*sum)[k][t][f][a][i] += one[i];
				}
			}
}

static void shared_prior(const struct est_grid *g, shared_table *out)
{
	for (size_t k = 0; k < EST_LINKS; k++)
		for (size_t t = 0; t < EST_TROUBLES; t++)
			for (size_t f = 0; f < EST_LEAKS; f++)
				for (size_t a = 0; a < EST_APPEALS; a++)
					for (size_t i = 0; i < INNER; i++)
						(*out)[k][t][f][a][i] =
							log(g->leak_prior[f] * g->appeal_prior[a] *
								g->device_prior[i / EST_REPEATS] *
								g->repeat_prior[i % EST_REPEATS]);
}

/* log odds of trouble everywhere that a table of logarithms gives. */
static double odds_of_trouble(const shared_table *log_p)
{
	double yes[EST_LINKS], no[EST_LINKS];
	size_t n = (size_t)EST_LEAKS * EST_APPEALS * INNER;

	for (size_t k = 0; k < EST_LINKS; k++) {
		no[k] = est_log_sum_exp(&(*log_p)[k][0][0][0][0], n);
		yes[k] = est_log_sum_exp(&(*log_p)[k][1][0][0][0], n);
	}
	return est_log_sum_exp(yes, EST_LINKS) - est_log_sum_exp(no, EST_LINKS);
}

static void add_trouble(shared_table *log_p, double no, double yes)
{
	for (size_t k = 0; k < EST_LINKS; k++)
		for (size_t t = 0; t < EST_TROUBLES; t++) {
			double *x = &(*log_p)[k][t][0][0][0];

			for (size_t i = 0; i < (size_t)EST_LEAKS * EST_APPEALS * INNER; i++)
				x[i] += t ? yes : no;
		}
}

/* The shared unknowns' posterior, as logarithms (unnormalised). */
static void join(struct arena *a, const struct est_grid *g, const struct provider *providers, size_t n,
	double doubt, shared_table *log_p)
{
	shared_table *opens_alone = arena_alloc(a, sizeof *opens_alone);
	double *sum = &(*log_p)[0][0][0][0][0], said, odds, trouble, kept;

	shared_prior(g, log_p);
	shared_prior(g, opens_alone);
	for (size_t p = 0; p < n; p++) {
		const double *add = &providers[p].log_evidence[0][0][0][0][0];

		add_opens_alone(g, &providers[p], opens_alone);
		for (size_t i = 0; i < CELLS; i++)
			sum[i] += add[i];
	}
	said = odds_of_trouble(opens_alone);
	add_trouble(log_p, log(g->trouble_prior[0]), log(g->trouble_prior[1]) - (1. - TROUBLE_KEPT) * said);
	if (doubt <= 0.)
		return;
	odds = odds_of_trouble(log_p);
	trouble = est_logistic(odds);
	kept = est_clamp(trouble, doubt, 1. - doubt);
	add_trouble(log_p, log((1. - kept) / fmax(1. - trouble, 1e-12)), log(kept / fmax(trouble, 1e-12)));
}

/* Posterior of one provider's own unknowns: all providers' word on what is shared,
 * but for its own, times its own likelihoods. */
static void marginal(struct arena *arena, const struct est_grid *g, const struct provider *p,
	const shared_table *log_p, struct est_posterior *out)
{
	shared_table *others = arena_alloc(arena, sizeof *others);
	double(*own)[EST_RATES] = arena_zalloc(arena, SEEN * sizeof *own);
	double *o = &(*others)[0][0][0][0][0], weight[SEEN];
	const double *all = &(*log_p)[0][0][0][0][0], *mine = &p->log_evidence[0][0][0][0][0];

	for (size_t i = 0; i < CELLS; i++)
		o[i] = all[i] - mine[i];
	est_exp_scaled(o, CELLS);
	for (size_t t = 0; t < EST_TROUBLES; t++)
		for (size_t f = 0; f < EST_LEAKS; f++) {
			double opens[SEEN][EST_RATES] = {{0}};

			for (size_t k = 0; k < EST_LINKS; k++)
				for (size_t a = 0; a < EST_APPEALS; a++) {
					for (size_t s = 0; s < SEEN; s++)
						weight[s] = 0.;
					for (size_t i = 0; i < INNER; i++)
						for (size_t s = 0; s < SEEN; s++)
							weight[s] +=
								(*others)[k][t][f][a][i] * p->past[f][i][s];
					for (size_t s = 0; s < SEEN; s++) {
						const double *row = opens_row(
							g, &p->opens[k], a, s / EST_LEVELS, s % EST_LEVELS);

						for (size_t r = 0; r < EST_RATES; r++)
							opens[s][r] += weight[s] * row[r];
					}
				}
			for (size_t s = 0; s < SEEN; s++)
				for (size_t r = 0; r < EST_RATES; r++)
					own[s][r] += opens[s][r] * p->place[t][f][s][r];
		}
	est_normalise(&own[0][0], (size_t)SEEN * EST_RATES);
	for (size_t s = 0; s < SEEN; s++)
		for (size_t r = 0; r < EST_RATES; r++) {
			out->rate[r] += own[s][r];
			out->both[s % EST_LEVELS][r] += own[s][r];
			out->sorting += own[s][r] * g->sorting[s / EST_LEVELS];
		}
}

/* Allow for those of whom nothing is seen. */
static void allow_for_unseen(double rate[EST_RATES])
{
	double seen[EST_RATES];

	memcpy(seen, rate, sizeof seen);
	for (int r = 0; r < EST_RATES; r++)
		rate[r] = 0.;
	for (size_t k = 0; k < UNSEEN; k++)
		for (int r = 0; r < EST_RATES; r++) {
			int to = r + unseen[k].steps;

			to = to < 0 ? 0 : to >= EST_RATES ? EST_RATES - 1 : to;
			rate[to] += unseen[k].probability * seen[r];
		}
}

/* The shift of a case's rates (logit), the same at all providers. */
static double unseen_shift(double u)
{
	size_t k = 0;

	while (k + 1 < UNSEEN && u >= unseen[k].probability)
		u -= unseen[k++].probability;
	return unseen[k].steps * EST_STEP;
}

/* The rate's logit at share u of its distribution over the grid; each point stands
 * for half a step on both sides. */
static double draw_from(const double cumulated[EST_RATES], double u)
{
	double want = u * cumulated[EST_RATES - 1], before = 0.;
	size_t r = 0;

	while (r + 1 < EST_RATES && cumulated[r] < want)
		r++;
	if (r > 0)
		before = cumulated[r - 1];
	return EST_FIRST_RATE +
	       EST_STEP * ((double)r - .5 + (want - before) / fmax(cumulated[r] - before, 1e-300));
}

/* Distribution of a provider's rate when the shared unknowns are those of a cell. */
static void given_shared(
	const struct est_grid *g, const struct provider *p, size_t cell, double cumulated[EST_RATES])
{
	size_t i = cell % INNER, a = cell / INNER % EST_APPEALS, f = cell / INNER / EST_APPEALS % EST_LEAKS;
	size_t t = cell / INNER / EST_APPEALS / EST_LEAKS % EST_TROUBLES;
	size_t k = cell / INNER / EST_APPEALS / EST_LEAKS / EST_TROUBLES;
	double sum = 0.;

	for (size_t r = 0; r < EST_RATES; r++)
		cumulated[r] = 0.;
	for (size_t s = 0; s < SEEN; s++) {
		const double *row = opens_row(g, &p->opens[k], a, s / EST_LEVELS, s % EST_LEVELS);
		double weight = p->past[f][i][s];

		if (weight < 1e-12)
			continue;
		for (size_t r = 0; r < EST_RATES; r++)
			cumulated[r] += weight * row[r] * p->place[t][f][s][r];
	}
	for (size_t r = 0; r < EST_RATES; r++)
		cumulated[r] = sum += cumulated[r];
}

/* Uncertainty that is left at each provider errs together in part: all lean on the
 * same benchmarks and on the same idea of readers. */
static void uniform_draws(
	struct arena *a, struct est_dice *dice, double common, const double *together, double *u)
{
	double *own = arena_array(a, double, EST_DRAWS);

	est_dice_strata(dice, own, EST_DRAWS);
	for (size_t j = 0; j < EST_DRAWS; j++)
		u[j] = est_normal_below(
			sqrt(common) * together[j] + sqrt(1. - common) * est_normal_at(own[j]));
}

static void draw(struct arena *arena, const struct est_grid *g, const struct provider *providers, size_t n,
	const double *p, double common, struct est_posterior *out)
{
	double *together = arena_array(arena, double, EST_DRAWS);
	double *shift = arena_array(arena, double, EST_DRAWS);
	double **u = arena_alloc(arena, (n + 1) * sizeof *u);
	struct est_dice dice = {20240229};
	double cumulated[EST_RATES], sum = 0., mass = 0.;
	size_t cell = 0, j = 0;

	est_dice_strata(&dice, together, EST_DRAWS);
	est_dice_strata(&dice, shift, EST_DRAWS);
	for (size_t i = 0; i < EST_DRAWS; i++)
		together[i] = est_normal_at(together[i]);
	for (size_t i = 0; i < n; i++) {
		u[i] = arena_array(arena, double, EST_DRAWS);
		uniform_draws(arena, &dice, common, together, u[i]);
	}
	for (size_t i = 0; i < CELLS; i++)
		mass += p[i];
	while (j < EST_DRAWS && cell < CELLS) {
		size_t from = j;

		sum += p[cell];
		while (j < EST_DRAWS && ((double)j + .5) / EST_DRAWS * mass <= sum)
			j++;
		for (size_t i = 0; j > from && i < n; i++) {
			given_shared(g, &providers[i], cell, cumulated);
			for (size_t d = from; d < j; d++)
				out[i].draw[d] =
					est_logistic(draw_from(cumulated, u[i][d]) + unseen_shift(shift[d]));
		}
		cell++;
	}
	/* Rounding may leave the last draw without a cell. */
	for (; j > 0 && j < EST_DRAWS; j++)
		for (size_t i = 0; i < n; i++)
			out[i].draw[j] = out[i].draw[j - 1];
}

static void summarise(const struct est_grid *g, const double *p, struct est_shared *out)
{
	double sum = 0.;

	*out = (struct est_shared){0};
	for (size_t cell = 0; cell < CELLS; cell++) {
		size_t a = cell / INNER % EST_APPEALS, f = cell / INNER / EST_APPEALS % EST_LEAKS;

		sum += p[cell];
		out->appeal += p[cell] * g->appeal[a];
		out->leak += p[cell] * g->leak[f];
		if (cell / INNER / EST_APPEALS / EST_LEAKS % EST_TROUBLES)
			out->trouble += p[cell];
	}
	out->appeal /= sum;
	out->leak /= sum;
	out->trouble /= sum;
}

void est_joint_of(struct arena *a, const struct est_grid *g, const struct est_evidence *evidence,
	size_t providers, double doubt, double common, struct est_posterior *out, struct est_shared *shared)
{
	struct provider *p = arena_alloc(a, (providers + 1) * sizeof *p);
	shared_table *log_p = arena_alloc(a, sizeof *log_p);

	for (size_t i = 0; i < providers; i++) {
		prepare(g, &evidence[i], &p[i]);
		evidence_of(g, &p[i]);
		out[i] = (struct est_posterior){.draw = arena_array(a, double, EST_DRAWS)};
	}
	join(a, g, p, providers, doubt, log_p);
	for (size_t i = 0; i < providers; i++) {
		marginal(a, g, &p[i], log_p, &out[i]);
		allow_for_unseen(out[i].rate);
	}
	est_exp_scaled(&(*log_p)[0][0][0][0][0], CELLS);
	summarise(g, &(*log_p)[0][0][0][0][0], shared);
	draw(a, g, p, providers, &(*log_p)[0][0][0][0][0], common, out);
}
