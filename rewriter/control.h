/* What the header section says to the rewriter: the control fields that are
 * taken out, what the message is called, and what forbids to touch it.
 * Privacy is a floor: a field may only restrict, and one that cannot be read
 * counts as the most private choice.
 *
 * pure.
 */
#ifndef LF_REWRITER_CONTROL_H
#define LF_REWRITER_CONTROL_H

#include "rewriter/message.h"

#define CONTROL_MAX_REMOVED 64     /* control fields in one message */
#define CONTROL_MAX_UNSUBSCRIBE 16 /* URIs that are looked at */

struct control_cut {
	size_t from, to;
	bool signature; /* of a signer behind us; stays where nothing else is changed */
};

struct control {
	struct control_cut cut[CONTROL_MAX_REMOVED]; /* control fields and signatures, in their order */
	unsigned cut_count;
	unsigned fields;
	size_t end; /* of the last field: where new ones go */
	slice campaign, tenant, recipient_id, message_id;
	enum privacy privacy;
	bool opens, clicks;
	bool signed_; /* DKIM or ARC, and not ours to take off */
	bool ours;
	bool has_unsubscribe, has_unsubscribe_post, has_feedback_id, has_cfbl;
	slice unsubscribe[CONTROL_MAX_UNSUBSCRIBE]; /* URIs of List-Unsubscribe */
	unsigned unsubscribe_count;
};

/* Text that may name a campaign or a tenant: not empty, not longer than
 * EVENT_MAX_TEXT, no control characters. */
bool control_fit(slice name);

/* 0, or -REFUSE_HEADER_TOO_LARGE; too many control fields count as that. */
int control_read(struct arena *a, slice message, const struct policy *p, struct control *out);

#endif
