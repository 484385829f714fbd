#include "tests/estimator/world.h"

#include "core/base/must.h"

#include <math.h>
#include <string.h>

#define HONEST                                                                                               \
	.recipients = 12000, .past_least = 6, .past_most = 12, .level_sd = .5, .drift_sd = .25,              \
	.appeal_sd = .25, .asleep = .12, .falling_asleep = .004, .devices = 1., .weak_devices = .1,          \
	.scanners = .5, .images_blocked = .08, .seeded = .4, .seed_bias_sd = .35, .age_h = 72.

/* A world is the honest one with changes. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
const struct world world_list[] = {
	{"classic", "opens and clicks only: no device prefetches", true, HONEST, .devices = 0.},
	{"prefetch", "devices that prefetch, image proxies, scanners", true, HONEST},
	{"sorting", "keen readers' mail is placed better", true, HONEST, .sorting = .8},
	{"new", "a new list: none or one campaign before", true, HONEST, .past_least = 0, .past_most = 1},
	{"collapse", "one provider puts nearly all into the spam folder", true, HONEST, .collapse = true},
	{"small", "250 recipients", true, HONEST, .recipients = 250},
	{"blocked-images", "a third of readers never load images", true, HONEST, .images_blocked = .35},
	{"dead", "a list in decay: dead accounts, readers who stop", true, HONEST, .asleep = .35,
		.falling_asleep = .03},
	{"young", "six hours after sending", true, HONEST, .age_h = 6.},
	{"high", "all levels well above the usual", false, HONEST, .level_shift = .7, .level_sd = .3},
	{"low", "all levels well below the usual", false, HONEST, .level_shift = -.9, .level_sd = .3},
	{"high-classic", "the same without prefetch", false, HONEST, .level_shift = .7, .level_sd = .3,
		.devices = 0.},
	{"low-classic", "the same without prefetch", false, HONEST, .level_shift = -.9, .level_sd = .3,
		.devices = 0.},
	{"factor", "appeal multiplies reading; placement sorts", false, HONEST, .link = WORLD_FACTOR,
		.sorting = .6},
	{"probit", "appeal acts on a probit; campaigns differ much", false, HONEST, .link = WORLD_PROBIT,
		.appeal_sd = .4, .drift_sd = .45},
	{"loyal", "the same people's mail is always filtered", false, HONEST, .loyal_sd = 1.},
	{"misled-seeds", "seeds are off in the same direction everywhere", false, HONEST, .seeded = 1.,
		.seed_bias_shared_sd = .9},
	{"misled-seeds-classic", "the same without prefetch", false, HONEST, .seeded = 1.,
		.seed_bias_shared_sd = .9, .devices = 0.},
	{"leak", "devices prefetch from spam folders as well", false, HONEST, .leak = .5},
	{"weak-devices", "a third of the devices prefetch now and then", false, HONEST, .weak_devices = .35},
	{"hidden-scanners", "scanners that nobody labelled", false, HONEST, .hidden_scanners = .3},
	{"dull", "a dull subject", false, HONEST, .flop = -1.2},
	{"dull-classic", "a dull subject, no prefetch", false, HONEST, .flop = -1.2, .devices = 0.},
	{"everywhere", "filtered everywhere", false, HONEST, .trouble = true},
	{"everywhere-classic", "filtered everywhere, no prefetch", false, HONEST, .trouble = true,
		.devices = 0.},
	{"sliding", "one provider always low, one sliding down", false, HONEST, .sliding = true},
};
#pragma GCC diagnostic pop
const unsigned world_count = sizeof world_list / sizeof *world_list;

/* Mailbox providers as most lists meet them. */
static const struct {
	const char *name;
	double share, level, devices;
	bool feedback, business;
} providers[WORLD_PROVIDERS] = {
	{"gmail", .40, .89, .22, false, false},
	{"outlook", .22, .78, .14, true, false},
	{"yahoo", .13, .86, .24, true, false},
	{"apple", .09, .83, .68, false, false},
	{"corporate", .16, .80, .16, false, true},
};

static const double edges[] = {1, 2, 4, 8, 24, 72, 168};
#define EDGES (sizeof edges / sizeof *edges)

struct dice {
	uint64_t state;
};

static double uniform(struct dice *d)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return ((double)((z ^ z >> 31) >> 11) + .5) / 9007199254740992.;
}

static bool happens(struct dice *d, double p)
{
	return uniform(d) < p;
}

static double bell(struct dice *d, double mean, double sd)
{
	double r = sqrt(-2. * log(uniform(d)));

	return mean + sd * r * cos(6.283185307179586 * uniform(d));
}

static double logistic(double x)
{
	return 1. / (1. + exp(-x));
}

static double logit(double p)
{
	return log(p / (1. - p));
}

static double clamp(double x, double least, double most)
{
	return x < least ? least : x > most ? most : x;
}

const struct world *world_get(const char *name)
{
	for (unsigned i = 0; i < world_count; i++)
		if (strcmp(world_list[i].name, name) == 0)
			return &world_list[i];
	must(!"no such world");
	return NULL;
}

/* What a sender's whole history shares. */
struct sender {
	const struct world *w;
	struct dice dice;
	size_t campaigns;
	double placement[EST_MAX_CAMPAIGNS][WORLD_PROVIDERS]; /* logit */
	double appeal[EST_MAX_CAMPAIGNS][WORLD_PROVIDERS];
	double clicks[EST_MAX_CAMPAIGNS];
	double delay_median, delay_sd;
	int collapsed; /* provider, or -1 */
};

struct person {
	double interest; /* logit of reading an average campaign that is in the inbox */
	double taste;    /* interest in sds, for the placement */
	double offset;   /* of placement, for good */
	double clicks;   /* logit of clicking what is read */
	double fetches;  /* probability that the device prefetches; 0: it never does */
	bool asleep, blocks_images, scanner, hidden_scanner, mixed;
	bool gone; /* bounced hard, or left */
	unsigned mails, shown;
};

static void plan(struct sender *s)
{
	const struct world *w = s->w;
	struct dice *d = &s->dice;
	size_t target = s->campaigns - 1;
	double drop = logit(.05 + .2 * uniform(d));
	double low[2] = {logit(.15 + .25 * uniform(d)), logit(.2 + .25 * uniform(d))};

	s->collapsed = w->collapse ? (int)(uniform(d) * WORLD_PROVIDERS) : -1;
	s->delay_median = 3. + 6. * uniform(d);
	s->delay_sd = 1.6 + .5 * uniform(d);
	for (unsigned p = 0; p < WORLD_PROVIDERS; p++) {
		double level = logit(providers[p].level) + w->level_shift + bell(d, 0., w->level_sd);

		for (size_t c = 0; c < s->campaigns; c++) {
			double x = level + bell(d, 0., w->drift_sd);

			if (w->sliding && p == 0)
				x = low[0] + bell(d, 0., .2);
			if (w->sliding && p == 1)
				x = level + (low[1] - level) * (double)c / (double)(target ? target : 1);
			if (c == target && (int)p == s->collapsed)
				x = drop;
			if (c == target && w->trouble)
				x = drop + bell(d, .4, .4);
			s->placement[c][p] = x;
		}
	}
	for (size_t c = 0; c < s->campaigns; c++) {
		double all = bell(d, c == target ? w->flop : 0., w->appeal_sd);

		s->clicks[c] = bell(d, 0., .35);
		for (unsigned p = 0; p < WORLD_PROVIDERS; p++)
			s->appeal[c][p] = all + bell(d, 0., .06);
	}
}

static struct person born(struct sender *s, unsigned p)
{
	const struct world *w = s->w;
	struct dice *d = &s->dice;
	struct person x = {0};

	x.taste = clamp(bell(d, 0., 1.), -2.5, 2.5);
	x.interest = -1.3 + 1.7 * x.taste;
	x.offset = bell(d, 0., w->loyal_sd);
	x.clicks = bell(d, -2.6, .9);
	x.asleep = happens(d, w->asleep);
	if (happens(d, providers[p].devices * w->devices))
		x.fetches = happens(d, w->weak_devices) ? .15 + .6 * uniform(d) : .9 + .09 * uniform(d);
	x.blocks_images = happens(d, w->images_blocked);
	x.scanner = providers[p].business && happens(d, w->scanners);
	x.hidden_scanner = providers[p].business && happens(d, w->hidden_scanners);
	x.mixed = happens(d, .2);
	return x;
}

static double reading(const struct sender *s, const struct person *x, size_t c, unsigned p)
{
	double appeal = s->appeal[c][p];

	if (x->asleep)
		return 0.;
	switch (s->w->link) {
	case WORLD_LOGIT:
		return logistic(x->interest + appeal);
	case WORLD_FACTOR:
		return fmin(.98, logistic(x->interest) * exp(appeal));
	case WORLD_PROBIT:
		return .5 * erfc(-(x->interest * .6 + appeal * .6) / sqrt(2.));
	}
	return 0.;
}

static unsigned slot(double h)
{
	unsigned i = 0;

	while (i < EDGES && h >= edges[i])
		i++;
	return i;
}

/* What is seen of one accepted message until the age; *arrived is its truth. */
static uint8_t deliver(struct sender *s, struct person *x, size_t c, unsigned p, double age, bool *arrived,
	struct est_delays *delays)
{
	struct dice *d = &s->dice;
	double reads = reading(s, x, c, p), after = exp(log(s->delay_median) + s->delay_sd * bell(d, 0., 1.));
	double fetch_after = exp(log(.7) + 1.5 * bell(d, 0., 1.));
	bool inbox = happens(d, logistic(s->placement[c][p] + s->w->sorting * x->taste + x->offset));
	bool read = happens(d, inbox ? reads : .02 * reads) && after < age, images;
	uint8_t code = EST_ACCEPTED;

	*arrived = inbox;
	images = x->fetches > 0. ? x->mixed && happens(d, .5) : !x->blocks_images || happens(d, .15);
	if (read && images) {
		code |= EST_OPENED;
		delays->open[slot(after)]++;
	}
	if (read && happens(d, logistic(x->clicks + s->clicks[c])))
		code |= EST_CLICKED;
	if (read && inbox && happens(d, .003))
		code |= EST_UNSUBSCRIBED;
	if (inbox && providers[p].feedback && happens(d, .0006))
		code |= EST_COMPLAINED;
	if (x->fetches > 0. && (inbox || happens(d, s->w->leak)) && happens(d, x->fetches) &&
		fetch_after < age) {
		code |= EST_FETCHED;
		delays->fetch[slot(fetch_after)]++;
	} else if (x->fetches > 0. && read && inbox) {
		code |= EST_FETCHED;
	}
	if (x->scanner && happens(d, .9))
		code |= happens(d, .95) ? EST_SCANNED : EST_OPENED | EST_CLICKED;
	if (x->hidden_scanner && happens(d, .9))
		code |= EST_OPENED | EST_CLICKED;
	return code;
}

static void live_on(struct sender *s, struct person *x, uint8_t code)
{
	if (code & EST_BOUNCED)
		x->gone = happens(&s->dice, .5);
	if (code & (EST_UNSUBSCRIBED | EST_COMPLAINED))
		x->gone = true;
	x->mails += (code & EST_ACCEPTED) != 0;
	x->shown += (code & (EST_OPENED | EST_FETCHED | EST_CLICKED)) != 0;
	x->asleep |= happens(&s->dice, s->w->falling_asleep);
}

/* All mail to one provider. */
static void send_all(struct arena *a, struct sender *s, unsigned p, const bool *engaged_only,
	struct est_delays *past_delays, struct est_provider *out, struct world_truth *truth)
{
	size_t n = (size_t)(s->w->recipients * providers[p].share), cs = s->campaigns;
	uint8_t *code = arena_array(a, uint8_t, n * cs + 1);
	double *count = arena_array(a, double, n + 1), past = 0., past_inbox = 0.;
	bool *arrived = arena_array(a, bool, n + 1);
	struct est_mail *mail = arena_array(a, struct est_mail, cs);
	double refusals[EST_MAX_CAMPAIGNS];

	for (size_t c = 0; c < cs; c++) {
		double filtered = 1. - logistic(s->placement[c][p]);

		refusals[c] = exp(bell(&s->dice, 0., .8)) * (happens(&s->dice, .5) ? 1. + 5. * filtered : 1.);
	}
	for (size_t r = 0; r < n; r++) {
		struct person x = born(s, p);
		size_t first = happens(&s->dice, .2) ? (size_t)(uniform(&s->dice) * (double)cs) : 0;

		count[r] = 1.;
		for (size_t c = 0; c < cs; c++) {
			struct est_delays later = {0};
			bool target = c + 1 == cs, inbox = false;
			uint8_t *to = &code[r * cs + c];

			if (c < first || x.gone || (engaged_only[c] && x.mails > 2 && !x.shown) ||
				happens(&s->dice, .02))
				continue;
			mail[c].sent++;
			mail[c].deferred += happens(&s->dice, fmin(.5, .01 * refusals[c]));
			if (happens(&s->dice, fmin(.2, .002 * refusals[c]))) {
				*to = EST_BOUNCED;
				mail[c].blocked++;
				continue;
			}
			if (happens(&s->dice, .006)) {
				*to = EST_BOUNCED;
				mail[c].hard++;
			} else {
				*to = deliver(s, &x, c, p, target ? s->w->age_h : 1000., &inbox,
					target ? &later : past_delays);
				mail[c].accepted++;
				mail[c].complaints += (*to & EST_COMPLAINED) != 0;
				truth->inbox += target && inbox;
				past += !target;
				past_inbox += !target && inbox;
				arrived[r] = target && inbox;
			}
			live_on(s, &x, *to);
		}
	}
	truth->accepted = mail[cs - 1].accepted;
	truth->past_rate = past > 0. ? past_inbox / past : (double)NAN;
	truth->collapsed = (int)p == s->collapsed;
	truth->arrived = arrived;
	*out = (struct est_provider){slice_str(providers[p].name), n, code, count, mail, NULL};
}

static const struct est_seeds *plant(
	struct arena *a, struct sender *s, unsigned p, double shared, bool target_only)
{
	struct est_seeds *seeds = arena_array(a, struct est_seeds, s->campaigns);
	unsigned n = 8 + (unsigned)(25. * uniform(&s->dice));
	double bias = shared + bell(&s->dice, 0., s->w->seed_bias_sd);

	for (size_t c = target_only ? s->campaigns - 1 : 0; c < s->campaigns; c++) {
		double at =
			logistic(s->placement[c][p] - .8 * s->w->sorting + bias + bell(&s->dice, 0., .25));

		seeds[c].sent = n;
		for (unsigned i = 0; i < n; i++)
			seeds[c].inbox += happens(&s->dice, at);
		seeds[c].spam = n - seeds[c].inbox;
	}
	return seeds;
}

void world_make(struct arena *a, const struct world *w, uint64_t seed, struct world_case *out)
{
	struct sender *s = arena_new(a, struct sender);
	struct est_provider *to = arena_array(a, struct est_provider, WORLD_PROVIDERS);
	bool engaged_only[EST_MAX_CAMPAIGNS], seeded, target_only;
	double shared;

	s->w = w;
	s->dice.state = seed * 0xd1342543de82ef95u + 12345;
	s->campaigns = w->past_least + 1 + (size_t)(uniform(&s->dice) * (w->past_most - w->past_least + 1.));
	must(s->campaigns <= EST_MAX_CAMPAIGNS);
	plan(s);
	for (size_t c = 0; c < s->campaigns; c++)
		engaged_only[c] = c > 2 && happens(&s->dice, .15);
	*out = (struct world_case){.in = {.level = .9,
					   .age_h = w->age_h,
					   .campaigns = s->campaigns,
					   .providers = WORLD_PROVIDERS,
					   .provider = to}};
	out->in.delays.edges = EDGES;
	memcpy(out->in.delays.edge_h, edges, sizeof edges);
	for (unsigned p = 0; p < WORLD_PROVIDERS; p++)
		send_all(a, s, p, engaged_only, &out->in.delays, &to[p], &out->truth[p]);
	seeded = happens(&s->dice, w->seeded);
	target_only = happens(&s->dice, .4);
	shared = bell(&s->dice, 0., w->seed_bias_shared_sd);
	for (unsigned p = 0; p < WORLD_PROVIDERS && seeded; p++)
		to[p].seeds = plant(a, s, p, shared, target_only);
}
