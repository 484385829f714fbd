#include "core/io/options.h"

#include "core/base/refuse.h"
#include "core/io/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void help(const struct command *c)
{
	printf("Usage: landfall %s %s\n\n%s\n\nOptions:\n", c->name, c->usage, c->what);
	for (size_t i = 0; i < c->count; i++) {
		const struct option_row *r = &c->rows[i];
		int used = printf("  %s%s%s", r->name, r->value ? " " : "", r->value ? r->value : "");

		printf("%*s%s\n", used < 26 ? 26 - used : 2, "", r->help);
	}
	printf("  --config FILE           the configuration; %s%s\n"
	       "  --set SECTION.KEY=VALUE one setting over the configuration; repeatable\n"
	       "  --help                  this text\n\nExample:\n%s\n",
		c->config ? c->config : "the defaults without", c->config ? " where it exists" : "",
		c->example);
}

static int usage(const struct command *c, const char *what, const char *which)
{
	fprintf(stderr, "landfall %s: %s%s%s (see landfall %s --help)\n", c->name, what, which ? ": " : "",
		which ? which : "", c->name);
	return EXIT_USAGE;
}

static int take(const struct command *c, const struct option_row *r, const char *value)
{
	char *end;

	if (r->text)
		*r->text = value;
	if (r->number) {
		errno = 0;
		*r->number = strtoll(value, &end, 10);
		if (errno || *end || end == value)
			return usage(c, "not a number", value);
	}
	return -1;
}

/* One option and its value. *i is moved over the value. -1 or an exit status. */
static int option(const struct command *c, int argc, char **argv, int *i, struct command_line *out)
{
	const char *name = argv[*i];

	for (size_t k = 0; k < c->count; k++) {
		const struct option_row *r = &c->rows[k];

		if (strcmp(r->name, name) != 0)
			continue;
		if (!r->value) {
			*r->flag = true;
			return -1;
		}
		if (++*i >= argc)
			return usage(c, "needs a value", name);
		return take(c, r, argv[*i]);
	}
	if (strcmp(name, "--config") != 0 && strcmp(name, "--set") != 0)
		return usage(c, "unknown option", name);
	if (++*i >= argc)
		return usage(c, "needs a value", name);
	if (name[2] == 'c') {
		out->config = argv[*i];
		return -1;
	}
	if (out->sets == OPTIONS_MAX_SETS)
		return usage(c, "too many", name);
	out->set[out->sets++] = argv[*i];
	return -1;
}

int options_read(const struct command *c, int argc, char **argv, struct command_line *out)
{
	bool only_args = false;

	*out = (struct command_line){0};
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		int rc;

		if (!only_args && strcmp(a, "--") == 0) {
			only_args = true;
		} else if (!only_args && (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0)) {
			help(c);
			return EXIT_DONE;
		} else if (!only_args && a[0] == '-' && a[1]) {
			rc = option(c, argc, argv, &i, out);
			if (rc >= 0)
				return rc;
		} else if (out->args == OPTIONS_MAX_ARGS) {
			return usage(c, "too many arguments", NULL);
		} else {
			out->arg[out->args++] = a;
		}
	}
	if (out->args < c->least)
		return usage(c, "an argument is missing", NULL);
	if (out->args > c->most)
		return usage(c, "unexpected argument", out->arg[c->most]);
	if (!out->config && c->config && access(c->config, R_OK) == 0)
		out->config = c->config;
	return -1;
}

int options_config(const struct command_line *l, struct config *c)
{
	struct buf why;
	int rc;

	buf_init(&why, 4096);
	rc = config_open(c, l->config, &why);
	for (unsigned i = 0; i < l->sets && rc == 0; i++)
		rc = config_set(c, slice_str(l->set[i]), &why);
	if (rc < 0) {
		fprintf(stderr, "landfall: %.*s\n", SLICE_FMT(buf_slice(&why)));
		config_close(c);
	}
	buf_free(&why);
	if (rc == 0)
		return -1;
	return rc == -REFUSE_SYNTAX ? EXIT_REFUSED : EXIT_WORLD;
}
