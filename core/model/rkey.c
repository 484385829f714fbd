#include "core/model/rkey.h"

#include "core/base/must.h"
#include "core/parse/num.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 1, 2))) static struct rkey make(const char *fmt, ...)
{
	struct rkey k;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(k.text, sizeof k.text, fmt, ap);
	va_end(ap);
	must(n > 0 && n < RKEY_MAX);
	k.len = (size_t)n;
	return k;
}

unsigned partition_of(uint64_t campaign, unsigned partitions)
{
	must(partitions > 0);
	return (unsigned)(campaign % partitions);
}

struct rkey rkey_stream(unsigned partition, uint32_t lane)
{
	return make("lf:{p%u}:in:%08" PRIx32, partition, lane);
}

struct rkey rkey_lanes(unsigned partition)
{
	return make("lf:{p%u}:lanes", partition);
}

struct rkey rkey_cursor(unsigned partition)
{
	return make("lf:{p%u}:cursor", partition);
}

struct rkey rkey_fence(unsigned partition)
{
	return make("lf:{p%u}:fence", partition);
}

struct rkey rkey_lease(unsigned partition)
{
	return make("lf:{p%u}:lease", partition);
}

struct rkey rkey_campaigns(unsigned partition)
{
	return make("lf:{p%u}:campaigns", partition);
}

struct rkey rkey_campaign(unsigned partition, uint64_t campaign)
{
	return make("lf:{p%u}:c:%016" PRIx64, partition, campaign);
}

struct rkey rkey_campaign_lanes(unsigned partition, uint64_t campaign)
{
	return make("lf:{p%u}:cl:%016" PRIx64, partition, campaign);
}

struct rkey rkey_links(unsigned partition, uint64_t campaign)
{
	return make("lf:{p%u}:ln:%016" PRIx64, partition, campaign);
}

struct rkey rkey_hours(unsigned partition, uint64_t campaign)
{
	return make("lf:{p%u}:h:%016" PRIx64, partition, campaign);
}

struct rkey rkey_places(unsigned partition, uint64_t campaign)
{
	return make("lf:{p%u}:pl:%016" PRIx64, partition, campaign);
}

struct rkey rkey_fact(unsigned partition, uint64_t campaign, uint32_t lane, enum fact f)
{
	return make("lf:{p%u}:f:%016" PRIx64 ":%08" PRIx32 ":%s", partition, campaign, lane, fact_word(f));
}

struct rkey rkey_recipients(unsigned partition, uint64_t campaign, uint32_t lane)
{
	return make("lf:{p%u}:r:%016" PRIx64 ":%08" PRIx32, partition, campaign, lane);
}

struct rkey rkey_hits(unsigned partition, uint64_t campaign, uint32_t lane, uint32_t block)
{
	return make("lf:{p%u}:k:%016" PRIx64 ":%08" PRIx32 ":%08" PRIx32, partition, campaign, lane, block);
}

struct rkey rkey_forget(unsigned partition)
{
	return make("lf:{p%u}:forget", partition);
}

struct rkey rkey_forgotten(unsigned partition)
{
	return make("lf:{p%u}:forgotten", partition);
}

struct rkey rkey_rules(unsigned partition)
{
	return make("lf:{p%u}:rules", partition);
}

struct rkey rkey_queue(slice queue_id)
{
	static const char prefix[] = "lf:q:";
	struct rkey k = {.len = sizeof prefix - 1};

	/* Both sides cut alike; no MTA's ids come near to this. */
	queue_id = slice_sub(queue_id, 0, RKEY_MAX - k.len);
	memcpy(k.text, prefix, k.len);
	if (queue_id.len)
		memcpy(k.text + k.len, queue_id.p, queue_id.len);
	k.len += queue_id.len;
	return k;
}

/* One text for one number: lower case, all digits. */
static bool hex_decode(slice text, size_t digits, uint64_t *out)
{
	if (text.len != digits)
		return false;
	for (size_t i = 0; i < digits; i++)
		if (text.p[i] >= 'A' && text.p[i] <= 'F')
			return false;
	return num_hex_decode(text, UINT64_MAX, out) == 0;
}

bool hex32_decode(slice text, uint32_t *out)
{
	uint64_t v;

	if (!hex_decode(text, 8, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

bool hex64_decode(slice text, uint64_t *out)
{
	return hex_decode(text, 16, out);
}
