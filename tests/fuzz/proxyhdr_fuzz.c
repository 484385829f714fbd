/* What is said of a whole input is said of each prefix, or that it needs more;
 * what follows the header changes nothing; a header that names addresses names
 * them again when it is written anew in either version. */
#include "core/base/refuse.h"
#include "core/parse/proxyhdr.h"

#include <stdlib.h>

#define check(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static bool same(const struct proxyhdr *a, const struct proxyhdr *b)
{
	return a->known == b->known && memcmp(&a->source, &b->source, sizeof a->source) == 0 &&
	       memcmp(&a->destination, &b->destination, sizeof a->destination) == 0 &&
	       a->source_port == b->source_port && a->destination_port == b->destination_port;
}

static void put_port(struct buf *out, uint16_t port)
{
	buf_byte(out, (uint8_t)(port >> 8));
	buf_byte(out, (uint8_t)port);
}

static void again(const struct proxyhdr *h)
{
	bool v4 = ip_is_v4(&h->source) && ip_is_v4(&h->destination);
	struct proxyhdr got;
	struct buf out;

	buf_init(&out, PROXYHDR_MAX);
	buf_put(&out, SLICE("\r\n\r\n\0\r\nQUIT\n\x21"));
	buf_put(&out, v4 ? SLICE("\x11\0\x0c") : SLICE("\x21\0\x24"));
	buf_put(&out, slice_of(h->source.byte + (v4 ? 12 : 0), v4 ? 4 : 16));
	buf_put(&out, slice_of(h->destination.byte + (v4 ? 12 : 0), v4 ? 4 : 16));
	put_port(&out, h->source_port);
	put_port(&out, h->destination_port);
	check(proxyhdr_decode(buf_slice(&out), &got) == (int)out.len && same(h, &got));
	buf_clear(&out);
	/* IPv4 in the clothes of IPv6 has no such text. */
	if (v4 || (!ip_is_v4(&h->source) && !ip_is_v4(&h->destination))) {
		buf_str(&out, v4 ? "PROXY TCP4 " : "PROXY TCP6 ");
		ip_encode(&h->source, &out);
		buf_byte(&out, ' ');
		ip_encode(&h->destination, &out);
		buf_printf(&out, " %u %u\r\n", h->source_port, h->destination_port);
		check(out.len <= PROXYHDR_MAX_LINE);
		check(proxyhdr_decode(buf_slice(&out), &got) == (int)out.len && same(h, &got));
	}
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size)
{
	struct proxyhdr whole, part;
	int rc, said = 0;

	if (size > 4 * PROXYHDR_MAX)
		return 0;
	rc = proxyhdr_decode(slice_of(p, size), &whole);
	check(rc <= (int)size && rc <= PROXYHDR_MAX);
	for (size_t n = 0; n < size; n++) {
		int got = proxyhdr_decode(slice_of(p, n), &part);

		check(got == 0 || got == rc);
		check(got != 0 || proxyhdr_more(slice_of(p, n)) > 0);
		check(got != 0 || rc <= 0 || n + proxyhdr_more(slice_of(p, n)) <= (size_t)rc);
		check(!said || got == said);
		said = got;
		if (rc > 0 && n >= (size_t)rc)
			check(got == rc && same(&part, &whole));
	}
	if (rc > 0 && whole.known)
		again(&whole);
	return 0;
}
