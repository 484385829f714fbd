#include "tests/testing.h"

#include "core/model/provider.h"

static const struct {
	const char *domain;
	enum provider want;
} rows[] = {
	{"gmail.com", PROVIDER_GMAIL},
	{"googlemail.com", PROVIDER_GMAIL},
	{"GMail.COM", PROVIDER_GMAIL},
	{"gmail.com.", PROVIDER_GMAIL},
	{"gmail.com..", PROVIDER_OTHER},
	{"gmail.co", PROVIDER_OTHER},
	{"mail.gmail.com", PROVIDER_OTHER},
	{"xgmail.com", PROVIDER_OTHER},
	{"gmail", PROVIDER_OTHER},
	{"outlook.com", PROVIDER_MICROSOFT},
	{"outlook.fr", PROVIDER_MICROSOFT},
	{"outlook.com.br", PROVIDER_MICROSOFT},
	{"hotmail.com", PROVIDER_MICROSOFT},
	{"hotmail.co.uk", PROVIDER_MICROSOFT},
	{"Hotmail.De", PROVIDER_MICROSOFT},
	{"live.com", PROVIDER_MICROSOFT},
	{"live.nl", PROVIDER_MICROSOFT},
	{"live.com.mx", PROVIDER_MICROSOFT},
	{"msn.com", PROVIDER_MICROSOFT},
	{"windowslive.com", PROVIDER_MICROSOFT},
	{"hotmail.com.evil.example", PROVIDER_OTHER},
	{"hotmail.evil.de", PROVIDER_OTHER},
	{"hotmail.example", PROVIDER_OTHER},
	{"x.hotmail.com", PROVIDER_OTHER},
	{"hotmail.c0m", PROVIDER_OTHER},
	{"hotmail.", PROVIDER_OTHER},
	{"hotmail", PROVIDER_OTHER},
	{"yahoo.com", PROVIDER_YAHOO},
	{"yahoo.co.in", PROVIDER_YAHOO},
	{"yahoo.fr", PROVIDER_YAHOO},
	{"ymail.com", PROVIDER_YAHOO},
	{"rocketmail.com", PROVIDER_YAHOO},
	{"aol.com", PROVIDER_YAHOO},
	{"aim.com", PROVIDER_YAHOO},
	{"yahoo.co.jp", PROVIDER_OTHER},
	{"icloud.com", PROVIDER_APPLE},
	{"me.com", PROVIDER_APPLE},
	{"mac.com", PROVIDER_APPLE},
	{"gmx.de", PROVIDER_GMX},
	{"gmx.net", PROVIDER_GMX},
	{"gmx.co.uk", PROVIDER_GMX},
	{"web.de", PROVIDER_GMX},
	{"comcast.net", PROVIDER_COMCAST},
	{"orange.fr", PROVIDER_ORANGE},
	{"wanadoo.fr", PROVIDER_ORANGE},
	{"mail.ru", PROVIDER_MAILRU},
	{"bk.ru", PROVIDER_MAILRU},
	{"qq.com", PROVIDER_QQ},
	{"foxmail.com", PROVIDER_QQ},
	{"pm.me", PROVIDER_PROTON},
	{"protonmail.com", PROVIDER_PROTON},
	{"zoho.com", PROVIDER_ZOHO},
	{"fastmail.fm", PROVIDER_FASTMAIL},
	{"yandex.ru", PROVIDER_YANDEX},
	{"ya.ru", PROVIDER_YANDEX},
	{"163.com", PROVIDER_NETEASE},
	{"126.com", PROVIDER_NETEASE},
	{"free.fr", PROVIDER_FREE},
	{"libero.it", PROVIDER_LIBERO},
	{"t-online.de", PROVIDER_TONLINE},
	{"att.net", PROVIDER_ATT},
	{"sbcglobal.net", PROVIDER_ATT},
	{"verizon.net", PROVIDER_VERIZON},
	{"naver.com", PROVIDER_NAVER},
	{"seznam.cz", PROVIDER_SEZNAM},
	{"wp.pl", PROVIDER_WP},
	{"o2.pl", PROVIDER_WP},
	{"", PROVIDER_OTHER},
	{".", PROVIDER_OTHER},
	{"example.org", PROVIDER_OTHER},
	{"a-very-long-domain-name-that-no-provider-has.and-more-of-it.and-more.example", PROVIDER_OTHER},
};

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(slice_str(rows[i].domain));

		test_numbers_equal(rows[i].domain, provider_of(in), rows[i].want);
		test_unguard(in);
	}
}

static void words(void **state)
{
	(void)state;
	assert_string_equal(provider_word(PROVIDER_OTHER), "other");
	assert_string_equal(provider_word(PROVIDER_WP), "wp");
	assert_string_equal(provider_word(PROVIDER_COUNT), "unknown");
	for (unsigned i = 0; i < PROVIDER_COUNT; i++)
		assert_non_null(provider_word(i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
