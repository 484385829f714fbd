#include "core/base/must.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void must_die(const char *file, int line, const char *cond)
{
	fprintf(stderr, "fatal: %s:%d: must(%s)\n", file, line, cond);
	abort();
}

void *must_alloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	must(p);
	return p;
}

void *must_zalloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	must(p);
	return p;
}

void *must_realloc(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	must(p);
	return p;
}
