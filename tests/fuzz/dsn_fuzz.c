/* A delivery status and a feedback report, read as such: the number of
 * recipients and the length of what they hold stay within their limits, every
 * slice is the body's or the arena's, and memory grows with the input only. */
#include "collector/arf.h"
#include "collector/dsn.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every byte, so that a slice that points elsewhere is seen. */
static unsigned touch(slice s)
{
	unsigned sum = 0;

	for (size_t i = 0; i < s.len; i++)
		sum += s.p[i];
	return sum;
}

static void status(struct arena *a, slice body)
{
	struct dsn_iter it;
	struct dsn_message m;
	struct dsn_recipient r;
	size_t left, count = 0;

	dsn_start(&it, a, body, &m);
	left = it.rest.len;
	touch(m.envelope_id);
	touch(m.reporting_mta);
	while (dsn_next(&it, &r) > 0) {
		if (++count > DSN_MAX_RECIPIENTS || it.rest.len >= left)
			abort();
		left = it.rest.len;
		if (!r.final.len && !r.original.len)
			abort();
		if (r.final.len > DSN_MAX_VALUE || r.diagnostic.len > DSN_MAX_VALUE ||
			r.status.len > DSN_MAX_VALUE)
			abort();
		for (size_t i = 0; i < r.status.len; i++)
			if (!ascii_digit(r.status.p[i]) && r.status.p[i] != '.')
				abort();
		touch(r.final);
		touch(r.original);
		touch(r.diagnostic);
		touch(r.remote_mta);
	}
}

static void report(struct arena *a, slice body)
{
	static struct arf arf;

	arf_read(a, body, &arf);
	if (arf.count > ARF_MAX_RECIPIENTS || (arf.kind == ARF_RESCUE && !arf.feedback_type.len))
		abort();
	for (unsigned i = 0; i < arf.count; i++)
		touch(arf.recipients[i]);
	touch(arf.mail_from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;

	/* Folds are copied once, joined: no more than twice the input and the blocks. */
	arena_init(&a, 4 * size + 65536, NULL, NULL);
	status(&a, slice_of(data, size));
	arena_reset(&a);
	report(&a, slice_of(data, size));
	arena_free(&a);
	return 0;
}
