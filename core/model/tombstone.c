#include "core/model/tombstone.h"

#include "core/base/refuse.h"
#include "core/model/rkey.h"
#include "core/parse/num.h"

#include <inttypes.h>

#define HASH_TEXT 16

void tombstone_encode(const struct tombstone *t, struct buf *out)
{
	buf_printf(out, "%016" PRIx64 " %" PRIu64, t->recipient, t->ms);
	if (t->tenant.len) {
		buf_byte(out, ' ');
		buf_put(out, t->tenant);
	}
}

int tombstone_decode(slice text, struct tombstone *out)
{
	slice ms = slice_from(text, HASH_TEXT + 1);
	size_t blank = slice_chr(ms, ' ', 0);

	*out = (struct tombstone){0};
	if (text.len <= HASH_TEXT || text.p[HASH_TEXT] != ' ' ||
		!hex64_decode(slice_sub(text, 0, HASH_TEXT), &out->recipient) || !out->recipient)
		return -REFUSE_SYNTAX;
	if (blank != SLICE_NPOS) {
		out->tenant = slice_from(ms, blank + 1);
		ms = slice_sub(ms, 0, blank);
		if (!out->tenant.len)
			return -REFUSE_SYNTAX;
	}
	return num_decode(ms, UINT64_MAX, &out->ms) < 0 ? -REFUSE_SYNTAX : 0;
}
