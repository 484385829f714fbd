#include "core/parse/url.h"

#include "core/base/refuse.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <string.h>

void url_strip(slice raw, struct buf *out)
{
	size_t from = 0, to = raw.len;

	while (from < to && raw.p[from] <= ' ')
		from++;
	while (to > from && raw.p[to - 1] <= ' ')
		to--;
	while (from < to) {
		size_t i = from;

		while (i < to && raw.p[i] != '\t' && raw.p[i] != '\r' && raw.p[i] != '\n')
			i++;
		buf_put(out, slice_sub(raw, from, i));
		from = i + 1;
	}
}

slice url_scheme(slice url)
{
	size_t i = 0;

	if (!url.len || !ascii_alpha(url.p[0]))
		return SLICE_NONE;
	while (i < url.len &&
		(ascii_alnum(url.p[i]) || url.p[i] == '+' || url.p[i] == '-' || url.p[i] == '.'))
		i++;
	if (i == url.len || url.p[i] != ':')
		return SLICE_NONE;
	return slice_sub(url, 0, i);
}

static bool scheme_is_web(slice scheme)
{
	return slice_ieq(scheme, SLICE("http")) || slice_ieq(scheme, SLICE("https"));
}

/* What stands between "//" and the path; a browser takes a backslash for a '/'.
 * Empty: there is none. */
static slice authority_of(slice url)
{
	slice scheme = url_scheme(url), rest = slice_from(url, scheme.len);
	size_t end = 3;

	if (!scheme_is_web(scheme) || !slice_starts(rest, SLICE("://")))
		return SLICE_NONE;
	while (end < rest.len && !memchr("/\\?#", rest.p[end], 4))
		end++;
	return slice_sub(rest, 3, end);
}

/* Of "host:port", "[v6]:port". */
static slice host_of(slice authority)
{
	size_t end;

	if (slice_starts(authority, SLICE("["))) {
		end = slice_chr(authority, ']', 0);
		return slice_sub(authority, 0, end == SLICE_NPOS ? authority.len : end + 1);
	}
	end = slice_chr(authority, ':', 0);
	return slice_sub(authority, 0, end);
}

slice url_host(slice url)
{
	slice authority = authority_of(url);
	size_t user = slice_rchr(authority, '@');

	return host_of(user == SLICE_NPOS ? authority : slice_from(authority, user + 1));
}

bool url_is_web(slice url)
{
	return url_host(url).len > 0;
}

/* The standard's forbidden domain code points. Other ASCII may stand in a host
 * even if no domain has it. */
static bool has_forbidden(slice host)
{
	for (size_t i = 0; i < host.len; i++)
		if (host.p[i] <= ' ' || host.p[i] == 0x7f || memchr("#%/:<>?@[\\]^|", host.p[i], 13))
			return true;
	return false;
}

static bool has_only(slice s, const char *bytes)
{
	for (size_t i = 0; i < s.len; i++)
		if (!s.p[i] || !strchr(bytes, s.p[i]))
			return false;
	return true;
}

/* The value of a hexadecimal digit, or -1; past the end too. */
static int hex(slice s, size_t i)
{
	uint8_t c = i < s.len ? s.p[i] : 0;

	if (ascii_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "12", "017", "0x1f", "0x": one number of an IPv4 address, in any of the forms
 * that browsers take. Too large ones stop at 2^32. */
static bool ipv4_number(slice s, uint64_t *n)
{
	unsigned base = 10;

	*n = 0;
	if (slice_istarts(s, SLICE("0x"))) {
		base = 16;
		s = slice_from(s, 2);
	} else if (!s.len) {
		return false;
	} else if (s.p[0] == '0') {
		base = 8;
	}
	if (!has_only(s, base == 16 ? "0123456789abcdefABCDEF" : base == 8 ? "01234567" : "0123456789"))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		*n = *n * base + (uint64_t)hex(s, i);
		if (*n > UINT32_MAX)
			*n = (uint64_t)UINT32_MAX + 1;
	}
	return true;
}

/* A host whose last label is a number must be an IPv4 address. True: it is one,
 * or it is a name. */
static bool ipv4_or_name(slice host)
{
	uint64_t n, most = (uint64_t)1 << 32;
	size_t dot, labels = 0;
	slice last;

	if (slice_ends(host, SLICE(".")))
		host.len--;
	dot = slice_rchr(host, '.');
	last = dot == SLICE_NPOS ? host : slice_from(host, dot + 1);
	if (!last.len || (!has_only(last, "0123456789") && !ipv4_number(last, &n)))
		return true;
	while ((dot = slice_chr(host, '.', 0)) != SLICE_NPOS) {
		if (!ipv4_number(slice_sub(host, 0, dot), &n) || n > 255 || ++labels > 3)
			return false;
		host = slice_from(host, dot + 1);
		most >>= 8;
	}
	return ipv4_number(host, &n) && n < most;
}

static bool is_ipv6(slice host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr parsed;

	/* Browsers know no zone ("%eth0"), and inet_pton neither. */
	if (host.len < 4 || host.len - 2 >= sizeof text || !slice_ends(host, SLICE("]")) ||
		memchr(host.p, 0, host.len))
		return false;
	memcpy(text, host.p + 1, host.len - 2);
	text[host.len - 2] = 0;
	return inet_pton(AF_INET6, text, &parsed) == 1;
}

/* A host that has %xx or non-ASCII bytes: decoded, mapped and in punycode. */
static bool put_mapped_host(slice host, struct buf *out)
{
	char plain[URL_MAX_HOST + 1], *ascii = NULL;
	size_t n = 0;
	bool good = false;
	slice got;

	for (size_t i = 0; i < host.len; i++) {
		bool encoded = host.p[i] == '%' && hex(host, i + 1) >= 0 && hex(host, i + 2) >= 0;

		plain[n++] = (char)(encoded ? hex(host, i + 1) << 4 | hex(host, i + 2) : host.p[i]);
		i += encoded ? 2 : 0;
	}
	plain[n] = 0;
	if (has_forbidden(slice_of(plain, n)))
		return false;
	if (idn2_to_ascii_8z(plain, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return false;
	got = slice_str(ascii);
	/* The mapping may give what was not there before: a fullwidth '/' is a '/'. */
	if (got.len && !has_forbidden(got) && ipv4_or_name(got)) {
		buf_put(out, got);
		good = true;
	}
	idn2_free(ascii);
	return good;
}

static bool put_host(slice host, struct buf *out)
{
	bool ascii = true;

	if (!host.len || host.len > URL_MAX_HOST)
		return false;
	for (size_t i = 0; i < host.len; i++)
		ascii = ascii && host.p[i] < 0x80 && host.p[i] != '%';
	if (!ascii)
		return put_mapped_host(host, out);
	if (host.p[0] == '[' ? !is_ipv6(host) : has_forbidden(host) || !ipv4_or_name(host))
		return false;
	buf_put(out, host);
	return true;
}

/* Empty, or ':' and a number below 65536, which may be missing. */
static bool is_port(slice s)
{
	unsigned n = 0;

	if (!s.len)
		return true;
	if (s.p[0] != ':')
		return false;
	for (size_t i = 1; i < s.len; i++) {
		if (!ascii_digit(s.p[i]))
			return false;
		n = n * 10 + (s.p[i] - '0');
		if (n > 65535)
			return false;
	}
	return true;
}

/* Path, query and fragment. */
static void put_rest(slice s, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";
	enum { PATH, QUERY, FRAGMENT } in = PATH;
	static const char *const encoded[] = {[PATH] = "\"<>`{}", [QUERY] = "\"<>", [FRAGMENT] = "\"<>`"};

	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.p[i];

		if (in == PATH && c == '?')
			in = QUERY;
		else if (c == '#')
			in = FRAGMENT;
		if (in == PATH && c == '\\')
			c = '/';
		if (c <= ' ' || c >= 0x7f || strchr(encoded[in], c)) {
			buf_byte(out, '%');
			buf_byte(out, (uint8_t)digits[c >> 4]);
			c = (uint8_t)digits[c & 15];
		}
		buf_byte(out, c);
	}
}

static int put_location(slice url, struct buf *out)
{
	slice authority = authority_of(url), host = host_of(authority), rest;

	if (!scheme_is_web(url_scheme(url)))
		return -REFUSE_SCHEME;
	if (!authority.len)
		return -REFUSE_SYNTAX;
	rest = slice_from(url, url_scheme(url).len + 3 + authority.len);
	/* "https://a.example\@b.example": programs do not agree on its host. User
	 * information needs no check of its own: its '@' is then in what is taken
	 * for the host or the port, and neither may have one. */
	if (slice_starts(rest, SLICE("\\")) || !is_port(slice_from(authority, host.len)))
		return -REFUSE_SYNTAX;
	buf_put(out, slice_sub(url, 0, url_scheme(url).len + 3));
	if (!put_host(host, out))
		return -REFUSE_SYNTAX;
	buf_put(out, slice_from(authority, host.len));
	put_rest(rest, out);
	return out->full ? -REFUSE_TOO_LARGE : 0;
}

int url_location(slice url, struct buf *out)
{
	size_t before = out->len;
	struct buf plain;
	int rc;

	buf_init(&plain, url.len);
	url_strip(url, &plain);
	rc = put_location(buf_slice(&plain), out);
	if (rc < 0)
		out->len = before;
	buf_free(&plain);
	return rc;
}
