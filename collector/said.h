/* What a server said, out of the text somebody quotes it in: reply code,
 * enhanced status, and at which command it said so. pure.
 *
 * What surprises: one text often holds several replies (one per line of a
 * transcript, or a wrapper's "554" around the other side's "550"), and many
 * numbers that are none: addresses, versions, sizes, times.
 */
#ifndef LF_COLLECTOR_SAID_H
#define LF_COLLECTOR_SAID_H

#include "core/base/arena.h"
#include "core/base/slice.h"

#define SAID_MAX_TEXT 8192 /* bytes behind are not looked at */

enum said_phase { SAID_NOWHERE, SAID_CONNECT, SAID_HELO, SAID_MAIL, SAID_RCPT, SAID_DATA };

struct said {
	uint16_t reply;  /* 0: none */
	uint32_t status; /* as status_decode; 0: none */
};

/* The reply and the status that say most. class: 4 or 5 where it is known
 * whether the failure was final, else 0; a reply of that class is preferred. */
void said_read(slice text, unsigned class, struct said *out);

/* Which command it was about, from what the reporting server adds. folded: as
 * said_fold gives it. */
enum said_phase said_phase(slice folded);

/* Lower case, blanks and line ends as one space, codes that lead the lines of a
 * reply left out but for the first: so that phrases can be found across lines. */
slice said_fold(struct arena *a, slice text);

/* Is it a reply code that servers use for failures? */
bool said_is_reply(unsigned code);

#endif
