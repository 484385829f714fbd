#include "core/io/keyfile.h"

#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE (64u << 10)
#define MS_A_DAY 86400000u

/* 0 and the text in *text, or -errno with *why filled. */
static int read_private(int fd, const char *path, struct buf *text, struct buf *why)
{
	struct stat st;
	uint8_t *p;
	ssize_t n;

	if (fstat(fd, &st) != 0) {
		int rc = -errno;

		buf_printf(why, "%s: %s", path, strerror(-rc));
		return rc;
	}
	if (!S_ISREG(st.st_mode)) {
		buf_printf(why, "%s: not a regular file", path);
		return -EINVAL;
	}
	if (st.st_mode & 077) {
		buf_printf(why, "%s: others may read it (mode %04o): chmod 600 %s", path, st.st_mode & 07777,
			path);
		return -EACCES;
	}
	while ((p = buf_room(text, 4096)) && (n = read(fd, p, 4096)) != 0) {
		if (n < 0) {
			int rc = -errno;

			buf_printf(why, "%s: %s", path, strerror(-rc));
			return rc;
		}
		buf_grew(text, (size_t)n);
	}
	if (!p) {
		buf_printf(why, "%s: larger than %zu bytes", path, text->cap);
		return -EFBIG;
	}
	return 0;
}

int keyfile_read(const char *path, struct buf *text, struct buf *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), rc;

	if (fd < 0) {
		rc = -errno;
		buf_printf(why, "%s: %s%s", path, strerror(-rc),
			rc == -ENOENT ? ": make it with `landfall key add`" : "");
		return rc;
	}
	/* All at once, so that no copy of a secret is left behind by growing. */
	must(buf_room(text, text->cap));
	rc = read_private(fd, path, text, why);
	close(fd);
	return rc;
}

int keyfile_load(const char *path, struct keyring *out, struct buf *why)
{
	unsigned line = 0;
	struct buf text;
	int rc;

	memset(out, 0, sizeof *out);
	buf_init(&text, MAX_FILE);
	rc = keyfile_read(path, &text, why);
	if (rc == 0) {
		rc = keyring_decode(buf_slice(&text), out, &line);
		if (rc < 0) {
			buf_printf(why,
				"%s:%u: not a key ring: want `hash HEX` and `key ID active|retired DATE HEX`",
				path, line);
			rc = -REFUSE_SYNTAX;
		}
	}
	if (text.p)
		explicit_bzero(text.p, text.room);
	buf_free(&text);
	return rc;
}

/* Makes the directories above path. 0 or -errno. */
static int make_parents(const char *path)
{
	char dir[PATH_MAX];

	if (strlen(path) >= sizeof dir)
		return -ENAMETOOLONG;
	strcpy(dir, path);
	for (char *p = dir + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		if (mkdir(dir, 0700) != 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

static int write_all(int fd, slice s)
{
	while (s.len) {
		ssize_t n = write(fd, s.p, s.len);

		if (n < 0)
			return -errno;
		s = slice_from(s, (size_t)n);
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

/* The rename itself must survive a power failure. */
static int sync_parent(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, rc;

	snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fsync(fd) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

static int store(const char *path, slice text)
{
	char temporary[PATH_MAX];
	int fd, rc = make_parents(path);

	if (rc < 0)
		return rc;
	if (snprintf(temporary, sizeof temporary, "%s.%d.new", path, getpid()) >= (int)sizeof temporary)
		return -ENAMETOOLONG;
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, text);
	if (close(fd) != 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(temporary, path) != 0)
		rc = -errno;
	if (rc < 0) {
		unlink(temporary);
		return rc;
	}
	return sync_parent(path);
}

int keyfile_store(const char *path, const struct keyring *ring, struct buf *why)
{
	struct buf text;
	int rc;

	buf_init(&text, MAX_FILE);
	must(buf_room(&text, MAX_FILE));
	keyring_encode(ring, &text);
	must(!text.full);
	rc = store(path, buf_slice(&text));
	if (rc < 0)
		buf_printf(why, "%s: %s", path, strerror(-rc));
	explicit_bzero(text.p, text.room);
	buf_free(&text);
	return rc;
}

void keyfile_random(void *p, size_t n)
{
	uint8_t *at = p;

	while (n) {
		ssize_t got = getrandom(at, n, 0);

		must(got > 0 || errno == EINTR);
		if (got > 0) {
			at += got;
			n -= (size_t)got;
		}
	}
}

int keyfile_add(struct keyring *ring)
{
	static const uint8_t none[KEYRING_SECRET];
	struct keyring_key *k;
	unsigned id = 0;

	for (unsigned i = 0; i < ring->count; i++)
		if (ring->key[i].id > id)
			id = ring->key[i].id;
	/* The newest key is the one with the greatest id: gaps below are not filled. */
	if (id >= KEYRING_MAX_KEYS || ring->count >= KEYRING_MAX_KEYS)
		return -REFUSE_RANGE;
	if (memcmp(ring->hash, none, sizeof none) == 0)
		keyfile_random(ring->hash, sizeof ring->hash);
	k = &ring->key[ring->count++];
	*k = (struct keyring_key){.id = (uint8_t)(id + 1), .made_day = (uint32_t)(clock_ms() / MS_A_DAY)};
	keyfile_random(k->secret, sizeof k->secret);
	return k->id;
}
