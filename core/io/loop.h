/* An event loop over libev, for everything that is not HTTP: SMTP, the
 * supervisor. One loop, one thread; only loop_wake may be called from others.
 */
#ifndef LF_IO_LOOP_H
#define LF_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_fd;
struct loop_timer;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop *loop_open(void);
void loop_close(struct loop **l);
/* Until loop_stop. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Watch a descriptor; the caller keeps owning it and unwatches before closing. */
struct loop_fd *loop_watch(struct loop *l, int fd, int events, void (*ready)(void *arg, int events), void *arg);
void loop_change(struct loop_fd *w, int events);
void loop_unwatch(struct loop_fd **w);

/* Once, after ms; set again to move it. */
struct loop_timer *loop_timer(struct loop *l, void (*due)(void *arg), void *arg);
void loop_timer_set(struct loop_timer *t, uint64_t ms);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer **t);

/* Run fn in the loop soon; from any thread. One function a loop. */
void loop_on_wake(struct loop *l, void (*fn)(void *arg), void *arg);
void loop_wake(struct loop *l);
/* Before the loop goes to sleep: the end of a turn (outbox_flush). */
void loop_on_turn(struct loop *l, void (*fn)(void *arg), void *arg);
/* A signal, or a child that ended (pid, wait status). */
void loop_on_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg);
void loop_on_child(struct loop *l, void (*fn)(void *arg, int pid, int status), void *arg);

#endif
