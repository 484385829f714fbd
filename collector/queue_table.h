/* What is known of each message in an MTA's queue, by queue id. pure.
 *
 * A queue id is unique only until its message is removed, and the last lines of
 * a message may come after that: a removed entry stays for a grace of as many
 * removals as QUEUE_TABLE_GRACE, unless the id begins a new message before. At
 * the cap the entries that were not touched for longest go.
 */
#ifndef LF_COLLECTOR_QUEUE_TABLE_H
#define LF_COLLECTOR_QUEUE_TABLE_H

#include "core/base/slice.h"

#define QUEUE_TABLE_MAX_ID 47 /* a UUID and a number: Haraka */
#define QUEUE_TABLE_GRACE 4096

struct queue_table;

/* value_bytes: what the caller keeps of each, zeroed when made. cap: most
 * entries. drop: called on a value that goes, for what it owns; may be NULL. */
struct queue_table *queue_table_open(size_t value_bytes, size_t cap, void (*drop)(void *value));
void queue_table_close(struct queue_table **t);

/* The value of this id, good until the next call of get or drop; NULL if there
 * is none. An id longer than QUEUE_TABLE_MAX_ID is never there. */
void *queue_table_find(struct queue_table *t, slice id);
/* The same, made if it is not there; NULL only for an id that is too long. */
void *queue_table_get(struct queue_table *t, slice id);
/* At once. */
void queue_table_drop(struct queue_table *t, slice id);
/* After the grace. */
void queue_table_removed(struct queue_table *t, slice id);

size_t queue_table_count(const struct queue_table *t);

#endif
