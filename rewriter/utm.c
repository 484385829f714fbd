#include "rewriter/utm.h"

/* Does the query name=... already? */
static bool has(slice query, slice name)
{
	size_t from = 0;

	while (from < query.len) {
		size_t to = slice_chr(query, '&', from);
		slice item = slice_sub(query, from, to == SLICE_NPOS ? query.len : to);

		if (slice_starts(item, name) && (item.len == name.len || item.p[name.len] == '='))
			return true;
		if (to == SLICE_NPOS)
			break;
		from = to + 1;
	}
	return false;
}

static void put_value(struct buf *b, slice v)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < v.len; i++) {
		uint8_t c = v.p[i];

		if (ascii_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
			buf_byte(b, c);
		} else {
			buf_byte(b, '%');
			buf_byte(b, (uint8_t)hex[c >> 4]);
			buf_byte(b, (uint8_t)hex[c & 15]);
		}
	}
}

slice utm_add(struct arena *a, slice url, const struct utm *list, size_t count)
{
	size_t hash = slice_chr(url, '#', 0), mark, room = url.len + 1;
	slice head = slice_sub(url, 0, hash == SLICE_NPOS ? url.len : hash), query = SLICE_NONE;
	bool any = false;
	struct buf b;

	mark = slice_chr(head, '?', 0);
	if (mark != SLICE_NPOS)
		query = slice_from(head, mark + 1);
	for (size_t i = 0; i < count; i++)
		room += list[i].name.len + list[i].value.len * 3 + 2;
	b = (struct buf){.p = arena_alloc(a, room), .room = room, .cap = room};
	buf_put(&b, head);
	for (size_t i = 0; i < count; i++) {
		uint8_t last = b.p[b.len - 1];

		if (has(query, list[i].name))
			continue;
		if (mark == SLICE_NPOS && !any)
			buf_byte(&b, '?');
		else if (last != '?' && last != '&')
			buf_byte(&b, '&');
		buf_put(&b, list[i].name);
		buf_byte(&b, '=');
		put_value(&b, list[i].value);
		any = true;
	}
	if (!any)
		return url;
	buf_put(&b, slice_from(url, head.len));
	return buf_slice(&b);
}
