#include "collector/log_stamp.h"

#include "core/parse/date.h"

/* n digits, or -1. */
static int digits(slice s, size_t at, size_t n)
{
	int v = 0;

	if (s.len < at + n)
		return -1;
	for (size_t i = at; i < at + n; i++) {
		if (!ascii_digit(s.p[i]))
			return -1;
		v = v * 10 + (s.p[i] - '0');
	}
	return v;
}

/* Milliseconds of the day from "hh:mm:ss", or -1. A leap second is the next minute's first. */
static int64_t clock_of(slice s, size_t at)
{
	int h = digits(s, at, 2), m = digits(s, at + 3, 2), sec = digits(s, at + 6, 2);

	if (h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 60 || s.p[at + 2] != ':' ||
		s.p[at + 5] != ':')
		return -1;
	return ((int64_t)h * 3600 + m * 60 + sec) * 1000;
}

static int month_of(slice s)
{
	static const char names[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

	for (int m = 0; s.len >= 3 && m < 12; m++)
		if (s.p[0] == names[m][0] && s.p[1] == names[m][1] && s.p[2] == names[m][2])
			return m + 1;
	return 0;
}

/* "Nov  1 17:32:23 ": false if it is not one. */
static bool take_rfc3164(slice *rest, uint64_t now_ms, int zone_s, uint64_t *ms)
{
	slice s = *rest;
	int month = month_of(s), day;
	int64_t clock, latest = (int64_t)now_ms + DATE_DAY_MS;

	if (!month || s.len < 16 || s.p[3] != ' ' || s.p[6] != ' ' || s.p[15] != ' ')
		return false;
	day = s.p[4] == ' ' ? digits(s, 5, 1) : digits(s, 4, 2);
	if (day < 1)
		return false;
	clock = clock_of(s, 7);
	if (!date_valid(2000, (unsigned)month, (unsigned)day) || clock < 0)
		return false;
	/* A year of 365 days never runs ahead; back to the last 29 February at most. */
	for (unsigned year = 1970 + (unsigned)(latest / (365 * (int64_t)DATE_DAY_MS)); year >= 1970; year--) {
		int64_t at;

		if (!date_valid(year, (unsigned)month, (unsigned)day))
			continue;
		at = date_days(year, (unsigned)month, (unsigned)day) * (int64_t)DATE_DAY_MS + clock -
		     (int64_t)zone_s * 1000;
		if (at > latest)
			continue;
		*ms = at > 0 ? (uint64_t)at : 0;
		*rest = slice_from(s, 16);
		return true;
	}
	return false;
}

/* "Z", "+0100", "+01:00" at *at: minutes east. False: none is there. */
static bool take_zone(slice s, size_t *at, int *minutes)
{
	size_t i = *at, colon;
	int h, m;

	if (i < s.len && s.p[i] == 'Z') {
		*minutes = 0;
		*at = i + 1;
		return true;
	}
	if (i >= s.len || (s.p[i] != '+' && s.p[i] != '-'))
		return false;
	colon = i + 3 < s.len && s.p[i + 3] == ':';
	h = digits(s, i + 1, 2);
	m = digits(s, i + 3 + colon, 2);
	if (h < 0 || m < 0)
		return false;
	*minutes = s.p[i] == '+' ? h * 60 + m : -(h * 60 + m);
	*at = i + 5 + colon;
	return true;
}

/* As log_stamp_iso. *zoned: it has a zone. */
static size_t read_iso(slice s, int zone_s, uint64_t *ms, bool *zoned)
{
	int year = digits(s, 0, 4), month = digits(s, 5, 2), day = digits(s, 8, 2), minutes;
	size_t i = 19, behind;
	int64_t clock, at;

	if (s.len < 19 || year < 1970 || s.p[4] != '-' || s.p[7] != '-' || (s.p[10] != 'T' && s.p[10] != ' '))
		return 0;
	clock = clock_of(s, 11);
	if (month < 1 || day < 1 || !date_valid((unsigned)year, (unsigned)month, (unsigned)day) || clock < 0)
		return 0;
	at = date_days((unsigned)year, (unsigned)month, (unsigned)day) * (int64_t)DATE_DAY_MS + clock;
	if (i < s.len && s.p[i] == '.') {
		for (int unit = 100; ++i < s.len && ascii_digit(s.p[i]); unit /= 10)
			at += (s.p[i] - '0') * unit;
	}
	behind = i + (i < s.len && s.p[i] == ' ');
	*zoned = take_zone(s, &i, &minutes);
	if (!*zoned && take_zone(s, &behind, &minutes)) {
		*zoned = true;
		i = behind;
	}
	at -= *zoned ? (int64_t)minutes * 60000 : (int64_t)zone_s * 1000;
	*ms = at > 0 ? (uint64_t)at : 0;
	return i;
}

size_t log_stamp_iso(slice s, int zone_s, uint64_t *ms)
{
	bool zoned;

	return read_iso(s, zone_s, ms, &zoned);
}

bool log_stamp_take(slice *rest, uint64_t now_ms, int zone_s, uint64_t *ms)
{
	bool zoned;
	uint64_t at;
	size_t n;

	if (take_rfc3164(rest, now_ms, zone_s, ms))
		return true;
	n = read_iso(*rest, 0, &at, &zoned);
	if (!n || !zoned || n >= rest->len || rest->p[n] != ' ')
		return false;
	*ms = at;
	*rest = slice_from(*rest, n + 1);
	return true;
}

bool log_stamp_program(slice *rest, slice *program)
{
	size_t colon = slice_find(*rest, SLICE(": "), 0), space, bracket;
	slice tag;

	if (colon == SLICE_NPOS)
		return false;
	tag = slice_sub(*rest, 0, colon);
	space = slice_chr(tag, ' ', 0);
	if (space != SLICE_NPOS)
		tag = slice_from(tag, space + 1);
	if (!tag.len || slice_chr(tag, ' ', 0) != SLICE_NPOS)
		return false;
	bracket = slice_rchr(tag, '[');
	*program = bracket == SLICE_NPOS ? tag : slice_sub(tag, 0, bracket);
	*rest = slice_from(*rest, colon + 2);
	return true;
}
