/* landfall-collector: follows the MTA's log and folds all events into state. */
#include "collector/command.h"
#include "collector/fold.h"
#include "collector/log_intake.h"
#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/io/log.h"
#include "core/web/health.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MAX_WHY 2048
/* What the shipper may take to empty the journal at the end; what is left goes
 * out with the next start. */
#define DRAIN_MS 2000
#define LEASE_MS 5000
#define DAY_MS (24 * 3600 * 1000)

struct collector {
	struct config config;
	struct keyring ring;
	struct sealer *sealer; /* NULL: no return path and no name is ours */
	struct outbox *outbox; /* NULL: no log is followed */
	struct log_intake *intake;
	struct fold *fold;
	struct health *health;
	pthread_t fold_thread;
	bool fold_runs;
	/* The last turn of the fold left nothing behind: what was in Redis is folded. */
	_Atomic bool settled;

	/* The lock guards stop_asked, which ends the pauses. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop_asked;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "landfall-collector: %s: %s\n", what, why);
	return EXIT_WORLD;
}

static void stop(void *arg)
{
	struct collector *c = arg;

	pthread_mutex_lock(&c->lock);
	c->stop_asked = true;
	pthread_cond_broadcast(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

/* Wait; true when the time has come to stop. */
static bool pause_ms(struct collector *c, int64_t ms)
{
	uint64_t until = clock_mono_ms() + (uint64_t)ms;
	struct timespec ts = {.tv_sec = (time_t)(until / 1000), .tv_nsec = (long)(until % 1000) * 1000000};
	bool stopping;

	pthread_mutex_lock(&c->lock);
	while (!c->stop_asked && ms > 0 && pthread_cond_timedwait(&c->wake, &c->lock, &ts) != ETIMEDOUT)
		;
	stopping = c->stop_asked;
	pthread_mutex_unlock(&c->lock);
	return stopping;
}

/* Turns of one kind until the stop. A failure is said once when it begins and
 * once when it ends. */
static void turn_until_stop(struct collector *c, const char *module, int64_t (*turn)(struct collector *c))
{
	unsigned step = 0;
	int64_t n;

	do {
		n = turn(c);
		if (n < 0 && step == 0)
			log_warn(module, "waits", "err=%s", strerror((int)-n));
		if (n >= 0 && step > 0)
			log_info(module, "goes on", NULL);
		if (n >= 0)
			step = 0;
	} while (!pause_ms(c, n > 0 ? 0 : n == 0 ? c->config.collector_poll_ms : rds_backoff_ms(&step)));
}

static int64_t turn_fold(struct collector *c)
{
	int64_t n = fold_turn(c->fold);

	/* A turn that was not full took all there was. */
	c->settled = n >= 0 && n < c->config.collector_fold_batch;
	return n;
}

static void *run_fold(void *arg)
{
	struct collector *c = arg;

	turn_until_stop(c, "fold", turn_fold);
	return NULL;
}

static int64_t turn_intake(struct collector *c)
{
	return log_intake_turn(c->intake);
}

static bool is_settled(void *arg)
{
	return ((struct collector *)arg)->settled;
}

static int open_outbox(struct collector *c)
{
	struct config *cfg = &c->config;
	const char *dir = config_path(cfg, "collector");
	struct outbox_config out = {.program = "collector",
		.journal = {.dir = dir,
			.segment_bytes = (size_t)cfg->journal_segment_mb << 20,
			.cap_bytes = (uint64_t)cfg->journal_cap_mb << 20,
			.keep_ms = (uint64_t)cfg->journal_keep_hours * 3600 * 1000},
		.redis = config_redis(cfg),
		.partitions = (unsigned)cfg->store_partitions,
		.sync_ms = (unsigned)cfg->journal_sync_ms};
	int rc = outbox_open(&c->outbox, &out);

	if (rc == -EWOULDBLOCK)
		return fail(dir, "another landfall-collector uses this directory (data.dir)");
	return rc < 0 ? fail(dir, strerror(-rc)) : 0;
}

/* 0, or the exit status. */
static int open_intake(struct collector *c, struct buf *why)
{
	struct config *cfg = &c->config;
	struct log_intake_config in = {.path = config_path(cfg, cfg->collector_postfix_log),
		.redis = config_redis(cfg),
		.domain = slice_str(cfg->track_return_path_domain),
		.join_wait_ms = (unsigned)cfg->collector_join_wait_ms,
		.catch_up_ms = LOG_INTAKE_CATCH_UP_MS,
		.settled = is_settled,
		.arg = c};
	int rc;

	if (in.domain.len || cfg->rewriter_xforward) {
		if (keyfile_load(config_path(cfg, cfg->keys_file), &c->ring, why) < 0) {
			fprintf(stderr, "landfall-collector: %.*s\n", SLICE_FMT(buf_slice(why)));
			return EXIT_WORLD;
		}
		in.sealer = c->sealer = sealer_open(&c->ring);
	}
	rc = open_outbox(c);
	if (rc)
		return rc;
	in.outbox = c->outbox;
	if (log_intake_open(&c->intake, &in) < 0)
		return fail(in.path, "the place noted in the journal is not one of this version");
	return 0;
}

static int open_all(struct collector *c, struct buf *why)
{
	struct config *cfg = &c->config;
	struct fold_config fold = {.redis = config_redis(cfg),
		.partitions = (unsigned)cfg->store_partitions,
		.batch = (unsigned)cfg->collector_fold_batch,
		.lease_ms = LEASE_MS,
		.keep_tombstones_ms = (uint64_t)cfg->store_keep_tombstones_days * DAY_MS};
	int rc;

	if (health_open(&c->health, &cfg->collector_metrics, "collector.metrics", why) < 0) {
		fprintf(stderr, "landfall-collector: %.*s\n", SLICE_FMT(buf_slice(why)));
		return EXIT_WORLD;
	}
	if (*cfg->collector_postfix_log && (rc = open_intake(c, why)) != 0)
		return rc;
	rc = fold_open(&c->fold, &fold);
	if (rc < 0)
		return fail("fold", strerror(-rc));
	must(pthread_create(&c->fold_thread, NULL, run_fold, c) == 0);
	c->fold_runs = true;
	return 0;
}

static void close_all(struct collector *c)
{
	stop(c);
	if (c->fold_runs)
		pthread_join(c->fold_thread, NULL);
	fold_close(&c->fold);
	log_intake_close(&c->intake);
	outbox_close(&c->outbox, DRAIN_MS);
	sealer_close(&c->sealer);
	health_close(&c->health);
	config_close(&c->config);
}

int main(int argc, char **argv)
{
	static const struct daemon_about about = {.program = "landfall-collector",
		.what = "follows the MTA's log and folds all events into campaign state",
		.example = "landfall-collector --config /etc/landfall/landfall.conf"};
	static struct collector c = {.lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_condattr_t attr;
	struct buf why;
	int rc;

	if (argc > 1 && strcmp(argv[1], "log") == 0)
		return command_log(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "bounce") == 0)
		return command_bounce(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "verify") == 0)
		return command_verify(argc - 1, argv + 1);
	rc = daemon_start(&about, argc, argv, &c.config);
	if (rc >= 0)
		return rc;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c.wake, &attr);
	buf_init(&why, MAX_WHY);
	/* Before any thread starts: they must not be sent signals. */
	daemon_signals(stop, NULL, &c);
	rc = open_all(&c, &why);
	if (rc == 0) {
		daemon_ready(c.intake ? "fold and log" : "fold");
		if (c.intake)
			turn_until_stop(&c, "log_intake", turn_intake);
		else
			while (!pause_ms(&c, c.config.collector_poll_ms))
				;
	}
	close_all(&c);
	buf_free(&why);
	return rc;
}
