/* What the texts of a policy may be, whoever gives them: the configuration, or
 * a program by the C library.
 *
 * pure.
 */
#ifndef LF_REWRITER_POLICY_H
#define LF_REWRITER_POLICY_H

#include "rewriter/message.h"

#define POLICY_MAX_TRACK_URL 256
#define POLICY_MAX_FEEDBACK_ID 64
#define POLICY_MAX_ADDRESS 254 /* RFC 5321 4.5.3.1.3 */
#define POLICY_MAX_SIGNERS 64

/* Nothing but ASCII letters, digits and these others. */
bool policy_made_of(slice s, const char *others);

/* The tracker's address goes into markup without quoting: http:// or https://, a
 * host, perhaps port and path, nothing else. */
bool policy_url_fit(slice url);

/* Sets track_url (borrows url, without slashes at its end) and track_host (in the
 * arena). False: it is not fit, and *p is as it was. */
bool policy_track_url(struct arena *a, slice url, struct policy *p);

/* The sender's name in a Feedback-ID; empty is fine. */
bool policy_feedback_id_fit(slice name);

/* A plain address, as goes into CFBL-Address; empty is fine. */
bool policy_address_fit(slice address);

#endif
