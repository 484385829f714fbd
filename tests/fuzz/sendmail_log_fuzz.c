/* Slices lie in the line; neither a local part nor a reply changes who is spoken
 * of and what became of it; a cut line speaks of nobody else. */
#include "collector/sendmail_log.h"
#include "tests/fuzz/log_fuzz.h"

static void expect(struct buf *line, slice recipient, enum log_fact_outcome outcome, size_t cut)
{
	struct log_fact f;

	if (sendmail_log_read(buf_slice(line), LOG_FUZZ_NOW, 0, &f) != LOG_FACT_DELIVERY)
		abort();
	if (f.outcome != outcome || !slice_eq(f.recipient, recipient) || sendmail_log_next(&f))
		abort();
	sendmail_log_read(slice_sub(buf_slice(line), 0, cut), LOG_FUZZ_NOW, 0, &f);
	if (f.recipient.len && !slice_eq(f.recipient, recipient))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_of(data, size);
	struct log_fact f;
	struct buf line, quoted;

	if (sendmail_log_read(in, LOG_FUZZ_NOW, 3600, &f) != f.kind)
		abort();
	do
		log_fuzz_fact(in, &f);
	while (f.kind == LOG_FACT_DELIVERY && sendmail_log_next(&f));
	buf_init(&line, 1 << 16);
	buf_init(&quoted, 1 << 16);
	buf_str(&line, "6ALHuYND018989: to=<r@b.test>, delay=00:00:00, relay=mx, dsn=5.0.0, reply=550 ");
	log_fuzz_text(&line, in);
	expect(&line, SLICE("r@b.test"), LOG_FACT_BOUNCED, size ? data[0] : 0);
	buf_clear(&line);
	log_fuzz_quoted(&quoted, in);
	buf_str(&line, "6ALHuYND018989: to=<");
	buf_put(&line, buf_slice(&quoted));
	buf_str(&line, ">, delay=00:00:00, relay=mx, dsn=2.0.0, stat=Sent (");
	log_fuzz_text(&line, in);
	expect(&line, buf_slice(&quoted), LOG_FACT_SENT, size ? data[0] * 8 : 0);
	buf_free(&line);
	buf_free(&quoted);
	return 0;
}
