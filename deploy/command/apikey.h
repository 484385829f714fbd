/* API keys of the reports and of the rewriter: lf_<id>_<secret>, of which the file keeps only
 * "<id> <tenant> <SHA-256 of the whole key, hex>", a line each, mode 0600. */
#ifndef LF_COMMAND_APIKEY_H
#define LF_COMMAND_APIKEY_H

#include "core/base/buf.h"
#include "core/base/slice.h"

#define APIKEY_ID 8    /* hex digits */
#define APIKEY_TEXT 64 /* room for a key as text, with its NUL */
#define APIKEY_MAX_TENANT 200
#define APIKEY_MAX_FILE (1u << 20)

/* Append a key for a tenant and write its text to key: shown once, kept nowhere.
 * The file and its folders are made. 0; -REFUSE_ALPHABET or -REFUSE_LENGTH (the
 * tenant); -errno with *why. */
int apikey_add(const char *path, slice tenant, char key[APIKEY_TEXT], struct buf *why);

/* Take the line of this id out. 0; -ENOENT (no such file or id) or another
 * -errno with *why. */
int apikey_remove(const char *path, slice id, struct buf *why);

/* The file's text appended to out. 0, or -errno with *why; a file that others
 * may read gives -EACCES. */
int apikey_load(const char *path, struct buf *out, struct buf *why);

#endif
