#include "collector/bounce_json.h"
#include "collector/command.h"
#include "collector/mbox.h"
#include "core/base/refuse.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/parse/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 << 10)
#define MAX_INPUT ((size_t)2 << 30)
#define WRITE_BYTES ((size_t)64 << 10)
#define MAX_OUTPUT ((size_t)64 << 20) /* one message gives less */

static const char help[] =
	"landfall bounce: a returned message in on stdin, what became of each recipient out as JSON lines\n\n"
	"usage: landfall bounce [--mbox] [--config FILE] [--set SECTION.KEY=VALUE]\n"
	"       landfall bounce --classes\n\n"
	"  --mbox            stdin is a mailbox of many messages\n"
	"  --config FILE     whose keys open the return path, X-Landfall-Id and links; without a key\n"
	"                    ring \"identity\" is null\n"
	"  --set S.K=VALUE   override one setting\n"
	"  --classes         print docs/CLASSES.md\n"
	"  --help            this text\n\n"
	"Reads delivery reports (RFC 3464), feedback reports (RFC 5965), bounces in plain text and "
	"automatic\n"
	"answers; anything else gives \"kind\":\"none\". Exit status: 0 done, 1 refused, 2 usage, 3 the\n"
	"system failed.\n\n"
	"example:\n"
	"  landfall bounce < returned.eml\n"
	"  landfall bounce --mbox --config /etc/landfall/landfall.conf < /var/mail/bounces\n";

struct filter {
	struct config config;
	struct keyring ring;
	struct bounce_identity_keys keys;
	struct arena arena;
	struct buf out;
};

static int usage(const char *what, const char *arg)
{
	fprintf(stderr, "landfall bounce: %s%s; try landfall bounce --help\n", what, arg);
	return EXIT_USAGE;
}

static int fail(int status, const char *why)
{
	fprintf(stderr, "landfall bounce: %s\n", why);
	return status;
}

/* 0 or -errno. */
static int write_out(struct buf *out)
{
	int rc = daemon_print(buf_slice(out));

	buf_clear(out);
	return rc;
}

/* All of stdin; 0, -errno or -REFUSE_TOO_LARGE. */
static int read_in(struct buf *in)
{
	for (;;) {
		uint8_t *room = buf_room(in, READ_BYTES);
		ssize_t n;

		if (!room)
			return -REFUSE_TOO_LARGE;
		n = read(STDIN_FILENO, room, READ_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		buf_grew(in, (size_t)n);
	}
}

static int take(struct filter *f, slice message)
{
	struct bounce_message m;
	struct bounce_identity id;
	bool ours;

	bounce_read(&f->arena, message, &m);
	ours = bounce_identity_find(&f->keys, &f->arena, &m, &id);
	bounce_json(&m, ours ? &id : NULL, &f->out);
	arena_reset(&f->arena);
	return f->out.len >= WRITE_BYTES ? write_out(&f->out) : 0;
}

static int run(struct filter *f, bool mbox)
{
	struct buf in;
	slice rest, message;
	int rc;

	buf_init(&in, MAX_INPUT);
	rc = read_in(&in);
	if (rc == -REFUSE_TOO_LARGE) {
		buf_free(&in);
		return fail(EXIT_REFUSED, "more than 2 GB on stdin");
	}
	rest = buf_slice(&in);
	if (rc == 0 && !mbox)
		rc = take(f, rest);
	while (rc == 0 && mbox && mbox_next(&rest, &message))
		rc = take(f, message);
	if (rc == 0)
		rc = write_out(&f->out);
	buf_free(&in);
	return rc < 0 ? fail(EXIT_WORLD, strerror(-rc)) : EXIT_DONE;
}

/* The keys, where there are any. 0, or the exit status. */
static int open_keys(struct filter *f)
{
	struct config *c = &f->config;
	const char *path = config_path(c, c->keys_file);
	slice host;
	struct buf why;
	int rc;

	if (access(path, F_OK) != 0 && errno == ENOENT)
		return 0;
	buf_init(&why, 2048);
	rc = keyfile_load(path, &f->ring, &why);
	if (rc < 0)
		fprintf(stderr, "landfall bounce: %.*s\n", SLICE_FMT(buf_slice(&why)));
	buf_free(&why);
	if (rc < 0)
		return rc == -REFUSE_SYNTAX ? EXIT_REFUSED : EXIT_WORLD;
	host = url_host(slice_str(c->track_url));
	f->keys = (struct bounce_identity_keys){.sealer = sealer_open(&f->ring),
		.domain = slice_str(c->track_return_path_domain),
		.host = host};
	return 0;
}

/* Options that the configuration takes. 0, or the exit status. */
static int open_config(struct filter *f, const char *file, int argc, char **argv)
{
	struct buf why;
	int rc;

	buf_init(&why, 2048);
	rc = config_open(&f->config, file, &why);
	for (int i = 1; rc == 0 && i + 1 < argc; i++)
		if (strcmp(argv[i], "--set") == 0)
			rc = config_set(&f->config, slice_str(argv[i + 1]), &why);
	if (rc < 0)
		fprintf(stderr, "landfall bounce: %.*s\n", SLICE_FMT(buf_slice(&why)));
	buf_free(&why);
	return rc == 0 ? 0 : rc == -REFUSE_SYNTAX ? EXIT_REFUSED : EXIT_WORLD;
}

static int print_classes(void)
{
	struct buf out;
	int rc;

	buf_init(&out, (size_t)1 << 20);
	classes_manual(&out);
	rc = write_out(&out);
	buf_free(&out);
	return rc < 0 ? fail(EXIT_WORLD, strerror(-rc)) : EXIT_DONE;
}

int command_bounce(int argc, char **argv)
{
	struct filter f = {0};
	const char *file = NULL;
	bool mbox = false;
	int status;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(help, stdout);
			return EXIT_DONE;
		}
		if (strcmp(argv[i], "--classes") == 0)
			return print_classes();
		if (strcmp(argv[i], "--mbox") == 0)
			mbox = true;
		else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
			file = argv[++i];
		else if (strcmp(argv[i], "--set") == 0 && i + 1 < argc)
			i++;
		else if (strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "--set") == 0)
			return usage(argv[i], " wants a value");
		else
			return usage(argv[i][0] == '-' ? "unknown option " : "unexpected argument ", argv[i]);
	}
	status = open_config(&f, file, argc, argv);
	if (status == 0)
		status = open_keys(&f);
	if (status == 0) {
		arena_init(&f.arena, BOUNCE_MEMORY, NULL, NULL);
		buf_init(&f.out, MAX_OUTPUT);
		status = run(&f, mbox);
		buf_free(&f.out);
		arena_free(&f.arena);
	}
	sealer_close(&f.keys.sealer);
	config_close(&f.config);
	return status;
}
