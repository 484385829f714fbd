/* Finds what to edit in one HTML part.
 *
 * pure.
 */
#ifndef LF_REWRITER_HTMLSCAN_H
#define LF_REWRITER_HTMLSCAN_H

#include "rewriter/plan.h"

/* Append the sites of this part to it and what is left alone to the plan.
 * clicks: look for links; pixel: this part gets the message's pixel. scan: the
 * decoded text with foreign states masked. */
void htmlscan(struct arena *a, struct plan *p, struct part_plan *part, slice scan, bool clicks, bool pixel);

#endif
