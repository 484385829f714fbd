/* The small mathematics of the estimator.
 *
 * pure: libm and nothing else. */
#ifndef LF_REPORTS_EST_MATH_H
#define LF_REPORTS_EST_MATH_H

#include <stddef.h>

double est_logistic(double x);
/* p is brought within 1e-9..1-1e-9 first. */
double est_logit(double p);
double est_clamp(double x, double least, double most);

/* log of the beta-binomial probability of k out of n around rate q with
 * precision nu, but for the part that does not depend on q. */
double est_log_beta_binomial(double k, double n, double q, double nu);

double est_dot(const double *a, const double *b, size_t n);

/* An unnormalised normal density. */
double est_bell(double x, double mean, double sd);
double est_normal_below(double z);
/* Inverse of est_normal_below; u is brought within 1e-9..1-1e-9. */
double est_normal_at(double u);

/* Scale so that the sum is 1; all zero stays so. */
void est_normalise(double *p, size_t n);
/* Turn logarithms into numbers of which the largest is 1. */
void est_exp_scaled(double *x, size_t n);
/* log of the sum of exp. */
double est_log_sum_exp(const double *x, size_t n);

/* k[i * n + j]: share of i that comes from j under noise of sd on the grid x;
 * each row sums to 1. */
void est_kernel(double *k, const double *x, size_t n, double sd);

/* Number of the cuts (growing) that x passes. */
unsigned est_cut(const double *cuts, unsigned n, double x);

/* The value at share u of the sorted x, interpolated. n > 0. */
double est_quantile(const double *sorted, size_t n, double u);
void est_sort(double *x, size_t n);
/* y at x on the polyline (growing xs); flat outside. */
double est_interpolate(double x, const double *xs, const double *ys, size_t n);

/* Fixed pseudo-random numbers: the same in every run and on every machine. */
struct est_dice {
	unsigned long long state;
};
/* n numbers of 0..1, one from each n-th of it, in a shuffled order. */
void est_dice_strata(struct est_dice *d, double *u, size_t n);

#endif
