#include "rewriter/recent.h"

#include "core/base/bytes.h"
#include "core/base/crc32c.h"
#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOT 64
#define MAX_FILE ((size_t)(ATTEMPTS_MAX + MIXED_MAX) * SLOT)

enum kind { ATTEMPT = 1, MIXED = 2 };

struct entry {
	enum kind kind;
	uint64_t order, ms;
	struct attempt attempt;
	uint64_t pair, message;
};

struct recent {
	struct recent_config cfg;
	int dirfd, fd;
	pthread_mutex_t lock; /* guards the tables and order */
	struct attempts *attempts;
	struct mixed *mixed;
	uint64_t order;
	_Atomic uint64_t put, synced; /* mixed entries written; of these on the disk itself */
	atomic_bool failing, sync_failing;
};

static void encode(const struct entry *e, uint8_t p[SLOT])
{
	memset(p, 0, SLOT);
	p[4] = (uint8_t)e->kind;
	put_le64(p + 8, e->order);
	put_le64(p + 16, e->ms);
	if (e->kind == ATTEMPT) {
		put_le16(p + 6, e->attempt.day);
		put_le64(p + 24, e->attempt.campaign);
		put_le64(p + 32, e->attempt.recipient);
		put_le64(p + 40, e->attempt.message);
		put_le32(p + 48, e->attempt.lane);
		put_le32(p + 52, e->attempt.sequence);
	} else {
		put_le64(p + 24, e->pair);
		put_le64(p + 32, e->message);
	}
	put_le32(p, crc32c(slice_of(p + 4, SLOT - 4)));
}

/* False: damaged. */
static bool decode(const uint8_t p[SLOT], struct entry *e)
{
	if (get_le32(p) != crc32c(slice_of(p + 4, SLOT - 4)))
		return false;
	*e = (struct entry){.kind = p[4], .order = get_le64(p + 8), .ms = get_le64(p + 16)};
	if (e->kind == ATTEMPT)
		e->attempt = (struct attempt){.campaign = get_le64(p + 24),
			.recipient = get_le64(p + 32),
			.message = get_le64(p + 40),
			.lane = get_le32(p + 48),
			.sequence = get_le32(p + 52),
			.day = get_le16(p + 6)};
	e->pair = get_le64(p + 24);
	e->message = get_le64(p + 32);
	return e->kind == ATTEMPT || e->kind == MIXED;
}

static bool empty(const uint8_t p[SLOT])
{
	static const uint8_t zeros[SLOT];

	return memcmp(p, zeros, SLOT) == 0;
}

/* 0, or -errno. A short write is a failure: the disk is full. */
static int write_at(int fd, const void *p, size_t n, uint64_t at)
{
	ssize_t did = pwrite(fd, p, n, (off_t)at);

	if (did < 0)
		return -errno;
	return (size_t)did == n ? 0 : -ENOSPC;
}

static uint64_t slot_of(const struct recent *r, enum kind kind, uint32_t place)
{
	return (uint64_t)(kind == ATTEMPT ? place : r->cfg.attempts + place) * SLOT;
}

/* Opening. */

static bool lane_known(const struct recent *r, uint32_t lane)
{
	for (unsigned i = 0; i < r->cfg.lane_count; i++)
		if (r->cfg.lanes[i] == lane)
			return true;
	return false;
}

/* The bytes of the old file, up to MAX_FILE; *p is the caller's. 0 (also where
 * there is none), or -errno. */
static int read_old(struct recent *r, uint8_t **p, size_t *n)
{
	int fd = openat(r->dirfd, "recent", O_RDONLY | O_CLOEXEC), rc = 0;
	struct stat st;
	size_t size;

	*n = 0;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	size = fstat(fd, &st) == 0 && (size_t)st.st_size < MAX_FILE ? (size_t)st.st_size : MAX_FILE;
	*p = must_alloc(size + 1);
	while (*n < size) {
		ssize_t got = pread(fd, *p + *n, size - *n, (off_t)*n);

		if (got < 0)
			rc = -errno;
		if (got <= 0)
			break;
		*n += (size_t)got;
	}
	close(fd);
	return rc;
}

static int by_order(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

/* What still counts of the old file, oldest first. */
static struct entry *entries_of(const struct recent *r, const uint8_t *p, size_t n, size_t *count)
{
	struct entry *list = must_alloc((n / SLOT + 1) * sizeof *list), e;
	uint64_t now = clock_ms();
	int64_t damaged = 0;

	*count = 0;
	for (size_t i = 0; i + SLOT <= n; i += SLOT) {
		if (empty(p + i))
			continue;
		if (!decode(p + i, &e))
			damaged++;
		else if (e.ms + RECENT_KEEP_MS > now && (e.kind == MIXED || lane_known(r, e.attempt.lane)))
			list[(*count)++] = e;
	}
	damaged += n % SLOT > 0;
	if (damaged > 0) {
		metric_add(METRIC_recent_damaged, damaged);
		log_error("recent", "memory of recent mail damaged",
			"bad_entries=%lld kept=%zu hint=\"a client that retries one of these may send a copy "
			"twice\"",
			(long long)damaged, *count);
	}
	qsort(list, *count, sizeof *list, by_order);
	return list;
}

/* Into its table, and into the image of the new file. */
static void take_over(struct recent *r, struct entry *e, uint8_t *image, size_t used[])
{
	struct attempt key = e->attempt;
	uint32_t place;

	e->order = ++r->order;
	if (e->kind == MIXED)
		place = mixed_put(r->mixed, e->pair, e->message, e->ms);
	else if (attempts_find(r->attempts, &key))
		return;
	else
		place = attempts_put(r->attempts, &e->attempt);
	encode(e, image + slot_of(r, e->kind, place));
	if (used[e->kind] <= place)
		used[e->kind] = place + 1;
}

/* The file anew, whole or not at all. Its room is taken now, where the file system
 * can, so that no later write fails for want of it. */
static int write_new(struct recent *r, const uint8_t *image, const size_t used[])
{
	int fd = openat(r->dirfd, "recent.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc;

	if (fd < 0)
		return -errno;
	posix_fallocate(fd, 0, (off_t)(r->cfg.attempts + r->cfg.mixed) * SLOT);
	rc = write_at(fd, image, used[ATTEMPT] * SLOT, 0);
	if (rc == 0)
		rc = write_at(fd, image + slot_of(r, MIXED, 0), used[MIXED] * SLOT, slot_of(r, MIXED, 0));
	if (rc == 0 && (fsync(fd) != 0 || renameat(r->dirfd, "recent.new", r->dirfd, "recent") != 0 ||
			       fsync(r->dirfd) != 0))
		rc = -errno;
	if (rc < 0)
		close(fd);
	else
		r->fd = fd;
	return rc;
}

static int load(struct recent *r)
{
	size_t used[] = {[ATTEMPT] = 0, [MIXED] = 0}, n, count;
	uint8_t *old = NULL, *image = NULL;
	struct entry *list = NULL;
	int rc = read_old(r, &old, &n);

	if (rc < 0)
		goto out;
	list = entries_of(r, old, n, &count);
	image = must_zalloc((size_t)(r->cfg.attempts + r->cfg.mixed) * SLOT);
	for (size_t i = 0; i < count; i++)
		take_over(r, &list[i], image, used);
	rc = write_new(r, image, used);
out:
	free(list);
	free(image);
	free(old);
	return rc;
}

int recent_open(struct recent **out, const struct recent_config *cfg)
{
	struct recent *r = must_zalloc(sizeof *r);
	int rc;

	*out = NULL;
	r->cfg = *cfg;
	r->cfg.attempts = cfg->attempts ? cfg->attempts : ATTEMPTS_MAX;
	r->cfg.mixed = cfg->mixed ? cfg->mixed : MIXED_MAX;
	r->fd = -1;
	pthread_mutex_init(&r->lock, NULL);
	r->attempts = attempts_open(r->cfg.attempts);
	r->mixed = mixed_open(r->cfg.mixed);
	r->dirfd = open(cfg->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = r->dirfd < 0 ? -errno : load(r);
	r->cfg.lanes = NULL; /* was borrowed for this call */
	if (rc == 0) {
		*out = r;
		r = NULL;
	}
	recent_close(&r);
	return rc;
}

void recent_close(struct recent **rp)
{
	struct recent *r = *rp;

	*rp = NULL;
	if (!r)
		return;
	recent_sync(r);
	if (r->fd >= 0)
		close(r->fd);
	if (r->dirfd >= 0)
		close(r->dirfd);
	attempts_close(&r->attempts);
	mixed_close(&r->mixed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* Writing. e NULL: empty the slot. */
static void write_slot(struct recent *r, enum kind kind, uint32_t place, const struct entry *e)
{
	uint8_t p[SLOT] = {0};
	int rc;

	if (e)
		encode(e, p);
	rc = write_at(r->fd, p, SLOT, slot_of(r, kind, place));
	if (atomic_exchange(&r->failing, rc < 0) == (rc < 0))
		return;
	if (rc < 0)
		log_error("recent", "memory of recent mail not written", "err=%s", strerror(-rc));
	else
		log_info("recent", "memory of recent mail is written again", NULL);
}

bool recent_find_attempt(struct recent *r, struct attempt *key)
{
	bool found;

	pthread_mutex_lock(&r->lock);
	found = attempts_find(r->attempts, key);
	pthread_mutex_unlock(&r->lock);
	return found;
}

void recent_put_attempt(struct recent *r, struct attempt *entry)
{
	struct entry e = {.kind = ATTEMPT, .ms = clock_ms()};
	uint32_t place = 0;
	bool found;

	pthread_mutex_lock(&r->lock);
	found = attempts_find(r->attempts, entry);
	if (!found) {
		place = attempts_put(r->attempts, entry);
		e.order = ++r->order;
	}
	pthread_mutex_unlock(&r->lock);
	e.attempt = *entry;
	if (!found)
		write_slot(r, ATTEMPT, place, &e);
}

void recent_put_mixed(struct recent *r, uint64_t pair, uint64_t message)
{
	struct entry e = {.kind = MIXED, .ms = clock_ms(), .pair = pair, .message = message};
	uint32_t place;

	pthread_mutex_lock(&r->lock);
	place = mixed_put(r->mixed, pair, message, e.ms);
	e.order = ++r->order;
	pthread_mutex_unlock(&r->lock);
	write_slot(r, MIXED, place, &e);
	atomic_fetch_add(&r->put, 1);
}

void recent_drop_mixed(struct recent *r, uint64_t pair, uint64_t message)
{
	uint32_t place;

	pthread_mutex_lock(&r->lock);
	place = mixed_drop(r->mixed, pair, message);
	pthread_mutex_unlock(&r->lock);
	if (place != MIXED_NONE)
		write_slot(r, MIXED, place, NULL);
}

bool recent_find_mixed(struct recent *r, uint64_t pair, uint64_t message)
{
	bool found;

	pthread_mutex_lock(&r->lock);
	found = !mixed_empty(r->mixed) && mixed_find(r->mixed, pair, message, clock_ms());
	pthread_mutex_unlock(&r->lock);
	return found;
}

bool recent_any_mixed(struct recent *r, uint64_t pair)
{
	bool any;

	pthread_mutex_lock(&r->lock);
	any = mixed_any(r->mixed, pair);
	pthread_mutex_unlock(&r->lock);
	return any;
}

bool recent_no_mixed(struct recent *r)
{
	bool none;

	pthread_mutex_lock(&r->lock);
	none = mixed_empty(r->mixed);
	pthread_mutex_unlock(&r->lock);
	return none;
}

void recent_sync(struct recent *r)
{
	uint64_t put = atomic_load(&r->put);
	int rc;

	if (r->fd < 0 || atomic_load(&r->synced) >= put)
		return;
	rc = fdatasync(r->fd) != 0 ? -errno : 0;
	/* Once is enough: the mail itself does not wait for this file to heal. */
	atomic_store(&r->synced, put);
	if (rc < 0 && !atomic_exchange(&r->sync_failing, true))
		log_error("recent", "memory of recent mail not synced", "err=%s", strerror(-rc));
	else if (rc == 0)
		atomic_store(&r->sync_failing, false);
}
