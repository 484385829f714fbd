/* Counts what became of messages, by whichever door they came. */
#ifndef LF_REWRITER_COUNT_H
#define LF_REWRITER_COUNT_H

#include "rewriter/message.h"

/* It passed as it was. */
void count_untouched(enum untouched why);
/* It was rendered, from so many bytes; a failed proof is logged. */
void count_rendering(const struct rendering *r, size_t bytes);

#endif
