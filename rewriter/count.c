#include "rewriter/count.h"

#include "core/io/log.h"
#include "core/io/metrics.h"

static const enum metric untouched_metric[] = {
	[UNTOUCHED_NO_CAMPAIGN] = METRIC_untouched_no_campaign,
	[UNTOUCHED_OFF] = METRIC_untouched_off,
	[UNTOUCHED_NOTHING_TO_DO] = METRIC_untouched_nothing_to_do,
	[UNTOUCHED_SIGNED] = METRIC_untouched_signed,
	[UNTOUCHED_ENCRYPTED] = METRIC_untouched_encrypted,
	[UNTOUCHED_ATTACHED] = METRIC_untouched_attached,
	[UNTOUCHED_REPORT] = METRIC_untouched_report,
	[UNTOUCHED_CHARSET] = METRIC_untouched_charset,
	[UNTOUCHED_ENCODING] = METRIC_untouched_encoding,
	[UNTOUCHED_CAP] = METRIC_untouched_cap,
	[UNTOUCHED_MALFORMED] = METRIC_untouched_malformed,
	[UNTOUCHED_OURS] = METRIC_untouched_already_rewritten,
	[UNTOUCHED_PROOF] = METRIC_messages_proof_failed,
};

void count_untouched(enum untouched why)
{
	metric_add(METRIC_messages_untouched, 1);
	metric_add(untouched_metric[why], 1);
}

void count_rendering(const struct rendering *r, size_t bytes)
{
	if (r->untouched != UNTOUCHED_NOT) {
		count_untouched(r->untouched);
		if (r->untouched == UNTOUCHED_PROOF)
			log_warn("count", "proof failed, the original goes out", "rule=%s bytes=%zu",
				r->broken, bytes);
		return;
	}
	metric_add(METRIC_messages_rewritten, 1);
	metric_add(METRIC_links_tracked, r->links);
	metric_add(METRIC_links_left, r->left);
	metric_add(METRIC_parts_left, r->parts_left);
}
