/* What is taken for a redirect names a host and a port, and says the same when it
 * is written again; and every key has a slot, which its tag alone has as well. */
#include "core/io/cluster.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(slice host, int port)
{
	char text[512];
	int n = snprintf(text, sizeof text, "MOVED 0 %.*s:%d", SLICE_FMT(host), port), again;
	slice there;

	if (slice_chr(host, 0, 0) != SLICE_NPOS)
		return; /* printf ends there */
	if (cluster_redirect_decode(slice_of(text, (size_t)n), &there, &again) < 0 || again != port ||
		!slice_eq(there, host))
		abort();
}

static void check_slot(slice key)
{
	size_t open = slice_chr(key, '{', 0), close;

	if (cluster_slot(key) >= CLUSTER_SLOTS)
		abort();
	close = open == SLICE_NPOS ? SLICE_NPOS : slice_chr(key, '}', open + 1);
	if (close == SLICE_NPOS || close == open + 1)
		return;
	if (cluster_slot(slice_sub(key, open, close + 1)) != cluster_slot(key))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	slice in = slice_of(data, size), host = SLICE_NONE;
	int port = 0;

	check_slot(in);
	if (cluster_redirect_decode(in, &host, &port) < 0)
		return 0;
	if (port < 1 || port > 65535 || host.len > size)
		abort();
	check_again(host, port);
	return 0;
}
