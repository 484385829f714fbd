/* The connections to the next hop: its addresses, connecting to one after the
 * other of them, and whether it answers at all.
 */
#ifndef LF_REWRITER_HOPS_H
#define LF_REWRITER_HOPS_H

#include "core/io/config.h"
#include "core/io/stream.h"

#define HOPS_MAX_ADDRESSES 8
/* A hop that does not answer is looked up anew, at most this often. */
#define HOPS_RESOLVE_MS 10000

struct hops;
struct hop; /* one connection */

/* What happened to a connection. */
enum hop_event {
	HOP_UP,
	HOP_READY, /* there is something to read, or room to write */
	HOP_LATE,  /* the limit of hop_limit passed */
	HOP_GONE   /* no address answers; close it */
};

/* Both borrowed. */
struct hops *hops_open(struct loop *l, const struct config *c);
/* All connections must have been closed. */
void hops_close(struct hops **h);

/* Begin to connect. What happens is said from the loop, never from within a
 * call; arg may close the connection then. */
struct hop *hop_open(struct hops *h, void (*happened)(void *arg, enum hop_event what), void *arg);
void hop_close(struct hop **p);
/* NULL while it connects. */
struct stream *hop_stream(const struct hop *p);

#endif
