/* The part of the configuration that the rewriting of a message follows. */
#ifndef LF_REWRITER_SETTINGS_H
#define LF_REWRITER_SETTINGS_H

#include "core/io/config.h"
#include "rewriter/message.h"

/* *out borrows the configuration's text and the arena. 0, or -REFUSE_SYNTAX:
 * track.url is no http or https URL with a host, or track.utm is not a list of
 * parameters; *why says so. */
int settings_policy(struct arena *a, const struct config *c, struct policy *out, struct buf *why);

#endif
