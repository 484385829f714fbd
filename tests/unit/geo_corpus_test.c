/* MaxMind's test databases against the records they were built from, and their
 * broken ones, which must be refused or answer something but not crash. */
#include "tests/testing.h"

#include "core/parse/json.h"
#include "tracker/geo.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static void compare(const char *corpora, const char *name)
{
	char path[512];
	struct json *doc;
	struct geo *g;
	struct buf why;
	unsigned same = 0;
	bool found;
	slice text;

	buf_init(&why, 4096);
	snprintf(path, sizeof path, "%s/geo-maxmind/mmdb/%s.mmdb", corpora, name);
	assert_int_equal(geo_open(&g, path, "tracker.geo_database", &why), 0);
	snprintf(path, sizeof path, "%s/geo-maxmind/expected/%s.json", corpora, name);
	text = test_file(path, &found);
	assert_true(found);
	assert_int_equal(json_open(&doc, text), 0);
	for (const struct json_value *r = json_first(json_root(doc)); r; r = json_after(r)) {
		const struct json_value *net = json_first(r), *of;
		slice cidr = json_name(net), want;
		struct ip a;
		char got[3] = "";

		of = json_find(net, "country");
		if (!of)
			of = json_find(net, "registered_country");
		want = json_text(json_find(of, "iso_code"));
		if (ip_decode(slice_sub(cidr, 0, slice_chr(cidr, '/', 0)), &a) != 0)
			fail_msg("%s: network %.*s", name, SLICE_FMT(cidr));
		geo_country(g, &a, got);
		test_slices_equal(name, slice_str(got), want);
		same++;
	}
	printf("%s: %u networks\n", name, same);
	assert_true(same > 50);
	json_close(&doc);
	geo_close(&g);
	buf_free(&why);
}

static void survive(const char *corpora, const char *folder, unsigned least)
{
	static const char *addresses[] = {"1.1.1.1", "81.2.69.160", "216.160.83.56", "0.0.0.0",
		"255.255.255.255", "::", "2001:218::1", "ffff::", "::1.1.1.1"};
	char path[512];
	struct dirent *e;
	unsigned all = 0, opened = 0;
	DIR *d;

	snprintf(path, sizeof path, "%s/geo-maxmind/%s", corpora, folder);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d))) {
		struct ip a;
		struct buf why;
		struct geo *g;
		char got[2];

		if (e->d_name[0] == '.')
			continue;
		all++;
		buf_init(&why, 4096);
		snprintf(path, sizeof path, "%s/geo-maxmind/%s/%s", corpora, folder, e->d_name);
		if (geo_open(&g, path, "tracker.geo_database", &why) == 0) {
			opened++;
			for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
				ip_decode(slice_str(addresses[i]), &a);
				geo_country(g, &a, got);
			}
			geo_close(&g);
		}
		buf_free(&why);
	}
	closedir(d);
	printf("%s: %u of %u opened\n", folder, opened, all);
	assert_true(all >= least);
}

static void test_all(void **state)
{
	const char *corpora = test_corpora();

	(void)state;
	if (!corpora)
		skip();
	compare(corpora, "GeoLite2-Country-Test");
	compare(corpora, "GeoIP2-Country-Test");
	compare(corpora, "GeoLite2-City-Test");
	survive(corpora, "bad", 10);
	survive(corpora, "mmdb", 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
