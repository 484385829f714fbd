/* Parts come in the order of their offsets, each within its parent and behind the
 * brother before it; a body begins in its part; parameters are found the same
 * however they are asked for. */
#include "core/base/refuse.h"
#include "core/parse/mime.h"

#include <stdlib.h>

#define check(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_of(data, size), v;
	struct mime_tree t;
	struct arena a;
	int rc;

	arena_init(&a, 1 << 28, NULL, NULL);
	rc = mime_walk(&a, in, &t);
	check(rc == 0 || rc == -REFUSE_TOO_DEEP || rc == -REFUSE_TOO_MANY_PARTS ||
		rc == -REFUSE_HEADER_TOO_LARGE || rc == -REFUSE_LENGTH);
	for (size_t i = 0; i < t.count; i++) {
		const struct mime_part *p = &t.parts[i], *up = p->parent >= 0 ? &t.parts[p->parent] : NULL;

		check(p->from <= p->body && p->body <= p->to && p->to <= size);
		check((i == 0) == !up);
		check(p->depth == (up ? up->depth + 1 : 0) && p->depth <= MIME_MAX_DEPTH);
		check(!up || (up->multipart && p->parent < (int)i));
		/* A part may begin where its parent was cut off, but never reach beyond. */
		check(!up || (p->from >= up->body && p->to <= (up->to > p->from ? up->to : p->to)));
		check(!p->multipart || (p->boundary.len > 0 && p->boundary.len <= MIME_MAX_BOUNDARY));
		for (size_t k = i; k-- > 0;) {
			if (t.parts[k].parent != p->parent)
				continue;
			check(t.parts[k].to <= p->from && t.parts[k].place + 1 == p->place);
			break;
		}
		check(mime_number(&a, &t, i).len > 0);
	}
	for (size_t at = 0, k = 0; (at = mime_dashes(in, at)) != SLICE_NPOS && k < 64; at++, k++)
		check(slice_starts(slice_from(in, at), SLICE("\n--")));
	if (mime_param(&a, in, SLICE("charset"), &v))
		check(v.len <= size);
	arena_free(&a);
	return 0;
}
