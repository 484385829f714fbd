/* URLs: what a browser would do with an href, and what may stand in Location. */
#ifndef LF_PARSE_URL_H
#define LF_PARSE_URL_H

#include "core/base/buf.h"
#include "core/base/slice.h"

/* As the URL parser of WHATWG starts: leading and trailing C0 controls and
 * spaces off, TAB, CR and LF out. Appends to out. */
void url_strip(slice raw, struct buf *out);

/* "https" of "HTTPS://x" in the original's bytes; empty: relative. */
slice url_scheme(slice url);
/* http or https, with an authority. */
bool url_is_web(slice url);
/* Host of a web URL in its own bytes, without user and port; empty if none. */
slice url_host(slice url);

/* The URL as the WHATWG serialiser would send it in Location: pure ASCII,
 * host in punycode, other non-ASCII percent-encoded as UTF-8, existing %xx
 * untouched, no byte below 0x21. ASCII URLs come out byte for byte but for
 * spaces and other forbidden bytes, which are percent-encoded.
 * 0, or -REFUSE_SCHEME (not http or https), -REFUSE_SYNTAX (no host, user
 * information, backslash in the authority, host that has no ASCII form). */
int url_location(slice url, struct buf *out);

#endif
