/* Whoever is named as the client is the peer or a hop that stands in the header,
 * and an untrusted peer is believed over any header. */
#include "tracker/client_address.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t ten[4] = {10, 0, 0, 1}, other[4] = {192, 0, 2, 1};
	struct ip proxy = ip_v4(ten), stranger = ip_v4(other), got;
	struct ip_networks trusted;
	slice in = slice_of(data, size), word = SLICE_NONE, parts[2];

	if (ip_networks_decode(SLICE("10.0.0.0/8"), &trusted, &word) != 0)
		abort();
	parts[0] = slice_sub(in, 0, size / 2);
	parts[1] = slice_from(in, size / 2);
	got = client_address_of(&trusted, &stranger, parts, 2);
	if (memcmp(&got, &stranger, sizeof got) != 0)
		abort();
	/* One header or the same text cut at a comma into two: the same client. */
	for (size_t at = slice_chr(in, ',', 0); at != SLICE_NPOS; at = slice_chr(in, ',', at + 1)) {
		struct ip whole = client_address_of(&trusted, &proxy, &in, 1);

		parts[0] = slice_sub(in, 0, at);
		parts[1] = slice_from(in, at + 1);
		got = client_address_of(&trusted, &proxy, parts, 2);
		if (memcmp(&got, &whole, sizeof got) != 0)
			abort();
	}
	return 0;
}
