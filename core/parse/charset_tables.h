/* Which tables from charsets to Unicode there are. deploy/charset_tables.c makes
 * them at build time out of the C library's iconv, so that nothing is loaded at
 * run time; core/parse/charset.c has them.
 */
#ifndef LF_PARSE_CHARSET_TABLES_H
#define LF_PARSE_CHARSET_TABLES_H

/* One byte a character; the upper half of each.
 *  name        iconv's name */
#define CHARSET_SINGLE_LIST(X)                                                                               \
	X(ISO8859_2, "ISO-8859-2")                                                                           \
	X(ISO8859_3, "ISO-8859-3")                                                                           \
	X(ISO8859_4, "ISO-8859-4")                                                                           \
	X(ISO8859_5, "ISO-8859-5")                                                                           \
	X(ISO8859_6, "ISO-8859-6")                                                                           \
	X(ISO8859_7, "ISO-8859-7")                                                                           \
	X(ISO8859_8, "ISO-8859-8")                                                                           \
	X(ISO8859_10, "ISO-8859-10")                                                                         \
	X(ISO8859_13, "ISO-8859-13")                                                                         \
	X(ISO8859_14, "ISO-8859-14")                                                                         \
	X(ISO8859_15, "ISO-8859-15")                                                                         \
	X(ISO8859_16, "ISO-8859-16")                                                                         \
	X(CP1250, "CP1250")                                                                                  \
	X(CP1251, "CP1251")                                                                                  \
	X(CP1253, "CP1253")                                                                                  \
	X(CP1254, "CP1254")                                                                                  \
	X(CP1255, "CP1255")                                                                                  \
	X(CP1256, "CP1256")                                                                                  \
	X(CP1257, "CP1257")                                                                                  \
	X(CP1258, "CP1258")                                                                                  \
	X(CP874, "CP874")                                                                                    \
	X(CP437, "CP437")                                                                                    \
	X(CP850, "CP850")                                                                                    \
	X(CP852, "CP852")                                                                                    \
	X(CP866, "CP866")                                                                                    \
	X(KOI8_R, "KOI8-R")                                                                                  \
	X(KOI8_U, "KOI8-U")                                                                                  \
	X(MACINTOSH, "MACINTOSH")

/* One or two bytes a character: [first - 0x81][second - 0x40]. */
#define CHARSET_DOUBLE_LIST(X)                                                                               \
	X(GB18030, "GB18030")                                                                                \
	X(BIG5, "CP950")                                                                                     \
	X(EUC_KR, "UHC")                                                                                     \
	X(SHIFT_JIS, "CP932")

enum charset_single {
#define X(name, iconv) CHARSET_SINGLE_##name,
	CHARSET_SINGLE_LIST(X)
#undef X
		CHARSET_SINGLES
};
enum charset_double {
#define X(name, iconv) CHARSET_DOUBLE_##name,
	CHARSET_DOUBLE_LIST(X)
#undef X
		CHARSET_DOUBLES
};

#define CHARSET_FIRST 0x81
#define CHARSET_FIRSTS (0xfe - 0x81 + 1)
#define CHARSET_SECOND 0x40
#define CHARSET_SECONDS (0xfe - 0x40 + 1)

#endif
