#include "core/base/refuse.h"
#include "core/io/clock.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/io/options.h"
#include "core/parse/date.h"
#include "deploy/command/apikey.h"
#include "deploy/command/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool api, rewrite;
static const char *tenant = "default";

static const struct option_row rows[] = {
	{.name = "--api", .help = "an API key of the reports, not a sealing key", .flag = &api},
	{.name = "--rewrite", .help = "an API key of the rewriter (POST /v1/rewrite)", .flag = &rewrite},
	{.name = "--tenant",
		.value = "T",
		.help = "whose campaigns the API key is for (default; \"*\": all)",
		.text = &tenant},
};
static const struct command about = {
	.name = "key",
	.usage = "add|list|retire [ID] [--api|--rewrite [--tenant T]]",
	.what = "add     make a sealing key (the ring is made with the first); new mail uses it at once "
		"after a\n"
		"        restart. With --api or --rewrite: an API key, printed once; the file keeps its hash "
		"alone\n"
		"list    sealing keys and API keys, never their secrets\n"
		"retire  tokens sealed with this key no longer open: says how many days of mail that kills.\n"
		"        With --api or --rewrite: this API key no longer works",
	.example = "  landfall key add\n  landfall key add --api --tenant default\n  landfall key retire 1",
	.rows = rows,
	.count = 3,
	.least = 1,
	.most = 2,
};

/* What one verb works on. */
struct job {
	struct config *c;
	struct keyring ring;
	struct buf why;
	const char *path;
};

static int world(struct job *j)
{
	fprintf(stderr, "landfall key: %.*s\n", SLICE_FMT(buf_slice(&j->why)));
	return EXIT_WORLD;
}

static int add(struct job *j)
{
	int rc = keyfile_load(j->path, &j->ring, &j->why), id;

	/* No ring yet: this key is its first. */
	if (rc < 0 && rc != -ENOENT)
		return world(j);
	id = keyfile_add(&j->ring);
	if (id < 0) {
		fprintf(stderr, "landfall key: all %d key ids are used\n", KEYRING_MAX_KEYS);
		return EXIT_REFUSED;
	}
	buf_clear(&j->why);
	if (keyfile_store(j->path, &j->ring, &j->why) < 0)
		return world(j);
	printf("key %d added to %s\n", id, j->path);
	return EXIT_DONE;
}

/* The file of API keys that the options mean. */
static const char *api_file(struct job *j)
{
	return config_path(j->c, rewrite ? j->c->rewriter_api_keys : j->c->reports_api_keys);
}

static int add_api(struct job *j)
{
	char key[APIKEY_TEXT];
	int rc = apikey_add(api_file(j), slice_str(tenant), key, &j->why);

	if (rc == -REFUSE_LENGTH || rc == -REFUSE_ALPHABET) {
		world(j);
		return EXIT_USAGE;
	}
	if (rc < 0)
		return world(j);
	puts(key);
	explicit_bzero(key, sizeof key);
	return EXIT_DONE;
}

static void list_api(struct job *j, const char *path, const char *word)
{
	struct buf text;

	buf_init(&text, APIKEY_MAX_FILE);
	if (apikey_load(path, &text, &j->why) == 0) {
		for (slice rest = buf_slice(&text); rest.len;) {
			size_t end = slice_chr(rest, '\n', 0);
			slice line = slice_sub(rest, 0, end),
			      shown = slice_sub(line, 0, slice_rchr(line, ' '));

			if (shown.len)
				printf("%s  %.*s\n", word, SLICE_FMT(shown));
			rest = slice_from(rest, line.len + 1);
		}
	}
	buf_free(&text);
}

/* Days that passed since the key was made. */
static unsigned age(const struct keyring_key *k)
{
	uint32_t today = (uint32_t)(clock_ms() / DATE_DAY_MS);

	return today > k->made_day ? today - k->made_day : 0;
}

static int list(struct job *j)
{
	struct buf day;

	if (keyfile_load(j->path, &j->ring, &j->why) < 0)
		return world(j);
	buf_init(&day, 64);
	for (unsigned i = 0; i < j->ring.count; i++) {
		const struct keyring_key *k = &j->ring.key[i];

		buf_clear(&day);
		date_encode(k->made_day, &day);
		printf("key  %-3u %-8s made %.*s, %u days ago%s\n", k->id, k->retired ? "retired" : "active",
			SLICE_FMT(buf_slice(&day)), age(k),
			k == keyring_newest(&j->ring) ? ", seals new mail" : "");
	}
	buf_free(&day);
	list_api(j, config_path(j->c, j->c->reports_api_keys), "api");
	list_api(j, config_path(j->c, j->c->rewriter_api_keys), "rewrite");
	return EXIT_DONE;
}

static int refused(const char *what)
{
	fprintf(stderr, "landfall key: %s\n", what);
	return EXIT_REFUSED;
}

static int retire(struct job *j, const char *id)
{
	unsigned active = 0, days;
	struct keyring_key *k = NULL;
	char *end;
	unsigned long n = strtoul(id, &end, 10);

	if (keyfile_load(j->path, &j->ring, &j->why) < 0)
		return world(j);
	for (unsigned i = 0; i < j->ring.count; i++) {
		active += !j->ring.key[i].retired;
		if (!*end && j->ring.key[i].id == n)
			k = &j->ring.key[i];
	}
	if (!k)
		return refused("no such key (see landfall key list)");
	if (k->retired)
		return refused("this key is retired already");
	if (active == 1)
		return refused("this is the only active key: add another first (landfall key add)");
	days = age(k);
	k->retired = true;
	if (keyfile_store(j->path, &j->ring, &j->why) < 0)
		return world(j);
	printf("key %lu retired: links and pixels in mail of up to %u day%s no longer work once the programs "
	       "are "
	       "restarted\n",
		n, days, days == 1 ? "" : "s");
	return EXIT_DONE;
}

static int retire_api(struct job *j, const char *id)
{
	int rc = apikey_remove(api_file(j), slice_str(id), &j->why);

	if (rc < 0) {
		world(j);
		return rc == -ENOENT ? EXIT_REFUSED : EXIT_WORLD;
	}
	printf("API key %s retired\n", id);
	return EXIT_DONE;
}

static int run(struct job *j, const struct command_line *line)
{
	const char *verb = line->arg[0];

	if (strcmp(verb, "add") == 0 && line->args == 1)
		return api || rewrite ? add_api(j) : add(j);
	if (strcmp(verb, "list") == 0 && line->args == 1)
		return list(j);
	if (strcmp(verb, "retire") == 0 && line->args == 2)
		return api || rewrite ? retire_api(j, line->arg[1]) : retire(j, line->arg[1]);
	fprintf(stderr, "landfall key: add, list or retire ID (see landfall key --help)\n");
	return EXIT_USAGE;
}

int command_key(int argc, char **argv)
{
	struct command_line line;
	struct config c;
	struct job j = {.c = &c};
	int rc = options_read(&about, argc, argv, &line);

	if (rc >= 0)
		return rc;
	rc = options_config(&line, &c);
	if (rc >= 0)
		return rc;
	j.path = config_path(&c, c.keys_file);
	buf_init(&j.why, 4096);
	rc = run(&j, &line);
	explicit_bzero(&j.ring, sizeof j.ring);
	buf_free(&j.why);
	config_close(&c);
	return rc;
}
