/* One program under supervision: started, watched, started again, stopped.
 *
 * It runs in a process group of its own, so that Ctrl-C reaches the supervisor
 * alone, and gets SIGTERM from the kernel should the supervisor itself die.
 */
#ifndef LF_COMMAND_CHILD_H
#define LF_COMMAND_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_MAX_ARGS 192

struct child {
	const char *name;                     /* "tracker" */
	const char *argv[CHILD_MAX_ARGS + 1]; /* argv[0]: path; borrowed */
	unsigned argc;
	const char *log; /* its stdout and stderr are appended here; borrowed */
	bool notifies;   /* says READY=1 to $NOTIFY_SOCKET */
	pid_t pid;       /* 0: not running */
	bool ready;
	bool was_ready; /* ever */
	uint64_t started_ms;
	unsigned quick_deaths; /* in a row */
};

/* Fork and exec. notify: the value of NOTIFY_SOCKET. 0, or -errno. */
int child_start(struct child *c, const char *notify);

/* It ended: note it. Returns how many milliseconds to wait before it is
 * started again: none at first, more when it dies at once again and again. */
unsigned child_ended(struct child *c);

/* "exit status 3" or "killed by signal 9 (Killed)", in a static buffer. */
const char *child_status_text(int status);

/* The last line of its log, cut to room; "" if there is none. */
void child_last_words(const struct child *c, char *out, unsigned room);

#endif
