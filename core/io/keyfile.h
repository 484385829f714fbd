/* The key ring on disk: read, made, changed; always mode 0600, replaced whole. */
#ifndef LF_IO_KEYFILE_H
#define LF_IO_KEYFILE_H

#include "core/base/buf.h"
#include "core/model/keyring.h"

/* 0; -errno or -REFUSE_SYNTAX with *why one line for a human (also when the
 * file is readable by others, or absent: says which command makes it). */
int keyfile_load(const char *path, struct keyring *out, struct buf *why);
/* The text of any file of secrets, under the same rules. 0, or -errno with *why. */
int keyfile_read(const char *path, struct buf *text, struct buf *why);
/* Write atomically (temporary file, fsync, rename). Directories are made. */
int keyfile_store(const char *path, const struct keyring *ring, struct buf *why);
/* A new active key of random bytes, and the hash key if there is none yet. The
 * new key's id, or -errno / -REFUSE_RANGE when all ids are used. */
int keyfile_add(struct keyring *ring);
/* Random bytes from the kernel. */
void keyfile_random(void *p, size_t n);

#endif
