/* A campaign as the JSON object of the API (docs/REPORTS.md).
 *
 * pure: One source for every number: `landfall report --json` and the API write
 * the same object. */
#ifndef LF_REPORTS_VIEW_H
#define LF_REPORTS_VIEW_H

#include "core/parse/json.h"
#include "reports/picture.h"

/* The whole object, with providers and links when `whole`, as a value under key
 * (NULL at the top and in arrays). */
void view_campaign(struct json_out *j, const char *key, const struct picture *p, const struct campaign *c,
	uint64_t now_ms, bool whole);

#endif
