/* Bad input is normal life: functions return -REFUSE_..., without a log line.
 *
 * The table gives each refusal its word (logs, metrics, JSON), its enhanced
 * status code (RFC 3463) and its text for an SMTP peer. Add a line here and
 * the rest follows.
 */
#ifndef LF_BASE_REFUSE_H
#define LF_BASE_REFUSE_H

/*       code            word              smtp     text for the peer */
#define REFUSE_LIST(REFUSE)                                                                                  \
	REFUSE(BARE_LF, "bare-lf", "5.5.2", "bare line feed")                                                \
	REFUSE(BARE_CR, "bare-cr", "5.5.2", "bare carriage return")                                          \
	REFUSE(NUL, "nul", "5.5.2", "NUL octet")                                                             \
	REFUSE(CUT, "cut", "5.5.2", "input ends too early")                                                  \
	REFUSE(SYNTAX, "syntax", "5.5.2", "syntax error")                                                    \
	REFUSE(LINE_TOO_LONG, "line-too-long", "5.5.2", "line too long")                                     \
	REFUSE(TOO_LARGE, "too-large", "5.3.4", "message too large")                                         \
	REFUSE(HEADER_TOO_LARGE, "header-too-large", "5.3.4", "header section too large")                    \
	REFUSE(TOO_DEEP, "too-deep", "5.6.0", "nested too deeply")                                           \
	REFUSE(TOO_MANY_PARTS, "too-many-parts", "5.6.0", "too many parts")                                  \
	REFUSE(LENGTH, "length", "5.5.2", "length out of range")                                             \
	REFUSE(ALPHABET, "alphabet", "5.5.2", "byte outside of the alphabet")                                \
	REFUSE(NOT_CANONICAL, "not-canonical", "5.5.2", "not in canonical form")                             \
	REFUSE(UNKNOWN_KEY, "unknown-key", "5.7.0", "unknown key")                                           \
	REFUSE(FORGED, "forged", "5.7.0", "authentication tag does not match")                               \
	REFUSE(WRONG_KIND, "wrong-kind", "5.7.0", "token of another kind")                                   \
	REFUSE(SCHEME, "scheme", "5.6.0", "scheme not allowed")                                              \
	REFUSE(RANGE, "range", "5.5.4", "value out of range")                                                \
	REFUSE(CHECKSUM, "checksum", "5.6.0", "checksum does not match")                                     \
	REFUSE(VERSION, "version", "5.5.4", "unknown version")                                               \
	REFUSE(CHARSET, "charset", "5.6.0", "character set cannot be edited safely")                         \
	REFUSE(PROOF, "proof", "5.6.0", "output with its edits undone differs from the input")

/* Above every errno, so that what may fail for both reasons says which it was. */
#define REFUSE_BASE 4096

enum refuse {
	REFUSE_NOTHING = REFUSE_BASE,
#define REFUSE(code, word, smtp, text) REFUSE_##code,
	REFUSE_LIST(REFUSE)
#undef REFUSE
	REFUSE_END
};

/* Each takes the negative value that a function returned, or the positive
 * enum; anything else gives "unknown". */
const char *refuse_word(int rc);
const char *refuse_smtp(int rc);
const char *refuse_text(int rc);

#endif
