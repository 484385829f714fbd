#include "collector/mbox.h"

static bool empty_line_before(slice s, size_t lf)
{
	if (lf == 0)
		return true;
	if (s.p[lf - 1] == '\r')
		lf--;
	return lf == 0 || s.p[lf - 1] == '\n';
}

bool mbox_next(slice *rest, slice *message)
{
	size_t at = 0;

	/* Empty lines between messages are nobody's. */
	while (rest->len && (rest->p[0] == '\n' || rest->p[0] == '\r'))
		*rest = slice_from(*rest, 1);
	if (rest->len == 0)
		return false;
	while ((at = slice_find(*rest, SLICE("\nFrom "), at)) != SLICE_NPOS) {
		if (empty_line_before(*rest, at)) {
			*message = slice_sub(*rest, 0, at + 1);
			*rest = slice_from(*rest, at + 1);
			return true;
		}
		at++;
	}
	*message = *rest;
	*rest = SLICE_NONE;
	return true;
}
