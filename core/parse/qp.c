#include "core/parse/qp.h"

#include "core/base/bytes.h"
#include "core/base/must.h"

#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* Bytes that are taken at a step, and have one word in qp_text. */
#define BLOCK 64
/* What the vector code may write past the end of the decoded text. */
#define SLACK 64

static const int8_t digit[256] = {
#define D(c, v) [c] = (v) + 1
	D('0', 0), D('1', 1), D('2', 2), D('3', 3), D('4', 4), D('5', 5), D('6', 6), D('7', 7), D('8', 8),
	D('9', 9), D('A', 10), D('B', 11), D('C', 12), D('D', 13), D('E', 14), D('F', 15), D('a', 10),
	D('b', 11), D('c', 12), D('d', 13), D('e', 14), D('f', 15)
#undef D
};

/* Length of the sequence at the '=' at i: 3 with *byte >= 0 (=XX); with *byte -1
 * a soft break; 1 with *byte '=' when it is neither. */
static inline size_t sequence(const uint8_t *p, size_t i, size_t n, int *byte)
{
	size_t k = i + 1;

	if (n - i >= 3 && digit[p[i + 1]] && digit[p[i + 2]]) {
		*byte = (digit[p[i + 1]] - 1) << 4 | (digit[p[i + 2]] - 1);
		return 3;
	}
	while (k < n && (p[k] == ' ' || p[k] == '\t'))
		k++;
	*byte = -1;
	if (k == n)
		return k - i;
	if (p[k] == '\n')
		return k + 1 - i;
	if (p[k] == '\r' && n - k >= 2 && p[k + 1] == '\n')
		return k + 2 - i;
	*byte = '=';
	return 1;
}

struct decode {
	const uint8_t *p;
	size_t n;
	size_t i;   /* all before is decoded */
	uint8_t *q; /* where the next decoded byte goes */
	uint64_t *starts;
};

/* The bits [0, n), n up to 64. */
static inline uint64_t low_bits(size_t n)
{
	return n < BLOCK ? ((uint64_t)1 << n) - 1 : ~(uint64_t)0;
}

/* Decode what begins in the block at `at`. equals: where in it '=' stands. wide:
 * 32 bytes more than the block may be read. */
static inline __attribute__((always_inline)) void block(
	struct decode *d, size_t at, uint64_t equals, uint64_t *starts, bool wide)
{
	const uint8_t *p = d->p;
	size_t end = d->n - at < BLOCK ? d->n : at + BLOCK, i = d->i;
	uint8_t *q = d->q;
	uint64_t begin;

	*starts = 0;
	if (i >= end)
		return;
	begin = low_bits(end - at) & ~low_bits(i - at);
	for (equals &= begin;;) {
		size_t stop = equals ? at + (size_t)__builtin_ctzll(equals) : end, run = stop - i;
		int byte;

		if (wide) {
			memcpy(q, p + i, 32);
			if (run > 32)
				memcpy(q + 32, p + i + 32, 32);
		} else if (run) {
			memcpy(q, p + i, run);
		}
		q += run;
		i = stop;
		if (stop == end)
			break;
		i += sequence(p, i, d->n, &byte);
		if (byte >= 0)
			*q++ = (uint8_t)byte;
		/* Of the sequence's bytes only the first may begin a decoded one. */
		begin &= ~(low_bits(i - at) & ~low_bits(stop - at + (byte >= 0)));
		equals &= begin & ~low_bits(i - at);
		if (i >= end)
			break;
	}
	*starts = begin;
	d->i = i;
	d->q = q;
}

/* Where the eight bytes of v are '=', a bit for each. */
static inline uint64_t equals_8(uint64_t v)
{
	const uint64_t low = 0x7f7f7f7f7f7f7f7fu;

	v ^= 0x3d3d3d3d3d3d3d3du;
	v = ~(((v & low) + low) | v | low); /* the high bit of each byte that was zero */
	return (v >> 7) * 0x0102040810204080u >> 56;
}

static size_t blocks_portable(struct decode *d, size_t at, uint64_t *starts, uint32_t *before, uint8_t *to)
{
	for (; at + BLOCK <= d->n; at += BLOCK) {
		uint64_t equals = 0;

		for (unsigned k = 0; k < BLOCK; k += 8)
			equals |= equals_8(get_le64(d->p + at + k)) << k;
		before[at / BLOCK] = (uint32_t)(d->q - to);
		block(d, at, equals, &starts[at / BLOCK], false);
	}
	return at;
}

#ifdef __x86_64__
CPU_TARGET_AVX2 static size_t blocks_avx2(
	struct decode *d, size_t at, uint64_t *starts, uint32_t *before, uint8_t *to)
{
	const __m256i equal = _mm256_set1_epi8('=');

	for (; at + BLOCK + 32 <= d->n; at += BLOCK) {
		__m256i a = _mm256_loadu_si256((const __m256i *)(d->p + at));
		__m256i b = _mm256_loadu_si256((const __m256i *)(d->p + at + 32));
		uint64_t equals = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, equal));

		equals |= (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, equal)) << 32;
		before[at / BLOCK] = (uint32_t)(d->q - to);
		block(d, at, equals, &starts[at / BLOCK], true);
	}
	return at;
}

/* What a byte is as a digit; NO_DIGIT: none. */
#define NO_DIGIT 0x80
/* By the low seven bits: 0x30.. '0', 0x41.. 'A', 0x61.. 'a'. */
static const uint8_t digit_value[128] __attribute__((aligned(64))) = {[0 ... 0x2f] = NO_DIGIT,
	0,
	1,
	2,
	3,
	4,
	5,
	6,
	7,
	8,
	9,
	[0x3a ... 0x40] = NO_DIGIT,
	10,
	11,
	12,
	13,
	14,
	15,
	[0x47 ... 0x60] = NO_DIGIT,
	10,
	11,
	12,
	13,
	14,
	15,
	[0x67 ... 0x7f] = NO_DIGIT};

/* Every sequence of the block at once: its byte goes where its '=' stands, and
 * what is not the first byte of anything is pressed out. A block with an '=' that
 * is neither =XX nor a bare soft break is left to block(). inside: only blocks
 * behind which two more bytes stand. */
CPU_TARGET_AVX512 static inline __attribute__((always_inline)) size_t blocks_512(
	struct decode *d, size_t at, uint64_t *starts, uint32_t *before, uint8_t *to, bool inside)
{
	const uint8_t *p = d->p;
	uint8_t *q = d->q;
	const __m512i values_low = _mm512_load_si512(digit_value),
		      values_high = _mm512_load_si512(digit_value + 64);
	__m512i equal = _mm512_set1_epi8('='), cr = _mm512_set1_epi8('\r'), newline = _mm512_set1_epi8('\n'),
		high_half = _mm512_set1_epi8((char)0xf0);
	uint64_t gone = d->i > at ? low_bits(d->i - at)
				  : 0; /* of the block's bytes: end of a sequence that began before */

	CPU_KEEP(equal);
	CPU_KEEP(cr);
	CPU_KEEP(newline);
	CPU_KEEP(high_half);
	for (; inside ? at + BLOCK + 2 <= d->n : at < d->n; at += BLOCK) {
		/* Beyond the end are zeros, which mean nothing in any place. */
		size_t left = inside ? BLOCK + 2 : d->n - at;
		__m512i v0, v1, v2, x1, x2;
		uint64_t equals, lf, crlf, hex, three, keep;

		if (inside) {
			v0 = _mm512_loadu_si512(p + at);
			v1 = _mm512_loadu_si512(p + at + 1);
			v2 = _mm512_loadu_si512(p + at + 2);
		} else {
			v0 = _mm512_maskz_loadu_epi8(low_bits(left), p + at);
			v1 = _mm512_maskz_loadu_epi8(low_bits(left - 1), p + at + 1);
			v2 = _mm512_maskz_loadu_epi8(low_bits(left > 2 ? left - 2 : 0), p + at + 2);
		}
		equals = _mm512_cmpeq_epi8_mask(v0, equal);
		lf = _mm512_mask_cmpeq_epi8_mask(equals, v1, newline);
		crlf = _mm512_mask_cmpeq_epi8_mask(_mm512_mask_cmpeq_epi8_mask(equals, v1, cr), v2, newline);
		x1 = _mm512_permutex2var_epi8(values_low, v1, values_high);
		x2 = _mm512_permutex2var_epi8(values_low, v2, values_high);
		hex = equals &
		      ~_mm512_movepi8_mask(_mm512_or_si512(_mm512_or_si512(x1, v1), _mm512_or_si512(x2, v2)));
		three = hex | crlf;
		before[at / BLOCK] = (uint32_t)(q - to);
		if (__builtin_expect((equals & ~(three | lf)) != 0 || d->i >= at + BLOCK, 0)) {
			size_t i = at + (size_t)__builtin_popcountll(gone);

			/* Blanks behind '=' may have led further. */
			d->i = d->i > i ? d->i : i;
			d->q = q;
			block(d, at, equals, &starts[at / BLOCK], false);
			q = d->q;
			gone = d->i > at + BLOCK ? low_bits(d->i - at - BLOCK) : 0;
			continue;
		}
		keep = low_bits(left) & ~(gone | three << 1 | three << 2 | crlf | lf | lf << 1);
		gone = three >> 62 | three >> 63 | lf >> 63;
		/* shifted within pairs of bytes; what comes over from the neighbour is masked off */
		x1 = _mm512_and_si512(_mm512_slli_epi16(x1, 4), high_half);
		v0 = _mm512_mask_mov_epi8(v0, hex, _mm512_or_si512(x1, x2));
		_mm512_storeu_si512(q, _mm512_maskz_compress_epi8(keep, v0));
		starts[at / BLOCK] = keep;
		q += __builtin_popcountll(keep);
	}
	d->q = q;
	d->i = d->i >= at + BLOCK ? d->i : at + (size_t)__builtin_popcountll(gone);
	return at;
}

CPU_TARGET_AVX512 static size_t blocks_avx512(
	struct decode *d, size_t at, uint64_t *starts, uint32_t *before, uint8_t *to)
{
	at = blocks_512(d, at, starts, before, to, true);
	return blocks_512(d, at, starts, before, to, false);
}
#endif

/* The way for a path, from the block at `at` on; where it stops. */
static size_t blocks(
	enum cpu_path path, struct decode *d, size_t at, uint64_t *starts, uint32_t *before, uint8_t *to)
{
#ifdef __x86_64__
	if (path == CPU_AVX512)
		return blocks_avx512(d, at, starts, before, to);
	if (path == CPU_AVX2)
		return blocks_avx2(d, at, starts, before, to);
#endif
	(void)path;
	return blocks_portable(d, at, starts, before, to);
}

void qp_decode_by(enum cpu_path path, struct arena *a, slice enc, struct qp_text *out)
{
	size_t n = enc.len, count = n / BLOCK + 1;
	uint8_t *to = arena_alloc(a, n + SLACK);
	uint64_t *starts = arena_alloc(a, count * sizeof *starts);
	uint32_t *before = arena_alloc(a, count * sizeof *before);
	struct decode d = {.p = enc.p, .n = n, .q = to};
	uint64_t equals = 0;
	size_t at = 0;

	must(n < UINT32_MAX);
	at = blocks(path, &d, at, starts, before, to);
	at = blocks_portable(&d, at, starts, before, to);
	/* The last bytes; where nothing is left, a word for the end. */
	if (at <= n) {
		for (size_t i = at; i < n; i++)
			equals |= (uint64_t)(enc.p[i] == '=') << (i - at);
		before[at / BLOCK] = (uint32_t)(d.q - to);
		block(&d, at, equals, &starts[at / BLOCK], false);
	}
	*out = (struct qp_text){
		.enc = enc, .dec = slice_of(to, (size_t)(d.q - to)), .starts = starts, .before = before};
}

void qp_decode(struct arena *a, slice enc, struct qp_text *out)
{
	qp_decode_by(cpu_best(), a, enc, out);
}

#ifdef __x86_64__
CPU_TARGET_AVX2 static unsigned bit_bmi2(uint64_t w, unsigned n)
{
	return (unsigned)__builtin_ctzll(_pdep_u64((uint64_t)1 << n, w));
}
#endif

/* Which bit of w is its n-th that is set, from 0. */
static unsigned bit_of(uint64_t w, unsigned n)
{
#ifdef __x86_64__
	if (cpu_has(CPU_AVX2))
		return bit_bmi2(w, n);
#endif
	for (; n > 0; n--)
		w &= w - 1;
	return (unsigned)__builtin_ctzll(w);
}

size_t qp_place(const struct qp_text *t, size_t d)
{
	size_t at = 0, step = t->enc.len / BLOCK + 1;

	if (d >= t->dec.len)
		return t->enc.len;
	/* The last block before which no more than d begin. */
	while (step > 1) {
		size_t half = step / 2;

		at += t->before[at + half] <= d ? half : 0;
		step -= half;
	}
	return at * BLOCK + bit_of(t->starts[at], (unsigned)(d - t->before[at]));
}

size_t qp_decoded(const struct qp_text *t, size_t i)
{
	size_t at = i / BLOCK;

	if (i >= t->enc.len)
		return t->dec.len;
	return t->before[at] + (size_t)__builtin_popcountll(t->starts[at] & low_bits(i % BLOCK));
}

size_t qp_place_after(const struct qp_text *t, size_t d)
{
	size_t i;
	int byte;

	if (d == 0)
		return 0;
	i = qp_place(t, d - 1);
	if (i == t->enc.len)
		return i;
	return i + (t->enc.p[i] == '=' ? sequence(t->enc.p, i, t->enc.len, &byte) : 1);
}

static uint8_t *put_break(struct qp_writer *w, uint8_t *to)
{
	*to++ = '=';
	memcpy(to, w->line_end.p, w->line_end.len);
	w->column = 0;
	return to + w->line_end.len;
}

static uint8_t *put_hex(struct qp_writer *w, uint8_t *to, uint8_t c)
{
	static const char hex[] = "0123456789ABCDEF";

	/* One column stays free for the '=' of a soft break. */
	if (w->column + 3 > QP_MAX_LINE - 1)
		to = put_break(w, to);
	*to++ = '=';
	*to++ = (uint8_t)hex[c >> 4];
	*to++ = (uint8_t)hex[c & 15];
	w->column += 3;
	return to;
}

/* Bytes that stand for themselves anywhere. */
static const bool plain[256] = {['!' ... '<'] = true, ['>' ... '~'] = true};

/* Copy as many of the first n as stand for themselves; how many. */
static inline size_t plain_copy(uint8_t *to, const uint8_t *p, size_t n)
{
	size_t i = 0;

#ifdef __SSE2__
	for (; n - i >= 16; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(p + i));
		/* Above 0x7e are 0x7f and, as signed bytes are compared, what is negative. */
		__m128i odd = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8('!')),
			_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)),
				_mm_cmpeq_epi8(v, _mm_set1_epi8('='))));
		unsigned hit = (unsigned)_mm_movemask_epi8(odd);

		_mm_storeu_si128((__m128i *)(to + i), v);
		if (hit)
			return i + (unsigned)__builtin_ctz(hit);
	}
#endif
	for (; i < n && plain[p[i]]; i++)
		to[i] = p[i];
	return i;
}

/* The most that n bytes can become: all as =XX, 24 of them on a line. */
static uint8_t *room_for(struct qp_writer *w, size_t n)
{
	return buf_room(w->out, n * 3 + (n / 24 + 2) * (1 + w->line_end.len));
}

void qp_break(struct qp_writer *w)
{
	uint8_t *to = room_for(w, 0);

	if (to)
		buf_grew(w->out, (size_t)(put_break(w, to) - to));
}

void qp_put_hex(struct qp_writer *w, uint8_t c)
{
	uint8_t *to = room_for(w, 1);

	if (to)
		buf_grew(w->out, (size_t)(put_hex(w, to, c) - to));
}

void qp_put(struct qp_writer *w, slice bytes)
{
	uint8_t *start = room_for(w, bytes.len), *to = start;
	size_t i = 0;

	if (!to)
		return;
	while (i < bytes.len) {
		size_t room = w->column < QP_MAX_LINE - 1 ? QP_MAX_LINE - 1 - w->column : 0;
		size_t left = bytes.len - i, run = plain_copy(to, bytes.p + i, left < room ? left : room);

		to += run;
		w->column += run;
		i += run;
		if (i == bytes.len)
			break;
		if (run == room) {
			to = put_break(w, to);
		} else if (bytes.p[i] == ' ' && i + 1 < bytes.len) {
			/* A blank may stand for itself where the line goes on behind it. */
			*to++ = ' ';
			w->column++;
			i++;
		} else {
			to = put_hex(w, to, bytes.p[i++]);
		}
	}
	buf_grew(w->out, (size_t)(to - start));
}
