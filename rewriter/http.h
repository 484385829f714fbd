/* POST /v1/rewrite: a message in, the copy of one recipient out, for those who
 * send it themselves. docs/REWRITING.md, "Over HTTP".
 *
 * One thread of its own, with a lane of its own (DIR/rewriter-http): nothing is
 * shared with the SMTP front. The answers of a turn leave together, behind one
 * sync of what they recorded.
 */
#ifndef LF_REWRITER_HTTP_H
#define LF_REWRITER_HTTP_H

#include "core/io/config.h"
#include "rewriter/message.h"

/* A client that got 503 may come again after so many seconds. */
#define HTTP_RETRY_S "10"
/* Memory for understanding one message, beside a multiple of its size. */
#define HTTP_ARENA (64u << 20)
/* More than this is given back after the message. */
#define HTTP_KEEP (8u << 20)

struct http;

struct http_config { /* all of it is borrowed */
	struct config *config;
	const struct keyring *ring;
	const struct policy *policy;
};

/* 0 (with *out NULL where rewriter.http_listen is not set); -errno or
 * -REFUSE_SYNTAX with *why one line for a human. */
int http_open(struct http **out, const struct http_config *cfg, struct buf *why);
/* Requests under way are answered first. */
void http_close(struct http **h);
/* Once a second or so, from one thread: takes up a changed file of API keys. */
void http_refresh(struct http *h);
/* The port it listens on. */
int http_fd(const struct http *h);

#endif
