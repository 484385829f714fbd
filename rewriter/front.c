#include "rewriter/front.h"

#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/clock.h"
#include "core/io/log.h"
#include "core/io/metrics.h"
#include "core/io/secure.h"
#include "rewriter/hops.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCRATCH (128 * 1024)
#define ACCEPTS_A_TURN 64
#define READS_A_TURN 4
/* When the process has no descriptor left the listener rests for this long. */
#define ACCEPT_PAUSE_MS 100

enum { DOOR_SMTP, DOOR_LMTP, DOOR_SMTPS, DOORS };

struct client {
	struct front *front;
	struct client *next, **link; /* list of all */
	struct door *door;
	struct peer peer;
	bool begun; /* the peer is known; relay is not used before */
	struct relay relay;
	struct stream *stream; /* NULL: closed */
	struct tls *tls;       /* the stream's; NULL: plain text */
	bool shaking;          /* hands; nothing else is done with it meanwhile */
	struct hop_loan hop;   /* the connection to the next hop */
	uint64_t hop_ms;       /* when it was last made use of */
	uint64_t copies_ms;    /* when the first copy of a message for several was prepared, 0: none */
	struct wait {
		unsigned what; /* it waits for an answer to; 0: to nothing */
		uint64_t since_ms;
	} wait;
	int64_t ticket;
	struct client *waiting; /* list of those that wait for a flush or a sync */
};

struct waiting { /* first in, first out */
	struct client *first, **last;
};

struct front {
	struct front_config cfg;
	struct hops *hops;
	struct door {
		struct front *front;
		struct session_config session;
		int fd; /* borrowed */
		struct loop_fd *listener;
	} door[DOORS];
	struct loop *loop;
	struct loop_timer *accept_pause, *stop_timer, *sync_timer, *record_timer, *retry_timer, *renew_timer,
		*tick;
	struct client *clients;
	unsigned count;
	struct waiting put;    /* recorded in this turn, or since the disk fails */
	struct waiting synced; /* flushed, not yet synced */
	int64_t ticket;        /* of the last flush */
	bool unrecorded;       /* the last flush failed, and clients wait for it */
	_Atomic bool stop_asked, renew_asked;
	bool stopping;
	uint64_t client_limit_ms;
	uint8_t scratch[SCRATCH];
};

static void pump(struct client *c);

static void waiting_put(struct waiting *w, struct client *c)
{
	c->waiting = NULL;
	*w->last = c;
	w->last = &c->waiting;
}

static struct client *waiting_take(struct waiting *w)
{
	struct client *c = w->first;

	if (!c)
		return NULL;
	w->first = c->waiting;
	if (!w->first)
		w->last = &w->first;
	return c;
}

/* The relay's world. */

static bool alone(void *arg, const struct envelope *e, unsigned i)
{
	struct client *c = arg;

	return copier_alone(c->front->cfg.copier, e, i);
}

static bool owed(void *arg, const struct envelope *e, unsigned i)
{
	struct client *c = arg;

	return copier_owed(c->front->cfg.copier, e, i);
}

static bool known(void *arg, const struct envelope *e, unsigned i, slice message)
{
	struct client *c = arg;

	return copier_known(c->front->cfg.copier, e, i, message);
}

static void prepare(void *arg, const struct envelope *e, unsigned i, slice message, uint64_t size,
	struct relay_copy *copy)
{
	struct client *c = arg;

	if (e->count > 1 && !c->copies_ms)
		c->copies_ms = clock_mono_ms();
	copier_prepare(c->front->cfg.copier, e, i, message, size, copy);
}

/* Did the client hang up? It is not read from while its message is under way.
 * One that said QUIT behind its message waits for the answer, even with its own
 * half of the connection closed: so does Exim. */
static bool client_left(const struct client *c)
{
	if (!c->stream)
		return true;
	return stream_hung_up(c->stream) && !slice_iends(buf_slice(&c->relay.pending), SLICE("QUIT\r\n"));
}

static bool taken(void *arg, struct relay_copy *copy, slice text)
{
	struct client *c = arg;

	/* Copies that nobody waits for would go again when the client comes again. */
	if (c->copies_ms && client_left(c))
		relay_overdue(&c->relay);
	return copier_taken(c->front->cfg.copier, copy, text);
}

static void sync_wanted(void *arg)
{
	struct client *c = arg;

	waiting_put(&c->front->put, c);
}

static void answered(
	void *arg, const struct envelope *e, slice message, const struct relay_outcome *o, bool mixed)
{
	struct client *c = arg;

	/* What nobody hears is remembered as what nobody was told. */
	copier_answered(c->front->cfg.copier, e, message, o, mixed || (c->copies_ms && client_left(c)));
	c->copies_ms = 0;
	if (mixed)
		metric_add(METRIC_messages_mixed, 1);
	for (unsigned i = 0; i < e->count; i++) {
		if (o[i].shared)
			continue;
		metric_add(o[i].known        ? METRIC_messages_known
			   : o[i].code < 400 ? METRIC_messages_delivered
			   : o[i].code < 500 ? METRIC_messages_deferred
					     : METRIC_messages_refused,
			1);
	}
}

static const struct relay_world world = {alone, owed, known, prepare, taken, sync_wanted, answered};

/* The next hop. */

static void read_hop(struct client *c)
{
	struct front *f = c->front;
	ssize_t n = hop_read(&c->hop, f->scratch, SCRATCH);
	int rc;

	if (n == 0)
		return;
	if (n < 0) {
		relay_hop_gone(&c->relay);
		return;
	}
	rc = relay_hop_in(&c->relay, slice_of(f->scratch, (size_t)n));
	if (rc < 0)
		log_warn("front", "next hop broke the protocol", "bytes=%s",
			log_bytes(slice_of(f->scratch, (size_t)n)));
}

static void write_hop(struct client *c)
{
	if (hop_flush(&c->hop) == 0)
		return;
	/* It may have said why before it closed. */
	read_hop(c);
	if (c->relay.parting == RELAY_STAYS)
		relay_hop_gone(&c->relay);
}

static void hop_happened(void *arg, enum hop_event what)
{
	struct client *c = arg;

	switch (what) {
	case HOP_LENT:
		relay_hop_up(&c->relay, hop_exchange(&c->hop), hop_used(&c->hop));
		break;
	case HOP_REFUSED:
		relay_hop_refused(&c->relay, c->hop.code, c->hop.text);
		break;
	case HOP_READY:
		read_hop(c);
		break;
	case HOP_LATE:
		relay_hop_gone(&c->relay);
		break;
	}
	pump(c);
}

/* Carry out what the relay wants of its hop. */
static void tend_hop(struct client *c)
{
	struct relay *r = &c->relay;
	enum relay_parting how = r->parting;

	r->parting = RELAY_STAYS;
	if (how == RELAY_GIVES)
		hops_give(&c->hop);
	else if (how == RELAY_QUITS)
		hops_quit(&c->hop);
	else if (how == RELAY_DROPS)
		hops_drop(&c->hop);
	if (r->hop != RELAY_HOP_WANTED)
		hops_cancel(&c->hop);
	else if (!c->hop.at && hops_take(c->front->hops, &c->hop, buf_slice(&r->session.envelope.sender)))
		relay_hop_up(r, hop_exchange(&c->hop), hop_used(&c->hop));
	if (r->hop != RELAY_HOP_HELD)
		return;
	if (exchange_waits(r->exchange) != EXCHANGE_NOTHING)
		c->hop_ms = clock_mono_ms();
	write_hop(c);
}

/* Clients. */

static void client_free(struct client *c)
{
	struct front *f = c->front;

	stream_close(&c->stream);
	hops_cancel(&c->hop);
	if (c->hop.conn)
		hops_drop(&c->hop);
	relay_free(&c->relay);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	free(c);
	f->count--;
	metric_set(METRIC_sessions_open, f->count);
	if (f->stopping && f->count == 0)
		loop_stop(f->loop);
}

static void client_read(struct client *c)
{
	struct front *f = c->front;

	for (int i = 0; i < READS_A_TURN && relay_hungry(&c->relay); i++) {
		ssize_t n = stream_read(c->stream, f->scratch, SCRATCH);

		if (n < 0)
			relay_client_gone(&c->relay);
		if (n <= 0)
			return;
		relay_client_in(&c->relay, slice_of(f->scratch, (size_t)n));
		if (n < SCRATCH)
			return;
	}
}

/* TLS from here on: its first bytes are read next. */
static void client_shake(struct client *c)
{
	c->tls = secure_stream(c->stream, c->front->cfg.transport->server, NULL);
	c->shaking = true;
	stream_limit(c->stream, TLS_HANDSHAKE_MS);
}

static void client_unsafe(struct client *c, const char *why)
{
	metric_add(METRIC_client_tls_failed, 1);
	log_warn("front", "TLS with a client failed", "err=\"%s\"", why);
	c->shaking = false;
	stream_close(&c->stream);
	relay_client_gone(&c->relay);
}

/* The client's part of the handshake, and maybe what it says behind it. */
static void client_shaken(struct client *c)
{
	struct front *f = c->front;
	ssize_t n = stream_read(c->stream, f->scratch, SCRATCH);

	if (n < 0) {
		client_unsafe(c, tls_why(c->tls));
		return;
	}
	if (!tls_up(c->tls))
		return;
	metric_add(METRIC_client_tls, 1);
	c->shaking = false;
	if (relay_client_securing(&c->relay))
		relay_client_secured(&c->relay);
	if (n > 0)
		relay_client_in(&c->relay, slice_of(f->scratch, (size_t)n));
}

static void client_late(struct client *c)
{
	if (c->shaking)
		client_unsafe(c, "handshake timed out");
	else if (relay_client_done(&c->relay))
		stream_close(&c->stream); /* it does not even take the farewell */
	else
		relay_client_late(&c->relay);
}

/* It is known who it is: to be greeted. */
static void client_begin(struct client *c)
{
	struct front *f = c->front;
	const struct session_config *cfg = &c->door->session;
	struct smtp_offer offer;

	c->begun = true;
	stream_limit(c->stream, 0);
	relay_init(&c->relay, cfg, hops_offer(f->hops, &offer) ? &offer : NULL, &world, c);
	if (c->peer.known)
		relay_client_is(
			&c->relay, &c->peer.address, c->peer.port, peer_trusted(&c->peer, f->cfg.peers));
	if (cfg->tls_first)
		client_shake(c);
}

/* What comes first from a load balancer says who the client is. */
static void client_announced(struct client *c, int what)
{
	int rc = what & STREAM_LATE ? -ETIMEDOUT : peer_read(&c->peer, c->stream);
	struct buf from;

	if (rc > 0)
		client_begin(c);
	if (rc >= 0)
		return;
	stream_close(&c->stream);
	/* Connecting and leaving is how balancers see that we are there. */
	if (rc == -EPIPE && c->peer.len == 0)
		return;
	metric_add(METRIC_proxy_headers_refused, 1);
	buf_init(&from, IP_MAX_TEXT);
	peer_put(&c->peer, &from);
	log_warn("front", "no PROXY header", "from=%.*s why=%s", SLICE_FMT(buf_slice(&from)),
		rc < -REFUSE_BASE ? refuse_word(rc) : strerror(-rc));
	buf_free(&from);
}

static void client_happened(void *arg, int what)
{
	struct client *c = arg;

	if (!c->begun)
		client_announced(c, what);
	else if (what & STREAM_LATE)
		client_late(c);
	else if (c->shaking && (what & STREAM_READ))
		client_shaken(c);
	/* Not wanted now: stop looking until it is. */
	else if ((what & STREAM_READ) && !relay_hungry(&c->relay))
		stream_want(c->stream, c->relay.session.out.len ? STREAM_WRITE : 0);
	else if (what & STREAM_READ)
		client_read(c);
	pump(c);
}

static void client_write(struct client *c)
{
	struct buf *out = &c->relay.session.out;

	if (stream_write(c->stream, out) < 0) {
		stream_close(&c->stream);
		relay_client_gone(&c->relay);
	} else if (out->len > 0 || stream_unsent(c->stream)) {
		return;
	} else if (relay_client_done(&c->relay) && c->relay.phase == RELAY_PROBE) {
		stream_close(&c->stream);
		relay_client_gone(&c->relay);
	} else if (relay_client_securing(&c->relay) && !c->tls) {
		client_shake(c);
	}
}

static void client_arm(struct client *c)
{
	bool hungry = relay_hungry(&c->relay);
	bool left = c->relay.session.out.len > 0 || stream_unsent(c->stream);

	/* The limit runs since the handshake began, whatever is said meanwhile. */
	if (c->shaking) {
		stream_want(c->stream, STREAM_READ);
		return;
	}
	if (left)
		stream_want(c->stream, STREAM_WRITE | (hungry ? STREAM_READ : 0));
	else if (hungry)
		stream_want(c->stream, STREAM_READ);
	stream_limit(c->stream, left || hungry ? c->front->client_limit_ms : 0);
}

/* What the client waits for, and since when. */
static void note_wait(struct client *c)
{
	const struct session *s = &c->relay.session;
	unsigned what = 0;

	/* Each recipient asked for and each answer given is a wait of its own. */
	if (s->mode == SESSION_SILENT || session_waits(s))
		what = 1 + (unsigned)s->mode + 16 * (unsigned)s->mail + 64 * (unsigned)s->rcpt +
		       256 * (s->envelope.count + s->answered);
	if (what == c->wait.what)
		return;
	c->wait.what = what;
	c->wait.since_ms = what ? clock_mono_ms() : 0;
}

/* After anything happened to a client: carry out what its relay wants. c may be
 * gone when this returns. */
static void pump(struct client *c)
{
	struct relay *r = &c->relay;

	if (!c->begun) {
		if (c->stream)
			stream_want(c->stream, STREAM_READ);
		else
			client_free(c);
		return;
	}
	do {
		tend_hop(c);
		if (c->stream)
			client_write(c);
	} while (r->parting != RELAY_STAYS || (r->hop == RELAY_HOP_WANTED && !c->hop.at));
	if (!c->stream && relay_done(r)) {
		client_free(c);
		return;
	}
	note_wait(c);
	if (c->stream)
		client_arm(c);
}

/* Whoever waits for long is answered before it gives up. */
static void look_at(struct client *c, uint64_t now)
{
	const struct config *cfg = c->front->cfg.config;
	bool message = c->relay.session.mode == SESSION_BUSY;
	int64_t limit = message ? cfg->rewriter_answer_dot_within_s : cfg->rewriter_answer_within_s;

	if (c->copies_ms && now - c->copies_ms > FRONT_COPIES_MS)
		relay_overdue(&c->relay);
	if (c->hop.conn && hop_wanted(&c->hop) && now - c->hop_ms >= FRONT_YIELD_MS &&
		relay_idle(&c->relay)) {
		relay_recall(&c->relay);
		pump(c);
		return;
	}
	if (!c->wait.what || now - c->wait.since_ms < (uint64_t)limit * 1000)
		return;
	c->wait.what = 0;
	relay_give_up(&c->relay);
	pump(c);
}

static void tick(void *arg)
{
	struct front *f = arg;
	uint64_t now = clock_mono_ms();
	struct client *next;

	for (struct client *c = f->clients; c; c = next) {
		next = c->next;
		look_at(c, now);
	}
	if (f->clients)
		loop_timer_set(f->tick, FRONT_TICK_MS);
}

static void client_open(struct door *d, int fd, const struct sockaddr_storage *from)
{
	struct front *f = d->front;
	struct client *c = must_zalloc(sizeof *c);

	c->front = f;
	c->door = d;
	c->next = f->clients;
	c->link = &f->clients;
	if (c->next)
		c->next->link = &c->next;
	f->clients = c;
	f->count++;
	metric_set(METRIC_sessions_open, f->count);
	c->stream = stream_open(f->loop, fd, client_happened, c);
	c->hop.happened = hop_happened;
	c->hop.arg = c;
	peer_init(&c->peer, f->cfg.peers, from);
	if (c->peer.announced)
		stream_limit(c->stream, PEER_HEADER_MS);
	else
		client_begin(c);
	if (f->count == 1)
		loop_timer_set(f->tick, FRONT_TICK_MS);
	pump(c);
}

static void accept_again(void *arg)
{
	struct front *f = arg;

	for (int i = 0; i < DOORS; i++)
		if (f->door[i].listener)
			loop_change(f->door[i].listener, LOOP_READ);
}

static void accept_ready(void *arg, int events)
{
	static const char full[] = "421 4.3.2 too many sessions, try again later\r\n";
	struct door *d = arg;
	struct front *f = d->front;

	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
		socklen_t len = sizeof from;
		int fd = accept4(d->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0 && f->count < f->cfg.config->rewriter_max_sessions) {
			client_open(d, fd, &from);
		} else if (fd >= 0) {
			send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
			close(fd);
			log_warn("front", "too many sessions", "most=%lld",
				(long long)f->cfg.config->rewriter_max_sessions);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_error("front", "cannot accept clients", "err=%s", strerror(errno));
			loop_change(d->listener, 0);
			loop_timer_set(f->accept_pause, ACCEPT_PAUSE_MS);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

/* Recording. */

static void release(struct client *c)
{
	relay_synced(&c->relay);
	pump(c);
}

static void turn(void *arg)
{
	struct front *f = arg;
	int64_t ticket = outbox_flush(f->cfg.outbox);
	struct client *c;

	if (ticket > 0)
		f->ticket = ticket;
	if (ticket < 0) {
		loop_timer_set(f->retry_timer, FRONT_RETRY_MS);
		if (f->put.first && !f->unrecorded)
			loop_timer_set(f->record_timer, FRONT_SYNC_MS);
		f->unrecorded = f->put.first;
		return;
	}
	if (f->unrecorded)
		loop_timer_stop(f->record_timer);
	f->unrecorded = false;
	if (!f->put.first)
		return;
	/* What the client waits for may have been flushed in an earlier turn. */
	if (ticket == 0)
		ticket = outbox_synced(f->cfg.outbox, f->ticket) ? 0 : f->ticket;
	if (ticket > 0 && !f->synced.first)
		loop_timer_set(f->sync_timer, FRONT_SYNC_MS);
	while ((c = waiting_take(&f->put))) {
		c->ticket = ticket;
		if (ticket > 0)
			waiting_put(&f->synced, c);
		else
			release(c);
	}
	if (ticket > 0)
		outbox_hurry(f->cfg.outbox);
}

/* Only so that a turn ends, which flushes. */
static void retry_due(void *arg)
{
	(void)arg;
}

/* The hop has these: with a 4xx now they would be sent twice. What is to be
 * recorded of them stays in the outbox and is written when the disk is well. */
static void record_late(void *arg)
{
	struct front *f = arg;
	struct client *c;

	log_error("front", "disk takes nothing: mail that the next hop has is answered unrecorded", NULL);
	f->unrecorded = false;
	while ((c = waiting_take(&f->put)))
		release(c);
}

static void sync_late(void *arg)
{
	struct front *f = arg;
	struct client *c;

	log_error("front", "disk is too slow to sync: mail is answered without", NULL);
	while ((c = waiting_take(&f->synced)))
		release(c);
}

static void stop_now(void *arg)
{
	struct front *f = arg;

	log_warn("front", "transactions cut off", "sessions=%u", f->count);
	loop_stop(f->loop);
}

static void begin_stop(struct front *f)
{
	struct client *next;

	f->stopping = true;
	for (int i = 0; i < DOORS; i++)
		loop_unwatch(&f->door[i].listener);
	loop_timer_stop(f->accept_pause);
	loop_timer_set(f->stop_timer, FRONT_STOP_MS);
	if (f->count == 0)
		loop_stop(f->loop);
	for (struct client *c = f->clients; c; c = next) {
		next = c->next;
		if (c->begun)
			relay_stop(&c->relay);
		else
			stream_close(&c->stream);
		pump(c);
	}
}

static void woken(void *arg)
{
	struct front *f = arg;
	bool moved = false;

	hops_woken(f->hops);
	while (f->synced.first && outbox_synced(f->cfg.outbox, f->synced.first->ticket)) {
		release(waiting_take(&f->synced));
		moved = true;
	}
	if (moved && f->synced.first)
		loop_timer_set(f->sync_timer, FRONT_SYNC_MS);
	else if (!f->synced.first)
		loop_timer_stop(f->sync_timer);
	if (atomic_exchange(&f->renew_asked, false))
		transport_renew(f->cfg.transport, true);
	if (f->stop_asked && !f->stopping)
		begin_stop(f);
}

static void renew_due(void *arg)
{
	struct front *f = arg;

	transport_renew(f->cfg.transport, false);
	loop_timer_set(f->renew_timer, FRONT_RENEW_MS);
}

static void wake(void *arg)
{
	loop_wake(arg);
}

static void door_open(struct front *f, int which, int fd)
{
	struct door *d = &f->door[which];

	*d = (struct door){.front = f, .fd = fd};
	d->session = (struct session_config){.host = slice_str(f->cfg.config->rewriter_host_name),
		.max_message = (size_t)f->cfg.config->rewriter_max_message_mb << 20,
		.lmtp = which == DOOR_LMTP,
		.starttls = which != DOOR_SMTPS && f->cfg.transport->clients != TLS_NONE,
		.need_tls = f->cfg.transport->clients == TLS_ENCRYPT,
		.tls_first = which == DOOR_SMTPS,
		.auth_tls_only = f->cfg.config->rewriter_auth_tls_only,
		.tell_client = f->cfg.config->rewriter_xforward,
		.envelope_id = f->cfg.config->track_envelope_id};
	if (fd >= 0)
		d->listener = loop_watch(f->loop, fd, LOOP_READ, accept_ready, d);
}

struct front *front_open(const struct front_config *cfg)
{
	struct front *f = must_zalloc(sizeof *f);

	f->cfg = *cfg;
	f->put.last = &f->put.first;
	f->synced.last = &f->synced.first;
	f->loop = cfg->loop;
	f->client_limit_ms = (uint64_t)cfg->config->rewriter_client_timeout_s * 1000;
	f->accept_pause = loop_timer(f->loop, accept_again, f);
	f->stop_timer = loop_timer(f->loop, stop_now, f);
	f->sync_timer = loop_timer(f->loop, sync_late, f);
	f->record_timer = loop_timer(f->loop, record_late, f);
	f->retry_timer = loop_timer(f->loop, retry_due, f);
	f->renew_timer = loop_timer(f->loop, renew_due, f);
	loop_timer_set(f->renew_timer, FRONT_RENEW_MS);
	f->tick = loop_timer(f->loop, tick, f);
	loop_on_turn(f->loop, turn, f);
	loop_on_wake(f->loop, woken, f);
	outbox_on_sync(cfg->outbox, wake, f->loop);
	door_open(f, DOOR_SMTP, cfg->listen_fd);
	door_open(f, DOOR_LMTP, cfg->lmtp_fd);
	door_open(f, DOOR_SMTPS, cfg->smtps_fd);
	f->hops = hops_open(&(struct hops_config){f->loop, cfg->config, cfg->transport, *cfg->routes});
	return f;
}

void front_run(struct front *f)
{
	loop_run(f->loop);
}

void front_stop(struct front *f)
{
	f->stop_asked = true;
	loop_wake(f->loop);
}

void front_renew(struct front *f)
{
	f->renew_asked = true;
	loop_wake(f->loop);
}

void front_close(struct front **fp)
{
	struct front *f = *fp;
	struct client *c;

	*fp = NULL;
	if (!f)
		return;
	f->stopping = false;
	/* The hop has these: whatever became of the sync, their senders hear so. */
	while ((c = waiting_take(&f->synced))) {
		outbox_wait(f->cfg.outbox, c->ticket);
		release(c);
	}
	while ((c = waiting_take(&f->put)))
		release(c);
	while (f->clients)
		client_free(f->clients);
	hops_close(&f->hops);
	outbox_on_sync(f->cfg.outbox, NULL, NULL);
	for (int i = 0; i < DOORS; i++)
		loop_unwatch(&f->door[i].listener);
	loop_timer_free(&f->accept_pause);
	loop_timer_free(&f->stop_timer);
	loop_timer_free(&f->sync_timer);
	loop_timer_free(&f->record_timer);
	loop_timer_free(&f->retry_timer);
	loop_timer_free(&f->renew_timer);
	loop_timer_free(&f->tick);
	loop_on_turn(f->loop, NULL, NULL);
	loop_on_wake(f->loop, NULL, NULL);
	free(f);
}
