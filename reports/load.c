#include "reports/load.h"

#include "core/base/must.h"
#include "core/model/account.h"
#include "core/model/rkey.h"
#include "core/parse/num.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static slice own(slice s)
{
	uint8_t *p = must_alloc(s.len);

	if (s.len)
		memcpy(p, s.p, s.len);
	return slice_of(p, s.len);
}

static int by_name(const void *a, const void *b)
{
	const struct campaign *x = *(struct campaign *const *)a, *y = *(struct campaign *const *)b;
	int d = slice_cmp(x->tenant, y->tenant);

	if (!d)
		d = slice_cmp(x->name, y->name);
	return d ? d : (x->key > y->key) - (x->key < y->key);
}

static int by_key(const void *a, const void *b)
{
	const struct campaign *x = *(struct campaign *const *)a, *y = *(struct campaign *const *)b;

	return (x->key > y->key) - (x->key < y->key);
}

static int by_mail(const void *a, const void *b)
{
	const struct provider_tally *x = a, *y = b;

	if (x->tally.sent != y->tally.sent)
		return x->tally.sent < y->tally.sent ? 1 : -1;
	return (int)x->provider - (int)y->provider;
}

static int by_link(const void *a, const void *b)
{
	const struct link_tally *x = a, *y = b;

	return (int)x->link - (int)y->link;
}

/* An error reply where data was expected: LOADING, NOAUTH, a foreign type. */
static int expect(const struct rds_reply *rep, enum rds_kind kind)
{
	if (rds_kind(rep) == kind || rds_kind(rep) == RDS_NIL)
		return 0;
	return -EPROTO;
}

static void read_head(struct campaign *c, const struct rds_reply *hash)
{
	for (size_t i = 0; i + 1 < rds_len(hash); i += 2) {
		slice field = rds_text(rds_at(hash, i)), value = rds_text(rds_at(hash, i + 1));

		if (slice_eq(field, SLICE("tenant")) && !c->tenant.p)
			c->tenant = own(value);
		else if (slice_eq(field, SLICE("name")) && !c->name.p)
			c->name = own(value);
		else if (slice_eq(field, SLICE("version")))
			c->version = (uint64_t)rds_int(rds_at(hash, i + 1));
		else
			for (unsigned k = 0; k < COUNTER_COUNT; k++)
				if (slice_eq(field, slice_str(counter_word(k))))
					c->counter[k] = (uint64_t)rds_int(rds_at(hash, i + 1));
	}
}

/* Fields "<link>:human" and "<link>:machine". */
static void read_links(struct campaign *c, const struct rds_reply *hash)
{
	c->links = must_zalloc(sizeof *c->links * (rds_len(hash) / 2));
	for (size_t i = 0; i + 1 < rds_len(hash); i += 2) {
		slice field = rds_text(rds_at(hash, i));
		size_t colon = slice_chr(field, ':', 0), at = 0;
		uint64_t n, hits = (uint64_t)rds_int(rds_at(hash, i + 1));

		if (colon == SLICE_NPOS || num_decode(slice_sub(field, 0, colon), UINT16_MAX, &n) < 0)
			continue;
		while (at < c->link_count && c->links[at].link != n)
			at++;
		if (at == c->link_count)
			c->links[c->link_count++].link = (uint16_t)n;
		if (slice_eq(slice_from(field, colon + 1), SLICE("human")))
			c->links[at].human = hits;
		else
			c->links[at].machine = hits;
	}
	qsort(c->links, c->link_count, sizeof *c->links, by_link);
}

/* The facts that a tally needs of one lane. */
static bool wanted(unsigned f)
{
	return fact_form(f) == FACT_BITS || f == FACT_provider;
}

static int load_lane(struct rds *r, struct campaign *c, unsigned partition, uint32_t lane_id,
	struct tally by_provider[TALLY_PROVIDERS])
{
	struct rds_reply *rep[FACT_COUNT] = {NULL};
	struct tally_lane lane = {0};
	int rc = 0;

	for (unsigned f = 0; f < FACT_COUNT; f++) {
		if (wanted(f)) {
			struct rkey k = rkey_fact(partition, c->key, lane_id, f);

			rds_putv(r, SLICE("GET"), rkey_slice(&k));
		}
	}
	for (unsigned f = 0; f < FACT_COUNT && rc == 0; f++) {
		if (!wanted(f))
			continue;
		rc = rds_get(r, &rep[f]);
		if (rc == 0)
			rc = expect(rep[f], RDS_STRING);
		if (rc == 0)
			lane.fact[f] = rds_text(rep[f]);
	}
	if (rc == 0)
		tally_add(&lane, &c->total, by_provider);
	for (unsigned f = 0; f < FACT_COUNT; f++)
		rds_reply_free(&rep[f]);
	return rc;
}

static void keep_providers(struct campaign *c, const struct tally by_provider[TALLY_PROVIDERS])
{
	static const struct tally nothing;

	c->providers = must_alloc(sizeof *c->providers * TALLY_PROVIDERS);
	for (unsigned i = 0; i < TALLY_PROVIDERS; i++)
		if (memcmp(&by_provider[i], &nothing, sizeof nothing) != 0)
			c->providers[c->provider_count++] =
				(struct provider_tally){(uint8_t)i, by_provider[i]};
	qsort(c->providers, c->provider_count, sizeof *c->providers, by_mail);
}

/* Facts, head and links come in separate commands while the fold goes on
 * writing; the version read before and after tells whether they belong
 * together. */
static int load_campaign_once(
	struct rds *r, unsigned partition, uint64_t key, struct campaign **out, bool *torn)
{
	struct rkey head_key = rkey_campaign(partition, key), lanes_key = rkey_campaign_lanes(partition, key),
		    links_key = rkey_links(partition, key);
	struct tally *by_provider = must_zalloc(sizeof *by_provider * TALLY_PROVIDERS);
	struct rds_reply *head = NULL, *lanes = NULL, *links = NULL, *again = NULL;
	struct campaign *c = must_zalloc(sizeof *c);
	int rc;

	c->refs = 1;
	c->key = key;
	*out = NULL;
	rc = rds_askv(r, &head, SLICE("HGETALL"), rkey_slice(&head_key));
	if (rc == 0)
		rc = expect(head, RDS_ARRAY);
	if (rc < 0)
		goto out;
	read_head(c, head);
	rc = rds_askv(r, &lanes, SLICE("SMEMBERS"), rkey_slice(&lanes_key));
	if (rc == 0)
		rc = expect(lanes, RDS_ARRAY);
	for (size_t i = 0; rc == 0 && i < rds_len(lanes); i++) {
		uint32_t lane;

		if (hex32_decode(rds_text(rds_at(lanes, i)), &lane))
			rc = load_lane(r, c, partition, lane, by_provider);
	}
	if (rc == 0)
		rc = rds_askv(r, &links, SLICE("HGETALL"), rkey_slice(&links_key));
	if (rc == 0)
		rc = expect(links, RDS_ARRAY);
	if (rc == 0)
		rc = rds_askv(r, &again, SLICE("HGET"), rkey_slice(&head_key), SLICE("version"));
	if (rc < 0)
		goto out;
	*torn = (uint64_t)rds_int(again) != c->version;
	read_links(c, links);
	keep_providers(c, by_provider);
	*out = c;
	c = NULL;
out:
	rds_reply_free(&head);
	rds_reply_free(&lanes);
	rds_reply_free(&links);
	rds_reply_free(&again);
	free(by_provider);
	if (c)
		picture_drop_campaign(c);
	return rc;
}

/* A busy campaign changes while it is read: after some tries a reading that is
 * a commit or two wide is taken, and the next picture corrects it, since its
 * version is then already behind. */
#define LOAD_TRIES 5

static int load_campaign(struct rds *r, unsigned partition, uint64_t key, struct campaign **out)
{
	bool torn = true;
	int rc = 0;

	*out = NULL;
	for (int i = 0; i < LOAD_TRIES && torn && rc == 0; i++) {
		if (*out)
			picture_drop_campaign(*out);
		rc = load_campaign_once(r, partition, key, out, &torn);
	}
	return rc;
}

static struct campaign *unchanged(const struct picture *before, uint64_t key, uint64_t version)
{
	const struct campaign wanted = {.key = key}, *w = &wanted;
	struct campaign **hit = before && before->count ? bsearch(&w, before->by_key, before->count,
								  sizeof *before->by_key, by_key)
							: NULL;

	return hit && version && (*hit)->version == version ? *hit : NULL;
}

/* Both orders, once all are there. */
static void put_in_order(struct picture *p)
{
	if (p->count == 0)
		return;
	p->by_key = must_alloc(sizeof *p->by_key * p->count);
	memcpy(p->by_key, p->campaigns, sizeof *p->by_key * p->count);
	qsort(p->by_key, p->count, sizeof *p->by_key, by_key);
	qsort(p->campaigns, p->count, sizeof *p->campaigns, by_name);
}

static int load_partition(struct rds *r, unsigned partition, const struct picture *known, struct picture *p)
{
	struct rkey set_key = rkey_campaigns(partition);
	struct rds_reply *set = NULL;
	int rc = rds_askv(r, &set, SLICE("SMEMBERS"), rkey_slice(&set_key));

	if (rc == 0)
		rc = expect(set, RDS_ARRAY);
	if (rc == 0 && rds_len(set))
		p->campaigns = must_realloc(p->campaigns, sizeof *p->campaigns * (p->count + rds_len(set)));
	for (size_t i = 0; rc == 0 && i < rds_len(set); i++) {
		struct rds_reply *version = NULL;
		struct campaign *c;
		struct rkey k;
		uint64_t key;

		if (!hex64_decode(rds_text(rds_at(set, i)), &key))
			continue;
		k = rkey_campaign(partition, key);
		rc = rds_askv(r, &version, SLICE("HGET"), rkey_slice(&k), SLICE("version"));
		if (rc < 0)
			break;
		c = unchanged(known, key, (uint64_t)rds_int(version));
		rds_reply_free(&version);
		if (c)
			__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
		else
			rc = load_campaign(r, partition, key, &c);
		if (c)
			p->campaigns[p->count++] = c;
	}
	rds_reply_free(&set);
	return rc;
}

static int load_accounts(struct rds *r, struct picture *p, uint64_t *oldest_ms)
{
	struct rds_reply *rep = NULL;
	int rc = rds_askv(r, &rep, SLICE("HGETALL"), SLICE(RKEY_PRODUCERS));

	if (rc == 0)
		rc = expect(rep, RDS_ARRAY);
	for (size_t i = 0; rc == 0 && i + 1 < rds_len(rep); i += 2) {
		struct account a;

		if (account_decode(rds_text(rds_at(rep, i + 1)), &a) < 0)
			continue;
		p->lost += a.lost;
		p->backlog += a.made - a.shipped - a.lost;
		/* A producer that has been silent for long is gone, not late. */
		if (a.ms < *oldest_ms && a.ms + 60000 > p->taken_ms)
			*oldest_ms = a.ms;
	}
	rds_reply_free(&rep);
	return rc;
}

/* Is the cursor of every stream of the partition at the stream's end? */
static int load_lag(struct rds *r, unsigned partition, bool *behind)
{
	struct rkey lanes_key = rkey_lanes(partition), cursor_key = rkey_cursor(partition);
	struct rds_reply *lanes = NULL;
	int rc = rds_askv(r, &lanes, SLICE("SMEMBERS"), rkey_slice(&lanes_key));

	if (rc == 0)
		rc = expect(lanes, RDS_ARRAY);
	for (size_t i = 0; rc == 0 && i < rds_len(lanes); i++) {
		slice lane_text = rds_text(rds_at(lanes, i));
		struct rds_reply *cursor = NULL, *last = NULL;
		struct rkey stream_key;
		uint32_t lane;

		if (!hex32_decode(lane_text, &lane))
			continue;
		stream_key = rkey_stream(partition, lane);
		rc = rds_askv(r, &cursor, SLICE("HGET"), rkey_slice(&cursor_key), lane_text);
		if (rc == 0)
			rc = rds_askv(r, &last, SLICE("XREVRANGE"), rkey_slice(&stream_key), SLICE("+"),
				SLICE("-"), SLICE("COUNT"), SLICE("1"));
		if (rc == 0)
			rc = expect(cursor, RDS_STRING);
		if (rc == 0)
			rc = expect(last, RDS_ARRAY);
		if (rc == 0 && rds_len(last) == 1 && rds_len(rds_at(last, 0)) >= 1) {
			slice id = rds_text(rds_at(rds_at(last, 0), 0));
			size_t dash = slice_chr(id, '-', 0);
			uint64_t pos = 0, done = 0;

			num_decode(slice_sub(id, 0, dash), UINT64_MAX, &pos);
			num_decode(rds_text(cursor), UINT64_MAX, &done);
			if (pos > done)
				*behind = true;
		}
		rds_reply_free(&cursor);
		rds_reply_free(&last);
	}
	rds_reply_free(&lanes);
	return rc;
}

int load_picture(
	struct rds *r, const struct picture *before, bool known, uint64_t now_ms, struct picture **out)
{
	struct picture *p = must_zalloc(sizeof *p);
	uint64_t partitions = 0, oldest_ms = now_ms;
	struct rds_reply *rep = NULL;
	bool behind = false;
	int rc;

	*out = NULL;
	p->refs = 1;
	p->taken_ms = now_ms;
	rc = rds_askv(r, &rep, SLICE("HGET"), SLICE(RKEY_META), SLICE("partitions"));
	if (rc == 0)
		rc = expect(rep, RDS_STRING);
	if (rc < 0)
		goto out;
	partitions = (uint64_t)rds_int(rep); /* 0: the store was never used */
	/* The accounts first: what they call shipped is then in the streams. */
	rc = load_accounts(r, p, &oldest_ms);
	for (unsigned i = 0; rc == 0 && i < partitions; i++)
		rc = load_lag(r, i, &behind);
	for (unsigned i = 0; rc == 0 && i < partitions; i++)
		rc = load_partition(r, i, known ? before : NULL, p);
	if (rc < 0)
		goto out;
	if (p->backlog == 0 && !behind)
		p->folded_until_ms = oldest_ms;
	else if (before)
		p->folded_until_ms = before->folded_until_ms;
	put_in_order(p);
	*out = p;
	p = NULL;
out:
	rds_reply_free(&rep);
	picture_drop(&p);
	return rc;
}
