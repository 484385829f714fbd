#include "core/parse/ip.h"

#include "core/base/refuse.h"
#include "core/parse/num.h"

#include <string.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool ip_is_v4(const struct ip *a)
{
	return memcmp(a->byte, v4_prefix, sizeof v4_prefix) == 0;
}

struct ip ip_v4(const uint8_t ip[4])
{
	struct ip a;

	memcpy(a.byte, v4_prefix, 12);
	memcpy(a.byte + 12, ip, 4);
	return a;
}

/* Four numbers; a zero in front would be octal to some readers. */
static bool v4(slice s, uint8_t out[4])
{
	for (int i = 0; i < 4; i++) {
		size_t dot = i < 3 ? slice_chr(s, '.', 0) : s.len;
		slice part = slice_sub(s, 0, dot);
		uint64_t n;

		if (dot == SLICE_NPOS || part.len > 3 || (part.len > 1 && part.p[0] == '0') ||
			num_decode(part, 255, &n) != 0)
			return false;
		out[i] = (uint8_t)n;
		s = slice_from(s, dot + 1);
	}
	return true;
}

/* Groups up to a double colon or the end, into at most room bytes. >=0: bytes
 * written, *s behind the double colon and *gap set if there was one. -1: no
 * address. */
static int v6_groups(slice *s, uint8_t *out, int room, bool *gap)
{
	int n = 0;

	*gap = false;
	if (!s->len)
		return 0;
	for (;;) {
		size_t colon = slice_chr(*s, ':', 0);
		slice part = slice_sub(*s, 0, colon);
		uint64_t group;

		if (colon == SLICE_NPOS && slice_chr(part, '.', 0) != SLICE_NPOS) {
			*s = SLICE_NONE;
			return n + 4 <= room && v4(part, out + n) ? n + 4 : -1;
		}
		if (n + 2 > room || part.len > 4 || num_hex_decode(part, 0xffff, &group) != 0)
			return -1;
		out[n++] = (uint8_t)(group >> 8);
		out[n++] = (uint8_t)group;
		if (colon == SLICE_NPOS) {
			*s = SLICE_NONE;
			return n;
		}
		*s = slice_from(*s, colon + 1);
		if (s->len && s->p[0] == ':') {
			*s = slice_from(*s, 1);
			*gap = true;
			return n;
		}
	}
}

static bool v6(slice s, uint8_t out[16])
{
	uint8_t tail[16];
	int head = 0, rest = 0;
	bool gap = false, again;

	memset(out, 0, 16);
	if (slice_starts(s, SLICE("::"))) {
		s = slice_from(s, 2);
		gap = true;
	} else {
		head = v6_groups(&s, out, 16, &gap);
	}
	if (head < 0 || !gap)
		return head == 16;
	if (head > 14)
		return false; /* "::" stands for one group at least */
	rest = v6_groups(&s, tail, 14 - head, &again);
	if (rest < 0 || again)
		return false;
	memcpy(out + 16 - rest, tail, (size_t)rest);
	return true;
}

int ip_decode(slice text, struct ip *out)
{
	uint8_t four[4];

	if (slice_chr(text, ':', 0) != SLICE_NPOS)
		return v6(text, out->byte) ? 0 : -REFUSE_SYNTAX;
	if (!v4(text, four))
		return -REFUSE_SYNTAX;
	*out = ip_v4(four);
	return 0;
}

void ip_encode(const struct ip *a, struct buf *out)
{
	int run = 0, best = 8, longest = 1; /* one zero group alone is written as it is */

	if (ip_is_v4(a)) {
		const uint8_t *b = a->byte + 12;

		buf_printf(out, "%d.%d.%d.%d", b[0], b[1], b[2], b[3]);
		return;
	}
	for (int i = 0; i < 8; i++) {
		run = a->byte[2 * i] || a->byte[2 * i + 1] ? 0 : run + 1;
		if (run > longest) {
			longest = run;
			best = i + 1 - run;
		}
	}
	for (int i = 0; i < 8; i++) {
		if (i == best) {
			buf_str(out, "::");
			i += longest - 1;
			continue;
		}
		buf_printf(out, "%s%x", i && i != best + longest ? ":" : "",
			a->byte[2 * i] << 8 | a->byte[2 * i + 1]);
	}
}

static bool same_prefix(const struct ip *a, const struct ip *b, unsigned bits)
{
	unsigned whole = bits / 8;
	uint8_t mask = (uint8_t)(0xff00 >> bits % 8);

	return memcmp(a->byte, b->byte, whole) == 0 &&
	       (bits % 8 == 0 || !((a->byte[whole] ^ b->byte[whole]) & mask));
}

static int network_decode(slice word, struct ip_networks *out)
{
	size_t slash = slice_chr(word, '/', 0);
	struct ip a;
	uint64_t bits = 128;
	unsigned least = 0;

	if (ip_decode(slice_sub(word, 0, slash), &a) != 0)
		return -REFUSE_SYNTAX;
	if (slice_chr(word, ':', 0) == SLICE_NPOS)
		least = 96;
	if (slash != SLICE_NPOS) {
		if (num_decode(slice_from(word, slash + 1), 128 - least, &bits) != 0)
			return -REFUSE_SYNTAX;
		bits += least;
	}
	/* "10.0.0.1/8" is a slip of whoever wrote it: the whole of 10/8? */
	for (unsigned i = (unsigned)bits; i < 128; i++)
		if (a.byte[i / 8] & 0x80 >> i % 8)
			return -REFUSE_SYNTAX;
	out->network[out->count].address = a;
	out->network[out->count].bits = (uint8_t)bits;
	out->count++;
	return 0;
}

int ip_networks_decode(slice text, struct ip_networks *out, slice *word)
{
	size_t at = 0, end;

	out->count = 0;
	while (at < text.len) {
		if (ascii_space(text.p[at]) || text.p[at] == ',') {
			at++;
			continue;
		}
		for (end = at; end < text.len && !ascii_space(text.p[end]) && text.p[end] != ',';)
			end++;
		*word = slice_sub(text, at, end);
		if (out->count == IP_MAX_NETWORKS)
			return -REFUSE_RANGE;
		if (network_decode(*word, out) != 0)
			return -REFUSE_SYNTAX;
		at = end;
	}
	return 0;
}

bool ip_networks_have(const struct ip_networks *n, const struct ip *a)
{
	for (unsigned i = 0; i < n->count; i++)
		if (same_prefix(&n->network[i].address, a, n->network[i].bits))
			return true;
	return false;
}
