/* What an editor of ASCII bytes must know of a charset: may it look for ASCII
 * at all, and how do foreign bytes within a URL become UTF-8.
 *
 * In most charsets a byte below 0x40 is always that ASCII character, so markup
 * and URLs can be found without decoding. ISO-2022-JP is the exception that is
 * common in mail: between its escapes the bytes "<a" are kanji.
 */
#ifndef LF_PARSE_CHARSET_H
#define LF_PARSE_CHARSET_H

#include "core/base/arena.h"
#include "core/base/slice.h"

enum charset {
	CHARSET_UNKNOWN, /* also UTF-16, UTF-7 and whatever else hides ASCII: do not edit */
	CHARSET_ASCII,   /* US-ASCII and unlabelled */
	CHARSET_UTF8,
	CHARSET_LATIN1,   /* ISO-8859-1 and windows-1252, which browsers take for the same */
	CHARSET_SUPERSET, /* ASCII below 0x40, else not known here */
	CHARSET_ISO2022JP,
	CHARSET_TABLES /* and up: as SUPERSET, and there is a table to convert it */
};

/* The label of a Content-Type; empty: ASCII. Total. */
enum charset charset_of(slice label);

/* Text that can be scanned for ASCII: the same bytes, or for ISO-2022-JP a copy
 * of the same length in which all that is not ASCII is 0xff. */
slice charset_mask(struct arena *a, enum charset c, slice text);

/* May ASCII be put before byte `at` of the text? */
bool charset_ascii_at(enum charset c, slice text, size_t at);

bool charset_is_ascii(slice s);
/* Well-formed UTF-8 (RFC 3629). */
bool charset_is_utf8(slice s);

/* s as UTF-8: itself when it is ASCII, else from the charset. false: it cannot
 * be converted here, or is not well-formed. ISO-2022-JP: s begins in ASCII. */
bool charset_to_utf8(struct arena *a, enum charset c, slice s, slice *out);

#endif
