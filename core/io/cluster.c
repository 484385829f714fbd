#include "core/io/cluster.h"

#include "core/base/buf.h"
#include "core/base/bytes.h"
#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/parse/num.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NOBODY UINT16_MAX
#define MAX_HOST 255
#define MAX_COPIES (64u << 20) /* bytes of commands that could be asked again elsewhere */
#define MAX_HELD 8             /* commands without a key that wait for one with */

struct node {
	char host[MAX_HOST + 1];
	int port;
	struct rds *r;     /* owned; NULL: not needed yet */
	struct rds *aside; /* owned; for what ASK sends here: never more than one command */
	bool unsent;
};

/* A command whose reply is still to come. */
struct sent {
	uint16_t node;
	int argc;  /* 0: not kept */
	size_t at; /* of its arguments in copies: length (4), bytes */
};

struct cluster {
	struct rds_config cfg; /* of one node: the address is filled in */
	bool follow;
	struct node *nodes; /* owned */
	size_t node_count;
	uint16_t owner[CLUSTER_SLOTS];
	struct sent *sent; /* owned; those before `first` are done */
	size_t first, sent_count, sent_room;
	struct buf copies;
	slice held[MAX_HELD]; /* static text */
	unsigned held_count;
	uint16_t transaction; /* the node between MULTI and EXEC */
	uint16_t last;        /* node of the last command */
	int dead;
};

/* CRC-16/XMODEM, bit by bit: keys are short, tags shorter. */
static unsigned crc16(slice s)
{
	unsigned crc = 0;

	for (size_t i = 0; i < s.len; i++) {
		crc ^= (unsigned)s.p[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
	}
	return crc & 0xffff;
}

unsigned cluster_slot(slice key)
{
	size_t open = slice_chr(key, '{', 0), close = SLICE_NPOS;

	if (open != SLICE_NPOS)
		close = slice_chr(key, '}', open + 1);
	if (close != SLICE_NPOS && close > open + 1)
		key = slice_sub(key, open + 1, close);
	return crc16(key) % CLUSTER_SLOTS;
}

int cluster_redirect_decode(slice text, slice *host, int *port)
{
	size_t slot = slice_chr(text, ' ', 0), address, colon = SLICE_NPOS;
	uint64_t n;

	address = slot == SLICE_NPOS ? SLICE_NPOS : slice_chr(text, ' ', slot + 1);
	if (address == SLICE_NPOS ||
		num_decode(slice_sub(text, slot + 1, address), CLUSTER_SLOTS - 1, &n) < 0)
		return -REFUSE_SYNTAX;
	/* The last one: an IPv6 address stands there without brackets. */
	for (size_t i = address + 1; i < text.len; i++)
		if (text.p[i] == ':')
			colon = i;
	if (colon == SLICE_NPOS || num_decode(slice_from(text, colon + 1), UINT16_MAX, &n) < 0 || n == 0)
		return -REFUSE_SYNTAX;
	*host = slice_sub(text, address + 1, colon);
	*port = (int)n;
	return host->len <= MAX_HOST ? 0 : -REFUSE_SYNTAX;
}

/* The node of this address, made if it is new; NULL if there are too many. */
static struct node *node_of(struct cluster *c, slice host, int port)
{
	struct node *n;

	for (size_t i = 0; i < c->node_count; i++)
		if (c->nodes[i].port == port && slice_eq(slice_str(c->nodes[i].host), host))
			return &c->nodes[i];
	if (c->node_count == CLUSTER_MAX_NODES || host.len > MAX_HOST)
		return NULL;
	n = &c->nodes[c->node_count++];
	*n = (struct node){.port = port};
	memcpy(n->host, host.p, host.len);
	return n;
}

static int fail(struct cluster *c, int rc)
{
	if (!c->dead)
		c->dead = rc;
	return c->dead;
}

static int dial(const struct cluster *c, const struct node *n, struct rds **out)
{
	struct rds_config one = c->cfg;

	one.host = n->host;
	one.port = n->port;
	return rds_open(out, &one);
}

/* One range of CLUSTER SLOTS: [first, last, [host, port, ...], replicas ...]. A
 * node that does not know its own host is at the one that was asked. */
static int take_range(struct cluster *c, const struct rds_reply *range, const char *asked)
{
	const struct rds_reply *primary;
	struct node *n;
	int64_t from, to, port;
	slice host;

	if (rds_len(range) < 3 || rds_len(rds_at(range, 2)) < 2)
		return -EPROTO;
	from = rds_int(rds_at(range, 0));
	to = rds_int(rds_at(range, 1));
	primary = rds_at(range, 2);
	host = rds_text(rds_at(primary, 0));
	port = rds_int(rds_at(primary, 1));
	if (from < 0 || to < from || to >= CLUSTER_SLOTS || port < 1 || port > UINT16_MAX)
		return -EPROTO;
	if (host.len == 0 || slice_eq(host, SLICE("?")))
		host = slice_str(asked);
	n = node_of(c, host, (int)port);
	if (!n)
		return -EPROTO;
	for (int64_t i = from; i <= to; i++)
		c->owner[i] = (uint16_t)(n - c->nodes);
	return 0;
}

static int take_slots(struct cluster *c, const struct rds_reply *rep, const char *asked)
{
	int rc = 0;

	if (rds_kind(rep) == RDS_ERROR)
		return rds_is_error(rep, "ERR")                                     ? -EPROTONOSUPPORT
		       : rds_is_error(rep, "NOAUTH") || rds_is_error(rep, "NOPERM") ? -EACCES
										    : -EAGAIN;
	if (rds_len(rep) == 0)
		return -EAGAIN;
	for (size_t i = 0; i < rds_len(rep) && rc == 0; i++)
		rc = take_range(c, rds_at(rep, i), asked);
	return rc;
}

/* What one address knows of the slots. */
static int learn(struct cluster *c, const struct rds_addr *from)
{
	struct rds_config one = c->cfg;
	struct rds_reply *rep = NULL;
	struct rds *r = NULL;
	int rc;

	one.host = from->host;
	one.port = from->port;
	memset(c->owner, 0xff, sizeof c->owner);
	c->node_count = 0;
	rc = rds_open(&r, &one);
	if (rc == 0)
		rc = rds_askv(r, &rep, SLICE("CLUSTER"), SLICE("SLOTS"));
	if (rc == 0)
		rc = take_slots(c, rep, from->host);
	rds_reply_free(&rep);
	/* Most often it is a node that will be needed. */
	for (size_t i = 0; rc == 0 && r && i < c->node_count; i++)
		if (c->nodes[i].port == from->port && strcmp(c->nodes[i].host, from->host) == 0) {
			c->nodes[i].r = r;
			r = NULL;
		}
	rds_close(&r);
	return rc;
}

int cluster_open(struct cluster **out, const struct rds_config *cfg)
{
	struct cluster *c = must_zalloc(sizeof *c);
	unsigned from = 0;
	int rc = -EINVAL;

	*out = NULL;
	c->cfg = *cfg;
	c->cfg.socket = NULL;
	c->cfg.seed_count = 0;
	c->follow = cfg->follow;
	c->transaction = c->last = NOBODY;
	c->nodes = must_zalloc(CLUSTER_MAX_NODES * sizeof *c->nodes);
	buf_init(&c->copies, MAX_COPIES);
	/* Begun with any: one that is cut off from the others may still answer,
	 * and it must not be the first one each time. */
	if (getrandom(&from, sizeof from, GRND_NONBLOCK) < 0)
		from = 0;
	for (unsigned i = 0; i < cfg->seed_count && rc < 0; i++)
		rc = learn(c, &cfg->seeds[(from % cfg->seed_count + i) % cfg->seed_count]);
	if (rc < 0)
		cluster_close(&c);
	*out = c;
	return rc;
}

void cluster_close(struct cluster **cp)
{
	struct cluster *c = *cp;

	*cp = NULL;
	if (!c)
		return;
	for (size_t i = 0; i < c->node_count; i++) {
		rds_close(&c->nodes[i].r);
		rds_close(&c->nodes[i].aside);
	}
	free(c->nodes);
	free(c->sent);
	buf_free(&c->copies);
	free(c);
}

/* Where the key of a command stands among its arguments; 0: it has none. Of
 * several keys the first one: they share a slot, or Redis refuses them. */
static int key_at(int argc, const slice *argv)
{
	static const char *const keyless[] = {
		"MULTI", "EXEC", "DISCARD", "UNWATCH", "PING", "CONFIG", "CLUSTER", "INFO"};

	for (size_t i = 0; i < sizeof keyless / sizeof *keyless; i++)
		if (slice_eq(argv[0], slice_str(keyless[i])))
			return 0;
	if (slice_eq(argv[0], SLICE("XINFO")))
		return argc > 2 ? 2 : 0;
	if (slice_eq(argv[0], SLICE("XREAD")))
		for (int i = 1; i + 1 < argc; i++)
			if (slice_eq(argv[i], SLICE("STREAMS")))
				return i + 1;
	return argc > 1 ? 1 : 0;
}

/* May it be asked of another node, alone? A WATCH guards what follows on its own
 * connection. An XADD may only follow what was asked of the same stream. */
static bool stands_alone(const struct cluster *c, slice verb)
{
	return c->transaction == NOBODY && !slice_eq(verb, SLICE("WATCH")) && !slice_eq(verb, SLICE("XADD"));
}

static void send_to(struct cluster *c, uint16_t at, int argc, const slice *argv, bool alone)
{
	struct node *n = &c->nodes[at];
	struct sent *s;
	int rc = n->r ? 0 : dial(c, n, &n->r);

	if (rc < 0) {
		fail(c, rc);
		return;
	}
	if (c->sent_count == c->sent_room) {
		c->sent_room = c->sent_room ? 2 * c->sent_room : 64;
		c->sent = must_realloc(c->sent, c->sent_room * sizeof *c->sent);
	}
	s = &c->sent[c->sent_count++];
	*s = (struct sent){.node = at, .at = c->copies.len};
	if (alone) {
		for (int i = 0; i < argc; i++) {
			buf_le32(&c->copies, (uint32_t)argv[i].len);
			buf_put(&c->copies, argv[i]);
		}
		s->argc = c->copies.full ? 0 : argc;
	}
	rds_put(n->r, argc, argv);
	n->unsent = true;
	c->last = at;
}

static void send_held(struct cluster *c, uint16_t at)
{
	unsigned n = c->held_count;

	c->held_count = 0;
	for (unsigned i = 0; i < n && !c->dead; i++) {
		if (slice_eq(c->held[i], SLICE("MULTI")))
			c->transaction = at;
		send_to(c, at, 1, &c->held[i], false);
	}
}

/* MULTI and UNWATCH wait for a key. Others are questions to whichever node was
 * asked last. */
static void put_keyless(struct cluster *c, int argc, const slice *argv)
{
	static const slice words[] = {{(const uint8_t *)"MULTI", 5}, {(const uint8_t *)"UNWATCH", 7}};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (c->transaction == NOBODY && c->held_count < MAX_HELD && slice_eq(argv[0], words[i])) {
			c->held[c->held_count++] = words[i];
			return;
		}
	if (c->last == NOBODY)
		c->last = 0;
	send_held(c, c->last);
	if (!c->dead)
		send_to(c, c->transaction == NOBODY ? c->last : c->transaction, argc, argv, false);
	if (slice_eq(argv[0], SLICE("EXEC")) || slice_eq(argv[0], SLICE("DISCARD")))
		c->transaction = NOBODY;
}

void cluster_put(struct cluster *c, int argc, const slice *argv)
{
	int key = key_at(argc, argv);
	uint16_t at;

	if (c->dead)
		return;
	if (c->first == c->sent_count) {
		c->first = c->sent_count = 0;
		buf_clear(&c->copies);
	}
	if (!key) {
		put_keyless(c, argc, argv);
		return;
	}
	at = c->owner[cluster_slot(argv[key])];
	if (at == NOBODY) {
		fail(c, -EAGAIN);
		return;
	}
	/* Keys of one transaction share a slot. */
	must(c->transaction == NOBODY || c->transaction == at);
	send_held(c, at);
	if (!c->dead)
		send_to(c, at, argc, argv, stands_alone(c, argv[0]));
}

/* All nodes work at once, whichever answer is read first. */
static int flush_all(struct cluster *c)
{
	for (size_t i = 0; i < c->node_count; i++) {
		int rc = c->nodes[i].unsent ? rds_flush(c->nodes[i].r) : 0;

		if (rc < 0)
			return fail(c, rc);
		c->nodes[i].unsent = false;
	}
	return 0;
}

/* The command of s once more, for the node that *rep names. 0 with *rep
 * replaced, or -errno. */
static int ask_aside(struct cluster *c, const struct sent *s, struct rds_reply **rep, bool asking)
{
	const uint8_t *p = c->copies.p + s->at;
	struct node *n;
	slice host, *argv;
	int port, rc;

	if (cluster_redirect_decode(rds_text(*rep), &host, &port) < 0)
		return 0;
	n = node_of(c, host.len ? host : slice_str(c->nodes[s->node].host), port);
	if (!n)
		return 0;
	rds_reply_free(rep);
	rc = n->aside ? 0 : dial(c, n, &n->aside);
	if (rc == 0 && asking) {
		rc = rds_askv(n->aside, rep, SLICE("ASKING"));
		rds_reply_free(rep);
	}
	if (rc < 0)
		return rc;
	argv = must_alloc((size_t)s->argc * sizeof *argv);
	for (int i = 0; i < s->argc; i++) {
		argv[i] = slice_of(p + 4, get_le32(p));
		p += 4 + argv[i].len;
	}
	rc = rds_ask(n->aside, rep, s->argc, argv);
	free(argv);
	return rc;
}

int cluster_get(struct cluster *c, struct rds_reply **out)
{
	struct sent s;
	int rc;

	*out = NULL;
	if (!c->dead && c->held_count)
		send_held(c, c->last == NOBODY ? 0 : c->last);
	if (c->dead)
		return c->dead;
	must(c->first < c->sent_count);
	rc = flush_all(c);
	if (rc < 0)
		return rc;
	s = c->sent[c->first++];
	rc = rds_get(c->nodes[s.node].r, out);
	if (rc == 0 && s.argc && rds_is_error(*out, "ASK"))
		rc = ask_aside(c, &s, out, true);
	if (rc == 0 && s.argc && c->follow && rds_is_error(*out, "MOVED"))
		rc = ask_aside(c, &s, out, false);
	return rc < 0 ? fail(c, rc) : 0;
}
