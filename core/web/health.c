#include "core/web/health.h"

#include "core/base/must.h"
#include "core/io/daemon.h"
#include "core/io/metrics.h"
#include "core/web/web.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define METRICS_MAX (256 * 1024)

struct health {
	int fd;
	struct web *web;
	struct buf text; /* of the serving thread, between web_open and web_close */
};

static void handle(void *context, struct web_req *r)
{
	struct health *h = context;
	slice path = web_path(r), plain = SLICE("text/plain; charset=utf-8");

	web_set_header(r, SLICE("cache-control"), SLICE("no-store"));
	if (!slice_eq(web_method(r), SLICE("GET")) && !slice_eq(web_method(r), SLICE("HEAD"))) {
		web_set_header(r, SLICE("allow"), SLICE("GET, HEAD"));
		web_reply(r, 405, plain, SLICE("method not allowed\n"));
	} else if (slice_eq(path, SLICE("/healthz")) && metric_get(METRIC_journals_failing) > 0) {
		web_reply(r, 503, plain, SLICE("a journal cannot be written\n"));
	} else if (slice_eq(path, SLICE("/healthz"))) {
		web_reply(r, 200, plain, SLICE("ok\n"));
	} else if (slice_eq(path, SLICE("/metrics"))) {
		buf_clear(&h->text);
		metrics_encode(&h->text);
		web_reply(r, 200, SLICE("text/plain; version=0.0.4; charset=utf-8"),
			web_keep(r, buf_slice(&h->text)));
	} else {
		web_reply(r, 404, plain, SLICE("not found\n"));
	}
}

static void *thread_open(void *arg, unsigned thread)
{
	(void)thread;
	return arg;
}

int health_open(struct health **out, const struct config_addr *a, const char *setting, struct buf *why)
{
	struct health *h;
	int rc;

	*out = NULL;
	if (a->port == 0)
		return 0;
	h = must_zalloc(sizeof *h);
	buf_init(&h->text, METRICS_MAX);
	rc = h->fd = daemon_listen(a, setting, why);
	if (rc < 0)
		goto out;
	rc = web_open(&h->web, &(struct web_config){.listen_fd = h->fd,
				       .threads = 1,
				       .max_body = 4096,
				       .server_name = "landfall",
				       .thread_open = thread_open,
				       .handle = handle,
				       .arg = h});
	if (rc < 0) {
		buf_printf(why, "%s: cannot serve: %s", setting, strerror(-rc));
		goto out;
	}
	*out = h;
	h = NULL;
out:
	health_close(&h);
	return rc < 0 ? rc : 0;
}

void health_close(struct health **h)
{
	struct health *x = *h;

	if (!x)
		return;
	web_close(&x->web);
	if (x->fd >= 0)
		close(x->fd);
	buf_free(&x->text);
	free(x);
	*h = NULL;
}
