/* landfall-rewriter: the SMTP and LMTP front, and the HTTP one beside it. */
#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/io/log.h"
#include "core/io/outbox.h"
#include "core/web/health.h"
#include "rewriter/command.h"
#include "rewriter/front.h"
#include "rewriter/http.h"
#include "rewriter/settings.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_WHY 2048
/* What the shipper may take to empty the journal at the end; what is left goes
 * out with the next start. */
#define DRAIN_MS 2000
/* How often it is looked whether the API keys changed. */
#define KEYS_MS 1000

/* All that main opens, in this order. */
struct rewriter {
	struct config config;
	struct keyring ring;
	struct policy policy;
	int listen_fd, lmtp_fd, smtps_fd; /* -1: none */
	struct transport transport;
	struct hops_routes routes;
	struct peers peers;
	struct loop *loop;
	struct outbox *outbox;
	struct sequence *sequence;
	struct recent *recent;
	struct copier *copier;
	struct front *front;
	struct http *http; /* NULL: none */
	struct loop_timer *keys;
	struct health *health;
	pthread_mutex_t lock; /* up and stop_asked, and front while it is up: for the signal thread */
	bool up, stop_asked;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "landfall-rewriter: %s: %s\n", what, why);
	return EXIT_WORLD;
}

static int fail_with(const struct buf *why, int status)
{
	fprintf(stderr, "landfall-rewriter: %.*s\n", SLICE_FMT(buf_slice(why)));
	return status;
}

static void look_at_keys(void *arg)
{
	struct rewriter *w = arg;

	http_refresh(w->http);
	loop_timer_set(w->keys, KEYS_MS);
}

/* 0, or the exit status. */
static int open_http(struct rewriter *w, struct buf *why)
{
	int rc = http_open(&w->http, &(struct http_config){&w->config, &w->ring, &w->policy}, why);

	if (rc < 0)
		return fail_with(why, rc == -REFUSE_SYNTAX ? EXIT_REFUSED : EXIT_WORLD);
	if (w->http) {
		w->keys = loop_timer(w->loop, look_at_keys, w);
		loop_timer_set(w->keys, KEYS_MS);
	}
	return 0;
}

static void sync_recent(void *recent)
{
	recent_sync(recent);
}

static int open_outbox(struct rewriter *w)
{
	struct config *c = &w->config;
	const char *dir = config_path(c, "rewriter");
	struct outbox_config cfg = {.program = "rewriter",
		.journal = {.dir = dir,
			.segment_bytes = (size_t)c->journal_segment_mb << 20,
			.cap_bytes = (uint64_t)c->journal_cap_mb << 20,
			.keep_ms = (uint64_t)c->journal_keep_hours * 3600 * 1000},
		.redis = config_redis(c),
		.partitions = (unsigned)c->store_partitions,
		.sync_ms = (unsigned)c->journal_sync_ms};
	int rc = outbox_open(&w->outbox, &cfg);

	if (rc == -EWOULDBLOCK)
		return fail(dir, "another landfall-rewriter uses this directory (data.dir)");
	if (rc < 0)
		return fail(dir, strerror(-rc));
	rc = sequence_open(&w->sequence, dir, outbox_lane(w->outbox), outbox_account(w->outbox).made > 0);
	if (rc == -ENOENT)
		return fail(dir,
			"the file sequence is missing or of another journal, and numbers must not be used "
			"twice: move this directory away and start anew");
	if (rc == 0)
		rc = recent_open(&w->recent,
			&(struct recent_config){
				.dir = dir, .lanes = (uint32_t[]){outbox_lane(w->outbox)}, .lane_count = 1});
	if (rc < 0)
		return fail(dir, strerror(-rc));
	outbox_sync_with(w->outbox, sync_recent, w->recent);
	return 0;
}

/* 0, or the exit status. */
static int open_doors(struct rewriter *w, struct buf *why)
{
	const struct config *c = &w->config;
	const struct {
		const struct config_addr *address;
		const char *setting;
		int *fd;
	} doors[] = {{&c->rewriter_listen, "rewriter.listen", &w->listen_fd},
		{&c->rewriter_lmtp_listen, "rewriter.lmtp_listen", &w->lmtp_fd},
		{&c->rewriter_smtps_listen, "rewriter.smtps_listen", &w->smtps_fd}};

	for (unsigned i = 0; i < sizeof doors / sizeof *doors; i++) {
		if (i > 0 && !doors[i].address->port)
			continue;
		*doors[i].fd = daemon_listen(doors[i].address, doors[i].setting, why);
		if (*doors[i].fd < 0)
			return fail_with(why, EXIT_WORLD);
	}
	return 0;
}

/* 0, or the exit status. */
static int open_all(struct rewriter *w, struct buf *why)
{
	struct config *c = &w->config;
	int rc = settings_policy(&c->arena, c, &w->policy, why);

	if (rc < 0 || settings_routes(&c->arena, c, &w->routes, why) < 0 ||
		settings_peers(c, &w->peers, why) < 0)
		return fail_with(why, EXIT_REFUSED);
	if (keyfile_load(config_path(c, c->keys_file), &w->ring, why) < 0)
		return fail_with(why, EXIT_WORLD);
	if (transport_open(&w->transport, c, why) < 0)
		return fail_with(why, EXIT_REFUSED);
	rc = open_doors(w, why);
	if (rc)
		return rc;
	w->loop = loop_open();
	rc = open_outbox(w);
	if (rc)
		return rc;
	w->copier = copier_open(&(struct copier_config){.policy = w->policy,
		.ring = &w->ring,
		.return_path_domain = slice_str(c->track_return_path_domain),
		.ident = *c->track_return_path_domain || c->track_envelope_id || c->rewriter_xforward,
		.outbox = w->outbox,
		.sequence = w->sequence,
		.recent = w->recent,
		.max_message = (size_t)c->rewriter_max_message_mb << 20});
	w->front = front_open(&(struct front_config){.loop = w->loop,
		.config = c,
		.listen_fd = w->listen_fd,
		.lmtp_fd = w->lmtp_fd,
		.smtps_fd = w->smtps_fd,
		.transport = &w->transport,
		.routes = &w->routes,
		.peers = &w->peers,
		.copier = w->copier,
		.outbox = w->outbox});
	if (health_open(&w->health, &c->rewriter_metrics, "rewriter.metrics", why) < 0)
		return fail_with(why, EXIT_WORLD);
	return open_http(w, why);
}

static void close_all(struct rewriter *w)
{
	if (w->keys)
		loop_timer_free(&w->keys);
	http_close(&w->http);
	health_close(&w->health);
	front_close(&w->front);
	copier_close(&w->copier);
	sequence_close(&w->sequence);
	outbox_close(&w->outbox, DRAIN_MS);
	recent_close(&w->recent);
	loop_close(&w->loop);
	if (w->listen_fd >= 0)
		close(w->listen_fd);
	if (w->lmtp_fd >= 0)
		close(w->lmtp_fd);
	if (w->smtps_fd >= 0)
		close(w->smtps_fd);
	transport_close(&w->transport);
	config_close(&w->config);
}

static void stop(void *arg)
{
	struct rewriter *w = arg;

	pthread_mutex_lock(&w->lock);
	w->stop_asked = true;
	if (w->up)
		front_stop(w->front);
	pthread_mutex_unlock(&w->lock);
}

static void renew(void *arg)
{
	struct rewriter *w = arg;

	pthread_mutex_lock(&w->lock);
	if (w->up)
		front_renew(w->front);
	pthread_mutex_unlock(&w->lock);
}

/* The front is (no longer) there to be stopped. False: a stop was asked for. */
static bool set_up(struct rewriter *w, bool up)
{
	bool wanted;

	pthread_mutex_lock(&w->lock);
	w->up = up;
	wanted = !w->stop_asked;
	pthread_mutex_unlock(&w->lock);
	return wanted;
}

/* With port 0 in the configuration this is the one that was given. */
static void say_address(const char *protocol, int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	char host[64] = "?", port[16] = "?";

	if (getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
		getnameinfo((struct sockaddr *)&sa, len, host, sizeof host, port, sizeof port,
			NI_NUMERICHOST | NI_NUMERICSERV);
	log_info("main", "listening", "protocol=%s host=%s port=%s", protocol, host, port);
}

int main(int argc, char **argv)
{
	static const struct daemon_about about = {.program = "landfall-rewriter",
		.what = "SMTP and LMTP proxy before the MTA: gives every recipient's copy its own pixel and "
			"links",
		.example = "landfall-rewriter --config /etc/landfall/landfall.conf"};
	static struct rewriter w = {
		.listen_fd = -1, .lmtp_fd = -1, .smtps_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct buf why;
	int rc;

	if (argc > 1 && strcmp(argv[1], "rewrite") == 0)
		return command_rewrite(argc - 1, argv + 1);
	rc = daemon_start(&about, argc, argv, &w.config);
	if (rc >= 0)
		return rc;
	buf_init(&why, MAX_WHY);
	/* Before the outbox starts its threads, which must not be sent signals. */
	daemon_signals(stop, renew, &w);
	rc = open_all(&w, &why);
	if (rc == 0) {
		say_address("smtp", w.listen_fd);
		if (w.lmtp_fd >= 0)
			say_address("lmtp", w.lmtp_fd);
		if (w.smtps_fd >= 0)
			say_address("smtps", w.smtps_fd);
		if (w.http)
			say_address("http", http_fd(w.http));
		daemon_ready("smtp");
		if (set_up(&w, true))
			front_run(w.front);
		set_up(&w, false);
	}
	close_all(&w);
	buf_free(&why);
	return rc;
}
