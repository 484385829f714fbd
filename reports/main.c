/* landfall-reports: the JSON API over the folded state. */
#include "core/base/arena.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/io/log.h"
#include "reports/api.h"
#include "reports/command.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
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

/* 0, or the exit status. An absent file means no keys: nobody may read. */
static int load_keys(struct config *c, struct arena *a, struct apikeys *keys)
{
	const char *path = config_path(c, c->reports_api_keys);
	struct buf text, why;
	unsigned line = 0;
	int rc, status = EXIT_DONE;

	*keys = (struct apikeys){0};
	buf_init(&text, KEYS_MAX);
	buf_init(&why, WHY_MAX);
	rc = keyfile_read(path, &text, &why);
	if (rc == -ENOENT) {
		log_warn("main", "no API keys yet, only /healthz and /metrics are answered",
			"make_one=\"landfall key add --api --tenant NAME\"");
	} else if (rc < 0) {
		fprintf(stderr, "landfall-reports: %.*s\n", SLICE_FMT(buf_slice(&why)));
		status = EXIT_WORLD;
	} else if (apikeys_decode(a, arena_dup(a, buf_slice(&text)), keys, &line) < 0) {
		fprintf(stderr,
			"landfall-reports: %s: line %u: want ID TENANT SHA256; remove the line or make a key "
			"with `landfall key add --api --tenant NAME`\n",
			path, line);
		status = EXIT_REFUSED;
	}
	buf_free(&text);
	buf_free(&why);
	return status;
}

static int serve(struct config *c, const struct apikeys *keys)
{
	struct snapshot_config sc = {config_redis(c), (unsigned)c->reports_refresh_ms};
	struct api api = {.keys = keys};
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
		while (sem_wait(&done) != 0)
			;
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
	struct apikeys keys;
	struct config c;
	struct arena a;
	int status;

	if (argc > 1 && strcmp(argv[1], "report") == 0)
		return command_report(argc - 1, argv + 1);
	status = daemon_start(&about, argc, argv, &c);
	if (status >= 0)
		return status;
	arena_init(&a, 64 << 20, NULL, NULL);
	status = load_keys(&c, &a, &keys);
	if (status == EXIT_DONE)
		status = serve(&c, &keys);
	arena_free(&a);
	config_close(&c);
	return status;
}
