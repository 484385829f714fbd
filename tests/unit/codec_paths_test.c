/* Every path that the processor has gives the bytes of the portable one, and none
 * reads past the end of its input. */
#include "tests/testing.h"

#include "core/parse/mime.h"
#include "core/parse/mimeb64.h"
#include "core/parse/qp.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define LONGEST 300

static struct arena a;
static uint64_t seed = 88172645463325252u;

static unsigned below(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

/* Does the text read the same in all ways? in stands before an unmapped page. */
static void qp_same(slice in)
{
	struct qp_text want, got;

	qp_decode_by(CPU_PORTABLE, &a, in, &want);
	for (enum cpu_path path = CPU_PORTABLE + 1; path < CPU_PATHS && cpu_has(path); path++) {
		qp_decode_by(path, &a, in, &got);
		test_slices_equal("quoted-printable", got.dec, want.dec);
		assert_memory_equal(got.starts, want.starts, (in.len / 64 + 1) * sizeof *got.starts);
		assert_memory_equal(got.before, want.before, (in.len / 64 + 1) * sizeof *got.before);
	}
}

static void base64_same(slice in)
{
	struct mimeb64_text want = {0}, got = {0};
	int rc = mimeb64_decode_by(CPU_PORTABLE, &a, in, &want);

	for (enum cpu_path path = CPU_PORTABLE + 1; path < CPU_PATHS && cpu_has(path); path++) {
		assert_int_equal(mimeb64_decode_by(path, &a, in, &got), rc);
		if (rc < 0)
			continue;
		test_slices_equal("base64", got.dec, want.dec);
		assert_true(got.end == want.end && got.width == want.width && got.line == want.line);
		assert_int_equal(got.mark_count, want.mark_count);
		assert_memory_equal(got.marks, want.marks, got.mark_count * sizeof *got.marks);
	}
}

static void encoded_same(slice in, size_t width, slice line_end)
{
	size_t n = mimeb64_size(in.len, width, line_end);
	uint8_t *want = arena_alloc(&a, n), *got = arena_alloc(&a, n + 1);

	mimeb64_encode_by(CPU_PORTABLE, in, width, line_end, want);
	for (enum cpu_path path = CPU_PORTABLE + 1; path < CPU_PATHS && cpu_has(path); path++) {
		got[n] = 'x';
		mimeb64_encode_by(path, in, width, line_end, got);
		test_slices_equal("encoded", slice_of(got, n), slice_of(want, n));
		assert_int_equal(got[n], 'x');
	}
}

static void dashes_same(slice in)
{
	for (size_t from = 0; from <= in.len; from += 1 + from / 8) {
		size_t want = slice_find(in, SLICE("\n--"), from);

		for (enum cpu_path path = CPU_PORTABLE; path < CPU_PATHS && cpu_has(path); path++)
			assert_true(mime_dashes_by(path, in, from) == want);
	}
}

static void all_same(slice text)
{
	static const size_t widths[] = {4, 32, 60, 64, 72, 76};
	slice in = test_guard(text), enc;
	size_t width = widths[below(6)], n;
	slice line_end = below(2) ? SLICE("\r\n") : SLICE("\n");
	uint8_t *to;

	qp_same(in);
	base64_same(in);
	dashes_same(in);
	encoded_same(in, width, line_end);
	n = mimeb64_size(in.len, width, line_end);
	to = arena_alloc(&a, n + 1);
	mimeb64_encode(in, width, line_end, to);
	/* One byte of every second text is made another one. */
	if (n && below(2))
		to[below((unsigned)n)] = (uint8_t) "\r\n =A\0-\x80"[below(8)];
	enc = test_guard(slice_of(to, n));
	base64_same(enc);
	test_unguard(enc);
	test_unguard(in);
	arena_reset(&a);
}

/* Texts of pieces that are more than one byte long in some reading. */
static void made_up(void **state)
{
	static const char *const pieces[] = {"=", "=3D", "=\r\n", "=\n", "=c3", "=C", "= \t\r\n", "\r\n",
		"\n--", "--", "A", "=g0", "=\xb0\xb1", "==", "= ", "\r", "\x80\xff",
		"abcdefghijklmnopqrstuvwxyz", "QUJD", " ",
		"                                                                            "
		"                                                                            "};
	uint8_t text[LONGEST + 256];

	(void)state;
	for (unsigned turn = 0; turn < 60; turn++)
		for (size_t n = 0; n <= LONGEST; n++) {
			size_t len = 0;
			/* Few kinds, so that some stand alone and some alternate. */
			unsigned kinds = 1 + below(4), kind[4], plain = below(3) * 40;

			for (unsigned k = 0; k < kinds; k++)
				kind[k] = below(sizeof pieces / sizeof *pieces);
			while (len < n) {
				const char *p = pieces[kind[below(kinds)]];
				size_t more = strlen(p);

				memcpy(text + len, p, more);
				len += more;
				for (unsigned k = below(plain + 1); k > 0 && len < n; k--)
					text[len++] = (uint8_t)('a' + below(26));
			}
			all_same(slice_of(text, n));
		}
}

static void any_bytes(void **state)
{
	uint8_t text[5000];

	(void)state;
	for (unsigned turn = 0; turn < 300; turn++) {
		size_t n = turn < 200 ? below(LONGEST) : below(sizeof text);

		for (size_t i = 0; i < n; i++)
			text[i] = (uint8_t)below(256);
		all_same(slice_of(text, n));
	}
}

static void real_mail(void **state)
{
	static const char *const folders[] = {
		"html-colorlib/html", "html-sendgrid/html", "bounce-sisimai/mail", "mime-mimekit"};
	const char *root = test_corpora();
	unsigned files = 0;
	char path[2048];

	(void)state;
	if (!root)
		skip();
	for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) {
		struct dirent *e;
		DIR *dir;

		snprintf(path, sizeof path, "%s/%s", root, folders[i]);
		dir = opendir(path);
		while (dir && (e = readdir(dir)) && files < 600) {
			bool found;
			slice text;

			snprintf(path, sizeof path, "%s/%s/%s", root, folders[i], e->d_name);
			if (e->d_name[0] == '.')
				continue;
			text = test_file(path, &found);
			if (found && text.len) {
				all_same(text);
				files++;
			}
		}
		if (dir)
			closedir(dir);
	}
	printf("%u files\n", files);
}

static int start(void **state)
{
	(void)state;
	arena_init(&a, 1 << 28, NULL, NULL);
	printf("paths: %d of %d\n", cpu_best() + 1, CPU_PATHS);
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_free(&a);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_up),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(real_mail),
	};

	return cmocka_run_group_tests(tests, start, end);
}
