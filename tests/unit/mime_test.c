#include "tests/testing.h"

#include "core/base/buf.h"
#include "core/base/refuse.h"
#include "core/parse/charset.h"
#include "core/parse/mime.h"
#include "core/parse/mimeb64.h"
#include "core/parse/qp.h"

#include <stdio.h>
#include <string.h>

static struct arena a;

/* "1 text/plain [body]; ..." of all parts that are not multiparts. */
static void show(slice in, struct buf *out)
{
	struct mime_tree t;
	int rc = mime_walk(&a, in, &t);

	buf_clear(out);
	if (rc < 0)
		buf_str(out, refuse_word(rc));
	for (size_t i = 0; i < t.count; i++) {
		const struct mime_part *p = &t.parts[i];

		if (p->multipart)
			continue;
		buf_printf(out, "%.*s %.*s/%.*s%s[", SLICE_FMT(mime_number(&a, &t, i)), SLICE_FMT(p->type),
			SLICE_FMT(p->subtype), p->odd ? "!" : "");
		buf_put(out, slice_sub(in, p->body, p->to));
		buf_str(out, "] ");
	}
}

static void walks(void **state)
{
#define MIXED "Content-Type: multipart/mixed; boundary="
	static const struct {
		const char *name;
		slice in, want;
	} rows[] = {
		{"single", SLICE("A: 1\r\n\r\nx\r\n"), SLICE("1 text/plain[x\r\n] ")},
		{"two",
			SLICE(MIXED "b\r\n\r\npre\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: "
				    "text/html\r\n\r\ny\r\n--b--\r\nepi"),
			SLICE("1 text/plain[x] 2 text/html[y] ")},
		{"quoted, padded", SLICE(MIXED "\"a b\"\r\n\r\n--a b \t\r\n\r\nx\r\n--a b-- \r\n"),
			SLICE("1 text/plain[x] ")},
		{"no final boundary", SLICE(MIXED "b\r\n\r\n--b\r\n\r\nx\r\n"),
			SLICE("1 text/plain[x\r\n] ")},
		{"LF only", SLICE(MIXED "b\n\n--b\n\nx\n--b\n\ny\n--b--\n"),
			SLICE("1 text/plain[x] 2 text/plain[y] ")},
		{"mixed line ends", SLICE(MIXED "b\r\n\n--b\n\r\nx\r\n\n--b--"),
			SLICE("1 text/plain[x\r\n] ")},
		{"boundary is a prefix of the line",
			SLICE(MIXED "b\r\n\r\n--b\r\n\r\n--bb\r\n--b-\r\n-b\r\n--b--\r\n"),
			SLICE("1 text/plain[--bb\r\n--b-\r\n-b] ")},
		{"inner boundary extends the outer",
			SLICE(MIXED "b\r\n\r\n--b\r\n" MIXED
				    "bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n--b\r\n\r\ny\r\n--b--\r\n"),
			SLICE("1.1 text/plain[x] 2 text/plain[y] ")},
		{"of dashes", SLICE(MIXED "----\r\n\r\n------\r\n\r\nx\r\n--------\r\n"),
			SLICE("1 text/plain[x] ")},
		{"inner one not closed",
			SLICE(MIXED "b\r\n\r\n--b\r\n" MIXED
				    "c\r\n\r\n--c\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--\r\n"),
			SLICE("1.1 text/plain[x] 2 text/plain[y] ")},
		{"epilogue of the inner one",
			SLICE(MIXED "b\r\n\r\n--b\r\n" MIXED "c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--c\r\nno "
				    "part\r\n--b\r\n\r\ny\r\n--b--\r\n"),
			SLICE("1.1 text/plain[x] 2 text/plain[y] ")},
		{"header cut by a boundary",
			SLICE(MIXED "b\r\n\r\n--b\r\nContent-Type: text/html\r\n--b\r\n\r\ny\r\n--b--\r\n"),
			SLICE("1 text/html[] 2 text/plain[y] ")},
		{"boundary that looks like a field",
			SLICE(MIXED "\"x:y\"\r\n\r\n--x:y\r\nA: 1\r\n--x:y\r\n\r\nz\r\n--x:y--\r\n"),
			SLICE("1 text/plain[] 2 text/plain[z] ")},
		{"rfc822 is a leaf",
			SLICE(MIXED "b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" MIXED
				    "c\r\n\r\n--c\r\n--b--\r\n"),
			SLICE("1 message/rfc822[" MIXED "c\r\n\r\n--c] ")},
		{"digest",
			SLICE("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nA: "
			      "1\r\n--b--\r\n"),
			SLICE("1 message/rfc822[A: 1] ")},
		{"signed is a leaf",
			SLICE("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"),
			SLICE("1 multipart/signed[--b\r\n\r\nx\r\n--b--\r\n] ")},
		{"no boundary", SLICE("Content-Type: multipart/mixed\r\n\r\nx"),
			SLICE("1 multipart/mixed![x] ")},
		{"first line of the body", SLICE(MIXED "b\r\n\r\n--b\r\n\r\n\r\n--b--"),
			SLICE("1 text/plain[] ")},
		{"two types", SLICE("Content-Type: text/html\r\nContent-type: text/plain\r\n\r\nx"),
			SLICE("1 text/html![x] ")},
		{"the same type twice", SLICE("Content-Type: text/html\r\nContent-type: text/html\r\n\r\nx"),
			SLICE("1 text/html[x] ")},
		{"no slash", SLICE("Content-Type: text\r\n\r\nx"), SLICE("1 text/![x] ")},
		{"boundary too long",
			SLICE(MIXED "01234567890123456789012345678901234567890123456789012345678901234567890"
				    "\r\n\r\nx"),
			SLICE("length")},
	};
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in);

		show(in, &out);
		test_slices_equal(rows[i].name, buf_slice(&out), rows[i].want);
		test_unguard(in);
	}
	buf_free(&out);
}

static void fields(void **state)
{
	struct mime_tree t;
	const struct mime_part *p;

	(void)state;
	assert_int_equal(mime_walk(&a,
				 SLICE("CONTENT-TYPE: Text/HTML (a comment (nested)) ; (x) charset = "
				       "us-ascii (plain)\r\n"
				       "Content-Transfer-Encoding: Quoted-Printable ; x\r\n\r\n"),
				 &t),
		0);
	p = &t.parts[0];
	assert_true(mime_is(p, SLICE("text"), SLICE("html")) && !p->attachment);
	test_slices_equal("charset", p->charset, SLICE("us-ascii"));
	assert_int_equal(p->cte, MIME_QP);
	assert_int_equal(
		mime_walk(&a,
			SLICE("Content-Type: text/plain; format=Flowed; DelSp=\"yes\"; name=\"\"\r\n"
			      "Content-Transfer-Encoding: uuencode\r\nContent-Disposition: inline\r\n\r\n"),
			&t),
		0);
	p = &t.parts[0];
	assert_true(p->flowed && p->delsp && !p->attachment);
	assert_int_equal(p->cte, MIME_CTE_UNKNOWN);
}

static void params(void **state)
{
	static const struct {
		const char *name;
		slice in, want;
	} rows[] = {
		{"token", SLICE("text/plain; charset=utf-8"), SLICE("utf-8")},
		{"quoted", SLICE("text/plain; charset=\"utf-8\""), SLICE("utf-8")},
		{"escaped", SLICE("text/plain; charset=\"u\\\"t\\\\f\""), SLICE("u\"t\\f")},
		{"semicolon in quotes", SLICE("text/plain; x=\"a; charset=no\"; charset=yes"), SLICE("yes")},
		{"first wins", SLICE("x/y; charset=a; charset=b"), SLICE("a")},
		{"extended", SLICE("x/y; charset*=us-ascii'en'utf%2D8"), SLICE("utf-8")},
		{"extended without marks", SLICE("x/y; charset*=utf-8"), SLICE("utf-8")},
		{"continued", SLICE("x/y; charset*0=ut; charset*1=\"f-\"; charset*2=8"), SLICE("utf-8")},
		{"continued and extended",
			SLICE("x/y; charset*0*=us-ascii''ut; charset*1*=f%2d; charset*2=8"), SLICE("utf-8")},
		{"other name with the same start", SLICE("x/y; charsets=a; charset=b"), SLICE("b")},
		{"folded", SLICE("x/y;\r\n\tcharset=\r\n b"), SLICE("b")},
		{"equals sign first", SLICE("x/y; charset==_x"), SLICE("=_x")},
		{"unfinished quote", SLICE("x/y; charset=\"a"), SLICE("a")},
		{"unfinished escape", SLICE("x/y; charset=\"a\\"), SLICE("a\\")},
		{"unfinished comment", SLICE("x/y; (charset=a"), SLICE("")},
		{"no value", SLICE("x/y; charset; charset"), SLICE("")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in), got = SLICE_NONE;

		mime_param(&a, in, SLICE("charset"), &got);
		test_slices_equal(rows[i].name, got, rows[i].want);
		test_unguard(in);
	}
}

static void put_nested(struct buf *b, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		buf_printf(b, "Content-Type: multipart/mixed; boundary=b%u\r\n\r\n--b%u\r\n", i, i);
	buf_str(b, "\r\nx\r\n");
}

static void caps(void **state)
{
	struct mime_tree t;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 24);
	put_nested(&b, MIME_MAX_DEPTH);
	assert_int_equal(mime_walk(&a, buf_slice(&b), &t), 0);
	assert_int_equal(t.count, MIME_MAX_DEPTH + 1);
	buf_clear(&b);
	put_nested(&b, MIME_MAX_DEPTH + 1);
	assert_int_equal(mime_walk(&a, buf_slice(&b), &t), -REFUSE_TOO_DEEP);
	buf_clear(&b);
	buf_str(&b, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (unsigned i = 1; i < MIME_MAX_PARTS; i++)
		buf_str(&b, "--b\r\n\r\nx\r\n");
	assert_int_equal(mime_walk(&a, buf_slice(&b), &t), 0);
	buf_str(&b, "--b\r\n\r\nx\r\n");
	assert_int_equal(mime_walk(&a, buf_slice(&b), &t), -REFUSE_TOO_MANY_PARTS);
	buf_free(&b);
}

/* Cut anywhere: no part reaches beyond its parent. */
static void prefixes(void **state)
{
	slice whole = SLICE(MIXED "b\r\n\r\n--b\r\n" MIXED
				  "\"c d\"\r\n\r\n--c d\r\nContent-Type: text/html\r\n\r\nx\r\n--c "
				  "d--\r\n--b\r\nA: 1\r\n--b--\r\n");

	(void)state;
	for (size_t n = 0; n <= whole.len; n++) {
		slice in = test_guard(slice_sub(whole, 0, n));
		struct mime_tree t;

		assert_int_equal(mime_walk(&a, in, &t), 0);
		for (size_t i = 0; i < t.count; i++) {
			const struct mime_part *p = &t.parts[i];

			assert_true(p->from <= p->body && p->body <= p->to && p->to <= n);
			assert_true(p->parent < 0 || p->to <= t.parts[p->parent].to);
		}
		test_unguard(in);
	}
}

static void places(void **state)
{
	slice in = test_guard(SLICE("a=3Db=\r\nc= \r\n=\nd=e=20\r\n"));
	struct qp_text t;

	(void)state;
	qp_decode(&a, in, &t);
	test_slices_equal("decoded", t.dec, SLICE("a=bcd=e \r\n"));
	assert_int_equal(qp_place(&t, 1), 1);
	assert_int_equal(qp_place_after(&t, 2), 4);
	assert_int_equal(qp_place(&t, 3), 8); /* behind the soft break */
	assert_int_equal(qp_place_after(&t, 3), 5);
	assert_int_equal(qp_place(&t, t.dec.len), in.len);
	test_unguard(in);
}

static void base64_text(void **state)
{
	static const struct {
		const char *name;
		slice in, want;
		int rc;
	} rows[] = {
		{"padded", SLICE("YQ==\r\n"), SLICE("a"), 0},
		{"two", SLICE("YWI="), SLICE("ab"), 0},
		{"without padding", SLICE("YWI"), SLICE("ab"), 0},
		{"blanks anywhere", SLICE("\r\nY W\tJj\r\n\r\n"), SLICE("abc"), 0},
		{"empty", SLICE("\r\n"), SLICE(""), 0},
		{"blank lines behind",
			SLICE("YWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJj\r\n\r\n\r"
			      "\n\r\n"),
			SLICE("abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc"), 0},
		{"one digit over", SLICE("YWJjY"), SLICE(""), -REFUSE_CUT},
		{"no digit", SLICE("YW-j"), SLICE(""), -REFUSE_ALPHABET},
		{"goes on behind the padding", SLICE("YQ==YQ=="), SLICE(""), -REFUSE_ALPHABET},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in);
		struct mimeb64_text t = {0};

		test_numbers_equal(rows[i].name, mimeb64_decode(&a, in, &t), rows[i].rc);
		if (rows[i].rc == 0) {
			test_slices_equal(rows[i].name, t.dec, rows[i].want);
			if (mimeb64_place(&t, t.dec.len).enc > t.end)
				fail_msg("%s: the last line begins behind the end", rows[i].name);
		}
		test_unguard(in);
	}
}

/* Every length and line width there and back, against an unmapped page: the
 * vector code reads and writes whole blocks. */
static void base64_lines(void **state)
{
	uint8_t bytes[700];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 131 + (i >> 3));
	for (size_t n = 0; n < sizeof bytes; n += n < 200 ? 1 : 37)
		for (size_t width = 4; width <= 76; width += 4) {
			slice in = test_guard(slice_of(bytes, n)), enc;
			size_t size = mimeb64_size(n, width, SLICE("\r\n"));
			uint8_t *to = arena_alloc(&a, size);
			struct mimeb64_text t;

			mimeb64_encode(in, width, SLICE("\r\n"), to);
			enc = test_guard(slice_of(to, size));
			assert_int_equal(mimeb64_decode(&a, enc, &t), 0);
			test_slices_equal("there and back", t.dec, in);
			for (size_t i = 0; i < size; i += width + 2)
				if (i + width + 2 <= size)
					assert_memory_equal(to + i + width, "\r\n", 2);
			/* Each byte that is no digit is found, wherever it stands. */
			if (n > 90 && n < 100 && width == 76)
				for (size_t at = 0; at + 2 < size; at++) {
					uint8_t was = to[at];

					for (int c = 0; c < 256; c += 5) {
						to[at] = (uint8_t)c;
						if (ascii_alnum((uint8_t)c) || c == '+' || c == '/' ||
							c == '=' || ascii_space((uint8_t)c))
							continue;
						assert_int_equal(mimeb64_decode(&a, slice_of(to, size), &t),
							-REFUSE_ALPHABET);
					}
					to[at] = was;
				}
			test_unguard(in);
			test_unguard(enc);
			arena_reset(&a);
		}
}

static void charsets(void **state)
{
	/* What other decoders make of the same bytes. */
	static const struct {
		const char *label;
		slice in, want;
	} texts[] = {
		{"iso-8859-2",
			SLICE("\xf5"
			      ""),
			SLICE("\xc5"
			      "\x91"
			      "")},
		{"ISO_8859-5",
			SLICE("\xb6"
			      ""),
			SLICE("\xd0"
			      "\x96"
			      "")},
		{"iso-8859-9",
			SLICE("\xfe"
			      ""),
			SLICE("\xc5"
			      "\x9f"
			      "")},
		{"iso-8859-15",
			SLICE("\xa4"
			      ""),
			SLICE("\xe2"
			      "\x82"
			      "\xac"
			      "")},
		{"windows-1250",
			SLICE("\xf5"
			      "\x80"
			      ""),
			SLICE("\xc5"
			      "\x91"
			      "\xe2"
			      "\x82"
			      "\xac"
			      "")},
		{"windows-1251",
			SLICE("\xcf"
			      "\xf0"
			      "\xe8"
			      "\xe2"
			      "\xe5"
			      "\xf2"
			      ""),
			SLICE("\xd0"
			      "\x9f"
			      "\xd1"
			      "\x80"
			      "\xd0"
			      "\xb8"
			      "\xd0"
			      "\xb2"
			      "\xd0"
			      "\xb5"
			      "\xd1"
			      "\x82"
			      "")},
		{"koi8-r",
			SLICE("\xf0"
			      "\xd2"
			      "\xc9"
			      "\xd7"
			      "\xc5"
			      "\xd4"
			      ""),
			SLICE("\xd0"
			      "\x9f"
			      "\xd1"
			      "\x80"
			      "\xd0"
			      "\xb8"
			      "\xd0"
			      "\xb2"
			      "\xd0"
			      "\xb5"
			      "\xd1"
			      "\x82"
			      "")},
		{"koi8-u",
			SLICE("\xa7"
			      ""),
			SLICE("\xd1"
			      "\x97"
			      "")},
		{"windows-1256",
			SLICE("\xe3"
			      "\xd1"
			      "\xcd"
			      "\xc8"
			      "\xc7"
			      ""),
			SLICE("\xd9"
			      "\x85"
			      "\xd8"
			      "\xb1"
			      "\xd8"
			      "\xad"
			      "\xd8"
			      "\xa8"
			      "\xd8"
			      "\xa7"
			      "")},
		{"tis-620",
			SLICE("\xe4"
			      "\xb7"
			      "\xc2"
			      ""),
			SLICE("\xe0"
			      "\xb9"
			      "\x84"
			      "\xe0"
			      "\xb8"
			      "\x97"
			      "\xe0"
			      "\xb8"
			      "\xa2"
			      "")},
		{"GB2312",
			SLICE("\xd6"
			      "\xd0"
			      "\xce"
			      "\xc4"
			      "/x"),
			SLICE("\xe4"
			      "\xb8"
			      "\xad"
			      "\xe6"
			      "\x96"
			      "\x87"
			      "/x")},
		{"gbk",
			SLICE("\xd6"
			      "\xd0"
			      "\xce"
			      "\xc4"
			      "\xe9"
			      "F"),
			SLICE("\xe4"
			      "\xb8"
			      "\xad"
			      "\xe6"
			      "\x96"
			      "\x87"
			      "\xe9"
			      "\x95"
			      "\x95"
			      "")},
		{"gb18030",
			SLICE("\xd6"
			      "\xd0"
			      "\xce"
			      "\xc4"
			      ""),
			SLICE("\xe4"
			      "\xb8"
			      "\xad"
			      "\xe6"
			      "\x96"
			      "\x87"
			      "")},
		{"big5",
			SLICE("\xb4"
			      "\xfa"
			      "\xb8"
			      "\xd5"
			      "\xa5"
			      "\\"),
			SLICE("\xe6"
			      "\xb8"
			      "\xac"
			      "\xe8"
			      "\xa9"
			      "\xa6"
			      "\xe5"
			      "\x8a"
			      "\x9f"
			      "")},
		{"euc-kr",
			SLICE("\xc7"
			      "\xd1"
			      "\xb1"
			      "\xb9"
			      ""),
			SLICE("\xed"
			      "\x95"
			      "\x9c"
			      "\xea"
			      "\xb5"
			      "\xad"
			      "")},
		{"ks_c_5601-1987",
			SLICE("\xc7"
			      "\xd1"
			      "\xb1"
			      "\xb9"
			      ""),
			SLICE("\xed"
			      "\x95"
			      "\x9c"
			      "\xea"
			      "\xb5"
			      "\xad"
			      "")},
		{"Shift_JIS",
			SLICE("\x93"
			      "\xfa"
			      "\x96"
			      "{\x83"
			      "\\\xb1"
			      ""),
			SLICE("\xe6"
			      "\x97"
			      "\xa5"
			      "\xe6"
			      "\x9c"
			      "\xac"
			      "\xe3"
			      "\x82"
			      "\xbd"
			      "\xef"
			      "\xbd"
			      "\xb1"
			      "")},
		{"euc-jp",
			SLICE("\xc6"
			      "\xfc"
			      "\xcb"
			      "\xdc"
			      "\xb8"
			      "\xec"
			      "\x8e"
			      "\xb1"
			      ""),
			SLICE("\xe6"
			      "\x97"
			      "\xa5"
			      "\xe6"
			      "\x9c"
			      "\xac"
			      "\xe8"
			      "\xaa"
			      "\x9e"
			      "\xef"
			      "\xbd"
			      "\xb1"
			      "")},
		{"iso-2022-jp",
			SLICE("a\x1b"
			      "$BF|K\\8l\x1b"
			      "(Bb"),
			SLICE("a\xe6"
			      "\x97"
			      "\xa5"
			      "\xe6"
			      "\x9c"
			      "\xac"
			      "\xe8"
			      "\xaa"
			      "\x9e"
			      "b")},
		{"cp866",
			SLICE("\x9f"
			      ""),
			SLICE("\xd0"
			      "\xaf"
			      "")},
		{"macintosh",
			SLICE("\x8e"
			      ""),
			SLICE("\xc3"
			      "\xa9"
			      "")},
		{"gb18030", SLICE("\x81\x30\x81\x30"), SLICE_NONE},
		{"big5", SLICE("\xa4"), SLICE_NONE},
		{"shift_jis", SLICE("\x83 x"), SLICE_NONE},
		{"euc-jp", SLICE("\x8f\xb0\xa1"), SLICE_NONE},
		{"iso-2022-jp", SLICE("\x1b$B\x21"), SLICE_NONE},
		{"iso-2022-jp", SLICE("\x1b$A!!"), SLICE_NONE},
		{"iso-2022-jp", SLICE("\xe9"), SLICE_NONE},
		{"windows-1255", SLICE("\xff"), SLICE_NONE},
	};
	slice out;

	(void)state;
	assert_int_equal(charset_of(SLICE_NONE), CHARSET_ASCII);
	assert_int_equal(charset_of(SLICE("UTF-8")), CHARSET_UTF8);
	assert_int_equal(charset_of(SLICE("ISO-2022-JP-2")), CHARSET_ISO2022JP);
	assert_int_equal(charset_of(SLICE("iso-2022-kr")), CHARSET_UNKNOWN);
	assert_int_equal(charset_of(SLICE("utf-16be")), CHARSET_UNKNOWN);
	assert_true(charset_of(SLICE("iso-8859-15")) >= CHARSET_TABLES);
	assert_int_equal(charset_of(SLICE("iso-8859-17")), CHARSET_SUPERSET);
	assert_int_equal(charset_of(SLICE("unknown-8bit")), CHARSET_SUPERSET);
	test_slices_equal("mask", charset_mask(&a, CHARSET_ISO2022JP, SLICE("<\x1b$B<a\x1b(B>\x1b(Jx")),
		SLICE("<\xff\xff\xff\xff\xff\xff\xff\xff>\xff\xff\xffx"));
	assert_true(charset_to_utf8(&a, CHARSET_LATIN1, SLICE("\xe9\x80"), &out));
	test_slices_equal("windows-1252", out, SLICE("\xc3\xa9\xe2\x82\xac"));
	assert_true(charset_is_utf8(SLICE("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
	assert_false(charset_is_utf8(SLICE("\xc0\x80")));
	assert_false(charset_is_utf8(SLICE("\xed\xa0\x80")));
	assert_false(charset_is_utf8(SLICE("\xf4\x90\x80\x80")));
	assert_false(charset_is_utf8(SLICE("\xe2\x82")));
	assert_false(charset_to_utf8(&a, CHARSET_SUPERSET, SLICE("\xe9"), &out));
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		slice in = test_guard(texts[i].in);
		bool done = charset_to_utf8(&a, charset_of(slice_str(texts[i].label)), in, &out);

		test_numbers_equal(texts[i].label, done, texts[i].want.p != NULL);
		if (done)
			test_slices_equal(texts[i].label, out, texts[i].want);
		test_unguard(in);
	}
}

static int setup(void **state)
{
	(void)state;
	arena_init(&a, (size_t)1 << 30, NULL, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&a);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks),
		cmocka_unit_test(fields),
		cmocka_unit_test(params),
		cmocka_unit_test(caps),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(places),
		cmocka_unit_test(base64_text),
		cmocka_unit_test(base64_lines),
		cmocka_unit_test(charsets),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
