/* What a log rotator compressed, through gzip(1): the one program that every
 * machine with a log rotator has. */
#ifndef LF_COLLECTOR_UNPACK_H
#define LF_COLLECTOR_UNPACK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The first n bytes of what the file at path holds. Bytes (fewer: that is all),
 * or -errno. */
ssize_t unpack_head(const char *path, uint8_t *out, size_t n);

/* All of it, in a file without a name on disk ($TMPDIR, else /var/tmp). A
 * descriptor, or -errno. Of a damaged file what comes before the damage; it is
 * said in the log. */
int unpack_open(const char *path);

#endif
