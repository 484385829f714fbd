#include "tests/testing.h"

#include "core/base/refuse.h"
#include "core/parse/ip.h"

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
		struct ip got, want;
		uint8_t oracle[16];
		int rc = ip_decode(s, &got);
		bool ok = inet_pton(colon ? AF_INET6 : AF_INET, texts[i], oracle) == 1;

		test_unguard(s);
		test_numbers_equal(texts[i], rc, ok ? 0 : -REFUSE_SYNTAX);
		if (!ok)
			continue;
		if (colon)
			memcpy(want.byte, oracle, 16);
		else
			want = ip_v4(oracle);
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
		struct ip_networks n;
		slice word = SLICE("");

		test_numbers_equal(rows[i].name, ip_networks_decode(rows[i].text, &n, &word), rows[i].rc);
		test_numbers_equal(rows[i].name, n.count, rows[i].count);
		test_slices_equal(rows[i].name, word, rows[i].word);
	}
}

static void test_too_many_networks(void **state)
{
	char text[(IP_MAX_NETWORKS + 1) * 4 + 1] = "";
	struct ip_networks n;
	slice word;

	(void)state;
	for (int i = 0; i < IP_MAX_NETWORKS; i++)
		strcat(text, "::1 ");
	assert_int_equal(ip_networks_decode(slice_str(text), &n, &word), 0);
	strcat(text, "::2 ");
	assert_int_equal(ip_networks_decode(slice_str(text), &n, &word), -REFUSE_RANGE);
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
		struct ip_networks n;
		struct ip a;
		slice word;

		assert_int_equal(ip_networks_decode(slice_str(rows[i].network), &n, &word), 0);
		assert_int_equal(ip_decode(slice_str(rows[i].address), &a), 0);
		test_numbers_equal(rows[i].network, ip_networks_have(&n, &a), rows[i].want);
	}
}

/* As inet_ntop writes them, but for IPv4 in other clothes. */
static void test_texts(void **state)
{
	static const struct {
		const char *in, *want;
	} rows[] = {
		{"1.2.3.4", "1.2.3.4"},
		{"0.0.0.0", "0.0.0.0"},
		{"::ffff:1.2.3.4", "1.2.3.4"},
		{"::", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
		{"0:0:1:2:3:4:0:0", "::1:2:3:4:0:0"},
		{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
		{"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
		{"::1.2.3.4", "::102:304"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct ip a, again;
		struct buf out;

		buf_init(&out, IP_MAX_TEXT);
		assert_int_equal(ip_decode(slice_str(rows[i].in), &a), 0);
		ip_encode(&a, &out);
		test_slices_equal(rows[i].in, buf_slice(&out), slice_str(rows[i].want));
		assert_int_equal(ip_decode(buf_slice(&out), &again), 0);
		assert_memory_equal(&a, &again, sizeof a);
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_too_many_networks),
		cmocka_unit_test(test_membership),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
