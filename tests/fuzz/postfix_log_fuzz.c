/* Every slice lies within the line and in the order of the line; a delivery
 * built around hostile bytes never yields more than its one outcome. */
#include "collector/postfix_log.h"
#include "core/base/buf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1795284000000u

static void inside(slice line, slice s)
{
	if (s.len && (s.p < line.p || s.p + s.len > line.p + line.len))
		abort();
}

/* The input as the text of the other side, which must not change anything. */
static void as_text(slice in)
{
	struct log_fact f;
	struct buf line;

	buf_init(&line, 1 << 16);
	buf_str(&line,
		"A1B2C3D4: to=<r@a.test>, relay=h[192.0.2.1]:25, delay=1, dsn=4.0.0, status=deferred (");
	buf_put(&line, in);
	if (postfix_log_read(buf_slice(&line), NOW, 0, &f) != LOG_FACT_DELIVERY)
		abort();
	if (f.outcome != LOG_FACT_DEFERRED || !slice_eq(f.dsn, SLICE("4.0.0")) || f.text.len > in.len)
		abort();
	buf_free(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice line = slice_of(data, size);
	struct log_fact f;

	if (postfix_log_read(line, NOW, 3600, &f) != f.kind)
		abort();
	inside(line, f.service);
	inside(line, f.id);
	inside(line, f.other_id);
	inside(line, f.client);
	inside(line, f.message_id);
	inside(line, f.sender);
	inside(line, f.recipient);
	inside(line, f.orig_to);
	inside(line, f.relay);
	inside(line, f.delay);
	inside(line, f.dsn);
	inside(line, f.text);
	inside(line, log_fact_next_id(f.text));
	if (f.kind == LOG_FACT_DELIVERY && (f.recipient.p <= f.id.p || f.text.p < f.relay.p || !f.outcome))
		abort();
	if (f.kind != LOG_FACT_NONE && (f.id.len == 0 || f.id.len > POSTFIX_LOG_MAX_ID))
		abort();
	if (size < 8192)
		as_text(line);
	return 0;
}
