/* Which vector instructions the fast paths may use.
 *
 * Asked of the processor at each call of a function that has such paths: that is
 * a load and a test, and nothing has to be kept. Every path gives the same
 * bytes; a function that has them comes a second time, with the path as its
 * first argument, for the test that shows it.
 */
#ifndef LF_BASE_CPU_H
#define LF_BASE_CPU_H

#include <stdbool.h>

enum cpu_path {
	CPU_PORTABLE,
	CPU_AVX2,   /* with BMI2 */
	CPU_AVX512, /* with its byte instructions: BW, VL, VBMI and VBMI2 */
	CPU_PATHS
};

#ifdef __x86_64__
#define CPU_TARGET_AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#define CPU_TARGET_AVX512                                                                                    \
	__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi,"             \
			      "avx512vbmi2")))
#endif

#ifdef __x86_64__
/* A vector of constants that stays in its register: to make it anew at each step of a
 * loop, which a compiler takes for cheap, costs as much as what is done with it. */
#define CPU_KEEP(v) __asm__("" : "+v"(v))
#endif

/* The best that this processor has. */
static inline enum cpu_path cpu_best(void)
{
#ifdef __x86_64__
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2"))
		return CPU_PORTABLE;
	return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
			       __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2")
		       ? CPU_AVX512
		       : CPU_AVX2;
#else
	return CPU_PORTABLE;
#endif
}

static inline bool cpu_has(enum cpu_path path)
{
	return path <= cpu_best();
}

#endif
