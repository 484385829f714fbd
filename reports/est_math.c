#include "reports/est_math.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

double est_logistic(double x)
{
	return 1. / (1. + exp(-x));
}

double est_logit(double p)
{
	p = est_clamp(p, 1e-9, 1. - 1e-9);
	return log(p / (1. - p));
}

double est_clamp(double x, double least, double most)
{
	return x < least ? least : x > most ? most : x;
}

/* lgamma writes a global sign; all arguments here are positive. */
static double log_gamma(double x)
{
	int sign;

	return lgamma_r(x, &sign);
}

double est_log_beta_binomial(double k, double n, double q, double nu)
{
	double a = q * nu, b = (1. - q) * nu;

	return log_gamma(k + a) - log_gamma(a) + log_gamma(n - k + b) - log_gamma(b);
}

/* Four sums side by side keep the adder busy; the order is fixed. */
double est_dot(const double *a, const double *b, size_t n)
{
	double s0 = 0., s1 = 0., s2 = 0., s3 = 0.;
	size_t i = 0;

	for (; i + 4 <= n; i += 4) {
		s0 += a[i] * b[i];
		s1 += a[i + 1] * b[i + 1];
		s2 += a[i + 2] * b[i + 2];
		s3 += a[i + 3] * b[i + 3];
	}
	for (; i < n; i++)
		s0 += a[i] * b[i];
	return (s0 + s1) + (s2 + s3);
}

double est_bell(double x, double mean, double sd)
{
	double z = (x - mean) / sd;

	return exp(-.5 * z * z) / sd;
}

double est_normal_below(double z)
{
	return .5 * erfc(-z / sqrt(2.));
}

double est_normal_at(double u)
{
	double z = 0.;

	u = est_clamp(u, 1e-9, 1. - 1e-9);
	for (int i = 0; i < 60; i++) {
		double density = exp(-.5 * z * z) / 2.5066282746310002;
		double step = (est_normal_below(z) - u) / density;

		/* Newton overshoots in the tails, where the density is small. */
		z -= est_clamp(step, -.7, .7);
		if (fabs(step) < 1e-10)
			break;
	}
	return z;
}

void est_normalise(double *p, size_t n)
{
	double sum = 0.;

	for (size_t i = 0; i < n; i++)
		sum += p[i];
	if (sum <= 0.)
		return;
	for (size_t i = 0; i < n; i++)
		p[i] /= sum;
}

static double largest(const double *x, size_t n)
{
	double most = -HUGE_VAL;

	for (size_t i = 0; i < n; i++)
		most = x[i] > most ? x[i] : most;
	return most;
}

void est_exp_scaled(double *x, size_t n)
{
	double most = largest(x, n);

	for (size_t i = 0; i < n; i++)
		x[i] = exp(x[i] - most);
}

double est_log_sum_exp(const double *x, size_t n)
{
	double most = largest(x, n), sum = 0.;

	for (size_t i = 0; i < n; i++)
		sum += exp(x[i] - most);
	return most + log(sum);
}

void est_kernel(double *k, const double *x, size_t n, double sd)
{
	sd = sd > 1e-3 ? sd : 1e-3;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n; j++)
			k[i * n + j] = est_bell(x[j], x[i], sd);
		est_normalise(k + i * n, n);
	}
}

unsigned est_cut(const double *cuts, unsigned n, double x)
{
	unsigned passed = 0;

	for (unsigned i = 0; i < n; i++)
		passed += x > cuts[i];
	return passed;
}

double est_quantile(const double *sorted, size_t n, double u)
{
	double at = est_clamp(u, 0., 1.) * (double)(n - 1);
	size_t i = (size_t)at;

	if (i + 1 >= n)
		return sorted[n - 1];
	return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void est_sort(double *x, size_t n)
{
	qsort(x, n, sizeof *x, by_size);
}

double est_interpolate(double x, const double *xs, const double *ys, size_t n)
{
	size_t low = 0, high = n - 1;

	if (x <= xs[0])
		return ys[0];
	if (x >= xs[n - 1])
		return ys[n - 1];
	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (xs[middle] <= x)
			low = middle;
		else
			high = middle;
	}
	return ys[low] + (ys[high] - ys[low]) * (x - xs[low]) / (xs[high] - xs[low]);
}

/* splitmix64 */
static uint64_t roll(struct est_dice *d)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

void est_dice_strata(struct est_dice *d, double *u, size_t n)
{
	for (size_t i = 0; i < n; i++)
		u[i] = ((double)i + .5) / (double)n;
	for (size_t i = n; i > 1; i--) {
		size_t j = (size_t)(roll(d) % i);
		double keep = u[i - 1];

		u[i - 1] = u[j];
		u[j] = keep;
	}
}
