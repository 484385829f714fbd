/* landfall-tracker: pixels, redirects and one-click unsubscribe over HTTP. */
#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/io/log.h"
#include "core/web/health.h"
#include "tracker/hit.h"

#include <dirent.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHY_MAX 1024
#define MB (1024 * 1024)
#define HOUR_MS (3600 * 1000ull)
/* Lanes of threads that an earlier run had and this one has not. */
#define MAX_OLD_LANES 256

struct tracker {
	struct config config;
	struct keyring keys;
	struct ip_networks trusted;
	struct hit_shared shared;
	struct geo *geo;
	struct outbox_config *lane; /* one for each thread */
	unsigned threads;
	struct outbox *old[MAX_OLD_LANES];
	unsigned old_count;
	int fd;
	struct health *health;
	struct web *web;
};

static sem_t stopping;

static const struct daemon_about about = {
	.program = "landfall-tracker",
	.what = "Answers pixels, redirects and one-click unsubscribes, and records them.",
	.example = "landfall-tracker --config landfall.conf",
};

static void on_stop(void *arg)
{
	(void)arg;
	sem_post(&stopping);
}

/* Lane n's outbox; the directory's name lives in the configuration's arena. */
static struct outbox_config lane_of(struct tracker *t, unsigned n)
{
	struct config *c = &t->config;
	char dir[32];

	snprintf(dir, sizeof dir, "tracker/%u", n);
	return (struct outbox_config){.program = "tracker",
		.journal = {.dir = config_path(c, arena_str(&c->arena, slice_str(dir))),
			.segment_bytes = (size_t)c->journal_segment_mb * MB,
			.cap_bytes = (uint64_t)c->journal_cap_mb * MB,
			.keep_ms = (uint64_t)c->journal_keep_hours * HOUR_MS},
		.redis = config_redis(c),
		.partitions = (unsigned)c->store_partitions,
		.sync_ms = (unsigned)c->journal_sync_ms};
}

/* With fewer threads than before some journals have no thread; what they hold
 * has still to be shipped. */
static void open_old_lanes(struct tracker *t)
{
	DIR *d = opendir(config_path(&t->config, "tracker"));
	struct dirent *e;

	while (d && (e = readdir(d)) && t->old_count < MAX_OLD_LANES) {
		char *end;
		unsigned long n = strtoul(e->d_name, &end, 10);
		struct outbox_config cfg;
		int rc;

		if (end == e->d_name || *end || n < t->threads || n > 65535)
			continue;
		cfg = lane_of(t, (unsigned)n);
		rc = outbox_open(&t->old[t->old_count], &cfg);
		if (rc < 0)
			log_error("main", "cannot ship the journal of an earlier run", "dir=%s err=%s",
				cfg.journal.dir, strerrorname_np(-rc));
		else
			t->old_count++;
	}
	if (d)
		closedir(d);
}

static void *thread_open(void *arg, unsigned thread)
{
	const struct tracker *t = arg;

	return hit_open(&t->shared, thread);
}

static void thread_close(void *context)
{
	struct hit *h = context;

	hit_close(&h);
}

/* What the tracker needs of the world; on failure *why says what to do. */
static int prepare(struct tracker *t, struct buf *why)
{
	struct config *c = &t->config;
	slice word = SLICE_NONE;
	int rc;

	rc = ip_networks_decode(slice_str(c->tracker_trusted_proxies), &t->trusted, &word);
	if (rc < 0) {
		buf_printf(why,
			"tracker.trusted_proxies: \"%.*s\" is no network such as 10.0.0.0/8 or ::1/128",
			SLICE_FMT(word));
		return EXIT_REFUSED;
	}
	rc = keyfile_load(config_path(c, c->keys_file), &t->keys, why);
	if (rc < 0)
		return rc == -REFUSE_SYNTAX ? EXIT_REFUSED : EXIT_WORLD;
	/* Forks, so before any thread. */
	if (*c->tracker_geo_database) {
		rc = geo_open(&t->geo, config_path(c, c->tracker_geo_database), "tracker.geo_database", why);
		if (rc < 0)
			return rc == -REFUSE_SYNTAX ? EXIT_REFUSED : EXIT_WORLD;
	}
	t->fd = daemon_listen(&c->tracker_listen, "tracker.listen", why);
	return t->fd < 0 ? EXIT_WORLD : EXIT_DONE;
}

static int serve(struct tracker *t, struct buf *why)
{
	struct config *c = &t->config;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int rc;

	t->threads = c->tracker_threads ? (unsigned)c->tracker_threads : cores > 0 ? (unsigned)cores : 1;
	t->lane = must_zalloc(t->threads * sizeof *t->lane);
	for (unsigned i = 0; i < t->threads; i++)
		t->lane[i] = lane_of(t, i);
	t->shared = (struct hit_shared){
		.keys = &t->keys, .geo = t->geo, .trusted = &t->trusted, .outbox = t->lane};
	sem_init(&stopping, 0, 0);
	daemon_signals(on_stop, NULL, NULL);
	if (health_open(&t->health, &c->tracker_metrics, "tracker.metrics", why) < 0)
		return EXIT_WORLD;
	open_old_lanes(t);
	rc = web_open(&t->web, &(struct web_config){.listen_fd = t->fd,
				       .threads = t->threads,
				       .max_body = HIT_MAX_BODY,
				       .server_name = "landfall",
				       .thread_open = thread_open,
				       .thread_close = thread_close,
				       .handle = hit_handle,
				       .on_turn = hit_turn,
				       .arg = t});
	if (rc < 0) {
		buf_printf(why, "cannot serve: %s", strerrordesc_np(-rc));
		return EXIT_WORLD;
	}
	daemon_ready("tracker");
	while (sem_wait(&stopping) != 0)
		;
	web_close(&t->web);
	return EXIT_DONE;
}

int main(int argc, char **argv)
{
	static struct tracker t = {.fd = -1};
	struct buf why;
	int status = daemon_start(&about, argc, argv, &t.config);

	if (status >= 0)
		return status;
	buf_init(&why, WHY_MAX);
	status = prepare(&t, &why);
	if (status == EXIT_DONE)
		status = serve(&t, &why);
	if (status != EXIT_DONE)
		fprintf(stderr, "landfall-tracker: %.*s\n", SLICE_FMT(buf_slice(&why)));
	health_close(&t.health);
	for (unsigned i = 0; i < t.old_count; i++)
		outbox_close(&t.old[i], 0);
	if (t.fd >= 0)
		close(t.fd);
	geo_close(&t.geo);
	free(t.lane);
	buf_free(&why);
	config_close(&t.config);
	return status;
}
