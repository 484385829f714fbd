/* Message data: whatever the pieces, the reader says the same; what it takes,
 * the writer writes so that the reader takes the same bytes again and ends
 * exactly at the end. Commands: what decodes also decodes when printed again.
 * Replies: what is put can be read and is the same. */
#include "core/base/refuse.h"
#include "core/parse/smtp.h"

#include <stdlib.h>
#include <string.h>

#define check(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static void data(slice in, size_t cap, size_t step)
{
	struct smtp_data one, many, again;
	struct smtp_stuff s;
	struct buf a, b, wire, c;
	size_t used, used_many = 0;

	buf_init(&a, cap);
	buf_init(&b, cap);
	buf_init(&c, cap + 2);
	buf_init(&wire, cap * 2 + 16);
	smtp_data_init(&one);
	used = smtp_data_feed(&one, in, &a);
	smtp_data_init(&many);
	while (used_many < in.len && !smtp_data_done(&many))
		used_many += smtp_data_feed(&many, slice_sub(in, used_many, used_many + step), &b);
	check(used == used_many && one.state == many.state && one.refused == many.refused);
	check(one.size == many.size);
	if (one.refused != -REFUSE_TOO_LARGE)
		check(slice_eq(buf_slice(&a), buf_slice(&b)));
	if (smtp_data_done(&one)) {
		/* The end is CRLF.CRLF, and it is the first one. */
		check(used >= 3 && memcmp(in.p + used - 3, ".\r\n", 3) == 0);
		check(used == 3 || (used >= 5 && memcmp(in.p + used - 5, "\r\n", 2) == 0));
		check(used == 3 || slice_find(in, SLICE("\r\n.\r\n"), 0) == used - 5 ||
			slice_starts(in, SLICE(".\r\n")));
	} else {
		check(slice_find(in, SLICE("\r\n.\r\n"), 0) == SLICE_NPOS);
	}
	if (smtp_data_done(&one) && !one.refused) {
		check(smtp_text_check(buf_slice(&a)) == 0);
		smtp_stuff_init(&s, buf_slice(&a));
		while (!smtp_stuff_put(&s, &wire, step))
			;
		smtp_data_init(&again);
		check(smtp_data_feed(&again, buf_slice(&wire), &c) == wire.len);
		check(smtp_data_done(&again) && !again.refused && slice_eq(buf_slice(&a), buf_slice(&c)));
	}
	buf_free(&a);
	buf_free(&b);
	buf_free(&c);
	buf_free(&wire);
}

static void command(slice in)
{
	struct smtp_command c, d;
	struct buf again;
	slice line;
	int why;

	if (!smtp_line(in, &line, &why))
		return;
	if (smtp_command_decode(line, &c) != 0 || why || (c.verb != SMTP_MAIL && c.verb != SMTP_RCPT))
		return;
	buf_init(&again, 2 * SMTP_MAX_PARAMS);
	buf_str(&again, c.verb == SMTP_MAIL ? "MAIL FROM:<" : "RCPT TO:<");
	buf_put(&again, c.address);
	buf_str(&again, c.params.len ? "> " : ">");
	buf_put(&again, c.params);
	check(smtp_command_decode(buf_slice(&again), &d) == 0);
	check(d.verb == c.verb && slice_eq(d.address, c.address) && slice_eq(d.params, c.params));
	check(slice_chr(buf_slice(&again), '\r', 0) == SLICE_NPOS);
	buf_free(&again);
}

static void reply(slice in)
{
	struct smtp_reply r, again;
	struct buf wire;
	size_t used;

	smtp_reply_init(&r);
	smtp_reply_init(&again);
	buf_init(&wire, 4 * SMTP_MAX_REPLY);
	while (in.len > 0) {
		int rc = smtp_reply_feed(&r, in, &used);

		in = slice_from(in, used);
		if (rc != 1)
			break;
		smtp_queue_id(buf_slice(&r.text));
		buf_clear(&wire);
		smtp_reply_put(&wire, r.code, buf_slice(&r.text));
		check(smtp_text_check(buf_slice(&wire)) == 0);
		check(smtp_reply_feed(&again, buf_slice(&wire), &used) == 1 && used == wire.len);
		check(again.code == r.code && slice_eq(buf_slice(&again.text), buf_slice(&r.text)));
	}
	buf_free(&wire);
	smtp_reply_free(&r);
	smtp_reply_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size)
{
	slice in = slice_of(p, size);

	if (size < 2)
		return 0;
	data(slice_from(in, 2), (p[0] & 1) ? 1u << 20 : p[0], 1 + p[1] % 16);
	command(slice_from(in, 1));
	reply(slice_from(in, 1));
	return 0;
}
