#include "reports/command_estimate.h"

#include "core/base/arena.h"
#include "core/io/daemon.h"
#include "reports/estimate_json.h"

#include <stdio.h>
#include <string.h>

#define MEMORY_MAX ((size_t)8 << 30)
#define READ_STEP (1u << 20)

static const char help[] =
	"landfall estimate: how much of the accepted mail reached the inbox\n\n"
	"usage: landfall estimate < QUESTION.json > ANSWER.json\n\n"
	"The question holds campaigns, providers and what was seen of recipients, the answer rates with\n"
	"intervals for each provider and all together; docs/ARRIVAL.md describes both and the model.\n\n"
	"Exit status: 0 done, 1 the question was refused, 2 usage, 3 reading or writing failed.\n\n"
	"example:\n"
	"  echo "
	"'{\"version\":1,\"campaigns\":[{\"id\":\"may\",\"age_h\":72,\"target\":true}],\"providers\":[{\n"
	"        \"name\":\"gmail\",\"rows\":[[\"01\",700],[\"03\",300]]}]}' | landfall estimate\n";

/* 0, or the exit status after saying why. */
static int read_all(struct buf *in)
{
	uint8_t *room;
	size_t n;

	do {
		room = buf_room(in, READ_STEP);
		if (!room) {
			fprintf(stderr, "landfall estimate: the question is longer than %zu bytes\n",
				ESTIMATE_JSON_MAX);
			return EXIT_REFUSED;
		}
		n = fread(room, 1, READ_STEP, stdin);
		buf_grew(in, n);
	} while (n > 0);
	if (!ferror(stdin))
		return 0;
	perror("landfall estimate: stdin");
	return EXIT_WORLD;
}

static int answer(slice text)
{
	const struct est_without nothing = {0};
	struct estimate_question q;
	struct estimate e;
	struct arena a;
	struct buf out, why;
	int status = EXIT_REFUSED;

	arena_init(&a, MEMORY_MAX, NULL, NULL);
	buf_init(&out, 2 * ESTIMATE_JSON_MAX);
	buf_init(&why, 1024);
	if (estimate_json_decode(&a, text, &q, &why) < 0) {
		fprintf(stderr, "landfall estimate: %.*s; see landfall estimate --help\n",
			SLICE_FMT(buf_slice(&why)));
	} else {
		e = estimate_of(&a, &q.in, &nothing);
		estimate_json_encode(&q, &e, &out);
		buf_byte(&out, '\n');
		status = EXIT_DONE;
		if (fwrite(out.p, 1, out.len, stdout) != out.len || fflush(stdout) != 0) {
			perror("landfall estimate: stdout");
			status = EXIT_WORLD;
		}
	}
	buf_free(&why);
	buf_free(&out);
	arena_free(&a);
	return status;
}

int command_estimate(int argc, char **argv)
{
	struct buf in;
	int status;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		fputs(help, stdout);
		return EXIT_DONE;
	}
	if (argc > 1) {
		fprintf(stderr, "landfall estimate: not understood: %s; see landfall estimate --help\n",
			argv[1]);
		return EXIT_USAGE;
	}
	buf_init(&in, ESTIMATE_JSON_MAX + READ_STEP);
	status = read_all(&in);
	if (status == 0)
		status = answer(buf_slice(&in));
	buf_free(&in);
	return status;
}
