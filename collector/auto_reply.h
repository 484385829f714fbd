/* Automatic answers (RFC 3834): vacation notices, challenges, confirmations.
 * They are no bounces; they show that somebody, or somebody's software, lives
 * at the address. pure. */
#ifndef LF_COLLECTOR_AUTO_REPLY_H
#define LF_COLLECTOR_AUTO_REPLY_H

#include "collector/bounce_parts.h"

enum auto_reply { AUTO_REPLY_NO, AUTO_REPLY_YES, AUTO_REPLY_CHALLENGE };

/* From the header fields and the subject alone. from: the address of From. */
enum auto_reply auto_reply_of(struct arena *a, const struct bounce_parts *m, slice from);

/* Is it the address of a mail system and not of a person? */
bool auto_reply_daemon(slice from);

#endif
