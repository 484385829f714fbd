/* Delivery facts of a log as JSON lines, for `landfall log`. pure.
 *
 *	{"time":"2026-11-21T17:32:23.000Z","kind":"accepted","recipient":"ok@a.test",
 *	 "relay":"h[192.0.2.1]:25","status":"2.0.0","reply":250,"queue_id":"CC586A980E2",
 *	 "message_id":"1@client.test","sender":"news@brand.test","delay":0.02,"attempt":1,
 *	 "class":null,"next_queue_id":"0000A1B2C5","diagnostic":"250 2.0.0 Ok: ..."}
 *
 * What the line itself does not say (sender, message id, attempt) comes from
 * earlier lines of the same queue id; null where there were none. "relay" is
 * as printed, so "none" where nobody was reached. "class" is the bounce class
 * of what failed for good.
 */
#ifndef LF_COLLECTOR_LOG_FACTS_H
#define LF_COLLECTOR_LOG_FACTS_H

#include "collector/log_fact.h"
#include "core/base/buf.h"

#define LOG_FACTS_MESSAGES (1u << 20) /* messages remembered at once */
#define LOG_FACTS_DEFERRED 1000       /* recipients remembered as deferred, of one message */

struct log_facts;

struct log_facts *log_facts_open(void);
void log_facts_close(struct log_facts **f);

/* Append the facts of one line that was read: none, one, or one for each
 * recipient of a message that expired. */
void log_facts_add(struct log_facts *f, const struct log_fact *line, struct buf *out);

#endif
