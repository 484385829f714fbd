/* How bytes travel to both sides of the front, by the configuration: in plain text or by
 * TLS, with which files.
 */
#ifndef LF_REWRITER_TRANSPORT_H
#define LF_REWRITER_TRANSPORT_H

#include "core/io/config.h"
#include "core/io/tls.h"

struct transport {
	enum tls_level clients;     /* rewriter.tls: none, may or encrypt */
	struct tls_context *server; /* owned; NULL: no client may begin TLS */
	enum tls_level hop;         /* rewriter.next_hop_tls */
	struct tls_context *to_hop; /* owned; NULL: none */
	const char *hop_name;       /* to be in the next hop's certificate; "": its host */
};

/* 0; -EINVAL for settings that do not go together, -errno or -EINVAL for files:
 * *why one line that names settings and files. Close it in every case. */
int transport_open(struct transport *t, struct config *c, struct buf *why);
void transport_close(struct transport *t);
/* Read files again that have changed, or all: new connections use them. What cannot
 * be read is said, and what was goes on. Logs both. */
void transport_renew(struct transport *t, bool all);

#endif
