#include "core/base/must.h"
#include "core/io/tls.h"
#include "tests/certs.h"
#include "tests/testing.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/tls_test.XXXXXX";

/* Paths below dir: a ring, good for some calls. */
static const char *at(const char *name)
{
	static char ring[8][96];
	static unsigned next;
	char *p = ring[next++ % 8];

	must(snprintf(p, sizeof *ring, "%s/%s", dir, name) < (int)sizeof *ring);
	return p;
}

static int make_all(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	certs_make(at("ca"), &(struct certs_want){.ca = true});
	certs_make(at("other-ca"), &(struct certs_want){.ca = true, .rsa = true});
	certs_make(at("middle"), &(struct certs_want){.ca = true, .issuer = at("ca")});
	certs_make(
		at("ecdsa"), &(struct certs_want){.issuer = at("ca"), .names = "DNS:mx.test,IP:127.0.0.1"});
	certs_make(at("rsa"), &(struct certs_want){.issuer = at("ca"), .names = "DNS:mx.test", .rsa = true});
	certs_make(at("chain"),
		&(struct certs_want){.issuer = at("middle"), .names = "DNS:mx.test", .chain = true});
	certs_make(at("half"), &(struct certs_want){.issuer = at("middle"), .names = "DNS:mx.test"});
	certs_make(at("expired"),
		&(struct certs_want){
			.issuer = at("ca"), .names = "DNS:mx.test", .from_day = -10, .to_day = -1});
	certs_make(at("future"),
		&(struct certs_want){.issuer = at("ca"), .names = "DNS:mx.test", .from_day = 2});
	certs_make(at("self"), &(struct certs_want){.names = "DNS:mx.test"});
	certs_make(at("wild"), &(struct certs_want){.issuer = at("ca"), .names = "DNS:*.mail.test"});
	certs_make(at("locked"), &(struct certs_want){.pass_phrase = "secret"});
	return 0;
}

static int drop_all(void **state)
{
	char command[96];

	(void)state;
	snprintf(command, sizeof command, "rm -r %s", dir);
	return system(command);
}

static struct tls_context *server_of(const char *name)
{
	struct tls_context *c;
	char pem[32], key[32];
	struct buf why;

	buf_init(&why, 1024);
	snprintf(pem, sizeof pem, "%s.pem", name);
	snprintf(key, sizeof key, "%s.key", name);
	if (tls_server_open(&c, at(pem), at(key), &why) < 0)
		fail_msg("%.*s", SLICE_FMT(buf_slice(&why)));
	buf_free(&why);
	return c;
}

static struct tls_context *client_of(bool verify, const char *ca)
{
	struct tls_context *c;
	struct buf why;

	buf_init(&why, 1024);
	if (tls_client_open(&c, verify, ca ? at(ca) : "", &why) < 0)
		fail_msg("%.*s", SLICE_FMT(buf_slice(&why)));
	buf_free(&why);
	return c;
}

/* A client and a server in memory, and the wire between them. */

enum { CLIENT, SERVER };

struct end {
	struct tls *tls;
	struct buf plain, got; /* still to be said; heard */
	slice in;
	struct buf unread; /* what of the wire was not taken */
	int rc;
};

struct pair {
	struct end end[2];
	size_t piece;    /* the wire gives so many bytes at a time; 0: all */
	size_t split;    /* or: so many in all, then the rest; 0: not */
	size_t wired[2]; /* bytes that came from this end */
	bool guard;
	struct buf *record[2]; /* what went over the wire, where wanted */
};

static void pair_open(
	struct pair *p, struct tls_context *server, struct tls_context *client, const char *name)
{
	*p = (struct pair){0};
	p->end[CLIENT].tls = tls_open(client, name);
	p->end[SERVER].tls = tls_open(server, NULL);
	for (int i = 0; i < 2; i++) {
		buf_init(&p->end[i].plain, 64 << 20);
		buf_init(&p->end[i].got, 64 << 20);
		buf_init(&p->end[i].unread, 1 << 20);
	}
}

static void pair_close(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		tls_close(&p->end[i].tls);
		buf_free(&p->end[i].plain);
		buf_free(&p->end[i].got);
		buf_free(&p->end[i].unread);
	}
}

static void hear(struct end *e)
{
	uint8_t text[5000];
	ssize_t n;

	while ((n = tls_read(e->tls, &e->in, text, sizeof text)) > 0)
		buf_put(&e->got, slice_of(text, (size_t)n));
	e->rc = (int)n;
	if (n == 0)
		assert_int_equal(e->in.len, 0);
}

static void speak(struct end *e)
{
	ssize_t n = tls_write(e->tls, buf_slice(&e->plain));

	if (n > 0)
		buf_drop(&e->plain, (size_t)n);
	assert_in_range(tls_out(e->tls)->len, 0, TLS_AHEAD + 2 * 17000);
}

/* Carry one portion from one end to the other. False: there was nothing. */
static bool carry(struct pair *p, int from)
{
	struct end *a = &p->end[from], *b = &p->end[!from];
	struct buf *out = tls_out(a->tls);
	size_t n = out->len;
	slice s;

	if (n == 0)
		return false;
	if (p->piece && n > p->piece)
		n = p->piece;
	if (p->split > p->wired[from] && n > p->split - p->wired[from])
		n = p->split - p->wired[from];
	p->wired[from] += n;
	s = slice_sub(buf_slice(out), 0, n);
	if (p->record[from])
		buf_put(p->record[from], s);
	if (p->guard)
		s = test_guard(s);
	b->in = s;
	hear(b);
	if (p->guard)
		test_unguard(s);
	buf_drop(out, n);
	return true;
}

/* Until nothing moves. */
static void run(struct pair *p)
{
	bool moved;

	do {
		moved = false;
		for (int i = 0; i < 2; i++) {
			speak(&p->end[i]);
			moved |= carry(p, i);
		}
	} while (moved);
}

static void say(struct pair *p, int who, const char *text)
{
	buf_str(&p->end[who].plain, text);
}

static void expect(struct pair *p, int who, const char *text)
{
	test_slices_equal(text, buf_slice(&p->end[who].got), slice_str(text));
	buf_clear(&p->end[who].got);
}

static bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

static void levels(void **state)
{
	enum tls_level l;

	(void)state;
	for (int i = TLS_NONE; i <= TLS_VERIFY; i++) {
		assert_true(tls_level_decode(slice_str(tls_level_word((enum tls_level)i)), &l));
		assert_int_equal(l, i);
	}
	assert_false(tls_level_decode(SLICE("dane"), &l));
	assert_false(tls_level_decode(SLICE(""), &l));
	assert_false(tls_level_decode(SLICE("non"), &l));
}

static void conversation(struct pair *p)
{
	say(p, CLIENT, "EHLO client.test\r\n");
	run(p);
	assert_true(tls_up(p->end[CLIENT].tls) && tls_up(p->end[SERVER].tls));
	expect(p, SERVER, "EHLO client.test\r\n");
	say(p, SERVER, "250 mx.test\r\n");
	run(p);
	expect(p, CLIENT, "250 mx.test\r\n");
	tls_end(p->end[SERVER].tls);
	run(p);
	assert_int_equal(p->end[CLIENT].rc, -ESHUTDOWN);
	assert_int_equal(tls_cut(p->end[CLIENT].tls), 0);
	/* One end has closed: the other may still speak. */
	say(p, CLIENT, "QUIT\r\n");
	run(p);
	expect(p, SERVER, "QUIT\r\n");
	tls_end(p->end[CLIENT].tls);
	run(p);
	assert_int_equal(p->end[SERVER].rc, -ESHUTDOWN);
	assert_int_equal(tls_cut(p->end[SERVER].tls), 0);
	assert_string_equal(tls_why(p->end[SERVER].tls), "");
	assert_int_equal(tls_write(p->end[SERVER].tls, SLICE("x")), -EPROTO);
}

static void good(void **state)
{
	static const struct {
		const char *server, *name;
	} rows[] = {{"ecdsa", "mx.test"}, {"ecdsa", "127.0.0.1"}, {"ecdsa", "MX.test."}, {"rsa", "mx.test"},
		{"chain", "mx.test"}, {"wild", "mx.mail.test"}};
	struct tls_context *client = client_of(true, "ca.pem");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tls_context *server = server_of(rows[i].server);
		struct pair p;
		struct buf about;

		assert_true(tls_context_ends_ms(server) > 0);
		pair_open(&p, server, client, rows[i].name);
		conversation(&p);
		buf_init(&about, 100);
		tls_about(p.end[SERVER].tls, &about);
		test_slices_equal(rows[i].server, buf_slice(&about), SLICE("TLSv1.3 TLS_AES_256_GCM_SHA384"));
		buf_free(&about);
		pair_close(&p);
		tls_context_close(&server);
	}
	tls_context_close(&client);
}

static void every_split(void **state)
{
	struct tls_context *server = server_of("ecdsa"), *client = client_of(true, "ca.pem");
	struct pair p;
	size_t longest;

	(void)state;
	for (size_t piece = 1; piece < 40; piece++) {
		pair_open(&p, server, client, "mx.test");
		p.piece = piece;
		p.guard = true;
		conversation(&p);
		longest = p.wired[CLIENT] > p.wired[SERVER] ? p.wired[CLIENT] : p.wired[SERVER];
		pair_close(&p);
	}
	assert_in_range(longest, 500, 5000);
	for (size_t split = 1; split < longest; split++) {
		pair_open(&p, server, client, "mx.test");
		p.split = split;
		conversation(&p);
		pair_close(&p);
	}
	tls_context_close(&server);
	tls_context_close(&client);
}

static void verification(void **state)
{
	static const struct {
		const char *server, *name, *ca;
		const char *why;   /* of the client; NULL: good */
		const char *alert; /* as the server hears of it */
	} rows[] = {
		{"ecdsa", "mx2.test", "ca.pem", "hostname mismatch", "bad certificate"},
		{"ecdsa", "127.0.0.2", "ca.pem", "IP address mismatch", "bad certificate"},
		{"rsa", "127.0.0.1", "ca.pem", "IP address mismatch", "bad certificate"},
		{"wild", "a.mx.mail.test", "ca.pem", "hostname mismatch", "bad certificate"},
		{"wild", "mail.test", "ca.pem", "hostname mismatch", "bad certificate"},
		{"expired", "mx.test", "ca.pem", "certificate has expired", "certificate expired"},
		{"future", "mx.test", "ca.pem", "certificate is not yet valid", "bad certificate"},
		{"ecdsa", "mx.test", "other-ca.pem", "unable to get local issuer certificate", "unknown ca"},
		{"half", "mx.test", "ca.pem", "unable to get local issuer certificate", "unknown ca"},
		{"self", "mx.test", "ca.pem", "self-signed certificate", "unknown ca"},
		{"self", "mx.test", "self.pem", NULL, NULL},
		{"half", "mx.test", "middle.pem", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tls_context *server = server_of(rows[i].server), *strict = client_of(true, rows[i].ca),
				   *lax = client_of(false, NULL);
		struct pair p;

		pair_open(&p, server, strict, rows[i].name);
		say(&p, CLIENT, "MAIL FROM:<secret@brand.test>\r\n");
		run(&p);
		if (rows[i].why) {
			assert_int_equal(p.end[CLIENT].rc, -EPROTO);
			if (!has(tls_why(p.end[CLIENT].tls), rows[i].why))
				fail_msg("row %zu: \"%s\"", i, tls_why(p.end[CLIENT].tls));
			assert_true(has(tls_why(p.end[CLIENT].tls), "certificate verify failed: "));
			/* Nothing was said to it, and it was told. */
			assert_int_equal(p.end[SERVER].got.len, 0);
			assert_int_equal(p.end[SERVER].rc, -EPROTO);
			if (!has(tls_why(p.end[SERVER].tls), rows[i].alert))
				fail_msg("row %zu: \"%s\"", i, tls_why(p.end[SERVER].tls));
			assert_int_equal(tls_cut(p.end[CLIENT].tls), -EPROTO);
			assert_int_equal(tls_write(p.end[CLIENT].tls, SLICE("x")), -EPROTO);
		} else {
			expect(&p, SERVER, "MAIL FROM:<secret@brand.test>\r\n");
		}
		pair_close(&p);
		/* Without verification all of them do. */
		pair_open(&p, server, lax, rows[i].name);
		conversation(&p);
		pair_close(&p);
		tls_context_close(&server);
		tls_context_close(&strict);
		tls_context_close(&lax);
	}
}

/* Every prefix of what the server says: no end, and no byte that is not whole. */
static void truncated(void **state)
{
	struct tls_context *server = server_of("ecdsa"), *client = client_of(false, NULL);
	struct pair p;
	size_t whole = 0;

	(void)state;
	for (size_t keep = 0;; keep++) {
		struct buf *out;
		slice s;

		pair_open(&p, server, client, "mx.test");
		run(&p);
		say(&p, SERVER, "250 one\r\n");
		speak(&p.end[SERVER]);
		say(&p, SERVER, "250 two\r\n");
		speak(&p.end[SERVER]);
		tls_end(p.end[SERVER].tls);
		out = tls_out(p.end[SERVER].tls);
		s = slice_sub(buf_slice(out), 0, keep);
		p.end[CLIENT].in = s;
		hear(&p.end[CLIENT]);
		assert_true(p.end[CLIENT].got.len % 9 == 0);
		whole = out->len;
		if (keep < whole) {
			assert_int_equal(p.end[CLIENT].rc, 0);
			assert_int_equal(tls_cut(p.end[CLIENT].tls), -EPROTO);
			assert_true(has(tls_why(p.end[CLIENT].tls), "cut off"));
		} else {
			assert_int_equal(p.end[CLIENT].rc, -ESHUTDOWN);
			assert_int_equal(tls_cut(p.end[CLIENT].tls), 0);
			expect(&p, CLIENT, "250 one\r\n250 two\r\n");
		}
		pair_close(&p);
		if (keep >= whole)
			break;
	}
	/* In the handshake. */
	pair_open(&p, server, client, "mx.test");
	assert_int_equal(tls_cut(p.end[CLIENT].tls), -EPROTO);
	assert_int_equal(tls_cut(p.end[SERVER].tls), -EPROTO);
	assert_true(has(tls_why(p.end[SERVER].tls), "in the handshake"));
	pair_close(&p);
	tls_context_close(&server);
	tls_context_close(&client);
}

/* One bit changed on the way: the record and all behind it is lost, not changed. */
static void bit_flips(void **state)
{
	struct tls_context *server = server_of("ecdsa"), *client = client_of(false, NULL);
	size_t bits = 8;

	(void)state;
	for (size_t bit = 0; bit < bits; bit += 3) {
		struct pair p;
		struct buf *out;

		pair_open(&p, server, client, "mx.test");
		run(&p);
		say(&p, SERVER, "250 one\r\n");
		speak(&p.end[SERVER]);
		out = tls_out(p.end[SERVER].tls);
		bits = out->len * 8;
		out->p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		run(&p);
		assert_int_equal(p.end[CLIENT].got.len, 0);
		/* A longer record is waited for. */
		if (p.end[CLIENT].rc == 0)
			assert_int_equal(tls_cut(p.end[CLIENT].tls), -EPROTO);
		else
			assert_int_equal(p.end[CLIENT].rc, -EPROTO);
		pair_close(&p);
	}
	tls_context_close(&server);
	tls_context_close(&client);
}

static void not_tls(void **state)
{
	static const struct {
		const char *name;
		bool to_client;
		slice bytes;
		const char *why;
	} rows[] = {
		{"commands", false, SLICE("EHLO client.test\r\n"), "does not speak TLS"},
		{"HTTP", false, SLICE("GET / HTTP/1.1\r\n\r\n"), "does not speak TLS"},
		{"replies", true, SLICE("220 mx.test ESMTP\r\n"), "does not speak TLS"},
		{"huge record", false, SLICE("\x16\x03\x01\xff\xff"), "too l"},
		{"huge record to the client", true, SLICE("\x16\x03\x03\xff\xff"), "too l"},
		{"a hello too large", false, SLICE("\x16\x03\x01\x40\x00\x01\xff\xff\xff"), ""},
		{"alert", false, SLICE("\x15\x03\x01\x00\x02\x02\x28"), "unexpected message"},
		{"data before the handshake", false, SLICE("\x17\x03\x03\x00\x01\x00"), ""},
		{"zeros", false, SLICE("\0\0\0\0\0\0\0\0\0\0\0\0\0"), ""},
	};
	struct tls_context *server = server_of("ecdsa"), *client = client_of(false, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tls *t =
			tls_open(rows[i].to_client ? client : server, rows[i].to_client ? "a.test" : NULL);
		slice bytes = test_guard(rows[i].bytes), in = bytes;
		uint8_t text[100];
		ssize_t rc;

		/* The large hello announces more than comes. */
		do
			rc = tls_read(t, &in, text, sizeof text);
		while (rc == 0 && in.len > 0);
		for (int n = 0; n < 100000 && rc == 0; n++) {
			static const uint8_t zeros[64];

			in = slice_of(zeros, sizeof zeros);
			rc = tls_read(t, &in, text, sizeof text);
		}
		test_numbers_equal(rows[i].name, rc, -EPROTO);
		if (!has(tls_why(t), rows[i].why) || !*tls_why(t))
			fail_msg("%s: \"%s\"", rows[i].name, tls_why(t));
		assert_false(tls_up(t));
		/* It stays so. */
		in = bytes;
		assert_int_equal(tls_read(t, &in, text, sizeof text), -EPROTO);
		test_unguard(bytes);
		tls_close(&t);
	}
	tls_context_close(&server);
	tls_context_close(&client);
}

static void large(void **state)
{
	struct tls_context *server = server_of("ecdsa"), *client = client_of(false, NULL);
	const size_t size = 10 << 20;
	uint8_t *p = must_alloc(size);
	struct pair pair;
	uint32_t x = 1;

	(void)state;
	for (size_t i = 0; i < size; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = (uint8_t)(x >> 24);
	}
	for (int round = 0; round < 2; round++) {
		pair_open(&pair, server, client, "mx.test");
		for (int i = 0; i < 2; i++)
			buf_put(&pair.end[i].plain, slice_of(p, size));
		/* Whole flights; then pieces of all sizes. */
		bool moved = true;
		while (moved) {
			if (round) {
				x = x * 1664525 + 1013904223;
				pair.piece = 1 + (x >> 8) % (x & 1 ? 70000 : 3000);
			}
			moved = false;
			for (int i = 0; i < 2; i++) {
				speak(&pair.end[i]);
				moved |= carry(&pair, i);
			}
		}
		for (int i = 0; i < 2; i++)
			assert_true(slice_eq(buf_slice(&pair.end[i].got), slice_of(p, size)));
		pair_close(&pair);
	}
	free(p);
	tls_context_close(&server);
	tls_context_close(&client);
}

/* A peer that we have no words for: OpenSSL itself, with memory on both sides. */

static SSL *raw_client(SSL_CTX *ctx)
{
	SSL *s = SSL_new(ctx);

	must(s);
	SSL_set_bio(s, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(s);
	return s;
}

/* What it has said goes to t, and the other way round. The last of tls_read. */
static ssize_t exchange(SSL *s, struct tls *t, struct buf *got)
{
	uint8_t text[4096];
	ssize_t rc = 0;

	for (int i = 0; i < 20; i++) {
		char *p;
		long n;
		slice in;

		if (SSL_is_init_finished(s))
			SSL_read(s, text, 0);
		else
			SSL_do_handshake(s);
		n = BIO_get_mem_data(SSL_get_wbio(s), &p);
		in = slice_of(p, (size_t)n);
		while ((rc = tls_read(t, &in, text, sizeof text)) > 0)
			buf_put(got, slice_of(text, (size_t)rc));
		(void)BIO_reset(SSL_get_wbio(s));
		must(tls_out(t)->len == 0 ||
			BIO_write(SSL_get_rbio(s), tls_out(t)->p, (int)tls_out(t)->len) > 0);
		buf_drop(tls_out(t), tls_out(t)->len);
		if (rc < 0)
			break;
	}
	return rc;
}

static void versions(void **state)
{
	static const struct {
		int version;
		const char *ciphers;
		bool good;
	} rows[] = {
		{TLS1_3_VERSION, "DEFAULT", true},
		{TLS1_2_VERSION, "DEFAULT", true},
		{TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true},
		{TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384:AES256-SHA:AES256-GCM-SHA384", false},
		{TLS1_2_VERSION, "aNULL:eNULL:@SECLEVEL=0", false},
		{TLS1_1_VERSION, "DEFAULT:@SECLEVEL=0", false},
		{TLS1_VERSION, "DEFAULT:@SECLEVEL=0", false},
	};
	struct tls_context *server = server_of("ecdsa");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		struct tls *t = tls_open(server, NULL);
		struct buf got;
		SSL *s;

		must(SSL_CTX_set_min_proto_version(ctx, rows[i].version) == 1 &&
			SSL_CTX_set_max_proto_version(ctx, rows[i].version) == 1 &&
			SSL_CTX_set_cipher_list(ctx, rows[i].ciphers) == 1);
		s = raw_client(ctx);
		buf_init(&got, 1000);
		test_numbers_equal(rows[i].ciphers, exchange(s, t, &got), rows[i].good ? 0 : -EPROTO);
		assert_int_equal(tls_up(t), rows[i].good);
		assert_int_equal(SSL_is_init_finished(s), rows[i].good);
		if (rows[i].good)
			assert_int_equal(SSL_get_version(s)[6] - '0',
				rows[i].version & 0xf ? rows[i].version - TLS1_VERSION : 0);
		SSL_free(s);
		SSL_CTX_free(ctx);
		tls_close(&t);
	}
	tls_context_close(&server);
	ERR_clear_error();
}

static void renegotiation(void **state)
{
	struct tls_context *server = server_of("ecdsa");
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct tls *t = tls_open(server, NULL);
	struct buf got;
	SSL *s;

	(void)state;
	must(SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) == 1);
	s = raw_client(ctx);
	buf_init(&got, 1000);
	assert_int_equal(exchange(s, t, &got), 0);
	assert_true(tls_up(t));
	assert_int_equal(SSL_renegotiate(s), 1);
	SSL_do_handshake(s);
	exchange(s, t, &got);
	/* The client does not get what it asks for. */
	assert_false(SSL_is_init_finished(s));
	assert_int_equal(SSL_num_renegotiations(s), 1);
	SSL_free(s);
	SSL_CTX_free(ctx);
	tls_close(&t);
	tls_context_close(&server);
	buf_free(&got);
	ERR_clear_error();
}

/* Each asks for an answer, and none is taken. */
static void key_updates(void **state)
{
	struct tls_context *server = server_of("ecdsa");
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct tls *t = tls_open(server, NULL);
	struct buf got;
	uint8_t text[100];
	size_t most = 0;
	ssize_t rc = 0;
	SSL *s;

	(void)state;
	s = raw_client(ctx);
	buf_init(&got, 1000);
	assert_int_equal(exchange(s, t, &got), 0);
	for (int i = 0; i < 20000 && rc >= 0; i++) {
		char *p;
		slice in;

		assert_int_equal(SSL_key_update(s, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(s), 1);
		in = slice_of(p, 0);
		in.len = (size_t)BIO_get_mem_data(SSL_get_wbio(s), &p);
		in.p = (uint8_t *)p;
		rc = tls_read(t, &in, text, sizeof text);
		(void)BIO_reset(SSL_get_wbio(s));
		if (tls_out(t)->len > most)
			most = tls_out(t)->len;
	}
	assert_int_equal(rc, -EPROTO);
	assert_in_range(most, 1000, TLS_MAX_OUT);
	assert_true(has(tls_why(t), "takes nothing"));
	SSL_free(s);
	SSL_CTX_free(ctx);
	tls_close(&t);
	tls_context_close(&server);
	ERR_clear_error();
}

static SSL_SESSION *kept;

static int keep(SSL *s, SSL_SESSION *session)
{
	(void)s;
	SSL_SESSION_free(kept);
	kept = session;
	return 1;
}

static bool resumes(SSL_CTX *ctx, struct tls_context *server)
{
	struct tls *t = tls_open(server, NULL);
	SSL *s = raw_client(ctx);
	struct buf got;
	bool yes;

	buf_init(&got, 1000);
	if (kept)
		SSL_set_session(s, kept);
	assert_int_equal(exchange(s, t, &got), 0);
	assert_true(tls_up(t));
	yes = tls_resumed(t);
	assert_int_equal(yes, SSL_session_reused(s));
	SSL_shutdown(s);
	SSL_free(s);
	tls_close(&t);
	return yes;
}

static void tickets(void **state)
{
	static const int version[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct buf why;

	(void)state;
	buf_init(&why, 1000);
	for (int i = 0; i < 2; i++) {
		struct tls_context *server = server_of("ecdsa"), *other = server_of("ecdsa");
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

		must(SSL_CTX_set_max_proto_version(ctx, version[i]) == 1);
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(ctx, keep);
		assert_false(resumes(ctx, server));
		assert_non_null(kept);
		assert_true(resumes(ctx, server));
		assert_true(resumes(ctx, server));
		/* Another process, or a new key: good as well, and in full. */
		assert_false(resumes(ctx, other));
		assert_true(resumes(ctx, other));
		assert_int_equal(tls_context_renew(other, &why), 0);
		assert_false(resumes(ctx, other));
		SSL_SESSION_free(kept);
		kept = NULL;
		SSL_CTX_free(ctx);
		tls_context_close(&server);
		tls_context_close(&other);
	}
	ERR_clear_error();
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	must(f && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, mode) == 0);
}

static void files_refused(void **state)
{
	static const struct {
		const char *pem, *key, *why;
	} rows[] = {
		{"none.pem", "ecdsa.key", "/none.pem: No such file or directory"},
		{"ecdsa.pem", "none.key", "/none.key: No such file or directory"},
		{"ecdsa.pem", "open.key", "/open.key: others may read it (mode 0640): chmod 600 "},
		{"ecdsa.pem", "rsa.key", "/rsa.key: is not the key of the first certificate in "},
		{"ecdsa.pem", "expired.key", "/expired.key: is not the key of the first certificate in "},
		{"locked.pem", "locked.key",
			"/locked.key: has a pass phrase: take it off with `openssl pkey"},
		{"ecdsa.pem", "text.key", "/text.key: holds no private key in PEM"},
		{"ecdsa.pem", "empty.key", "/empty.key: holds no private key in PEM"},
		{"text.key", "ecdsa.key", "/text.key: holds no certificate in PEM"},
		{"ecdsa.key", "ecdsa.key", "/ecdsa.key: holds no certificate in PEM"},
		{"torn.pem", "ecdsa.key", "/torn.pem: "},
		{".", "ecdsa.key", "/.: "},
		{"ecdsa.pem", ".", "/.: not a regular file"},
	};
	struct tls_context *c;
	struct buf why;

	(void)state;
	buf_init(&why, 1000);
	write_file(at("text.key"), "this is text\n", 0600);
	write_file(at("empty.key"), "", 0600);
	write_file(at("torn.pem"), "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", 0600);
	certs_make(at("open"), &(struct certs_want){.ca = false});
	must(chmod(at("open.key"), 0640) == 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		buf_clear(&why);
		assert_true(tls_server_open(&c, at(rows[i].pem), at(rows[i].key), &why) < 0);
		assert_null(c);
		if (slice_find(buf_slice(&why), slice_str(rows[i].why), 0) == SLICE_NPOS)
			fail_msg("row %zu: \"%.*s\"", i, SLICE_FMT(buf_slice(&why)));
		assert_int_equal(slice_chr(buf_slice(&why), '\n', 0), SLICE_NPOS);
	}
	buf_clear(&why);
	assert_int_equal(tls_client_open(&c, true, at("none.pem"), &why), -ENOENT);
	assert_int_equal(tls_client_open(&c, true, at("text.key"), &why), -EINVAL);
	assert_true(slice_find(buf_slice(&why), SLICE("/text.key: holds no certificate"), 0) != SLICE_NPOS);
	/* The system's. */
	setenv("SSL_CERT_FILE", at("ca.pem"), 1);
	assert_int_equal(tls_client_open(&c, true, "", &why), 0);
	tls_context_close(&c);
	setenv("SSL_CERT_FILE", at("none.pem"), 1);
	setenv("SSL_CERT_DIR", at("none"), 1);
	buf_clear(&why);
	assert_int_equal(tls_client_open(&c, true, "", &why), -ENOENT);
	assert_true(
		slice_find(buf_slice(&why), SLICE("install the package ca-certificates"), 0) != SLICE_NPOS);
	unsetenv("SSL_CERT_FILE");
	unsetenv("SSL_CERT_DIR");
	/* Nobody to be verified: no file is wanted. */
	assert_int_equal(tls_client_open(&c, false, at("none.pem"), &why), 0);
	tls_context_close(&c);
	buf_free(&why);
}

static void renewal(void **state)
{
	struct tls_context *server, *old = client_of(true, "before.pem"), *young;
	struct pair p, q;
	struct buf why;

	(void)state;
	buf_init(&why, 1000);
	server = server_of("turn");
	assert_false(tls_context_changed(server));
	pair_open(&p, server, old, "mx.test");
	say(&p, CLIENT, "one\r\n");
	run(&p);
	expect(&p, SERVER, "one\r\n");
	/* Half of it is there: the old one goes on. */
	must(rename(at("turn.key"), at("turn.key.old")) == 0);
	assert_false(tls_context_changed(server));
	assert_int_equal(tls_context_renew(server, &why), -ENOENT);
	certs_make(at("turn"), &(struct certs_want){.names = "DNS:mx.test"});
	must(rename(at("turn.key"), at("turn.key.new")) == 0 &&
		rename(at("turn.key.old"), at("turn.key")) == 0);
	assert_true(tls_context_changed(server));
	assert_int_equal(tls_context_renew(server, &why), -EINVAL);
	assert_true(tls_context_changed(server));
	pair_open(&q, server, old, "mx.test");
	conversation(&q);
	pair_close(&q);
	/* All of it. */
	must(rename(at("turn.key.new"), at("turn.key")) == 0);
	assert_int_equal(tls_context_renew(server, &why), 0);
	assert_false(tls_context_changed(server));
	young = client_of(true, "turn.pem");
	pair_open(&q, server, young, "mx.test");
	conversation(&q);
	pair_close(&q);
	pair_open(&q, server, old, "mx.test");
	run(&q);
	assert_int_equal(q.end[CLIENT].rc, -EPROTO);
	pair_close(&q);
	/* And what was under way still is. */
	conversation(&p);
	pair_close(&p);
	tls_context_close(&server);
	tls_context_close(&old);
	tls_context_close(&young);
	buf_free(&why);
}

static int before_renewal(void **state)
{
	(void)state;
	certs_make(at("turn"), &(struct certs_want){.names = "DNS:mx.test"});
	return link(at("turn.pem"), at("before.pem"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels),
		cmocka_unit_test(good),
		cmocka_unit_test(every_split),
		cmocka_unit_test(verification),
		cmocka_unit_test(truncated),
		cmocka_unit_test(bit_flips),
		cmocka_unit_test(not_tls),
		cmocka_unit_test(large),
		cmocka_unit_test(versions),
		cmocka_unit_test(renegotiation),
		cmocka_unit_test(key_updates),
		cmocka_unit_test(tickets),
		cmocka_unit_test(files_refused),
		cmocka_unit_test_setup(renewal, before_renewal),
	};

	return cmocka_run_group_tests(tests, make_all, drop_all);
}
