/* Facts about a returned message as JSON lines, the form of `landfall bounce`. pure. */
#ifndef LF_COLLECTOR_BOUNCE_JSON_H
#define LF_COLLECTOR_BOUNCE_JSON_H

#include "collector/bounce.h"
#include "collector/bounce_identity.h"

#define BOUNCE_JSON_MAX_TEXT 2048 /* bytes of a text that are written */

/* Append one line for each fact. id: NULL: none was found. */
void bounce_json(const struct bounce_message *m, const struct bounce_identity *id, struct buf *out);

#endif
