#include "tests/testing.h"

#include "tracker/client_address.h"

#include <string.h>

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
	struct ip_networks trusted;
	slice word;

	(void)state;
	assert_int_equal(ip_networks_decode(SLICE("10.0.0.0/8"), &trusted, &word), 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct ip peer, want, got;
		size_t count = rows[i].forwarded[1].len ? 2 : rows[i].forwarded[0].len ? 1 : 0;

		assert_int_equal(ip_decode(slice_str(rows[i].peer), &peer), 0);
		assert_int_equal(ip_decode(slice_str(rows[i].want), &want), 0);
		got = client_address_of(&trusted, &peer, rows[i].forwarded, count);
		if (memcmp(&got, &want, sizeof got) != 0)
			fail_msg("%s: another address", rows[i].name);
	}
}

static void test_hops_are_bounded(void **state)
{
	char text[(CLIENT_MAX_HOPS + 2) * 9 + 16] = "198.51.100.1";
	struct ip_networks trusted;
	struct ip peer, got, far;
	slice word, forwarded;

	(void)state;
	for (int i = 0; i < CLIENT_MAX_HOPS + 1; i++)
		strcat(text, ",10.0.0.2");
	assert_int_equal(ip_networks_decode(SLICE("10.0.0.0/8"), &trusted, &word), 0);
	ip_decode(SLICE("10.0.0.1"), &peer);
	ip_decode(SLICE("198.51.100.1"), &far);
	forwarded = slice_str(text);
	got = client_address_of(&trusted, &peer, &forwarded, 1);
	assert_true(memcmp(&got, &far, sizeof got) != 0);
	assert_true(ip_networks_have(&trusted, &got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of),
		cmocka_unit_test(test_hops_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
