/* The client's side of an SMTP or LMTP conversation, without a socket: bytes
 * in, replies and wishes out.
 *
 * The session answers what it knows itself and wishes for the rest: the answer
 * of the next hop to MAIL and RCPT, to lines that only the hop can answer (the
 * dialogue of AUTH, XCLIENT, XFORWARD), and what became of a whole message. It
 * never says 250 at the end of data by itself. Commands of a pipelined group
 * are answered in their order; the first RCPT is handed on behind a MAIL that
 * is not answered yet.
 *
 * pure: no clock, file, lock or socket.
 */
#ifndef LF_REWRITER_SESSION_H
#define LF_REWRITER_SESSION_H

#include "core/base/buf.h"
#include "core/parse/smtp.h"

#define SESSION_MAX_RECIPIENTS 100 /* in one transaction: RFC 5321 4.5.3.1.8 */
#define SESSION_MAX_ERRORS 20      /* commands refused by us in a row; then 421 */
/* What rewriting may add to a message: kept free of the next hop's SIZE. */
#define SESSION_GROWTH 65536
#define SESSION_MAX_XFORWARD 8 /* lines of XFORWARD before one transaction */
/* A message buffer larger than this is given back between messages. */
#define SESSION_KEEP (64 * 1024)

struct session_config {
	slice host;         /* our name */
	size_t max_message; /* bytes */
	bool lmtp;          /* RFC 2033: LHLO, and an answer for each recipient */
	bool starttls;      /* offer it */
	bool need_tls;      /* without it nothing is done (RFC 3207 4: 530) */
	bool tls_first;     /* TLS was there before any command (RFC 8314) */
	bool auth_tls_only; /* AUTH is not offered without it */
	bool tell_client;   /* the relay's: tell the hop of the client and the copy by XFORWARD */
	bool envelope_id;   /* the relay's: name each copy in ENVID, also where MAIL would not be said anew */
};

struct recipient { /* within envelope.recipients: the address, its parameters behind it */
	size_t at, address_len, params_len;
};

/* Who sends to whom: addresses without <>. Owned by the session; good until
 * its transaction ends. */
struct envelope {
	struct buf sender, sender_params; /* SIZE is left out of the parameters */
	struct buf recipients;
	struct recipient recipient[SESSION_MAX_RECIPIENTS + 1];
	unsigned count; /* taken; the one that waits for its answer stands behind them */
	uint64_t size;  /* declared with SIZE, 0: not */
};

/* Good until the next RCPT. */
slice envelope_address(const struct envelope *e, unsigned i);
slice envelope_params(const struct envelope *e, unsigned i);

enum session_wish {
	SESSION_NOTHING, /* more bytes, or an answer, are needed first */
	SESSION_MAIL,    /* wants an answer: envelope's sender */
	SESSION_RCPT,    /* wants an answer: the recipient behind those taken */
	SESSION_LINE,    /* wants an answer: line goes to the hop as it is; asking says of what kind */
	SESSION_MESSAGE, /* wants an answer (LMTP: one for each recipient): envelope and message are whole */
	SESSION_RESET,   /* the transaction was given up; wants none */
	SESSION_STARTTLS /* when out is written: shake hands, then session_secured */
};

enum session_mode {
	SESSION_SILENT,
	SESSION_COMMANDS,
	SESSION_SASL, /* between AUTH and its last answer: lines are not commands */
	SESSION_DATA,
	SESSION_CHUNK, /* within the bytes of a BDAT */
	SESSION_BUSY,
	SESSION_HANDSHAKE, /* what comes in plain text now was not said under TLS: it is dropped */
	SESSION_CLOSED
};
enum session_asked { SESSION_NOT_ASKED, SESSION_ASKED, SESSION_TAKEN };

struct session_chunk {
	uint64_t size, left;
	bool last;
	int code; /* not 0: the bytes are dropped, then this and text are said */
	const char *text;
};

struct session {
	const struct session_config *cfg; /* borrowed */
	bool trusted;                     /* XCLIENT and XFORWARD are offered; set before the greeting */
	struct smtp_offer offer;          /* what we may promise to the client */
	struct buf out;                   /* for the client; the owner of the socket drops what it wrote */
	struct buf message;
	struct envelope envelope;
	struct smtp_data data;
	struct session_chunk chunk;
	enum session_mode mode;
	enum session_asked mail, rcpt; /* rcpt: never TAKEN, envelope.count says */
	bool chunked;                  /* a BDAT of this message was taken */
	unsigned answered;             /* LMTP: recipients that have their answer to the message */
	bool hello, extended;          /* HELO or EHLO was said; it was EHLO */
	bool secured;                  /* under TLS */
	bool authenticated;
	enum smtp_verb asking; /* AUTH, XCLIENT or XFORWARD: its line waits for an answer; else UNKNOWN */
	struct buf line;
	struct buf helo;     /* the name behind HELO or EHLO */
	unsigned xforwards;  /* lines in xforward */
	struct buf xforward; /* what the hop took of XFORWARD for the next transaction, lines with CRLF */
	bool skipping;       /* the rest of a line that was too long */
	bool stopping;
	unsigned errors;
};

void session_init(struct session *s, const struct session_config *cfg);
void session_free(struct session *s);

/* Greet the client: offer is what the next hop offers. */
void session_greet(struct session *s, const struct smtp_offer *offer);
/* It offers something else now: to be told in the next answer to EHLO. */
void session_offer(struct session *s, const struct smtp_offer *offer);
/* Say this reply and end the session: at the greeting, on a time limit, when
 * stopping. Does nothing to a closed session. */
void session_close(struct session *s, int code, slice text);

/* Take bytes from the front of *in. Called again with what is left until it
 * says SESSION_NOTHING; what is left then must be offered again, with more
 * bytes behind it or after an answer. */
enum session_wish session_feed(struct session *s, slice *in);
/* The answer to the oldest wish that wants one; text as in struct smtp_reply.
 * 334 to AUTH, 2xx to XCLIENT (all is forgotten) and XFORWARD have consequences.
 * 421 also ends the session; not so within the answers to a message in LMTP. */
void session_answer(struct session *s, int code, slice text);
/* The handshake that SESSION_STARTTLS wished for is done. All that was said
 * before is forgotten (RFC 3207 4.2): the client begins with EHLO. */
void session_secured(struct session *s);
/* As soon as no transaction is open: 421 and the end. */
void session_stop(struct session *s);

/* Is a wish without its answer? */
bool session_waits(const struct session *s);
/* All is said; when out is written the connection is to be closed. */
bool session_closed(const struct session *s);

#endif
