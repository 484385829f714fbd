/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), by the processor's instruction
 * where there is one, by tables elsewhere; same result. */
#ifndef LF_BASE_CRC32C_H
#define LF_BASE_CRC32C_H

#include "core/base/slice.h"

/* Of the whole slice. The empty slice gives 0. */
uint32_t crc32c(slice s);

/* The table form alone; the tests compare the two. */
uint32_t crc32c_portable(slice s);

#endif
