#include "collector/log_fact.h"

#include "core/parse/smtp.h"

size_t log_fact_address_end(slice s)
{
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\\' && quoted)
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (s.p[i] == '>' && !quoted)
			return i;
	}
	return SLICE_NPOS;
}

uint16_t log_fact_reply(slice text, slice *enhanced)
{
	unsigned code = 0;

	*enhanced = SLICE_NONE;
	for (size_t i = 0; i < 3; i++) {
		if (i >= text.len || !ascii_digit(text.p[i]))
			return 0;
		code = code * 10 + (text.p[i] - '0');
	}
	if (code < 200 || code > 599 || text.len == 3)
		return 0;
	if (text.p[3] != ' ' && text.p[3] != '-' && text.p[3] != ')')
		return 0;
	*enhanced = smtp_enhanced((int)code, slice_from(text, 4));
	return (uint16_t)code;
}

slice log_fact_next_id(slice text)
{
	slice enhanced;

	return smtp_queue_id(log_fact_reply(text, &enhanced) ? slice_from(text, 4) : text);
}

/* Digits with at most one point, from *at on. */
static bool take_decimal(slice s, size_t *at, double *out)
{
	double whole = 0, unit = 0; /* 0: the point has not come */
	size_t from = *at;

	for (; *at < s.len && (ascii_digit(s.p[*at]) || (s.p[*at] == '.' && unit == 0)); ++*at) {
		if (s.p[*at] == '.') {
			unit = 1;
			continue;
		}
		whole = whole * 10 + (s.p[*at] - '0');
		unit *= 10;
	}
	*out = unit > 0 ? whole / unit : whole;
	return *at > from;
}

bool log_fact_seconds(slice delay, double *out)
{
	double sum = 0, part;
	size_t at = 0;

	if (!delay.len)
		return false;
	while (at < delay.len) {
		if (!take_decimal(delay, &at, &part))
			return false;
		switch (at < delay.len ? delay.p[at++] : 0) {
		case 0: /* the last part of "00:01:20", or all there is */
		case 's':
			sum += part;
			break;
		case 'm':
			sum += part * 60;
			break;
		case 'h':
			sum += part * 3600;
			break;
		case 'd':
			sum += part * 86400;
			break;
		case 'w':
			sum += part * 604800;
			break;
		case ':':
			sum = (sum + part) * 60;
			break;
		case '+':
			sum = (sum + part) * 24;
			break;
		default:
			return false;
		}
	}
	*out = sum;
	return true;
}
