/* "We were wrong": stops the process at once, also in release builds.
 *
 * For broken invariants and for memory that the system refuses, never for
 * input and never for the world. The supervisor starts the process again and
 * the journal makes that harmless.
 */
#ifndef LF_BASE_MUST_H
#define LF_BASE_MUST_H

#include <stddef.h>

#define must(cond)                                                                                           \
	do {                                                                                                 \
		if (__builtin_expect(!(cond), 0))                                                            \
			must_die(__FILE__, __LINE__, #cond);                                                 \
	} while (0)

_Noreturn void must_die(const char *file, int line, const char *cond);

/* malloc, calloc and realloc that stop the process instead of returning NULL. */
void *must_alloc(size_t n) __attribute__((malloc));
void *must_zalloc(size_t n) __attribute__((malloc));
void *must_realloc(void *p, size_t n);

#endif
