#include "core/io/rds.h"

#include "core/base/must.h"
#include "core/io/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <hiredis/sds.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUT_HEAD 32 /* a sign, a number and two line ends are never longer */
#define BACKOFF_LEAST 50
#define BACKOFF_MOST 2000

/* struct rds_reply is hiredis' redisReply under a name of ours. */
struct rds {
	struct cluster *cluster;      /* owned; all else is unused if there is one */
	redisContext *c;              /* owned */
	redisReplyObjectFunctions fn; /* hiredis' own, with our limits before them */
	const redisReplyObjectFunctions *theirs;
	size_t items; /* elements of the reply being read */
	size_t bytes;
	int dead; /* -errno once the connection is of no more use */
};

static const redisReply *theirs(const struct rds_reply *rep)
{
	return (const redisReply *)rep;
}

/* hiredis believes any array length and allocates it at once; a NULL from here
 * ends the parse with an error. */
static void *limited_array(const redisReadTask *task, int elements)
{
	struct rds *r = task->privdata;

	if (elements < 0 || (size_t)elements > RDS_MAX_ITEMS - r->items)
		return NULL;
	r->items += (size_t)elements;
	return r->theirs->createArray(task, elements);
}

static void *limited_string(const redisReadTask *task, char *p, size_t n)
{
	struct rds *r = task->privdata;

	if (n > RDS_MAX_REPLY - r->bytes)
		return NULL;
	r->bytes += n;
	return r->theirs->createString(task, p, n);
}

static int failed(struct rds *r, int rc)
{
	/* EAGAIN is how a blocking socket with a time limit says "too late". */
	if (rc == -EAGAIN)
		rc = -ETIMEDOUT;
	if (!r->dead)
		r->dead = rc ? rc : -EIO;
	return r->dead;
}

static int context_errno(const redisContext *c, int err)
{
	switch (c->err) {
	case REDIS_ERR_IO:
		return err ? -err : -EIO;
	case REDIS_ERR_EOF:
		return -ECONNRESET;
	case REDIS_ERR_PROTOCOL:
	case REDIS_ERR_OOM:
		return -EPROTO;
	default: /* the name did not resolve */
		return -EHOSTUNREACH;
	}
}

static struct timeval timeval_of(int ms)
{
	if (ms < 1)
		ms = 1;
	return (struct timeval){ms / 1000, ms % 1000 * 1000};
}

/* The first line of the file into out (room bytes). Its length, or -errno. */
static int password_load(const char *path, char *out, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	struct stat st;
	ssize_t n;
	char *end;

	if (fd < 0)
		return -errno;
	rc = -EACCES;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077))
		goto out;
	n = read(fd, out, room);
	if (n < 0) {
		rc = -errno;
		goto out;
	}
	end = memchr(out, '\n', (size_t)n);
	if (!end && (size_t)n == room)
		goto out;
	rc = end ? (int)(end - out) : (int)n;
	if (rc > 0 && out[rc - 1] == '\r')
		rc--;
	if (rc == 0)
		rc = -EACCES;
out:
	close(fd);
	return rc;
}

static int login(struct rds *r, const char *password_file)
{
	char password[RDS_MAX_PASSWORD];
	struct rds_reply *rep = NULL;
	int rc = password_load(password_file, password, sizeof password);

	if (rc < 0)
		return rc;
	rc = rds_askv(r, &rep, SLICE("AUTH"), slice_of(password, (size_t)rc));
	explicit_bzero(password, sizeof password);
	if (rc == 0 && rds_kind(rep) == RDS_ERROR)
		rc = rds_is_error(rep, "WRONGPASS") || rds_is_error(rep, "ERR") ? -EACCES : -EAGAIN;
	rds_reply_free(&rep);
	return rc;
}

int rds_open(struct rds **out, const struct rds_config *cfg)
{
	struct timeval limit = timeval_of(cfg->timeout_ms);
	struct rds *r = must_zalloc(sizeof *r);
	int rc;

	*out = NULL;
	if (cfg->seed_count) {
		rc = cluster_open(&r->cluster, cfg);
		if (rc < 0)
			goto out;
		*out = r;
		return 0;
	}
	errno = 0;
	if (cfg->socket && *cfg->socket)
		r->c = redisConnectUnixWithTimeout(cfg->socket, limit);
	else
		r->c = redisConnectWithTimeout(cfg->host ? cfg->host : "", cfg->port, limit);
	must(r->c);
	if (r->c->err) {
		rc = context_errno(r->c, errno);
		goto out;
	}
	if (redisSetTimeout(r->c, limit) != REDIS_OK) {
		rc = context_errno(r->c, errno);
		goto out;
	}
	/* Best effort: without it a peer that vanished is found by the time limit. */
	if (r->c->connection_type == REDIS_CONN_TCP)
		redisEnableKeepAlive(r->c);
	r->theirs = r->c->reader->fn;
	r->fn = *r->theirs;
	r->fn.createArray = limited_array;
	r->fn.createString = limited_string;
	r->c->reader->fn = &r->fn;
	r->c->reader->privdata = r;
	rc = 0;
	if (cfg->password_file && *cfg->password_file)
		rc = login(r, cfg->password_file);
	if (rc < 0)
		goto out;
	*out = r;
	r = NULL;
out:
	rds_close(&r);
	return rc;
}

void rds_close(struct rds **r)
{
	if (!*r)
		return;
	cluster_close(&(*r)->cluster);
	if ((*r)->c)
		redisFree((*r)->c);
	free(*r);
	*r = NULL;
}

/* "$3" and the line end, for the prefixes of RESP. */
static char *put_head(char *to, char sign, size_t n)
{
	char digits[24];
	size_t at = sizeof digits;

	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	*to++ = sign;
	memcpy(to, digits + at, sizeof digits - at);
	to += sizeof digits - at;
	*to++ = '\r';
	*to++ = '\n';
	return to;
}

/* Not hiredis' own formatting, which builds each command apart and copies it
 * twice. */
void rds_put(struct rds *r, int argc, const slice *argv)
{
	size_t most = PUT_HEAD;
	char *to, *from;
	sds out;

	must(argc > 0);
	if (r->cluster) {
		cluster_put(r->cluster, argc, argv);
		return;
	}
	if (r->dead)
		return;
	for (int i = 0; i < argc; i++)
		most += PUT_HEAD + argv[i].len;
	out = sdsMakeRoomFor(r->c->obuf, most);
	must(out);
	r->c->obuf = out;
	from = to = out + sdslen(out);
	to = put_head(to, '*', (size_t)argc);
	for (int i = 0; i < argc; i++) {
		to = put_head(to, '$', argv[i].len);
		if (argv[i].len)
			memcpy(to, argv[i].p, argv[i].len);
		to += argv[i].len;
		*to++ = '\r';
		*to++ = '\n';
	}
	sdsIncrLen(out, (int)(to - from));
}

/* Not hiredis' own write: that raises SIGPIPE in a process that forgot to
 * ignore it. */
int rds_flush(struct rds *r)
{
	size_t len, done = 0;

	if (r->cluster)
		return 0; /* it writes when it reads */
	if (r->dead)
		return r->dead;
	len = sdslen(r->c->obuf);

	while (done < len) {
		ssize_t n = send(r->c->fd, r->c->obuf + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(r, -errno);
		done += (size_t)n;
	}
	if (len)
		sdsclear(r->c->obuf);
	return 0;
}

int rds_get(struct rds *r, struct rds_reply **out)
{
	void *rep = NULL;

	if (r->cluster)
		return cluster_get(r->cluster, out);
	*out = NULL;
	if (r->dead)
		return r->dead;
	r->items = r->bytes = 0;
	for (;;) {
		int rc;

		if (redisGetReplyFromReader(r->c, &rep) != REDIS_OK)
			return failed(r, context_errno(r->c, 0));
		if (rep)
			break;
		if (r->c->reader->len - r->c->reader->pos > RDS_MAX_REPLY)
			return failed(r, -EPROTO);
		rc = rds_flush(r);
		if (rc < 0)
			return rc;
		errno = 0;
		if (redisBufferRead(r->c) != REDIS_OK)
			return failed(r, context_errno(r->c, errno));
	}
	*out = rep;
	return 0;
}

bool rds_step(struct rds *r)
{
	redisReader *in = r->c ? r->c->reader : NULL;
	const char *end;

	if (!in || r->dead || in->err || in->ridx >= 0 || in->pos >= in->len || in->buf[in->pos] != '+')
		return false;
	end = memchr(in->buf + in->pos, '\n', in->len - in->pos);
	if (!end)
		return false;
	in->pos = (size_t)(end - in->buf) + 1;
	return true;
}

int rds_ask(struct rds *r, struct rds_reply **out, int argc, const slice *argv)
{
	rds_put(r, argc, argv);
	return rds_get(r, out);
}

void rds_reply_free(struct rds_reply **rep)
{
	if (*rep)
		freeReplyObject(*rep);
	*rep = NULL;
}

enum rds_kind rds_kind(const struct rds_reply *rep)
{
	switch (theirs(rep)->type) {
	case REDIS_REPLY_STRING:
		return RDS_STRING;
	case REDIS_REPLY_STATUS:
		return RDS_STATUS;
	case REDIS_REPLY_INTEGER:
		return RDS_INT;
	case REDIS_REPLY_ARRAY:
		return RDS_ARRAY;
	case REDIS_REPLY_ERROR:
		return RDS_ERROR;
	default:
		return RDS_NIL;
	}
}

slice rds_text(const struct rds_reply *rep)
{
	switch (rds_kind(rep)) {
	case RDS_STRING:
	case RDS_STATUS:
	case RDS_ERROR:
		return slice_of(theirs(rep)->str, theirs(rep)->len);
	default:
		return SLICE_NONE;
	}
}

int64_t rds_int(const struct rds_reply *rep)
{
	slice s = rds_text(rep);
	uint64_t v = 0, most = INT64_MAX;
	bool minus = s.len > 0 && s.p[0] == '-';

	if (rds_kind(rep) == RDS_INT)
		return theirs(rep)->integer;
	if (rds_kind(rep) != RDS_STRING || s.len == minus)
		return 0;
	most += minus;
	for (size_t i = minus; i < s.len; i++) {
		unsigned digit = s.p[i] - (unsigned)'0';

		if (digit > 9 || v > (most - digit) / 10)
			return 0;
		v = v * 10 + digit;
	}
	return minus ? (int64_t)-v : (int64_t)v;
}

size_t rds_len(const struct rds_reply *rep)
{
	return rds_kind(rep) == RDS_ARRAY ? theirs(rep)->elements : 0;
}

const struct rds_reply *rds_at(const struct rds_reply *rep, size_t i)
{
	must(i < rds_len(rep));
	return (const struct rds_reply *)theirs(rep)->element[i];
}

bool rds_is_error(const struct rds_reply *rep, const char *word)
{
	slice w = slice_str(word), s = rds_text(rep);

	return rds_kind(rep) == RDS_ERROR && slice_starts(s, w) && (s.len == w.len || s.p[w.len] == ' ');
}

int rds_backoff_ms(unsigned *step)
{
	unsigned ms = *step < 6 ? BACKOFF_LEAST << *step : BACKOFF_MOST, jitter = 0;

	if (*step < 6)
		++*step;
	if (getrandom(&jitter, sizeof jitter, GRND_NONBLOCK) < 0)
		jitter = 0;
	return (int)(ms - jitter % (ms / 4 + 1));
}
