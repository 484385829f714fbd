/* A message, understood once and rendered for each recipient.
 *
 * message_plan reads the message and finds every place to edit; it needs no
 * recipient. message_render gives one recipient's copy: tokens are sealed into
 * the places, the edits are applied over the untouched original, and the proof
 * is made: the output with its edits undone must equal the input byte by byte,
 * and every tracked link must open to its destination. If not, the original
 * goes out. Rules: docs/REWRITING.md.
 *
 * pure: no clock, file, lock or socket. Memory comes from the arena.
 */
#ifndef LF_REWRITER_MESSAGE_H
#define LF_REWRITER_MESSAGE_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/model/event.h"
#include "core/model/token.h"

/* Caps: beyond any of them the message passes unchanged, with the reason. */
#define MESSAGE_MAX_HEADER (254 * 1024) /* with our fields within HDR_MAX_SECTION */
#define MESSAGE_MAX_DEPTH 64
#define MESSAGE_MAX_PARTS 1000
#define MESSAGE_MAX_BOUNDARY 70      /* RFC 2046 5.1.1 */
#define MESSAGE_MAX_TRACKED_URL 2000 /* a longer one is left alone */
#define MESSAGE_MAX_LINE 998         /* RFC 5322 2.1.1, without CRLF */

/* A parameter added to every destination: utm_source=... */
struct utm {
	slice name, value; /* the value as it is, not percent-encoded */
};

/* What the listener and the configuration want; the message may want less. */
struct policy {
	slice track_url;  /* "https://t.example", no slash at the end */
	slice track_host; /* "t.example": what tokens are bound to */
	bool opens, clicks, text_links;
	/* The most that may be tracked; a message can only ask for less. */
	enum privacy mode;
	bool unsubscribe; /* add List-Unsubscribe and -Post where absent */
	/* All of these may stay false. */
	bool allow_tenant;   /* X-Landfall-Tenant is believed */
	bool track_url_text; /* also track a link whose text shows the URL of another organisation */
	bool amp_links;      /* also links in text/x-amp-html */
	bool top_pixel;      /* one more pixel behind the <body> tag */
	bool base_links;     /* also relative links, below an absolute <base href> */
	bool campaign_given; /* default_campaign counts, whatever the message says */
	slice track;         /* said beside the message, as X-Landfall-Track within; empty: nothing */
	const struct utm *utm;
	size_t utm_count;
	slice default_campaign;
	slice default_tenant;
	slice feedback_id;    /* the sender's name at the end of a Feedback-ID; empty: none is added */
	slice cfbl_address;   /* where complaints go (RFC 9477); empty: no such fields are added */
	const slice *signers; /* d= of DKIM signatures that are taken off since they are made again ... */
	size_t signer_count;  /* ... behind us; mail that has another one passes */
	const slice *campaign_headers; /* names, first match wins */
	size_t campaign_header_count;
};

/* Why a whole message or a part passes without edits. */
enum untouched {
	UNTOUCHED_NOT, /* it was edited */
	UNTOUCHED_NO_CAMPAIGN,
	UNTOUCHED_OFF,
	UNTOUCHED_NOTHING_TO_DO,
	UNTOUCHED_SIGNED,
	UNTOUCHED_ENCRYPTED,
	UNTOUCHED_ATTACHED,
	UNTOUCHED_REPORT,
	UNTOUCHED_CHARSET,
	UNTOUCHED_ENCODING,
	UNTOUCHED_CAP,
	UNTOUCHED_MALFORMED,
	UNTOUCHED_OURS, /* already rewritten by us */
	UNTOUCHED_PROOF
};
const char *untouched_word(enum untouched u);

struct plan; /* lives in its arena, borrows the message */

/* Always gives a plan, at worst one without edits. */
const struct plan *message_plan(struct arena *a, slice message, const struct policy *p);

/* What the message said about itself; slices borrow the message. */
slice plan_campaign(const struct plan *p); /* empty: not tracked */
slice plan_tenant(const struct plan *p);
slice plan_recipient_id(const struct plan *p); /* X-Landfall-Recipient-Id, empty if absent */
slice plan_message_id(const struct plan *p);   /* with brackets; empty if absent */
enum privacy plan_privacy(const struct plan *p);
/* Is there anything to do for a recipient (so that a sequence is worth taking)? */
bool plan_tracks(const struct plan *p);
/* Why the whole message passes; UNTOUCHED_NOT: plan_tracks. */
enum untouched plan_untouched(const struct plan *p);

/* Append the message as it came, less its control fields. 0, or
 * -REFUSE_TOO_LARGE when out is full. */
int message_pass(struct arena *a, const struct plan *p, struct buf *out);
/* Has it control fields, so that message_pass gives other bytes? */
bool plan_has_control(const struct plan *p);

struct identity {
	uint64_t campaign;
	uint32_t lane;
	uint32_t sequence;
	uint16_t day; /* token_day of the message */
};

struct rendering {
	enum untouched untouched; /* UNTOUCHED_NOT: edited and proved */
	unsigned links, left, pixels;
	unsigned parts_left; /* text and HTML parts that could not be edited */
	size_t html_size;    /* bytes of the first HTML part, decoded, after the edits */
	slice id;            /* what stands in X-Landfall-Id, in the arena; empty if nothing does */
	const char *broken;  /* UNTOUCHED_PROOF: the rule that did not hold, for a log line; else NULL */
};

/* Append this recipient's copy to out. 0, or -REFUSE_TOO_LARGE when out is
 * full. Deterministic: the same plan and identity give the same bytes. */
int message_render(struct arena *a, const struct plan *p, const struct identity *id, struct sealer *s,
	struct buf *out, struct rendering *r);

/* The --explain object of `landfall rewrite` for a rendering, as JSON. */
int message_explain(
	struct arena *a, const struct plan *p, const struct identity *id, struct sealer *s, struct buf *out);

#endif
