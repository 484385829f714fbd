/* Errors of our HTTP APIs: problem JSON (RFC 9457). */
#ifndef LF_WEB_PROBLEM_H
#define LF_WEB_PROBLEM_H

#include "core/web/web.h"

/* The answer to the request. title: the same for every error of this kind;
 * detail: what to do. 401 asks for a bearer token. */
void problem_reply(struct web_req *r, int status, const char *title, const char *detail);

#endif
