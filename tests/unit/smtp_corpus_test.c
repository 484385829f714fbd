/* Every sequence that is known to end message data for some server and not for
 * another: alone and with a second message behind it, in every split. One
 * message in is never two, and none of these bytes is ever passed on. */
#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/parse/smtp.h"

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
		rows++;
	}
	assert_int_equal(rows, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sequences)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
