/* Put before the product's own sources: what they ask of the system is asked of
 * the simulated world. */
#ifndef LF_TESTS_SIM_WORLD_H
#define LF_TESTS_SIM_WORLD_H

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int sim_open(const char *path, int flags);
int sim_openat(int dirfd, const char *name, int flags, ...);
int sim_close(int fd);
ssize_t sim_read(int fd, void *out, size_t n);
ssize_t sim_pread(int fd, void *out, size_t n, off_t at);
ssize_t sim_pwrite(int fd, const void *in, size_t n, off_t at);
int sim_fsync(int fd);
int sim_fallocate(int fd, off_t from, off_t n);
int sim_fstat(int fd, struct stat *st);
int sim_fstatat(int dirfd, const char *name, struct stat *st, int flags);
int sim_renameat(int fromfd, const char *from, int tofd, const char *to, unsigned flags);
int sim_unlinkat(int dirfd, const char *name, int flags);
int sim_mkdir(const char *path, mode_t mode);
int sim_flock(int fd, int how);
DIR *sim_fdopendir(int fd);
struct dirent *sim_readdir(DIR *d);
int sim_closedir(DIR *d);
ssize_t sim_getrandom(void *out, size_t n, unsigned flags);

int sim_clock_gettime(clockid_t id, struct timespec *ts);
int sim_nanosleep(const struct timespec *ts, struct timespec *left);
int sim_thread_create(pthread_t *t, const pthread_attr_t *attr, void *(*main)(void *), void *arg);
int sim_thread_join(pthread_t t, void **result);
int sim_mutex_lock(pthread_mutex_t *m);
int sim_mutex_unlock(pthread_mutex_t *m);
int sim_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int sim_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until);
int sim_cond_signal(pthread_cond_t *c);
int sim_cond_broadcast(pthread_cond_t *c);

#ifdef SIM_PRODUCT
#define open(path, flags) sim_open(path, flags)
#define openat(...) sim_openat(__VA_ARGS__)
#define close(fd) sim_close(fd)
#define read(fd, out, n) sim_read(fd, out, n)
#define pread(fd, out, n, at) sim_pread(fd, out, n, at)
#define pwrite(fd, in, n, at) sim_pwrite(fd, in, n, at)
#define fsync(fd) sim_fsync(fd)
#define fdatasync(fd) sim_fsync(fd)
#define posix_fallocate(fd, from, n) sim_fallocate(fd, from, n)
#define fstat(fd, st) sim_fstat(fd, st)
#define fstatat(fd, name, st, flags) sim_fstatat(fd, name, st, flags)
#define renameat(fd, from, to_fd, to) sim_renameat(fd, from, to_fd, to, 0)
#define renameat2(fd, from, to_fd, to, flags) sim_renameat(fd, from, to_fd, to, flags)
#define unlinkat(fd, name, flags) sim_unlinkat(fd, name, flags)
#define mkdir(path, mode) sim_mkdir(path, mode)
#define flock(fd, how) sim_flock(fd, how)
#define fdopendir(fd) sim_fdopendir(fd)
#define readdir(d) sim_readdir(d)
#define closedir(d) sim_closedir(d)
#define getrandom(out, n, flags) sim_getrandom(out, n, flags)
#define clock_gettime(id, ts) sim_clock_gettime(id, ts)
#define nanosleep(ts, left) sim_nanosleep(ts, left)
#define pthread_create(t, attr, fn, arg) sim_thread_create(t, attr, fn, arg)
#define pthread_join(t, result) sim_thread_join(t, result)
#define pthread_sigmask(how, set, old) ((void)(old))
#define pthread_mutex_init(m, attr) ((void)memset((m), 0, sizeof *(m)))
#define pthread_mutex_destroy(m) ((void)(m))
#define pthread_mutex_lock(m) sim_mutex_lock(m)
#define pthread_mutex_unlock(m) sim_mutex_unlock(m)
#define pthread_cond_init(c, attr) ((void)memset((c), 0, sizeof *(c)))
#define pthread_cond_destroy(c) ((void)(c))
#define pthread_cond_wait(c, m) sim_cond_wait(c, m)
#define pthread_cond_timedwait(c, m, until) sim_cond_timedwait(c, m, until)
#define pthread_cond_signal(c) sim_cond_signal(c)
#define pthread_cond_broadcast(c) sim_cond_broadcast(c)
#endif

#endif
