/* One arena per message, request or batch; one arena_free at the end.
 *
 * arena_alloc never returns NULL: at the cap it calls on_full, which must not
 * return (a daemon dies there, the C library jumps to its API boundary). That
 * jump is safe because pure code holds nothing but arena memory.
 */
#ifndef LF_BASE_ARENA_H
#define LF_BASE_ARENA_H

#include "core/base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *last; /* owned */
	size_t used;		  /* bytes handed out by malloc to all blocks */
	size_t cap;
	void (*on_full)(void *arg); /* must not return; NULL: must() */
	void *arg;
};

/* cap: most bytes this arena may ever hold at once. */
void arena_init(struct arena *a, size_t cap, void (*on_full)(void *arg), void *arg);

/* n bytes aligned to 16, not cleared. Never NULL. */
void *arena_alloc(struct arena *a, size_t n);
/* Cleared. */
void *arena_zalloc(struct arena *a, size_t n);
/* A copy of the bytes that lives as long as the arena. */
slice arena_dup(struct arena *a, slice s);
/* NUL-terminated copy. */
char *arena_str(struct arena *a, slice s);

/* Forget all that was allocated, keep one block for reuse. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#define arena_new(a, type) ((type *)arena_zalloc((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (n)))

#endif
