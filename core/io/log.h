/* Log lines on stderr: time, level, program, module, "fixed phrase", key=value.
 *
 *   2031-05-04T10:22:07.318Z warn collector rds "redis lost" addr=... err=ECONNRESET
 *
 * error: a human must act. warn: degraded and healing by itself. info: a state
 * changed. debug: off by default. Never a line per hit or per message at info.
 * Never an address or a token. At most 10 lines a second per phrase; what was
 * held back is counted in the next one.
 */
#ifndef LF_IO_LOG_H
#define LF_IO_LOG_H

#include "core/base/slice.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* program: lives as long as the process. */
void log_open(const char *program, enum log_level level);
bool log_level_decode(slice word, enum log_level *out);

/* phrase: a literal. fmt gives the key=value part, or NULL. Thread-safe. */
void log_line(enum log_level level, const char *module, const char *phrase, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define log_error(module, phrase, ...) log_line(LOG_ERROR, module, phrase, __VA_ARGS__)
#define log_warn(module, phrase, ...) log_line(LOG_WARN, module, phrase, __VA_ARGS__)
#define log_info(module, phrase, ...) log_line(LOG_INFO, module, phrase, __VA_ARGS__)
#define log_debug(module, phrase, ...) log_line(LOG_DEBUG, module, phrase, __VA_ARGS__)

/* Bytes from outside, made safe for one line: quoted, every byte below 0x21,
 * '"', '\\' and above 0x7e as \xHH, cut at 200. Returns text in a ring of
 * thread-local buffers: good for four calls within one log line. */
const char *log_bytes(slice s);

#endif
