#include "collector/arf.h"

#include "collector/dsn.h"
#include "core/parse/hdr.h"

static enum arf_kind kind_of(slice type)
{
	if (slice_ieq(type, SLICE("not-spam")) || slice_ieq(type, SLICE("not_spam")))
		return ARF_RESCUE;
	if (slice_istarts(type, SLICE("auth-failure")) || slice_istarts(type, SLICE("dmarc")))
		return ARF_FAILURE;
	return ARF_COMPLAINT;
}

static void first(slice *to, slice value)
{
	if (!to->len)
		*to = value;
}

static bool has_recipient(const struct arf *r, slice address)
{
	for (unsigned i = 0; i < r->count; i++)
		if (slice_ieq(r->recipients[i], address))
			return true;
	return false;
}

static void field(struct arf *out, slice name, slice value)
{
	if (slice_ieq(name, SLICE("Feedback-Type"))) {
		first(&out->feedback_type, value);
	} else if (slice_ieq(name, SLICE("User-Agent"))) {
		first(&out->user_agent, value);
	} else if (slice_ieq(name, SLICE("Original-Mail-From"))) {
		first(&out->mail_from, dsn_address(value));
	} else if (slice_ieq(name, SLICE("Original-Envelope-Id"))) {
		first(&out->envelope_id, value);
	} else if (slice_ieq(name, SLICE("Reporting-MTA"))) {
		first(&out->reporting_mta, dsn_address(value));
	} else if (slice_ieq(name, SLICE("Source-IP"))) {
		first(&out->source_ip, value);
	} else if (slice_ieq(name, SLICE("CFBL-Feedback-ID"))) {
		first(&out->feedback_id, value);
	} else if (slice_ieq(name, SLICE("Original-Rcpt-To")) ||
		   slice_ieq(name, SLICE("Removal-Recipient"))) {
		slice address = dsn_address(value);

		if (address.len && out->count < ARF_MAX_RECIPIENTS && !has_recipient(out, address))
			out->recipients[out->count++] = address;
	}
}

void arf_read(struct arena *a, slice body, struct arf *out)
{
	struct hdr_iter it;
	struct hdr h;
	unsigned fields = 0;

	*out = (struct arf){0};
	/* Some begin with a blank line. */
	while (body.len && ascii_space(body.p[0]))
		body = slice_from(body, 1);
	hdr_start(&it, body, 0);
	while (hdr_next(&it, &h) > 0 && fields++ < ARF_MAX_FIELDS)
		field(out, h.name, hdr_unfold(a, h.value));
	out->kind = kind_of(out->feedback_type);
}
