#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/io/options.h"
#include "core/io/rds.h"
#include "deploy/command/apikey.h"
#include "deploy/command/backlog.h"
#include "deploy/command/command.h"
#include "deploy/command/self.h"
#include "deploy/command/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_SOCKET "redis/redis.sock"
#define PATIENCE_MS 5000 /* how long stopping waits for the streams to be folded */

static const char *dir = "landfall-data";
static int64_t port_base;

static const struct option_row rows[] = {
	{.name = "--dir", .value = "DIR", .help = "everything is kept here (./landfall-data)", .text = &dir},
	{.name = "--port-base",
		.value = "N",
		.help = "ports N: SMTP, N-1: LMTP, N+1: tracker, N+2: reports (2525, 2524, 8080, 8090)",
		.number = &port_base},
};
static const struct command about = {
	.name = "up",
	.usage = "[--dir DIR] [--port-base N]",
	.what = "Runs the four programs and, unless the configuration names a Redis, a private "
		"redis-server,\n"
		"all below DIR: keys, journals, Redis data, logs. Keys and DIR/landfall.conf are made when\n"
		"absent. Prints an address a line when ready; starts a program that dies again; Ctrl-C or\n"
		"SIGTERM stops all in order.",
	.example = "  landfall up --dir /var/lib/landfall --set rewriter.next_hop=127.0.0.1:25",
	.rows = rows,
	.count = 2,
};

/* In the order of starting. */
enum { REDIS, COLLECTOR, TRACKER, REPORTS, REWRITER, CHILDREN };
static const char *const names[] = {"redis", "collector", "tracker", "reports", "rewriter"};
/* Mail first, what it made last. */
static const unsigned stop_order[] = {REWRITER, TRACKER, COLLECTOR, REPORTS, REDIS};

struct up {
	struct config c;
	struct command_line line;
	char dir[PATH_MAX]; /* absolute */
	const char *config; /* path of the file in use */
	bool private_redis;
	char api_key[PATH_MAX +
		     32]; /* file with the API key of this machine's own use; empty: none made here */
	struct child child[CHILDREN];
	struct rds_config redis;
};

static int world(const char *what, const char *which, int err)
{
	fprintf(stderr, "landfall up: %s%s%s: %s\n", what, *which ? " " : "", which, strerror(err));
	return EXIT_WORLD;
}

/* -1 or an exit status, as everywhere below. */
static int make_dir(struct up *u)
{
	char path[PATH_MAX];

	if (strlen(dir) >= sizeof path)
		return world("cannot use", dir, ENAMETOOLONG);
	strcpy(path, dir);
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return world("cannot make", path, errno);
		*p = '/';
	}
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return world("cannot make", path, errno);
	if (!realpath(path, u->dir))
		return world("cannot use", path, errno);
	return -1;
}

/* A folder below DIR. */
static int make_below(struct up *u, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/%s", u->dir, name) >= (int)sizeof path)
		return world("cannot make", name, ENAMETOOLONG);
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return world("cannot make", path, errno);
	return -1;
}

static const char *in_arena(struct up *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static const char *in_arena(struct up *u, const char *fmt, ...)
{
	char text[PATH_MAX + 256];
	va_list ap;

	va_start(ap, fmt);
	must(vsnprintf(text, sizeof text, fmt, ap) < (int)sizeof text);
	va_end(ap);
	return arena_str(&u->c.arena, slice_str(text));
}

/* Two of them in one folder would fight over every file in it. The lock is held
 * until the process ends. */
static int lock(struct up *u)
{
	char path[PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof path, "%s/up.lock", u->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return world("cannot make", path, errno);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		fprintf(stderr, "landfall up: %s is in use by another `landfall up`\n", u->dir);
		return EXIT_WORLD;
	}
	return -1;
}

/* The file that holds DIR's settings when none is named. */
static int make_config(const char *path, const struct up *u)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EEXIST ? -1 : world("cannot make", path, errno);
	dprintf(fd,
		"# Made by `landfall up`. Every setting and its meaning: landfall config show\n\n"
		"[data]\ndir = %s\n",
		u->dir);
	if (port_base)
		dprintf(fd,
			"\n[rewriter]\nlisten = 127.0.0.1:%d\n\n[tracker]\nlisten = 127.0.0.1:%d\n\n"
			"[track]\nurl = http://127.0.0.1:%d\n\n[reports]\nlisten = 127.0.0.1:%d\n",
			(int)port_base, (int)port_base + 1, (int)port_base + 1, (int)port_base + 2);
	close(fd);
	return -1;
}

/* Put an assignment before what the user said, so that the user wins. */
static void set_first(struct up *u, const char *assignment)
{
	if (u->line.sets == OPTIONS_MAX_SETS)
		return;
	memmove(u->line.set + 1, u->line.set, u->line.sets * sizeof u->line.set[0]);
	u->line.set[0] = assignment;
	u->line.sets++;
}

/* Two rounds: the first to know the hosts that --port-base must keep. */
static int read_config(struct up *u)
{
	static char sets[6][PATH_MAX + 32];
	static char path[PATH_MAX + 16];
	int rc;

	snprintf(path, sizeof path, "%s/landfall.conf", u->dir);
	if (!u->line.config) {
		rc = make_config(path, u);
		if (rc >= 0)
			return rc;
		u->line.config = path;
	}
	rc = options_config(&u->line, &u->c);
	if (rc >= 0)
		return rc;
	snprintf(sets[0], sizeof sets[0], "data.dir=%s", u->dir);
	if (port_base) {
		const struct config *c = &u->c;

		snprintf(sets[1], sizeof sets[1], "rewriter.listen=%s:%d", c->rewriter_listen.host,
			(int)port_base);
		snprintf(sets[2], sizeof sets[2], "tracker.listen=%s:%d", c->tracker_listen.host,
			(int)port_base + 1);
		snprintf(sets[3], sizeof sets[3], "reports.listen=%s:%d", c->reports_listen.host,
			(int)port_base + 2);
		/* A public address stays as it is. */
		if (strncmp(c->track_url, "http://127.0.0.1:", 17) == 0)
			snprintf(
				sets[4], sizeof sets[4], "track.url=http://127.0.0.1:%d", (int)port_base + 1);
	}
	if (port_base || !u->c.rewriter_lmtp_listen.port)
		snprintf(sets[5], sizeof sets[5], "rewriter.lmtp_listen=%s:%d",
			u->c.rewriter_lmtp_listen.port ? u->c.rewriter_lmtp_listen.host
						       : u->c.rewriter_listen.host,
			(port_base ? (int)port_base : u->c.rewriter_listen.port) - 1);
	config_close(&u->c);
	for (int i = 5; i >= 0; i--)
		if (*sets[i])
			set_first(u, sets[i]);
	rc = options_config(&u->line, &u->c);
	if (rc < 0) {
		u->config = u->line.config;
		u->redis = config_redis(&u->c);
		u->private_redis = !u->redis.seed_count && strcmp(u->c.redis_socket, DEFAULT_SOCKET) == 0;
	}
	return rc;
}

/* An API key that reads all tenants, for the people of this machine: the file of
 * hashes and, beside it, the key itself. 0, or -errno with *why. */
static int make_api_key(struct up *u, struct buf *why)
{
	const char *hashes = config_path(&u->c, u->c.reports_api_keys);
	char key[APIKEY_TEXT];
	int fd, rc;

	snprintf(u->api_key, sizeof u->api_key, "%s/secrets/api-key", u->dir);
	if (access(hashes, F_OK) == 0) {
		/* Keys are given out already; ours may not be among them. */
		if (access(u->api_key, F_OK) != 0)
			*u->api_key = 0;
		return 0;
	}
	if (make_below(u, "secrets") >= 0)
		return -errno;
	rc = apikey_add(hashes, SLICE("*"), key, why);
	if (rc < 0)
		return rc;
	unlink(u->api_key);
	fd = open(u->api_key, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || dprintf(fd, "%s\n", key) < 0) {
		rc = -errno;
		buf_printf(why, "%s: %s", u->api_key, strerror(-rc));
	}
	if (fd >= 0)
		close(fd);
	explicit_bzero(key, sizeof key);
	return rc;
}

static int make_keys(struct up *u)
{
	struct keyring ring;
	const char *path = config_path(&u->c, u->c.keys_file);
	struct buf why;
	int rc;

	buf_init(&why, 4096);
	rc = keyfile_load(path, &ring, &why);
	if (rc == -ENOENT) {
		buf_clear(&why);
		rc = keyfile_add(&ring);
		if (rc > 0)
			rc = keyfile_store(path, &ring, &why);
	}
	explicit_bzero(&ring, sizeof ring);
	if (rc >= 0)
		rc = make_api_key(u, &why);
	if (rc < 0)
		fprintf(stderr, "landfall up: %.*s\n", SLICE_FMT(buf_slice(&why)));
	buf_free(&why);
	return rc < 0 ? EXIT_WORLD : -1;
}

static void add_arg(struct child *c, const char *arg)
{
	must(c->argc < CHILD_MAX_ARGS);
	c->argv[c->argc++] = arg;
}

static int plan_program(struct up *u, unsigned which)
{
	struct child *c = &u->child[which];
	char path[SELF_MAX];
	int rc = self_sibling(in_arena(u, "landfall-%s", names[which]), path);

	if (rc < 0)
		return world("cannot find the program", in_arena(u, "landfall-%s", names[which]), -rc);
	c->notifies = true;
	add_arg(c, in_arena(u, "%s", path));
	add_arg(c, "--config");
	add_arg(c, u->config);
	for (unsigned i = 0; i < u->line.sets; i++) {
		add_arg(c, "--set");
		add_arg(c, u->line.set[i]);
	}
	return -1;
}

static int plan_redis(struct up *u)
{
	struct child *c = &u->child[REDIS];
	const char *const args[] = {"redis-server", "--port", "0", "--unixsocket", u->redis.socket,
		"--unixsocketperm", "700", "--dir", in_arena(u, "%s/redis", u->dir), "--daemonize", "no",
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy",
		"noeviction"};

	if (strlen(u->redis.socket) >= sizeof((struct sockaddr_un){0}).sun_path) {
		fprintf(stderr,
			"landfall up: %s: too long for a Unix socket (%zu bytes, at most 107): choose a "
			"shorter "
			"--dir\n",
			u->redis.socket, strlen(u->redis.socket));
		return EXIT_WORLD;
	}
	for (size_t i = 0; i < sizeof args / sizeof args[0]; i++)
		add_arg(c, args[i]);
	return make_below(u, "redis");
}

static int plan(struct up *u)
{
	int rc = make_below(u, "log");

	for (unsigned i = 0; i < CHILDREN && rc < 0; i++) {
		u->child[i].name = names[i];
		u->child[i].log = in_arena(u, "%s/log/%s.log", u->dir, names[i]);
		if (i != REDIS)
			rc = plan_program(u, i);
		else if (u->private_redis)
			rc = plan_redis(u);
	}
	return rc;
}

static bool is_ready(void *arg, const struct child *c)
{
	struct up *u = arg;
	struct rds_reply *rep = NULL;
	struct rds *r = NULL;
	bool up = false;

	(void)c; /* only Redis does not notify */
	if (rds_open(&r, &u->redis) == 0 && rds_askv(r, &rep, SLICE("PING")) == 0)
		up = rds_kind(rep) == RDS_STATUS && slice_eq(rds_text(rep), SLICE("PONG"));
	rds_reply_free(&rep);
	rds_close(&r);
	return up;
}

static bool may_stop(void *arg, const struct child *c)
{
	struct up *u = arg;

	/* The collector folds what rewriter and tracker left in the streams. */
	return strcmp(c->name, names[COLLECTOR]) != 0 || backlog_count(&u->redis, &u->c) <= 0;
}

static void on_ready(void *arg)
{
	struct up *u = arg;
	const struct config *c = &u->c;

	printf("landfall: mail     %s:%d   (on to %s:%d)\n", c->rewriter_listen.host, c->rewriter_listen.port,
		c->rewriter_next_hop.at[0].host, c->rewriter_next_hop.at[0].port);
	if (c->rewriter_lmtp_listen.port)
		printf("landfall: LMTP     %s:%d\n", c->rewriter_lmtp_listen.host,
			c->rewriter_lmtp_listen.port);
	printf("landfall: tracker  %s\n", c->track_url);
	printf("landfall: reports  http://%s:%d/\n", c->reports_listen.host, c->reports_listen.port);
	printf("landfall: data     %s   (logs in log/, settings in %s)\n", u->dir, u->config);
	if (*u->api_key)
		printf("landfall: API key  in %s\n", u->api_key);
	printf("landfall: ready\n");
}

static int run(struct up *u)
{
	struct supervisor_plan p = {.child = u->child,
		.count = CHILDREN,
		.stop = stop_order,
		.is_ready = is_ready,
		.on_ready = on_ready,
		.may_stop = may_stop,
		.patience_ms = PATIENCE_MS,
		.arg = u};
	unsigned without[CHILDREN];

	if (!u->private_redis) {
		/* Redis stands first: the others move up by one. */
		p.child++;
		p.count--;
		for (unsigned i = 0; i < p.count; i++)
			without[i] = stop_order[i] - 1;
		p.stop = without;
	}
	return supervisor_run(&p);
}

int command_up(int argc, char **argv)
{
	struct up *u = must_zalloc(sizeof *u);
	int rc = options_read(&about, argc, argv, &u->line);

	if (rc < 0 && (port_base < 0 || port_base > 65000)) {
		fprintf(stderr, "landfall up: --port-base is 1..65000\n");
		rc = EXIT_USAGE;
	}
	if (rc < 0)
		rc = make_dir(u);
	if (rc < 0)
		rc = lock(u);
	if (rc < 0)
		rc = read_config(u);
	if (rc >= 0) {
		free(u);
		return rc;
	}
	rc = make_keys(u);
	if (rc < 0)
		rc = plan(u);
	if (rc < 0)
		rc = run(u);
	config_close(&u->c);
	free(u);
	return rc;
}
