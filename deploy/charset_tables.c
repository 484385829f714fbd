/* Writes the tables of core/parse/charset_tables.h as C to standard output: what
 * the C library's iconv makes of each one and two bytes. Run by the build. */
#include "core/parse/charset_tables.h"

#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>

/* The one character below U+10000 that these bytes are, or 0. */
static unsigned character(iconv_t cd, const unsigned char *bytes, size_t n)
{
	char in[2] = {(char)bytes[0], n > 1 ? (char)bytes[1] : 0}, *from = in;
	unsigned char out[8];
	char *to = (char *)out;
	size_t left = n, room = sizeof out;

	iconv(cd, NULL, NULL, NULL, NULL);
	if (iconv(cd, &from, &left, &to, &room) == (size_t)-1 || left ||
		iconv(cd, NULL, NULL, &to, &room) != 0)
		return 0;
	return room == sizeof out - 2 ? (unsigned)out[0] | (unsigned)out[1] << 8 : 0;
}

static iconv_t open_charset(const char *name)
{
	iconv_t cd = iconv_open("UTF-16LE", name);

	if (cd == (iconv_t)-1) {
		fprintf(stderr, "charset_tables: iconv does not know %s\n", name);
		exit(1);
	}
	return cd;
}

static void put_single(const char *name)
{
	iconv_t cd = open_charset(name);

	printf("\t{");
	for (unsigned c = 0x80; c < 0x100; c++) {
		unsigned char byte = (unsigned char)c;

		printf("%u,", character(cd, &byte, 1));
	}
	printf("},\n");
	iconv_close(cd);
}

static void put_double(const char *name)
{
	iconv_t cd = open_charset(name);

	printf("\t{\n");
	for (unsigned a = 0; a < CHARSET_FIRSTS; a++) {
		printf("\t\t{");
		for (unsigned b = 0; b < CHARSET_SECONDS; b++) {
			unsigned char bytes[2] = {
				(unsigned char)(CHARSET_FIRST + a), (unsigned char)(CHARSET_SECOND + b)};

			printf("%u,", character(cd, bytes, 2));
		}
		printf("},\n");
	}
	printf("\t},\n");
	iconv_close(cd);
}

int main(void)
{
	printf("static const uint16_t "
	       "charset_single[CHARSET_SINGLES][128] "
	       "= {\n");
#define X(name, iconv) put_single(iconv);
	CHARSET_SINGLE_LIST(X)
#undef X
	printf("};\n\nstatic const uint16_t charset_double[CHARSET_DOUBLES][CHARSET_FIRSTS][CHARSET_SECONDS] "
	       "= {\n");
#define X(name, iconv) put_double(iconv);
	CHARSET_DOUBLE_LIST(X)
#undef X
	printf("};\n");
	return fflush(stdout) == 0 ? 0 : 1;
}
