/* What must still be known of recent mail when a client comes again, also after
 * kill -9: the number each message was given (attempts), and which recipients
 * have a message that its client believes not taken (mixed).
 *
 * The tables are rings in memory; the file DIR/recent is the same rings on disk,
 * a slot of 64 bytes an entry, little-endian:
 *
 *	0   4  CRC-32C of bytes 4..63
 *	4   1  kind: 1 attempt, 2 mixed
 *	5   1  0
 *	6   2  attempt: day of sealing
 *	8   8  order of writing, from 1
 *	16  8  when, Unix milliseconds
 *	24  8  attempt: campaign; mixed: pair
 *	32  8  attempt: recipient; mixed: message
 *	40  8  attempt: message; mixed: 0
 *	48  4  attempt: lane
 *	52  4  attempt: sequence
 *	56  8  0
 *
 * A slot of zeros is empty. Slots of attempts come first, then those of mixed. A
 * put or drop writes its slot in place before it returns: so the file never
 * grows, has no tail that could be torn, and damage costs the slots it hit. Only
 * mixed entries are synced (recent_sync). Opening writes the file anew, without
 * what is damaged or too old.
 *
 * May be used by several threads. The lock guards the tables, never I/O.
 */
#ifndef LF_REWRITER_RECENT_H
#define LF_REWRITER_RECENT_H

#include "rewriter/attempts.h"
#include "rewriter/mixed.h"

#define RECENT_KEEP_MS MIXED_KEEP_MS

struct recent;

struct recent_config {
	const char *dir;       /* must be there; nobody else may use it */
	const uint32_t *lanes; /* whose attempts still count: a number belongs to its lane */
	unsigned lane_count;
	unsigned attempts, mixed; /* entries; 0: ATTEMPTS_MAX, MIXED_MAX */
};

/* 0, or -errno with *out NULL: the file cannot be read or made. Damage is counted
 * (recent_damaged in the metrics) and logged, and never fails. */
int recent_open(struct recent **out, const struct recent_config *cfg);
void recent_close(struct recent **r);

/* Fills sequence, lane and day of an entry with the same campaign, recipient and
 * message. False: none. */
bool recent_find_attempt(struct recent *r, struct attempt *key);
/* Where another thread was faster *entry becomes what that one put. What cannot be
 * written (logged once) is kept in memory alone: mail comes first. */
void recent_put_attempt(struct recent *r, struct attempt *entry);

/* As in mixed.h, and what cannot be written as above. */
void recent_put_mixed(struct recent *r, uint64_t pair, uint64_t message);
void recent_drop_mixed(struct recent *r, uint64_t pair, uint64_t message);
bool recent_find_mixed(struct recent *r, uint64_t pair, uint64_t message);
bool recent_any_mixed(struct recent *r, uint64_t pair);
bool recent_no_mixed(struct recent *r);

/* Mixed entries put so far are safe from a power cut when this returns. From any
 * thread; costs nothing where none was put. */
void recent_sync(struct recent *r);

#endif
