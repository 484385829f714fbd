/* The fields of a feedback report (RFC 5965, RFC 6591, RFC 9477). pure. */
#ifndef LF_COLLECTOR_ARF_H
#define LF_COLLECTOR_ARF_H

#include "core/base/arena.h"
#include "core/base/slice.h"

#define ARF_MAX_RECIPIENTS 1000
#define ARF_MAX_FIELDS 10000

/* What it says of the message. */
enum arf_kind {
	ARF_COMPLAINT, /* abuse, fraud, virus, opt-out, other, and what nobody knows */
	ARF_RESCUE,    /* not-spam: the reader took it out of the junk folder */
	ARF_FAILURE    /* auth-failure, dmarc: about signatures, not about a reader */
};

struct arf { /* slices borrow the body or the arena */
	enum arf_kind kind;
	slice feedback_type;
	slice user_agent;
	slice mail_from; /* without <> */
	slice envelope_id;
	slice reporting_mta;
	slice source_ip;
	slice feedback_id; /* CFBL-Feedback-ID */
	slice recipients[ARF_MAX_RECIPIENTS];
	unsigned count;
};

/* Total: a report without Feedback-Type is a complaint of no type. */
void arf_read(struct arena *a, slice body, struct arf *out);

#endif
