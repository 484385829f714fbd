/* A picture of the state: every campaign's tallies as they were at one moment.
 *
 * pure: Immutable once loaded (reports/load.h) and shared by reference count, so
 * that request threads read it without a lock while the next one is made.
 */
#ifndef LF_REPORTS_PICTURE_H
#define LF_REPORTS_PICTURE_H

#include "core/model/fact.h"
#include "reports/tally.h"

struct provider_tally {
	uint8_t provider;
	struct tally tally;
};

struct link_tally {
	uint16_t link;
	uint64_t human, machine; /* clicks, repeats included */
};

struct campaign {
	unsigned refs;
	uint64_t key;
	uint64_t version;   /* counts the fold's commits */
	slice tenant, name; /* owned; empty until the rewriter named the campaign */
	uint64_t counter[COUNTER_COUNT];
	struct tally total;
	struct provider_tally *providers; /* owned; most mail first */
	size_t provider_count;
	struct link_tally *links; /* owned; by number */
	size_t link_count;
};

struct picture {
	unsigned refs;
	uint64_t taken_ms;
	uint64_t folded_until_ms; /* events made before this are all in; 0: not known yet */
	uint64_t backlog;         /* events waiting in journals and streams' tails */
	uint64_t lost;
	struct campaign **campaigns; /* owned; by tenant, then name */
	struct campaign **by_key;    /* the same, by key */
	size_t count;
};

/* One reference more, one less; the last one frees. */
void picture_keep(struct picture *p);
void picture_drop(struct picture **p);
void picture_drop_campaign(struct campaign *c);

/* The campaign of this name; tenant empty: the first of that name in any. NULL
 * if there is none. */
const struct campaign *picture_find(const struct picture *p, slice tenant, slice name);

#endif
