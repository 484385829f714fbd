/* What may stand in Location, row by row, after the WHATWG URL standard. */
#include "core/base/refuse.h"
#include "core/parse/url.h"
#include "tests/testing.h"

#include <string.h>

#define CAP 8192

struct row {
	const char *name;
	slice in;
	int rc;
	slice want;
};
#define SAME(name, in)                                                                                       \
	{                                                                                                    \
		name, in, 0, in                                                                              \
	}
#define GIVES(name, in, want)                                                                                \
	{                                                                                                    \
		name, in, 0, want                                                                            \
	}
#define NOT(name, in, code)                                                                                  \
	{                                                                                                    \
		name, in, -REFUSE_##code,                                                                    \
		{                                                                                            \
			NULL, 0                                                                              \
		}                                                                                            \
	}

static const struct row rows[] = {
	/* stays byte for byte */
	SAME("host alone", SLICE("https://a.example")),
	SAME("slash", SLICE("https://a.example/")),
	SAME("path", SLICE("https://a.example/dir/page.html")),
	SAME("http", SLICE("http://a.example/")),
	SAME("scheme in capitals", SLICE("HTTPS://a.example/x?a=1&b=2")),
	SAME("scheme in mixed case", SLICE("hTtP://a.example/")),
	SAME("host in capitals", SLICE("https://A.EXAMPLE/")),
	SAME("host in mixed case", SLICE("https://Shop.A.Example/Path")),
	SAME("query without path", SLICE("https://a.example?x=1")),
	SAME("fragment without path", SLICE("https://a.example#top")),
	SAME("query and fragment without path", SLICE("https://a.example?x=1#sec")),
	SAME("empty query", SLICE("https://a.example/?")),
	SAME("empty fragment", SLICE("https://a.example/#")),
	SAME("empty query and fragment", SLICE("https://a.example/?#")),
	SAME("dot segments", SLICE("https://a.example/a/../b/./c")),
	SAME("dots at the end", SLICE("https://a.example/a/..")),
	SAME("encoded dots", SLICE("https://a.example/a/%2e%2E/b")),
	SAME("double slash", SLICE("https://a.example//x")),
	SAME("many slashes", SLICE("https://a.example/a///b//")),
	SAME("default port of https", SLICE("https://a.example:443/")),
	SAME("default port of http", SLICE("http://a.example:80/")),
	SAME("port", SLICE("https://a.example:8443/x")),
	SAME("port 0", SLICE("https://a.example:0/")),
	SAME("port 65535", SLICE("https://a.example:65535/")),
	SAME("port with zeros", SLICE("https://a.example:00080/")),
	SAME("colon without port", SLICE("https://a.example:/x")),
	SAME("colon without port or path", SLICE("https://a.example:")),
	SAME("root dot", SLICE("https://a.example./x")),
	SAME("one label", SLICE("https://localhost/x")),
	SAME("one letter", SLICE("https://a/")),
	SAME("hyphens", SLICE("https://a-b--c.example/")),
	SAME("underscore", SLICE("https://_dmarc.a_b.example/")),
	SAME("digits first", SLICE("https://1a.example/")),
	SAME("label that begins with digits", SLICE("https://3com.1and1.example/")),
	SAME("punycode", SLICE("https://xn--bcher-kva.example/")),
	SAME("punycode in capitals", SLICE("https://XN--BCHER-KVA.example/")),
	SAME("two dots in the host", SLICE("https://a..example/")),
	SAME("dot first", SLICE("https://.example/")),
	SAME("long label",
		SLICE("https://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example/")),
	SAME("sub-delims in a path", SLICE("https://a.example/!$&'()*+,;=")),
	SAME("unreserved in a path", SLICE("https://a.example/-._~aZ09")),
	SAME("colon and at in a path", SLICE("https://a.example/a:b@c")),
	SAME("sub-delims in a query", SLICE("https://a.example/?!$&'()*+,;=:@/?")),
	SAME("sub-delims in a fragment", SLICE("https://a.example/#!$&'()*+,;=:@/?")),
	SAME("apostrophe", SLICE("https://a.example/Jack's?q='1'")),
	SAME("nested and encoded",
		SLICE("https://a.example/r?u=https%3A%2F%2Fb.example%2F%3Fq%3D1%2526&f[0]=a|b;c")),
	SAME("nested and not encoded", SLICE("https://a.example/r?u=https://b.example/?q=1&r=2")),
	SAME("nested in the path", SLICE("https://a.example/r/https://b.example/x")),
	SAME("encoded twice", SLICE("https://a.example/%2520/%252520")),
	SAME("encoded NUL", SLICE("https://a.example/%00")),
	SAME("encoded line break", SLICE("https://a.example/%0d%0aSet-Cookie:x")),
	SAME("encoded slash and backslash", SLICE("https://a.example/%2F%5c")),
	SAME("small hex digits", SLICE("https://a.example/%c3%bc")),
	SAME("encoded at", SLICE("https://a.example/%40")),
	SAME("plus and %20", SLICE("https://a.example/?a+b%20c")),
	SAME("stray percent", SLICE("https://a.example/100%")),
	SAME("percent and one digit", SLICE("https://a.example/%4")),
	SAME("percent and junk", SLICE("https://a.example/%zz?%zz#%zz")),
	SAME("percent signs", SLICE("https://a.example/%%%25?%#%")),
	SAME("brackets in a path", SLICE("https://a.example/a[0]")),
	SAME("brackets in a query", SLICE("https://a.example/?a[0]=1&b[]=2")),
	SAME("pipe in a path", SLICE("https://a.example/a|b")),
	SAME("pipe in a query", SLICE("https://a.example/?a|b")),
	SAME("caret", SLICE("https://a.example/a^b?a^b#a^b")),
	SAME("backslash in a query", SLICE("https://a.example/?a\\b")),
	SAME("backslash in a fragment", SLICE("https://a.example/#a\\b")),
	SAME("braces in a query", SLICE("https://a.example/?{a}")),
	SAME("braces in a fragment", SLICE("https://a.example/#{a}")),
	SAME("backquote in a query", SLICE("https://a.example/?a`b")),
	SAME("two question marks", SLICE("https://a.example/?a?b")),
	SAME("two hashes", SLICE("https://a.example/#a#b")),
	SAME("hash router", SLICE("https://a.example/#/route?x=1")),
	SAME("hashbang", SLICE("https://a.example/#!/a")),
	SAME("text fragment", SLICE("https://a.example/#:~:text=a,b")),
	SAME("semicolons", SLICE("https://a.example/a;b=1/c;d?x;y")),
	SAME("comma", SLICE("https://a.example/a,b")),
	SAME("asterisk tag", SLICE("https://a.example/?t=*")),
	SAME("tilde user", SLICE("https://a.example/~user/")),
	SAME("dollar and at", SLICE("https://a.example/@user/$1")),
	SAME("equals at the end", SLICE("https://a.example/?a=&b=")),
	SAME("ampersands", SLICE("https://a.example/?&&a&")),
	SAME("base64 in a query", SLICE("https://a.example/?d=aGVsbG8+d29ybGQ/Pz8==")),
	SAME("base64url in a path", SLICE("https://a.example/c/aGVsbG8-d29ybGRf")),
	SAME("email in a query", SLICE("https://a.example/?e=a@b.example")),
	SAME("unsubscribe", SLICE("https://a.example/u?id=%7B%22a%22%3A1%7D")),
	SAME("google analytics",
		SLICE("https://a.example/?utm_source=nl&utm_campaign=h%C3%ADrlev%C3%A9l#sec")),
	SAME("exclamation in the host", SLICE("https://a!b.example/")),
	SAME("quote-like in the host", SLICE("https://a'b.example/")),
	SAME("braces in the host", SLICE("https://a{b}.example/")),
	/* addresses */
	SAME("IPv4", SLICE("https://127.0.0.1/")),
	SAME("IPv4 and port", SLICE("https://192.0.2.1:8080/x")),
	SAME("IPv4 and root dot", SLICE("https://127.0.0.1./")),
	SAME("IPv4, one number", SLICE("https://2130706433/")),
	SAME("IPv4, two numbers", SLICE("https://127.1/")),
	SAME("IPv4, three numbers", SLICE("https://127.0.1/")),
	SAME("IPv4, last number large", SLICE("https://1.16777215/")),
	SAME("IPv4, octal", SLICE("https://0177.0.0.01/")),
	SAME("IPv4, hexadecimal", SLICE("https://0x7f.1/")),
	SAME("IPv4, bare 0x", SLICE("https://0x.0x.0/")),
	SAME("IPv4, most", SLICE("https://4294967295/")),
	SAME("IPv4, hexadecimal most", SLICE("https://0xFFFFFFFF/")),
	SAME("IPv4, zeros", SLICE("https://0.0.0.0/")),
	NOT("IPv4, one too many", SLICE("https://4294967296/"), SYNTAX),
	NOT("IPv4, number too large", SLICE("https://256.0.0.1/"), SYNTAX),
	NOT("IPv4, last too large", SLICE("https://1.2.3.256/"), SYNTAX),
	NOT("IPv4, last of two too large", SLICE("https://1.16777216/"), SYNTAX),
	NOT("IPv4, five numbers", SLICE("https://1.2.3.4.5/"), SYNTAX),
	NOT("IPv4, octal with an 8", SLICE("https://08.0.0.1/"), SYNTAX),
	NOT("IPv4, 09", SLICE("https://1.2.3.09/"), SYNTAX),
	NOT("IPv4, empty number", SLICE("https://1..2/"), SYNTAX),
	NOT("IPv4, empty first", SLICE("https://.1/"), SYNTAX),
	NOT("number as last label", SLICE("https://a.example.1/"), SYNTAX),
	NOT("hexadecimal as last label", SLICE("https://a.0x1f/"), SYNTAX),
	NOT("0x as last label", SLICE("https://a.0x/"), SYNTAX),
	NOT("number and root dot", SLICE("https://a.1./"), SYNTAX),
	SAME("not hexadecimal", SLICE("https://a.0xg/")),
	SAME("number and letter last", SLICE("https://1.2.3.4a/")),
	NOT("huge number", SLICE("https://99999999999999999999999/"), SYNTAX),
	NOT("huge hexadecimal", SLICE("https://0x10000000000000000/"), SYNTAX),
	SAME("IPv6", SLICE("https://[::1]/")),
	SAME("IPv6 and port", SLICE("https://[2001:db8::1]:8443/x")),
	SAME("IPv6 in capitals", SLICE("https://[2001:DB8::A]/")),
	SAME("IPv6 whole", SLICE("https://[1:2:3:4:5:6:7:8]/")),
	SAME("IPv6 with IPv4", SLICE("https://[::ffff:192.0.2.1]/")),
	SAME("IPv6 whole with IPv4", SLICE("https://[1:2:3:4:5:6:1.2.3.4]/")),
	SAME("IPv6 of nothing", SLICE("https://[::]/")),
	SAME("IPv6 ends in colons", SLICE("https://[1::]/")),
	SAME("IPv6 with zeros", SLICE("https://[0001:0:0::0001]/")),
	SAME("IPv6 query behind", SLICE("https://[::1]?x")),
	NOT("IPv6 empty", SLICE("https://[]/"), SYNTAX),
	NOT("IPv6 never closed", SLICE("https://[::1"), SYNTAX),
	NOT("IPv6 never closed, path", SLICE("https://[::1/x"), SYNTAX),
	NOT("IPv6 without brackets", SLICE("https://::1/"), SYNTAX),
	NOT("IPv6 nine groups", SLICE("https://[1:2:3:4:5:6:7:8:9]/"), SYNTAX),
	NOT("IPv6 seven groups", SLICE("https://[1:2:3:4:5:6:7]/"), SYNTAX),
	NOT("IPv6 two gaps", SLICE("https://[1::2::3]/"), SYNTAX),
	NOT("IPv6 long group", SLICE("https://[12345::]/"), SYNTAX),
	NOT("IPv6 letter g", SLICE("https://[::g]/"), SYNTAX),
	NOT("IPv6 one colon first", SLICE("https://[:1:2:3:4:5:6:7]/"), SYNTAX),
	NOT("IPv6 zone", SLICE("https://[fe80::1%25eth0]/"), SYNTAX),
	NOT("IPv6 bare zone", SLICE("https://[fe80::1%eth0]/"), SYNTAX),
	NOT("IPv6 IPv4 too large", SLICE("https://[::1.2.3.256]/"), SYNTAX),
	NOT("IPv6 IPv4 with zero", SLICE("https://[::1.2.3.04]/"), SYNTAX),
	NOT("IPv6 IPv4 cut", SLICE("https://[::1.2.3]/"), SYNTAX),
	NOT("IPv6 three colons", SLICE("https://[:::1]/"), SYNTAX),
	NOT("IPv6 junk behind", SLICE("https://[::1]x/"), SYNTAX),
	NOT("IPv6 bad port", SLICE("https://[::1]:x/"), SYNTAX),
	NOT("IPv6 with space", SLICE("https://[::1 ]/"), SYNTAX),
	NOT("brackets around a name", SLICE("https://[a.example]/"), SYNTAX),
	NOT("IPv7", SLICE("https://[v7.a]/"), SYNTAX),
	NOT("IPv6 non-ASCII", SLICE("https://[::1ü]/"), SYNTAX),
	/* percent-encoding by place */
	GIVES("spaces in a path", SLICE("https://a.example/a  b"), SLICE("https://a.example/a%20%20b")),
	GIVES("space in a query", SLICE("https://a.example/?a b"), SLICE("https://a.example/?a%20b")),
	GIVES("space in a fragment", SLICE("https://a.example/#a b"), SLICE("https://a.example/#a%20b")),
	GIVES("quote in a path", SLICE("https://a.example/a\"b"), SLICE("https://a.example/a%22b")),
	GIVES("quote in a query", SLICE("https://a.example/?a\"b"), SLICE("https://a.example/?a%22b")),
	GIVES("quote in a fragment", SLICE("https://a.example/#a\"b"), SLICE("https://a.example/#a%22b")),
	GIVES("angle brackets in a path", SLICE("https://a.example/<a>"), SLICE("https://a.example/%3Ca%3E")),
	GIVES("angle brackets in a query", SLICE("https://a.example/?<a>"),
		SLICE("https://a.example/?%3Ca%3E")),
	GIVES("angle brackets in a fragment", SLICE("https://a.example/#<a>"),
		SLICE("https://a.example/#%3Ca%3E")),
	GIVES("braces in a path", SLICE("https://a.example/{a}"), SLICE("https://a.example/%7Ba%7D")),
	GIVES("merge tag in a path", SLICE("https://a.example/{{id}}"),
		SLICE("https://a.example/%7B%7Bid%7D%7D")),
	GIVES("backquote in a path", SLICE("https://a.example/a`b"), SLICE("https://a.example/a%60b")),
	GIVES("backquote in a fragment", SLICE("https://a.example/#a`b"), SLICE("https://a.example/#a%60b")),
	GIVES("script in a query", SLICE("https://a.example/?\"><script>alert(1)</script>"),
		SLICE("https://a.example/?%22%3E%3Cscript%3Ealert(1)%3C/script%3E")),
	GIVES("NUL", SLICE("https://a.example/a\000b"), SLICE("https://a.example/a%00b")),
	GIVES("bell", SLICE("https://a.example/\007?\007#\007"), SLICE("https://a.example/%07?%07#")),
	GIVES("escape", SLICE("https://a.example/\033[0m"), SLICE("https://a.example/%1B[0m")),
	GIVES("delete", SLICE("https://a.example/\177?\177#\177"), SLICE("https://a.example/%7F?%7F#%7F")),
	GIVES("form feed", SLICE("https://a.example/a\014b"), SLICE("https://a.example/a%0Cb")),
	GIVES("vertical tab", SLICE("https://a.example/a\013b"), SLICE("https://a.example/a%0Bb")),
	GIVES("last control", SLICE("https://a.example/a\037b"), SLICE("https://a.example/a%1Fb")),
	GIVES("umlaut in a path", SLICE("https://a.example/grün"), SLICE("https://a.example/gr%C3%BCn")),
	GIVES("umlaut in a query", SLICE("https://a.example/?q=é"), SLICE("https://a.example/?q=%C3%A9")),
	GIVES("umlaut in a fragment", SLICE("https://a.example/#grün"),
		SLICE("https://a.example/#gr%C3%BCn")),
	GIVES("three bytes", SLICE("https://a.example/漢"), SLICE("https://a.example/%E6%BC%A2")),
	GIVES("four bytes", SLICE("https://a.example/😀"), SLICE("https://a.example/%F0%9F%98%80")),
	GIVES("combining mark", SLICE("https://a.example/e\314\201"), SLICE("https://a.example/e%CC%81")),
	GIVES("no-break space", SLICE("https://a.example/a\302\240b"), SLICE("https://a.example/a%C2%A0b")),
	GIVES("byte order mark", SLICE("https://a.example/\357\273\277"),
		SLICE("https://a.example/%EF%BB%BF")),
	GIVES("line separator", SLICE("https://a.example/\342\200\250"),
		SLICE("https://a.example/%E2%80%A8")),
	GIVES("right-to-left mark", SLICE("https://a.example/\342\200\217"),
		SLICE("https://a.example/%E2%80%8F")),
	GIVES("C1 control", SLICE("https://a.example/\302\205"), SLICE("https://a.example/%C2%85")),
	GIVES("noncharacter", SLICE("https://a.example/\357\277\277"), SLICE("https://a.example/%EF%BF%BF")),
	GIVES("not UTF-8", SLICE("https://a.example/\351?\377#\200"), SLICE("https://a.example/%E9?%FF#%80")),
	GIVES("cut UTF-8", SLICE("https://a.example/\303"), SLICE("https://a.example/%C3")),
	GIVES("overlong UTF-8", SLICE("https://a.example/\300\257"), SLICE("https://a.example/%C0%AF")),
	GIVES("surrogate", SLICE("https://a.example/\355\240\200"), SLICE("https://a.example/%ED%A0%80")),
	GIVES("stray percent and umlaut", SLICE("https://a.example/%zzü%"),
		SLICE("https://a.example/%zz%C3%BC%")),
	GIVES("percent and umlaut", SLICE("https://a.example/%ü"), SLICE("https://a.example/%%C3%BC")),
	GIVES("Chinese query", SLICE("https://a.example/?问=答"),
		SLICE("https://a.example/?%E9%97%AE=%E7%AD%94")),
	GIVES("Arabic path", SLICE("https://a.example/\331\205\330\261"),
		SLICE("https://a.example/%D9%85%D8%B1")),
	GIVES("emoji fragment", SLICE("https://a.example/#❤\357\270\217"),
		SLICE("https://a.example/#%E2%9D%A4%EF%B8%8F")),
	GIVES("right before the fragment", SLICE("https://a.example/a b#c d"),
		SLICE("https://a.example/a%20b#c%20d")),
	GIVES("all the three", SLICE("https://a.example/ \"?\" #\" x"),
		SLICE("https://a.example/%20%22?%22%20#%22%20x")),
	GIVES("query without path, space", SLICE("https://a.example?a b"), SLICE("https://a.example?a%20b")),
	GIVES("fragment without path, space", SLICE("https://a.example#a b"),
		SLICE("https://a.example#a%20b")),
	GIVES("mixed with encoded", SLICE("https://a.example/%C3%BCü"),
		SLICE("https://a.example/%C3%BC%C3%BC")),
	GIVES("UTM in Hungarian", SLICE("https://a.example?utm_campaign=hírlevél#sec"),
		SLICE("https://a.example?utm_campaign=h%C3%ADrlev%C3%A9l#sec")),
	/* backslashes */
	GIVES("in a path", SLICE("https://a.example/a\\b"), SLICE("https://a.example/a/b")),
	GIVES("right after the first slash", SLICE("https://a.example/\\b.example"),
		SLICE("https://a.example//b.example")),
	GIVES("at the end of a path", SLICE("https://a.example/a\\"), SLICE("https://a.example/a/")),
	GIVES("several", SLICE("https://a.example/\\\\\\"), SLICE("https://a.example////")),
	GIVES("as dot segments", SLICE("https://a.example/x\\..\\y"), SLICE("https://a.example/x/../y")),
	GIVES("in path, query and fragment", SLICE("https://a.example/a\\b?c\\d#e\\f"),
		SLICE("https://a.example/a/b?c\\d#e\\f")),
	NOT("after the host", SLICE("https://a.example\\x"), SYNTAX),
	NOT("after the host, at", SLICE("https://a.example\\@b.example/"), SYNTAX),
	NOT("after the port", SLICE("https://a.example:80\\x"), SYNTAX),
	NOT("instead of slashes", SLICE("https:\\\\a.example/"), SYNTAX),
	NOT("instead of one slash", SLICE("https:/\\a.example/"), SYNTAX),
	NOT("as third slash", SLICE("https://\\a.example/"), SYNTAX),
	NOT("as host", SLICE("https://\\"), SYNTAX),
	/* white space around and inside */
	GIVES("spaces around", SLICE("  https://a.example/x  "), SLICE("https://a.example/x")),
	GIVES("line breaks around", SLICE("\r\nhttps://a.example/x\r\n"), SLICE("https://a.example/x")),
	GIVES("controls around", SLICE("\000\001\037https://a.example/x\037\000"),
		SLICE("https://a.example/x")),
	GIVES("tab inside", SLICE("https://a.example/a\tb"), SLICE("https://a.example/ab")),
	GIVES("line break inside", SLICE("https://a.example/a\r\n  b "), SLICE("https://a.example/a%20%20b")),
	GIVES("line break in the scheme", SLICE("ht\r\ntps://a.example/"), SLICE("https://a.example/")),
	GIVES("tab in the host", SLICE("https://a.exa\tmple/"), SLICE("https://a.example/")),
	GIVES("line break between the slashes", SLICE("https:/\n/a.example/"), SLICE("https://a.example/")),
	GIVES("tab in the port", SLICE("https://a.example:8\t0/"), SLICE("https://a.example:80/")),
	GIVES("tab in an escape", SLICE("https://a.example/%4\t1"), SLICE("https://a.example/%41")),
	NOT("no-break space around", SLICE("\302\240https://a.example/"), SCHEME),
	GIVES("form feed before", SLICE("\014https://a.example/"), SLICE("https://a.example/")),
	GIVES("delete at the end", SLICE("https://a.example/\177"), SLICE("https://a.example/%7F")),
	GIVES("header injection", SLICE("https://a.example/\r\nSet-Cookie: a=b"),
		SLICE("https://a.example/Set-Cookie:%20a=b")),
	GIVES("header injection in the fragment", SLICE("https://a.example/#\r\n\r\n<html>"),
		SLICE("https://a.example/#%3Chtml%3E")),
	/* hosts beyond ASCII */
	GIVES("umlaut", SLICE("https://bücher.example/"), SLICE("https://xn--bcher-kva.example/")),
	GIVES("umlaut everywhere", SLICE("https://bücher.example/grün?q=é#color=grün"),
		SLICE("https://xn--bcher-kva.example/gr%C3%BCn?q=%C3%A9#color=gr%C3%BCn")),
	GIVES("capitals", SLICE("https://BÜCHER.Example/"), SLICE("https://xn--bcher-kva.example/")),
	GIVES("decomposed", SLICE("https://bu\314\210cher.example/"),
		SLICE("https://xn--bcher-kva.example/")),
	GIVES("sharp s", SLICE("https://faß.example/"), SLICE("https://xn--fa-hia.example/")),
	GIVES("final sigma", SLICE("https://βόλος.example/"), SLICE("https://xn--nxasmm1c.example/")),
	GIVES("Cyrillic", SLICE("https://пример.рф/"), SLICE("https://xn--e1afmkfd.xn--p1ai/")),
	GIVES("Japanese", SLICE("https://例え.テスト/"), SLICE("https://xn--r8jz45g.xn--zckzah/")),
	GIVES("Chinese", SLICE("https://例子.中国/"), SLICE("https://xn--fsqu00a.xn--fiqs8s/")),
	GIVES("Hebrew", SLICE("https://\327\220\327\221\327\222.example/"),
		SLICE("https://xn--4dbcd.example/")),
	GIVES("Arabic", SLICE("https://\331\205\330\253\330\247\331\204.example/"),
		SLICE("https://xn--mgbh0fb.example/")),
	GIVES("Thai", SLICE("https://ต\340\270\261วอย\340\271\210าง.example/"),
		SLICE("https://xn--72c1a1bt4awk9o.example/")),
	GIVES("Korean", SLICE("https://예.example/"), SLICE("https://xn--2j5b.example/")),
	GIVES("Hindi", SLICE("https://उद\340\244\276हरण.example/"),
		SLICE("https://xn--p1b6ci4b4b3a.example/")),
	GIVES("umlaut and port", SLICE("https://bücher.example:8080/x"),
		SLICE("https://xn--bcher-kva.example:8080/x")),
	GIVES("umlaut and root dot", SLICE("https://bücher.example./"),
		SLICE("https://xn--bcher-kva.example./")),
	GIVES("umlaut and query", SLICE("https://bücher.example?x"),
		SLICE("https://xn--bcher-kva.example?x")),
	GIVES("umlaut and underscore", SLICE("https://bü_cher.example/"),
		SLICE("https://xn--b_cher-3ya.example/")),
	GIVES("umlaut beside punycode", SLICE("https://xn--bcher-kva.bücher.example/"),
		SLICE("https://xn--bcher-kva.xn--bcher-kva.example/")),
	GIVES("ideographic dot", SLICE("https://a。example/"), SLICE("https://a.example/")),
	GIVES("fullwidth dot", SLICE("https://a．example/"), SLICE("https://a.example/")),
	GIVES("halfwidth dot", SLICE("https://a｡example/"), SLICE("https://a.example/")),
	GIVES("fullwidth letters", SLICE("https://ａｂ.example/"), SLICE("https://ab.example/")),
	GIVES("soft hyphen", SLICE("https://a\302\255b.example/"), SLICE("https://ab.example/")),
	GIVES("ligature", SLICE("https://ﬀ.example/"), SLICE("https://ff.example/")),
	GIVES("roman numeral", SLICE("https://Ⅷ.example/"), SLICE("https://viii.example/")),
	GIVES("zero width space", SLICE("https://a\342\200\213b.example/"), SLICE("https://ab.example/")),
	GIVES("fullwidth address", SLICE("https://１２７.０.0.1/"), SLICE("https://127.0.0.1/")),
	GIVES("circled digits address", SLICE("https://①②.0.0.1/"), SLICE("https://12.0.0.1/")),
	NOT("fullwidth address too large", SLICE("https://２５６.0.0.1/"), SYNTAX),
	NOT("name that ends in a fullwidth number", SLICE("https://a.１/"), SYNTAX),
	GIVES("encoded umlaut", SLICE("https://b%C3%BCcher.example/"),
		SLICE("https://xn--bcher-kva.example/")),
	GIVES("encoded dot", SLICE("https://a%2eexample/"), SLICE("https://a.example/")),
	GIVES("encoded letter", SLICE("https://%61.example/"), SLICE("https://a.example/")),
	GIVES("encoded capital", SLICE("https://%41.example/"), SLICE("https://a.example/")),
	GIVES("encoded address", SLICE("https://127.%30.0.1/"), SLICE("https://127.0.0.1/")),
	NOT("encoded slash", SLICE("https://a%2fb.example/"), SYNTAX),
	NOT("encoded at", SLICE("https://a%40b.example/"), SYNTAX),
	NOT("encoded colon", SLICE("https://a%3a80/"), SYNTAX),
	NOT("encoded NUL", SLICE("https://a%00.example/"), SYNTAX),
	NOT("encoded space", SLICE("https://a%20b.example/"), SYNTAX),
	NOT("encoded percent", SLICE("https://a%25.example/"), SYNTAX),
	NOT("encoded line break", SLICE("https://a%0d%0a.example/"), SYNTAX),
	NOT("stray percent", SLICE("https://a%.example/"), SYNTAX),
	NOT("percent and junk", SLICE("https://a%zz.example/"), SYNTAX),
	NOT("encoded and not UTF-8", SLICE("https://a%ff.example/"), SYNTAX),
	NOT("encoded bracket", SLICE("https://%5b::1]/"), SYNTAX),
	NOT("fullwidth slash", SLICE("https://a／b.example/"), SYNTAX),
	NOT("fullwidth at", SLICE("https://a＠b.example/"), SYNTAX),
	NOT("fullwidth colon", SLICE("https://a：80/"), SYNTAX),
	NOT("fullwidth question mark", SLICE("https://a？b/"), SYNTAX),
	NOT("fullwidth hash", SLICE("https://a＃b/"), SYNTAX),
	NOT("fullwidth percent", SLICE("https://a％b/"), SYNTAX),
	NOT("fullwidth backslash", SLICE("https://a＼b/"), SYNTAX),
	NOT("account of, a slash within", SLICE("https://℀.example/"), SYNTAX),
	NOT("division sign that looks like a slash", SLICE("https://a∕b.example/"), SYNTAX),
	NOT("only a soft hyphen", SLICE("https://\302\255/"), SYNTAX),
	NOT("only ignored bytes", SLICE("https://\302\255\342\200\213/"), SYNTAX),
	NOT("right-to-left override", SLICE("https://a\342\200\256b.example/"), SYNTAX),
	NOT("mixed directions", SLICE("https://\327\220a.example/"), SYNTAX),
	NOT("zero width joiner", SLICE("https://a\342\200\215b.example/"), SYNTAX),
	NOT("bad punycode beside an umlaut", SLICE("https://xn--a.bü/"), SYNTAX),
	NOT("not UTF-8 in the host", SLICE("https://b\374cher.example/"), SYNTAX),
	NOT("surrogate in the host", SLICE("https://a\355\240\200.example/"), SYNTAX),
	NOT("private use", SLICE("https://a\356\200\200.example/"), SYNTAX),
	NOT("noncharacter in the host", SLICE("https://a\357\277\277.example/"), SYNTAX),
	NOT("line separator in the host", SLICE("https://a\342\200\250b.example/"), SYNTAX),
	NOT("no-break space in the host", SLICE("https://a\302\240b.example/"), SYNTAX),
	NOT("long label beyond ASCII",
		SLICE("https://üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü.example/"),
		SYNTAX),
	NOT("emoji, which IDNA 2008 forbids", SLICE("https://❤.example/"), SYNTAX),
	NOT("hyphens beside an umlaut", SLICE("https://-ü.example/"), SYNTAX),
	/* other hosts that are none */
	NOT("no host", SLICE("https://"), SYNTAX),
	NOT("no host, path", SLICE("https:///x"), SYNTAX),
	NOT("no host, query", SLICE("https://?x"), SYNTAX),
	NOT("no host, fragment", SLICE("https://#x"), SYNTAX),
	NOT("no host, port", SLICE("https://:80/"), SYNTAX),
	NOT("many slashes", SLICE("https://////a.example/"), SYNTAX),
	NOT("space", SLICE("https://a b.example/"), SYNTAX),
	NOT("control", SLICE("https://a\001b.example/"), SYNTAX),
	NOT("delete", SLICE("https://a\177b.example/"), SYNTAX),
	NOT("less-than", SLICE("https://a<b.example/"), SYNTAX),
	NOT("greater-than", SLICE("https://a>b.example/"), SYNTAX),
	NOT("caret", SLICE("https://a^b.example/"), SYNTAX),
	NOT("pipe", SLICE("https://a|b.example/"), SYNTAX),
	NOT("closing bracket", SLICE("https://a]b.example/"), SYNTAX),
	NOT("opening bracket", SLICE("https://a[b.example/"), SYNTAX),
	NOT("NUL", SLICE("https://a\000b.example/"), SYNTAX),
	NOT("port too large", SLICE("https://a.example:65536/"), SYNTAX),
	NOT("port huge", SLICE("https://a.example:99999999999/"), SYNTAX),
	NOT("port with a letter", SLICE("https://a.example:8a/"), SYNTAX),
	NOT("port negative", SLICE("https://a.example:-1/"), SYNTAX),
	NOT("port with a plus", SLICE("https://a.example:+80/"), SYNTAX),
	NOT("two ports", SLICE("https://a.example:80:80/"), SYNTAX),
	NOT("port with a space", SLICE("https://a.example: 80/"), SYNTAX),
	NOT("port non-ASCII", SLICE("https://a.example:８/"), SYNTAX),
	NOT("port encoded", SLICE("https://a.example:%38/"), SYNTAX),
	/* user information */
	NOT("user", SLICE("https://u@a.example/"), SYNTAX),
	NOT("user and password", SLICE("https://u:p@a.example/"), SYNTAX),
	NOT("empty user", SLICE("https://@a.example/"), SYNTAX),
	NOT("empty user and password", SLICE("https://:@a.example/"), SYNTAX),
	NOT("looks like another host", SLICE("https://bank.example@a.example/"), SYNTAX),
	NOT("two ats", SLICE("https://a@b@c.example/"), SYNTAX),
	NOT("at at the end", SLICE("https://a.example@"), SYNTAX),
	NOT("encoded user", SLICE("https://u%40b@a.example/"), SYNTAX),
	NOT("port-like password", SLICE("https://a.example:443@b.example/"), SYNTAX),
	SAME("at behind a query is none", SLICE("https://a.example?@b.example")),
	SAME("at behind a fragment is none", SLICE("https://a.example#@b.example")),
	SAME("at in the path is none", SLICE("https://a.example/@b.example")),
	/* schemes */
	NOT("nothing", SLICE(""), SCHEME),
	NOT("only spaces", SLICE("  "), SCHEME),
	NOT("fragment", SLICE("#top"), SCHEME),
	NOT("relative", SLICE("x.html"), SCHEME),
	NOT("absolute path", SLICE("/x"), SCHEME),
	NOT("scheme-relative", SLICE("//a.example/x"), SCHEME),
	NOT("query", SLICE("?x"), SCHEME),
	NOT("no scheme", SLICE("www.a.example/x"), SCHEME),
	NOT("host and port", SLICE("a.example:80/x"), SCHEME),
	NOT("mailto", SLICE("mailto:a@b.example"), SCHEME),
	NOT("tel", SLICE("tel:+123"), SCHEME),
	NOT("sms", SLICE("sms:+123"), SCHEME),
	NOT("cid", SLICE("cid:a"), SCHEME),
	NOT("data", SLICE("data:text/html,x"), SCHEME),
	NOT("javascript", SLICE("javascript:alert(1)"), SCHEME),
	NOT("javascript in disguise", SLICE("java\tscript:alert(1)"), SCHEME),
	NOT("vbscript", SLICE("vbscript:x"), SCHEME),
	NOT("ftp", SLICE("ftp://a.example/"), SCHEME),
	NOT("file", SLICE("file:///etc/passwd"), SCHEME),
	NOT("blob", SLICE("blob:https://a.example/x"), SCHEME),
	NOT("whatsapp", SLICE("whatsapp://send?text=x"), SCHEME),
	NOT("view-source", SLICE("view-source:https://a.example/"), SCHEME),
	NOT("httpx", SLICE("httpx://a.example/"), SCHEME),
	NOT("https and s", SLICE("httpss://a.example/"), SCHEME),
	NOT("htt", SLICE("htt://a.example/"), SCHEME),
	NOT("http and plus", SLICE("http+unix://a.example/"), SCHEME),
	NOT("space in the scheme", SLICE("ht tps://a.example/"), SCHEME),
	NOT("digit first", SLICE("1http://a.example/"), SCHEME),
	NOT("colon first", SLICE("://a.example/"), SCHEME),
	NOT("encoded colon", SLICE("https%3a//a.example/"), SCHEME),
	NOT("merge tag", SLICE("{{ unsubscribe }}"), SCHEME),
	NOT("non-ASCII scheme", SLICE("httpſ://a.example/"), SCHEME),
	NOT("no slashes", SLICE("https:a.example/x"), SYNTAX),
	NOT("one slash", SLICE("https:/a.example/x"), SYNTAX),
	NOT("scheme alone", SLICE("https:"), SYNTAX),
	NOT("scheme and one slash", SLICE("http:/"), SYNTAX),
};

static void locations(void **state)
{
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].in);

		buf_init(&out, CAP);
		buf_str(&out, "Location: ");
		test_numbers_equal(rows[i].name, url_location(in, &out), rows[i].rc);
		test_slices_equal(rows[i].name, slice_from(buf_slice(&out), 10), rows[i].want);
		test_unguard(in);
		buf_free(&out);
	}
}

/* Its own output is not changed, and a web URL is what has a location. */
static void locations_stay_as_they_are(void **state)
{
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (rows[i].rc)
			continue;
		buf_init(&out, CAP);
		assert_int_equal(url_location(rows[i].want, &out), 0);
		test_slices_equal(rows[i].name, buf_slice(&out), rows[i].want);
		assert_true(url_is_web(rows[i].want));
		buf_free(&out);
	}
}

/* Cut off anywhere: refused, or fit for a header. */
static void every_prefix_is_fit_for_a_header(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, CAP);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (size_t n = 0; n < rows[i].in.len; n++) {
			slice in = test_guard(slice_sub(rows[i].in, 0, n));

			buf_clear(&out);
			if (url_location(in, &out) < 0)
				assert_int_equal(out.len, 0);
			for (size_t k = 0; k < out.len; k++)
				assert_true(out.p[k] > 0x20 && out.p[k] < 0x7f);
			test_unguard(in);
		}
	}
	buf_free(&out);
}

static void caps(void **state)
{
	uint8_t url[8 + URL_MAX_HOST + 2];
	struct buf out;

	(void)state;
	memcpy(url, "https://", 8);
	memset(url + 8, 'a', URL_MAX_HOST + 1);
	buf_init(&out, CAP);
	assert_int_equal(url_location(slice_of(url, 8 + URL_MAX_HOST), &out), 0);
	buf_clear(&out);
	assert_int_equal(url_location(slice_of(url, 8 + URL_MAX_HOST + 1), &out), -REFUSE_SYNTAX);
	url[8] = 0xc3; /* the same for a host that is mapped */
	url[9] = 0xbc;
	assert_int_equal(url_location(slice_of(url, 8 + URL_MAX_HOST + 1), &out), -REFUSE_SYNTAX);
	memcpy(url + 8, "%61", 3);
	memset(url + 11, 'a', URL_MAX_HOST - 2);
	assert_int_equal(url_location(slice_of(url, 8 + URL_MAX_HOST + 1), &out), -REFUSE_SYNTAX);
	buf_free(&out);

	/* Never half a URL: out is as it was. */
	buf_init(&out, 20);
	buf_str(&out, "x: ");
	assert_int_equal(url_location(SLICE("https://a.example/"), &out), -REFUSE_TOO_LARGE);
	test_slices_equal("full", buf_slice(&out), SLICE("x: "));
	buf_free(&out);
}

static void strips(void **state)
{
	static const struct {
		const char *name;
		slice in, want;
	} strip[] = {
		{"nothing", SLICE(""), SLICE("")},
		{"only what goes", SLICE(" \t\r\n\0\037"), SLICE("")},
		{"nothing to do", SLICE("https://a.example/x"), SLICE("https://a.example/x")},
		{"both ends", SLICE(" \0\037a\001 "), SLICE("a")},
		{"inside", SLICE("\ta\r\n\tb\rc\n"), SLICE("abc")},
		{"inner spaces and controls stay", SLICE(" a  b\001c "), SLICE("a  b\001c")},
		{"space behind a line break", SLICE(" https://a.example/a\r\n  b "),
			SLICE("https://a.example/a  b")},
		{"delete stays", SLICE("a\177"), SLICE("a\177")},
		{"no-break space stays", SLICE("\302\240a"), SLICE("\302\240a")},
	};
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof strip / sizeof *strip; i++) {
		slice in = test_guard(strip[i].in);

		buf_init(&out, CAP);
		buf_byte(&out, '|');
		url_strip(in, &out);
		test_slices_equal(strip[i].name, slice_from(buf_slice(&out), 1), strip[i].want);
		test_unguard(in);
		buf_free(&out);
	}
}

static void parts(void **state)
{
	static const struct {
		const char *name;
		slice in, scheme, host;
	} part[] = {
		{"nothing", SLICE(""), SLICE(""), SLICE("")},
		{"plain", SLICE("https://a.example/x"), SLICE("https"), SLICE("a.example")},
		{"capitals", SLICE("HTTP://A.Example"), SLICE("HTTP"), SLICE("A.Example")},
		{"port", SLICE("https://a.example:80/"), SLICE("https"), SLICE("a.example")},
		{"user", SLICE("https://u:p@a.example:80/"), SLICE("https"), SLICE("a.example")},
		{"two users", SLICE("https://u@v@a.example"), SLICE("https"), SLICE("a.example")},
		{"at behind the path", SLICE("https://a.example/@b"), SLICE("https"), SLICE("a.example")},
		{"query", SLICE("https://a.example?b"), SLICE("https"), SLICE("a.example")},
		{"fragment", SLICE("https://a.example#b"), SLICE("https"), SLICE("a.example")},
		{"backslash ends the host", SLICE("https://a.example\\@b"), SLICE("https"),
			SLICE("a.example")},
		{"IPv6", SLICE("https://[::1]:80/"), SLICE("https"), SLICE("[::1]")},
		{"IPv6 with user", SLICE("https://u@[::1]"), SLICE("https"), SLICE("[::1]")},
		{"IPv6 never closed", SLICE("https://[::1"), SLICE("https"), SLICE("[::1")},
		{"beyond ASCII", SLICE("https://bücher.example/"), SLICE("https"), SLICE("bücher.example")},
		{"no host", SLICE("https://"), SLICE("https"), SLICE("")},
		{"only a user", SLICE("https://u@/"), SLICE("https"), SLICE("")},
		{"only a port", SLICE("https://:80"), SLICE("https"), SLICE("")},
		{"three slashes", SLICE("https:///a.example"), SLICE("https"), SLICE("")},
		{"one slash", SLICE("https:/a.example"), SLICE("https"), SLICE("")},
		{"no slash", SLICE("https:a.example"), SLICE("https"), SLICE("")},
		{"scheme alone", SLICE("https:"), SLICE("https"), SLICE("")},
		{"not yet a scheme", SLICE("https"), SLICE(""), SLICE("")},
		{"other scheme", SLICE("mailto:a@b.example"), SLICE("mailto"), SLICE("")},
		{"other scheme with host", SLICE("ftp://a.example/"), SLICE("ftp"), SLICE("")},
		{"odd scheme", SLICE("a+b-c.1:x"), SLICE("a+b-c.1"), SLICE("")},
		{"scheme-relative", SLICE("//a.example/x"), SLICE(""), SLICE("")},
		{"colon in the path", SLICE("/a:b"), SLICE(""), SLICE("")},
		{"digit first", SLICE("1a:b"), SLICE(""), SLICE("")},
		{"fragment alone", SLICE("#a:b"), SLICE(""), SLICE("")},
		{"space in the scheme", SLICE("ht tp://a"), SLICE(""), SLICE("")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
		slice in = test_guard(part[i].in);

		test_slices_equal(part[i].name, url_scheme(in), part[i].scheme);
		test_slices_equal(part[i].name, url_host(in), part[i].host);
		test_numbers_equal(part[i].name, url_is_web(in), part[i].host.len > 0);
		test_unguard(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locations),
		cmocka_unit_test(locations_stay_as_they_are),
		cmocka_unit_test(every_prefix_is_fit_for_a_header),
		cmocka_unit_test(caps),
		cmocka_unit_test(strips),
		cmocka_unit_test(parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
