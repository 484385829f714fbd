/* The API keys of a file, as it is now: taken up again when it changes. */
#ifndef LF_IO_KEYSET_H
#define LF_IO_KEYSET_H

#include "core/base/buf.h"
#include "core/model/apikey.h"

struct keyset;

/* 0; -errno or -REFUSE_SYNTAX with *why one line for a human. An absent file is an
 * empty set: nobody has a key yet (logged, with the command that makes one:
 * make_one). path and make_one are borrowed. */
int keyset_open(struct keyset **out, const char *path, const char *make_one, struct buf *why);
/* No request may be under way. */
void keyset_close(struct keyset **k);

/* From any thread: the keys, good for one request. */
const struct apikeys *keyset_get(struct keyset *k);
/* Look whether the file changed; once a second or so, from one thread. What cannot
 * be read is logged and the old keys stay. The set before the last is freed: a
 * request that began with it ended long ago. */
void keyset_refresh(struct keyset *k);

#endif
