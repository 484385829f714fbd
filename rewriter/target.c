#include "rewriter/target.h"

#include "core/base/bytes.h"
#include "core/base/cpu.h"
#include "core/base/find.h"
#include "core/parse/html.h"
#include "core/parse/url.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* What a token adds to its destination before it becomes text, at most. */
#define TOKEN_OVERHEAD 64

const char *left_word(enum left l)
{
	static const char *const words[] = {[LEFT_NOT] = "not",
#define X(name, word) [LEFT_##name] = word,
		LEFT_LIST(X)
#undef X
	};

	return (unsigned)l < sizeof words / sizeof *words ? words[l] : "unknown";
}

void targets_start(struct targets *t, struct arena *a, const struct policy *p)
{
	size_t fixed = p->track_url.len + 3;

	*t = (struct targets){.a = a, .policy = p};
	if (fixed < MESSAGE_MAX_TRACKED_URL)
		t->max_url = (MESSAGE_MAX_TRACKED_URL - fixed) * 3 / 4;
	t->max_url = t->max_url > TOKEN_OVERHEAD ? t->max_url - TOKEN_OVERHEAD : 0;
	if (t->max_url > TOKEN_MAX_URL)
		t->max_url = TOKEN_MAX_URL;
}

static uint32_t hash_of(slice s)
{
	uint64_t h = s.len * 0x9e3779b97f4a7c15u;
	uint64_t g = h;
	size_t i = 0;

	/* Two chains, since each step waits for the one before. */
	for (; s.len - i >= 16; i += 16) {
		h = (h ^ get_le64(s.p + i)) * 0xff51afd7ed558ccdu, h ^= h >> 29;
		g = (g ^ get_le64(s.p + i + 8)) * 0xc4ceb9fe1a85ec53u, g ^= g >> 29;
	}
	h ^= g << 1;
	for (; s.len - i >= 8; i += 8)
		h = (h ^ get_le64(s.p + i)) * 0xff51afd7ed558ccdu, h ^= h >> 29;
	for (; i < s.len; i++)
		h = (h ^ s.p[i]) * 0xff51afd7ed558ccdu;
	h ^= h >> 32;
	return (uint32_t)h;
}

static void slots_grow(struct targets *t)
{
	size_t n = t->slot_count ? t->slot_count * 2 : 128;

	t->slots = arena_array(t->a, uint32_t, n);
	t->slot_count = n;
	for (size_t i = 0; i < t->count; i++) {
		size_t k = t->list[i].hash & (n - 1);

		while (t->slots[k])
			k = (k + 1) & (n - 1);
		t->slots[k] = (uint32_t)i + 1;
	}
}

size_t target_get(struct targets *t, slice url)
{
	uint32_t h = hash_of(url);
	size_t k;

	if (t->count * 2 >= t->slot_count)
		slots_grow(t);
	for (k = h & (t->slot_count - 1); t->slots[k]; k = (k + 1) & (t->slot_count - 1)) {
		const struct target *have = &t->list[t->slots[k] - 1];

		if (have->hash == h && slice_eq(have->url, url))
			return t->slots[k] - 1;
	}
	if (t->count == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		struct target *more = arena_alloc(t->a, room * sizeof *more);

		if (t->count)
			memcpy(more, t->list, t->count * sizeof *more);
		t->list = more;
		t->room = room;
	}
	t->list[t->count] = (struct target){.url = url, .hash = h, .number = -1};
	t->slots[k] = (uint32_t)++t->count;
	return t->count - 1;
}

/* Bytes that must be decoded, stripped or converted; bytes that may begin a
 * placeholder. */
enum { ODD = 1, REFERENCE = 2, TAG = 4 };
static const uint8_t class[256] = {
	[0x00 ... 0x20] = ODD,
	[0x7f ... 0xff] = ODD,
	['&'] = REFERENCE,
	['{'] = TAG,
	['}'] = TAG,
	['*'] = TAG,
	['|'] = TAG,
	['%'] = TAG,
	['['] = TAG,
	[']'] = TAG,
	['<'] = TAG,
	['$'] = TAG,
	['#'] = TAG,
};

static uint8_t classes_plain(slice s)
{
	uint8_t all = 0;

	for (size_t i = 0; i < s.len; i++)
		all |= class[s.p[i]];
	return all;
}

#if defined(__SSE2__)
/* Where a byte lies in [from, from + n]. */
static inline __m128i in_range(__m128i v, char from, char n)
{
	__m128i x = _mm_sub_epi8(v, _mm_set1_epi8(from));

	return _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(n)), x);
}

static inline __m128i either(__m128i a, __m128i b)
{
	return _mm_or_si128(a, b);
}

static inline __m128i is(__m128i v, char c)
{
	return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

/* As class says, 16 at a time; the last 16 overlap those before. */
static uint8_t classes_16(slice s)
{
	__m128i odd = _mm_setzero_si128(), reference = odd, tag = odd;

	if (s.len < 16)
		return classes_plain(s);
	for (size_t i = 0; i < s.len; i += 16) {
		__m128i v = find_load(s.p + (i + 16 <= s.len ? i : s.len - 16));

		/* signed: 0x80 and up are below zero */
		odd = either(odd, either(_mm_cmplt_epi8(v, _mm_set1_epi8(0x21)), is(v, 0x7f)));
		reference = either(reference, is(v, '&'));
		tag = either(tag, either(in_range(v, '#', 2), in_range(v, '{', 2)));
		tag = either(tag, either(either(is(v, '*'), is(v, '<')), either(is(v, '['), is(v, ']'))));
	}
	return (uint8_t)((_mm_movemask_epi8(odd) ? ODD : 0) | (_mm_movemask_epi8(reference) ? REFERENCE : 0) |
			 (_mm_movemask_epi8(tag) ? TAG : 0));
}
#else
#define classes_16 classes_plain
#endif

#if defined(__x86_64__)
/* The same, 64 at a time; what is above 0x7e is ODD by a comparison of its own. */
CPU_TARGET_AVX512 static uint8_t classes_64(slice s)
{
	const __m512i low = _mm512_loadu_si512(class), high = _mm512_loadu_si512(class + 64);
	__m512i all = _mm512_setzero_si512();
	__mmask64 odd = 0;

	for (size_t i = 0; i < s.len; i += 64) {
		__mmask64 there = s.len - i < 64 ? ((uint64_t)1 << (s.len - i)) - 1 : ~(uint64_t)0;
		__m512i v = _mm512_maskz_loadu_epi8(there, s.p + i);
		__mmask64 above = _mm512_movepi8_mask(v);

		odd |= above;
		all = _mm512_or_si512(all, _mm512_maskz_permutex2var_epi8(there & ~above, low, v, high));
	}
	return (uint8_t)((odd || _mm512_test_epi8_mask(all, _mm512_set1_epi8(ODD)) ? ODD : 0) |
			 (_mm512_test_epi8_mask(all, _mm512_set1_epi8(REFERENCE)) ? REFERENCE : 0) |
			 (_mm512_test_epi8_mask(all, _mm512_set1_epi8(TAG)) ? TAG : 0));
}
#endif

static uint8_t classes(slice s)
{
#if defined(__x86_64__)
	if (cpu_has(CPU_AVX512))
		return classes_64(s);
#endif
	return classes_16(s);
}

/* Placeholders of template engines: something later may fill them in. */
static bool has_merge_tag(slice s)
{
	static const char *const pairs[] = {"{{", "}}", "{%", "*|", "|*", "%%", "[[", "]]", "<%", "${", "#{"};

	for (size_t i = 0; i + 1 < s.len; i++)
		for (size_t k = 0; class[s.p[i]] & TAG && k < sizeof pairs / sizeof *pairs; k++)
			if (s.p[i] == (uint8_t)pairs[k][0] && s.p[i + 1] == (uint8_t)pairs[k][1])
				return true;
	return false;
}

static struct buf fixed_buf(struct arena *a, size_t n)
{
	return (struct buf){.p = arena_alloc(a, n), .room = n, .cap = n};
}

/* The host of a web URL that needs no thought: letters, digits and hyphens, no
 * user, no port, a last label that is no number, nothing in punycode. Empty: look
 * closer. */
static slice easy_host(slice url)
{
	bool http = url.len > 8 && (get_le32(url.p) | 0x20202020) == get_le32((const uint8_t *)"http");
	size_t from = 0, i, label;

	if (http && (url.p[4] | 0x20) == 's' && memcmp(url.p + 5, "://", 3) == 0)
		from = 8;
	else if (http && memcmp(url.p + 4, "://", 3) == 0)
		from = 7;
	else
		return SLICE_NONE;
	i = label = from;
	for (; i < url.len; i++) {
		uint8_t c = url.p[i];

		if (c == '.' && i > label)
			label = i + 1;
		else if (!ascii_alnum(c) && (c != '-' || (i + 1 < url.len && url.p[i + 1] == '-')))
			break;
	}
	if (i < url.len && url.p[i] != '/' && url.p[i] != '?')
		return SLICE_NONE;
	if (label == i || !ascii_alpha(url.p[label]) || i - from > 63)
		return SLICE_NONE;
	return slice_sub(url, from, i);
}

/* An attribute value without references: most have none but "&amp;". */
static slice unescaped(struct arena *a, slice raw)
{
	struct buf b = fixed_buf(a, raw.len * 3 + 16);
	size_t from = 0;

	for (;;) {
		size_t at = find_byte(raw, from, '&');

		if (at == raw.len)
			break;
		if (!slice_starts(slice_from(raw, at), SLICE("&amp;"))) {
			b.len = 0;
			html_attr_decode(raw, &b);
			return buf_slice(&b);
		}
		buf_put(&b, slice_sub(raw, from, at + 1));
		from = at + 5;
	}
	buf_put(&b, slice_from(raw, from));
	return buf_slice(&b);
}

enum left target_judge(struct targets *t, enum charset c, slice raw, bool html, struct verdict *v)
{
	uint8_t all = classes(raw);
	slice u = raw, host;
	struct buf b;

	*v = (struct verdict){.url = raw};
	if (all & ODD || (html && all & REFERENCE)) {
		if (!charset_to_utf8(t->a, c, raw, &u))
			return LEFT_CHARSET;
		if (html && all & REFERENCE) {
			u = unescaped(t->a, u);
			all = classes(u);
		}
		if (all & ODD) {
			b = fixed_buf(t->a, u.len + 16);
			url_strip(u, &b);
			u = buf_slice(&b);
		}
		v->url = u;
	}
	if (u.len == 0)
		return LEFT_EMPTY;
	if (all & TAG && has_merge_tag(u))
		return LEFT_MERGE_TAG;
	if (u.len > 2 && u.p[0] == '/' && u.p[1] == '/') {
		b = fixed_buf(t->a, u.len + 6);
		buf_put(&b, SLICE("https:"));
		buf_put(&b, u);
		u = buf_slice(&b);
	}
	v->url = u;
	host = easy_host(u);
	v->easy = host.len > 0;
	if (!v->easy)
		host = url_host(u);
	if (host.len == 0) {
		slice scheme = url_scheme(u);

		if (scheme.len == 0)
			return LEFT_RELATIVE;
		return slice_ieq(scheme, SLICE("http")) || slice_ieq(scheme, SLICE("https")) ? LEFT_INVALID
											     : LEFT_SCHEME;
	}
	if (u.len > t->max_url)
		return LEFT_TOO_LONG;
	if (slice_ieq(host, t->policy->track_host))
		return LEFT_OURS;
	return LEFT_NOT;
}

/* The last labels of a host, as many as an organisation registers: two, or three
 * below "co.uk" and its like. A list of all public suffixes would be better and
 * is not worth its size here: the answer only decides a default. */
static slice organisation(slice host)
{
	static const slice second[] = {SLICE("co"), SLICE("com"), SLICE("org"), SLICE("net"), SLICE("ac"),
		SLICE("gov"), SLICE("edu"), SLICE("ne"), SLICE("or"), SLICE("gob"), SLICE("gouv"),
		SLICE("go")};
	size_t last = slice_rchr(host, '.'), before;
	slice label;

	if (last == SLICE_NPOS || (host.len && ascii_digit(host.p[host.len - 1])))
		return host;
	before = slice_rchr(slice_sub(host, 0, last), '.');
	label = slice_sub(host, before == SLICE_NPOS ? 0 : before + 1, last);
	if (before != SLICE_NPOS && host.len - last == 3) {
		for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
			if (!slice_ieq(label, second[i]))
				continue;
			before = slice_rchr(slice_sub(host, 0, before), '.');
			break;
		}
	}
	return before == SLICE_NPOS ? host : slice_from(host, before + 1);
}

bool target_shown(const struct targets *t, slice text)
{
	slice host;
	size_t n = 0;

	if (slice_istarts(text, SLICE("www."))) {
		while (n < text.len &&
			(ascii_alnum(text.p[n]) || text.p[n] == '.' || text.p[n] == '-' || text.p[n] >= 0x80))
			n++;
		host = slice_sub(text, 0, n);
	} else if (slice_istarts(text, SLICE("http://")) || slice_istarts(text, SLICE("https://"))) {
		while (n < text.len && !ascii_space(text.p[n]))
			n++;
		host = url_host(slice_sub(text, 0, n));
	} else {
		return false;
	}
	return !slice_ieq(organisation(host), organisation(t->policy->track_host));
}
