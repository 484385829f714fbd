#include "core/io/clock.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/io/options.h"
#include "core/io/rds.h"
#include "core/model/rkey.h"
#include "core/model/token.h"
#include "core/model/tombstone.h"
#include "deploy/command/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PAUSE_US 20000
#define MAX_TEXT (1u << 20)

static const char *tenant = "";
static int64_t wait_s = 10;

static const struct option_row rows[] = {
	{.name = "--tenant",
		.value = "T",
		.help = "in campaigns of this tenant alone (else: of all)",
		.text = &tenant},
	{.name = "--wait",
		.value = "S",
		.help = "seconds to wait until it is done (10); 0: only note it",
		.number = &wait_s},
};
static const struct command about = {
	.name = "forget",
	.usage = "ADDRESS... [--tenant T] [--wait S]",
	.what = "Withdrawal: opens, clicks and requests to unsubscribe of mail sent to the address so far "
		"are "
		"erased\n"
		"and taken out of all counts, and later ones of that mail count nothing; its links go on "
		"working.\n"
		"That the mail was sent, accepted or bounced stays, without the address. Mail sent later is "
		"tracked\n"
		"as it says (X-Landfall-Track: off). Write the address as mail was sent to it: capitals "
		"before "
		"the @\n"
		"count. Exit status 3: noted, but the collector, which does it, has not yet.",
	.example = "  landfall forget ann@example.com",
	.rows = rows,
	.count = 2,
	.least = 1,
	.most = OPTIONS_MAX_ARGS,
	.config = OPTIONS_CONFIG,
};

struct withdrawal {
	const struct command_line *line;
	struct rds *r;
	struct keyring ring;
	struct buf text; /* a tombstone for each address, one behind the other */
	struct {
		size_t from, to;
	} tomb[OPTIONS_MAX_ARGS];
	unsigned partitions;
};

static slice tomb_of(const struct withdrawal *w, unsigned i)
{
	return slice_sub(buf_slice(&w->text), w->tomb[i].from, w->tomb[i].to);
}

static void make_tombs(struct withdrawal *w)
{
	uint64_t now = clock_ms();

	for (unsigned i = 0; i < w->line->args; i++) {
		const struct tombstone t = {.recipient = hash_recipient(&w->ring, slice_str(w->line->arg[i])),
			.ms = now,
			.tenant = slice_str(tenant)};

		w->tomb[i].from = w->text.len;
		tombstone_encode(&t, &w->text);
		w->tomb[i].to = w->text.len;
	}
}

/* The answer to one command: a number, or -errno. */
static int64_t take(struct withdrawal *w)
{
	struct rds_reply *rep;
	int64_t n = rds_get(w->r, &rep);

	if (n < 0)
		return n;
	n = rds_kind(rep) == RDS_ERROR ? -EPROTO : rds_int(rep);
	rds_reply_free(&rep);
	return n;
}

/* One command with each tombstone in each partition; the sum of the answers, or
 * -errno. */
static int64_t each(struct withdrawal *w, slice command, struct rkey (*key_of)(unsigned partition))
{
	int64_t sum = 0;

	for (unsigned p = 0; p < w->partitions; p++) {
		struct rkey key = key_of(p);

		for (unsigned i = 0; i < w->line->args; i++)
			rds_putv(w->r, command, rkey_slice(&key), tomb_of(w, i));
	}
	for (unsigned n = w->partitions * w->line->args; n > 0; n--) {
		int64_t got = take(w);

		if (got < 0)
			return got;
		sum += got;
	}
	return sum;
}

static int64_t forget(struct withdrawal *w)
{
	uint64_t start = clock_mono_ms();
	int64_t rc, left = 0, messages;

	rds_putv(w->r, SLICE("HGET"), SLICE(RKEY_META), SLICE("partitions"));
	rc = take(w);
	if (rc < 0)
		return rc;
	w->partitions = (unsigned)rc;
	make_tombs(w);
	rc = each(w, SLICE("SADD"), rkey_forget);
	while (rc >= 0 && (left = each(w, SLICE("SISMEMBER"), rkey_forget)) > 0 &&
		clock_mono_ms() - start < (uint64_t)wait_s * 1000)
		usleep(PAUSE_US);
	if (rc < 0 || left < 0)
		return rc < 0 ? rc : left;
	messages = each(w, SLICE("HGET"), rkey_forgotten);
	if (messages < 0)
		return messages;
	if (left > 0) {
		fprintf(stderr, "landfall forget: noted; landfall-collector does it when it runs\n");
		return EXIT_WORLD;
	}
	printf("forgotten: %" PRId64 " messages to %u addresses, within %.1f s\n", messages, w->line->args,
		(double)(clock_mono_ms() - start) / 1000);
	return EXIT_DONE;
}

static int run(struct config *c, const struct command_line *line)
{
	struct rds_config redis = config_redis(c);
	struct withdrawal w = {.line = line};
	int64_t rc;

	buf_init(&w.text, MAX_TEXT);
	rc = keyfile_load(config_path(c, c->keys_file), &w.ring, &w.text);
	if (rc < 0) {
		fprintf(stderr, "landfall forget: %.*s\n", SLICE_FMT(buf_slice(&w.text)));
		rc = EXIT_WORLD;
		goto out;
	}
	buf_clear(&w.text);
	rc = rds_open(&w.r, &redis);
	if (rc == 0)
		rc = forget(&w);
	if (rc < 0) {
		fprintf(stderr, "landfall forget: Redis at %s: %s\n",
			redis.socket && *redis.socket ? redis.socket : redis.host, strerror((int)-rc));
		rc = EXIT_WORLD;
	}
out:
	rds_close(&w.r);
	buf_free(&w.text);
	return (int)rc;
}

int command_forget(int argc, char **argv)
{
	struct command_line line;
	struct config c;
	int rc = options_read(&about, argc, argv, &line);

	if (rc < 0)
		rc = options_config(&line, &c);
	if (rc >= 0)
		return rc;
	for (unsigned i = 0; i < line.args; i++) {
		if (strchr(line.arg[i], '@'))
			continue;
		fprintf(stderr, "landfall forget: not an address: %s\n", line.arg[i]);
		config_close(&c);
		return EXIT_USAGE;
	}
	rc = run(&c, &line);
	config_close(&c);
	return rc;
}
