/* Conversations, word for word, on both sides of the relay. Each runs with its
 * input in one piece, byte by byte, and cut in two at every place. */
#include "tests/testing.h"

#include "tests/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* How the world behaves in a script. */
enum manner {
	AS_IS = 0,
	SENDER = 1,   /* the copy has a return path of its own */
	RENDERED = 2, /* the copy has other bytes */
	RECORDED = 4, /* wait for the sync */
	FULL = 8,     /* nothing can be recorded */
	OWN = 16,     /* of several recipients each has a copy, "u@c:" before it */
	LMTP = 32,
	TLS = 64,       /* STARTTLS is offered to the client */
	TLS_ONLY = 128, /* and needed */
	HOP_MAY = 256,  /* STARTTLS is said to the hop */
	HOP_MUST = 512,
	TRUSTED = 1024,     /* the client may say XCLIENT and XFORWARD */
	AUTH_TLS = 2048,    /* AUTH only under TLS */
	TELL = 4096,        /* the hop is told of the client by XFORWARD */
	IDENT = 8192,       /* the copy has a name */
	ENVELOPE_ID = 16384 /* which goes into ENVID in any case */
};

/* Behind the relay stands a pool of one connection. It lends what it has at once,
 * and a new one when that is greeted.
 *
 * A step's first byte: > the client says, < it must hear; + the hop must hear,
 * - it says; ^ the hop is connected; ! its connection failed, or none can be had
 * (with a reason behind it); ? it must be closed; g it must be given back; q
 * it must be told QUIT; i the connection is the client's own; l the client is
 * answered before it gives up; * synced; x the client is gone; t it was silent for too long; s stop;
 * o it has waited for long; r others wait for its connection; h the client's handshake is wanted, T it is
 * done, H the hop's is done; = what became of the recipients; . all is over; ~ the relay must not want a
 * connection. A recipient k... was taken at an earlier attempt, z... must be alone; q... is owed another
 * message than this, as is a sender q... */
static const struct script {
	const char *name;
	int manner;
	const char *steps[64];
} scripts[] = {
#define HELLO                                                                                                \
	"^", "-220 hop\r\n", "+EHLO me\r\n",                                                                 \
		"-250-hop\r\n250-PIPELINING\r\n250-SIZE "                                                    \
		"1000000\r\n250-8BITMIME\r\n250-DSN\r\n250-STARTTLS\r\n250-CHUNKING\r\n250 "                 \
		"ENHANCEDSTATUSCODES\r\n",                                                                   \
		"<220 me ESMTP Landfall\r\n", ">EHLO c\r\n",                                                 \
		"<250-me\r\n250-PIPELINING\r\n250-SIZE "                                                     \
		"934464\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250 CHUNKING\r\n"
#define OPENED                                                                                               \
	HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "-250 2.1.0 Ok\r\n", "<250 2.1.0 Ok\r\n",     \
		">RCPT TO:<u@c>\r\n", "+RCPT TO:<u@c>\r\n", "-250 2.1.5 Ok\r\n", "<250 2.1.5 Ok\r\n"
#define DATA OPENED, ">DATA\r\n", "<354 end data with <CR><LF>.<CR><LF>\r\n"
#define SENT DATA, ">S: x\r\n\r\nhi\r\n.\r\n", "+DATA\r\n", "-354 go\r\n", "+S: x\r\n\r\nhi\r\n.\r\n"

#define LESS_TEXT "421 4.3.2 next hop no longer offers what it did\r\n"

	{"one message", AS_IS,
		{SENT, "-250 2.0.0 Ok: queued as X1\r\n", "<250 2.0.0 Ok: queued as X1\r\n", ">QUIT\r\n",
			"<221 2.0.0 Bye\r\n", "g", "."}},
	{"two messages on one connection", AS_IS,
		{SENT, "-250 a\r\n", "<250 a\r\n", ">MAIL FROM:<>\r\n", "+MAIL FROM:<>\r\n", "-250 b\r\n",
			"<250 b\r\n", ">RCPT TO:<v@c>\r\n", "+RCPT TO:<v@c>\r\n", "-250 c\r\n", "<250 c\r\n",
			">DATA\r\n", "<354 end data with <CR><LF>.<CR><LF>\r\n", ">two\r\n.\r\n", "+DATA\r\n",
			"-354 go\r\n", "+two\r\n.\r\n", "-250 d\r\n", "<250 d\r\n"}},
	{"pipelined group", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "<", "-250 a\r\n", "<250 a\r\n",
			"-250 b\r\n", "<250 b\r\n354 end data with <CR><LF>.<CR><LF>\r\n",
			">hi\r\n.\r\nMAIL FROM:<d@e>\r\nRCPT TO:<f@g>\r\nQUIT\r\n", "+DATA\r\n",
			"-354 go\r\n", "+hi\r\n.\r\n", "-250 c\r\n", "+MAIL FROM:<d@e>\r\nRCPT TO:<f@g>\r\n",
			"-250 d\r\n250 e\r\n", "<250 c\r\n250 d\r\n250 e\r\n221 2.0.0 Bye\r\n", "g"}},
	{"hop without pipelining", AS_IS,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-250 hop\r\n", "<220 me ESMTP Landfall\r\n",
			">EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nDATA\r\n", "+MAIL FROM:<a@b>\r\n",
			"<250-me\r\n250 CHUNKING\r\n", "-250 a\r\n", "+RCPT TO:<u@c>\r\n", "<250 a\r\n",
			"-250 b\r\n", "<250 b\r\n354 end data with <CR><LF>.<CR><LF>\r\n"}},
	{"hop knows only HELO", AS_IS,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-500 what\r\n", "+HELO me\r\n", "-250 hop\r\n",
			"<220 me ESMTP Landfall\r\n", ">EHLO c\r\n", "<250-me\r\n250 CHUNKING\r\n",
			">MAIL FROM:<a@b> SIZE=3\r\n", "<555 5.5.4 parameter not offered\r\n"}},
	{"dots", AS_IS,
		{DATA, ">..\r\n...b\r\nc\r\n.\r\n", "+DATA\r\n", "-354 go\r\n", "+..\r\n...b\r\nc\r\n.\r\n",
			"-250 ok\r\n", "<250 ok\r\n"}},
	{"own sender", SENDER,
		{DATA, ">hi\r\n.\r\n",
			"+RSET\r\nMAIL FROM:<b+x@v.example> SIZE=4\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"-250 a\r\n250 b\r\n250 c\r\n354 d\r\n", "+hi\r\n.\r\n", "-250 2.0.0 ok\r\n",
			"<250 2.0.0 ok\r\n"}},
	{"own sender, parameters kept", SENDER,
		{HELLO, ">MAIL FROM:<a@b> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=q1\r\n",
			"+MAIL FROM:<a@b> BODY=8BITMIME RET=HDRS ENVID=q1 SIZE=65636\r\n", "-250 a\r\n",
			">RCPT TO:<u@c> NOTIFY=FAILURE ORCPT=rfc822;u@c\r\n",
			"+RCPT TO:<u@c> NOTIFY=FAILURE ORCPT=rfc822;u@c\r\n", "-250 b\r\n", ">DATA\r\n",
			"<250 a\r\n250 b\r\n354 end data with <CR><LF>.<CR><LF>\r\n", ">hi\r\n.\r\n",
			"+RSET\r\nMAIL FROM:<b+x@v.example> BODY=8BITMIME RET=HDRS ENVID=q1 SIZE=4\r\nRCPT "
			"TO:<u@c> NOTIFY=FAILURE ORCPT=rfc822;u@c\r\nDATA\r\n"}},
	{"own sender refused", SENDER,
		{DATA, ">hi\r\n.\r\n",
			"+RSET\r\nMAIL FROM:<b+x@v.example> SIZE=4\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"-250 a\r\n553 5.1.8 no such sender\r\n503 b\r\n503 c\r\n",
			"<553 5.1.8 no such sender\r\n", "+RSET\r\n", "-250 ok\r\n", ">NOOP\r\n",
			"<250 2.0.0 Ok\r\n"}},
	{"own sender, recipient refused, data wanted", SENDER,
		{DATA, ">hi\r\n.\r\n",
			"+RSET\r\nMAIL FROM:<b+x@v.example> SIZE=4\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"-250 a\r\n250 b\r\n450 4.2.0 later\r\n354 d\r\n", "<450 4.2.0 later\r\n", "?", "+"}},
	{"rendered", RENDERED,
		{DATA, ">hi\r\n.\r\n", "+DATA\r\n", "-354 go\r\n", "+[hi\r\n]\r\n.\r\n", "-250 ok\r\n",
			"<250 ok\r\n"}},
	{"recorded before the answer", RECORDED, {SENT, "-250 2.0.0 ok\r\n", "<", "*", "<250 2.0.0 ok\r\n"}},
	{"recorded, refused by the hop", RECORDED,
		{SENT, "-554 5.7.1 spam\r\n", "<554 5.7.1 spam\r\n", "*", "<"}},
	{"recorded, client gone, hop takes it", RECORDED, {SENT, "x", "-250 ok\r\n", "*", "g", "."}},
	{"disk full", FULL,
		{DATA, ">hi\r\n.\r\n", "<451 4.3.1 full\r\n", "+RSET\r\n", "-250 ok\r\n",
			">MAIL FROM:<z@b>\r\n", "+MAIL FROM:<z@b>\r\n"}},
	{"multi-line replies word for word", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "-250 ok\r\n", "<250 ok\r\n",
			">RCPT TO:<u@c>\r\n", "+RCPT TO:<u@c>\r\n",
			"-550-5.1.1 no\r\n550-5.1.1  such\r\n550 5.1.1 user\r\n",
			"<550-5.1.1 no\r\n550-5.1.1  such\r\n550 5.1.1 user\r\n", ">DATA\r\n",
			"<554 5.5.1 no valid recipients\r\n"}},
	{"recipient refused, another one taken", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nRCPT TO:<v@c>\r\nRCPT TO:<w@c>\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-250 a\r\n550 b\r\n", "+RCPT TO:<v@c>\r\n",
			"-250 c\r\n", "+RCPT TO:<w@c>\r\n", "-451 d\r\n",
			"<250 a\r\n550 b\r\n250 c\r\n451 d\r\n"}},
	{"sender refused, pipelined", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nDATA\r\nRSET\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-550 5.7.1 no\r\n503 5.5.1 no\r\n",
			"<550 5.7.1 no\r\n503 5.5.1 no\r\n503 5.5.1 say MAIL first\r\n250 2.0.0 Ok\r\n"}},
	{"451 at the dot", AS_IS,
		{SENT, "-451 4.7.650 later\r\n", "<451 4.7.650 later\r\n", ">RSET\r\n", "<250 2.0.0 Ok\r\n",
			"+"}},
	{"DATA refused", AS_IS,
		{DATA, ">hi\r\n.\r\n", "+DATA\r\n", "-452 4.3.1 full\r\n", "<452 4.3.1 full\r\n",
			"+RSET\r\n"}},
	{"cut at the dot", AS_IS,
		{SENT, "!", "<451 4.4.2 connection to the next hop lost\r\n", "?", ">MAIL FROM:<a@b>\r\n",
			"^", "-220 hop\r\n", "+EHLO me\r\n", "-250-hop\r\n250-8BITMIME\r\n250 DSN\r\n",
			"+MAIL FROM:<a@b>\r\n", "-250 ok\r\n", "<250 ok\r\n"}},
	{"cut before DATA: a new connection", AS_IS,
		{DATA, "!", "?", ">hi\r\n.\r\n", "^", "-220 hop\r\n", "+EHLO me\r\n",
			"-250-hop\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 DSN\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nDATA\r\n", "-250 a\r\n250 b\r\n354 c\r\n",
			"+hi\r\n.\r\n", "-250 ok\r\n", "<250 ok\r\n"}},
	{"recalled while the client sends: borrowed anew", AS_IS,
		{DATA, ">h", "r", "+RSET\r\n", "g", "-250 ok\r\n", ">i\r\n.\r\n",
			"+MAIL FROM:<a@b> SIZE=4\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"-250 a\r\n250 b\r\n354 c\r\n", "+hi\r\n.\r\n", "-250 ok\r\n", "<250 ok\r\n"}},
	{"recalled between commands: MAIL is said again", AS_IS,
		{OPENED, "r", "+RSET\r\n", "g", "-250 ok\r\n", ">RCPT TO:<v@c>\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<v@c>\r\n", "-250 a\r\n250 b\r\n", "<250 b\r\n"}},
	{"new connection offers less, and it is not needed", AS_IS,
		{DATA, "!", "?", ">hi\r\n.\r\n", "^", "-220 hop\r\n", "+EHLO me\r\n", "-250 hop\r\n",
			"+MAIL FROM:<a@b>\r\n", "-250 ok\r\n"}},
	{"new connection offers less than MAIL made use of", AS_IS,
		{HELLO, ">MAIL FROM:<a@b> BODY=8BITMIME\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"+MAIL FROM:<a@b> BODY=8BITMIME\r\nRCPT TO:<u@c>\r\n", "-250 a\r\n250 b\r\n",
			"<250 a\r\n250 b\r\n354 end data with <CR><LF>.<CR><LF>\r\n", "!", "?",
			">hi\r\n.\r\n", "^", "-220 hop\r\n", "+EHLO me\r\n", "-250-hop\r\n250 DSN\r\n",
			"<" LESS_TEXT, "g", "."}},
	{"new connection offers less than RCPT made use of", AS_IS,
		{HELLO, "!", "?", ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c> NOTIFY=NEVER\r\n", "^", "-220 hop\r\n",
			"+EHLO me\r\n", "-250 hop\r\n", "<" LESS_TEXT, "+", "g", "."}},
	{"new connection offers less than a later RCPT makes use of", AS_IS,
		{HELLO, "!", "?", ">MAIL FROM:<a@b>\r\n", "^", "-220 hop\r\n", "+EHLO me\r\n", "-250 hop\r\n",
			"+MAIL FROM:<a@b>\r\n", "-250 a\r\n", "<250 a\r\n", ">RCPT TO:<u@c> NOTIFY=NEVER\r\n",
			"<" LESS_TEXT, "+RSET\r\n", "g", "."}},
	{"new connection takes less than MAIL declared", AS_IS,
		{HELLO, "!", "?", ">MAIL FROM:<a@b> SIZE=900000\r\n", "^", "-220 hop\r\n", "+EHLO me\r\n",
			"-250-hop\r\n250 SIZE 800000\r\n", "<" LESS_TEXT, "+", "g", "."}},
	{"cut between MAIL and RCPT", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "-250 ok\r\n", "<250 ok\r\n", "!",
			"?", ">RCPT TO:<u@c>\r\n", "^", "-220 hop\r\n", "+EHLO me\r\n",
			"-250-hop\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 DSN\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-250 a\r\n250 b\r\n", "<250 b\r\n"}},
	{"cut between MAIL and RCPT, MAIL then refused", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "-250 ok\r\n", "<250 ok\r\n", "!",
			"?", ">RCPT TO:<u@c>\r\n", "^", "-220 hop\r\n", "+EHLO me\r\n",
			"-250-hop\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 DSN\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-452 4.3.1 full\r\n503 b\r\n",
			"<452 4.3.1 full\r\n"}},
	{"idle connection had been closed", AS_IS,
		{SENT, "-250 ok\r\n", "<250 ok\r\n", ">MAIL FROM:<d@e>\r\nRCPT TO:<f@g>\r\n",
			"+MAIL FROM:<d@e>\r\nRCPT TO:<f@g>\r\n", "!", "?", "<", "^", "-220 hop\r\n",
			"+EHLO me\r\n", "-250-hop\r\n250-8BITMIME\r\n250 DSN\r\n", "+MAIL FROM:<d@e>\r\n",
			"-250 a\r\n", "<250 a\r\n", "+RCPT TO:<f@g>\r\n"}},
	{"421 to MAIL on a kept connection: another one", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n",
			"-421 4.4.2 idle\r\n", "?", "<", "^", "-220 hop\r\n", "+EHLO me\r\n",
			"-250-hop\r\n250 PIPELINING\r\n", "+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n",
			"-421 4.4.2 idle\r\n", "?", "<421 4.4.2 idle\r\n", "."}},
	{"a connection for each transaction", AS_IS,
		{OPENED, ">RSET\r\n", "<250 2.0.0 Ok\r\n", "+RSET\r\n", "g", ">MAIL FROM:<d@e>\r\n", "+",
			"-250 ok\r\n", "+MAIL FROM:<d@e>\r\n", "-550 no\r\n", "<550 no\r\n", "g",
			">MAIL FROM:<d@e>\r\nRCPT TO:<u@c>\r\nRSET\r\n",
			"+MAIL FROM:<d@e>\r\nRCPT TO:<u@c>\r\n", "-250 a\r\n250 b\r\n",
			"<250 a\r\n250 b\r\n250 2.0.0 Ok\r\n", "+RSET\r\n", "g", ">QUIT\r\n",
			"<221 2.0.0 Bye\r\n", ".", "-250 ok\r\n", "g"}},
	{"a connection with the client's identity is its own", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "i", "-250 a\r\n", "<250 a\r\n",
			">RSET\r\n", "<250 2.0.0 Ok\r\n", "+RSET\r\n", "-250 ok\r\n", ">MAIL FROM:<d@e>\r\n",
			"+MAIL FROM:<d@e>\r\n", "-250 b\r\n", "<250 b\r\n", ">QUIT\r\n", "<221 2.0.0 Bye\r\n",
			"q", "."}},
	{"a connection with the client's identity is lost", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "i", "-250 a\r\n", "<250 a\r\n",
			">RSET\r\n", "<250 2.0.0 Ok\r\n", "+RSET\r\n", "-250 ok\r\n", "!", "?",
			">NOOP\r\nMAIL FROM:<d@e>\r\n",
			"<250 2.0.0 Ok\r\n421 4.4.2 connection to the next hop lost\r\n", "~", "."}},
	{"a connection with the client's identity is lost at MAIL", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "i", "!", "?",
			"<451 4.4.2 connection to the next hop lost\r\n", "~"}},
	{"given up: the hop is slow at RCPT", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n",
			"-250 a\r\n", "<250 a\r\n", "l", "?",
			"<451 4.4.2 connection to the next hop lost\r\n"}},
	{"given up: no connection", AS_IS,
		{HELLO, "!", "?", ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "^", "-220 hop\r\n", "l",
			"<451 4.4.1 next hop does not answer\r\n451 4.4.1 next hop does not answer\r\n",
			"~"}},
	{"given up: no greeting", AS_IS,
		{"^", "l", "<421 4.3.2 next hop does not answer, try again later\r\n", "~", "."}},
	{"given up at the dot", AS_IS,
		{SENT, "l", "?", "<451 4.4.2 connection to the next hop lost\r\n", "~"}},
	{"given up: not while the record is synced", RECORDED,
		{SENT, "-250 ok\r\n", "l", "<", "*", "<250 ok\r\n", "g"}},
	{"all connections are in use", AS_IS,
		{HELLO, "!", "?", ">MAIL FROM:<a@b>\r\n", "!4.3.2 busy", "?", "<451 4.3.2 busy\r\n"}},
	{"lost at MAIL on a fresh connection", AS_IS,
		{HELLO, "!", "?", ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "^", "-220 hop\r\n",
			"+EHLO me\r\n", "-250-hop\r\n250 PIPELINING\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "!", "?",
			"<451 4.4.2 connection to the next hop lost\r\n451 4.4.2 connection to the next hop "
			"lost\r\n"}},
	{"reconnect fails", AS_IS,
		{HELLO, "!", "?", ">MAIL FROM:<a@b>\r\n", "!", "?", "<451 4.4.1 next hop does not answer\r\n",
			">NOOP\r\n", "<250 2.0.0 Ok\r\n", "~"}},
	{"reconnect fails at the dot", AS_IS,
		{DATA, "!", "?", ">hi\r\n.\r\n", "!", "?", "<451 4.4.1 next hop does not answer\r\n"}},
	{"hop down at the greeting", AS_IS,
		{"!", "?", "<421 4.3.2 next hop does not answer, try again later\r\n", "."}},
	{"hop greets with 554", AS_IS,
		{"^", "-554 go away\r\n", "?", "<421 4.3.2 next hop does not answer, try again later\r\n",
			"."}},
	{"hop greets with 421", AS_IS,
		{"^", "-421 4.7.0 too many of you\r\n", "?", "<421 4.7.0 too many of you\r\n", "."}},
	{"hop refuses HELO", AS_IS,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-550 no\r\n", "+HELO me\r\n", "-550 no\r\n", "?",
			"<421 4.3.2 next hop does not answer, try again later\r\n", "."}},
	{"421 at RCPT", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-250 ok\r\n421 4.7.0 later\r\n", "?",
			"<250 ok\r\n421 4.7.0 later\r\n", "."}},
	{"421 at the dot", AS_IS, {SENT, "-421 4.3.2 down\r\n", "?", "<421 4.3.2 down\r\n", "."}},
	{"421 at DATA on a kept connection, then on a new one", AS_IS,
		{DATA, ">hi\r\n.\r\n", "+DATA\r\n", "-421 4.3.2 enough\r\n", "?", "<", "^", "-220 hop\r\n",
			"+EHLO me\r\n", "-250-hop\r\n250 PIPELINING\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"-250 a\r\n250 b\r\n421 4.3.2 down\r\n", "?", "<421 4.3.2 down\r\n", "."}},
	{"421 while idle, then more mail", AS_IS,
		{SENT, "-250 ok\r\n", "<250 ok\r\n", "-421 4.4.2 idle\r\n", "?", ">MAIL FROM:<d@e>\r\n", "^",
			"-220 hop\r\n"}},
	{"says what it was not asked", AS_IS, {HELLO, "-250 hm\r\n", "?", ">NOOP\r\n", "<250 2.0.0 Ok\r\n"}},
	{"does not speak SMTP at the dot", AS_IS,
		{SENT, "-HTTP/1.1 200 OK\r\n", "?", "<451 4.4.2 connection to the next hop lost\r\n"}},
	{"2xx for DATA", AS_IS,
		{DATA, ">hi\r\n.\r\n", "+DATA\r\n", "-250 ok\r\n", "?",
			"<451 4.4.2 connection to the next hop lost\r\n"}},
	{"354 for MAIL", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "-354 ok\r\n", "?",
			"<451 4.4.2 connection to the next hop lost\r\n"}},
	{"client gone before its dot", AS_IS, {DATA, ">hi\r\n.", "x", "g", "."}},
	{"client gone after its dot", AS_IS, {SENT, "x", "-250 ok\r\n", "g", "."}},
	{"client gone while MAIL waits", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "x", "?", "."}},
	{"client silent", AS_IS, {DATA, ">hi\r\n", "t", "<421 4.4.2 silent for too long\r\n", "g"}},
	{"bare LF", AS_IS,
		{DATA, ">a\nb\r\n.\r\n", "<550 5.5.2 bare line feed\r\n", "+RSET\r\n", "-250 ok\r\n",
			">NOOP\r\n", "<250 2.0.0 Ok\r\n"}},
	{"LF.LF smuggles nothing", AS_IS,
		{DATA, ">a\n.\nMAIL FROM:<x@y>\r\nRCPT TO:<z@y>\r\nDATA\r\n\r\n.\r\n",
			"<550 5.5.2 bare line feed\r\n", "+RSET\r\n"}},
	{"bare CR", AS_IS,
		{DATA, ">a\r\n.\r\r\nQUIT\r\n.\r\n", "<550 5.5.2 bare carriage return\r\n", "+RSET\r\n"}},
	{"RSET between", AS_IS,
		{OPENED, ">RSET\r\n", "<250 2.0.0 Ok\r\n", "+RSET\r\n", "-250 ok\r\n", ">MAIL FROM:<d@e>\r\n",
			"+MAIL FROM:<d@e>\r\n", "-250 a\r\n", "<250 a\r\n"}},
	{"EHLO is RSET too", AS_IS, {OPENED, ">HELO c\r\n", "<250 me\r\n", "+RSET\r\n"}},
	{"RSET refused by the hop: a new connection", AS_IS,
		{OPENED, ">RSET\r\n", "<250 2.0.0 Ok\r\n", "+RSET\r\n", "-500 what\r\n", "?",
			">MAIL FROM:<d@e>\r\n", "^"}},
	{"stop while idle", AS_IS, {HELLO, "s", "<421 4.3.2 going down, try again later\r\n", "g"}},
	{"stop within a transaction", AS_IS,
		{SENT, "s", "<", "-250 ok\r\n", "<250 ok\r\n421 4.3.2 going down, try again later\r\n", "g"}},
	{"stop within a transaction, 421 from the hop", AS_IS,
		{SENT, "s", "<", "-421 x\r\n", "<421 x\r\n", "?", "."}},
	{"commands", AS_IS,
		{HELLO,
			">NOOP x\r\nVRFY u\r\nEXPN l\r\nHELP\r\nSTARTTLS\r\nAUTH PLAIN\r\nETRN "
			"x\r\nXYZZY\r\nDATA\r\nRCPT TO:<u@c>\r\n\r\nEHLO\r\n",
			"<250 2.0.0 Ok\r\n252 2.0.0 send to it and see\r\n502 5.5.1 not offered\r\n214 2.0.0 "
			"see RFC 5321\r\n502 5.5.1 not offered\r\n502 5.5.1 not offered\r\n"
			"502 5.5.1 not offered\r\n500 5.5.2 command not known\r\n503 5.5.1 say MAIL "
			"first\r\n503 5.5.1 say MAIL first\r\n"
			"500 5.5.2 command not known\r\n501 5.5.4 want a host name\r\n",
			"+"}},
	{"MAIL and RCPT not in order", AS_IS,
		{HELLO,
			">MAIL FROM:a@b\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nMAIL FROM:<a@b> "
			"AUTH=<>\r\nMAIL FROM:<a@b> SIZE=x\r\nMAIL FROM:<a@b> SIZE=934465\r\n",
			"<501 5.5.4 want MAIL FROM:<address>\r\n501 5.5.4 parameter not in order\r\n555 "
			"5.5.4 parameter not offered\r\n501 5.5.4 parameter not in order\r\n552 5.3.4 "
			"message too large\r\n",
			">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "-250 ok\r\n", "<250 ok\r\n",
			">MAIL FROM:<a@b>\r\nRCPT TO:<>\r\nRCPT TO:<u@c> FOO=1\r\nDATA x\r\nDATA\r\n",
			"<503 5.5.1 a transaction is open already\r\n501 5.5.4 want RCPT TO:<address>\r\n555 "
			"5.5.4 parameter not offered\r\n501 5.5.4 DATA takes no argument\r\n554 5.5.1 no "
			"valid recipients\r\n",
			"+"}},
	{"MAIL before EHLO", AS_IS,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-250 hop\r\n", "<220 me ESMTP Landfall\r\n",
			">MAIL FROM:<a@b>\r\n", "<503 5.5.1 say EHLO first\r\n"}},
	{"line ends of commands", AS_IS,
		{HELLO, ">NOOP\nNO\rOP\r\nQUIT\n",
			"<500 5.5.2 bare line feed\r\n500 5.5.2 bare carriage return\r\n500 5.5.2 bare line "
			"feed\r\n"}},
	{"HTTP ends the session", AS_IS,
		{HELLO, ">POST / HTTP/1.1\r\nNOOP\r\n", "<421 4.7.0 this is not HTTP\r\n", "g"}},
	{"too many errors", AS_IS,
		{HELLO,
			">A\r\nA\r\nA\r\nA\r\nA\r\nA\r\nA\r\nA\r\nA\r\nA\r\nA\r\nA\r\nA\r\nA\r\nA\r\nA\r\nA\r"
			"\nA\r\nA\r\n",
			"<500 5.5.2 command not known\r\n*19", ">A\r\nNOOP\r\n",
			"<500 5.5.2 command not known\r\n421 4.7.0 too many errors\r\n", "g"}},
	{"hop with a small SIZE", AS_IS,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-250-hop\r\n250 SIZE 30\r\n",
			"<220 me ESMTP Landfall\r\n", ">EHLO c\r\n",
			"<250-me\r\n250-SIZE 15\r\n250 CHUNKING\r\n", ">MAIL FROM:<a@b>\r\n",
			"+MAIL FROM:<a@b>\r\n", "-250 a\r\n", "<250 a\r\n", ">RCPT TO:<u@c>\r\n",
			"+RCPT TO:<u@c>\r\n", "-250 a\r\n", "<250 a\r\n", ">DATA\r\n",
			"<354 end data with <CR><LF>.<CR><LF>\r\n", ">0123456789abcdef\r\nQUIT\r\n.\r\n",
			"<552 5.3.4 message too large\r\n", "+RSET\r\n"}},

/* Several recipients. */
#define TWO OPENED, ">RCPT TO:<v@c>\r\n", "+RCPT TO:<v@c>\r\n", "-250 2.1.5 Ok\r\n", "<250 2.1.5 Ok\r\n"
#define TWO_DATA TWO, ">DATA\r\n", "<354 end data with <CR><LF>.<CR><LF>\r\n"
#define COPY(rcpt)                                                                                           \
	"+RSET\r\nMAIL FROM:<a@b> SIZE=8\r\nRCPT TO:<" rcpt "@c>\r\nDATA\r\n",                               \
		"-250 a\r\n250 b\r\n250 c\r\n354 d\r\n", "+" rcpt "@c:hi\r\n.\r\n"
/* Behind one that the hop answered at the dot. */
#define NEXT_COPY(rcpt)                                                                                      \
	"+MAIL FROM:<a@b> SIZE=8\r\nRCPT TO:<" rcpt "@c>\r\nDATA\r\n", "-250 b\r\n250 c\r\n354 d\r\n",       \
		"+" rcpt "@c:hi\r\n.\r\n"
#define LOST_TEXT "4.4.2 connection to the next hop lost\r\n"
#define MIXED_TEXT "451 4.3.0 not taken for all recipients yet, try again\r\n"
	{"one copy for two", AS_IS,
		{TWO_DATA, ">hi\r\n.\r\n", "+DATA\r\n", "-354 go\r\n", "+hi\r\n.\r\n", "-250 ok\r\n",
			"<250 ok\r\n", "=250o 250os"}},
	{"one copy for two, refused", AS_IS,
		{TWO_DATA, ">hi\r\n.\r\n", "+DATA\r\n", "-354 go\r\n", "+hi\r\n.\r\n", "-550 no\r\n",
			"<550 no\r\n", "=550o 550os", ">NOOP\r\n", "<250 2.0.0 Ok\r\n"}},
	{"one copy for two on a new connection", AS_IS,
		{TWO_DATA, "!", "?", ">hi\r\n.\r\n", "^", "-220 hop\r\n", "+EHLO me\r\n",
			"-250-hop\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 DSN\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nRCPT TO:<v@c>\r\nDATA\r\n",
			"-250 a\r\n250 b\r\n250 c\r\n354 d\r\n", "+hi\r\n.\r\n", "-250 ok\r\n",
			"<250 ok\r\n"}},
	{"one copy for two on a new connection that has only one", AS_IS,
		{OPENED, "!", "?", ">RCPT TO:<v@c>\r\n", "^", "-220 hop\r\n", "+EHLO me\r\n",
			"-250-hop\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 DSN\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<v@c>\r\n", "-250 a\r\n250 b\r\n", "<250 b\r\n",
			">DATA\r\n", "<354 end data with <CR><LF>.<CR><LF>\r\n", ">hi\r\n.\r\n",
			"+RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nRCPT TO:<v@c>\r\nDATA\r\n",
			"-250 z\r\n250 a\r\n250 b\r\n250 c\r\n354 d\r\n", "+hi\r\n.\r\n", "-250 ok\r\n",
			"<250 ok\r\n"}},
	{"one copy for two on a new connection that takes one", AS_IS,
		{TWO_DATA, "!", "?", ">hi\r\n.\r\n", "^", "-220 hop\r\n", "+EHLO me\r\n",
			"-250-hop\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 DSN\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nRCPT TO:<v@c>\r\nDATA\r\n",
			"-250 a\r\n250 b\r\n550 c\r\n354 d\r\n", "?",
			"<451 4.3.0 a recipient is no longer taken, try again\r\n", "+"}},
	{"copies for two", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-250 2.0.0 Ok: queued as X1\r\n", "<", NEXT_COPY("v"),
			"-250 2.0.0 Ok: queued as X2\r\n", "<250 2.0.0 Ok: queued as X1\r\n", "=250o 250o",
			">MAIL FROM:<d@e>\r\n", "+MAIL FROM:<d@e>\r\n"}},
	{"copies for two, the hop has no pipelining", OWN,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-250 hop\r\n", "<220 me ESMTP Landfall\r\n",
			">EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nRCPT TO:<v@c>\r\nDATA\r\n",
			"+MAIL FROM:<a@b>\r\n", "-250 a\r\n", "+RCPT TO:<u@c>\r\n", "-250 a\r\n",
			"+RCPT TO:<v@c>\r\n", "-250 a\r\n",
			"<250-me\r\n250 CHUNKING\r\n250 a\r\n250 a\r\n250 a\r\n354 end data with "
			"<CR><LF>.<CR><LF>\r\n",
			">hi\r\n.\r\n", "+RSET\r\n", "-250 a\r\n", "+MAIL FROM:<a@b>\r\n", "-250 a\r\n",
			"+RCPT TO:<u@c>\r\n", "-250 a\r\n", "+DATA\r\n", "-354 a\r\n", "+u@c:hi\r\n.\r\n",
			"-250 one\r\n", "+MAIL FROM:<a@b>\r\n", "-250 a\r\n", "+RCPT TO:<v@c>\r\n",
			"-250 a\r\n", "+DATA\r\n", "-354 a\r\n", "+v@c:hi\r\n.\r\n", "-250 two\r\n",
			"<250 one\r\n"}},
	{"copies for two, pipelined", OWN,
		{HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nRCPT TO:<v@c>\r\nDATA\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-250 a\r\n250 b\r\n", "+RCPT TO:<v@c>\r\n",
			"-250 c\r\n", "<250 a\r\n250 b\r\n250 c\r\n354 end data with <CR><LF>.<CR><LF>\r\n",
			">hi\r\n.\r\nMAIL FROM:<d@e>\r\nQUIT\r\n", COPY("u"), "-250 x\r\n", NEXT_COPY("v"),
			"-250 y\r\n", "+MAIL FROM:<d@e>\r\n", "-250 z\r\n",
			"<250 x\r\n250 z\r\n221 2.0.0 Bye\r\n", "g"}},
	{"mixed: the second is put off", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-250 ok\r\n", NEXT_COPY("v"), "-451 4.7.1 later\r\n",
			"<" MIXED_TEXT, "=mixed 250o 451o", ">NOOP\r\n", "<250 2.0.0 Ok\r\n", "+"}},
	{"mixed: the first is refused", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-550 5.7.1 no\r\n", NEXT_COPY("v"), "-250 ok\r\n",
			"<" MIXED_TEXT, "=mixed 550o 250o"}},
	{"mixed: refused and put off", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-550 5.7.1 no\r\n", NEXT_COPY("v"), "-451 x\r\n",
			"<" MIXED_TEXT, "=mixed 550o 451o"}},
	{"mixed: recipient of a copy refused", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-250 ok\r\n",
			"+MAIL FROM:<a@b> SIZE=8\r\nRCPT TO:<v@c>\r\nDATA\r\n",
			"-250 b\r\n550 c\r\n554 d\r\n", "<" MIXED_TEXT, "=mixed 250o 550o", "+RSET\r\n",
			"-250 ok\r\n", ">MAIL FROM:<d@e>\r\n", "+MAIL FROM:<d@e>\r\n"}},
	{"mixed: recipient of the first copy refused", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", "+RSET\r\nMAIL FROM:<a@b> SIZE=8\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"-250 a\r\n250 b\r\n550 c\r\n554 d\r\n", COPY("v"), "-250 ok\r\n", "<" MIXED_TEXT,
			"=mixed 550o 250o"}},
	{"all refused", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-554 5.7.1 spam\r\n", NEXT_COPY("v"),
			"-550 5.7.0 also\r\n", "<554 5.7.1 spam\r\n", "=554o 550o"}},
	{"recorded once for all copies", OWN | RECORDED,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-250 x\r\n", NEXT_COPY("v"), "-250 y\r\n", "<", "*",
			"<250 x\r\n"}},
	{"recorded, the last copy refused", OWN | RECORDED,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-250 x\r\n", NEXT_COPY("v"), "-450 y\r\n", "<", "*",
			"<" MIXED_TEXT, "=mixed 250o 450o"}},
	{"cut at the dot of the first copy", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "!", "?", "<451 " LOST_TEXT, "=451 451"}},
	{"cut at the dot of the second copy", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-250 ok\r\n", NEXT_COPY("v"), "!", "?", "<" MIXED_TEXT,
			"=mixed 250o 451"}},
	{"cut between copies: a new connection", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-250 ok\r\n",
			"+MAIL FROM:<a@b> SIZE=8\r\nRCPT TO:<v@c>\r\nDATA\r\n", "!", "?", "<", "^",
			"-220 hop\r\n", "+EHLO me\r\n",
			"-250-hop\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 DSN\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<v@c>\r\nDATA\r\n", "-250 b\r\n250 c\r\n354 d\r\n",
			"+v@c:hi\r\n.\r\n", "-250 too\r\n", "<250 ok\r\n", "=250o 250o"}},
	{"421 between copies: a new connection, once", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-250 ok\r\n",
			"+MAIL FROM:<a@b> SIZE=8\r\nRCPT TO:<v@c>\r\nDATA\r\n", "-421 4.7.0 enough\r\n", "?",
			"<", "^", "-220 hop\r\n", "+EHLO me\r\n",
			"-250-hop\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 DSN\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<v@c>\r\nDATA\r\n", "-421 no\r\n", "?", "<" MIXED_TEXT,
			"=mixed 250o 421"}},
	{"all connections are in use at the dot", AS_IS,
		{DATA, "!", "?", ">hi\r\n.\r\n", "!4.3.2 busy", "?", "<451 4.3.2 busy\r\n"}},
	{"reconnect between copies fails", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-250 ok\r\n",
			"+MAIL FROM:<a@b> SIZE=8\r\nRCPT TO:<v@c>\r\nDATA\r\n", "!", "?", "!", "?",
			"<" MIXED_TEXT, "=mixed 250o 451", "~"}},
	{"421 at the first dot ends all copies", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "-421 4.3.2 down\r\n", "?", "<421 4.3.2 down\r\n",
			"=421 421", "."}},
	{"client gone between copies: no more of them", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "x", "-250 ok\r\n", "=mixed 250o 451", "g", "."}},
	{"overdue: no more copies", OWN,
		{TWO_DATA, ">hi\r\n.\r\n", COPY("u"), "o", "-250 ok\r\n", "<" MIXED_TEXT, "=mixed 250o 451",
			"+"}},
	{"disk full for two", FULL | OWN,
		{TWO_DATA, ">hi\r\n.\r\n", "<451 4.3.1 full\r\n", "=451 451", "+RSET\r\n"}},
	{"taken at an earlier attempt", OWN,
		{OPENED, ">RCPT TO:<k@c>\r\n", "+RCPT TO:<k@c>\r\n", "-250 2.1.5 Ok\r\n", "<250 2.1.5 Ok\r\n",
			">DATA\r\n", "<354 end data with <CR><LF>.<CR><LF>\r\n", ">hi\r\n.\r\n", COPY("u"),
			"-250 ok\r\n", "<250 ok\r\n", "=250o 250k"}},
	{"all taken at an earlier attempt", OWN,
		{HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<k@c>\r\nRCPT TO:<k2@c>\r\nDATA\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<k@c>\r\n", "-250 a\r\n250 b\r\n", "+RCPT TO:<k2@c>\r\n",
			"-250 c\r\n", "<250 a\r\n250 b\r\n250 c\r\n354 end data with <CR><LF>.<CR><LF>\r\n",
			">hi\r\n.\r\n", "<250 2.0.0 Ok, taken at an earlier attempt\r\n", "=250k 250k",
			"+RSET\r\n"}},
	{"taken at an earlier attempt, hop lost", OWN,
		{OPENED, ">RCPT TO:<k@c>\r\n", "+RCPT TO:<k@c>\r\n", "-250 2.1.5 Ok\r\n", "<250 2.1.5 Ok\r\n",
			">DATA\r\n", "<354 end data with <CR><LF>.<CR><LF>\r\n", ">hi\r\n.\r\n", COPY("u"),
			"!", "?", "<" MIXED_TEXT, "=mixed 451 250k"}},
	{"taken before, refused now: the message shows", OWN,
		{HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "-250 a\r\n", "<250 a\r\n",
			">RCPT TO:<k@c>\r\n", "+RCPT TO:<k@c>\r\n", "-550 5.1.1 gone\r\n",
			"<250 2.1.5 Ok\r\n", ">DATA\r\nhi\r\n.\r\n", "=250k",
			"<354 end data with <CR><LF>.<CR><LF>\r\n250 2.0.0 Ok, taken at an earlier "
			"attempt\r\n"}},
	{"another message of theirs was taken: refused as it is", OWN,
		{HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "-250 a\r\n", "<250 a\r\n",
			">RCPT TO:<q@c>\r\n", "+RCPT TO:<q@c>\r\n", "-550 5.1.1 gone\r\n",
			"<250 2.1.5 Ok\r\n", ">DATA\r\nhi\r\n.\r\n",
			"+RSET\r\nMAIL FROM:<a@b> SIZE=4\r\nRCPT TO:<q@c>\r\nDATA\r\n",
			"-250 a\r\n250 b\r\n550 5.1.1 gone\r\n503 no\r\n",
			"<354 end data with <CR><LF>.<CR><LF>\r\n550 5.1.1 gone\r\n"}},
	{"put off though taken before: it comes again", OWN,
		{HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "-250 a\r\n", "<250 a\r\n",
			">RCPT TO:<k@c>\r\n", "+RCPT TO:<k@c>\r\n", "-451 4.7.1 later\r\n",
			"<451 4.7.1 later\r\n"}},
	{"a sender that is owed, refused: its recipients tell", OWN,
		{HELLO, ">MAIL FROM:<q@b>\r\nRCPT TO:<u@c>\r\nRCPT TO:<k@c>\r\nDATA\r\n",
			"+MAIL FROM:<q@b>\r\nRCPT TO:<u@c>\r\n", "-550 5.7.1 no\r\n503 first MAIL\r\n",
			"+MAIL FROM:<q@b>\r\nRCPT TO:<k@c>\r\n", "-550 5.7.1 no\r\n503 first MAIL\r\n",
			"<250 2.1.0 Ok\r\n550 5.7.1 no\r\n250 2.1.5 Ok\r\n354 end data with "
			"<CR><LF>.<CR><LF>\r\n",
			">hi\r\n.\r\n", "=250k", "<250 2.0.0 Ok, taken at an earlier attempt\r\n"}},
	{"one of several is owed another message and refused: each has a copy", AS_IS,
		{OPENED, ">RCPT TO:<q@c>\r\n", "+RCPT TO:<q@c>\r\n", "-550 5.1.1 gone\r\n",
			"<250 2.1.5 Ok\r\n", ">DATA\r\n", "<354 end data with <CR><LF>.<CR><LF>\r\n",
			">hi\r\n.\r\n", "+RSET\r\nMAIL FROM:<a@b> SIZE=4\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"-250 a\r\n250 b\r\n250 c\r\n354 d\r\n", "+hi\r\n.\r\n", "-250 e\r\n",
			"+MAIL FROM:<a@b> SIZE=4\r\nRCPT TO:<q@c>\r\nDATA\r\n",
			"-250 b\r\n550 5.1.1 gone\r\n503 no\r\n",
			"<451 4.3.0 not taken for all recipients yet, try again\r\n"}},
	{"one that must be alone, not first", OWN,
		{OPENED, ">RCPT TO:<z@c>\r\n",
			"<452 4.5.3 this recipient needs a transaction of its own, try again\r\n", "+",
			">DATA\r\n", "<354 end data with <CR><LF>.<CR><LF>\r\n", ">hi\r\n.\r\n",
			"+DATA\r\n"}},
	{"one that must be alone, first", OWN,
		{HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<z@c>\r\nRCPT TO:<u@c>\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<z@c>\r\n", "-250 a\r\n250 b\r\n",
			"<250 a\r\n250 b\r\n452 4.5.3 this recipient needs a transaction of its own, try "
			"again\r\n",
			"+", ">RSET\r\n", "<250 2.0.0 Ok\r\n", "+RSET\r\n", "-250 ok\r\n",
			">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nRCPT TO:<v@c>\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-250 a\r\n250 b\r\n",
			"+RCPT TO:<v@c>\r\n"}},
	{"one that must be alone and is refused holds up nobody", OWN,
		{HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<z@c>\r\nRCPT TO:<u@c>\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<z@c>\r\n", "-250 a\r\n550 b\r\n", "<250 a\r\n550 b\r\n",
			"+RCPT TO:<u@c>\r\n"}},

/* LMTP. */
#define LMTP_HELLO                                                                                           \
	"^", "-220 hop\r\n", "+EHLO me\r\n", "-250-hop\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 DSN\r\n",    \
		"<220 me LMTP Landfall\r\n", ">LHLO c\r\n",                                                  \
		"<250-me\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-DSN\r\n250 CHUNKING\r\n"
#define LMTP_COPY(rcpt)                                                                                      \
	"+RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<" rcpt "@c>\r\nDATA\r\n",                                      \
		"-250 a\r\n250 b\r\n250 c\r\n354 d\r\n", "+" rcpt "@c:hi\r\n.\r\n"
#define LMTP_NEXT(rcpt)                                                                                      \
	"+MAIL FROM:<a@b>\r\nRCPT TO:<" rcpt "@c>\r\nDATA\r\n", "-250 b\r\n250 c\r\n354 d\r\n",              \
		"+" rcpt "@c:hi\r\n.\r\n"
#define LMTP_TWO                                                                                             \
	LMTP_HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nRCPT TO:<x@c>\r\nRCPT TO:<v@c>\r\nDATA\r\n",       \
		"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-250 a\r\n250 b\r\n", "+RCPT TO:<x@c>\r\n",        \
		"-550 c\r\n", "+RCPT TO:<v@c>\r\n", "-250 d\r\n",                                            \
		"<250 a\r\n250 b\r\n550 c\r\n250 d\r\n354 end data with <CR><LF>.<CR><LF>\r\n"
	{"LMTP: a reply for each", OWN | LMTP,
		{LMTP_TWO, ">hi\r\n.\r\n", LMTP_COPY("u"), "-250 one\r\n", LMTP_NEXT("v"), "-250 two\r\n",
			"<250 one\r\n250 two\r\n", "=250o 250o", ">QUIT\r\n", "<221 2.0.0 Bye\r\n", "g"}},
	{"LMTP: mixed replies in order", OWN | LMTP | RECORDED,
		{LMTP_TWO, ">hi\r\n.\r\nNOOP\r\n", LMTP_COPY("u"), "-550-5.7.1 no\r\n550 5.7.1 never\r\n",
			LMTP_NEXT("v"), "-250 two\r\n", "<", "*",
			"<550-5.7.1 no\r\n550 5.7.1 never\r\n250 two\r\n250 2.0.0 Ok\r\n", "=550o 250o"}},
	{"LMTP: one copy for two", LMTP,
		{LMTP_TWO, ">hi\r\n.\r\n", "+DATA\r\n", "-354 go\r\n", "+hi\r\n.\r\n", "-250 ok\r\n",
			"<250 ok\r\n250 ok\r\n", "=250o 250os"}},
	{"LMTP: 421 is not for the session", OWN | LMTP,
		{LMTP_TWO, ">hi\r\n.\r\n", LMTP_COPY("u"), "-250 one\r\n", LMTP_NEXT("v"), "-421 down\r\n",
			"?", "<250 one\r\n451 down\r\n", "=250o 421", ">NOOP\r\n", "<250 2.0.0 Ok\r\n"}},
	{"LMTP: cut at the dot", OWN | LMTP,
		{LMTP_TWO, ">hi\r\n.\r\n", LMTP_COPY("u"), "!", "?", "<451 " LOST_TEXT "451 " LOST_TEXT}},
	{"LMTP: what we refuse, we refuse for each", LMTP,
		{LMTP_TWO, ">a\nb\r\n.\r\n", "<550 5.5.2 bare line feed\r\n550 5.5.2 bare line feed\r\n",
			"+RSET\r\n"}},
	{"LMTP: no valid recipients", LMTP,
		{LMTP_HELLO, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "-250 a\r\n", ">DATA\r\n",
			"<250 a\r\n503 5.5.1 no valid recipients\r\n"}},
	{"LMTP: stop waits for all replies", OWN | LMTP,
		{LMTP_TWO, ">hi\r\n.\r\n", "s", LMTP_COPY("u"), "-250 one\r\n", LMTP_NEXT("v"),
			"-250 two\r\n", "<250 one\r\n250 two\r\n421 4.3.2 going down, try again later\r\n",
			"g"}},
	{"LMTP: nobody must be alone, one was taken before", OWN | LMTP,
		{LMTP_HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<z@c>\r\nRCPT TO:<k@c>\r\nDATA\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<z@c>\r\n", "-250 a\r\n250 b\r\n", "+RCPT TO:<k@c>\r\n",
			"-250 d\r\n", "<250 a\r\n250 b\r\n250 d\r\n354 end data with <CR><LF>.<CR><LF>\r\n",
			">hi\r\n.\r\n", LMTP_COPY("z"), "-250 one\r\n",
			"<250 one\r\n250 2.0.0 Ok, taken at an earlier attempt\r\n", "=250o 250k"}},
	{"LMTP: EHLO is not for it", LMTP,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-250 hop\r\n",
			">EHLO c\r\nHELO c\r\nMAIL FROM:<a@b>\r\n",
			"<220 me LMTP Landfall\r\n500 5.5.1 this is LMTP: say LHLO\r\n500 5.5.1 this is "
			"LMTP: "
			"say LHLO\r\n503 5.5.1 say LHLO first\r\n"}},
	{"LHLO is not for SMTP", AS_IS, {HELLO, ">LHLO c\r\n", "<500 5.5.1 this is SMTP: say EHLO\r\n"}},

/* STARTTLS. */
#define GREETED(more)                                                                                        \
	"^", "-220 hop\r\n", "+EHLO me\r\n", "-250-hop\r\n250-STARTTLS\r\n250 PIPELINING\r\n",               \
		"<220 me ESMTP Landfall\r\n", ">EHLO c\r\n", "<250-me\r\n250-PIPELINING\r\n250" more
#define STARTED GREETED("-CHUNKING\r\n250 STARTTLS\r\n"), ">STARTTLS\r\n", "<220 2.0.0 ready for TLS\r\n", "h"
	{"STARTTLS", TLS,
		{STARTED, "T", ">MAIL FROM:<a@b>\r\nSTARTTLS\r\nEHLO c\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n",
			"<503 5.5.1 say EHLO first\r\n503 5.5.1 TLS is active "
			"already\r\n250-me\r\n250-PIPELINING\r\n250 CHUNKING\r\n503 5.5.1 TLS is active "
			"already\r\n",
			"+MAIL FROM:<a@b>\r\n"}},
	{"what is pipelined behind STARTTLS is dropped", TLS,
		{GREETED("-CHUNKING\r\n250 STARTTLS\r\n"),
			">STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<u@c>\r\nDATA\r\nRS",
			"<220 2.0.0 ready for TLS\r\n", "h", ">NOOP\r\nEHLO evil\r\nMAIL FROM", "<", "h", "T",
			">ET\r\nRCPT TO:<u@c>\r\n",
			"<500 5.5.2 command not known\r\n503 5.5.1 say MAIL first\r\n", "+"}},
	{"STARTTLS without EHLO, with an argument, and in a transaction", TLS,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-250 hop\r\n",
			">STARTTLS\r\nHELO c\r\nSTARTTLS\r\nEHLO c\r\nSTARTTLS now\r\nMAIL "
			"FROM:<a@b>\r\nSTARTTLS\r\n",
			"<220 me ESMTP Landfall\r\n503 5.5.1 say EHLO first\r\n250 me\r\n503 5.5.1 say EHLO "
			"first\r\n250-me\r\n250-CHUNKING\r\n250 STARTTLS\r\n501 5.5.4 STARTTLS takes no "
			"argument\r\n",
			"+MAIL FROM:<a@b>\r\n", "-250 a\r\n",
			"<250 a\r\n503 5.5.1 not within a transaction\r\n"}},
	{"nothing without TLS", TLS | TLS_ONLY,
		{GREETED("-CHUNKING\r\n250 STARTTLS\r\n"),
			">MAIL FROM:<a@b>\r\nBDAT 6 LAST\r\nNOOP\r\nVRFY x\r\nRSET\r\nNOOP\r\nSTARTTLS\r\n",
			"<530 5.7.0 say STARTTLS first\r\n503 5.5.1 say MAIL first\r\n530 5.7.0 say STARTTLS "
			"first\r\n250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n220 2.0.0 ready for TLS\r\n",
			"h", "T", ">EHLO c\r\nMAIL FROM:<a@b>\r\n",
			"<250-me\r\n250-PIPELINING\r\n250 CHUNKING\r\n", "+MAIL FROM:<a@b>\r\n"}},
	{"stop within the handshake", TLS,
		{STARTED, "s", "<", "T", "<421 4.3.2 going down, try again later\r\n", "g"}},
	{"client gone within the handshake", TLS, {STARTED, "x", "g", "."}},
#define HOP_STARTTLS                                                                                         \
	"^", "-220 hop\r\n", "+EHLO me\r\n", "-250-hop\r\n250-STARTTLS\r\n250 PIPELINING\r\n", "+STARTTLS\r\n"
	{"STARTTLS to the hop", HOP_MUST,
		{HOP_STARTTLS, "<", "-220 go\r\n", "+", "H", "+EHLO me\r\n", "<",
			"-250-hop\r\n250-STARTTLS\r\n250 DSN\r\n", "<220 me ESMTP Landfall\r\n",
			">EHLO c\r\n", "<250-me\r\n250-DSN\r\n250 CHUNKING\r\n", ">MAIL FROM:<a@b>\r\n",
			"+MAIL FROM:<a@b>\r\n"}},
	{"the hop's bytes behind its 220 are not believed", HOP_MAY,
		{HOP_STARTTLS, "-220 go\r\n250-hop\r\n250 DSN\r\n", "?",
			"<421 4.3.2 next hop does not answer, try again later\r\n"}},
	{"a part of a line behind its 220 neither", HOP_MAY,
		{HOP_STARTTLS, "-220 go\r\n2", "?",
			"<421 4.3.2 next hop does not answer, try again later\r\n"}},
	{"STARTTLS refused, not needed", HOP_MAY,
		{HOP_STARTTLS, "-454 4.7.0 not now\r\n", "<220 me ESMTP Landfall\r\n", ">EHLO c\r\n",
			"<250-me\r\n250-PIPELINING\r\n250 CHUNKING\r\n", ">MAIL FROM:<a@b>\r\n",
			"+MAIL FROM:<a@b>\r\n"}},
	{"STARTTLS refused, needed", HOP_MUST,
		{HOP_STARTTLS, "-454 4.7.0 not now\r\n", "?",
			"<421 4.3.2 next hop does not answer, try again later\r\n"}},
	{"STARTTLS ends with 421", HOP_MAY, {HOP_STARTTLS, "-421 4.7.0 bye\r\n", "?", "<421 4.7.0 bye\r\n"}},
	{"STARTTLS not offered, needed", HOP_MUST,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-250-hop\r\n250 DSN\r\n", "?",
			"<421 4.3.2 next hop does not answer, try again later\r\n"}},
	{"STARTTLS needed, hop knows only HELO", HOP_MUST,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-500 what\r\n", "+HELO me\r\n", "-250 hop\r\n", "?",
			"<421 4.3.2 next hop does not answer, try again later\r\n"}},
	{"STARTTLS not offered, not needed", HOP_MAY,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-250-hop\r\n250 DSN\r\n",
			"<220 me ESMTP Landfall\r\n"}},
	{"the hop's handshake fails", HOP_MAY,
		{HOP_STARTTLS, "-220 go\r\n", "!", "?",
			"<421 4.3.2 next hop does not answer, try again later\r\n"}},
	{"a new connection is secured too", HOP_MUST,
		{HOP_STARTTLS, "-220 go\r\n", "H", "+EHLO me\r\n", "-250 hop\r\n",
			">EHLO c\r\nMAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "!", "?",
			"<220 me ESMTP Landfall\r\n250-me\r\n250 CHUNKING\r\n", HOP_STARTTLS, "-220 go\r\n",
			"H", "+EHLO me\r\n", "-250 hop\r\n", "+MAIL FROM:<a@b>\r\n"}},

/* AUTH. */
#define RICH(more)                                                                                           \
	"^", "-220 hop\r\n", "+EHLO me\r\n",                                                                 \
		"-250-hop\r\n250-PIPELINING\r\n250-AUTH PLAIN LOGIN SCRAM-SHA-1-PLUS EXTERNAL "              \
		"CRAM-MD5\r\n250-AUTH=PLAIN\r\n250-XCLIENT NAME ADDR\r\n250-XFORWARD NAME ADDR "             \
		"IDENT\r\n250 DSN\r\n",                                                                      \
		"<220 me ESMTP Landfall\r\n", ">EHLO c\r\n",                                                 \
		"<250-me\r\n250-PIPELINING\r\n250-DSN\r\n250-CHUNKING\r\n250" more, "g"
#define AUTH_HELLO RICH(" AUTH PLAIN LOGIN CRAM-MD5\r\n")
#define AUTHENTICATED                                                                                        \
	AUTH_HELLO, ">AUTH PLAIN AGEAYg==\r\n", "+AUTH PLAIN AGEAYg==\r\n", "-235 2.7.0 in\r\n",             \
		"<235 2.7.0 in\r\n"
	{"AUTH", AS_IS,
		{AUTHENTICATED, ">MAIL FROM:<a@b> AUTH=a@b\r\n", "+MAIL FROM:<a@b> AUTH=a@b\r\n",
			"-250 a\r\n", "<250 a\r\n",
			">RSET\r\nAUTH PLAIN AGEAYg==\r\nEHLO d\r\nMAIL FROM:<c@d>\r\nQUIT\r\n",
			"+RSET\r\nMAIL FROM:<c@d>\r\n", "-250 r\r\n250 b\r\n",
			"<250 2.0.0 Ok\r\n503 5.5.1 authenticated "
			"already\r\n250-me\r\n250-PIPELINING\r\n250-DSN\r\n250-CHUNKING\r\n250 AUTH PLAIN "
			"LOGIN "
			"CRAM-MD5\r\n250 b\r\n221 2.0.0 Bye\r\n",
			"+RSET\r\n", "q"}},
	{"AUTH, a dialogue, refused", AS_IS,
		{AUTH_HELLO, ">auth login\r\n", "+auth login\r\n", "-334 VXNlcm5hbWU6\r\n",
			"<334 VXNlcm5hbWU6\r\n", ">QUIT\r\n", "+QUIT\r\n", "-334 UGFzc3dvcmQ6\r\n",
			"<334 UGFzc3dvcmQ6\r\n", ">\r\n", "+\r\n", "-535-5.7.8 no,\r\n535 5.7.8 no\r\n",
			"<535-5.7.8 no,\r\n535 5.7.8 no\r\n", ">NOOP\r\nAUTH LOGIN\r\n", "<250 2.0.0 Ok\r\n",
			"+AUTH LOGIN\r\n"}},
	{"AUTH given up by the client", AS_IS,
		{AUTH_HELLO, ">AUTH CRAM-MD5\r\n", "+AUTH CRAM-MD5\r\n", "-334 PDE+\r\n", "<334 PDE+\r\n",
			">*\r\nNOOP\r\n", "+*\r\n", "<", "-501 5.7.0 aborted\r\n",
			"<501 5.7.0 aborted\r\n250 2.0.0 Ok\r\n"}},
	{"what is no line of the dialogue ends it", AS_IS,
		{AUTH_HELLO, ">AUTH LOGIN\r\n", "+AUTH LOGIN\r\n", "-334 x\r\n", "<334 x\r\n",
			">MAIL FROM:<a@b>\r\n", "+*\r\n", "-501 5.7.0 aborted\r\n", "<501 5.7.0 aborted\r\n",
			">AUTH LOGIN\r\n", "+AUTH LOGIN\r\n", "-334 x\r\n", "<334 x\r\n", ">YQ==\nMAIL\r\n",
			"+*\r\n", "-501 no\r\n", "<501 no\r\n501 5.5.4 want MAIL FROM:<address>\r\n"}},
	{"AUTH, how it must not be said", AS_IS,
		{AUTH_HELLO,
			">AUTH\r\nAUTH SCRAM-SHA-1-PLUS\r\nAUTH EXTERNAL =\r\nAUTH PLAIN A:B\r\nAUTH PLAIN A "
			"B\r\nHELO c\r\nAUTH PLAIN\r\nEHLO c\r\nMAIL FROM:<a@b>\r\nAUTH PLAIN\r\n",
			"<504 5.5.4 mechanism not offered\r\n504 5.5.4 mechanism not offered\r\n504 5.5.4 "
			"mechanism "
			"not offered\r\n501 5.5.2 response is not base64\r\n501 5.5.2 response is not "
			"base64\r\n250 me\r\n503 5.5.1 say EHLO "
			"first\r\n250-me\r\n250-PIPELINING\r\n250-DSN\r\n250-CHUNKING\r\n250 AUTH PLAIN "
			"LOGIN "
			"CRAM-MD5\r\n",
			"+MAIL FROM:<a@b>\r\n", "-250 a\r\n",
			"<250 a\r\n503 5.5.1 not within a transaction\r\n"}},
	{"AUTH only under TLS", TLS | AUTH_TLS,
		{RICH(" STARTTLS\r\n"), ">AUTH PLAIN\r\nMAIL FROM:<a@b> AUTH=<>\r\nSTARTTLS\r\n",
			"<538 5.7.11 say STARTTLS first\r\n555 5.5.4 parameter not offered\r\n220 2.0.0 "
			"ready for "
			"TLS\r\n",
			"T", ">AUTH PLAIN\r\nEHLO c\r\nAUTH PLAIN\r\n",
			"<503 5.5.1 say EHLO "
			"first\r\n250-me\r\n250-PIPELINING\r\n250-DSN\r\n250-CHUNKING\r\n250 AUTH "
			"PLAIN LOGIN CRAM-MD5\r\n",
			"+AUTH PLAIN\r\n", "-235 in\r\n", "<235 in\r\n"}},
	{"STARTTLS behind AUTH", TLS,
		{RICH("-STARTTLS\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n"), ">AUTH PLAIN AA==\r\n",
			"+AUTH PLAIN AA==\r\n", "-235 in\r\n", ">STARTTLS\r\n",
			"<235 in\r\n503 5.5.1 not behind AUTH\r\n"}},
	{"the connection of AUTH is lost", AS_IS,
		{AUTHENTICATED, "!", "?", ">NOOP\r\nMAIL FROM:<a@b>\r\n", "<250 2.0.0 Ok\r\n421 " LOST_TEXT,
			"~", "."}},
	{"the connection of AUTH is lost at the dot", AS_IS,
		{AUTHENTICATED, ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-250 a\r\n250 b\r\n", ">DATA\r\n",
			"<250 a\r\n250 b\r\n354 end data with <CR><LF>.<CR><LF>\r\n", ">hi\r\n.\r\n",
			"+DATA\r\n", "!", "?", "<451 " LOST_TEXT, ">MAIL FROM:<a@b>\r\n", "<421 " LOST_TEXT,
			"~", "."}},
	{"lost before the message: nothing goes on another connection", AS_IS,
		{AUTHENTICATED, ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-250 a\r\n250 b\r\n", ">DATA\r\n", "!", "?",
			"<250 a\r\n250 b\r\n354 end data with <CR><LF>.<CR><LF>\r\n", ">hi\r\n.\r\n",
			"<421 " LOST_TEXT, "~", "."}},
	{"lost within the dialogue", AS_IS,
		{AUTH_HELLO, ">AUTH LOGIN\r\n", "+AUTH LOGIN\r\n", "-334 x\r\n", "<334 x\r\n", ">YQ==\r\n",
			"+YQ==\r\n", "!", "?", "<451 " LOST_TEXT, ">AUTH LOGIN\r\n", "<421 " LOST_TEXT, "."}},
	{"lost between the lines of the dialogue", AS_IS,
		{AUTH_HELLO, ">AUTH LOGIN\r\n", "+AUTH LOGIN\r\n", "-334 x\r\n", "<334 x\r\n", "!", "?",
			">YQ==\r\n", "<421 " LOST_TEXT, "~", "."}},
	{"a kept connection is lost at AUTH: another one", AS_IS,
		{AUTH_HELLO, ">AUTH PLAIN AA==\r\n", "+AUTH PLAIN AA==\r\n", "!", "?", "<", "^",
			"-220 hop\r\n", "+EHLO me\r\n", "-250-hop\r\n250 AUTH PLAIN\r\n",
			"+AUTH PLAIN AA==\r\n", "-235 in\r\n", "<235 in\r\n"}},
	{"421 to AUTH", AS_IS,
		{AUTH_HELLO, ">AUTH LOGIN\r\n", "+AUTH LOGIN\r\n", "-334 x\r\n", "<334 x\r\n", ">YQ==\r\n",
			"+YQ==\r\n", "-421 4.7.0 too many\r\n", "?", "<421 4.7.0 too many\r\n", "."}},
	{"client gone within the dialogue", AS_IS,
		{AUTH_HELLO, ">AUTH LOGIN\r\n", "+AUTH LOGIN\r\n", "-334 x\r\n", "x", "q", "."}},
	{"client gone while AUTH waits", AS_IS,
		{AUTH_HELLO, ">AUTH LOGIN\r\n", "+AUTH LOGIN\r\n", "x", "?", "."}},
	{"stop within the dialogue", AS_IS,
		{AUTH_HELLO, ">AUTH LOGIN\r\n", "+AUTH LOGIN\r\n", "s", "-334 x\r\n", "<334 x\r\n",
			">YQ==\r\n", "+YQ==\r\n", "-235 in\r\n",
			"<235 in\r\n421 4.3.2 going down, try again later\r\n", "q"}},
	{"334 to MAIL", AS_IS,
		{AUTHENTICATED, ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n", "-334 x\r\n", "?",
			"<451 " LOST_TEXT}},

/* XCLIENT. */
#define TRUSTED_HELLO                                                                                        \
	RICH("-AUTH PLAIN LOGIN CRAM-MD5\r\n250-XCLIENT NAME ADDR\r\n250 XFORWARD NAME ADDR IDENT\r\n")
	{"XCLIENT from anybody", AS_IS,
		{AUTH_HELLO, ">XCLIENT ADDR=1.2.3.4\r\nXFORWARD ADDR=1.2.3.4\r\n",
			"<550 5.7.0 not from this client\r\n550 5.7.0 not from this client\r\n", "+"}},
	{"XCLIENT", TRUSTED,
		{TRUSTED_HELLO,
			">XCLIENT NAME=x ADDR=1.2.3.4\r\nMAIL FROM:<a@b>\r\nEHLO d\r\nMAIL FROM:<a@b>\r\n",
			"+XCLIENT NAME=x ADDR=1.2.3.4\r\n", "-220 hop2 ESMTP\r\n", "<", "+EHLO me\r\n",
			"-250-hop\r\n250 DSN\r\n",
			"<220 hop2 ESMTP\r\n503 5.5.1 say EHLO first\r\n250-me\r\n250-DSN\r\n250 "
			"CHUNKING\r\n",
			"+MAIL FROM:<a@b>\r\n", "-250 a\r\n", ">RSET\r\nXCLIENT ADDR=1.2.3.5\r\nQUIT\r\n",
			"<250 a\r\n250 2.0.0 Ok\r\n502 5.5.1 not offered\r\n221 2.0.0 Bye\r\n", "+RSET\r\n",
			"q"}},
	{"XCLIENT, then AUTH, then XCLIENT, then AUTH", TRUSTED,
		{TRUSTED_HELLO, ">XCLIENT ADDR=1.2.3.4\r\nEHLO d\r\nAUTH PLAIN AA==\r\n",
			"+XCLIENT ADDR=1.2.3.4\r\n", "-220 2\r\n", "+EHLO me\r\n",
			"-250-hop\r\n250-AUTH PLAIN\r\n250 XCLIENT ADDR\r\n", "+AUTH PLAIN AA==\r\n",
			"-235 in\r\n",
			"<220 2\r\n250-me\r\n250-CHUNKING\r\n250-AUTH PLAIN\r\n250 XCLIENT ADDR\r\n235 "
			"in\r\n",
			">XCLIENT ADDR=1.2.3.5\r\n", "+XCLIENT ADDR=1.2.3.5\r\n", "-220 3\r\n",
			"+EHLO me\r\n", "-250-hop\r\n250 AUTH PLAIN\r\n", "<220 3\r\n",
			">EHLO e\r\nAUTH PLAIN AA==\r\n", "<250-me\r\n250-CHUNKING\r\n250 AUTH PLAIN\r\n",
			"+AUTH PLAIN AA==\r\n"}},
	{"XCLIENT refused", TRUSTED,
		{TRUSTED_HELLO, ">XCLIENT FOO=1\r\nNOOP\r\nXCLIENT\r\nMAIL FROM:<a@b>\r\n",
			"+XCLIENT FOO=1\r\n", "-501 5.5.4 no\r\n",
			"<501 5.5.4 no\r\n250 2.0.0 Ok\r\n501 5.5.4 want NAME=value\r\n",
			"+MAIL FROM:<a@b>\r\n", "-250 a\r\n", ">XCLIENT ADDR=1.2.3.4\r\n",
			"<250 a\r\n503 5.5.1 not within a transaction\r\n"}},
	{"the connection of XCLIENT is lost", TRUSTED,
		{TRUSTED_HELLO, ">XCLIENT ADDR=1.2.3.4\r\n", "+XCLIENT ADDR=1.2.3.4\r\n", "-220 2\r\n",
			"+EHLO me\r\n", "-250 hop\r\n", "<220 2\r\n", "!", "?",
			">EHLO c\r\nMAIL FROM:<a@b>\r\n", "<250-me\r\n250 CHUNKING\r\n421 " LOST_TEXT, "."}},
	{"the EHLO behind XCLIENT is refused", TRUSTED,
		{TRUSTED_HELLO, ">XCLIENT ADDR=1.2.3.4\r\n", "+XCLIENT ADDR=1.2.3.4\r\n", "-220 2\r\n",
			"+EHLO me\r\n", "-554 no\r\n", "+HELO me\r\n", "-554 no\r\n", "?", "<421 " LOST_TEXT,
			"."}},
	{"lost behind XCLIENT, before EHLO", TRUSTED,
		{TRUSTED_HELLO, ">XCLIENT ADDR=1.2.3.4\r\n", "+XCLIENT ADDR=1.2.3.4\r\n", "-220 2\r\n",
			"+EHLO me\r\n", "!", "?", "<451 " LOST_TEXT, ">MAIL FROM:<a@b>\r\n",
			"<421 " LOST_TEXT, "."}},
	{"client gone behind XCLIENT, before EHLO", TRUSTED,
		{TRUSTED_HELLO, ">XCLIENT ADDR=1.2.3.4\r\n", "+XCLIENT ADDR=1.2.3.4\r\n", "-220 2\r\n",
			"+EHLO me\r\n", "x", "?", "."}},

/* XFORWARD. */
#define FORWARDED                                                                                            \
	TRUSTED_HELLO, ">XFORWARD NAME=a ADDR=1.2.3.4\r\n", "+XFORWARD NAME=a ADDR=1.2.3.4\r\n",             \
		"-250 2.0.0 fine\r\n", "<250 2.0.0 fine\r\n", "+RSET\r\n", "-250 r\r\n"
	{"XFORWARD, and again where MAIL is said again", TRUSTED | SENDER | IDENT,
		{FORWARDED, ">XFORWARD IDENT=q1\r\n", "+XFORWARD IDENT=q1\r\n", "-250 2\r\n", "<250 2\r\n",
			"+RSET\r\n", "-250 r\r\n", ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"+XFORWARD NAME=a ADDR=1.2.3.4\r\nXFORWARD IDENT=q1\r\nMAIL FROM:<a@b>\r\nRCPT "
			"TO:<u@c>\r\n",
			"-250 f\r\n250 g\r\n250 a\r\n250 b\r\n",
			"<250 a\r\n250 b\r\n354 end data with <CR><LF>.<CR><LF>\r\n", ">hi\r\n.\r\n",
			"+RSET\r\nXFORWARD NAME=a ADDR=1.2.3.4\r\nXFORWARD IDENT=q1\r\nMAIL "
			"FROM:<b+x@v.example> "
			"ENVID=id7\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"-250 r\r\n250 f\r\n250 g\r\n250 a\r\n250 b\r\n354 c\r\n", "+hi\r\n.\r\n",
			"-250 d\r\n", "<250 d\r\n", "g", ">MAIL FROM:<c@d>\r\n", "+MAIL FROM:<c@d>\r\n"}},
	{"XFORWARD, MAIL and all in one group", TRUSTED,
		{TRUSTED_HELLO, ">XFORWARD ADDR=1.2.3.4\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n",
			"+XFORWARD ADDR=1.2.3.4\r\n", "-250 1\r\n", "+RSET\r\n", "-250 r\r\n",
			"+XFORWARD ADDR=1.2.3.4\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n",
			"-250 f\r\n250 a\r\n250 b\r\n", "<250 1\r\n250 a\r\n250 b\r\n"}},
	{"XFORWARD holds when MAIL is refused", TRUSTED,
		{FORWARDED, ">MAIL FROM:<a@b>\r\n", "+XFORWARD NAME=a ADDR=1.2.3.4\r\nMAIL FROM:<a@b>\r\n",
			"-250 f\r\n451 a\r\n", "<451 a\r\n", "+RSET\r\n", "-250 r\r\n",
			">MAIL FROM:<a@b>\r\n", "+XFORWARD NAME=a ADDR=1.2.3.4\r\nMAIL FROM:<a@b>\r\n", "!",
			"?", "<", "^", "-220 hop\r\n", "+EHLO me\r\n",
			"-250-hop\r\n250-PIPELINING\r\n250 XFORWARD NAME ADDR\r\n",
			"+XFORWARD NAME=a ADDR=1.2.3.4\r\nMAIL FROM:<a@b>\r\n", "-501 no\r\n250 a\r\n",
			"<250 a\r\n"}},
	{"XFORWARD is taken back with RSET", TRUSTED,
		{FORWARDED, ">RSET\r\nMAIL FROM:<a@b>\r\n", "<250 2.0.0 Ok\r\n", "+MAIL FROM:<a@b>\r\n"}},
	{"nobody else sends by it", TRUSTED, {FORWARDED, "g", ">QUIT\r\n", "<221 2.0.0 Bye\r\n", "+", "."}},
#define XF ">XFORWARD A=1\r\n", "+XFORWARD A=1\r\n", "-250 x\r\n", "<250 x\r\n", "+RSET\r\n", "-250 r\r\n"
	{"too much of XFORWARD", TRUSTED,
		{TRUSTED_HELLO, XF, XF, XF, XF, XF, XF, XF, XF, ">XFORWARD A=1\r\nRSET\r\nXFORWARD B=1\r\n",
			"<552 5.5.4 too many attributes\r\n250 2.0.0 Ok\r\n", "+XFORWARD B=1\r\n"}},
	{"XFORWARD refused", TRUSTED,
		{TRUSTED_HELLO, ">XFORWARD FOO=1\r\n", "+XFORWARD FOO=1\r\n", "-501 5.5.4 no\r\n",
			"<501 5.5.4 no\r\n", "+RSET\r\n", "g"}},
	{"XFORWARD on a connection of one's own", TRUSTED,
		{TRUSTED_HELLO, ">AUTH PLAIN AA==\r\n", "+AUTH PLAIN AA==\r\n", "-235 in\r\n", "<235 in\r\n",
			">XFORWARD ADDR=1.2.3.4\r\nMAIL FROM:<a@b>\r\n", "+XFORWARD ADDR=1.2.3.4\r\n",
			"-250 f\r\n", "<250 f\r\n", "+MAIL FROM:<a@b>\r\n"}},
	{"XFORWARD, AUTH and XFORWARD: what came before AUTH is told too", TRUSTED,
		{FORWARDED, ">AUTH PLAIN AA==\r\n", "+AUTH PLAIN AA==\r\n", "-235 in\r\n", "<235 in\r\n",
			">XFORWARD IDENT=x\r\n", "+XFORWARD NAME=a ADDR=1.2.3.4\r\nXFORWARD IDENT=x\r\n",
			"-250 f\r\n550 g\r\n", "<550 g\r\n", ">MAIL FROM:<a@b>\r\n", "+MAIL FROM:<a@b>\r\n"}},
	{"the hop is told", TELL | IDENT,
		{AUTH_HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"+XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.7\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n",
			"-503 no\r\n250 a\r\n250 b\r\n",
			"<250 a\r\n250 b\r\n354 end data with <CR><LF>.<CR><LF>\r\n", ">hi\r\n.\r\n",
			"+RSET\r\nXFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.7\r\nXFORWARD IDENT=id7\r\nMAIL "
			"FROM:<a@b> "
			"ENVID=id7\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"-250 r\r\n501 f\r\n250 g\r\n250 a\r\n250 b\r\n354 c\r\n", "+hi\r\n.\r\n",
			"-250 d\r\n", "<250 d\r\n"}},
	{"the hop is told, and the client knows better", TELL | IDENT | TRUSTED,
		{FORWARDED, ">MAIL FROM:<a@b> ENVID=mine\r\nRCPT TO:<u@c>\r\nDATA\r\n",
			"+XFORWARD NAME=a ADDR=1.2.3.4\r\nMAIL FROM:<a@b> ENVID=mine\r\nRCPT TO:<u@c>\r\n",
			"-250 f\r\n250 a\r\n250 b\r\n",
			"<250 a\r\n250 b\r\n354 end data with <CR><LF>.<CR><LF>\r\n", ">hi\r\n.\r\n",
			"+RSET\r\nXFORWARD NAME=a ADDR=1.2.3.4\r\nXFORWARD IDENT=id7\r\nMAIL FROM:<a@b> "
			"ENVID=mine\r\nRCPT TO:<u@c>\r\nDATA\r\n"}},
	{"a hop without XFORWARD is not told", TELL | IDENT, {DATA, ">hi\r\n.\r\n", "+DATA\r\n"}},
	{"a name in ENVID in any case", IDENT | ENVELOPE_ID,
		{DATA, ">hi\r\n.\r\n",
			"+RSET\r\nMAIL FROM:<a@b> ENVID=id7 SIZE=4\r\nRCPT TO:<u@c>\r\nDATA\r\n"}},
	{"DSN not offered", IDENT | ENVELOPE_ID,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-250 hop\r\n",
			">EHLO c\r\nMAIL FROM:<a@b> RET=HDRS\r\nMAIL FROM:<a@b> ENVID=x\r\nMAIL "
			"FROM:<a@b>\r\n",
			"<220 me ESMTP Landfall\r\n250-me\r\n250 CHUNKING\r\n555 5.5.4 parameter not "
			"offered\r\n555 5.5.4 parameter not offered\r\n",
			"+MAIL FROM:<a@b>\r\n", "-250 a\r\n",
			">RCPT TO:<u@c> NOTIFY=NEVER\r\nRCPT TO:<u@c>\r\n",
			"<250 a\r\n555 5.5.4 parameter not offered\r\n", "+RCPT TO:<u@c>\r\n", "-250 b\r\n",
			">DATA\r\n", "<250 b\r\n354 end data with <CR><LF>.<CR><LF>\r\n", ">hi\r\n.\r\n",
			"+DATA\r\n"}},

	/* BDAT. */
	{"one chunk", AS_IS,
		{OPENED, ">BDAT 4 LAST\r\nhi\r\n", "+DATA\r\n", "-354 go\r\n", "+hi\r\n.\r\n", "-250 ok\r\n",
			"<250 ok\r\n"}},
	{"chunks hold what they hold", AS_IS,
		{OPENED, ">BDAT 5\r\n.\r\n.\rBDAT 0\r\nbdat 7 last\r\n\nRSET\r\nNOOP\r\n",
			"<250 2.0.0 5 octets taken\r\n250 2.0.0 0 octets taken\r\n", "+DATA\r\n",
			"-354 go\r\n", "+..\r\n..\r\nRSET\r\n.\r\n", "-250 ok\r\n",
			"<250 ok\r\n250 2.0.0 Ok\r\n"}},
	{"BDAT 0 LAST ends the message", AS_IS,
		{OPENED, ">BDAT 2\r\nhi", "<250 2.0.0 2 octets taken\r\n", ">BDAT 0 LAST\r\n", "+DATA\r\n",
			"-354 go\r\n", "+hi\r\n.\r\n", "-250 ok\r\n", "<250 ok\r\n"}},
	{"BDAT 0 LAST alone: an empty message", AS_IS,
		{OPENED, ">BDAT 0 LAST\r\n", "+DATA\r\n", "-354 go\r\n", "+.\r\n", "-250 ok\r\n",
			"<250 ok\r\n"}},
	{"BDAT in one group with all before", AS_IS,
		{HELLO, ">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nBDAT 3\r\na\r\nBDAT 3 LAST\r\n\nb\nQUIT\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-250 a\r\n250 b\r\n",
			"<250 a\r\n250 b\r\n250 2.0.0 3 octets taken\r\n550 5.5.2 bare line feed\r\n221 "
			"2.0.0 "
			"Bye\r\n",
			"g", "."}},
	{"bare CR in a chunk", AS_IS,
		{OPENED, ">BDAT 11 LAST\r\nx\r.\r\nQUIT\r\nRSET\r\n",
			"<550 5.5.2 bare carriage return\r\n250 2.0.0 Ok\r\n", "+RSET\r\n"}},
	{"BDAT without MAIL: its bytes are no commands", AS_IS,
		{HELLO, ">BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "<503 5.5.1 say MAIL first\r\n250 2.0.0 Ok\r\n",
			"+"}},
	{"BDAT when all recipients were refused", AS_IS,
		{HELLO,
			">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 "
			"LAST\r\nQUIT\r\nRSET\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-250 a\r\n550 b\r\n",
			"<250 a\r\n550 b\r\n554 5.5.1 no valid recipients\r\n554 5.5.1 no valid "
			"recipients\r\n250 2.0.0 Ok\r\n",
			"+RSET\r\n"}},
	{"nothing but chunks behind a chunk", AS_IS,
		{OPENED,
			">BDAT 2\r\nhiDATA\r\nRCPT TO:<v@c>\r\nMAIL FROM:<c@d>\r\nNOOP\r\nBDAT 2 "
			"LAST\r\n\r\n",
			"<250 2.0.0 2 octets taken\r\n503 5.5.1 the message has begun with BDAT\r\n503 5.5.1 "
			"the message has begun\r\n503 5.5.1 a transaction is open already\r\n250 2.0.0 "
			"Ok\r\n",
			"+DATA\r\n", "-354 go\r\n", "+hi\r\n.\r\n", "-250 ok\r\n", "<250 ok\r\n"}},
	{"RSET between chunks", AS_IS,
		{OPENED, ">BDAT 2\r\nhiRSET\r\nBDAT 4 LAST\r\nQUIT",
			"<250 2.0.0 2 octets taken\r\n250 2.0.0 Ok\r\n503 5.5.1 say MAIL first\r\n",
			"+RSET\r\n", ">MAIL FROM:<d@e>\r\n", "+", "-250 ok\r\n", "+MAIL FROM:<d@e>\r\n"}},
	{"size of a chunk not in order", AS_IS,
		{OPENED, ">BDAT x LAST\r\nRSET\r\n", "<521 5.5.4 want BDAT size [LAST]\r\n", "g"}},
	{"BDAT with a word too many", AS_IS,
		{OPENED, ">BDAT 3 LAST LAST\r\nRSET\r\n", "<521 5.5.4 want BDAT size [LAST]\r\n", "g"}},
	{"chunks too large", AS_IS,
		{"^", "-220 hop\r\n", "+EHLO me\r\n", "-250-hop\r\n250 SIZE 30\r\n",
			"<220 me ESMTP Landfall\r\n", ">EHLO c\r\nMAIL FROM:<a@b>\r\n",
			"+MAIL FROM:<a@b>\r\n", "-250 a\r\n", ">RCPT TO:<u@c>\r\n", "+RCPT TO:<u@c>\r\n",
			"-250 a\r\n", "<250-me\r\n250-SIZE 15\r\n250 CHUNKING\r\n250 a\r\n250 a\r\n",
			">BDAT 15\r\n0123456789abcdeBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
			"<250 2.0.0 15 octets taken\r\n552 5.3.4 message too large\r\n503 5.5.1 say MAIL "
			"first\r\n250 2.0.0 Ok\r\n",
			"+RSET\r\n"}},
	{"LMTP: chunks, one reply for each recipient at the last", OWN | LMTP,
		{LMTP_HELLO,
			">MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\nRCPT TO:<v@c>\r\nBDAT 2\r\nhiBDAT 2 "
			"LAST\r\n\r\n",
			"+MAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n", "-250 a\r\n250 b\r\n", "+RCPT TO:<v@c>\r\n",
			"-250 d\r\n", "<250 a\r\n250 b\r\n250 d\r\n250 2.0.0 2 octets taken\r\n",
			LMTP_COPY("u"), "-250 one\r\n", LMTP_NEXT("v"), "-452 two\r\n",
			"<250 one\r\n452 two\r\n"}},
	{"client gone within a chunk", AS_IS, {OPENED, ">BDAT 20 LAST\r\nhi\r\n", "x", "g", "."}},
	{"client silent within a chunk", AS_IS,
		{OPENED, ">BDAT 20\r\nhi\r\n", "t", "<421 4.4.2 silent for too long\r\n", "g"}},
};

static int manner;
static char told[256]; /* outcomes of the last message */

static bool alone(void *arg, const struct envelope *e, unsigned i)
{
	(void)arg;
	return slice_starts(envelope_address(e, i), SLICE("z"));
}

static bool owed(void *arg, const struct envelope *e, unsigned i)
{
	slice who = i == RELAY_SENDER ? buf_slice(&e->sender) : envelope_address(e, i);

	(void)arg;
	return slice_starts(who, SLICE("k")) || slice_starts(who, SLICE("q"));
}

static bool known(void *arg, const struct envelope *e, unsigned i, slice message)
{
	(void)arg;
	(void)message;
	return slice_starts(envelope_address(e, i), SLICE("k"));
}

static void prepare(
	void *arg, const struct envelope *e, unsigned i, slice message, uint64_t size, struct relay_copy *c)
{
	(void)arg, (void)size;
	c->shared = !(manner & (SENDER | RENDERED | RECORDED | FULL | OWN | IDENT));
	if (manner & FULL) {
		c->code = 451;
		c->text = "4.3.1 full";
	}
	if (manner & SENDER) {
		c->has_sender = true;
		buf_str(&c->sender, "b+x@v.example");
	}
	if (manner & IDENT)
		buf_str(&c->ident, "id7");
	if (manner & RENDERED) {
		buf_byte(&c->rendered, '[');
		buf_put(&c->rendered, message);
		buf_byte(&c->rendered, ']');
		c->message = buf_slice(&c->rendered);
	}
	if ((manner & OWN) && e->count > 1) {
		buf_put(&c->rendered, envelope_address(e, i));
		buf_byte(&c->rendered, ':');
		buf_put(&c->rendered, message);
		c->message = buf_slice(&c->rendered);
	}
}

static bool taken(void *arg, struct relay_copy *c, slice text)
{
	(void)arg, (void)c, (void)text;
	return manner & RECORDED;
}

static void sync_wanted(void *arg)
{
	(void)arg;
	assert_true(manner & RECORDED);
}

static void answered(
	void *arg, const struct envelope *e, slice message, const struct relay_outcome *o, bool mixed)
{
	size_t n = (size_t)snprintf(told, sizeof told, mixed ? "mixed" : "");

	(void)message;
	for (unsigned i = 0; i < e->count && n < sizeof told; i++)
		n += (size_t)snprintf(told + n, sizeof told - n, "%s%d%s%s%s", n ? " " : "", o[i].code,
			o[i].own ? "o" : "", o[i].known ? "k" : "", o[i].shared ? "s" : "");
	++*(unsigned *)arg;
}

static struct pool pool;

static const struct relay_world world = {alone, owed, known, prepare, taken, sync_wanted, answered};

static void expect(const char *name, struct buf *out, const char *want)
{
	struct buf all;
	const char *star = strrchr(want, '*');
	int times = star && star[1] >= '0' && star[1] <= '9' ? atoi(star + 1) : 1;

	buf_init(&all, 65536);
	for (int i = 0; i < times; i++)
		buf_put(&all, times > 1 ? slice_of(want, (size_t)(star - want)) : slice_str(want));
	test_slices_equal(name, buf_slice(out), buf_slice(&all));
	buf_clear(out);
	buf_free(&all);
}

static void feed(struct relay *r, bool client, slice in, size_t cut, bool bytewise)
{
	for (size_t at = 0, to; at < in.len; at = to) {
		slice piece;

		to = bytewise ? at + 1 : at < cut && cut < in.len ? cut : in.len;
		piece = test_guard(slice_sub(in, at, to));
		if (client)
			relay_client_in(r, piece);
		else
			pool_in(&pool, r, piece);
		exchange_fill(&pool.x);
		pool_tend(&pool, r);
		test_unguard(piece);
	}
}

/* False: cut lies behind the end of every input. */
static bool run(const struct script *s, size_t cut, bool bytewise)
{
	struct session_config cfg = {.host = SLICE("me"),
		.max_message = 1 << 20,
		.lmtp = s->manner & LMTP,
		.starttls = s->manner & TLS,
		.need_tls = s->manner & TLS_ONLY,
		.auth_tls_only = s->manner & AUTH_TLS,
		.tell_client = s->manner & TELL,
		.envelope_id = s->manner & ENVELOPE_ID};
	static const uint8_t address[4] = {192, 0, 2, 7};
	struct ip client = ip_v4(address);
	struct relay r;
	unsigned count = 0;
	bool within = false;
	char name[128];

	manner = s->manner;
	pool_init(&pool, cfg.host);
	pool.x.tls = s->manner & HOP_MUST  ? EXCHANGE_TLS_MUST
		     : s->manner & HOP_MAY ? EXCHANGE_TLS_MAY
					   : EXCHANGE_TLS_OFF;
	relay_init(&r, &cfg, NULL, &world, &count);
	relay_client_is(&r, &client, 4711, s->manner & TRUSTED);
	for (unsigned i = 0; s->steps[i]; i++) {
		const char *step = s->steps[i];
		slice in = slice_str(step + 1);

		snprintf(name, sizeof name, "%s, step %u (%.20s), cut at %zd", s->name, i, step,
			bytewise ? -1 : (ssize_t)cut);
		switch (*step) {
		case '>':
		case '-':
			within |= cut < in.len;
			feed(&r, *step == '>', in, cut, bytewise);
			break;
		case '<':
			expect(name, &r.session.out, step + 1);
			break;
		case '+':
			expect(name, &pool.x.out, step + 1);
			break;
		case '^':
			test_numbers_equal(name, r.hop, RELAY_HOP_WANTED);
			pool_connect(&pool);
			break;
		case '~':
			test_numbers_equal(name, r.hop, RELAY_HOP_NONE);
			break;
		case '!':
			pool_fail(&pool, &r, in);
			break;
		case '?':
			test_numbers_equal(name, pool.closed, true);
			pool.closed = false;
			break;
		case 'g':
			test_numbers_equal(name, pool.state, POOL_RESTS);
			break;
		case 'q':
			test_numbers_equal(name, pool.quit, true);
			break;
		case 'i':
			r.own = true;
			break;
		case 'l':
			relay_give_up(&r);
			break;
		case 'h':
			test_numbers_equal(name, relay_client_securing(&r) && !relay_hungry(&r), true);
			break;
		case 'T':
			test_numbers_equal(name, relay_client_securing(&r), true);
			relay_client_secured(&r);
			break;
		case 'H':
			test_numbers_equal(name, pool.state, POOL_SECURING);
			exchange_secured(&pool.x);
			pool.state = POOL_GREETING;
			break;
		case '*':
			relay_synced(&r);
			break;
		case 'x':
			buf_clear(&r.session.out);
			relay_client_gone(&r);
			break;
		case 't':
			relay_client_late(&r);
			break;
		case 's':
			relay_stop(&r);
			break;
		case 'o':
			relay_overdue(&r);
			break;
		case 'r':
			relay_recall(&r);
			break;
		case '=':
			test_slices_equal(name, slice_str(told), in);
			break;
		case '.':
			test_numbers_equal(name, relay_done(&r), true);
			break;
		}
		pool_tend(&pool, &r);
	}
	test_numbers_equal(s->name, pool.closed, false);
	relay_free(&r);
	exchange_free(&pool.x);
	return within;
}

static void conversations(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		run(&scripts[i], SIZE_MAX, false);
		run(&scripts[i], 0, true);
		for (size_t cut = 1; run(&scripts[i], cut, false); cut++)
			;
	}
}

/* A relay with a greeted connection in the pool. */
static void begin(struct relay *r, const struct session_config *cfg, unsigned *count)
{
	pool_init(&pool, cfg->host);
	pool_connect(&pool);
	relay_init(r, cfg, NULL, &world, count);
	pool_in(&pool, r, SLICE("220 x\r\n250-x\r\n250 PIPELINING\r\n"));
	pool_tend(&pool, r);
	assert_int_equal(pool.state, POOL_RESTS);
}

/* As a socket that takes at most n bytes. */
static void take_wire(struct exchange *x, size_t n, struct buf *wire)
{
	slice lent = slice_sub(x->lent, 0, n), out = slice_sub(buf_slice(&x->out), 0, n - lent.len);

	buf_put(wire, lent);
	buf_put(wire, out);
	x->lent = slice_from(x->lent, lent.len);
	buf_drop(&x->out, out.len);
}

/* A message of many pieces reaches the hop whole, though out never grows far. */
static void large_body_by(bool lends, int dots)
{
	struct session_config cfg = {.host = SLICE("me"), .max_message = 8 << 20};
	struct buf body, wire;
	struct relay r;
	unsigned count = 0;

	manner = AS_IS;
	buf_init(&body, 8 << 20);
	buf_init(&wire, 16 << 20);
	for (int i = 0; i < 200000; i++)
		buf_printf(&body, (i + 1) % dots ? "line %d\r\n" : "..line %d\r\n", i);
	buf_str(&body, ".\r\n");
	begin(&r, &cfg, &count);
	relay_client_in(&r, SLICE("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n"));
	pool_tend(&pool, &r);
	pool.x.lends = lends;
	relay_hop_in(&r, SLICE("250 a\r\n250 b\r\n"));
	relay_client_in(&r, SLICE("DATA\r\n"));
	for (size_t at = 0; at < body.len; at += 65536)
		relay_client_in(&r, slice_sub(buf_slice(&body), at, at + 65536));
	assert_false(relay_hungry(&r));
	buf_clear(&pool.x.out);
	relay_hop_in(&r, SLICE("354 go\r\n"));
	assert_int_equal(pool.x.lent.len > 0, lends);
	while (exchange_unsent(&pool.x)) {
		assert_int_equal(exchange_waits(&pool.x), EXCHANGE_BODY);
		assert_true(pool.x.out.len < 4 * EXCHANGE_PIECE);
		take_wire(&pool.x, 50000, &wire);
		exchange_fill(&pool.x);
	}
	assert_int_equal(exchange_waits(&pool.x), EXCHANGE_DOT);
	test_slices_equal("body", buf_slice(&wire), buf_slice(&body));
	relay_free(&r);
	exchange_free(&pool.x);
	buf_free(&body);
	buf_free(&wire);
}

static void large_body(void **state)
{
	static const int dots[] = {3, 1000, 50000};

	(void)state;
	for (int i = 0; i < 3; i++) {
		large_body_by(false, dots[i]);
		large_body_by(true, dots[i]);
	}
}

/* A hop that answers 250 before it has the whole message has not got it. */
static void early_answer(void **state)
{
	struct session_config cfg = {.host = SLICE("me"), .max_message = 8 << 20};
	unsigned count = 0;

	(void)state;
	manner = AS_IS;
	for (int code = 250; code <= 552; code += 302) {
		struct relay r;
		char reply[64];

		snprintf(reply, sizeof reply, "%d hm\r\n", code);
		begin(&r, &cfg, &count);
		relay_client_in(&r, SLICE("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u@c>\r\n"));
		pool_tend(&pool, &r);
		relay_hop_in(&r, SLICE("250 a\r\n250 b\r\n"));
		relay_client_in(&r, SLICE("DATA\r\nhello\r\n.\r\n"));
		buf_clear(&r.session.out);
		relay_hop_in(&r, SLICE("354 go\r\n"));
		buf_drop(&pool.x.out, 3);
		relay_hop_in(&r, slice_str(reply));
		assert_int_equal(r.parting, RELAY_DROPS);
		test_slices_equal("early", buf_slice(&r.session.out),
			code == 250 ? SLICE("451 4.4.2 connection to the next hop lost\r\n")
				    : SLICE("552 hm\r\n"));
		relay_free(&r);
		exchange_free(&pool.x);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conversations),
		cmocka_unit_test(large_body),
		cmocka_unit_test(early_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
