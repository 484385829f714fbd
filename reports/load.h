/* Pictures out of Redis.
 *
 * Campaigns whose version in Redis did not change are taken over from the
 * picture before, by reference count. */
#ifndef LF_REPORTS_LOAD_H
#define LF_REPORTS_LOAD_H

#include "core/io/rds.h"
#include "reports/picture.h"

/* before: the picture before, or NULL. known: it was read on this connection, so
 * that its versions still say something. 0 and *out with one reference, or -errno
 * (-EPROTO: a key is of another type): close the connection then, replies may
 * still be on their way. */
int load_picture(struct rds *r, const struct picture *before, bool known, uint64_t now_ms,
	struct picture **out);

#endif
