#include "core/base/crc32c.h"

#include "core/base/bytes.h"

/* Sarwate's table, computed once before main and constant after. */
static uint32_t table[256];

__attribute__((constructor)) static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
		table[i] = c;
	}
}

uint32_t crc32c_portable(slice s)
{
	uint32_t c = ~0u;

	for (size_t i = 0; i < s.len; i++)
		c = table[(c ^ s.p[i]) & 0xff] ^ c >> 8;
	return ~c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(slice s)
{
	uint64_t c = ~0u;
	size_t i = 0;

	for (; i + 8 <= s.len; i += 8)
		c = __builtin_ia32_crc32di(c, get_le64(s.p + i));
	for (; i < s.len; i++)
		c = __builtin_ia32_crc32qi((uint32_t)c, s.p[i]);
	return ~(uint32_t)c;
}
#endif

uint32_t crc32c(slice s)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return by_instruction(s);
#endif
	return crc32c_portable(s);
}
