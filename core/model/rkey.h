/* The names of all keys in Redis, in one place.
 *
 * Every key of a campaign carries the hash tag of its partition, so that all of
 * them share one Redis Cluster slot and one transaction. Drawn in
 * docs/FORMATS.md, "Redis keys".
 */
#ifndef LF_MODEL_RKEY_H
#define LF_MODEL_RKEY_H

#include "core/base/slice.h"
#include "core/model/fact.h"

#define RKEY_MAX 96
#define RKEY_META "lf:meta"		/* hash: format, partitions */
#define RKEY_PRODUCERS "lf:producers"	/* hash: lane -> account of its outbox (struct account) */

struct rkey {
	char text[RKEY_MAX];
	size_t len;
};

static inline slice rkey_slice(const struct rkey *k)
{
	return (slice){(const uint8_t *)k->text, k->len};
}

/* The partition of a campaign: campaign modulo partitions. */
unsigned partition_of(uint64_t campaign, unsigned partitions);

struct rkey rkey_stream(unsigned partition, uint32_t lane); /* lf:{p7}:in:00c0ffee        stream, field "f" */
struct rkey rkey_lanes(unsigned partition);		    /* lf:{p7}:lanes              set of lanes that ship here */
struct rkey rkey_cursor(unsigned partition);		    /* lf:{p7}:cursor             hash: lane -> last folded position */
struct rkey rkey_fence(unsigned partition);		    /* lf:{p7}:fence              number of the present owner */
struct rkey rkey_lease(unsigned partition);		    /* lf:{p7}:lease              expires: owner is alive */
struct rkey rkey_campaigns(unsigned partition);		    /* lf:{p7}:campaigns          set of campaign keys, hex */
struct rkey rkey_campaign(unsigned partition, uint64_t campaign); /* lf:{p7}:c:<16 hex>   hash: tenant, name, version, counters */
struct rkey rkey_campaign_lanes(unsigned partition, uint64_t campaign); /* lf:{p7}:cl:<16 hex>  set of rewriter lanes */
struct rkey rkey_links(unsigned partition, uint64_t campaign);	/* lf:{p7}:ln:<16 hex>    hash: "<link>:human" -> clicks */
struct rkey rkey_hours(unsigned partition, uint64_t campaign);	/* lf:{p7}:h:<16 hex>     hash: "<unix hour>:<counter>" -> n */
struct rkey rkey_places(unsigned partition, uint64_t campaign);	/* lf:{p7}:pl:<16 hex>    hash: "<CC>:<counter>" -> n */
struct rkey rkey_fact(unsigned partition, uint64_t campaign, uint32_t lane, enum fact f); /* lf:{p7}:f:<16 hex>:<8 hex>:<word> string */
/* The sender's own ids of recipients, where the mode allows them. */
struct rkey rkey_recipients(unsigned partition, uint64_t campaign, uint32_t lane); /* lf:{p7}:r:<16 hex>:<8 hex>  hash: sequence -> id */
struct rkey rkey_hits(unsigned partition, uint64_t campaign, uint32_t lane, uint32_t block); /* lf:{p7}:k:<16 hex>:<8 hex>:<8 hex> string, core/model/kept.h */
struct rkey rkey_forget(unsigned partition);    /* lf:{p7}:forget             set of tombstones that wait for the fold */
struct rkey rkey_forgotten(unsigned partition); /* lf:{p7}:forgotten          hash: tombstone -> messages it erased */
struct rkey rkey_rules(unsigned partition); /* lf:{p7}:rules              version of the rules that scored it */
/* A message's identity by the next hop's queue id, for log lines without a
 * return path of ours; expires. */
struct rkey rkey_queue(slice queue_id); /* lf:q:<queue id> -> campaign(8) lane(4) sequence(4) */

/* "00c0ffee" and 16-digit forms, both ways. *_decode: false if not exact. */
bool hex32_decode(slice text, uint32_t *out);
bool hex64_decode(slice text, uint64_t *out);

#endif
