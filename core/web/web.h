/* HTTP/1.1 servers: the only place that knows libh2o.
 *
 * One loop per thread, nothing shared between threads. A handler decides the
 * answer at once; the answer leaves at the end of the loop turn, after on_turn
 * ran (that is where the outbox writes what the handlers put: journal first).
 * HTTP/2 is off; a request with a body closes its connection (but for keep_bodied); every answer has
 * a content length and "referrer-policy: no-referrer".
 *
 * Surprise: this module defines gettimeofday for the whole program, as start
 * plus monotonic time, because libh2o's timers run on it and a step of the
 * wall clock would freeze or fire them all. core/io/clock.h is not touched.
 */
#ifndef LF_WEB_WEB_H
#define LF_WEB_WEB_H

#include "core/base/slice.h"

#include <sys/socket.h>

/* A connection with more unfinished header than this, or with a header that
 * takes longer, is shut down by the next sweep. */
#define WEB_MAX_HEADER 16384
#define WEB_HEADER_MS 5000
/* A request and the pause before it take at most this long. */
#define WEB_REQUEST_MS 10000
/* An answer of which the client takes nothing for this long is cut. */
#define WEB_STALL_MS 5000
/* After web_stop, requests under way get this long. */
#define WEB_DRAIN_MS 2000

struct web_req;

struct web_config {
	int listen_fd;                   /* shared by all threads; owned by the caller */
	unsigned threads;                /* at least 1 */
	size_t max_body;                 /* larger request bodies get 413 ... */
	slice too_large_type, too_large; /* ... with this; static; empty: a line of text */
	const char *server_name;         /* Server: header; lives as long as the server */
	/* Per thread: make what the handlers of this thread use. NULL context is a
	 * failure: the server stops. */
	void *(*thread_open)(void *arg, unsigned thread);
	void (*thread_close)(void *context);
	/* Every request. */
	void (*handle)(void *context, struct web_req *r);
	/* At the end of each loop turn in which a request was handled, before the
	 * answers leave. May be NULL. */
	void (*on_turn)(void *context);
	/* Behind on_turn, for each request that was held: decide its answer. */
	void (*release)(void *context, struct web_req *r, void *what);
	/* A connection serves on behind a request whose body had one Content-Length
	 * and no other frame; without this every body closes it. */
	bool keep_bodied;
	void *arg;
};

/* Starts the threads and returns when all of them serve. 0, or -errno with
 * nothing left running (-ECANCELED: a thread_open returned NULL). */
struct web;
int web_open(struct web **out, const struct web_config *cfg);
/* From any thread, before web_close: no new connections, requests under way are
 * answered, then the threads end. */
void web_stop(struct web *w);
/* Blocks until web_stop was called. */
void web_wait(struct web *w);
/* Stops and joins. */
void web_close(struct web **w);

/* The request; slices live as long as the request. */
slice web_method(const struct web_req *r);
/* Path without query; not decoded, not normalised. */
slice web_path(const struct web_req *r);
/* Behind '?', or empty. */
slice web_query(const struct web_req *r);
/* Host header without port, in lower case; empty if there is none. */
slice web_host(const struct web_req *r);
/* NULL pointer: the request has no body; empty with a pointer: it has one of
 * no bytes. */
slice web_body(const struct web_req *r);
/* Value of the first header of that name (lower case), or empty. Host and the
 * headers that frame the body are not among them. */
slice web_header(const struct web_req *r, slice name);
/* Walks over all headers of that name, in order: *pos starts at 0. False: no
 * more. */
bool web_header_next(const struct web_req *r, slice name, size_t *pos, slice *value);
/* The connection's peer; NULL (and *len 0) when it is gone already. */
const struct sockaddr *web_peer(const struct web_req *r, socklen_t *len);

/* Decide the answer; exactly one call per request. body must live until the
 * answer left: static bytes, or made by web_keep. type: Content-Type, of the
 * same life. A HEAD request gets the same headers and no body. */
void web_reply(struct web_req *r, int status, slice type, slice body);
/* Instead of web_reply: the answer is decided at the end of this turn, by release.
 * what: made by web_keep. */
void web_hold(struct web_req *r, void *what);
/* 302 with Location; where: printable ASCII only (must); must live as body. */
void web_redirect(struct web_req *r, slice where);
/* Add a header before the reply; name lower case, both must outlive the answer
 * (static or web_keep); value: printable ASCII only (must). */
void web_set_header(struct web_req *r, slice name, slice value);
/* A copy that lives as long as the request. */
slice web_keep(struct web_req *r, slice s);

#endif
