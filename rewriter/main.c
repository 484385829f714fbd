/* landfall-rewriter: the SMTP front. */
#include "core/base/must.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/io/log.h"
#include "core/io/outbox.h"
#include "core/parse/url.h"
#include "core/web/health.h"
#include "rewriter/command.h"
#include "rewriter/front.h"

#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_WHY 2048
#define MAX_CAMPAIGN_HEADERS 32
/* What the shipper may take to empty the journal at the end; what is left goes
 * out with the next start. */
#define DRAIN_MS 2000

/* All that main opens, in this order. */
struct rewriter {
	struct config config;
	struct keyring ring;
	slice campaign_headers[MAX_CAMPAIGN_HEADERS];
	struct buf track_host;
	int listen_fd;
	struct outbox *outbox;
	struct sequence *sequence;
	struct copier *copier;
	struct front *front;
	struct health *health;
	_Atomic bool up, stop_asked;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "landfall-rewriter: %s%s%s\n", what, *what && *why ? ": " : "", why);
	return EXIT_WORLD;
}

static struct policy policy_of(struct rewriter *w)
{
	struct config *c = &w->config;
	slice words = slice_str(c->rewriter_campaign_headers), host;
	size_t n = 0, at = 0;
	struct policy p = {.track_url = slice_str(c->track_url),
		.opens = c->track_opens,
		.clicks = c->track_clicks,
		.text_links = c->track_text_links,
		.unsubscribe = c->track_unsubscribe,
		.default_campaign = slice_str(c->rewriter_default_campaign),
		.default_tenant = slice_str(c->rewriter_default_tenant),
		.campaign_headers = w->campaign_headers};

	while (at < words.len && n < MAX_CAMPAIGN_HEADERS) {
		size_t blank = slice_chr(words, ' ', at);
		slice word = slice_trim(slice_sub(words, at, blank));

		if (word.len > 0)
			w->campaign_headers[n++] = word;
		at = blank == SLICE_NPOS ? words.len : blank + 1;
	}
	p.campaign_header_count = n;
	while (slice_ends(p.track_url, SLICE("/")))
		p.track_url = slice_sub(p.track_url, 0, p.track_url.len - 1);
	host = url_host(p.track_url);
	buf_init(&w->track_host, 1024);
	for (size_t i = 0; i < host.len; i++)
		buf_byte(&w->track_host, ascii_lower(host.p[i]));
	p.track_host = buf_slice(&w->track_host);
	return p;
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
	return rc < 0 ? fail(dir, strerror(-rc)) : 0;
}

/* 0, or the exit status. */
static int open_all(struct rewriter *w, struct buf *why)
{
	struct config *c = &w->config;
	int rc;

	if (!url_is_web(slice_str(c->track_url))) {
		fprintf(stderr, "landfall-rewriter: track.url = %s: want http:// or https:// and a host\n",
			c->track_url);
		return EXIT_REFUSED;
	}
	rc = keyfile_load(config_path(c, c->keys_file), &w->ring, why);
	if (rc < 0)
		return fail("", (buf_byte(why, 0), (const char *)why->p));
	w->listen_fd = daemon_listen(&c->rewriter_listen, "rewriter.listen", why);
	if (w->listen_fd < 0)
		return fail("", (buf_byte(why, 0), (const char *)why->p));
	rc = open_outbox(w);
	if (rc)
		return rc;
	w->copier = copier_open(&(struct copier_config){.policy = policy_of(w),
		.ring = &w->ring,
		.return_path_domain = slice_str(c->track_return_path_domain),
		.outbox = w->outbox,
		.sequence = w->sequence,
		.max_message = (size_t)c->rewriter_max_message_mb << 20});
	w->front = front_open(&(struct front_config){
		.config = c, .listen_fd = w->listen_fd, .copier = w->copier, .outbox = w->outbox});
	if (health_open(&w->health, &c->rewriter_metrics, "rewriter.metrics", why) < 0)
		return fail("", (buf_byte(why, 0), (const char *)why->p));
	return 0;
}

static void close_all(struct rewriter *w)
{
	health_close(&w->health);
	front_close(&w->front);
	copier_close(&w->copier);
	sequence_close(&w->sequence);
	outbox_close(&w->outbox, DRAIN_MS);
	if (w->listen_fd >= 0)
		close(w->listen_fd);
	buf_free(&w->track_host);
	config_close(&w->config);
}

static void stop(void *arg)
{
	struct rewriter *w = arg;

	/* Whoever comes second sees what the other did. */
	w->stop_asked = true;
	if (w->up)
		front_stop(w->front);
}

/* With port 0 in the configuration this is the one that was given. */
static void say_address(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	char host[64] = "?", port[16] = "?";

	if (getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
		getnameinfo((struct sockaddr *)&sa, len, host, sizeof host, port, sizeof port,
			NI_NUMERICHOST | NI_NUMERICSERV);
	log_info("main", "listening", "host=%s port=%s", host, port);
}

int main(int argc, char **argv)
{
	static const struct daemon_about about = {.program = "landfall-rewriter",
		.what = "SMTP proxy before the MTA: gives every recipient's copy its own pixel and links",
		.example = "landfall-rewriter --config /etc/landfall/landfall.conf"};
	static struct rewriter w = {.listen_fd = -1};
	struct buf why;
	int rc;

	if (argc > 1 && strcmp(argv[1], "rewrite") == 0)
		return command_rewrite(argc - 1, argv + 1);
	rc = daemon_start(&about, argc, argv, &w.config);
	if (rc >= 0)
		return rc;
	buf_init(&why, MAX_WHY);
	/* Before the outbox starts its threads, which must not be sent signals. */
	daemon_signals(stop, NULL, &w);
	rc = open_all(&w, &why);
	if (rc == 0) {
		w.up = true;
		say_address(w.listen_fd);
		daemon_ready("smtp");
		if (!w.stop_asked)
			front_run(w.front);
	}
	close_all(&w);
	buf_free(&why);
	return rc;
}
