/* One record of a KumoMTA log (a JSON object on a line) in, what it says out. pure.
 *
 *	{"type":"Delivery","id":"1d98076abbbc11ed940250ebf67f93bd","sender":"s@a.test",
 *	 "recipient":"r@b.test","response":{"code":250,"enhanced_code":{...},"content":"OK"},
 *	 "peer_address":{"name":"mx.b.test.","addr":"192.0.2.1"},"timestamp":1757675281,...}
 *
 * What surprises: "recipient" may be an array; and a report of a failure that
 * came back later ("OOB") is a delivery again, one that was told before as accepted.
 */
#ifndef LF_COLLECTOR_KUMOMTA_LOG_H
#define LF_COLLECTOR_KUMOMTA_LOG_H

#include "collector/log_fact.h"
#include "core/base/buf.h"

#define KUMOMTA_LOG_MAX_LINE (1u << 20)  /* a longer record is none: a feedback report holds a message */
#define KUMOMTA_LOG_MAX_TEXTS (1u << 20) /* what texts is to be opened with */
#define KUMOMTA_LOG_MAX_ID 47

/* Returns out->kind. Its slices borrow texts, which is emptied first. */
enum log_fact_kind kumomta_log_read(slice line, struct buf *texts, struct log_fact *out);

/* On to the next recipient of the record. False: that was the last. */
bool kumomta_log_next(struct log_fact *f);

#endif
