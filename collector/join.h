/* Whose delivery is it? Lines of a Postfix log in, events out. pure.
 *
 * The identity of a message is taken from its return path (VERP) where that is
 * ours, which qmgr prints at every attempt, or from the name that XFORWARD gave
 * it, which smtpd prints as orig_queue_id; else the caller must look it up
 * under the queue id. What is learnt stays in a table by queue id, so that a
 * requeued message keeps it and the end of a deferred one is told once.
 */
#ifndef LF_COLLECTOR_JOIN_H
#define LF_COLLECTOR_JOIN_H

#include "collector/log_fact.h"
#include "core/model/event.h"
#include "core/model/token.h"

#define JOIN_CAP (1u << 20) /* messages known at once, by default */

struct join_config {
	struct sealer *sealer; /* borrowed; NULL: no return path and no name is ours */
	slice domain;          /* of our return paths; borrowed; empty: none is ours */
	size_t cap;
};

struct join_identity {
	uint64_t campaign;
	uint32_t lane;
	uint32_t sequence;
};

struct join;

struct join *join_open(const struct join_config *cfg);
void join_close(struct join **j);

enum join_found {
	JOIN_NOTHING, /* the line is no delivery of anybody */
	JOIN_EVENT,   /* *ev is complete */
	JOIN_ASK      /* *ev lacks its identity: look it up under *id */
};

/* Learns from the line and says what it is. id borrows the table or the line,
 * and is good until the next call. */
enum join_found join_read(
	struct join *j, const struct log_fact *line, uint64_t now_ms, struct event *ev, slice *id);

/* What a look-up under this queue id gave: stays for the lines to come. NULL:
 * nothing, although it was waited for; later lines of that message need not be
 * waited for again. */
void join_learn(struct join *j, slice id, const struct join_identity *who);
/* Was this id looked up in vain before? */
bool join_in_vain(struct join *j, slice id);

void join_stamp(const struct join_identity *who, struct event *ev);

/* The 16 bytes kept in Redis under the queue id: campaign 8, lane 4, sequence
 * 4, little-endian. false: not exactly that. */
bool join_identity_decode(slice bytes, struct join_identity *out);

#endif
