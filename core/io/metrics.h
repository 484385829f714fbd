/* Counters and gauges of one process, declared in one table and printed in
 * Prometheus text format. Adding is one relaxed atomic on a per-process array. */
#ifndef LF_IO_METRICS_H
#define LF_IO_METRICS_H

#include "core/base/buf.h"

/*    name                          kind      help */
#define METRIC_LIST(M)                                                                                       \
	M(events_made, COUNTER, "Events put into an outbox")                                                 \
	M(events_shipped, COUNTER, "Events known to be in Redis")                                            \
	M(events_lost, COUNTER, "Events that could not be recorded")                                         \
	M(journals_failing, GAUGE, "Journals that cannot be written or synced now")                          \
	M(journal_damaged_bytes, COUNTER, "Bytes of the journal skipped as damaged")                         \
	M(ship_reconnects, COUNTER, "Connections to Redis made by shippers")                                 \
	M(opens, COUNTER, "Pixels answered for a valid token")                                               \
	M(clicks, COUNTER, "Redirects answered")                                                             \
	M(unsubscribes, COUNTER, "Unsubscribe requests taken")                                               \
	M(tokens_refused, COUNTER, "Requests with a token that did not open")                                \
	M(requests_other, COUNTER, "Requests for anything else")                                             \
	M(proxy_headers_refused, COUNTER,                                                                    \
		"Connections of load balancers without a header of the PROXY protocol")                      \
	M(messages_in, COUNTER, "Messages read from clients, one for each copy")                             \
	M(messages_rewritten, COUNTER, "Messages sent on with edits")                                        \
	M(messages_untouched, COUNTER, "Messages sent on without edits")                                     \
	M(untouched_no_campaign, COUNTER, "Of these: no campaign is known")                                  \
	M(untouched_off, COUNTER, "Of these: tracking is off, by setting or field")                          \
	M(untouched_nothing_to_do, COUNTER, "Of these: nothing to edit was found")                           \
	M(untouched_signed, COUNTER, "Of these: signed (DKIM, ARC, S/MIME, PGP)")                            \
	M(untouched_encrypted, COUNTER, "Of these: encrypted")                                               \
	M(untouched_attached, COUNTER, "Of these: nothing but attachments")                                  \
	M(untouched_report, COUNTER, "Of these: delivery and other reports")                                 \
	M(untouched_charset, COUNTER, "Of these: a charset that hides ASCII")                                \
	M(untouched_encoding, COUNTER, "Of these: an unknown or broken transfer encoding")                   \
	M(untouched_cap, COUNTER, "Of these: a cap of docs/REWRITING.md was passed")                         \
	M(untouched_malformed, COUNTER, "Of these: parts that contradict themselves")                        \
	M(untouched_already_rewritten, COUNTER, "Of these: rewritten before")                                \
	M(parts_left, COUNTER, "Text and HTML parts left alone in messages that were edited")                \
	M(messages_proof_failed, COUNTER, "Rewritten messages whose proof failed: the original was sent")    \
	M(messages_delivered, COUNTER, "Messages that the next hop took")                                    \
	M(messages_deferred, COUNTER, "Messages answered with a 4xx reply")                                  \
	M(messages_refused, COUNTER, "Messages answered with a 5xx reply")                                   \
	M(messages_handed_out, COUNTER, "Messages handed back to HTTP clients, which send them themselves")   \
	M(messages_mixed, COUNTER, "Messages that the next hop took for some recipients only (SMTP)")        \
	M(messages_known, COUNTER, "Copies not sent again: the next hop took them at an earlier attempt")    \
	M(recent_damaged, COUNTER, "Entries of the memory of recent mail skipped as damaged")              \
	M(links_tracked, COUNTER, "Links replaced")                                                          \
	M(links_left, COUNTER, "Links left alone")                                                           \
	M(sessions_open, GAUGE, "SMTP client sessions open now")                                             \
	M(client_tls, COUNTER, "TLS handshakes of SMTP clients")                                             \
	M(client_tls_failed, COUNTER, "TLS handshakes of SMTP clients that failed")                          \
	M(hop_tls, COUNTER, "TLS handshakes with the next hop")                                              \
	M(hop_tls_failed, COUNTER, "TLS handshakes with the next hop that failed, or could not be begun")    \
	M(log_lines, COUNTER, "MTA log lines read")                                                          \
	M(log_facts, COUNTER, "Delivery facts taken from MTA logs")                                          \
	M(log_unmatched, COUNTER, "Delivery facts whose message is not ours or not known")                   \
	M(events_folded, COUNTER, "Events folded into campaign state")                                       \
	M(frames_refused, COUNTER, "Stream entries that did not decode")                                     \
	M(events_refused, COUNTER, "Events stepped over: unknown kind, sequence too large, wrong partition") \
	M(messages_forgotten, COUNTER, "Messages taken out of the counts since their recipient withdrew")    \
	M(fold_commits, COUNTER, "Fold transactions committed")                                              \
	M(fold_conflicts, COUNTER, "Fold transactions refused because another fold owns the partition")      \
	M(api_requests, COUNTER, "Requests to an HTTP API")                                              \
	M(api_refused, COUNTER, "API requests without a valid key")

enum metric {
#define M(name, kind, help) METRIC_##name,
	METRIC_LIST(M)
#undef M
		METRIC_COUNT
};

void metric_add(enum metric m, int64_t n);
void metric_set(enum metric m, int64_t v);
int64_t metric_get(enum metric m);

/* Prometheus text exposition, names prefixed "landfall_". */
void metrics_encode(struct buf *out);

#endif
