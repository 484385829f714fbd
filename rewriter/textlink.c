#include "rewriter/textlink.h"

#include "core/base/find.h"

#include <string.h>

#define MARK SLICE("[[data-msys-clicktrack=\"0\"]]")
/* How much of the next line is looked at. */
#define LOOK_AHEAD 256
/* A line this long may have been broken by a program. */
#define WRAPPED 70

void textlink_start(struct textlink_iter *it, slice in, bool utf8, bool delsp)
{
	*it = (struct textlink_iter){.in = in, .utf8 = utf8, .delsp = delsp};
}

/* Where the scheme before "://" at `at` begins, or SLICE_NPOS. */
static size_t scheme_before(slice s, size_t at)
{
	size_t n;

	for (n = 5; n >= 4; n--) {
		size_t from = at - n;

		if (at < n || !slice_ieq(slice_sub(s, from, at), n == 5 ? SLICE("https") : SLICE("http")))
			continue;
		if (from > 0 && (ascii_alnum(s.p[from - 1]) || s.p[from - 1] == '+'))
			return SLICE_NPOS;
		return from;
	}
	return SLICE_NPOS;
}

/* General and CJK punctuation and blanks, which end a URL as their ASCII
 * relatives do. s starts with a byte >= 0x80. */
static bool utf8_ends(slice s)
{
	uint8_t a = s.p[0], b = s.len > 1 ? s.p[1] : 0, c = s.len > 2 ? s.p[2] : 0;

	if (a == 0xc2)
		return b <= 0xbf; /* U+0080..00BF: no-break space, guillemets, ... */
	if (a == 0xe2)
		return b == 0x80 || (b == 0x81 && c <= 0xaf);
	if (a == 0xe3)
		return b == 0x80 && c <= 0xbf;
	return a == 0xef && (b == 0xbc || b == 0xbd) && (b == 0xbd || c <= 0x8f || (c >= 0x9a && c <= 0xa0));
}

/* The first byte from i on that may end a URL. */
static inline size_t may_end(slice s, size_t i)
{
#if defined(__SSE2__)
	for (; i + 16 <= s.len; i += 16) {
		__m128i v = find_load(s.p + i);
		/* signed: 0x80 and up are below zero; "<" and ">" differ in one bit */
		__m128i x = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x21)),
			_mm_cmpeq_epi8(_mm_or_si128(v, _mm_set1_epi8(2)), _mm_set1_epi8('>')));
		__m128i y = _mm_or_si128(
			_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('[')));
		__m128i z = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
		unsigned m = (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(x, y), z));

		if (m)
			return i + (size_t)__builtin_ctz(m);
	}
#endif
	return i;
}

static size_t end_of(const struct textlink_iter *it, size_t i, bool *unsure)
{
	slice s = it->in;

	for (i = may_end(s, i); i < s.len; i = may_end(s, i + 1)) {
		uint8_t c = s.p[i];

		if (c <= ' ' || c == '<' || c == '>' || c == '"' || c == 0x7f)
			break;
		if (c == '[' && slice_starts(slice_from(s, i), SLICE("[[data-msys-")))
			break;
		if (c < 0x80)
			continue;
		if (!it->utf8) {
			*unsure = true;
			break;
		}
		if (c >= 0xc0 && utf8_ends(slice_from(s, i)))
			break;
	}
	return i;
}

/* Without the punctuation that belongs to the sentence; brackets that were
 * opened inside the URL belong to it. */
static size_t trim(slice s, size_t from, size_t to)
{
	int round = 0, square = 0, curly = 0;

	if (to == from || !memchr(".,;:!?'*_~|)]}", s.p[to - 1], 14))
		return to;
	for (size_t i = from; i < to; i++) {
		uint8_t c = s.p[i];

		round += (c == '(') - (c == ')');
		square += (c == '[') - (c == ']');
		curly += (c == '{') - (c == '}');
	}
	for (; to > from; to--) {
		uint8_t c = s.p[to - 1];

		switch (c) {
		case '.':
		case ',':
		case ';':
		case ':':
		case '!':
		case '?':
		case '\'':
		case '*':
		case '_':
		case '~':
		case '|':
			continue;
		case ')':
			if (round++ < 0)
				continue;
			break;
		case ']':
			if (square++ < 0)
				continue;
			break;
		case '}':
			if (curly++ < 0)
				continue;
			break;
		}
		break;
	}
	return to;
}

static bool url_byte(uint8_t c)
{
	return c > ' ' && c != '<' && c != '>' && c != '"' && c < 0x7f;
}

/* Does the URL [from, end) go on in the next line? */
static bool cut(const struct textlink_iter *it, size_t from, size_t end)
{
	slice s = it->in, word;
	bool bracket = from > 0 && s.p[from - 1] == '<';
	size_t i = end, lf, line, blanks;
	bool odd = false, number = false;

	while (i < s.len && (s.p[i] == ' ' || s.p[i] == '\t'))
		i++;
	blanks = i - end;
	if (i < s.len && s.p[i] == '\r')
		i++;
	if (i >= s.len || s.p[i] != '\n')
		return false;
	if (blanks && it->delsp && s.p[end] == ' ')
		return true;
	lf = i++;
	/* The quote marks of an answer go on as well. */
	while (i < s.len && (s.p[i] == '>' || s.p[i] == ' ' || s.p[i] == '\t') && i - lf < 16)
		i++;
	for (line = i; i < s.len && url_byte(s.p[i]) && i - line < LOOK_AHEAD; i++) {
		uint8_t c = s.p[i];

		odd |= c == '/' || c == '=' || c == '&' || c == '%' || c == '?' || c == '#' || c == '_';
		number |= ascii_digit(c);
	}
	word = slice_sub(s, line, i);
	if (word.len == 0)
		return false;
	if (bracket)
		return i < s.len && s.p[i] == '>' && blanks == 0;
	if (slice_find(word, SLICE("://"), 0) != SLICE_NPOS || word.p[0] == '-' || word.p[0] == '(' ||
		word.p[0] == '[' || word.p[0] == '*')
		return false;
	if (s.p[lf + 1] == ' ' || s.p[lf + 1] == '\t')
		return false; /* an indented line is a new thought */
	if (odd)
		return true;
	for (line = from; line > 0 && s.p[line - 1] != '\n' && from - line < WRAPPED;)
		line--;
	return number && blanks == 0 && end - line >= WRAPPED;
}

int textlink_next(struct textlink_iter *it, struct textlink *l)
{
	slice s = it->in;

	for (;;) {
		size_t at = find_pair(s, it->pos, ':', '/'), from, end;
		bool unsure = false;

		if (at == s.len) {
			it->pos = s.len;
			return 0;
		}
		it->pos = at + 2;
		if (it->pos == s.len || s.p[it->pos] != '/')
			continue;
		it->pos = at + 3;
		from = scheme_before(s, at);
		if (from == SLICE_NPOS)
			continue;
		end = end_of(it, at + 3, &unsure);
		it->pos = end;
		*l = (struct textlink){.from = from, .to = end};
		if (slice_starts(slice_from(s, end), MARK)) {
			l->opted_out = true;
			l->mark_to = end + MARK.len;
			it->pos = l->mark_to;
		} else {
			l->to = trim(s, at + 3, end);
			/* Punctuation at a line's end means that the URL ended before it. */
			l->cut = unsure || (cut(it, from, end) && (l->to == end || s.p[end - 1] == '_'));
		}
		if (l->to == at + 3)
			continue;
		return 1;
	}
}
