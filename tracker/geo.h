/* The country of an address, from a MaxMind database: the only place that
 * knows libmaxminddb. A database is memory from outside that the library
 * believes, so it is tried in a process of its own before it is used here. */
#ifndef LF_TRACKER_GEO_H
#define LF_TRACKER_GEO_H

#include "core/base/buf.h"
#include "tracker/client_address.h"

struct geo;

/* setting: the key that names the file ("tracker.geo_database"). 0; -errno or
 * -REFUSE_SYNTAX (no database, without countries, or damaged) with *why one
 * line for a human. Forks: call it before threads are started. */
int geo_open(struct geo **out, const char *path, const char *setting, struct buf *why);
void geo_close(struct geo **g);

/* ISO 3166-1 alpha-2 into out; false: not known, out untouched. Any thread. */
bool geo_country(const struct geo *g, const struct ip *a, char out[2]);

#endif
