/* An address is what inet_pton takes, its text is read as the same address;
 * what a network names lies within it. */
#include "core/parse/ip.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static void against_oracle(slice s)
{
	char text[64];
	uint8_t oracle[16];
	struct ip a, want;
	bool got = ip_decode(s, &a) == 0, colon = slice_chr(s, ':', 0) != SLICE_NPOS;

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
	want = ip_v4(oracle);
	if (colon)
		memcpy(want.byte, oracle, 16);
	if (memcmp(&a, &want, sizeof a) != 0)
		abort();
}

static void text_and_back(const uint8_t *p)
{
	struct ip a, again;
	struct buf text;

	memcpy(a.byte, p, sizeof a.byte);
	buf_init(&text, IP_MAX_TEXT);
	ip_encode(&a, &text);
	if (text.full || ip_decode(buf_slice(&text), &again) != 0 || memcmp(&a, &again, sizeof a) != 0)
		abort();
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ip_networks n;
	slice in = slice_of(data, size), word = SLICE_NONE;

	against_oracle(in);
	if (size >= 16)
		text_and_back(data);
	if (ip_networks_decode(in, &n, &word) == 0 && n.count)
		for (unsigned i = 0; i < n.count; i++)
			if (!ip_networks_have(&n, &n.network[i].address))
				abort();
	return 0;
}
