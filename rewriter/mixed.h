/* What became of the recipients of transactions that ended mixed: SMTP has one
 * reply to a message, so some were taken by the hop and yet the client had to
 * be told to come again.
 *
 * Two things are kept of each such transaction: which copies were taken (they
 * must not go again), and which recipients were not (they must be alone in
 * their next transaction, or the same reply would be due for ever and those
 * taken would bounce in the end). The oldest entry goes when the table is full.
 *
 * pure: no clock, file, lock or socket.
 */
#ifndef LF_REWRITER_MIXED_H
#define LF_REWRITER_MIXED_H

#include <stdbool.h>
#include <stdint.h>

#define MIXED_MAX 65536
/* As long as a client tries again: RFC 5321 4.5.4.1. */
#define MIXED_KEEP_MS (UINT64_C(5) * 24 * 3600 * 1000)
#define MIXED_NONE UINT32_MAX
#define MIXED_ALONE 0 /* instead of a message: this recipient was not taken */

struct mixed;

struct mixed *mixed_open(unsigned most); /* must() on memory; most: up to MIXED_MAX */
void mixed_close(struct mixed **m);

/* pair: hash of sender and recipient; message: hash of its bytes, or
 * MIXED_ALONE. One that stands there already becomes as young as this. Its
 * place: an entry that stood there is forgotten. */
uint32_t mixed_put(struct mixed *m, uint64_t pair, uint64_t message, uint64_t now_ms);
bool mixed_find(const struct mixed *m, uint64_t pair, uint64_t message, uint64_t now_ms);
/* Is there anything of the pair but MIXED_ALONE? If not, its message need not
 * be hashed. */
bool mixed_any(const struct mixed *m, uint64_t pair);
/* The place that is empty now; MIXED_NONE: there was no such entry. */
uint32_t mixed_drop(struct mixed *m, uint64_t pair, uint64_t message);
bool mixed_empty(const struct mixed *m);

#endif
