#include "reports/command.h"

#include "core/base/refuse.h"
#include "core/io/clock.h"
#include "core/io/daemon.h"
#include "core/io/options.h"
#include "reports/load.h"
#include "reports/text.h"
#include "reports/view.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX (64u << 20)

static const char *tenant;
static bool as_json;
static const struct option_row rows[] = {
	{.name = "--tenant",
		.value = "TENANT",
		.help = "of this tenant, where several use the same name",
		.text = &tenant},
	{.name = "--json", .help = "the object of the API instead of a page of text", .flag = &as_json},
};
static const struct command about = {.name = "report",
	.usage = "[NAME] [--tenant TENANT] [--json] [OPTION]...",
	.what = "What became of a campaign; without NAME all campaigns are listed.\n\n"
		"Exit status: 0 done, 1 no such campaign, 2 usage, 3 Redis does not answer.",
	.example = "  landfall report spring-sale --json",
	.rows = rows,
	.count = sizeof rows / sizeof *rows,
	.most = 1,
	.config = OPTIONS_CONFIG};

static int write_out(const struct buf *b)
{
	if (fwrite(b->p, 1, b->len, stdout) == b->len && fflush(stdout) == 0)
		return EXIT_DONE;
	perror("landfall report: stdout");
	return EXIT_WORLD;
}

static int show(const struct picture *p, const char *name)
{
	const struct campaign *c = NULL;
	uint64_t now = clock_ms();
	struct json_out j;
	struct buf out;
	int status;

	if (name) {
		c = picture_find(p, slice_str(tenant), slice_str(name));
		if (!c) {
			fprintf(stderr, "landfall report: no campaign \"%s\"; `landfall report` lists them\n",
				name);
			return EXIT_REFUSED;
		}
	}
	buf_init(&out, TEXT_MAX);
	json_start(&j, &out);
	if (as_json && c) {
		view_campaign(&j, NULL, p, c, now, true);
	} else if (as_json) {
		json_array(&j, NULL);
		for (size_t i = 0; i < p->count; i++)
			view_campaign(&j, NULL, p, p->campaigns[i], now, false);
		json_end(&j);
	} else if (c) {
		text_campaign(p, c, now, &out);
	} else {
		text_list(p, now, &out);
	}
	if (as_json)
		buf_byte(&out, '\n');
	status = write_out(&out);
	buf_free(&out);
	return status;
}

static int load_and_show(struct config *c, const char *name)
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
		status = show(p, name);
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
	struct command_line line;
	struct config c;
	int status = options_read(&about, argc, argv, &line);

	if (status < 0)
		status = options_config(&line, &c);
	if (status >= 0)
		return status;
	status = load_and_show(&c, line.args ? line.arg[0] : NULL);
	config_close(&c);
	return status;
}
