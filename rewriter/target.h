/* The destinations of one message: judged once, numbered by their bytes, so
 * that every link to the same place carries the same token.
 *
 * pure.
 */
#ifndef LF_REWRITER_TARGET_H
#define LF_REWRITER_TARGET_H

#include "core/parse/charset.h"
#include "rewriter/message.h"

#define TARGET_MAX 65536 /* token.link has 16 bits */

/* Why a link was left as it was. */
#define LEFT_LIST(X)                                                                                         \
	X(EMPTY, "empty")                                                                                    \
	X(RELATIVE, "relative")                                                                              \
	X(SCHEME, "scheme")                                                                                  \
	X(MERGE_TAG, "merge-tag")                                                                            \
	X(OPT_OUT, "opt-out")                                                                                \
	X(UNSUBSCRIBE, "unsubscribe")                                                                        \
	X(OURS, "own-link")                                                                                  \
	X(URL_TEXT, "url-as-text")                                                                           \
	X(INVALID, "not-a-valid-url")                                                                        \
	X(CHARSET, "charset")                                                                                \
	X(TOO_LONG, "url-too-long")                                                                          \
	X(TOO_MANY, "too-many-links")                                                                        \
	X(LINE, "line-too-long")                                                                             \
	X(COMMENT, "unquoted-in-comment")                                                                    \
	X(CUT, "cut-by-line-break")

enum left {
	LEFT_NOT,
#define X(name, word) LEFT_##name,
	LEFT_LIST(X)
#undef X
};
const char *left_word(enum left l);

struct target {
	slice url; /* in the arena or the message */
	slice to;  /* where the click goes: url with the policy's parameters */
	uint32_t hash;
	int number;       /* link number, -1: not yet linked to */
	bool opted_out;   /* somewhere in the HTML */
	bool unsubscribe; /* stands in List-Unsubscribe */
	enum left why;    /* LEFT_INVALID: the tracker could not send it */
};

struct targets {
	struct arena *a;
	const struct policy *policy;
	struct target *list;
	size_t count, room;
	uint32_t *slots; /* indices + 1 */
	size_t slot_count;
	unsigned numbered;
	size_t max_url; /* longest destination whose tracked URL fits the cap */
};

void targets_start(struct targets *t, struct arena *a, const struct policy *p);

/* Index of this destination, added if it is new. */
size_t target_get(struct targets *t, slice url);

/* What is known of a destination. */
struct verdict {
	slice url; /* what could be made of it, whatever the answer */
	bool easy; /* the tracker can send it for sure */
};

/* The destination in an attribute value (html: with references) or in text, as
 * a browser would take it. LEFT_NOT: v->url is a web URL. The reasons that need
 * only the bytes are given here. */
enum left target_judge(struct targets *t, enum charset c, slice raw, bool html, struct verdict *v);

/* Text that shows a URL of another organisation than the tracking host's. */
bool target_shown(const struct targets *t, slice text);

#endif
