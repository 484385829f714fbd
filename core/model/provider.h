/* Mailbox providers by recipient domain. Numbers are stored: never reuse one. */
#ifndef LF_MODEL_PROVIDER_H
#define LF_MODEL_PROVIDER_H

#include "core/base/slice.h"

#define PROVIDER_LIST(X)                                                                                     \
	X(OTHER, 0, "other")                                                                                 \
	X(GMAIL, 1, "gmail")                                                                                 \
	X(MICROSOFT, 2, "microsoft")                                                                         \
	X(YAHOO, 3, "yahoo")                                                                                 \
	X(APPLE, 4, "apple")                                                                                 \
	X(GMX, 5, "gmx")                                                                                     \
	X(COMCAST, 6, "comcast")                                                                             \
	X(ORANGE, 7, "orange")                                                                               \
	X(MAILRU, 8, "mail.ru")                                                                              \
	X(QQ, 9, "qq")                                                                                       \
	X(PROTON, 10, "proton")                                                                              \
	X(ZOHO, 11, "zoho")                                                                                  \
	X(FASTMAIL, 12, "fastmail")                                                                          \
	X(YANDEX, 13, "yandex")                                                                              \
	X(NETEASE, 14, "netease")                                                                            \
	X(FREE, 15, "free")                                                                                  \
	X(LIBERO, 16, "libero")                                                                              \
	X(TONLINE, 17, "t-online")                                                                           \
	X(ATT, 18, "att")                                                                                    \
	X(VERIZON, 19, "verizon")                                                                            \
	X(NAVER, 20, "naver")                                                                                \
	X(SEZNAM, 21, "seznam")                                                                              \
	X(WP, 22, "wp")

enum provider {
#define X(name, n, word) PROVIDER_##name = n,
	PROVIDER_LIST(X)
#undef X
};
#define PROVIDER_COUNT 23

/* Total: an unknown domain is PROVIDER_OTHER. domain in any letter case, a dot
 * at its end allowed. By name only: a company's own domain that a provider
 * hosts is PROVIDER_OTHER. */
enum provider provider_of(slice domain);
const char *provider_word(unsigned p);

#endif
