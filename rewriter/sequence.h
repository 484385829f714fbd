/* Dense numbers for each campaign of one lane, never handed out twice: not
 * after kill -9, not after power loss.
 *
 * Numbers are reserved on disk in blocks before the first of a block is used.
 * What a block holds unused when the process ends is left out for ever: a gap
 * costs one bit, a reuse costs the truth. For the same reason damage found in
 * the file moves every campaign past all that was ever reserved.
 *
 * The file, DIR/sequence, is a row of records of 32 bytes, little-endian:
 *
 *	0   4  CRC-32C of bytes 4..31
 *	4   4  lane
 *	8   8  campaign; in the first record 0
 *	16  4  end: numbers below it are reserved; in the first record the number
 *	       at which campaigns that are not named here start
 *	20  4  most: the greatest end of any campaign so far
 *	24  8  place of the record, from 0
 *
 * The last record of a campaign counts. Opening writes the file anew, one
 * record a campaign. A record never crosses a sector: at the very end it may be
 * missing, cut or all zeros after a power loss; then it was never synced, so
 * nothing of it was used. Anything else that is not whole is damage.
 */
#ifndef LF_REWRITER_SEQUENCE_H
#define LF_REWRITER_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#define SEQUENCE_BLOCK 1024

struct sequence;

/* lane: whose numbers these are; a file of another lane is replaced. used: the
 * lane has recorded events before, so the file must exist. 0, or -errno with
 * *out NULL: -ENOENT, it is missing though the lane was used. */
int sequence_open(struct sequence **out, const char *dir, uint32_t lane, bool used);
void sequence_close(struct sequence **s);

/* The next number of a campaign; *reserved: a block was reserved for it. 0;
 * -errno: it could not be reserved (nothing is handed out; ask again later);
 * -EOVERFLOW: the campaign has used all numbers of this lane. */
int sequence_take(struct sequence *s, uint64_t campaign, uint32_t *number, bool *reserved);

#endif
