/* URLs: what a browser would do with an href, and what may stand in Location.
 *
 * After the WHATWG URL standard, with one difference on purpose: a URL is not
 * normalised. Path, port and the case of scheme and host stay as they were
 * written, since some servers sign or compare them. */
#ifndef LF_PARSE_URL_H
#define LF_PARSE_URL_H

#include "core/base/buf.h"
#include "core/base/slice.h"

#define URL_MAX_HOST 1024 /* bytes as written; DNS allows 253 in ASCII */

/* As the URL parser of WHATWG starts: leading and trailing C0 controls and
 * spaces off, TAB, CR and LF out. Appends to out. */
void url_strip(slice raw, struct buf *out);

/* The functions up to url_location want a stripped URL; slices borrow it. */

/* "https" of "HTTPS://x" in the original's bytes; empty: relative. */
slice url_scheme(slice url);
/* http or https, "//", and a host. Not so "https:x", "https:/x", "https:///x":
 * what these mean depends on the page they stand in. */
bool url_is_web(slice url);
/* Host of a web URL in its own bytes, without user and port, an IPv6 address
 * with its brackets; empty if none. */
slice url_host(slice url);

/* The URL as it may stand in Location: pure ASCII, host in punycode, other
 * non-ASCII percent-encoded byte by byte (so it should be UTF-8), existing %xx
 * and stray % untouched, a backslash in the path a '/', no byte below 0x21 and
 * no DEL. Of the ASCII bytes those are percent-encoded that no valid URL has
 * and that the standard encodes in that place: space, '"', '<', '>', in a path
 * also '`', '{', '}', in a fragment '`'. A valid ASCII URL comes out byte for
 * byte. Strips first. Feeding it its own output changes nothing.
 * 0: appended to out.  Else out is as before: -REFUSE_SCHEME (not http or
 * https), -REFUSE_SYNTAX (no host, user information, backslash in the
 * authority, a port or an address that is none, a host that has no ASCII
 * form), -REFUSE_TOO_LARGE (out is full). */
int url_location(slice url, struct buf *out);

#endif
