#include "collector/log_reader.h"

#include "collector/exim_log.h"
#include "collector/haraka_log.h"
#include "collector/kumomta_log.h"
#include "collector/opensmtpd_log.h"
#include "collector/postfix_log.h"
#include "collector/powermta_log.h"
#include "collector/sendmail_log.h"
#include "core/base/buf.h"
#include "core/base/must.h"

#include <stdlib.h>

static const char *const words[LOG_FORMATS] = {[LOG_FORMAT_AUTO] = "auto",
#define F(name, word) [LOG_FORMAT_##name] = word,
	LOG_FORMAT_LIST(F)
#undef F
};

struct log_reader {
	enum log_format format;
	void (*tell)(void *arg, const struct log_fact *f);
	void *arg;
	struct haraka_log *haraka;
	struct powermta_log *powermta;
	struct buf texts; /* of the KumoMTA record at hand */
};

const char *log_format_word(enum log_format f)
{
	return f < LOG_FORMATS ? words[f] : NULL;
}

bool log_format_find(slice word, enum log_format *out)
{
	for (int f = 0; f < LOG_FORMATS; f++) {
		if (!slice_eq(word, slice_str(words[f])))
			continue;
		*out = (enum log_format)f;
		return true;
	}
	return false;
}

struct log_reader *log_reader_open(
	enum log_format format, void (*tell)(void *arg, const struct log_fact *f), void *arg)
{
	struct log_reader *r = must_zalloc(sizeof *r);

	r->format = format;
	r->tell = tell;
	r->arg = arg;
	r->haraka = haraka_log_open();
	r->powermta = powermta_log_open();
	buf_init(&r->texts, KUMOMTA_LOG_MAX_TEXTS);
	return r;
}

void log_reader_close(struct log_reader **rp)
{
	struct log_reader *r = *rp;

	*rp = NULL;
	if (!r)
		return;
	haraka_log_close(&r->haraka);
	powermta_log_close(&r->powermta);
	buf_free(&r->texts);
	free(r);
}

static bool read_as(struct log_reader *r, enum log_format format, slice line, uint64_t now_ms, int zone_s)
{
	bool (*next)(struct log_fact * f) = NULL;
	struct log_fact f = {0};

	switch (format) {
	case LOG_FORMAT_HARAKA:
		return haraka_log_line(r->haraka, line, r->tell, r->arg);
	case LOG_FORMAT_POWERMTA:
		return powermta_log_line(r->powermta, line, zone_s, r->tell, r->arg);
	case LOG_FORMAT_KUMOMTA:
		kumomta_log_read(line, &r->texts, &f);
		next = kumomta_log_next;
		break;
	case LOG_FORMAT_SENDMAIL:
		sendmail_log_read(line, now_ms, zone_s, &f);
		next = sendmail_log_next;
		break;
	case LOG_FORMAT_EXIM:
		exim_log_read(line, now_ms, zone_s, &f);
		break;
	case LOG_FORMAT_OPENSMTPD:
		opensmtpd_log_read(line, now_ms, zone_s, &f);
		break;
	default:
		postfix_log_read(line, now_ms, zone_s, &f);
		break;
	}
	if (f.kind == LOG_FACT_NONE)
		return false;
	do
		r->tell(r->arg, &f);
	while (next && f.kind != LOG_FACT_RECEIVED && next(&f));
	return true;
}

bool log_reader_line(struct log_reader *r, slice line, uint64_t now_ms, int zone_s)
{
	if (r->format != LOG_FORMAT_AUTO)
		return read_as(r, r->format, line, now_ms, zone_s);
	for (int format = LOG_FORMAT_AUTO + 1; format < LOG_FORMATS; format++) {
		if (!read_as(r, (enum log_format)format, line, now_ms, zone_s))
			continue;
		r->format = (enum log_format)format;
		return true;
	}
	return false;
}

void log_reader_end(struct log_reader *r, int zone_s)
{
	powermta_log_end(r->powermta, zone_s, r->tell, r->arg);
}

enum log_format log_reader_format(const struct log_reader *r)
{
	return r->format;
}
