#include "collector/command.h"
#include "collector/log_facts.h"
#include "collector/log_reader.h"
#include "core/io/clock.h"
#include "core/io/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 << 10)
#define MAX_PENDING ((size_t)16 << 20) /* a longer line is taken in pieces */
#define WRITE_BYTES ((size_t)64 << 10)

static const char help[] =
	"landfall log: an MTA log in on stdin, delivery facts out on stdout as JSON lines\n\n"
	"usage: landfall log [--format FORMAT]\n\n"
	"  --format FORMAT   whose log it is: postfix, exim, sendmail, opensmtpd, powermta (accounting "
	"file),\n"
	"                    kumomta, haraka; or auto, the default: whichever knows a line first, and the\n"
	"                    log is refused when none does\n"
	"  --help            this text\n\n"
	"One line out for each outcome: accepted, deferred, bounced, expired. Times without a zone are\n"
	"local ones, those without a year of the last twelve months. Exit status: 0 done, 1 the log was\n"
	"refused, 2 usage, 3 the system failed.\n\n"
	"example:\n"
	"  landfall log --format postfix < /var/log/mail.log | grep '\"kind\":\"bounced\"'\n";

struct filter {
	struct log_reader *reader;
	struct log_facts *facts;
	uint64_t now_ms;
	int zone_s;
	struct buf out;
};

static int usage(const char *what, const char *arg)
{
	fprintf(stderr, "landfall log: %s%s; try landfall log --help\n", what, arg);
	return EXIT_USAGE;
}

/* 0 or -errno. */
static int write_out(struct buf *out)
{
	int rc = daemon_print(buf_slice(out));

	buf_clear(out);
	return rc;
}

static void take_fact(void *arg, const struct log_fact *fact)
{
	struct filter *f = arg;

	log_facts_add(f->facts, fact, &f->out);
}

static int take_line(struct filter *f, slice line)
{
	log_reader_line(f->reader, line, f->now_ms, f->zone_s);
	return f->out.len >= WRITE_BYTES ? write_out(&f->out) : 0;
}

/* Every line of stdin, the last one also without its newline. 0 or -errno. */
static int filter(struct filter *f)
{
	struct buf in;
	int rc = 0;

	buf_init(&in, MAX_PENDING + READ_BYTES);
	while (rc == 0) {
		uint8_t *room = buf_room(&in, READ_BYTES);
		ssize_t n = read(STDIN_FILENO, room, READ_BYTES);
		size_t at = 0, lf;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = -errno;
		if (n <= 0)
			break;
		buf_grew(&in, (size_t)n);
		while (rc == 0 && (lf = slice_chr(buf_slice(&in), '\n', at)) != SLICE_NPOS) {
			rc = take_line(f, slice_sub(buf_slice(&in), at, lf));
			at = lf + 1;
		}
		buf_drop(&in, in.len - at > MAX_PENDING ? in.len : at);
	}
	if (rc == 0 && in.len)
		rc = take_line(f, buf_slice(&in));
	if (rc == 0)
		log_reader_end(f->reader, f->zone_s);
	if (rc == 0)
		rc = write_out(&f->out);
	buf_free(&in);
	return rc;
}

static int zone_now(uint64_t now_ms)
{
	time_t now = (time_t)(now_ms / 1000);
	struct tm tm;

	localtime_r(&now, &tm);
	return (int)tm.tm_gmtoff;
}

static int run(enum log_format format)
{
	struct filter f = {.facts = log_facts_open(), .now_ms = clock_ms()};
	int rc, status = EXIT_DONE;

	f.reader = log_reader_open(format, take_fact, &f);
	f.zone_s = zone_now(f.now_ms);
	/* One line out is bounded by one line in, but for the recipients of an
	 * expired message. */
	buf_init(&f.out, (size_t)256 << 20);
	rc = filter(&f);
	if (rc < 0) {
		fprintf(stderr, "landfall log: %s\n", strerror(-rc));
		status = EXIT_WORLD;
	} else if (log_reader_format(f.reader) == LOG_FORMAT_AUTO) {
		fputs("landfall log: no line of a known format\n", stderr);
		status = EXIT_REFUSED;
	}
	buf_free(&f.out);
	log_reader_close(&f.reader);
	log_facts_close(&f.facts);
	return status;
}

int command_log(int argc, char **argv)
{
	const char *word = "auto";
	enum log_format format;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(help, stdout);
			return EXIT_DONE;
		}
		if (strncmp(argv[i], "--format=", 9) == 0)
			word = argv[i] + 9;
		else if (strcmp(argv[i], "--format") == 0 && i + 1 < argc)
			word = argv[++i];
		else if (strcmp(argv[i], "--format") == 0)
			return usage("--format wants one", "");
		else
			return usage(argv[i][0] == '-' ? "unknown option " : "unexpected argument ", argv[i]);
	}
	if (!log_format_find(slice_str(word), &format))
		return usage("no such format: ", word);
	return run(format);
}
