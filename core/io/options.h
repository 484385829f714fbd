/* Options of the commands of `landfall`.
 *
 * Every command takes --config FILE, --set SECTION.KEY=VALUE (repeatable) and
 * --help beside its own rows; what is not an option is kept in order.
 */
#ifndef LF_IO_OPTIONS_H
#define LF_IO_OPTIONS_H

#include "core/io/config.h"

#define OPTIONS_MAX_SETS 64
#define OPTIONS_MAX_ARGS 256

/* One of text, number and flag says where the value goes. */
struct option_row {
	const char *name;  /* "--dir" */
	const char *value; /* its value's name in the help; NULL: none */
	const char *help;
	const char **text;
	int64_t *number;
	bool *flag;
};

struct command {
	const char *name;
	const char *usage; /* behind the name: "[--dir DIR]" */
	const char *what;  /* what it does, lines of text */
	const char *example;
	const struct option_row *rows;
	size_t count;
	unsigned least, most; /* arguments that are not options */
	const char *config;   /* read where it exists and --config names none; NULL: the defaults */
};

/* Where `landfall up` puts it. */
#define OPTIONS_CONFIG "landfall-data/landfall.conf"


struct command_line {
	const char *config; /* NULL: none given */
	const char *set[OPTIONS_MAX_SETS];
	unsigned sets;
	const char *arg[OPTIONS_MAX_ARGS];
	unsigned args;
};

/* argv[0] is the command's name. -1 to go on, else the exit status to leave
 * with (text was printed). All text is borrowed from argv. */
int options_read(const struct command *c, int argc, char **argv, struct command_line *out);

/* The configuration that the command line names. -1 to go on with *c, to be
 * closed by the caller; else the exit status, and nothing is left open. */
int options_config(const struct command_line *l, struct config *c);

#endif
