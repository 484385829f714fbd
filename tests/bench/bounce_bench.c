/* Returned messages per second, read and written as JSON, on one thread: the
 * files named, or two made up ones. Beside it tests/bench/sisimai.sh measures
 * Sisimai over the same files, where Perl has it. */
#include "collector/bounce_json.h"
#include "core/base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_FILES 4096
#define SECONDS 3.0

static const char report[] =
	"Return-Path: <>\nFrom: MAILER-DAEMON@mx.test\nTo: b+x@bounce.test\nSubject: Undelivered Mail "
	"Returned to "
	"Sender\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n--b\n\nThis "
	"is the mail "
	"system.\n\n<r@b.test>: host mx.b.test[192.0.2.1] said: 550-5.1.1 The email account\n    that you "
	"tried to reach "
	"does not exist. (in reply to RCPT TO command)\n\n--b\nContent-Type: "
	"message/delivery-status\n\nReporting-MTA: dns; "
	"mx.test\nArrival-Date: Sat, 21 Nov 2026 17:35:45 +0000\n\nFinal-Recipient: rfc822; "
	"r@b.test\nAction: "
	"failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.b.test\nDiagnostic-Code: smtp; 550-5.1.1 The email "
	"account that you\n    "
	"tried to reach does not exist.\n\n--b\nContent-Type: message/rfc822\n\nFrom: n@brand.test\nTo: "
	"r@b.test\nMessage-ID: <m@brand.test>\n\nhello\n--b--\n";
static const char text[] =
	"Return-Path: <>\nFrom: MAILER-DAEMON@mx.test\nTo: b+x@bounce.test\nSubject: failure notice\n\nHi. "
	"This is the "
	"qmail-send program at mx.test.\nI'm afraid I wasn't able to deliver your message to the following "
	"addresses.\n\n<r@b.test>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 User "
	"unknown\nGiving up on "
	"192.0.2.1.\n\n--- Below this line is a copy of the message.\n\nReturn-Path: "
	"<n@brand.test>\nMessage-ID: "
	"<m@brand.test>\n\nhello\n";

struct files {
	slice list[MAX_FILES];
	unsigned count;
	size_t bytes;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add_file(struct files *f, const char *path)
{
	FILE *in = fopen(path, "rb");
	struct buf b;
	uint8_t *room;
	size_t n;

	if (!in) {
		perror(path);
		exit(3);
	}
	buf_init(&b, (size_t)64 << 20);
	while ((room = buf_room(&b, 1 << 16)) && (n = fread(room, 1, 1 << 16, in)) > 0)
		buf_grew(&b, n);
	fclose(in);
	f->list[f->count++] = buf_slice(&b); /* kept to the end */
	f->bytes += b.len;
}

static void measure(const char *what, const struct files *f)
{
	double from = now(), took;
	uint64_t messages = 0, facts = 0, bytes = 0;
	struct arena a;
	struct buf out;

	arena_init(&a, BOUNCE_MEMORY, NULL, NULL);
	buf_init(&out, (size_t)128 << 20);
	do {
		for (unsigned i = 0; i < f->count; i++) {
			struct bounce_message m;

			bounce_read(&a, f->list[i], &m);
			bounce_json(&m, NULL, &out);
			facts += m.count;
			messages++;
			bytes += f->list[i].len;
			buf_clear(&out);
			arena_reset(&a);
		}
		took = now() - from;
	} while (took < SECONDS);
	printf("%-16s %u files: %.0f messages/s, %.0f facts/s, %.0f MB/s\n", what, f->count,
		(double)messages / took, (double)facts / took, (double)bytes / took / 1e6);
	buf_free(&out);
	arena_free(&a);
}

int main(int argc, char **argv)
{
	static struct files files, made;

	made.list[0] = SLICE(report);
	made.list[1] = SLICE(text);
	made.count = 2;
	measure("made up", &made);
	for (int i = 1; i < argc && files.count < MAX_FILES; i++)
		add_file(&files, argv[i]);
	if (files.count)
		measure("files", &files);
	return 0;
}
