#include "tracker/client_address.h"

/* A hop as proxies write it: bare, with a port, in brackets. */
static bool hop_decode(slice s, struct ip *out)
{
	size_t end;

	s = slice_trim(s);
	if (s.len && s.p[0] == '[') {
		end = slice_chr(s, ']', 0);
		if (end == SLICE_NPOS || (end + 1 < s.len && s.p[end + 1] != ':'))
			return false;
		s = slice_sub(s, 1, end);
		return slice_chr(s, ':', 0) != SLICE_NPOS && ip_decode(s, out) == 0;
	}
	end = slice_chr(s, ':', 0);
	if (end != SLICE_NPOS && slice_chr(s, ':', end + 1) == SLICE_NPOS)
		s = slice_sub(s, 0, end);
	return ip_decode(s, out) == 0;
}

struct ip client_address_of(
	const struct ip_networks *trusted, const struct ip *peer, const slice *forwarded, size_t count)
{
	struct ip client = *peer, hop;
	unsigned hops = 0;

	while (count-- > 0) {
		slice rest = forwarded[count];

		for (;;) {
			size_t comma = slice_rchr(rest, ',');

			if (!ip_networks_have(trusted, &client) || ++hops > CLIENT_MAX_HOPS ||
				!hop_decode(slice_from(rest, comma == SLICE_NPOS ? 0 : comma + 1), &hop))
				return client;
			client = hop;
			if (comma == SLICE_NPOS)
				break;
			rest = slice_sub(rest, 0, comma);
		}
	}
	return client;
}
