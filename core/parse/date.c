#include "core/parse/date.h"

#include "core/parse/num.h"

/* Years begin in March, so that the leap day is a year's last; an era is 400
 * years. 719468 days lie between 0000-03-01 and 1970-01-01. */
#define ERA_DAYS 146097
#define EPOCH 719468

bool date_valid(unsigned year, unsigned month, unsigned day)
{
	static const uint8_t last[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > last[month - 1])
		return false;
	return month != 2 || day < 29 || leap;
}

uint32_t date_days(unsigned year, unsigned month, unsigned day)
{
	unsigned y = month <= 2 ? year - 1 : year;
	unsigned in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return y / 400 * ERA_DAYS + y % 400 * 365 + y % 400 / 4 - y % 400 / 100 + in_year - EPOCH;
}

void date_of_days(uint32_t days, unsigned *year, unsigned *month, unsigned *day)
{
	uint64_t z = (uint64_t)days + EPOCH;
	unsigned e = (unsigned)(z % ERA_DAYS);
	unsigned y = (e - e / 1460 + e / 36524 - e / 146096) / 365;
	unsigned in_year = e - (365 * y + y / 4 - y / 100);
	unsigned m = (5 * in_year + 2) / 153;

	*day = in_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = (unsigned)(z / ERA_DAYS * 400) + y + (*month <= 2);
}

bool date_decode(slice text, uint32_t *days)
{
	uint64_t y, m, d;

	if (text.len != 10 || text.p[4] != '-' || text.p[7] != '-')
		return false;
	if (num_decode(slice_sub(text, 0, 4), 9999, &y) < 0 ||
		num_decode(slice_sub(text, 5, 7), 12, &m) < 0 ||
		num_decode(slice_sub(text, 8, 10), 31, &d) < 0)
		return false;
	if (!date_valid((unsigned)y, (unsigned)m, (unsigned)d))
		return false;
	*days = date_days((unsigned)y, (unsigned)m, (unsigned)d);
	return true;
}

void date_encode(uint32_t days, struct buf *out)
{
	unsigned y, m, d;

	date_of_days(days, &y, &m, &d);
	buf_printf(out, "%04u-%02u-%02u", y, m, d);
}

void date_time_encode(uint64_t ms, struct buf *out)
{
	unsigned of_day = (unsigned)(ms % DATE_DAY_MS), s = of_day / 1000;

	date_encode((uint32_t)(ms / DATE_DAY_MS), out);
	buf_printf(out, "T%02u:%02u:%02u.%03uZ", s / 3600, s / 60 % 60, s % 60, of_day % 1000);
}
