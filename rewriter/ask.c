#include "rewriter/ask.h"

#include "core/parse/smtp.h"
#include "rewriter/control.h"

/* "text/html; q=1": what stands before the parameters. */
static slice media_type(slice field)
{
	return slice_trim(slice_sub(field, 0, slice_chr(field, ';', 0)));
}

static bool is_message(slice type)
{
	static const slice fine[] = {
		SLICE("message/rfc822"), SLICE("message/global"), SLICE("application/octet-stream")};

	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
		if (slice_ieq(type, fine[i]))
			return true;
	return type.len == 0;
}

/* Is application/json named, and named before any way to have the message? */
static bool wants_json(slice accept)
{
	size_t pos = 0;

	while (pos < accept.len) {
		size_t end = slice_chr(accept, ',', pos);
		slice type = media_type(slice_sub(accept, pos, end));

		if (slice_ieq(type, SLICE("application/json")))
			return true;
		if (is_message(type) || slice_eq(type, SLICE("*/*")))
			return false;
		pos = end == SLICE_NPOS ? accept.len : end + 1;
	}
	return false;
}

/* "a@b" or "<a@b>" as MAIL and RCPT would take it. */
static bool address(slice field, slice *out)
{
	uint8_t line[SMTP_MAX_PATH + 16];
	struct buf b = {.p = line, .room = sizeof line, .cap = sizeof line};
	struct smtp_command c;

	if (slice_starts(field, SLICE("<")) && slice_ends(field, SLICE(">")))
		field = slice_sub(field, 1, field.len - 1);
	if (field.len == 0 || field.len > SMTP_MAX_PATH)
		return false;
	for (size_t i = 0; i < field.len; i++)
		if (field.p[i] < 0x20 || field.p[i] == 0x7f)
			return false;
	buf_put(&b, SLICE("RCPT TO:<"));
	buf_put(&b, field);
	buf_put(&b, SLICE(">"));
	*out = field;
	return smtp_command_decode(buf_slice(&b), &c) == 0 && slice_eq(c.address, field) && c.params.len == 0;
}

static int refuse(int status, const char **detail, const char *text)
{
	*detail = text;
	return status;
}

int ask_read(const struct ask_fields *f, const struct apikey *key, struct policy *p, struct ask *out,
	const char **detail)
{
	bool any = slice_eq(key->tenant, SLICE("*"));
	slice sender;

	*out = (struct ask){.explain = wants_json(f->accept)};
	if (!is_message(media_type(f->content_type)))
		return refuse(415, detail, "the body is the message itself: Content-Type: message/rfc822");
	if (f->recipient.len == 0)
		return refuse(400, detail, "Landfall-Recipient: the address of the one recipient is missing");
	if (!address(f->recipient, &out->recipient))
		return refuse(400, detail, "Landfall-Recipient: want one address as RCPT TO takes it");
	out->null_sender = slice_eq(f->sender, SLICE("<>"));
	if (f->sender.len && !out->null_sender && !address(f->sender, &sender))
		return refuse(400, detail, "Landfall-Sender: want one address as MAIL FROM takes it, or <>");
	if (f->campaign.len && !control_fit(f->campaign))
		return refuse(
			400, detail, "Landfall-Campaign: want at most 512 bytes, no control characters");
	if (f->recipient_id.len && !control_fit(f->recipient_id))
		return refuse(
			400, detail, "Landfall-Recipient-Id: want at most 512 bytes, no control characters");
	if (f->tenant.len && !control_fit(f->tenant))
		return refuse(400, detail, "Landfall-Tenant: want at most 512 bytes, no control characters");
	if (f->tenant.len && !apikey_reads(key, f->tenant))
		return refuse(403, detail, "Landfall-Tenant: this key is another tenant's");
	out->recipient_id = f->recipient_id;
	if (f->tenant.len)
		p->default_tenant = f->tenant;
	else if (!any)
		p->default_tenant = key->tenant;
	/* Whose campaign it is says the key, or who has a key for all. */
	p->allow_tenant = p->allow_tenant && any && f->tenant.len == 0;
	p->track = f->track;
	if (f->campaign.len) {
		p->default_campaign = f->campaign;
		p->campaign_given = true;
	}
	return 0;
}
