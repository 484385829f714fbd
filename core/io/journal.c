#include "core/io/journal.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/metrics.h"
#include "core/io/segment.h"
#include "core/model/frame.h"
#include "core/model/rkey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long a failure to make a segment is remembered: a full disk is asked for
 * room this often, not with every batch. */
#define RETRY_MS 200
#define EVENTS_UNKNOWN UINT64_MAX
#define SUSPECT_FILE "suspect"

struct segment {
	uint64_t start;
	uint64_t size;
	uint64_t stop;   /* position behind what may be read */
	uint64_t events; /* before this segment, or EVENTS_UNKNOWN: its head is damaged */
	int fd;          /* owned; -1: synced and not written to any more */
};

struct journal {
	char *dir;
	int dirfd;
	int lockfd;
	uint32_t lane;
	size_t segment_bytes;
	uint64_t cap_bytes;
	uint64_t keep_ms;

	/* Guards everything down to the blank line; never held over I/O. */
	pthread_mutex_t lock;
	pthread_cond_t made;  /* making turned false */
	struct segment *segs; /* by position; the last one is written to */
	size_t count, room;
	struct segment spare; /* made ahead; fd -1: none */
	bool making;          /* a segment is being made or taken into use */
	uint64_t bytes;       /* on disk, spare included */
	uint64_t failed_ms;
	int failed; /* why the last segment could not be made, or 0 */

	/* Written by the owner; the segments they lie in are listed before. */
	_Atomic uint64_t end, events, note;
	_Atomic uint64_t synced;  /* by the sync thread */
	_Atomic uint64_t damaged; /* by open and the reader */
	_Atomic uint64_t least;   /* new batches stand at this position or behind */

	/* The owner's own. */
	struct segment active; /* copy of the last one listed; fd -1: none */
	uint64_t place;
	size_t place_n;
	uint64_t dirty; /* a failed write may have left bytes up to here */
	uint64_t whole; /* behind the last batch; less than end in a segment given up */
	uint64_t tail;  /* behind what an unfinished batch left there, or 0 */

	/* The sync thread's own: the last sync failed, and the kernel may have
	 * marked what it could not write as clean. A killed process leaves word of
	 * it in a file, which need not survive a power cut: then the cache is gone. */
	bool suspect;

	/* The reader's own. */
	int read_fd;
	uint64_t read_start;
	uint64_t damage_seen; /* damage before this position is counted already */
};

static uint64_t next_start(const struct journal *j)
{
	const struct segment *last = j->count ? &j->segs[j->count - 1] : NULL;

	return last ? last->start + last->size : 0;
}

static void push(struct journal *j, struct segment s)
{
	if (j->count == j->room) {
		j->room = j->room ? 2 * j->room : 8;
		j->segs = must_realloc(j->segs, j->room * sizeof *j->segs);
	}
	j->segs[j->count++] = s;
}

static void count_damage(struct journal *j, uint64_t from, uint64_t to, const char *what)
{
	if (from >= to)
		return;
	atomic_fetch_add(&j->damaged, to - from);
	metric_add(METRIC_journal_damaged_bytes, (int64_t)(to - from));
	log_warn("journal", "damage stepped over", "dir=%s from=%llu bytes=%llu kind=%s", j->dir,
		(unsigned long long)from, (unsigned long long)(to - from), what);
}

int journal_store(struct journal *j, const char *name, slice bytes, bool durable)
{
	char temporary[32];
	int fd, rc;

	must((size_t)snprintf(temporary, sizeof temporary, "%s.tmp", name) < sizeof temporary);
	fd = openat(j->dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = segment_write(fd, bytes, 0);
	if (rc == 0 && ((durable && fsync(fd) != 0) || renameat(j->dirfd, temporary, j->dirfd, name) != 0 ||
			       (durable && fsync(j->dirfd) != 0)))
		rc = -errno;
	close(fd);
	return rc;
}

int journal_load(struct journal *j, const char *name, struct buf *out)
{
	int fd = openat(j->dirfd, name, O_RDONLY | O_CLOEXEC), rc = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		rc = -errno;
	while (rc == 0 && out->len < (size_t)st.st_size) {
		uint8_t *p = buf_room(out, (size_t)st.st_size - out->len);
		ssize_t n = p ? read(fd, p, (size_t)st.st_size - out->len) : 0;

		if (!p)
			rc = -EFBIG;
		else if (n <= 0)
			rc = n < 0 ? -errno : -EIO;
		else
			buf_grew(out, (size_t)n);
	}
	close(fd);
	return rc;
}

/* Opening. */

static int make_dirs(const char *dir)
{
	char path[4096];
	size_t n = strlen(dir);

	if (n == 0 || n >= sizeof path)
		return -ENAMETOOLONG;
	memcpy(path, dir, n + 1);
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		path[i] = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return -errno;
		path[i] = dir[i];
	}
	return 0;
}

static int by_start(const void *a, const void *b)
{
	uint64_t x = ((const struct segment *)a)->start, y = ((const struct segment *)b)->start;

	return x < y ? -1 : x > y;
}

static int list_segments(struct journal *j)
{
	int fd = openat(j->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return -errno;
	}
	while ((e = readdir(d))) {
		struct segment s = {.fd = -1, .events = EVENTS_UNKNOWN};
		size_t n = strlen(e->d_name);
		struct stat st;

		if (n > 4 && strcmp(e->d_name + n - 4, ".tmp") == 0)
			unlinkat(j->dirfd, e->d_name, 0);
		if (!segment_name_decode(e->d_name, &s.start) ||
			fstatat(j->dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
			continue;
		s.size = (uint64_t)st.st_size;
		push(j, s);
	}
	closedir(d);
	if (j->count)
		qsort(j->segs, j->count, sizeof *j->segs, by_start);
	return 0;
}

/* The head of an open segment, where it is whole. A file that was cut gets back
 * the size that its head names, as the positions behind it are taken. */
static void load_head(struct journal *j, struct segment *s, struct segment *before, uint32_t *lane)
{
	uint8_t bytes[SEGMENT_HEAD];
	struct segment_head h;
	ssize_t n = pread(s->fd, bytes, sizeof bytes, 0);
	bool whole = n == SEGMENT_HEAD && segment_head_decode(slice_of(bytes, sizeof bytes), &h) == 0 &&
		     h.start == s->start;
	uint64_t size = whole ? h.size : j->segment_bytes;

	if (size < SEGMENT_LEAST || size > SEGMENT_MOST)
		size = j->segment_bytes;
	if (s->size < size && posix_fallocate(s->fd, 0, (off_t)size) != 0)
		log_warn("journal", "segment not made whole", "dir=%s start=%llu", j->dir,
			(unsigned long long)s->start);
	if (s->size < size || s->size > SEGMENT_MOST)
		s->size = size;
	s->stop = s->start + s->size;
	if (!whole)
		return;
	s->events = h.events;
	if (before && h.behind >= before->start && h.behind < before->stop)
		before->stop = h.behind;
	if (!*lane)
		*lane = h.lane;
}

static int open_segments(struct journal *j, uint32_t *lane)
{
	for (size_t i = 0; i < j->count; i++) {
		struct segment *s = &j->segs[i];
		char name[SEGMENT_NAME];

		segment_name(s->start, name);
		s->fd = openat(j->dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (s->fd < 0)
			return -errno;
		load_head(j, s, i ? s - 1 : NULL, lane);
		if (i && s[-1].start + s[-1].size > s->start) {
			j->bytes -= s[-1].start + s[-1].size - s->start;
			s[-1].size = s->start - s[-1].start;
			if (s[-1].stop > s->start)
				s[-1].stop = s->start;
		}
		j->bytes += s->size;
		/* Any of the last few may be the one to be written to or still to be synced. */
		if (!j->suspect && i + 4 < j->count && fdatasync(s->fd) == 0) {
			close(s->fd);
			s->fd = -1;
		}
	}
	return 0;
}

static int reading_fd(struct journal *j, uint64_t start)
{
	char name[SEGMENT_NAME];

	if (j->read_fd >= 0 && j->read_start == start)
		return j->read_fd;
	if (j->read_fd >= 0)
		close(j->read_fd);
	segment_name(start, name);
	j->read_fd = openat(j->dirfd, name, O_RDONLY | O_CLOEXEC);
	j->read_start = start;
	return j->read_fd;
}

/* What stands in a segment up to a position. */
struct scan {
	uint64_t events; /* of whole batches */
	uint64_t frames; /* events of all frames */
	uint64_t note;   /* last note of a whole batch */
	uint64_t whole;  /* behind the last whole batch */
	uint64_t used;   /* behind the last byte that is not zero */
};

static void scan_segment(struct journal *j, const struct segment *s, uint64_t limit, struct scan *out)
{
	struct segment_view v = {reading_fd(j, s->start), j->lane, s->start, limit};
	uint64_t pos = s->start + SEGMENT_HEAD, events = 0, note = 0, from, to;
	size_t room = limit < pos ? 0 : limit - pos < FRAME_MAX ? (size_t)(limit - pos) : FRAME_MAX;
	uint8_t *in;

	*out = (struct scan){.whole = pos, .used = pos};
	if (v.fd < 0 || !room)
		return;
	in = must_alloc(room);
	while (pos < limit) {
		uint64_t at;
		size_t n = segment_read(&v, pos, in, room, &at, &from, &to);
		struct frame f;

		if (n == 0) {
			if (to > from)
				out->used = to;
			break;
		}
		for (size_t i = 0; i < n; i += f.size) {
			must(frame_decode(slice_sub(slice_of(in, n), i, n), &f) == 1);
			if (f.partition == FRAME_NOTE)
				note = f.position;
			else
				events += f.count;
			out->frames += f.partition == FRAME_NOTE ? 0 : f.count;
			out->used = f.position + f.size;
			if (f.flags & FRAME_MORE)
				continue;
			out->events += events;
			events = 0;
			out->note = note ? note : out->note;
			note = 0;
			out->whole = out->used;
		}
		pos = at + n;
	}
	free(in);
}

/* Nothing but zeros, the head included: made ahead and never used. */
static bool is_blank(struct journal *j, const struct segment *s)
{
	uint8_t head[SEGMENT_HEAD] = {0};
	static const uint8_t zeros[SEGMENT_HEAD];
	struct scan found;

	if (pread(s->fd, head, sizeof head, 0) < 0 || memcmp(head, zeros, sizeof head) != 0)
		return false;
	scan_segment(j, s, s->stop, &found);
	return found.used == s->start + SEGMENT_HEAD;
}

static void drop_file(struct journal *j, struct segment *s)
{
	char name[SEGMENT_NAME];

	segment_name(s->start, name);
	unlinkat(j->dirfd, name, 0);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* Blank segments behind the last used one: the first may serve as the spare.
 * Its start stands, also where it leaves a gap: see journal_skip. */
static void take_spare(struct journal *j)
{
	while (j->count && j->segs[j->count - 1].fd >= 0 && is_blank(j, &j->segs[j->count - 1])) {
		struct segment s = j->segs[--j->count];

		if (j->spare.fd >= 0) {
			j->bytes -= j->spare.size;
			drop_file(j, &j->spare);
		}
		j->spare = s;
	}
	if (j->spare.fd < 0)
		return;
	if (j->spare.start > next_start(j))
		atomic_store(&j->least, j->spare.start);
	if (j->spare.size != j->segment_bytes) {
		j->bytes -= j->spare.size;
		drop_file(j, &j->spare);
	}
}

static uint64_t events_before(struct journal *j, size_t i)
{
	struct segment s[2];
	struct scan found;
	uint64_t known = EVENTS_UNKNOWN;
	size_t from = i;

	pthread_mutex_lock(&j->lock);
	while (from > 0 && j->segs[from].events == EVENTS_UNKNOWN)
		from--;
	s[0] = j->segs[from];
	pthread_mutex_unlock(&j->lock);
	known = s[0].events;
	if (known == EVENTS_UNKNOWN) {
		/* The oldest head is damaged: the next one tells, less what is in between. */
		known = 0;
		scan_segment(j, &s[0], s[0].stop, &found);
		pthread_mutex_lock(&j->lock);
		if (from + 1 < j->count && j->segs[from + 1].events != EVENTS_UNKNOWN &&
			j->segs[from + 1].events > found.events)
			known = j->segs[from + 1].events - found.events;
		pthread_mutex_unlock(&j->lock);
	}
	for (; from < i; from++) {
		pthread_mutex_lock(&j->lock);
		s[1] = j->segs[from];
		pthread_mutex_unlock(&j->lock);
		scan_segment(j, &s[1], s[1].stop, &found);
		known += found.frames; /* as the reader counts them, a batch cut short included */
	}
	pthread_mutex_lock(&j->lock);
	j->segs[i].events = known;
	pthread_mutex_unlock(&j->lock);
	return known;
}

/* Find the end. A tail that holds anything is given up with the rest of its
 * segment: whether Redis has seen frames at those positions cannot be told, so
 * they must not come again. That lasts from the moment when the next segment's
 * head says where this one ends; until then every start finds the same tail. */
static void settle_tail(struct journal *j)
{
	struct segment *last;
	struct scan found, before;

	if (!j->count) {
		atomic_store(&j->end, j->spare.fd >= 0 ? j->spare.start + SEGMENT_HEAD : SEGMENT_HEAD);
		return;
	}
	for (size_t i = 0; i < j->count; i++)
		if (j->segs[i].events == EVENTS_UNKNOWN)
			count_damage(j, j->segs[i].start, j->segs[i].start + SEGMENT_HEAD, "segment head");
	last = &j->segs[j->count - 1];
	scan_segment(j, last, last->stop, &found);
	atomic_store(&j->events, events_before(j, j->count - 1) + found.events);
	if (found.note) {
		atomic_store(&j->note, found.note);
	} else if (j->count > 1) {
		scan_segment(j, last - 1, last[-1].stop, &before);
		atomic_store(&j->note, before.note);
	}
	atomic_store(&j->end, found.whole);
	j->whole = found.whole;
	if (found.used > found.whole) {
		count_damage(j, found.whole, found.used, "unfinished tail");
		j->tail = found.used;
		last->stop = found.whole;
		atomic_store(&j->end, last->start + last->size);
	}
	j->active = *last;
}

static int load_lane(struct journal *j, uint32_t of_segments)
{
	char text[10] = "";
	int fd = openat(j->dirfd, "lane", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : 0;
	bool known = n == 9 && text[8] == '\n' && hex32_decode(slice_of(text, 8), &j->lane) && j->lane;

	if (fd < 0 && errno != ENOENT)
		return -errno;
	if (fd >= 0)
		close(fd);
	if (known && j->count)
		return 0;
	if (known)
		log_warn("journal", "no segments left", "dir=%s lane=%08x", j->dir, j->lane);
	j->lane = of_segments;
	while (!j->lane)
		if (getrandom(&j->lane, sizeof j->lane, 0) != sizeof j->lane)
			return -EIO;
	snprintf(text, sizeof text, "%08x\n", j->lane);
	return journal_store(j, "lane", slice_of(text, 9), true);
}

static int make_spare(struct journal *j);

int journal_open(struct journal **out, const struct journal_config *cfg)
{
	struct journal *j = must_zalloc(sizeof *j);
	struct stat st;
	size_t most = cfg->cap_bytes / 2 > SEGMENT_LEAST ? cfg->cap_bytes / 2 : SEGMENT_LEAST;
	uint32_t lane = 0;
	int rc;

	*out = NULL;
	must(cfg->segment_bytes >= SEGMENT_LEAST && cfg->segment_bytes <= SEGMENT_MOST);
	j->dirfd = j->lockfd = j->read_fd = j->spare.fd = j->active.fd = -1;
	j->dir = must_alloc(strlen(cfg->dir) + 1);
	strcpy(j->dir, cfg->dir);
	j->segment_bytes = cfg->segment_bytes < most ? cfg->segment_bytes : most;
	j->cap_bytes = cfg->cap_bytes;
	j->keep_ms = cfg->keep_ms;
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->made, NULL);
	rc = make_dirs(j->dir);
	if (rc < 0)
		goto out;
	j->dirfd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dirfd >= 0)
		j->lockfd = openat(j->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	/* Two writers would interleave frames; the lock dies with the process. */
	if (j->dirfd < 0 || j->lockfd < 0 || flock(j->lockfd, LOCK_EX | LOCK_NB) != 0) {
		rc = -errno;
		goto out;
	}
	j->suspect = fstatat(j->dirfd, SUSPECT_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0;
	rc = list_segments(j);
	if (rc == 0)
		rc = open_segments(j, &lane);
	if (rc == 0)
		rc = load_lane(j, lane);
	if (rc < 0)
		goto out;
	take_spare(j);
	settle_tail(j);
	/* So that a directory without segments is known to have lost them. */
	if (!j->count && j->spare.fd < 0)
		rc = make_spare(j);
	if (rc < 0)
		goto out;
	/* What a killed process wrote is safe only now. */
	atomic_store(
		&j->synced, j->count ? j->segs[j->count > 4 && !j->suspect ? j->count - 4 : 0].start : 0);
	journal_sync(j, &rc);
	rc = 0;
	/* Files may have been dropped and made again under the same name. */
	if (j->read_fd >= 0)
		close(j->read_fd);
	j->read_fd = -1;
	*out = j;
	j = NULL;
out:
	journal_close(&j);
	return rc;
}

void journal_close(struct journal **jp)
{
	struct journal *j = *jp;

	if (!j)
		return;
	for (size_t i = 0; i < j->count; i++)
		if (j->segs[i].fd >= 0)
			close(j->segs[i].fd);
	if (j->spare.fd >= 0)
		close(j->spare.fd);
	if (j->read_fd >= 0)
		close(j->read_fd);
	if (j->lockfd >= 0)
		close(j->lockfd);
	if (j->dirfd >= 0)
		close(j->dirfd);
	pthread_mutex_destroy(&j->lock);
	pthread_cond_destroy(&j->made);
	free(j->segs);
	free(j->dir);
	free(j);
	*jp = NULL;
}

uint32_t journal_lane(const struct journal *j)
{
	return j->lane;
}

/* Appending. */

size_t journal_capacity(const struct journal *j)
{
	return j->segment_bytes - SEGMENT_HEAD;
}

/* Make the segment that follows, unless it is there or being made by the other
 * thread. 0 with the spare in place, or -errno. */
static int make_spare(struct journal *j)
{
	uint64_t now = clock_mono_ms(), start, least = atomic_load(&j->least);
	struct segment stale = {.fd = -1};
	int fd, rc = 0;
	bool full;

	pthread_mutex_lock(&j->lock);
	while (j->making)
		pthread_cond_wait(&j->made, &j->lock);
	start = next_start(j) > least ? next_start(j) : least;
	if (j->spare.fd >= 0 && j->spare.start >= start)
		goto out;
	rc = j->failed;
	if (rc < 0 && now - j->failed_ms < RETRY_MS)
		goto out;
	if (j->spare.fd >= 0) {
		stale = j->spare;
		j->spare.fd = -1;
		j->bytes -= stale.size;
	}
	full = j->bytes + j->segment_bytes > j->cap_bytes;
	j->making = true;
	pthread_mutex_unlock(&j->lock);

	if (stale.fd >= 0)
		drop_file(j, &stale);
	fd = full ? -ENOSPC : segment_make(j->dirfd, start, j->segment_bytes);

	pthread_mutex_lock(&j->lock);
	rc = fd < 0 ? fd : 0;
	j->failed = full ? 0 : rc; /* the cap is cheap to ask */
	j->failed_ms = now;
	if (fd >= 0) {
		j->spare = (struct segment){
			.start = start, .size = j->segment_bytes, .stop = start + j->segment_bytes, .fd = fd};
		j->bytes += j->segment_bytes;
	}
	j->making = false;
	pthread_cond_broadcast(&j->made);
out:
	pthread_mutex_unlock(&j->lock);
	return rc;
}

/* Zeros over what failed writes left, before anything follows it. */
static int clear_dirty(struct journal *j)
{
	uint64_t end = atomic_load(&j->end);
	uint64_t start = j->active.start;
	int rc = 0;

	if (j->dirty > end)
		rc = segment_clear(j->active.fd, end - start, j->dirty - start);
	if (rc == 0)
		j->dirty = 0;
	return rc;
}

/* Go on in the next segment. */
static int roll(struct journal *j)
{
	uint8_t head[SEGMENT_HEAD];
	struct segment s = {.fd = -1};
	int rc = clear_dirty(j);

	while (rc == 0 && s.fd < 0) {
		rc = make_spare(j);
		pthread_mutex_lock(&j->lock);
		if (rc == 0 && !j->making && j->spare.fd >= 0) {
			s = j->spare;
			j->spare.fd = -1;
			/* Until it is listed nobody may make the one that follows. */
			j->making = true;
		}
		pthread_mutex_unlock(&j->lock);
	}
	if (rc < 0)
		return rc;
	s.events = atomic_load(&j->events);
	segment_head_encode(&(struct segment_head){j->lane, s.start, s.size, s.events, j->whole}, head);
	rc = segment_write(s.fd, slice_of(head, sizeof head), 0);
	/* For the day when that head is damaged. */
	if (rc == 0 && j->tail)
		segment_clear(j->active.fd, j->whole - j->active.start, j->tail - j->active.start);
	pthread_mutex_lock(&j->lock);
	if (rc == 0) {
		push(j, s);
		j->active = s;
		j->tail = 0;
		j->whole = s.start + SEGMENT_HEAD;
		atomic_store(&j->end, s.start + SEGMENT_HEAD);
	} else {
		j->spare = s;
	}
	j->making = false;
	pthread_cond_broadcast(&j->made);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

static bool fits(struct journal *j, size_t n)
{
	const struct segment *s = &j->active;
	uint64_t end = atomic_load(&j->end);

	return s->fd >= 0 && end >= atomic_load(&j->least) && end + n <= s->start + s->size;
}

uint64_t journal_place(struct journal *j, size_t n, int *rc)
{
	*rc = 0;
	if (n > journal_capacity(j))
		*rc = -EMSGSIZE;
	while (*rc == 0 && !fits(j, n))
		*rc = roll(j);
	if (*rc < 0)
		return 0;
	j->place = atomic_load(&j->end);
	j->place_n = n;
	return j->place;
}

int journal_append(struct journal *j, slice batch)
{
	const struct segment *s = &j->active;
	uint64_t events = 0, note = 0;
	struct frame f = {0};
	int rc;

	must(batch.len && j->place == atomic_load(&j->end) && j->place_n == batch.len);
	for (size_t i = 0; i < batch.len; i += f.size) {
		must(frame_decode(slice_from(batch, i), &f) == 1 && f.position == j->place + i);
		if (f.partition == FRAME_NOTE)
			note = f.position;
		else
			events += f.count;
	}
	must(!(f.flags & FRAME_MORE));
	rc = clear_dirty(j);
	if (rc == 0) {
		rc = segment_write(s->fd, batch, j->place - s->start);
		if (rc < 0)
			j->dirty = j->place + batch.len;
	}
	if (rc < 0)
		return rc;
	atomic_fetch_add(&j->events, events);
	if (note)
		atomic_store(&j->note, note);
	j->whole = j->place + batch.len;
	atomic_store(&j->end, j->whole);
	return 0;
}

int journal_ready(struct journal *j, size_t n)
{
	if (n > journal_capacity(j))
		return -EMSGSIZE;
	return fits(j, n) ? 0 : make_spare(j);
}

int journal_probe(struct journal *j)
{
	int rc = make_spare(j);

	if (rc < 0)
		return rc;
	rc = journal_store(j, "probe", SLICE("?"), true);
	unlinkat(j->dirfd, "probe", 0);
	return rc;
}

void journal_skip(struct journal *j, uint64_t pos)
{
	uint64_t least = atomic_load(&j->least);

	while (least <= pos && !atomic_compare_exchange_weak(&j->least, &least, pos + 1))
		;
}

uint64_t journal_end(struct journal *j)
{
	return atomic_load(&j->end);
}

/* Syncing. */

uint64_t journal_synced(struct journal *j)
{
	return atomic_load(&j->synced);
}

/* After a failed fdatasync the kernel may hold the data as clean; written again
 * it is dirty again and the next sync tells the truth. */
static int rewrite(int fd, uint64_t from, uint64_t to)
{
	uint8_t buf[64 * 1024];

	while (from < to) {
		size_t want = to - from < sizeof buf ? (size_t)(to - from) : sizeof buf;
		ssize_t n = pread(fd, buf, want, (off_t)from);
		int rc;

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		rc = segment_write(fd, slice_of(buf, (size_t)n), from);
		if (rc < 0)
			return rc;
		from += (uint64_t)n;
	}
	return 0;
}

static void set_suspect(struct journal *j, bool yes)
{
	if (yes != j->suspect && yes)
		journal_store(j, SUSPECT_FILE, SLICE("\n"), false);
	if (yes != j->suspect && !yes)
		unlinkat(j->dirfd, SUSPECT_FILE, 0);
	j->suspect = yes;
}

/* The first segment that reaches beyond pos; *fd to sync it. */
static bool unsynced(struct journal *j, uint64_t pos, struct segment *out, bool *last)
{
	bool found = false;

	pthread_mutex_lock(&j->lock);
	for (size_t i = j->count; i-- > 0 && j->segs[i].start + j->segs[i].size > pos;) {
		*out = j->segs[i];
		*last = i + 1 == j->count;
		found = true;
	}
	pthread_mutex_unlock(&j->lock);
	return found;
}

/* The file is not needed open any more once it is synced and full. */
static void release_fd(struct journal *j, uint64_t start)
{
	int fd = -1;

	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i + 1 < j->count; i++)
		if (j->segs[i].start == start) {
			fd = j->segs[i].fd;
			j->segs[i].fd = -1;
		}
	pthread_mutex_unlock(&j->lock);
	if (fd >= 0)
		close(fd);
}

uint64_t journal_sync(struct journal *j, int *rc)
{
	uint64_t target = atomic_load(&j->end), pos = atomic_load(&j->synced);
	struct segment s;
	bool last;

	*rc = 0;
	while (pos < target && unsynced(j, pos, &s, &last)) {
		uint64_t stop = s.start + s.size < target ? s.start + s.size : target;

		if (s.fd >= 0 && j->suspect && pos < stop)
			*rc = rewrite(s.fd, pos > s.start ? pos - s.start : 0, stop - s.start);
		if (s.fd >= 0 && *rc == 0 && fdatasync(s.fd) != 0)
			*rc = -errno;
		if (*rc < 0) {
			set_suspect(j, true);
			return 0;
		}
		if (!last)
			release_fd(j, s.start);
		pos = last ? target : s.start + s.size;
		if (pos < target)
			atomic_store(&j->synced, pos);
	}
	set_suspect(j, false);
	atomic_store(&j->synced, target);
	/* Half of the segment is used: make the next one here, where waiting is
	 * allowed, so that the owner finds it made. A failure is told by append. */
	pthread_mutex_lock(&j->lock);
	last = j->spare.fd < 0 && j->count &&
	       target > j->segs[j->count - 1].start + j->segs[j->count - 1].size / 2;
	pthread_mutex_unlock(&j->lock);
	if (last)
		make_spare(j);
	return target;
}

/* Reading. */

/* The segment that holds pos or, if none does, the first behind it. */
static bool find_segment(struct journal *j, uint64_t pos, struct segment *out, size_t *index)
{
	size_t low = 0, high;
	bool found;

	pthread_mutex_lock(&j->lock);
	high = j->count;
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (j->segs[mid].start + j->segs[mid].size <= pos)
			low = mid + 1;
		else
			high = mid;
	}
	found = low < j->count;
	if (found)
		*out = j->segs[low];
	*index = low;
	pthread_mutex_unlock(&j->lock);
	return found;
}

int64_t journal_read(struct journal *j, uint64_t pos, uint8_t *out, size_t room, uint64_t *at)
{
	uint64_t end = atomic_load(&j->end);
	struct segment s;
	size_t i;

	must(room >= FRAME_MAX);
	while (pos < end && find_segment(j, pos, &s, &i)) {
		struct segment_view v = {
			reading_fd(j, s.start), j->lane, s.start, s.stop < end ? s.stop : end};
		uint64_t from, to;
		size_t n;

		if (v.fd < 0 && errno != ENOENT)
			return -errno;
		if (pos < s.start + SEGMENT_HEAD)
			pos = s.start + SEGMENT_HEAD;
		n = v.fd < 0 || pos >= v.limit ? 0 : segment_read(&v, pos, out, room, at, &from, &to);
		if (v.fd >= 0 && pos < v.limit && to > j->damage_seen) {
			count_damage(j, from > j->damage_seen ? from : j->damage_seen, to, "damaged");
			j->damage_seen = to;
		}
		if (n)
			return (int64_t)n;
		pos = s.start + s.size;
	}
	return 0;
}

uint64_t journal_oldest(struct journal *j)
{
	uint64_t pos;

	pthread_mutex_lock(&j->lock);
	pos = j->count ? j->segs[0].start + SEGMENT_HEAD : atomic_load(&j->end);
	pthread_mutex_unlock(&j->lock);
	return pos;
}

void journal_retire(struct journal *j, uint64_t shipped, uint64_t now_ms)
{
	uint64_t synced = atomic_load(&j->synced), note = atomic_load(&j->note);

	if (shipped > synced)
		shipped = synced;
	if (note && shipped > note)
		shipped = note;
	for (;;) {
		struct segment s = {.fd = -1};
		char name[SEGMENT_NAME];
		struct stat st;
		bool crowded;

		pthread_mutex_lock(&j->lock);
		if (j->count > 1 && j->segs[0].start + j->segs[0].size <= shipped)
			s = j->segs[0];
		/* Room for the next and for the one after it. */
		crowded = j->bytes + 2 * (uint64_t)j->segment_bytes > j->cap_bytes;
		pthread_mutex_unlock(&j->lock);
		if (!s.size)
			return;
		segment_name(s.start, name);
		if (!crowded && fstatat(j->dirfd, name, &st, 0) == 0 &&
			(uint64_t)st.st_mtim.tv_sec * 1000 + (uint64_t)st.st_mtim.tv_nsec / 1000000 +
					j->keep_ms >
				now_ms)
			return;
		if (unlinkat(j->dirfd, name, 0) != 0 && errno != ENOENT)
			return;
		pthread_mutex_lock(&j->lock);
		s.fd = j->segs[0].fd;
		j->bytes -= s.size < j->bytes ? s.size : j->bytes;
		j->count--;
		memmove(j->segs, j->segs + 1, j->count * sizeof *j->segs);
		pthread_mutex_unlock(&j->lock);
		if (s.fd >= 0)
			close(s.fd);
	}
}

uint64_t journal_damaged(const struct journal *j)
{
	return atomic_load(&j->damaged);
}

uint64_t journal_events(struct journal *j)
{
	return atomic_load(&j->events);
}

uint64_t journal_events_at(struct journal *j, uint64_t pos)
{
	struct segment s;
	struct scan found;
	size_t i;

	if (pos >= atomic_load(&j->end) || !find_segment(j, pos, &s, &i))
		return atomic_load(&j->events);
	if (s.events == EVENTS_UNKNOWN)
		s.events = events_before(j, i);
	if (pos <= s.start + SEGMENT_HEAD)
		return s.events;
	scan_segment(j, &s, pos, &found);
	return s.events + found.frames;
}

uint64_t journal_last_note(const struct journal *j)
{
	return atomic_load(&j->note);
}
