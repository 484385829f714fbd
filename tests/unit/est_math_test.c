#include "reports/est_math.h"
#include "tests/testing.h"

#include <math.h>

static void near(const char *row, double got, double want, double within)
{
	if (!(fabs(got - want) <= within))
		fail_msg("%s: got %.12g, want %.12g", row, got, want);
}

static void logits(void **state)
{
	(void)state;
	near("half", est_logistic(0.), .5, 0.);
	near("there and back", est_logistic(est_logit(.03)), .03, 1e-12);
	assert_true(isfinite(est_logit(0.)) && isfinite(est_logit(1.)));
	near("clamp", est_clamp(2., 0., 1.), 1., 0.);
}

/* Differences of the logarithm against products worked out by hand: with q = 1/2
 * and nu = 2 the beta-binomial is uniform. */
static void beta_binomial(void **state)
{
	(void)state;
	/* C(4, k) B(k + 1, 5 - k) / B(1, 1) = 1/5 for each k; the function leaves out
	 * what does not depend on q, here C(4, k) and B(., 6). */
	near("uniform", est_log_beta_binomial(1., 4., .5, 2.) - est_log_beta_binomial(0., 4., .5, 2.),
		log(1. / 4.), 1e-12);
	assert_true(est_log_beta_binomial(9., 10., .9, 50.) > est_log_beta_binomial(9., 10., .5, 50.));
}

static void normal(void **state)
{
	static const double us[] = {1e-8, .001, .05, .5, .9, .975, .9999};

	(void)state;
	near("1.96", est_normal_at(.975), 1.959963984540054, 1e-9);
	for (size_t i = 0; i < sizeof us / sizeof *us; i++)
		near("inverse", est_normal_below(est_normal_at(us[i])), us[i], 1e-9);
	assert_true(isfinite(est_normal_at(0.)) && isfinite(est_normal_at(1.)));
}

static void sums(void **state)
{
	const double a[] = {1, 2, 3, 4, 5, 6, 7}, b[] = {7, 6, 5, 4, 3, 2, 1};
	double x[] = {-1000., -1001., -HUGE_VAL}, k[9], sorted[] = {3., 1., 2.};
	const double grid[] = {0., 1., 2.}, ys[] = {0., 10., 0.};

	(void)state;
	near("dot", est_dot(a, b, 7), 84., 0.);
	near("log sum exp", est_log_sum_exp(x, 2), -1000. + log1p(exp(-1.)), 1e-12);
	est_exp_scaled(x, 3);
	near("scaled", x[0], 1., 0.);
	near("scaled, nothing", x[2], 0., 0.);
	est_kernel(k, grid, 3, .5);
	near("kernel's row", k[0] + k[1] + k[2], 1., 1e-12);
	est_sort(sorted, 3);
	near("median", est_quantile(sorted, 3, .5), 2., 0.);
	near("between", est_quantile(sorted, 3, .25), 1.5, 1e-12);
	near("one only", est_quantile(sorted, 1, .9), 1., 0.);
	near("polyline", est_interpolate(.5, grid, ys, 3), 5., 1e-12);
	near("left of it", est_interpolate(-1., grid, ys, 3), 0., 0.);
	assert_int_equal(est_cut(grid, 3, 1.), 1);
}

static void strata(void **state)
{
	struct est_dice one = {3}, two = {3};
	double u[100], v[100], before = -1.;

	(void)state;
	est_dice_strata(&one, u, 100);
	est_dice_strata(&two, v, 100);
	assert_memory_equal(u, v, sizeof u);
	est_dice_strata(&two, v, 100);
	assert_memory_not_equal(u, v, sizeof u);
	est_sort(u, 100);
	for (int i = 0; i < 100; i++) {
		near("one from each", u[i], (i + .5) / 100., 1e-12);
		assert_true(u[i] > before);
		before = u[i];
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logits),
		cmocka_unit_test(beta_binomial),
		cmocka_unit_test(normal),
		cmocka_unit_test(sums),
		cmocka_unit_test(strata),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
