/* The only clock. */
#ifndef LF_IO_CLOCK_H
#define LF_IO_CLOCK_H

#include <stdint.h>

/* Unix time in milliseconds. */
uint64_t clock_ms(void);
/* Monotonic milliseconds, for intervals and deadlines. */
uint64_t clock_mono_ms(void);

#endif
