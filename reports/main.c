/* landfall-reports: the JSON API over the folded state. */
#include "core/base/refuse.h"
#include "core/io/daemon.h"
#include "core/io/keyset.h"
#include "core/io/log.h"
#include "reports/api.h"
#include "reports/command.h"
#include "reports/command_estimate.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WHY_MAX 4096

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

/* Until the stop signal, looking at the file of keys once a second. */
static void wait_for_stop(sem_t *done, struct keyset *keys)
{
	struct timespec until;

	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		if (sem_clockwait(done, CLOCK_MONOTONIC, &until) == 0)
			break;
		if (errno == ETIMEDOUT)
			keyset_refresh(keys);
	}
}

static int serve(struct config *c, struct keyset *keys)
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
		wait_for_stop(&done, keys);
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
	struct config c;
	struct buf why;
	int status, rc;

	if (argc > 1 && strcmp(argv[1], "report") == 0)
		return command_report(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "estimate") == 0)
		return command_estimate(argc - 1, argv + 1);
	status = daemon_start(&about, argc, argv, &c);
	if (status >= 0)
		return status;
	buf_init(&why, WHY_MAX);
	rc = keyset_open(
		&keys, config_path(&c, c.reports_api_keys), "landfall key add --api --tenant NAME", &why);
	if (rc == 0)
		status = serve(&c, keys);
	else
		fprintf(stderr, "landfall-reports: %.*s\n", SLICE_FMT(buf_slice(&why)));
	if (rc < 0)
		status = rc == -REFUSE_SYNTAX ? EXIT_REFUSED : EXIT_WORLD;
	keyset_close(&keys);
	buf_free(&why);
	config_close(&c);
	return status;
}
