/* landfall-reports: the JSON API over the folded state. */
#include "core/base/arena.h"
#include "core/base/must.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/io/log.h"
#include "reports/api.h"
#include "reports/command.h"
#include "reports/command_estimate.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WHY_MAX 4096
#define KEYS_MAX (8u << 20)

static const struct daemon_about about = {
	.program = "landfall-reports",
	.what = "serves campaign reports as JSON, and metrics",
	.example = "landfall-reports --config landfall-data/landfall.conf\n"
		   "  landfall-reports report spring-sale   (the same as: landfall report spring-sale)",
};

static void *same_api(void *arg, unsigned thread)
{
	(void)thread;
	return arg;
}

static void nothing_to_close(void *context)
{
	(void)context;
}

static void stop(void *arg)
{
	sem_post(arg);
}

/* The keys of the file as it is now. */
struct keyset {
	struct arena arena;
	struct apikeys keys;
	struct timespec changed;
};

static void keyset_free(struct keyset **k)
{
	if (*k)
		arena_free(&(*k)->arena);
	free(*k);
	*k = NULL;
}

static struct timespec changed_at(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mtim : (struct timespec){0, 0};
}

/* 0, or the exit status with a line in *why. An absent file means no keys:
 * nobody may read. */
static int keyset_load(const char *path, struct keyset **out, struct buf *why)
{
	struct keyset *k = must_zalloc(sizeof *k);
	int rc, status = EXIT_DONE;
	unsigned line = 0;
	struct buf text;

	arena_init(&k->arena, 64 << 20, NULL, NULL);
	k->changed = changed_at(path);
	buf_init(&text, KEYS_MAX);
	rc = keyfile_read(path, &text, why);
	if (rc == -ENOENT) {
		log_warn("main", "no API keys yet, only /healthz and /metrics are answered",
			"make_one=\"landfall key add --api --tenant NAME\"");
	} else if (rc < 0) {
		status = EXIT_WORLD;
	} else if (apikeys_decode(&k->arena, arena_dup(&k->arena, buf_slice(&text)), &k->keys, &line) < 0) {
		buf_printf(why,
			"%s:%u: want ID TENANT SHA256; remove the line or make a key with `landfall key add "
			"--api --tenant NAME`",
			path, line);
		status = EXIT_REFUSED;
	}
	buf_free(&text);
	if (status != EXIT_DONE)
		keyset_free(&k);
	*out = k;
	return status;
}

/* Take up a changed file. The set before the last stays until the next change:
 * a request that began with it ended long ago. */
static void keyset_refresh(const char *path, struct api *api, struct keyset **now, struct keyset **before)
{
	struct timespec t = changed_at(path);
	struct keyset *next;
	struct buf why;

	if (t.tv_sec == (*now)->changed.tv_sec && t.tv_nsec == (*now)->changed.tv_nsec)
		return;
	buf_init(&why, WHY_MAX);
	if (keyset_load(path, &next, &why) == EXIT_DONE) {
		__atomic_store_n(&api->keys, &next->keys, __ATOMIC_RELEASE);
		keyset_free(before);
		*before = *now;
		*now = next;
		log_info("main", "API keys read again", "keys=%zu", next->keys.count);
	} else {
		log_error(
			"main", "API keys not read, the old ones stay", "why=%s", log_bytes(buf_slice(&why)));
		(*now)->changed = t;
	}
	buf_free(&why);
}

/* Until the stop signal, looking at the file of keys once a second. */
static void wait_for_stop(sem_t *done, const char *path, struct api *api, struct keyset **now)
{
	struct keyset *before = NULL;
	struct timespec until;

	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		if (sem_clockwait(done, CLOCK_MONOTONIC, &until) == 0)
			break;
		if (errno == ETIMEDOUT)
			keyset_refresh(path, api, now, &before);
	}
	/* Requests still under way may hold the present set: the caller frees it
	 * after the threads ended. */
	keyset_free(&before);
}

static int serve(struct config *c, const char *keys_path, struct keyset **keys)
{
	struct snapshot_config sc = {config_redis(c), (unsigned)c->reports_refresh_ms};
	struct api api = {.keys = &(*keys)->keys};
	struct web_config wc = {
		.threads = 2,
		.max_body = 65536,
		.server_name = "landfall",
		.thread_open = same_api,
		.thread_close = nothing_to_close,
		.handle = api_handle,
		.arg = &api,
	};
	struct web *web = NULL;
	struct buf why;
	sem_t done;
	int rc;

	buf_init(&why, WHY_MAX);
	sem_init(&done, 0, 0);
	daemon_signals(stop, NULL, &done);
	wc.listen_fd = daemon_listen(&c->reports_listen, "reports.listen", &why);
	if (wc.listen_fd < 0) {
		fprintf(stderr, "landfall-reports: %.*s\n", SLICE_FMT(buf_slice(&why)));
		buf_free(&why);
		return EXIT_WORLD;
	}
	buf_free(&why);
	rc = snapshot_open(&api.snapshot, &sc);
	if (rc == 0)
		rc = web_open(&web, &wc);
	if (rc == 0) {
		daemon_ready("reports");
		wait_for_stop(&done, keys_path, &api, keys);
	} else {
		log_error("main", "cannot start", "err=%s", strerror(-rc));
	}
	web_close(&web);
	snapshot_close(&api.snapshot);
	close(wc.listen_fd);
	return rc == 0 ? EXIT_DONE : EXIT_WORLD;
}

int main(int argc, char **argv)
{
	struct keyset *keys = NULL;
	const char *path;
	struct config c;
	struct buf why;
	int status;

	if (argc > 1 && strcmp(argv[1], "report") == 0)
		return command_report(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "estimate") == 0)
		return command_estimate(argc - 1, argv + 1);
	status = daemon_start(&about, argc, argv, &c);
	if (status >= 0)
		return status;
	buf_init(&why, WHY_MAX);
	path = config_path(&c, c.reports_api_keys);
	status = keyset_load(path, &keys, &why);
	if (status == EXIT_DONE)
		status = serve(&c, path, &keys);
	else
		fprintf(stderr, "landfall-reports: %.*s\n", SLICE_FMT(buf_slice(&why)));
	keyset_free(&keys);
	buf_free(&why);
	config_close(&c);
	return status;
}
