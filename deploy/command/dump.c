#include "core/base/refuse.h"
#include "core/io/daemon.h"
#include "core/model/event.h"
#include "core/model/frame.h"
#include "core/model/provider.h"
#include "core/model/rkey.h"
#include "deploy/command/command.h"
#include "deploy/command/options.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool frames_only;

static const struct option_row rows[] = {
	{.name = "--frames", .help = "frames without their events", .flag = &frames_only},
};
static const struct command about = {
	.name = "dump",
	.usage = "FILE... [--frames]",
	.what = "Journal segments (DIR/.../*.seg) as text: a line for each frame, and a line for each event "
		"in\n"
		"it. Damage is said and stepped over; exit status 1 if there was any.",
	.example = "  landfall dump landfall-data/rewriter/*.seg",
	.rows = rows,
	.count = 1,
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

/* Places of damage found. base: position of the segment's first byte. */
static unsigned dump_segment(slice in, uint64_t base)
{
	/* The segment's own head is no frame: look for the first. */
	size_t at = frame_resync(in, 0, base);
	unsigned damaged = 0;

	while (at != SLICE_NPOS && at < in.len) {
		struct frame f;
		int rc = frame_decode(slice_from(in, at), &f);

		if (rc > 0) {
			damaged += dump_frame(&f);
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

static int dump_file(const char *path, unsigned *damaged)
{
	uint64_t base;
	struct stat st;
	void *p;
	int fd;

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
	*damaged += dump_segment(slice_of(p, (size_t)st.st_size), base);
	munmap(p, (size_t)st.st_size);
	return EXIT_DONE;
}

int command_dump(int argc, char **argv)
{
	struct command_line line;
	unsigned damaged = 0;
	int rc = options_read(&about, argc, argv, &line);

	if (rc >= 0)
		return rc;
	for (unsigned i = 0; i < line.args; i++) {
		rc = dump_file(line.arg[i], &damaged);
		if (rc != EXIT_DONE)
			return rc;
	}
	return damaged ? EXIT_REFUSED : EXIT_DONE;
}
