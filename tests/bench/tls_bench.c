/* What TLS costs, without sockets: handshakes a second of the server's side and
 * of the client's, and messages of 30 KB through a connection that is kept.
 *
 *	build/release/bench/tls_bench [ROUNDS]
 *
 * User and system CPU time of this thread; medians of ROUNDS (7). The limit is what
 * `openssl speed ecdsap256 ecdhx25519` says: a server signs once and makes two
 * steps of X25519 in a handshake; a client does those, and verifies once for each
 * signature that it is shown. */
#include "core/base/must.h"
#include "core/io/tls.h"
#include "tests/certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define HANDSHAKES 400
#define MESSAGE (30 * 1024)
#define MESSAGES 4000
#define MAX_ROUNDS 100

static double cpu(void)
{
	struct rusage u;

	must(getrusage(RUSAGE_THREAD, &u) == 0);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* What from says goes to to; its plain text is dropped. The time that to took. */
static double give(struct tls *from, struct tls *to)
{
	static uint8_t text[TLS_AHEAD];
	slice in = buf_slice(tls_out(from));
	double began = cpu();

	while (tls_read(to, &in, text, sizeof text) > 0)
		;
	buf_drop(tls_out(from), tls_out(from)->len);
	return cpu() - began;
}

static void shake(struct tls *client, struct tls *server, double *client_s, double *server_s)
{
	while (tls_out(client)->len + tls_out(server)->len > 0) {
		*server_s += give(client, server);
		*client_s += give(server, client);
	}
	must(tls_up(client) && tls_up(server));
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof *v, by_size);
	return v[n / 2];
}

static void handshakes(
	struct tls_context *server, struct tls_context *client, double *client_s, double *server_s)
{
	for (int i = 0; i < HANDSHAKES; i++) {
		double began = cpu();
		struct tls *s = tls_open(server, NULL), *c;

		*server_s += cpu() - began;
		began = cpu();
		c = tls_open(client, "mx.test");
		*client_s += cpu() - began;
		shake(c, s, client_s, server_s);
		began = cpu();
		tls_close(&c);
		*client_s += cpu() - began;
		began = cpu();
		tls_close(&s);
		*server_s += cpu() - began;
	}
	*client_s /= HANDSHAKES;
	*server_s /= HANDSHAKES;
}

static void messages(struct tls_context *server, struct tls_context *client, double *write_s, double *read_s)
{
	static uint8_t message[MESSAGE];
	struct tls *s = tls_open(server, NULL), *c = tls_open(client, "mx.test");
	double none = 0;

	shake(c, s, &none, &none);
	for (int i = 0; i < MESSAGES; i++) {
		double began = cpu();

		must(tls_write(c, slice_of(message, sizeof message)) == MESSAGE);
		*write_s += cpu() - began;
		*read_s += give(c, s);
	}
	tls_close(&c);
	tls_close(&s);
	*write_s /= MESSAGES;
	*read_s /= MESSAGES;
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 7;
	char dir[] = "/tmp/tls_bench.XXXXXX", command[64];
	static const char *const kinds[] = {"ecdsa", "rsa"};
	static double figure[2][4][MAX_ROUNDS];
	struct tls_context *server[2], *client;
	char path[64], key[80], pem[80];
	struct buf why;

	must(rounds > 0 && rounds <= MAX_ROUNDS && mkdtemp(dir));
	buf_init(&why, 1000);
	snprintf(path, sizeof path, "%s/ca", dir);
	certs_make(path, &(struct certs_want){.ca = true});
	snprintf(pem, sizeof pem, "%s/ca.pem", dir);
	must(tls_client_open(&client, true, pem, &why) == 0);
	for (int i = 0; i < 2; i++) {
		char leaf[64];

		snprintf(leaf, sizeof leaf, "%s/%s", dir, kinds[i]);
		certs_make(leaf, &(struct certs_want){.issuer = path, .names = "DNS:mx.test", .rsa = i == 1});
		snprintf(pem, sizeof pem, "%s.pem", leaf);
		snprintf(key, sizeof key, "%s.key", leaf);
		must(tls_server_open(&server[i], pem, key, &why) == 0);
	}
	for (unsigned r = 0; r < rounds; r++) {
		for (int i = 0; i < 2; i++) {
			double f[4] = {0};

			handshakes(server[i], client, &f[0], &f[1]);
			messages(server[i], client, &f[2], &f[3]);
			for (int k = 0; k < 4; k++)
				figure[i][k][r] = f[k];
		}
	}
	for (int i = 0; i < 2; i++) {
		double c = median(figure[i][0], rounds), s = median(figure[i][1], rounds);

		printf("%-5s server %6.0f us a handshake %6.0f/s   client, verifying %6.0f us %6.0f/s\n",
			kinds[i], s * 1e6, 1 / s, c * 1e6, 1 / c);
		printf("%-5s 30 KB: write %5.1f us %5.0f MB/s   read %5.1f us %5.0f MB/s\n", kinds[i],
			median(figure[i][2], rounds) * 1e6, MESSAGE / 1e6 / median(figure[i][2], rounds),
			median(figure[i][3], rounds) * 1e6, MESSAGE / 1e6 / median(figure[i][3], rounds));
		tls_context_close(&server[i]);
	}
	tls_context_close(&client);
	buf_free(&why);
	snprintf(command, sizeof command, "rm -r %s", dir);
	return system(command) != 0;
}
