#include "core/io/segment.h"

#include "core/base/bytes.h"
#include "core/base/crc32c.h"
#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/model/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*	 0  "LFSEGMNT"         24  size of the file
 *	 8  version, 1         32  events before this segment
 *	12  lane               40  behind
 *	16  start              48  zeros
 *	                       60  CRC-32C of [0, 60)
 */
static const uint8_t magic[8] = {'L', 'F', 'S', 'E', 'G', 'M', 'N', 'T'};
#define VERSION 1
#define CHECKED 60

/* Damage is searched in windows that overlap by one largest frame. */
#define WINDOW ((size_t)2 * FRAME_MAX)
/* What is given up around a place that the disk cannot read. */
#define SECTOR 4096

void segment_head_encode(const struct segment_head *h, uint8_t out[SEGMENT_HEAD])
{
	memset(out, 0, SEGMENT_HEAD);
	memcpy(out, magic, sizeof magic);
	put_le32(out + 8, VERSION);
	put_le32(out + 12, h->lane);
	put_le64(out + 16, h->start);
	put_le64(out + 24, h->size);
	put_le64(out + 32, h->events);
	put_le64(out + 40, h->behind);
	put_le32(out + CHECKED, crc32c(slice_of(out, CHECKED)));
}

int segment_head_decode(slice in, struct segment_head *h)
{
	if (in.len < SEGMENT_HEAD)
		return -REFUSE_CUT;
	if (memcmp(in.p, magic, sizeof magic) != 0)
		return -REFUSE_SYNTAX;
	if (crc32c(slice_sub(in, 0, CHECKED)) != get_le32(in.p + CHECKED))
		return -REFUSE_CHECKSUM;
	if (get_le32(in.p + 8) != VERSION)
		return -REFUSE_VERSION;
	*h = (struct segment_head){.lane = get_le32(in.p + 12),
		.start = get_le64(in.p + 16),
		.size = get_le64(in.p + 24),
		.events = get_le64(in.p + 32),
		.behind = get_le64(in.p + 40)};
	return 0;
}

void segment_name(uint64_t start, char out[SEGMENT_NAME])
{
	snprintf(out, SEGMENT_NAME, "%016llx.seg", (unsigned long long)start);
}

bool segment_name_decode(const char *name, uint64_t *start)
{
	char again[SEGMENT_NAME];
	char *end;

	errno = 0;
	*start = strtoull(name, &end, 16);
	if (errno || end == name)
		return false;
	segment_name(*start, again);
	return strcmp(again, name) == 0;
}

int segment_make(int dirfd, uint64_t start, uint64_t size)
{
	char name[SEGMENT_NAME], temporary[SEGMENT_NAME + 4];
	int fd, rc;

	segment_name(start, name);
	snprintf(temporary, sizeof temporary, "%s.tmp", name);
	fd = openat(dirfd, temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = -posix_fallocate(fd, 0, (off_t)size);
	if (rc < 0)
		goto out;
	/* Never over another segment, whatever went wrong before. */
	if (fsync(fd) != 0 || renameat2(dirfd, temporary, dirfd, name, RENAME_NOREPLACE) != 0) {
		rc = -errno;
		goto out;
	}
	if (fsync(dirfd) == 0)
		return fd;
	rc = -errno;
	unlinkat(dirfd, name, 0);
out:
	unlinkat(dirfd, temporary, 0);
	close(fd);
	return rc;
}

int segment_write(int fd, slice s, uint64_t offset)
{
	size_t done = 0;

	while (done < s.len) {
		ssize_t n = pwrite(fd, s.p + done, s.len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		done += (size_t)n;
	}
	return 0;
}

int segment_clear(int fd, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[64 * 1024];
	int rc = 0;

	for (; from < to && rc == 0; from += sizeof zeros)
		rc = segment_write(fd, slice_sub(slice_of(zeros, sizeof zeros), 0, to - from), from);
	return rc;
}

/* n bytes at offset; zeros for what is behind the end or cannot be read. */
static void fill(int fd, uint8_t *out, size_t n, uint64_t offset)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, out + done, n - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			size_t step = SECTOR - (offset + done) % SECTOR;

			if (step > n - done)
				step = n - done;
			memset(out + done, 0, step);
			done += step;
			continue;
		}
		if (got == 0) {
			memset(out + done, 0, n - done);
			return;
		}
		done += (size_t)got;
	}
}

/* Length of the frames of this lane that stand at the start of in. */
static size_t whole_frames(const struct segment_view *v, slice in, uint64_t pos)
{
	struct frame f;
	size_t at = 0;

	while (at < in.len && frame_decode(slice_from(in, at), &f) == 1 && f.position == pos + at &&
		f.lane == v->lane)
		at += f.size;
	return at;
}

/* Length without the zeros at the end. */
static size_t used(slice s)
{
	static const uint8_t zeros[512];

	while (s.len >= sizeof zeros && memcmp(s.p + s.len - sizeof zeros, zeros, sizeof zeros) == 0)
		s.len -= sizeof zeros;
	while (s.len && s.p[s.len - 1] == 0)
		s.len--;
	return s.len;
}

/* The next frame behind pos, where none stands, or the limit; *hole_to is the
 * end of the bytes between that are not just the zeros of the segment's end. */
static uint64_t next_frame(const struct segment_view *v, uint64_t pos, uint64_t *hole_to)
{
	uint64_t at = pos, found = v->limit;
	uint8_t *window = must_alloc(v->limit - pos < WINDOW ? (size_t)(v->limit - pos) : WINDOW);

	*hole_to = pos;
	for (;;) {
		size_t n = v->limit - at < WINDOW ? (size_t)(v->limit - at) : WINDOW, off;

		fill(v->fd, window, n, at - v->start);
		off = frame_resync(slice_of(window, n), at == pos, at);
		if (off != SLICE_NPOS) {
			found = *hole_to = at + off;
			break;
		}
		off = used(slice_of(window, n));
		if (off)
			*hole_to = at + off;
		if (at + n == v->limit)
			break;
		at += n - FRAME_MAX;
	}
	free(window);
	return found;
}

size_t segment_read(const struct segment_view *v, uint64_t pos, uint8_t *out, size_t room, uint64_t *at,
	uint64_t *hole_from, uint64_t *hole_to)
{
	*hole_from = *hole_to = pos;
	while (pos < v->limit) {
		size_t n = v->limit - pos < room ? (size_t)(v->limit - pos) : room, whole;

		fill(v->fd, out, n, pos - v->start);
		whole = whole_frames(v, slice_of(out, n), pos);
		if (whole) {
			*at = pos;
			return whole;
		}
		pos = next_frame(v, pos, hole_to);
	}
	*at = v->limit;
	return 0;
}
