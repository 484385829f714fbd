/* One line of an OpenSMTPD log in, what it says out. pure.
 *
 *	Nov 21 17:54:56 mx smtpd[75295]: 9dafabdf4533bdba mta delivery evpid=6af144029e99b9d6
 *		from=<s@a.test> to=<r@b.test> rcpt=<-> source="192.0.2.9" relay="192.0.2.1 (mx.b.test)"
 *		delay=0s result="Ok" stat="250 2.0.0 Ok: queued as 1A2"
 *
 * The stamp may be missing. The queue id is the message's, the first half of the
 * envelope's: that is what OpenSMTPD names in its own 250. It never logs a
 * Message-ID. What surprises: stat= is the other side's text and may look like
 * keys; it stands last and is not searched.
 */
#ifndef LF_COLLECTOR_OPENSMTPD_LOG_H
#define LF_COLLECTOR_OPENSMTPD_LOG_H

#include "collector/log_fact.h"

#define OPENSMTPD_LOG_ENVELOPE 16 /* hexadecimal digits of an envelope's id */
#define OPENSMTPD_LOG_MESSAGE 8   /* of these, the message's */

/* Returns out->kind. now_ms and zone_s as for log_stamp_take. */
enum log_fact_kind opensmtpd_log_read(slice line, uint64_t now_ms, int zone_s, struct log_fact *out);

#endif
