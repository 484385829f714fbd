/* One connection: a socket, its watch in the loop, a time limit, and what may
 * stand between it and the bytes (TLS).
 *
 * What is to be written stays in the caller's buffer until the socket takes it.
 * All that happens is said through one function, from the loop and never from
 * within a call to the stream; it may close the stream.
 */
#ifndef LF_IO_STREAM_H
#define LF_IO_STREAM_H

#include "core/base/buf.h"
#include "core/io/loop.h"

#include <sys/socket.h>

struct stream;

/* What happened; several at once. */
enum {
	STREAM_READ = LOOP_READ,
	STREAM_WRITE = LOOP_WRITE,
	STREAM_UP = 4,   /* stream_connect: connected */
	STREAM_DOWN = 8, /* stream_connect: failed, see stream_error */
	STREAM_LATE = 16 /* the limit passed; it is none now */
};

/* What stands between. Each takes the layer's own arg and the socket. */
struct stream_layer {
	/* As recv and send, but -errno instead of -1: bytes, 0 of read: the end,
	 * -EAGAIN: not now. */
	ssize_t (*read)(void *arg, int fd, void *p, size_t n);
	ssize_t (*write)(void *arg, int fd, const void *p, size_t n);
	/* Has it bytes for read that the socket no longer shows? NULL: never. */
	bool (*pending)(void *arg);
	/* Has it bytes of write that the socket did not take? And write what there
	 * is of them: 0, or -errno. Both NULL: never. */
	bool (*unsent)(void *arg);
	int (*flush)(void *arg, int fd);
	/* The stream is being closed; ends arg, not fd. */
	void (*close)(void *arg, int fd);
};

/* A connected socket, owned from here on. */
struct stream *stream_open(struct loop *l, int fd, void (*happened)(void *arg, int what), void *arg);
/* A new socket that connects. 0, or -errno with nothing left open. */
int stream_connect(struct stream **out, struct loop *l, const struct sockaddr *to, socklen_t len,
	void (*happened)(void *arg, int what), void *arg);
void stream_close(struct stream **s);
bool stream_connecting(const struct stream *s);
/* Why connecting failed. */
int stream_error(const struct stream *s);

/* layer borrowed; arg owned by the layer. Once, before more bytes go through. */
void stream_put_layer(struct stream *s, const struct stream_layer *layer, void *arg);
/* Bytes read into p; 0: none now; -EPIPE: the peer closed; other -errno. */
ssize_t stream_read(struct stream *s, void *p, size_t room);
/* Write what stands in out, which may be nothing, and drop what was taken; and what a
 * layer still has. 0, or -errno. */
int stream_write(struct stream *s, struct buf *out);
/* The same with *first before out, what was taken of it cut off. */
int stream_write_both(struct stream *s, slice *first, struct buf *out);
/* Has a layer bytes that the socket did not take? stream_want then waits for it
 * to be writable by itself, and STREAM_WRITE is to be answered by stream_write. */
bool stream_unsent(const struct stream *s);
/* Did the peer hang up? For a stream that is not read from now. */
bool stream_hung_up(const struct stream *s);

/* STREAM_READ and STREAM_WRITE: what to be told of. Nothing while it connects. */
void stream_want(struct stream *s, int events);
/* Say STREAM_LATE after ms from now, 0: never. */
void stream_limit(struct stream *s, uint64_t ms);

#endif
