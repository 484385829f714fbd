#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/io/options.h"
#include "core/io/rds.h"
#include "core/parse/url.h"
#include "deploy/command/command.h"
#include "deploy/command/self.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT_MS 3000 /* for another program to answer */

static const struct command about = {
	.name = "doctor",
	.usage = "[--config FILE]",
	.what = "Looks at the installation and says what is wrong and what to do, a line a check: ok, warn "
		"or\n"
		"fail. Changes nothing. Exit status 1 when a check failed.",
	.example = "  landfall doctor --config landfall-data/landfall.conf",
};

static unsigned failures;

enum verdict { OK, WARN, FAIL };

static void say(enum verdict v, const char *check, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void say(enum verdict v, const char *check, const char *fmt, ...)
{
	static const char *const words[] = {"ok  ", "warn", "fail"};
	va_list ap;

	printf("%s  %-12s ", words[v], check);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	failures += v == FAIL;
}

static void check_data(const struct config *c)
{
	struct stat st;

	if (stat(c->data_dir, &st) != 0)
		say(errno == ENOENT ? WARN : FAIL, "data", "%s: %s; `landfall up` makes it", c->data_dir,
			strerror(errno));
	else if (!S_ISDIR(st.st_mode) || access(c->data_dir, W_OK) != 0)
		say(FAIL, "data", "%s is not a folder that we may write to", c->data_dir);
	else if (st.st_mode & 022)
		say(FAIL, "data", "%s: others may write to it: chmod 700 %s", c->data_dir, c->data_dir);
	else
		say(OK, "data", "%s", c->data_dir);
}

static void check_ring(struct config *c)
{
	struct keyring ring;
	struct buf why;

	buf_init(&why, 4096);
	if (keyfile_load(config_path(c, c->keys_file), &ring, &why) < 0)
		say(FAIL, "keys", "%.*s", SLICE_FMT(buf_slice(&why)));
	else if (!keyring_newest(&ring))
		say(FAIL, "keys", "every key is retired: landfall key add");
	else
		say(OK, "keys", "%u keys, key %u seals new mail", ring.count, keyring_newest(&ring)->id);
	explicit_bzero(&ring, sizeof ring);
	buf_free(&why);
}

static void check_redis_settings(struct rds *r)
{
	struct rds_reply *rep = NULL;

	if (rds_askv(r, &rep, SLICE("CONFIG"), SLICE("GET"), SLICE("appendonly")) == 0 && rds_len(rep) == 2 &&
		!slice_eq(rds_text(rds_at(rep, 1)), SLICE("yes")))
		say(WARN, "redis", "appendonly is off: after a restart the journals must fill it again");
	rds_reply_free(&rep);
	if (rds_askv(r, &rep, SLICE("CONFIG"), SLICE("GET"), SLICE("maxmemory-policy")) == 0 &&
		rds_len(rep) == 2 && !slice_eq(rds_text(rds_at(rep, 1)), SLICE("noeviction")))
		say(FAIL, "redis", "maxmemory-policy evicts keys: set it to noeviction");
	rds_reply_free(&rep);
}

static void check_cluster(struct rds *r, const struct rds_config *cfg)
{
	struct rds_reply *rep = NULL;
	int rc = rds_askv(r, &rep, SLICE("CLUSTER"), SLICE("INFO"));

	if (rc == 0 && slice_find(rds_text(rep), SLICE("cluster_state:ok"), 0) == SLICE_NPOS)
		say(FAIL, "redis", "the cluster of %s does not serve all slots (CLUSTER INFO)", cfg->host);
	else if (rc == 0)
		say(OK, "redis", "the cluster of %s serves all slots", cfg->host);
	rds_reply_free(&rep);
}

static void check_redis(struct config *c)
{
	struct rds_config cfg = config_redis(c);
	bool local = cfg.socket && *cfg.socket;
	struct rds_reply *rep = NULL;
	struct rds *r = NULL;
	int rc = rds_open(&r, &cfg);

	if (rc == 0)
		rc = rds_askv(r, &rep, SLICE("PING"));
	if (rc < 0) {
		say(FAIL, "redis",
			"%s: %s: is it running? (mail and links go on without it, reports stand still)",
			local ? cfg.socket : cfg.host, strerror(-rc));
	} else if (rds_kind(rep) == RDS_ERROR) {
		say(FAIL, "redis", "it answers: %.*s", SLICE_FMT(rds_text(rep)));
	} else {
		if (cfg.seed_count)
			check_cluster(r, &cfg);
		else
			say(OK, "redis", "%s answers", local ? cfg.socket : cfg.host);
		check_redis_settings(r);
	}
	rds_reply_free(&rep);
	rds_close(&r);
}

/* A connection, or -1 with errno. */
static int connect_to(const struct config_addr *a)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	char port[16];
	int fd = -1;

	snprintf(port, sizeof port, "%d", a->port);
	if (getaddrinfo(*a->host ? a->host : "127.0.0.1", port, &hints, &list) != 0) {
		errno = EHOSTUNREACH;
		return -1;
	}
	for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
		struct timeval limit = {.tv_sec = LIMIT_MS / 1000};

		fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, 0);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
		if (connect(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
			int err = errno;

			close(fd);
			fd = -1;
			errno = err;
		}
	}
	freeaddrinfo(list);
	return fd;
}

static void check_next_hop(const struct config_addr *a)
{
	char greeting[256];
	ssize_t n;
	int fd = connect_to(a);

	if (fd < 0) {
		say(FAIL, "next hop", "%s:%d: %s: start the MTA there or set rewriter.next_hop", a->host,
			a->port, strerror(errno));
		return;
	}
	n = recv(fd, greeting, sizeof greeting, 0);
	if (n >= 3 && memcmp(greeting, "220", 3) == 0)
		say(OK, "next hop", "%s:%d greets", a->host, a->port);
	else
		say(FAIL, "next hop", "%s:%d answers, but not as an SMTP server", a->host, a->port);
	close(fd);
}

/* A port is fine when it can be taken, or when something answers behind it that
 * may well be the program itself; a port we may not take is not. */
static void check_port(const char *setting, const struct config_addr *a)
{
	struct buf why;
	int fd;

	if (!a->port)
		return;
	buf_init(&why, 4096);
	fd = daemon_listen(a, setting, &why);
	if (fd >= 0) {
		say(OK, setting, "%s:%d is free (the program does not run)", a->host, a->port);
		close(fd);
	} else if (fd == -EADDRINUSE) {
		fd = connect_to(a);
		say(fd >= 0 ? OK : WARN, setting, "%s:%d is taken%s", a->host, a->port,
			fd >= 0 ? " and answers" : ", but does not answer");
		if (fd >= 0)
			close(fd);
	} else {
		say(FAIL, setting, "%.*s", SLICE_FMT(buf_slice(&why)));
	}
	buf_free(&why);
}

static void check_track_url(const struct config *c)
{
	slice url = slice_str(c->track_url), host = url_host(url);
	struct addrinfo *list = NULL;
	char name[256];
	int rc;

	if (!url_is_web(url) || !host.len || host.len >= sizeof name) {
		say(FAIL, "track.url", "not an http or https address: no link could be followed");
		return;
	}
	snprintf(name, sizeof name, "%.*s", SLICE_FMT(host));
	rc = getaddrinfo(name, NULL, NULL, &list);
	if (rc != 0)
		say(FAIL, "track.url", "%s does not resolve (%s): readers could not follow a link", name,
			gai_strerror(rc));
	else if (strcmp(name, "127.0.0.1") == 0 || strcmp(name, "localhost") == 0)
		say(WARN, "track.url", "%s is this machine alone: set it to the public address", name);
	else
		say(OK, "track.url", "%s resolves", name);
	if (list)
		freeaddrinfo(list);
}

static void check_programs(void)
{
	static const char *const programs[] = {
		"landfall-rewriter", "landfall-tracker", "landfall-collector", "landfall-reports"};
	char path[SELF_MAX];

	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
		int rc = self_sibling(programs[i], path);

		if (rc < 0)
			say(FAIL, "programs", "%s: %s", programs[i], strerror(-rc));
	}
}

int command_doctor(int argc, char **argv)
{
	struct command_line line;
	struct config c;
	int rc = options_read(&about, argc, argv, &line);

	if (rc >= 0)
		return rc;
	rc = options_config(&line, &c);
	if (rc >= 0)
		return rc;
	say(OK, "config", "%s", line.config ? line.config : "the defaults");
	check_programs();
	check_data(&c);
	check_ring(&c);
	check_redis(&c);
	for (unsigned i = 0; i < c.rewriter_next_hop.count; i++)
		check_next_hop(&c.rewriter_next_hop.at[i]);
	check_port("rewriter", &c.rewriter_listen);
	check_port("rewriter", &c.rewriter_lmtp_listen);
	check_port("tracker", &c.tracker_listen);
	check_port("reports", &c.reports_listen);
	check_track_url(&c);
	config_close(&c);
	return failures ? EXIT_REFUSED : EXIT_DONE;
}
