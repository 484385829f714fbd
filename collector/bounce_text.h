/* Recipients and reasons out of the text of a bounce that is written for
 * people, by whichever mail server. pure.
 *
 * No list of mail servers: a recipient is a line that begins with an address,
 * or an address behind one of the labels servers put before it; its reason is
 * what follows up to the next recipient. What surprises: some give the reason
 * first, so a recipient without text of its own gets all of the text.
 */
#ifndef LF_COLLECTOR_BOUNCE_TEXT_H
#define LF_COLLECTOR_BOUNCE_TEXT_H

#include "core/base/slice.h"

#define BOUNCE_TEXT_MAX_RECIPIENTS 100
#define BOUNCE_TEXT_MAX_ADDRESS 320
#define BOUNCE_TEXT_MAX_LINE 1000 /* bytes behind are not searched for recipients */

struct bounce_text_recipient {
	slice address; /* borrows the text */
	slice near;    /* its first paragraph: may be empty */
	slice more;    /* all up to the next recipient, near included */
};

struct bounce_text {
	struct bounce_text_recipient list[BOUNCE_TEXT_MAX_RECIPIENTS];
	unsigned count;
	bool guessed; /* nothing said that the address was the recipient's */
};

/* Total. */
void bounce_text_read(slice text, struct bounce_text *out);

/* The address at the start of s, in <> or "" or bare, without them; its length
 * with them, or 0. */
size_t bounce_text_address(slice s, slice *address);

#endif
