#include "tests/certs.h"

#include "core/base/must.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PATH 512
#define DAY 86400L

static FILE *file_of(const char *path, const char *suffix, bool write)
{
	char name[MAX_PATH];
	FILE *f;

	must(snprintf(name, sizeof name, "%s%s", path, suffix) < MAX_PATH);
	if (write) {
		int fd;

		/* A new file each time, as those are that come by rename. */
		unlink(name);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		must(fd >= 0);
		f = fdopen(fd, "w");
	} else {
		f = fopen(name, "r");
	}
	must(f);
	return f;
}

static X509 *read_certificate(const char *path)
{
	FILE *f = file_of(path, ".pem", false);
	X509 *x = PEM_read_X509(f, NULL, NULL, NULL);

	must(x);
	fclose(f);
	return x;
}

static EVP_PKEY *read_key(const char *path)
{
	FILE *f = file_of(path, ".key", false);
	EVP_PKEY *k = PEM_read_PrivateKey(f, NULL, NULL, NULL);

	must(k);
	fclose(f);
	return k;
}

static void extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	must(e && X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static X509 *make_certificate(const char *path, const struct certs_want *w, EVP_PKEY *key)
{
	X509 *issuer = w->issuer ? read_certificate(w->issuer) : NULL, *x = X509_new();
	EVP_PKEY *signer = w->issuer ? read_key(w->issuer) : key;
	const char *name = strrchr(path, '/');
	X509_NAME *subject;
	static int serial;

	must(x && X509_set_version(x, 2) == 1);
	ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial + (long)getpid() * 1000);
	must(X509_gmtime_adj(X509_getm_notBefore(x), w->from_day * DAY - 60));
	must(X509_gmtime_adj(X509_getm_notAfter(x), (w->to_day ? w->to_day : 30) * DAY));
	must(X509_set_pubkey(x, key) == 1);
	subject = X509_get_subject_name(x);
	must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
		     (const unsigned char *)(name ? name + 1 : path), -1, -1, 0) == 1);
	must(X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : subject) == 1);
	extend(x, NID_basic_constraints, w->ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (w->names)
		extend(x, NID_subject_alt_name, w->names);
	must(X509_sign(x, signer, EVP_sha256()) > 0);
	X509_free(issuer);
	if (signer != key)
		EVP_PKEY_free(signer);
	return x;
}

void certs_make(const char *path, const struct certs_want *w)
{
	EVP_PKEY *key = w->rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	FILE *f;
	X509 *x;

	must(key);
	x = make_certificate(path, w, key);
	f = file_of(path, ".pem", true);
	must(PEM_write_X509(f, x) == 1);
	X509_free(x);
	if (w->chain) {
		x = read_certificate(w->issuer);
		must(PEM_write_X509(f, x) == 1);
		X509_free(x);
	}
	must(fclose(f) == 0);
	f = file_of(path, ".key", true);
	must(PEM_write_PKCS8PrivateKey(f, key, w->pass_phrase ? EVP_aes_128_cbc() : NULL, w->pass_phrase,
		     w->pass_phrase ? (int)strlen(w->pass_phrase) : 0, NULL, NULL) == 1);
	must(fclose(f) == 0);
	EVP_PKEY_free(key);
}
