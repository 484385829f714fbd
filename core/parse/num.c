#include "core/parse/num.h"

#include "core/base/refuse.h"

#include <limits.h>

int num_hex_digit(uint8_t c)
{
	if (ascii_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int lead(slice s, unsigned radix, uint64_t most, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < s.len; i++) {
		int d = num_hex_digit(s.p[i]);

		if (d < 0 || (unsigned)d >= radix)
			break;
		if (i == INT_MAX || (unsigned)d > most || v > (most - (unsigned)d) / radix)
			return -REFUSE_RANGE;
		v = v * radix + (unsigned)d;
	}
	if (i > 0)
		*out = v;
	return (int)i;
}

int num_lead(slice s, uint64_t most, uint64_t *out)
{
	return lead(s, 10, most, out);
}

int num_hex_lead(slice s, uint64_t most, uint64_t *out)
{
	return lead(s, 16, most, out);
}

static int whole(slice text, unsigned radix, uint64_t most, uint64_t *out)
{
	uint64_t v;
	int n;

	/* Another byte is a syntax error even behind too large a number. */
	for (size_t i = 0; i < text.len; i++) {
		int d = num_hex_digit(text.p[i]);

		if (d < 0 || (unsigned)d >= radix)
			return -REFUSE_SYNTAX;
	}
	n = lead(text, radix, most, &v);
	if (n <= 0)
		return n < 0 ? n : -REFUSE_SYNTAX;
	*out = v;
	return 0;
}

int num_decode(slice text, uint64_t most, uint64_t *out)
{
	return whole(text, 10, most, out);
}

int num_hex_decode(slice text, uint64_t most, uint64_t *out)
{
	return whole(text, 16, most, out);
}

bool num_hex_bytes(slice text, uint8_t *out, size_t n)
{
	if (text.len != 2 * n)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (num_hex_digit(text.p[i]) < 0)
			return false;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(num_hex_digit(text.p[2 * i]) << 4 | num_hex_digit(text.p[2 * i + 1]));
	return true;
}
