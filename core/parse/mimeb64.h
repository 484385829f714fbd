/* Base64 of MIME bodies (RFC 2045 6.8), read so that it can be edited: decoded
 * bytes, and the last line start before a decoded byte from which it can be
 * encoded anew. Everything before that line stays as it is.
 */
#ifndef LF_PARSE_MIMEB64_H
#define LF_PARSE_MIMEB64_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/cpu.h"
#include "core/base/slice.h"

#define MIMEB64_MAX_LINE 76
#define MIMEB64_BEHIND 64

struct mimeb64_mark {
	uint32_t enc, dec;
	uint32_t lines; /* this and the next ones that are alike; 0: only this start is known */
};

struct mimeb64_text {
	slice enc;                  /* borrows */
	slice dec;                  /* in the arena */
	struct mimeb64_mark *marks; /* line starts on a group of four */
	size_t mark_count;
	size_t line;  /* digits of the lines that a mark counts */
	size_t end;   /* of the last digit or padding in enc; behind it only blanks stand */
	size_t width; /* columns of its lines, a multiple of four */
	slice line_end;
};

/* 0; -REFUSE_ALPHABET (a byte that is no digit, blank or line end; padding in
 * the middle), -REFUSE_CUT (a group of one digit). enc: shorter than 4 GB. */
int mimeb64_decode(struct arena *a, slice enc, struct mimeb64_text *out);
/* The same in one of the ways that the processor has. */
int mimeb64_decode_by(enum cpu_path path, struct arena *a, slice enc, struct mimeb64_text *out);

/* The line to encode from when decoded byte d changes. */
struct mimeb64_mark mimeb64_place(const struct mimeb64_text *t, size_t d);

/* Where the digits of decoded byte d begin in enc. */
size_t mimeb64_offset(const struct mimeb64_text *t, size_t d);

/* Bytes that mimeb64_encode writes for n bytes. */
size_t mimeb64_size(size_t n, size_t width, slice line_end);
/* For text that comes in pieces: encode whole lines, each with its line end, while
 * at least MIMEB64_BEHIND bytes follow them. How many bytes were taken; what is
 * left begins a line. */
size_t mimeb64_encode_lines(slice bytes, size_t width, slice line_end, uint8_t *to);
/* Lines of width columns with line_end between them, none behind the last. */
void mimeb64_encode(slice bytes, size_t width, slice line_end, uint8_t *to);
/* The same in one of the ways that the processor has. */
void mimeb64_encode_by(enum cpu_path path, slice bytes, size_t width, slice line_end, uint8_t *to);

#endif
