/* The addresses of a host name, looked up in a thread of its own: the system's
 * resolver may take half a minute.
 */
#ifndef LF_IO_LOOKUP_H
#define LF_IO_LOOKUP_H

#include <sys/socket.h>

#define LOOKUP_MAX 8 /* addresses; more are left out */

struct lookup_result {
	struct {
		struct sockaddr_storage sa;
		socklen_t len;
	} at[LOOKUP_MAX];
	unsigned count;
	const char *why; /* static; where count is 0 */
};

struct lookup;

/* Begin. host: a name, or an address, which is there at once. wake is called once
 * from the other thread when there is a result, and must only wake. */
struct lookup *lookup_open(const char *host, int port, void (*wake)(void *arg), void *arg);
/* wake is not called after this. */
void lookup_close(struct lookup **l);
/* NULL: not there yet. Borrows the lookup. */
const struct lookup_result *lookup_get(struct lookup *l);

#endif
