#include "reports/est_delay.h"

#include "reports/est_math.h"

#include <math.h>

#define ENOUGH 50. /* delays seen before the sender's own are believed */
#define FIRST_H .05
#define LAST_H 2000.

/* Log-normal delays: median and spread. */
static const struct {
	double median_h, sd;
} typical[] = {[EST_SIGNAL_OPEN] = {5.5, 1.9}, [EST_SIGNAL_FETCH] = {.7, 1.6}};

double est_delay_share(const struct est_delays *d, enum est_signal signal, double age_h)
{
	const double *seen = signal == EST_SIGNAL_OPEN ? d->open : d->fetch;
	double when[EST_MAX_DELAYS + 2], share[EST_MAX_DELAYS + 2], all = 0., sum = 0.;
	size_t n = 0;

	age_h = age_h > FIRST_H ? age_h : FIRST_H;
	for (size_t i = 0; i < d->edges + 1; i++)
		all += seen[i];
	if (d->edges == 0 || all < ENOUGH)
		return est_normal_below(log(age_h / typical[signal].median_h) / typical[signal].sd);
	when[n] = log(FIRST_H);
	share[n++] = 0.;
	for (size_t i = 0; i < d->edges; i++) {
		sum += seen[i];
		if (d->edge_h[i] <= FIRST_H || d->edge_h[i] >= LAST_H)
			continue;
		when[n] = log(d->edge_h[i]);
		share[n++] = sum / all;
	}
	when[n] = log(LAST_H);
	share[n++] = 1.;
	return est_clamp(est_interpolate(log(age_h), when, share, n), 1e-4, 1.);
}
