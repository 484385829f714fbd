/* Mailboxes: messages one after the other, each behind a "From " line that
 * stands at the start or after an empty line. pure. */
#ifndef LF_COLLECTOR_MBOX_H
#define LF_COLLECTOR_MBOX_H

#include "core/base/slice.h"

/* The next message, its "From " line included; rest moves behind it. What stands
 * before the first "From " line is a message too. false: no more. */
bool mbox_next(slice *rest, slice *message);

#endif
