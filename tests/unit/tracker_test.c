/* landfall-tracker itself, as a process, by HTTP: every answer, and every event
 * that it leaves in its journal. Redis is absent unless a test starts one. */
#include "tests/testing.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/journal.h"
#include "core/io/keyfile.h"
#include "core/io/log.h"
#include "core/io/rds.h"
#include "core/model/account.h"
#include "core/model/event.h"
#include "core/model/frame.h"
#include "core/model/rkey.h"
#include "core/model/token.h"
#include "tests/redis.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 20000
#define HOST "t.example"
#define URL "https://shop.example/a?b=c&d=%20e#f"
#define MAX_EVENTS 4096
#define KILLS 50

struct world {
	char dir[64];
	int port;
	pid_t pid; /* 0: not running */
	struct keyring ring;
	struct sealer *sealer;
};

static struct world w;

/* The program stands beside the tests. */
static void program_path(char *out, size_t n)
{
	char self[512];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	must(len > 0);
	self[len] = 0;
	slash = strrchr(self, '/');
	*slash = 0;
	slash = strrchr(self, '/');
	*slash = 0;
	snprintf(out, n, "%s/bin/landfall-tracker", self);
}

static int free_port(int *keep)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0);
	must(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	if (keep)
		*keep = fd;
	else
		close(fd);
	return ntohs(a.sin_port);
}

static int dial(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)w.port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Starts the program with more settings, its stderr in DIR/log. */
static void launch(const char *const *sets)
{
	char path[600], listen_at[64], data[128], redis[128];
	const char *argv[32];
	unsigned n = 0;

	program_path(path, sizeof path);
	snprintf(listen_at, sizeof listen_at, "tracker.listen=127.0.0.1:%d", w.port);
	snprintf(data, sizeof data, "data.dir=%s/data", w.dir);
	snprintf(redis, sizeof redis, "redis.socket=%s/r.sock", w.dir);
	argv[n++] = path;
	for (const char *const *s = (const char *[]){listen_at, data, redis, "journal.segment_mb=1", NULL};
		*s; s++) {
		argv[n++] = "--set";
		argv[n++] = *s;
	}
	while (sets && *sets) {
		argv[n++] = "--set";
		argv[n++] = *sets++;
	}
	argv[n] = NULL;
	w.pid = fork();
	must(w.pid >= 0);
	if (w.pid == 0) {
		char log[128];
		int fd;

		snprintf(log, sizeof log, "%s/log", w.dir);
		fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(fd, 1);
		dup2(fd, 2);
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever becomes of the test */
		execv(path, (char **)(uintptr_t)argv);
		_exit(127);
	}
}

static int ended(void)
{
	uint64_t until = clock_mono_ms() + DEADLINE_MS;
	int status;

	while (waitpid(w.pid, &status, WNOHANG) == 0) {
		if (clock_mono_ms() > until) {
			kill(w.pid, SIGKILL);
			fail_msg("the tracker does not end");
		}
		poll(NULL, 0, 5);
	}
	w.pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static slice log_text(void)
{
	char log[128];
	bool found;

	snprintf(log, sizeof log, "%s/log", w.dir);
	return test_file(log, &found);
}

static void start(const char *const *sets)
{
	uint64_t until = clock_mono_ms() + DEADLINE_MS;
	int fd;

	launch(sets);
	while ((fd = dial()) < 0) {
		int status;

		if (waitpid(w.pid, &status, WNOHANG) != 0 || clock_mono_ms() > until)
			fail_msg("the tracker does not start: %.*s", SLICE_FMT(log_text()));
		poll(NULL, 0, 5);
	}
	close(fd);
}

static void stop(void)
{
	kill(w.pid, SIGTERM);
	if (ended() != 0)
		fail_msg("the tracker did not end well: %.*s", SLICE_FMT(log_text()));
}

/* All that comes back on one connection for this request, until it is complete. */
static void ask_on(int fd, slice request, struct buf *out)
{
	size_t body = SLICE_NPOS, want = 0;

	buf_clear(out);
	must(send(fd, request.p, request.len, MSG_NOSIGNAL) == (ssize_t)request.len);
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		slice all = buf_slice(out);
		uint8_t *room;
		ssize_t n;

		if (body == SLICE_NPOS && (body = slice_find(all, SLICE("\r\n\r\n"), 0)) != SLICE_NPOS) {
			size_t at = slice_ifind(all, SLICE("\r\ncontent-length: "), 0);

			body += 4;
			if (at == SLICE_NPOS || at > body)
				fail_msg("no length: %.*s", SLICE_FMT(all));
			want = body;
			if (!slice_starts(request, SLICE("HEAD ")))
				want += strtoul((const char *)all.p + at + 18, NULL, 10);
		}
		if (body != SLICE_NPOS && all.len >= want)
			return;
		room = buf_room(out, 16384);
		must(room);
		if (poll(&p, 1, DEADLINE_MS) != 1 || (n = recv(fd, room, 16383, 0)) <= 0) {
			fail_msg("no answer to \"%.*s\"", SLICE_FMT(request));
			return;
		}
		buf_grew(out, (size_t)n);
		out->p[out->len] = 0;
	}
}

static slice seal(const struct token *t, struct buf *out)
{
	buf_clear(out);
	must(token_seal(w.sealer, SLICE(HOST), t, out) == 0);
	return buf_slice(out);
}

static slice header(slice answer, const char *name)
{
	slice head = slice_sub(answer, 0, slice_find(answer, SLICE("\r\n\r\n"), 0));
	char text[64];
	size_t at;

	snprintf(text, sizeof text, "\r\n%s: ", name);
	at = slice_ifind(head, slice_str(text), 0);
	if (at == SLICE_NPOS)
		return SLICE_NONE;
	at += strlen(text);
	return slice_sub(head, at, slice_chr(head, '\r', at));
}

/* The events of all lanes, in the order of each lane. */
static unsigned events(struct event *out)
{
	static uint8_t room[FRAME_MAX];
	unsigned count = 0;

	for (unsigned lane = 0; lane < 8; lane++) {
		char dir[128];
		struct journal *j;
		struct journal_config cfg = {
			.dir = dir, .segment_bytes = 1 << 20, .cap_bytes = 64 << 20, .keep_ms = 3600000};
		uint64_t pos = 0, at;
		struct stat st;
		int64_t n;

		snprintf(dir, sizeof dir, "%s/data/tracker/%u", w.dir, lane);
		if (stat(dir, &st) != 0)
			continue;
		assert_int_equal(journal_open(&j, &cfg), 0);
		while ((n = journal_read(j, pos, room, sizeof room, &at)) > 0) {
			slice in = slice_of(room, (size_t)n);
			struct frame f;

			pos = at + (uint64_t)n;
			for (; frame_decode(in, &f) == 1; in = slice_from(in, f.size)) {
				slice body = f.body;
				struct event e;
				int used;

				if (f.partition == FRAME_NOTE)
					continue;
				while ((used = event_decode(body, f.base_ms, &e)) > 0) {
					assert_true(count < MAX_EVENTS);
					out[count++] = e;
					body = slice_from(body, (size_t)used);
				}
				assert_int_equal(used, 0);
			}
		}
		assert_int_equal(n, 0);
		journal_close(&j);
	}
	return count;
}

/* Requests. */

#define AGENT "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0"
#define ONE_CLICK "List-Unsubscribe=One-Click"

struct row {
	const char *name;
	const char *method;
	const char *path; /* %o %c %u: the token of that kind */
	const char *host;
	const char *headers; /* each with its end of line */
	const char *body;
	const char *answer; /* start of the answer */
	const char *header, *value;
	const char *text; /* in the body */
	/* of the event; 0: none */
	enum event_kind kind;
	enum hit_class class;
	/* of the token, where not the usual */
	const char *url;
	int mode; /* PRIVACY_... + 1 */
};

#define BROWSER "User-Agent: " AGENT "\r\n"
#define PROXY                                                                                                \
	"User-Agent: Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com "               \
	"GoogleImageProxy)\r\n"

static const struct row rows[] = {
	{"open", "GET", "/o/%o.gif", HOST, BROWSER, NULL, "HTTP/1.1 200 ", "content-type", "image/gif",
		"GIF89a", EVENT_OPEN, CLASS_HUMAN, NULL, 0},
	{"open is never cached", "GET", "/o/%o.gif", HOST, BROWSER, NULL, "HTTP/1.1 200 ", "cache-control",
		"no-store, no-cache, must-revalidate, max-age=0, private", NULL, EVENT_OPEN, CLASS_HUMAN,
		NULL, 0},
	{"open has 43 bytes", "GET", "/o/%o.gif?x=y", HOST, BROWSER, NULL, "HTTP/1.1 200 ", "content-length",
		"43", NULL, EVENT_OPEN, CLASS_HUMAN, NULL, 0},
	{"open by an image proxy", "GET", "/o/%o.gif", HOST, PROXY, NULL, "HTTP/1.1 200 ", NULL, NULL, NULL,
		EVENT_OPEN, CLASS_PROXY, NULL, 0},
	{"open by nobody", "GET", "/o/%o.gif", HOST, "", NULL, "HTTP/1.1 200 ", NULL, NULL, NULL, EVENT_OPEN,
		CLASS_AUTOMATION, NULL, 0},
	{"prefetch", "GET", "/o/%o.gif", HOST, BROWSER "Sec-Purpose: prefetch;prerender\r\n", NULL,
		"HTTP/1.1 200 ", NULL, NULL, NULL, EVENT_OPEN, CLASS_PREFETCH, NULL, 0},
	{"HEAD of a pixel", "HEAD", "/o/%o.gif", HOST, BROWSER, NULL, "HTTP/1.1 200 ", "content-length", "43",
		NULL, EVENT_OPEN, CLASS_AUTOMATION, NULL, 0},
	{"bad token, same pixel", "GET", "/o/x%o.gif", HOST, BROWSER, NULL, "HTTP/1.1 200 ", "content-type",
		"image/gif", "GIF89a", 0, 0, NULL, 0},
	{"no token, same pixel", "GET", "/o/.gif", HOST, BROWSER, NULL, "HTTP/1.1 200 ", "content-length",
		"43", "GIF89a", 0, 0, NULL, 0},
	{"pixel of another host", "GET", "/o/%o.gif", "u.example", BROWSER, NULL, "HTTP/1.1 200 ",
		"content-length", "43", "GIF89a", 0, 0, NULL, 0},
	{"token of a click as pixel", "GET", "/o/%c.gif", HOST, BROWSER, NULL, "HTTP/1.1 200 ", NULL, NULL,
		"GIF89a", 0, 0, NULL, 0},
	{"pixel without its ending", "GET", "/o/%o", HOST, BROWSER, NULL, "HTTP/1.1 404 ", NULL, NULL,
		"Not found", 0, 0, NULL, 0},
	{"POST to a pixel", "POST", "/o/%o.gif", HOST, BROWSER, "", "HTTP/1.1 405 ", "allow", "GET, HEAD",
		NULL, 0, 0, NULL, 0},

	{"click", "GET", "/c/%c", HOST, BROWSER, NULL, "HTTP/1.1 302 ", "location", URL, NULL, EVENT_CLICK,
		CLASS_HUMAN, NULL, 0},
	{"click is not stored", "GET", "/c/%c", HOST, BROWSER, NULL, "HTTP/1.1 302 ", "cache-control",
		"no-store", NULL, EVENT_CLICK, CLASS_HUMAN, NULL, 0},
	{"click with a query", "GET", "/c/%c?utm=1", HOST, BROWSER, NULL, "HTTP/1.1 302 ", "location", URL,
		NULL, EVENT_CLICK, CLASS_HUMAN, NULL, 0},
	{"host in capitals, with a port", "GET", "/c/%c", "T.Example:8080", BROWSER, NULL, "HTTP/1.1 302 ",
		"location", URL, NULL, EVENT_CLICK, CLASS_HUMAN, NULL, 0},
	{"click by an image proxy", "GET", "/c/%c", HOST, PROXY, NULL, "HTTP/1.1 302 ", "location", URL, NULL,
		EVENT_CLICK, CLASS_AUTOMATION, NULL, 0},
	{"click by a library", "GET", "/c/%c", HOST, "User-Agent: curl/8.5.0\r\n", NULL, "HTTP/1.1 302 ",
		"location", URL, NULL, EVENT_CLICK, CLASS_AUTOMATION, NULL, 0},
	{"HEAD of a click", "HEAD", "/c/%c", HOST, BROWSER, NULL, "HTTP/1.1 302 ", "location", URL, NULL,
		EVENT_CLICK, CLASS_AUTOMATION, NULL, 0},
	{"destination in letters of other scripts", "GET", "/c/%c", HOST, BROWSER, NULL, "HTTP/1.1 302 ",
		"location", "https://xn--bcher-kva.example/%C3%BC", NULL, EVENT_CLICK, CLASS_HUMAN,
		"https://b\xc3\xbc"
		"cher.example/\xc3\xbc",
		0},
	{"destination that is a script", "GET", "/c/%c", HOST, BROWSER, NULL, "HTTP/1.1 404 ", "location", "",
		"Not found", 0, 0, "javascript:alert(1)", 0},
	{"destination with line ends", "GET", "/c/%c", HOST, BROWSER, NULL, "HTTP/1.1 302 ", "location",
		"https://a.example/Set-Cookie:x", NULL, EVENT_CLICK, CLASS_HUMAN,
		"https://a.example/\r\nSet-Cookie:x", 0},
	{"bad token", "GET", "/c/x%c", HOST, BROWSER, NULL, "HTTP/1.1 404 ", "content-type",
		"text/html; charset=utf-8", "Not found", 0, 0, NULL, 0},
	{"longer token", "GET", "/c/%c%c", HOST, BROWSER, NULL, "HTTP/1.1 404 ", NULL, NULL, "Not found", 0,
		0, NULL, 0},
	{"no token", "GET", "/c/", HOST, BROWSER, NULL, "HTTP/1.1 404 ", NULL, NULL, "Not found", 0, 0, NULL,
		0},
	{"click of another host", "GET", "/c/%c", "u.example", BROWSER, NULL, "HTTP/1.1 404 ", "location", "",
		"Not found", 0, 0, NULL, 0},
	{"token of a pixel as click", "GET", "/c/%o", HOST, BROWSER, NULL, "HTTP/1.1 404 ", NULL, NULL,
		"Not found", 0, 0, NULL, 0},
	{"PUT to a click", "PUT", "/c/%c", HOST, BROWSER, "", "HTTP/1.1 405 ", "allow", "GET, HEAD", NULL, 0,
		0, NULL, 0},
	{"pages have a policy", "GET", "/c/x", HOST, BROWSER, NULL, "HTTP/1.1 404 ",
		"content-security-policy",
		"default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'", NULL, 0, 0,
		NULL, 0},
	{"pages are what they say", "GET", "/c/x", HOST, BROWSER, NULL, "HTTP/1.1 404 ",
		"x-content-type-options", "nosniff", NULL, 0, 0, NULL, 0},

	{"unsubscribe page", "GET", "/u/%u", HOST, BROWSER, NULL, "HTTP/1.1 200 ", "cache-control",
		"no-store", "<form method=\"post\">", 0, 0, NULL, 0},
	{"HEAD of the page", "HEAD", "/u/%u", HOST, BROWSER, NULL, "HTTP/1.1 200 ", NULL, NULL, NULL, 0, 0,
		NULL, 0},
	{"one-click", "POST", "/u/%u", HOST, BROWSER, ONE_CLICK, "HTTP/1.1 200 ", NULL, NULL, "Unsubscribed",
		EVENT_UNSUBSCRIBE, CLASS_HUMAN, NULL, 0},
	{"one-click of a provider", "POST", "/u/%u", HOST, "", ONE_CLICK, "HTTP/1.1 200 ", NULL, NULL,
		"Unsubscribed", EVENT_UNSUBSCRIBE, CLASS_HUMAN, NULL, 0},
	{"one-click among fields", "POST", "/u/%u", HOST, BROWSER, "a=b&" ONE_CLICK "&c=d", "HTTP/1.1 200 ",
		NULL, NULL, "Unsubscribed", EVENT_UNSUBSCRIBE, CLASS_HUMAN, NULL, 0},
	{"one-click as multipart", "POST", "/u/%u", HOST,
		BROWSER "Content-Type: multipart/form-data; boundary=xx\r\n",
		"--xx\r\nContent-Disposition: form-data; "
		"name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--xx--\r\n",
		"HTTP/1.1 200 ", NULL, NULL, "Unsubscribed", EVENT_UNSUBSCRIBE, CLASS_HUMAN, NULL, 0},
	{"other field as multipart", "POST", "/u/%u", HOST, BROWSER,
		"--xx\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nOne-Click\r\n--xx--\r\n",
		"HTTP/1.1 400 ", NULL, NULL, NULL, 0, 0, NULL, 0},
	{"POST without words", "POST", "/u/%u", HOST, BROWSER, "", "HTTP/1.1 400 ", NULL, NULL, NULL, 0, 0,
		NULL, 0},
	{"POST with other words", "POST", "/u/%u", HOST, BROWSER, "xList-Unsubscribe=One-Click",
		"HTTP/1.1 400 ", NULL, NULL, NULL, 0, 0, NULL, 0},
	{"POST with a bad token", "POST", "/u/x%u", HOST, BROWSER, ONE_CLICK, "HTTP/1.1 404 ", NULL, NULL,
		NULL, 0, 0, NULL, 0},
	{"POST to another host", "POST", "/u/%u", "u.example", BROWSER, ONE_CLICK, "HTTP/1.1 404 ", NULL,
		NULL, NULL, 0, 0, NULL, 0},
	{"DELETE", "DELETE", "/u/%u", HOST, BROWSER, NULL, "HTTP/1.1 405 ", "allow", "GET, HEAD, POST", NULL,
		0, 0, NULL, 0},

	{"robots", "GET", "/robots.txt", HOST, BROWSER, NULL, "HTTP/1.1 200 ", NULL, NULL, "Disallow: /\n", 0,
		0, NULL, 0},
	{"root", "GET", "/", HOST, BROWSER, NULL, "HTTP/1.1 404 ", NULL, NULL, "Not found", 0, 0, NULL, 0},
	{"no metrics here", "GET", "/metrics", HOST, BROWSER, NULL, "HTTP/1.1 404 ", NULL, NULL, "Not found",
		0, 0, NULL, 0},
	{"no health here", "GET", "/healthz", HOST, BROWSER, NULL, "HTTP/1.1 404 ", NULL, NULL, "Not found",
		0, 0, NULL, 0},
	{"dots", "GET", "/x/../o/%o.gif", HOST, BROWSER, NULL, "HTTP/1.1 404 ", NULL, NULL, "Not found", 0, 0,
		NULL, 0},

	{"anonymous: no recipient", "GET", "/c/%c", HOST, BROWSER, NULL, "HTTP/1.1 302 ", "location", URL,
		NULL, EVENT_CLICK, CLASS_HUMAN, NULL, PRIVACY_ANONYMOUS + 1},
	{"off: no event", "GET", "/c/%c", HOST, BROWSER, NULL, "HTTP/1.1 302 ", "location", URL, NULL, 0, 0,
		NULL, PRIVACY_OFF + 1},
	{"off: no event of a pixel", "GET", "/o/%o.gif", HOST, BROWSER, NULL, "HTTP/1.1 200 ", NULL, NULL,
		"GIF89a", 0, 0, NULL, PRIVACY_OFF + 1},
};

static struct token token_of(const struct row *r, uint32_t sequence, char kind)
{
	return (struct token){.kind = (enum token_kind)kind,
		.campaign = 0x1122334455667788,
		.lane = 7,
		.sequence = sequence,
		.day = 2000,
		.mode = (uint8_t)(r->mode ? r->mode - 1 : PRIVACY_FULL),
		.link = kind == 'c' ? 3 : 0,
		.url = kind == 'c' ? slice_str(r->url ? r->url : URL) : SLICE_NONE};
}

static void request_of(const struct row *r, uint32_t sequence, struct buf *out)
{
	struct buf token;

	buf_init(&token, TOKEN_MAX_TEXT);
	buf_clear(out);
	buf_printf(out, "%s ", r->method);
	for (const char *p = r->path; *p; p++) {
		if (*p == '%') {
			struct token t = token_of(r, sequence, *++p);

			buf_put(out, seal(&t, &token));
		} else {
			buf_byte(out, (uint8_t)*p);
		}
	}
	buf_printf(out, " HTTP/1.1\r\nHost: %s\r\n%s", r->host, r->headers);
	if (r->body)
		buf_printf(out, "Content-Length: %zu\r\n\r\n%s", strlen(r->body), r->body);
	else
		buf_str(out, "\r\n");
	buf_free(&token);
}

static void check_answer(const struct row *r, slice got)
{
	if (!slice_starts(got, slice_str(r->answer)))
		fail_msg("%s: got \"%.*s\"", r->name, SLICE_FMT(got));
	if (r->header)
		test_slices_equal(r->name, header(got, r->header), slice_str(r->value));
	if (r->text && slice_find(got, slice_str(r->text), 0) == SLICE_NPOS)
		fail_msg("%s: no \"%s\" in \"%.*s\"", r->name, r->text, SLICE_FMT(got));
	test_slices_equal(r->name, header(got, "referrer-policy"), SLICE("no-referrer"));
	test_slices_equal(r->name, header(got, "x-robots-tag"), SLICE("noindex"));
	test_slices_equal(r->name, header(got, "server"), SLICE("landfall"));
	if (r->body == NULL)
		test_slices_equal(r->name, header(got, "connection"), SLICE("keep-alive"));
	else
		test_slices_equal(r->name, header(got, "connection"), SLICE("close"));
}

static void check_event(
	const struct row *r, uint32_t sequence, const struct event *e, uint64_t from, uint64_t to)
{
	test_numbers_equal(r->name, e->kind, r->kind);
	test_numbers_equal(r->name, e->class, r->class);
	test_numbers_equal(r->name, (long long)e->campaign, 0x1122334455667788);
	test_numbers_equal(r->name, e->lane, 7);
	test_numbers_equal(
		r->name, e->sequence, r->mode == PRIVACY_ANONYMOUS + 1 ? EVENT_NO_SEQUENCE : sequence);
	test_numbers_equal(r->name, e->link, r->kind == EVENT_CLICK ? 3 : 0);
	/* evidence is for the mode full alone */
	test_numbers_equal(r->name, e->network != 0, r->mode == 0);
	test_numbers_equal(r->name, e->agent != 0, r->mode == 0 && strstr(r->headers, "User-Agent:"));
	assert_in_range(e->ms, from, to);
}

static void test_every_answer(void **state)
{
	static const char *one[] = {"tracker.threads=1", NULL};
	static struct event got[MAX_EVENTS];
	struct buf request, answer;
	uint64_t from = clock_ms();
	unsigned count, n = 0;
	int fd = -1;

	(void)state;
	buf_init(&request, 1 << 20);
	buf_init(&answer, 1 << 20);
	start(one);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		/* One connection for as long as it may live: 302 and 404 keep it. */
		if (fd < 0)
			fd = dial();
		request_of(&rows[i], (uint32_t)i + 1, &request);
		ask_on(fd, buf_slice(&request), &answer);
		check_answer(&rows[i], buf_slice(&answer));
		if (rows[i].body) {
			close(fd);
			fd = -1;
		}
	}
	close(fd);
	stop();
	count = events(got);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].kind) {
			assert_true(n < count);
			check_event(&rows[i], (uint32_t)i + 1, &got[n++], from, clock_ms());
		}
	test_numbers_equal("events", count, n);
	buf_free(&request);
	buf_free(&answer);
}

/* What was answered is in the journal, whenever the process dies. */
static void test_killed_after_the_answer(void **state)
{
	static struct event got[MAX_EVENTS];
	struct buf request, answer;
	bool seen[KILLS + 1] = {false};
	unsigned count;

	(void)state;
	buf_init(&request, 1 << 20);
	buf_init(&answer, 1 << 20);
	for (unsigned i = 1; i <= KILLS; i++) {
		int fd;

		start(NULL);
		fd = dial();
		request_of(&rows[0], i, &request);
		ask_on(fd, buf_slice(&request), &answer);
		kill(w.pid, SIGKILL);
		close(fd);
		test_numbers_equal("killed", ended(), 128 + SIGKILL);
	}
	count = events(got);
	test_numbers_equal("events", count, KILLS);
	for (unsigned i = 0; i < count; i++) {
		assert_in_range(got[i].sequence, 1, KILLS);
		assert_false(seen[got[i].sequence]);
		seen[got[i].sequence] = true;
	}
	buf_free(&request);
	buf_free(&answer);
}

static void expect_refusal(const char *name, const char *const *sets, int status, const char *text)
{
	launch(sets);
	test_numbers_equal(name, ended(), status);
	if (slice_find(log_text(), slice_str(text), 0) == SLICE_NPOS)
		fail_msg("%s: no \"%s\" in \"%.*s\"", name, text, SLICE_FMT(log_text()));
}

static void test_what_keeps_it_from_starting(void **state)
{
	int taken;

	(void)state;
	expect_refusal("no key ring", (const char *[]){"keys.file=none", NULL}, 3, "landfall key add");
	expect_refusal("proxies", (const char *[]){"tracker.trusted_proxies=10.0.0.0/8 foo", NULL}, 1,
		"tracker.trusted_proxies: \"foo\"");
	expect_refusal("no such database", (const char *[]){"tracker.geo_database=none", NULL}, 3,
		"tracker.geo_database");
	expect_refusal("no database", (const char *[]){"tracker.geo_database=keys/ring", NULL}, 1,
		"tracker.geo_database");
	w.port = free_port(&taken);
	expect_refusal("port taken", NULL, 3, "tracker.listen");
	close(taken);
}

static void test_two_at_once(void **state)
{
	pid_t first;
	int port = w.port;

	(void)state;
	start(NULL);
	first = w.pid;
	w.port = free_port(NULL);
	expect_refusal("same journal", NULL, 3, "cannot open journal");
	w.pid = first;
	w.port = port;
	stop();
}

/* Of all producers, as they say in Redis. */
static uint64_t shipped(const struct test_redis *redis)
{
	struct rds_config cfg = {.socket = redis->socket, .timeout_ms = 2000};
	struct rds_reply *rep;
	struct account a;
	uint64_t sum = 0;
	struct rds *r;

	assert_int_equal(rds_open(&r, &cfg), 0);
	assert_int_equal(rds_askv(r, &rep, SLICE("HVALS"), SLICE(RKEY_PRODUCERS)), 0);
	for (size_t i = 0; i < rds_len(rep); i++)
		if (account_decode(rds_text(rds_at(rep, i)), &a) == 0)
			sum += a.shipped;
	rds_reply_free(&rep);
	rds_close(&r);
	return sum;
}

/* Journals of threads that are no more are shipped all the same. */
static void test_fewer_threads(void **state)
{
	static struct event got[MAX_EVENTS];
	struct test_redis redis;
	struct buf request, answer;
	char setting[128];
	uint64_t until;

	(void)state;
	buf_init(&request, 1 << 20);
	buf_init(&answer, 1 << 20);
	start((const char *[]){"tracker.threads=4", NULL});
	for (unsigned i = 1; i <= 200; i++) {
		int fd = dial();

		request_of(&rows[0], i, &request);
		ask_on(fd, buf_slice(&request), &answer);
		close(fd);
	}
	stop();
	test_numbers_equal("events", events(got), 200);

	test_redis_init(&redis);
	test_redis_start(&redis, false);
	snprintf(setting, sizeof setting, "redis.socket=%s", redis.socket);
	start((const char *[]){"tracker.threads=1", setting, NULL});
	until = clock_mono_ms() + DEADLINE_MS;
	while (shipped(&redis) < 200) {
		if (clock_mono_ms() > until)
			fail_msg("%llu of 200 events shipped", (unsigned long long)shipped(&redis));
		poll(NULL, 0, 20);
	}
	test_numbers_equal("shipped", (long long)shipped(&redis), 200);
	stop();
	test_redis_free(&redis);
	buf_free(&request);
	buf_free(&answer);
}

/* The value of a counter, asked of the address for metrics. */
static long metric(int port, const char *name)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port)};
	uint64_t until = clock_mono_ms() + DEADLINE_MS;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct buf answer;
	char text[64];
	size_t at;
	long n;

	buf_init(&answer, 1 << 20);
	/* The main address takes connections a little earlier than this one. */
	while (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
		if (clock_mono_ms() > until)
			fail_msg("no metrics: %.*s", SLICE_FMT(log_text()));
		poll(NULL, 0, 5);
	}
	ask_on(fd, SLICE("GET /metrics HTTP/1.1\r\nHost: m\r\n\r\n"), &answer);
	close(fd);
	snprintf(text, sizeof text, "\nlandfall_%s ", name);
	at = slice_find(buf_slice(&answer), slice_str(text), 0);
	assert_true(at != SLICE_NPOS);
	n = strtol((const char *)answer.p + at + strlen(text), NULL, 10);
	buf_free(&answer);
	return n;
}

/* The journal's room is used up and Redis takes nothing: the loss is counted,
 * and readers do not see any of it. */
static void test_journal_full(void **state)
{
	enum { AT_ONCE = 500 };
	struct buf request, many, answer;
	char setting[64];
	int fd, port = free_port(NULL);
	long asked = 0;

	(void)state;
	buf_init(&request, 1 << 20);
	buf_init(&many, 1 << 24);
	buf_init(&answer, 1 << 24);
	snprintf(setting, sizeof setting, "tracker.metrics=127.0.0.1:%d", port);
	start((const char *[]){setting, "tracker.threads=1", "journal.cap_mb=2", NULL});
	request_of(&rows[0], 1, &request);
	for (int i = 0; i < AT_ONCE; i++)
		buf_put(&many, buf_slice(&request));
	fd = dial();
	while (asked < 400000 && metric(port, "events_lost") == 0) {
		size_t want;

		ask_on(fd, buf_slice(&request), &answer);
		want = answer.len * AT_ONCE;
		must(send(fd, many.p, many.len, MSG_NOSIGNAL) == (ssize_t)many.len);
		for (size_t got = 0; got < want;) {
			ssize_t n = recv(fd, answer.p, answer.room, 0);

			assert_true(n > 0);
			got += (size_t)n;
		}
		asked += AT_ONCE + 1;
	}
	assert_true(metric(port, "events_lost") > 0);
	ask_on(fd, buf_slice(&request), &answer);
	check_answer(&rows[0], buf_slice(&answer));
	test_numbers_equal("opens", metric(port, "opens"), asked + 1);
	test_numbers_equal("refused", metric(port, "tokens_refused"), 0);
	close(fd);
	stop();
	buf_free(&request);
	buf_free(&many);
	buf_free(&answer);
}

static int set_up(void **state)
{
	struct buf why;
	char path[128];

	(void)state;
	memset(&w, 0, sizeof w);
	snprintf(w.dir, sizeof w.dir, "/tmp/landfall-tracker-XXXXXX");
	must(mkdtemp(w.dir));
	w.port = free_port(NULL);
	buf_init(&why, 1024);
	must(keyfile_add(&w.ring) > 0);
	snprintf(path, sizeof path, "%s/data/keys/ring", w.dir);
	must(keyfile_store(path, &w.ring, &why) == 0);
	w.sealer = sealer_open(&w.ring);
	buf_free(&why);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (w.pid) {
		kill(w.pid, SIGKILL);
		waitpid(w.pid, NULL, 0);
	}
	sealer_close(&w.sealer);
	test_remove(w.dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_killed_after_the_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_keeps_it_from_starting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fewer_threads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_journal_full, set_up, tear_down),
	};

	log_open("tracker_test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
