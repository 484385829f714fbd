/* One line of a Sendmail log in, what it says out. pure.
 *
 *	Nov 21 17:56:34 mx sendmail[18991]: 6ALHuYND018989: to=<a@b.test>,<c@b.test>,
 *		delay=00:00:01, mailer=esmtp, relay=mx.b.test. [192.0.2.1], dsn=2.0.0, stat=Sent (Ok)
 *
 * What surprises: one line speaks of several recipients, and the other side's
 * reply stands before stat=. So where there is a reply the outcome is that of
 * dsn=, which stands before it, and stat= is not looked for.
 */
#ifndef LF_COLLECTOR_SENDMAIL_LOG_H
#define LF_COLLECTOR_SENDMAIL_LOG_H

#include "collector/log_fact.h"

#define SENDMAIL_LOG_MAX_ID 31

/* Returns out->kind. now_ms and zone_s as for log_stamp_take. */
enum log_fact_kind sendmail_log_read(slice line, uint64_t now_ms, int zone_s, struct log_fact *out);

/* On to the next recipient of the line. False: that was the last. */
bool sendmail_log_next(struct log_fact *f);

#endif
