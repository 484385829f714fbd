/* The simulated Redis behind core/io/rds.h: the commands that shipper and fold
 * use, and no others. A connection's commands are executed one by one when an
 * answer is asked for; others may come between them, and anything may break. */
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

#include "core/base/buf.h"
#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/rds.h"
#include "core/model/rkey.h"
#include "core/parse/num.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WATCHED 8

struct bytes {
	uint8_t *p; /* the world's */
	size_t len;
};

enum type { NONE, STRING, HASH, SET, STREAM };

/* A field of a hash, a member of a set, or an entry of a stream. */
struct item {
	struct bytes name, value;
	uint64_t id;
};

struct object {
	struct bytes key;
	uint64_t sum; /* of the key, to look at few */
	enum type type;
	uint64_t serial; /* of the last change; a key that is gone keeps its place and has one */
	uint64_t expires;
	struct bytes text;
	struct item *items;
	size_t count, room;
	uint64_t last; /* id */
};

struct store {
	struct object *list;
	size_t count, room;
};

struct command {
	int argc;
	slice *argv; /* with their bytes in one block of the node's */
};

struct rds_reply {
	enum rds_kind kind;
	struct buf text;
	int64_t n;
	struct rds_reply **list;
	size_t count;
};

struct queue {
	void **list;
	size_t at, count, room;
};

struct rds {
	uint64_t epoch;
	int timeout_ms;
	int dead;          /* -errno for everything from here on */
	int broken;        /* -errno behind the answers that did arrive */
	struct queue said; /* commands */
	struct queue heard;
	bool multi, aborted;
	struct queue transaction; /* commands */
	struct {
		struct bytes key; /* the node's */
		uint64_t serial;
	} watched[WATCHED];
	size_t watching;
};

struct sim_redis_faults sim_redis_faults;

static struct store store, snapshot;
static uint64_t serial, epoch, executed;
static enum redis_mood mood;

/* ---- what is stored ---- */

static struct bytes bytes_of(slice s)
{
	struct bytes b = {world_alloc(s.len), s.len};

	if (s.len)
		memcpy(b.p, s.p, s.len);
	return b;
}

static slice text_of(struct bytes b)
{
	return slice_of(b.p, b.len);
}

static void forget(struct object *o)
{
	for (size_t i = 0; i < o->count; i++) {
		world_free(o->items[i].name.p);
		world_free(o->items[i].value.p);
	}
	world_free(o->items);
	world_free(o->text.p);
	o->items = NULL;
	o->text = (struct bytes){NULL, 0};
	o->count = o->room = 0;
	o->expires = o->last = 0;
	o->type = NONE;
}

static void store_free(struct store *s)
{
	for (size_t i = 0; i < s->count; i++) {
		forget(&s->list[i]);
		world_free(s->list[i].key.p);
	}
	world_free(s->list);
	*s = (struct store){0};
}

static void store_copy(struct store *to, const struct store *from)
{
	store_free(to);
	to->list = world_alloc(from->count * sizeof *to->list);
	to->count = to->room = from->count;
	for (size_t i = 0; i < from->count; i++) {
		const struct object *o = &from->list[i];
		struct object *c = &to->list[i];

		*c = *o;
		c->key = bytes_of(text_of(o->key));
		c->text = bytes_of(text_of(o->text));
		c->items = world_alloc(o->count * sizeof *c->items);
		c->room = o->count;
		for (size_t k = 0; k < o->count; k++)
			c->items[k] = (struct item){bytes_of(text_of(o->items[k].name)),
				bytes_of(text_of(o->items[k].value)), o->items[k].id};
	}
}

static uint64_t sum_of(slice s)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.p[i]) * 1099511628211u;
	return h;
}

static void changed(struct object *o)
{
	o->serial = ++serial;
}

/* Never NULL: a key that is not there has type NONE. */
static struct object *lookup(slice key)
{
	uint64_t sum = sum_of(key);
	struct object *o;

	for (size_t i = 0; i < store.count; i++) {
		o = &store.list[i];
		if (o->sum != sum || !slice_eq(text_of(o->key), key))
			continue;
		if (o->expires && clock_mono_ms() >= o->expires) {
			forget(o);
			changed(o);
		}
		return o;
	}
	if (store.count == store.room) {
		store.room = store.room ? 2 * store.room : 64;
		store.list = world_realloc(store.list, store.room * sizeof *store.list);
	}
	o = &store.list[store.count++];
	*o = (struct object){.key = bytes_of(key), .sum = sum};
	return o;
}

static struct item *find(struct object *o, slice name)
{
	for (size_t i = 0; i < o->count; i++)
		if (slice_eq(text_of(o->items[i].name), name))
			return &o->items[i];
	return NULL;
}

static struct item *add(struct object *o, slice name, slice value, uint64_t id)
{
	if (o->count == o->room) {
		o->room = o->room ? 2 * o->room : 8;
		o->items = world_realloc(o->items, o->room * sizeof *o->items);
	}
	o->items[o->count] = (struct item){bytes_of(name), bytes_of(value), id};
	return &o->items[o->count++];
}

static void set_bytes(struct bytes *b, slice s)
{
	struct bytes old = *b;

	*b = bytes_of(s);
	world_free(old.p);
}

/* ---- replies ---- */

static struct rds_reply *reply(enum rds_kind kind)
{
	struct rds_reply *r = must_zalloc(sizeof *r);

	r->kind = kind;
	buf_init(&r->text, RDS_MAX_REPLY);
	return r;
}

static struct rds_reply *reply_text(enum rds_kind kind, slice s)
{
	struct rds_reply *r = reply(kind);

	buf_put(&r->text, s);
	return r;
}

static struct rds_reply *error(const char *text)
{
	return reply_text(RDS_ERROR, slice_str(text));
}

static struct rds_reply *ok(void)
{
	return reply_text(RDS_STATUS, SLICE("OK"));
}

static struct rds_reply *number(int64_t n)
{
	struct rds_reply *r = reply(RDS_INT);

	r->n = n;
	return r;
}

static void append(struct rds_reply *array, struct rds_reply *r)
{
	array->list = must_realloc(array->list, (array->count + 1) * sizeof *array->list);
	array->list[array->count++] = r;
}

static void append_text(struct rds_reply *array, slice s)
{
	append(array, reply_text(RDS_STRING, s));
}

static struct rds_reply *wrong_type(void)
{
	return error("WRONGTYPE Operation against a key holding the wrong kind of value");
}

/* ---- commands ---- */

static int64_t int_of(slice s)
{
	bool minus = s.len && s.p[0] == '-';
	uint64_t v;

	if (num_decode(slice_from(s, minus), INT64_MAX, &v) < 0)
		sim_fail("not a number: %.*s", SLICE_FMT(s));
	return minus ? -(int64_t)v : (int64_t)v;
}

static slice dec(int64_t n)
{
	static char text[24];

	snprintf(text, sizeof text, "%" PRId64, n);
	return slice_str(text);
}

static void id_text(uint64_t id, char out[32])
{
	snprintf(out, 32, "%" PRIu64 "-0", id);
}

static struct rds_reply *do_hash(const char *name, int argc, const slice *argv, struct object *o)
{
	struct rds_reply *r;
	struct item *f;

	if (o->type != NONE && o->type != HASH)
		return wrong_type();
	if (strcmp(name, "HLEN") == 0)
		return number((int64_t)o->count);
	if (strcmp(name, "HGET") == 0) {
		f = find(o, argv[2]);
		return f ? reply_text(RDS_STRING, text_of(f->value)) : reply(RDS_NIL);
	}
	if (strcmp(name, "HGETALL") == 0 || strcmp(name, "HMGET") == 0) {
		r = reply(RDS_ARRAY);
		for (size_t i = 0; argc == 2 && i < o->count; i++) {
			append_text(r, text_of(o->items[i].name));
			append_text(r, text_of(o->items[i].value));
		}
		for (int i = 2; i < argc; i++) {
			f = find(o, argv[i]);
			append(r, f ? reply_text(RDS_STRING, text_of(f->value)) : reply(RDS_NIL));
		}
		return r;
	}
	f = find(o, argv[2]);
	if (strcmp(name, "HSETNX") == 0 && f)
		return number(0);
	o->type = HASH;
	changed(o);
	if (strcmp(name, "HINCRBY") == 0) {
		int64_t n = (f ? int_of(text_of(f->value)) : 0) + int_of(argv[3]);

		if (f)
			set_bytes(&f->value, dec(n));
		else
			add(o, argv[2], dec(n), 0);
		return number(n);
	}
	for (int i = 2; i + 1 < argc; i += 2) {
		f = find(o, argv[i]);
		if (f)
			set_bytes(&f->value, argv[i + 1]);
		else
			add(o, argv[i], argv[i + 1], 0);
	}
	return number(1);
}

static struct rds_reply *do_set(const char *name, int argc, const slice *argv, struct object *o)
{
	struct rds_reply *r;
	int64_t n = 0;

	if (o->type != NONE && o->type != SET)
		return wrong_type();
	if (strcmp(name, "SCARD") == 0)
		return number((int64_t)o->count);
	if (strcmp(name, "SMEMBERS") == 0) {
		r = reply(RDS_ARRAY);
		for (size_t i = 0; i < o->count; i++)
			append_text(r, text_of(o->items[i].name));
		return r;
	}
	o->type = SET;
	for (int i = 2; i < argc; i++)
		if (!find(o, argv[i])) {
			add(o, argv[i], SLICE_NONE, 0);
			changed(o);
			n++;
		}
	return number(n);
}

static struct rds_reply *do_write_range(struct object *o, size_t at, slice s)
{
	size_t end = at + s.len;

	if (end > o->text.len) {
		o->text.p = world_realloc(o->text.p, end);
		memset(o->text.p + o->text.len, 0, end - o->text.len);
		o->text.len = end;
	}
	if (s.len)
		memcpy(o->text.p + at, s.p, s.len);
	o->type = STRING;
	changed(o);
	return number((int64_t)o->text.len);
}

static struct rds_reply *do_string(const char *name, int argc, const slice *argv, struct object *o)
{
	if (o->type != NONE && o->type != STRING && strcmp(name, "SET") != 0)
		return wrong_type();
	if (strcmp(name, "GET") == 0)
		return o->type == NONE ? reply(RDS_NIL) : reply_text(RDS_STRING, text_of(o->text));
	if (strcmp(name, "STRLEN") == 0)
		return number((int64_t)o->text.len);
	if (strcmp(name, "GETRANGE") == 0)
		return reply_text(RDS_STRING,
			slice_sub(text_of(o->text), (size_t)int_of(argv[2]), (size_t)int_of(argv[3]) + 1));
	if (strcmp(name, "SETRANGE") == 0)
		return do_write_range(o, (size_t)int_of(argv[2]), argv[3]);
	if (strcmp(name, "APPEND") == 0)
		return do_write_range(o, o->text.len, argv[2]);
	if (strcmp(name, "INCRBY") == 0) {
		int64_t n = (o->type == NONE ? 0 : int_of(text_of(o->text))) + int_of(argv[2]);

		set_bytes(&o->text, dec(n));
		o->type = STRING;
		changed(o);
		return number(n);
	}
	forget(o);
	o->type = STRING;
	set_bytes(&o->text, argv[2]);
	if (argc == 5)
		o->expires = clock_mono_ms() +
			     (uint64_t)int_of(argv[4]) * (slice_eq(argv[3], SLICE("PX")) ? 1 : 1000);
	changed(o);
	return ok();
}

static uint64_t id_of(slice s, uint64_t *second)
{
	size_t dash = slice_chr(s, '-', 0);
	uint64_t first;

	*second = 0;
	if (num_decode(slice_sub(s, 0, dash), UINT64_MAX, &first) < 0 ||
		(dash != SLICE_NPOS && num_decode(slice_from(s, dash + 1), UINT64_MAX, second) < 0))
		sim_fail("not an id: %.*s", SLICE_FMT(s));
	return first;
}

static struct rds_reply *do_xadd(int argc, const slice *argv, struct object *o)
{
	bool make = !slice_eq(argv[2], SLICE("NOMKSTREAM"));
	const slice *rest = argv + (make ? 2 : 3);
	uint64_t second, id = id_of(rest[0], &second);

	if (o->type != NONE && o->type != STREAM)
		return wrong_type();
	if (argc != (make ? 5 : 6) || second)
		sim_fail("XADD of an unknown form");
	if (o->type == NONE && !make)
		return reply(RDS_NIL);
	if (o->type == STREAM && id <= o->last)
		return error("ERR The ID specified in XADD is equal or smaller than the target stream top "
			     "item");
	o->type = STREAM;
	add(o, rest[1], rest[2], id);
	o->last = id;
	changed(o);
	return reply_text(RDS_STRING, rest[0]);
}

/* Of the stream of that name. */
static uint64_t cursor_of(slice key)
{
	size_t brace = slice_find(key, SLICE("}"), 0);
	uint64_t partition;
	struct rkey cursor;
	struct item *f;

	if (brace == SLICE_NPOS || num_decode(slice_sub(key, 5, brace), 65535, &partition) < 0)
		sim_fail("%.*s is a stream", SLICE_FMT(key));
	cursor = rkey_cursor((unsigned)partition);
	f = find(lookup(rkey_slice(&cursor)), slice_from(key, key.len - 8));
	return f ? (uint64_t)int_of(text_of(f->value)) : 0;
}

/* Streams are cut behind the cursor only. */
static void check_trim(slice key, uint64_t least)
{
	if (least > cursor_of(key))
		sim_fail("%.*s is cut at %" PRIu64 ", before its cursor is there", SLICE_FMT(key), least);
}

static struct rds_reply *do_xtrim(int argc, const slice *argv, struct object *o)
{
	uint64_t second, least = id_of(argv[argc - 1], &second);
	size_t n = 0;

	check_trim(argv[1], least);
	while (n < o->count && o->items[n].id < least)
		n++;
	n = sim_draw(2) ? n : sim_draw(n + 1); /* about */
	for (size_t i = 0; i < n; i++) {
		world_free(o->items[i].name.p);
		world_free(o->items[i].value.p);
	}
	o->count -= n;
	memmove(o->items, o->items + n, o->count * sizeof *o->items);
	if (n)
		changed(o);
	return number((int64_t)n);
}

static struct rds_reply *read_stream(slice key, slice behind, uint64_t most)
{
	struct object *o = lookup(key);
	uint64_t second, id = id_of(behind, &second);
	struct rds_reply *entries = NULL, *r;
	char text[32];

	for (size_t i = 0; i < o->count && most; i++) {
		struct rds_reply *entry, *fields;

		if (o->items[i].id <= id)
			continue;
		if (!entries)
			entries = reply(RDS_ARRAY);
		entry = reply(RDS_ARRAY);
		fields = reply(RDS_ARRAY);
		id_text(o->items[i].id, text);
		append_text(entry, slice_str(text));
		append_text(fields, text_of(o->items[i].name));
		append_text(fields, text_of(o->items[i].value));
		append(entry, fields);
		append(entries, entry);
		most--;
	}
	if (!entries)
		return NULL;
	r = reply(RDS_ARRAY);
	append_text(r, key);
	append(r, entries);
	return r;
}

static struct rds_reply *do_xread(int argc, const slice *argv)
{
	int n = (argc - 4) / 2;
	struct rds_reply *all = reply(RDS_ARRAY);

	for (int i = 0; i < n; i++) {
		struct rds_reply *r = read_stream(argv[4 + i], argv[4 + n + i], (uint64_t)int_of(argv[2]));

		if (r)
			append(all, r);
	}
	if (!all->count)
		all->kind = RDS_NIL;
	return all;
}

static struct rds_reply *do_xinfo(struct object *o)
{
	struct rds_reply *r;
	char text[32];

	if (o->type == NONE)
		return error("ERR no such key");
	r = reply(RDS_ARRAY);
	append_text(r, SLICE("length"));
	append(r, number((int64_t)o->count));
	id_text(o->last, text);
	append_text(r, SLICE("last-generated-id"));
	append_text(r, slice_str(text));
	return r;
}

static struct rds_reply *do_del(struct object *o)
{
	bool there = o->type != NONE;

	forget(o);
	if (there)
		changed(o);
	return number(there);
}

/* Writes, and of these the ones that take memory. */
static const char *const taking[] = {
	"XADD", "SADD", "HSET", "HSETNX", "HINCRBY", "SET", "INCRBY", "SETRANGE", "APPEND"};
static const char *const freeing[] = {"DEL", "XTRIM"};

static bool among(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}
#define AMONG(list, name) among(list, sizeof(list) / sizeof *(list), name)

/* NULL, or why it is refused now. */
static const char *refused(const char *name)
{
	if (mood == REDIS_LOADING)
		return "LOADING Redis is loading the dataset in memory";
	if (mood == REDIS_READONLY && (AMONG(taking, name) || AMONG(freeing, name)))
		return "READONLY You can't write against a read only replica.";
	/* At the limit, some go through. */
	if (mood == REDIS_OOM && AMONG(taking, name) && sim_draw(2))
		return "OOM command not allowed when used memory > 'maxmemory'.";
	return NULL;
}

static void name_of(const struct command *c, char out[16])
{
	snprintf(out, 16, "%.*s", SLICE_FMT(c->argv[0]));
}

static struct rds_reply *execute(const struct command *c)
{
	int argc = c->argc;
	const slice *argv = c->argv;
	char name[16];
	struct object *o;

	name_of(c, name);
	executed++;
	if (strcmp(name, "XREAD") == 0)
		return do_xread(argc, argv);
	if (strcmp(name, "XINFO") == 0)
		return do_xinfo(lookup(argv[2]));
	o = lookup(argv[1]);
	if (strcmp(name, "XADD") == 0)
		return do_xadd(argc, argv, o);
	if (strcmp(name, "XTRIM") == 0)
		return do_xtrim(argc, argv, o);
	if (strcmp(name, "EXISTS") == 0)
		return number(o->type != NONE);
	if (strcmp(name, "DEL") == 0)
		return do_del(o);
	if (strcmp(name, "SADD") == 0 || strcmp(name, "SMEMBERS") == 0 || strcmp(name, "SCARD") == 0)
		return do_set(name, argc, argv, o);
	if (name[0] == 'H')
		return do_hash(name, argc, argv, o);
	if (AMONG(((const char *const[]){"GET", "SET", "GETRANGE", "SETRANGE", "APPEND", "STRLEN", "INCRBY"}),
		    name))
		return do_string(name, argc, argv, o);
	sim_fail("the simulated Redis does not know %s", name);
}

/* ---- connections ---- */

static void enqueue(struct queue *q, void *p)
{
	if (q->count == q->room) {
		q->room = q->room ? 2 * q->room : 16;
		q->list = must_realloc(q->list, q->room * sizeof *q->list);
	}
	q->list[q->count++] = p;
}

static void *dequeue(struct queue *q)
{
	void *p;

	if (q->at == q->count)
		return NULL;
	p = q->list[q->at++];
	if (q->at == q->count)
		q->at = q->count = 0;
	return p;
}

static void command_free(struct command *c)
{
	if (c)
		free(c->argv);
	free(c);
}

static void drop_commands(struct queue *q)
{
	while (q->count)
		command_free(dequeue(q));
}

static void drop_replies(struct queue *q)
{
	while (q->count) {
		struct rds_reply *r = dequeue(q);

		rds_reply_free(&r);
	}
}

static void unwatch(struct rds *r)
{
	while (r->watching)
		free(r->watched[--r->watching].key.p);
}

static void watch(struct rds *r, slice key)
{
	struct bytes *b = &r->watched[r->watching].key;

	must(r->watching < WATCHED);
	r->watched[r->watching].serial = lookup(key)->serial;
	*b = (struct bytes){must_alloc(key.len), key.len};
	memcpy(b->p, key.p, key.len);
	r->watching++;
}

static bool untouched(struct rds *r)
{
	for (size_t i = 0; i < r->watching; i++)
		if (lookup(text_of(r->watched[i].key))->serial != r->watched[i].serial)
			return false;
	return true;
}

static struct rds_reply *do_exec(struct rds *r)
{
	struct rds_reply *all;
	char name[16];
	bool fine;

	if (!r->multi)
		return error("ERR EXEC without MULTI");
	for (size_t i = 0; i < r->transaction.count; i++) {
		name_of(r->transaction.list[i], name);
		r->aborted |= refused(name) != NULL;
	}
	fine = untouched(r);
	unwatch(r);
	r->multi = false;
	if (r->aborted) {
		drop_commands(&r->transaction);
		return error("EXECABORT Transaction discarded because of previous errors.");
	}
	if (!fine) {
		drop_commands(&r->transaction);
		sim_note("transaction refused", 0, 0);
		return reply(RDS_NIL);
	}
	all = reply(RDS_ARRAY);
	while (r->transaction.count) {
		struct command *c = dequeue(&r->transaction);

		append(all, execute(c));
		command_free(c);
	}
	return all;
}

/* Takes c. */
static struct rds_reply *answer(struct rds *r, struct command *c)
{
	struct rds_reply *rep = NULL;
	const char *why;
	char name[16];

	name_of(c, name);
	sim_note(name, c->argc > 1 ? sum_of(c->argv[1]) % 100000 : 0, (uint64_t)c->argc);
	why = refused(name);
	if (strcmp(name, "EXEC") == 0) {
		rep = do_exec(r);
	} else if (why) {
		r->aborted |= r->multi;
		rep = error(why);
	} else if (strcmp(name, "MULTI") == 0) {
		r->multi = true;
		r->aborted = false;
		rep = ok();
	} else if (r->multi) {
		enqueue(&r->transaction, c);
		return reply_text(RDS_STATUS, SLICE("QUEUED"));
	} else if (strcmp(name, "WATCH") == 0) {
		for (int i = 1; i < c->argc; i++)
			watch(r, c->argv[i]);
		rep = ok();
	} else if (strcmp(name, "UNWATCH") == 0) {
		unwatch(r);
		rep = ok();
	} else {
		rep = execute(c);
	}
	command_free(c);
	return rep;
}

/* The connection is of no more use; perhaps some answers had arrived. */
static void break_off(struct rds *r, int why)
{
	sim_note("connection lost", (uint64_t)-why, r->said.count - r->said.at);
	drop_commands(&r->said);
	if (sim_draw(2))
		drop_replies(&r->heard);
	r->broken = why;
}

static void slow_answer(struct rds *r)
{
	uint64_t ms = 1 + sim_draw(2 * (uint64_t)r->timeout_ms);

	sim_sleep(ms);
	if (ms > (uint64_t)r->timeout_ms)
		break_off(r, -ETIMEDOUT);
}

static void send_all(struct rds *r)
{
	struct command *c;

	if (sim_draw(2) == 0)
		sim_pause();
	while (!r->broken && (c = dequeue(&r->said))) {
		if (sim_draw(10) == 0)
			sim_pause();
		if (r->epoch != epoch || sim_fault(sim_redis_faults.lost)) {
			command_free(c);
			break_off(r, -ECONNRESET);
			break;
		}
		enqueue(&r->heard, answer(r, c));
		if (sim_fault(sim_redis_faults.lost))
			break_off(r, -ECONNRESET);
		else if (sim_fault(sim_redis_faults.slow))
			slow_answer(r);
	}
	if (sim_draw(4) == 0)
		sim_pause();
}

int rds_open(struct rds **out, const struct rds_config *cfg)
{
	struct rds *r;

	*out = NULL;
	sim_pause();
	if (mood == REDIS_DOWN)
		return -ECONNREFUSED;
	r = must_zalloc(sizeof *r);
	r->epoch = epoch;
	r->timeout_ms = cfg->timeout_ms;
	*out = r;
	return 0;
}

void rds_close(struct rds **rp)
{
	struct rds *r = *rp;

	if (!r)
		return;
	drop_commands(&r->said);
	drop_commands(&r->transaction);
	drop_replies(&r->heard);
	unwatch(r);
	free(r->said.list);
	free(r->transaction.list);
	free(r->heard.list);
	free(r);
	*rp = NULL;
}

void rds_put(struct rds *r, int argc, const slice *argv)
{
	struct command *c;
	size_t n = (size_t)argc * sizeof *argv;
	uint8_t *at;

	if (r->dead || r->broken)
		return;
	c = must_alloc(sizeof *c);
	for (int i = 0; i < argc; i++)
		n += argv[i].len;
	c->argc = argc;
	c->argv = must_alloc(n);
	at = (uint8_t *)(c->argv + argc);
	for (int i = 0; i < argc; i++) {
		if (argv[i].len)
			memcpy(at, argv[i].p, argv[i].len);
		c->argv[i] = slice_of(at, argv[i].len);
		at += argv[i].len;
	}
	enqueue(&r->said, c);
}

int rds_get(struct rds *r, struct rds_reply **out)
{
	*out = NULL;
	if (r->dead)
		return r->dead;
	if (!r->heard.count && !r->broken) {
		if (!r->said.count)
			sim_fail("an answer is asked for without a command");
		send_all(r);
	}
	*out = dequeue(&r->heard);
	if (*out)
		return 0;
	r->dead = r->broken;
	return r->dead;
}

bool rds_step(struct rds *r)
{
	(void)r;
	return false; /* rds_get has them all */
}

int rds_ask(struct rds *r, struct rds_reply **out, int argc, const slice *argv)
{
	rds_put(r, argc, argv);
	return rds_get(r, out);
}

void rds_reply_free(struct rds_reply **rep)
{
	struct rds_reply *r = *rep;

	*rep = NULL;
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		rds_reply_free(&r->list[i]);
	free(r->list);
	buf_free(&r->text);
	free(r);
}

enum rds_kind rds_kind(const struct rds_reply *rep)
{
	return rep->kind;
}

slice rds_text(const struct rds_reply *rep)
{
	return buf_slice(&rep->text);
}

int64_t rds_int(const struct rds_reply *rep)
{
	uint64_t v;

	if (rep->kind == RDS_INT)
		return rep->n;
	if (rep->kind != RDS_STRING || num_decode(rds_text(rep), INT64_MAX, &v) < 0)
		return 0;
	return (int64_t)v;
}

size_t rds_len(const struct rds_reply *rep)
{
	return rep->kind == RDS_ARRAY ? rep->count : 0;
}

const struct rds_reply *rds_at(const struct rds_reply *rep, size_t i)
{
	must(i < rds_len(rep));
	return rep->list[i];
}

bool rds_is_error(const struct rds_reply *rep, const char *word)
{
	slice w = slice_str(word), s = rds_text(rep);

	return rds_kind(rep) == RDS_ERROR && slice_starts(s, w) && (s.len == w.len || s.p[w.len] == ' ');
}

int rds_backoff_ms(unsigned *step)
{
	unsigned ms = *step < 6 ? 50u << *step : 2000;

	if (*step < 6)
		++*step;
	return (int)(ms - sim_draw(ms / 4 + 1));
}

/* ---- what befalls it ---- */

void redis_mood(enum redis_mood m)
{
	sim_note("redis mood", m, 0);
	if (m == REDIS_DOWN)
		epoch++;
	mood = m;
}

void redis_snapshot(void)
{
	store_copy(&snapshot, &store);
}

void redis_restart(bool lose)
{
	sim_note("redis restarts", lose, 0);
	epoch++;
	if (lose)
		store_copy(&store, &snapshot);
}

void redis_flush(void)
{
	sim_note("redis is flushed", 0, 0);
	for (size_t i = 0; i < store.count; i++) {
		forget(&store.list[i]);
		changed(&store.list[i]);
	}
}

bool redis_drained(void)
{
	for (size_t i = 0; i < store.count; i++) {
		struct object *o = &store.list[i];
		slice key = text_of(o->key);

		if (o->type == STREAM && o->count && o->items[o->count - 1].id > cursor_of(key))
			return false;
	}
	return true;
}

uint64_t redis_commands(void)
{
	return executed;
}

void redis_begin(void)
{
	serial = epoch = executed = 0;
	mood = REDIS_WELL;
}

void redis_end(void)
{
	store_free(&store);
	store_free(&snapshot);
}
