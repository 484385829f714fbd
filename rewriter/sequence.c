#include "rewriter/sequence.h"

#include "core/base/bytes.h"
#include "core/base/crc32c.h"
#include "core/base/must.h"
#include "core/io/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD 32
#define FIRST_SLOTS 256

struct slot { /* empty: end is 0 */
	uint64_t campaign;
	uint32_t next;
	uint32_t end;
};

struct sequence {
	int dirfd;
	int fd;
	uint32_t lane;
	uint32_t start; /* of campaigns not seen yet */
	uint32_t most;
	uint64_t records;   /* in the file */
	struct slot *slots; /* open addressing; campaign keys are hashes already */
	size_t room, count;
};

static struct slot *slot_of(const struct sequence *s, uint64_t campaign)
{
	size_t i = campaign & (s->room - 1);

	while (s->slots[i].end != 0 && s->slots[i].campaign != campaign)
		i = (i + 1) & (s->room - 1);
	return &s->slots[i];
}

static void grow(struct sequence *s)
{
	struct slot *old = s->slots;
	size_t room = s->room;

	if (s->count * 4 < room * 3)
		return;
	s->room = room * 2;
	s->slots = must_zalloc(s->room * sizeof *s->slots);
	for (size_t i = 0; i < room; i++)
		if (old[i].end != 0)
			*slot_of(s, old[i].campaign) = old[i];
	free(old);
}

static void set_end(struct sequence *s, uint64_t campaign, uint32_t end)
{
	struct slot *slot = slot_of(s, campaign);

	if (slot->end == 0) {
		grow(s);
		slot = slot_of(s, campaign);
		s->count++;
	}
	*slot = (struct slot){campaign, end, end};
	if (end > s->most)
		s->most = end;
}

static void encode(const struct sequence *s, uint64_t campaign, uint32_t end, uint64_t place, uint8_t *p)
{
	put_le32(p + 4, s->lane);
	put_le64(p + 8, campaign);
	put_le32(p + 16, end);
	put_le32(p + 20, end > s->most && place > 0 ? end : s->most);
	put_le64(p + 24, place);
	put_le32(p, crc32c(slice_of(p + 4, RECORD - 4)));
}

/* 0, or -errno. A short write is a failure: the disk is full. */
static int write_at(int fd, const void *p, size_t n, uint64_t at)
{
	ssize_t did = pwrite(fd, p, n, (off_t)at);

	if (did < 0)
		return -errno;
	return (size_t)did == n ? 0 : -ENOSPC;
}

static bool intact(const uint8_t *p, uint64_t place)
{
	return get_le32(p) == crc32c(slice_of(p + 4, RECORD - 4)) && get_le64(p + 24) == place;
}

static bool blank(const uint8_t *p)
{
	static const uint8_t zeros[RECORD];

	return memcmp(p, zeros, RECORD) == 0;
}

/* Take over what the records say. False: they are of another lane. */
static bool replay(struct sequence *s, const uint8_t *p, uint64_t n)
{
	uint64_t bad = 0;

	for (uint64_t i = 0; i < n; i++, p += RECORD) {
		if (!intact(p, i)) {
			/* The file had grown, but the record was not synced. */
			if (i == 0 || i + 1 < n || !blank(p))
				bad++;
			continue;
		}
		if (get_le32(p + 4) != s->lane)
			return false;
		if (get_le32(p + 20) > s->most)
			s->most = get_le32(p + 20);
		if (i == 0)
			s->start = get_le32(p + 16);
		else if (get_le32(p + 16) > 0)
			set_end(s, get_le64(p + 8), get_le32(p + 16));
	}
	if (bad == 0)
		return true;
	log_error("sequence", "sequence file damaged",
		"bad_records=%" PRIu64 " hint=\"all campaigns go on behind %" PRIu32 "\"", bad,
		s->most + SEQUENCE_BLOCK);
	/* A lost record may have reserved one block beyond all that we see. */
	s->start = s->most > UINT32_MAX - SEQUENCE_BLOCK ? UINT32_MAX : s->most + SEQUENCE_BLOCK;
	for (size_t i = 0; i < s->room; i++)
		if (s->slots[i].end != 0 && s->slots[i].end < s->start)
			s->slots[i].next = s->slots[i].end = s->start;
	s->most = s->start;
	return true;
}

/* 1: read. 0: absent or another lane's. -errno. */
static int read_old(struct sequence *s)
{
	int fd = openat(s->dirfd, "sequence", O_RDONLY | O_CLOEXEC), rc = 0;
	uint8_t *p = NULL;
	struct stat st;
	size_t n = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) != 0) {
		rc = -errno;
		goto out;
	}
	p = must_alloc((size_t)st.st_size + 1);
	while (n < (size_t)st.st_size) {
		ssize_t got = pread(fd, p + n, (size_t)st.st_size - n, (off_t)n);

		if (got < 0) {
			rc = -errno;
			goto out;
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	if (n >= RECORD)
		rc = replay(s, p, n / RECORD) ? 1 : 0;
out:
	free(p);
	close(fd);
	return rc;
}

/* The file anew, whole or not at all. */
static int write_new(struct sequence *s)
{
	int fd = openat(s->dirfd, "sequence.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc;
	uint8_t *p;

	if (fd < 0)
		return -errno;
	p = must_zalloc((s->count + 1) * RECORD);
	encode(s, 0, s->start, 0, p);
	s->records = 1;
	for (size_t i = 0; i < s->room; i++)
		if (s->slots[i].end != 0) {
			encode(s, s->slots[i].campaign, s->slots[i].end, s->records, p + s->records * RECORD);
			s->records++;
		}
	rc = write_at(fd, p, s->records * RECORD, 0);
	if (rc == 0 && (fsync(fd) != 0 || renameat(s->dirfd, "sequence.new", s->dirfd, "sequence") != 0 ||
			       fsync(s->dirfd) != 0))
		rc = -errno;
	free(p);
	if (rc < 0)
		close(fd);
	else
		s->fd = fd;
	return rc;
}

int sequence_open(struct sequence **out, const char *dir, uint32_t lane, bool used)
{
	struct sequence *s = must_zalloc(sizeof *s);
	int rc;

	*s = (struct sequence){.dirfd = -1, .fd = -1, .lane = lane, .room = FIRST_SLOTS};
	s->slots = must_zalloc(s->room * sizeof *s->slots);
	*out = NULL;
	s->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0) {
		rc = -errno;
		goto out;
	}
	rc = read_old(s);
	if (rc == 0 && used)
		rc = -ENOENT;
	if (rc < 0)
		goto out;
	rc = write_new(s);
	if (rc < 0)
		goto out;
	*out = s;
	s = NULL;
out:
	sequence_close(&s);
	return rc;
}

void sequence_close(struct sequence **sp)
{
	struct sequence *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	if (s->dirfd >= 0)
		close(s->dirfd);
	free(s->slots);
	free(s);
}

/* The next block of a campaign, synced. A failed attempt is written over by the
 * next one: nothing of it was used. */
static int reserve(struct sequence *s, uint64_t campaign)
{
	struct slot *slot = slot_of(s, campaign);
	uint32_t from = slot->end ? slot->end : s->start;
	uint8_t record[RECORD];
	int rc;

	if (from > UINT32_MAX - SEQUENCE_BLOCK)
		return -EOVERFLOW;
	encode(s, campaign, from + SEQUENCE_BLOCK, s->records, record);
	rc = write_at(s->fd, record, RECORD, s->records * RECORD);
	if (rc == 0 && fdatasync(s->fd) != 0)
		rc = -errno;
	if (rc < 0)
		return rc;
	s->records++;
	set_end(s, campaign, from + SEQUENCE_BLOCK);
	slot_of(s, campaign)->next = from;
	return 0;
}

int sequence_take(struct sequence *s, uint64_t campaign, uint32_t *number, bool *reserved)
{
	struct slot *slot = slot_of(s, campaign);
	int rc;

	*reserved = slot->end == 0 || slot->next == slot->end;
	if (*reserved) {
		rc = reserve(s, campaign);
		if (rc < 0)
			return rc;
		slot = slot_of(s, campaign);
	}
	*number = slot->next++;
	return 0;
}
