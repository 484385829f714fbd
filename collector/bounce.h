/* One message that came back, understood: what became of which recipient, and
 * why. pure.
 *
 * A delivery report (RFC 3464), a feedback report (RFC 5965, 6591), a bounce
 * written for people, an automatic answer, or nothing of the kind. What
 * surprises: a forged report costs nothing to send, so nobody may act on a
 * fact whose identity is not sealed (bounce_identity.h).
 */
#ifndef LF_COLLECTOR_BOUNCE_H
#define LF_COLLECTOR_BOUNCE_H

#include "collector/bounce_parts.h"
#include "collector/classes.h"

#define BOUNCE_MAX_RECIPIENTS 1000
#define BOUNCE_MAX_DEPTH 2 /* reports inside of reports */
/* What reading one message may take of an arena, parts included. */
#define BOUNCE_MEMORY (BOUNCE_PARTS_MEMORY + ((size_t)64 << 20))

enum bounce_kind {
	BOUNCE_KIND_NOTHING, /* no report at all */
	BOUNCE_KIND_BOUNCED,
	BOUNCE_KIND_DEFERRED,
	BOUNCE_KIND_DELIVERED,
	BOUNCE_KIND_COMPLAINED,
	BOUNCE_KIND_RESCUED,
	BOUNCE_KIND_AUTO_REPLY
};

struct bounce_fact { /* slices borrow the message or the arena */
	enum bounce_kind kind;
	enum classes class;
	enum classes_permanent permanent;
	const char *rule; /* static */
	unsigned confidence;
	slice recipient; /* empty: not named */
	slice original;  /* the recipient as it was sent to, where the report says so */
	uint32_t status; /* 0: unknown */
	uint16_t reply;  /* 0: unknown */
	slice action;    /* "failed"; empty: not said */
	slice diagnostic;
	slice remote_mta;
};

struct bounce_message {
	struct bounce_parts parts;
	slice message_id; /* of the returned message, without <> */
	slice reporting_mta;
	slice envelope_id;
	slice feedback_type;
	slice mail_from; /* of the returned message, as a feedback report says */
	struct bounce_fact *facts;
	unsigned count; /* at least 1 */
};

/* Total. out borrows message and arena. */
void bounce_read(struct arena *a, slice message, struct bounce_message *out);

/* "bounced", ... "none". */
const char *bounce_kind_word(enum bounce_kind k);

#endif
