/* What the rows come down to: for each campaign, recipients in bins by what was
 * known of them *before* it, and how many of a bin showed evidence in it.
 *
 * pure: One pass, linear in rows times campaigns. Openers (everybody whose device
 * does not prefetch) fall into bins by how readily they showed evidence before and
 * by how much mail they got; panel members (a prefetch among their last campaigns)
 * into bins of their own. Recipients behind a security scanner are in no bin.
 */
#ifndef LF_REPORTS_EST_STATS_H
#define LF_REPORTS_EST_STATS_H

#include "core/base/arena.h"
#include "reports/est_input.h"

#define EST_SCORES 11 /* levels of readiness */
#define EST_TENURES 4 /* mail accepted before: none, 1-2, 3-5, more */
#define EST_BINS (EST_SCORES * EST_TENURES)
#define EST_PANEL_SCORES 8
#define EST_PANEL_BINS (EST_PANEL_SCORES * 2 * 2) /* score, seasoned, engaged */

/* Recipients who got mail, and those of them who showed evidence. */
struct est_tally {
	double mail, shown;
};

/* A row in the target. */
enum est_part { EST_NOT_ACCEPTED, EST_OPENER, EST_MEMBER, EST_SCANNER };
struct est_place {
	uint8_t part; /* enum est_part */
	uint8_t bin;  /* of its part */
	bool scanned; /* a panel member may be behind a scanner as well */
};

struct est_stats {
	struct est_tally (*bins)[EST_BINS];        /* a campaign each */
	struct est_tally (*panel)[EST_PANEL_BINS]; /* a campaign each */
	struct est_tally (*recent)[2];             /* members who prefetched lately: [engaged] */
	/* Weighted by how often recipients had shown evidence before: mail, and
	 * evidence again. */
	struct est_tally repeats;
	struct est_place *place; /* a row each */
	double accepted;         /* of the target */
	double confirmed;        /* proven by a person's act or a prefetch */
	double fetched_only;     /* of these, by a prefetch alone */
};

/* out: one a provider. Memory comes from the arena. */
void est_stats_count(struct arena *a, const struct est_input *in, const struct est_without *without,
	struct est_stats *out);

/* The evidence of a person in a byte of a row. */
bool est_stats_human(const struct est_without *without, uint8_t code);

#endif
