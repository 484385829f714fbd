#include "tests/testing.h"

#include "core/base/refuse.h"
#include "tracker/client_address.h"

#include <arpa/inet.h>
#include <string.h>

static void test_addresses(void **state)
{
	static const char *texts[] = {"1.2.3.4", "255.255.255.255", "0.0.0.0", "256.1.1.1", "1.2.3",
		"1.2.3.4.5", "01.2.3.4", "1.2.3.4 ", "", ".", "1..2.3", "::", "::1", "1::", "1:2:3:4:5:6:7:8",
		"1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", ":1", "1:", ":::", "1:::2",
		"12345::", "g::", "::1.2.3.4", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4",
		"1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "1.2.3.4::", "1:2:3:4:5:6:7::", "::1:2:3:4:5:6:7",
		"1::2:3:4:5:6:7", "1:2:3:4:5:6:7:8::", "fe80::1%eth0", "2001:db8::A", "0::0::0",
		"1:2:3:4::5:6:7:8"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		slice s = test_guard(slice_str(texts[i]));
		bool colon = strchr(texts[i], ':') != NULL;
		struct client_address got, want;
		uint8_t oracle[16];
		int rc = client_address_decode(s, &got);
		bool ok = inet_pton(colon ? AF_INET6 : AF_INET, texts[i], oracle) == 1;

		test_unguard(s);
		test_numbers_equal(texts[i], rc, ok ? 0 : -REFUSE_SYNTAX);
		if (!ok)
			continue;
		if (colon)
			memcpy(want.ip, oracle, 16);
		else
			want = client_address_v4(oracle);
		if (memcmp(&got, &want, sizeof got) != 0)
			fail_msg("%s: other bytes", texts[i]);
	}
}

static void test_networks(void **state)
{
	static const struct {
		const char *name;
		slice text;
		int rc;
		unsigned count;
		slice word;
	} rows[] = {
		{"none", SLICE(""), 0, 0, SLICE("")},
		{"only spaces", SLICE("  "), 0, 0, SLICE("")},
		{"two", SLICE("10.0.0.0/8 ::1/128"), 0, 2, SLICE("::1/128")},
		{"commas", SLICE("10.0.0.0/8, 192.0.2.1,::/0"), 0, 3, SLICE("::/0")},
		{"all of IPv4", SLICE("0.0.0.0/0"), 0, 1, SLICE("0.0.0.0/0")},
		{"prefix too long", SLICE("10.0.0.0/33"), -REFUSE_SYNTAX, 0, SLICE("10.0.0.0/33")},
		{"prefix too long for IPv6", SLICE("::/129"), -REFUSE_SYNTAX, 0, SLICE("::/129")},
		{"empty prefix", SLICE("10.0.0.0/"), -REFUSE_SYNTAX, 0, SLICE("10.0.0.0/")},
		{"sign", SLICE("10.0.0.0/+8"), -REFUSE_SYNTAX, 0, SLICE("10.0.0.0/+8")},
		{"bits behind the prefix", SLICE("::1 10.0.0.1/8"), -REFUSE_SYNTAX, 1, SLICE("10.0.0.1/8")},
		{"a name", SLICE("proxy.example"), -REFUSE_SYNTAX, 0, SLICE("proxy.example")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct client_networks n;
		slice word = SLICE("");

		test_numbers_equal(rows[i].name, client_networks_decode(rows[i].text, &n, &word), rows[i].rc);
		test_numbers_equal(rows[i].name, n.count, rows[i].count);
		test_slices_equal(rows[i].name, word, rows[i].word);
	}
}

static void test_too_many_networks(void **state)
{
	char text[(CLIENT_MAX_NETWORKS + 1) * 4 + 1] = "";
	struct client_networks n;
	slice word;

	(void)state;
	for (int i = 0; i < CLIENT_MAX_NETWORKS; i++)
		strcat(text, "::1 ");
	assert_int_equal(client_networks_decode(slice_str(text), &n, &word), 0);
	strcat(text, "::2 ");
	assert_int_equal(client_networks_decode(slice_str(text), &n, &word), -REFUSE_RANGE);
}

static void test_membership(void **state)
{
	static const struct {
		const char *network, *address;
		bool want;
	} rows[] = {
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.1", false},
		{"10.0.0.0/8", "::ffff:10.0.0.1", true},
		{"10.128.0.0/9", "10.127.0.0", false},
		{"10.128.0.0/9", "10.128.0.0", true},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::/33", "2001:db8:7fff::", true},
		{"2001:db8::/33", "2001:db8:8000::", false},
		{"::/0", "1.2.3.4", true},
		{"0.0.0.0/0", "1.2.3.4", true},
		{"0.0.0.0/0", "::1", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct client_networks n;
		struct client_address a;
		slice word;

		assert_int_equal(client_networks_decode(slice_str(rows[i].network), &n, &word), 0);
		assert_int_equal(client_address_decode(slice_str(rows[i].address), &a), 0);
		test_numbers_equal(rows[i].network, client_networks_have(&n, &a), rows[i].want);
	}
}

static void test_of(void **state)
{
	static const struct {
		const char *name, *peer;
		slice forwarded[2];
		const char *want;
	} rows[] = {
		{"no header", "10.0.0.1", {SLICE("")}, "10.0.0.1"},
		{"untrusted peer", "192.0.2.9", {SLICE("198.51.100.1")}, "192.0.2.9"},
		{"one hop", "10.0.0.1", {SLICE("198.51.100.1")}, "198.51.100.1"},
		{"forged from the left", "10.0.0.1", {SLICE("203.0.113.5, 198.51.100.1")}, "198.51.100.1"},
		{"two proxies", "10.0.0.1", {SLICE("198.51.100.1,10.0.0.2")}, "198.51.100.1"},
		{"all trusted", "10.0.0.1", {SLICE("10.0.0.3, 10.0.0.2")}, "10.0.0.3"},
		{"two headers", "10.0.0.1", {SLICE("198.51.100.7"), SLICE("10.0.0.9")}, "198.51.100.7"},
		{"two headers, second decides", "10.0.0.1", {SLICE("198.51.100.7"), SLICE("198.51.100.8")},
			"198.51.100.8"},
		{"port", "10.0.0.1", {SLICE("198.51.100.1:4711")}, "198.51.100.1"},
		{"IPv6", "10.0.0.1", {SLICE("2001:db8::1")}, "2001:db8::1"},
		{"brackets", "10.0.0.1", {SLICE("[2001:db8::1]")}, "2001:db8::1"},
		{"brackets and port", "10.0.0.1", {SLICE("[2001:db8::1]:443")}, "2001:db8::1"},
		{"brackets left open", "10.0.0.1", {SLICE("[2001:db8::1")}, "10.0.0.1"},
		{"brackets around IPv4", "10.0.0.1", {SLICE("[198.51.100.1]")}, "10.0.0.1"},
		{"unknown", "10.0.0.1", {SLICE("198.51.100.1, unknown")}, "10.0.0.1"},
		{"hearsay behind unknown", "10.0.0.1", {SLICE("198.51.100.1, unknown, 10.0.0.2")},
			"10.0.0.2"},
		{"empty hop", "10.0.0.1", {SLICE("198.51.100.1,")}, "10.0.0.1"},
		{"mapped", "::ffff:10.0.0.1", {SLICE("::ffff:198.51.100.1")}, "198.51.100.1"},
	};
	struct client_networks trusted;
	slice word;

	(void)state;
	assert_int_equal(client_networks_decode(SLICE("10.0.0.0/8"), &trusted, &word), 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct client_address peer, want, got;
		size_t count = rows[i].forwarded[1].len ? 2 : rows[i].forwarded[0].len ? 1 : 0;

		assert_int_equal(client_address_decode(slice_str(rows[i].peer), &peer), 0);
		assert_int_equal(client_address_decode(slice_str(rows[i].want), &want), 0);
		got = client_address_of(&trusted, &peer, rows[i].forwarded, count);
		if (memcmp(&got, &want, sizeof got) != 0)
			fail_msg("%s: another address", rows[i].name);
	}
}

static void test_hops_are_bounded(void **state)
{
	char text[(CLIENT_MAX_HOPS + 2) * 9 + 16] = "198.51.100.1";
	struct client_networks trusted;
	struct client_address peer, got, far;
	slice word, forwarded;

	(void)state;
	for (int i = 0; i < CLIENT_MAX_HOPS + 1; i++)
		strcat(text, ",10.0.0.2");
	assert_int_equal(client_networks_decode(SLICE("10.0.0.0/8"), &trusted, &word), 0);
	client_address_decode(SLICE("10.0.0.1"), &peer);
	client_address_decode(SLICE("198.51.100.1"), &far);
	forwarded = slice_str(text);
	got = client_address_of(&trusted, &peer, &forwarded, 1);
	assert_true(memcmp(&got, &far, sizeof got) != 0);
	assert_true(client_networks_have(&trusted, &got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_too_many_networks),
		cmocka_unit_test(test_membership),
		cmocka_unit_test(test_of),
		cmocka_unit_test(test_hops_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
