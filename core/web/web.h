/* HTTP/1.1 servers: the only place that knows libh2o.
 *
 * One loop per thread, nothing shared between threads. A handler decides the
 * answer at once; the answer leaves at the end of the loop turn, after on_turn
 * ran (that is where the outbox writes what the handlers put: journal first).
 * HTTP/2 is off; a request with a body closes its connection; every answer has
 * a content length. See docs/DECISIONS.md and SECURITY in the design.
 */
#ifndef LF_WEB_WEB_H
#define LF_WEB_WEB_H

#include "core/base/slice.h"

#include <sys/socket.h>

struct web_req;

struct web_config {
	int listen_fd;		   /* shared by all threads; owned by the caller */
	unsigned threads;	   /* at least 1 */
	size_t max_body;	   /* larger request bodies get 413 */
	const char *server_name;   /* Server: header */
	/* Per thread: make what the handlers of this thread use. NULL context is a
	 * failure: the server stops. */
	void *(*thread_open)(void *arg, unsigned thread);
	void (*thread_close)(void *context);
	/* Every request. */
	void (*handle)(void *context, struct web_req *r);
	/* At the end of each loop turn in which a request was handled, before the
	 * answers leave. May be NULL. */
	void (*on_turn)(void *context);
	void *arg;
};

/* Serve until web_stop; 0, or -errno. On stop: no new connections, requests
 * under way are answered, then threads end. */
struct web;
int web_open(struct web **out, const struct web_config *cfg); /* starts the threads */
void web_stop(struct web *w);	/* from any thread */
void web_close(struct web **w); /* stops and joins */

/* The request; slices live as long as the request. */
slice web_method(const struct web_req *r);
/* Path without query; not decoded, not normalised. */
slice web_path(const struct web_req *r);
/* Behind '?', or empty. */
slice web_query(const struct web_req *r);
/* Host header without port, in lower case. */
slice web_host(const struct web_req *r);
slice web_body(const struct web_req *r);
/* Value of the first header of that name (lower case), or empty. */
slice web_header(const struct web_req *r, slice name);
/* The connection's peer. */
const struct sockaddr *web_peer(const struct web_req *r, socklen_t *len);

/* Decide the answer; exactly one call per request. body must live until the
 * answer left: static bytes, or made by web_keep. type: Content-Type. */
void web_reply(struct web_req *r, int status, slice type, slice body);
/* 302 with Location; where: printable ASCII only (must). */
void web_redirect(struct web_req *r, slice where);
/* Add a header before the reply; name lower case, both must outlive the answer
 * (static or web_keep); value: printable ASCII only (must). */
void web_set_header(struct web_req *r, slice name, slice value);
/* A copy that lives as long as the request. */
slice web_keep(struct web_req *r, slice s);

#endif
