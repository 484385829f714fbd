#include "reports/snapshot.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct snapshot {
	struct snapshot_config cfg;
	pthread_t thread;
	pthread_mutex_t lock; /* guards present, fresh, stopping */
	pthread_cond_t stop;
	struct picture *present;
	bool fresh, stopping;
};

/* Returns true when it is time to end. */
static bool pause_ms(struct snapshot *s, int ms)
{
	struct timespec until;
	bool stopping;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&s->lock);
	while (!s->stopping && pthread_cond_timedwait(&s->stop, &s->lock, &until) == 0)
		;
	stopping = s->stopping;
	pthread_mutex_unlock(&s->lock);
	return stopping;
}

static void show(struct snapshot *s, struct picture *next)
{
	struct picture *old = NULL;

	pthread_mutex_lock(&s->lock);
	s->fresh = next != NULL;
	if (next) {
		old = s->present;
		s->present = next;
	}
	pthread_mutex_unlock(&s->lock);
	picture_drop(&old);
}

static void *renew(void *arg)
{
	struct snapshot *s = arg;
	struct picture *next;
	struct rds *r = NULL;
	unsigned step = 0;
	bool away = false, known;
	int rc, wait;

	do {
		next = NULL;
		/* A Redis that comes back may have gone back, and count its versions
		 * up again to those of other numbers. */
		known = r != NULL;
		rc = r ? 0 : rds_open(&r, &s->cfg.redis);
		if (rc == 0) /* only this thread replaces the present picture: reading it needs no lock */
			rc = load_picture(r, s->present, known, clock_ms(), &next);
		if (rc < 0)
			rds_close(&r);
		if (rc < 0 && !away)
			log_warn("snapshot", "redis does not answer, showing the last picture", "err=%s",
				strerror(-rc));
		if (rc == 0 && away)
			log_info("snapshot", "redis answers again", NULL);
		away = rc < 0;
		show(s, next);
		if (rc == 0)
			step = 0;
		wait = rc < 0 ? rds_backoff_ms(&step) : (int)s->cfg.refresh_ms;
	} while (!pause_ms(s, wait));
	rds_close(&r);
	return NULL;
}

int snapshot_open(struct snapshot **out, const struct snapshot_config *cfg)
{
	struct snapshot *s = must_zalloc(sizeof *s);
	pthread_condattr_t monotonic;
	int rc;

	*out = NULL;
	s->cfg = *cfg;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->stop, &monotonic);
	pthread_condattr_destroy(&monotonic);
	rc = -pthread_create(&s->thread, NULL, renew, s);
	if (rc < 0) {
		pthread_cond_destroy(&s->stop);
		pthread_mutex_destroy(&s->lock);
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void snapshot_close(struct snapshot **sp)
{
	struct snapshot *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_signal(&s->stop);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	picture_drop(&s->present);
	pthread_cond_destroy(&s->stop);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct picture *snapshot_get(struct snapshot *s)
{
	struct picture *p;

	pthread_mutex_lock(&s->lock);
	p = s->present;
	if (p)
		picture_keep(p);
	pthread_mutex_unlock(&s->lock);
	return p;
}

bool snapshot_fresh(struct snapshot *s)
{
	bool fresh;

	pthread_mutex_lock(&s->lock);
	fresh = s->fresh;
	pthread_mutex_unlock(&s->lock);
	return fresh;
}
