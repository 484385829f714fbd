#include "core/parse/b64.h"

#include "core/base/refuse.h"

static const char b64_letters[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char b32_letters[32] = "abcdefghijklmnopqrstuvwxyz234567";

/* Value of each byte, 0xff where it has none. */
#define B64_VALUE(c)                                                                                         \
	((c) >= 'A' && (c) <= 'Z'          ? (c) - 'A'                                                       \
		: (c) >= 'a' && (c) <= 'z' ? (c) - 'a' + 26                                                  \
		: (c) >= '0' && (c) <= '9' ? (c) - '0' + 52                                                  \
		: (c) == '-'               ? 62                                                              \
		: (c) == '_'               ? 63                                                              \
					   : 0xff)
#define B32_VALUE(c)                                                                                         \
	((c) >= 'A' && (c) <= 'Z'          ? (c) - 'A'                                                       \
		: (c) >= 'a' && (c) <= 'z' ? (c) - 'a'                                                       \
		: (c) >= '2' && (c) <= '7' ? (c) - '2' + 26                                                  \
					   : 0xff)
#define FOUR(f, c) f(c), f((c) + 1), f((c) + 2), f((c) + 3)
#define SIXTEEN(f, c) FOUR(f, c), FOUR(f, (c) + 4), FOUR(f, (c) + 8), FOUR(f, (c) + 12)
#define SIXTY_FOUR(f, c) SIXTEEN(f, c), SIXTEEN(f, (c) + 16), SIXTEEN(f, (c) + 32), SIXTEEN(f, (c) + 48)
#define ALL(f) SIXTY_FOUR(f, 0), SIXTY_FOUR(f, 64), SIXTY_FOUR(f, 128), SIXTY_FOUR(f, 192)

static const uint8_t b64_value[256] = {ALL(B64_VALUE)};
static const uint8_t b32_value[256] = {ALL(B32_VALUE)};

void b64url_encode(slice in, struct buf *out)
{
	uint8_t *to = buf_room(out, B64_TEXT(in.len));
	size_t i = 0;
	uint32_t v;

	if (!to)
		return;
	for (; i + 3 <= in.len; i += 3, to += 4) {
		v = (uint32_t)in.p[i] << 16 | (uint32_t)in.p[i + 1] << 8 | in.p[i + 2];
		to[0] = (uint8_t)b64_letters[v >> 18];
		to[1] = (uint8_t)b64_letters[v >> 12 & 63];
		to[2] = (uint8_t)b64_letters[v >> 6 & 63];
		to[3] = (uint8_t)b64_letters[v & 63];
	}
	if (i < in.len) {
		v = (uint32_t)in.p[i] << 16 | (i + 1 < in.len ? (uint32_t)in.p[i + 1] << 8 : 0);
		to[0] = (uint8_t)b64_letters[v >> 18];
		to[1] = (uint8_t)b64_letters[v >> 12 & 63];
		if (i + 1 < in.len)
			to[2] = (uint8_t)b64_letters[v >> 6 & 63];
	}
	buf_grew(out, B64_TEXT(in.len));
}

int b64url_decode(slice text, uint8_t *out, size_t room)
{
	size_t n = B64_BYTES(text.len), i = 0;
	uint32_t bad = 0;

	if (text.len % 4 == 1 || n > room || n > INT32_MAX)
		return -REFUSE_LENGTH;
	for (; i + 4 <= text.len; i += 4) {
		uint32_t a = b64_value[text.p[i]], b = b64_value[text.p[i + 1]];
		uint32_t c = b64_value[text.p[i + 2]], d = b64_value[text.p[i + 3]];
		uint32_t v = a << 18 | b << 12 | c << 6 | d;

		bad |= a | b | c | d;
		*out++ = (uint8_t)(v >> 16);
		*out++ = (uint8_t)(v >> 8);
		*out++ = (uint8_t)v;
	}
	if (i < text.len) {
		uint32_t a = b64_value[text.p[i]], b = b64_value[text.p[i + 1]];
		uint32_t c = i + 2 < text.len ? b64_value[text.p[i + 2]] : 0;

		bad |= a | b | c;
		if (bad < 64 && (i + 2 < text.len ? c & 3 : b & 15))
			return -REFUSE_NOT_CANONICAL;
		*out++ = (uint8_t)(a << 2 | b >> 4);
		if (i + 2 < text.len)
			*out++ = (uint8_t)(b << 4 | c >> 2);
	}
	/* 0xff is the only value with a bit above the sixth */
	return bad < 64 ? (int)n : -REFUSE_ALPHABET;
}

void b32_encode(slice in, struct buf *out)
{
	size_t n = B32_TEXT(in.len);
	uint8_t *to = buf_room(out, n);
	uint32_t v = 0, bits = 0;

	if (!to)
		return;
	for (size_t i = 0; i < in.len; i++) {
		v = v << 8 | in.p[i];
		for (bits += 8; bits >= 5; bits -= 5)
			*to++ = (uint8_t)b32_letters[v >> (bits - 5) & 31];
	}
	if (bits)
		*to = (uint8_t)b32_letters[v << (5 - bits) & 31];
	buf_grew(out, n);
}

int b32_decode(slice text, uint8_t *out, size_t room)
{
	static const uint8_t possible[8] = {1, 0, 1, 0, 1, 1, 0, 1}; /* lengths modulo 8 */
	size_t n = B32_BYTES(text.len);
	uint32_t v = 0, bits = 0, bad = 0;

	if (!possible[text.len % 8] || n > room || n > INT32_MAX)
		return -REFUSE_LENGTH;
	for (size_t i = 0; i < text.len; i++) {
		uint32_t d = b32_value[text.p[i]];

		bad |= d;
		v = v << 5 | (d & 31);
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			*out++ = (uint8_t)(v >> bits);
		}
	}
	if (bad > 31)
		return -REFUSE_ALPHABET;
	return v & ((1u << bits) - 1) ? -REFUSE_NOT_CANONICAL : (int)n;
}
