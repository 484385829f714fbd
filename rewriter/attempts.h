/* Which numbers recent messages were given, so that a client that tries again
 * gets the same one and so the same bytes.
 *
 * The oldest entry goes when the table is full.
 *
 * pure: no clock, file, lock or socket.
 */
#ifndef LF_REWRITER_ATTEMPTS_H
#define LF_REWRITER_ATTEMPTS_H

#include "core/base/slice.h"

#define ATTEMPTS_MAX 65536

struct attempt {
	uint64_t campaign;
	uint64_t recipient; /* hash_recipient */
	uint64_t message;   /* attempts_message */
	uint32_t lane, sequence;
	uint16_t day; /* of the first attempt: part of what is sealed */
};

struct attempts;

struct attempts *attempts_open(unsigned most); /* must() on memory; most: up to ATTEMPTS_MAX */
void attempts_close(struct attempts **a);

/* A key for a Message-ID. */
uint64_t attempts_message(slice message_id);
/* Fills lane, sequence and day of an entry with the same campaign, recipient and
 * message. False: none. */
bool attempts_find(const struct attempts *a, struct attempt *key);
/* No such entry may be there (attempts_find said so). Its place: an entry that
 * stood there is forgotten. */
uint32_t attempts_put(struct attempts *a, const struct attempt *entry);

#endif
