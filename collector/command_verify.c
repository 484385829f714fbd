/* `landfall verify`: is what the reports are made from what the hits say? */
#include "collector/command.h"
#include "collector/rescore.h"
#include "collector/store.h"
#include "core/io/daemon.h"
#include "core/io/options.h"
#include "core/model/rkey.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_WHY (1u << 20)
/* A campaign that is written to while it is read is read again. */
#define TRIES 20
#define PAUSE_US 100000

static const char *tenant;
static const struct option_row rows[] = {
	{.name = "--tenant",
		.value = "TENANT",
		.help = "of this tenant, where several use the same name",
		.text = &tenant},
};
static const struct command about = {.name = "verify",
	.usage = "[NAME] [--tenant TENANT] [OPTION]...",
	.what = "Compare campaigns in the store with their kept hits: NAME, or all of them.\n\n"
		"All that hits make (opens, clicks and unsubscribes of each message, the totals by kind, "
		"link,\n"
		"hour and country) is computed anew from them. A line for each campaign, and one for each\n"
		"difference. Nothing is changed. Exit status: 0 all agree, 1 not all do or there is no such\n"
		"campaign, 2 usage, 3 Redis does not answer.",
	.example = "  landfall verify spring-sale",
	.rows = rows,
	.count = sizeof rows / sizeof *rows,
	.most = 1,
	.config = OPTIONS_CONFIG};

struct verify {
	const char *name; /* NULL: all */
	struct rds *r;
	struct buf why;
	unsigned seen, differ;
};

/* tenant, name and version. Freed by the caller; 0 or -errno. */
static int ask_head(struct verify *v, unsigned partition, uint64_t campaign, struct rds_reply **out)
{
	struct rkey key = rkey_campaign(partition, campaign);

	rds_putv(v->r, SLICE("HMGET"), rkey_slice(&key), SLICE("tenant"), SLICE("name"), SLICE("version"));
	return store_reply(v->r, out, &v->why);
}

static bool wanted(const char *name, const struct rds_reply *head)
{
	return (!tenant || slice_eq(rds_text(rds_at(head, 0)), slice_str(tenant))) &&
	       (!name || slice_eq(rds_text(rds_at(head, 1)), slice_str(name)));
}

static void say(struct verify *v, const struct rds_reply *head, const struct rescore *s)
{
	struct buf lines;

	printf("%.*s/%.*s: %" PRIu64 " hits of %" PRIu64 " messages: %s\n",
		SLICE_FMT(rds_text(rds_at(head, 0))), SLICE_FMT(rds_text(rds_at(head, 1))), s->hits,
		s->messages, rescore_agrees(s) ? "agree" : "DIFFER");
	if (rescore_agrees(s))
		return;
	v->differ++;
	buf_init(&lines, MAX_WHY);
	rescore_say(s, &lines);
	printf("%.*s%s", SLICE_FMT(buf_slice(&lines)), lines.full ? "(and more)\n" : "");
	buf_free(&lines);
}

/* One campaign, read while nobody wrote to it. 0 or -errno. */
static int verify_campaign(struct verify *v, unsigned partition, uint64_t campaign)
{
	struct rds_reply *before, *after;
	struct rescore s;
	bool still;

	for (int i = 0; i < TRIES; i++) {
		int rc = ask_head(v, partition, campaign, &before);

		if (rc < 0)
			return rc;
		if (!wanted(v->name, before)) {
			rds_reply_free(&before);
			return 0;
		}
		rc = rescore_read(v->r, partition, campaign, &verdict_rules, &s, &v->why);
		if (rc == 0)
			rc = ask_head(v, partition, campaign, &after);
		if (rc < 0) {
			rds_reply_free(&before);
			return rc;
		}
		still = slice_eq(rds_text(rds_at(before, 2)), rds_text(rds_at(after, 2)));
		if (still || i == TRIES - 1) {
			v->seen++;
			if (!still)
				puts("(written to all the time: differences may be due to that)");
			say(v, after, &s);
			i = TRIES;
		}
		rescore_free(&s);
		rds_reply_free(&before);
		rds_reply_free(&after);
		if (i < TRIES)
			usleep(PAUSE_US);
	}
	return 0;
}

static int verify_partition(struct verify *v, unsigned partition)
{
	struct rkey all = rkey_campaigns(partition), rules = rkey_rules(partition);
	struct rds_reply *rep;
	uint64_t campaign;
	int rc;

	rds_putv(v->r, SLICE("GET"), rkey_slice(&rules));
	rc = store_reply(v->r, &rep, &v->why);
	if (rc < 0)
		return rc;
	if (rds_kind(rep) != RDS_NIL && rds_int(rep) != (int64_t)verdict_rules.version)
		printf("partition %u was scored by rules %" PRId64
		       ", this program has %u: the collector scores it anew\n",
			partition, rds_int(rep), verdict_rules.version);
	rds_reply_free(&rep);
	rds_putv(v->r, SLICE("SMEMBERS"), rkey_slice(&all));
	rc = store_reply(v->r, &rep, &v->why);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < rds_len(rep) && rc == 0; i++)
		if (hex64_decode(rds_text(rds_at(rep, i)), &campaign))
			rc = verify_campaign(v, partition, campaign);
	rds_reply_free(&rep);
	return rc;
}

static int verify_all(struct verify *v)
{
	struct rds_reply *rep;
	int64_t partitions;
	int rc;

	rds_putv(v->r, SLICE("HGET"), SLICE(RKEY_META), SLICE("partitions"));
	rc = store_reply(v->r, &rep, &v->why);
	if (rc < 0)
		return rc;
	partitions = rds_kind(rep) == RDS_NIL ? 0 : rds_int(rep);
	rds_reply_free(&rep);
	for (int64_t i = 0; i < partitions && rc == 0; i++)
		rc = verify_partition(v, (unsigned)i);
	return rc;
}

static int verify(struct config *c, const char *name)
{
	struct verify v = {.name = name};
	struct rds_config redis = config_redis(c);
	int rc, status = EXIT_DONE;

	buf_init(&v.why, MAX_WHY);
	redis.follow = true;
	rc = rds_open(&v.r, &redis);
	if (rc == 0)
		rc = verify_all(&v);
	if (rc < 0) {
		fprintf(stderr, "landfall verify: Redis at %s: %s %.*s\n",
			redis.socket && *redis.socket ? redis.socket : redis.host, strerror(-rc),
			SLICE_FMT(buf_slice(&v.why)));
		status = EXIT_WORLD;
	} else if (name && !v.seen) {
		fprintf(stderr, "landfall verify: no campaign \"%s\"; `landfall report` lists them\n", name);
		status = EXIT_REFUSED;
	} else if (v.differ) {
		status = EXIT_REFUSED;
	}
	buf_free(&v.why);
	rds_close(&v.r);
	return status;
}

int command_verify(int argc, char **argv)
{
	struct command_line line;
	struct config c;
	int status = options_read(&about, argc, argv, &line);

	if (status < 0)
		status = options_config(&line, &c);
	if (status >= 0)
		return status;
	status = verify(&c, line.args ? line.arg[0] : NULL);
	config_close(&c);
	return status;
}
