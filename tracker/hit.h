/* A request in, an answer out, an event noted: /o/, /c/, /u/ and the rest.
 *
 * The answer depends on the token alone, never on Redis, disk or the verdict;
 * an event that cannot be written changes a counter and nothing else.
 */
#ifndef LF_TRACKER_HIT_H
#define LF_TRACKER_HIT_H

#include "core/io/outbox.h"
#include "core/model/keyring.h"
#include "core/web/web.h"
#include "tracker/client_address.h"
#include "tracker/geo.h"
#include "tracker/judge.h"

/* Longest body of a request: RFC 8058 asks for 26 bytes, or some more as
 * multipart/form-data. */
#define HIT_MAX_BODY 4096

/* What all threads share; lives longer than they do. */
struct hit_shared {
	const struct keyring *keys;
	const struct geo *geo; /* NULL: no places */
	const struct ip_networks *trusted;
	const struct outbox_config *outbox; /* one for each thread, its own directory */
};

/* One thread's part: its sealer, judge and outbox. */
struct hit;

/* NULL, after an error line, if the outbox cannot be opened. */
struct hit *hit_open(const struct hit_shared *shared, unsigned thread);
void hit_close(struct hit **h);

/* For struct web_config. */
void hit_handle(void *context, struct web_req *r);
void hit_turn(void *context);

#endif
