/* Quoted-printable (RFC 2045 6.7), read so that it can be edited in place: the
 * decoded bytes come with a way back to where each stands in the encoded text.
 *
 * Tolerant: "=" that starts nothing known stays as it is, lower-case digits are
 * taken, blanks between "=" and the line end too. Blanks at the end of a line
 * are kept, as throwing them away is the transport's business.
 */
#ifndef LF_PARSE_QP_H
#define LF_PARSE_QP_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/cpu.h"
#include "core/base/slice.h"

#define QP_MAX_LINE 76 /* without the line end */

struct qp_text {
	slice enc; /* borrows */
	slice dec; /* in the arena */
	/* For each 64 bytes of enc: where in them decoded bytes begin (bit 0: at the
	 * first), and how many begin before them. */
	uint64_t *starts;
	uint32_t *before;
};

/* enc: shorter than 4 GB. */
void qp_decode(struct arena *a, slice enc, struct qp_text *out);
/* The same in one of the ways that the processor has. */
void qp_decode_by(enum cpu_path path, struct arena *a, slice enc, struct qp_text *out);

/* Where decoded byte d begins in the encoded text, soft breaks before it passed
 * over; the length of enc for d at the end. */
size_t qp_place(const struct qp_text *t, size_t d);
/* How many decoded bytes begin before offset i of enc. */
size_t qp_decoded(const struct qp_text *t, size_t i);
/* Where the representation of decoded byte d - 1 ends (0 for 0): a soft break
 * behind it stays outside. */
size_t qp_place_after(const struct qp_text *t, size_t d);

/* A writer of lines no longer than QP_MAX_LINE: column is where the line is. It
 * asks out for the most that its bytes can become, a little over three times. */
struct qp_writer {
	struct buf *out;
	slice line_end;
	size_t column;
};

/* Append the bytes, encoded where they have to be, with soft breaks between. */
void qp_put(struct qp_writer *w, slice bytes);
/* A soft break now. */
void qp_break(struct qp_writer *w);
/* One byte as =XX. */
void qp_put_hex(struct qp_writer *w, uint8_t c);

#endif
