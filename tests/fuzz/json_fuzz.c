/* Any bytes written as a string read back: the same where they are UTF-8
 * without NUL, and what is read never crashes the walk. */
#include "core/parse/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned walk(const struct json_value *v)
{
	unsigned n = 1;

	for (const struct json_value *c = json_first(v); c; c = json_after(c))
		n += walk(c);
	return n + (unsigned)json_text(v).len + (unsigned)json_name(v).len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_of(data, size);
	struct json_out j;
	struct json *doc;
	struct buf out, again;

	if (json_open(&doc, in) == 0)
		walk(json_root(doc));
	json_close(&doc);
	if (slice_chr(in, 0, 0) != SLICE_NPOS || size > 4096)
		return 0;
	buf_init(&out, 1 << 16);
	buf_init(&again, 1 << 16);
	json_start(&j, &out);
	json_str(&j, NULL, in);
	if (json_open(&doc, buf_slice(&out)) != 0)
		abort();
	/* What was read is UTF-8 now, so writing it again must not change it. */
	json_start(&j, &again);
	json_str(&j, NULL, json_text(json_root(doc)));
	if (!slice_eq(buf_slice(&out), buf_slice(&again)))
		abort();
	json_close(&doc);
	buf_free(&out);
	buf_free(&again);
	return 0;
}
