#include "rewriter/command.h"

#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/clock.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/parse/date.h"
#include "core/parse/num.h"
#include "rewriter/message.h"
#include "rewriter/settings.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_WHY 2048
#define MAX_SETS 64
/* A message in memory, decoded, twice encoded, and its sites. */
#define ARENA_PER_BYTE 24
#define ARENA_LEAST ((size_t)64 << 20)

struct options {
	const char *config, *key, *campaign, *tenant, *recipient;
	const char *sets[MAX_SETS];
	unsigned set_count;
	uint32_t sequence, lane, day;
	bool explain;
};

static const char help[] =
	"landfall rewrite: a message in on stdin, the rewritten message out on stdout\n\n"
	"usage: landfall rewrite --campaign NAME --recipient ADDRESS [option]...\n\n"
	"  --campaign NAME           campaign of messages that name none themselves\n"
	"  --recipient ADDRESS       for whom this copy is\n"
	"  --tenant NAME             whose campaign it is; rewriter.default_tenant without\n"
	"  --sequence N              the recipient's number within the campaign, 0 without\n"
	"  --lane LANE, --day DATE   whose number and of which day, as `landfall token show` says of\n"
	"                            X-Landfall-Id: so any copy that went out can be made again\n"
	"  --explain                 print what would be edited and why, as one JSON object\n"
	"  --key FILE                the key ring; keys.file of the configuration without\n"
	"  --config FILE             read settings from FILE; without it the defaults hold\n"
	"  --set SECTION.KEY=VALUE   override one setting; may be repeated\n"
	"  --help                    this text\n\n"
	"Nothing is recorded: no Redis, journal or server is needed. Exit status: 0 done, 1 refused,\n"
	"2 usage, 3 the system failed.\n\n"
	"example:\n"
	"  landfall rewrite --campaign spring --recipient ann@example.com < mail.eml > out.eml\n";

static int usage(const char *what, const char *arg)
{
	fprintf(stderr, "landfall rewrite: %s%s; try landfall rewrite --help\n", what, arg);
	return EXIT_USAGE;
}

/* The value of --name at argv[*i]; NULL: another option, "": none given. */
static const char *value_of(const char *name, int argc, char **argv, int *i)
{
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n) != 0)
		return NULL;
	if (argv[*i][n] == '=')
		return argv[*i] + n + 1;
	if (argv[*i][n])
		return NULL;
	return *i + 1 < argc ? argv[++*i] : "";
}

static bool number(const char *text, uint32_t *out)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	*out = (uint32_t)v;
	return ascii_digit((uint8_t)text[0]) && *end == 0 && errno == 0 && v <= UINT32_MAX;
}

/* Eight hexadecimal digits, as lanes are shown. */
static bool lane(const char *text, uint32_t *out)
{
	uint64_t v = 0;
	bool good = num_hex_decode(slice_str(text), UINT32_MAX, &v) == 0;

	*out = (uint32_t)v;
	return good;
}

/* "2026-11-22", as token_day counts. */
static bool day(const char *text, uint32_t *out)
{
	uint32_t first = date_days(2020, 1, 1), days = 0;
	bool good = date_decode(slice_str(text), &days) && days >= first && days - first <= UINT16_MAX;

	*out = days - first;
	return good;
}

/* -1 to go on, else the exit status. */
static int options_read(int argc, char **argv, struct options *o)
{
	const struct {
		const char *name;
		const char **to;
	} texts[] = {{"--config", &o->config}, {"--key", &o->key}, {"--campaign", &o->campaign},
		{"--tenant", &o->tenant}, {"--recipient", &o->recipient}};

	for (int i = 1; i < argc; i++) {
		const char *v = NULL;
		bool known = false;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(help, stdout);
			return EXIT_DONE;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("landfall rewrite %s\n", LANDFALL_VERSION);
			return EXIT_DONE;
		}
		if (strcmp(argv[i], "--explain") == 0) {
			o->explain = true;
			continue;
		}
		for (size_t k = 0; k < sizeof texts / sizeof *texts && !known; k++) {
			v = value_of(texts[k].name, argc, argv, &i);
			if (!v)
				continue;
			if (!*v)
				return usage(texts[k].name, " wants a value");
			*texts[k].to = v;
			known = true;
		}
		if (known)
			continue;
		if ((v = value_of("--sequence", argc, argv, &i))) {
			if (!number(v, &o->sequence))
				return usage("--sequence wants a number from 0 to 4294967295, not ", v);
		} else if ((v = value_of("--lane", argc, argv, &i))) {
			if (!lane(v, &o->lane))
				return usage("--lane wants up to eight hexadecimal digits, not ", v);
		} else if ((v = value_of("--day", argc, argv, &i))) {
			if (!day(v, &o->day))
				return usage("--day wants a date like 2031-05-04, not ", v);
		} else if ((v = value_of("--set", argc, argv, &i))) {
			if (!*v || o->set_count == MAX_SETS)
				return usage("--set wants SECTION.KEY=VALUE", "");
			o->sets[o->set_count++] = v;
		} else {
			return usage(argv[i][0] == '-' ? "unknown option " : "unexpected argument ", argv[i]);
		}
	}
	return -1;
}

static int say(int status, const struct buf *why)
{
	fprintf(stderr, "landfall rewrite: %.*s\n", SLICE_FMT(buf_slice(why)));
	return status;
}

static int read_all(struct buf *in, struct buf *why)
{
	for (;;) {
		uint8_t *room = buf_room(in, 65536);
		ssize_t n;

		if (!room) {
			buf_str(why, "the message is larger than rewriter.max_message_mb");
			return EXIT_REFUSED;
		}
		n = read(STDIN_FILENO, room, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			buf_printf(why, "cannot read the message: %s", strerror(errno));
			return EXIT_WORLD;
		}
		if (n == 0)
			return EXIT_DONE;
		buf_grew(in, (size_t)n);
	}
}

static int write_all(slice s, struct buf *why)
{
	int rc = daemon_print(s);

	if (rc == 0)
		return EXIT_DONE;
	buf_printf(why, "cannot write the message: %s", strerror(-rc));
	return EXIT_WORLD;
}

static void out_of_memory(void *arg)
{
	longjmp(*(jmp_buf *)arg, 1);
}

/* Everything behind the options and the configuration. */
static int rewrite(const struct options *o, struct config *c, struct keyring *ring, struct buf *in,
	struct buf *out, struct arena *a, struct sealer *s, struct buf *why)
{
	struct identity id = {.sequence = o->sequence,
		.lane = o->lane,
		.day = o->day ? (uint16_t)o->day : token_day(clock_ms())};
	struct rendering r;
	const struct plan *p;
	struct policy policy;
	int rc = settings_policy(a, c, &policy, why);

	if (rc < 0)
		return EXIT_REFUSED;
	if (o->campaign)
		policy.default_campaign = slice_str(o->campaign);
	if (o->tenant)
		policy.default_tenant = slice_str(o->tenant);
	/* A name on the command line goes before the fields of other senders. */
	if (o->campaign)
		policy.campaign_header_count = 0;
	p = message_plan(a, buf_slice(in), &policy);
	id.campaign = hash_campaign(ring, plan_tenant(p), plan_campaign(p));
	if (o->explain) {
		rc = message_explain(a, p, &id, s, out);
		buf_byte(out, '\n');
	} else {
		rc = message_render(a, p, &id, s, out, &r);
		if (rc == 0 && r.broken)
			fprintf(stderr,
				"landfall rewrite: the proof failed (%s), this is the original: please "
				"report it\n",
				r.broken);
	}
	if (rc < 0 || out->full) {
		buf_str(why, "the rewritten message is too large");
		return EXIT_REFUSED;
	}
	return write_all(buf_slice(out), why);
}

int command_rewrite(int argc, char **argv)
{
	struct options o = {0};
	struct keyring ring;
	struct buf why, in, out;
	struct arena a;
	struct sealer *s = NULL;
	struct config c;
	jmp_buf full;
	int status = options_read(argc, argv, &o), rc;

	if (status >= 0)
		return status;
	buf_init(&why, MAX_WHY);
	rc = config_open(&c, o.config, &why);
	if (rc < 0) {
		status = say(rc == -REFUSE_SYNTAX ? EXIT_REFUSED : EXIT_WORLD, &why);
		buf_free(&why);
		return status;
	}
	buf_init(&in, ((size_t)c.rewriter_max_message_mb << 20) + 65536);
	buf_init(&out, SIZE_MAX / 4);
	arena_init(&a, ARENA_LEAST, out_of_memory, &full);
	for (unsigned i = 0; i < o.set_count; i++) {
		if (config_set(&c, slice_str(o.sets[i]), &why) < 0) {
			status = say(EXIT_USAGE, &why);
			goto out;
		}
	}
	rc = keyfile_load(o.key ? o.key : config_path(&c, c.keys_file), &ring, &why);
	if (rc < 0) {
		status = say(rc == -REFUSE_SYNTAX || rc == -ENOENT ? EXIT_REFUSED : EXIT_WORLD, &why);
		goto out;
	}
	s = sealer_open(&ring);
	status = read_all(&in, &why);
	if (status == EXIT_DONE) {
		a.cap += in.len * ARENA_PER_BYTE;
		if (setjmp(full) == 0) {
			status = rewrite(&o, &c, &ring, &in, &out, &a, s, &why);
		} else {
			buf_str(&why, "the message needs more memory than it may have");
			status = EXIT_REFUSED;
		}
	}
	if (status != EXIT_DONE)
		say(status, &why);
out:
	sealer_close(&s);
	arena_free(&a);
	buf_free(&in);
	buf_free(&out);
	buf_free(&why);
	config_close(&c);
	return status;
}
