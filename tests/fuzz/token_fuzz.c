/* A token that opens seals again to the same text: there is one text for one
 * identity. The input is taken as text, and also as what an attacker with the
 * key would have sealed, so that the reader of the plain bytes is reached. */
#include "core/base/buf.h"
#include "core/model/siv.h"
#include "core/model/token.h"
#include "core/parse/b64.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t kinds[] = {TOKEN_OPEN, TOKEN_CLICK, TOKEN_UNSUBSCRIBE, TOKEN_HEADER};

static void check(struct sealer *s, enum token_kind kind, slice text)
{
	uint8_t room[TOKEN_ROOM];
	struct token t;
	struct buf again;

	if (token_open(s, SLICE("t.example"), kind, text, room, &t) < 0)
		return;
	buf_init(&again, TOKEN_MAX_TEXT);
	if (token_seal(s, SLICE("t.example"), &t, &again) != 0 || !slice_eq(buf_slice(&again), text))
		abort();
	buf_free(&again);
}

static void check_return(struct sealer *s, slice text)
{
	struct token t;
	struct buf again;

	if (token_open_return(s, SLICE("b.example"), text, &t) < 0)
		return;
	buf_init(&again, 64);
	if (token_seal_return(s, SLICE("b.example"), &t, &again) != 0 || !slice_ieq(buf_slice(&again), text))
		abort();
	buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyring ring = {.count = 1, .key = {{.id = 1, .secret = {1, 2, 3, 4}}}};
	struct sealer *s = sealer_open(&ring);
	struct siv_bound bound;
	struct buf text;
	struct siv siv;

	siv_init(&siv, ring.key[0].secret, SIV_BEST);
	buf_init(&text, TOKEN_MAX_TEXT);
	for (size_t k = 0; k < sizeof kinds; k++) {
		uint8_t raw[B64_BYTES(TOKEN_MAX_TEXT)];
		slice ad[2] = {slice_of(&kinds[k], 1), SLICE("t.example")};

		check(s, kinds[k], slice_of(data, size));
		if (size > sizeof raw - 1 - SIV_TAG)
			continue;
		raw[0] = 0x41;
		siv_bind(&siv, ad, 2, &bound);
		siv_seal(&siv, &bound, slice_of(data, size), raw + 1, raw + 1 + SIV_TAG);
		buf_clear(&text);
		b64url_encode(slice_of(raw, 1 + SIV_TAG + size), &text);
		check(s, kinds[k], buf_slice(&text));
	}
	check_return(s, slice_of(data, size));
	buf_free(&text);
	siv_free(&siv);
	sealer_close(&s);
	return 0;
}
