/* Who a copy is for: every recipient of a campaign has a number, and a message
 * that comes again has the number it had.
 */
#ifndef LF_REWRITER_NUMBERS_H
#define LF_REWRITER_NUMBERS_H

#include "core/io/outbox.h"
#include "rewriter/message.h"
#include "rewriter/recent.h"
#include "rewriter/sequence.h"

/* Room on disk that a message must find before a number is taken for it. */
#define NUMBERS_ROOM (64 * 1024)

struct numbers { /* all of it is borrowed; of one thread, but for recent */
	const struct keyring *ring;
	struct outbox *outbox;
	struct sequence *sequence;
	struct recent *recent;
};

/* The number of this message (what it is called: any key, 0 for none) for this
 * address, in the campaign of the plan. Fills *id and *sent, all but its time and
 * queue id; puts a CAMPAIGN event when it reserves numbers. 0, or -errno: it
 * could not be recorded (nothing is taken; ask again later), -EOVERFLOW: the
 * campaign has used all numbers of this lane. */
int numbers_take(struct numbers *n, const struct plan *plan, slice address, uint64_t message,
	struct identity *id, struct event *sent);

#endif
