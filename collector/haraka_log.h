/* A Haraka log in, what it says out. pure.
 *
 *	2026-11-21T17:59:14.749Z [NOTICE] [5D239B48-E397-4520-9D35-E3B9EE580994.1.1] [outbound]
 *		recipient <a@b.test> rejected: 550 5.1.1 no
 *	... [outbound]  delivered file=... domain=b.test host=... rcpts=2/1/2
 *
 * What surprises: Haraka does not log who was delivered to, only how many. So
 * the recipients that a message was accepted for are remembered: those of the
 * domain that were neither refused nor deferred were delivered to, if they are
 * just as many as the line says; else nothing is said. A line of an LMTP
 * session says nothing of anybody: there Haraka shifts the replies by one.
 */
#ifndef LF_COLLECTOR_HARAKA_LOG_H
#define LF_COLLECTOR_HARAKA_LOG_H

#include "collector/log_fact.h"

#define HARAKA_LOG_MAX_ID 47           /* a UUID, and the transaction's number */
#define HARAKA_LOG_MESSAGES (1u << 18) /* remembered at once */
#define HARAKA_LOG_RECIPIENTS 1000     /* of one message; with more nothing is inferred */
#define HARAKA_LOG_MAX_RECIPIENT 1024  /* bytes of one */

struct haraka_log;

struct haraka_log *haraka_log_open(void);
void haraka_log_close(struct haraka_log **h);

/* Tell each fact of the line. Facts borrow the line or h, and are good during
 * the call only. True: it is a line of Haraka's about a message. */
bool haraka_log_line(
	struct haraka_log *h, slice line, void (*tell)(void *arg, const struct log_fact *f), void *arg);

#endif
