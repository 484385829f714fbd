/* The simulated disk: what is written is in the cache at once and on the disk
 * only when it was synced, or when chance has it so. A power cut decides that
 * for each sector by itself. */
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

#include <errno.h>
#include <string.h>

#define SECTOR 512
#define FIRST_FD 1000
#define FDS 128
#define DISKS 4
#define NAME 40

struct inode {
	uint8_t *cache, *disk; /* room bytes each */
	uint8_t *dirty;        /* per sector: a sync would write it */
	size_t room, size, disk_size;
	bool resized; /* a sync would write the size */
	uint64_t mtime;
};

struct entry {
	char name[NAME];
	struct inode *inode; /* in the list of its disk */
};

struct table {
	struct entry *list;
	size_t count;
};

/* What was done to the directory since it was synced, in order. */
struct change {
	char gone[NAME], come[NAME]; /* empty: none */
	struct inode *inode;
};

struct disk {
	char dir[NAME];
	struct inode **inodes;
	size_t inode_count;
	struct table now, kept;
	struct change *changes;
	size_t change_count;
	int lock; /* the descriptor that has it, 0: none */
};

struct open_file {
	bool used;
	struct node *node;
	struct disk *disk;
	struct inode *inode; /* NULL: the directory */
	size_t at;
	struct dirent entry;
};

struct sim_disk_faults sim_disk_faults;

static struct disk disks[DISKS];
static struct open_file files[FDS];
static bool no_room;

static struct open_file *file_of(int fd)
{
	if (fd < FIRST_FD || fd >= FIRST_FD + FDS || !files[fd - FIRST_FD].used)
		sim_fail("descriptor %d is not open", fd);
	return &files[fd - FIRST_FD];
}

static int failed(int err)
{
	errno = err;
	return -1;
}

/* Somebody else may come between, or a kill. */
static void between(void)
{
	if (sim_draw(3) == 0)
		sim_pause();
}

static struct disk *disk_of(const char *dir)
{
	struct disk *d = disks;

	while (d < disks + DISKS && d->dir[0] && strcmp(d->dir, dir) != 0)
		d++;
	if (d == disks + DISKS)
		sim_fail("too many directories");
	snprintf(d->dir, NAME, "%s", dir);
	return d;
}

static struct entry *find(struct table *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->list[i].name, name) == 0)
			return &t->list[i];
	return NULL;
}

/* Who reads the directory goes on behind it. */
static void remove_entry(struct table *t, size_t i)
{
	t->count--;
	memmove(t->list + i, t->list + i + 1, (t->count - i) * sizeof *t->list);
	for (struct open_file *o = files; o < files + FDS; o++)
		if (o->used && !o->inode && &o->disk->now == t && o->at > i)
			o->at--;
}

static void apply(struct table *t, const struct change *c)
{
	struct entry *e = c->gone[0] ? find(t, c->gone) : NULL;

	if (e)
		remove_entry(t, (size_t)(e - t->list));
	if (!c->come[0])
		return;
	e = find(t, c->come);
	if (!e) {
		t->list = world_realloc(t->list, (t->count + 1) * sizeof *t->list);
		e = &t->list[t->count++];
	}
	*e = (struct entry){.inode = c->inode};
	snprintf(e->name, NAME, "%s", c->come);
}

static void change(struct disk *d, const char *gone, const char *come, struct inode *inode)
{
	struct change c = {.inode = inode};

	snprintf(c.gone, NAME, "%s", gone);
	snprintf(c.come, NAME, "%s", come);
	apply(&d->now, &c);
	d->changes = world_realloc(d->changes, (d->change_count + 1) * sizeof *d->changes);
	d->changes[d->change_count++] = c;
}

static int new_fd(struct disk *d, struct inode *inode)
{
	for (int i = 0; i < FDS; i++)
		if (!files[i].used) {
			files[i] = (struct open_file){
				.used = true, .node = sim_here(), .disk = d, .inode = inode};
			return FIRST_FD + i;
		}
	sim_fail("too many open files");
}

static void resize(struct inode *f, size_t size)
{
	size_t sectors = (size + SECTOR - 1) / SECTOR;

	if (sectors * SECTOR > f->room) {
		size_t old = f->room, room = sectors * SECTOR;

		f->cache = world_realloc(f->cache, room);
		f->disk = world_realloc(f->disk, room);
		f->dirty = world_realloc(f->dirty, sectors);
		memset(f->cache + old, 0, room - old);
		memset(f->disk + old, 0, room - old);
		memset(f->dirty + old / SECTOR, 0, (room - old) / SECTOR);
		f->room = room;
	}
	if (size < f->size)
		memset(f->cache + size, 0, f->size - size);
	f->resized |= size != f->size;
	f->size = size;
}

int sim_mkdir(const char *path, mode_t mode)
{
	(void)path;
	(void)mode;
	return 0;
}

int sim_open(const char *path, int flags)
{
	(void)flags;
	return new_fd(disk_of(path), NULL);
}

int sim_openat(int dirfd, const char *name, int flags, ...)
{
	struct disk *d = file_of(dirfd)->disk;
	struct inode *f;
	struct entry *e;

	if (strcmp(name, ".") == 0)
		return new_fd(d, NULL);
	between();
	e = find(&d->now, name);
	if (!e && !(flags & O_CREAT))
		return failed(ENOENT);
	if (e) {
		f = e->inode;
		if (flags & O_TRUNC)
			resize(f, 0);
		return new_fd(d, f);
	}
	if (no_room)
		return failed(ENOSPC);
	f = world_alloc(sizeof *f);
	d->inodes = world_realloc(d->inodes, (d->inode_count + 1) * sizeof *d->inodes);
	d->inodes[d->inode_count++] = f;
	change(d, "", name, f);
	return new_fd(d, f);
}

int sim_close(int fd)
{
	struct open_file *o = file_of(fd);

	if (o->disk->lock == fd)
		o->disk->lock = 0;
	o->used = false;
	return 0;
}

int sim_flock(int fd, int how)
{
	struct disk *d = file_of(fd)->disk;

	(void)how;
	if (d->lock && d->lock != fd)
		return failed(EWOULDBLOCK);
	d->lock = fd;
	return 0;
}

ssize_t sim_pread(int fd, void *out, size_t n, off_t at)
{
	const struct inode *f = file_of(fd)->inode;
	size_t from = (size_t)at;

	if (from >= f->size)
		return 0;
	n = n < f->size - from ? n : f->size - from;
	memcpy(out, f->cache + from, n);
	return (ssize_t)n;
}

ssize_t sim_read(int fd, void *out, size_t n)
{
	struct open_file *o = file_of(fd);
	ssize_t got = sim_pread(fd, out, n, (off_t)o->at);

	o->at += got > 0 ? (size_t)got : 0;
	return got;
}

static void put(struct inode *f, const void *in, size_t n, size_t at)
{
	if (!n)
		return;
	if (at + n > f->size)
		resize(f, at + n);
	memcpy(f->cache + at, in, n);
	memset(f->dirty + at / SECTOR, 1, (at + n - 1) / SECTOR - at / SECTOR + 1);
	f->mtime = 0;
}

ssize_t sim_pwrite(int fd, const void *in, size_t n, off_t at)
{
	struct open_file *o = file_of(fd);
	struct inode *f = o->inode;
	struct timespec ts;
	size_t half = 0;

	between();
	sim_note("write", (uint64_t)at, n);
	if (no_room && (size_t)at + n > f->size)
		return failed(ENOSPC);
	if (sim_fault(sim_disk_faults.write)) {
		put(f, in, sim_draw(n + 1), (size_t)at);
		sim_note("write fails", (uint64_t)at, n);
		return failed(EIO);
	}
	if (n > 1 && sim_draw(16) == 0) {
		half = 1 + sim_draw(n - 1);
		put(f, in, half, (size_t)at);
		if (sim_draw(3) == 0) /* a short write */
			return (ssize_t)half;
		sim_pause();
	}
	put(f, (const uint8_t *)in + half, n - half, (size_t)at + half);
	sim_clock_gettime(CLOCK_REALTIME, &ts);
	f->mtime = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	return (ssize_t)n;
}

static void sync_sectors(struct inode *f, bool all)
{
	for (size_t i = 0; i < f->room / SECTOR; i++) {
		if (f->dirty[i] && (all || sim_draw(2)))
			memcpy(f->disk + i * SECTOR, f->cache + i * SECTOR, SECTOR);
		f->dirty[i] = 0;
	}
	if (f->resized && (all || sim_draw(2)))
		f->disk_size = f->size;
	f->resized = false;
}

static void copy_table(struct table *to, const struct table *from)
{
	to->list = world_realloc(to->list, from->count * sizeof *to->list);
	if (from->count)
		memcpy(to->list, from->list, from->count * sizeof *to->list);
	to->count = from->count;
}

int sim_fsync(int fd)
{
	struct open_file *o = file_of(fd);
	struct inode *f = o->inode;

	between();
	sim_note(f ? "sync" : "sync of the directory", f ? f->size : 0, 0);
	if (!f) {
		if (sim_fault(sim_disk_faults.sync))
			return failed(EIO);
		copy_table(&o->disk->kept, &o->disk->now);
		o->disk->change_count = 0;
		return 0;
	}
	if (sim_fault(sim_disk_faults.sync)) {
		/* As Linux does: what could not be written counts as clean. */
		sync_sectors(f, false);
		sim_note("sync fails", 0, 0);
		return failed(EIO);
	}
	sync_sectors(f, true);
	/* It is done; whoever waits learns of it later. */
	between();
	return 0;
}

int sim_fallocate(int fd, off_t from, off_t n)
{
	struct inode *f = file_of(fd)->inode;
	size_t size = (size_t)(from + n);

	between();
	if (size <= f->size)
		return 0;
	if (no_room || sim_fault(sim_disk_faults.room))
		return ENOSPC;
	resize(f, size);
	return 0;
}

static void fill_stat(const struct inode *f, struct stat *st)
{
	memset(st, 0, sizeof *st);
	st->st_mode = f ? S_IFREG | 0600 : S_IFDIR | 0700;
	if (!f)
		return;
	st->st_size = (off_t)f->size;
	st->st_mtim = (struct timespec){(time_t)(f->mtime / 1000), (long)(f->mtime % 1000) * 1000000};
}

int sim_fstat(int fd, struct stat *st)
{
	fill_stat(file_of(fd)->inode, st);
	return 0;
}

int sim_fstatat(int dirfd, const char *name, struct stat *st, int flags)
{
	struct entry *e = find(&file_of(dirfd)->disk->now, name);

	(void)flags;
	if (!e)
		return failed(ENOENT);
	fill_stat(e->inode, st);
	return 0;
}

int sim_renameat(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
	struct disk *d = file_of(fromfd)->disk;
	struct entry *e;

	(void)tofd;
	between();
	e = find(&d->now, from);
	if (!e)
		return failed(ENOENT);
	if ((flags & RENAME_NOREPLACE) && find(&d->now, to))
		return failed(EEXIST);
	change(d, from, to, e->inode);
	return 0;
}

int sim_unlinkat(int dirfd, const char *name, int flags)
{
	struct disk *d = file_of(dirfd)->disk;

	(void)flags;
	between();
	if (!find(&d->now, name))
		return failed(ENOENT);
	change(d, name, "", NULL);
	return 0;
}

DIR *sim_fdopendir(int fd)
{
	struct open_file *o = file_of(fd);

	o->at = 0;
	return (DIR *)o;
}

struct dirent *sim_readdir(DIR *d)
{
	struct open_file *o = (struct open_file *)d;
	struct table *t = &o->disk->now;
	const char *name;

	if (o->at >= t->count)
		return NULL;
	name = t->list[o->at++].name;
	memcpy(o->entry.d_name, name, strlen(name) + 1);
	return &o->entry;
}

int sim_closedir(DIR *d)
{
	return sim_close(FIRST_FD + (int)((struct open_file *)d - files));
}

void disk_close_all(const struct node *n)
{
	for (int i = 0; i < FDS; i++)
		if (files[i].used && files[i].node == n)
			sim_close(FIRST_FD + i);
}

static void cut_file(struct inode *f)
{
	size_t keep;

	for (size_t i = 0; i < f->room / SECTOR; i++)
		if (f->dirty[i] && sim_draw(2))
			memcpy(f->disk + i * SECTOR, f->cache + i * SECTOR, SECTOR);
	if (f->resized && sim_draw(2))
		f->disk_size = f->size;
	keep = f->disk_size;
	if (f->room) {
		memset(f->disk + keep, 0, f->room - keep);
		memcpy(f->cache, f->disk, f->room);
		memset(f->dirty, 0, f->room / SECTOR);
	}
	f->size = keep;
	f->resized = false;
}

void disk_power_cut(const char *dir)
{
	struct disk *d = disk_of(dir);
	size_t survive = sim_draw(d->change_count + 1);

	for (size_t i = 0; i < survive; i++)
		apply(&d->kept, &d->changes[i]);
	d->change_count = 0;
	copy_table(&d->now, &d->kept);
	for (size_t i = 0; i < d->inode_count; i++)
		cut_file(d->inodes[i]);
}

void disk_full(bool full)
{
	no_room = full;
}

void disk_begin(void)
{
	memset(disks, 0, sizeof disks);
	memset(files, 0, sizeof files);
	no_room = false;
}

void disk_end(void)
{
	for (struct disk *d = disks; d < disks + DISKS; d++) {
		for (size_t i = 0; i < d->inode_count; i++) {
			world_free(d->inodes[i]->cache);
			world_free(d->inodes[i]->disk);
			world_free(d->inodes[i]->dirty);
			world_free(d->inodes[i]);
		}
		world_free(d->inodes);
		world_free(d->now.list);
		world_free(d->kept.list);
		world_free(d->changes);
	}
}
