#include "deploy/command/backlog.h"

#include "core/model/rkey.h"

/* A stream's last entry id, or a cursor: the digits before the '-'. */
static uint64_t place_of(slice text)
{
	uint64_t n = 0;

	for (size_t i = 0; i < text.len && ascii_digit(text.p[i]); i++)
		n = n * 10 + (uint64_t)(text.p[i] - '0');
	return n;
}

/* 1: this lane's stream has entries behind the cursor; 0: none; -errno. */
static int lane_waits(struct rds *r, unsigned partition, slice lane)
{
	struct rkey cursor = rkey_cursor(partition), stream;
	struct rds_reply *last = NULL, *at = NULL;
	uint32_t id;
	int rc;

	if (!hex32_decode(lane, &id))
		return 0;
	stream = rkey_stream(partition, id);
	rc = rds_askv(r, &last, SLICE("XREVRANGE"), rkey_slice(&stream), SLICE("+"), SLICE("-"),
		SLICE("COUNT"), SLICE("1"));
	if (rc == 0)
		rc = rds_askv(r, &at, SLICE("HGET"), rkey_slice(&cursor), lane);
	if (rc == 0 && rds_len(last) > 0)
		rc = place_of(rds_text(rds_at(rds_at(last, 0), 0))) > place_of(rds_text(at));
	rds_reply_free(&last);
	rds_reply_free(&at);
	return rc;
}

static int64_t partition_waits(struct rds *r, unsigned partition)
{
	struct rkey lanes = rkey_lanes(partition);
	struct rds_reply *rep = NULL;
	int64_t waiting = 0;
	int rc = rds_askv(r, &rep, SLICE("SMEMBERS"), rkey_slice(&lanes));

	for (size_t i = 0; rc >= 0 && i < rds_len(rep); i++) {
		rc = lane_waits(r, partition, rds_text(rds_at(rep, i)));
		waiting += rc > 0;
	}
	rds_reply_free(&rep);
	return rc < 0 ? rc : waiting;
}

int64_t backlog_count(const struct rds_config *redis, const struct config *c)
{
	struct rds_config reader = *redis;
	struct rds *r = NULL;
	int64_t waiting = 0, n;

	reader.follow = true;
	n = rds_open(&r, &reader);

	for (unsigned p = 0; n >= 0 && p < (unsigned)c->store_partitions; p++) {
		n = partition_waits(r, p);
		waiting += n;
	}
	rds_close(&r);
	return n < 0 ? n : waiting;
}
