/* The spans of the lines tile the input up to the end or to the bad line, every
 * slice lies in its line, and asking again about a bad line gives the same. */
#include "core/parse/ini.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const struct ini_line *line, const uint8_t *data, slice s)
{
	if (s.len && (s.p < data + line->from || s.p + s.len > data + line->to))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ini_line line;
	size_t last = 0;
	unsigned number = 0, bad;
	struct ini it;
	int rc;

	ini_start(&it, slice_of(data, size));
	while ((rc = ini_next(&it, &line)) > 0) {
		if (line.from != last || line.to <= line.from || line.to > size || line.number != ++number)
			abort();
		inside(&line, data, line.key);
		inside(&line, data, line.value);
		last = line.to;
	}
	if (rc == 0)
		return last == size ? 0 : (abort(), 0);
	bad = it.number;
	if (it.pos != last || bad != number + 1 || ini_next(&it, &line) != rc || it.number != bad)
		abort();
	return 0;
}
