#include "collector/bounce_identity.h"

#include "collector/bounce_text.h"
#include "core/model/verp.h"
#include "core/parse/hdr.h"
#include "core/parse/qp.h"

struct search {
	const struct bounce_identity_keys *k;
	struct arena *a;
	struct bounce_identity *out;
	unsigned tries;
};

static bool try_address(struct search *s, slice address)
{
	if (!s->k->domain.len || s->tries++ >= BOUNCE_IDENTITY_MAX_TRIES)
		return false;
	s->out->via = "return-path";
	return verp_open(s->k->sealer, s->k->domain, address, &s->out->token) == 0;
}

static bool try_token(struct search *s, enum token_kind kind, slice text, const char *via)
{
	uint8_t *room;

	if (!s->k->host.len || text.len < TOKEN_MIN_TEXT || s->tries++ >= BOUNCE_IDENTITY_MAX_TRIES)
		return false;
	room = arena_alloc(s->a, TOKEN_ROOM);
	s->out->via = via;
	return token_open(s->k->sealer, s->k->host, kind, text, room, &s->out->token) == 0;
}

/* Every address in a field. */
static bool try_addresses(struct search *s, slice value)
{
	for (size_t i = 0; i < value.len;) {
		slice address;
		size_t n = bounce_text_address(slice_from(value, i), &address);

		if (n && try_address(s, address))
			return true;
		if (n) {
			i += n;
			continue;
		}
		/* On to where the next one may begin. */
		while (i < value.len && !ascii_space(value.p[i]) && value.p[i] != ',' && value.p[i] != '<' &&
			value.p[i] != ':')
			i++;
		i++;
		if (i < value.len && value.p[i - 1] == '<')
			i--;
		if (i < value.len && value.p[i] == '<' &&
			!bounce_text_address(slice_from(value, i), &address))
			i++;
	}
	return false;
}

static bool from_fields(struct search *s, slice header, const slice *names, size_t count)
{
	struct hdr_iter it;
	struct hdr h;

	hdr_start(&it, header, 0);
	while (hdr_next(&it, &h) > 0)
		for (size_t i = 0; i < count; i++)
			if (slice_ieq(h.name, names[i]) && try_addresses(s, hdr_unfold(s->a, h.value)))
				return true;
	return false;
}

static size_t token_length(slice s)
{
	size_t n = 0;

	while (n < s.len && n < TOKEN_MAX_TEXT && (ascii_alnum(s.p[n]) || s.p[n] == '-' || s.p[n] == '_'))
		n++;
	return n;
}

/* "/o/TOKEN", "/c/TOKEN", "/u/TOKEN" behind the tracker's host. */
static bool from_links(struct search *s, slice text)
{
	size_t at = 0;

	while (s->k->host.len && (at = slice_ifind(text, s->k->host, at)) != SLICE_NPOS) {
		slice rest;

		at += s->k->host.len;
		rest = slice_from(text, at);
		if (rest.len && rest.p[0] == ':') {
			size_t n = 1;

			while (n < rest.len && n < 7 && ascii_digit(rest.p[n]))
				n++;
			rest = slice_from(rest, n);
		}
		if (rest.len < 3 || rest.p[0] != '/' || rest.p[2] != '/' ||
			(rest.p[1] != TOKEN_OPEN && rest.p[1] != TOKEN_CLICK &&
				rest.p[1] != TOKEN_UNSUBSCRIBE))
			continue;
		rest = slice_from(rest, 3);
		if (try_token(s, (enum token_kind)text.p[rest.p - text.p - 2],
			    slice_sub(rest, 0, token_length(rest)), "link"))
			return true;
	}
	return false;
}

static bool from_body(struct search *s, slice body)
{
	struct qp_text q;

	if (from_links(s, body))
		return true;
	/* Links may be cut by soft line breaks. */
	if (slice_find(body, SLICE("=\n"), 0) == SLICE_NPOS)
		return false;
	qp_decode(s->a, body, &q);
	return from_links(s, q.dec);
}

bool bounce_identity_find(const struct bounce_identity_keys *k, struct arena *a,
	const struct bounce_message *m, struct bounce_identity *out)
{
	static const slice to[] = {SLICE("Delivered-To"), SLICE("X-Original-To"), SLICE("Envelope-To"),
		SLICE("X-Envelope-To"), SLICE("X-Failed-Recipients"), SLICE("To"), SLICE("Cc"),
		SLICE("X-RCPT-TO")};
	static const slice back[] = {SLICE("Return-Path"), SLICE("X-Envelope-From"), SLICE("Sender"),
		SLICE("X-Sender"), SLICE("Errors-To"), SLICE("X-Original-From")};
	struct search s = {.k = k, .a = a, .out = out};
	slice v;

	*out = (struct bounce_identity){0};
	if (!k->sealer)
		return false;
	if (from_fields(&s, m->parts.header, to, sizeof to / sizeof *to) ||
		(m->mail_from.len && try_address(&s, m->mail_from)) ||
		from_fields(&s, m->parts.returned, back, sizeof back / sizeof *back))
		return true;
	if (bounce_parts_field(a, m->parts.returned, SLICE("X-Landfall-Id"), &v) &&
		try_token(&s, TOKEN_HEADER, v, "header"))
		return true;
	if (from_body(&s, m->parts.returned) || from_links(&s, m->parts.text))
		return true;
	*out = (struct bounce_identity){0};
	return false;
}
