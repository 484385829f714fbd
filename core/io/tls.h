/* TLS over byte buffers: bytes of the peer in, bytes for the peer out, plain text
 * on the other side. No socket in it, so it fits any loop and is tested without
 * one. The only home of libssl but for what libh2o needs (core/web).
 *
 * TLS 1.2 and 1.3 with forward secrecy and authenticated ciphers; no
 * renegotiation, no compression, no early data. A stream that ends without the
 * peer's close_notify was cut off, and is told from one that ended.
 *
 * Belongs to one thread, a context and all its connections.
 */
#ifndef LF_IO_TLS_H
#define LF_IO_TLS_H

#include "core/base/buf.h"

#include <sys/types.h>

#define TLS_MAX_KEY (64 * 1024)     /* of the key's file, PEM */
#define TLS_MAX_CHAIN (64 * 1024)   /* the certificates that a peer shows */
#define TLS_MAX_NAME 255            /* of a peer */
#define TLS_AHEAD (64 * 1024)       /* tls_write waits while so much is for the peer */
#define TLS_MAX_OUT (4 * TLS_AHEAD) /* a peer that makes us say more and takes nothing has failed */
/* A handshake that takes longer is given up; the timer is the caller's. */
#define TLS_HANDSHAKE_MS 30000
/* How long a ticket is good for resumption, and how old its key may become: past
 * it a recorded session cannot be opened with anything that we still have. */
#define TLS_TICKET_S 3600

/*  level     word       help */
#define TLS_LEVELS(L)                                                                                        \
	L(NONE, "none", "never")                                                                             \
	L(MAY, "may", "where the peer can, with whatever certificate")                                       \
	L(ENCRYPT, "encrypt", "always, with whatever certificate")                                           \
	L(VERIFY, "verify", "always, with a certificate that is valid for the peer's name")

enum tls_level {
#define L(code, word, help) TLS_##code,
	TLS_LEVELS(L)
#undef L
};

bool tls_level_decode(slice word, enum tls_level *out);
const char *tls_level_word(enum tls_level level);

/* What connections of one kind have in common: our certificate and key, or whom
 * we believe. Connections under way keep what they began with. */
struct tls_context;

/* Files in PEM; key: of mode 0600, without a pass phrase. 0; -errno, or -EINVAL
 * for what the file holds, with *why one line that names the file and says what
 * to do. */
int tls_server_open(struct tls_context **out, const char *certificate, const char *key, struct buf *why);
/* verify: the peer must show a certificate for its name, signed by one of
 * ca_file (PEM), or of the system's where ca_file is empty. As above. */
int tls_client_open(struct tls_context **out, bool verify, const char *ca_file, struct buf *why);
void tls_context_close(struct tls_context **c);
/* Are its files others than those that were read? */
bool tls_context_changed(const struct tls_context *c);
/* Read the files again; new connections use them. As the opening; on failure all
 * is as it was. */
int tls_context_renew(struct tls_context *c, struct buf *why);
/* Unix time in milliseconds at which the first certificate of our chain ends; 0
 * for a client. */
uint64_t tls_context_ends_ms(const struct tls_context *c);

struct tls;

/* A connection, before any byte of it. name: whom a client wants to reach, by
 * DNS name or address; NULL for a server. A client's first bytes stand in
 * tls_out. */
struct tls *tls_open(struct tls_context *c, const char *name);
void tls_close(struct tls **t);

/* Take bytes of the peer from the front of *in until there is plain text, and put
 * it to p; this also makes the handshake. >0: so many bytes; call again. 0: all
 * of *in was taken, needs more. -ESHUTDOWN: the peer has said its end. -EPROTO:
 * the connection failed, tls_why says how. tls_out may have grown in each case. */
ssize_t tls_read(struct tls *t, slice *in, void *p, size_t room);
/* Encrypt from the front of plain. How many bytes were taken: 0 before the
 * handshake is done and while tls_out is long; or -EPROTO. */
ssize_t tls_write(struct tls *t, slice plain);
/* Is there plain text of a record that tls_read has given in part? It wants no more
 * bytes for it. */
bool tls_pending(const struct tls *t);
/* Say our end to the peer; nothing is written after it. */
void tls_end(struct tls *t);
/* The peer's bytes have ended: 0 if it had said so, else -EPROTO. */
int tls_cut(struct tls *t);
/* 0: it goes on. -ESHUTDOWN: tls_read has seen the peer's end. -EPROTO: it failed. */
int tls_over(const struct tls *t);
/* Bytes for the peer; the owner of the socket drops what it wrote, also after
 * a failure: the alert that tells the peer of it. */
struct buf *tls_out(struct tls *t);
/* Is the handshake done? */
bool tls_up(const struct tls *t);
/* Was it short, by a ticket? */
bool tls_resumed(const struct tls *t);
/* Why it failed, for the log; "" when it did not. Holds nothing of the peer's
 * bytes. Good until tls_close. */
const char *tls_why(const struct tls *t);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
void tls_about(const struct tls *t, struct buf *out);

#endif
