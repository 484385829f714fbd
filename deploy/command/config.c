#include "core/io/config.h"
#include "core/base/must.h"
#include "core/io/daemon.h"
#include "core/io/options.h"
#include "deploy/command/command.h"

#include <stdio.h>
#include <string.h>

#define MAX_TEXT (1u << 20)

static const struct command about = {
	.name = "config",
	.usage = "show|check|keys [--config FILE]",
	.what = "show   every setting with its value, meaning and range, as a file that can be used\n"
		"check  read the configuration and say what is wrong with it\n"
		"keys   the names of all settings with their defaults, a line each",
	.example = "  landfall config show >landfall.conf\n  landfall config check --config landfall.conf",
	.least = 1,
	.most = 1,
};

static const struct {
	const char *name, *def, *help;
} settings[] = {
#define NUM(section, key, def, least, most, help) {#section "." #key, #def, help},
#define STR(section, key, def, help) {#section "." #key, def, help},
#define BOOL(section, key, def, help) {#section "." #key, #def, help},
#define ADDR(section, key, def, help) {#section "." #key, def, help},
#define ADDRS(section, key, def, help) {#section "." #key, def, help},
#include "core/io/config.def"
#undef NUM
#undef STR
#undef BOOL
#undef ADDR
#undef ADDRS
};

static void keys(void)
{
	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
		printf("%-32s %-24s %s\n", settings[i].name, *settings[i].def ? settings[i].def : "(empty)",
			settings[i].help);
}

static void show(const struct config *c)
{
	struct buf out;

	buf_init(&out, MAX_TEXT);
	config_encode(c, &out);
	must(!out.full);
	fwrite(out.p, 1, out.len, stdout);
	buf_free(&out);
}

int command_config(int argc, char **argv)
{
	struct command_line line;
	struct config c;
	const char *verb;
	int rc = options_read(&about, argc, argv, &line);

	if (rc >= 0)
		return rc;
	verb = line.arg[0];
	if (strcmp(verb, "keys") == 0) {
		keys();
		return EXIT_DONE;
	}
	if (strcmp(verb, "show") != 0 && strcmp(verb, "check") != 0) {
		fprintf(stderr, "landfall config: no \"%s\": show, check or keys\n", verb);
		return EXIT_USAGE;
	}
	rc = options_config(&line, &c);
	if (rc >= 0)
		return rc;
	if (*verb == 's')
		show(&c);
	else
		printf("%s: ok\n", line.config ? line.config : "the defaults");
	config_close(&c);
	return EXIT_DONE;
}
