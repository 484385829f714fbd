#include "collector/log_cut.h"

bool log_cut_id(struct log_cut *c, size_t least, size_t most, slice *id)
{
	size_t n = 0;

	while (n < c->s.len && n <= most && ascii_alnum(c->s.p[n]))
		n++;
	if (n < least || n > most || !slice_starts(slice_from(c->s, n), SLICE(": ")))
		return false;
	*id = slice_sub(c->s, 0, n);
	c->s = slice_from(c->s, n + 2);
	return true;
}
