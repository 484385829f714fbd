/* How much of what producers have shipped is not folded into state yet. */
#ifndef LF_COMMAND_BACKLOG_H
#define LF_COMMAND_BACKLOG_H

#include "core/io/config.h"
#include "core/io/rds.h"

/* Streams with entries behind the fold's cursor; 0: all is folded. -errno when
 * Redis does not answer. */
int64_t backlog_count(const struct rds_config *redis, const struct config *c);

#endif
