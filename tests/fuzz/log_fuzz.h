/* What the fuzz targets of the log formats share. */
#ifndef LF_TESTS_FUZZ_LOG_FUZZ_H
#define LF_TESTS_FUZZ_LOG_FUZZ_H

#include "collector/log_fact.h"
#include "core/base/buf.h"

#include <stdlib.h>

#define LOG_FUZZ_NOW 1795284000000u
#define LOG_FUZZ_MAX 4096 /* bytes of the input that are built into a line */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void log_fuzz_inside(slice line, slice s)
{
	if (s.len && (s.p < line.p || s.p + s.len > line.p + line.len))
		abort();
}

/* Every slice of the fact lies within the line, and an outcome is one. */
static inline void log_fuzz_fact(slice line, const struct log_fact *f)
{
	const slice all[] = {f->service, f->id, f->other_id, f->client, f->message_id, f->sender,
		f->recipient, f->orig_to, f->others, f->relay, f->delay, f->dsn, f->text,
		log_fact_next_id(f->text)};
	double seconds;

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		log_fuzz_inside(line, all[i]);
	if (f->kind == LOG_FACT_DELIVERY && (!f->outcome || f->outcome > LOG_FACT_BOUNCED || !f->recipient.p))
		abort();
	if (log_fact_seconds(f->delay, &seconds) && seconds < 0)
		abort();
}

/* A local part in quotes, whatever the bytes are. */
static inline void log_fuzz_quoted(struct buf *out, slice in)
{
	buf_byte(out, '"');
	for (size_t i = 0; i < in.len && i < LOG_FUZZ_MAX; i++) {
		uint8_t c = in.p[i] < ' ' ? '_' : in.p[i];

		if (c == '"' || c == '\\')
			buf_byte(out, '\\');
		buf_byte(out, c);
	}
	buf_str(out, "\"@b.test");
}

/* What the other side said, on one line. */
static inline void log_fuzz_text(struct buf *out, slice in)
{
	for (size_t i = 0; i < in.len && i < LOG_FUZZ_MAX; i++)
		buf_byte(out, in.p[i] < ' ' ? '_' : in.p[i]);
}

#endif
