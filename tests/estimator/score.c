#include "tests/estimator/score.h"

#include "core/base/must.h"

#include <math.h>

#define MAIL_LEAST 20.
#define MAIL_LEAST_SMALL 10.

static void add(struct score_rates *s, const struct estimate_overall *e, double truth, double level)
{
	double outside = fmax(0., fmax(e->lo - truth, truth - e->hi));

	must(0. <= e->lo && e->lo <= e->rate && e->rate <= e->hi && e->hi <= 1.);
	s->n++;
	s->error += e->rate - truth;
	s->square += (e->rate - truth) * (e->rate - truth);
	s->covered += outside <= 1e-9;
	s->width += e->hi - e->lo;
	s->penalised += e->hi - e->lo + 2. / (1. - level) * outside;
}

static void add_messages(struct score *s, const struct est_provider *in, const struct estimate_provider *e,
	const struct world_truth *truth)
{
	double base = truth->inbox / truth->accepted;

	for (size_t r = 0; r < in->rows; r++) {
		double p = e->message[r], arrived = truth->arrived[r];

		if (isnan(p))
			continue;
		must(p > 0. && p < 1.);
		s->messages++;
		s->brier += (p - arrived) * (p - arrived);
		s->brier_base += (base - arrived) * (base - arrived);
	}
}

void score_case(struct score *s, const struct world *w, uint64_t seed, const struct est_without *without)
{
	double least = w->recipients <= 500 ? MAIL_LEAST_SMALL : MAIL_LEAST, accepted = 0., inbox = 0.;
	struct world_case c;
	struct estimate e;
	struct arena a;

	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	world_make(&a, w, seed, &c);
	e = estimate_of(&a, &c.in, without);
	for (size_t p = 0; p < WORLD_PROVIDERS; p++) {
		const struct world_truth *t = &c.truth[p];
		const struct estimate_provider *got = &e.provider[p];

		accepted += t->accepted;
		inbox += t->inbox;
		if (t->accepted < least)
			continue;
		s->asked++;
		if (!got->all.has_rate)
			continue;
		add(&s->provider, &got->all, t->inbox / t->accepted, c.in.level);
		add_messages(s, &c.in.provider[p], got, t);
		if (t->collapsed) {
			s->collapses++;
			s->found += got->alarm == EST_ALARM_COLLAPSE;
		} else if (t->past_rate > .02 && t->inbox / t->accepted >= .8 * t->past_rate) {
			s->steady++;
			s->alarmed += got->alarm == EST_ALARM_COLLAPSE;
		}
	}
	if (e.overall.has_rate)
		add(&s->overall, &e.overall, inbox / accepted, c.in.level);
	arena_free(&a);
}

double score_rmse(const struct score_rates *r)
{
	return sqrt(r->square / r->n);
}

double score_skill(const struct score *s)
{
	return 1. - s->brier / s->brier_base;
}
