#include "tests/work.h"

#include <stddef.h>

/* What the library functions below do for a basic block of work. */
#define BYTES 16

static uint64_t work;

uint64_t work_done(void)
{
	return work;
}

/* Called by every basic block that was compiled with -fsanitize-coverage=trace-pc. */
void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
	work++;
}

void *__real_memchr(const void *s, int c, size_t n);
void *__real_memrchr(const void *s, int c, size_t n);
void *__real_memmem(const void *s, size_t n, const void *what, size_t m);
void *__real_memcpy(void *to, const void *from, size_t n);
void *__real_memmove(void *to, const void *from, size_t n);
void *__real_memset(void *to, int c, size_t n);
int __real_memcmp(const void *a, const void *b, size_t n);
void *__wrap_memchr(const void *s, int c, size_t n);
void *__wrap_memrchr(const void *s, int c, size_t n);
void *__wrap_memmem(const void *s, size_t n, const void *what, size_t m);
void *__wrap_memcpy(void *to, const void *from, size_t n);
void *__wrap_memmove(void *to, const void *from, size_t n);
void *__wrap_memset(void *to, int c, size_t n);
int __wrap_memcmp(const void *a, const void *b, size_t n);

/* As far as it looked. */
static void looked(const void *from, const void *found, size_t n)
{
	work += (found ? (size_t)((const char *)found - (const char *)from) : n) / BYTES;
}

void *__wrap_memchr(const void *s, int c, size_t n)
{
	void *found = __real_memchr(s, c, n);

	looked(s, found, n);
	return found;
}

void *__wrap_memrchr(const void *s, int c, size_t n)
{
	void *found = __real_memrchr(s, c, n);

	work += (found ? n - (size_t)((const char *)found - (const char *)s) : n) / BYTES;
	return found;
}

void *__wrap_memmem(const void *s, size_t n, const void *what, size_t m)
{
	void *found = __real_memmem(s, n, what, m);

	looked(s, found, n);
	return found;
}

void *__wrap_memcpy(void *to, const void *from, size_t n)
{
	work += n / BYTES;
	return __real_memcpy(to, from, n);
}

void *__wrap_memmove(void *to, const void *from, size_t n)
{
	work += n / BYTES;
	return __real_memmove(to, from, n);
}

void *__wrap_memset(void *to, int c, size_t n)
{
	work += n / BYTES;
	return __real_memset(to, c, n);
}

int __wrap_memcmp(const void *a, const void *b, size_t n)
{
	work += n / BYTES;
	return __real_memcmp(a, b, n);
}
