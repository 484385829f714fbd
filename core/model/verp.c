#include "core/model/verp.h"

#include "core/base/refuse.h"

/* A forwarder behind a forwarder, each with BATV: more is nobody's mail. */
#define MAX_WRAPPERS 8

int verp_seal(struct sealer *s, slice domain, const struct token *t, struct buf *out)
{
	int rc;

	buf_str(out, VERP_PREFIX "+");
	rc = token_seal_return(s, domain, t, out);
	buf_byte(out, '@');
	buf_put(out, domain);
	return rc;
}

struct mailbox {
	slice local, domain;
};

static bool ours(slice local)
{
	return slice_istarts(local, SLICE(VERP_PREFIX "+"));
}

/* "prvs=TAG=LOCAL" and, by some, "prvs=LOCAL=TAG". */
static bool unwrap_batv(struct mailbox *m)
{
	slice rest = slice_from(m->local, 5);
	size_t cut;

	if (!slice_istarts(m->local, SLICE("prvs=")))
		return false;
	if (ours(rest)) {
		cut = slice_rchr(rest, '=');
		m->local = slice_sub(rest, 0, cut);
		return true;
	}
	cut = slice_chr(rest, '=', 0);
	if (cut == SLICE_NPOS)
		return false;
	m->local = slice_from(rest, cut + 1);
	return true;
}

static bool srs_separator(slice s, size_t at)
{
	return at < s.len && (s.p[at] == '=' || s.p[at] == '+' || s.p[at] == '-');
}

/* "HASH=TT=DOMAIN=LOCAL" */
static bool unwrap_srs_body(slice body, struct mailbox *m)
{
	size_t hash = slice_chr(body, '=', 0), stamp, domain;

	if (hash == SLICE_NPOS)
		return false;
	stamp = slice_chr(body, '=', hash + 1);
	if (stamp == SLICE_NPOS)
		return false;
	domain = slice_chr(body, '=', stamp + 1);
	if (domain == SLICE_NPOS)
		return false;
	m->domain = slice_sub(body, stamp + 1, domain);
	m->local = slice_from(body, domain + 1);
	return true;
}

/* "SRS0=HASH=TT=DOMAIN=LOCAL", and from the second forwarder on
 * "SRS1=HASH=FIRST=" followed by the SRS0 form without its "SRS0". The byte
 * behind SRS0 or SRS1 is one of = + -. */
static bool unwrap_srs(struct mailbox *m)
{
	slice body = slice_from(m->local, 5);
	size_t cut;

	if (!srs_separator(m->local, 4))
		return false;
	if (slice_istarts(m->local, SLICE("SRS0")))
		return unwrap_srs_body(body, m);
	if (!slice_istarts(m->local, SLICE("SRS1")))
		return false;
	cut = slice_chr(body, '=', 0);
	if (cut == SLICE_NPOS)
		return false;
	cut = slice_chr(body, '=', cut + 1);
	if (cut == SLICE_NPOS || !srs_separator(body, cut + 1))
		return false;
	return unwrap_srs_body(slice_from(body, cut + 2), m);
}

int verp_open(struct sealer *s, slice domain, slice address, struct token *out)
{
	struct mailbox m;
	size_t at;

	address = slice_trim(address);
	if (address.len >= 2 && address.p[0] == '<' && address.p[address.len - 1] == '>')
		address = slice_sub(address, 1, address.len - 1);
	at = slice_rchr(address, '@');
	if (at == SLICE_NPOS)
		return -REFUSE_SYNTAX;
	m = (struct mailbox){.local = slice_sub(address, 0, at), .domain = slice_from(address, at + 1)};
	for (int i = 0; i < MAX_WRAPPERS && (unwrap_batv(&m) || unwrap_srs(&m)); i++)
		;
	if (!ours(m.local) || !slice_ieq(m.domain, domain))
		return -REFUSE_SYNTAX;
	return token_open_return(s, domain, slice_from(m.local, sizeof VERP_PREFIX "+" - 1), out);
}
