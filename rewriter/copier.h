/* Makes the copies that go to the hop, records them once they went, and
 * remembers those that went though the client had to be told otherwise.
 *
 * Where anything is in doubt the original goes, unchanged, and the reason is
 * counted. Only a message that cannot be recorded (disk full) is put off.
 */
#ifndef LF_REWRITER_COPIER_H
#define LF_REWRITER_COPIER_H

#include "core/io/outbox.h"
#include "rewriter/message.h"
#include "rewriter/recent.h"
#include "rewriter/relay.h"
#include "rewriter/sequence.h"

/* Memory for understanding one message, beside a multiple of its size. */
#define COPIER_ARENA (64u << 20)
/* More than this is given back after the message. */
#define COPIER_KEEP (8u << 20)

struct copier_config { /* all of it is borrowed */
	struct policy policy;
	const struct keyring *ring;
	slice return_path_domain; /* empty: the sender is left alone */
	bool ident;               /* name each copy, see relay_copy */
	struct outbox *outbox;
	struct sequence *sequence;
	struct recent *recent;
	size_t max_message;
	size_t arena; /* most memory for understanding one message; 0: the default */
};

struct copier;

struct copier *copier_open(const struct copier_config *cfg);
void copier_close(struct copier **c);

/* As relay_world.prepare. Puts a CAMPAIGN event when it reserves numbers. */
void copier_prepare(struct copier *c, const struct envelope *e, unsigned i, slice message, uint64_t size,
	struct relay_copy *copy);
/* The hop took the copy; text: of its reply. Puts SENT into the outbox. True:
 * there is something to flush and to wait for. */
bool copier_taken(struct copier *c, struct relay_copy *copy, slice text);

/* As relay_world.alone, .owed, .known and .answered. */
bool copier_alone(const struct copier *c, const struct envelope *e, unsigned i);
bool copier_owed(const struct copier *c, const struct envelope *e, unsigned i);
bool copier_known(const struct copier *c, const struct envelope *e, unsigned i, slice message);
void copier_answered(
	struct copier *c, const struct envelope *e, slice message, const struct relay_outcome *o, bool mixed);

#endif
