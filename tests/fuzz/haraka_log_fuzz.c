/* Of whatever lines: who is spoken of stands in the line, or was a recipient;
 * nobody is delivered to twice. */
#include "collector/haraka_log.h"
#include "tests/fuzz/log_fuzz.h"

#define HEAD "2026-11-21T17:59:14.749Z [NOTICE] [5D239B48-E397-4520-9D35-E3B9EE580994.1"

struct seen {
	slice line;
	unsigned sent[3];
};

static void tell(void *arg, const struct log_fact *f)
{
	static const slice known[] = {SLICE("a@b.test"), SLICE("b@b.test"), SLICE("c@c.test")};
	struct seen *s = arg;
	bool ours = f->recipient.p >= s->line.p && f->recipient.p <= s->line.p + s->line.len;

	if (f->kind == LOG_FACT_DELIVERY && !f->outcome)
		abort();
	for (size_t i = 0; i < 3; i++) {
		if (f->kind != LOG_FACT_DELIVERY || !slice_eq(f->recipient, known[i]))
			continue;
		ours = true;
		s->sent[i] += f->outcome == LOG_FACT_SENT;
		if (s->sent[i] > 1)
			abort();
	}
	if (f->recipient.len && !ours)
		abort();
}

static void say(struct haraka_log *h, struct seen *s, struct buf *line, const char *head, slice rest)
{
	buf_clear(line);
	buf_str(line, head);
	log_fuzz_text(line, rest);
	s->line = buf_slice(line);
	haraka_log_line(h, s->line, tell, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_of(data, size);
	struct haraka_log *h = haraka_log_open();
	struct seen s = {0};
	struct buf line;
	size_t at = 0;

	buf_init(&line, 1 << 16);
	say(h, &s, &line, HEAD "] [core] recipient <a@b.test> code=OK msg=\"\"", SLICE_NONE);
	say(h, &s, &line, HEAD "] [core] recipient <b@b.test> code=OK msg=\"\"", SLICE_NONE);
	say(h, &s, &line, HEAD "] [core] recipient <c@c.test> code=OK msg=\"\"", SLICE_NONE);
	while (at < in.len) {
		size_t lf = slice_chr(in, '\n', at), end = lf == SLICE_NPOS ? in.len : lf;
		slice rest = slice_sub(in, at, end);

		if (rest.len && rest.p[0] == 'd')
			say(h, &s, &line,
				HEAD ".1] [outbound]  delivered file=x domain=", slice_from(rest, 1));
		else if (rest.len && rest.p[0] == 'r')
			say(h, &s, &line, HEAD ".1] [outbound] recipient <", slice_from(rest, 1));
		else
			say(h, &s, &line, "", rest);
		at = end + 1;
	}
	haraka_log_close(&h);
	/* A table of its own: what the bare lines say of other messages. */
	h = haraka_log_open();
	s = (struct seen){.line = in};
	haraka_log_line(h, in, tell, &s);
	haraka_log_close(&h);
	buf_free(&line);
	return 0;
}
