#include "tests/testing.h"

#include "core/base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t span(size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (len + page - 1) / page * page + page;
}

slice test_guard(slice s)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), all = span(s.len);
	uint8_t *p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED);
	must(mprotect(p + all - page, page, PROT_NONE) == 0);
	p += all - page - s.len;
	if (s.len)
		memcpy(p, s.p, s.len);
	return slice_of(p, s.len);
}

void test_unguard(slice s)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), all = span(s.len);
	uintptr_t end = (uintptr_t)s.p + s.len + page;

	munmap((void *)(end - all), all);
}

void test_slices_equal(const char *row, slice got, slice want)
{
	if (slice_eq(got, want))
		return;
	fail_msg("%s: got \"%.*s\" (%zu bytes), want \"%.*s\" (%zu bytes)", row, SLICE_FMT(got), got.len,
		SLICE_FMT(want), want.len);
}

void test_numbers_equal(const char *row, long long got, long long want)
{
	if (got != want)
		fail_msg("%s: got %lld, want %lld", row, got, want);
}

/* What test_file read; freed at exit. */
static void **read_files;
static size_t read_count;

static void forget_files(void)
{
	while (read_count)
		free(read_files[--read_count]);
	free(read_files);
}

slice test_file(const char *path, bool *found)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	uint8_t *p;
	size_t n;

	*found = f != NULL;
	if (!f)
		return SLICE_NONE;
	must(fstat(fileno(f), &st) == 0);
	p = must_alloc((size_t)st.st_size);
	n = fread(p, 1, (size_t)st.st_size, f);
	fclose(f);
	if (!read_files)
		atexit(forget_files);
	read_files = must_realloc(read_files, (read_count + 1) * sizeof *read_files);
	read_files[read_count++] = p;
	return slice_of(p, n);
}

const char *test_corpora(void)
{
	const char *dir = getenv("LANDFALL_CORPORA");
	struct stat st;

	if (!dir)
		dir = "../shared/corpora";
	if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
		return dir;
	printf("skipped: no corpora at %s (set LANDFALL_CORPORA)\n", dir);
	return NULL;
}
