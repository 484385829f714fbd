/* Runs a fuzz target without a fuzzer: over the files named, or with --random N
 * over N made-up inputs from a fixed seed, so that every target also runs with
 * the tests. */
#include "core/base/slice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p;
	long n;

	if (!f) {
		perror(path);
		return 3;
	}
	fseek(f, 0, SEEK_END);
	n = ftell(f);
	rewind(f);
	p = malloc(n > 0 ? (size_t)n : 1);
	if (!p || fread(p, 1, (size_t)n, f) != (size_t)n) {
		perror(path);
		free(p);
		fclose(f);
		return 3;
	}
	fclose(f);
	LLVMFuzzerTestOneInput(p, (size_t)n);
	free(p);
	return 0;
}

static void made_up(long runs)
{
	static const char likely[] = "\r\n.<>=\"'&;:/-@ \tabchref";
	uint64_t x = 88172645463325252u;
	uint8_t in[512];

	for (long i = 0; i < runs; i++) {
		size_t n = 0, want = x % sizeof in;

		for (; n < want; n++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			in[n] = x & 0x300 ? (uint8_t)likely[(x >> 32) % (sizeof likely - 1)]
					  : (uint8_t)(x >> 40);
		}
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		LLVMFuzzerTestOneInput(in, n);
	}
}

int main(int argc, char **argv)
{
	int rc = 0;

	if (argc == 3 && strcmp(argv[1], "--random") == 0) {
		made_up(atol(argv[2]));
		return 0;
	}
	for (int i = 1; i < argc && rc == 0; i++)
		rc = replay(argv[i]);
	return rc;
}
