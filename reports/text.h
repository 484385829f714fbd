/* A campaign as a page of text for a terminal, at most 80 columns wide.
 *
 * pure: The same numbers as the JSON of reports/view.h. */
#ifndef LF_REPORTS_TEXT_H
#define LF_REPORTS_TEXT_H

#include "core/base/buf.h"
#include "reports/picture.h"

/* now_ms: for the ages. */
void text_campaign(const struct picture *p, const struct campaign *c, uint64_t now_ms, struct buf *out);
/* One line a campaign. */
void text_list(const struct picture *p, uint64_t now_ms, struct buf *out);

#endif
