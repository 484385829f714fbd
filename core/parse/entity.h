/* Character references of HTML ("&amp;", "&#38;", "&copy"), by the WHATWG
 * standard, section 13.2.5.72 and on.
 *
 * The surprise: inside an attribute value "&copy=1" and "&copyx" are plain
 * text, while "&copy;" and a final "&copy" are references.
 */
#ifndef LF_PARSE_ENTITY_H
#define LF_PARSE_ENTITY_H

#include "core/base/buf.h"
#include "core/base/slice.h"

#define ENTITY_MAX_NAME 32 /* "CounterClockwiseContourIntegral;" */

/* The longest name of the table that s begins with; s starts after the '&'.
 * Bytes of the name, its ';' included if it has one, and *text is its UTF-8
 * (static, never freed); 0: none. */
size_t entity_find(slice s, slice *text);

/* One reference at the start of s, whose first byte is '&'. Appends its UTF-8
 * and returns the bytes it takes in s; 0: no reference, the '&' is itself. */
size_t entity_decode(slice s, bool in_attribute, struct buf *out);

/* Code point as UTF-8: 1 to 4 bytes into p. Surrogates and what lies past
 * U+10FFFF become U+FFFD. */
size_t entity_utf8(uint32_t code, uint8_t p[4]);

#endif
