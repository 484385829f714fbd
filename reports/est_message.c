#include "reports/est_message.h"

#include "reports/est_math.h"

#include <math.h>

#define SPAM_SHOWS .02
/* Recipients behind a scanner: how often one opens, and how often a scanner's
 * visit passes for that. */
#define SCANNED_OPENS .25
#define SCANNED_FALSE .04
#define SCANNED_SILENT .2
#define PROVEN_MOST .999
#define SORT_OPENERS .6 /* where openers stand on the sorting's scale */
/* How far the placement of the keenest lies above that of the others (logit). A
 * little sorting is believed of everybody beforehand and must not spread single
 * messages, hence the square. */
#define SORT_SPREAD 2.
#define SORT_SPREAD_MOST 2.5
#define SORT_MIDDLE .33
#define ROUNDS 40

/* Those who showed nothing are alike within a class: a bin of openers, a bin of
 * members, or all behind a scanner. */
#define CLASSES (EST_BINS + EST_PANEL_BINS + 1)
#define SCANNED_CLASS (CLASSES - 1)

/* What does not depend on the row. */
struct model {
	double rate, opener_rate; /* of all, and of those who open */
	double leak;
	double silent[CLASSES];
};

/* Chance of the inbox when something comes with one probability there and another
 * in the spam folder. */
static double given(double prior, double in_inbox, double in_spam)
{
	double yes = prior * in_inbox, no = (1. - prior) * in_spam;

	return yes / fmax(yes + no, 1e-300);
}

static double shifted(double p, double shift, double edge)
{
	return est_logistic(est_logit(est_clamp(p, edge, 1. - edge)) + shift);
}

static double level_of(const struct est_grid *g, const struct est_posterior *post)
{
	double level = 0.;

	for (size_t l = 0; l < EST_LEVELS; l++)
		for (size_t r = 0; r < EST_RATES; r++)
			level += post->both[l][r] * g->level[l];
	return level;
}

static void prepare(const struct est_calibration *cal, const struct est_grid *g,
	const struct est_posterior *post, const struct est_shared *shared, const struct est_message_model *m,
	struct model *out)
{
	double level = level_of(g, post), opener_level = shifted(level, SORT_OPENERS * post->sorting, .003);
	double spread = fmin(SORT_SPREAD * post->sorting * post->sorting, SORT_SPREAD_MOST);

	out->rate = m->rate;
	out->opener_rate = shifted(m->rate, SORT_OPENERS * post->sorting, .003);
	out->leak = shared->leak;
	for (size_t b = 0; b < EST_BINS; b++) {
		double reads = est_clamp(cal->shows[b] / opener_level, .002, .97), prior;

		reads = est_logistic(est_logit(reads) + shared->appeal) * m->opens_share;
		/* Mail to keen readers is placed better than mail to the others. */
		prior = shifted(m->rate, spread * (est_calibrate_place(reads) - SORT_MIDDLE), .003);
		out->silent[b] = given(prior, 1. - reads, 1. - SPAM_SHOWS * reads);
	}
	for (size_t b = 0; b < EST_PANEL_BINS; b++) {
		double fetches = est_clamp(cal->fetches[b] / level, .01, .985) * m->fetches_share;

		out->silent[EST_BINS + b] = given(m->rate, 1. - fetches, 1.);
	}
	out->silent[SCANNED_CLASS] = given(m->rate, 1. - SCANNED_SILENT, 1.);
}

static size_t class_of(const struct est_place *place)
{
	if (place->scanned)
		return SCANNED_CLASS;
	return place->part == EST_MEMBER ? (size_t)EST_BINS + place->bin : place->bin;
}

static double of_evidence(const struct model *m, bool scanned, bool human, bool fetched)
{
	double p = 0.;

	if (human && scanned)
		p = given(m->rate, SCANNED_OPENS + SCANNED_FALSE, SCANNED_FALSE);
	else if (human)
		p = given(m->opener_rate, 1., .5 * SPAM_SHOWS);
	/* A prefetch proves as much as it does not leak. */
	if (fetched)
		p = fmax(p, fmin(PROVEN_MOST, given(m->rate, 1., m->leak)));
	return p;
}

/* Shift the classes (logit) until all messages add up to what is wanted of them. */
static void agree(const double mail[CLASSES], double want, double silent[CLASSES])
{
	double low = -8., high = 8.;

	for (int round = 0; round < ROUNDS; round++) {
		double middle = .5 * (low + high), sum = 0.;

		for (size_t i = 0; i < CLASSES; i++)
			sum += mail[i] > 0. ? mail[i] * shifted(silent[i], middle, 1e-4) : 0.;
		if (sum < want)
			low = middle;
		else
			high = middle;
	}
	for (size_t i = 0; i < CLASSES; i++)
		silent[i] = shifted(silent[i], .5 * (low + high), 1e-4);
}

void est_message_of(const struct est_input *in, const struct est_provider *provider,
	const struct est_stats *s, const struct est_calibration *cal, const struct est_grid *g,
	const struct est_posterior *post, const struct est_shared *shared, const struct est_message_model *m,
	const struct est_without *without, double *p)
{
	double mail[CLASSES] = {0.}, want = m->share * s->accepted;
	struct model model;

	prepare(cal, g, post, shared, m, &model);
	for (size_t r = 0; r < provider->rows; r++) {
		uint8_t code = provider->code[(r + 1) * in->campaigns - 1];
		bool human = est_stats_human(without, code), fetched = code & EST_FETCHED;

		p[r] = NAN;
		if (s->place[r].part == EST_NOT_ACCEPTED)
			continue;
		if (human || fetched) {
			p[r] = of_evidence(&model, s->place[r].scanned, human, fetched);
			want -= provider->count[r] * p[r];
		} else {
			mail[class_of(&s->place[r])] += provider->count[r];
		}
	}
	agree(mail, want, model.silent);
	for (size_t r = 0; r < provider->rows; r++) {
		if (s->place[r].part == EST_NOT_ACCEPTED)
			continue;
		if (isnan(p[r]))
			p[r] = model.silent[class_of(&s->place[r])];
		p[r] = est_clamp(p[r], EST_MESSAGE_LEAST, 1. - EST_MESSAGE_LEAST);
	}
}
