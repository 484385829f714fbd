/* Follows a log file through its rotations, without losing or repeating a line.
 *
 * A file is known by device, inode and a checksum of its first bytes, not by
 * its name: it is read to its end under whatever name it has by then, and the
 * next one begins only when that has something in it. Rotation by renaming, by
 * copying and truncating, and any number of rotations while nobody looked, also
 * with gzip, are stepped through in order. What surprises: a last line without its newline
 * stays unread until the newline comes, or until the file is a finished one.
 */
#ifndef LF_COLLECTOR_FOLLOW_H
#define LF_COLLECTOR_FOLLOW_H

#include "core/base/buf.h"
#include "core/base/slice.h"

#define FOLLOW_CHUNK (4u << 20)    /* most bytes read at once; a longer line is cut there */
#define FOLLOW_HEAD 256            /* bytes that the checksum covers */
#define FOLLOW_HISTORY (16u << 20) /* how far follow_history looks back */
#define FOLLOW_AHEAD 64            /* younger files held open while an older one is read */

/* Between two lines of one file. */
struct follow_place {
	uint64_t dev, inode; /* inode 0: nowhere yet */
	uint64_t offset;
	uint64_t mtime_ns; /* of the file when it was read last: what is newer was not read */
	uint32_t head_len; /* bytes that head_crc covers: up to FOLLOW_HEAD, never past offset */
	uint32_t head_crc;
};

void follow_place_encode(const struct follow_place *p, struct buf *out);
/* 0, or -REFUSE_SYNTAX. */
int follow_place_decode(slice text, struct follow_place *out);

struct follow;

/* from: go on there; NULL: from the start of the file. The file need not be
 * there yet. Never fails. */
struct follow *follow_open(const char *path, const struct follow_place *from);
void follow_close(struct follow **f);

/* The next whole lines. >0: bytes in *lines, which borrow until the next call;
 * the same ones come again, and perhaps more, until follow_take. 0: nothing new. -errno. */
int64_t follow_read(struct follow *f, slice *lines);
/* The first n bytes of what follow_read gave are done with. */
void follow_take(struct follow *f, size_t n);
/* The place behind the first n bytes of what follow_read gave. */
struct follow_place follow_place_behind(const struct follow *f, size_t n);

/* Hold on to the file that has the name now, if it is another one. To be called
 * as often as follow_read would be, while what was read waits: rotated away and
 * compressed meanwhile, a file can only be read by who has it open. */
void follow_watch(struct follow *f);

/* Each line of the last FOLLOW_HISTORY bytes before the place, in order and
 * across rotations: to learn again what a stop made us forget. */
void follow_history(struct follow *f, void (*line)(void *arg, slice line), void *arg);

#endif
