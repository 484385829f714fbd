#include "core/base/must.h"
#include "core/io/daemon.h"
#include "deploy/command/command.h"
#include "deploy/command/self.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A command is run here, or exec'ed from the program that owns it. */
static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *program;
	const char *what;
} commands[] = {
	{"up", command_up, NULL, "run all programs on this machine until Ctrl-C"},
	{"rewrite", NULL, "landfall-rewriter", "a message in on stdin, the rewritten message out"},
	{"log", NULL, "landfall-collector", "an MTA log in on stdin, delivery facts out as JSON lines"},
	{"bounce", NULL, "landfall-collector",
		"returned messages in on stdin, what became of each recipient out"},
	{"report", NULL, "landfall-reports", "what became of a campaign"},
	{"verify", NULL, "landfall-collector", "compare campaigns in the store with their kept hits"},
	{"forget", command_forget, NULL, "erase what an address did, and count it no more"},
	{"estimate", NULL, "landfall-reports",
		"how much accepted mail reached the inbox, from JSON on stdin"},
	{"token", command_token, NULL, "say what a token in a link, pixel or return path holds"},
	{"key", command_key, NULL, "make, list and retire sealing keys and API keys"},
	{"config", command_config, NULL, "show, check or list the settings"},
	{"dump", command_dump, NULL, "journal files as text, a line for each event"},
	{"doctor", command_doctor, NULL, "look for what is wrong with this installation"},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void help(void)
{
	puts("Usage: landfall COMMAND [OPTION]...\n\n"
	     "Open and click tracking for e-mail: what was sent, what arrived, what was read.\n\nCommands:");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  %-9s %s\n", commands[i].name, commands[i].what);
	puts("\n`landfall COMMAND --help` explains a command with an example.\n\nExample:\n  landfall up "
	     "--dir "
	     "/var/lib/landfall");
}

/* Become the program that owns the command; returns only on failure. */
static int become(const char *program, char **argv)
{
	char path[SELF_MAX];
	int rc = self_sibling(program, path);

	if (rc == 0) {
		execv(path, argv);
		rc = -errno;
	}
	fprintf(stderr, "landfall: cannot run %s: %s\n", program, strerror(-rc));
	return EXIT_WORLD;
}

static int run(int argc, char **argv)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		if (commands[i].run)
			return commands[i].run(argc, argv);
		/* argv[-1] is our own name's place: the program gets its name and the command. */
		argv[-1] = (char *)commands[i].program;
		return become(commands[i].program, argv - 1);
	}
	fprintf(stderr, "landfall: no command \"%s\" (see landfall --help)\n", argv[0]);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		help();
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		help();
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("landfall " LANDFALL_VERSION);
		return EXIT_DONE;
	}
	return run(argc - 1, argv + 1);
}
