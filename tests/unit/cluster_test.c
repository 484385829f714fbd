#include "tests/testing.h"

#include "core/base/buf.h"
#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void slots(void **state)
{
	static const struct {
		const char *name;
		slice key;
		unsigned want;
	} rows[] = {
		/* CRC-16/XMODEM of its nine digits is 0x31c3 */
		{"check value", SLICE("123456789"), 0x31c3},
		{"empty", SLICE(""), 0},
		{"foo", SLICE("foo"), 12182},
		{"tag", SLICE("x{foo}y"), 12182},
		{"first tag", SLICE("{foo}{bar}"), 12182},
		{"tag alone", SLICE("{foo}"), 12182},
		{"no end: all of it", SLICE("foo{"), 7673},
		{"empty tag: all of it", SLICE("{}foo"), 9500},
		{"brace in the tag", SLICE("foo{{bar}}zap"), 4015},
		{"a partition", SLICE("lf:{p7}:cursor"), 3821},
		{"the same partition", SLICE("lf:{p7}:in:00c0ffee"), 3821},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].key);

		test_numbers_equal(rows[i].name, cluster_slot(in), rows[i].want);
		test_unguard(in);
	}
}

static void redirects(void **state)
{
	static const struct {
		const char *name;
		slice text;
		int want;
		slice host;
		int port;
	} rows[] = {
		{"moved", SLICE("MOVED 3999 127.0.0.1:6381"), 0, SLICE("127.0.0.1"), 6381},
		{"ask", SLICE("ASK 0 host.test:1"), 0, SLICE("host.test"), 1},
		{"ipv6", SLICE("MOVED 16383 2001:db8::1:6381"), 0, SLICE("2001:db8::1"), 6381},
		{"unknown host", SLICE("MOVED 1 :6381"), 0, SLICE(""), 6381},
		{"slot too large", SLICE("MOVED 16384 a:1"), -REFUSE_SYNTAX, SLICE_NONE, 0},
		{"port 0", SLICE("MOVED 1 a:0"), -REFUSE_SYNTAX, SLICE_NONE, 0},
		{"port too large", SLICE("MOVED 1 a:65536"), -REFUSE_SYNTAX, SLICE_NONE, 0},
		{"no port", SLICE("MOVED 1 a"), -REFUSE_SYNTAX, SLICE_NONE, 0},
		{"no address", SLICE("MOVED 1"), -REFUSE_SYNTAX, SLICE_NONE, 0},
		{"nothing", SLICE("MOVED"), -REFUSE_SYNTAX, SLICE_NONE, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		slice in = test_guard(rows[i].text), host = SLICE_NONE;
		int port = 0;

		test_numbers_equal(rows[i].name, cluster_redirect_decode(in, &host, &port), rows[i].want);
		if (rows[i].want == 0) {
			test_slices_equal(rows[i].name, host, rows[i].host);
			test_numbers_equal(rows[i].name, port, rows[i].port);
		}
		test_unguard(in);
	}
}

static void every_prefix_of_a_redirect(void **state)
{
	slice text = SLICE("MOVED 3999 127.0.0.1:6381"), host;
	int port;

	(void)state;
	for (size_t n = 0; n < text.len; n++) {
		slice in = test_guard(slice_sub(text, 0, n));
		/* "...:6", "...:63" and "...:638" are addresses, too */
		int want = n > text.len - 4 ? 0 : -REFUSE_SYNTAX;

		assert_int_equal(cluster_redirect_decode(in, &host, &port), want);
		test_unguard(in);
	}
}

/* Two nodes on loopback: the first one owns slots 0 to 8191. What a node is asked
 * is written down as one line, and it answers from a table. */
#define NODES 2

struct rule {
	const char *starts, *answer; /* '@': the port of the other node; NULL: cut */
};

struct fake {
	int fd, port, other, links;
	const struct rule *rules;
	struct buf heard;
	pthread_mutex_t lock;
	pthread_t thread;
	pthread_t link_thread[64];
};

static struct fake fakes[NODES];

struct link {
	struct fake *f;
	int fd;
};

/* One command as words with blanks between; false: the connection ended. */
static bool hear(FILE *in, char *line, size_t room)
{
	char head[32];
	size_t at = 0;
	int words;

	if (!fgets(head, sizeof head, in) || sscanf(head, "*%d", &words) != 1)
		return false;
	for (int i = 0; i < words; i++) {
		int n;

		if (!fgets(head, sizeof head, in) || sscanf(head, "$%d", &n) != 1)
			return false;
		must(at + (size_t)n + 2 < room);
		if (i)
			line[at++] = ' ';
		if (fread(line + at, 1, (size_t)n, in) != (size_t)n || fgetc(in) != '\r' || fgetc(in) != '\n')
			return false;
		at += (size_t)n;
	}
	line[at] = 0;
	return true;
}

static void say_slots(int fd)
{
	dprintf(fd,
		"*2\r\n"
		"*3\r\n:0\r\n:8191\r\n*3\r\n$9\r\n127.0.0.1\r\n:%d\r\n$2\r\nid\r\n"
		"*3\r\n:8192\r\n:16382\r\n*3\r\n$0\r\n\r\n:%d\r\n$2\r\nid\r\n",
		fakes[0].port, fakes[1].port);
}

static void say(struct fake *f, int fd, const char *line)
{
	for (const struct rule *r = f->rules; r && r->starts; r++)
		if (strncmp(line, r->starts, strlen(r->starts)) == 0) {
			size_t n = r->answer ? strcspn(r->answer, "@") : 0;

			if (!r->answer)
				shutdown(fd, SHUT_RDWR);
			else if (!r->answer[n])
				dprintf(fd, "%s", r->answer);
			else
				dprintf(fd, "%.*s%d%s", (int)n, r->answer, f->other, r->answer + n + 1);
			return;
		}
	dprintf(fd, "+node%d\r\n", (int)(f - fakes));
}

static void *serve_link(void *arg)
{
	struct link *l = arg;
	FILE *in = fdopen(l->fd, "r");
	char line[1024];

	while (hear(in, line, sizeof line)) {
		if (strcmp(line, "CLUSTER SLOTS") == 0 && !l->f->rules) {
			say_slots(l->fd);
			continue;
		}
		if (strcmp(line, "CLUSTER SLOTS") != 0) {
			pthread_mutex_lock(&l->f->lock);
			buf_printf(&l->f->heard, "%s\n", line);
			pthread_mutex_unlock(&l->f->lock);
		}
		if (strcmp(line, "CLUSTER SLOTS") == 0 && strcmp(l->f->rules->starts, "CLUSTER") != 0)
			say_slots(l->fd);
		else
			say(l->f, l->fd, line);
	}
	fclose(in);
	free(l);
	return NULL;
}

static void *serve(void *arg)
{
	struct fake *f = arg;
	int fd;

	while ((fd = accept(f->fd, NULL, NULL)) >= 0) {
		struct link *l = must_alloc(sizeof *l);

		*l = (struct link){f, fd};
		must(pthread_create(&f->link_thread[f->links++], NULL, serve_link, l) == 0);
	}
	return NULL;
}

static void start(const struct rule *first, const struct rule *second)
{
	for (int i = 0; i < NODES; i++) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t len = sizeof a;
		struct fake *f = &fakes[i];

		*f = (struct fake){.rules = i ? second : first};
		buf_init(&f->heard, 1 << 16);
		pthread_mutex_init(&f->lock, NULL);
		f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(f->fd, (struct sockaddr *)&a, sizeof a), 0);
		assert_int_equal(listen(f->fd, 8), 0);
		assert_int_equal(getsockname(f->fd, (struct sockaddr *)&a, &len), 0);
		f->port = ntohs(a.sin_port);
	}
	for (int i = 0; i < NODES; i++) {
		fakes[i].other = fakes[1 - i].port;
		assert_int_equal(pthread_create(&fakes[i].thread, NULL, serve, &fakes[i]), 0);
	}
}

/* After all connections are closed. */
static void stop(void)
{
	for (int i = 0; i < NODES; i++) {
		struct fake *f = &fakes[i];

		shutdown(f->fd, SHUT_RDWR);
		pthread_join(f->thread, NULL);
		for (int k = 0; k < f->links; k++)
			pthread_join(f->link_thread[k], NULL);
		close(f->fd);
		buf_free(&f->heard);
		pthread_mutex_destroy(&f->lock);
	}
}

static struct rds_config config(void)
{
	return (struct rds_config){
		.timeout_ms = 2000, .seeds = {{"127.0.0.1", fakes[0].port}}, .seed_count = 1};
}

static struct rds *open_nodes(bool follow)
{
	struct rds_config cfg = config();
	struct rds *r;

	cfg.follow = follow;
	assert_int_equal(rds_open(&r, &cfg), 0);
	return r;
}

static void heard(int node, const char *want)
{
	pthread_mutex_lock(&fakes[node].lock);
	test_slices_equal(
		node ? "second node" : "first node", buf_slice(&fakes[node].heard), slice_str(want));
	pthread_mutex_unlock(&fakes[node].lock);
}

static void replies(struct rds *r, const char *const *want)
{
	for (; *want; want++) {
		struct rds_reply *rep;

		assert_int_equal(rds_get(r, &rep), 0);
		test_slices_equal("reply", slice_sub(rds_text(rep), 0, strlen(*want)), slice_str(*want));
		rds_reply_free(&rep);
	}
}

#define REPLIES(r, ...) replies((r), (const char *const[]){__VA_ARGS__, NULL})
/* LOW is the first node's, HIGH the second one's. */
#define LOW SLICE("{p7}")
#define HIGH SLICE("{foo}")

static void each_command_goes_to_the_owner_and_replies_come_in_order(void **state)
{
	struct rds *r;

	(void)state;
	start(NULL, NULL);
	r = open_nodes(false);
	rds_putv(r, SLICE("GET"), LOW);
	rds_putv(r, SLICE("GET"), HIGH);
	rds_putv(r, SLICE("XINFO"), SLICE("STREAM"), HIGH);
	rds_putv(r, SLICE("XREAD"), SLICE("COUNT"), SLICE("1"), SLICE("STREAMS"), LOW, SLICE("0"));
	REPLIES(r, "node0", "node1", "node1", "node0");
	/* What has no key goes with what has one behind it. */
	rds_putv(r, SLICE("UNWATCH"));
	rds_putv(r, SLICE("WATCH"), HIGH);
	rds_putv(r, SLICE("GET"), LOW);
	rds_putv(r, SLICE("MULTI"));
	rds_putv(r, SLICE("SET"), HIGH, LOW);
	rds_putv(r, SLICE("EXEC"));
	rds_putv(r, SLICE("GET"), LOW);
	REPLIES(r, "node1", "node1", "node0", "node1", "node1", "node1", "node0");
	heard(0, "GET {p7}\nXREAD COUNT 1 STREAMS {p7} 0\nGET {p7}\nGET {p7}\n");
	heard(1, "GET {foo}\nXINFO STREAM {foo}\nUNWATCH\nWATCH {foo}\nMULTI\nSET {foo} {p7}\nEXEC\n");
	rds_putv(r, SLICE("PING"));
	REPLIES(r, "node0");
	rds_close(&r);
	stop();
}

static const struct rule asks[] = {{"GET", "-ASK 3821 127.0.0.1:@\r\n"},
	{"WATCH", "-ASK 3821 127.0.0.1:@\r\n"}, {"XADD", "-ASK 3821 127.0.0.1:@\r\n"},
	{"SET", "-ASK 3821 :@\r\n"}, {"EXEC", "-EXECABORT no\r\n"}, {0}};

static void ask_is_followed_for_commands_that_stand_alone(void **state)
{
	struct rds *r;

	(void)state;
	start(asks, NULL);
	r = open_nodes(false);
	/* alone: what is asked of two nodes at once is heard in any order */
	rds_putv(r, SLICE("GET"), HIGH);
	REPLIES(r, "node1");
	rds_putv(r, SLICE("GET"), LOW);
	rds_putv(r, SLICE("SET"), LOW, SLICE(""), SLICE("EX"), SLICE("5"));
	rds_putv(r, SLICE("HGET"), LOW, SLICE("a"));
	REPLIES(r, "node1", "node1", "node0");
	rds_putv(r, SLICE("WATCH"), LOW);
	rds_putv(r, SLICE("XADD"), LOW, SLICE("1-0"));
	rds_putv(r, SLICE("MULTI"));
	rds_putv(r, SLICE("GET"), LOW);
	rds_putv(r, SLICE("EXEC"));
	REPLIES(r, "ASK 3821", "ASK 3821", "node0", "ASK 3821", "EXECABORT");
	heard(1, "GET {foo}\nASKING\nGET {p7}\nASKING\nSET {p7}  EX 5\n");
	rds_close(&r);
	stop();
}

static const struct rule moved[] = {{"GET", "-MOVED 3821 127.0.0.1:@\r\n"}, {0}};

static void moved_is_told_unless_it_may_be_followed(void **state)
{
	struct rds *r;

	(void)state;
	start(moved, NULL);
	r = open_nodes(false);
	rds_putv(r, SLICE("GET"), LOW);
	REPLIES(r, "MOVED 3821");
	rds_close(&r);
	heard(1, "");
	r = open_nodes(true);
	rds_putv(r, SLICE("GET"), LOW);
	rds_putv(r, SLICE("GET"), LOW);
	REPLIES(r, "node1", "node1");
	heard(1, "GET {p7}\nGET {p7}\n");
	rds_close(&r);
	stop();
}

static const struct rule again[] = {
	{"GET", "-TRYAGAIN later\r\n"}, {"HGET", "-CLUSTERDOWN The cluster is down\r\n"}, {0}};

static void other_errors_are_told(void **state)
{
	struct rds *r;

	(void)state;
	start(again, NULL);
	r = open_nodes(true);
	rds_putv(r, SLICE("GET"), LOW);
	rds_putv(r, SLICE("HGET"), LOW, SLICE("a"));
	rds_putv(r, SLICE("GET"), HIGH);
	REPLIES(r, "TRYAGAIN", "CLUSTERDOWN", "node1");
	rds_close(&r);
	stop();
}

static const struct rule cut[] = {{"GET", NULL}, {0}};

static void a_lost_node_is_the_end_of_all(void **state)
{
	struct rds_reply *rep;
	struct rds *r;

	(void)state;
	start(cut, NULL);
	r = open_nodes(false);
	rds_putv(r, SLICE("GET"), LOW);
	rds_putv(r, SLICE("GET"), HIGH);
	assert_int_equal(rds_get(r, &rep), -ECONNRESET);
	assert_int_equal(rds_get(r, &rep), -ECONNRESET);
	rds_putv(r, SLICE("GET"), HIGH);
	assert_int_equal(rds_get(r, &rep), -ECONNRESET);
	rds_close(&r);
	stop();
}

static void a_slot_without_an_owner(void **state)
{
	struct rds_reply *rep;
	struct rds *r;

	(void)state;
	start(NULL, NULL);
	r = open_nodes(false);
	/* Of the slot 16383. */
	assert_int_equal(cluster_slot(SLICE("key:13358")), 16383);
	assert_int_equal(rds_askv(r, &rep, SLICE("GET"), SLICE("key:13358")), -EAGAIN);
	rds_close(&r);
	stop();
}

static const struct rule single[] = {{"CLUSTER", "-ERR This instance has cluster support disabled\r\n"}, {0}};
static const struct rule nonsense[] = {{"CLUSTER", "*1\r\n*2\r\n:1\r\n:2\r\n"}, {0}};
static const struct rule wide[] = {{"CLUSTER", "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n"}, {0}};
static const struct rule none[] = {{"CLUSTER", "*0\r\n"}, {0}};
static const struct rule loading[] = {{"CLUSTER", "-LOADING wait\r\n"}, {0}};

static void seeds(void **state)
{
	static const struct {
		const char *name;
		const struct rule *rules;
		int want;
	} rows[] = {{"a single Redis", single, -EPROTONOSUPPORT}, {"nonsense", nonsense, -EPROTO},
		{"a slot too many", wide, -EPROTO}, {"no slots", none, -EAGAIN},
		{"loading", loading, -EAGAIN}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rds_config cfg;
		struct rds *r;

		start(rows[i].rules, NULL);
		cfg = config();
		test_numbers_equal(rows[i].name, rds_open(&r, &cfg), rows[i].want);
		assert_null(r);
		/* The next address may know better, and any of them is the first one. */
		cfg.seeds[1] = (struct rds_addr){"127.0.0.1", fakes[1].port};
		cfg.seed_count = 2;
		for (int k = 0; k < 8; k++) {
			assert_int_equal(rds_open(&r, &cfg), 0);
			rds_close(&r);
		}
		stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots),
		cmocka_unit_test(redirects),
		cmocka_unit_test(every_prefix_of_a_redirect),
		cmocka_unit_test(each_command_goes_to_the_owner_and_replies_come_in_order),
		cmocka_unit_test(ask_is_followed_for_commands_that_stand_alone),
		cmocka_unit_test(moved_is_told_unless_it_may_be_followed),
		cmocka_unit_test(other_errors_are_told),
		cmocka_unit_test(a_lost_node_is_the_end_of_all),
		cmocka_unit_test(a_slot_without_an_owner),
		cmocka_unit_test(seeds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
