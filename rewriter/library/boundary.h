/* Where a call into the library returns, whatever happens in it.
 *
 * In a daemon must() stops the process. In the library it jumps here instead,
 * as does an arena at its cap: that is safe because pure code holds nothing but
 * what its caller can reach. boundary.c therefore takes the place of
 * core/base/must.c when the library is linked.
 */
#ifndef LF_REWRITER_LIBRARY_BOUNDARY_H
#define LF_REWRITER_LIBRARY_BOUNDARY_H

/* What work returned, or what boundary_leave was given: LANDFALL_NO_MEMORY and
 * LANDFALL_BROKEN from must.h's functions; *broken is then the condition that
 * did not hold, else NULL. Does not nest. */
int boundary_run(int (*work)(void *arg), void *arg, const char **broken);

/* From within work, out of it. error: not 0. */
_Noreturn void boundary_leave(int error);

#endif
