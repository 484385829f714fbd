#include "core/parse/entity.h"

#include <string.h>

#define E(name, text) {SLICE(name), SLICE(text)},
static const struct {
	slice name, text;
} table[] = {
#include "core/parse/entity_table.def"
};
#undef E
enum { COUNT = sizeof table / sizeof *table };

/* Windows-1252, as pages of the nineties meant &#128; to &#159;; 0: as is. */
static const uint16_t c1[32] = {0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030,
	0x0160, 0x2039, 0x0152, 0, 0x017d, 0, 0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
	0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178};

size_t entity_utf8(uint32_t code, uint8_t p[4])
{
	if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		code = 0xfffd;
	if (code < 0x80) {
		p[0] = (uint8_t)code;
		return 1;
	}
	if (code < 0x800) {
		p[0] = (uint8_t)(0xc0 | code >> 6);
		p[1] = (uint8_t)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		p[0] = (uint8_t)(0xe0 | code >> 12);
		p[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
		p[2] = (uint8_t)(0x80 | (code & 0x3f));
		return 3;
	}
	p[0] = (uint8_t)(0xf0 | code >> 18);
	p[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
	p[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
	p[3] = (uint8_t)(0x80 | (code & 0x3f));
	return 4;
}

/* The byte of a name at depth, or -1 past its end (which sorts first). */
static int at(size_t row, size_t depth)
{
	return depth < table[row].name.len ? table[row].name.p[depth] : -1;
}

/* First row of [from, to) whose byte at depth is at least c; all of them agree
 * before depth. */
static size_t lower(size_t from, size_t to, size_t depth, int c)
{
	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (at(mid, depth) < c)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

size_t entity_find(slice s, slice *text)
{
	size_t from = 0, to = COUNT, best = 0;

	for (size_t depth = 0; depth < s.len; depth++) {
		from = lower(from, to, depth, s.p[depth]);
		to = lower(from, to, depth, s.p[depth] + 1);
		if (from == to)
			break;
		/* The name that ends here sorts before those it begins. */
		if (table[from].name.len == depth + 1) {
			best = depth + 1;
			*text = table[from].text;
		}
	}
	return best;
}

static int digit_of(uint8_t c, uint32_t base)
{
	if (ascii_digit(c))
		return c - '0';
	c |= 0x20;
	if (base == 16 && c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* s starts with "&#". */
static size_t decode_number(slice s, struct buf *out)
{
	uint32_t base = 10, code = 0;
	size_t i = 2, first;
	uint8_t utf8[4];

	if (i < s.len && (s.p[i] | 0x20) == 'x') {
		base = 16;
		i++;
	}
	first = i;
	for (; i < s.len && digit_of(s.p[i], base) >= 0; i++)
		if (code <= 0x10ffff) /* past it, it stays too big */
			code = code * base + (uint32_t)digit_of(s.p[i], base);
	if (i == first)
		return 0;
	if (i < s.len && s.p[i] == ';')
		i++;
	if (code == 0)
		code = 0xfffd;
	else if (code >= 0x80 && code < 0xa0 && c1[code - 0x80])
		code = c1[code - 0x80];
	buf_put(out, slice_of(utf8, entity_utf8(code, utf8)));
	return i;
}

size_t entity_decode(slice s, bool in_attribute, struct buf *out)
{
	slice text;
	size_t n;

	if (s.len > 1 && s.p[1] == '#')
		return decode_number(s, out);
	n = entity_find(slice_from(s, 1), &text);
	if (!n)
		return 0;
	/* s.p[n] is the last byte of the name. */
	if (in_attribute && s.p[n] != ';' && n + 1 < s.len && (s.p[n + 1] == '=' || ascii_alnum(s.p[n + 1])))
		return 0;
	buf_put(out, text);
	return n + 1;
}
