#include "core/model/account.h"

#include "core/base/refuse.h"
#include "core/parse/num.h"

#include <inttypes.h>
#include <string.h>

/* A name is a single word, so that the text stays one word a value. */
static bool name_byte(uint8_t c)
{
	return ascii_alnum(c) || c == '-' || c == '_' || c == '.';
}

void account_encode(const struct account *a, struct buf *out)
{
	buf_str(out, "program=");
	for (size_t i = 0; i < sizeof a->program - 1 && a->program[i]; i++)
		buf_byte(out, name_byte((uint8_t)a->program[i]) ? (uint8_t)a->program[i] : '_');
	buf_printf(out, " made=%" PRIu64 " shipped=%" PRIu64 " lost=%" PRIu64 " ms=%" PRIu64, a->made,
		a->shipped, a->lost, a->ms);
}

static int take(slice word, slice value, struct account *a)
{
	struct {
		slice word;
		uint64_t *to;
	} numbers[] = {{SLICE("made"), &a->made}, {SLICE("shipped"), &a->shipped}, {SLICE("lost"), &a->lost},
		{SLICE("ms"), &a->ms}};

	if (slice_eq(word, SLICE("program"))) {
		if (value.len >= sizeof a->program)
			return -REFUSE_SYNTAX;
		for (size_t i = 0; i < value.len; i++)
			if (!name_byte(value.p[i]))
				return -REFUSE_SYNTAX;
		memset(a->program, 0, sizeof a->program);
		if (value.len)
			memcpy(a->program, value.p, value.len);
		return 0;
	}
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (slice_eq(word, numbers[i].word))
			return num_decode(value, UINT64_MAX, numbers[i].to) < 0 ? -REFUSE_SYNTAX : 0;
	return 0;
}

int account_decode(slice text, struct account *out)
{
	struct account a = {0};

	while (text.len) {
		size_t end = slice_chr(text, ' ', 0);
		slice pair = slice_sub(text, 0, end);
		size_t eq = slice_chr(pair, '=', 0);

		text = end == SLICE_NPOS ? SLICE_NONE : slice_from(text, end + 1);
		if (pair.len == 0)
			continue;
		if (eq == SLICE_NPOS || eq == 0)
			return -REFUSE_SYNTAX;
		if (take(slice_sub(pair, 0, eq), slice_from(pair, eq + 1), &a) < 0)
			return -REFUSE_SYNTAX;
	}
	*out = a;
	return 0;
}
