/* Slices lie in the texts; a reply changes neither who is spoken of nor what became of it. */
#include "collector/kumomta_log.h"
#include "core/parse/json.h"
#include "tests/fuzz/log_fuzz.h"

static void as_reply(slice in, struct buf *texts)
{
	struct log_fact f;
	struct json_out j;
	struct buf line;

	buf_init(&line, 1 << 16);
	json_start(&j, &line);
	json_object(&j, NULL);
	json_str(&j, "type", SLICE("Bounce"));
	json_str(&j, "id", SLICE("1d98076a"));
	json_str(&j, "recipient", SLICE("r@b.test"));
	json_object(&j, "response");
	json_int(&j, "code", 550);
	json_str(&j, "content", slice_sub(in, 0, LOG_FUZZ_MAX));
	json_end(&j);
	json_end(&j);
	if (kumomta_log_read(buf_slice(&line), texts, &f) == LOG_FACT_DELIVERY) {
		if (f.outcome != LOG_FACT_BOUNCED || f.reply != 550 ||
			!slice_eq(f.recipient, SLICE("r@b.test")) || kumomta_log_next(&f))
			abort();
	} else if (slice_chr(in, 0, 0) == SLICE_NPOS) {
		abort();
	}
	buf_free(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_of(data, size);
	struct log_fact f;
	struct buf texts;

	buf_init(&texts, KUMOMTA_LOG_MAX_TEXTS);
	if (kumomta_log_read(in, &texts, &f) != f.kind)
		abort();
	do
		log_fuzz_fact(buf_slice(&texts), &f);
	while (f.kind == LOG_FACT_DELIVERY && kumomta_log_next(&f));
	as_reply(in, &texts);
	buf_free(&texts);
	return 0;
}
