#include "deploy/command/day.h"

#include "core/io/clock.h"

#include <stdio.h>
#include <time.h>

#define SECONDS_A_DAY 86400

void day_encode(uint32_t day, char out[DAY_TEXT])
{
	time_t t = (time_t)day * SECONDS_A_DAY;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(out, DAY_TEXT, "%Y-%m-%d", &tm) == 0)
		snprintf(out, DAY_TEXT, "day %u", day);
}

uint32_t day_today(void)
{
	return (uint32_t)(clock_ms() / 1000 / SECONDS_A_DAY);
}
