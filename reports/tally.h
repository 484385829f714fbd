/* Recipients counted from bitmaps: who was sent to, who accepted, who opened.
 *
 * pure: The one place where the formulas of the report stand; docs/REPORTS.md
 * explains them to readers. Recipients are counted once, whatever came in
 * twice, so no rate can pass 1.
 */
#ifndef LF_REPORTS_TALLY_H
#define LF_REPORTS_TALLY_H

#include "core/base/cpu.h"
#include "core/base/slice.h"
#include "core/model/fact.h"

#define TALLY_PROVIDERS 256 /* the provider column is one byte a recipient */

/* Each field counts recipients. */
/*    name              from one machine word of each bitmap */
#define TALLY_LIST(T)                                                                                        \
	T(sent, taken)                                                                                       \
	T(accepted, accepted & ~bounced)                                                                     \
	T(deferred, deferred)                                                                                \
	T(pending, taken & ~accepted & ~bounced)                                                             \
	T(bounced, bounced)                                                                                  \
	T(bounced_hard, hard)                                                                                \
	T(bounced_block, block & ~hard)                                                                      \
	T(bounced_soft, soft & ~hard & ~block)                                                               \
	T(unsubscribed, unsubscribed)                                                                        \
	T(opened_human, opened)                                                                              \
	T(opened_proxy, proxy)                                                                               \
	T(opened_prefetch, prefetch)                                                                         \
	T(opened_machine, prefetch | machine)                                                                \
	T(opened_any, opened | prefetch | machine)                                                           \
	T(clicked_human, clicked)                                                                            \
	T(clicked_machine, clicked_machine)                                                                  \
	T(clicked_any, clicked | clicked_machine)                                                            \
	T(confirmed, (opened | clicked | unsubscribed) & accepted & ~bounced)

struct tally {
#define T(name, formula) uint64_t name;
	TALLY_LIST(T)
#undef T
};

/* The bitmaps and the provider column of one (campaign, lane), as they lie in
 * Redis: bit n of a bitmap is bit (7 - n % 8) of byte n / 8, as SETBIT counts.
 * A short or empty slice means zeros behind its end. Borrowed. */
struct tally_lane {
	slice fact[FACT_COUNT];
};

/* Add a lane's recipients to the total and to the tally of their provider. */
void tally_add(const struct tally_lane *lane, struct tally *total, struct tally by_provider[TALLY_PROVIDERS]);
void tally_add_by(enum cpu_path path, const struct tally_lane *lane, struct tally *total,
	struct tally by_provider[TALLY_PROVIDERS]);

#endif
