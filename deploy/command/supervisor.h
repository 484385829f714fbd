/* Starts programs in order, keeps them running, stops them in order.
 *
 * One thread over core/io/loop. What it says goes to stdout, a line each.
 */
#ifndef LF_COMMAND_SUPERVISOR_H
#define LF_COMMAND_SUPERVISOR_H

#include "deploy/command/child.h"

#include <stddef.h>

struct supervisor_plan {
	struct child *child; /* in the order of starting; each is ready before the next starts */
	size_t count;
	const unsigned *stop; /* indexes of child in the order of stopping */
	/* Is this child, which does not notify, ready? Asked every 50 ms. */
	bool (*is_ready)(void *arg, const struct child *c);
	/* Every child is ready for the first time. */
	void (*on_ready)(void *arg);
	/* May this child be stopped now? Asked every 100 ms for at most
	 * patience_ms, once what stops before it is gone. */
	bool (*may_stop)(void *arg, const struct child *c);
	unsigned patience_ms;
	void *arg;
};

/* Until SIGINT or SIGTERM. EXIT_DONE; EXIT_WORLD when a child did not become
 * ready, all others are then stopped again. A second signal does not wait. */
int supervisor_run(const struct supervisor_plan *plan);

#endif
