/* One line of Exim's main log in, what it says out. pure.
 *
 *	2026-11-21 18:19:52 1xUpgm-0007dn-05 => a@b.test R=dns T=smtp H=mx.b.test [192.0.2.1] C="250 OK"
 *
 * The stamp is local and may have a fraction, a zone and "[pid]" behind it; the
 * line may stand behind syslog's own. What surprises: Exim prints a quoted local
 * part without its quotes, then the same address with them in <>: only where the
 * two agree is such an address believed, and what looks like keys in it is not.
 * Keys are read once from left to right, up to ": " or the quoted C=, and
 * nothing behind is searched for keys.
 */
#ifndef LF_COLLECTOR_EXIM_LOG_H
#define LF_COLLECTOR_EXIM_LOG_H

#include "collector/log_fact.h"

#define EXIM_LOG_MAX_TRIES 8 /* quoted addresses of a line that are compared */

/* Returns out->kind. now_ms and zone_s as for log_stamp_take; stamps without a
 * zone are zone_s seconds east of Greenwich. */
enum log_fact_kind exim_log_read(slice line, uint64_t now_ms, int zone_s, struct log_fact *out);

#endif
