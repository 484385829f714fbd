#include "core/parse/charset.h"

#include "core/parse/charset_tables.h"
/* Made by the build: charset_single, charset_double; 0: not a character. */
#include <charset_tables.inc>

#include <string.h>

#define ESC 0x1b

#define SINGLE(name) (CHARSET_TABLES + CHARSET_SINGLE_##name)
#define DOUBLE(name) (CHARSET_TABLES + CHARSET_SINGLES + CHARSET_DOUBLE_##name)
/* The lead and trail bytes of JIS X 0208 with the high bits set. */
#define EUC_JP (CHARSET_TABLES + CHARSET_SINGLES + CHARSET_DOUBLES)

/* Labels as they are compared: letters and digits only, in lower case. Where a
 * browser takes a label for a larger charset, so is it here. */
static int table_of(slice label)
{
	static const struct {
		const char *name;
		int c;
	} known[] = {
		{"iso88592", SINGLE(ISO8859_2)},
		{"latin2", SINGLE(ISO8859_2)},
		{"iso88593", SINGLE(ISO8859_3)},
		{"iso88594", SINGLE(ISO8859_4)},
		{"iso88595", SINGLE(ISO8859_5)},
		{"iso88596", SINGLE(ISO8859_6)},
		{"iso88597", SINGLE(ISO8859_7)},
		{"iso88598", SINGLE(ISO8859_8)},
		{"iso88598i", SINGLE(ISO8859_8)},
		{"iso88599", SINGLE(CP1254)},
		{"latin5", SINGLE(CP1254)},
		{"iso885910", SINGLE(ISO8859_10)},
		{"iso885911", SINGLE(CP874)},
		{"tis620", SINGLE(CP874)},
		{"windows874", SINGLE(CP874)},
		{"cp874", SINGLE(CP874)},
		{"iso885913", SINGLE(ISO8859_13)},
		{"iso885914", SINGLE(ISO8859_14)},
		{"iso885915", SINGLE(ISO8859_15)},
		{"latin9", SINGLE(ISO8859_15)},
		{"iso885916", SINGLE(ISO8859_16)},
		{"windows1250", SINGLE(CP1250)},
		{"windows1251", SINGLE(CP1251)},
		{"windows1253", SINGLE(CP1253)},
		{"windows1254", SINGLE(CP1254)},
		{"windows1255", SINGLE(CP1255)},
		{"windows1256", SINGLE(CP1256)},
		{"windows1257", SINGLE(CP1257)},
		{"windows1258", SINGLE(CP1258)},
		{"cp1250", SINGLE(CP1250)},
		{"cp1251", SINGLE(CP1251)},
		{"cp1253", SINGLE(CP1253)},
		{"cp1254", SINGLE(CP1254)},
		{"cp1255", SINGLE(CP1255)},
		{"cp1256", SINGLE(CP1256)},
		{"cp1257", SINGLE(CP1257)},
		{"cp1258", SINGLE(CP1258)},
		{"cp437", SINGLE(CP437)},
		{"ibm437", SINGLE(CP437)},
		{"cp850", SINGLE(CP850)},
		{"ibm850", SINGLE(CP850)},
		{"cp852", SINGLE(CP852)},
		{"ibm852", SINGLE(CP852)},
		{"cp866", SINGLE(CP866)},
		{"ibm866", SINGLE(CP866)},
		{"koi8r", SINGLE(KOI8_R)},
		{"koi8u", SINGLE(KOI8_U)},
		{"macintosh", SINGLE(MACINTOSH)},
		{"gb2312", DOUBLE(GB18030)},
		{"gb231280", DOUBLE(GB18030)},
		{"gbk", DOUBLE(GB18030)},
		{"xgbk", DOUBLE(GB18030)},
		{"gb18030", DOUBLE(GB18030)},
		{"cp936", DOUBLE(GB18030)},
		{"euccn", DOUBLE(GB18030)},
		{"big5", DOUBLE(BIG5)},
		{"cp950", DOUBLE(BIG5)},
		{"euckr", DOUBLE(EUC_KR)},
		{"ksc56011987", DOUBLE(EUC_KR)},
		{"ksc56011989", DOUBLE(EUC_KR)},
		{"ksc5601", DOUBLE(EUC_KR)},
		{"cp949", DOUBLE(EUC_KR)},
		{"windows949", DOUBLE(EUC_KR)},
		{"shiftjis", DOUBLE(SHIFT_JIS)},
		{"sjis", DOUBLE(SHIFT_JIS)},
		{"xsjis", DOUBLE(SHIFT_JIS)},
		{"cp932", DOUBLE(SHIFT_JIS)},
		{"windows31j", DOUBLE(SHIFT_JIS)},
		{"eucjp", EUC_JP},
		{"xeucjp", EUC_JP},
	};
	uint8_t plain[16];
	size_t n = 0;

	for (size_t i = 0; i < label.len; i++) {
		if (!ascii_alnum(label.p[i]))
			continue;
		if (n == sizeof plain)
			return -1;
		plain[n++] = ascii_lower(label.p[i]);
	}
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (slice_eq(slice_of(plain, n), slice_str(known[i].name)))
			return known[i].c;
	return -1;
}

enum charset charset_of(slice label)
{
	static const struct {
		slice name;
		enum charset c;
		bool prefix;
	} known[] = {
		{SLICE("utf-8"), CHARSET_UTF8, false}, {SLICE("us-ascii"), CHARSET_ASCII, false},
		{SLICE("iso-8859-1"), CHARSET_LATIN1, false}, {SLICE("windows-1252"), CHARSET_LATIN1, false},
		{SLICE("utf8"), CHARSET_UTF8, false}, {SLICE("ascii"), CHARSET_ASCII, false},
		{SLICE("ansi_x3.4-1968"), CHARSET_ASCII, false}, {SLICE("iso-ir-6"), CHARSET_ASCII, false},
		{SLICE("latin1"), CHARSET_LATIN1, false}, {SLICE("iso8859-1"), CHARSET_LATIN1, false},
		{SLICE("iso_8859-1"), CHARSET_LATIN1, false}, {SLICE("cp1252"), CHARSET_LATIN1, false},
		{SLICE("iso-2022-jp"), CHARSET_ISO2022JP, true}, /* -1, -2, -3, -2004, -ms, -ext */
		{SLICE("csiso2022jp"), CHARSET_ISO2022JP, false},
		{SLICE("iso-8859-"), CHARSET_SUPERSET, true}, {SLICE("iso8859-"), CHARSET_SUPERSET, true},
		{SLICE("iso_8859-"), CHARSET_SUPERSET, true}, {SLICE("latin"), CHARSET_SUPERSET, true},
		{SLICE("windows-125"), CHARSET_SUPERSET, true},
		{SLICE("windows-874"), CHARSET_SUPERSET, false},
		{SLICE("windows-949"), CHARSET_SUPERSET, false},
		{SLICE("windows-31j"), CHARSET_SUPERSET, false}, {SLICE("cp125"), CHARSET_SUPERSET, true},
		{SLICE("cp437"), CHARSET_SUPERSET, false}, {SLICE("cp85"), CHARSET_SUPERSET, true},
		{SLICE("cp86"), CHARSET_SUPERSET, true}, {SLICE("cp874"), CHARSET_SUPERSET, false},
		{SLICE("cp932"), CHARSET_SUPERSET, false}, {SLICE("cp936"), CHARSET_SUPERSET, false},
		{SLICE("cp949"), CHARSET_SUPERSET, false}, {SLICE("cp950"), CHARSET_SUPERSET, false},
		{SLICE("ibm437"), CHARSET_SUPERSET, false}, {SLICE("ibm85"), CHARSET_SUPERSET, true},
		{SLICE("ibm86"), CHARSET_SUPERSET, true}, {SLICE("koi8-"), CHARSET_SUPERSET, true},
		{SLICE("gb2312"), CHARSET_SUPERSET, false}, {SLICE("gb_2312-80"), CHARSET_SUPERSET, false},
		{SLICE("gbk"), CHARSET_SUPERSET, false}, {SLICE("gb18030"), CHARSET_SUPERSET, false},
		{SLICE("x-gbk"), CHARSET_SUPERSET, false}, {SLICE("big5"), CHARSET_SUPERSET, true},
		{SLICE("euc-"), CHARSET_SUPERSET, true}, {SLICE("x-euc-"), CHARSET_SUPERSET, true},
		{SLICE("ks_c_5601-"), CHARSET_SUPERSET, true}, {SLICE("ksc5601"), CHARSET_SUPERSET, false},
		{SLICE("shift_jis"), CHARSET_SUPERSET, false}, {SLICE("shift-jis"), CHARSET_SUPERSET, false},
		{SLICE("sjis"), CHARSET_SUPERSET, false}, {SLICE("x-sjis"), CHARSET_SUPERSET, false},
		{SLICE("macintosh"), CHARSET_SUPERSET, false}, {SLICE("x-mac-"), CHARSET_SUPERSET, true},
		{SLICE("tis-620"), CHARSET_SUPERSET, false},
		{SLICE("unknown-8bit"), CHARSET_SUPERSET, false}, /* RFC 1428: some superset */
	};

	if (label.len == 0)
		return CHARSET_ASCII;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		int table;

		if (!(known[i].prefix ? slice_istarts(label, known[i].name)
				      : slice_ieq(label, known[i].name)))
			continue;
		table = known[i].c == CHARSET_SUPERSET ? table_of(label) : -1;
		return table < 0 ? known[i].c : (enum charset)table;
	}
	return CHARSET_UNKNOWN;
}

/* What an escape at the start of s selects: its length, 0 if it is none that
 * RFC 1468, 1554 and 2237 know; *ascii: single-byte text with ASCII's markup. */
static size_t escape(slice s, bool *ascii)
{
	uint8_t b = s.len > 1 ? s.p[1] : 0, c = s.len > 2 ? s.p[2] : 0;

	*ascii = false;
	if (b == '(') {
		*ascii = c == 'B' || c == 'J';
		return *ascii || c == 'I' || c == 'H' ? 3 : 0;
	}
	if (b == '$') {
		if (c == 'B' || c == '@' || c == 'A')
			return 3;
		if (c == '(' && s.len > 3)
			return 4;
	}
	return 0;
}

static slice mask_iso2022jp(struct arena *a, slice text)
{
	uint8_t *p = arena_alloc(a, text.len);
	bool ascii = true;
	size_t i = 0;

	while (i < text.len) {
		if (text.p[i] == ESC) {
			bool next;
			size_t n = escape(slice_from(text, i), &next);

			if (n) {
				memset(p + i, 0xff, n);
				ascii = next;
				i += n;
				continue;
			}
		}
		/* Line ends are the same in all states; editors count on them. */
		p[i] = ascii || text.p[i] == '\r' || text.p[i] == '\n' ? text.p[i] : 0xff;
		i++;
	}
	return slice_of(p, text.len);
}

slice charset_mask(struct arena *a, enum charset c, slice text)
{
	if (c != CHARSET_ISO2022JP || slice_chr(text, ESC, 0) == SLICE_NPOS)
		return text;
	return mask_iso2022jp(a, text);
}

/* An escape that was begun at the end of s takes in what is put behind it. */
static bool ends_in_escape(slice s)
{
	static const slice begun[] = {SLICE("\x1b"), SLICE("\x1b$"), SLICE("\x1b("), SLICE("\x1b$(")};

	for (size_t i = 0; i < sizeof begun / sizeof *begun; i++)
		if (slice_ends(s, begun[i]))
			return true;
	return false;
}

bool charset_ascii_at(enum charset c, slice text, size_t at)
{
	bool ascii = true;
	size_t i = 0;

	if (c == CHARSET_ISO2022JP && ends_in_escape(slice_sub(text, 0, at)))
		return false;
	while (c == CHARSET_ISO2022JP && i < at && i < text.len) {
		bool next;
		size_t n = text.p[i] == ESC ? escape(slice_from(text, i), &next) : 0;

		if (n)
			ascii = next;
		i += n ? n : 1;
	}
	return ascii;
}

bool charset_is_ascii(slice s)
{
	uint8_t all = 0;

	for (size_t i = 0; i < s.len; i++)
		all |= s.p[i];
	return all < 0x80;
}

bool charset_is_utf8(slice s)
{
	size_t i = 0;

	while (i < s.len) {
		uint8_t c = s.p[i];
		size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : 3;

		if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || s.len - i <= more)
			return false;
		for (size_t k = 1; k <= more; k++)
			if ((s.p[i + k] & 0xc0) != 0x80)
				return false;
		/* overlong forms, surrogates, beyond U+10FFFF */
		if ((c == 0xe0 && s.p[i + 1] < 0xa0) || (c == 0xed && s.p[i + 1] > 0x9f) ||
			(c == 0xf0 && s.p[i + 1] < 0x90) || (c == 0xf4 && s.p[i + 1] > 0x8f))
			return false;
		i += more + 1;
	}
	return true;
}

static size_t put_utf8(uint8_t *p, unsigned c)
{
	size_t n = 0;

	if (c < 0x80) {
		p[n++] = (uint8_t)c;
	} else if (c < 0x800) {
		p[n++] = (uint8_t)(0xc0 | c >> 6);
		p[n++] = (uint8_t)(0x80 | (c & 0x3f));
	} else {
		p[n++] = (uint8_t)(0xe0 | c >> 12);
		p[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		p[n++] = (uint8_t)(0x80 | (c & 0x3f));
	}
	return n;
}

static slice latin1_to_utf8(struct arena *a, slice s)
{
	/* windows-1252 0x80..0x9f, as the WHATWG encoding standard has them */
	static const uint16_t high[32] = {0x20ac, 0x81, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
		0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d, 0x017d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c,
		0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d, 0x017e, 0x0178};
	uint8_t *p = arena_alloc(a, s.len * 3);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned c = s.p[i] >= 0x80 && s.p[i] < 0xa0 ? high[s.p[i] - 0x80] : s.p[i];

		n += put_utf8(p + n, c);
	}
	return slice_of(p, n);
}

static unsigned double_at(int table, unsigned a, unsigned b)
{
	if (a < CHARSET_FIRST || a > 0xfe || b < CHARSET_SECOND || b > 0xfe)
		return 0;
	return charset_double[table][a - CHARSET_FIRST][b - CHARSET_SECOND];
}

/* JIS X 0208, both bytes 0x21 to 0x7e, by way of Shift_JIS. */
static unsigned jis_at(unsigned a, unsigned b)
{
	if (a < 0x21 || a > 0x7e || b < 0x21 || b > 0x7e)
		return 0;
	b += a % 2 ? (b < 0x60 ? 0x1f : 0x20) : 0x7e;
	a = (a - 1) / 2 + (a < 0x5f ? 0x71 : 0xb1);
	return double_at(CHARSET_DOUBLE_SHIFT_JIS, a, b);
}

/* The character at i and its length; 0: none that is known. */
static unsigned character(int c, slice s, size_t i, size_t *n)
{
	unsigned a = s.p[i], b = i + 1 < s.len ? s.p[i + 1] : 0;

	*n = 1;
	if (a < 0x80)
		return a;
	if (c < CHARSET_TABLES + CHARSET_SINGLES)
		return charset_single[c - CHARSET_TABLES][a - 0x80];
	if (c == DOUBLE(SHIFT_JIS) && a >= 0xa1 && a <= 0xdf)
		return 0xff61 + (a - 0xa1);
	*n = 2;
	if (c != EUC_JP)
		return double_at(c - CHARSET_TABLES - CHARSET_SINGLES, a, b);
	if (a == 0x8e)
		return b >= 0xa1 && b <= 0xdf ? 0xff61 + (b - 0xa1) : 0;
	return a >= 0x80 && b >= 0x80 ? jis_at(a - 0x80, b - 0x80) : 0;
}

static bool table_to_utf8(struct arena *a, int c, slice s, slice *out)
{
	uint8_t *p = arena_alloc(a, s.len * 3);
	size_t len = 0, n;

	for (size_t i = 0; i < s.len; i += n) {
		unsigned u = character(c, s, i, &n);

		if (u == 0 && s.p[i])
			return false;
		len += put_utf8(p + len, u);
	}
	*out = slice_of(p, len);
	return true;
}

static bool iso2022jp_to_utf8(struct arena *a, slice s, slice *out)
{
	uint8_t *p = arena_alloc(a, s.len * 3);
	bool ascii = true;
	size_t len = 0, n;

	for (size_t i = 0; i < s.len; i += n) {
		unsigned u = s.p[i];

		n = 1;
		if (u == ESC) {
			n = escape(slice_from(s, i), &ascii);
			/* Of all that there is only JIS X 0208 has a table. */
			if (n != 3 || (!ascii && (s.p[i + 1] != '$' || s.p[i + 2] == 'A')))
				return false;
			continue;
		}
		if (!ascii && u > ' ') {
			n = 2;
			u = i + 1 < s.len ? jis_at(u, s.p[i + 1]) : 0;
			if (u == 0)
				return false;
		}
		if (ascii && u >= 0x80)
			return false;
		len += put_utf8(p + len, u);
	}
	*out = slice_of(p, len);
	return true;
}

bool charset_to_utf8(struct arena *a, enum charset c, slice s, slice *out)
{
	*out = s;
	if (c == CHARSET_ISO2022JP)
		return iso2022jp_to_utf8(a, s, out);
	if (charset_is_ascii(s))
		return true;
	if (c >= CHARSET_TABLES)
		return table_to_utf8(a, (int)c, s, out);
	switch (c) {
	case CHARSET_LATIN1:
		*out = latin1_to_utf8(a, s);
		return true;
	case CHARSET_UTF8:
	case CHARSET_ASCII:
		/* Unlabelled text is UTF-8 nowadays where it is anything. */
		return charset_is_utf8(s);
	default:
		return false;
	}
}
