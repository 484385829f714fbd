#include "tracker/page.h"

/*   page         title                     text */
#define PAGES(P)                                                                                             \
	P(NOT_FOUND, "Not found", "This address leads nowhere. It may have been cut on its way to you.", "") \
	P(CONFIRM, "Unsubscribe", "You will get no more mail from this list.",                               \
		"<form method=\"post\">\n"                                                                   \
		"<input type=\"hidden\" name=\"" PAGE_FIELD "\" value=\"" PAGE_VALUE "\">\n"                 \
		"<button type=\"submit\">Unsubscribe</button>\n"                                             \
		"</form>\n")                                                                                 \
	P(DONE, "Unsubscribed", "You are unsubscribed and will get no more mail from this list.", "")        \
	P(BAD_REQUEST, "Bad request", "This request does not say that you want to unsubscribe.", "")         \
	P(NOT_ALLOWED, "Method not allowed", "This address answers other requests.", "")

#define HTML(title, text, form)                                                                              \
	"<!DOCTYPE html>\n"                                                                                  \
	"<html lang=\"en\">\n"                                                                               \
	"<head>\n"                                                                                           \
	"<meta charset=\"utf-8\">\n"                                                                         \
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"                         \
	"<meta name=\"color-scheme\" content=\"light dark\">\n"                                              \
	"<title>" title "</title>\n"                                                                         \
	"</head>\n"                                                                                          \
	"<body>\n"                                                                                           \
	"<main>\n"                                                                                           \
	"<h1>" title "</h1>\n"                                                                               \
	"<p>" text "</p>\n" form "</main>\n"                                                                 \
	"</body>\n"                                                                                          \
	"</html>\n"

slice page_of(enum page p)
{
	static const slice pages[] = {
#define P(name, title, text, form) [PAGE_##name] = SLICE(HTML(title, text, form)),
		PAGES(P)
#undef P
	};

	return pages[p];
}
