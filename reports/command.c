#include "reports/command.h"

#include "core/base/refuse.h"
#include "core/io/clock.h"
#include "core/io/config.h"
#include "core/io/daemon.h"
#include "reports/load.h"
#include "reports/text.h"
#include "reports/view.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX (64u << 20)
#define DEFAULT_CONFIG "landfall-data/landfall.conf"

static const char help[] = "landfall report: what became of a campaign\n\n"
			   "usage: landfall report [NAME] [--tenant TENANT] [--json] [--config FILE] [--set "
			   "SECTION.KEY=VALUE]...\n\n"
			   "  NAME              the campaign; without it all campaigns are listed\n"
			   "  --tenant TENANT   of this tenant, where several use the same name\n"
			   "  --json            the object of the API instead of a page of text\n"
			   "  --config FILE     default: " DEFAULT_CONFIG " where it exists\n"
			   "  --set ...         override one setting; may be repeated\n\n"
			   "Exit status: 0 done, 1 no such campaign, 2 usage, 3 Redis does not answer.\n\n"
			   "example:\n  landfall report spring-sale --json\n";

struct options {
	const char *name, *tenant, *config;
	const char *set[32];
	unsigned sets;
	bool json;
};

/* -1 to go on, else the exit status. */
static int options_decode(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
		const char **to = strcmp(a, "--tenant") == 0                ? &o->tenant
				  : strcmp(a, "--config") == 0              ? &o->config
				  : strcmp(a, "--set") == 0 && o->sets < 32 ? &o->set[o->sets]
									    : NULL;

		if (strcmp(a, "--help") == 0) {
			fputs(help, stdout);
			return EXIT_DONE;
		}
		if (strcmp(a, "--json") == 0) {
			o->json = true;
		} else if (to && value) {
			*to = value;
			o->sets += to == &o->set[o->sets];
			i++;
		} else if (a[0] != '-' && !o->name) {
			o->name = a;
		} else {
			fprintf(stderr, "landfall report: %s%s; see landfall report --help\n",
				to ? "a value is missing behind " : "not understood: ", a);
			return EXIT_USAGE;
		}
	}
	return -1;
}

static int write_out(const struct buf *b)
{
	if (fwrite(b->p, 1, b->len, stdout) == b->len && fflush(stdout) == 0)
		return EXIT_DONE;
	perror("landfall report: stdout");
	return EXIT_WORLD;
}

static int show(const struct picture *p, const struct options *o)
{
	const struct campaign *c = NULL;
	uint64_t now = clock_ms();
	struct json_out j;
	struct buf out;
	int status;

	if (o->name) {
		c = picture_find(p, slice_str(o->tenant), slice_str(o->name));
		if (!c) {
			fprintf(stderr, "landfall report: no campaign \"%s\"; `landfall report` lists them\n",
				o->name);
			return EXIT_REFUSED;
		}
	}
	buf_init(&out, TEXT_MAX);
	json_start(&j, &out);
	if (o->json && c) {
		view_campaign(&j, NULL, p, c, now, true);
	} else if (o->json) {
		json_array(&j, NULL);
		for (size_t i = 0; i < p->count; i++)
			view_campaign(&j, NULL, p, p->campaigns[i], now, false);
		json_end(&j);
	} else if (c) {
		text_campaign(p, c, now, &out);
	} else {
		text_list(p, now, &out);
	}
	if (o->json)
		buf_byte(&out, '\n');
	status = write_out(&out);
	buf_free(&out);
	return status;
}

static int load_and_show(struct config *c, const struct options *o)
{
	struct rds_config redis = config_redis(c);
	struct picture *p = NULL;
	struct rds *r = NULL;
	int rc, status = EXIT_WORLD;

	redis.follow = true;
	rc = rds_open(&r, &redis);
	if (rc == 0)
		rc = load_picture(r, NULL, false, clock_ms(), &p);
	if (rc == 0)
		status = show(p, o);
	else
		fprintf(stderr,
			"landfall report: Redis at %s does not answer: %s; is `landfall up` running, and is "
			"--config right?\n",
			redis.socket && *redis.socket ? redis.socket : redis.host, strerror(-rc));
	picture_drop(&p);
	rds_close(&r);
	return status;
}

int command_report(int argc, char **argv)
{
	struct options o = {0};
	struct config c;
	struct buf why;
	int status = options_decode(argc, argv, &o), rc;

	if (status >= 0)
		return status;
	if (!o.config && access(DEFAULT_CONFIG, R_OK) == 0)
		o.config = DEFAULT_CONFIG;
	buf_init(&why, 4096);
	rc = config_open(&c, o.config, &why);
	for (unsigned i = 0; i < o.sets && rc == 0; i++)
		rc = config_set(&c, slice_str(o.set[i]), &why);
	if (rc == 0) {
		status = load_and_show(&c, &o);
	} else {
		fprintf(stderr, "landfall report: %.*s\n", SLICE_FMT(buf_slice(&why)));
		status = rc == -REFUSE_SYNTAX ? EXIT_REFUSED : EXIT_WORLD;
	}
	config_close(&c);
	buf_free(&why);
	return status;
}
