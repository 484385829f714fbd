#include "core/model/provider.h"

#include "core/base/must.h"

#include <string.h>

#define MAX_DOMAIN 64 /* no name below is near to it */

static const struct row {
	const char *domain; /* lower case */
	uint8_t provider;
} rows[] = {
#define D(provider, domain) {domain, PROVIDER_##provider},
	/* clang-format off */
	D(GMAIL, "gmail.com") D(GMAIL, "googlemail.com")
	D(MICROSOFT, "msn.com") D(MICROSOFT, "windowslive.com") D(MICROSOFT, "passport.com")
	D(MICROSOFT, "livemail.tw") D(MICROSOFT, "webtv.net")
	D(YAHOO, "ymail.com") D(YAHOO, "rocketmail.com") D(YAHOO, "myyahoo.com")
	D(YAHOO, "aol.com") D(YAHOO, "aim.com") D(YAHOO, "aol.co.uk") D(YAHOO, "aol.de")
	D(YAHOO, "aol.fr") D(YAHOO, "aol.it") D(YAHOO, "aol.es") D(YAHOO, "aol.nl")
	D(YAHOO, "aol.jp") D(YAHOO, "aol.se") D(YAHOO, "aol.com.br") D(YAHOO, "aol.com.mx")
	D(YAHOO, "aol.com.ar") D(YAHOO, "aol.com.au") D(YAHOO, "netscape.net") D(YAHOO, "cs.com")
	D(YAHOO, "compuserve.com") D(YAHOO, "love.com") D(YAHOO, "games.com") D(YAHOO, "wow.com")
	D(YAHOO, "yahoogroups.com") D(OTHER, "yahoo.co.jp") /* another company */
	D(APPLE, "icloud.com") D(APPLE, "me.com") D(APPLE, "mac.com") D(APPLE, "privaterelay.appleid.com")
	D(GMX, "web.de") D(GMX, "email.de") D(GMX, "mail.com") D(GMX, "caramail.com")
	D(COMCAST, "comcast.net") D(COMCAST, "xfinity.com")
	D(ORANGE, "orange.fr") D(ORANGE, "wanadoo.fr") D(ORANGE, "voila.fr") D(ORANGE, "orange.com")
	D(MAILRU, "mail.ru") D(MAILRU, "bk.ru") D(MAILRU, "list.ru") D(MAILRU, "inbox.ru")
	D(MAILRU, "internet.ru") D(MAILRU, "mail.ua") D(MAILRU, "xmail.ru")
	D(QQ, "qq.com") D(QQ, "foxmail.com") D(QQ, "vip.qq.com")
	D(PROTON, "proton.me") D(PROTON, "protonmail.com") D(PROTON, "protonmail.ch") D(PROTON, "pm.me")
	D(ZOHO, "zoho.com") D(ZOHO, "zohomail.com") D(ZOHO, "zoho.eu") D(ZOHO, "zoho.in")
	D(ZOHO, "zohomail.eu") D(ZOHO, "zohomail.in")
	D(FASTMAIL, "fastmail.com") D(FASTMAIL, "fastmail.fm") D(FASTMAIL, "fastmail.net")
	D(FASTMAIL, "fastmail.org") D(FASTMAIL, "fastmail.co.uk") D(FASTMAIL, "fastmail.de")
	D(FASTMAIL, "fastmail.us") D(FASTMAIL, "messagingengine.com") D(FASTMAIL, "sent.com")
	D(FASTMAIL, "123mail.org") D(FASTMAIL, "mailbolt.com")
	D(YANDEX, "yandex.ru") D(YANDEX, "ya.ru") D(YANDEX, "yandex.com") D(YANDEX, "yandex.ua")
	D(YANDEX, "yandex.by") D(YANDEX, "yandex.kz") D(YANDEX, "yandex.com.tr") D(YANDEX, "narod.ru")
	D(YANDEX, "yandex.uz") D(YANDEX, "yandex.com.am") D(YANDEX, "yandex.com.ge") D(YANDEX, "yandex.az")
	D(NETEASE, "163.com") D(NETEASE, "126.com") D(NETEASE, "yeah.net") D(NETEASE, "188.com")
	D(NETEASE, "vip.163.com") D(NETEASE, "vip.126.com") D(NETEASE, "netease.com")
	D(FREE, "free.fr") D(FREE, "freesbee.fr") D(FREE, "libertysurf.fr") D(FREE, "worldonline.fr")
	D(FREE, "online.fr") D(FREE, "alicepro.fr") D(FREE, "aliceadsl.fr") D(FREE, "infonie.fr")
	D(LIBERO, "libero.it") D(LIBERO, "virgilio.it") D(LIBERO, "inwind.it") D(LIBERO, "iol.it")
	D(LIBERO, "blu.it") D(LIBERO, "giallo.it")
	D(TONLINE, "t-online.de") D(TONLINE, "magenta.de")
	D(ATT, "att.net") D(ATT, "bellsouth.net") D(ATT, "sbcglobal.net") D(ATT, "pacbell.net")
	D(ATT, "ameritech.net") D(ATT, "swbell.net") D(ATT, "prodigy.net") D(ATT, "snet.net")
	D(ATT, "flash.net") D(ATT, "nvbell.net") D(ATT, "wans.net") D(ATT, "currently.com")
	D(ATT, "worldnet.att.net")
	D(VERIZON, "verizon.net") D(VERIZON, "bellatlantic.net") D(VERIZON, "gte.net")
	D(NAVER, "naver.com")
	D(SEZNAM, "seznam.cz") D(SEZNAM, "email.cz") D(SEZNAM, "post.cz") D(SEZNAM, "spoluzaci.cz")
	D(SEZNAM, "stream.cz") D(SEZNAM, "firmy.cz")
	D(WP, "wp.pl") D(WP, "o2.pl") D(WP, "tlen.pl") D(WP, "go2.pl") D(WP, "prokonto.pl")
/* clang-format on */
#undef D
};

/* Names that their owner holds in all countries: NAME.fr, NAME.co.uk, ... */
static const struct row everywhere[] = {
	{"outlook", PROVIDER_MICROSOFT},
	{"hotmail", PROVIDER_MICROSOFT},
	{"live", PROVIDER_MICROSOFT},
	{"yahoo", PROVIDER_YAHOO},
	{"gmx", PROVIDER_GMX},
};

/* Open addressing: row number + 1, filled before main, constant after. */
#define SLOTS 512
static uint8_t slot[SLOTS];
_Static_assert(
	sizeof rows / sizeof *rows < 255 && sizeof rows / sizeof *rows < SLOTS / 2, "sparse, one byte a row");

static unsigned hash(slice lower)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < lower.len; i++)
		h = (h ^ lower.p[i]) * 16777619u;
	return (h ^ h >> 15) % SLOTS;
}

static const struct row *find(slice lower, unsigned *free_slot)
{
	unsigned at = hash(lower);

	for (; slot[at]; at = (at + 1) % SLOTS)
		if (slice_eq(slice_str(rows[slot[at] - 1].domain), lower))
			return &rows[slot[at] - 1];
	*free_slot = at;
	return NULL;
}

__attribute__((constructor)) static void fill(void)
{
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		unsigned at = 0;

		must(!find(slice_str(rows[i].domain), &at)); /* a domain has one provider */
		slot[at] = (uint8_t)(i + 1);
	}
}

static bool letters(slice s, size_t least, size_t most)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_alpha(s.p[i]))
			return false;
	return s.len >= least && s.len <= most;
}

/* "com", "fr", "co.uk", "com.br": what countries sell names under. */
static bool is_suffix(slice s)
{
	size_t dot = slice_chr(s, '.', 0);

	if (dot == SLICE_NPOS)
		return letters(s, 2, 3);
	return letters(slice_sub(s, 0, dot), 2, 3) && letters(slice_from(s, dot + 1), 2, 2);
}

enum provider provider_of(slice domain)
{
	uint8_t room[MAX_DOMAIN];
	const struct row *r;
	slice lower, name;
	unsigned unused;
	size_t dot;

	if (domain.len && domain.p[domain.len - 1] == '.')
		domain = slice_sub(domain, 0, domain.len - 1);
	if (domain.len > MAX_DOMAIN)
		return PROVIDER_OTHER;
	for (size_t i = 0; i < domain.len; i++)
		room[i] = ascii_lower(domain.p[i]);
	lower = slice_of(room, domain.len);
	r = find(lower, &unused);
	if (r)
		return (enum provider)r->provider;
	dot = slice_chr(lower, '.', 0);
	if (dot == SLICE_NPOS || !is_suffix(slice_from(lower, dot + 1)))
		return PROVIDER_OTHER;
	name = slice_sub(lower, 0, dot);
	for (size_t i = 0; i < sizeof everywhere / sizeof *everywhere; i++)
		if (slice_eq(name, slice_str(everywhere[i].domain)))
			return (enum provider)everywhere[i].provider;
	return PROVIDER_OTHER;
}

const char *provider_word(unsigned p)
{
	static const char *const words[PROVIDER_COUNT] = {
#define X(name, n, word) [n] = word,
		PROVIDER_LIST(X)
#undef X
	};

	return p < PROVIDER_COUNT ? words[p] : "unknown";
}
