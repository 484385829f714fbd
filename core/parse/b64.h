/* Base64url and base32 (RFC 4648) without padding, strict: one text for one
 * value. For tokens; the tolerant base64 of MIME is another module.
 */
#ifndef LF_PARSE_B64_H
#define LF_PARSE_B64_H

#include "core/base/buf.h"
#include "core/base/slice.h"

/* Characters for n bytes, and bytes in n characters. */
#define B64_TEXT(n) (((n)*4 + 2) / 3)
#define B64_BYTES(n) ((n)*3 / 4)
#define B32_TEXT(n) (((n)*8 + 4) / 5)
#define B32_BYTES(n) ((n)*5 / 8)

/* Append, alphabet [A-Za-z0-9_-]. */
void b64url_encode(slice in, struct buf *out);
/* >=0: bytes written to out. -REFUSE_LENGTH: a length that no bytes have, or
 * more than room. -REFUSE_ALPHABET. -REFUSE_NOT_CANONICAL: bits behind the last
 * byte are not zero. out may hold anything after a refusal. */
int b64url_decode(slice text, uint8_t *out, size_t room);

/* Append, alphabet [a-z2-7]. */
void b32_encode(slice in, struct buf *out);
/* As b64url_decode; letters of either case. */
int b32_decode(slice text, uint8_t *out, size_t room);

#endif
