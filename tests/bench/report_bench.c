/* "Accepted and not opened, by provider", from cold Redis: how long reports takes
 * to read a campaign of which it knows nothing, and then to answer.
 *
 *	report_bench SOCKET MESSAGES ROWS
 *
 * Fills the Redis at that socket (which is emptied!) with the strings that the
 * fold would have made, and writes the same as rows for others: ROWS/sent (recipient,
 * provider, accepted) and ROWS/views (recipient, class). tests/bench/report.py asks
 * them. */
#include "core/base/must.h"
#include "core/base/slice.h"
#include "core/model/event.h"
#include "core/model/rkey.h"
#include "core/parse/num.h"
#include "reports/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define CAMPAIGN 0x1000
#define LANE 1
#define PROVIDERS 20
#define ROUNDS 15

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t draw(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static bool chance(unsigned of_1000)
{
	return draw() % 1000 < of_1000;
}

struct facts {
	uint8_t *fact[FACT_COUNT]; /* owned */
	uint64_t messages;
};

static void set(struct facts *f, enum fact fact, uint64_t i)
{
	f->fact[fact][i / 8] |= (uint8_t)(0x80 >> i % 8);
}

static void view(struct facts *f, FILE *views, uint64_t i, enum hit_class class)
{
	set(f,
		class == CLASS_PREFETCH ? FACT_opened_prefetch
		: class == CLASS_PROXY  ? FACT_opened_proxy
					: FACT_opened_human,
		i);
	fprintf(views, "%llu,%d\n", (unsigned long long)i, (int)class);
}

/* 97 % accepted, the others bounced; of the accepted 15 % prefetched, 30 % opened,
 * a third of these through a proxy and again later; half of the mail goes to two
 * providers. */
static void make(struct facts *f, const char *rows)
{
	FILE *sent, *views;
	char path[256];

	for (unsigned i = 0; i < FACT_COUNT; i++)
		f->fact[i] = must_zalloc(fact_bytes(i) ? f->messages * fact_bytes(i) : f->messages / 8 + 1);
	snprintf(path, sizeof path, "%s/sent", rows);
	sent = fopen(path, "w");
	snprintf(path, sizeof path, "%s/views", rows);
	views = fopen(path, "w");
	must(sent && views);
	for (uint64_t i = 0; i < f->messages; i++) {
		uint8_t provider = (uint8_t)(1 + (chance(500) ? draw() % 2 : draw() % PROVIDERS));
		bool ok = chance(970);
		unsigned kind = (unsigned)(draw() % 100);

		set(f, FACT_sent, i);
		set(f, ok ? FACT_accepted : FACT_bounced_hard, i);
		f->fact[FACT_provider][i] = provider;
		fprintf(sent, "%llu,%d,%d\n", (unsigned long long)i, provider, ok);
		if (!ok)
			continue;
		if (kind < 15)
			view(f, views, i, CLASS_PREFETCH);
		else if (kind < 25)
			view(f, views, i, CLASS_PROXY);
		else if (kind < 45)
			view(f, views, i, CLASS_HUMAN);
		if (kind >= 15 && kind < 25)
			view(f, views, i, CLASS_PROXY);
	}
	must(fclose(sent) == 0 && fclose(views) == 0);
}

static void ask(struct rds *r, int argc, const slice *argv)
{
	struct rds_reply *rep;

	must(rds_ask(r, &rep, argc, argv) == 0 && rds_kind(rep) != RDS_ERROR);
	rds_reply_free(&rep);
}

static void fill(struct rds *r, const struct facts *f)
{
	struct rkey all = rkey_campaigns(0), head = rkey_campaign(0, CAMPAIGN);
	struct rkey lanes = rkey_campaign_lanes(0, CAMPAIGN);

	ask(r, 1, &SLICE("FLUSHALL"));
	ask(r, 4, (slice[]){SLICE("HSET"), SLICE(RKEY_META), SLICE("partitions"), SLICE("1")});
	ask(r, 3, (slice[]){SLICE("SADD"), rkey_slice(&all), SLICE("0000000000001000")});
	ask(r, 8,
		(slice[]){SLICE("HSET"), rkey_slice(&head), SLICE("tenant"), SLICE("bench"), SLICE("name"),
			SLICE("spring"), SLICE("version"), SLICE("1")});
	ask(r, 3, (slice[]){SLICE("SADD"), rkey_slice(&lanes), SLICE("00000001")});
	for (unsigned i = 0; i < FACT_COUNT; i++) {
		struct rkey key = rkey_fact(0, CAMPAIGN, LANE, i);
		slice s = slice_of(
			f->fact[i], fact_bytes(i) ? f->messages * fact_bytes(i) : (f->messages + 7) / 8);
		bool any = s.len && (s.p[0] || memcmp(s.p, s.p + 1, s.len - 1) != 0);

		if (any)
			ask(r, 3, (slice[]){SLICE("SET"), rkey_slice(&key), s});
		free(f->fact[i]);
	}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* As the page of the campaign has it: who accepted, less who was seen. */
static uint64_t answer(const struct picture *p, uint64_t count[TALLY_PROVIDERS])
{
	const struct campaign *c = p->by_key[0];
	uint64_t sum = 0;

	for (size_t i = 0; i < c->provider_count; i++) {
		const struct tally *t = &c->providers[i].tally;

		sum += count[c->providers[i].provider] = t->accepted - t->confirmed;
	}
	return sum;
}

static void measure(const struct rds_config *cfg)
{
	uint64_t count[TALLY_PROVIDERS] = {0}, sum = 0;
	double wall[ROUNDS], own[ROUNDS], warm;
	struct picture *p = NULL;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct rds *r;

		picture_drop(&p);
		wall[i] = now();
		own[i] = cpu();
		must(rds_open(&r, cfg) == 0 && load_picture(r, NULL, false, 0, &p) == 0);
		sum = answer(p, count);
		own[i] = cpu() - own[i];
		wall[i] = now() - wall[i];
		rds_close(&r);
	}
	warm = now();
	for (unsigned i = 0; i < 1000; i++)
		must(answer(p, count) == sum);
	warm = (now() - warm) / 1000;
	qsort(wall, ROUNDS, sizeof *wall, by_size);
	qsort(own, ROUNDS, sizeof *own, by_size);
	printf("cold %.3f ms, of which %.3f ms of its CPU; least %.3f ms; known %.6f ms\n",
		wall[ROUNDS / 2] * 1e3, own[ROUNDS / 2] * 1e3, wall[0] * 1e3, warm * 1e3);
	for (unsigned i = 0; i < TALLY_PROVIDERS; i++)
		if (count[i])
			printf("provider %u %llu\n", i, (unsigned long long)count[i]);
	picture_drop(&p);
}

int main(int argc, char **argv)
{
	struct facts f = {.messages = 0};
	struct rds_config cfg = {.timeout_ms = 60000};
	struct rds *r;

	if (argc != 4 || num_decode(slice_str(argv[2]), 60000000, &f.messages) < 0 || f.messages == 0) {
		fputs("usage: report_bench SOCKET MESSAGES ROWS\n", stderr);
		return 2;
	}
	cfg.socket = argv[1];
	make(&f, argv[3]);
	must(rds_open(&r, &cfg) == 0);
	fill(r, &f);
	rds_close(&r);
	measure(&cfg);
	return 0;
}
