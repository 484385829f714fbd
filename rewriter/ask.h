/* What a request to POST /v1/rewrite says beside the message: for whom, from
 * whom, and with what policy.
 *
 * pure.
 */
#ifndef LF_REWRITER_ASK_H
#define LF_REWRITER_ASK_H

#include "core/model/apikey.h"
#include "rewriter/message.h"

/* Fields of the request; empty where absent. */
#define ASK_LIST(F)                                                                                          \
	F(content_type, "content-type")                                                                      \
	F(accept, "accept")                                                                                  \
	F(recipient, "landfall-recipient")                                                                   \
	F(sender, "landfall-sender")                                                                         \
	F(campaign, "landfall-campaign")                                                                     \
	F(tenant, "landfall-tenant")                                                                         \
	F(recipient_id, "landfall-recipient-id")                                                             \
	F(track, "landfall-track")

struct ask_fields {
#define F(name, field) slice name;
	ASK_LIST(F)
#undef F
};

struct ask {                /* borrows the fields and the key */
	slice recipient;    /* address without <> */
	slice recipient_id; /* what the sender calls it; empty: what the message says */
	bool null_sender;   /* mail from <>: it keeps that sender */
	bool explain;       /* JSON is wanted: what would be done */
};

/* Understand the fields and make the policy of this request of the listener's,
 * which goes in and comes out in *p. 0; or the HTTP status that refuses it, with
 * *detail a sentence that says why. */
int ask_read(const struct ask_fields *f, const struct apikey *key, struct policy *p, struct ask *out,
	const char **detail);

#endif
