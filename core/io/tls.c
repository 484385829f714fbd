#include "core/io/tls.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/keyfile.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MAX_WHY 200
#define RECORD 16384
/* TLS 1.2: forward secrecy and AEAD alone. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define SUITES "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
#define GROUPS "X25519:P-256:P-384"
#define SESSION_ID "landfall"

/* What a file was when it was read; a certificate is renewed in place or by
 * moving a link. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed;
};

struct tls_context {
	SSL_CTX *ssl;
	bool server, verify;
	char *certificate, *key, *ca; /* paths; NULL: none */
	struct stamp stamp[2];        /* of certificate and key, or of ca */
	uint64_t ends_ms;
	uint64_t ticket_ms; /* when the ticket key was made */
};

struct tls {
	SSL *ssl;
	slice *in; /* the caller's, within tls_read */
	struct buf out;
	bool failed, ended, said_end;
	char why[MAX_WHY];
};

static const char *const level_words[] = {
#define L(code, word, help) word,
	TLS_LEVELS(L)
#undef L
};

bool tls_level_decode(slice word, enum tls_level *out)
{
	for (unsigned i = 0; i < sizeof level_words / sizeof *level_words; i++) {
		if (slice_eq(word, slice_str(level_words[i]))) {
			*out = (enum tls_level)i;
			return true;
		}
	}
	return false;
}

const char *tls_level_word(enum tls_level level)
{
	return level_words[level];
}

/* The two buffers of a connection as OpenSSL sees them. */

static int take(BIO *b, char *p, int n)
{
	struct tls *t = BIO_get_data(b);
	size_t len = t->in ? t->in->len : 0;

	BIO_clear_retry_flags(b);
	if (len == 0 || n <= 0) {
		BIO_set_retry_read(b);
		return -1;
	}
	if (len > (size_t)n)
		len = (size_t)n;
	memcpy(p, t->in->p, len);
	*t->in = slice_from(*t->in, len);
	return (int)len;
}

static int give(BIO *b, const char *p, int n)
{
	struct tls *t = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	if (n <= 0)
		return 0;
	buf_put(&t->out, slice_of(p, (size_t)n));
	return t->out.full ? -1 : n;
}

static long control(BIO *b, int command, long number, void *p)
{
	(void)b;
	(void)number;
	(void)p;
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *buffers;

static void make_buffers(void)
{
	buffers = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "buffers");
	must(buffers && BIO_meth_set_read(buffers, take) && BIO_meth_set_write(buffers, give) &&
		BIO_meth_set_ctrl(buffers, control));
}

/* Contexts. */

/* The first reason in OpenSSL's queue, which is the cause of the others. */
static const char *reason(void)
{
	unsigned long e = ERR_peek_error();
	const char *text = e ? ERR_reason_error_string(e) : NULL;

	if (e && ERR_SYSTEM_ERROR(e))
		return strerror(ERR_GET_REASON(e));
	return text ? text : "unknown error";
}

/* 0 or -errno with *why. */
static int look(const char *path, struct stamp *out, struct buf *why)
{
	struct stat st;
	int rc;

	*out = (struct stamp){0};
	if (stat(path, &st) != 0) {
		rc = -errno;
		buf_printf(why, "%s: %s", path, strerror(-rc));
		return rc;
	}
	*out = (struct stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
	return 0;
}

static bool same(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* For a key with a pass phrase: nobody is there to be asked. */
static int no_phrase(char *p, int n, int writing, void *asked)
{
	(void)p;
	(void)n;
	(void)writing;
	if (asked)
		*(bool *)asked = true;
	return -1;
}

static int use_key(SSL_CTX *ssl, const char *certificate, const char *path, struct buf *why)
{
	struct buf text;
	bool asked = false;
	EVP_PKEY *key = NULL;
	BIO *b = NULL;
	int rc;

	buf_init(&text, TLS_MAX_KEY);
	rc = keyfile_read(path, &text, why);
	if (rc < 0)
		goto out;
	rc = -EINVAL;
	b = BIO_new_mem_buf(text.p, (int)text.len);
	must(b);
	key = PEM_read_bio_PrivateKey(b, NULL, no_phrase, &asked);
	if (!key && asked)
		buf_printf(why, "%s: has a pass phrase: take it off with `openssl pkey -in %s -out NEW`",
			path, path);
	else if (!key)
		buf_printf(why, "%s: holds no private key in PEM", path);
	else if (X509_check_private_key(SSL_CTX_get0_certificate(ssl), key) != 1)
		buf_printf(why, "%s: is not the key of the first certificate in %s", path, certificate);
	else if (SSL_CTX_use_PrivateKey(ssl, key) != 1)
		buf_printf(why, "%s: cannot be used: %s", path, reason());
	else
		rc = 0;
out:
	EVP_PKEY_free(key);
	BIO_free(b);
	if (text.p)
		explicit_bzero(text.p, text.room);
	buf_free(&text);
	return rc;
}

static uint64_t end_of(SSL_CTX *ssl)
{
	struct tm tm = {0};
	time_t at;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(ssl)), &tm) != 1)
		return 0;
	at = timegm(&tm);
	return at > 0 ? (uint64_t)at * 1000 : 0;
}

/* A key that seals tickets for TLS_TICKET_S; the one before is forgotten. */
static void renew_ticket_key(struct tls_context *c, SSL_CTX *ssl)
{
	uint8_t key[128];
	long n = SSL_CTX_set_tlsext_ticket_keys(ssl, NULL, 0);

	must(n > 0 && n <= (long)sizeof key && RAND_bytes(key, (int)n) == 1);
	must(SSL_CTX_set_tlsext_ticket_keys(ssl, key, n) == 1);
	explicit_bzero(key, sizeof key);
	c->ticket_ms = clock_mono_ms();
}

static int fill_server(struct tls_context *c, SSL_CTX *ssl, struct buf *why)
{
	int rc;

	if (SSL_CTX_use_certificate_chain_file(ssl, c->certificate) != 1) {
		bool none = ERR_GET_REASON(ERR_peek_error()) == PEM_R_NO_START_LINE;

		buf_printf(why, "%s: %s", c->certificate, none ? "holds no certificate in PEM" : reason());
		return -EINVAL;
	}
	rc = use_key(ssl, c->certificate, c->key, why);
	if (rc < 0)
		return rc;
	SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	must(SSL_CTX_set_session_id_context(ssl, (const uint8_t *)SESSION_ID, sizeof SESSION_ID - 1) == 1);
	SSL_CTX_set_timeout(ssl, TLS_TICKET_S);
	/* One is enough: who comes again gets another. */
	SSL_CTX_set_num_tickets(ssl, 1);
	renew_ticket_key(c, ssl);
	c->ends_ms = end_of(ssl);
	return 0;
}

/* Is there any certificate where OpenSSL looks by itself? */
static bool system_store(void)
{
	const char *file = getenv(X509_get_default_cert_file_env()),
		   *path = getenv(X509_get_default_cert_dir_env());
	struct stat st;
	struct dirent *e;
	bool found = false;
	DIR *d;

	if (stat(file ? file : X509_get_default_cert_file(), &st) == 0 && st.st_size > 0)
		return true;
	d = opendir(path ? path : X509_get_default_cert_dir());
	while (d && !found && (e = readdir(d)))
		found = e->d_name[0] != '.';
	if (d)
		closedir(d);
	return found;
}

static int fill_client(const struct tls_context *c, SSL_CTX *ssl, struct buf *why)
{
	if (!c->verify)
		return 0;
	/* What is named in the file is believed, be it a root or the peer's own. */
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_hostflags(SSL_CTX_get0_param(ssl), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	if (c->ca && SSL_CTX_load_verify_file(ssl, c->ca) != 1) {
		buf_printf(why, "%s: holds no certificate in PEM that can be read: %s", c->ca, reason());
		return -EINVAL;
	}
	if (!c->ca && (!system_store() || SSL_CTX_set_default_verify_paths(ssl) != 1)) {
		buf_str(why,
			"this system has no certificates to believe: install the package ca-certificates, or "
			"name a CA file");
		return -ENOENT;
	}
	return 0;
}

/* *out: with all files read; the context has nothing of it yet but times. */
static int make(struct tls_context *c, SSL_CTX **out, struct stamp stamp[2], struct buf *why)
{
	const char *files[2] = {c->server ? c->certificate : c->ca, c->key};
	SSL_CTX *ssl = NULL;
	int rc = 0;

	for (int i = 0; i < 2 && rc == 0; i++)
		if (files[i])
			rc = look(files[i], &stamp[i], why);
	if (rc < 0)
		return rc;
	ERR_clear_error();
	ssl = SSL_CTX_new(c->server ? TLS_server_method() : TLS_client_method());
	must(ssl && SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
		SSL_CTX_set_max_proto_version(ssl, 0) == 1 && SSL_CTX_set_cipher_list(ssl, CIPHERS) == 1 &&
		SSL_CTX_set_ciphersuites(ssl, SUITES) == 1 && SSL_CTX_set1_groups_list(ssl, GROUPS) == 1);
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(ssl, TLS_MAX_CHAIN);
	SSL_CTX_set_default_passwd_cb(ssl, no_phrase);
	rc = c->server ? fill_server(c, ssl, why) : fill_client(c, ssl, why);
	ERR_clear_error();
	if (rc < 0) {
		SSL_CTX_free(ssl);
		return rc;
	}
	*out = ssl;
	return 0;
}

int tls_context_renew(struct tls_context *c, struct buf *why)
{
	struct stamp stamp[2] = {{0}};
	uint64_t ends_ms = c->ends_ms, ticket_ms = c->ticket_ms;
	SSL_CTX *ssl;
	int rc = make(c, &ssl, stamp, why);

	if (rc < 0) {
		c->ends_ms = ends_ms;
		c->ticket_ms = ticket_ms;
		return rc;
	}
	/* Connections under way hold on to the one that they began with. */
	SSL_CTX_free(c->ssl);
	c->ssl = ssl;
	memcpy(c->stamp, stamp, sizeof stamp);
	return 0;
}

static char *copy_of(const char *s)
{
	char *p;

	if (!s || !*s)
		return NULL;
	p = must_alloc(strlen(s) + 1);
	return strcpy(p, s);
}

static int open_context(struct tls_context **out, struct tls_context fields, struct buf *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tls_context *c = must_alloc(sizeof *c);
	int rc;

	must(pthread_once(&once, make_buffers) == 0);
	*c = fields;
	rc = tls_context_renew(c, why);
	if (rc < 0)
		tls_context_close(&c);
	*out = c;
	return rc;
}

int tls_server_open(struct tls_context **out, const char *certificate, const char *key, struct buf *why)
{
	return open_context(out,
		(struct tls_context){
			.server = true, .certificate = copy_of(certificate), .key = copy_of(key)},
		why);
}

int tls_client_open(struct tls_context **out, bool verify, const char *ca_file, struct buf *why)
{
	return open_context(
		out, (struct tls_context){.verify = verify, .ca = verify ? copy_of(ca_file) : NULL}, why);
}

void tls_context_close(struct tls_context **cp)
{
	struct tls_context *c = *cp;

	*cp = NULL;
	if (!c)
		return;
	SSL_CTX_free(c->ssl);
	free(c->certificate);
	free(c->key);
	free(c->ca);
	free(c);
}

bool tls_context_changed(const struct tls_context *c)
{
	const char *files[2] = {c->server ? c->certificate : c->ca, c->key};
	struct stat st;

	for (int i = 0; i < 2; i++) {
		struct stamp now;

		if (!files[i])
			continue;
		/* A file that is away is being replaced. */
		if (stat(files[i], &st) != 0)
			return false;
		now = (struct stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
		if (!same(&now, &c->stamp[i]))
			return true;
	}
	return false;
}

uint64_t tls_context_ends_ms(const struct tls_context *c)
{
	return c->ends_ms;
}

/* Connections. */

static int fail(struct tls *t, const char *why)
{
	if (!t->failed)
		snprintf(t->why, sizeof t->why, "%s", why);
	t->failed = true;
	ERR_clear_error();
	return -EPROTO;
}

/* What OpenSSL says of the failure that it has just returned. */
static int fail_ssl(struct tls *t)
{
	unsigned long e = ERR_peek_error();
	int number = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;
	char text[MAX_WHY];

	if (t->out.full)
		return fail(t, "peer takes nothing of what is for it");
	if (number == SSL_R_CERTIFICATE_VERIFY_FAILED)
		snprintf(text, sizeof text, "certificate verify failed: %s",
			X509_verify_cert_error_string(SSL_get_verify_result(t->ssl)));
	else if (!tls_up(t) && (number == SSL_R_WRONG_VERSION_NUMBER || number == SSL_R_HTTP_REQUEST))
		snprintf(text, sizeof text, "%s: the peer does not speak TLS", reason());
	else
		snprintf(text, sizeof text, "%s", reason());
	return fail(t, text);
}

/* Ask for this name, and hold the peer's certificate against it. */
static void want_name(SSL *ssl, const char *name)
{
	char text[TLS_MAX_NAME + 1];
	size_t n = strlen(name);

	must(n <= TLS_MAX_NAME);
	/* The dot that ends an absolute name is in no certificate. */
	if (n > 0 && name[n - 1] == '.')
		n--;
	memcpy(text, name, n);
	text[n] = 0;
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1)
		return;
	ERR_clear_error();
	must(SSL_set1_host(ssl, text) == 1);
	SSL_set_tlsext_host_name(ssl, text);
}

struct tls *tls_open(struct tls_context *c, const char *name)
{
	struct tls *t = must_zalloc(sizeof *t);
	BIO *b;

	must(c->server == !name);
	if (c->server && clock_mono_ms() - c->ticket_ms > TLS_TICKET_S * 1000)
		renew_ticket_key(c, c->ssl);
	buf_init(&t->out, TLS_MAX_OUT);
	t->ssl = SSL_new(c->ssl);
	b = BIO_new(buffers);
	must(t->ssl && b);
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	SSL_set_bio(t->ssl, b, b);
	if (c->server) {
		SSL_set_accept_state(t->ssl);
		return t;
	}
	want_name(t->ssl, name);
	SSL_set_connect_state(t->ssl);
	ERR_clear_error();
	if (SSL_get_error(t->ssl, SSL_do_handshake(t->ssl)) != SSL_ERROR_WANT_READ)
		fail_ssl(t);
	return t;
}

void tls_close(struct tls **tp)
{
	struct tls *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	SSL_free(t->ssl);
	buf_free(&t->out);
	free(t);
}

/* What became of a call of OpenSSL that gave no bytes. */
static int judge(struct tls *t, int rc)
{
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		t->ended = true;
		return -ESHUTDOWN;
	default:
		return fail_ssl(t);
	}
}

ssize_t tls_read(struct tls *t, slice *in, void *p, size_t room)
{
	int rc;

	must(room > 0);
	if (t->failed)
		return -EPROTO;
	ERR_clear_error();
	t->in = in;
	rc = SSL_read(t->ssl, p, room > INT_MAX ? INT_MAX : (int)room);
	t->in = NULL;
	return rc > 0 ? rc : judge(t, rc);
}

ssize_t tls_write(struct tls *t, slice plain)
{
	size_t done = 0;
	int rc;

	if (t->failed || t->said_end)
		return -EPROTO;
	while (tls_up(t) && done < plain.len && t->out.len < TLS_AHEAD) {
		slice piece = slice_sub(plain, done, done + RECORD);

		ERR_clear_error();
		rc = SSL_write(t->ssl, piece.p, (int)piece.len);
		if (rc > 0)
			done += (size_t)rc;
		else if (judge(t, rc) < 0)
			return -EPROTO;
		else
			break;
	}
	return (ssize_t)done;
}

void tls_end(struct tls *t)
{
	if (t->failed || t->said_end || !tls_up(t))
		return;
	t->said_end = true;
	ERR_clear_error();
	if (SSL_shutdown(t->ssl) < 0)
		fail_ssl(t);
}

int tls_cut(struct tls *t)
{
	if (t->failed)
		return -EPROTO;
	if (t->ended)
		return 0;
	return fail(t, tls_up(t) ? "cut off: the peer left without saying so" : "cut off in the handshake");
}

bool tls_pending(const struct tls *t)
{
	return SSL_pending(t->ssl) > 0;
}

int tls_over(const struct tls *t)
{
	return t->failed ? -EPROTO : t->ended ? -ESHUTDOWN : 0;
}

struct buf *tls_out(struct tls *t)
{
	return &t->out;
}

bool tls_up(const struct tls *t)
{
	return SSL_is_init_finished(t->ssl);
}

bool tls_resumed(const struct tls *t)
{
	return tls_up(t) && SSL_session_reused(t->ssl);
}

const char *tls_why(const struct tls *t)
{
	return t->why;
}

void tls_about(const struct tls *t, struct buf *out)
{
	buf_printf(out, "%s %s", SSL_get_version(t->ssl), SSL_get_cipher_name(t->ssl));
}
