/* Relative links below the <base href> of an HTML part.
 *
 * pure.
 */
#ifndef LF_REWRITER_BASEURL_H
#define LF_REWRITER_BASEURL_H

#include "core/base/arena.h"
#include "core/base/slice.h"

/* Where a stripped relative reference leads below base, a web URL: in the arena,
 * or empty for what stays within the page ("", "#top") or has another host.
 * Dot segments stay: who follows the link takes them out. */
slice baseurl_join(struct arena *a, slice base, slice relative);

#endif
