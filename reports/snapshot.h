/* The present picture, renewed by a thread of its own.
 *
 * While Redis is away the last picture stays, and its age tells. Requests never
 * wait for Redis.
 */
#ifndef LF_REPORTS_SNAPSHOT_H
#define LF_REPORTS_SNAPSHOT_H

#include "reports/load.h"

struct snapshot_config {
	struct rds_config redis;
	unsigned refresh_ms;
};

struct snapshot;

/* 0, or -errno. Redis need not answer yet. */
int snapshot_open(struct snapshot **out, const struct snapshot_config *cfg);
void snapshot_close(struct snapshot **s);

/* The present picture with a reference for the caller (picture_drop), or NULL
 * if none could be taken yet. */
struct picture *snapshot_get(struct snapshot *s);
/* Did Redis answer at the last try? */
bool snapshot_fresh(struct snapshot *s);

#endif
