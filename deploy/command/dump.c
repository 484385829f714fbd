#include "core/base/refuse.h"
#include "core/io/daemon.h"
#include "core/io/options.h"
#include "core/io/rds.h"
#include "core/model/event.h"
#include "core/model/frame.h"
#include "core/model/provider.h"
#include "core/model/rkey.h"
#include "deploy/command/command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool frames_only, replaying;

/* The store that frames are added to, and what became of them. */
static struct replay {
	struct rds *r; /* NULL: frames are shown */
	uint64_t partitions;
	uint64_t added, there, late, elsewhere;
} replay;

static const struct option_row rows[] = {
	{.name = "--frames", .help = "frames without their events", .flag = &frames_only},
	{.name = "--replay",
		.help = "add the frames to the store of --config instead, under their own lane and position",
		.flag = &replaying},
};
static const struct command about = {
	.name = "dump",
	.usage = "FILE... [--frames | --replay]",
	.what = "Journal segments (DIR/.../*.seg) as text: a line for each frame, and a line for each event "
		"in\n"
		"it. Damage is said and stepped over; exit status 1 if there was any.\n"
		"--replay fills a store from journals that were kept: what Redis has is left as it is and "
		"what\n"
		"was folded is not folded again, so that it may be done twice. Stop the programs first, as "
		"a\n"
		"stream takes no frame behind a later one of its lane: such frames are counted as too late, "
		"and\n"
		"the exit status is 1. Start the collector afterwards.",
	.example =
		"  landfall dump landfall-data/rewriter/*.seg\n"
		"  landfall dump --replay --config landfall-data/landfall.conf landfall-data/rewriter/*.seg",
	.rows = rows,
	.count = 2,
	.least = 1,
	.most = OPTIONS_MAX_ARGS,
};

/* Bytes that came from outside, on one line. */
static void print_bytes(const char *name, slice s)
{
	printf(" %s=\"", name);
	for (size_t i = 0; i < s.len; i++)
		printf(s.p[i] >= ' ' && s.p[i] < 0x7f && s.p[i] != '"' && s.p[i] != '\\' ? "%c" : "\\x%02X",
			s.p[i]);
	putchar('"');
}

static void print_status(const struct event *e)
{
	struct buf text;

	buf_init(&text, 64);
	status_encode(e->status, &text);
	printf(" reply=%u status=%.*s", e->reply, SLICE_FMT(buf_slice(&text)));
	buf_free(&text);
}

static void print_event(const struct event *e)
{
	const char *word = event_word(e->kind);

	printf("  %s ms=%" PRIu64 " campaign=%016" PRIx64 " lane=%08" PRIx32 " sequence=%" PRIu32,
		word ? word : "unknown", e->ms, e->campaign, e->lane, e->sequence);
	switch (e->kind) {
	case EVENT_CAMPAIGN:
		print_bytes("tenant", e->tenant);
		print_bytes("name", e->name);
		break;
	case EVENT_RECIPIENT:
		print_bytes("id", e->name);
		break;
	case EVENT_SENT:
		printf(" recipient=%016" PRIx64 " provider=%s", e->recipient, provider_word(e->provider));
		if (e->queue_id.len)
			print_bytes("queue-id", e->queue_id);
		break;
	case EVENT_BOUNCED:
		printf(" bounce=%s", bounce_word(e->bounce));
		print_status(e);
		break;
	case EVENT_ACCEPTED:
	case EVENT_DEFERRED:
		print_status(e);
		break;
	case EVENT_CLICK:
		printf(" link=%u", e->link);
		/* fall through */
	case EVENT_OPEN:
	case EVENT_UNSUBSCRIBE:
		printf(" class=%s%s", class_word(e->class),
			e->place == PLACE_TOP   ? " place=top"
			: e->place == PLACE_AMP ? " place=amp"
						: "");
		if (e->country[0])
			printf(" country=%.2s", e->country);
		if (e->agent || e->network)
			printf(" agent=%04x network=%08" PRIx32, e->agent, e->network);
		break;
	}
	putchar('\n');
}

/* Events that did not decode. */
static unsigned dump_events(const struct frame *f)
{
	slice rest = f->body;
	struct event e;
	int rc;

	while ((rc = event_decode(rest, f->base_ms, &e)) > 0) {
		print_event(&e);
		rest = slice_from(rest, (size_t)rc);
	}
	if (rc == 0)
		return 0;
	printf("  damaged: %s\n", refuse_text(rc));
	return 1;
}

static unsigned dump_frame(const struct frame *f)
{
	printf("frame position=%" PRIu64 " lane=%08" PRIx32 " partition=%u events=%" PRIu32 " bytes=%zu%s\n",
		f->position, f->lane, f->partition, f->count, f->size, f->flags & FRAME_MORE ? " more" : "");
	if (f->partition == FRAME_NOTE) {
		if (!frames_only) {
			printf("  note");
			print_bytes("bytes", f->body);
			putchar('\n');
		}
		return 0;
	}
	return frames_only ? 0 : dump_events(f);
}

/* One command's reply, which must not be an error. 0, or -errno. */
static int ask(struct rds_reply **out, int argc, const slice *argv)
{
	int rc = rds_ask(replay.r, out, argc, argv);

	if (rc == 0 && rds_kind(*out) == RDS_ERROR) {
		fprintf(stderr, "landfall dump: Redis: %.*s\n", SLICE_FMT(rds_text(*out)));
		rds_reply_free(out);
		rc = -EPROTO;
	}
	return rc;
}
#define ASK(out, ...)                                                                                        \
	ask((out), (int)(sizeof((slice[]){__VA_ARGS__}) / sizeof(slice)), (slice[]){__VA_ARGS__})

/* A frame that the stream refuses: is it there or folded, or does it come too
 * late? 0 or -errno. */
static int look_for(const struct frame *f, slice lane, slice id)
{
	struct rkey stream = rkey_stream(f->partition, f->lane), cursor = rkey_cursor(f->partition);
	struct rds_reply *entry = NULL, *at = NULL;
	int rc = ASK(&entry, SLICE("XRANGE"), rkey_slice(&stream), id, id);

	if (rc == 0)
		rc = ASK(&at, SLICE("HGET"), rkey_slice(&cursor), lane);
	if (rc == 0 && (rds_len(entry) || (uint64_t)rds_int(at) >= f->position))
		replay.there++;
	else if (rc == 0)
		replay.late++;
	rds_reply_free(&entry);
	rds_reply_free(&at);
	return rc;
}

/* 0 or -errno. */
static int replay_frame(const struct frame *f, slice bytes)
{
	struct rkey stream = rkey_stream(f->partition, f->lane), lanes = rkey_lanes(f->partition);
	struct rds_reply *rep = NULL;
	char id[32], lane[16];
	int rc;

	if (f->partition == FRAME_NOTE)
		return 0;
	if (f->partition >= replay.partitions) {
		replay.elsewhere++;
		return 0;
	}
	snprintf(lane, sizeof lane, "%08" PRIx32, f->lane);
	snprintf(id, sizeof id, "%" PRIu64 "-0", f->position);
	rc = ASK(&rep, SLICE("SADD"), rkey_slice(&lanes), slice_str(lane));
	rds_reply_free(&rep);
	if (rc < 0)
		return rc;
	rc = rds_askv(replay.r, &rep, SLICE("XADD"), rkey_slice(&stream), slice_str(id), SLICE("f"), bytes);
	if (rc == 0 && rds_kind(rep) != RDS_ERROR) {
		replay.added++;
	} else if (rc == 0 && slice_find(rds_text(rep), SLICE("equal or smaller"), 0) != SLICE_NPOS) {
		rc = look_for(f, slice_str(lane), slice_str(id));
	} else if (rc == 0) {
		fprintf(stderr, "landfall dump: Redis: %.*s\n", SLICE_FMT(rds_text(rep)));
		rc = -EPROTO;
	}
	rds_reply_free(&rep);
	return rc;
}

/* The exit status, or -1 to go on. */
static int replay_open(struct config *c)
{
	struct rds_config redis = config_redis(c);
	struct rds_reply *rep = NULL;
	int rc = rds_open(&replay.r, &redis);

	/* A store that was never used is made as the settings say. */
	if (rc == 0)
		rc = ASK(&rep, SLICE("HGET"), SLICE(RKEY_META), SLICE("partitions"));
	replay.partitions =
		rc == 0 && rds_kind(rep) != RDS_NIL ? (uint64_t)rds_int(rep) : (uint64_t)c->store_partitions;
	rds_reply_free(&rep);
	if (rc == 0)
		return -1;
	fprintf(stderr, "landfall dump: Redis: %s\n", strerror(-rc));
	return EXIT_WORLD;
}

/* The exit status. */
static int replay_say(void)
{
	printf("%" PRIu64 " frames added, %" PRIu64 " were there or folded, %" PRIu64 " too late, %" PRIu64
	       " of other partitions\n",
		replay.added, replay.there, replay.late, replay.elsewhere);
	return replay.late || replay.elsewhere ? EXIT_REFUSED : EXIT_DONE;
}

/* Places of damage found, or -errno. base: position of the segment's first byte. */
static int dump_segment(slice in, uint64_t base)
{
	/* The segment's own head is no frame: look for the first. */
	size_t at = frame_resync(in, 0, base);
	int damaged = 0;

	while (at != SLICE_NPOS && at < in.len) {
		struct frame f;
		int rc = frame_decode(slice_from(in, at), &f);

		if (rc > 0) {
			int got = replay.r ? replay_frame(&f, slice_sub(in, at, at + f.size))
					   : (int)dump_frame(&f);

			if (got < 0)
				return got;
			damaged += got;
			at += f.size;
			continue;
		}
		if (rc == 0) {
			/* Zeros: the end, unless frames follow a gap. */
			at = frame_resync(in, at + 1, base);
			continue;
		}
		printf("damaged position=%" PRIu64 ": %s\n", base + at, refuse_text(rc));
		damaged++;
		at = frame_resync(in, at + 1, base);
	}
	return damaged;
}

/* "00000000000000c0.seg": the position of its first byte. */
static int base_of(const char *path, uint64_t *base)
{
	slice name = slice_str(path);
	size_t slash = slice_rchr(name, '/');

	if (slash != SLICE_NPOS)
		name = slice_from(name, slash + 1);
	return slice_ends(name, SLICE(".seg")) && hex64_decode(slice_sub(name, 0, name.len - 4), base) ? 0
												       : -1;
}

static int by_base(const void *a, const void *b)
{
	uint64_t x = 0, y = 0;

	(void)base_of(*(const char *const *)a, &x);
	(void)base_of(*(const char *const *)b, &y);
	return (x > y) - (x < y);
}

static int dump_file(const char *path, unsigned *damaged)
{
	uint64_t base;
	struct stat st;
	void *p;
	int fd, rc;

	if (base_of(path, &base) < 0) {
		fprintf(stderr, "landfall dump: %s: not a segment: its name is 16 hex digits and .seg\n",
			path);
		return EXIT_USAGE;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		fprintf(stderr, "landfall dump: %s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return EXIT_WORLD;
	}
	p = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
	close(fd);
	if (p == MAP_FAILED) {
		fprintf(stderr, "landfall dump: %s: %s\n", path, strerror(errno));
		return EXIT_WORLD;
	}
	if (!p)
		return EXIT_DONE;
	rc = dump_segment(slice_of(p, (size_t)st.st_size), base);
	munmap(p, (size_t)st.st_size);
	if (rc < 0) {
		fprintf(stderr, "landfall dump: Redis: %s\n", strerror(-rc));
		return EXIT_WORLD;
	}
	*damaged += (unsigned)rc;
	return EXIT_DONE;
}

int command_dump(int argc, char **argv)
{
	struct command_line line;
	unsigned damaged = 0;
	struct config c;
	int rc = options_read(&about, argc, argv, &line);

	if (rc >= 0)
		return rc;
	if (replaying) {
		rc = options_config(&line, &c);
		if (rc >= 0)
			return rc;
		rc = replay_open(&c);
		config_close(&c);
	}
	/* By their names, which are positions: a stream takes them in order only. */
	if (replaying)
		qsort(line.arg, line.args, sizeof *line.arg, by_base);
	for (unsigned i = 0; i < line.args && rc < 0; i++) {
		rc = dump_file(line.arg[i], &damaged);
		rc = rc == EXIT_DONE ? -1 : rc;
	}
	if (rc < 0)
		rc = replay.r ? replay_say() : EXIT_DONE;
	rds_close(&replay.r);
	return rc == EXIT_DONE && damaged ? EXIT_REFUSED : rc;
}
