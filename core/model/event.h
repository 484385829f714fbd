/* What happened to a message: the one vocabulary of all programs.
 *
 * An event names its message by (campaign, lane, sequence), where lane is the
 * rewriter's, whoever reports it. Packed form: docs/FORMATS.md, "Event".
 */
#ifndef LF_MODEL_EVENT_H
#define LF_MODEL_EVENT_H

#include "core/base/buf.h"
#include "core/base/slice.h"

/*    name         n  word           what */
#define EVENT_LIST(X)                                                                                        \
	X(CAMPAIGN, 1, "campaign", "names a campaign: tenant and name for its key")                          \
	X(SENT, 2, "sent", "the next hop took the message from the rewriter")                                \
	X(ACCEPTED, 3, "accepted", "a remote MX said 250")                                                   \
	X(DEFERRED, 4, "deferred", "a delivery attempt failed for now")                                      \
	X(BOUNCED, 5, "bounced", "delivery failed for good")                                                 \
	X(OPEN, 6, "open", "the pixel was fetched")                                                          \
	X(CLICK, 7, "click", "a link was followed")                                                          \
	X(UNSUBSCRIBE, 8, "unsubscribe", "the recipient asked to get no more")                               \
	X(RECIPIENT, 9, "recipient", "the sender's own id of the recipient, beside SENT")

enum event_kind {
#define X(name, n, word, what) EVENT_##name = n,
	EVENT_LIST(X)
#undef X
};

/* Who made a hit (TRACKING, "verdicts"). */
/*    name       n  word        reads  arrived  what */
#define CLASS_LIST(X)                                                                                        \
	X(HUMAN, 1, "human", 1, 1, "a person")                                                               \
	X(PROXY, 2, "image-proxy", 1, 1, "an image proxy fetching for a reader")                             \
	X(PREFETCH, 3, "privacy-prefetch", 0, 0, "fetched without reading, e.g. Apple Mail Privacy Protection") \
	X(SCANNER, 4, "security-scanner", 0, 0, "a gateway that follows links or loads images")              \
	X(AUTOMATION, 5, "automation", 0, 0, "a library, monitor, crawler, or a HEAD request")               \
	X(SELF, 6, "self", 0, 0, "the sender's own networks and previews")

enum hit_class {
	CLASS_NONE,
#define X(name, n, word, reads, arrived, what) CLASS_##name = n,
	CLASS_LIST(X)
#undef X
};

/* Where in a message a hit came from, if not from where they mostly do. */
enum place {
	PLACE_MAIN,
	PLACE_TOP, /* OPEN: the pixel at the top of the HTML, not the one at its end */
	PLACE_AMP  /* CLICK: a link of the AMP part */
};

/* Privacy modes, least to most; a lower level may only restrict. */
enum privacy { PRIVACY_OFF, PRIVACY_ANONYMOUS, PRIVACY_PSEUDONYMOUS, PRIVACY_IDENTIFIED, PRIVACY_FULL };

/* Bounces; which class counts as which: collector/classes.h. */
enum bounce { BOUNCE_NONE, BOUNCE_HARD, BOUNCE_SOFT, BOUNCE_BLOCK };

/* The sequence of anonymous mail: it counts in totals and in no recipient's
 * bits. */
#define EVENT_NO_SEQUENCE UINT32_MAX

#define EVENT_MAX_TEXT 512 /* longest tenant, name or queue id; encoding cuts there */
/* No packed event is longer than this. */
#define EVENT_MAX 2048

struct event {
	enum event_kind kind;
	uint64_t ms; /* Unix time in milliseconds */
	uint64_t campaign;
	uint32_t lane;
	uint32_t sequence;

	/* SENT */
	uint64_t recipient; /* hash_recipient */
	uint8_t provider;   /* model/provider.h */
	slice queue_id;	    /* the next hop's, empty when the return path carries the identity */

	/* ACCEPTED, DEFERRED, BOUNCED */
	uint16_t reply;	   /* SMTP reply code, 0 unknown */
	uint32_t status;   /* RFC 3463: class << 20 | subject << 10 | detail; 0 unknown */
	enum bounce bounce; /* BOUNCED */

	/* OPEN, CLICK, UNSUBSCRIBE */
	enum hit_class class;
	enum place place;
	uint16_t link;	 /* CLICK */
	char country[2]; /* ISO 3166-1 alpha-2, or two NULs */
	/* Evidence for later verdicts, where the privacy mode allows it; 0: none.
	 * Equal values stand for equal agents and networks, nothing more. */
	uint16_t agent;
	uint32_t network;

	/* CAMPAIGN; RECIPIENT has the sender's id as name. Borrowed by event_decode
	 * from the frame. */
	slice tenant;
	slice name;
};

/* Append the packed event. Times are stored relative to base_ms. Texts are cut at
 * EVENT_MAX_TEXT and a country that is not two capitals is left out, so that
 * whatever was encoded decodes. must(): a kind, class or bounce of the enum. */
void event_encode(const struct event *e, uint64_t base_ms, struct buf *out);

/* >0: bytes read, *e filled (slices borrow in). 0: in is empty.
 * <0: -REFUSE_CUT, -REFUSE_SYNTAX, -REFUSE_RANGE. An event of a kind unknown to
 * this version is skipped by its length: e->kind is then its number and only
 * the message identity is filled. */
int event_decode(slice in, uint64_t base_ms, struct event *e);

const char *event_word(enum event_kind k);
const char *class_word(enum hit_class c);
const char *privacy_word(enum privacy p);
/* False: no such word (any case). */
bool privacy_decode(slice word, enum privacy *p);
const char *bounce_word(enum bounce b);

/* "5.1.1" both ways. status_decode: 0 for anything that is not three numbers
 * (class at most 5, the others at most 999). */
uint32_t status_decode(slice text);
void status_encode(uint32_t status, struct buf *out);

#endif
