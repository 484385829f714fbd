/* Certificates for tests: made on the spot, never stored. */
#ifndef LF_TESTS_CERTS_H
#define LF_TESTS_CERTS_H

#include <stdbool.h>

struct certs_want {
	const char *issuer;      /* PATH of one made before; NULL: signs itself */
	const char *names;       /* as in openssl.cnf: "DNS:mx.test,IP:127.0.0.1"; NULL: none */
	bool ca;                 /* may sign others */
	bool rsa;                /* else ECDSA P-256 */
	int from_day, to_day;    /* from now; to_day 0: 30 */
	bool chain;              /* the issuer's certificate stands behind it in the file */
	const char *pass_phrase; /* of the key; NULL: none */
};

/* Writes PATH.pem and PATH.key (mode 0600) in place of what was there. */
void certs_make(const char *path, const struct certs_want *want);

#endif
