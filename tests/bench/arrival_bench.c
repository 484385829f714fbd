/* The tables of docs/ARRIVAL.md, as markdown: how well arrival is estimated in
 * made-up worlds with known truth, what each evidence buys, and how fast it is.
 *
 *	arrival_bench [CASES [WORLD | evidence | speed]]
 */
#include "tests/estimator/score.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct score run(const struct world *w, unsigned cases, const struct est_without *without)
{
	struct score s = {0};

	for (unsigned i = 1; i <= cases; i++)
		score_case(&s, w, i, without);
	return s;
}

static void share(double part, double all)
{
	if (all > 0.)
		printf(" %.3f |", part / all);
	else
		printf(" - |");
}

static void line(const char *name, const struct score *s)
{
	const struct score_rates *p = &s->provider, *o = &s->overall;

	printf("| %s | %.3f | %.3f | %.3f | %.3f | %.3f | %.3f | %.3f | %.3f |", name, p->error / p->n,
		score_rmse(p), p->covered / p->n, p->width / p->n, p->penalised / p->n, score_rmse(o),
		o->covered / o->n, o->width / o->n);
	share(s->found, s->collapses);
	share(s->alarmed, s->steady);
	printf(" %.3f |\n", score_skill(s));
	fflush(stdout);
}

static void worlds(unsigned cases, const char *only)
{
	const struct est_without nothing = {0};

	printf("| world | bias | RMSE | coverage | width | interval score | overall RMSE | coverage | width "
	       "| collapse found | false alarms | skill "
	       "|\n|---|---|---|---|---|---|---|---|---|---|---|---|\n");
	for (unsigned i = 0; i < world_count; i++) {
		struct score s;

		if (only && strcmp(only, world_list[i].name) != 0)
			continue;
		s = run(&world_list[i], cases, &nothing);
		line(world_list[i].name, &s);
	}
}

static const struct {
	const char *name, *world;
	struct est_without without;
} evidence[] = {
	{"opens and clicks", "classic", {.opens = true}},
	{"recipients' records", "classic", {.propensity = true}},
	{"repeated opens", "classic", {.repeats = true}},
	{"panel of prefetches", "prefetch", {.panel = true}},
	{"seeds", "classic", {.seeds = true}},
	{"timing of signals", "young", {.timing = true}},
	{"complaints, unsubscribes", "classic", {.feedback = true}},
	{"refusals, deferrals", "everywhere-classic", {.blocks = true}},
};

static void evidences(unsigned cases)
{
	const struct est_without nothing = {0};

	printf("\n| without | in world | RMSE | coverage | width | interval score | skill |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < sizeof evidence / sizeof *evidence; i++) {
		const struct world *w = world_get(evidence[i].world);
		const struct est_without *how[] = {&nothing, &evidence[i].without};

		for (int k = 0; k < 2; k++) {
			struct score s = run(w, cases, how[k]);
			const struct score_rates *p = &s.provider;

			printf("| %s%s | %s | %.3f | %.3f | %.3f | %.3f | %.3f |\n",
				k ? "" : "*nothing, beside* ", evidence[i].name, w->name, score_rmse(p),
				p->covered / p->n, p->width / p->n, p->penalised / p->n, score_skill(&s));
			fflush(stdout);
		}
	}
}

static void speed(void)
{
	const struct est_without nothing = {0};
	struct world big = *world_get("prefetch");
	struct world_case c;
	struct arena a;
	double began;

	big.recipients = 1000000;
	big.past_least = big.past_most = 9;
	arena_init(&a, (size_t)4 << 30, NULL, NULL);
	world_make(&a, &big, 1, &c);
	began = now();
	estimate_of(&a, &c.in, &nothing);
	printf("\n1,000,000 recipients, 10 campaigns, 5 providers: %.2f s of one core\n", now() - began);
	arena_free(&a);
}

int main(int argc, char **argv)
{
	unsigned cases = argc > 1 ? (unsigned)atoi(argv[1]) : 60;
	const char *only = argc > 2 ? argv[2] : NULL;

	if (!only || (strcmp(only, "evidence") != 0 && strcmp(only, "speed") != 0))
		worlds(cases, only);
	if (!only || strcmp(only, "evidence") == 0)
		evidences(cases);
	if (!only || strcmp(only, "speed") == 0)
		speed();
	return 0;
}
