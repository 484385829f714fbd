/* Lines of a log per second. Of Postfix: read, and read and joined, six lines a
 * message with a return path of ours, made up; or the files named. Of each other
 * format: read, and read and told as `landfall log` tells it, made up. */
#include "collector/join.h"
#include "collector/log_facts.h"
#include "collector/log_reader.h"
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

/* A message of one recipient, sent, as the MTA logs it; {n} stands for its number. */
static const struct {
	enum log_format format;
	const char *first; /* line of the file */
	const char *lines;
} others[] = {
	{LOG_FORMAT_EXIM, "",
		"2026-11-21 17:32:23 {n}-0007d5-1Q <= n{n}@bounce.example H=rewriter [192.0.2.9] P=esmtp "
		"S=31313 "
		"id={n}.8373@client.example\n"
		"2026-11-21 17:32:24 {n}-0007d5-1Q => reader{n}@mail.example R=dnslookup T=remote_smtp "
		"H=mx.mail.example "
		"[192.0.2.1] X=TLS1.3:ECDHE_SECP256R1__AES_256_GCM:256 CV=yes K C=\"250 2.0.0 Ok: queued as "
		"0000A1B2C5\"\n"
		"2026-11-21 17:32:24 {n}-0007d5-1Q Completed\n"},
	{LOG_FORMAT_SENDMAIL, "",
		"Nov 21 17:32:23 mx sendmail[18892]: 6AL{n}018892: from=<n{n}@bounce.example>, size=31313, "
		"class=0, nrcpts=1, "
		"msgid=<{n}.8373@client.example>, proto=ESMTP, daemon=MTA, relay=rewriter [192.0.2.9]\n"
		"Nov 21 17:32:24 mx sendmail[18894]: 6AL{n}018892: to=<reader{n}@mail.example>, "
		"delay=00:00:01, xdelay=00:00:01, "
		"mailer=esmtp, pri=30144, relay=mx.mail.example. [192.0.2.1], dsn=2.0.0, stat=Sent (Ok: "
		"queued as 0000A1B2C5)\n"},
	{LOG_FORMAT_OPENSMTPD, "",
		"Nov 21 17:32:23 mx smtpd[75295]: 9dafabdc1afafceb smtp message msgid=00{n} size=31313 "
		"nrcpt=1 proto=ESMTP\n"
		"Nov 21 17:32:23 mx smtpd[75295]: 9dafabdc1afafceb smtp envelope evpid=00{n}9e99b9d6 "
		"from=<n@bounce.example> "
		"to=<reader{n}@mail.example>\n"
		"Nov 21 17:32:24 mx smtpd[75295]: 9dafabdf4533bdba mta delivery evpid=00{n}9e99b9d6 "
		"from=<n@bounce.example> "
		"to=<reader{n}@mail.example> rcpt=<-> source=\"192.0.2.9\" relay=\"192.0.2.1 "
		"(mx.mail.example)\" delay=1s "
		"result=\"Ok\" stat=\"250 2.0.0 Ok: queued as 0000A1B2C5\"\n"},
	{LOG_FORMAT_HARAKA, "",
		"2026-11-21T17:32:23.205Z [NOTICE] [F17B39EF-39D7-4148-B14C-E71660{n}.1] [core] sender "
		"<n@bounce.example> code=CONT\n"
		"2026-11-21T17:32:23.205Z [NOTICE] [F17B39EF-39D7-4148-B14C-E71660{n}.1] [core] recipient "
		"<reader{n}@mail.example> "
		"code=OK msg=\"\" sender=n@bounce.example\n"
		"2026-11-21T17:32:23.214Z [NOTICE] [F17B39EF-39D7-4148-B14C-E71660{n}.1] [core] message "
		"mid=<{n}@client.example> "
		"size=31313 rcpts=1/0/0 delay=0 code=CONT msg=\"\"\n"
		"2026-11-21T17:32:24.394Z [NOTICE] [F17B39EF-39D7-4148-B14C-E71660{n}.1.1] [outbound]  "
		"delivered file=1_1_0_1_J_1_vm "
		"domain=mail.example host=mx.mail.example ip=192.0.2.1 port=25 mode=SMTP tls=N auth=N "
		"response=\"Ok: queued as "
		"0000A1B31D\" delay=0.179 fails=0 rcpts=1/0/0\n"},
	{LOG_FORMAT_POWERMTA,
		"type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,"
		"srcType,srcMta,dlvType,"
		"dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool\n",
		"d,2026-11-21 17:32:24+0000,2026-11-21 "
		"17:32:23+0000,n{n}@bounce.example,reader{n}@mail.example,,relayed,2.0.0 "
		"(success),\"smtp;250 2.0.0 Ok: queued as 0000A1B2C5\",mx.mail.example "
		"(192.0.2.1),,smtp,,smtp,192.0.2.9,192.0.2.1,1,"
		"31313,pool,job0,,mail.example/pool,pool\n"},
	{LOG_FORMAT_KUMOMTA, "",
		"{\"type\":\"Delivery\",\"id\":\"1d98076abbbc11ed940250eb{n}\",\"sender\":\"n{n}@bounce."
		"example\",\"recipient\":"
		"\"reader{n}@mail.example\",\"queue\":\"c:t@mail.example\",\"site\":\"s->mx.mail.example\","
		"\"size\":31313,"
		"\"response\":{\"code\":250,\"enhanced_code\":{\"class\":2,\"subject\":0,\"detail\":0},"
		"\"content\":\"Ok: queued as "
		"0000A1B2C5\",\"command\":\".\"},\"peer_address\":{\"name\":\"mx.mail.example.\",\"addr\":"
		"\"192.0.2.1\"},"
		"\"timestamp\":1795284000,\"created\":1795283999,\"num_attempts\":0,\"bounce_"
		"classification\":\"Uncategorized\","
		"\"egress_pool\":\"p\",\"egress_source\":\"s\",\"feedback_report\":null,\"meta\":{},"
		"\"headers\":{},"
		"\"delivery_protocol\":\"ESMTP\",\"reception_protocol\":\"ESMTP\",\"nodeid\":\"557f3ad4\"}"
		"\n"},
};

struct told {
	struct log_facts *facts; /* NULL: only counted */
	struct buf out;
	size_t outcomes;
};

static void tell(void *arg, const struct log_fact *f)
{
	struct told *t = arg;

	t->outcomes += f->kind == LOG_FACT_DELIVERY;
	if (t->facts)
		log_facts_add(t->facts, f, &t->out);
	if (t->out.len > 1 << 16)
		buf_clear(&t->out);
}

static void make_up_other(size_t which, struct buf *out)
{
	buf_str(out, others[which].first);
	for (unsigned n = 0; n < MESSAGES; n++) {
		slice rest = slice_str(others[which].lines);

		while (rest.len) {
			size_t at = slice_find(rest, SLICE("{n}"), 0);

			buf_put(out, slice_sub(rest, 0, at));
			if (at == SLICE_NPOS)
				break;
			buf_printf(out, "%06X", n);
			rest = slice_from(rest, at + 3);
		}
	}
}

static void measure_other(size_t which, slice log, bool facts)
{
	struct told t = {.facts = facts ? log_facts_open() : NULL};
	struct log_reader *r = log_reader_open(others[which].format, tell, &t);
	double from = now(), took;
	size_t lines = 0, at = 0;

	buf_init(&t.out, 1 << 20);
	while (at < log.len) {
		size_t lf = slice_chr(log, '\n', at), end = lf == SLICE_NPOS ? log.len : lf;

		log_reader_line(r, slice_sub(log, at, end), NOW, 0);
		lines++;
		at = end + 1;
	}
	took = now() - from;
	printf("%-9s %s %zu lines, %zu deliveries: %.0f lines/s, %.0f MB/s\n",
		log_format_word(others[which].format), facts ? "read and told" : "read         ", lines,
		t.outcomes, (double)lines / took, (double)log.len / took / 1e6);
	must(t.outcomes == MESSAGES);
	log_reader_close(&r);
	log_facts_close(&t.facts);
	buf_free(&t.out);
}

static void measure_others(void)
{
	struct buf log;

	buf_init(&log, MAX_BYTES);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		buf_clear(&log);
		make_up_other(i, &log);
		measure_other(i, buf_slice(&log), false);
		measure_other(i, buf_slice(&log), true);
	}
	buf_free(&log);
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
	if (argc == 1)
		measure_others();
	return 0;
}
