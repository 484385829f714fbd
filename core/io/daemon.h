/* How every program starts and stops: options, configuration, signals, and the
 * word "ready" for whoever started it.
 *
 * Exit status everywhere: 0 done, 1 input refused, 2 usage, 3 the world failed.
 */
#ifndef LF_IO_DAEMON_H
#define LF_IO_DAEMON_H

#include "core/io/config.h"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_WORLD = 3 };

#define LANDFALL_VERSION "0.1.0"

struct daemon_about {
	const char *program; /* "landfall-tracker" */
	const char *what;    /* one sentence for --help */
	const char *example; /* command line(s) for --help */
};

/* Takes --config FILE, --set SECTION.KEY=VALUE (repeatable), --help, --version.
 * Returns -1 to go on with *c filled, else the exit status to leave with (text
 * was printed). Opens the log. argv past the options must be empty. */
int daemon_start(const struct daemon_about *about, int argc, char **argv, struct config *c);

/* Block SIGTERM, SIGINT and SIGHUP in this and all later threads, ignore
 * SIGPIPE, and start a thread that calls stop(arg) on the first SIGTERM or
 * SIGINT, reload(arg) (may be NULL) on SIGHUP. The second SIGTERM ends at once. */
void daemon_signals(void (*stop)(void *arg), void (*reload)(void *arg), void *arg);

/* A TCP listener: SO_REUSEADDR, non-blocking, close-on-exec. fd, or -errno with
 * *why one line that names the address, its setting and, when the port is
 * taken, what to do. setting: "tracker.listen". */
int daemon_listen(const struct config_addr *a, const char *setting, struct buf *why);

/* All of it to stdout, for filters. 0, or -errno. */
int daemon_print(slice s);

/* Says ready: "READY=1" to $NOTIFY_SOCKET (sd_notify protocol) where set, and an
 * info line. */
void daemon_ready(const char *what);

#endif
