/* What became of a producer's events: made = shipped + waiting + lost. */
#ifndef LF_MODEL_ACCOUNT_H
#define LF_MODEL_ACCOUNT_H

#include "core/base/buf.h"
#include "core/base/slice.h"

struct account {
	uint64_t made;	  /* events put into the outbox, since the lane was made */
	uint64_t shipped; /* of these, known to be in Redis */
	uint64_t lost;	  /* could not be written, or were damaged on disk before they were shipped */
	uint64_t ms;	  /* when this was written, Unix milliseconds */
	char program[16]; /* "rewriter", "tracker", "collector" */
};

/* Text: "program=tracker made=1 shipped=1 lost=0 ms=..." ; unknown words are skipped. */
void account_encode(const struct account *a, struct buf *out);
/* 0, or -REFUSE_SYNTAX. */
int account_decode(slice text, struct account *out);

#endif
