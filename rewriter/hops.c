#include "rewriter/hops.h"

#include "core/base/must.h"
#include "core/io/clock.h"
#include "core/io/log.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct address {
	struct sockaddr_storage sa;
	socklen_t len;
};

struct hops {
	struct loop *loop;
	const struct config *config;
	struct address address[HOPS_MAX_ADDRESSES];
	unsigned count;
	uint64_t resolved_ms;
	bool down;
};

struct hop {
	struct hops *hops;
	struct stream *stream;
	struct loop_timer *failed; /* to say from the loop that no connection could be begun */
	unsigned at;               /* the address being tried */
	int err;
	bool up;
	void (*happened)(void *arg, enum hop_event what);
	void *arg;
};

static void resolve(struct hops *h)
{
	const struct config_addr *a = &h->config->rewriter_next_hop;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
	char port[16];
	int rc;

	h->resolved_ms = clock_mono_ms();
	snprintf(port, sizeof port, "%d", a->port);
	rc = getaddrinfo(*a->host ? a->host : "127.0.0.1", port, &hints, &list);
	if (rc != 0) {
		log_warn("hops", "next hop has no address", "host=%s err=\"%s\"", a->host, gai_strerror(rc));
		return;
	}
	h->count = 0;
	for (struct addrinfo *i = list; i && h->count < HOPS_MAX_ADDRESSES; i = i->ai_next) {
		struct address *to = &h->address[h->count++];

		memcpy(&to->sa, i->ai_addr, i->ai_addrlen);
		to->len = i->ai_addrlen;
	}
	freeaddrinfo(list);
}

struct hops *hops_open(struct loop *l, const struct config *c)
{
	struct hops *h = must_zalloc(sizeof *h);

	h->loop = l;
	h->config = c;
	resolve(h);
	return h;
}

void hops_close(struct hops **hp)
{
	free(*hp);
	*hp = NULL;
}

static void set_down(struct hops *h, bool down, int err)
{
	const struct config_addr *a = &h->config->rewriter_next_hop;

	if (down == h->down)
		return;
	h->down = down;
	if (down)
		log_warn("hops", "next hop does not answer", "host=%s port=%d err=%s", a->host, a->port,
			strerror(err));
	else
		log_info("hops", "next hop answers again", NULL);
}

/* None of the addresses answers. */
static void unreached(struct hop *p)
{
	struct hops *h = p->hops;

	set_down(h, true, p->err);
	/* The name may mean another machine by now. */
	if (clock_mono_ms() - h->resolved_ms > HOPS_RESOLVE_MS)
		resolve(h);
	p->happened(p->arg, HOP_GONE);
}

static void failed(void *arg)
{
	unreached(arg);
}

static void happened(void *arg, int what);

/* Try addresses from p->at on. False: there is none left. */
static bool try(struct hop *p)
{
	struct hops *h = p->hops;

	for (; p->at < h->count; p->at++) {
		const struct address *to = &h->address[p->at];
		int rc = stream_connect(
			&p->stream, h->loop, (const struct sockaddr *)&to->sa, to->len, happened, p);

		if (rc == 0) {
			stream_limit(p->stream, (uint64_t)h->config->rewriter_hop_connect_timeout_s * 1000);
			return true;
		}
		p->err = -rc;
	}
	return false;
}

/* This address does not answer: try the next one. */
static void try_next(struct hop *p, int err)
{
	stream_close(&p->stream);
	p->err = err;
	p->at++;
	if (!try(p))
		unreached(p);
}

static void happened(void *arg, int what)
{
	struct hop *p = arg;

	if (p->up) {
		p->happened(p->arg, what & STREAM_LATE ? HOP_LATE : HOP_READY);
	} else if (what & STREAM_UP) {
		p->up = true;
		stream_limit(p->stream, 0);
		set_down(p->hops, false, 0);
		p->happened(p->arg, HOP_UP);
	} else {
		try_next(p, what & STREAM_LATE ? ETIMEDOUT : stream_error(p->stream));
	}
}

struct hop *hop_open(struct hops *h, void (*what_happened)(void *arg, enum hop_event what), void *arg)
{
	struct hop *p = must_alloc(sizeof *p);

	*p = (struct hop){.hops = h, .err = EADDRNOTAVAIL, .happened = what_happened, .arg = arg};
	p->failed = loop_timer(h->loop, failed, p);
	if (!try(p))
		loop_timer_set(p->failed, 0);
	return p;
}

void hop_close(struct hop **pp)
{
	struct hop *p = *pp;

	*pp = NULL;
	if (!p)
		return;
	stream_close(&p->stream);
	loop_timer_free(&p->failed);
	free(p);
}

struct stream *hop_stream(const struct hop *p)
{
	return p->up ? p->stream : NULL;
}
