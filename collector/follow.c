#include "collector/follow.h"

#include "collector/unpack.h"
#include "core/base/crc32c.h"
#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES 1024 /* rotated files looked at */

struct follow {
	char *path; /* owned */
	int fd;     /* -1: none open */
	struct follow_place place;
	struct stat st; /* of fd, at the last look; of the packed file, if that is what is read */
	bool packed;
	uint8_t *chunk;          /* owned; FOLLOW_CHUNK bytes */
	size_t got;              /* bytes of it that follow_read gave */
	bool waiting;            /* it was said that the file is not there */
	int ahead[FOLLOW_AHEAD]; /* younger files, held open */
	unsigned ahead_count;
};

/* One file that is or was the log. */
struct file {
	char path[PATH_MAX]; /* empty: it has no name any more, but is held open */
	int held;            /* its descriptor in follow.ahead, or -1 */
	bool packed;         /* by gzip */
	struct stat st;
	uint64_t from; /* follow_history: where to begin */
};

struct files {
	struct file *file; /* owned */
	size_t count;
};

static uint64_t ns_of(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void follow_place_encode(const struct follow_place *p, struct buf *out)
{
	buf_printf(out,
		"log dev=%" PRIu64 " inode=%" PRIu64 " offset=%" PRIu64 " mtime=%" PRIu64 " head=%u:%08x",
		p->dev, p->inode, p->offset, p->mtime_ns, p->head_len, p->head_crc);
}

int follow_place_decode(slice text, struct follow_place *out)
{
	struct buf again;
	char line[256];
	bool same;

	*out = (struct follow_place){0};
	if (text.len >= sizeof line)
		return -REFUSE_SYNTAX;
	memcpy(line, text.p, text.len);
	line[text.len] = 0;
	if (sscanf(line,
		    "log dev=%" SCNu64 " inode=%" SCNu64 " offset=%" SCNu64 " mtime=%" SCNu64 " head=%" SCNu32
		    ":%" SCNx32,
		    &out->dev, &out->inode, &out->offset, &out->mtime_ns, &out->head_len,
		    &out->head_crc) != 6)
		return -REFUSE_SYNTAX;
	/* scanf lets a lot pass: what does not print the same was not ours. */
	buf_init(&again, sizeof line);
	follow_place_encode(out, &again);
	same = slice_eq(buf_slice(&again), text) && out->head_len <= FOLLOW_HEAD;
	buf_free(&again);
	return same ? 0 : -REFUSE_SYNTAX;
}

struct follow *follow_open(const char *path, const struct follow_place *from)
{
	struct follow *f = must_zalloc(sizeof *f);

	f->path = must_alloc(strlen(path) + 1);
	strcpy(f->path, path);
	f->fd = -1;
	if (from)
		f->place = *from;
	f->chunk = must_alloc(FOLLOW_CHUNK);
	return f;
}

void follow_close(struct follow **fp)
{
	struct follow *f = *fp;

	*fp = NULL;
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	while (f->ahead_count)
		close(f->ahead[--f->ahead_count]);
	free(f->chunk);
	free(f->path);
	free(f);
}

/* pread that goes on after a short one. Bytes, or -errno. */
static ssize_t read_at(int fd, void *p, size_t n, uint64_t offset)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = pread(fd, (uint8_t *)p + got, n - got, (off_t)(offset + got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

/* Does the file begin like the one we were in? */
static bool same_head(int fd, const struct follow_place *p)
{
	uint8_t head[FOLLOW_HEAD];

	if (p->head_len == 0)
		return true;
	return read_at(fd, head, p->head_len, 0) == (ssize_t)p->head_len &&
	       crc32c(slice_of(head, p->head_len)) == p->head_crc;
}

/* A descriptor of the caller's own, or -errno. */
static int open_file(const struct file *one)
{
	int fd;

	if (one->packed)
		return unpack_open(one->path);
	fd = one->held >= 0 ? fcntl(one->held, F_DUPFD_CLOEXEC, 0)
			    : open(one->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

static bool file_has_head(const struct file *one, const struct follow_place *p)
{
	uint8_t head[FOLLOW_HEAD];
	bool same;
	int fd;

	if (p->head_len == 0)
		return false;
	if (one->packed)
		return unpack_head(one->path, head, p->head_len) == (ssize_t)p->head_len &&
		       crc32c(slice_of(head, p->head_len)) == p->head_crc;
	fd = open_file(one);
	same = fd >= 0 && same_head(fd, p);
	if (fd >= 0)
		close(fd);
	return same;
}

/* mail.log.1, mail.log-20261121, mail.log.20261121-173000, each perhaps with
 * .gz: a rotated one. A copy that somebody named mail.log.bak is not. */
static bool is_rotated(const char *name, const char *base, bool *packed)
{
	slice rest = slice_from(slice_str(name), strlen(base));

	*packed = slice_ends(rest, SLICE(".gz"));
	if (*packed)
		rest = slice_sub(rest, 0, rest.len - 3);
	return strncmp(name, base, strlen(base)) == 0 && rest.len >= 2 &&
	       (rest.p[0] == '.' || rest.p[0] == '-') && ascii_digit(rest.p[1]) &&
	       ascii_digit(rest.p[rest.len - 1]);
}

/* A packed file has the time of what was packed. */
static int by_age(const void *a, const void *b)
{
	const struct file *x = a, *y = b;
	uint64_t mx = ns_of(x->st.st_mtim), my = ns_of(y->st.st_mtim);
	uint64_t cx = ns_of(x->st.st_ctim), cy = ns_of(y->st.st_ctim);

	if (mx != my)
		return mx < my ? -1 : 1;
	if (x->packed != y->packed)
		return x->packed ? 1 : -1;
	return cx < cy ? -1 : cx > cy;
}

/* gzip deletes what it packs when it is through with it. */
static bool is_half_packed(const struct file *one)
{
	char plain[PATH_MAX];

	if (!one->packed)
		return false;
	snprintf(plain, sizeof plain, "%.*s", (int)strlen(one->path) - 3, one->path);
	return access(plain, F_OK) == 0;
}

/* May the file be as long as that? A packed one does not tell. */
static bool may_reach(const struct file *one, const struct follow_place *p)
{
	return one->packed ? ns_of(one->st.st_mtim) >= p->mtime_ns : (uint64_t)one->st.st_size >= p->offset;
}

static struct file *add_file(struct files *all)
{
	if (all->count % 16 == 0)
		all->file = must_realloc(all->file, (all->count + 16) * sizeof *all->file);
	all->file[all->count] = (struct file){.held = -1};
	return &all->file[all->count];
}

/* Those that are held open: by their name, where they still have one. */
static void add_held(const struct follow *f, struct files *all)
{
	for (unsigned k = 0; k < f->ahead_count; k++) {
		struct file *one;
		struct stat st;
		size_t i = 0;

		if (fstat(f->ahead[k], &st) != 0)
			continue;
		while (i < all->count &&
			(all->file[i].st.st_ino != st.st_ino || all->file[i].st.st_dev != st.st_dev))
			i++;
		one = i < all->count ? &all->file[i] : add_file(all);
		one->st = st;
		one->held = f->ahead[k];
		all->count += i == all->count;
	}
}

/* All files that are or were the log, oldest first. */
static struct files list_files(const struct follow *f)
{
	struct files all = {NULL, 0};
	const char *slash = strrchr(f->path, '/'), *base = slash ? slash + 1 : f->path;
	char dir[PATH_MAX];
	struct dirent *d;
	DIR *open_dir;

	snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - f->path) + 1 : 2, slash ? f->path : "./");
	open_dir = opendir(dir);
	while (open_dir && all.count < MAX_FILES && (d = readdir(open_dir))) {
		struct file *one;
		bool packed = false;

		if (strcmp(d->d_name, base) != 0 && !is_rotated(d->d_name, base, &packed))
			continue;
		one = add_file(&all);
		one->packed = packed;
		if (snprintf(one->path, sizeof one->path, "%s%s", dir, d->d_name) >= (int)sizeof one->path)
			continue;
		if (stat(one->path, &one->st) == 0 && S_ISREG(one->st.st_mode) && !is_half_packed(one))
			all.count++;
	}
	if (open_dir)
		closedir(open_dir);
	add_held(f, &all);
	if (all.count)
		qsort(all.file, all.count, sizeof *all.file, by_age);
	return all;
}

static bool is_place(const struct stat *st, const struct follow_place *p)
{
	return st->st_dev == p->dev && st->st_ino == p->inode;
}

/* Those that are held open and older than the one that is read now are done
 * with, and so is that one itself. */
static void let_go(struct follow *f, const struct file *now)
{
	unsigned kept = 0;

	for (unsigned k = 0; k < f->ahead_count; k++) {
		struct file one = {.held = f->ahead[k]};

		if (fstat(f->ahead[k], &one.st) != 0 || is_place(&one.st, &f->place) || by_age(&one, now) < 0)
			close(f->ahead[k]);
		else
			f->ahead[kept++] = f->ahead[k];
	}
	f->ahead_count = kept;
}

/* Make the file the one that is read, from offset on. 0 or -errno. */
static int switch_to(struct follow *f, const struct file *one, uint64_t offset)
{
	int fd = open_file(one);
	struct file now = *one;

	if (fd < 0)
		return fd;
	if (!one->packed && (fstat(fd, &now.st) != 0 || !S_ISREG(now.st.st_mode))) {
		close(fd);
		return -EINVAL;
	}
	if (f->fd >= 0)
		close(f->fd);
	f->fd = fd;
	f->packed = one->packed;
	f->st = now.st;
	f->place.dev = now.st.st_dev;
	f->place.inode = now.st.st_ino;
	f->place.offset = offset;
	if (offset == 0)
		f->place.head_len = 0;
	let_go(f, &now);
	return 0;
}

/* 1: the file we were in is open again. 0: it is gone. -errno. */
static int find_again(struct follow *f, const struct files *all)
{
	for (int by_inode = 1; by_inode >= 0; by_inode--) {
		for (size_t i = 0; i < all->count; i++) {
			const struct file *one = &all->file[i];
			int rc;

			if (!may_reach(one, &f->place))
				continue;
			if (by_inode ? !is_place(&one->st, &f->place) : !f->place.head_len)
				continue;
			if (f->place.head_len && !file_has_head(one, &f->place))
				continue;
			rc = switch_to(f, one, f->place.offset);
			return rc < 0 ? rc : 1;
		}
	}
	return 0;
}

/* The first look, or after the file could not be opened. 1: a file is open. 0:
 * there is none yet. -errno. */
static int find_first(struct follow *f)
{
	struct files all = list_files(f);
	struct file named = {.held = -1};
	const struct file *start = &named;
	int rc = f->place.inode ? find_again(f, &all) : 0;

	if (rc == 0 && f->place.inode) {
		if (!f->waiting)
			log_warn("follow", "log file is gone", "path=%s inode=%" PRIu64 " offset=%" PRIu64,
				f->path, f->place.inode, f->place.offset);
		for (size_t i = 0; i < all.count; i++) {
			if (all.file[i].st.st_size > 0 && ns_of(all.file[i].st.st_mtim) > f->place.mtime_ns) {
				start = &all.file[i];
				break;
			}
		}
	}
	if (rc == 0) {
		snprintf(named.path, sizeof named.path, "%s", f->path);
		rc = switch_to(f, start, 0);
		rc = rc < 0 ? rc : 1;
	}
	free(all.file);
	return rc;
}

/* The file that follows the one that is open: the next younger, else the one
 * that has the name now. false: none with anything in it. */
static bool find_next(struct follow *f, struct file *next)
{
	struct file ours = {.st = f->st, .packed = f->packed};
	struct files all = list_files(f);
	bool found = false;

	for (size_t i = 0; i < all.count && !found; i++) {
		const struct file *one = &all.file[i];

		if (one->st.st_size == 0 || is_place(&one->st, &f->place) || by_age(one, &ours) <= 0)
			continue;
		if (one->packed && ns_of(one->st.st_mtim) == ns_of(ours.st.st_mtim))
			continue;
		/* What copytruncate copied, or a rotator packed, of what was read already. */
		if (file_has_head(one, &f->place))
			continue;
		*next = *one;
		found = true;
	}
	if (!found) {
		*next = (struct file){.held = -1};
		snprintf(next->path, sizeof next->path, "%s", f->path);
		found = stat(f->path, &next->st) == 0 && next->st.st_size > 0 &&
			!is_place(&next->st, &f->place);
	}
	free(all.file);
	return found;
}

/* The file is shorter than our place, or begins otherwise: it was copied and
 * truncated. What was written between our last look and that is in the copy. */
static int after_truncation(struct follow *f)
{
	struct files all = list_files(f);
	struct follow_place was = f->place;
	int rc = 0;

	for (size_t i = 0; i < all.count && rc == 0; i++) {
		const struct file *one = &all.file[i];

		if (is_place(&one->st, &was) || !may_reach(one, &was) || !file_has_head(one, &was))
			continue;
		rc = switch_to(f, one, was.offset);
		rc = rc < 0 ? rc : 1;
	}
	if (rc == 0) {
		log_warn("follow", "log file was truncated", "path=%s offset=%" PRIu64, f->path, was.offset);
		f->place.offset = 0;
		f->place.head_len = 0;
	}
	free(all.file);
	return rc < 0 ? rc : 0;
}

/* Bytes up to and with the last newline. */
static size_t whole_lines(slice s)
{
	size_t last = slice_rchr(s, '\n');

	return last == SLICE_NPOS ? 0 : last + 1;
}

/* One look at the open file. >0: bytes to give. 0: nothing new here for now.
 * -EAGAIN: look again, another file or place is open. Other -errno. */
static int64_t look(struct follow *f)
{
	struct file next;
	struct stat named;
	bool finished;
	ssize_t n;
	int rc;

	if (!f->packed && fstat(f->fd, &f->st) != 0)
		return -errno;
	if (!f->packed && ((uint64_t)f->st.st_size < f->place.offset || !same_head(f->fd, &f->place))) {
		rc = after_truncation(f);
		return rc < 0 ? rc : -EAGAIN;
	}
	/* Before reading: what is written here after the next file has something in
	 * it would be missed, and nobody writes to two. */
	finished = (stat(f->path, &named) != 0 || !is_place(&named, &f->place)) && find_next(f, &next);
	n = read_at(f->fd, f->chunk, FOLLOW_CHUNK, f->place.offset);
	if (n <= 0)
		return n < 0 || !finished ? n : (rc = switch_to(f, &next, 0)) < 0 ? rc : -EAGAIN;
	f->got = whole_lines(slice_of(f->chunk, (size_t)n));
	if (f->got == 0 && (finished || n == FOLLOW_CHUNK))
		f->got = (size_t)n; /* its newline will not come */
	return (int64_t)f->got;
}

void follow_watch(struct follow *f)
{
	struct stat named, st;
	int fd;

	if (f->fd < 0 || stat(f->path, &named) != 0 || is_place(&named, &f->place) ||
		f->ahead_count == FOLLOW_AHEAD)
		return;
	for (unsigned k = 0; k < f->ahead_count; k++)
		if (fstat(f->ahead[k], &st) == 0 && st.st_ino == named.st_ino && st.st_dev == named.st_dev)
			return;
	fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0)
		f->ahead[f->ahead_count++] = fd;
}

int64_t follow_read(struct follow *f, slice *lines)
{
	int64_t n;
	int rc;

	*lines = SLICE_NONE;
	f->got = 0;
	if (f->fd < 0) {
		rc = find_first(f);
		if (rc == -ENOENT) {
			if (!f->waiting)
				log_info("follow", "waiting for log file", "path=%s", f->path);
			f->waiting = true;
			return 0;
		}
		if (rc < 0)
			return rc;
		f->waiting = false;
	}
	follow_watch(f);
	while ((n = look(f)) == -EAGAIN)
		;
	if (n > 0)
		*lines = slice_of(f->chunk, f->got);
	return n;
}

struct follow_place follow_place_behind(const struct follow *f, size_t n)
{
	struct follow_place p = f->place;
	uint8_t head[FOLLOW_HEAD];

	must(n <= f->got);
	p.offset += n;
	p.mtime_ns = ns_of(f->st.st_mtim);
	if (p.head_len < FOLLOW_HEAD && p.head_len < p.offset) {
		uint32_t len = p.offset < FOLLOW_HEAD ? (uint32_t)p.offset : FOLLOW_HEAD;

		/* Lines that were read are not written again, so this is what was read. */
		if (read_at(f->fd, head, len, 0) == (ssize_t)len) {
			p.head_len = len;
			p.head_crc = crc32c(slice_of(head, len));
		}
	}
	return p;
}

void follow_take(struct follow *f, size_t n)
{
	f->place = follow_place_behind(f, n);
	f->got = 0;
}

/* The lines in [from, to) of a file; one that is cut at from is left out. */
static void tell(
	struct follow *f, int fd, uint64_t from, uint64_t to, void (*line)(void *arg, slice line), void *arg)
{
	bool cut = from > 0;

	while (from < to) {
		size_t want = to - from < FOLLOW_CHUNK ? (size_t)(to - from) : FOLLOW_CHUNK, at = 0, lf;
		ssize_t n = read_at(fd, f->chunk, want, from);
		slice s = slice_of(f->chunk, n > 0 ? (size_t)n : 0);

		while ((lf = slice_chr(s, '\n', at)) != SLICE_NPOS) {
			if (!cut)
				line(arg, slice_sub(s, at, lf));
			cut = false;
			at = lf + 1;
		}
		if (n <= 0)
			return;
		/* A line as long as a chunk has nothing in it for us. */
		from += at ? at : (size_t)n;
		if (!at)
			cut = true;
		if (to - from == s.len - at)
			return; /* the rest has no newline */
	}
}

void follow_history(struct follow *f, void (*line)(void *arg, slice line), void *arg)
{
	uint64_t left = FOLLOW_HISTORY, from;
	struct files all;
	size_t first, me;

	if (f->fd < 0 && (f->place.inode == 0 || find_first(f) <= 0))
		return;
	all = list_files(f);
	for (me = 0; me < all.count && !is_place(&all.file[me].st, &f->place); me++)
		;
	from = f->place.offset > left ? f->place.offset - left : 0;
	left -= f->place.offset - from;
	/* Back through the older ones while there is room, then forward. */
	first = me;
	while (me < all.count && first > 0 && left > 0 && !all.file[first - 1].packed) {
		uint64_t size = (uint64_t)all.file[--first].st.st_size;

		all.file[first].from = size > left ? size - left : 0;
		left -= size > left ? left : size;
	}
	for (; me < all.count && first < me; first++) {
		int fd = open_file(&all.file[first]);

		if (fd < 0)
			continue;
		tell(f, fd, all.file[first].from, (uint64_t)all.file[first].st.st_size, line, arg);
		close(fd);
	}
	tell(f, f->fd, from, f->place.offset, line, arg);
	free(all.file);
}
