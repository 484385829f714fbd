/* Days as people write them. */
#ifndef LF_COMMAND_DAY_H
#define LF_COMMAND_DAY_H

#include <stdint.h>

#define DAY_TEXT 16

/* "2026-11-21" of days since 1970-01-01. */
void day_encode(uint32_t day, char out[DAY_TEXT]);
/* Today, UTC. */
uint32_t day_today(void);

#endif
