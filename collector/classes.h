/* What became of a message and why, as a closed list of classes. pure.
 *
 * One table: the words stand in the output of `landfall bounce`, docs/CLASSES.md
 * is printed from it. "permanent" is about the address and not about this
 * message: true means that no later message will get through either, so that
 * sending on is waste. What is not understood is never called permanent.
 */
#ifndef LF_COLLECTOR_CLASSES_H
#define LF_COLLECTOR_CLASSES_H

#include "core/base/buf.h"
#include "core/model/event.h"

enum classes_permanent { CLASSES_PERMANENT_NO, CLASSES_PERMANENT_YES, CLASSES_PERMANENT_UNKNOWN };

/*    name  word  permanent  event  meaning  what to do */
#define CLASSES_LIST(C)                                                                                      \
	C(UNKNOWN, "unknown", UNKNOWN, SOFT, "nothing in the reply says why",                                \
		"keep sending; look at the diagnostic when it repeats")                                      \
	/* the mailbox */                                                                                    \
	C(NO_MAILBOX, "no-such-mailbox", YES, HARD, "the domain has no such mailbox",                        \
		"stop sending to this address at once")                                                      \
	C(MOVED, "moved", YES, HARD, "the mailbox moved and nothing is forwarded",                           \
		"stop sending; ask for the new address where you can")                                       \
	C(DISABLED, "mailbox-disabled", NO, SOFT, "the mailbox exists but is disabled, locked or dormant",   \
		"pause this address; stop when it repeats over weeks")                                       \
	C(FULL, "mailbox-full", NO, SOFT, "the mailbox is over its quota",                                   \
		"try again in days; stop when it stays full for months")                                     \
	C(FILTER, "recipient-filter", NO, BLOCK, "a filter of the recipient or of the mailbox said no",      \
		"pause this address; the mailbox may exist")                                                 \
	/* the domain */                                                                                     \
	C(NO_DOMAIN, "no-such-domain", YES, HARD, "the domain does not exist",                               \
		"stop sending; often a typing error in the domain")                                          \
	C(NO_MAIL, "no-mail-domain", YES, HARD, "the domain exists and takes no mail",                       \
		"stop sending; a temporary answer (4.x.x) is not permanent")                                 \
	/* the way there */                                                                                  \
	C(DNS, "dns-failure", NO, SOFT, "the domain could not be looked up now", "try again later")          \
	C(UNREACHABLE, "unreachable", NO, SOFT, "no connection: refused, timed out or cut",                  \
		"try again later; many at one provider: look at your network")                               \
	C(EXPIRED, "expired", NO, SOFT, "tried until the queue's time was over",                             \
		"try again with the next campaign")                                                          \
	C(LOOP, "loop", NO, SOFT, "the message ran in a circle between servers",                             \
		"nothing; the recipient's forwarding is broken")                                             \
	/* the other server */                                                                               \
	C(REMOTE, "remote-error", NO, SOFT, "the other server has a trouble of its own", "try again later")  \
	C(REMOTE_FULL, "remote-full", NO, SOFT, "the other server has no disk or memory left",               \
		"try again later")                                                                           \
	C(LOCAL, "local-delivery", NO, SOFT, "the program that files the message into the mailbox failed",   \
		"try again later")                                                                           \
	/* the message */                                                                                    \
	C(TOO_LARGE, "too-large", NO, SOFT, "the message is larger than the server or the mailbox takes",    \
		"send a smaller message")                                                                    \
	C(SPAM, "spam", NO, BLOCK, "the content was taken for spam",                                         \
		"look at the content and at who gets it; do not resend as it is")                            \
	C(VIRUS, "virus", NO, BLOCK, "a scanner found a virus or a forbidden attachment",                    \
		"look at the attachments and at where your links lead")                                      \
	C(CONTENT, "content", NO, BLOCK, "the form of the content was refused",                              \
		"correct the MIME structure, the headers or the charset")                                    \
	C(NOT_COMPLIANT, "not-compliant", NO, BLOCK,                                                         \
		"the message breaks RFC 5322 in the eyes of the server",                                     \
		"correct the header fields it names")                                                        \
	/* the sender */                                                                                     \
	C(BLOCKED, "blocked", NO, BLOCK, "the sending address or host is on a block list or refused",        \
		"ask for removal from the list; find out why")                                               \
	C(REPUTATION, "reputation", NO, BLOCK, "the sending host or domain has a bad name there",            \
		"send less, to those who read; watch complaints")                                            \
	C(NO_PTR, "no-reverse-dns", NO, BLOCK, "the sending address has no matching name in the DNS",        \
		"set the PTR record and its A record, and a HELO that fits")                                 \
	C(AUTH, "authentication", NO, BLOCK, "SPF, DKIM, DMARC or ARC failed",                               \
		"correct SPF, DKIM and their alignment with From")                                           \
	C(SENDER, "sender-refused", NO, BLOCK, "the sender's address was refused",                           \
		"look at the return path and From: do they exist, may they write there")                     \
	C(RELAY, "relay-denied", NO, BLOCK, "the server is not responsible for this recipient",              \
		"look at the domain's MX; nothing to be done at your side")                                  \
	C(SECURITY, "security", NO, BLOCK, "authentication or encryption of the session was demanded",       \
		"look at the login and the permissions of the sending account")                              \
	C(TLS, "tls", NO, BLOCK, "TLS was demanded or failed",                                               \
		"look at TLS and at the certificates of both sides")                                         \
	C(POLICY, "policy", NO, BLOCK, "a rule of the receiving site forbids it",                            \
		"read the diagnostic; ask the receiving site")                                               \
	C(PROTOCOL, "protocol", NO, BLOCK, "the server did not take a command",                              \
		"look at the session; often a middle box or a limit on commands")                            \
	/* how much */                                                                                       \
	C(RATE, "rate-limited", NO, BLOCK, "too much mail in too short a time",                              \
		"slow down to this provider")                                                                \
	C(TOO_MANY, "too-many", NO, BLOCK, "too many connections, or recipients in one message",             \
		"use fewer connections to this provider")                                                    \
	C(GREYLISTED, "greylisted", NO, SOFT, "the server wants to be asked again later",                    \
		"nothing; the queue tries again by itself")                                                  \
	/* not about failures */                                                                             \
	C(DELIVERED, "delivered", NO, NONE, "a report of success", "nothing")                                \
	C(COMPLAINT, "complaint", NO, NONE, "the reader called the message spam",                            \
		"stop sending to this reader at once")                                                       \
	C(RESCUE, "not-spam", NO, NONE, "the reader took the message out of the spam folder",                \
		"nothing; good news about the inbox")                                                        \
	C(REPORT, "authentication-report", NO, NONE, "a report about signatures, not about a reader",        \
		"look at SPF, DKIM and DMARC")                                                               \
	C(AUTO_REPLY, "auto-reply", NO, NONE,                                                                \
		"a vacation notice or another automatic answer: somebody is there",                          \
		"nothing; the mailbox is alive")                                                             \
	C(CHALLENGE, "challenge", NO, NONE, "the recipient's software asks the sender to prove itself",      \
		"answer it by hand, or leave it; the mailbox is alive")                                      \
	C(OTHER, "none", NO, NONE, "not a report about a message", "nothing")

enum classes {
#define C(name, word, permanent, bounce, meaning, todo) CLASSES_##name,
	CLASSES_LIST(C)
#undef C
		CLASSES_COUNT
};

const char *classes_word(enum classes c);
/* By its word; CLASSES_COUNT if there is none. */
enum classes classes_of(slice word);
/* status: 0 unknown. A temporary status takes back what only a final one can say. */
enum classes_permanent classes_permanent(enum classes c, uint32_t status);
/* The class in the words of events; BOUNCE_NONE for what is no failure. */
enum bounce classes_bounce(enum classes c);
/* docs/CLASSES.md. */
void classes_manual(struct buf *out);

#endif
