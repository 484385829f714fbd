/* An address that opens names an identity whose own address opens to the same,
 * and whose token stands in the input. Inputs have "T" for a good token. */
#include "core/base/buf.h"
#include "core/model/verp.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyring ring = {.count = 1, .key = {{.id = 1, .secret = {1, 2, 3, 4}}}};
	struct token t = {.campaign = 1, .lane = 2, .sequence = 3}, got, again;
	struct sealer *s = sealer_open(&ring);
	const slice domain = SLICE("b.example");
	struct buf good, in;

	buf_init(&good, 256);
	buf_init(&in, 1 << 20);
	if (token_seal_return(s, domain, &t, &good) != 0)
		abort();
	for (size_t i = 0; i < size; i++) {
		if (data[i] == 'T')
			buf_put(&in, buf_slice(&good));
		else if (data[i] == '@')
			buf_str(&in, "@b.example");
		else
			buf_byte(&in, data[i]);
	}
	if (verp_open(s, domain, buf_slice(&in), &got) == 0) {
		buf_clear(&good);
		if (verp_seal(s, domain, &got, &good) != 0 ||
			verp_open(s, domain, buf_slice(&good), &again) != 0)
			abort();
		if (again.campaign != got.campaign || again.lane != got.lane ||
			again.sequence != got.sequence)
			abort();
		if (slice_ifind(buf_slice(&in), slice_sub(buf_slice(&good), 2, 2 + TOKEN_RETURN_TEXT), 0) ==
			SLICE_NPOS)
			abort();
	}
	buf_free(&good);
	buf_free(&in);
	sealer_close(&s);
	return 0;
}
