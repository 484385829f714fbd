/* The few pages that a reader can get to see, as fixed bytes.
 *
 * pure: nothing of the world.
 *
 * No script, no picture, no style of its own: they obey the reader's browser,
 * and the policy that goes out with them (PAGE_POLICY) forbids everything but
 * the form.
 */
#ifndef LF_TRACKER_PAGE_H
#define LF_TRACKER_PAGE_H

#include "core/base/slice.h"

#define PAGE_TYPE SLICE("text/html; charset=utf-8")
#define PAGE_POLICY SLICE("default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")

/* The field of the form, and what RFC 8058 has mailbox providers send. */
#define PAGE_FIELD "List-Unsubscribe"
#define PAGE_VALUE "One-Click"

enum page { PAGE_NOT_FOUND, PAGE_CONFIRM, PAGE_DONE, PAGE_BAD_REQUEST, PAGE_NOT_ALLOWED };

slice page_of(enum page p);

#endif
