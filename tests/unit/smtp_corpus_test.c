/* Every sequence that is known to end message data for some server and not for
 * another: alone and with a second message behind it, in every split. One
 * message in is never two, and none of these bytes is ever passed on. */
#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/parse/smtp.h"
#include "rewriter/session.h"

#include <stdio.h>

static size_t unescape(slice text, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] != '\\') {
			out[n++] = text.p[i];
			continue;
		}
		i++;
		assert_true(i < text.len);
		if (text.p[i] == 'n')
			out[n++] = '\n';
		else if (text.p[i] == 'r')
			out[n++] = '\r';
		else {
			assert_true(text.p[i] == 'x' && i + 2 < text.len && text.p[i + 1] == '0' &&
				    text.p[i + 2] == '0');
			out[n++] = 0;
			i += 2;
		}
	}
	return n;
}

static void one_message(slice sequence, size_t step, size_t cut)
{
	struct buf in, out;
	struct smtp_data d;
	size_t used = 0;

	buf_init(&in, 4096);
	buf_init(&out, 4096);
	buf_str(&in, "Subject: one\r\n\r\nbody");
	buf_put(&in, sequence);
	buf_str(&in, "MAIL FROM:<two@x.example>\r\nRCPT TO:<v@x.example>\r\nDATA\r\nSubject: two\r\n\r\ntwo");
	buf_str(&in, "\r\n.\r\n");
	smtp_data_init(&d);
	while (used < in.len && !smtp_data_done(&d))
		used += smtp_data_feed(&d,
			slice_sub(buf_slice(&in), used,
				step         ? used + step
				: used < cut ? cut
					     : in.len),
			&out);
	assert_true(smtp_data_done(&d));
	assert_int_equal(used, in.len);
	assert_int_not_equal(d.refused, 0);
	assert_int_equal(smtp_text_check(buf_slice(&in)) != 0, 1);
	buf_free(&in);
	buf_free(&out);
}

/* What a client's session makes of it: one MAIL, and no message. */
static void one_session(slice in, size_t cut)
{
	static const struct smtp_offer offer = {.flags = SMTP_OFFER_PIPELINING};
	struct session_config cfg = {.host = SLICE("me"), .max_message = 1 << 16};
	unsigned mails = 0, messages = 0;
	struct session s;

	session_init(&s, &cfg);
	session_greet(&s, &offer);
	for (size_t at = 0, kept = 0, to; at < in.len; at = to) {
		slice piece;
		enum session_wish wish;

		to = at < cut && cut < in.len ? cut : in.len;
		piece = slice_sub(in, at - kept, to);
		while ((wish = session_feed(&s, &piece)) != SESSION_NOTHING) {
			mails += wish == SESSION_MAIL;
			messages += wish == SESSION_MESSAGE;
			if (wish != SESSION_RESET)
				session_answer(&s, 250, SLICE("Ok"));
		}
		kept = piece.len;
	}
	assert_int_equal(mails, 1);
	assert_int_equal(messages, 0);
	assert_true(slice_find(buf_slice(&s.out), SLICE("550 5.5.2 "), 0) != SLICE_NPOS);
	assert_true(slice_ends(buf_slice(&s.out), SLICE("221 2.0.0 Bye\r\n")));
	session_free(&s);
}

/* By DATA, by one chunk, and by two chunks with the cut at every byte. */
static void sessions(slice sequence)
{
	struct buf body, in;

	buf_init(&body, 4096);
	buf_init(&in, 8192);
	buf_str(&body, "Subject: one\r\n\r\nbody");
	buf_put(&body, sequence);
	buf_str(&body,
		"MAIL FROM:<two@x.example>\r\nRCPT TO:<v@x.example>\r\nDATA\r\nSubject: two\r\n\r\ntwo");
	buf_str(&body, "\r\n.\r\n");
#define BEFORE "EHLO c\r\nMAIL FROM:<one@x.example>\r\nRCPT TO:<v@x.example>\r\n"
	buf_str(&in, BEFORE "DATA\r\n");
	buf_put(&in, buf_slice(&body));
	buf_str(&in, "QUIT\r\n");
	for (size_t cut = 1; cut <= in.len; cut++)
		one_session(buf_slice(&in), cut);
	for (size_t first = 0; first <= body.len; first++) {
		buf_clear(&in);
		buf_printf(&in, BEFORE "BDAT %zu\r\n", first);
		buf_put(&in, slice_sub(buf_slice(&body), 0, first));
		buf_printf(&in, "BDAT %zu LAST\r\n", body.len - first);
		buf_put(&in, slice_from(buf_slice(&body), first));
		buf_str(&in, "QUIT\r\n");
		for (size_t cut = 1; cut <= in.len; cut += first % 8 == 0 ? 1 : 37)
			one_session(buf_slice(&in), cut);
	}
	buf_free(&body);
	buf_free(&in);
}

static void sequences(void **state)
{
	const char *dir = test_corpora();
	char path[512];
	uint8_t seq[64];
	size_t from = 0, rows = 0;
	slice file;
	bool found;

	(void)state;
	if (!dir)
		return;
	snprintf(path, sizeof path, "%s/smtp-smuggling/eod_sequences.tsv", dir);
	file = test_file(path, &found);
	assert_true(found);
	while (from < file.len) {
		size_t lf = slice_chr(file, '\n', from);
		slice line = slice_sub(file, from, lf);
		size_t tab = slice_chr(line, '\t', 0);

		from = lf == SLICE_NPOS ? file.len : lf + 1;
		if (!slice_starts(line, SLICE("inbound")) && !slice_starts(line, SLICE("outbound")))
			continue;
		line = slice_from(line, tab + 1);
		for (size_t cut = 0; cut < 40; cut++)
			one_message(slice_of(seq, unescape(line, seq)), 0, cut);
		for (size_t step = 1; step < 8; step++)
			one_message(slice_of(seq, unescape(line, seq)), step, 0);
		sessions(slice_of(seq, unescape(line, seq)));
		rows++;
	}
	assert_int_equal(rows, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sequences)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
