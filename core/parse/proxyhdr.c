#include "core/parse/proxyhdr.h"

#include "core/base/refuse.h"
#include "core/parse/num.h"

#define SIGNATURE SLICE("\r\n\r\n\0\r\nQUIT\n")
#define FIXED 16
#define SHORTEST 15 /* "PROXY UNKNOWN" CR LF */

enum { FAMILY_IPV4 = 1, FAMILY_IPV6, FAMILY_UNIX };

/* Does in begin as word does, as far as both go? */
static bool agrees(slice in, slice word)
{
	return slice_starts(word, slice_sub(in, 0, word.len));
}

/* The next word of a version 1 line; words are parted by exactly one blank. */
static slice word_of(slice *rest)
{
	size_t blank = slice_chr(*rest, ' ', 0);
	slice word = slice_sub(*rest, 0, blank);

	*rest = blank == SLICE_NPOS ? SLICE_NONE : slice_from(*rest, blank + 1);
	return word;
}

static bool address(slice word, bool v6, struct ip *out)
{
	return (slice_chr(word, ':', 0) != SLICE_NPOS) == v6 && ip_decode(word, out) == 0;
}

static bool port(slice word, uint16_t *out)
{
	uint64_t n;

	if ((word.len > 1 && word.p[0] == '0') || num_decode(word, UINT16_MAX, &n) != 0)
		return false;
	*out = (uint16_t)n;
	return true;
}

/* "PROXY " to CRLF, without the latter. */
static int line_decode(slice line, struct proxyhdr *out)
{
	slice rest = slice_from(line, 6), protocol = word_of(&rest);
	bool v6 = slice_eq(protocol, SLICE("TCP6"));

	/* Whatever stands behind UNKNOWN must be ignored. */
	if (slice_eq(protocol, SLICE("UNKNOWN")))
		return 0;
	if (!v6 && !slice_eq(protocol, SLICE("TCP4")))
		return -REFUSE_SYNTAX;
	if (!address(word_of(&rest), v6, &out->source) || !address(word_of(&rest), v6, &out->destination) ||
		!port(word_of(&rest), &out->source_port) || slice_chr(rest, ' ', 0) != SLICE_NPOS ||
		!port(rest, &out->destination_port))
		return -REFUSE_SYNTAX;
	out->known = true;
	return 0;
}

static int v1_decode(slice in, struct proxyhdr *out)
{
	slice head = slice_sub(in, 0, PROXYHDR_MAX_LINE);
	size_t lf = slice_chr(head, '\n', 0), cr = slice_chr(head, '\r', 0);
	int rc;

	/* A CR ends the line, with the LF behind it, and stands nowhere else. */
	if (lf == SLICE_NPOS && (cr == SLICE_NPOS || cr + 1 == head.len))
		return in.len >= PROXYHDR_MAX_LINE ? -REFUSE_TOO_LARGE : 0;
	if (cr == SLICE_NPOS || lf != cr + 1)
		return -REFUSE_SYNTAX;
	rc = line_decode(slice_sub(head, 0, cr), out);
	return rc < 0 ? rc : (int)lf + 1;
}

static uint16_t be16(slice in, size_t at)
{
	return (uint16_t)(in.p[at] << 8 | in.p[at + 1]);
}

static void v2_addresses(slice more, bool v6, struct proxyhdr *out)
{
	size_t n = v6 ? 16 : 4;

	if (v6) {
		memcpy(out->source.byte, more.p, n);
		memcpy(out->destination.byte, more.p + n, n);
	} else {
		out->source = ip_v4(more.p);
		out->destination = ip_v4(more.p + n);
	}
	out->source_port = be16(more, 2 * n);
	out->destination_port = be16(more, 2 * n + 2);
	out->known = true;
}

static int v2_decode(slice in, struct proxyhdr *out)
{
	size_t len;
	unsigned family;
	slice more;

	if (in.len > 12 && (in.p[12] >> 4 != 2 || (in.p[12] & 0xf) > 1))
		return -REFUSE_VERSION;
	if (in.len > 13 && (in.p[13] >> 4 > FAMILY_UNIX || (in.p[13] & 0xf) > 2))
		return -REFUSE_SYNTAX;
	if (in.len < FIXED)
		return 0;
	len = be16(in, 14);
	family = in.p[13] >> 4;
	if (len > PROXYHDR_MAX_MORE)
		return -REFUSE_TOO_LARGE;
	/* LOCAL: a health check of the balancer's own; its addresses mean nothing. */
	if ((in.p[12] & 0xf) == 0)
		family = 0;
	if (family && (in.p[13] & 0xf) != 1)
		family = 0;
	if ((family == FAMILY_IPV4 && len < 12) || (family == FAMILY_IPV6 && len < 36))
		return -REFUSE_SYNTAX;
	more = slice_sub(in, FIXED, FIXED + len);
	if (more.len < len)
		return 0;
	if (family == FAMILY_IPV4 || family == FAMILY_IPV6)
		v2_addresses(more, family == FAMILY_IPV6, out);
	return (int)(FIXED + len);
}

int proxyhdr_decode(slice in, struct proxyhdr *out)
{
	*out = (struct proxyhdr){.known = false};
	if (in.len == 0)
		return 0;
	if (agrees(in, SIGNATURE))
		return in.len < SIGNATURE.len ? 0 : v2_decode(in, out);
	if (agrees(in, SLICE("PROXY ")))
		return v1_decode(in, out);
	return -REFUSE_SYNTAX;
}

size_t proxyhdr_more(slice in)
{
	if (in.len < SHORTEST)
		return SHORTEST - in.len;
	if (in.p[0] == 'P')
		return 1;
	return in.len < FIXED ? FIXED - in.len : FIXED + be16(in, 14) - in.len;
}
