#include "rewriter/library/boundary.h"

#include "core/base/must.h"
#include "rewriter/library/landfall.h"

#include <setjmp.h>
#include <stdlib.h>

struct boundary {
	jmp_buf jump;
	volatile int error; /* changes between setjmp and longjmp */
	const char *volatile broken;
};

/* Set only while a call is under way: must() has no argument that could lead
 * here. */
static _Thread_local struct boundary *current;

int boundary_run(int (*work)(void *arg), void *arg, const char **broken)
{
	struct boundary b = {.broken = NULL};

	current = &b;
	if (setjmp(b.jump) == 0)
		b.error = work(arg);
	current = NULL;
	*broken = b.broken;
	return b.error;
}

_Noreturn void boundary_leave(int error)
{
	current->error = error;
	longjmp(current->jump, 1);
}

_Noreturn void must_die(const char *file, int line, const char *cond)
{
	(void)file;
	(void)line;
	current->broken = cond;
	boundary_leave(LANDFALL_BROKEN);
}

static void *got(void *p)
{
	if (!p)
		boundary_leave(LANDFALL_NO_MEMORY);
	return p;
}

void *must_alloc(size_t n)
{
	return got(malloc(n ? n : 1));
}

void *must_zalloc(size_t n)
{
	return got(calloc(1, n ? n : 1));
}

void *must_realloc(void *p, size_t n)
{
	return got(realloc(p, n ? n : 1));
}
