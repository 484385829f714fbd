/* A message taken apart for reading what it says about another message: its
 * text, its report, and the message that came back. pure.
 *
 * Line ends are LF in everything given out, decoded bodies are in the arena,
 * charsets are left as they are. What surprises: many mailers put report and
 * returned message into the plain text, so the text ends where the returned
 * message seems to begin.
 */
#ifndef LF_COLLECTOR_BOUNCE_PARTS_H
#define LF_COLLECTOR_BOUNCE_PARTS_H

#include "core/base/arena.h"
#include "core/base/slice.h"

#define BOUNCE_PARTS_MAX_MESSAGE (4u << 20)    /* bytes behind are not looked at */
#define BOUNCE_PARTS_MAX_TEXT (64u << 10)      /* of readable text */
#define BOUNCE_PARTS_MAX_REPORT (1u << 20)     /* of a delivery status or feedback report */
#define BOUNCE_PARTS_MAX_RETURNED (256u << 10) /* of the returned message */
/* What one message may take of an arena. */
#define BOUNCE_PARTS_MEMORY (12 * (size_t)BOUNCE_PARTS_MAX_MESSAGE)

struct bounce_parts {
	slice header;   /* header section of the message itself */
	slice text;     /* what people read, the returned message cut off */
	slice status;   /* delivery-status, or the text where its fields stand in the text */
	slice feedback; /* feedback-report */
	slice returned; /* header section of the returned message and what came of its body */
	bool report;    /* Content-Type says multipart/report */
	bool receipt;   /* there is a disposition-notification: somebody read the message */
	bool attached;  /* the returned message is a part of its own */
};

void bounce_parts_read(struct arena *a, slice message, struct bounce_parts *out);

/* The first field of this name in a header section, unfolded; false: none. */
bool bounce_parts_field(struct arena *a, slice header, slice name, slice *value);

/* Encoded words (RFC 2047) of a field decoded, charset left as it is. */
slice bounce_parts_words(struct arena *a, slice value);

/* The next line, without its line end; false at the end. */
bool bounce_parts_line(slice *rest, slice *line);

#endif
