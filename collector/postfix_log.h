/* One line of a Postfix log in, what it says out. pure.
 *
 *	Nov 21 17:32:23 mx postfix/smtp[16301]: CC586A980E2: to=<a@b.test>, relay=h[ip]:25,
 *		delay=0.02, delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 1A2)
 *
 * The stamp is RFC 3164 (no year, no zone), RFC 3339, or not there at all. What
 * surprises: local parts and the text in parentheses come from strangers and
 * may look like keys, so a line is read once from left to right, addresses with
 * regard to quotes, and nothing behind "status=WORD (" is ever searched for
 * keys. Postfix cuts a line at about 2,000 bytes: the closing parenthesis is
 * not needed.
 */
#ifndef LF_COLLECTOR_POSTFIX_LOG_H
#define LF_COLLECTOR_POSTFIX_LOG_H

#include "collector/log_fact.h"

#define POSTFIX_LOG_MAX_ID 31 /* longest queue id */

/* Returns out->kind. now_ms: the year of a stamp without one is the latest that
 * does not put it more than a day after now. zone_s: seconds east of Greenwich,
 * for stamps without a zone. */
enum log_fact_kind postfix_log_read(slice line, uint64_t now_ms, int zone_s, struct log_fact *out);

#endif
