/* A PowerMTA accounting file (CSV, RFC 4180) in, what it says out. pure.
 *
 *	type,timeLogged,orig,rcpt,dsnStatus,dsnDiag,dsnMta,bounceCat
 *	b,2026-09-21 12:00:00+0000,s@a.test,r@b.test,5.1.1 (bad mailbox),"smtp;550 5.1.1
 *no",mx.b.test,bad-mailbox
 *
 * The header line says which column is which; without one nothing is read. A
 * file holds records of several types. What surprises: a quoted field may hold
 * line ends, and a record may be cut. Where a quote stays open the lines behind
 * belong to it, so that nobody's reply makes records; unless a quote that closes
 * where none may shows that they were records of their own. Records name no
 * queue id.
 */
#ifndef LF_COLLECTOR_POWERMTA_LOG_H
#define LF_COLLECTOR_POWERMTA_LOG_H

#include "collector/log_fact.h"

#define POWERMTA_LOG_MAX_COLUMNS 256
#define POWERMTA_LOG_MAX_RECORD 65536 /* bytes */
#define POWERMTA_LOG_MAX_LINES 100    /* of one record */

struct powermta_log;

struct powermta_log *powermta_log_open(void);
void powermta_log_close(struct powermta_log **p);

/* Tell each fact of the line, and of lines before that waited for it. Facts
 * borrow p, and are good during the call only. zone_s: seconds east of Greenwich
 * of times without a zone. True: the line is a header or a record. */
bool powermta_log_line(struct powermta_log *p, slice line, int zone_s,
	void (*tell)(void *arg, const struct log_fact *f), void *arg);

/* The file is over: what still waits for its closing quote was cut. */
void powermta_log_end(
	struct powermta_log *p, int zone_s, void (*tell)(void *arg, const struct log_fact *f), void *arg);

#endif
