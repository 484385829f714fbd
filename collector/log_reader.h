/* A log of any MTA we know, line by line, out as facts. pure.
 *
 * One line may say several facts (several recipients), or one that lines before
 * it made ready; so facts are told, not returned.
 */
#ifndef LF_COLLECTOR_LOG_READER_H
#define LF_COLLECTOR_LOG_READER_H

#include "collector/log_fact.h"

/* In the order in which they are tried: the pickier first. */
#define LOG_FORMAT_LIST(F)                                                                                   \
	F(KUMOMTA, "kumomta")                                                                                \
	F(HARAKA, "haraka")                                                                                  \
	F(EXIM, "exim")                                                                                      \
	F(OPENSMTPD, "opensmtpd")                                                                            \
	F(SENDMAIL, "sendmail")                                                                              \
	F(POSTFIX, "postfix")                                                                                \
	F(POWERMTA, "powermta")

enum log_format {
	LOG_FORMAT_AUTO, /* that of the first line which one of them knows */
#define F(name, word) LOG_FORMAT_##name,
	LOG_FORMAT_LIST(F)
#undef F
		LOG_FORMATS
};

/* "postfix", or NULL. */
const char *log_format_word(enum log_format f);
/* False: no such format. */
bool log_format_find(slice word, enum log_format *out);

struct log_reader;

/* tell: called with each fact, which is good during the call only. */
struct log_reader *log_reader_open(
	enum log_format format, void (*tell)(void *arg, const struct log_fact *f), void *arg);
void log_reader_close(struct log_reader **r);

/* now_ms and zone_s as for log_stamp_take. True: the line is one of the format's. */
bool log_reader_line(struct log_reader *r, slice line, uint64_t now_ms, int zone_s);
/* The log is over. */
void log_reader_end(struct log_reader *r, int zone_s);
/* AUTO as long as no line was known. */
enum log_format log_reader_format(const struct log_reader *r);

#endif
