#include "rewriter/baseurl.h"

#include "core/base/buf.h"
#include "core/parse/url.h"

static bool slash(uint8_t c)
{
	return c == '/' || c == '\\';
}

/* Where the path begins. */
static size_t path_at(slice base)
{
	slice host = url_host(base);
	size_t i = (size_t)(host.p - base.p) + host.len;

	while (i < base.len && !slash(base.p[i]) && base.p[i] != '?' && base.p[i] != '#')
		i++;
	return i;
}

slice baseurl_join(struct arena *a, slice base, slice relative)
{
	size_t path = path_at(base), end = path, keep;
	struct buf b;

	if (relative.len == 0 || relative.p[0] == '#' ||
		(relative.len > 1 && slash(relative.p[0]) && slash(relative.p[1])))
		return SLICE_NONE;
	while (end < base.len && base.p[end] != '?' && base.p[end] != '#')
		end++;
	keep = end;
	if (slash(relative.p[0]))
		keep = path;
	else if (relative.p[0] != '?')
		while (keep > path && !slash(base.p[keep - 1]))
			keep--;
	b = (struct buf){.cap = base.len + relative.len + 1};
	b.p = arena_alloc(a, b.cap);
	b.room = b.cap;
	buf_put(&b, slice_sub(base, 0, keep));
	if (keep == path && !slash(relative.p[0]))
		buf_byte(&b, '/');
	buf_put(&b, relative);
	return buf_slice(&b);
}
