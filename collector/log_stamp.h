/* Time stamps at the start of a log line. pure.
 *
 * Those without a zone are local, those without a year too near to say more:
 * both are resolved with what the caller knows.
 */
#ifndef LF_COLLECTOR_LOG_STAMP_H
#define LF_COLLECTOR_LOG_STAMP_H

#include "core/base/slice.h"

/* "Nov  1 17:32:23 " (RFC 3164) or "2026-11-01T17:32:23.123456+01:00 " (RFC
 * 3339): the year of the first is the latest that does not put it more than a
 * day after now. zone_s: seconds east of Greenwich, for the first. True: *rest
 * moved behind it. */
bool log_stamp_take(slice *rest, uint64_t now_ms, int zone_s, uint64_t *ms);

/* The date and time that s starts with: "2026-11-01 17:32:23" or with T, with or
 * without a fraction, with or without a zone ("Z", "+0100", " +0100", "+01:00").
 * The bytes it takes, 0: none. */
size_t log_stamp_iso(slice s, int zone_s, uint64_t *ms);

/* Behind a stamp: "mx sendmail[1234]: ", where the host may be missing. The
 * program's name without its number, and *rest behind; false: it is not that. */
bool log_stamp_program(slice *rest, slice *program);

#endif
