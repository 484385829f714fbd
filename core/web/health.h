/* /metrics and /healthz for programs whose business is not HTTP: one thread,
 * one address. */
#ifndef LF_WEB_HEALTH_H
#define LF_WEB_HEALTH_H

#include "core/base/buf.h"
#include "core/io/config.h"

struct health;

/* setting: the key that names the address, for errors ("rewriter.metrics").
 * 0; with no port set too, and *out is then NULL. -errno with *why one line for
 * a human. */
int health_open(struct health **out, const struct config_addr *a, const char *setting, struct buf *why);
void health_close(struct health **h);

#endif
