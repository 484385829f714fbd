/* Parameters for the sender's own web statistics, added to destinations.
 *
 * pure.
 */
#ifndef LF_REWRITER_UTM_H
#define LF_REWRITER_UTM_H

#include "rewriter/message.h"

/* The URL with the parameters that it does not have yet, before its fragment.
 * The URL itself where there is none to add; else in the arena. */
slice utm_add(struct arena *a, slice url, const struct utm *list, size_t count);

#endif
