/* Slices lie in the line; neither a local part nor a reply changes who is spoken
 * of and what became of it; a cut line speaks of nobody else. */
#include "collector/opensmtpd_log.h"
#include "tests/fuzz/log_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_of(data, size);
	struct log_fact f;
	struct buf line, quoted;

	if (opensmtpd_log_read(in, LOG_FUZZ_NOW, 3600, &f) != f.kind)
		abort();
	log_fuzz_fact(in, &f);
	buf_init(&line, 1 << 16);
	buf_init(&quoted, 1 << 16);
	log_fuzz_quoted(&quoted, in);
	buf_str(&line, "9dafabdf4533bdba mta delivery evpid=0b0ad77999976efb from=<s@a.test> to=<");
	buf_put(&line, buf_slice(&quoted));
	buf_str(&line, "> rcpt=<-> relay=\"y\" delay=0s result=\"PermFail\" stat=\"550 ");
	log_fuzz_text(&line, in);
	if (opensmtpd_log_read(buf_slice(&line), LOG_FUZZ_NOW, 0, &f) != LOG_FACT_DELIVERY)
		abort();
	if (f.outcome != LOG_FACT_BOUNCED || f.reply != 550 || !slice_eq(f.recipient, buf_slice(&quoted)))
		abort();
	opensmtpd_log_read(slice_sub(buf_slice(&line), 0, size ? data[0] * 8 : 0), LOG_FUZZ_NOW, 0, &f);
	if (f.recipient.len && !slice_eq(f.recipient, buf_slice(&quoted)))
		abort();
	buf_free(&line);
	buf_free(&quoted);
	return 0;
}
