/* `landfall rewrite` as people run it: in a process of its own, with pipes. */
#include "tests/testing.h"

#include "core/base/buf.h"
#include "core/io/daemon.h"
#include "core/io/keyfile.h"
#include "core/parse/json.h"
#include "rewriter/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/landfall-rewrite-XXXXXX";
static char ring_path[64];
static struct buf out, err;

static void fill(const char *path, slice s)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	if (s.len)
		assert_int_equal(fwrite(s.p, 1, s.len, f), s.len);
	assert_int_equal(fclose(f), 0);
}

static void take(const char *path, struct buf *to)
{
	FILE *f = fopen(path, "rb");

	assert_non_null(f);
	buf_clear(to);
	buf_grew(to, fread(buf_room(to, 1 << 20), 1, 1 << 20, f));
	fclose(f);
}

/* argv after "rewrite", NULL at the end. The exit status; out and err are filled. */
static int run(slice in, const char *const *args)
{
	char *argv[16] = {"rewrite"}, path[3][64];
	int argc = 1, status;
	pid_t pid;

	for (; *args; args++)
		argv[argc++] = (char *)*args;
	for (int i = 0; i < 3; i++)
		snprintf(path[i], sizeof path[i], "%s/fd%d", dir, i);
	fill(path[0], in);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (!freopen(path[0], "rb", stdin) || !freopen(path[1], "wb", stdout) ||
			!freopen(path[2], "wb", stderr) || chdir(dir) != 0)
			_exit(99);
		status = command_rewrite(argc, argv);
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	take(path[1], &out);
	take(path[2], &err);
	return WEXITSTATUS(status);
}

#define RUN(in, ...) run(in, (const char *const[]){__VA_ARGS__, NULL})
#define RING "--key", ring_path, "--set", "track.url=https://t.example/"

static const slice mail = SLICE(
	"X-Landfall-Recipient-Id: 7\r\nContent-Type: text/html\r\n\r\n<a href=\"https://a.example/x\">x</a> "
	"<a href=\"{{y}}\">y</a>\r\n");

static void rewrites(void **state)
{
	struct buf first;

	(void)state;
	assert_int_equal(RUN(mail, RING, "--campaign", "spring", "--recipient", "ann@b.example"), EXIT_DONE);
	assert_int_equal(err.len, 0);
	assert_true(slice_starts(buf_slice(&out), SLICE("Content-Type: text/html\r\nX-Landfall-Id: ")));
	assert_true(slice_find(buf_slice(&out), SLICE("<a href=\"https://t.example/c/"), 0) != SLICE_NPOS);
	assert_true(slice_ends(buf_slice(&out), SLICE("border:0\">\r\n")));
	/* The same again, and another sequence. */
	buf_init(&first, 1 << 20);
	buf_put(&first, buf_slice(&out));
	assert_int_equal(RUN(mail, RING, "--campaign=spring", "--recipient=bob@b.example"), EXIT_DONE);
	test_slices_equal("again", buf_slice(&out), buf_slice(&first));
	assert_int_equal(RUN(mail, RING, "--campaign", "spring", "--sequence", "1"), EXIT_DONE);
	assert_false(slice_eq(buf_slice(&out), buf_slice(&first)));
	assert_int_equal(RUN(mail, RING, "--campaign", "spring", "--tenant", "other"), EXIT_DONE);
	assert_false(slice_eq(buf_slice(&out), buf_slice(&first)));
	buf_free(&first);
	/* No campaign: nothing but the control field goes. */
	assert_int_equal(RUN(mail, RING), EXIT_DONE);
	test_slices_equal("untracked", buf_slice(&out), slice_from(mail, 28));
	assert_int_equal(RUN(SLICE_NONE, RING, "--campaign", "x"), EXIT_DONE);
}

/* A copy is made again with its lane and day as `landfall token show` prints them. */
static void again(void **state)
{
	static uint8_t first[4096];
	slice before;

	(void)state;
	assert_int_equal(
		RUN(mail, RING, "--campaign", "x", "--lane", "0000beef", "--day", "2026-11-22"), EXIT_DONE);
	assert_in_range(out.len, 1, sizeof first);
	before = slice_of(memcpy(first, out.p, out.len), out.len);
	assert_int_equal(RUN(mail, RING, "--campaign", "x", "--lane=BEEF", "--day=2026-11-22"), EXIT_DONE);
	test_slices_equal("again", buf_slice(&out), before);
	assert_int_equal(
		RUN(mail, RING, "--campaign", "x", "--lane", "beef", "--day", "2026-11-23"), EXIT_DONE);
	assert_false(slice_eq(buf_slice(&out), before));
	assert_int_equal(
		RUN(mail, RING, "--campaign", "x", "--lane", "beee", "--day", "2026-11-22"), EXIT_DONE);
	assert_false(slice_eq(buf_slice(&out), before));
}

static void explains(void **state)
{
	struct json *doc;
	const struct json_value *root, *edits, *e;
	unsigned links = 0, pixels = 0, headers = 0;

	(void)state;
	assert_int_equal(RUN(mail, RING, "--campaign", "spring", "--explain"), EXIT_DONE);
	assert_int_equal(json_open(&doc, buf_slice(&out)), 0);
	root = json_root(doc);
	edits = json_find(root, "edits");
	for (e = json_first(edits); e; e = json_after(e)) {
		slice kind = json_text(json_find(e, "kind"));

		links += slice_eq(kind, SLICE("link"));
		pixels += slice_eq(kind, SLICE("pixel"));
		headers += slice_eq(kind, SLICE("header"));
		if (slice_eq(kind, SLICE("link"))) {
			size_t at = (size_t)json_number(json_find(e, "offset"), -1);

			test_slices_equal(
				"url", json_text(json_find(e, "url")), SLICE("https://a.example/x"));
			test_slices_equal("old bytes",
				slice_sub(mail, at, at + (size_t)json_number(json_find(e, "length"), 0)),
				SLICE("https://a.example/x"));
			test_slices_equal("part", json_text(json_find(e, "part")), SLICE("1"));
			assert_true(json_text(json_find(e, "token")).len >= 40);
			assert_int_equal(json_number(json_find(e, "link"), -1), 0);
		}
	}
	assert_int_equal(links, 1);
	assert_int_equal(pixels, 1);
	assert_int_equal(headers, 2);
	e = json_first(json_find(root, "left"));
	test_slices_equal("left", json_text(json_find(e, "why")), SLICE("merge-tag"));
	assert_non_null(json_first(json_find(root, "warnings")));
	assert_int_equal(json_number(json_find(root, "size_in"), 0), mail.len);
	json_close(&doc);
	/* size_out is the size of what the same command without --explain writes. */
	{
		double size;

		assert_int_equal(RUN(mail, RING, "--campaign", "spring", "--explain"), EXIT_DONE);
		assert_int_equal(json_open(&doc, buf_slice(&out)), 0);
		size = json_number(json_find(json_root(doc), "size_out"), 0);
		json_close(&doc);
		assert_int_equal(RUN(mail, RING, "--campaign", "spring"), EXIT_DONE);
		assert_int_equal(out.len, (size_t)size);
	}
}

/* Settings reach the message: seen by what --explain says. */
static void settings(void **state)
{
	static const slice amp = SLICE("X-Landfall-Tenant: other\r\nContent-Type: text/x-amp-html\r\n\r\n<a "
				       "href=https://a.example/x>x</a>");

	(void)state;
	assert_int_equal(RUN(mail, RING, "--campaign", "x", "--explain", "--set",
				 "track.utm=utm_source=a utm_medium=b"),
		EXIT_DONE);
	assert_true(slice_find(buf_slice(&out), SLICE("https://a.example/x?utm_source=a&utm_medium=b\""),
			    0) != SLICE_NPOS);
	assert_int_equal(RUN(mail, RING, "--set", "track.utm=utm source"), EXIT_REFUSED);
	assert_int_equal(RUN(amp, RING, "--campaign", "x", "--explain"), EXIT_DONE);
	assert_true(slice_find(buf_slice(&out), SLICE("\"link\""), 0) == SLICE_NPOS);
	assert_true(slice_find(buf_slice(&out), SLICE("\"tenant\":\"default\""), 0) != SLICE_NPOS);
	assert_int_equal(RUN(amp, RING, "--campaign", "x", "--explain", "--set", "track.amp_links=on",
				 "--set", "rewriter.tenant_field=on"),
		EXIT_DONE);
	assert_true(slice_find(buf_slice(&out), SLICE("\"link\""), 0) != SLICE_NPOS);
	assert_true(slice_find(buf_slice(&out), SLICE("\"tenant\":\"other\""), 0) != SLICE_NPOS);
}

static void refuses(void **state)
{
	(void)state;
	assert_int_equal(RUN(mail, "--campaign", "x"), EXIT_REFUSED);
	assert_int_equal(out.len, 0);
	assert_true(slice_find(buf_slice(&err), SLICE("landfall key add"), 0) != SLICE_NPOS);
	assert_int_equal(RUN(mail, "--frobnicate"), EXIT_USAGE);
	assert_int_equal(RUN(mail, "stray"), EXIT_USAGE);
	assert_int_equal(RUN(mail, "--campaign"), EXIT_USAGE);
	assert_int_equal(RUN(mail, "--sequence", "-1"), EXIT_USAGE);
	assert_int_equal(RUN(mail, "--sequence", "4294967296"), EXIT_USAGE);
	assert_int_equal(RUN(mail, "--lane", "123456789"), EXIT_USAGE);
	assert_int_equal(RUN(mail, "--lane", "x"), EXIT_USAGE);
	assert_int_equal(RUN(mail, "--day", "2019-12-31"), EXIT_USAGE);
	assert_int_equal(RUN(mail, "--day", "7"), EXIT_USAGE);
	assert_int_equal(RUN(mail, "--set", "no.such=1"), EXIT_USAGE);
	assert_int_equal(RUN(mail, "--key", ring_path, "--set", "track.url=ftp://x"), EXIT_REFUSED);
	assert_int_equal(RUN(mail, "--config", "/nonexistent"), EXIT_WORLD);
	assert_int_equal(RUN(mail, "--help"), EXIT_DONE);
	assert_true(slice_find(buf_slice(&out), SLICE("--explain"), 0) != SLICE_NPOS);
}

static int setup(void **state)
{
	struct keyring ring = {0};
	struct buf why;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(ring_path, sizeof ring_path, "%s/ring", dir);
	buf_init(&out, 1 << 22);
	buf_init(&err, 1 << 22);
	buf_init(&why, 1000);
	assert_int_equal(keyfile_add(&ring), 1);
	assert_int_equal(keyfile_store(ring_path, &ring, &why), 0);
	buf_free(&why);
	return 0;
}

static int teardown(void **state)
{
	char path[64];

	(void)state;
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/fd%d", dir, i);
		unlink(path);
	}
	unlink(ring_path);
	buf_free(&out);
	buf_free(&err);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rewrites),
		cmocka_unit_test(again),
		cmocka_unit_test(explains),
		cmocka_unit_test(settings),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
