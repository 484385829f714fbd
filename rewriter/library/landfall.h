/* Landfall's rewriter as a library: one message in memory in, the copy of one
 * recipient out, with its own links and its own pixel.
 *
 * For a program that sends mail itself. Nothing here opens a file or a socket,
 * reads the clock, logs, or ends the process; there is no global state. One
 * struct landfall may be used by any number of threads at once.
 *
 * The caller's part:
 *  - who the recipient is: a lane and a sequence that no other recipient of the
 *    campaign ever had or will have (struct landfall_recipient);
 *  - to rewrite before DKIM signs: a signed message is not touched;
 *  - to record that the message was sent. The library records nothing: without
 *    it the reports know opens and clicks, but not of how many (landfall(3)).
 *
 * Every struct begins with its own size, so that a program and a library of
 * different age understand each other: struct landfall_options o =
 * LANDFALL_OPTIONS_INIT, then set what is wanted. Text ends in NUL unless a
 * size is beside it.
 */
#ifndef LANDFALL_H
#define LANDFALL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the functions return: 0, or one of these. */
enum landfall_error {
	LANDFALL_OK = 0,
	LANDFALL_BAD_CALL = -1,      /* a pointer is NULL, or a struct's size is not set or is unknown */
	LANDFALL_BAD_OPTIONS = -2,   /* landfall_open: why says which */
	LANDFALL_BAD_KEYS = -3,      /* the key ring cannot be read or has no active key */
	LANDFALL_BAD_RECIPIENT = -4, /* campaign, tenant, sequence or time is missing or not possible */
	LANDFALL_TOO_LARGE = -5,     /* the message passes max_message or max_memory */
	LANDFALL_NO_MEMORY = -6,     /* the system refused memory */
	LANDFALL_BROKEN = -7         /* a mistake of the library: please report it; result.broken says where */
};

/* A fixed text for any of them; never NULL. */
const char *landfall_error_text(int error);

/* "0.1.0" */
const char *landfall_version(void);

/* landfall_options.flags; 0 is what `landfall-rewriter` does by default. */
enum landfall_flag {
	LANDFALL_NO_OPENS = 1,       /* no pixel */
	LANDFALL_NO_CLICKS = 2,      /* links stay as they are */
	LANDFALL_NO_TEXT_LINKS = 4,  /* links in text/plain stay as they are */
	LANDFALL_UNSUBSCRIBE = 8,    /* add List-Unsubscribe and -Post (RFC 8058) where absent */
	LANDFALL_TRACK_URL_TEXT = 16, /* also links whose text shows the address of another organisation */
	LANDFALL_AMP_LINKS = 32,     /* also links in text/x-amp-html */
	LANDFALL_TOP_PIXEL = 64,     /* a second pixel behind the <body> tag */
	LANDFALL_BASE_LINKS = 128    /* also relative links, below an absolute <base href> */
};

/* landfall_options.mode: the most that is tracked; a message can only ask for
 * less, in X-Landfall-Track. */
enum landfall_mode {
	LANDFALL_FULL = 0,
	LANDFALL_IDENTIFIED = 1,
	LANDFALL_PSEUDONYMOUS = 2,
	LANDFALL_ANONYMOUS = 3, /* all recipients (of a lane and a day) have the same links and pixel */
	LANDFALL_OFF = 4        /* nothing is tracked */
};

/* Added to the query of every destination that has no such name: utm_source=... */
struct landfall_parameter {
	const char *name;  /* letters, digits, "-._~" */
	const char *value; /* as it is, not percent-encoded; at most 512 bytes */
};

/* All of it is copied by landfall_open. */
struct landfall_options {
	size_t size;           /* sizeof(struct landfall_options) */
	const char *track_url; /* public address of the tracker, "https://t.example" */
	const char *key_ring;  /* content of the key ring file that the tracker uses */
	size_t key_ring_size;  /* its bytes */
	unsigned int flags;    /* enum landfall_flag, added up */
	const char *tenant;    /* of recipients that name none; NULL: "default" */
	const char *return_path_domain; /* NULL: no return path is made */
	const struct landfall_parameter *parameters; /* may be NULL */
	size_t parameter_count;                      /* at most 32 */
	size_t max_message; /* bytes; 0: 50 MiB */
	size_t max_memory;  /* bytes for understanding one message, and as much again for its copy;
			       0: 64 MiB + 24 times the message */
	unsigned int mode;  /* enum landfall_mode */
	/* Added where there is none, unless NULL: Feedback-ID: CAMPAIGN:TENANT:landfall:NAME,
	 * with this name of at most 64 letters, digits and "-._~"; CFBL-Address with this
	 * address and CFBL-Feedback-ID (RFC 9477). */
	const char *feedback_id;
	const char *cfbl_address;
	/* Domains (d=) of the DKIM signer behind the program: signatures of theirs are
	 * taken off and the message is rewritten. Without any all signed mail passes. */
	const char *const *signers; /* may be NULL */
	size_t signer_count;        /* at most 64 */
};
#define LANDFALL_OPTIONS_INIT {sizeof(struct landfall_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* Who this copy is for. The same recipient, message and options give the same
 * bytes, so an attempt that is repeated must say the same. */
struct landfall_recipient {
	size_t size;          /* sizeof(struct landfall_recipient) */
	const char *campaign; /* 1 to 512 bytes, no control characters; goes before X-Landfall-Campaign */
	const char *tenant;   /* as campaign; NULL: that of the options */
	/* The producer's own random number: drawn once, stored beside its counters,
	 * never shared by two programs or machines that count on their own. 0 is what
	 * `landfall rewrite` takes, fit for trials only. */
	unsigned int lane;
	/* The recipient's place in (campaign, lane), from 0, without gaps (a gap costs
	 * a bit, a number used twice merges two people), below LANDFALL_MAX_SEQUENCE. */
	unsigned int sequence;
	unsigned long time; /* when the message was made, Unix seconds; only its day is kept; not 0 */
};
#define LANDFALL_RECIPIENT_INIT {sizeof(struct landfall_recipient), 0, 0, 0, 0, 0}

/* More recipients of one campaign need a second lane. */
#define LANDFALL_MAX_SEQUENCE 67108864u

/* Filled by landfall_rewrite and landfall_explain, emptied by landfall_result_free. */
struct landfall_result {
	size_t size;            /* sizeof(struct landfall_result), set by the caller */
	char *message;          /* owned; a NUL that is not counted stands behind it */
	size_t message_size;    /* bytes */
	int tracked;            /* 1: the copy carries the sequence. 0: it does not, use the number again */
	const char *untouched;  /* NULL: edited. Else why not, a word that lives for ever: "signed" ... */
	unsigned int links;     /* links that now lead to the tracker */
	unsigned int left;      /* links that were left alone */
	unsigned int pixels;    /* 0, 1 or 2 */
	size_t html_size;       /* bytes of the first HTML part, decoded; Gmail cuts at 102,000 */
	char *return_path;      /* owned; use it in MAIL FROM (not where that is <>). NULL: keep your own */
	const char *broken;     /* untouched "proof", or LANDFALL_BROKEN: what did not hold. Else NULL */
};
#define LANDFALL_RESULT_INIT {sizeof(struct landfall_result), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

struct landfall;

/* Read options and keys. LANDFALL_OK and *out, which the caller closes; or with
 * *out NULL: BAD_CALL, BAD_OPTIONS, BAD_KEYS, NO_MEMORY. why, unless NULL, then
 * holds a sentence for people; it ends in NUL and never shows a key. */
int landfall_open(
	struct landfall **out, const struct landfall_options *options, char *why, size_t why_size);

/* No call may be under way. Wipes the keys. *l becomes NULL; *l NULL is fine. */
void landfall_close(struct landfall **l);

/* Write who's copy of the message. The message may have any line ends, need not
 * end in NUL and is only read. LANDFALL_OK: out->message is to be sent, also
 * when nothing was to be edited. Otherwise BAD_CALL, BAD_RECIPIENT, TOO_LARGE,
 * NO_MEMORY or BROKEN, and *out holds nothing to free: send the message as it is,
 * without its X-Landfall-Campaign, -Tenant, -Recipient-Id and -Track fields.
 * What *out held before is overwritten, not freed. */
int landfall_rewrite(struct landfall *l, const struct landfall_recipient *who, const char *message, size_t size,
	struct landfall_result *out);

/* The same, but out->message is one JSON object that says what would be edited
 * and why the rest is left: that of `landfall rewrite --explain`. Of the other
 * members only tracked is set. */
int landfall_explain(struct landfall *l, const struct landfall_recipient *who, const char *message, size_t size,
	struct landfall_result *out);

/* Frees what it owns and empties it but for size. NULL is fine, twice is fine. */
void landfall_result_free(struct landfall_result *r);

#ifdef __cplusplus
}
#endif

#endif
