/* Paths with sealed tokens for tests/bench/tracker.sh:
 *
 *	tracker_tokens RING HOST o|c COUNT
 *
 * Makes the key ring if it is not there. One path a line. */
#include "core/base/must.h"
#include "core/io/keyfile.h"
#include "core/model/event.h"
#include "core/model/token.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	static struct keyring ring;
	struct sealer *sealer;
	struct buf why, text;
	char kind;

	if (argc != 5)
		return 2;
	kind = argv[3][0];
	buf_init(&why, 1024);
	buf_init(&text, TOKEN_MAX_TEXT);
	if (keyfile_load(argv[1], &ring, &why) < 0) {
		must(keyfile_add(&ring) > 0);
		must(keyfile_store(argv[1], &ring, &why) == 0);
	}
	sealer = sealer_open(&ring);
	for (int i = 0; i < atoi(argv[4]); i++) {
		struct token t = {.kind = (enum token_kind)kind,
			.campaign = 0x1122334455667788u + (unsigned)i % 7,
			.lane = 1,
			.sequence = (uint32_t)i,
			.day = 2500,
			.mode = PRIVACY_FULL,
			.url = kind == 'c' ? SLICE("https://shop.example/spring/"
						   "shoes?utm_source=news&utm_medium=mail")
					   : SLICE_NONE};

		buf_clear(&text);
		must(token_seal(sealer, slice_str(argv[2]), &t, &text) == 0);
		printf("/%c/%.*s%s\n", kind, SLICE_FMT(buf_slice(&text)), kind == 'o' ? ".gif" : "");
	}
	sealer_close(&sealer);
	buf_free(&text);
	buf_free(&why);
	return 0;
}
