/* What url_location gives is printable ASCII, begins with http, has a host, and
 * is what it gives for itself; what it refuses leaves no trace. */
#include "core/base/refuse.h"
#include "core/parse/url.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf once, twice, plain;
	slice in = slice_of(data, size), host, got;
	int rc;

	buf_init(&once, 3 * size + URL_MAX_HOST * 4);
	buf_init(&twice, 3 * size + URL_MAX_HOST * 4);
	buf_init(&plain, size);
	url_strip(in, &plain);
	host = url_host(buf_slice(&plain));
	if (plain.full || url_is_web(buf_slice(&plain)) != (host.len > 0))
		abort();
	rc = url_location(in, &once);
	got = buf_slice(&once);
	if (rc < 0 && (once.len || (rc != -REFUSE_SCHEME && rc != -REFUSE_SYNTAX)))
		abort();
	if (rc == 0) {
		for (size_t i = 0; i < got.len; i++)
			if (got.p[i] < 0x21 || got.p[i] > 0x7e)
				abort();
		if (!slice_istarts(got, SLICE("http")) || !url_host(got).len)
			abort();
		if (url_location(got, &twice) != 0 || !slice_eq(buf_slice(&twice), got))
			abort();
	}
	buf_free(&once);
	buf_free(&twice);
	buf_free(&plain);
	return 0;
}
