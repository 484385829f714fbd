#include "collector/bounce_json.h"

#include "core/parse/json.h"

#include <inttypes.h>
#include <stdio.h>

/* Cut at a character of UTF-8, not inside. */
static slice cut_text(slice s)
{
	size_t n = BOUNCE_JSON_MAX_TEXT;

	if (s.len <= n)
		return s;
	while (n && (s.p[n] & 0xc0) == 0x80)
		n--;
	return slice_sub(s, 0, n);
}

/* Many a reader of JSON refuses NUL, so none is written. */
static void put_text(struct json_out *j, const char *key, slice s)
{
	uint8_t clean[BOUNCE_JSON_MAX_TEXT];

	s = cut_text(s);
	if (s.len && slice_chr(s, 0, 0) != SLICE_NPOS) {
		for (size_t i = 0; i < s.len; i++)
			clean[i] = s.p[i] ? s.p[i] : '?';
		s = slice_of(clean, s.len);
	}
	if (s.len)
		json_str(j, key, s);
	else
		json_null(j, key);
}

static void put_hex(struct json_out *j, const char *key, uint64_t v, int digits)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%0*" PRIx64, digits, v);

	json_str(j, key, slice_of(text, (size_t)n));
}

static void put_identity(struct json_out *j, const struct bounce_identity *id)
{
	if (!id) {
		json_null(j, "identity");
		return;
	}
	json_object(j, "identity");
	put_hex(j, "campaign", id->token.campaign, 16);
	put_hex(j, "lane", id->token.lane, 8);
	json_uint(j, "sequence", id->token.sequence);
	json_str(j, "via", slice_str(id->via));
	json_end(j);
}

static void put_status(struct json_out *j, uint32_t status)
{
	char text[16];
	int n = snprintf(text, sizeof text, "%u.%u.%u", status >> 20, status >> 10 & 1023, status & 1023);

	if (status)
		json_str(j, "status", slice_of(text, (size_t)n));
	else
		json_null(j, "status");
}

static void put_fact(const struct bounce_message *m, const struct bounce_fact *f,
	const struct bounce_identity *id, struct buf *out)
{
	struct json_out j;

	json_start(&j, out);
	json_object(&j, NULL);
	json_str(&j, "kind", slice_str(bounce_kind_word(f->kind)));
	put_text(&j, "recipient", f->recipient);
	put_text(&j, "original_recipient", f->original);
	put_status(&j, f->status);
	if (f->reply)
		json_int(&j, "reply", f->reply);
	else
		json_null(&j, "reply");
	json_str(&j, "class", slice_str(classes_word(f->class)));
	if (f->permanent == CLASSES_PERMANENT_UNKNOWN)
		json_null(&j, "permanent");
	else
		json_bool(&j, "permanent", f->permanent == CLASSES_PERMANENT_YES);
	put_text(&j, "action", f->action);
	put_text(&j, "diagnostic", f->diagnostic);
	put_text(&j, "remote_mta", f->remote_mta);
	put_text(&j, "reporting_mta", m->reporting_mta);
	put_text(&j, "message_id", m->message_id);
	put_text(&j, "envelope_id", m->envelope_id);
	put_identity(&j, id);
	put_text(&j, "feedback_type", m->feedback_type);
	json_str(&j, "rule", slice_str(f->rule));
	json_uint(&j, "confidence", f->confidence);
	json_end(&j);
	buf_byte(out, '\n');
}

void bounce_json(const struct bounce_message *m, const struct bounce_identity *id, struct buf *out)
{
	for (unsigned i = 0; i < m->count; i++)
		put_fact(m, &m->facts[i], id, out);
}
