#include "rewriter/policy.h"

#include "core/parse/url.h"

#include <string.h>

bool policy_made_of(slice s, const char *others)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_alnum(s.p[i]) && (s.p[i] == 0 || !strchr(others, s.p[i])))
			return false;
	return true;
}

bool policy_url_fit(slice url)
{
	return url.len <= POLICY_MAX_TRACK_URL &&
	       (slice_starts(url, SLICE("http://")) || slice_starts(url, SLICE("https://"))) &&
	       url_host(url).len > 0 && policy_made_of(url, "-._~:/[]");
}

bool policy_track_url(struct arena *a, slice url, struct policy *p)
{
	uint8_t *lower;
	slice host;

	while (slice_ends(url, SLICE("/")))
		url.len--;
	if (!policy_url_fit(url))
		return false;
	host = url_host(url);
	lower = arena_alloc(a, host.len);
	for (size_t i = 0; i < host.len; i++)
		lower[i] = ascii_lower(host.p[i]);
	p->track_url = url;
	p->track_host = slice_of(lower, host.len);
	return true;
}

bool policy_feedback_id_fit(slice name)
{
	return name.len <= POLICY_MAX_FEEDBACK_ID && policy_made_of(name, "-._~");
}

bool policy_address_fit(slice address)
{
	size_t at = slice_chr(address, '@', 0);

	if (address.len == 0)
		return true;
	return at > 0 && at < address.len - 1 && at == slice_rchr(address, '@') &&
	       address.len <= POLICY_MAX_ADDRESS && policy_made_of(address, "-._~+@");
}
