/* The HTTP side of the reports: routes, keys, problem JSON. */
#ifndef LF_REPORTS_API_H
#define LF_REPORTS_API_H

#include "core/io/keyset.h"
#include "core/web/web.h"
#include "reports/snapshot.h"

#define API_MAX_LIMIT 1000
#define API_DEFAULT_LIMIT 100
/* Older than this a picture is stale and /healthz says 503. */
#define API_STALE_MS 10000

struct api {
	struct snapshot *snapshot; /* borrowed */
	struct keyset *keys;       /* borrowed */
};

/* Answers every request; context is a struct api, shared by the threads. */
void api_handle(void *context, struct web_req *r);

#endif
