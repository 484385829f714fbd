/* Slices lie in the line; neither a local part nor a reply speaks of anybody else. */
#include "collector/exim_log.h"
#include "tests/fuzz/log_fuzz.h"

#include <string.h>

#define HEAD "2026-11-21 18:19:52 1xUpgm-0007dn-05 "

static void as_reply(slice in)
{
	struct log_fact f;
	struct buf line;
	size_t cut = in.len ? in.p[0] : 0;

	buf_init(&line, 1 << 16);
	buf_str(&line,
		HEAD "** r@b.test R=a T=b H=mx [192.0.2.1]: SMTP error from remote mail server after RCPT "
		     "TO:<r@b.test>: 550 ");
	log_fuzz_text(&line, in);
	if (exim_log_read(buf_slice(&line), LOG_FUZZ_NOW, 0, &f) != LOG_FACT_DELIVERY)
		abort();
	if (f.outcome != LOG_FACT_BOUNCED || f.reply != 550 || !slice_starts(f.text, SLICE("SMTP error ")))
		abort();
	/* A reply that spells out all that stands before it may name another, of its own domain. */
	if (!slice_eq(f.recipient, SLICE("r@b.test")) && !slice_starts(f.recipient, SLICE("\"r@b.test")))
		abort();
	exim_log_read(slice_sub(buf_slice(&line), 0, cut), LOG_FUZZ_NOW, 0, &f);
	if (f.recipient.len && !slice_starts(f.recipient, SLICE("r@b.test")))
		abort();
	buf_free(&line);
}

/* As Exim prints it: plain, then in quotes. */
static void as_local_part(slice in)
{
	struct log_fact f;
	struct buf line, quoted;

	buf_init(&line, 1 << 16);
	buf_init(&quoted, 1 << 16);
	log_fuzz_quoted(&quoted, in);
	buf_str(&line, HEAD "=> ");
	log_fuzz_text(&line, in);
	buf_str(&line, "@b.test <");
	buf_put(&line, buf_slice(&quoted));
	buf_str(&line, "> R=a T=b C=\"250 OK\"");
	exim_log_read(buf_slice(&line), LOG_FUZZ_NOW, 0, &f);
	/* Where the input holds more openings than are tried, nothing is promised. */
	if (slice_find(in, SLICE(" <"), 0) == SLICE_NPOS && !slice_eq(f.recipient, buf_slice(&quoted)))
		abort();
	buf_free(&line);
	buf_free(&quoted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice line = slice_of(data, size);
	struct log_fact f;

	if (exim_log_read(line, LOG_FUZZ_NOW, 3600, &f) != f.kind)
		abort();
	log_fuzz_fact(line, &f);
	if (f.kind != LOG_FACT_NONE && f.id.len != 16 && f.id.len != 23)
		abort();
	as_reply(line);
	as_local_part(line);
	return 0;
}
