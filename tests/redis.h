/* A redis-server of the test's own, on a unix socket in a temporary directory. */
#ifndef LF_TESTS_REDIS_H
#define LF_TESTS_REDIS_H

#include <stdbool.h>
#include <sys/types.h>

struct test_redis {
	char dir[64]; /* mkdtemp; removed by test_redis_free */
	char socket[96];
	pid_t pid; /* 0: not running */
	bool aof;
};

/* Make the directory; the server is not started yet. */
void test_redis_init(struct test_redis *t);
/* Start (or start again) and wait until it answers, everything in its append
 * only file loaded. aof: write each command to disk before it is answered. */
void test_redis_start(struct test_redis *t, bool aof);
/* kill -9 and reap. */
void test_redis_kill(struct test_redis *t);
void test_redis_free(struct test_redis *t);

/* Remove a directory and all below it. */
void test_remove(const char *dir);

#endif
