/* Redis: the only place that knows hiredis. Blocking, with time limits; used
 * only by threads that may wait (shipper, fold, snapshot, log follower), never
 * on a path that answers mail or readers.
 */
#ifndef LF_IO_RDS_H
#define LF_IO_RDS_H

#include "core/base/slice.h"

/* A reply beyond either limit is taken for a protocol error. */
#define RDS_MAX_REPLY (256u << 20) /* bytes of one whole reply */
#define RDS_MAX_ITEMS (4u << 20)   /* elements of one reply, at all depths */
#define RDS_MAX_PASSWORD 512
#define RDS_MAX_SEEDS 8

struct rds_addr {
	const char *host;
	int port;
};

struct rds_config {
	const char *socket; /* unix socket path; wins over host */
	const char *host;
	int port;
	const char *password_file; /* NULL or empty: no AUTH; else mode 0600 is required */
	int timeout_ms;            /* for connecting and for each command */
	/* Some nodes of a Redis Cluster; with any, socket and host are not used. */
	struct rds_addr seeds[RDS_MAX_SEEDS];
	unsigned seed_count;
	/* For who only reads, and believes nothing of earlier replies: in a cluster
	 * MOVED is followed, too. */
	bool follow;
};

struct rds;
struct rds_reply; /* owned by the caller, freed with rds_reply_free */

enum rds_kind { RDS_NIL, RDS_STRING, RDS_STATUS, RDS_INT, RDS_ARRAY, RDS_ERROR };

/* 0, or -errno with *out NULL (-EACCES: password refused, or its file is too
 * open or holds none; -EHOSTUNREACH: no such host; -EAGAIN: AUTH was answered by
 * an error of another kind, such as too many clients). In a cluster, where nodes
 * are connected to when they are needed: the reason of the last address; and
 * -EPROTONOSUPPORT: what answers there belongs to no cluster. */
int rds_open(struct rds **out, const struct rds_config *cfg);
void rds_close(struct rds **r);

/* Queue a command; written by the next rds_get. Arguments are copied. In a
 * cluster the first key decides the node, and all keys between MULTI and EXEC
 * share a slot (core/io/cluster.h). */
void rds_put(struct rds *r, int argc, const slice *argv);
/* rds_putv(r, SLICE("GET"), key): any number of slices. */
#define rds_putv(r, ...)                                                                                     \
	rds_put((r), (int)(sizeof((slice[]){__VA_ARGS__}) / sizeof(slice)), (slice[]){__VA_ARGS__})

/* The next reply in order. 0, or -errno with *out NULL: the connection is then
 * dead and only rds_close is of use (-ETIMEDOUT: no byte for timeout_ms;
 * -ECONNRESET: closed by the other side; -EPROTO: not RESP, or past a limit).
 * An error reply of Redis is a reply, not a failure; behind MOVED, too, the
 * connection must be opened anew: the slot's new owner may have lost the last
 * of what was acknowledged. */
int rds_get(struct rds *r, struct rds_reply **out);
/* Write what is queued; a cluster writes when it reads. 0, or as rds_get. */
int rds_flush(struct rds *r);
/* Step over the next reply if it has come in already and is a status (OK,
 * QUEUED), as most within a transaction are. False: ask rds_get. */
bool rds_step(struct rds *r);
/* One command and its reply. As rds_get. */
int rds_ask(struct rds *r, struct rds_reply **out, int argc, const slice *argv);
#define rds_askv(r, out, ...)                                                                                \
	rds_ask((r), (out), (int)(sizeof((slice[]){__VA_ARGS__}) / sizeof(slice)), (slice[]){__VA_ARGS__})

void rds_reply_free(struct rds_reply **rep);
enum rds_kind rds_kind(const struct rds_reply *rep);
/* Text of a string, status or error; empty for others. Borrows the reply. */
slice rds_text(const struct rds_reply *rep);
/* Value of an integer, or of a string that is one; else 0. */
int64_t rds_int(const struct rds_reply *rep);
/* Elements of an array; 0 for others. */
size_t rds_len(const struct rds_reply *rep);
/* Borrows rep; i < rds_len. */
const struct rds_reply *rds_at(const struct rds_reply *rep, size_t i);
/* An error reply whose text starts with this word ("ERR", "READONLY"). */
bool rds_is_error(const struct rds_reply *rep, const char *word);

/* The next pause before connecting again: doubles from 50 ms to 2 s, with
 * jitter; *step is kept by the caller, 0 after a success. */
int rds_backoff_ms(unsigned *step);

#endif
