/* The configuration: one INI file over the defaults of config.def.
 *
 *	[tracker]
 *	listen = 0.0.0.0:8080
 *
 * Values are fields named section_key: cfg.tracker_listen.
 */
#ifndef LF_IO_CONFIG_H
#define LF_IO_CONFIG_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/io/rds.h"

struct config_addr {
	const char *host; /* "": every IPv4 address; both families: "::" */
	int port;         /* 0: not set */
};

#define CONFIG_MAX_ADDRS 8

struct config_addrs {
	struct config_addr at[CONFIG_MAX_ADDRS];
	unsigned count;
};

struct config {
#define NUM(section, key, def, least, most, help) int64_t section##_##key;
#define STR(section, key, def, help) const char *section##_##key;
#define BOOL(section, key, def, help) bool section##_##key;
#define ADDR(section, key, def, help) struct config_addr section##_##key;
#define ADDRS(section, key, def, help) struct config_addrs section##_##key;
#include "core/io/config.def"
#undef NUM
#undef STR
#undef BOOL
#undef ADDR
#undef ADDRS
	struct arena arena; /* owns all text */
};

/* Defaults, then the file (NULL: defaults alone). 0; -REFUSE_SYNTAX with *why
 * holding one line for a human: file, line, key, and the range or the keys that
 * would be right; or -errno when the file cannot be read, *why as well. Close
 * it in every case. */
int config_open(struct config *c, const char *file, struct buf *why);
/* Override one key from the command line ("tracker.listen=:9000"). As above. */
int config_set(struct config *c, slice assignment, struct buf *why);
void config_close(struct config *c);
/* HOST:PORT, [IPV6]:PORT or :PORT. The host lives in the arena. 0 or
 * -REFUSE_SYNTAX. */
int config_addr_decode(struct arena *a, slice v, struct config_addr *out);

/* path, or data.dir/path where it is not absolute. Lives in the arena. Empty
 * stays empty. */
const char *config_path(struct config *c, const char *path);
struct rds_config config_redis(struct config *c);

/* Every key with its value, help and range as a commented file that reads back
 * to the same values. */
void config_encode(const struct config *c, struct buf *out);

#endif
