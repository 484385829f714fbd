/* Any file is read to its end; the other side's text, quoted, makes no records of
 * its own, whatever lines it holds. */
#include "collector/powermta_log.h"
#include "tests/fuzz/log_fuzz.h"

struct count {
	unsigned all, ours;
};

static void tell(void *arg, const struct log_fact *f)
{
	struct count *c = arg;
	double seconds;

	c->all++;
	c->ours += slice_eq(f->recipient, SLICE("r@b.test")) && f->outcome == LOG_FACT_BOUNCED;
	if (!f->recipient.len || (f->kind == LOG_FACT_DELIVERY && !f->outcome))
		abort();
	if (log_fact_seconds(f->delay, &seconds) && seconds < 0)
		abort();
}

static void read_all(struct powermta_log *p, slice in, struct count *c)
{
	while (in.len) {
		size_t lf = slice_chr(in, '\n', 0);

		powermta_log_line(p, slice_sub(in, 0, lf), 0, tell, c);
		in = lf == SLICE_NPOS ? SLICE_NONE : slice_from(in, lf + 1);
	}
}

static void as_text(slice in)
{
	struct powermta_log *p = powermta_log_open();
	struct count c = {0};
	struct buf file;
	unsigned lines = 0;

	buf_init(&file, 1 << 16);
	buf_str(&file, "type,rcpt,dsnDiag,orig\nb,r@b.test,\"");
	for (size_t i = 0; i < in.len && i < LOG_FUZZ_MAX; i++) {
		if (in.p[i] == '\n' && ++lines > POWERMTA_LOG_MAX_LINES - 2)
			break;
		if (in.p[i] == '"')
			buf_byte(&file, '"');
		buf_byte(&file, in.p[i]);
	}
	buf_str(&file, "\",\nb,r@b.test,x,\n");
	read_all(p, buf_slice(&file), &c);
	powermta_log_end(p, 0, tell, &c);
	if (c.all != 2 || c.ours != 2)
		abort();
	buf_free(&file);
	powermta_log_close(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct powermta_log *p = powermta_log_open();
	struct count c = {0};

	read_all(p, slice_of(data, size), &c);
	read_all(p, SLICE("type,rcpt,dsnDiag,timeLogged,timeQueued,bounceCat\n"), &c);
	read_all(p, slice_of(data, size), &c);
	powermta_log_end(p, 0, tell, &c);
	powermta_log_close(&p);
	as_text(slice_of(data, size));
	return 0;
}
