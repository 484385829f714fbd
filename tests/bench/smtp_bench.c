/* What a message of 30 KB costs in the SMTP code alone, without sockets and
 * without rewriting: the reader, the check, the writer, and a whole transaction
 * through the relay. */
#include "core/base/must.h"
#include "tests/pool.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS 20
#define CALLS 500
#define SIZE 30000

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The least of some rounds: what the code costs, not what the machine did. */
#define MEASURE(best, body)                                                                                  \
	do {                                                                                                 \
		best = 1e18;                                                                                 \
		for (int round = 0; round < ROUNDS; round++) {                                               \
			double t0 = now();                                                                   \
			for (int call = 0; call < CALLS; call++) {                                           \
				body;                                                                        \
			}                                                                                    \
			t0 = (now() - t0) / CALLS;                                                           \
			best = t0 < best ? t0 : best;                                                        \
		}                                                                                            \
	} while (0)

static bool alone(void *arg, const struct envelope *e, unsigned i)
{
	(void)arg, (void)e, (void)i;
	return false;
}

static bool known(void *arg, const struct envelope *e, unsigned i, slice message)
{
	(void)arg, (void)e, (void)i, (void)message;
	return false;
}

static void prepare(
	void *arg, const struct envelope *e, unsigned i, slice message, uint64_t size, struct relay_copy *c)
{
	(void)arg, (void)e, (void)i, (void)message, (void)size, (void)c;
}

static bool taken(void *arg, struct relay_copy *c, slice text)
{
	(void)arg, (void)c, (void)text;
	return false;
}

static void sync_wanted(void *arg)
{
	(void)arg;
}

static void answered(
	void *arg, const struct envelope *e, slice message, const struct relay_outcome *o, bool mixed)
{
	(void)arg, (void)e, (void)message;
	must(o->code == 250 && !mixed);
}

static void transaction(struct relay *r, struct pool *p, slice wire)
{
	relay_client_in(r, SLICE("MAIL FROM:<a@b.example>\r\nRCPT TO:<u@c.example>\r\nDATA\r\n"));
	pool_tend(p, r);
	relay_hop_in(r, SLICE("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"));
	relay_client_in(r, wire);
	relay_hop_in(r, SLICE("354 go on\r\n"));
	buf_clear(&p->x.out);
	relay_hop_in(r, SLICE("250 2.0.0 Ok: queued as X\r\n"));
	buf_clear(&r->session.out);
	pool_tend(p, r);
}

int main(void)
{
	static const struct relay_world world = {alone, alone, known, prepare, taken, sync_wanted, answered};
	struct session_config cfg = {.host = SLICE("bench"), .max_message = 1 << 20};
	struct buf wire, message, again;
	struct smtp_data d;
	struct smtp_stuff s;
	struct pool pool;
	struct relay r;
	double us;

	buf_init(&wire, 1 << 20);
	buf_init(&message, 1 << 20);
	buf_init(&again, 1 << 20);
	while (wire.len < SIZE)
		buf_str(&wire,
			"\t<td><a href=3D\"https://shop.example/item?id=3D12345\">Item of the week</a>\r\n");
	buf_str(&wire, ".\r\n");
	MEASURE(us, smtp_data_init(&d); buf_clear(&message); smtp_data_feed(&d, buf_slice(&wire), &message));
	must(smtp_data_done(&d) && !d.refused);
	printf("read    %6.2f us  %5.1f GB/s\n", us, SIZE / us / 1e3);
	MEASURE(us, must(smtp_text_check(buf_slice(&message)) == 0));
	printf("check   %6.2f us  %5.1f GB/s\n", us, SIZE / us / 1e3);
	MEASURE(us, buf_clear(&again); smtp_stuff_init(&s, buf_slice(&message));
		must(smtp_stuff_put(&s, &again, SIZE_MAX / 2)));
	must(slice_eq(buf_slice(&again), buf_slice(&wire)));
	printf("write   %6.2f us  %5.1f GB/s\n", us, SIZE / us / 1e3);
	relay_init(&r, &cfg, NULL, &world, NULL);
	pool_init(&pool, cfg.host);
	pool_connect(&pool);
	pool_in(&pool, &r, SLICE("220 hop\r\n250-hop\r\n250 PIPELINING\r\n"));
	pool_tend(&pool, &r);
	relay_client_in(&r, SLICE("EHLO c\r\n"));
	MEASURE(us, transaction(&r, &pool, buf_slice(&wire)));
	printf("whole   %6.2f us a transaction of %d bytes\n", us, SIZE);
	relay_free(&r);
	exchange_free(&pool.x);
	buf_free(&wire);
	buf_free(&message);
	buf_free(&again);
	return 0;
}
