/* Inside of a plan; for the files of the message rewriter only.
 *
 * A site is a place in the decoded text of a part. Where the part's encoding
 * lets bytes be replaced in place (all but base64) it also has its offsets in
 * the message, which are those of the edit.
 *
 * pure.
 */
#ifndef LF_REWRITER_PLAN_H
#define LF_REWRITER_PLAN_H

#include "core/parse/charset.h"
#include "core/parse/mime.h"
#include "core/parse/mimeb64.h"
#include "core/parse/qp.h"
#include "rewriter/control.h"
#include "rewriter/message.h"
#include "rewriter/target.h"

enum site_kind { SITE_LINK, SITE_TEXT_LINK, SITE_PIXEL, SITE_CUT, SITE_DROPPED };

struct site {
	enum site_kind kind;
	uint32_t from, to;         /* in the decoded text; equal: an insertion */
	uint32_t enc_from, enc_to; /* in the message; not for base64 */
	uint32_t target;           /* links */
	/* Blanks in the tag that may become a line end; SITE_NO_FOLD: none. */
	uint32_t fold_before, fold_after;
	/* The tag that holds it, in HTML, and the comment that holds that; SITE_NONE:
	 * no comment. */
	uint32_t tag_from, tag_to, comment_from, comment_to;
	uint8_t quote; /* of the attribute value */
	bool vml;      /* follows its twin: left where that opted out */
};
#define SITE_NO_FOLD UINT32_MAX
#define SITE_NONE UINT32_MAX
/* Pixels: target is which of them. */
enum { PIXEL_BOTTOM, PIXEL_TOP };

/* A part that has something to edit. */
struct part_plan {
	const struct mime_part *part;
	slice number; /* "1.2" */
	bool html;
	bool amp; /* links tell that they were followed in AMP */
	enum charset charset;
	slice body; /* in its transfer encoding */
	slice dec;  /* the decoded text */
	struct qp_text qp;
	struct mimeb64_text b64;
	slice line_end;
	struct site *sites; /* sorted, not overlapping */
	size_t site_count, site_room;
	bool has_pixel;
};

struct left_link {
	const struct part_plan *part;
	size_t offset; /* in the decoded text */
	slice url;
	enum left why;
	bool commented; /* stands in a conditional comment */
};

struct left_part {
	slice number;
	enum untouched why;
};

struct plan {
	slice message; /* borrows */
	struct policy policy;
	struct control control;
	struct mime_tree tree;
	enum untouched untouched; /* of the whole; UNTOUCHED_NOT: see parts */
	bool tracks;
	slice line_end; /* of the header section */
	struct targets targets;
	struct part_plan **parts; /* with sites, in the order of the message */
	size_t part_count;
	struct part_plan *html; /* the first HTML part, edited or not */
	struct left_link *left;
	size_t left_count, left_room;
	struct left_part *left_parts;
	size_t left_part_count, left_part_room;
	unsigned pixels;
	bool amp; /* an AMP part has links */
};

/* The list, or a larger copy with room for one more element. */
void *plan_grown(struct arena *a, void *list, size_t count, size_t *room, size_t each);
/* Note a link, or a part, that stays as it is. */
void plan_left(struct arena *a, struct plan *p, const struct part_plan *part, size_t offset, slice url,
	enum left why);
void plan_left_part(struct arena *a, struct plan *p, slice number, enum untouched why);
/* A new site at the end of the part's; cleared but for its kind and span. */
struct site *plan_site(struct arena *a, struct part_plan *part, enum site_kind kind, size_t from, size_t to);
/* A destination for a new link: LEFT_NOT with *target set and numbered, or why
 * it is not to be tracked. */
enum left plan_target(struct arena *a, struct plan *p, const struct verdict *v, uint32_t *target);

#endif
