/* Which of our messages a report is about: only what our keys have sealed
 * counts, and a report about a guessed address changes nothing. pure. */
#ifndef LF_COLLECTOR_BOUNCE_IDENTITY_H
#define LF_COLLECTOR_BOUNCE_IDENTITY_H

#include "collector/bounce.h"
#include "core/model/token.h"

#define BOUNCE_IDENTITY_MAX_TRIES 256 /* tokens and addresses that are tried in one message */

struct bounce_identity_keys {
	struct sealer *sealer; /* NULL: nothing is ours */
	slice domain;          /* of the return path; empty: there is none */
	slice host;            /* of the tracker, lower case; empty: no links of ours */
};

struct bounce_identity {
	struct token token;
	const char *via; /* "return-path", "header", "link"; static */
};

/* true: found, and its tag is right. */
bool bounce_identity_find(const struct bounce_identity_keys *k, struct arena *a,
	const struct bounce_message *m, struct bounce_identity *out);

#endif
