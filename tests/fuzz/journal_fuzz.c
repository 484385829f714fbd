/* Bytes as a segment file: opening never fails, what is read back are whole
 * frames in order at their own positions, what is appended then is found again,
 * and a second start finds exactly the same. */
#include "core/base/must.h"
#include "core/io/journal.h"
#include "core/io/segment.h"
#include "core/model/frame.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];
static uint8_t *room;

static void clean(void)
{
	static const char *const names[] = {"lane", "lock"};
	char path[128], name[SEGMENT_NAME];

	for (uint64_t start = 0; start <= 16 * SIZE; start += SIZE) {
		segment_name(start, name);
		snprintf(path, sizeof path, "%s/%s", dir, name);
		unlink(path);
	}
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
}

static void clean_all(void)
{
	clean();
	rmdir(dir);
	free(room);
}

static void set_up(void)
{
	if (room)
		return;
	strcpy(dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/landfall-fuzz-XXXXXX"
						  : "/tmp/landfall-fuzz-XXXXXX");
	must(mkdtemp(dir));
	room = must_alloc(FRAME_MAX);
	atexit(clean_all);
}

static void write_file(const char *name, const void *p, size_t n)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	must(fd >= 0 && write(fd, p, n) == (ssize_t)n);
	close(fd);
}

/* Positions of all frames, folded into one number; *count frames. */
static uint64_t read_all(struct journal *j, unsigned *count)
{
	uint64_t pos = 0, at, sum = 0, behind = 0;
	int64_t n;

	*count = 0;
	while ((n = journal_read(j, pos, room, FRAME_MAX, &at)) > 0) {
		struct frame f;

		for (int64_t i = 0; i < n; i += (int64_t)f.size) {
			if (frame_decode(slice_of(room + i, (size_t)(n - i)), &f) != 1 ||
				f.position != at + (uint64_t)i || f.position < behind || f.lane != 0xc0ffee)
				abort();
			behind = f.position + f.size;
			sum = sum * 31 + f.position;
			++*count;
		}
		pos = at + (uint64_t)n;
	}
	if (n < 0 || behind > journal_end(j))
		abort();
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_config cfg = {.dir = dir, .segment_bytes = SIZE, .cap_bytes = 16 * SIZE};
	struct journal *j;
	struct buf batch;
	unsigned before, after, again;
	uint64_t place, sum;
	uint8_t *copy;
	int rc;

	if (size > SIZE)
		return 0;
	set_up();
	clean();
	/* The fuzzer cannot guess checksums: frames that are almost right get theirs. */
	copy = must_zalloc(SIZE);
	memcpy(copy, data, size);
	for (size_t i = SEGMENT_HEAD; i + FRAME_HEAD <= size; i++) {
		struct buf b = {.p = copy, .len = SIZE, .room = SIZE, .cap = SIZE};
		size_t len = (size_t)FRAME_HEAD + copy[i + 4];

		if (memcmp(copy + i, "LFF", 3) != 0 || i + len > size)
			continue;
		copy[i + 3] = '1';
		b.len = i + len;
		frame_end(&b, i, 0xc0ffee, i, copy[i + 34] & 1, copy[i + 36]);
		i += len - 1;
	}
	write_file("lane", "00c0ffee\n", 9);
	write_file("0000000000000000.seg", copy, size);
	free(copy);

	if (journal_open(&j, &cfg) != 0)
		abort();
	read_all(j, &before);
	place = journal_place(j, FRAME_HEAD + 5, &rc);
	if (!place)
		abort();
	buf_init(&batch, 1024);
	frame_begin(&batch, 1, 1);
	buf_put(&batch, SLICE("hello"));
	frame_end(&batch, 0, 0xc0ffee, place, 0, 1);
	if (journal_append(j, buf_slice(&batch)) != 0)
		abort();
	buf_free(&batch);
	sum = read_all(j, &after);
	if (after != before + 1)
		abort();
	journal_close(&j);
	if (journal_open(&j, &cfg) != 0)
		abort();
	if (read_all(j, &again) != sum || again != after)
		abort();
	journal_close(&j);
	return 0;
}
