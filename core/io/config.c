#include "core/io/config.h"

#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/log.h"
#include "core/parse/ini.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE (256u << 10)
#define MAX_ARENA (4u << 20)
#define MAX_NAME 64   /* no section.key is longer */
#define SUGGESTIONS 3 /* nearest keys named when one is unknown */

enum form { FORM_NUM, FORM_STR, FORM_BOOL, FORM_ADDR, FORM_ADDRS };

struct setting {
	const char *section, *key;
	enum form form;
	size_t offset; /* of the value in struct config */
	int64_t least, most;
	const char *def, *help;
};

static const struct setting table[] = {
#define AT(section, key) offsetof(struct config, section##_##key)
#define NUM(section, key, def, least, most, help)                                                            \
	{#section, #key, FORM_NUM, AT(section, key), least, most, #def, help},
#define STR(section, key, def, help) {#section, #key, FORM_STR, AT(section, key), 0, 0, def, help},
#define BOOL(section, key, def, help) {#section, #key, FORM_BOOL, AT(section, key), 0, 0, #def, help},
#define ADDR(section, key, def, help) {#section, #key, FORM_ADDR, AT(section, key), 0, 0, def, help},
#define ADDRS(section, key, def, help) {#section, #key, FORM_ADDRS, AT(section, key), 0, 0, def, help},
#include "core/io/config.def"
#undef NUM
#undef STR
#undef BOOL
#undef ADDR
#undef ADDRS
};
#define SETTINGS (sizeof table / sizeof *table)

static void *field(const struct config *c, const struct setting *s)
{
	return (char *)c + s->offset;
}

/* What a value may be, for a human. */
static void say_range(const struct setting *s, struct buf *out)
{
	switch (s->form) {
	case FORM_NUM:
		buf_printf(out, "%" PRId64 "..%" PRId64, s->least, s->most);
		break;
	case FORM_BOOL:
		buf_str(out, "on or off");
		break;
	case FORM_ADDR:
		buf_printf(
			out, "HOST:PORT, [IPV6]:PORT or :PORT, port 1..65535%s", *s->def ? "" : ", or empty");
		break;
	case FORM_ADDRS:
		buf_printf(out, "up to %d of HOST:PORT, [IPV6]:PORT or :PORT with blanks between%s",
			CONFIG_MAX_ADDRS, *s->def ? "" : ", or empty");
		break;
	case FORM_STR:
		buf_str(out, s->offset == AT(log, level) ? "error, warn, info or debug" : "text");
		break;
	}
}

static int read_number(slice v, int64_t least, int64_t most, int64_t *out)
{
	int64_t n = 0;

	if (v.len == 0 || v.len > 18)
		return -REFUSE_RANGE;
	for (size_t i = 0; i < v.len; i++) {
		if (!ascii_digit(v.p[i]))
			return -REFUSE_SYNTAX;
		n = n * 10 + (v.p[i] - '0');
	}
	if (n < least || n > most)
		return -REFUSE_RANGE;
	*out = n;
	return 0;
}

static int read_bool(slice v, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"on", true}, {"off", false}, {"yes", true}, {"no", false}, {"true", true},
		{"false", false}, {"1", true}, {"0", false}};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (slice_ieq(v, slice_str(words[i].word))) {
			*out = words[i].value;
			return 0;
		}
	}
	return -REFUSE_SYNTAX;
}

/* HOST:PORT, [IPV6]:PORT, :PORT, or nothing at all. */
static int read_addr(struct arena *a, slice v, struct config_addr *out)
{
	size_t colon = slice_rchr(v, ':');
	slice host = slice_sub(v, 0, colon);
	bool v6 = host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']';
	int64_t port;

	*out = (struct config_addr){.host = ""};
	if (v.len == 0)
		return 0;
	if (colon == SLICE_NPOS || read_number(slice_from(v, colon + 1), 1, 65535, &port) < 0)
		return -REFUSE_SYNTAX;
	if (v6)
		host = slice_sub(host, 1, host.len - 1);
	for (size_t i = 0; i < host.len; i++) {
		uint8_t c = host.p[i];

		if (!ascii_alnum(c) && c != '.' && c != '-' && c != '_' && !(v6 && (c == ':' || c == '%')))
			return -REFUSE_SYNTAX;
	}
	*out = (struct config_addr){.host = arena_str(a, host), .port = (int)port};
	return 0;
}

int config_addr_decode(struct arena *a, slice v, struct config_addr *out)
{
	int rc = read_addr(a, v, out);

	return rc == 0 && out->port == 0 ? -REFUSE_SYNTAX : rc;
}

static int read_addrs(struct arena *a, slice v, bool none, struct config_addrs *out)
{
	size_t at = 0;

	*out = (struct config_addrs){.count = 0};
	while (at < v.len) {
		size_t to = slice_chr(v, ' ', at);
		slice word = slice_sub(v, at, to);

		at = to == SLICE_NPOS ? v.len : to + 1;
		if (word.len == 0)
			continue;
		if (out->count == CONFIG_MAX_ADDRS || config_addr_decode(a, word, &out->at[out->count++]) < 0)
			return -REFUSE_SYNTAX;
	}
	return out->count > 0 || none ? 0 : -REFUSE_SYNTAX;
}

static int read_text(struct config *c, const struct setting *s, slice v, const char **out)
{
	enum log_level level;

	for (size_t i = 0; i < v.len; i++)
		if (v.p[i] < ' ' || v.p[i] == 0x7f)
			return -REFUSE_SYNTAX;
	if (s->offset == AT(log, level) && !log_level_decode(v, &level))
		return -REFUSE_RANGE;
	*out = arena_str(&c->arena, v);
	return 0;
}

static int set(struct config *c, const struct setting *s, slice v)
{
	switch (s->form) {
	case FORM_NUM:
		return read_number(v, s->least, s->most, field(c, s));
	case FORM_BOOL:
		return read_bool(v, field(c, s));
	case FORM_ADDR:
		return read_addr(&c->arena, v, field(c, s));
	case FORM_ADDRS:
		/* None only where that is the default. */
		return read_addrs(&c->arena, v, !*s->def, field(c, s));
	case FORM_STR:
		return read_text(c, s, v, field(c, s));
	}
	return -REFUSE_SYNTAX;
}

/* Edits that make b of a (Levenshtein). */
static unsigned distance(slice a, slice b)
{
	unsigned row[MAX_NAME + 1];

	if (a.len > MAX_NAME || b.len > MAX_NAME)
		return MAX_NAME;
	for (unsigned j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 0; i < a.len; i++) {
		unsigned corner = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < b.len; j++) {
			unsigned best = corner + (a.p[i] != b.p[j]);

			corner = row[j + 1];
			if (corner + 1 < best)
				best = corner + 1;
			if (row[j] + 1 < best)
				best = row[j] + 1;
			row[j + 1] = best;
		}
	}
	return row[b.len];
}

static size_t name_of(const struct setting *s, char out[MAX_NAME])
{
	return (size_t)snprintf(out, MAX_NAME, "%s.%s", s->section, s->key);
}

/* Names the nearest known keys, the best first. */
static void suggest(slice section, slice key, struct buf *why)
{
	const struct setting *best[SUGGESTIONS] = {0};
	unsigned how_far[SUGGESTIONS] = {0};
	char wanted[2 * MAX_NAME], known[MAX_NAME];
	int n = snprintf(wanted, sizeof wanted, "%.*s.%.*s",
		(int)(section.len < MAX_NAME ? section.len : MAX_NAME), (const char *)section.p,
		(int)(key.len < MAX_NAME ? key.len : MAX_NAME), (const char *)key.p);

	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &table[i];
		unsigned d = distance(slice_of(wanted, (size_t)n), slice_of(known, name_of(s, known)));

		/* The right key in the wrong section is as near as can be. */
		if (slice_eq(key, slice_str(s->key)) && d > 1)
			d = 1;
		for (int k = 0; k < SUGGESTIONS; k++) {
			const struct setting *down = best[k];
			unsigned its = how_far[k];

			if (down && its <= d)
				continue;
			best[k] = s;
			how_far[k] = d;
			s = down;
			d = its;
			if (!s)
				break;
		}
	}
	for (int k = 0; k < SUGGESTIONS; k++)
		buf_printf(why, "%s%s.%s", k ? ", " : "", best[k]->section, best[k]->key);
}

/* Bytes of the user, printable and not too many of them. */
static void show(slice s, struct buf *why)
{
	for (size_t i = 0; i < s.len && i < 100; i++)
		buf_byte(why, s.p[i] < ' ' || s.p[i] > '~' ? '?' : s.p[i]);
	if (s.len > 100)
		buf_str(why, "...");
}

static const struct setting *find(slice section, slice key)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (slice_eq(section, slice_str(table[i].section)) && slice_eq(key, slice_str(table[i].key)))
			return &table[i];
	return NULL;
}

/* One assignment. where: "file:12: " or "--set ", for the complaint. */
static int assign(struct config *c, const char *where, slice section, slice key, slice v, struct buf *why)
{
	const struct setting *s = find(section, key);
	int rc;

	if (!s) {
		buf_str(why, where);
		show(section, why);
		buf_byte(why, '.');
		show(key, why);
		buf_str(why, ": no such setting; the nearest are ");
		suggest(section, key, why);
		return -REFUSE_SYNTAX;
	}
	rc = set(c, s, v);
	if (rc < 0) {
		buf_printf(why, "%s%s.%s = ", where, s->section, s->key);
		show(v, why);
		buf_str(why, ": must be ");
		say_range(s, why);
		return -REFUSE_SYNTAX;
	}
	return 0;
}

/* The whole file into the arena. 0 or -errno. */
static int slurp(struct config *c, const char *file, slice *out)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY), rc = 0;
	uint8_t *p;
	size_t len = 0;
	ssize_t n;

	*out = SLICE_NONE;
	if (fd < 0)
		return -errno;
	p = arena_alloc(&c->arena, MAX_FILE + 1);
	while ((n = read(fd, p + len, MAX_FILE + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		rc = -errno;
	else if (len > MAX_FILE)
		rc = -EFBIG;
	else
		*out = slice_of(p, len);
	close(fd);
	return rc;
}

static int read_file(struct config *c, const char *file, struct buf *why)
{
	unsigned seen[SETTINGS] = {0};
	struct ini_line line;
	struct ini it;
	slice text;
	int rc = slurp(c, file, &text);

	if (rc < 0) {
		buf_printf(why, "%s: %s", file, strerror(-rc));
		return rc;
	}
	ini_start(&it, text);
	while ((rc = ini_next(&it, &line)) > 0) {
		char where[300];
		const struct setting *s;

		if (line.kind != INI_SETTING)
			continue;
		snprintf(where, sizeof where, "%.250s:%u: ", file, line.number);
		s = find(line.section, line.key);
		if (s && seen[s - table]) {
			buf_printf(why, "%s%s.%s: set before in line %u", where, s->section, s->key,
				seen[s - table]);
			return -REFUSE_SYNTAX;
		}
		if (s)
			seen[s - table] = line.number;
		rc = assign(c, where, line.section, line.key, line.value, why);
		if (rc < 0)
			return rc;
	}
	if (rc < 0) {
		buf_printf(why, "%s:%u: %s: a line is [section], key = value, or # comment", file, it.number,
			refuse_text(rc));
		return -REFUSE_SYNTAX;
	}
	return 0;
}

int config_open(struct config *c, const char *file, struct buf *why)
{
	*c = (struct config){0};
	arena_init(&c->arena, MAX_ARENA, NULL, NULL);
	for (size_t i = 0; i < SETTINGS; i++)
		must(set(c, &table[i], slice_str(table[i].def)) == 0);
	return file ? read_file(c, file, why) : 0;
}

int config_set(struct config *c, slice assignment, struct buf *why)
{
	size_t eq = slice_chr(assignment, '=', 0);
	slice name = slice_trim(slice_sub(assignment, 0, eq));
	size_t dot = slice_chr(name, '.', 0);

	if (eq == SLICE_NPOS || dot == SLICE_NPOS) {
		buf_str(why, "--set ");
		show(assignment, why);
		buf_str(why, ": must be SECTION.KEY=VALUE");
		return -REFUSE_SYNTAX;
	}
	return assign(c, "--set ", slice_sub(name, 0, dot), slice_from(name, dot + 1),
		slice_trim(slice_from(assignment, eq + 1)), why);
}

void config_close(struct config *c)
{
	arena_free(&c->arena);
	*c = (struct config){0};
}

const char *config_path(struct config *c, const char *path)
{
	size_t room = strlen(c->data_dir) + strlen(path) + 2;
	char *full;

	if (!*path || *path == '/' || !*c->data_dir)
		return path;
	full = arena_alloc(&c->arena, room);
	snprintf(full, room, "%s/%s", c->data_dir, path);
	return full;
}

struct rds_config config_redis(struct config *c)
{
	struct rds_config r = {
		.socket = config_path(c, c->redis_socket),
		.host = c->redis_address.host,
		.port = c->redis_address.port,
		.password_file = config_path(c, c->redis_password_file),
		.timeout_ms = (int)c->redis_timeout_ms,
		.seed_count = c->redis_cluster.count,
	};

	_Static_assert(CONFIG_MAX_ADDRS <= RDS_MAX_SEEDS, "all seeds fit");
	for (unsigned i = 0; i < r.seed_count; i++)
		r.seeds[i] = (struct rds_addr){c->redis_cluster.at[i].host, c->redis_cluster.at[i].port};
	/* What messages call it. */
	if (r.seed_count) {
		r.socket = "";
		r.host = r.seeds[0].host;
		r.port = r.seeds[0].port;
	}
	return r;
}

static void encode_addr(const struct config_addr *a, struct buf *out)
{
	if (a->port)
		buf_printf(out, strchr(a->host, ':') ? "[%s]:%d" : "%s:%d", a->host, a->port);
}

static void encode_value(const struct config *c, const struct setting *s, struct buf *out)
{
	const struct config_addrs *list;

	switch (s->form) {
	case FORM_NUM:
		buf_printf(out, "%" PRId64, *(const int64_t *)field(c, s));
		break;
	case FORM_BOOL:
		buf_str(out, *(const bool *)field(c, s) ? "on" : "off");
		break;
	case FORM_STR:
		buf_str(out, *(const char *const *)field(c, s));
		break;
	case FORM_ADDR:
		encode_addr(field(c, s), out);
		break;
	case FORM_ADDRS:
		list = field(c, s);
		for (unsigned i = 0; i < list->count; i++) {
			buf_str(out, i ? " " : "");
			encode_addr(&list->at[i], out);
		}
		break;
	}
}

void config_encode(const struct config *c, struct buf *out)
{
	const char *section = "";

	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &table[i];

		if (strcmp(section, s->section) != 0) {
			section = s->section;
			buf_printf(out, "%s[%s]\n", i ? "\n" : "", section);
		}
		buf_printf(out, "# %s\n", s->help);
		if (s->form != FORM_STR || s->offset == AT(log, level)) {
			buf_str(out, "# One of: ");
			say_range(s, out);
			buf_printf(out, ". Default: %s\n", *s->def ? s->def : "empty");
		} else if (*s->def) {
			buf_printf(out, "# Default: %s\n", s->def);
		}
		buf_printf(out, "%s = ", s->key);
		encode_value(c, s, out);
		buf_byte(out, '\n');
	}
}
