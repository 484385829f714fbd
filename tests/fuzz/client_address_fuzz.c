/* An address is what inet_pton takes; whoever is named as the client is the
 * peer or a hop that stands in the header, and an untrusted peer is believed
 * over any header. */
#include "tracker/client_address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void against_oracle(slice s)
{
	char text[64];
	uint8_t oracle[16];
	struct client_address a, want;
	bool got = client_address_decode(s, &a) == 0, colon = slice_chr(s, ':', 0) != SLICE_NPOS;

	if (s.len >= sizeof text || slice_chr(s, 0, 0) != SLICE_NPOS) {
		if (got)
			abort();
		return;
	}
	memcpy(text, s.p, s.len);
	text[s.len] = 0;
	if (got != (inet_pton(colon ? AF_INET6 : AF_INET, text, oracle) == 1))
		abort();
	if (!got)
		return;
	want = client_address_v4(oracle);
	if (colon)
		memcpy(want.ip, oracle, 16);
	if (memcmp(&a, &want, sizeof a) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t ten[4] = {10, 0, 0, 1}, other[4] = {192, 0, 2, 1};
	struct client_address proxy = client_address_v4(ten), stranger = client_address_v4(other), got;
	struct client_networks trusted, n;
	slice in = slice_of(data, size), word = SLICE_NONE, parts[2];

	against_oracle(in);
	if (client_networks_decode(in, &n, &word) == 0 && n.count)
		for (unsigned i = 0; i < n.count; i++)
			if (!client_networks_have(&n, &n.network[i].address))
				abort();
	if (client_networks_decode(SLICE("10.0.0.0/8"), &trusted, &word) != 0)
		abort();
	parts[0] = slice_sub(in, 0, size / 2);
	parts[1] = slice_from(in, size / 2);
	got = client_address_of(&trusted, &stranger, parts, 2);
	if (memcmp(&got, &stranger, sizeof got) != 0)
		abort();
	/* One header or the same text cut at a comma into two: the same client. */
	for (size_t at = slice_chr(in, ',', 0); at != SLICE_NPOS; at = slice_chr(in, ',', at + 1)) {
		struct client_address whole = client_address_of(&trusted, &proxy, &in, 1);

		parts[0] = slice_sub(in, 0, at);
		parts[1] = slice_from(in, at + 1);
		got = client_address_of(&trusted, &proxy, parts, 2);
		if (memcmp(&got, &whole, sizeof got) != 0)
			abort();
	}
	return 0;
}
