/* Numbers in text, with the greatest value that is allowed as an argument.
 *
 * No sign, no space, no "0x": a caller that wants those takes them off. Zeros
 * in front are allowed unless the caller compares lengths.
 */
#ifndef LF_PARSE_NUM_H
#define LF_PARSE_NUM_H

#include "core/base/slice.h"

/* The whole slice in decimal, or in hexadecimal of either case. 0, -REFUSE_SYNTAX
 * (empty, or another byte), -REFUSE_RANGE (greater than most). */
int num_decode(slice text, uint64_t most, uint64_t *out);
int num_hex_decode(slice text, uint64_t most, uint64_t *out);

/* The digits that s starts with. >0: how many. 0: none. -REFUSE_RANGE. */
int num_lead(slice s, uint64_t most, uint64_t *out);
int num_hex_lead(slice s, uint64_t most, uint64_t *out);

/* Value of a hexadecimal digit, or -1. */
int num_hex_digit(uint8_t c);

/* Exactly n bytes from 2n hexadecimal digits. False: other length or byte. */
bool num_hex_bytes(slice text, uint8_t *out, size_t n);

#endif
