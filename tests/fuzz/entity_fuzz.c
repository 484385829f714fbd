/* A reference takes at least "&" and two bytes, never more than there is, gives
 * UTF-8 of at most twice its length, and depends on no byte behind it but the
 * one that follows. A name found is the longest: no longer prefix is a name. */
#include "core/parse/entity.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static bool is_utf8(slice s)
{
	for (size_t i = 0; i < s.len;) {
		uint8_t c = s.p[i];
		size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

		if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || n > s.len - i)
			return false;
		for (size_t k = 1; k < n; k++)
			if ((s.p[i + k] & 0xc0) != 0x80)
				return false;
		i += n;
	}
	return true;
}

static void reference(slice s, bool in_attribute)
{
	struct buf out, again;
	size_t took, longer;
	slice text, other;

	buf_init(&out, 2 * s.len + 2);
	buf_init(&again, 2 * s.len + 2);
	took = entity_decode(s, in_attribute, &out);
	check(took <= s.len && took != 1 && took != 2 && !out.full);
	check((took > 0) == (out.len > 0) && out.len <= 2 * took && is_utf8(buf_slice(&out)));
	if (took)
		check(entity_decode(slice_sub(s, 0, took + 1), in_attribute, &again) == took &&
			slice_eq(buf_slice(&out), buf_slice(&again)));
	buf_free(&out);
	buf_free(&again);
	s = slice_from(s, 1);
	took = entity_find(s, &text);
	for (longer = took + 1; longer <= ENTITY_MAX_NAME && longer <= s.len; longer++)
		check(entity_find(slice_sub(s, 0, longer), &other) == took);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_of(data, size > 4096 ? 4096 : size);

	for (size_t i = 0; (i = slice_chr(in, '&', i)) != SLICE_NPOS; i++) {
		reference(slice_from(in, i), false);
		reference(slice_from(in, i), true);
	}
	return 0;
}
