#include "rewriter/transport.h"

#include "core/io/clock.h"
#include "core/io/log.h"

#include <errno.h>
#include <time.h>

static int refuse(struct buf *why, const char *setting, const char *value, const char *want)
{
	buf_printf(why, "%s = %s: %s", setting, value, want);
	return -EINVAL;
}

/* When our certificate ends, for who reads the log. */
static void say_end(const struct transport *t, const char *what)
{
	uint64_t ends = tls_context_ends_ms(t->server);
	time_t at = (time_t)(ends / 1000);
	char text[32] = "?";
	struct tm tm;

	if (gmtime_r(&at, &tm))
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (ends < clock_ms())
		log_error("transport", "certificate has expired", "ended=%s", text);
	else
		log_info("transport", what, "ends=%s", text);
}

/* Our certificate, for clients. */
static int open_server(struct transport *t, struct config *c, struct buf *why)
{
	const char *pem = config_path(c, c->rewriter_tls_certificate),
		   *key = config_path(c, c->rewriter_tls_key);
	int rc;

	if (!tls_level_decode(slice_str(c->rewriter_tls), &t->clients) || t->clients == TLS_VERIFY)
		return refuse(why, "rewriter.tls", c->rewriter_tls, "want none, may or encrypt");
	if (t->clients == TLS_NONE && !c->rewriter_smtps_listen.port)
		return 0;
	if (!*pem || !*key) {
		buf_printf(why,
			"%s wants rewriter.tls_certificate and rewriter.tls_key: set both to PEM files",
			t->clients == TLS_NONE ? "rewriter.smtps_listen" : "rewriter.tls");
		return -EINVAL;
	}
	buf_str(why, "rewriter.tls_certificate, rewriter.tls_key: ");
	rc = tls_server_open(&t->server, pem, key, why);
	if (rc == 0) {
		buf_clear(why);
		say_end(t, "certificate read");
	}
	return rc;
}

static int open_client(struct transport *t, struct config *c, struct buf *why)
{
	const char *ca = config_path(c, c->rewriter_next_hop_tls_ca);
	int rc;

	if (!tls_level_decode(slice_str(c->rewriter_next_hop_tls), &t->hop))
		return refuse(why, "rewriter.next_hop_tls", c->rewriter_next_hop_tls,
			"want none, may, encrypt or verify");
	/* Whoever sets these wants to be sure of the next hop. */
	if (t->hop != TLS_VERIFY && (*ca || *c->rewriter_next_hop_tls_name)) {
		buf_printf(why,
			"rewriter.%s is looked at with rewriter.next_hop_tls = verify alone, and that is %s",
			*ca ? "next_hop_tls_ca" : "next_hop_tls_name", c->rewriter_next_hop_tls);
		return -EINVAL;
	}
	t->hop_name = c->rewriter_next_hop_tls_name;
	if (strlen(t->hop_name) > TLS_MAX_NAME)
		return refuse(why, "rewriter.next_hop_tls_name", t->hop_name, "is too long for a name");
	if (t->hop == TLS_NONE)
		return 0;
	buf_str(why, "rewriter.next_hop_tls_ca: ");
	rc = tls_client_open(&t->to_hop, t->hop == TLS_VERIFY, ca, why);
	if (rc == 0)
		buf_clear(why);
	return rc;
}

int transport_open(struct transport *t, struct config *c, struct buf *why)
{
	int rc;

	*t = (struct transport){0};
	rc = open_server(t, c, why);
	return rc < 0 ? rc : open_client(t, c, why);
}

void transport_close(struct transport *t)
{
	tls_context_close(&t->server);
	tls_context_close(&t->to_hop);
}

static bool renew(struct tls_context *c, bool all)
{
	struct buf why;
	int rc;

	if (!c || (!all && !tls_context_changed(c)))
		return false;
	buf_init(&why, 1024);
	rc = tls_context_renew(c, &why);
	if (rc < 0)
		log_error("transport", "certificates not renewed: the old ones are used", "err=%s",
			log_bytes(buf_slice(&why)));
	buf_free(&why);
	return rc == 0;
}

void transport_renew(struct transport *t, bool all)
{
	if (renew(t->server, all))
		say_end(t, "certificate renewed");
	if (renew(t->to_hop, all))
		log_info("transport", "certificates of next hop renewed", NULL);
}
