#include "rewriter/xforward.h"

#define UNAVAILABLE SLICE("[UNAVAILABLE]")

static bool attribute(const struct smtp_words *offered, slice name, struct buf *out)
{
	if (!smtp_words_have(offered, name))
		return false;
	buf_byte(out, ' ');
	buf_put(out, name);
	buf_byte(out, '=');
	return true;
}

static void put_address(const struct ip *a, struct buf *out)
{
	if (!ip_is_v4(a))
		buf_str(out, "IPV6:");
	ip_encode(a, out);
}

static void put_helo(slice helo, struct buf *out)
{
	size_t from = out->len;

	smtp_xtext_encode(helo, out);
	if (helo.len > 0 && out->len - from <= XFORWARD_MAX_HELO)
		return;
	out->len = from;
	buf_put(out, UNAVAILABLE);
}

static bool told(size_t from, size_t empty, struct buf *out)
{
	if (out->len == empty)
		out->len = from;
	return out->len > from;
}

bool xforward_client_put(const struct xforward *f, const struct smtp_words *offered, struct buf *out)
{
	size_t from = out->len, empty;

	buf_str(out, "XFORWARD");
	empty = out->len;
	/* Its name in the DNS: we do not ask. */
	if (attribute(offered, SLICE("NAME"), out))
		buf_put(out, UNAVAILABLE);
	if (attribute(offered, SLICE("ADDR"), out))
		put_address(f->address, out);
	if (attribute(offered, SLICE("PORT"), out))
		buf_printf(out, "%u", f->port);
	if (attribute(offered, SLICE("PROTO"), out))
		buf_put(out, f->protocol);
	if (attribute(offered, SLICE("HELO"), out))
		put_helo(f->helo, out);
	return told(from, empty, out);
}

bool xforward_ident_put(slice ident, const struct smtp_words *offered, struct buf *out)
{
	size_t from = out->len, empty;

	buf_str(out, "XFORWARD");
	empty = out->len;
	if (ident.len > 0 && ident.len <= XFORWARD_MAX_IDENT && attribute(offered, SLICE("IDENT"), out))
		smtp_xtext_encode(ident, out);
	return told(from, empty, out);
}
