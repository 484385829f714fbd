#include "core/io/log.h"

#include "core/io/clock.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048
#define LINES_A_SECOND 10
#define PHRASES 256 /* power of two; more different phrases than this share their limits */
#define BYTES_SHOWN 200

static const char *const word[] = {"error", "warn", "info", "debug"};

static const char *program = "landfall";
static _Atomic int least = LOG_INFO;

/* The lock guards the table of phrases alone. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	const char *phrase;
	uint64_t second;
	unsigned lines;
	unsigned held;
} said[PHRASES];

void log_open(const char *name, enum log_level level)
{
	program = name;
	atomic_store(&least, level);
}

bool log_level_decode(slice text, enum log_level *out)
{
	for (int i = 0; i <= LOG_DEBUG; i++) {
		if (slice_eq(text, slice_str(word[i]))) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* May this phrase be said now? *held: how often it was not since it last was. */
static bool allowed(const char *phrase, uint64_t now_ms, unsigned *held)
{
	size_t at = ((uintptr_t)phrase * 0x9e3779b97f4a7c15u) >> 56;
	uint64_t second = now_ms / 1000;
	bool yes;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < PHRASES; i++) {
		size_t next = (at + i) % PHRASES;

		if (said[next].phrase && said[next].phrase != phrase)
			continue;
		said[next].phrase = phrase;
		at = next;
		break;
	}
	if (said[at].second != second) {
		said[at].second = second;
		said[at].lines = 0;
	}
	yes = said[at].lines < LINES_A_SECOND;
	*held = yes ? said[at].held : 0;
	if (yes) {
		said[at].lines++;
		said[at].held = 0;
	} else {
		said[at].held++;
	}
	pthread_mutex_unlock(&lock);
	return yes;
}

static size_t advance(size_t at, int n)
{
	size_t to = n > 0 ? at + (size_t)n : at;

	return to < LINE_MAX_BYTES - 1 ? to : LINE_MAX_BYTES - 1;
}

void log_line(enum log_level level, const char *module, const char *phrase, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	uint64_t now = clock_ms();
	time_t second = (time_t)(now / 1000);
	size_t at, from;
	unsigned held;
	struct tm tm;
	va_list ap;

	if ((int)level > atomic_load_explicit(&least, memory_order_relaxed) || !allowed(phrase, now, &held))
		return;
	gmtime_r(&second, &tm);
	at = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
	from = at = advance(at, snprintf(line + at, sizeof line - at, ".%03uZ %s %s %s \"%s\"",
					(unsigned)(now % 1000), word[level], program, module, phrase));
	if (fmt) {
		line[at++] = ' ';
		va_start(ap, fmt);
		at = advance(at, vsnprintf(line + at, sizeof line - at, fmt, ap));
		va_end(ap);
	}
	if (held)
		at = advance(at, snprintf(line + at, sizeof line - at, " held_back=%u", held));
	/* One event is one line, whatever an argument held. */
	for (; from < at; from++)
		if ((unsigned char)line[from] < ' ' || (unsigned char)line[from] > '~')
			line[from] = '?';
	line[at++] = '\n';
	/* One write, so that lines of threads and processes do not mix. */
	if (write(STDERR_FILENO, line, at) < 0)
		return; /* nobody is left to tell */
}

const char *log_bytes(slice s)
{
	static _Thread_local char ring[4][BYTES_SHOWN * 4 + 8];
	static _Thread_local unsigned turn;
	char *out = ring[turn++ % 4];
	size_t n = 0;

	out[n++] = '"';
	for (size_t i = 0; i < s.len && i < BYTES_SHOWN; i++) {
		uint8_t c = s.p[i];

		if (c < 0x21 || c > 0x7e || c == '"' || c == '\\')
			n += (size_t)snprintf(out + n, 5, "\\x%02X", c);
		else
			out[n++] = (char)c;
	}
	out[n++] = '"';
	if (s.len > BYTES_SHOWN) {
		memcpy(out + n, "...", 3);
		n += 3;
	}
	out[n] = 0;
	return out;
}
