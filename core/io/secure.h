/* TLS beneath a stream: from here on it reads and writes plain text, and the bytes on
 * the socket are TLS.
 *
 * The handshake is made by reading: stream_read gives 0 until tls_up, and may
 * give the first bytes with the call that ends it. The time limits are the
 * owner's (TLS_HANDSHAKE_MS). stream_close says our end to the peer first.
 */
#ifndef LF_IO_SECURE_H
#define LF_IO_SECURE_H

#include "core/io/stream.h"
#include "core/io/tls.h"

/* name as for tls_open. What was read in plain text before must be thrown away by
 * the caller. The stream owns what is returned, which is there to be asked (tls_up,
 * tls_why after stream_read failed with -EPROTO) until stream_close. */
struct tls *secure_stream(struct stream *s, struct tls_context *c, const char *name);

#endif
