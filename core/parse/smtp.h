/* SMTP as bytes (RFC 5321): command lines, replies, and the one reader and the
 * one writer of message data.
 *
 * Message data ends on CRLF.CRLF and on nothing else. A line feed or carriage
 * return that stands alone, or a NUL, refuses the message; the reader still
 * reads to the real end, so that what follows is never taken for commands.
 * Everything here gives the same result however its input is cut in pieces.
 *
 * pure.
 */
#ifndef LF_PARSE_SMTP_H
#define LF_PARSE_SMTP_H

#include "core/base/buf.h"
#include "core/base/cpu.h"
#include "core/base/slice.h"

#define SMTP_MAX_COMMAND 512       /* RFC 5321 4.5.3.1.4, with CRLF */
#define SMTP_MAX_PARAMS 2048       /* MAIL and RCPT with their parameters (RFC 3461, 4954, 6531), with CRLF */
#define SMTP_MAX_SASL 12288        /* AUTH and the lines of its dialogue (RFC 4954 4), with CRLF */
#define SMTP_MAX_WORDS 256         /* behind AUTH, XCLIENT or XFORWARD in an offer */
#define SMTP_MAX_PATH 1000         /* RFC 5321 says 256; SRS and BATV are known to go past it */
#define SMTP_MAX_REPLY_LINE 12288  /* a longer reply line is cut; a challenge of AUTH must not be */
#define SMTP_MAX_REPLY (64 * 1024) /* all lines of one reply; more is refused */
#define SMTP_MAX_QUEUE_ID 64

#define SMTP_VERB_LIST(V)                                                                                    \
	V(HELO)                                                                                              \
	V(EHLO)                                                                                              \
	V(LHLO)                                                                                              \
	V(MAIL)                                                                                              \
	V(RCPT)                                                                                              \
	V(DATA)                                                                                              \
	V(BDAT)                                                                                              \
	V(RSET)                                                                                              \
	V(NOOP)                                                                                              \
	V(QUIT)                                                                                              \
	V(VRFY)                                                                                              \
	V(EXPN)                                                                                              \
	V(HELP)                                                                                              \
	V(AUTH)                                                                                              \
	V(STARTTLS)                                                                                          \
	V(ETRN)                                                                                              \
	V(XCLIENT)                                                                                           \
	V(XFORWARD)                                                                                          \
	/* not SMTP: a browser that was lured here */                                                        \
	V(GET)                                                                                               \
	V(POST)                                                                                              \
	V(CONNECT)

enum smtp_verb {
	SMTP_UNKNOWN,
#define V(verb) SMTP_##verb,
	SMTP_VERB_LIST(V)
#undef V
};

/* Where the command line at the start of in ends: the bytes it takes with its
 * ending, or 0 when in holds no line feed yet. *line is the line without its
 * ending; *why is 0, or -REFUSE_BARE_LF (ended without CR), -REFUSE_BARE_CR or
 * -REFUSE_NUL (one stands inside): such a line must not be obeyed. */
size_t smtp_line(slice in, slice *line, int *why);

struct smtp_command { /* borrows the line */
	enum smtp_verb verb;
	slice word;    /* the verb as it was written */
	slice arg;     /* behind it, blanks cut off; for MAIL and RCPT behind the colon */
	slice address; /* MAIL and RCPT: without <> and without source route; empty for <> */
	slice params;  /* MAIL and RCPT: "SIZE=1 BODY=8BITMIME", checked for form */
};

/* 0. -REFUSE_SYNTAX: verb known, its path or parameters are not in order (the
 * verb is filled). -REFUSE_LINE_TOO_LONG: past SMTP_MAX_COMMAND, or past
 * SMTP_MAX_PARAMS for MAIL and RCPT, or SMTP_MAX_SASL for AUTH, or a path past
 * SMTP_MAX_PATH. */
int smtp_command_decode(slice line, struct smtp_command *out);

struct smtp_param {
	slice name;
	slice value; /* empty without "=" */
};

/* 1: *p is the next parameter, *rest moved behind it. 0: no more.
 * -REFUSE_SYNTAX. */
int smtp_param_next(slice *rest, struct smtp_param *p);

/* Behind the last @, or empty. */
slice smtp_domain(slice address);

/* A reply being read. Lines end in LF, with or without CR. */
struct smtp_reply {
	int code;        /* of the last line */
	struct buf text; /* owned: lines without code, parted by LF, controls made '?' */
	struct buf line; /* owned: the line being read */
	bool done;
};
void smtp_reply_init(struct smtp_reply *r);
void smtp_reply_free(struct smtp_reply *r);
/* 1: a whole reply, good until the next call. 0: needs more. -REFUSE_SYNTAX (not
 * a reply) or -REFUSE_TOO_LARGE: the peer does not speak SMTP. *used: bytes
 * taken from in. */
int smtp_reply_feed(struct smtp_reply *r, slice in, size_t *used);
/* Append a reply; text as in struct smtp_reply. Controls are made '?' here too,
 * so that no text whatever can add a line. */
void smtp_reply_put(struct buf *out, int code, slice text);
/* "5.1.1" at the start of the text if its class is that of the code; or empty. */
slice smtp_enhanced(int code, slice text);
/* The queue id that a server names in its reply to the end of data: "queued as
 * X" (Postfix), "id=X" (Exim), "X Message accepted" (Sendmail, OpenSMTPD),
 * "Queued (X)" (Haraka). Empty if none is known. text: of the reply. */
slice smtp_queue_id(slice text);

/* What a server offers in its reply to EHLO, as far as we make use of it. */
#define SMTP_OFFER_LIST(O)                                                                                   \
	O(PIPELINING, 1, "PIPELINING")         /* RFC 2920 */                                                \
	O(SIZE, 2, "SIZE")                     /* RFC 1870 */                                                \
	O(8BITMIME, 4, "8BITMIME")             /* RFC 6152 */                                                \
	O(SMTPUTF8, 8, "SMTPUTF8")             /* RFC 6531 */                                                \
	O(ENHANCED, 16, "ENHANCEDSTATUSCODES") /* RFC 2034 */                                                \
	O(DSN, 32, "DSN")                      /* RFC 3461 */                                                \
	O(CHUNKING, 64, "CHUNKING")            /* RFC 3030 */                                                \
	O(STARTTLS, 128, "STARTTLS")           /* RFC 3207 */                                                \
	O(AUTH, 256, "AUTH")                   /* RFC 4954 */                                                \
	O(XCLIENT, 512, "XCLIENT")             /* Postfix, as the next */                                    \
	O(XFORWARD, 1024, "XFORWARD")

enum smtp_offers {
#define O(name, bit, word) SMTP_OFFER_##name = bit,
	SMTP_OFFER_LIST(O)
#undef O
};

struct smtp_words { /* printable ASCII, parted by one blank */
	char text[SMTP_MAX_WORDS];
	size_t len;
};

struct smtp_offer {
	unsigned flags; /* SMTP_OFFER_... */
	uint64_t size;  /* largest message, 0: none named */
	struct smtp_words auth, xclient, xforward;
};
/* text: of the reply, as in struct smtp_reply. Keywords unknown are skipped. */
struct smtp_offer smtp_offer_decode(slice text);
/* Leave of it what another server offers as well. */
void smtp_offer_meet(struct smtp_offer *o, const struct smtp_offer *other);
slice smtp_words(const struct smtp_words *w);
/* In any case of letters. */
bool smtp_words_have(const struct smtp_words *w, slice word);
/* False: there is no room. */
bool smtp_words_add(struct smtp_words *w, slice word);
/* The next word, *at moved behind it; empty: no more. */
slice smtp_words_next(const struct smtp_words *w, size_t *at);
/* Append the text of a reply to EHLO. */
void smtp_offer_encode(const struct smtp_offer *o, slice host, struct buf *out);
/* Append text as xtext (RFC 3461 4): what is not printable ASCII, "+" and "=" become +XX. */
void smtp_xtext_encode(slice text, struct buf *out);
/* Base64 in its letters and end, of any length; that also goes for "=" (RFC 4954 4). */
bool smtp_base64(slice text);
/* Digits only, at most 20 of them, no overflow. */
bool smtp_size_decode(slice digits, uint64_t *out);
/* The argument of BDAT: "123" or "123 LAST". False: not in order. */
bool smtp_chunk_decode(slice arg, uint64_t *size, bool *last);

/* Message data being read. */
struct smtp_data {
	int state;
	int refused;   /* 0, or the first -REFUSE_ */
	uint64_t size; /* bytes of the message, dots taken off, refused or not */
};
void smtp_data_init(struct smtp_data *d);
/* Append message bytes (dots taken off) to out; out's cap is the largest
 * message. After a refusal nothing more is appended. Returns the bytes taken:
 * all of in, or up to the end of data. */
size_t smtp_data_feed(struct smtp_data *d, slice in, struct buf *out);
bool smtp_data_done(const struct smtp_data *d);

/* Where lines stop being in order, from a place on that is not between CR and LF:
 * the first NUL, LF without its CR, CR without its LF (also the last byte), or dot
 * that begins a line behind from; or in.len. path: must be one that is there. */
size_t smtp_lines_by(enum cpu_path path, slice in, size_t from);

/* Would the reader have taken it? 0, -REFUSE_BARE_LF, _BARE_CR or _NUL. The
 * last line may lack its CRLF, unless it ends in a lone CR. */
int smtp_text_check(slice message);

/* Message data being written: dots doubled, ended by CRLF.CRLF (the first CRLF
 * only where the message lacks it). message: passes smtp_text_check. */
struct smtp_stuff {
	slice message; /* borrows */
	size_t pos;
	bool line_start;
	bool done;
};
void smtp_stuff_init(struct smtp_stuff *s, slice message);
/* The next bytes that go out as they stand in the message, at most `most`: up to the
 * next dot that must be doubled. Empty: one is next, or the end. */
slice smtp_stuff_run(struct smtp_stuff *s, size_t most);
/* Append at most `most` bytes and the few that end the data. True: all is
 * written. False: call again. */
bool smtp_stuff_put(struct smtp_stuff *s, struct buf *out, size_t most);

#endif
