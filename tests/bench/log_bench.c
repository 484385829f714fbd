/* Lines of a Postfix log per second: read, and read and joined. The log is made
 * up, six lines a message with a return path of ours; or the files named. */
#include "collector/join.h"
#include "collector/postfix_log.h"
#include "core/base/must.h"
#include "core/model/verp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MESSAGES 200000
#define MAX_BYTES (1u << 30)
#define NOW 1795284000000u
#define DOMAIN SLICE("bounce.example")

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_up(struct sealer *sealer, struct buf *out)
{
	for (unsigned n = 0; n < MESSAGES; n++) {
		struct token t = {.kind = TOKEN_RETURN, .campaign = 42, .lane = 5, .sequence = n};
		unsigned id = 0xA0000000 + n;

		buf_printf(
			out, "Nov 21 17:32:23 mx postfix/smtpd[16257]: %X: client=rewriter[192.0.2.9]\n", id);
		buf_printf(out,
			"Nov 21 17:32:23 mx postfix/cleanup[16300]: %X: "
			"message-id=<%u.837370.2525@client.example>\n",
			id, n);
		buf_printf(out, "Nov 21 17:32:23 mx postfix/qmgr[16250]: %X: from=<", id);
		must(verp_seal(sealer, DOMAIN, &t, out) == 0);
		buf_printf(out, ">, size=31313, nrcpt=1 (queue active)\n");
		buf_printf(out,
			"Nov 21 17:32:24 mx postfix/smtp[16301]: %X: to=<reader%u@mail%u.example>, "
			"relay=mx.mail%u.example[192.0.2.1]:25, delay=0.92, delays=0.01/0.01/0.4/0.5, "
			"dsn=2.0.0, "
			"status=sent (250 2.0.0 Ok: queued as 0000A1B2C5)\n",
			id, n, n % 100, n % 100);
		buf_printf(out, "Nov 21 17:32:24 mx postfix/qmgr[16250]: %X: removed\n", id);
		buf_printf(out, "Nov 21 17:32:24 mx postfix/smtpd[16257]: disconnect from "
				"rewriter[192.0.2.9] ehlo=1 mail=1 "
				"rcpt=1 data=1 quit=1 commands=5\n");
	}
}

static void read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "rb");
	uint8_t *room;
	size_t n;

	if (!f) {
		perror(path);
		exit(3);
	}
	while ((room = buf_room(out, 1 << 20)) && (n = fread(room, 1, 1 << 20, f)) > 0)
		buf_grew(out, n);
	fclose(f);
}

static void measure(const char *what, slice log, struct join *j)
{
	double from = now(), took;
	size_t lines = 0, deliveries = 0, events = 0, at = 0;

	while (at < log.len) {
		size_t lf = slice_chr(log, '\n', at), end = lf == SLICE_NPOS ? log.len : lf;
		struct log_fact f;
		struct event ev;
		slice id;

		deliveries += postfix_log_read(slice_sub(log, at, end), NOW, 0, &f) == LOG_FACT_DELIVERY;
		if (j && f.kind != LOG_FACT_NONE)
			events += join_read(j, &f, NOW, &ev, &id) == JOIN_EVENT;
		lines++;
		at = end + 1;
	}
	took = now() - from;
	printf("%-14s %zu lines, %zu deliveries, %zu events: %.0f lines/s, %.0f MB/s\n", what, lines,
		deliveries, events, (double)lines / took, (double)log.len / took / 1e6);
}

int main(int argc, char **argv)
{
	struct keyring ring = {.count = 1, .key[0] = {.id = 1}};
	struct join_config cfg = {.domain = DOMAIN, .cap = JOIN_CAP};
	struct buf log;

	memset(ring.hash, 7, sizeof ring.hash);
	memset(ring.key[0].secret, 9, sizeof ring.key[0].secret);
	cfg.sealer = sealer_open(&ring);
	buf_init(&log, MAX_BYTES);
	for (int i = 1; i < argc; i++)
		read_file(argv[i], &log);
	if (argc > 1) {
		/* As often as makes it worth measuring. */
		for (size_t once = log.len; once && log.len + once < (256u << 20);) {
			uint8_t *room = buf_room(&log, once);

			memcpy(room, log.p, once);
			buf_grew(&log, once);
		}
	} else {
		make_up(cfg.sealer, &log);
	}
	for (int turn = 0; turn < 3; turn++) {
		struct join *j = join_open(&cfg);

		measure("read", buf_slice(&log), NULL);
		measure("read and join", buf_slice(&log), j);
		join_close(&j);
	}
	sealer_close(&cfg.sealer);
	buf_free(&log);
	return 0;
}
