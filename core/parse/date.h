/* Dates of the proleptic Gregorian calendar and RFC 3339 text. No zone but UTC
 * and no clock: what "now" is, is an argument of whoever needs it. */
#ifndef LF_PARSE_DATE_H
#define LF_PARSE_DATE_H

#include "core/base/buf.h"
#include "core/base/slice.h"

#define DATE_DAY_MS 86400000

/* Does the month have that day? Years from 1970 on. */
bool date_valid(unsigned year, unsigned month, unsigned day);
/* Days since 1970-01-01 of a valid date, and back. */
uint32_t date_days(unsigned year, unsigned month, unsigned day);
void date_of_days(uint32_t days, unsigned *year, unsigned *month, unsigned *day);

/* "2026-11-21" both ways. False: not exactly that form, or no such day. */
bool date_decode(slice text, uint32_t *days);
void date_encode(uint32_t days, struct buf *out);

/* "2026-11-21T10:22:07.318Z" of Unix milliseconds. */
void date_time_encode(uint64_t ms, struct buf *out);

#endif
