/* Compiled without sanitizers and without 64-bit names for the same calls: it
 * defines both. */
#include "tests/shim/disk.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FDS 4096
#define SECTOR 512
#define EXPORT __attribute__((visibility("default")))

enum { WROTE = 1, SYNCED, MADE };

/* One line of the log; behind a WROTE stand the bytes that were there before. */
struct record {
	uint32_t what, len;
	uint64_t inode;
	uint64_t offset; /* WROTE: in the file; SYNCED: of the log when the sync began */
	uint64_t size;   /* WROTE: of the file before */
	uint64_t wrote;  /* WROTE: so many bytes */
};

static struct {
	struct shim_control *control;
	char dir[PATH_MAX];
	size_t dir_len;
	int log;
	pthread_mutex_t lock;
	uint64_t inode[FDS]; /* of files below dir; 0: not ours */
} shim = {.log = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

#define NEXT(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

static ssize_t next_pwrite(int fd, const void *p, size_t n, off_t at)
{
	static __typeof__(&pwrite) next;

	if (!next)
		next = NEXT(pwrite);
	return next(fd, p, n, at);
}

static int next_close(int fd)
{
	static __typeof__(&close) next;

	if (!next)
		next = NEXT(close);
	return next(fd);
}

EXPORT struct shim_control *shim_start(const char *control, const char *dir, const char *log)
{
	static __typeof__(&open) next_open;
	int fd;

	if (!next_open)
		next_open = NEXT(open);
	fd = next_open(control, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof *shim.control) != 0)
		abort();
	shim.control = mmap(NULL, sizeof *shim.control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shim.control == MAP_FAILED)
		abort();
	next_close(fd);
	shim.dir_len = (size_t)snprintf(shim.dir, sizeof shim.dir, "%s/", dir);
	if (log)
		shim.log = next_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return shim.control;
}

__attribute__((constructor)) static void begin(void)
{
	const char *control = getenv("LANDFALL_SHIM"), *dir = getenv("LANDFALL_SHIM_DIR");

	if (control && dir)
		shim_start(control, dir, getenv("LANDFALL_SHIM_LOG"));
}

/* Does this call fail? */
static bool fails(enum shim_call call)
{
	struct shim_control *c = shim.control;
	uint64_t n;

	if (!c || !(c->calls & call))
		return false;
	n = __atomic_add_fetch(&c->count, 1, __ATOMIC_RELAXED);
	if (!c->from || n < c->from || n > c->to)
		return false;
	__atomic_add_fetch(&c->failed, 1, __ATOMIC_RELAXED);
	errno = (int)c->error;
	return true;
}

static bool below(int fd)
{
	char name[32], path[PATH_MAX];
	ssize_t n;

	if (!shim.dir_len)
		return false;
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	n = readlink(name, path, sizeof path - 1);
	if (n < 0)
		return false;
	path[n++] = '/'; /* of the directory itself as well */
	return (size_t)n >= shim.dir_len && memcmp(path, shim.dir, shim.dir_len) == 0;
}

static uint64_t inode_of(int fd)
{
	return fd >= 0 && fd < FDS ? __atomic_load_n(&shim.inode[fd], __ATOMIC_RELAXED) : 0;
}

/* The log. */

static uint64_t log_end(void)
{
	struct stat st;

	return fstat(shim.log, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void log_put(const struct record *r, const void *bytes)
{
	static __typeof__(&write) next;
	size_t n = sizeof *r + r->len;
	char *p = malloc(n);

	if (!next)
		next = NEXT(write);
	memcpy(p, r, sizeof *r);
	if (r->len)
		memcpy(p + sizeof *r, bytes, r->len);
	if (next(shim.log, p, n) != (ssize_t)n)
		abort();
	free(p);
}

/* Under the lock, before n bytes at an offset change. */
static void log_write(int fd, uint64_t inode, uint64_t offset, size_t n)
{
	struct record r = {.what = WROTE, .inode = inode, .offset = offset, .wrote = n};
	struct stat st;
	char *before;

	if (shim.log < 0 || fstat(fd, &st) != 0)
		return;
	r.size = (uint64_t)st.st_size;
	if (offset < r.size)
		r.len = (uint32_t)(r.size - offset < n ? r.size - offset : n);
	before = malloc(r.len + 1);
	for (size_t got = 0; got < r.len;) {
		char name[32];
		int again;
		ssize_t k;

		/* The program may have opened it for writing only. */
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		again = NEXT(open)(name, O_RDONLY | O_CLOEXEC);
		k = pread(again, before + got, r.len - got, (off_t)(offset + got));
		next_close(again);
		if (k <= 0)
			abort();
		got += (size_t)k;
	}
	log_put(&r, before);
	free(before);
}

/* The calls. */

static ssize_t write_at(
	int fd, const void *p, size_t n, off_t at, ssize_t (*call)(int, const void *, size_t, off_t))
{
	uint64_t inode = inode_of(fd);
	bool failed;
	ssize_t did;

	if (!inode)
		return call(fd, p, n, at);
	failed = fails(SHIM_WRITE);
	if (failed && !shim.control->torn && shim.control->error)
		return -1;
	if (failed)
		n /= 2;
	pthread_mutex_lock(&shim.lock);
	log_write(fd, inode, (uint64_t)at, n);
	did = call(fd, p, n, at);
	pthread_mutex_unlock(&shim.lock);
	if (!failed || !shim.control->error)
		return did;
	errno = (int)shim.control->error;
	return -1;
}

EXPORT ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return write_at(fd, p, n, at, next_pwrite);
}

EXPORT ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return write_at(fd, p, n, at, next_pwrite);
}

static ssize_t write_here(int fd, const void *p, size_t n, off_t at)
{
	static __typeof__(&write) next;

	(void)at;
	if (!next)
		next = NEXT(write);
	return next(fd, p, n);
}

EXPORT ssize_t write(int fd, const void *p, size_t n)
{
	return write_at(fd, p, n, inode_of(fd) ? lseek(fd, 0, SEEK_CUR) : 0, write_here);
}

static int sync_with(int fd, int (*call)(int))
{
	uint64_t inode = inode_of(fd), at = 0;
	int rc;

	if (!inode && !(shim.control && below(fd)))
		return call(fd);
	if (shim.control && shim.control->sync_ms)
		nanosleep(&(struct timespec){(time_t)(shim.control->sync_ms / 1000),
				  (long)(shim.control->sync_ms % 1000) * 1000000},
			NULL);
	if (fails(SHIM_SYNC))
		return -1;
	if (shim.log >= 0) {
		pthread_mutex_lock(&shim.lock);
		at = log_end();
		pthread_mutex_unlock(&shim.lock);
	}
	/* Nothing is to survive this machine's own power cut. */
	rc = shim.log >= 0 ? 0 : call(fd);
	if (rc == 0 && inode && shim.log >= 0) {
		pthread_mutex_lock(&shim.lock);
		log_put(&(struct record){.what = SYNCED, .inode = inode, .offset = at}, NULL);
		pthread_mutex_unlock(&shim.lock);
	}
	return rc;
}

EXPORT int fsync(int fd)
{
	static __typeof__(&fsync) next;

	if (!next)
		next = NEXT(fsync);
	return sync_with(fd, next);
}

EXPORT int fdatasync(int fd)
{
	static __typeof__(&fdatasync) next;

	if (!next)
		next = NEXT(fdatasync);
	return sync_with(fd, next);
}

static int make_room(int fd, int mode, off_t at, off_t n, bool posix)
{
	uint64_t inode = inode_of(fd);
	int rc;

	if (inode && fails(SHIM_ROOM))
		return posix ? errno : -1;
	pthread_mutex_lock(&shim.lock);
	if (inode)
		log_write(fd, inode, (uint64_t)at, 0);
	rc = posix ? NEXT(posix_fallocate)(fd, at, n) : NEXT(fallocate)(fd, mode, at, n);
	pthread_mutex_unlock(&shim.lock);
	return rc;
}

EXPORT int fallocate(int fd, int mode, off_t at, off_t n)
{
	return make_room(fd, mode, at, n, false);
}

EXPORT int fallocate64(int fd, int mode, off_t at, off_t n)
{
	return make_room(fd, mode, at, n, false);
}

EXPORT int posix_fallocate(int fd, off_t at, off_t n)
{
	return make_room(fd, 0, at, n, true);
}

EXPORT int posix_fallocate64(int fd, off_t at, off_t n)
{
	return make_room(fd, 0, at, n, true);
}

/* Is the name, seen from dirfd, in our directory? */
static bool named_below(int dirfd, const char *name)
{
	return name[0] == '/' ? shim.dir_len && strncmp(name, shim.dir, shim.dir_len) == 0
			      : dirfd != AT_FDCWD && shim.control && below(dirfd);
}

static int open_at(int dirfd, const char *name, int flags, mode_t mode)
{
	static __typeof__(&openat) next;
	bool fresh = shim.control && flags & O_CREAT && named_below(dirfd, name) &&
		     faccessat(dirfd, name, F_OK, 0) != 0;
	struct stat st;
	int fd;

	if (!next)
		next = NEXT(openat);
	if (fresh && fails(SHIM_MAKE))
		return -1;
	fd = next(dirfd, name, flags, mode);
	if (fd < 0 || fd >= FDS || !shim.control || !below(fd) || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return fd;
	if ((fresh || flags & O_TRUNC) && shim.log >= 0) {
		pthread_mutex_lock(&shim.lock);
		log_put(&(struct record){.what = MADE, .inode = st.st_ino}, NULL);
		pthread_mutex_unlock(&shim.lock);
	}
	__atomic_store_n(&shim.inode[fd], st.st_ino, __ATOMIC_RELAXED);
	return fd;
}

#define OPEN(dirfd, path, flags)                                                                             \
	{                                                                                                    \
		va_list args;                                                                                \
		mode_t mode = 0;                                                                             \
                                                                                                             \
		va_start(args, flags);                                                                       \
		if ((flags)&O_CREAT)                                                                         \
			mode = va_arg(args, mode_t);                                                         \
		va_end(args);                                                                                \
		return open_at(dirfd, path, flags, mode);                                                    \
	}

EXPORT int openat(int dirfd, const char *path, int flags, ...) OPEN(dirfd, path, flags) EXPORT
	int openat64(int dirfd, const char *path, int flags, ...) OPEN(dirfd, path, flags) EXPORT
	int open(const char *path, int flags, ...) OPEN(AT_FDCWD, path, flags) EXPORT
	int open64(const char *path, int flags, ...) OPEN(AT_FDCWD, path, flags)

		EXPORT int close(int fd)
{
	if (fd >= 0 && fd < FDS)
		__atomic_store_n(&shim.inode[fd], 0, __ATOMIC_RELAXED);
	return next_close(fd);
}

EXPORT int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	static __typeof__(&renameat2) next;

	if (!next)
		next = NEXT(renameat2);
	return named_below(to, new) && fails(SHIM_NAME) ? -1 : next(from, old, to, new, flags);
}

EXPORT int renameat(int from, const char *old, int to, const char *new)
{
	return renameat2(from, old, to, new, 0);
}

EXPORT int rename(const char *old, const char *new)
{
	return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

/* The clock. */

EXPORT int clock_gettime(clockid_t id, struct timespec *ts)
{
	static __typeof__(&clock_gettime) next;
	int64_t add = shim.control ? shim.control->clock_ms : 0;
	int rc;

	if (!next)
		next = NEXT(clock_gettime);
	rc = next(id, ts);
	if (rc != 0 || !add || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return rc;
	add += ts->tv_nsec / 1000000 + (int64_t)ts->tv_sec * 1000;
	ts->tv_nsec = add % 1000 * 1000000 + ts->tv_nsec % 1000000;
	ts->tv_sec = add / 1000;
	return 0;
}

EXPORT int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){ts.tv_sec, ts.tv_nsec / 1000};
	return 0;
}

EXPORT time_t time(time_t *out)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (out)
		*out = ts.tv_sec;
	return ts.tv_sec;
}

/* The power cut. */

/* The path of an inode below dir. */
static bool find(const char *dir, uint64_t inode, char path[PATH_MAX])
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d))) {
		struct stat st;

		if (e->d_name[0] == '.' || snprintf(path, PATH_MAX, "%s/%s", dir, e->d_name) >= PATH_MAX ||
			lstat(path, &st) != 0)
			continue;
		if (S_ISREG(st.st_mode)) {
			found = st.st_ino == inode;
		} else if (S_ISDIR(st.st_mode)) {
			char sub[PATH_MAX];

			memcpy(sub, path, PATH_MAX);
			found = find(sub, inode, path);
		}
	}
	if (d)
		closedir(d);
	return found;
}

static uint64_t dice(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Is the write at this place of the log void or safe? */
static bool settled(const char *log, size_t size, size_t at, const struct record *w)
{
	struct record r;

	for (size_t i = at + sizeof *w + w->len; i + sizeof r <= size; i += sizeof r + r.len) {
		memcpy(&r, log + i, sizeof r);
		if (r.inode == w->inode && (r.what == MADE || (r.what == SYNCED && r.offset > at)))
			return true;
	}
	return false;
}

/* Back to what was there, but for the first keep bytes or, by chance, sectors. */
static bool undo(int fd, const struct record *r, const char *before, uint64_t keep, uint64_t *seed)
{
	uint64_t i = keep;

	if (!r->wrote) /* room was made */
		return *seed || ftruncate(fd, (off_t)r->size) == 0;
	while (i < r->wrote) {
		uint64_t n = SECTOR - (r->offset + i) % SECTOR;
		uint64_t old = i < r->len ? r->len - i : 0;
		static const char zeros[SECTOR];

		if (n > r->wrote - i)
			n = r->wrote - i;
		if (old > n)
			old = n;
		if ((!*seed || dice(seed) & 1024) &&
			((old && next_pwrite(fd, before + i, old, (off_t)(r->offset + i)) != (ssize_t)old) ||
				(n > old && next_pwrite(fd, zeros, n - old, (off_t)(r->offset + i + old)) !=
						    (ssize_t)(n - old))))
			return false;
		i += n;
	}
	/* A file that grew for it keeps its size only for what it keeps. */
	if (*seed || r->offset + r->wrote <= r->size)
		return true;
	return ftruncate(fd, (off_t)(r->offset + keep > r->size ? r->offset + keep : r->size)) == 0;
}

EXPORT int64_t shim_power_cut(const char *path, const char *dir, uint64_t keep, uint64_t seed)
{
	int fd = NEXT(open)(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;
	char *log, file[PATH_MAX];
	size_t *open_at_log, count = 0;
	int64_t total = 0;
	struct record r;

	if (fd < 0 || fstat(fd, &st) != 0)
		return -1;
	log = malloc((size_t)st.st_size + 1);
	if (pread(fd, log, (size_t)st.st_size, 0) != st.st_size)
		return -1;
	open_at_log = malloc(((size_t)st.st_size / sizeof r + 1) * sizeof *open_at_log);
	for (size_t i = 0; i + sizeof r <= (size_t)st.st_size; i += sizeof r + r.len) {
		memcpy(&r, log + i, sizeof r);
		if (i + sizeof r + r.len > (size_t)st.st_size)
			break;
		if (r.what != WROTE || settled(log, (size_t)st.st_size, i, &r) || !find(dir, r.inode, file))
			continue;
		open_at_log[count++] = i;
		total += (int64_t)r.wrote;
	}
	for (uint64_t left = (uint64_t)total; count > 0;) {
		uint64_t stays;
		int to;

		memcpy(&r, log + open_at_log[--count], sizeof r);
		left -= r.wrote;
		stays = seed || keep <= left ? 0 : keep - left < r.wrote ? keep - left : r.wrote;
		if (r.wrote ? stays == r.wrote : keep > left)
			continue;
		if (!find(dir, r.inode, file))
			continue;
		to = NEXT(open)(file, O_RDWR | O_CLOEXEC);
		if (to < 0 || !undo(to, &r, log + open_at_log[count] + sizeof r, stays, &seed))
			total = -1;
		next_close(to);
	}
	free(open_at_log);
	free(log);
	if (ftruncate(fd, 0) != 0)
		total = -1;
	next_close(fd);
	return total;
}
